"""The sentence decoder: a causal BERT that looks at one region's tokens (E7).

    E7  L_CE = -sum_t log p(w_t | w_<t, F')      averaged over tokens, as BLIP does

Decoder and text encoder share no weights: stage 2 freezes the one and trains the other. A sentence is [DEC] w_1 ... w_T [SEP].
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as functional
from torch import Tensor, nn

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

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Score the next word at every place at once (teacher forcing).

        tokens   (M, T)     [DEC] w_1 ... ; causal, so that padding at the end changes nothing before it
        memory   (M, L, D)  F'
        returns  (M, T, W)  logits over the vocabulary
        """
        logits: Tensor = self.bert(input_ids=tokens, encoder_hidden_states=memory, use_cache=False).logits
        return logits

    def step(self, tokens: Tensor, memory: Tensor, cache: Any) -> Tensor:
        """Score the word after the last one, keys and values of all earlier ones taken from ``cache`` (which grows).

        tokens   (M, 1)     the last word of each sentence
        memory   (M, L, D)  read at the first step alone; its keys and values are kept
        returns  (M, W)
        """
        logits: Tensor = self.bert(input_ids=tokens, encoder_hidden_states=memory, past_key_values=cache, use_cache=True).logits
        return logits[:, -1]


def new_cache() -> Any:
    """An empty cache of keys and values: growing ones of the words, fixed ones of the memory."""
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache

    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def cross_entropy(logits: Tensor, tokens: Tensor, counted: Tensor) -> Tensor:
    """E7: how surprised the decoder is by the reference sentences.

    logits   (M, T, W)  at every place
    tokens   (M, T)     the sentences; place t is to predict token t + 1
    counted  (M, T)     True for tokens that are to be predicted: not padding, not of a region without a sentence
    returns  scalar     mean over tokens; 0 if there is none
    """
    targets, wanted = tokens[:, 1:], counted[:, 1:]
    if not bool(wanted.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[:, :-1][wanted].float(), targets[wanted])
