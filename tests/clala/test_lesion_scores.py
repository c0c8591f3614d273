from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clala.lesion_scores import auroc_by_lesion, f1_by_lesion


def test_f1_by_hand() -> None:
    predicted = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool)
    np.testing.assert_allclose(f1_by_lesion(predicted, truth), [0.5, 0.0, np.nan])


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_area_under_the_curve_is_that_of_scikit_learn(levels: int) -> None:
    """With three levels most pairs are ties."""
    rng = np.random.default_rng(levels)
    probabilities, truth = rng.integers(0, levels, (60, 5)) / levels, rng.random((60, 5)) < 0.3
    np.testing.assert_allclose(auroc_by_lesion(probabilities, truth), [roc_auc_score(truth[:, i], probabilities[:, i]) for i in range(5)])


def test_the_area_by_hand_and_where_there_is_none() -> None:
    """Of the pairs (0.9, 0.5) and (0.5, 0.5) the first is right and the second counts half."""
    probabilities = np.array([[0.9, 0.1, 0.1], [0.5, 0.2, 0.2], [0.5, 0.3, 0.3]])
    truth = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 0]], bool)
    np.testing.assert_allclose(auroc_by_lesion(probabilities, truth), [0.75, np.nan, np.nan])
    assert np.isnan(auroc_by_lesion(np.zeros((0, 2)), np.zeros((0, 2), bool))).all()
