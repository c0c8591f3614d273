"""What of the tensors of a published file does not fit the network that they are for, in words."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def misfit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], whose: str) -> str:
    """The first of what is missing, left over or of another shape; empty if everything fits. ``whose`` says what the tensors should be of."""
    missing, left_over = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or left_over:
        found = [f"{len(names)} {what} (first {names[0]})" for names, what in ((missing, "are missing"), (left_over, "have no place")) if names]
        return f"of the {len(wanted)} tensors of {whose} {', and '.join(found)}"
    for name, value in wanted.items():
        if value.shape != state[name].shape:
            return f"{name} is {tuple(state[name].shape)}, expected is {tuple(value.shape)}"
    return ""
