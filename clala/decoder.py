"""The sentence decoder: a causal BERT that looks at one region's tokens (E7).

    E7  L_CE = -sum_t log p(w_t | w_<t, F')      averaged over tokens, as BLIP does

Decoder and text encoder share no weights: stage 2 freezes the one and trains the other. A sentence is [DEC] w_1 ... w_T [SEP].
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from clala.bert import embed, feed_forward, keys_values, look, see
from clala.config import CLALAConfig
from clala.encoder import bert_config


class ReportDecoder(nn.Module):
    """Next-word scores given the words so far and the memory F'."""

    def __init__(self, config: CLALAConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        from transformers import BertLMHeadModel

        self.bert: Any
        if pretrained:
            self.bert = BertLMHeadModel.from_pretrained(config.bert, is_decoder=True, add_cross_attention=True)
            self.bert.resize_token_embeddings(config.vocabulary_size)
        else:
            self.bert = BertLMHeadModel(bert_config(config, layers=config.decoder_layers, decoder=True))
        self.forgotten = float(self.bert.config.attention_probs_dropout_prob)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Score the next word at every place at once (teacher forcing).

        tokens   (M, T)     [DEC] w_1 ... ; causal, so that padding at the end changes nothing before it
        memory   (M, L, D)  F'
        returns  (M, T, W)  logits over the vocabulary
        """
        forgotten = self.forgotten if self.training else 0.0
        x = embed(self.bert.bert, tokens, slice(tokens.shape[1]))
        for layer in self.bert.bert.encoder.layer:
            x = look(layer.attention, x, partial(see, causal=True, forgotten=forgotten), *keys_values(layer.attention, x))
            x = look(layer.crossattention, x, partial(see, forgotten=forgotten), *keys_values(layer.crossattention, memory))
            x = feed_forward(layer, x)
        logits: Tensor = self.bert.cls(x)
        return logits


class Beginnings:
    """Sentences begun so far, ``beams`` of each row, with the keys and values of their words and of the memory: one more word costs one place.

    The beams of a row share its keys: word t of beam b lies in slot t * beams + b, and ``own`` says which slots are a beam's own. So a beam that goes
    on from another moves a row of a mask and no keys; and a row that is done gives its place to the last one, and nothing else moves.
    """

    SLOTS = 16
    """words that there is room for at first; doubled when they are used up"""

    def __init__(self, decoder: ReportDecoder, memory: Tensor, beams: int) -> None:
        """``memory`` (M, L, D) is read here, once."""
        self.bert, self.beams, self.rows, self.words = decoder.bert, beams, len(memory), 0
        self.layers = list(self.bert.bert.encoder.layer)
        self.memory = [keys_values(layer.crossattention, memory) for layer in self.layers]
        self.kept = [(k[:, :, :0], v[:, :, :0]) for k, v in self.memory]
        self.own = torch.zeros((self.rows, beams, 0), dtype=torch.bool, device=memory.device)

    def step(self, words: Tensor) -> Tensor:
        """Score what may follow: one word for each beam of the n rows that are left, (n, beams), gives (n, beams, W)."""
        n, first, used = self.rows, self.words * self.beams, (self.words + 1) * self.beams
        if used > self.own.shape[2]:
            self._grow()
        self.own[:n, :, first:used] = torch.eye(self.beams, dtype=torch.bool, device=self.own.device)
        mask = self.own[:n, None, :, :used] if self.beams > 1 else None
        x = embed(self.bert.bert, words, slice(self.words, self.words + 1))
        for layer, (keys, values), (memory_keys, memory_values) in zip(self.layers, self.kept, self.memory, strict=True):
            keys[:n, :, first:used], values[:n, :, first:used] = keys_values(layer.attention, x)
            x = look(layer.attention, x, partial(see, mask=mask), keys[:n, :, :used], values[:n, :, :used])
            x = look(layer.crossattention, x, see, memory_keys[:n], memory_values[:n])
            x = feed_forward(layer, x)
        self.words += 1
        logits: Tensor = self.bert.cls(x)
        return logits

    def follow(self, origin: Tensor) -> None:
        """Beam b of a row goes on from what was beam ``origin[row, b]``; (n, beams)."""
        own = self.own[: self.rows]
        own.copy_(own.gather(1, origin.unsqueeze(2).expand_as(own)))

    def leave(self, going: Tensor) -> Tensor:
        """Drop the rows where ``going``, (n,) bool, is False. Returns which of the old rows stands where now."""
        left = int(going.sum())
        order = torch.arange(left, device=going.device)
        holes = (~going[:left]).nonzero()[:, 0]
        if len(holes):
            movers = left + going[left:].nonzero()[:, 0]
            order[holes] = movers
            for tensor in (self.own, *(x for pair in (*self.kept, *self.memory) for x in pair)):
                tensor[holes] = tensor[movers]
        self.rows = left
        return order

    def _grow(self) -> None:
        more = max(self.own.shape[2], self.SLOTS * self.beams)
        self.own = functional.pad(self.own[: self.rows], (0, more))
        self.kept = [(_longer(keys[: self.rows], more), _longer(values[: self.rows], more)) for keys, values in self.kept]


def _longer(kept: Tensor, more: int) -> Tensor:
    return functional.pad(kept, (0, 0, 0, more))


def cross_entropy(logits: Tensor, tokens: Tensor, counted: Tensor, *, of: int | None = None) -> Tensor:
    """E7: how surprised the decoder is by the reference sentences.

    logits   (M, T, W)  at every place
    tokens   (M, T)     the sentences; place t is to predict token t + 1
    counted  (M, T)     True for tokens that are to be predicted: not padding, not of a region without a sentence
    of       tokens to be predicted in all processes together, where these rows are the share of one of them
    returns  scalar     mean over tokens, or this share's part of it; 0 if there is none
    """
    targets, wanted = tokens[:, 1:], counted[:, 1:]
    if not bool(wanted.any()):
        return logits.sum() * 0.0
    if of is None:
        return functional.cross_entropy(logits[:, :-1][wanted].float(), targets[wanted])
    return functional.cross_entropy(logits[:, :-1][wanted].float(), targets[wanted], reduction="sum") / of
