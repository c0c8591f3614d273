"""The interval of a number from its values in every draw, and p-values that agree with it.

Percentile and BCa intervals: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Method = Literal["percentile", "bca"]

NOISE = 1e-12  # of a number's size: what the order of summation may do to it
LARGEST_Z = 40.0  # standard deviations, for the infinitely many of a share of 0 or 1


def interval(
    resampled: np.ndarray, point: float, level: float = 0.95, method: Method = "percentile", jackknife: np.ndarray | None = None
) -> tuple[float, float]:
    """Both ends of the interval of one number.

    resampled  (R,)  the number in every draw; draws in which it is undefined (NaN) are left out
    point            the number on all cases
    jackknife  (P,)  the number without each patient in turn; BCa needs it

    NaN, NaN where the number itself is undefined, where it is so in more than half of the draws, or where BCa is (every draw on one side).
    """
    defined = resampled[~np.isnan(resampled)]
    if not _has_interval(resampled, defined, point):
        return np.nan, np.nan
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        tails = _bca_tails(defined, point, tails, jackknife)
        if np.isnan(tails).any():
            return np.nan, np.nan
    low, high = np.quantile(defined, tails)
    return float(low), float(high)


def intervals(
    resampled: Sequence[np.ndarray], points: Sequence[float], level: float, method: Method, jackknife: Sequence[np.ndarray] | None
) -> list[tuple[float, float]]:
    """``interval`` of several numbers of as many draws, in one go where that gives the same."""
    if method != "percentile" or not len(resampled):
        left_out: Sequence[np.ndarray | None] = [None] * len(points) if jackknife is None else jackknife
        return [interval(drawn, point, level, method, without) for drawn, point, without in zip(resampled, points, left_out, strict=True)]
    together = np.stack(resampled)
    has_gaps = np.isnan(together).any(axis=1) | np.isnan(points)
    ends = np.full((len(points), 2), np.nan)
    if not has_gaps.all():
        ends[~has_gaps] = np.quantile(together[~has_gaps], [(1 - level) / 2, (1 + level) / 2], axis=1).T
    for place in np.flatnonzero(has_gaps).tolist():
        ends[place] = interval(together[place], points[place], level)
    return [(float(low), float(high)) for low, high in ends]


def p_within(
    resampled: np.ndarray, point: float, bound: float, method: Method = "percentile", jackknife: np.ndarray | None = None
) -> tuple[float, float]:
    """One-sided p-values of "the true number is ``bound`` or less" and of "is ``bound`` or more".

    They are those of the interval turned round, by the same quantiles: below (1 - level) / 2 just where its lower (upper) end lies above (below) the
    bound. Never below 1 / (R + 1), so that too few draws show nothing. As valid as the interval is. NaN, NaN where there is no interval.
    """
    defined = resampled[~np.isnan(resampled)]
    if not _has_interval(resampled, defined, point):
        return np.nan, np.nan
    shares = np.array(_shares_at(np.sort(defined), bound))
    if method == "bca":
        shares = _bca_tails_of(defined, point, shares, jackknife)
        if np.isnan(shares).any():
            return np.nan, np.nan
    smallest = 1 / (len(defined) + 1)
    return max(float(shares[0]), smallest), max(float(1 - shares[1]), smallest)


def p_value(swapped: np.ndarray, point: float) -> float:
    """Two-sided p-value of a difference from its values (B,) under swaps; an undefined one counts as extreme, so as not to flatter."""
    if np.isnan(point):
        return np.nan
    return (as_extreme(swapped, point) + 1) / (len(swapped) + 1)


def as_extreme(swapped: np.ndarray, point: float) -> int:
    """How many swaps give a difference as far from 0 as the one that was seen; what is equal but for the order of summation is equal."""
    return len(swapped) - int(np.count_nonzero(np.abs(swapped) < abs(point) - NOISE))


def _has_interval(resampled: np.ndarray, defined: np.ndarray, point: float) -> bool:
    return not (np.isnan(point) or not len(defined) or 2 * len(defined) < len(resampled))


def _shares_at(ordered: np.ndarray, bound: float) -> tuple[float, float]:
    """The largest share whose quantile is at most the bound, and the smallest whose quantile is at least that: ``np.quantile`` turned round."""
    steps = len(ordered) - 1
    equal = NOISE * max(abs(bound), abs(float(ordered[0])), abs(float(ordered[-1])))

    def between(upper: int, target: float) -> float:
        if upper in (0, len(ordered)):
            return float(upper > 0)
        low, high = float(ordered[upper - 1]), float(ordered[upper])
        return (upper - 1 + min(max((target - low) / (high - low), 0.0), 1.0)) / steps

    return between(int(np.searchsorted(ordered, bound + equal, "right")), bound), between(int(np.searchsorted(ordered, bound - equal, "left")), bound)


def _bca_tails_of(defined: np.ndarray, point: float, shares: np.ndarray, jackknife: np.ndarray | None) -> np.ndarray:
    """``_bca_tails`` turned round: the tails whose interval would end at these shares of the draws."""
    from scipy.special import ndtr, ndtri

    bias, acceleration = _bca_shape(defined, point, jackknife)
    if not np.isfinite(bias):
        return np.full(2, np.nan)
    moved = np.clip(ndtri(shares), -LARGEST_Z, LARGEST_Z) - bias
    below_pole = 1 + acceleration * moved  # w = bias + z / (1 - acceleration * z), solved for z; at the pole z is infinite, on the side of ``moved``
    z = np.where(below_pole > 0, moved / np.where(below_pole > 0, below_pole, 1.0), np.sign(moved) * LARGEST_Z)
    tails: np.ndarray = ndtr(z - bias)
    return tails


def _bca_tails(defined: np.ndarray, point: float, tails: np.ndarray, jackknife: np.ndarray | None) -> np.ndarray:
    """The two shares of the draws at which a BCa interval ends."""
    from scipy.special import ndtr, ndtri

    bias, acceleration = _bca_shape(defined, point, jackknife)
    if not np.isfinite(bias):
        return np.full(2, np.nan)
    z = bias + ndtri(tails)
    shares: np.ndarray = ndtr(bias + z / (1 - acceleration * z))
    return shares


def _bca_shape(defined: np.ndarray, point: float, jackknife: np.ndarray | None) -> tuple[float, float]:
    """Bias and acceleration; ties count half, as scipy does. The bias is infinite where every draw lies on one side."""
    from scipy.special import ndtri

    if jackknife is None:
        raise ValueError("a BCa interval needs the jackknife values")
    left_out = jackknife[~np.isnan(jackknife)]
    share_below = ((defined < point).sum() + (defined <= point).sum()) / (2 * len(defined))
    pull = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = (pull**2).sum() ** 1.5
    return float(ndtri(share_below)), float((pull**3).sum() / (6 * spread) if spread > 0 else 0.0)
