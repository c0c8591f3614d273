"""Boxes as the files have them made into boxes that can be cropped.

The boxes of Chest ImaGenome reach over the border, lie outside or have no area in some images (seen by RGRG, Tanida et al., CVPR 2023). The rule is
RGRG's: what has no area or lies outside is dropped, the rest is clipped to the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmark.records import BoxXYXY

SizePx = tuple[float, float]
"""width, height"""


@dataclass(frozen=True)
class MendedBoxes:
    """What is left of an image's boxes, and what was done to the others."""

    boxes: dict[str, BoxXYXY]
    """region -> box inside the image, with area"""
    dropped: dict[str, str] = field(default_factory=dict)
    """region -> why it was left out"""
    clipped: tuple[str, ...] = ()
    """regions whose box reached over the border and was cut there"""


def scale_box(box_xyxy: BoxXYXY, from_size_px: SizePx, to_size_px: SizePx) -> BoxXYXY:
    """The same box on a copy of the image that has another size."""
    x, y = to_size_px[0] / from_size_px[0], to_size_px[1] / from_size_px[1]
    left, top, right, bottom = box_xyxy
    return (left * x, top * y, right * x, bottom * y)


def fault_of(box_xyxy: BoxXYXY, size_px: SizePx) -> str:
    """Why a box cannot be used on an image of this size; empty if it can (perhaps after clipping)."""
    left, top, right, bottom = box_xyxy
    width, height = size_px
    if not all(math.isfinite(value) for value in box_xyxy):
        return "not a number"
    if left >= right or top >= bottom:
        return "no area"
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "outside the image"
    return ""


def clip_box(box_xyxy: BoxXYXY, size_px: SizePx) -> BoxXYXY:
    """The part of a box that lies on the image."""
    left, top, right, bottom = box_xyxy
    width, height = size_px
    return (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))


def mend_boxes(boxes_xyxy: Iterable[tuple[str, BoxXYXY]] | Mapping[str, BoxXYXY], size_px: SizePx, drawn_on_px: SizePx | None = None) -> MendedBoxes:
    """Boxes that can be used on an image of ``size_px``; ``drawn_on_px`` is the size of the image they were drawn on, where that was another.

    A region that comes twice keeps its first usable box.
    """
    named = list(boxes_xyxy.items() if isinstance(boxes_xyxy, Mapping) else boxes_xyxy)
    kept: dict[str, BoxXYXY] = {}
    dropped: dict[str, str] = {}
    clipped: list[str] = []
    for region, box in named:
        if region in kept:
            continue
        scaled = scale_box(box, drawn_on_px, size_px) if drawn_on_px and drawn_on_px != size_px else box
        if fault := fault_of(scaled, size_px):
            dropped[region] = f"{fault}: {', '.join(f'{value:g}' for value in scaled)} on {size_px[0]:g} x {size_px[1]:g}"
            continue
        kept[region] = clip_box(scaled, size_px)
        dropped.pop(region, None)
        if kept[region] != tuple(scaled):
            clipped.append(region)
    return MendedBoxes(kept, dropped, tuple(clipped))
