"""How far a number could move: intervals and tests that draw patients, not images.

Every metric gives one row of statistics per case and computes its numbers from column sums (``hookspecs.Metric``). So the bootstrap of all numbers
of all metrics is one matrix product, counts (R, P) @ patient sums (P, k), and equals resampling the patients' rows by index and computing again.
Two images of one patient are not two witnesses: all rows of a patient come and go together.

Percentile and BCa intervals: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14.
Paired test: approximate randomisation (Noreen 1989), the two models' reports of a patient swapped or not; exact if they are exchangeable,
for any number that is a function of sums, and without the assumption that a bootstrap distribution can be moved onto the null.
Corrections: Holm (1979); Benjamini and Hochberg (1995).

A row of NaN is a case that could not be scored: it enters as zeros and is counted. The patients that are drawn stay the same for every model
and metric, whoever scored what, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

Values = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""``Metric.values``: (..., k) column sums -> name -> (...) number"""
Method = Literal["percentile", "bca"]

BLOCK_ENTRIES = 1 << 21  # counts turned to float64 at a time: 16 MiB, so memory does not grow with the draws
KEPT_ENTRIES = 100_000_000  # counts kept between calls, one byte each; beyond, they are drawn again (same seed, same counts)


class Estimate(NamedTuple):
    """A number and its interval."""

    value: float
    """NaN if nothing was there to count"""
    low: float
    """NaN if fewer than two patients were scored, or the number is undefined in more than half of the draws"""
    high: float
    """as ``low``"""


class Difference(NamedTuple):
    """First minus second, over the cases that both scored."""

    value: float
    """on those cases only: may differ from the difference of the two published numbers where a model left cases unscored"""
    low: float
    """of the paired bootstrap"""
    high: float
    """of the paired bootstrap"""
    p_value: float
    """two-sided, sign-flip by patient, (b + 1) / (B + 1): never 0"""


class Scores(NamedTuple):
    """What one model reached in one metric."""

    estimates: dict[str, Estimate]
    """value name -> number with interval"""
    scored: int
    """cases that entered"""
    unscored: int
    """cases whose row was NaN"""


class Differences(NamedTuple):
    """What two models differ by in one metric."""

    estimates: dict[str, Difference]
    """value name -> difference with interval and p-value"""
    scored: int
    """cases that both scored"""
    unscored: int
    """cases that at least one did not"""


