"""Parts of the cases that a mean hides: normal and abnormal ones, with one lesion or many, seen from the front or from the back.

A model that calls every lung clear is right about the clear ones; only the abnormal cases show it. Every part is measured by the draws of the whole,
so that its numbers move with theirs; a number of few patients is shown without an interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.narrow import Made, of_metric
from benchmark.records import Row
from benchmark.statistics import Compared, Measured, PatientBootstrap, Values

NORMAL, ABNORMAL = "normal (no lesion)", "abnormal"
NUMBERS_OF_LESIONS = ("1 lesion", "2 lesions", "3 or more lesions")
VIEWS = ("AP", "PA")
FEW_PATIENTS = 10
"""below, the draws know too few patients to say how far a number could move"""
BESIDE: Mapping[str, tuple[str, ...]] = {"lesions": ("micro_hallucination", "micro_omission")}
"""metric -> what stands beside its headlines here: where there is no lesion, its F1 says nothing"""


class Stratum(NamedTuple):
    """A part of the cases."""

    name: str
    """as it stands in rows and tables"""
    is_in: np.ndarray
    """(n,) True for the cases that belong to it"""


def strata_of(lesions: np.ndarray | None, views: Sequence[str] = ()) -> list[Stratum]:
    """The parts that have a case: by the number of lesions, and by view where there is more than one.

    lesions  (n,)  of the 14, in the reference of each case; NaN where nobody could say, None if nobody was asked
    views          of the image that the report is about, empty where it is not stated
    """
    found = []
    if lesions is not None:
        parts = (lesions == 0, lesions >= 1, lesions == 1, lesions == 2, lesions >= 3)
        found += [Stratum(name, part) for name, part in zip((NORMAL, ABNORMAL, *NUMBERS_OF_LESIONS), parts, strict=True)]
    seen = [_view(view) for view in views]
    if len(set(seen)) > 1:
        found += [Stratum(f"view {name}", np.array([view == name for view in seen])) for name in (*VIEWS, "other", "not stated")]
    return [stratum for stratum in found if stratum.is_in.any()]


def lesions_in_references(metrics: Mapping[str, Metric], statistics: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray | None:
    """(n,) lesions of each reference, from whichever model was scored on it; None where no metric counts lesions. See ``strata_of``."""
    found: np.ndarray | None = None
    for name, metric in metrics.items():
        count = getattr(metric, "lesions_in_references", None)
        for key in statistics if count else ():
            if key[0] == name and count and (found is None or np.isnan(found).any()):
                counts = count(statistics[key])
                found = counts if found is None else np.where(np.isnan(found), counts, found)
    return found


def constants(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """The models, by name, that wrote one and the same report for everyone."""
    return [model for model, written in texts.items() if len(written) > 1 and len(set(written)) == 1]


def shown_numbers(name: str, metric: Metric, columns: int) -> list[str]:
    """The numbers of a metric that are measured in every part: its headlines, or its first one, and what belongs beside them."""
    known = list(metric.values(np.zeros(columns)))
    own = getattr(metric, "headlines", list(getattr(metric, "titles", {}))[:1])
    chosen = [number for number in own if number in known] or known[:1]
    return list(dict.fromkeys((*chosen, *(number for number in BESIDE.get(name.partition(":")[0], ()) if number in known))))


class InStratum(NamedTuple):
    """One metric of all models in one part."""

    stratum: Stratum
    metric: str
    compared: Compared
    """of every model, and of each against the constant ones where the part is the abnormal one"""


def measured(
    bootstrap: PatientBootstrap,
    metrics: Mapping[str, Metric],
    statistics: Mapping[tuple[str, str], np.ndarray],
    strata: Sequence[Stratum],
    constant: Sequence[str],
) -> Iterator[InStratum]:
    """Every metric in every part, by the draws of the whole."""
    models = list(dict.fromkeys(model for _, model in statistics))
    for stratum in strata:
        given = (_in_stratum(stratum, name, metric, of_metric(statistics, name, models)) for name, metric in metrics.items())
        against = [(model, floor) for model in models for floor in constant if model not in constant] if stratum.name == ABNORMAL else []
        for name, compared in zip(metrics, bootstrap.compare(given, against), strict=True):
            yield InStratum(stratum, name, compared)


def _in_stratum(stratum: Stratum, name: str, metric: Metric, statistics: Mapping[str, np.ndarray]) -> Measured:
    """The metric on the cases of one part; made for one model at a time, since it is a copy of its statistics."""
    rows = Made(statistics, lambda model: np.where(stratum.is_in[:, None], statistics[model], np.nan))
    return Measured(rows, _only(metric, shown_numbers(name, metric, next(iter(rows.values())).shape[1])))


def without_interval_of_few(row: Row) -> Row:
    """The row as it is, or without interval where fewer than ``FEW_PATIENTS`` patients of the part were scored, of a difference by both models."""
    if row.patients is None or row.patients >= FEW_PATIENTS:
        return row
    return replace(row, low=math.nan, high=math.nan, detectable=None if row.detectable is None else math.nan)


def no_better(rows: Iterable[Row], models: Sequence[str]) -> list[str]:
    """A sentence for each model that is not shown to be better than one report for everyone on abnormal cases, with the numbers in which it is not.

    ``rows`` are differences ``model - constant``, of all strata; a number whose direction nobody says is left out.
    """
    pairs = {f"{model} - {floor}": (model, floor) for model, floor in permutations(models, 2)}
    found: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        if row.model not in pairs or row.stratum != ABNORMAL or not row.is_headline or not row.direction or math.isnan(row.low):
            continue
        gain = row.low if row.direction == "higher" else -row.high
        if gain <= 0:
            number = f"{row.title} {row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
            found.setdefault((*pairs[row.model], row.scored), []).append(number)
    return [
        f"{model} is not shown to be better on the abnormal cases ({cases:,}) than {floor}, one report for everyone: {'; '.join(numbers)}"
        for (model, floor, cases), numbers in found.items()
    ]


def _view(view: str) -> str:
    """AP, PA, other, or not stated."""
    name = view.strip().upper()
    return name if name in VIEWS else "other" if name else "not stated"


def _only(metric: Metric, wanted: Sequence[str]) -> Values:
    """The metric's numbers, the wanted ones alone: each costs a sorting of its draws."""

    def values(sums: np.ndarray) -> dict[str, np.ndarray]:
        found = metric.values(sums)
        return {name: found[name] for name in wanted}

    return values
