"""CvT: a vision transformer whose patches, queries, keys and values come from convolutions, so that it needs no positions.

Wu et al., CvT: Introducing Convolutions to Vision Transformers, ICCV 2021 (https://arxiv.org/abs/2103.15808). Written from the paper and from the
names and shapes of the published tensors, with three things that the paper does not say and that its program does: GELU is the quick one, attention
is scaled by the whole width and not by that of a head, and the batch norms stand between convolution and projection. As CvT2DistilGPT2 uses it, the
map of the last stage leaves without its final norm, and the class token is dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.cvt2distilgpt2.sizes import Sizes

SHARPNESS = 1.702
"""of the sigmoid that stands in for GELU's"""


class Encoder(nn.Module):
    """Pixels -> a map of what is seen. 31.2 million weights at the published sizes."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        before = (3, *sizes.stage_widths[:-1])
        last = len(sizes.stage_widths) - 1
        self.stages = nn.ModuleList(Stage(sizes, number, channels, has_class=number == last) for number, channels in enumerate(before))

    def forward(self, pixels: Tensor) -> Tensor:
        """Look at images.

        pixels   (B, 3, H, W)  normalised
        returns  (B, P, D)     one row per place of the last map, 576 at the published sizes
        """
        grid = pixels
        for stage in self.stages:
            grid = stage(grid)
        return grid.flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """Patches of what came before, and the blocks that let them look at each other."""

    def __init__(self, sizes: Sizes, number: int, channels: int, *, has_class: bool) -> None:
        super().__init__()
        width, heads = sizes.stage_widths[number], sizes.stage_heads[number]
        size, stride, padding = sizes.patch_px[number], sizes.patch_stride[number], sizes.patch_padding[number]
        self.patches = nn.Conv2d(channels, width, size, stride, padding)
        self.norm = nn.LayerNorm(width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if has_class else None
        self.blocks = nn.ModuleList(Block(width, heads, sizes.key_stride, sizes.growth) for _ in range(sizes.stage_depths[number]))

    def forward(self, grid: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H', W')."""
        grid = self.patches(grid)
        height, width = grid.shape[-2:]
        x = self.norm(grid.flatten(2).transpose(1, 2))
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(len(x), -1, -1), x), dim=1)
        for block in self.blocks:
            x = block(x, height, width)
        return _grid(x[:, -height * width :], height, width)


class Block(nn.Module):
    """Attention, then a layer for each place alone; both add to what was there."""

    def __init__(self, width: int, heads: int, key_stride: int, growth: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, key_stride)
        self.up, self.down = nn.Linear(width, growth * width), nn.Linear(growth * width, width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(B, [1 +] H * W, D) -> the same."""
        x = x + self.attention(self.norm_1(x), height, width)
        inner = self.up(self.norm_2(x))
        grown: Tensor = self.down(inner * torch.sigmoid(SHARPNESS * inner))
        return x + grown


class Attention(nn.Module):
    """Each place looks at every second place of the map, each way."""

    def __init__(self, width: int, heads: int, key_stride: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, width**-0.5  # not that of a head: so it was trained
        self.query, self.key, self.value = (Projection(width, stride) for stride in (1, key_stride, key_stride))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(B, [1 +] H * W, D) -> the same; what precedes the map is a class token, which no convolution sees."""
        places = height * width
        token, grid = x[:, :-places], _grid(x[:, -places:], height, width)
        q, k, v = (self._by_heads(part(token, grid)) for part in (self.query, self.key, self.value))
        found: Tensor = self.out(functional.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2).flatten(2))
        return found

    def _by_heads(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, heads, T, D / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Projection(nn.Module):
    """Queries, keys or values: a convolution of each channel alone, its batch norm, and a linear layer."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, width)

    def forward(self, token: Tensor, grid: Tensor) -> Tensor:
        """(B, 0 or 1, D) and (B, D, H, W) -> (B, [1 +] H' * W', D)."""
        found: Tensor = self.linear(torch.cat((token, self.norm(self.conv(grid)).flatten(2).transpose(1, 2)), dim=1))
        return found


def _grid(places: Tensor, height: int, width: int) -> Tensor:
    """(B, H * W, D) -> (B, D, H, W)."""
    return places.transpose(1, 2).reshape(len(places), -1, height, width)
