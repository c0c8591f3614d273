"""A radiograph as the network sees it: fitted into a square by OpenCV's INTER_AREA, black around it, then normalised.

As the authors do it (albumentations' LongestMaxSize, PadIfNeeded, Normalize), byte by byte equal to OpenCV on x86 without being it. Shrinking is a
mean over areas in 32-bit floats, added up in OpenCV's order. Where an axis grows INTER_AREA is no mean over areas at all, but OpenCV's linear
interpolation in whole numbers with weights of its own, and that is kept too. The black is put around before normalising, so it is not zero after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmark.records import BoxXYXY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Numbers = NDArray[Any]

COEFFICIENT = 2_048
"""OpenCV's weights of linear interpolation are whole numbers of so many"""
LEAST_PART = 1e-3
"""of a pixel: what is less is left out of a mean"""


class Fit(NamedTuple):
    """Where an image lies within the square."""

    width: int
    """of the scaled image, in pixels of the square"""
    height: int
    """likewise"""
    left: int
    """black columns before it"""
    top: int
    """black rows above it"""

    def to_square(self, box: BoxXYXY, size_px: tuple[int, int]) -> BoxXYXY:
        """A box on the image of (width, height) as one on the square."""
        x, y = self.width / size_px[0], self.height / size_px[1]
        return (box[0] * x + self.left, box[1] * y + self.top, box[2] * x + self.left, box[3] * y + self.top)

    def to_image(self, box: BoxXYXY, size_px: tuple[int, int]) -> BoxXYXY:
        """The other way, cut to the image."""
        width, height = size_px
        x, y = width / self.width, height / self.height
        left, right = (min(max((edge - self.left) * x, 0.0), float(width)) for edge in (box[0], box[2]))
        top, bottom = (min(max((edge - self.top) * y, 0.0), float(height)) for edge in (box[1], box[3]))
        return (left, top, right, bottom)


def fit_of(width: int, height: int, side: int) -> Fit:
    """How an image of that size is fitted into a square; an axis that would vanish keeps one pixel, where OpenCV would fail."""
    scale = side / max(width, height)
    inner_width, inner_height = (max(1, round(length * scale)) for length in (width, height))
    return Fit(inner_width, inner_height, (side - inner_width) // 2, (side - inner_height) // 2)


def square(grey: Bytes, side: int) -> Bytes:
    """(H, W) uint8 -> (side, side) uint8, black around it."""
    height, width = grey.shape
    fit = fit_of(width, height, side)
    canvas = np.zeros((side, side), np.uint8)
    canvas[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width] = resize_area(grey, fit.width, fit.height)
    return canvas


def normalised(squares: Bytes, mean: float, deviation: float) -> Floats:
    """uint8 -> float32, as albumentations computes it."""
    values = squares.astype(np.float32)
    values -= np.float32(np.float32(mean) * np.float32(255.0))
    values *= np.reciprocal(np.float32(deviation) * np.float32(255.0), dtype=np.float32)
    return values


def resize_area(grey: Bytes, width: int, height: int) -> Bytes:
    """(H, W) uint8 -> (height, width) uint8, as cv2.resize with INTER_AREA."""
    if (height, width) == grey.shape:
        return grey.copy()
    # OpenCV goes by way of the inverse, and so do its roundings.
    scale_x, scale_y = 1 / (width / grey.shape[1]), 1 / (height / grey.shape[0])
    if scale_x < 1 or scale_y < 1:
        return _linear(grey, width, height, scale_x, scale_y)
    if scale_x == round(scale_x) and scale_y == round(scale_y):
        return _whole(grey, width, height, round(scale_x), round(scale_y))
    rows = _summed(grey.astype(np.float32).T, width, scale_x).T
    return _bytes(np.rint(_summed(np.ascontiguousarray(rows), height, scale_y)))


def _bytes(values: Numbers) -> Bytes:
    found: Bytes = values.astype(np.uint8)
    return found


def _whole(grey: Bytes, width: int, height: int, across: int, down: int) -> Bytes:
    """Means of whole pixels."""
    sums = grey[: height * down, : width * across].reshape(height, down, width, across).astype(np.int32).sum((1, 3))
    if across == down == 2:
        return _bytes((sums + 2) >> 2)
    return _bytes(np.rint(sums.astype(np.float32) * np.float32(1 / (across * down))))


def _summed(values: Floats, length: int, scale: float) -> Floats:
    """(n, m) float32 -> (length, m): along the first axis the mean over each stretch of ``scale``, added up pixel by pixel."""
    terms = [_terms(place, scale, len(values)) for place in range(length)]
    most = max(map(len, terms))
    # A term that is not there adds nothing: zero times the first pixel.
    at = np.array([[index for index, _ in row] + [0] * (most - len(row)) for row in terms])
    weights = np.array([[weight for _, weight in row] + [0.0] * (most - len(row)) for row in terms], dtype=np.float32)
    summed: Floats = weights[:, :1] * values[at[:, 0]]
    for term in range(1, most):
        summed += weights[:, term : term + 1] * values[at[:, term]]
    return summed


def _terms(place: int, scale: float, pixels: int) -> list[tuple[int, float]]:
    """Which pixels one place is the mean of, and what each counts."""
    begin = place * scale
    stretch = min(scale, pixels - begin)
    end = begin + scale
    last = min(int(np.floor(end)), pixels - 1)
    first = min(int(np.ceil(begin)), last)
    terms = [(first - 1, (first - begin) / stretch)] if first - begin > LEAST_PART else []
    terms += [(pixel, 1 / stretch) for pixel in range(first, last)]
    if end - last > LEAST_PART:
        terms.append((last, min(end - last, 1.0, stretch) / stretch))
    return terms


def _linear(grey: Bytes, width: int, height: int, scale_x: float, scale_y: float) -> Bytes:
    """What INTER_AREA is where an axis grows: between two pixels only in the part of the new one that reaches over the border between them."""
    left, right, weights_x = _between(width, scale_x, grey.shape[1])
    upper, lower, weights_y = _between(height, scale_y, grey.shape[0])
    whole = grey.astype(np.int32)
    across = whole[:, left] * weights_x[0] + whole[:, right] * weights_x[1]
    first, second = ((across[rows] >> 4) * weight[:, None] >> 16 for rows, weight in ((upper, weights_y[0]), (lower, weights_y[1])))
    return _bytes((first + second + 2) >> 2)


def _between(length: int, scale: float, pixels: int) -> tuple[Numbers, Numbers, tuple[Numbers, Numbers]]:
    """For each new pixel the two old ones, and what they count, in 2,048ths."""
    place = np.arange(length)
    low = np.floor(place * scale).astype(np.int64)
    share = ((place + 1) - (low + 1) * (1 / scale)).astype(np.float32)
    share = np.where(share <= 0, np.float32(0), share - np.floor(share))
    share = np.where(low >= pixels - 1, np.float32(0), share)
    low = np.clip(low, 0, pixels - 1)
    weights = tuple(np.rint(part * np.float32(COEFFICIENT)).astype(np.int32) for part in (1 - share, share))
    return low, np.minimum(low + 1, pixels - 1), (weights[0], weights[1])
