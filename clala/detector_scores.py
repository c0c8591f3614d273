"""How well a detector finds the regions: overlap with the true boxes, and how often it finds a region at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clala.crops import Gray, ReadImage, read_image, usable_box
from clala.data import IndexLine
from clala.detector import FindsRegions, overlap
from clala.regions import REGIONS

AT_ONCE = 16
"""images in memory at a time"""


@dataclass(frozen=True)
class DetectorScores:
    """Over images whose region has a usable true box; a region that has none anywhere is absent."""

    iou: dict[str, float]
    """region -> mean intersection over union, of the images in which it was found"""
    found: dict[str, float]
    """region -> share of the images in which it was found; a missing box is counted here, and not as an overlap of zero"""
    images: int
    """how many were looked at"""

    def summary(self) -> dict[str, dict[str, float]]:
        """What is stored with the weights."""
        return {
            "detector_iou": {name: round(value, 3) for name, value in self.iou.items()},
            "detector_found": {name: round(value, 3) for name, value in self.found.items()},
        }

    def mean_iou(self, names: Sequence[str] = REGIONS) -> float:
        """Mean of the regions' means; NaN if none of them was found."""
        values = [self.iou[name] for name in names if name in self.iou]
        return float(np.mean(values)) if values else float("nan")

    def mean_found(self, names: Sequence[str] = REGIONS) -> float:
        """Mean of the regions' shares; NaN if none of them has a true box."""
        values = [self.found[name] for name in names if name in self.found]
        return float(np.mean(values)) if values else float("nan")


def score_detector(
    detector: FindsRegions, lines: Sequence[IndexLine], *, reader: ReadImage = read_image, advance: Callable[[int], None] = lambda _: None
) -> DetectorScores:
    """Let the detector look at each image of the index and compare its boxes with those of the line."""
    truth, found = np.full((len(lines), len(REGIONS), 4), np.nan), np.full((len(lines), len(REGIONS), 4), np.nan)
    for start in range(0, len(lines), AT_ONCE):
        few = lines[start : start + AT_ONCE]
        images: list[Gray] = [reader(line.image) for line in few]
        for row, (line, image, boxes) in enumerate(zip(few, images, detector.find(images), strict=True), start):
            shape = (int(image.shape[0]), int(image.shape[1]))
            for number, name in enumerate(REGIONS):
                if (box := usable_box(line.boxes.get(name), shape)) is not None:
                    truth[row, number] = box
                    found[row, number] = boxes.get(name, (np.nan,) * 4)
        advance(len(few))
    return scores_of(found, truth)


def scores_of(found: np.ndarray, truth: np.ndarray) -> DetectorScores:
    """Boxes that a detector found against the true ones.

    found  (N, 29, 4)  NaN where a region was not found
    truth  (N, 29, 4)  NaN where a region has no usable box
    """
    iou = overlap(found, truth)
    known, seen = np.isfinite(truth[..., 0]), np.isfinite(iou)
    return DetectorScores(
        {name: float(iou[seen[:, i], i].mean()) for i, name in enumerate(REGIONS) if seen[:, i].any()},
        {name: float(seen[:, i].sum() / known[:, i].sum()) for i, name in enumerate(REGIONS) if known[:, i].any()},
        len(truth),
    )
