"""Which of the 14 lesions the whole radiograph shows: what LCA is told at generation (D11).

Two networks, one interface: squares in [0, 1] to 14 logits. ``biovil_t`` is the paper's: the published image encoder of BioViL-T, its projected map
pooled to cells of 4 x 4 and two linear layers, as in the findings classifier of RaDialog (Pellegrini et al., arXiv 2311.18681). ``small`` needs no
published weights: a residual CNN whose last map scores every place for every lesion; a soft maximum over places makes the image's score, so that a
nodule is not averaged away (as in Wang et al., ChestX-ray8, CVPR 2017). A threshold per lesion is tuned for F1 on the validation images.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from clala.config import BadConfig, CLALAConfig
from clala.detector import standardise, with_position
from clala.regions import LESIONS

SHARPNESS = 4.0
"""Of the soft maximum over places: towards 0 it is the mean, towards infinity the maximum (ChestX-ray8 tried 0 to 10)."""
POOLED = 4  # RaDialog, findings_classifier/chexpert_model.py
"""side of the patch of BioViL-T's map that becomes one cell"""


def new_classifier(config: CLALAConfig) -> nn.Module:
    """The untrained classifier that the configuration names: (B, 1, S, S) squares in [0, 1] -> (B, 14) logits, ``size_px`` = S."""
    return BioViLTClassifier(config) if config.classifier == "biovil_t" else LesionClassifier(config)


class LesionClassifier(nn.Module):
    """(B, 1, S, S) padded squares in [0, 1] -> (B, 14) logits."""

    def __init__(self, config: CLALAConfig) -> None:
        super().__init__()
        if config.classifier != "small":
            raise BadConfig(f"classifier is {config.classifier!r}, which needs its own file; LesionClassifier is the small one")
        w = config.classifier_width
        self.size_px = config.classifier_px
        self.stem = nn.Sequential(
            nn.Conv2d(3, w, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(w), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.Sequential(Residual(w, w, 1), Residual(w, 2 * w, 2), Residual(2 * w, 4 * w, 2), Residual(4 * w, 4 * w, 1))
        self.drop = nn.Dropout2d(config.dropout)
        self.places = nn.Conv2d(4 * w, len(LESIONS), 1)
        self.overall = nn.Linear(4 * w, len(LESIONS))

    def forward(self, squares: Tensor) -> Tensor:
        """Score each lesion."""
        maps = self.drop(self.stages(self.stem(with_position(standardise(squares)))))
        scores = self.places(maps).flatten(2)
        strongest = (torch.logsumexp(SHARPNESS * scores, dim=2) - np.log(scores.shape[2])) / SHARPNESS
        logits: Tensor = strongest + self.overall(maps.mean(dim=(2, 3)))
        return logits


class BioViLTClassifier(nn.Module):
    """(B, 1, S, S) squares in [0, 1] -> (B, 14) logits; random until ``biovil_t.load_published`` fills ``image``, the head always learnt."""

    def __init__(self, config: CLALAConfig) -> None:
        super().__init__()
        from clala.biovil_t import JOINT, STRIDE_PX, BioViLT

        self.size_px = config.classifier_px
        self.image = BioViLT()
        # Neither ImageNet's head nor the comparison with an earlier image has a part in the answer.
        self.image.encoder.encoder.fc.requires_grad_(False)
        self.image.encoder.vit_pooler.requires_grad_(False)
        cells = ceil(ceil(config.classifier_px / STRIDE_PX) / POOLED)
        hidden = config.classifier_hidden
        self.head = nn.Sequential(nn.Linear(JOINT * cells**2, hidden), nn.ReLU(), nn.Linear(hidden, len(LESIONS)))

    def forward(self, squares: Tensor) -> Tensor:
        """Score each lesion."""
        # RaDialog's images of 488 px make a map of 16 x 16 = 4 x 4 cells. At 448 px it is 14 x 14: without ceil_mode the last two rows, where the
        # costophrenic angles are, would be dropped.
        cells = functional.avg_pool2d(self.image(squares).projected_patches, POOLED, ceil_mode=True)
        logits: Tensor = self.head(cells.flatten(1))
        return logits


class Residual(nn.Module):
    """Two 3x3 convolutions with a way around them (He et al., CVPR 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.around: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.around = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return functional.relu(self.layers(x) + self.around(x))


def positive_weights(labels: np.ndarray) -> np.ndarray:
    """How much more a positive of each lesion counts: log(1 + negatives / positives), (C,) from (N, C); 1 where there is none."""
    positives = labels.sum(0)
    return np.where(positives > 0, np.log1p((len(labels) - positives) / np.maximum(positives, 1)), 1.0).astype(np.float32)


def tune_thresholds(probabilities: np.ndarray, labels: np.ndarray, *, otherwise: float = 0.5) -> np.ndarray:
    """The threshold of each lesion with the best F1 on these images; ``otherwise`` where none of them shows it.

    Halfway between two neighbouring probabilities, so that rounding does not flip the image that it was tuned on. Of equal F1, the highest.
    """
    chosen = np.full(labels.shape[1], otherwise)
    for lesion in range(labels.shape[1]):
        truth, scores = labels[:, lesion] > 0.5, probabilities[:, lesion]
        if not truth.any():
            continue
        order = np.argsort(-scores, kind="stable")
        hits = np.cumsum(truth[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
        ranked = scores[order]
        distinct = np.append(ranked[:-1] > ranked[1:], True)  # equal scores cannot be told apart by any threshold
        best = int(np.argmax(np.where(distinct, f1, -1)))
        below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
        chosen[lesion] = (ranked[best] + below) / 2
    return chosen


def predict(classifier: nn.Module, squares: np.ndarray, *, batch: int = 32) -> np.ndarray:
    """(N, 14) probabilities of (N, S, S) uint8 squares."""
    device = next(classifier.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(squares), batch):
            pixels = torch.from_numpy(np.array(squares[start : start + batch])).unsqueeze(1).to(device).float() / 255
            parts.append(classifier(pixels).float().sigmoid().cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(LESIONS)), np.float32)
