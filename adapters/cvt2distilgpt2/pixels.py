"""A radiograph as the network sees it: the middle of it, edges cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmark.datasets.images import Grey

LEAST_PX = 16
"""A side that is shorter is no radiograph."""


class TooSmall(ValueError):
    """An image that shows nothing; the message says how small it is."""


def middle(grey: Grey, resize_px: int, image_px: int) -> Grey:
    """(H, W) -> (image_px, image_px): the shorter side made ``resize_px`` long, bilinear as Pillow computes it, and a square cut from the middle.

    The published program does the same with three equal channels, and to torchvision's rounding: half a pixel goes to the even one.

    Raises TooSmall.
    """
    from PIL import Image

    height, width = grey.shape
    if min(height, width) < LEAST_PX:
        raise TooSmall(f"the image is {width} x {height} pixels, on which nothing can be seen; at least {LEAST_PX} x {LEAST_PX} are needed")
    short, long = min(height, width), max(height, width)
    size = (resize_px, int(resize_px * long / short)) if width <= height else (int(resize_px * long / short), resize_px)
    resized = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
    top, left = (round((side - image_px) / 2) for side in resized.shape)
    cut: Grey = resized[top : top + image_px, left : left + image_px]
    return cut
