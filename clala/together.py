"""One loss over the rows of several processes, each of which sees some of them.

The rows of a step are drawn once, the same in every process, and dealt out (``data``). A loss over all of them needs the other processes' embeddings,
which come from here without their gradient: every process computes the whole loss and goes back through its own rows alone. As
DistributedDataParallel averages what the processes found, each gives the gradient of its rows times their number, and the mean is that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

Gather = Callable[[Tensor, Sequence[int]], Sequence[Tensor]]
"""own rows (m, ...), how many each process has -> the rows of each process, in their order, without gradient"""


class Deal(NamedTuple):
    """How the rows of one step were dealt out."""

    rank: int
    """whose share this is"""
    sizes: tuple[int, ...]
    """rows that each process has"""
    words: int
    """tokens that are to be predicted in the sentences of all rows together"""


def gather_rows(own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The rows of all processes, over the process group that ``accelerate launch`` made."""
    # All are to be of one shape, and gloo knows no bool.
    sent = own.to(torch.uint8) if own.dtype == torch.bool else own
    padded = sent.new_zeros((max(sizes), *sent.shape[1:]))
    padded[: len(sent)] = sent
    found = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(found, padded)
    return [rows[:size].to(own.dtype) for rows, size in zip(found, sizes, strict=True)]


def all_rows(own: Tensor, deal: Deal | None, gather: Gather) -> Tensor:
    """The rows of all processes one after the other: (m, ...) gives (M, ...); the gradient reaches one's own. Without a deal, ``own`` itself."""
    if deal is None:
        return own
    rows = list(gather(own.detach(), deal.sizes))
    rows[deal.rank] = _times(own, len(deal.sizes)) if own.requires_grad else own
    return torch.cat(rows)


def all_shares(own: Tensor, deal: Deal | None, gather: Gather) -> Tensor:
    """The sum of a scalar over all processes; the gradient reaches one's own share. Without a deal, ``own`` itself."""
    if deal is None:
        return own
    whole = torch.cat(list(gather(own.detach().reshape(1), [1] * len(deal.sizes)))).sum()
    return whole + _times(own - own.detach(), len(deal.sizes))


def _times(own: Tensor, processes: int) -> Tensor:
    """The same number with so many times the gradient."""
    return own + (processes - 1) * (own - own.detach())
