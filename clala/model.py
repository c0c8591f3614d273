"""CLALA-Net put together: crops and lesion labels in, losses or a memory for the decoder out.

    F  = ROIEncoder(crop)                  every region alone
    F' = LCA(F, TextEnc(names), W)         W from the labels in training, from the classifier at generation
    sentence = Decoder(F')
    E8  L = L_CE + L_ITCL + L_LLCL

The model predicts and its losses judge; ``generate`` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from clala.config import CLALAConfig
from clala.contrastive import itcl, llcl, llcl_candidates
from clala.decoder import ReportDecoder, cross_entropy
from clala.encoder import ROIEncoder, TextEncoder, pad_tokens
from clala.lca import LesionCrossAttention, lesion_weights
from clala.regions import LESIONS
from clala.together import Deal, Gather, all_rows, all_shares, gather_rows
from clala.tokens import Tokenizer

WRITES = ("lca.", "decoder.")
"""Beginnings of the names of what stage 2 trains: lesion cross-attention and decoder."""


@dataclass(frozen=True)
class Batch:
    """M region samples, drawn from any images."""

    crops: Tensor
    """(M, 1, S, S) grey, in [0, 1]"""
    lesions: Tensor
    """(M, C) 1 where the report of the region's image states the lesion, else 0 (or probabilities)"""
    regions: Tensor
    """(M,) number of the region within the ROI set"""
    roi_lesions: Tensor
    """(M, C + 1) bool: what the region itself carries; the last column is "no lesion" """
    tokens: Tensor
    """(M, T) [DEC] words [SEP], padded; all padding where there is no sentence"""
    padding: Tensor
    """(M, T) True where there is no token"""
    text_tokens: Tensor
    """(M, T) [CLS] words [SEP] of the same sentences, for the text encoder"""
    sentence_ids: Tensor
    """(M,) equal where the words are equal; -1 where there is no sentence"""
    comparisons: Tensor
    """(M, 1, S, S) the drawn partners of LLCL; (0, ...) where the loss is off"""
    comparison_lesions: Tensor
    """(M, C + 1) bool: what the partner carries"""
    has_partner: Tensor
    """(M,) False where none was found"""
    deal: Deal | None = None
    """how the rows of the step were dealt out, where these are the share of one process among several"""

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which a GPU copies while it computes."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(value) if isinstance(value, Tensor) else value for name, value in values.items()}
        return Batch(**changed)


