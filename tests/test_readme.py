"""The README is true: what its tree names is there, and what is there is named; its examples run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmark", "adapters", "clala", "prompts", "results", "tests", "docs", "examples")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> str:
    """The block under 'What is here'."""
    return README.split("## What is here")[1].split("##")[0]


def test_every_file_that_the_tree_names_is_there() -> None:
    names = re.findall(r"[\w./]+\.py\b|[\w./]+/(?= )", tree())
    assert len(names) > 25
    there = {part for folder in FOLDERS for file in (ROOT / folder).rglob("*") for part in (file.name, folder, str(file.relative_to(ROOT)))}
    assert not [name for name in names if name.rstrip("/") not in there]


def test_every_file_of_the_instrument_is_named_in_the_tree() -> None:
    for file in sorted((ROOT / "benchmark").glob("*.py")):
        if not file.name.startswith("__"):
            assert f" {file.name} " in tree(), file.name
    for file in sorted((ROOT / "clala").glob("*.py")):
        if not file.name.startswith("__"):
            assert re.search(rf"\b{file.stem}\b", tree()), file.name


def test_the_dozen_lines_of_the_readme_are_a_model_that_runs() -> None:
    from benchmark import Case

    code = README.split("```python")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(code, names)
    registered = {}
    names["register_models"](lambda name, factory, summary: registered.update({name: factory}))  # type: ignore[operator]
    (report,) = registered["parrot"](words=2).generate([Case("a", "p", "s", ())])
    assert (report.case_id, report.text) == ("a", "lungs lungs")


def test_every_command_of_the_readme_is_a_command() -> None:
    from typer.main import get_command

    from benchmark.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"python -m benchmark (\w[\w-]*)", README)) <= known
