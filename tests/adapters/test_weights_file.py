from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.weights_file import PROJECT, NoTensors, first_line, shown, tensors_in  # noqa: E402
from benchmark.records import UserError  # noqa: E402


@pytest.mark.parametrize("before", ["", "module."])
@pytest.mark.parametrize("is_whole", [True, False])
def test_tensors_have_their_names_whoever_wrote_the_file_on_however_many_gpus(before: str, is_whole: bool) -> None:
    state = {f"{before}encoder.weight": torch.ones(2), f"{before}module.bias": torch.zeros(2)}
    assert list(tensors_in({"epoch": 3, "state_dict": state} if is_whole else state, "state_dict")) == ["encoder.weight", "module.bias"]


@pytest.mark.parametrize(("found", "said"), [({}, "holds nothing"), ([1], "holds a list"), ({"epoch": 3}, "holds epoch"), ({"model": {}}, "nothing")])
def test_what_holds_no_tensors_is_said(found: Any, said: str) -> None:
    with pytest.raises(NoTensors, match=rf"{said}, expected are tensors by name, or a dictionary with them as model"):
        tensors_in(found, "model")


def test_of_an_error_of_a_page_the_first_sentence_is_said() -> None:
    assert first_line(ValueError("no archive. It may be that\nthe file is broken")) == "ValueError: no archive"
    assert first_line(EOFError()) == "EOFError"


def test_weights_of_the_project_are_named_from_its_root_and_others_as_the_user_named_them(tmp_path: Path) -> None:
    assert (PROJECT / "pyproject.toml").is_file()
    assert shown(PROJECT / "adapters" / "rgrg" / "weights" / "demo") == "adapters/rgrg/weights/demo"
    assert shown(tmp_path / "mine.pt") == str(tmp_path / "mine.pt")
    assert shown(Path("mine/demo")) == "mine/demo"


@pytest.mark.parametrize("name", ["r2gen", "tsget", "rgrg", "cvt2distilgpt2"])
def test_no_message_about_weights_that_do_not_ship_tells_where_the_project_lies(name: str) -> None:
    """It stands in a table's notes, and those are sent to others."""
    classes = {"r2gen": "R2Gen", "tsget": "TSGET", "rgrg": "RGRG", "cvt2distilgpt2": "CvT2DistilGPT2"}
    model = getattr(importlib.import_module(f"adapters.{name}.model"), classes[name])
    with pytest.raises(UserError) as error:
        model(weights=PROJECT / "adapters" / name / "weights" / "none", device="cpu")
    assert f"adapters/{name}/weights/none" in str(error.value)
    assert str(PROJECT) not in str(error.value)
