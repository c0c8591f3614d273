from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.weights_file import NoTensors, first_line, tensors_in  # noqa: E402


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
