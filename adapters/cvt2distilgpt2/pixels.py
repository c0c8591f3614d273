"""A radiograph as the network sees it: the middle of it, edges cut off."""

from __future__ import annotations

import numpy as np

LEAST_PX = 16
"""A side that is shorter is no radiograph."""


class TooSmall(ValueError):
    """An image that shows nothing; the message says how small it is."""


def middle(grey: np.ndarray, resize_px: int, image_px: int) -> np.ndarray:
    """(H, W) uint8 -> (image_px, image_px) uint8: the shorter side made ``resize_px`` long, bilinear, and a square cut from the middle.

    The published program does the same, by Pillow too, with three equal channels, and with torchvision's rounding: half a pixel goes to the even one.

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
    return resized[top : top + image_px, left : left + image_px]
