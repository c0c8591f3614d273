"""Numbers of single cases, and how far the metrics disagree about a case.

A metric's number of one report means little by itself; where the report stands among all that the model wrote means more. So each number ranks the
model's scored reports, and a case on which one metric ranks the report high and another low is one to read: either has missed something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import permutations
from typing import NamedTuple

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.narrow import of_metric
from benchmark.per_case import case_numbers, several_per_case
from benchmark.records import UserError

DISAGREEMENT = "disagreement"


class CaseNumbers(NamedTuple):
    """One number of every case of every model."""

    key: str
    """``rouge_l.f1``, or ``disagreement``"""
    title: str
    """as people read it"""
    is_lower_better: bool | None
    """None: neither way is better"""
    values: dict[str, np.ndarray]
    """model -> (n,), NaN where there is no value"""
    least: float | None = None
    """the least that it can be, None where it has no bound or the metric does not say"""
    most: float | None = None
    """the most"""
    widest: Mapping[str, Disagreement] = {}
    """of ``disagreement``: model -> which numbers it lies between"""

    def part(self, start: int, stop: int) -> CaseNumbers:
        """Those of the cases from ``start`` up to ``stop``."""
        values = {model: of_cases[start:stop] for model, of_cases in self.values.items()}
        widest = {model: Disagreement(*(of_cases[start:stop] for of_cases in found)) for model, found in self.widest.items()}
        return self._replace(values=values, widest=widest)


class Disagreement(NamedTuple):
    """How far the metrics disagree about each case of one model."""

    values: np.ndarray
    """(n,) in [0, 1]; NaN where fewer than two metrics have a value"""
    highest: np.ndarray
    """(n,) int, place in the list of numbers of the one that ranks the report highest; -1 where there is no value"""
    lowest: np.ndarray
    """(n,) int, likewise lowest"""


def numbers_of(
    metrics: Mapping[str, Metric], statistics: Mapping[tuple[str, str], np.ndarray], models: Sequence[str], notes: list[str] | None = None
) -> list[CaseNumbers]:
    """The numbers that are looked at case by case, see ``benchmark.per_case``; the last one is the disagreement, if two metrics or more have numbers.

    statistics  (metric, model) -> (n, k); a model without any is left out
    notes       gets a sentence on each metric whose ranges are none
    """
    found: list[CaseNumbers] = []
    for label, metric in metrics.items():
        of_models = of_metric(statistics, label, [model for model in models if (label, model) in statistics])
        if not of_models:
            continue
        with suppress(UserError):  # a metric whose numbers put reports in no order
            chosen = case_numbers(label, metric, next(iter(of_models.values())).shape[1])
            names = [number.name for number in chosen]
            values = {model: several_per_case(metric, rows, names) for model, rows in of_models.items()}
            ranges = _ranges(label, metric, names, [] if notes is None else notes)
            for number in chosen:
                least, most = ranges[number.name]
                of_number = {model: found_of[number.name] for model, found_of in values.items()}
                found.append(CaseNumbers(number.key, number.title, number.is_lower_better, of_number, least, most))
    disagreements = {model: disagreement(found, model, metrics) for model in models if any(model in number.values for number in found)}
    if any((~np.isnan(one.values)).any() for one in disagreements.values()):
        widths = {model: one.values for model, one in disagreements.items()}
        found.append(CaseNumbers(DISAGREEMENT, "Disagreement between metrics", None, widths, 0.0, 1.0, disagreements))
    return found


def _ranges(label: str, metric: Metric, names: Sequence[str], notes: list[str]) -> dict[str, tuple[float | None, float | None]]:
    """Number -> the least and the most that it can be, as the metric says; a guest may say anything, and what is no range is noted and left out."""
    try:
        said = getattr(metric, "ranges", {})
        return {name: (float(said[name][0]), float(said[name][1])) if name in said else (None, None) for name in names}
    except Exception as error:
        notes.append(f"The ranges that {label} gives its numbers are left out: {type(error).__name__}: {str(error).rstrip('.')}.")
        return dict.fromkeys(names, (None, None))


def disagreement(numbers: Sequence[CaseNumbers], model: str, metrics: Sequence[str] | Mapping[str, Metric]) -> Disagreement:
    """The widest gap between the ranks that numbers of different metrics give a case, among the model's cases.

    Numbers of one metric do not disagree with each other; one that is the same in all cases ranks nothing, and is left out. ``metrics`` are their
    names: a key is a metric's name, a point, and a number's.
    """
    ranked: dict[str, list[tuple[int, np.ndarray]]] = {}
    for place, number in enumerate(numbers):
        if number.is_lower_better is None or model not in number.values:
            continue
        shares = ranks(-number.values[model] if number.is_lower_better else number.values[model])
        if shares is not None:
            ranked.setdefault(_metric_of(number.key, metrics), []).append((place, shares))
    count = len(next((number.values[model] for number in numbers if model in number.values), ()))
    highest, lowest = {}, {}
    for metric, columns in ranked.items():
        places, table = np.array([place for place, _ in columns]), np.array([shares for _, shares in columns])
        is_there = ~np.isnan(table).all(axis=0)
        top, bottom = np.argmax(np.where(np.isnan(table), -1, table), axis=0), np.argmin(np.where(np.isnan(table), 2, table), axis=0)
        rows = np.arange(count)
        highest[metric] = np.where(is_there, table[top, rows], np.nan), places[top]
        lowest[metric] = np.where(is_there, table[bottom, rows], np.nan), places[bottom]
    widest, which_high, which_low = np.full(count, -1.0), np.full(count, -1), np.full(count, -1)
    for one, other in permutations(ranked, 2):
        gap = np.nan_to_num(highest[one][0] - lowest[other][0], nan=-1.0)
        is_wider = gap > widest
        widest = np.where(is_wider, gap, widest)
        which_high, which_low = np.where(is_wider, highest[one][1], which_high), np.where(is_wider, lowest[other][1], which_low)
    return Disagreement(np.where(which_high < 0, np.nan, widest), which_high, which_low)


def ranks(values: np.ndarray) -> np.ndarray | None:
    """(n,) the share of the others that a value is above, half of those that it is level with; NaN where there is none.

    None if all are the same, or there is but one: there is no order then. The mean rank of ties less 1, by the number of values less 1.
    """
    is_there = ~np.isnan(values)
    different, place, counts = np.unique(values[is_there], return_inverse=True, return_counts=True)
    if len(different) < 2:
        return None
    below = np.cumsum(counts) - counts
    shares = np.full(len(values), np.nan)
    shares[is_there] = ((below + (counts - 1) / 2) / (counts.sum() - 1))[place]
    return shares


def _metric_of(key: str, metrics: Sequence[str] | Mapping[str, Metric]) -> str:
    return max((name for name in metrics if key.startswith(f"{name}.")), key=len, default=key.partition(".")[0])
