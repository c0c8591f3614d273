"""McNemar's test: of two models judged right or wrong on the same cases, is one right more often?

McNemar (1947) looks at the cases on which just one is right and asks whether they fall to either side like fair coins; the exact p-value is
binomial. It takes every such case for a witness of its own. Cases of one patient are not: a model that misses an effusion on one image misses it
on the next. So the coins here are patients': under the null the two models of a patient could change names, and all of the patient's cases change
sides together. The net count of patient k, d_k = cases on which only the first is right minus those on which only the second is, keeps its size
and tosses its sign; the p-value is the share of all 2^K tosses whose total is as far from zero as the one that was seen. That share is computed,
not sampled: patients with nets of one size toss a binomial, and binomials of several sizes are convolved. Where every patient has one such case it
is McNemar's exact test to the digit. Durkalski, Palesch, Lipsitz and Rust, Statistics in Medicine 22 (2003), have the same idea for large samples,
each patient weighted by the number of cases.

``exact``       never too small; too large on average, since counts have steps
``mid-p``       half of the tosses that equal what was seen count: Lancaster (1961); about uniform, may be a little too small
``chi-square``  (|D| - 1)^2 / sum of d_k^2 on one degree of freedom: Edwards (1948), by patient; for many, where exact is not wanted
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

Form = Literal["exact", "mid-p", "chi-square"]


def mcnemar(only_first: int, only_second: int, form: Form = "exact") -> float:
    """Two-sided p-value from the cases on which just one is right, each a witness of its own; NaN where there is none."""
    return _two_sided(only_first - only_second, {1: only_first + only_second}, form)


def mcnemar_by_patient(net: np.ndarray, form: Form = "exact") -> float:
    """Two-sided p-value from the net count (P,) of each patient, whole numbers; NaN where all are 0."""
    nets = np.rint(net).astype(np.int64)
    sizes, counts = np.unique(np.abs(nets[nets != 0]), return_counts=True)
    return _two_sided(int(nets.sum()), dict(zip(sizes.tolist(), counts.tolist(), strict=True)), form)


def _two_sided(total: int, patients: dict[int, int], form: Form) -> float:
    """From the total of all nets, and how many patients have a net of each size."""
    if not any(patients.values()):
        return math.nan
    if form == "chi-square":
        variance = sum(size**2 * count for size, count in patients.items())
        return math.erfc(math.sqrt(max(abs(total) - 1, 0) ** 2 / variance / 2))
    totals, chances = _tossed(patients)
    beyond, at_it = (float(chances[where].sum()) for where in (np.abs(totals) >= abs(total), np.abs(totals) == abs(total)))
    return min(1.0, beyond if form == "exact" else beyond - at_it / 2)


def _tossed(patients: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Every total that tosses of the signs can give, and its chance; what is too rare for a float is left out."""
    chances, lowest = np.ones(1), 0
    for size, count in patients.items():
        first, heads = _heads(count)
        stretched = np.zeros(size * (len(heads) - 1) + 1)
        stretched[::size] = heads
        chances, lowest = np.convolve(chances, stretched), lowest + size * first
    return 2 * (lowest + np.arange(len(chances))) - sum(size * count for size, count in patients.items()), chances


def _heads(coins: int) -> tuple[int, np.ndarray]:
    """The chance of each number of heads, from the lowest that has one; and that number. Each from its neighbour, outward from the middle."""
    middle = coins // 2
    steps = np.arange(middle, coins)
    upper = np.cumprod((coins - steps) / (steps + 1))
    upper = upper[: np.count_nonzero(upper)]
    lower = upper[::-1] if coins % 2 == 0 else upper[:0:-1]  # mirrored; of an odd number the middle itself comes twice
    chances = np.concatenate([lower, [1.0], upper])
    return middle - len(lower), chances / chances.sum()
