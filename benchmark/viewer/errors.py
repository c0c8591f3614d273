"""Which lesions of each case are hit, missed, invented, or put on the wrong side: the statistics of ``lesions`` as bits.

The page filters by them, so they come from where the numbers in the tables come from, and not from labelling once more: what is filtered and what is
printed cannot differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.metrics.lesions import COLUMNS, COUNTS
from benchmark.vocabulary import LESIONS

KINDS = ("hit", "missed", "invented", "wrong side")
"""what a report can be in a lesion, in words; of the rest, which neither text affirms, nothing is said"""
_BITS = (1 << np.arange(len(LESIONS))).astype(np.uint16)


class Masks(NamedTuple):
    """One row per case; in a mask bit l stands for lesion l of the vocabulary."""

    is_scored: np.ndarray
    """(n,) bool; where it is False nothing is known, and the masks are 0"""
    hit: np.ndarray
    """(n,) uint16, both texts affirm it"""
    missed: np.ndarray
    """(n,) uint16, the reference alone does"""
    invented: np.ndarray
    """(n,) uint16, the report alone does"""
    wrong_side: np.ndarray
    """(n,) uint16, of the hits, those with a side in both texts that is not the same"""


def masks(statistics: np.ndarray) -> Masks:
    """The masks of (n, k) statistics of the metric ``lesions``. Raises ``ValueError`` for those of another metric, by their width."""
    if statistics.ndim != 2 or statistics.shape[1] != COLUMNS:
        raise ValueError(f"statistics of lesions have {COLUMNS} columns; these have the shape {statistics.shape}")
    is_scored = ~np.isnan(statistics).any(axis=1)
    wide = len(COUNTS) * len(LESIONS)
    counts = np.where(is_scored[:, None], statistics[:, :wide], 0.0).reshape(len(statistics), len(COUNTS), len(LESIONS)) > 0
    of = {name: counts[:, place] for place, name in enumerate(COUNTS)}
    return Masks(is_scored, _bits(of["tp"]), _bits(of["fn"]), _bits(of["fp"]), _bits(of["sided"] & ~of["side_agrees"]))


def lesions_of(found: Masks, place: int) -> dict[str, str]:
    """Lesion -> what the report is in it, one of ``KINDS``, of one case."""
    hit, missed, invented, wrong = (int(mask[place]) for mask in found[1:])
    if not hit | missed | invented:
        return {}
    kinds = (("wrong side", wrong), ("hit", hit & ~wrong), ("missed", missed), ("invented", invented))
    return {name: kind for bit, name in enumerate(LESIONS) for kind, mask in kinds if mask >> bit & 1}


def _bits(flags: np.ndarray) -> np.ndarray:
    """(n, 14) -> (n,)"""
    packed: np.ndarray = (flags * _BITS).sum(axis=1, dtype=np.uint16)
    return packed
