"""Lesion cross-attention: each region asks the 14 lesions what they mean here (Noh et al. 2026, E1 to E4).

    E1  T = TextEnc(names)[CLS]                          T  (C, D)
    E2  T~ = W * T,  W = 0.9 where the image has the lesion, 0.1 where not
    E3  V = the region's tokens                          V  (M, L, D)
    E4  V' = LN(V + concat_h(softmax((V Wq)(T~ Wk)^T / sqrt(D / h)) (T~ Wv)) Wo)

Where we differ: the printed text gives no residual; without one, V' would lie in the span of 14 text vectors and lose the image, against the
paper's own "retains fine-grained regional visual cues", so residual and norm stand as in any BERT block (D3). All tokens ask, not the class
token alone (D4); ``lca_query="cls"`` is the literal reading. T~ gets no norm of its own: a LayerNorm is blind to scale and would cancel W.
For the same reason the maps of keys and values have no bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clala.bert import dropout, see
from clala.config import CLALAConfig


class LesionCrossAttention(nn.Module):
    """E4, once or several times over. Regions are independent of each other: the keys are lesions."""

    def __init__(self, config: CLALAConfig) -> None:
        super().__init__()
        self.query = config.lca_query
        self.blocks = nn.ModuleList(LCABlock(config.width, config.heads, config.dropout, config.lca_ffn) for _ in range(config.lca_layers))

    def forward(self, rois: Tensor, lesions: Tensor, weights: Tensor) -> Tensor:
        """Let every region gather what the present lesions mean for it.

        rois     (M, L, D)  F, class token first
        lesions  (C, D)     T, the names as the text encoder reads them
        weights  (M, C)     W, one number per lesion: 0.9 present, 0.1 absent
        returns  (M, L, D)  F'; (M, 1, D) where the class token asks alone
        """
        weighted = weights.unsqueeze(2) * lesions  # (M, C, D), E2
        asking = rois[:, :1] if self.query == "cls" else rois
        for block in self.blocks:
            asking = block(asking, weighted)
        return asking


class LCABlock(nn.Module):
    """One cross-attention with residual and norm; a feed-forward behind it if wanted."""

    def __init__(self, width: int, heads: int, dropout: float, ffn: bool) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.o = nn.Linear(width, width)
        for linear in (self.q, self.k, self.v, self.o):
            nn.init.xavier_uniform_(linear.weight)  # torch's own default would let a third of the signal through, twice over
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.ffn: nn.Module | None = None
        if ffn:
            self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))
            self.norm_ffn = nn.LayerNorm(width)

    def forward(self, asking: Tensor, weighted: Tensor) -> Tensor:
        """(M, L, D) asks (M, C, D); returns (M, L, D)."""
        q, k, v = (self._split(linear(x)) for linear, x in ((self.q, asking), (self.k, weighted), (self.v, weighted)))
        gathered = see(q, k, v, forgotten=self.dropout if self.training else 0.0)
        out: Tensor = self.norm(asking + dropout(self.o(gathered), self.drop))
        if self.ffn is not None:
            out = self.norm_ffn(out + self.ffn(out))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (M, h, rows, D / h)


def lesion_weights(lesions: Tensor, *, present: float, absent: float, soft: bool = False, thresholds: Tensor | None = None) -> Tensor:
    """W of E2 from labels or predicted probabilities.

    lesions     (..., C)  0/1 labels, or probabilities in [0, 1]
    thresholds  (C,)      a lesion is present from here on; 0.5 if not given
    returns     (..., C)  ``present`` or ``absent``; with ``soft`` any value between, in step with the probability
    """
    if soft:
        return absent + (present - absent) * lesions
    limit = torch.full_like(lesions, 0.5) if thresholds is None else thresholds.to(lesions).expand_as(lesions)
    return torch.where(lesions >= limit, lesions.new_tensor(present), lesions.new_tensor(absent))
