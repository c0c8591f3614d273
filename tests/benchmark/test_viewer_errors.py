"""The errors by which the page filters are those that the table of lesions counts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.lesions import LesionScores
from benchmark.viewer.errors import lesions_of, masks
from benchmark.vocabulary import LESIONS

REFERENCES = [
    "Left pleural effusion. Cardiomegaly.",
    "Right pneumothorax. Edema.",
    "The lungs are clear.",
    "Bilateral pleural effusions. Left lower lobe pneumonia.",
    "Right pleural effusion.",
]
REPORTS = [
    "Right pleural effusion.",
    "Right pneumothorax. Left pleural effusion.",
    "A nodule in the right lung.",
    "Left pleural effusion. Pneumonia.",
    "",
]


@pytest.fixture(scope="module")
def metric() -> LesionScores:
    return LesionScores(RuleLabeller())


@pytest.fixture(scope="module")
def statistics(metric: LesionScores) -> np.ndarray:
    return metric.statistics(REPORTS, REFERENCES)


def test_what_the_bits_count_is_what_the_table_counts(metric: LesionScores, statistics: np.ndarray) -> None:
    """Shares of the published numbers, from the bits: recall tp / (tp + fn), precision tp / (tp + fp), wrong sides among placed hits."""
    found, numbers = masks(statistics), metric.values(statistics.sum(axis=0))
    with np.errstate(invalid="ignore"):
        for bit, lesion in enumerate(LESIONS):
            hit, missed, invented, wrong = (int((mask >> bit & 1).sum()) for mask in found[1:])
            assert numbers[f"{lesion}.support"] == hit + missed
            for name, part, whole in (("recall", hit, hit + missed), ("precision", hit, hit + invented)):
                expected = np.nan if not hit + missed + invented else part / whole if whole else 0.0
                assert numbers[f"{lesion}.{name}"] == pytest.approx(expected, nan_ok=True)
            placed = numbers[f"{lesion}.side_support"]
            assert numbers[f"{lesion}.wrong_side"] == pytest.approx(wrong / placed if placed else np.nan, nan_ok=True)


def test_each_case_says_what_a_reader_would(statistics: np.ndarray) -> None:
    """By hand, from the sentences above."""
    found = masks(statistics)
    assert [lesions_of(found, place) for place in range(len(REPORTS))] == [
        {"cardiomegaly": "missed", "pleural effusion": "wrong side"},
        {"pleural effusion": "invented", "pneumothorax": "hit", "edema": "missed"},
        {"nodule": "invented"},
        {"pleural effusion": "wrong side", "pneumonia": "hit"},
        {"pleural effusion": "missed"},
    ]


def test_a_wrong_side_is_a_hit_too_and_nothing_is_two_things_else(statistics: np.ndarray) -> None:
    found = masks(statistics)
    assert not (found.wrong_side & ~found.hit).any()
    assert not (found.hit & found.missed).any()
    assert not (found.hit & found.invented).any()
    assert not (found.missed & found.invented).any()
    assert all(mask.dtype == np.uint16 for mask in found[1:])


def test_a_case_without_labels_is_not_scored_and_has_no_errors(statistics: np.ndarray) -> None:
    rows = statistics.copy()
    rows[1] = np.nan
    found = masks(rows)
    assert found.is_scored.tolist() == [True, False, True, True, True]
    assert lesions_of(found, 1) == {}
    assert masks(rows[:0]).hit.shape == (0,)


def test_statistics_of_another_metric_are_refused() -> None:
    with pytest.raises(ValueError, match=r"104 columns; these have the shape \(3, 5\)"):
        masks(np.zeros((3, 5)))
