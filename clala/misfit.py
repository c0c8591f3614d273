"""What of the tensors of a published file does not fit the network that they are for, in words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def misfit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], whose: str) -> str:
    """The first of what is missing, left over, of another shape or not finite; empty if all fits. ``whose`` says what the tensors should be of."""
    missing, left_over = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or left_over:
        found = [f"{len(names)} {what} (first {names[0]})" for names, what in ((missing, "are missing"), (left_over, "have no place")) if names]
        return f"of the {len(wanted)} tensors of {whose} {', and '.join(found)}"
    for name, value in wanted.items():
        if value.shape != state[name].shape:
            return f"{name} is {tuple(state[name].shape)}, expected is {tuple(value.shape)}"
    return not_finite(state)


def not_finite(state: Mapping[str, Tensor]) -> str:
    """The first tensor that holds NaN or an infinity: of a training that failed, or a damaged file; empty if none does."""
    for name, value in sorted(state.items()):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return f"{name} holds numbers that are not finite, {int((~torch.isfinite(value)).sum()):,} of {value.numel():,}"
    return ""
