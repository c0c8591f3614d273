"""Shares of counts, over any leading shape: NaN where there was nothing to count, since nothing is not zero."""

from __future__ import annotations

import numpy as np

SHARE = (0.0, 1.0)
"""the least and the most that a share can be"""


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``; NaN where the whole is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def mean_of_defined(numbers: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where all of it is."""
    defined = ~np.isnan(numbers)
    return share(np.where(defined, numbers, 0.0).sum(axis=-1), defined.sum(axis=-1))
