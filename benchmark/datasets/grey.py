"""Grey values of any depth as 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.uint8]
    """(H, W), 0 black, 255 white; bone is bright"""

WINDOW_PERCENTILES = (0.5, 99.5)
"""What deeper images are windowed to: burnt-in letters and dead pixels at both ends are cut, lung and bone are kept."""
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow has it


def spread(values: NDArray[np.float64], counted: NDArray[np.bool_] | None = None) -> Grey:
    """Any grey values as uint8: the range between the 0.5th and 99.5th percentile (of the ``counted`` pixels) over 0 to 255; flat is black."""
    finite = np.isfinite(values) if counted is None else np.isfinite(values) & counted
    if not finite.any():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = np.percentile(values[finite], WINDOW_PERCENTILES)
    if high <= low:  # nearly flat: a few pixels on one ground
        low, high = values[finite].min(), values[finite].max()
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    return of_shares(np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0))


def between(values: NDArray[np.float64], low: float, high: float) -> Grey | None:
    """Values with ``low`` as black and ``high`` as white; None if there is nothing between them."""
    return of_shares((values - low) / (high - low)) if high > low else None


def of_shares(share: NDArray[np.float64]) -> Grey:
    """Shares of white as grey values; what lies outside [0, 1] is cut."""
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def of_colour(colour: NDArray[Any], white: float) -> Grey:
    """(H, W, 3) red, green and blue as luminance; ``white`` is the value of a full colour."""
    return of_shares(colour[..., :3].astype(np.float64) @ np.array(LUMINANCE) / white)
