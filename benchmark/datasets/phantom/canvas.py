"""Pixels for shapes in centimetres: masks, soft blobs, textures.

8-bit Pillow images serve as layers (drawing and blurring them is several times faster than in floating point); float32 arrays hold sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from benchmark.datasets.phantom.anatomy import Anatomy, Points

Plane = NDArray[np.float32]
TILE = 1024  # side of the repeating texture tiles
COARSE = 4  # how many image pixels make one of a soft layer


class Window(NamedTuple):
    """A part of the image with the position of its pixels in the chest."""

    at: tuple[slice, slice]
    """rows, columns"""
    x: Plane
    """cm"""
    y: Plane
    """cm"""


class Canvas:
    """The pixel grid of one image."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.width, self.height = anatomy.pose.width_px, anatomy.pose.height_px
        self.px_per_cm = anatomy.pose.px_per_cm

    def layer(self, scale: int = 1) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """An empty 8-bit layer, ``scale`` times as fine as the image."""
        image = Image.new("L", (self.width * scale, self.height * scale))
        return image, ImageDraw.Draw(image)

    def coarse_layer(self) -> tuple[Image.Image, ImageDraw.ImageDraw, float]:
        """An empty layer a quarter as fine, for soft things, and its scale."""
        image = Image.new("L", (max(self.width // COARSE, 8), max(self.height // COARSE, 8)))
        return image, ImageDraw.Draw(image), image.width / self.width

    def px(self, points: Points | Sequence[tuple[float, float]], scale: float = 1) -> list[tuple[float, float]]:
        """Centimetres -> what ImageDraw takes."""
        return list(map(tuple, (self.anatomy.to_px(points) * scale).tolist()))

    def mask(self, outlines: Sequence[Points], blur_cm: float = 0.0) -> Plane:
        """Filled outlines, 0..1, with an edge of a pixel, or as soft as asked."""
        image, draw = self.layer(2)
        for outline in outlines:
            draw.polygon(self.px(outline, 2), fill=255)
        return self.plane(image.reduce(2), blur_cm)

    def plane(self, layer: Image.Image, blur_cm: float = 0.0) -> Plane:
        """An 8-bit layer as 0..1, brought to the size of the image: from twice it by averaging, from a quarter by interpolation."""
        if layer.width > self.width:
            layer = layer.reduce(2)
        elif layer.width < self.width:
            layer = layer.resize((self.width, self.height), Image.Resampling.BILINEAR)
        if (radius := blur_cm * self.px_per_cm) > 0.2:
            layer = layer.filter(ImageFilter.BoxBlur(1.5 * radius))  # one pass: a third of the time of a Gaussian
        out: Plane = np.asarray(layer).astype(np.float32)
        out *= np.float32(1 / 255)
        return out

    def window(self, x: float, y: float, reach_cm: float) -> Window:
        """The square around a point, cut to the image; may be empty."""
        (cx, cy) = self.anatomy.to_px([(x, y)])[0]
        r = reach_cm * self.px_per_cm * 1.05
        rows = slice(int(np.clip(cy - r, 0, self.height)), int(np.clip(cy + r + 1, 0, self.height)))
        columns = slice(int(np.clip(cx - r, 0, self.width)), int(np.clip(cx + r + 1, 0, self.width)))
        return self._positions(rows, columns)

    def side_window(self, side: str) -> Window:
        """The rectangle around one lung."""
        xy = self.anatomy.to_px(self.anatomy.lungs[side])
        low, high = np.floor(xy.min(axis=0)).astype(int) - 3, np.ceil(xy.max(axis=0)).astype(int) + 4
        x1, x2 = np.clip([low[0], high[0]], 0, self.width).tolist()
        y1, y2 = np.clip([low[1], high[1]], 0, self.height).tolist()
        return self._positions(slice(y1, y2), slice(x1, x2))

    def _positions(self, rows: slice, columns: slice) -> Window:
        p = self.anatomy.pose
        cos, sin = np.cos(p.angle) / p.px_per_cm, np.sin(p.angle) / p.px_per_cm
        c = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - self.width / 2
        r = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - self.height / 2
        x = (c * np.float32(cos) + r * np.float32(sin) + np.float32(p.centre_x)).astype(np.float32)
        y = (r * np.float32(cos) - c * np.float32(sin) + np.float32(p.centre_y)).astype(np.float32)
        return Window((rows, columns), x, y)

    def texture(self, rng: np.random.Generator, shape: tuple[int, int], grain_cm: float) -> Plane:
        """Clouds with mean 0 and deviation 1 whose lumps are about ``grain_cm`` across."""
        rows, columns = shape
        if not rows or not columns:
            return np.zeros(shape, np.float32)
        tile = _clouds()
        step = 1.0 / (self.px_per_cm * grain_cm) * 24.0  # tile pixels per image pixel; a lump of the tile is 24 px
        h, w = min(max(int(rows * step), 2), TILE), min(max(int(columns * step), 2), TILE)
        r, c = int(rng.integers(TILE - h + 1)), int(rng.integers(TILE - w + 1))
        part = Image.fromarray(tile[r : r + h, c : c + w])
        return np.asarray(part.resize((columns, rows), Image.Resampling.BICUBIC), dtype=np.float32)

    def noise(self, rng: np.random.Generator) -> Plane:
        """Grainy noise with deviation 1, one value per pixel."""
        tile = _grain()
        r, c = (int(v) for v in rng.integers(0, TILE, 2))
        rows = np.arange(r, r + self.height) % TILE
        if self.width <= TILE:
            doubled = np.concatenate([tile, tile], axis=1) if c + self.width > TILE else tile
            return doubled[rows, c : c + self.width]
        return tile[rows][:, np.arange(c, c + self.width) % TILE]


def soft_step(values: Plane, softness: float) -> Plane:
    """0 below, 1 above zero, with a smooth edge ``softness`` wide."""
    t = np.clip(values * np.float32(1 / softness) + np.float32(0.5), 0, 1)
    out: Plane = t * t * (3 - 2 * t)
    return out


@lru_cache(maxsize=1)
def _clouds() -> Plane:
    rng = np.random.default_rng(7)
    white = rng.standard_normal((TILE, TILE), dtype=np.float32)
    total = np.zeros((TILE, TILE), np.float32)
    for sigma, weight in ((12.0, 1.0), (6.0, 0.55), (3.0, 0.3)):
        part = gaussian_filter(white, sigma, mode="wrap")
        total += weight * part / part.std()
    out: Plane = (total / total.std()).astype(np.float32)
    return out


@lru_cache(maxsize=1)
def _grain() -> Plane:
    rng = np.random.default_rng(11)
    white = rng.standard_normal((TILE, TILE), dtype=np.float32)
    fine = 0.75 * white + 1.6 * gaussian_filter(white, 0.8, mode="wrap")
    out: Plane = (fine / fine.std()).astype(np.float32)
    return out
