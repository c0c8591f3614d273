"""Words to tokens and back: GPT-2's own pieces, or those that a training learnt from its sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adapters.gpt2_pieces import FILE, VOCABULARY, tidied
from benchmark.records import UserError

END = "<|endoftext|>"


class WrongWords(UserError):
    """Word pieces that cannot be read, or are not the network's."""


class Words:
    """A byte-level BPE, whose last piece is the end of a text."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return int(self.inner.get_vocab_size())

    @classmethod
    def of_folder(cls, folder: Path, words: int) -> Words:
        """From ``tokenizer.json``, else ``vocab.json`` with ``merges.txt``; ``words`` is how many the network knows. Raises WrongWords."""
        from tokenizers import Tokenizer

        try:
            if (folder / FILE).is_file() and not (folder / VOCABULARY).is_file():
                inner = Tokenizer.from_file(str(folder / FILE))
            else:
                inner = _byte_level(str(folder / VOCABULARY), str(folder / "merges.txt"))
        except Exception as error:  # tokenizers raises Exception itself
            raise WrongWords(f"the word pieces of {folder} cannot be read ({error}); take the files whole") from error
        if (found := inner.get_vocab_size()) != words:
            raise WrongWords(f"the word pieces of {folder} are {found:,}, the network knows {words:,}; take those that it was trained with")
        return cls(inner)

    @classmethod
    def learn(cls, texts: Iterable[str], most: int) -> Words:
        """Pieces that often occur in the texts, at most so many, the end of a text among them as the last one."""
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        letters = sorted({letter for text in texts for word in inner.pre_tokenizer.pre_tokenize_str(text) for letter in word[0]})
        trainer = trainers.BpeTrainer(vocab_size=most - 1, initial_alphabet=letters, show_progress=False)
        inner.train_from_iterator(texts, trainer)
        inner.add_special_tokens([AddedToken(END, special=True)])
        return cls(inner)

    def tokens(self, text: str) -> list[int]:
        """Without an end."""
        return list(self.inner.encode(text).ids)

    def text(self, tokens: Sequence[int]) -> str:
        """As ``batch_decode`` of transformers 4 with ``clean_up_tokenization_spaces`` has it, without special pieces."""
        return tidied(str(self.inner.decode(list(tokens), skip_special_tokens=True)))

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        self.inner.save(str(folder / FILE), pretty=False)


def _byte_level(vocabulary: str, merges: str) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    inner = Tokenizer(models.BPE.from_file(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(END, special=True)])
    return inner
