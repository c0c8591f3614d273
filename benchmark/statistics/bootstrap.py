"""Models measured together: every number with its interval, every pair with its difference, by one set of drawn patients.

Every metric gives one row of statistics per case and computes its numbers from column sums (``hookspecs.Metric``). So the bootstrap of all numbers
of all metrics of all models is one matrix product, counts (R, P) @ patient sums (P, k), and equals resampling the patients' rows by index and
computing again. Two images of one patient are not two witnesses: all rows of a patient come and go together.

Paired test: approximate randomisation (Noreen 1989), the two models' reports of a patient swapped or not; exact if they are exchangeable,
for any number that is a function of sums, and without the assumption that a bootstrap distribution can be moved onto the null. Column sums are
linear in the swaps, so one product for each model serves all of its pairs. No p-value is below 1 / (flips + 1), and a correction multiplies it by the
number of tests: ``flips_for`` says how many flips so many tests need.

A row of NaN is a case that could not be scored: it enters as zeros and is counted. The patients that are drawn stay the same for every model
and metric, whoever scored what, so that differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmark.statistics.draws import PatientDraws, patient_numbers, sums_by_patient
from benchmark.statistics.intervals import Method, as_extreme, intervals, p_within
from benchmark.statistics.power import minimum_detectable, standard_error

Values = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""``Metric.values``: (..., k) column sums -> name -> (...) number"""

TOGETHER_ENTRIES = 50_000_000  # resampled sums held at a time: 400 MB; metrics beyond are resampled in a further pass
BEYOND_LEVEL, ENOUGH_BEYOND = 20, 2  # how often the smallest corrected p-value shall go into 1 - level, and how often it must
MANY_FLIPS = 10_000  # from which more are tossed only as far as they must be
FLIPPED_TOGETHER = 3000  # swaps whose numbers are computed at a time: what a processor's cache holds
NOISE = 1e-12  # of a number's size: what the order of summation may do to it


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
    detectable: float = np.nan
    """the smallest true difference that would be found in 80 % of such comparisons; NaN where every draw agreed"""
    p_not_below: float = np.nan
    """one-sided p-value against "the first lies the margin or more below the second"; NaN without a margin"""
    p_not_above: float = np.nan
    """one-sided p-value against "the first lies the margin or more above the second"; NaN without a margin"""


class Scores(NamedTuple):
    """What one model reached in one metric."""

    estimates: dict[str, Estimate]
    """value name -> number with interval"""
    scored: int
    """cases that entered"""
    unscored: int
    """cases whose row was NaN"""
    patients: int
    """whose cases entered"""


class Differences(NamedTuple):
    """What two models differ by in one metric."""

    estimates: dict[str, Difference]
    """value name -> difference with interval and p-value"""
    scored: int
    """cases that both scored"""
    unscored: int
    """cases that at least one did not"""
    patients: int
    """whose cases both scored"""


@dataclass(frozen=True)
class Measured:
    """One metric of several models, before it is resampled."""

    statistics: Mapping[str, np.ndarray]
    """model -> (n, k), one row per case, the same cases in the same order"""
    values: Values
    """of the metric"""
    margins: Mapping[str, float] = field(default_factory=dict)
    """value name -> how far below another a model may lie and still count as not worse"""


