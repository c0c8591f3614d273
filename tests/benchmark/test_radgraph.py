"""F1-RadGraph as a metric: what it asks of its annotator, what it publishes, and under which name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import registry
from benchmark.metrics.radgraph import RadGraph
from benchmark.records import UserError
from benchmark.registry import BadOption, Registry, UnknownName

REPORTS = ["Small right pleural effusion.", "No pleural effusion.", "The heart is mildly enlarged. The lungs are clear."]


def mean(metric: RadGraph, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    return {name: float(value) for name, value in metric.values(metric.statistics(hypotheses, references).sum(axis=0)).items()}


def test_the_same_reports_score_one_at_every_level_and_an_empty_one_scores_nothing() -> None:
    metric = RadGraph()
    assert set(mean(metric, REPORTS, REPORTS).values()) == {1.0}
    assert set(mean(metric, ["", "", ""], REPORTS).values()) == {0.0}


def test_two_reports_without_entities_score_nothing_as_in_the_package() -> None:
    """compute_reward of radgraph 0.1.18 gives 0 where either side has no entities."""
    rows = RadGraph().statistics(["Hello.", ""], ["Good morning.", ""])
    assert rows.tolist() == [[0.0] * 9 + [1.0]] * 2


def test_published_is_the_mean_over_cases_of_f1_precision_and_recall() -> None:
    """Case 1: one of two entities is right, none is missed but ``small``; worked out by hand. Case 2: all is right."""
    hypotheses, references = ["effusion mass", "effusion"], ["effusion", "effusion"]
    found = mean(RadGraph(), hypotheses, references)
    assert found["rules.simple_lower"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["rules.simple_lower.precision"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["rules.simple_lower.recall"] == 1.0


def test_the_casing_is_in_the_name_of_the_number_and_in_the_signature() -> None:
    lower, cased = RadGraph(case="lower"), RadGraph(case="cased")
    assert mean(lower, ["Effusion"], ["effusion"])["rules.partial_lower"] == 1.0
    assert mean(cased, ["Effusion"], ["effusion"])["rules.partial_cased"] == 0.0
    assert "|case:lower|" in lower.signature()
    assert "|case:cased|" in cased.signature()
    assert lower.titles[lower.headlines[0]] == "F1-RadGraph (partial, lower, rules)"


def test_no_case_at_all_gives_no_number() -> None:
    metric = RadGraph()
    rows = metric.statistics([], [])
    assert rows.shape == (0, 10)
    assert all(np.isnan(value) for value in metric.values(rows.sum(axis=0)).values())


class Counting:
    """Finds each distinct word as an observation, and counts what it was asked."""

    is_kept = False

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def annotate(self, reports: Sequence[str]) -> list[Any]:
        self._asked += reports
        return [
            {
                "text": report,
                "entities": {
                    str(place): {"tokens": word, "label": "OBS-DP", "start_ix": place, "end_ix": place, "relations": []}
                    for place, word in enumerate(report.split())
                },
            }
            for report in reports
        ]

    def signature(self) -> str:
        return "counting|v1"


@contextmanager
def registered(**annotators: Any) -> Iterator[None]:
    """The registry with these annotators besides."""
    known = registry.load()
    ours = {name: registry.Entry(name, factory, "", "test") for name, factory in annotators.items()}
    entries = {**known.entries, "annotators": {**known.entries["annotators"], **ours}}
    registry.load.cache_clear()
    load, registry.load = registry.load, lambda: Registry(entries)  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        registry.load = load


def test_each_distinct_report_is_annotated_once_though_ten_models_are_measured() -> None:
    asked: list[str] = []
    with registered(counting=lambda: Counting(asked)):
        metric = RadGraph(annotator="counting")
    for _ in range(10):
        metric.statistics(["a b", "a b", "c"], ["a", "a b", "a b"])
    assert sorted(asked) == ["a", "a b", "c"]
    assert metric.titles["partial_lower"] == "F1-RadGraph (partial, lower, counting)"


class ReadsNone(Counting):
    """Reads an empty report as the word None, as the published networks do."""

    def annotate(self, reports: Sequence[str]) -> list[Any]:
        return super().annotate([report or "None" for report in reports])


def test_an_empty_report_scores_nothing_whatever_the_annotator_makes_of_it() -> None:
    """F1RadGraph of radgraph 0.1.18 gives 0 where either text is empty."""
    asked: list[str] = []
    with registered(reads_none=lambda: ReadsNone(asked)):
        metric = RadGraph(annotator="reads_none")
    rows = metric.statistics(["", "", "None", " \n", "None"], ["", "None", "", "None", "None"])
    assert rows[:, :9].any(axis=1).tolist() == [False, False, False, False, True]
    assert rows[:, 9].tolist() == [1] * 5
    assert asked == ["None"], "of an empty report nobody is asked"
    assert [annotation["entities"] for annotation in metric.annotations(["", "\t"])] == [{}, {}]


def test_an_unknown_annotator_or_casing_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownName, match=r"no annotator named 'radgrph'.*known: file, .*rules"):
        RadGraph(annotator="radgrph")
    with pytest.raises(UserError, match="radgraph has no case='upper'; known: lower, cased"):
        RadGraph(case="upper")  # type: ignore[arg-type]


def test_settings_of_a_network_are_refused_by_the_annotator_by_rules(tmp_path: Path) -> None:
    """Else ``radgraph.weights=...`` would change nothing, in silence, where the annotator was forgotten."""
    with pytest.raises(BadOption, match="annotator 'rules' has no setting 'weights'"):
        RadGraph(weights=tmp_path)
