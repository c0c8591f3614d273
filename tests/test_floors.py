"""Imports go down the floors, never up: this file is the plan of the house, and holds it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# module or package of benchmark -> floor
FLOORS = {
    "records": 0,
    "hookspecs": 0,
    "vocabulary": 0,
    "places": 0,
    "signatures": 0,
    "context": 1,
    "statistics": 1,
    "compiled": 1,
    "kappa": 1,
    "progress": 1,
    "screen": 1,
    "patience": 1,
    "stages": 1,
    "shares": 1,
    "narrow": 1,
    "uncollected": 1,
    "machine": 1,
    "overlap": 1,
    "sampling": 2,
    "strata": 2,
    "registry": 2,
    "runs": 2,
    "engine": 2,
    "provenance": 2,
    "report_files": 2,
    "problems_file": 2,
    "generation": 2,
    "making": 4,
    "datasets": 2,
    "llm": 2,
    "labelling": 2,
    "annotating": 2,
    "metrics": 3,
    "inputs": 4,
    "data_check": 4,
    "case_picture": 4,
    "margins": 4,
    "experiments": 4,
    "gate": 4,
    "exchange": 4,
    "figures": 4,
    "viewer": 4,
    "consistency": 1,
    "outcomes": 4,
    "scoring": 4,
    "tables": 4,
    "evaluator": 4,
    "training": 4,
    "labels": 4,
    "estimates": 4,
    "disagreements": 4,
    "agreement": 4,
    "per_case": 4,
    "audit": 4,
    "meta_eval": 4,
    "notebook": 4,
    "loaded_run": 4,
    "trackers": 4,
    "doctor": 4,
    "shows": 5,
    "cli": 5,
    "cli_options": 5,
    "cli_examples": 5,
    "cli_data": 5,
    "cli_here": 5,
    "cli_train": 5,
    "cli_paper": 5,
    "cli_gate": 5,
    "cli_view": 5,
    "cli_exchange": 5,
    "cli_trackers": 5,
    "shows_gate": 5,
    "shows_view": 5,
    "shows_paper": 5,
    "__main__": 5,
}
FLOOR_ZERO_PACKAGES = {"numpy", "pluggy"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(file: Path) -> list[str]:
    """Dotted names that a file imports anywhere, inside functions too, but not under ``if TYPE_CHECKING``."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def floor_of(dotted: str) -> int | None:
    parts = dotted.split(".")
    return FLOORS.get(parts[1]) if parts[0] == "benchmark" and len(parts) > 1 else None


@pytest.mark.parametrize("file", modules("benchmark"), ids=lambda file: str(file.relative_to(ROOT)))
def test_an_import_within_the_instrument_goes_down_or_stays_on_its_floor(file: Path) -> None:
    parts = file.relative_to(ROOT / "benchmark").with_suffix("").parts
    if parts == ("__init__",):
        return  # the shop window: hands on what plugins need
    assert parts[0] in FLOORS, f"{file.name} has no floor: give it one here and in the README"
    for name in imports(file):
        floor = floor_of(name)
        if floor is not None:
            assert floor <= FLOORS[parts[0]], f"{'.'.join(parts)} (floor {FLOORS[parts[0]]}) imports {name} (floor {floor})"


@pytest.mark.parametrize("file", modules("benchmark"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_instrument_knows_its_guests_by_name_only(file: Path) -> None:
    roots = {name.split(".")[0] for name in imports(file)} - ({"torch"} if file.name == "doctor.py" else set())
    assert not roots & {"adapters", "clala", "torch", "timm", "transformers", "ultralytics"}


@pytest.mark.parametrize("file", modules("clala"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_model_imports_nothing_else_of_ours(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & {"benchmark", "adapters"}


@pytest.mark.parametrize("file", modules("adapters"), ids=lambda file: str(file.relative_to(ROOT)))
def test_an_adapter_imports_records_and_floors_up_to_three_and_nothing_above(file: Path) -> None:
    """Metrics among them: a guest may be a network that measures, and its arithmetic, where it needs none, lies with the other metrics'."""
    for name in imports(file):
        floor = floor_of(name)
        assert floor is None or floor <= 3, f"{file.name} imports {name} (floor {floor})"


@pytest.mark.parametrize("module", [name for name, floor in FLOORS.items() if floor == 0])
def test_the_ground_floor_stands_on_the_standard_library_numpy_and_pluggy(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(ROOT / "benchmark" / f"{module}.py")}
    assert roots <= set(sys.stdlib_module_names) | FLOOR_ZERO_PACKAGES | {"benchmark"}


HEAVY = ("torch", "pandas", "scipy", "numba", "PIL", "pyarrow", "transformers", "litellm", "rich.progress", "matplotlib")


@pytest.mark.parametrize("words", [["--help"], ["list"], ["run", "--help"]], ids=" ".join)
def test_help_and_list_import_nothing_heavy(words: list[str]) -> None:
    """The start must take well under half a second; what it imports decides that, and does not vary with the machine's load."""
    code = f"import sys; sys.argv = ['benchmark', *{words!r}]\nfrom benchmark.cli import main\ntry:\n main()\nexcept SystemExit: pass\n"
    code += f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stderr.strip().splitlines()[-1] == "[]"
