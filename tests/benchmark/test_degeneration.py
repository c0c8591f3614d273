"""Signs of writing by rote: by hand on short reports, self-BLEU against nltk 3.10.4."""

import math

import numpy as np
import pytest
from report_pairs import ODD, phantom_pairs

from benchmark.metrics.degeneration import SIDE, Degeneration

NAMES = ("distinct", "commonest", "self_bleu", "repeated_4grams")


def measured(reports: list[str], references: list[str]) -> dict[str, float]:
    metric = Degeneration()
    rows = metric.statistics(reports, references)
    return {name: float(number) for name, number in metric.values(np.nansum(rows, axis=0)).items()}


def test_shares_are_those_counted_by_hand():
    """Two unlike texts among four, spaces apart; three equal the commonest; `a b c d` comes again once in five runs of four words."""
    found = measured(["no effusion", "no  effusion ", "no effusion", "a b c d a b c d"], ["w x", "w y", "w z", "w x y z"])
    assert found["distinct"] == pytest.approx(2 / 4)
    assert found["commonest"] == 3 / 4
    assert found["repeated_4grams"] == 1 / 5
    assert found["length_ratio"] == 14 / 10
    assert (found["reference_distinct"], found["reference_commonest"], found["reference_repeated_4grams"]) == (1, 1 / 4, 0)


def test_a_report_that_another_model_report_equals_has_a_self_bleu_of_one():
    found = measured(["heart size is normal today"] * 3, ["one two three four five", "six", "seven"])
    assert found["self_bleu"] == pytest.approx(1)
    assert found["reference_self_bleu"] == 0


@pytest.mark.parametrize(
    "texts", [[h for h, _ in phantom_pairs(40)], [h for h, _ in ODD[:28]] + [r for _, r in ODD[:28]], ["a", "a b", "a b c d e f", "a a"]]
)
def test_self_bleu_equals_nltk_with_all_others_as_references(texts):
    """nltk 3.10.4: ``sentence_bleu`` with ``method1``, for every report of the set."""
    program = pytest.importorskip("nltk.translate.bleu_score")
    smooth = program.SmoothingFunction().method1
    words = [text.split() for text in texts]
    expected = [program.sentence_bleu(words[:place] + words[place + 1 :], one, smoothing_function=smooth) for place, one in enumerate(words)]
    rows = Degeneration().statistics(texts, ["any"] * len(texts))
    assert rows[:, SIDE.index("self_bleu")] == pytest.approx(np.array(expected), rel=0, abs=1e-12)


def test_each_case_carries_its_share_so_that_drawn_cases_are_not_taken_for_repeated_reports():
    """Three unlike reports: any draw of them, with doubles, is still of unlike reports."""
    metric = Degeneration()
    rows = metric.statistics(["a b", "c d", "e f"], ["r"] * 3)
    assert metric.values(rows[[0, 0, 1]].sum(axis=0))["distinct"] == 1


def test_the_set_is_that_of_the_scored_cases():
    """A reference without words takes its report out of the set: of two equal reports one is left."""
    rows = Degeneration().statistics(["same", "same", "other"], ["r", "", "r"])
    assert np.isnan(rows[1]).all()
    assert rows[0, SIDE.index("distinct")] == 1


def test_an_empty_report_counts_and_nothing_measured_is_no_number():
    found = measured(["", "", "heart"], ["r", "r", "r"])
    assert found["distinct"] == pytest.approx(2 / 3)
    assert found["commonest"] == pytest.approx(2 / 3)
    assert found["self_bleu"] == 0
    assert math.isnan(found["repeated_4grams"])
    assert math.isnan(measured(["alone"], ["r"])["self_bleu"])
    assert Degeneration().statistics([], []).shape == (0, 2 * len(SIDE) + 2)
    assert all(np.isnan(number).all() for number in Degeneration().values(np.zeros((2, 14))).values())


def test_references_are_measured_alike():
    reports, references = zip(*phantom_pairs(30), strict=True)
    one, other = measured(list(reports), list(references)), measured(list(references), list(reports))
    assert [one[name] for name in NAMES] == [other[f"reference_{name}"] for name in NAMES]
