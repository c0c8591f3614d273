"""The sentence of a region: a GPT-2 that sees the region as one more word before all others.

Ziegler et al., Encoder-Agnostic Adaptation for Conditional Language Generation, 2019 (https://arxiv.org/abs/1908.06938): pseudo self-attention. In
every layer the region has a key and a value of its own, by matrices of its own, and no query. To GPT-2 that is a past of one token, so the network
is that of transformers with one key and one value in its cache before the first word.

The authors add to every word the embedding of the *token* that has its place's number, not the embedding of the place (``self.wte(position_ids)`` in
their language_model.py). The published weights were trained so, and so it stays; GPT-2's own table of places is never looked at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adapters.rgrg.sizes import Sizes


class Language(nn.Module):
    """Features of regions and the words so far -> what the next word may be."""

    def __init__(self, sizes: Sizes, dropout: float = 0.0) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=sizes.words,
            n_positions=sizes.places,
            n_embd=sizes.width,
            n_layer=sizes.layers,
            n_head=sizes.heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=sizes.end,
            eos_token_id=sizes.end,
        )
        self.sizes = sizes
        self.gpt: Any = GPT2LMHeadModel(config)
        self.gpt.transformer.wpe = TokensAsPlaces(self.gpt.transformer.wte)
        self.uk = nn.ModuleList(nn.Linear(sizes.width, sizes.width) for _ in range(sizes.layers))
        self.uv = nn.ModuleList(nn.Linear(sizes.width, sizes.width) for _ in range(sizes.layers))
        self.transform = nn.Sequential(nn.Linear(sizes.region_width, sizes.width), nn.ReLU(), nn.Linear(sizes.width, sizes.width))

    def begin(self, features: Tensor) -> Any:
        """The cache of keys and values with the regions in it: (M, F) features."""
        from transformers.cache_utils import DynamicCache

        seen = self.transform(features)[:, None]  # (M, 1, D)
        cache = DynamicCache()
        for layer, (key, value) in enumerate(zip(self.uk, self.uv, strict=True)):
            split = [made(seen).unflatten(2, (self.sizes.heads, -1)).transpose(1, 2) for made in (key, value)]
            cache.update(*split, layer)
        return cache

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Scores of what follows each word, all words given.

        features  (M, F)
        tokens    (M, T)     filled up on the right with whatever
        returns   (M, T, V)
        """
        return self.step(tokens, self.begin(features), 0)

    def step(self, tokens: Tensor, cache: Any, place: int) -> Tensor:
        """Scores of what follows each of (M, T) tokens, of which the first stands at ``place``: (M, T, V). They enter the cache."""
        places = torch.arange(place, place + tokens.shape[1], device=tokens.device)[None]
        scores: Tensor = self.gpt(input_ids=tokens, past_key_values=cache, position_ids=places, use_cache=True).logits
        return scores


class TokensAsPlaces(nn.Module):
    """In place of GPT-2's table of places: the embedding of the token whose number the place has."""

    def __init__(self, wte: nn.Embedding) -> None:
        super().__init__()
        self._wte = (wte,)  # in a tuple, so that its weights are not counted twice

    def forward(self, places: Tensor) -> Tensor:
        """(..., T) places -> (..., T, D)."""
        embedded: Tensor = self._wte[0](places)
        return embedded