class PatientBootstrap:
    """The resampled patients of a run: made once, the same for every model and metric.

    bootstrap = PatientBootstrap([case.patient for case in cases], draws=1000, seed=42)
    bootstrap.scores(metric.statistics(hypotheses, references), metric.values).estimates["macro_f1"]
    """

    def __init__(
        self,
        patients: Sequence[str],
        *,
        draws: int = 1000,
        seed: int = 42,
        level: float = 0.95,
        method: Method = "percentile",
        flips: int | None = None,
    ) -> None:
        """``patients`` names the patient of each case, in the order of the cases; ``flips`` of the paired test, as many as draws unless given."""
        self.patient_of_case, self.patients = patient_numbers(patients)
        self.draws, self.seed, self.level, self.method = draws, seed, level, method
        self.flips = draws if flips is None else flips
        self._counts: np.ndarray | None = None

    def scores(self, statistics: np.ndarray, values: Values) -> Scores:
        """Every number of a metric with its interval; ``statistics`` (n, k) has one row per case."""
        rows, is_scored = scored_rows(statistics)
        sums = self._patient_sums(rows)
        point = values(sums.sum(axis=0))
        resampled = values(self.resample(sums))
        jackknife = values(sums.sum(axis=0) - sums) if self.method == "bca" else None
        has_interval = self._patients_scored(is_scored) >= 2
        estimates = {}
        for name, number in point.items():
            left_out = None if jackknife is None else jackknife[name]
            ends = interval(resampled[name], float(number), self.level, self.method, left_out) if has_interval else (np.nan, np.nan)
            estimates[name] = Estimate(float(number), *ends)
        return Scores(estimates, int(is_scored.sum()), int((~is_scored).sum()))

    def difference(self, first: np.ndarray, second: np.ndarray, values: Values) -> Differences:
        """First minus second for every number of a metric, over the cases that both scored, with the draws of ``scores``.

        first, second  (n, k)  statistics of two models, one row per case, the same cases in the same order
        """
        if first.shape != second.shape:
            raise ValueError(f"two models of unlike shape: {first.shape} and {second.shape}; a difference needs the same cases and the same metric")
        is_scored = scored_rows(first)[1] & scored_rows(second)[1]
        ours, theirs = (self._patient_sums(np.where(is_scored[:, None], statistics, 0.0)) for statistics in (first, second))
        point = _subtract(values(ours.sum(axis=0)), values(theirs.sum(axis=0)))
        resampled = _subtract(values(self.resample(ours)), values(self.resample(theirs)))
        jackknife = None
        if self.method == "bca":
            jackknife = _subtract(values(ours.sum(axis=0) - ours), values(theirs.sum(axis=0) - theirs))
        moved = self._product(ours - theirs, flip_signs(self.patients, self.flips, self.seed), self.flips)
        swapped = _subtract(values(theirs.sum(axis=0) + moved), values(ours.sum(axis=0) - moved))
        has_interval = self._patients_scored(is_scored) >= 2
        estimates = {}
        for name, number in point.items():
            left_out = None if jackknife is None else jackknife[name]
            ends = interval(resampled[name], float(number), self.level, self.method, left_out) if has_interval else (np.nan, np.nan)
            estimates[name] = Difference(float(number), *ends, p_value(swapped[name], float(number)))
        return Differences(estimates, int(is_scored.sum()), int((~is_scored).sum()))

    def resample(self, sums: np.ndarray) -> np.ndarray:
        """(R, k) column sums of every draw, from (P, k) patient sums; the columns of several models and metrics may stand side by side."""
        return self._product(sums, self._count_blocks(), self.draws)

    def _count_blocks(self) -> Iterator[np.ndarray]:
        if self.draws * self.patients > KEPT_ENTRIES:
            yield from count_blocks(self.patients, self.draws, self.seed)
            return
        if self._counts is None:
            self._counts = draw_counts(self.patients, self.draws, self.seed)
        step = _block_rows(self.patients)
        for start in range(0, self.draws, step):
            yield self._counts[start : start + step]

    def _product(self, sums: np.ndarray, blocks: Iterator[np.ndarray], draws: int) -> np.ndarray:
        result = np.zeros((draws, sums.shape[1]))
        start = 0
        for block in blocks:
            result[start : start + len(block)] = block.astype(np.float64) @ sums
            start += len(block)
        return result

    def _patient_sums(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != len(self.patient_of_case):
            raise ValueError(f"{len(rows)} rows of statistics for {len(self.patient_of_case)} cases; a metric gives one row per case, in order")
        return sums_by_patient(rows, self.patient_of_case, self.patients)

    def _patients_scored(self, is_scored: np.ndarray) -> int:
        return len(np.unique(self.patient_of_case[is_scored]))


def patient_numbers(patients: Sequence[str]) -> tuple[np.ndarray, int]:
    """The number of each case's patient, 0 to P - 1 in the order of the names, and P."""
    names, number = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    return number.reshape(-1).astype(np.int64), len(names)


def scored_rows(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with every unscored one (any NaN) set to zeros, and (n,) True where a case was scored."""
    rows = np.asarray(statistics, dtype=np.float64)
    is_scored = np.asarray(~np.isnan(rows).any(axis=1))
    return (rows if is_scored.all() else np.where(is_scored[:, None], rows, 0.0)), is_scored


def patient_sums(statistics: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """(P, k) column sums of each patient's rows, patients in the order of their names; unscored rows add nothing."""
    number, count = patient_numbers(patients)
    return sums_by_patient(scored_rows(statistics)[0], number, count)


def sums_by_patient(rows: np.ndarray, patient_of_case: np.ndarray, patients: int) -> np.ndarray:
    """(P, k) sums of the rows (n, k) of each patient number."""
    order = np.argsort(patient_of_case, kind="stable")
    if not len(order):
        return np.zeros((patients, rows.shape[1]))
    starts = np.searchsorted(patient_of_case[order], np.arange(patients))
    return np.add.reduceat(rows[order], starts, axis=0)


def draw_counts(patients: int, draws: int, seed: int) -> np.ndarray:
    """(R, P) uint8: how often each patient is drawn when P of P are drawn with replacement, R times."""
    counts = np.zeros((draws, patients), dtype=np.uint8)
    start = 0
    for block in count_blocks(patients, draws, seed):
        counts[start : start + len(block)] = block
        start += len(block)
    return counts


def count_blocks(patients: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of ``draw_counts``, a block at a time; the size of a block changes no count."""
    generator = np.random.Generator(np.random.SFC64(seed))
    step = _block_rows(patients)
    for start in range(0, draws, step):
        block = np.zeros((min(step, draws - start), patients), dtype=np.uint8)  # a count over 255 has a chance below 1e-500
        for row in block if patients else ():
            row[:] = np.bincount(generator.integers(0, patients, size=patients, dtype=np.int32), minlength=patients)
        yield block


def flip_signs(patients: int, flips: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of rows (P,) of fair coins, 1 where a patient's two models stay as they are and 0 where they are swapped."""
    generator = np.random.Generator(np.random.SFC64([seed, 1]))  # a stream of its own: the coins say nothing about the draws
    step = _block_rows(patients)
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        coins = np.frombuffer(generator.bytes(rows * patients // 8 + 1), dtype=np.uint8)
        yield np.unpackbits(coins)[: rows * patients].reshape(rows, patients)


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
    if np.isnan(point) or not len(defined) or 2 * len(defined) < len(resampled):
        return np.nan, np.nan
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        if jackknife is None:
            raise ValueError("a BCa interval needs the jackknife values")
        tails = _bca_tails(defined, point, tails, jackknife[~np.isnan(jackknife)])
        if np.isnan(tails).any():
            return np.nan, np.nan
    low, high = np.quantile(defined, tails)
    return float(low), float(high)


def p_value(swapped: np.ndarray, point: float) -> float:
    """Two-sided p-value of a difference from its values (B,) under swaps; an undefined one counts as extreme, so as not to flatter."""
    if np.isnan(point):
        return np.nan
    as_extreme = ~(np.abs(swapped) < abs(point) - 1e-12)  # equal but for the order of summation is equal
    return (int(as_extreme.sum()) + 1) / (len(swapped) + 1)


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


def _bca_tails(defined: np.ndarray, point: float, tails: np.ndarray, jackknife: np.ndarray) -> np.ndarray:
    """The two shares of the draws at which a BCa interval ends; ties count half, as scipy does."""
    from scipy.special import ndtr, ndtri

    share_below = ((defined < point).sum() + (defined <= point).sum()) / (2 * len(defined))
    bias = ndtri(share_below)
    pull = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
    spread = (pull**2).sum() ** 1.5
    acceleration = (pull**3).sum() / (6 * spread) if spread > 0 else 0.0
    if not np.isfinite(bias):
        return np.full(2, np.nan)
    z = bias + ndtri(tails)
    shares: np.ndarray = ndtr(bias + z / (1 - acceleration * z))
    return shares


def _subtract(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(first[name]) - np.asarray(second[name]) for name in first}


def _block_rows(patients: int) -> int:
    return max(1, BLOCK_ENTRIES // max(1, patients))
