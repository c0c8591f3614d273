"""How far two orders of the same candidates agree, with intervals that draw patients: Kendall's tau-b, Spearman, Pearson, and pairs of one study.

A draw of patients gives every candidate a weight: how often its patient was drawn. A pair of a candidate with its own copy is tied on both sides, and
enters nothing; so weighted sums over pairs give, draw by draw, the very number that the drawn candidates would give if they were written out.

M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945): tau-b; scipy.stats.kendalltau computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.statistics import draw_counts, interval, patient_numbers

BLOCK = 512
"""candidates whose pairs with all others are held at a time"""


class Agreed(NamedTuple):
    """One coefficient in all draws."""

    value: float
    """on all candidates; NaN where one side says the same of all"""
    drawn: np.ndarray
    """(R,) in each draw, NaN where it is undefined there"""


class Preferred(NamedTuple):
    """Pairs of candidates of one study that are told apart by the one who is agreed with."""

    accuracy: Agreed
    """share in which the same candidate is preferred; a pair that is tied counts half"""
    pairs: int
    """told apart by the one who is agreed with"""
    ties: int
    """of them, not told apart by the one who is tested"""
    undecided: int
    """pairs of one study that the one who is agreed with does not tell apart: left out"""


class Draws:
    """The patients of the candidates, drawn once for everything that is compared."""

    def __init__(self, patients: Sequence[str], *, draws: int, seed: int, level: float) -> None:
        self._patient_of, count = patient_numbers(patients)
        self._counts = draw_counts(count, draws, seed).astype(np.float64)
        self.level = level

    def weights(self, used: np.ndarray) -> np.ndarray:
        """(1 + R, m) how often each used candidate counts: once in the first row, then as drawn."""
        return np.vstack([np.ones(int(used.sum())), self._counts[:, self._patient_of[used]]])

    def ends(self, agreed: Agreed, used: np.ndarray) -> tuple[float, float]:
        """Both ends of the interval; NaN of fewer than two patients."""
        has_interval = len(np.unique(self._patient_of[used])) > 1
        return interval(agreed.drawn, agreed.value, self.level) if has_interval else (np.nan, np.nan)


def tau_b(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> Agreed:
    """Kendall's tau-b of (m,) and (m,): (concordant - discordant) / sqrt(pairs untied in one x pairs untied in the other)."""
    concordance, untied_one, untied_other = (np.zeros(len(weights)) for _ in range(3))
    for start in range(0, len(one), BLOCK):
        part = slice(start, start + BLOCK)
        first, second = np.sign(one[part, None] - one), np.sign(other[part, None] - other)
        for total, pairs in ((concordance, first * second), (untied_one, np.abs(first)), (untied_other, np.abs(second))):
            total += ((weights[:, part] @ pairs) * weights).sum(axis=1)
    return _agreed(concordance, np.sqrt(untied_one * untied_other))


def spearman(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> Agreed:
    """Pearson's correlation of the ranks; equal values share the mean of theirs."""
    return _correlation(_ranks(one, weights), _ranks(other, weights), weights)


def pearson(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> Agreed:
    """Pearson's correlation."""
    return _correlation(np.broadcast_to(one, weights.shape), np.broadcast_to(other, weights.shape), weights)


def preferred(tested: np.ndarray, agreed_with: np.ndarray, studies: Sequence[str], weights: np.ndarray) -> Preferred:
    """Of any two candidates of one study that ``agreed_with`` tells apart: does ``tested`` prefer the same?"""
    wins, ties, decided = (np.zeros(len(weights)) for _ in range(3))
    pairs = tied = undecided = 0
    places: dict[str, list[int]] = {}
    for place, study in enumerate(studies):
        places.setdefault(study, []).append(place)
    for members in places.values():
        for position, first in enumerate(members):
            for second in members[position + 1 :]:
                said, truth = np.sign(tested[first] - tested[second]), np.sign(agreed_with[first] - agreed_with[second])
                if truth == 0:
                    undecided += 1
                    continue
                weight = weights[:, first]  # of one study and so of one patient: both were drawn as often
                pairs, tied = pairs + 1, tied + int(said == 0)
                decided += weight
                wins += weight * (said == truth)
                ties += weight * (said == 0)
    return Preferred(_agreed(wins + ties / 2, decided), pairs, tied, undecided)


def mean_of(agreed: Sequence[Agreed]) -> Agreed:
    """The mean of several coefficients, draw by draw; undefined where one of them is, and where there are none."""
    if not agreed:
        return Agreed(np.nan, np.array([np.nan]))
    return Agreed(float(np.mean([one.value for one in agreed])), np.mean([one.drawn for one in agreed], axis=0))


def _agreed(part: np.ndarray, whole: np.ndarray) -> Agreed:
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(whole > 0, part / whole, np.nan)
    return Agreed(float(found[0]), found[1:])


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(1 + R, m) the rank of each candidate among those drawn, each counted as often as it was drawn."""
    order = np.unique(values, return_inverse=True)[1].reshape(-1)
    of_value = np.zeros((int(order.max(initial=-1)) + 1, len(weights)))
    np.add.at(of_value, order, weights.T)
    up_to = np.cumsum(of_value, axis=0)
    ranks: np.ndarray = (up_to - (of_value - 1) / 2)[order].T
    return ranks


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> Agreed:
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (values - (weights * values).sum(axis=1, keepdims=True) / total for values in (one, other))
    covariance = (weights * first * second).sum(axis=1)
    spread = np.sqrt((weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1))
    return _agreed(covariance, np.where(spread > 1e-12 * total[:, 0], spread, 0.0))  # what is constant is so but for rounding
