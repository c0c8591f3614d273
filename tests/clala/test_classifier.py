from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clala.checkpoint import Bundle
from clala.classifier import LesionClassifier, positive_weights, predict, train_classifier, tune_thresholds
from clala.config import BadConfig, CLALAConfig


def test_one_probability_per_lesion_and_two_images_together_are_two_alone(bundle: Bundle) -> None:
    squares = np.random.default_rng(0).integers(0, 255, (2, 64, 64)).astype(np.uint8)
    together = predict(bundle.classifier, squares)
    assert together.shape == (2, 14)
    np.testing.assert_allclose(
        together, np.concatenate([predict(bundle.classifier, squares[:1]), predict(bundle.classifier, squares[1:])]), atol=1e-5
    )


def test_exposure_does_not_change_the_answer(bundle: Bundle) -> None:
    squares = np.random.default_rng(0).integers(0, 120, (1, 64, 64)).astype(np.uint8)
    np.testing.assert_allclose(predict(bundle.classifier, squares), predict(bundle.classifier, squares * 2), atol=0.02)


def test_no_image_gives_no_row(bundle: Bundle) -> None:
    assert predict(bundle.classifier, np.zeros((0, 64, 64), np.uint8)).shape == (0, 14)


def test_a_rare_lesion_weighs_by_the_logarithm_of_its_rarity() -> None:
    labels = np.zeros((100, 3))
    labels[:50, 0] = labels[:1, 1] = 1
    np.testing.assert_allclose(positive_weights(labels), [np.log(2), np.log(100), 1], rtol=1e-6)


def test_the_threshold_with_the_best_f1_is_found() -> None:
    probabilities = np.array([[0.9], [0.7], [0.4], [0.3], [0.1]])
    assert tune_thresholds(probabilities, np.array([[1], [1], [0], [1], [0]])) == pytest.approx(0.2)
    assert tune_thresholds(probabilities, np.array([[1], [1], [0], [0], [0]])) == pytest.approx(0.55)


def test_a_lesion_that_no_image_shows_keeps_the_plain_threshold() -> None:
    assert tune_thresholds(np.array([[0.9], [0.2]]), np.zeros((2, 1))) == pytest.approx(0.5)


def test_images_of_equal_score_cannot_be_told_apart() -> None:
    thresholds = tune_thresholds(np.array([[0.5], [0.5], [0.2]]), np.array([[1], [0], [0]]))
    assert thresholds == pytest.approx(0.35)


def test_a_bright_spot_can_be_learnt(config: CLALAConfig) -> None:
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 60, (24, 64, 64)).astype(np.uint8)
    labels = np.zeros((24, 14))
    labels[::2, 4] = 1
    squares[::2, 28:36, 40:48] = 250
    torch.manual_seed(0)
    classifier = LesionClassifier(config)
    train_classifier(classifier, squares, labels, epochs=12, batch=12, learning_rate=5e-3, seed=0)
    found = predict(classifier, squares)[:, 4]
    assert found[::2].min() > found[1::2].max()


def test_an_encoder_with_a_file_of_its_own_is_not_built_here(config: CLALAConfig) -> None:
    with pytest.raises(BadConfig, match="biovil_t"):
        LesionClassifier(replace(config, classifier="biovil_t"))
