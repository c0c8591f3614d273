"""Numbers of single cases, and where metrics disagree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import rankdata

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.degeneration import Degeneration
from benchmark.metrics.lesions import LesionScores
from benchmark.metrics.rouge import RougeL
from benchmark.viewer.numbers import CaseNumbers, disagreement, numbers_of, ranks

NAN = np.nan


def number(key: str, values: list[float], *, is_lower_better: bool | None = False) -> CaseNumbers:
    return CaseNumbers(key, key, is_lower_better, {"m": np.array(values)})


def test_five_cases_by_hand() -> None:
    """a ranks 0, 1/4, 1/2, 3/4, 1; b counts errors and ranks 1/2 (of three ties: 0.25, 0.5, 0.75), 1, 1/2, 1/2, 0. The last case is the widest."""
    found = disagreement([number("a.x", [1, 2, 3, 4, 5]), number("b.errors", [2, 1, 2, 2, 9], is_lower_better=True)], "m", ["a", "b"])
    assert found.values.tolist() == pytest.approx([0.5, 0.75, 0.0, 0.25, 1.0])
    assert found.highest[[0, 1, 3, 4]].tolist() == [1, 1, 0, 0]
    assert found.lowest[[0, 1, 3, 4]].tolist() == [0, 0, 1, 1]


def test_two_numbers_of_one_metric_do_not_disagree() -> None:
    numbers = [number("a.x", [1, 2, 3]), number("a.y", [3, 2, 1])]
    assert np.isnan(disagreement(numbers, "m", ["a"]).values).all()
    with_another = disagreement([*numbers, number("b.z", [1, 2, 3])], "m", ["a", "b"])
    assert with_another.values.tolist() == [1.0, 0.0, 1.0]  # a.y against b.z, never against a.x
    assert {*with_another.highest[[0, 2]].tolist(), *with_another.lowest[[0, 2]].tolist()} == {1, 2}


def test_a_case_that_fewer_than_two_metrics_have_scored_has_no_disagreement() -> None:
    found = disagreement([number("a.x", [1, NAN, 3, NAN]), number("b.y", [1, 2, NAN, NAN])], "m", ["a", "b"])
    assert np.isnan(found.values).tolist() == [False, True, True, True]
    assert found.highest.tolist()[1:] == [-1, -1, -1]


def test_a_number_that_is_the_same_in_all_cases_ranks_nothing() -> None:
    numbers = [number("a.x", [1, 2, 3]), number("b.y", [0, 0, 0]), number("c.z", [1, 2, 3])]
    assert disagreement(numbers, "m", ["a", "b", "c"]).values.tolist() == [0, 0, 0]
    assert np.isnan(disagreement(numbers[:2], "m", ["a", "b"]).values).all()


def test_a_metric_is_known_by_its_longest_name() -> None:
    """``green:a`` and ``green:a.b`` are two metrics, though the one's name begins the other's."""
    numbers = [number("green:a.x", [1, 2]), number("green:a.b.x", [2, 1])]
    assert disagreement(numbers, "m", ["green:a", "green:a.b"]).values.tolist() == [1, 1]


@given(arrays.arrays(np.float64, st.integers(2, 40), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, NAN])))
def test_ranks_are_those_of_scipy(values: np.ndarray) -> None:
    is_there = ~np.isnan(values)
    found = ranks(values)
    if len(set(values[is_there].tolist())) < 2:
        assert found is None
        return
    assert found is not None
    expected = (rankdata(values[is_there], method="average") - 1) / (is_there.sum() - 1)
    assert found[is_there] == pytest.approx(expected)
    assert np.isnan(found[~is_there]).all()


def test_numbers_of_a_run_end_with_the_disagreement() -> None:
    texts = ["Left pleural effusion.", "No pneumothorax.", "The heart is enlarged."]
    written = ["Left pleural effusion.", "Right pneumothorax.", "Heart size is normal."]
    metrics = {"lesions": LesionScores(RuleLabeller()), "rouge_l": RougeL(), "degeneration": Degeneration()}
    statistics = {(name, "m"): metric.statistics(written, texts) for name, metric in metrics.items()}
    statistics["rouge_l", "m"][2] = NAN
    found = numbers_of(metrics, statistics, ["m", "failed"])
    assert [one.key for one in found] == [
        "lesions.micro_f1",
        "lesions.micro_f1_sided",
        "lesions.micro_hallucination",
        "rouge_l.f1",
        "disagreement",
    ]  # degeneration puts reports in no order
    assert [one.is_lower_better for one in found] == [False, False, True, False, None]
    assert (found[0].least, found[0].most) == (0.0, 1.0)
    assert list(found[0].values) == ["m"]
    assert np.isnan(found[3].values["m"][2])
    assert found[-1].values["m"].shape == (3,)


def test_one_metric_alone_has_no_disagreement() -> None:
    metrics = {"rouge_l": RougeL()}
    found = numbers_of(metrics, {("rouge_l", "m"): metrics["rouge_l"].statistics(["a b", "c"], ["a", "c"])}, ["m"])
    assert [one.key for one in found] == ["rouge_l.f1"]
    assert numbers_of({}, {}, ["m"]) == []
