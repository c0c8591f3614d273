"""RGRG's network: detector, two classifiers, language model.

Tanida et al., Interactive and Explainable Region-guided Radiology Report Generation, CVPR 2023 (https://arxiv.org/abs/2304.08295). Written from the
paper and from what the authors' repository says of names and shapes; 608.9 million weights at the published sizes.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from adapters.rgrg.detector import Detector, Found
from adapters.rgrg.language import Language
from adapters.rgrg.sizes import Sizes

THRESHOLD = -1.0
"""a region is chosen from this logit on, a probability of 0.269"""


class Chosen(NamedTuple):
    """What is known of a batch of images before a word is written."""

    found: Found
    """the regions"""
    selection: Tensor
    """(B, 29) logit of "a sentence should be written about it" """
    abnormal: Tensor
    """(B, 29) logit of "something is wrong with it"; the authors' program for reports does not look at it either"""
    is_chosen: Tensor
    """(B, 29) True where a sentence is to be written"""


class Network(nn.Module):
    """Images -> regions that were chosen, and a language model to ask about them."""

    def __init__(self, sizes: Sizes | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes or Sizes()
        self.detector = Detector(self.sizes)
        self.selection = _classifier(self.sizes)
        self.abnormality = _classifier(self.sizes)
        self.language = Language(self.sizes, dropout)

    def forward(self, images: Tensor) -> Chosen:
        """(B, 1, P, P) images, as ``image.fit`` makes them."""
        return self.choose(self.detector(images))

    def choose(self, found: Found) -> Chosen:
        """Which of the regions are worth a sentence."""
        selection, abnormal = self.selection(found.features)[..., 0], self.abnormality(found.features)[..., 0]
        return Chosen(found, selection, abnormal, (selection > THRESHOLD) & found.is_found)


def _classifier(sizes: Sizes) -> nn.Sequential:
    first, second = sizes.classifier_widths
    return nn.Sequential(nn.Linear(sizes.region_width, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 1))
