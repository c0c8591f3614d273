"""A plain lateral view: enough of a chest for the files of a study to be complete. It shows no lesion and enters no scene graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmark.datasets.phantom.anatomy import Patient, smooth


def lateral_view(patient: Patient, rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    """The patient from the left side, breast bone to the left of the image."""
    h, w = round(size_px * 1.22), size_px
    scale = h / 42.0  # px per cm
    depth = 10.5 + 0.8 * patient.wall  # cm, half of front to back
    image = Image.new("L", (w, h), 4)
    draw = ImageDraw.Draw(image)

    def px(points: list[tuple[float, float]], closed: bool = True) -> list[tuple[float, float]]:
        return [(w / 2 + x * scale, h / 2 + y * scale) for x, y in smooth(points, 6, closed=closed).tolist()]

    body = [
        (-depth, -2.0),
        (-depth * 0.8, -13.0),
        (-4.0, -17.5),
        (5.0, -18.0),
        (depth * 0.95, -11.0),
        (depth, 4.0),
        (depth * 0.85, 26.0),
        (-depth * 0.95, 26.0),
    ]
    draw.polygon(px(body), fill=138)
    lung = [
        (-depth + 2.6, -3.0),
        (-depth + 4.4, -10.0),
        (0.0, -14.0),
        (depth - 4.4, -9.0),
        (depth - 2.8, 1.0),
        (depth - 3.2, 12.5),
        (1.5, 8.2),
        (-depth + 3.0, 8.6),
    ]
    draw.polygon(px(lung), fill=62)
    ratio = patient.heart_ratio * 22
    heart = [(-depth + 2.6, 3.5), (-depth + 4.0, 0.2), (-1.5, -1.5), (ratio * 0.28, 2.5), (ratio * 0.2, 7.5), (-depth + 3.2, 9.0)]
    draw.polygon(px(heart), fill=150)
    arch = [(-3.0, -3.5), (-1.0, -6.5), (2.6, -5.8), (3.8, 0.0), (4.6, 8.0)]
    draw.line(px(arch, closed=False), fill=92, width=round(2.2 * scale), joint="curve")
    draw.line(px([(-0.4, -17.0), (0.4, -8.0), (1.0, -3.5)], closed=False), fill=44, width=round(1.5 * scale))
    image = image.filter(ImageFilter.GaussianBlur(0.35 * scale))
    draw = ImageDraw.Draw(image)
    for k in range(15):  # vertebrae
        y = -17.0 + 2.75 * k
        x = depth - 4.6 + 1.5 * np.sin((y + 17) / 40 * np.pi)
        box = [(x - 1.5, y), (x + 1.5, y + 0.15), (x + 1.5, y + 2.2), (x - 1.5, y + 2.05)]
        corners = [(w / 2 + u * scale, h / 2 + v * scale) for u, v in box]
        draw.polygon(corners, fill=128 + 3 * k, outline=168 + 2 * k)
    for k in range(9):  # ribs slope from the spine down to the front
        y = -12.0 + 2.5 * k
        draw.line(px([(depth - 4.5, y), (2.0, y + 3.0), (-depth + 4.0, y + 6.5)], closed=False), fill=98, width=max(1, round(0.35 * scale)))
    draw.line(px([(-depth + 1.7, -9.0), (-depth + 1.4, 0.0), (-depth + 2.0, 6.0)], closed=False), fill=176, width=round(0.8 * scale))
    image = image.filter(ImageFilter.GaussianBlur(0.1 * scale))
    pixels = np.asarray(image).astype(np.float32) + rng.normal(0, 3.5, (h, w)).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)
