"""What a training reads, cut once, and the embedded region detector, which learns from the whole images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clala.checkpoint import Bundle
from clala.config import CLALAConfig, Recipe
from clala.crops import CropStore, ReadImage, cut_all, pad_to_square, to_unit
from clala.data import IndexLine
from clala.detector import RegionDetector, detect, train_detector
from clala.detector_scores import DetectorScores, scores_of
from clala.log import TrainingLog
from clala.regions import LESIONS, REGIONS, regions_of

Progress = Callable[[str, int, str], AbstractContextManager[Callable[[int], None]]]
"""label, how many, of what -> a context with a function that is called with the number just done"""


def silent(label: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    """A ``Progress`` that shows nothing."""
    return nullcontext(lambda count: None)


class Part(NamedTuple):
    """One split of the index, and its pixels."""

    lines: Sequence[IndexLine]
    store: CropStore

    def labels(self) -> np.ndarray:
        """(N, 14) of 0 and 1."""
        return np.array([line.lesion_row() for line in self.lines]).reshape(-1, len(LESIONS))

    def boxes(self) -> np.ndarray:
        """(N, 29, 4) shares of the padded square; NaN where a region has no box."""
        found = np.full((len(self.lines), len(REGIONS), 4), np.nan)
        for i, line in enumerate(self.lines):
            for name, box in line.boxes.items():
                found[i, REGIONS.index(name)] = to_unit(box, self.store.shapes[i])
        return found

    def squares(self, size_px: int) -> np.ndarray:
        """(N, S, S) uint8: the whole images, smaller."""
        return np.stack([pad_to_square(whole, size_px) for whole in self.store.whole])


def cut_parts(
    splits: Mapping[str, Sequence[IndexLine]],
    folder: Path,
    config: CLALAConfig,
    crop_px: int,
    *,
    reader: ReadImage,
    workers: int,
    progress: Progress,
) -> dict[str, Part]:
    """Every split with its crops at that size, cut into ``folder`` unless they lie there already."""
    names = regions_of(config.roi_set)
    parts = {}
    for split, lines in splits.items():
        with progress(f"cut crops ({split}, {crop_px} px)", len(lines), "images") as advance:
            store = cut_all(
                [line.image for line in lines],
                [{name: line.boxes[name] for name in names if name in line.boxes} for line in lines],
                folder / f"{split}-{crop_px}",
                crop_px=crop_px,
                margin=config.crop_margin,
                whole_px=config.classifier_px,
                reader=reader,
                workers=workers,
                advance=advance,
            )
        parts[split] = Part(lines, store)
    return parts


def fit_detector(bundle: Bundle, r: Recipe, parts: Mapping[str, Part], log: TrainingLog, progress: Progress, *, seed: int) -> None:
    """Train the embedded region detector and note its overlap with the true boxes of the validation images."""
    px, detector = bundle.config.detector_px, bundle.detector
    if r.detector_epochs == 0:
        return
    assert isinstance(detector, RegionDetector)
    with progress("train detector", r.detector_epochs, "epochs") as advance:

        def after(epoch: int, loss: float) -> None:
            log.write(event="detector", epoch=epoch, loss=loss)
            advance(1)

        squares, boxes = parts["train"].squares(px), parts["train"].boxes()
        train_detector(detector, squares, boxes, epochs=r.detector_epochs, learning_rate=r.detector_learning_rate, seed=seed, on_epoch=after)
    if "validate" in parts:
        scores = detector_scores(detector, parts["validate"])
        log.summary.update(scores.summary())
        log.write(event="detector", iou_validate=scores.mean_iou(), found_validate=scores.mean_found())


def detector_scores(detector: RegionDetector, part: Part) -> DetectorScores:
    """How well it finds the regions of a split, by the images as they were shrunk when crops were cut."""
    import torch

    found = detect(detector, torch.from_numpy(part.squares(detector.size_px)).float().to(detector.mean.device) / 255)
    return scores_of(np.array([[each[name] for name in REGIONS] for each in found]), part.boxes())
