"""A radiograph as a network was shown it: short side to a length, the middle square cut out, numbers shifted and scaled.

Grey is worked on and then said three times, which is the same to the last bit as working on three equal colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from benchmark.datasets.grey import Grey

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI's CLIP
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
Filter = Literal["bilinear", "bicubic", "lanczos"]


def spread_to_255(grey: Grey) -> Grey:
    """The darkest pixel at 0, the brightest at 255, what lies between cut down to whole numbers; an image of one brightness becomes black.

    As MAIRA-2's processor and hi-ml's remap_to_uint8 do: in 64-bit floats, without rounding.
    """
    shifted = grey.astype(np.float64) - float(grey.min())
    brightest = float(shifted.max())
    return (shifted / brightest * 255.0).astype(np.uint8) if brightest else np.zeros_like(grey)


def resized(grey: Grey, size_px: tuple[int, int], how: Filter = "bicubic") -> Grey:
    """(H, W) uint8 at width and height ``size_px``, as Pillow does it."""
    from PIL import Image

    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
    return np.asarray(Image.fromarray(grey).resize(size_px, filters[how]), dtype=np.uint8)


def short_side_to(grey: Grey, side_px: int, how: Filter = "bicubic") -> Grey:
    """The whole image at a short side of so many pixels; the long one is cut down to a whole number, as torchvision and transformers do."""
    height, width = grey.shape
    if min(height, width) == side_px:
        return grey
    short = min(height, width)
    return resized(grey, (side_px * width // short, side_px * height // short), how)


def middle(grey: Grey, side_px: int, odd: Literal["round", "down"] = "round") -> Grey:
    """The square of so many pixels in the middle.

    odd  of an odd rest: round = half a pixel goes to the even side, as torchvision has it; down = to the left and up, as transformers 4 has it
    """
    height, width = grey.shape
    top, left = (round(rest / 2) if odd == "round" else rest // 2 for rest in (height - side_px, width - side_px))
    return grey[top : top + side_px, left : left + side_px]


def normalised(grey: Grey, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> np.ndarray:
    """(H, W) uint8 -> (3, H, W) float32: shares of 255, less ``mean``, by ``deviation``."""
    share = grey.astype(np.float32) / np.float32(255.0)
    shift, scale = (np.array(values, dtype=np.float32)[:, None, None] for values in (mean, deviation))
    return np.asarray((share[None] - shift) / scale, dtype=np.float32)
