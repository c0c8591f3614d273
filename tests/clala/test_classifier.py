from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clala.biovil_t import ImageEmbeddings
from clala.checkpoint import Bundle
from clala.classifier import BioViLTClassifier, LesionClassifier, new_classifier, positive_weights, predict, tune_thresholds
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


class FakeEncoder(torch.nn.Module):
    """Says the same map for every image."""

    def __init__(self, projected: torch.Tensor) -> None:
        super().__init__()
        self.projected = projected

    def forward(self, images: torch.Tensor) -> ImageEmbeddings:
        return ImageEmbeddings(*[self.projected.expand(len(images), -1, -1, -1)] * 4)


def test_the_head_behind_biovil_t_by_hand(config: CLALAConfig) -> None:
    """At 448 px the map of 14 x 14 becomes 4 x 4 cells; those at the lower and right edge are means of what is left there."""
    classifier = BioViLTClassifier(replace(config, classifier="biovil_t", classifier_px=448, classifier_hidden=3))
    projected = torch.zeros(1, 128, 14, 14)
    projected[0, 0, 13, 0] = 8.0  # where a costophrenic angle is: in a cell of 2 x 4, so its mean is 1
    projected[0, 127, 13, 13] = 8.0  # in a cell of 2 x 2: 2
    classifier.image = FakeEncoder(projected)  # type: ignore[assignment]
    first, last = classifier.head[0], classifier.head[2]
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[0, 0 * 16 + 12] = 5.0  # row 3, column 0 of channel 0
        first.weight[1, 127 * 16 + 15] = 0.5
        first.weight[2, 127 * 16 + 15] = -1.0  # below zero: ReLU
        last.weight[4] = torch.tensor([1.0, 10.0, 100.0])
    assert classifier(torch.zeros(2, 1, 448, 448))[:, 4].tolist() == [15.0, 15.0]


@pytest.mark.parametrize(("size_px", "cells"), [(488, 16), (448, 16), (224, 4), (64, 1)])
def test_the_head_fits_any_size(config: CLALAConfig, size_px: int, cells: int) -> None:
    classifier = BioViLTClassifier(replace(config, classifier="biovil_t", classifier_px=size_px)).eval()
    assert classifier.head[0].in_features == 128 * cells
    with torch.inference_mode():
        assert classifier(torch.zeros(1, 1, size_px, size_px)).shape == (1, 14)


def test_biovil_t_answers_two_images_together_as_two_alone(config: CLALAConfig) -> None:
    torch.manual_seed(0)
    classifier = new_classifier(replace(config, classifier="biovil_t")).eval()
    squares = np.random.default_rng(0).integers(0, 255, (2, 64, 64)).astype(np.uint8)
    together = predict(classifier, squares)
    np.testing.assert_allclose(together, np.concatenate([predict(classifier, squares[:1]), predict(classifier, squares[1:])]), atol=1e-5)
    assert abs(together[0] - together[1]).max() > 1e-4


def test_the_configuration_chooses_the_network(config: CLALAConfig) -> None:
    assert isinstance(new_classifier(config), LesionClassifier)
    assert isinstance(new_classifier(replace(config, classifier="biovil_t")), BioViLTClassifier)


def test_what_has_no_part_in_the_answer_is_not_learnt(config: CLALAConfig) -> None:
    """A weight without gradient would make several processes wait for each other for nothing."""
    classifier = new_classifier(replace(config, classifier="biovil_t"))
    classifier(torch.rand(2, 1, 64, 64)).sum().backward()
    without = {name for name, value in classifier.named_parameters() if value.grad is None}
    assert without == {name for name, value in classifier.named_parameters() if not value.requires_grad}
    assert {".".join(name.split(".")[:3]) for name in without} == {"image.encoder.encoder", "image.encoder.vit_pooler"}


def test_an_encoder_with_a_file_of_its_own_is_not_built_here(config: CLALAConfig) -> None:
    with pytest.raises(BadConfig, match="biovil_t"):
        LesionClassifier(replace(config, classifier="biovil_t"))
