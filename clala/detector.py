"""Where the 29 regions are: a mean anatomy, bent to the image by a small network.

A shape model in the manner of Cootes et al. (Active shape models, CVIU 1995): the boxes of the training images are written as one vector of 116
numbers, its mean and its first modes of variation are taken, and a small network predicts how far to go along each mode. Boxes therefore
always stand to each other as in a chest, on an unusual radiograph too, and none is ever missing. Placement (shift, size, tilt) is the greatest
variation and comes out as the first modes.

It stands in for the paper's YOLOv10 (``yolo``): it needs nothing but torch and trains in a minute. Both have ``find``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from clala.config import CLALAConfig
from clala.crops import BoxXYXY, Gray, from_unit, pad_to_square, usable_box
from clala.regions import REGIONS

NUMBERS = 4 * len(REGIONS)
SPREAD = 4.0
"""Modes are bounded at so many standard deviations: beyond is no chest."""


class FindsRegions(Protocol):
    """What generation needs of a detector."""

    def find(self, images: Sequence[Gray]) -> list[dict[str, BoxXYXY]]:
        """Region -> box in pixels of each (H, W) uint8 image, within its edges; a region that was not found is absent (D12)."""


def new_detector(config: CLALAConfig) -> nn.Module:
    """The untrained detector that the configuration names; it has ``find``."""
    if config.detector == "yolov10":
        from clala.yolo import YOLODetector

        return YOLODetector(config)
    return RegionDetector(config)


class RegionDetector(nn.Module):
    """(B, 1, S, S) padded squares -> (B, 29, 4) boxes as shares of the square, left, top, right, bottom."""

    def __init__(self, config: CLALAConfig) -> None:
        super().__init__()
        w = config.detector_width
        self.size_px = config.detector_px
        widths = (3, w, 2 * w, 4 * w, 6 * w, 6 * w)
        self.layers = nn.Sequential(*(_block(before, after) for before, after in pairwise(widths)))
        # 1x1 then flatten, not a mean over the map: where things are is the whole question.
        self.squeeze = nn.Conv2d(widths[-1], 32, 1)
        cells = (config.detector_px // 32) ** 2
        self.head = nn.Sequential(nn.Linear(32 * cells, 128), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(128, config.detector_modes))
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("modes", torch.zeros(config.detector_modes, NUMBERS))  # rows scaled to one standard deviation

    mean: Tensor
    modes: Tensor

    def forward(self, squares: Tensor) -> Tensor:
        """Find the regions of each image."""
        maps = self.squeeze(self.layers(with_position(standardise(squares))))
        steps = SPREAD * torch.tanh(self.head(maps.flatten(1)) / SPREAD)
        boxes = self.mean + steps @ self.modes
        return boxes.reshape(-1, len(REGIONS), 4)

    def find(self, images: Sequence[Gray]) -> list[dict[str, BoxXYXY]]:
        """Region -> box in pixels of each image; all 29 but those that come to lie outside."""
        if not images:
            return []
        squares = np.stack([pad_to_square(image, self.size_px) for image in images])
        found = []
        for image, guess in zip(images, detect(self, torch.from_numpy(squares).float().to(self.mean.device) / 255), strict=True):
            shape = (int(image.shape[0]), int(image.shape[1]))
            usable = {name: usable_box(from_unit(box, shape), shape) for name, box in guess.items()}
            found.append({name: box for name, box in usable.items() if box is not None})
        return found

    def learn_shape(self, boxes: Tensor) -> None:
        """Take mean and modes from (N, 29, 4) boxes; a missing box is a row of NaN and counts as the mean."""
        rows = boxes.flatten(1).double()
        mean = rows.nanmean(0)
        mean = torch.where(mean.isfinite(), mean, torch.full_like(mean, 0.5))
        centred = torch.where(rows.isfinite(), rows - mean, torch.zeros_like(rows))
        _, spread, directions = torch.linalg.svd(centred, full_matrices=False)
        modes = directions * (spread / max(len(rows) - 1, 1) ** 0.5).unsqueeze(1)
        self.mean.copy_(mean)
        self.modes.zero_()
        kept = min(len(self.modes), len(modes))
        self.modes[:kept].copy_(modes[:kept])


def standardise(squares: Tensor) -> Tensor:
    """Each image to mean 0 and spread 1: exposure differs between machines and says nothing about anatomy."""
    mean = squares.mean(dim=(1, 2, 3), keepdim=True)
    return (squares - mean) / (squares.std(dim=(1, 2, 3), keepdim=True) + 1e-3)


def with_position(squares: Tensor) -> Tensor:
    """(B, 1, S, S) -> (B, 3, S, S): two channels more say where each pixel is, from -1 to 1."""
    batch, _, height, width = squares.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, height, device=squares.device), torch.linspace(-1, 1, width, device=squares.device), indexing="ij")
    return torch.cat([squares, torch.stack([x, y]).expand(batch, -1, -1, -1).to(squares)], dim=1)


def _block(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def detect(detector: RegionDetector, squares: Tensor) -> list[dict[str, BoxXYXY]]:
    """Region -> box, in shares of the padded square, for each (S, S) image of (B, S, S) floats in [0, 1]."""
    with torch.inference_mode():
        found = detector(squares.unsqueeze(1)).float().cpu().numpy()
    return [{name: (float(b[0]), float(b[1]), float(b[2]), float(b[3])) for name, b in zip(REGIONS, boxes, strict=True)} for boxes in found]


def train_detector(
    detector: RegionDetector,
    squares: np.ndarray,
    boxes: np.ndarray,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    batch: int = 32,
    on_epoch: Callable[[int, float], None] = lambda *_: None,
) -> None:
    """Learn from whole images and their boxes.

    squares  (N, S, S) uint8, padded; boxes  (N, 29, 4) shares of the square, NaN where a region has no box
    Images are moved, stretched and turned a little, their boxes with them; never flipped.
    """
    truth = torch.from_numpy(boxes.astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    device = detector.mean.device
    # The shape is learnt from moved boxes too: else the modes could not follow an image that lies further off than any in training.
    plain = [_moved(torch.zeros(len(truth), 1, 4, 4), truth, generator)[1] for _ in range(4)]
    detector.learn_shape(torch.cat([truth, *plain]).to(device))
    optimiser = torch.optim.AdamW(detector.parameters(), lr=learning_rate, weight_decay=0.01)
    steps = epochs * -(-len(truth) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    detector.train()
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.split(torch.randperm(len(truth), generator=generator), batch):
            pixels = torch.from_numpy(squares[rows.numpy()]).unsqueeze(1).float() / 255
            pixels, wanted = _moved(pixels, truth[rows], generator)
            loss = _distance(detector(pixels.to(device)), wanted.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        on_epoch(epoch, total / len(truth))
    detector.eval()


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    known = wanted.isfinite()
    return functional.smooth_l1_loss(found[known], wanted[known], beta=0.02)


def _moved(pixels: Tensor, boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images under a random small affine map and a change of exposure, and their boxes under the same map."""
    number = len(pixels)

    def draw(spread: float) -> Tensor:
        return (torch.rand(number, generator=generator) * 2 - 1) * spread

    angle, sx, sy, dx, dy = draw(0.1), 1 + draw(0.15), 1 + draw(0.15), draw(0.12), draw(0.12)
    # theta takes places of the new image to places of the old one, in [-1, 1]
    theta = torch.stack([torch.stack([sx * angle.cos(), -sy * angle.sin(), dx], 1), torch.stack([sx * angle.sin(), sy * angle.cos(), dy], 1)], dim=1)
    grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    pixels = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gamma = torch.exp(draw(0.4)).view(-1, 1, 1, 1)
    pixels = pixels.clamp(0, 1) ** gamma
    # A box follows by its centre and its size; turned corners would make every box of a tilted image too large.
    centre = (boxes[..., :2] + boxes[..., 2:]) - 1
    half = boxes[..., 2:] - boxes[..., :2]
    back = torch.linalg.inv(theta[:, :, :2])
    centre = (back @ (centre - theta[:, :, 2].unsqueeze(1)).transpose(1, 2)).transpose(1, 2)
    half = half / torch.stack([sx, sy], 1).unsqueeze(1)
    return pixels, torch.cat([centre - half + 1, centre + half + 1], dim=2) / 2


def overlap(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union of (..., 4) boxes; NaN where the truth is unknown."""
    corner = np.maximum(found[..., :2], truth[..., :2])
    opposite = np.minimum(found[..., 2:], truth[..., 2:])
    shared = np.prod(np.clip(opposite - corner, 0, None), axis=-1)
    area = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (found, truth)]
    union: np.ndarray = shared / (area[0] + area[1] - shared)
    return union
