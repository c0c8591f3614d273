"""Stored crops to what the encoder sees: the box alone, or in training a window that strays from it a little.

The paper names no augmentation; with the paper's settings this only scales to [0, 1]. On a thousand images the demo needs some, and a window that
strays is what a detector's box does at generation. Never a flip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor


def window(
    stored: Tensor,
    size_px: int,
    margin: float = 0.0,
    *,
    jitter: float = 0.0,
    brightness: float = 0.0,
    generator: torch.Generator | None = None,
    among: tuple[int, Sequence[int] | np.ndarray] | None = None,
) -> Tensor:
    """Cut each window out of its stored crop.

    stored      (M, S', S') uint8, cut with ``margin``
    jitter      each edge of the window moves by up to this share of the box
    brightness  contrast is multiplied and brightness shifted by up to this share
    among       (N, which M of them): what is drawn is drawn for N crops of which these are some, so that they stray as they would among all
    returns     (M, 1, size, size) float in [0, 1]
    """
    pixels = stored.unsqueeze(1).float() / 255
    if not jitter and not margin:
        return pixels if pixels.shape[-1] == size_px else functional.interpolate(pixels, size=(size_px, size_px), mode="bilinear", antialias=True)
    number = len(stored)
    drawn, own = (number, slice(None)) if among is None else (among[0], torch.as_tensor(among[1]))
    scale, shift = torch.full((number, 2), 1 / (1 + 2 * margin)), torch.zeros((number, 2))
    if jitter:
        edges = (torch.rand((drawn, 2, 2), generator=generator)[own] * 2 - 1) * jitter
        scale = scale * (1 + (edges[:, 1] - edges[:, 0]) / 2)
        shift = (edges[:, 0] + edges[:, 1]) / 2 / (1 + 2 * margin)
    theta = torch.zeros((number, 2, 3))
    theta[:, 0, 0], theta[:, 1, 1] = scale[:, 0], scale[:, 1]
    theta[:, :, 2] = shift
    grid = functional.affine_grid(theta, [number, 1, size_px, size_px], align_corners=False)
    pixels = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if brightness:
        change = (torch.rand((2, drawn, 1, 1, 1), generator=generator)[:, own] * 2 - 1) * brightness
        pixels = ((pixels - 0.5) * (1 + change[0]) + 0.5 + change[1] / 2).clamp(0, 1)
    return pixels
