"""Tensors that do not fit are found before they are computed with."""

from __future__ import annotations

import pytest
import torch

from clala.misfit import misfit

WANTED = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}


def test_tensors_that_fit_are_no_misfit() -> None:
    assert misfit(WANTED, {"a": torch.ones(2, 3).half(), "b": torch.ones(4)}, "a net") == ""


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_weights_that_are_no_numbers_are_named(number: float, kind: torch.dtype) -> None:
    """They load, and every report is then the same word: nothing later says why."""
    broken = torch.ones(4, dtype=kind)
    broken[2] = number
    assert misfit(WANTED, {"a": torch.ones(2, 3), "b": broken}, "a net") == "b holds numbers that are not finite, 1 of 4"


def test_what_is_missing_or_of_another_shape_is_named_first() -> None:
    assert misfit(WANTED, {"a": torch.full((3, 2), float("nan")), "b": torch.ones(4)}, "a net") == "a is (3, 2), expected is (2, 3)"
    assert "1 are missing (first b)" in misfit(WANTED, {"a": torch.ones(2, 3)}, "a net")
