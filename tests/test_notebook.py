"""The example notebook runs from top to bottom and shows what it says that it shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebook is run by nbclient, of the extra dev")
pytest.importorskip("nbclient", reason="the notebook is run by nbclient, of the extra dev")
pytest.importorskip("ipykernel", reason="the notebook is run by nbclient, of the extra dev")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def shown(cell: Any) -> list[str]:
    """The tables of a cell as words and numbers, whatever the spaces between them; of a picture that there is one."""
    found = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if "image/png" in data:
            found.append("picture")
        else:
            found.append(re.sub(r"\s+", " ", data.get("text/plain") or output.get("text") or output.get("evalue", "")).strip())
    return found


@pytest.fixture(scope="module")
def kept() -> Any:
    return nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)


def test_the_notebook_shows_again_what_it_shows(kept: Any) -> None:
    spec = importlib.util.spec_from_file_location("make_notebook", EXAMPLES / "make_notebook.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    again = maker.executed(nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4))
    assert [cell.source for cell in again.cells] == [cell.source for cell in kept.cells]
    for before, after in zip(kept.cells, again.cells, strict=True):
        assert shown(after) == shown(before), before.source
    assert sum(word == "picture" for cell in kept.cells for word in shown(cell)) == 4


def test_the_notebook_is_small_and_of_no_machine_and_no_moment(kept: Any) -> None:
    file = EXAMPLES / "notebook.ipynb"
    text = file.read_text(encoding="utf-8")
    assert file.stat().st_size < 400_000
    assert not re.search(r"(?<![\w/])/(root|tmp|home|work|Users|var)/", text)
    assert "iopub" not in text
    assert {key for cell in kept.cells for key in cell.metadata} == set()
    assert set(kept.metadata) == {"kernelspec", "language_info"}
    assert kept.metadata.language_info == {"name": "python"}
    counts = [cell.execution_count for cell in kept.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_phantoms_are_said_to_be_no_patients_where_numbers_are_shown(kept: Any) -> None:
    assert any("say nothing about patients" in words for cell in kept.cells for words in shown(cell))