class Compared(NamedTuple):
    """One metric of several models, resampled."""

    scores: dict[str, Scores]
    """of each model"""
    differences: dict[tuple[str, str], Differences]
    """of each pair that was asked for"""


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
        timed: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """``patients`` names the patient of each case, in the order of the cases; ``flips`` of the paired test, as many as draws unless given.

        ``timed`` is what goes around ``resample`` and ``differences``, for whoever wants to know how long they take.
        """
        self.patient_of_case, self.patients = patient_numbers(patients)
        self.level, self.method, self.timed = level, method, timed
        self.drawn = PatientDraws(self.patients, draws=draws, flips=draws if flips is None else flips, seed=seed)

    def scores(self, statistics: np.ndarray, values: Values) -> Scores:
        """Every number of a metric with its interval; ``statistics`` (n, k) has one row per case."""
        (found,) = self.compare([Measured({"": statistics}, values)], pairs=())
        return found.scores[""]

    def difference(self, first: np.ndarray, second: np.ndarray, values: Values, margins: Mapping[str, float] | None = None) -> Differences:
        """First minus second for every number of a metric, over the cases that both scored, with the draws of ``scores``.

        first, second  (n, k)  statistics of two models, one row per case, the same cases in the same order
        """
        (found,) = self.compare([Measured({"first": first, "second": second}, values, margins or {})], pairs=[("first", "second")])
        return found.differences["first", "second"]

    def compare(self, metrics: Iterable[Measured], pairs: Sequence[tuple[str, str]]) -> Iterator[Compared]:
        """Each metric in turn: the scores of all its models, and the differences of the ``pairs``; sums of all are drawn side by side.

        Of a metric's statistics nothing is held but the sums: what is made for this alone can be forgotten as soon as the next is asked for.
        """
        waiting: list[_Together] = []
        for metric in metrics:
            with self.timed("resample"):
                together = _Together(self, metric, pairs)
            if waiting and sum(one.entries for one in (*waiting, together)) > TOGETHER_ENTRIES:
                yield from self._resampled(waiting)
                waiting = []
            waiting.append(together)
        yield from self._resampled(waiting)

    def resample(self, sums: np.ndarray) -> np.ndarray:
        """(R, k) column sums of every draw, from (P, k) patient sums; the columns of several models and metrics may stand side by side."""
        return self.drawn.resampled([sums])[0]

    def sums_of(self, rows: np.ndarray) -> np.ndarray:
        """(P, k) column sums of each patient's rows (n, k). Raises ``ValueError`` unless there is one row per case."""
        if len(rows) != len(self.patient_of_case):
            raise ValueError(f"{len(rows)} rows of statistics for {len(self.patient_of_case)} cases; a metric gives one row per case, in order")
        return sums_by_patient(rows, self.patient_of_case, self.patients)

    def patients_among(self, is_scored: np.ndarray) -> int:
        """How many patients have a case in (n,)."""
        return int((np.bincount(self.patient_of_case[is_scored], minlength=self.patients) > 0).sum())

    def _resampled(self, waiting: list[_Together]) -> Iterator[Compared]:
        with self.timed("resample"):
            drawn = iter(self.drawn.resampled([sums for one in waiting for sums in one.sums]))
        with self.timed("differences"):
            flipped = iter(self.drawn.swapped([one.sums[place] for one in waiting for place in one.compared]))
        for one in waiting:
            resampled = [next(drawn) for _ in one.sums]
            swapped = {place: next(flipped) for place in one.compared}
            yield one.finished(resampled, swapped)


