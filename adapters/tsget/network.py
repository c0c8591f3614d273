"""TSGET's network: R2Gen's eyes and encoder, and a decoder that brings the whole image into every layer twice.

Yi et al., TSGET: Two-Stage Global Enhanced Transformer for Automatic Radiology Report Generation, IEEE JBHI 28(4), 2024
(https://doi.org/10.1109/JBHI.2024.3350077). Written from what its program computes (SKD-HPC/TSGET at 4feeffb), for the paper is not free to read.
There is no memory, and the norms are R2Gen's plain ones. The image as a whole is the mean of the encoder's patches. Each of the two stages that bring
it in replaces its input, where a transformer would add to it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adapters.beam_search import Kept
from adapters.r2gen.network import Attention, Embedding, FeedForward, LayerKept, Norm, Reader, Sizes, Written, look_back, spread


class Network(nn.Module):
    """Images -> log-probabilities of words. 65.7 million weights at the published sizes and a vocabulary of 25 words."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.reader = Reader(sizes)
        self.embedding = Embedding(sizes)
        self.layers: Any = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = Norm(sizes.width)
        self.logit = nn.Linear(sizes.width, sizes.words)
        spread([self.reader.layers, self.embedding, self.layers])

    def read(self, images: Tensor) -> Tensor:
        """(I, N, 3, H, W) -> (I, N * P, D), see ``Reader.forward``."""
        read: Tensor = self.reader(images)
        return read

    def forward(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """(I, P, D) patches and (I, T) tokens, the first 0 -> (I, T, V) log-probabilities of the next word after each."""
        return self._write(self.embedding(tokens), self.begin(patches), [None] * len(self.layers))

    def begin(self, patches: Tensor) -> Written:
        """What is kept of (I, P, D) patches, nothing being written yet."""
        image = patches.mean(1, keepdim=True)
        layers = [LayerKept(keys, values, image) for keys, values in (layer.keys_values(patches) for layer in self.layers)]
        return Written(layers, patches.new_zeros(len(patches), 0))

    def step(self, written: Written, tokens: Tensor, kept: Kept | None) -> Tensor:
        """As ``beam_search`` asks: (I, b) last tokens -> (I, b, V) log-probabilities of the next."""
        written.keep(kept)
        images, beams = tokens.shape
        x = self.embedding(tokens.reshape(-1, 1), first=written.length)
        written.length += 1
        return self._write(x.reshape(images, beams, -1), written, written.layers)

    def _write(self, x: Tensor, written: Written, pasts: list[LayerKept] | list[None]) -> Tensor:
        for layer, seen, past in zip(self.layers, written.layers, pasts, strict=True):
            x = layer(x, seen, past)
        scores: Tensor = self.logit(self.norm(x))
        return scores.log_softmax(-1)


class DecoderLayer(nn.Module):
    """The image goes in, tokens look back, then at the patches, and what they saw is weighed against the image as a whole."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.enter = nn.Linear(2 * width, width)
        """the first stage: the token beside the image"""
        self.self_attn = Attention(width, sizes.heads, sizes.dropout)
        self.src_attn = Attention(width, sizes.heads, sizes.dropout)
        self.near, self.whole = Gate(width), Gate(width)
        """the second stage: what the token saw of the patches, and the image as a whole, each gated by the token"""
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.feed_forward = FeedForward(sizes)
        self.norms = nn.ModuleList(Norm(width) for _ in range(3))
        self.dropout = nn.Dropout(sizes.dropout)

    def keys_values(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What its tokens look at of (I, P, D) patches."""
        return self.src_attn.keys_values(patches)

    def forward(self, x: Tensor, seen: LayerKept, past: LayerKept | None) -> Tensor:
        """One layer.

        x        (I, n, D)  n tokens of a report, or, with a past, the last token of n beams
        seen                keys and values of the patches, and the whole image
        past                what was written before them, and grows by them; None = they follow one another
        returns  (I, n, D)
        """
        image = seen.image.expand_as(x)
        x = self.enter(torch.cat([x, image], -1)).relu()
        x = x + self.dropout(look_back(self.self_attn, self.norms[0](x), past))
        looked = x + self.dropout(self.src_attn(self.norms[1](x), seen.patch_keys, seen.patch_values))
        near, whole = self.near(looked, x), self.whole(image, x)
        share = (self.weigh(near) - self.weigh(whole)).sigmoid()
        x = share * near + (1 - share) * whole
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[2](x)))
        return out


class Gate(nn.Module):
    """Two inputs added, and let through as far as the same two, added otherwise, say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value, self.value_token = nn.Linear(width, width), nn.Linear(width, width)
        self.gate, self.gate_token = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        """(..., D) what was seen and (..., D) the token -> (..., D)."""
        gate: Tensor = (self.gate(x) + self.gate_token(token)).sigmoid()
        let_through: Tensor = gate * (self.value(x) + self.value_token(token))
        return let_through
