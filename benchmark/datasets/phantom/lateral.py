"""A plain lateral view: enough of a chest for the files of a study to be complete. It shows no lesion and enters no scene graph."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmark.datasets.phantom.anatomy import Patient, Points, smooth

HEIGHT_CM = 40.0  # of the cassette


def lateral_view(patient: Patient, rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    """The patient from the left side, breast bone to the left of the image; a sum of shadows like the frontal view."""
    full = (size_px, round(size_px * 1.22))
    film = _Film(full[0] // 3, full[1] // 3)  # drawn at a third of the resolution: everything in it is soft
    d = 10.0 + 0.7 * patient.wall  # cm, half of front to back
    tall = patient.lung_height / 24.0
    body = [
        (-d, -1.0),
        (-d * 0.86, -11.0),
        (-d * 0.5, -16.0),
        (-4.0, -24.0),
        (5.5, -24.0),
        (d * 0.8, -15.0),
        (d, -4.0),
        (d * 0.9, 9.0),
        (d, 26.0),
        (-d * 1.02, 26.0),
    ]
    shadow = 0.62 * film.fill(body, 0.5)
    shadow += 0.20 * film.fill([(-d, 7.0), (-2.0, 6.6), (4.0, 9.0), (d, 13.0), (d, 27.0), (-d, 27.0)], 0.7)
    shadow += 0.16 * film.fill([(-3.5, -14.0), (d * 0.9, -14.0), (d * 0.8, -8.5), (0.0, -9.0)], 1.2)  # shoulders
    lung = [(-d + 2.4, -1.0), (-d + 3.2, -7.0), (-d * 0.35, -12.0), (2.6, -13.0), (d - 3.6, -9.0), (d - 1.9, 0.0), (d - 2.2, 11.5 * tall)]
    lung += [(4.0, 8.0 * tall), (0.5, 6.6 * tall), (-d + 3.0, 7.4 * tall)]
    air = film.fill(lung, 0.16)
    shadow -= 0.44 * air
    reach = 24 * patient.heart_ratio - 7.5
    heart = [(-d + 2.6, 4.0), (-d + 3.2, 0.6), (-3.0, -2.2), (reach * 0.6, -0.5), (reach, 3.6), (reach * 0.8, 7.8), (-d + 3.0, 8.6)]
    shadow += 0.27 * air * film.fill(heart, 0.35)
    shadow += 0.10 * film.stroke([(-3.2, -1.5), (-2.4, -5.0), (0.6, -6.6), (3.2, -4.0), (4.2, 2.0), (5.0, 9.0)], 2.2, 0.35)
    shadow += 0.15 * film.fill([(-2.2, -1.0), (-0.4, -2.4), (1.6, -1.0), (1.2, 1.4), (-1.0, 1.6)], 0.4)  # hilum
    shadow -= 0.10 * film.stroke([(-1.6, -18.0), (-0.2, -9.0), (0.6, -2.0)], 1.4, 0.2)
    for shift in (0.0, 0.8):  # the ribs of the two sides do not quite overlap
        heights = [-12.5 + 2.35 * k + shift for k in range(10)]
        arcs = [smooth([(d - 3.0, y), (d - 1.6, y + 1.6), (3.0, y + 4.2), (-d * 0.45, y + 6.4)], 6) for y in heights]
        shadow += 0.045 * (0.25 + 0.75 * air) * film.strokes(arcs, 0.75, 0.07)
    shadow += _spine(film, d)
    shadow += 0.12 * film.stroke([(-d + 1.9, -8.0), (-d + 1.1, -1.0), (-d + 1.7, 5.0)], 0.9, 0.1)
    shadow -= 0.18 * film.fill([(-2.0, 9.0), (1.0, 8.6), (2.2, 10.2), (-1.0, 10.8)], 0.3) * float(rng.random() < 0.6)
    shadow = np.clip(shadow, 0.0, 1.1) ** np.float32(rng.uniform(0.9, 1.15))
    image = Image.fromarray(np.clip(shadow * 235 + 3, 0, 255).astype(np.uint8)).resize(full, Image.Resampling.BICUBIC)
    pixels = np.asarray(image).astype(np.float32) + np.float32(3.2) * rng.standard_normal(full[::-1], dtype=np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


class _Film:
    """Centimetres to pixels, centre of the chest in the middle."""

    def __init__(self, width: int, height: int) -> None:
        self.size, self.scale = (width, height), height / HEIGHT_CM

    def fill(self, outline: list[tuple[float, float]], soft_cm: float) -> NDArray[np.float32]:
        """A closed shape, 0..1."""
        layer = Image.new("L", self.size)
        ImageDraw.Draw(layer).polygon(self._px(smooth(outline, 6, closed=True)), fill=255)
        return self._soften(layer, soft_cm)

    def stroke(self, line: list[tuple[float, float]], width_cm: float, soft_cm: float) -> NDArray[np.float32]:
        """An open line, 0..1."""
        return self.strokes([smooth(line, 6)], width_cm, soft_cm)

    def strokes(self, lines: list[Points], width_cm: float, soft_cm: float) -> NDArray[np.float32]:
        """Open lines, 0..1 where they overlap too."""
        layer = Image.new("L", self.size)
        draw = ImageDraw.Draw(layer)
        for line in lines:
            draw.line(self._px(line), fill=255, width=max(1, round(width_cm * self.scale)), joint="curve")
        return self._soften(layer, soft_cm)

    def polygons(self, shapes: list[list[tuple[float, float]]], level: int) -> NDArray[np.float32]:
        """Several angular shapes with brighter edges."""
        layer = Image.new("L", self.size)
        draw = ImageDraw.Draw(layer)
        for shape in shapes:
            draw.polygon(self._px(np.array(shape)), fill=level, outline=255)
        return self._soften(layer, 0.09)

    def _px(self, points: Points) -> list[tuple[float, float]]:
        w, h = self.size
        return [(w / 2 + x * self.scale, h / 2 + y * self.scale) for x, y in points.tolist()]

    def _soften(self, layer: Image.Image, soft_cm: float) -> NDArray[np.float32]:
        blurred = layer.filter(ImageFilter.BoxBlur(1.5 * soft_cm * self.scale))
        return np.asarray(blurred).astype(np.float32) / np.float32(255)


def _spine(film: _Film, d: float) -> NDArray[np.float32]:
    bodies = []
    for k in range(16):
        y = -19.0 + 2.45 * k + 0.02 * k * k
        x = d - 4.4 + 1.5 * math.sin((y + 19) / 42 * math.pi)
        tilt = 0.25 * math.cos((y + 19) / 42 * math.pi)
        bodies.append([(x - 1.45, y + tilt), (x + 1.45, y - tilt), (x + 1.45, y + 1.9 - tilt), (x - 1.45, y + 1.9 + tilt)])
    column: NDArray[np.float32] = np.float32(0.15) * film.polygons(bodies, 120)
    return column
