"""What every published network needs to read reports: a device, whole signs, and batches of neighbours in length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from benchmark.records import UserError

if TYPE_CHECKING:
    import torch


def device_named(name: str, who: str) -> torch.device:
    """The device; ``auto`` takes a GPU if there is one. Raises ``UserError`` for one that cannot be had."""
    import torch

    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise UserError(f"{who}: device {name!r} cannot be had here ({str(error).splitlines()[0]}); name auto, cpu, or one that is there") from error
    return device


def whole_signs(text: str) -> str:
    """The text with half signs (lone surrogates), which no tokenizer takes, as signs that are not known."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def batches(lengths: Sequence[int], most: int) -> Iterator[slice]:
    """Where runs of texts begin and end that with their filling are at most so many tokens, if the longest come first; one alone may be more."""
    start = 0
    while start < len(lengths):
        count = max(1, most // lengths[start])
        yield slice(start, start + count)
        start += count
