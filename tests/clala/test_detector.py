from __future__ import annotations

import numpy as np
import pytest
import torch

from clala.checkpoint import Bundle
from clala.config import CLALAConfig
from clala.detector import RegionDetector, _moved, detect, overlap, train_detector
from clala.regions import REGIONS


def chests(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright frame that moves, with all 29 boxes at fixed shares of it."""
    rng = np.random.default_rng(0)
    squares, boxes = np.zeros((number, 64, 64), np.uint8), np.zeros((number, 29, 4))
    for i in range(number):
        x, y = rng.integers(4, 16, 2)
        w, h = rng.integers(34, 44, 2)
        squares[i, y : y + h, x : x + w] = 80
        squares[i, y + 3 : y + h - 3, x + 3 : x + w - 3] = 200
        for r in range(29):
            a, b = (r % 6) / 8, (r // 6) / 8
            boxes[i, r] = np.array([x + a * w, y + b * h, x + (a + 0.3) * w, y + (b + 0.3) * h]) / 64
    return squares, boxes


def test_a_detector_follows_the_image_and_beats_the_mean_anatomy(config: CLALAConfig) -> None:
    squares, boxes = chests(60)
    torch.manual_seed(0)
    detector = RegionDetector(config)
    train_detector(detector, squares[:48], boxes[:48], epochs=30, learning_rate=3e-3, seed=0)
    found = np.array([[each[name] for name in REGIONS] for each in detect(detector, torch.from_numpy(squares[48:]).float() / 255)])
    mean = np.broadcast_to(boxes[:48].mean(0), found.shape)
    assert np.nanmean(overlap(found, boxes[48:])) > np.nanmean(overlap(mean, boxes[48:])) + 0.05


def test_every_region_is_found_in_any_image(bundle: Bundle) -> None:
    found = detect(bundle.detector, torch.zeros(1, 64, 64))[0]
    assert list(found) == list(REGIONS)
    assert np.isfinite(list(found.values())).all()


def test_a_region_that_is_missing_in_training_does_no_harm(config: CLALAConfig) -> None:
    squares, boxes = chests(12)
    boxes[:, 3] = np.nan
    boxes[2] = np.nan
    detector = RegionDetector(config)
    train_detector(detector, squares, boxes, epochs=1, learning_rate=1e-3, seed=0)
    assert all(bool(torch.isfinite(value).all()) for value in detector.state_dict().values())


def test_boxes_move_with_the_image() -> None:
    pixels, boxes = torch.zeros(8, 1, 128, 128), torch.tensor([[[0.4, 0.5, 0.5, 0.6]]]).repeat(8, 1, 1)
    pixels[:, :, 64:77, 51:64] = 1
    moved, followed = _moved(pixels, boxes, torch.Generator().manual_seed(0))
    for image, box in zip(moved, followed, strict=True):
        y, x = (image[0] > 0.5).nonzero().float().mean(0) / 128
        assert float((box[0, 0] + box[0, 2]) / 2) == pytest.approx(float(x), abs=0.015)
        assert float((box[0, 1] + box[0, 3]) / 2) == pytest.approx(float(y), abs=0.015)


def test_overlap_is_shared_area_over_joint_area() -> None:
    assert overlap(np.array([0, 0, 2, 2.0]), np.array([1, 0, 3, 2.0])) == pytest.approx(2 / 6)
    assert overlap(np.array([0, 0, 1, 1.0]), np.array([2, 2, 3, 3.0])) == 0
    assert np.isnan(overlap(np.array([0, 0, 1, 1.0]), np.full(4, np.nan)))