class CLALA(nn.Module):
    """The network. Lesion classifier and region detector stand beside it: they are trained apart and see the whole image."""

    def __init__(self, config: CLALAConfig, tokenizer: Tokenizer, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = ROIEncoder(config, pretrained=pretrained)
        self.text_encoder = TextEncoder(config, pretrained=pretrained)
        self.lca = LesionCrossAttention(config) if config.lca else None
        self.decoder = ReportDecoder(config, pretrained=pretrained)
        self.llcl_head = nn.Linear(config.width, config.projection)  # shared by anchor and comparison (D5)
        self.image_head = nn.Linear(config.width, config.projection)
        self.text_head = nn.Linear(config.width, config.projection)
        names, padding = pad_tokens([tokenizer.for_encoder(name, config.max_tokens) for name in LESIONS], tokenizer)
        self.register_buffer("name_tokens", names, persistent=False)
        self.register_buffer("name_padding", padding, persistent=False)
        self.register_buffer("_held", None, persistent=False)
        self.stage = 1

    _held: Tensor | None

    def lesion_vectors(self) -> Tensor:
        """E1: T, (C, D), the 14 bare names as the text encoder reads them."""
        if self._held is not None:
            return self._held
        vectors: Tensor = self.text_encoder(self.name_tokens, self.name_padding)
        return vectors

    def hold_lesion_vectors(self) -> None:
        """In stage 2 the text encoder is frozen: read the names once, not at every step."""
        if self.stage == 2:
            with torch.no_grad():
                self._held = self.lesion_vectors()

    def memory(self, features: Tensor, lesions: Tensor, *, thresholds: Tensor | None = None, vectors: Tensor | None = None) -> Tensor:
        """F' of E4 from F and what is known of the image.

        features  (M, L, D)  from ``encoder``
        lesions   (M, C)     labels or predicted probabilities of the image that each region is from
        vectors   (C, D)     T, if it is at hand already
        returns   (M, L, D)
        """
        if self.lca is None:
            return features
        c = self.config
        weights = lesion_weights(lesions, present=c.weight_present, absent=c.weight_absent, soft=c.soft_weights, thresholds=thresholds)
        refined: Tensor = self.lca(features, self.lesion_vectors() if vectors is None else vectors, weights)
        return refined

    def forward(self, batch: Batch, gather: Gather = gather_rows) -> dict[str, Tensor]:
        """The losses by name: ``loss`` is what is minimised, the others are its parts.

        Of a batch that was dealt out they are those of all rows of the step, in every process alike; ``gather`` fetches what the others have.
        """
        memory = self.memory(self.encoder(batch.crops), batch.lesions)
        counted = ~batch.padding & (batch.sentence_ids >= 0).unsqueeze(1)
        logits = self.decoder(self._some_forgotten(batch.tokens), memory)
        ce = all_shares(cross_entropy(logits, batch.tokens, counted, of=batch.deal.words if batch.deal else None), batch.deal, gather)
        if self.stage == 2:
            return {"loss": ce, "ce": ce}  # LCA and decoder alone are trained, on the sentence alone (D10)
        itcl_loss = self._itcl(memory[:, 0], batch, gather)
        llcl_loss = self._llcl(memory[:, 0], batch, gather) if self.config.llcl else torch.zeros_like(ce)
        return {"loss": ce + itcl_loss + llcl_loss, "ce": ce, "itcl": itcl_loss, "llcl": llcl_loss}  # E8

    def _some_forgotten(self, tokens: Tensor) -> Tensor:
        share = self.config.word_dropout if self.training else 0.0
        if not share:
            return tokens
        lost = torch.rand(tokens.shape, device=tokens.device) < share
        return tokens.masked_fill(lost & (tokens != self.tokenizer.begin), self.tokenizer.unknown)

    def _itcl(self, anchors: Tensor, batch: Batch, gather: Gather) -> Tensor:
        texts = self.text_encoder(batch.text_tokens, batch.padding)
        images, texts, ids = (all_rows(x, batch.deal, gather) for x in (self.image_head(anchors), self.text_head(texts), batch.sentence_ids))
        return itcl(images, texts, ids, ids >= 0, self.config.temperature, symmetric=self.config.itcl_symmetric)

    def _llcl(self, anchors: Tensor, batch: Batch, gather: Gather) -> Tensor:
        raw = self.encoder(batch.comparisons)[:, 0]  # no LCA on this side, but the same weights and a gradient (D5)
        known = (batch.regions, batch.roi_lesions, batch.comparison_lesions, batch.has_partner)
        regions, carried, compared, has_partner = (all_rows(x, batch.deal, gather) for x in known)
        candidates = llcl_candidates(regions, carried, compared, by_region=self.config.llcl_by_region)
        anchors, raw = (all_rows(self.llcl_head(x), batch.deal, gather) for x in (anchors, raw))
        return llcl(anchors, raw, candidates, has_partner, self.config.temperature)

    def enter_stage(self, stage: int) -> None:
        """1: everything learns. 2: LCA and decoder learn, the rest is frozen and stands in ``eval`` (dropout off, norms fixed)."""
        self.stage = stage
        self._held = None
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(stage == 1 or name.startswith(WRITES))
        self.train(self.training)

    def train(self, mode: bool = True) -> CLALA:
        """As in torch, but what is frozen stays in ``eval``."""
        super().train(mode)
        if self.stage == 2:
            for frozen in (self.encoder, self.text_encoder, self.llcl_head, self.image_head, self.text_head):
                frozen.eval()
        return self
