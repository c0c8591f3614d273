"""Several trainings of one design on the same patients: the mean over the seeds, and how far other patients and other seeds could move it.

An interval by patients alone speaks of the networks that were trained; of the design it says too much, since another seed gives another network. The
question is that of several readers who read the same cases, and so is the answer: Obuchowski and Rockette (Communications in Statistics - Simulation
and Computation 24, 1995), seeds in place of readers. Of the number of seed s

    number = design + seed + patients + (seed x patients),    variances  -, a, c, i

the mean of S seeds has the variance c + (a + i) / S. Each part is estimated where it can be seen:

    c      the mean covariance of two seeds over the bootstrap draws, the same patients drawn for all seeds; not below 0
    a + i  the variance between the seeds on all patients, on S - 1 degrees of freedom

The variance of the seeds' mean over the draws is c + i / S; to add the variance between the seeds to that would count i twice.

How far the interval reaches: with three seeds the second part is known badly, and Student's t with the degrees of freedom of Satterthwaite
(Biometrics Bulletin 2, 1946), which Hillis (Statistics in Medicine 26, 2007) takes for readers, is too narrow where it is most of the whole: a 95 %
interval covers down to 92 %, with two seeds 86. So each part has a t of its own, reach^2 = t(S - 1)^2 (a + i) / S + t(P - 1)^2 c, which never covers
less than it says (Banerjee, Sankhya 22, 1960) while numbers are normal, and is up to a third wider; with two seeds up to two and a half times. It is
never narrower than t by patients alone, t(P - 1)^2 (c + i / S): of a design nobody knows more than of its trainings. The p-value is the level at
which it ends at 0. Figures, also where numbers are skewed: tests/benchmarks/seed_intervals.py.

A difference of two designs is the same of differences, seed by seed: what a seed shares in both (a first stage, an order of examples) cancels.
Against a design that was trained once, each seed of the other is set against that one training: the interval then speaks of it, not of its design.
The interval is symmetric, and may leave [0, 1] where a share is near an end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NOISE = 1e-12  # of a number's size: what the order of summation may do to it
SMALLEST_P = 1e-12  # what lies beyond is no evidence, but a tail of t that nobody has seen
POWER = 0.8  # as of ``power.minimum_detectable``


class OverSeeds(NamedTuple):
    """The mean of a number over seeds, and its interval."""

    value: float
    """over the seeds in which it is defined; NaN if it is so in none"""
    low: float
    """NaN where it is defined in one seed alone, or in all of them in fewer than half of the draws, or of fewer than two patients"""
    high: float
    """as ``low``"""
    p_value: float
    """two-sided, against 0: what a difference is asked; NaN without an interval, and where nothing varied and the mean is not 0"""
    detectable: float
    """the smallest true difference that would be found in 80 % of such comparisons; NaN where nothing varied"""
    error: float
    """standard error"""


def over_seeds(values: np.ndarray, drawn: np.ndarray, patients: int, level: float = 0.95) -> OverSeeds:
    """The mean of a number, or of a difference, over two seeds or more.

    values    (S,)    of each seed on all cases; NaN where it is undefined: that seed is left out
    drawn     (R, S)  the same in every draw of the patients, one draw for all seeds; draws in which one of the seeds has none are left out
    patients          how many were drawn and scored

    Raises ``ValueError`` for one seed: how seeds differ is then not known, and ``PatientBootstrap`` says what the patients say.
    """
    if len(values) < 2 or drawn.shape[1:] != (len(values),):
        raise ValueError(f"{len(values)} seeds with draws of shape {drawn.shape}; give (S,) and (R, S) of at least two seeds")
    is_defined = ~np.isnan(values)
    values, drawn = values[is_defined], drawn[:, is_defined]
    value = float(values.mean()) if len(values) else math.nan
    together = drawn[~np.isnan(drawn).any(axis=1)]
    if len(values) < 2 or patients < 2 or len(together) < 2 or 2 * len(together) < len(drawn):
        return OverSeeds(value, *[math.nan] * 5)
    parts = _Parts.of(values, together, patients)
    if parts.error <= NOISE * max(float(np.abs(together).max()), float(np.abs(values).max())):
        return OverSeeds(value, value, value, 1.0 if abs(value) <= NOISE else math.nan, math.nan, 0.0)
    reach = parts.reach(1 - level)
    return OverSeeds(value, value - reach, value + reach, parts.p_value(value), parts.detectable(reach), parts.error)


def paired_seeds(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """Which training of one design is set against which of another: of the same seed; one that was trained once, against each of the other's.

    Raises ``ValueError`` for two designs that were trained several times each and share one seed or none.
    """
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        return [(seed, seed) for seed in shared]
    if len(first) == 1 or len(second) == 1:
        return [(one, other) for one in first for other in second]
    raise ValueError(
        f"a difference over seeds was asked of the seeds {', '.join(map(str, first))} and {', '.join(map(str, second))}, which share "
        f"{len(shared)}; train both with at least two seeds in common, or one of them once"
    )


class _Parts(NamedTuple):
    """The variance of the mean over the seeds, in parts."""

    seeds: int
    patients: int
    of_seeds: float
    """(a + i) / S"""
    of_patients: float
    """c"""
    of_these: float
    """c + i / S: of the mean of these trainings, whatever the design"""

    @classmethod
    def of(cls, values: np.ndarray, drawn: np.ndarray, patients: int) -> _Parts:
        seeds = len(values)
        covariances = np.cov(drawn, rowvar=False) * patients / (patients - 1)  # drawn from P values, the variance is (P - 1) / P of the unbiased one
        total, own = float(covariances.sum()), float(np.trace(covariances))
        shared = (total - own) / (seeds * (seeds - 1))
        return cls(seeds, patients, float(values.var(ddof=1)) / seeds, max(shared, 0.0), total / seeds**2)

    @property
    def error(self) -> float:
        return math.sqrt(max(self.of_seeds + self.of_patients, self.of_these))

    def reach(self, beyond: float) -> float:
        """How far from the mean the interval ends that leaves out that share."""
        from scipy.special import stdtrit

        of_seeds, of_patients = (float(stdtrit(freedom, beyond / 2)) ** 2 for freedom in (self.seeds - 1, self.patients - 1))
        return math.sqrt(max(of_seeds * self.of_seeds + of_patients * self.of_patients, of_patients * self.of_these))

    def p_value(self, value: float) -> float:
        """The share that an interval leaves out which ends at 0, by halving."""
        low, high = math.log(SMALLEST_P), 0.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self.reach(math.exp(middle)) > abs(value) else (low, middle)
        return math.exp(high)

    def detectable(self, reach: float) -> float:
        """The true difference whose estimate passes ``reach`` with the chance ``POWER``; its t has Satterthwaite's degrees of freedom."""
        from scipy.special import nctdtrinc, ndtri

        whole = self.of_seeds + self.of_patients
        spread = self.of_seeds**2 / (self.seeds - 1) + self.of_patients**2 / (self.patients - 1)
        if spread == 0 or whole < self.of_these or (freedom := whole**2 / spread) > 10_000:
            return float(reach + ndtri(POWER) * self.error)
        return float(self.error * nctdtrinc(freedom, 1 - POWER, reach / self.error))
