"""Every size of the network, once; the published ones are the defaults.

Facts from the paper and the authors' repository, https://github.com/ttanida/rgrg (commit 9520b6d).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.vocabulary import REGIONS

CLASSES = len(REGIONS) + 1
"""29 regions, and 0 for what is none"""


@dataclass(frozen=True)
class Sizes:
    """What the network is made of."""

    image_px: int = 512
    """side of the square that the image is fitted into"""
    mean: float = 0.471  # compute_mean_std_dataset.py
    """of grey values in [0, 1] over MIMIC-CXR"""
    deviation: float = 0.302
    """likewise"""
    depths: tuple[int, ...] = (3, 4, 6, 3)
    """blocks of each stage of the ResNet"""
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """of each stage, within a block"""
    is_bottleneck: bool = True
    """blocks of three convolutions, as in ResNet-50, that put out four times as many channels; else of two"""
    stride: int = 32
    """pixels of the image per cell of the last map; less than 32 by dilation"""
    anchor_px: tuple[int, ...] = (20, 40, 60, 80, 100, 120, 140, 160, 180, 300)
    """sizes of the boxes that every cell begins with"""
    anchor_ratios: tuple[float, ...] = (0.2, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.3, 1.5, 2.1, 2.6, 3.0, 5.0, 8.0)
    """their heights over their widths"""
    proposals: int = 1_000
    """boxes that are looked at more closely, at most, before and after overlapping ones are left out"""
    box_samples: int = 512
    """boxes of an image that are learnt from in one step"""
    bins: int = 8
    """a box is cut into so many parts each way"""
    box_width: int = 1_024
    """numbers that a box is classified by"""
    region_width: int = 1_024
    """numbers that a region is described by"""
    classifier_widths: tuple[int, int] = (512, 128)
    """hidden layers of the two classifiers"""
    words: int = 50_257
    """rows of the vocabulary"""
    end: int = 50_256
    """token that a sentence begins with, ends with and is filled up with"""
    width: int = 1_024
    """of the language model"""
    layers: int = 24
    """likewise"""
    heads: int = 16
    """likewise"""
    places: int = 1_024
    """tokens of the longest sentence"""

    @property
    def map_channels(self) -> int:
        """Channels of the map that regions are cut from."""
        return self.channels[-1] * (4 if self.is_bottleneck else 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Sizes:
        """What ``to_json`` wrote. Raises TypeError for a size that there is not."""
        read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**read)
