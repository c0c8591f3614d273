"""How well 14 lesions are told from images: F1 at thresholds, and the area under the ROC curve, which needs none."""

from __future__ import annotations

import numpy as np


def f1_by_lesion(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(C,) from two (N, C) of bool; NaN where the lesion neither is there nor was predicted."""
    both = (predicted & truth).sum(0)
    either = predicted.sum(0) + truth.sum(0)
    return np.where(either > 0, 2 * both / np.maximum(either, 1), np.nan)


def auroc_by_lesion(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(C,) share of the pairs, one image with the lesion and one without, of which the first has the higher probability; equal ones count half.

    probabilities  (N, C)
    truth          (N, C) bool
    NaN where all images have the lesion, or none. By ranks, as Mann and Whitney count (1947).
    """
    scores = np.full(truth.shape[1], np.nan)
    for lesion in range(truth.shape[1]):
        has = truth[:, lesion]
        positives, negatives = int(has.sum()), int((~has).sum())
        if not positives or not negatives:
            continue
        _, place, count = np.unique(probabilities[:, lesion], return_inverse=True, return_counts=True)
        rank = np.cumsum(count) - (count - 1) / 2  # equal ones share the mean of their ranks
        scores[lesion] = (rank[place][has].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return scores
