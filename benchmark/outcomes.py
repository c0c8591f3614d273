"""What pairs of models get right or wrong case by case: McNemar's test, for metrics that say of each case what is right (``Metric.outcomes``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.records import Row
from benchmark.statistics import Compared, Measured, PatientBootstrap, mcnemar_by_patient


def outcomes_of(metric: Metric, statistics: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """model -> what is judged -> (n,) 1 right, 0 wrong, NaN unscored; empty if the metric judges nothing."""
    judge = getattr(metric, "outcomes", None)
    return {} if judge is None else {model: judge(rows) for model, rows in statistics.items()}


def shares_right(outcomes: Mapping[str, Mapping[str, np.ndarray]]) -> Measured:
    """The share of cases that each model has right, as a metric: it gives the differences of the test an interval."""
    names = list(next(iter(outcomes.values())))

    def values(sums: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: np.asarray(sums[..., place] / sums[..., -1]) for place, name in enumerate(names)}

    rows = {model: np.column_stack([*(judged[name] for name in names), np.ones(len(judged[names[0]]))]) for model, judged in outcomes.items()}
    return Measured(rows, values)


def outcome_rows(
    bootstrap: PatientBootstrap,
    name: str,
    metric: Metric,
    outcomes: Mapping[str, Mapping[str, np.ndarray]],
    compared: Compared,
    pairs: Sequence[tuple[str, str]],
) -> Iterator[Row]:
    """Of each pair and each thing judged: the difference of the shares right with McNemar's p-value, and on how many cases just one is right.

    The p-value is the sign-flip test of ``compared`` with all flips instead of some: exact, and by patient.
    """
    for first, second in pairs:
        found = compared.differences[first, second]
        for what, one in found.estimates.items():
            ours, theirs = outcomes[first][what], outcomes[second][what]
            net = np.where(np.isnan(ours) | np.isnan(theirs), 0.0, ours - theirs)
            p_value = mcnemar_by_patient(bootstrap.sums_of(net[:, None])[:, 0])
            about = (found.scored, found.unscored, metric.signature())
            title, pair = what.capitalize(), f"{first} - {second}"
            right = Row(pair, name, f"{what}.right", *one[:3], *about, title=f"{title} right", direction="higher")
            yield replace(right, p_value=p_value, detectable=one.detectable, patients=found.patients)
            for only, sign in (("first", 1), ("second", -1)):
                count = float((net == sign).sum())
                yield Row(pair, name, f"{what}.only_{only}_right", count, np.nan, np.nan, *about, title=f"{title} right by the {only} alone")
