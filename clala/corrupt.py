"""Lesion labels made wrong to a chosen F1, for the study of Figure 3 (D13).

For each lesion with n positives, TP = round(f1 * n) of them are kept and n - TP negatives are switched on: then precision = recall = F1 = TP / n,
and the prevalence stays. One seeded permutation per lesion makes the levels nested: as the target rises, kept positives grow and false ones shrink.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Corrupted(NamedTuple):
    """Labels, and how wrong they came out."""

    labels: np.ndarray
    """(N, C) of 0 and 1"""
    f1: np.ndarray
    """(C,) reached; NaN for a lesion that nobody has"""


def corrupt(labels: np.ndarray, f1: float, *, seed: int = 42) -> Corrupted:
    """(N, C) labels of 0 and 1 at that F1 per lesion, a share in [0, 1].

    Where a lesion is so common that there are too few negatives to switch on, all of them are, and its F1 comes out higher than asked.
    """
    if not 0 <= f1 <= 1:
        raise ValueError(f"f1 is {f1}; it must be a share between 0 and 1")
    truth = labels > 0.5
    wrong = np.zeros_like(truth)
    for lesion in range(truth.shape[1]):
        rng = np.random.default_rng((seed, lesion))
        positives, negatives = (rng.permutation(np.flatnonzero(truth[:, lesion] == present)) for present in (True, False))
        kept = round(f1 * len(positives))
        wrong[positives[:kept], lesion] = True
        wrong[negatives[: len(positives) - kept], lesion] = True
    hits, sizes = (truth & wrong).sum(0), truth.sum(0) + wrong.sum(0)
    return Corrupted(wrong.astype(labels.dtype), np.where(truth.any(0), 2 * hits / np.maximum(sizes, 1), np.nan))
