"""CheXbert's network: a BERT that reads a report, and 14 linear heads on its class token.

Smit et al., Combining automatic labelers and expert annotations for accurate radiology report labeling using BERT, EMNLP 2020
(https://arxiv.org/abs/2004.09167). Written from the paper and from the names and shapes of the published file. In the last layer only the class
token is computed, for nothing else is looked at; the numbers are the same to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from adapters.chexbert.observations import CLASSES
from clala.bert import embed, feed_forward, keys_values, look, see

HEADS: tuple[int, ...] = (4,) * 13 + (2,)
"""classes of each head; of "No Finding" there are blank and positive alone"""


@dataclass(frozen=True)
class Sizes:
    """What the shapes of the tensors say of a BERT, and how many ways it looks at once, which they do not say."""

    words: int = 30_522
    """rows of the vocabulary"""
    places: int = 512
    """longest text, in tokens"""
    width: int = 768
    inner: int = 3_072
    """of the feed-forward half of a layer"""
    layers: int = 12
    attention_heads: int = 12


class Network(nn.Module):
    """Tokens -> a score for each class of each observation. 108.9 million weights at the published sizes."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=sizes.words,
            max_position_embeddings=sizes.places,
            hidden_size=sizes.width,
            intermediate_size=sizes.inner,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.attention_heads,
        )
        self.sizes = sizes
        self.bert: Any = BertModel(config, add_pooling_layer=False)
        self.linear_heads = nn.ModuleList(nn.Linear(sizes.width, classes) for classes in HEADS)

    def forward(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        """Score every class of every observation.

        tokens   (M, T)      [CLS] words [SEP], filled up on the right
        padding  (M, T)      True where a token is filling; None = there is none
        returns  (M, 14, 4)  minus infinity where an observation has no such class
        """
        return self.scores(self.read(tokens, padding))

    def scores(self, read: Tensor) -> Tensor:
        """(M, D), what ``read`` gives -> (M, 14, 4)."""
        read = read.float()
        scores = read.new_full((len(read), len(HEADS), len(CLASSES)), float("-inf"))
        with torch.autocast(read.device.type, enabled=False):  # scores of 16 bits would often be equal, and the first class win
            for place, head in enumerate(self.linear_heads):
                scores[:, place, : HEADS[place]] = head(read)
        return scores

    def read(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        """(M, T) tokens -> (M, D), what BERT makes of the whole text: the last layer's class token."""
        x = embed(self.bert, tokens, slice(0, tokens.shape[1]))
        seen = see if padding is None else partial(see, mask=~padding[:, None, None])
        *layers, last = self.bert.encoder.layer
        for layer in layers:
            x = feed_forward(layer, look(layer.attention, x, seen, *keys_values(layer.attention, x)))
        x = feed_forward(last, look(last.attention, x[:, :1], seen, *keys_values(last.attention, x)))
        return x[:, 0]
