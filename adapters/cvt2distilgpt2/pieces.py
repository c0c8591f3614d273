"""Text to the pieces that the decoder writes, and back: GPT-2's for the published weights, a small vocabulary of their own for weights trained here.

Both are byte pairs (Sennrich et al., 2016; Radford et al., 2019): no text is unknown. [BOS] and [PAD] are added behind them, as the authors do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adapters.cvt2distilgpt2.files import HUB_NAMES
from adapters.gpt2_pieces import FILE, MERGES, VOCABULARY, tidied
from benchmark.records import UserError

START, FILLING, END = "[BOS]", "[PAD]", "<|endoftext|>"


class BadVocabulary(UserError):
    """Files that do not hold GPT-2's pieces; the message says which file and what to do."""


class Pieces:
    """A vocabulary of byte pairs with its three signs."""

    def __init__(self, tokenizer: Any) -> None:
        """``tokenizer`` is one of the package tokenizers that knows ``END``; the other two are added if it does not."""
        tokenizer.add_special_tokens([END])
        for sign in (START, FILLING):
            if tokenizer.token_to_id(sign) is None:
                tokenizer.add_special_tokens([sign])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.start, self.filling, self.end = (tokenizer.token_to_id(sign) for sign in (START, FILLING, END))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @staticmethod
    def read(folder: Path, who: str) -> Pieces:
        """Those of a folder with tokenizer.json, or with vocab.json and merges.txt. Raises BadVocabulary."""
        from tokenizers import Tokenizer, models

        try:
            if (folder / FILE).is_file():
                return Pieces(Tokenizer.from_file(str(folder / FILE)))
            return Pieces(_byte_pairs(models.BPE.from_file(str(folder / VOCABULARY), str(folder / MERGES))))
        except Exception as error:  # tokenizers raises Exception itself
            raise BadVocabulary(
                f"{who}: no vocabulary can be read in {folder.name} ({str(error).splitlines()[0]}); name a folder with {FILE}, or with {VOCABULARY} "
                f"and {MERGES} of {HUB_NAMES[0]}"
            ) from error

    @staticmethod
    def learn(texts: Iterable[str], size: int) -> Pieces:
        """A vocabulary of at most so many pieces, learnt from texts; the same texts give the same."""
        from tokenizers import models, pre_tokenizers, trainers

        tokenizer = _byte_pairs(models.BPE())
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END, START, FILLING], initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return Pieces(tokenizer)

    def save(self, folder: Path) -> None:
        """Write it where ``read`` finds it."""
        self._tokenizer.save(str(folder / FILE))

    def numbers(self, text: str) -> list[int]:
        """The pieces of a text, no sign among them."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, numbers: Sequence[int]) -> str:
        """The text of pieces, signs left out, tidied as transformers does it."""
        return tidied(self._tokenizer.decode(list(numbers), skip_special_tokens=True))

    def digest(self) -> str:
        """12 hex digits: which vocabulary it is."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()[:12]


def _byte_pairs(model: Any) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
