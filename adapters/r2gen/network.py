"""R2Gen's network: a ResNet sees, a transformer writes, and what was written is kept in a relational memory that steers the decoder's norms.

Chen et al., Generating Radiology Reports via Memory-driven Transformer, EMNLP 2020 (https://arxiv.org/abs/2010.16056). Written from the paper and
from what their program computes (cuhksz-nlp/R2Gen at 5a2e63f). Where it is unlike a transformer of torch, and must be for their weights:

- the norm divides by the standard deviation of n - 1, plus an epsilon that stands outside of the root;
- patches have no places: the encoder sees a set, so that one view handed in twice is that view alone;
- one number, 0, begins a report, ends it and fills it up.

One token at a time costs one token: keys and values of what was written are kept, those of the patches computed once, and the memory is carried on
where the original walks through the whole prefix again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from adapters.beam_search import Kept

EPSILON = 1e-6  # R2Gen, modules/encoder_decoder.py: LayerNorm
CYCLE = 10_000.0  # of the places' sines and cosines, Vaswani et al. 2017


@dataclass(frozen=True)
class Backbone:
    """Sizes of a ResNet; as they stand, ResNet-101."""

    block: Literal["bottleneck", "basic"] = "bottleneck"
    repeats: tuple[int, ...] = (3, 4, 23, 3)
    """blocks of each stage"""
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """of each stage; a bottleneck gives out four times as many"""
    stride_px: int = 32
    """pixels of the image for one patch"""

    @property
    def features(self) -> int:
        """Numbers of a patch."""
        return self.channels[-1] * (4 if self.block == "bottleneck" else 1)


@dataclass(frozen=True)
class Sizes:
    """As published unless given otherwise."""

    words: int
    """rows of the embedding: the vocabulary and 0"""
    width: int = 512
    inner: int = 512
    """of the feed-forward half of a layer"""
    heads: int = 8
    layers: int = 3
    slots: int = 3
    """of the memory; each is as wide as the network"""
    memory_heads: int = 8
    places: int = 5000
    """longest report, in tokens"""
    dropout: float = 0.1
    patch_dropout: float = 0.5
    image_size_px: int = 224
    backbone: Backbone = Backbone()


class Network(nn.Module):
    """Images -> log-probabilities of words. 77.7 million weights at the published sizes and a vocabulary of 25 words."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.reader = Reader(sizes)
        self.embedding = Embedding(sizes)
        self.memory = RelationalMemory(sizes)
        self.layers: Any = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = Norm(sizes.width)
        self.logit = nn.Linear(sizes.width, sizes.words)
        spread([self.reader.layers, self.embedding, self.memory, self.layers])

    def read(self, images: Tensor) -> Tensor:
        """See ``Reader.forward``."""
        read: Tensor = self.reader(images)
        return read

    def forward(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Log-probabilities of the next word after each token, the ones before it given.

        patches  (I, P, D)  what ``read`` gives
        tokens   (I, T)     the first is 0
        returns  (I, T, V)
        """
        x = self.embedding(tokens)
        memory, memories = self.memory.begin(len(x), x), []
        for place in range(x.shape[1]):
            memory = self.memory(memory, x[:, place])
            memories.append(memory)
        steer = torch.stack(memories, 1)
        for layer in self.layers:
            x = layer(x, steer, None, *layer.src_attn.keys_values(patches))
        scores: Tensor = self.logit(self.norm(x))
        return scores.log_softmax(-1)

    def begin(self, patches: Tensor) -> Written:
        """What is kept of (I, P, D) patches, nothing being written yet."""
        memory = self.memory.begin(len(patches), patches)
        return Written([LayerKept(*layer.src_attn.keys_values(patches)) for layer in self.layers], memory)

    def step(self, written: Written, tokens: Tensor, kept: Kept | None) -> Tensor:
        """As ``beam_search`` asks: (I, b) last tokens -> (I, b, V) log-probabilities of the next."""
        written.keep(kept)
        images, beams = tokens.shape
        x = self.embedding(tokens.reshape(-1, 1), first=written.length)
        written.memory = self.memory(written.memory, x[:, 0])
        written.length += 1
        x = x.reshape(images, beams, -1)
        steer = written.memory.reshape(images, beams, -1)
        for layer, past in zip(self.layers, written.layers, strict=True):
            x = layer(x, steer, past, past.patch_keys, past.patch_values)
        scores: Tensor = self.logit(self.norm(x))
        return scores.log_softmax(-1)


class Reader(nn.Module):
    """Images -> patches that know of one another."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.extractor = extractor(sizes.backbone)
        self.embed = nn.Linear(sizes.backbone.features, sizes.width)
        self.dropout = nn.Dropout(sizes.patch_dropout)
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = Norm(sizes.width)

    def forward(self, images: Tensor) -> Tensor:
        """Patches of all views of each case, in the order of the views.

        images   (I, N, 3, H, W)  N views, normalised
        returns  (I, N * P, D)
        """
        return self.encode(self.see(images))

    def see(self, images: Tensor) -> Tensor:
        """(I, N, 3, H, W) -> (I, N * P, F), what the ResNet makes of them."""
        count, views = images.shape[:2]
        seen: Tensor = self.extractor(images.flatten(0, 1))
        return seen.flatten(2).transpose(1, 2).reshape(count, -1, seen.shape[1]) if views else seen

    def encode(self, features: Tensor) -> Tensor:
        """(I, P, F) -> (I, P, D)."""
        x = self.dropout(self.embed(features).relu())
        for layer in self.layers:
            x = layer(x)
        encoded: Tensor = self.norm(x)
        return encoded


def extractor(backbone: Backbone) -> Any:
    """A ResNet without its last pooling and its head, of random weights: (N, 3, H, W) -> (N, F, H / stride, W / stride)."""
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    kind: Any = Bottleneck if backbone.block == "bottleneck" else BasicBlock
    return ResNet(kind, backbone.repeats, channels=backbone.channels, num_classes=0, global_pool="", output_stride=backbone.stride_px)


class Embedding(nn.Module):
    """Words and their places."""

    places: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.words, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.register_buffer("places", places(sizes.places, sizes.width))

    def forward(self, tokens: Tensor, first: int = 0) -> Tensor:
        """(N, T) tokens, of which the first has the place ``first`` -> (N, T, D)."""
        words = self.words(tokens) * math.sqrt(self.words.embedding_dim)
        embedded: Tensor = self.dropout(words + self.places[:, first : first + tokens.shape[1]])
        return embedded


def places(count: int, width: int) -> Tensor:
    """(1, count, width): sines in the even columns, cosines in the odd ones."""
    speeds = torch.exp(torch.arange(0, width, 2).float() * -(math.log(CYCLE) / width))
    angles = torch.arange(count).float()[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[None]


class Norm(nn.Module):
    """R2Gen's norm over the last axis: ``gamma (x - mean) / (std + epsilon) + beta``, std of n - 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.gamma * standardised(x) + self.beta


class SteeredNorm(nn.Module):
    """Memory-driven conditional layer normalisation: the memory is added to gamma and beta, each by a network of its own."""

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.mlp_gamma = nn.Sequential(nn.Linear(slots * width, width), nn.ReLU(), nn.Linear(width, width))
        self.mlp_beta = nn.Sequential(nn.Linear(slots * width, width), nn.ReLU(), nn.Linear(width, width))
        for part in (*self.mlp_gamma, *self.mlp_beta):
            if isinstance(part, nn.Linear):
                nn.init.constant_(part.bias, 0.1)  # R2Gen begins so

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(..., D) and (..., S * D), the memory at the same places -> (..., D)."""
        gamma: Tensor = self.gamma + self.mlp_gamma(memory)
        steered: Tensor = gamma * standardised(x) + (self.beta + self.mlp_beta(memory))
        return steered


def standardised(x: Tensor) -> Tensor:
    """(..., D) less its mean, over its standard deviation and epsilon."""
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + EPSILON)


class Attention(nn.Module):
    """Attention of several heads; keys and values are made apart, for they may be kept."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.linears: Any = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        """of queries, keys, values, and of what was gathered"""

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, D) -> twice (N, H, K, D / H)."""
        return self._split(self.linears[1](x)), self._split(self.linears[2](x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, *, is_causal: bool = False) -> Tensor:
        """(N, Q, D) queries -> (N, Q, D); ``is_causal``: each sees those up to its own place."""
        dropout = self.dropout if self.training else 0.0
        seen = scaled_dot_product_attention(self._split(self.linears[0](x)), keys, values, dropout_p=dropout, is_causal=is_causal)
        out: Tensor = self.linears[3](seen.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)
        return split


class FeedForward(nn.Module):
    """The second half of a layer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(sizes.width, sizes.inner), nn.Linear(sizes.inner, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        out: Tensor = self.w_2(self.dropout(self.w_1(x).relu()))
        return out


class EncoderLayer(nn.Module):
    """Patches look at one another."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = FeedForward(sizes)
        self.norms: Any = nn.ModuleList(Norm(sizes.width) for _ in range(2))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(I, P, D) -> (I, P, D)."""
        seen = self.norms[0](x)
        x = x + self.dropout(self.self_attn(seen, *self.self_attn.keys_values(seen)))
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[1](x)))
        return out


class DecoderLayer(nn.Module):
    """Tokens look back, then at the patches; before each the memory steers the norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.src_attn = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = FeedForward(sizes)
        self.norms: Any = nn.ModuleList(SteeredNorm(sizes.width, sizes.slots) for _ in range(3))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, memory: Tensor, past: LayerKept | None, patch_keys: Tensor, patch_values: Tensor) -> Tensor:
        """One layer.

        x        (I, n, D)      n tokens of a report, or, with a past, the last token of n beams
        memory   (I, n, S * D)  after each of them
        past                    what was written before them, and grows by them; None = they follow one another
        returns  (I, n, D)
        """
        x = x + self.dropout(look_back(self.self_attn, self.norms[0](x, memory), past))
        x = x + self.dropout(self.src_attn(self.norms[1](x, memory), patch_keys, patch_values))
        out: Tensor = x + self.dropout(self.feed_forward(self.norms[2](x, memory)))
        return out


def look_back(attention: Attention, x: Tensor, past: LayerKept | None) -> Tensor:
    """(I, n, D) -> (I, n, D): each of n tokens sees those before it; with a past each is the last of a beam of its own."""
    if past is None:
        seen: Tensor = attention(x, *attention.keys_values(x), is_causal=True)
        return seen
    rows = x.reshape(-1, 1, x.shape[-1])
    seen = attention(rows, *past.grow(*attention.keys_values(rows)))
    return seen.reshape(x.shape)


class RelationalMemory(nn.Module):
    """A few rows that each new token may write into: gated like an LSTM, read by attention."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.slots, self.width = sizes.slots, sizes.width
        self.attn = Attention(sizes.width, sizes.memory_heads, sizes.dropout)
        self.mlp = nn.Sequential(nn.Linear(sizes.width, sizes.width), nn.ReLU(), nn.Linear(sizes.width, sizes.width), nn.ReLU())
        self.W = nn.Linear(sizes.width, 2 * sizes.width)
        self.U = nn.Linear(sizes.width, 2 * sizes.width)

    def begin(self, count: int, like: Tensor) -> Tensor:
        """(count, S * D) before the first token: slot i has a 1 in column i."""
        return torch.eye(self.slots, self.width, device=like.device, dtype=like.dtype).flatten().expand(count, -1)

    def forward(self, memory: Tensor, token: Tensor) -> Tensor:
        """(N, S * D) memory and (N, D) the next token's embedding -> (N, S * D)."""
        before, token = memory.reshape(-1, self.slots, self.width), token[:, None]
        after = before + self.attn(before, *self.attn.keys_values(torch.cat([before, token], 1)))
        after = after + self.mlp(after)
        let_in, keep = (self.W(token) + self.U(before.tanh())).sigmoid().chunk(2, -1)
        following: Tensor = let_in * after.tanh() + keep * before
        return following.flatten(1)


class LayerKept:
    """What one layer keeps of the patches and of what was written."""

    def __init__(self, patch_keys: Tensor, patch_values: Tensor, image: Tensor | None = None) -> None:
        """(I, H, P, D / H) each; ``image`` is the whole of it, (I, 1, M), for a network that looks at that too."""
        self.patch_keys, self.patch_values = patch_keys, patch_values
        self.image = patch_keys.new_zeros(len(patch_keys), 1, 0) if image is None else image
        self.keys: Tensor | None = None
        """(I * b, H, T, D / H)"""
        self.values: Tensor | None = None

    def grow(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values, with these of one more token."""
        self.keys = keys if self.keys is None else torch.cat([self.keys, keys], 2)
        self.values = values if self.values is None else torch.cat([self.values, values], 2)
        return self.keys, self.values

    def keep(self, kept: Kept, is_fewer: bool) -> None:
        """Go on with these rows; ``is_fewer``: images have gone."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[kept.rows], self.values[kept.rows]
        if is_fewer:
            self.patch_keys, self.patch_values, self.image = (kind[kept.images] for kind in (self.patch_keys, self.patch_values, self.image))


class Written:
    """What is kept between two steps of writing."""

    def __init__(self, layers: list[LayerKept], memory: Tensor) -> None:
        """``memory`` has a row per beam, (I * b, M); of a network without one M is 0."""
        self.layers, self.memory, self.length = layers, memory, 0

    def keep(self, kept: Kept | None) -> None:
        """Re-order by what goes on; None = the first step, nothing to re-order."""
        if kept is None:
            return
        self.memory = self.memory[kept.rows]
        for layer in self.layers:
            layer.keep(kept, len(kept.images) < len(layer.patch_keys))


def spread(parts: list[nn.Module]) -> None:
    """Begin every matrix of the parts as R2Gen does: uniform after Glorot and Bengio."""
    for part in parts:
        for parameter in part.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
