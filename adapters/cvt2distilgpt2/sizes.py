"""Every size of the network, once; the published ones are the defaults.

Facts from the paper (https://doi.org/10.1016/j.artmed.2023.102633), from the authors' repository, https://github.com/aehrc/cvt2distilgpt2 (commit
c9edfb5), and from the configuration of CvT-21 at 384 x 384 pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """What the network is made of."""

    resize_px: int = 448
    """the image's shorter side before it is cut"""
    image_px: int = 384
    """side of the square that is cut from its middle: the edges of the film are never seen"""
    stage_widths: tuple[int, ...] = (64, 192, 384)
    """of the encoder"""
    stage_depths: tuple[int, ...] = (1, 4, 16)
    """blocks of each stage"""
    stage_heads: tuple[int, ...] = (1, 3, 6)
    """ways of looking at once, in each stage"""
    patch_px: tuple[int, ...] = (7, 3, 3)
    """of what each stage makes its patches of"""
    patch_stride: tuple[int, ...] = (4, 2, 2)
    """likewise"""
    patch_padding: tuple[int, ...] = (2, 1, 1)
    """likewise"""
    key_stride: int = 2
    """keys and values are taken at every second place of the map"""
    growth: int = 4
    """how much wider the inner layer of each block is, of encoder and decoder"""
    words: int = 50_259
    """GPT-2's 50,257 pieces, then [BOS] and [PAD]"""
    places: int = 1_024
    """longest text that has a position for each piece"""
    width: int = 768
    """of the decoder"""
    layers: int = 6
    """likewise"""
    heads: int = 12
    """likewise"""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Sizes:
        """What ``to_json`` gave. Raises TypeError for a size that there is not."""
        named: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return Sizes(**named)
