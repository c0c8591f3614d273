"""BERT's arithmetic over the weights of transformers' modules: for the text encoder, and for the decoder in training and word by word.

transformers builds the modules and loads the published weights. Its own forward passes look up masks, caches and kernels anew at every step, and on
a CPU draw their dropout slowly; at the demo's size this costs as much as the arithmetic. The numbers are the same to rounding: the tests hold the two
against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

See = Callable[[Tensor, Tensor, Tensor], Tensor]
"""queries (M, h, T, D / h), keys and values (M, h, S, D / h) -> what the queries gathered, (M, T, D)"""


def embed(bert: Any, tokens: Tensor, places: slice) -> Tensor:
    """(M, T) tokens -> (M, T, D). ``places`` are those of the T columns, or the one of all of them. All texts are of token type 0."""
    e = bert.embeddings
    at = e.position_embeddings.weight[places] + e.token_type_embeddings.weight[0]
    return dropout(e.LayerNorm(e.word_embeddings(tokens) + at), e.dropout)


def look(attention: Any, asking: Tensor, see: See, keys: Tensor, values: Tensor) -> Tensor:
    """One attention with residual and norm: (M, T, D) asks, (M, T, D) comes back; ``keys`` and ``values`` as ``keys_values`` makes them."""
    gathered = see(_split(attention.self.query(asking), attention.self.num_attention_heads), keys, values)
    return _add(attention.output, asking, gathered)


def keys_values(attention: Any, asked: Tensor) -> tuple[Tensor, Tensor]:
    """(M, S, D) -> two of (M, h, S, D / h)."""
    part = attention.self
    return _split(part.key(asked), part.num_attention_heads), _split(part.value(asked), part.num_attention_heads)


def feed_forward(layer: Any, x: Tensor) -> Tensor:
    """The other half of a layer, (M, T, D) -> (M, T, D)."""
    return _add(layer.output, x, functional.gelu(layer.intermediate.dense(x)))


def _add(output: Any, x: Tensor, found: Tensor) -> Tensor:
    out: Tensor = output.LayerNorm(x + dropout(output.dense(found), output.dropout))
    return out


def _split(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def see(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False, forgotten: float = 0.0) -> Tensor:
    """Scaled dot-product attention, the heads put side by side again.

    mask       bool, True where a query may look; broadcast to (M, h, T, S)
    causal     a query looks at its own place and those before, no further
    forgotten  share of the looks that dropout takes away
    """
    if q.requires_grad and q.device.type == "cpu":  # torch's fused kernel for CPUs knows no dropout, and in bf16 takes ten times as long to go back
        if causal:
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
        scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        gathered = _dropped(scores.softmax(3), forgotten) @ v
    else:
        gathered = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, dropout_p=forgotten)
    return gathered.transpose(1, 2).flatten(2)


def dropout(x: Tensor, module: Any) -> Tensor:
    """What the Dropout ``module`` would do, faster on a CPU."""
    return _dropped(x, module.p if module.training else 0.0)


def _dropped(x: Tensor, share: float) -> Tensor:
    if share == 0.0:
        return x
    # torch draws a float per number; 16 bits decide as well, and a draw has 64. The share is kept to 1 / 131,072.
    if x.device.type != "cpu":
        return functional.dropout(x, share)
    lots = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[: x.numel()]
    kept = lots.view(x.shape) >= round(share * 2**16) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - share))
