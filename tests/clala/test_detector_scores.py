from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clala.crops import BoxXYXY, Gray
from clala.data import IndexLine
from clala.detector_scores import score_detector


class FixedBoxes:
    """Finds the right lung shifted by half its width in every image, the left lung in bright images alone."""

    def find(self, images: Sequence[Gray]) -> list[dict[str, BoxXYXY]]:
        found: list[dict[str, BoxXYXY]] = []
        for image in images:
            boxes: dict[str, BoxXYXY] = {"right lung": (10.0, 0.0, 30.0, 20.0)}
            if image.mean() > 100:
                boxes["left lung"] = (30.0, 0.0, 50.0, 20.0)
            found.append(boxes)
        return found


def line(number: int, folder: Path, boxes: dict[str, BoxXYXY]) -> IndexLine:
    path = folder / f"{number}.png"
    Image.fromarray(np.full((40, 60), 200 if number % 2 else 20, np.uint8)).save(path)
    return IndexLine(f"i{number}", f"p{number}", "validate", path, boxes, {}, {})


def test_overlap_and_detection_rate_by_hand(tmp_path: Path) -> None:
    boxes: dict[str, BoxXYXY] = {"right lung": (0.0, 0.0, 20.0, 20.0), "left lung": (30.0, 0.0, 50.0, 20.0)}
    scores = score_detector(FixedBoxes(), [line(number, tmp_path, boxes) for number in range(4)])
    assert scores.iou == pytest.approx({"right lung": 1 / 3, "left lung": 1.0})
    assert scores.found == {"right lung": 1.0, "left lung": 0.5}
    assert scores.images == 4


def test_a_region_that_the_image_does_not_have_or_whose_box_is_faulty_counts_for_nothing(tmp_path: Path) -> None:
    faulty: dict[str, BoxXYXY] = {"left lung": (70.0, 0.0, 90.0, 20.0), "right lung": (10.0, 0.0, 30.0, 20.0)}
    scores = score_detector(FixedBoxes(), [line(1, tmp_path, faulty)])
    assert scores.found == {"right lung": 1.0}
    assert scores.mean_iou(["right lung", "carina"]) == 1.0


def test_nothing_found_is_no_overlap_of_zero(tmp_path: Path) -> None:
    scores = score_detector(FixedBoxes(), [line(0, tmp_path, {"left lung": (30.0, 0.0, 50.0, 20.0)})])
    assert (scores.iou, scores.found) == ({}, {"left lung": 0.0})
    assert np.isnan(scores.mean_iou())
    assert score_detector(FixedBoxes(), []).found == {}
