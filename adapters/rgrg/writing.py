"""Features of regions -> tokens of their sentences, by beam search with a cache of keys and values.

Beams as the authors' program has them: the beam scorer of transformers 4.19.2 with early_stopping. A sentence that is done is computed no further,
and before the first word there is one beam, not four alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adapters.beam_search import Kept, beam_search
from adapters.rgrg.language import Language


@torch.inference_mode()
def write(language: Language, features: Tensor, *, beams: int = 4, most_tokens: int = 300) -> list[list[int]]:
    """Tokens of one sentence per row of (M, F) features, without begin and end.

    most_tokens  the begin among them
    """
    if not len(features):
        return []
    walk = _Walk(language, features)
    found = beam_search(
        walk.step,
        len(features),
        policy="first_full",
        beams=beams,
        steps=min(most_tokens, language.sizes.places) - 1,
        start=language.sizes.end,
        end=language.sizes.end,
        device=features.device,
    )
    return [one.tokens for one in found]


class _Walk:
    """The cache, and how far the words have come."""

    def __init__(self, language: Language, features: Tensor) -> None:
        self.language = language
        self.cache: Any = language.begin(features)
        self.place = 0

    def step(self, tokens: Tensor, kept: Kept | None) -> Tensor:
        """(I, b) last tokens -> (I, b, V) log-probabilities of the next."""
        if kept is not None:
            self.cache.batch_select_indices(kept.rows)
        scores = self.language.step(tokens.reshape(-1, 1), self.cache, self.place)[:, -1]
        self.place += 1
        return scores.float().log_softmax(-1).reshape(*tokens.shape, -1)
