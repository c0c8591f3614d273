"""GPT-2 that reads an image: between looking at the words so far and its inner layer, each block looks at what the encoder saw.

Radford et al., Language Models are Unsupervised Multitask Learners, 2019; the block with cross-attention is that of transformers'
``GPT2LMHeadModel(add_cross_attention=True)``, to which this is equal. Written anew for one reason: keys and values of the image are made once for all
beams and all steps, where the published program makes them again for each (6 layers x 576 places x 4 beams at every word).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.cvt2distilgpt2.sizes import Sizes

KeysValues = tuple[Tensor, Tensor]
"""(B, heads, T, D / heads) each"""


class Memory(NamedTuple):
    """What a text in the making needs of the steps before."""

    image: list[KeysValues]
    """of each layer, one row per image"""
    words: list[KeysValues]
    """of each layer, one row per beam of each image; empty before the first step"""

    def kept(self, rows: Tensor, images: Tensor) -> Memory:
        """That of the beams and images that go on, see ``beam_search.Kept``."""
        is_same = len(images) == len(self.image[0][0])  # then they are all there, in their order
        image = self.image if is_same else [(k.index_select(0, images), v.index_select(0, images)) for k, v in self.image]
        return Memory(image, [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in self.words])


class Decoder(nn.Module):
    """Words so far and an image -> the next word. 96.1 million weights at the published sizes, the table of words counted once."""

    def __init__(self, sizes: Sizes, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(sizes.words, sizes.width), nn.Embedding(sizes.places, sizes.width)
        self.layers = nn.ModuleList(Layer(sizes, dropout) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, sizes.words, bias=False)
        self.head.weight = self.words.weight
        self.dropout = dropout

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Score the word after each word, all at once.

        tokens   (B, T)     filled up on the right, which nothing before it sees
        seen     (B, P, D)  places of the image
        returns  (B, T, V)
        """
        x = self._embedded(tokens, 0)
        for layer, image in zip(self.layers, self.look(seen).image, strict=True):
            x = layer(x, image)[0]
        scores: Tensor = self.head(self.norm(x))
        return scores

    def look(self, seen: Tensor) -> Memory:
        """(I, P, D) places of images -> what stays the same for every word and beam."""
        return Memory([layer.cross.keys_values(seen) for layer in self.layers if isinstance(layer, Layer)], [])

    def step(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """The next word of each beam.

        tokens   (I, b)     last words
        returns  (I, b, V)  scores, and the memory with these words
        """
        images, beams = tokens.shape
        done = memory.words[0][0].shape[2] if memory.words else 0
        x = self._embedded(tokens.reshape(-1, 1), done)
        words = []
        for number, layer in enumerate(self.layers):
            x, now = layer(x, memory.image[number], memory.words[number] if done else None, beams=beams)
            words.append(now)
        scores: Tensor = self.head(self.norm(x)).view(images, beams, -1)
        return scores, Memory(memory.image, words)

    def _embedded(self, tokens: Tensor, done: int) -> Tensor:
        places = torch.arange(done, done + tokens.shape[1], device=tokens.device)
        embedded: Tensor = self.words(tokens) + self.places(places)
        return functional.dropout(embedded, self.dropout, self.training)


class Layer(nn.Module):
    """One block: words, image, inner layer, each with its norm before it; each adds to what was there."""

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.norm_words, self.norm_image, self.norm_inner = (nn.LayerNorm(sizes.width) for _ in range(3))
        self.own, self.cross = OwnAttention(sizes, dropout), CrossAttention(sizes, dropout)
        self.up, self.down = nn.Linear(sizes.width, sizes.growth * sizes.width), nn.Linear(sizes.growth * sizes.width, sizes.width)
        self.dropout = dropout

    def forward(self, x: Tensor, image: KeysValues, words: KeysValues | None = None, *, beams: int = 1) -> tuple[Tensor, KeysValues]:
        """(I * b, T, D) -> the same, and keys and values of all words so far; ``words`` are those of the steps before."""
        said, now = self.own(self.norm_words(x), words)
        x = x + said
        x = x + self.cross(self.norm_image(x), image, beams)
        inner = self.down(functional.gelu(self.up(self.norm_inner(x)), approximate="tanh"))
        return x + functional.dropout(inner, self.dropout, self.training), now


class OwnAttention(nn.Module):
    """Each word looks at itself and at the words before it."""

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, dropout
        self.all, self.out = nn.Linear(sizes.width, 3 * sizes.width), nn.Linear(sizes.width, sizes.width)

    def forward(self, x: Tensor, before: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """(B, T, D) -> the same, and keys and values of what was before and of these."""
        q, k, v = (_by_heads(part, self.heads) for part in self.all(x).chunk(3, dim=-1))
        if before is not None:  # one word, which may look at everything
            k, v = torch.cat((before[0], k), dim=2), torch.cat((before[1], v), dim=2)
        drop = self.dropout if self.training else 0.0
        found = functional.scaled_dot_product_attention(q, k, v, is_causal=before is None, dropout_p=drop)
        return functional.dropout(self.out(found.transpose(1, 2).flatten(2)), self.dropout, self.training), (k, v)


class CrossAttention(nn.Module):
    """Each word looks at all places of its image."""

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, dropout
        self.query, self.both, self.out = (nn.Linear(sizes.width, times * sizes.width) for times in (1, 2, 1))

    def keys_values(self, seen: Tensor) -> KeysValues:
        """(I, P, D) -> those of the image."""
        k, v = (_by_heads(part, self.heads) for part in self.both(seen).chunk(2, dim=-1))
        return k, v

    def forward(self, x: Tensor, image: KeysValues, beams: int = 1) -> Tensor:
        """(I * b, T, D) -> the same. The words of all beams ask together: a place is a place for each of them."""
        rows, length, width = x.shape
        q = _by_heads(self.query(x).view(rows // beams, beams * length, width), self.heads)
        found = functional.scaled_dot_product_attention(q, *image, dropout_p=self.dropout if self.training else 0.0)
        return functional.dropout(self.out(found.transpose(1, 2).reshape(rows, length, width)), self.dropout, self.training)


def _by_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, heads, T, D / heads)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)
