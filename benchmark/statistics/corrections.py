"""P-values of many tests at once: Holm (1979), and Benjamini and Hochberg (1995)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm among them stays below the level; NaN stays NaN and is not counted."""

    def adjust(ascending: np.ndarray) -> np.ndarray:
        factors = np.arange(len(ascending), 0, -1)
        return np.minimum(np.maximum.accumulate(ascending * factors), 1.0)

    return _adjusted(p_values, adjust)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the expected share of false alarms among those called stays below the level; NaN stays NaN and is not counted."""

    def adjust(ascending: np.ndarray) -> np.ndarray:
        scaled = ascending * len(ascending) / np.arange(1, len(ascending) + 1)
        return np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)

    return _adjusted(p_values, adjust)


def _adjusted(p_values: Sequence[float], adjust: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")[: int((~np.isnan(p)).sum())]  # NaN sorts last
    result = np.full(len(p), np.nan)
    result[order] = adjust(p[order])
    return [float(value) for value in result]