class _Together:
    """The patient sums of one metric: of each model over its own scored cases, and where a pair shares fewer, over those."""

    def __init__(self, bootstrap: PatientBootstrap, metric: Measured, pairs: Sequence[tuple[str, str]]) -> None:
        self._bootstrap, self._values, self._margins = bootstrap, metric.values, metric.margins
        self._is_scored: dict[str, np.ndarray] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.sums: list[np.ndarray] = []
        self._places: dict[tuple[str, bytes], int] = {}
        self._place_of: dict[bytes, int] = {}
        self._alone: dict[str, int] = {}
        for model, rows in metric.statistics.items():  # once: they may be made as they are asked for
            self._is_scored[model], self._shapes[model] = ~np.isnan(rows).any(axis=1), rows.shape
            self._alone[model] = self._place(model, self._is_scored[model], rows)
        self._pairs = {pair: self._places_of(metric, pair) for pair in pairs}
        self.compared = list(dict.fromkeys(place for places in self._pairs.values() for place in places))
        drawn, flipped = (sum(sums.shape[1] for sums in group) for group in (self.sums, [self.sums[place] for place in self.compared]))
        self.entries = drawn * bootstrap.drawn.draws + flipped * bootstrap.drawn.flips

    def finished(self, resampled: list[np.ndarray], swapped: Mapping[int, np.ndarray]) -> Compared:
        """The numbers, from the sums of every draw and of every swap."""
        values, is_bca = self._values, self._bootstrap.method == "bca"
        with self._bootstrap.timed("resample"):
            totals = [sums.sum(axis=0) for sums in self.sums]
            point, drawn = ([_arrays(values(sums)) for sums in group] for group in (totals, resampled))
            left_out = [_arrays(values(total - sums)) if is_bca else {} for total, sums in zip(totals, self.sums, strict=True)]
            scores = {}
            for model, place in self._alone.items():
                is_scored = self._is_scored[model]
                ends = self._intervals(point[place], drawn[place], left_out[place], is_scored)
                estimates = {name: Estimate(float(number), *ends[name]) for name, number in point[place].items()}
                scores[model] = Scores(estimates, int(is_scored.sum()), int((~is_scored).sum()), self._bootstrap.patients_among(is_scored))
        differences = {}
        with self._bootstrap.timed("differences"):
            for pair, (ours, theirs) in self._pairs.items():
                moved = swapped[ours] - swapped[theirs]
                apart, drawn_apart, left_out_apart = (_apart(group[ours], group[theirs]) for group in (point, drawn, left_out))
                p_values = self._p_values(apart, totals[ours], totals[theirs], moved)
                differences[pair] = self._difference(pair, apart, drawn_apart, left_out_apart, p_values)
        return Compared(scores, differences)

    def _p_values(self, apart: Mapping[str, np.ndarray], ours: np.ndarray, theirs: np.ndarray, moved: np.ndarray) -> dict[str, float]:
        """Of every difference, from the sums (k,) of both models and what each swap moves (B, k)."""
        beyond = dict.fromkeys(apart, 0)
        for start in range(0, len(moved), FLIPPED_TOGETHER):
            part = moved[start : start + FLIPPED_TOGETHER]
            flipped = _subtract(_arrays(self._values(theirs + part)), _arrays(self._values(ours - part)))
            for name, difference in apart.items():
                beyond[name] += as_extreme(flipped[name], float(difference))
        return {name: np.nan if np.isnan(apart[name]) else (count + 1) / (len(moved) + 1) for name, count in beyond.items()}

    def _difference(
        self,
        pair: tuple[str, str],
        point: dict[str, np.ndarray],
        drawn: dict[str, np.ndarray],
        left_out: dict[str, np.ndarray],
        p_values: dict[str, float],
    ) -> Differences:
        is_scored = self._is_scored[pair[0]] & self._is_scored[pair[1]]
        ends = self._intervals(point, drawn, left_out, is_scored)
        patients, level, method = self._bootstrap.patients_among(is_scored), self._bootstrap.level, self._bootstrap.method
        estimates = {}
        for name, number in point.items():
            value = float(number)
            has_interval = not np.isnan(ends[name][0])
            detectable = minimum_detectable(standard_error(drawn[name], patients), patients, level) if has_interval else np.nan
            beyond = (np.nan, np.nan)
            if has_interval and (margin := self._margins.get(name)) is not None:
                not_below, _ = p_within(drawn[name], value, -margin, method, left_out.get(name))
                _, not_above = p_within(drawn[name], value, margin, method, left_out.get(name))
                beyond = (not_below, not_above)
            estimates[name] = Difference(value, *ends[name], p_values[name], detectable, *beyond)
        return Differences(estimates, int(is_scored.sum()), int((~is_scored).sum()), patients)

    def _intervals(
        self, point: dict[str, np.ndarray], drawn: dict[str, np.ndarray], left_out: dict[str, np.ndarray], is_scored: np.ndarray
    ) -> dict[str, tuple[float, float]]:
        if self._bootstrap.patients_among(is_scored) < 2:
            return dict.fromkeys(point, (np.nan, np.nan))
        jackknife = [left_out[name] for name in point] if left_out else None
        numbers = [float(number) for number in point.values()]
        found = intervals([drawn[name] for name in point], numbers, self._bootstrap.level, self._bootstrap.method, jackknife)
        return dict(zip(point, found, strict=True))

    def _places_of(self, metric: Measured, pair: tuple[str, str]) -> tuple[int, int]:
        """Where the sums of both models over the cases that both scored are. Raises ``ValueError`` for unlike shapes."""
        shapes = [self._shapes[model] for model in pair]
        if shapes[0] != shapes[1]:
            raise ValueError(f"two models of unlike shape: {shapes[0]} and {shapes[1]}; a difference needs the same cases and the same metric")
        is_scored = self._is_scored[pair[0]] & self._is_scored[pair[1]]
        ours, theirs = (self._places.get((model, is_scored.tobytes())) for model in pair)  # mostly of the models alone, and then nothing is asked for
        return (
            self._place(pair[0], is_scored, metric.statistics[pair[0]]) if ours is None else ours,
            self._place(pair[1], is_scored, metric.statistics[pair[1]]) if theirs is None else theirs,
        )

    def _place(self, model: str, is_scored: np.ndarray, rows: np.ndarray) -> int:
        """Models that are alike case by case share one place: one and the same column of a product, so that they differ by 0 and not by rounding."""
        key = model, is_scored.tobytes()
        if key not in self._places:
            rows = np.asarray(rows, dtype=np.float64)
            sums = self._bootstrap.sums_of(rows if is_scored.all() else np.where(is_scored[:, None], rows, 0.0))
            self._places[key] = self._place_of.setdefault(sums.tobytes(), len(self.sums))
            if self._places[key] == len(self.sums):
                self.sums.append(sums)
        return self._places[key]


def flips_for(tests: int, draws: int, level: float) -> int:
    """How many swaps so many tests need for Holm's correction to leave something to find: never fewer than ``draws``.

    The smallest p-value, times the tests, goes ``BEYOND_LEVEL`` times into 1 - ``level``; where that takes more than ``MANY_FLIPS``, fewer times.
    """
    at_level = math.ceil(tests / (1 - level))
    return max(draws, min(BEYOND_LEVEL * at_level, max(MANY_FLIPS, ENOUGH_BEYOND * at_level)))


def _arrays(numbers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(number) for name, number in numbers.items()}


def _apart(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """First minus second, 0 where they are equal but for the order of summation."""
    found = {}
    for name, difference in _subtract(first, second).items():
        is_noise = np.abs(difference) <= NOISE * np.maximum(np.abs(first[name]), np.abs(second[name]))
        found[name] = np.where(is_noise, 0.0, difference)
    return found


def _subtract(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: first[name] - second[name] for name in first}
