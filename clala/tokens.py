"""Text to token numbers and back.

The paper takes the vocabulary of bert-base-uncased. The demo has one of its own, whole words of the training sentences, kept as a list beside the
weights so that nothing is downloaded. Both are lower case (D9); the aggregator gives sentences their capitals back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

PAD, UNKNOWN, BEGIN, END, CLASS = "[PAD]", "[UNK]", "[DEC]", "[SEP]", "[CLS]"
SPECIAL = (PAD, UNKNOWN, BEGIN, END, CLASS)

# Words with inner apostrophes or hyphens, runs of underscores (a de-identified name), numbers, single signs.
_TOKEN = re.compile(r"[a-z]+(?:['’-][a-z]+)*|_+|\d+(?:\.\d+)?|[^\sa-z\d_]")


class Tokenizer(Protocol):
    """What the model needs of a vocabulary."""

    pad: int
    unknown: int
    begin: int
    end: int

    def __len__(self) -> int:
        """Words known, special ones counted."""

    def for_decoder(self, text: str, limit: int) -> list[int]:
        """[DEC] words [SEP], at most ``limit`` long; the end is kept when words are cut."""

    def for_encoder(self, text: str, limit: int) -> list[int]:
        """[CLS] words [SEP], at most ``limit`` long."""

    def text(self, tokens: Sequence[int]) -> str:
        """The words up to the first [SEP], special ones left out, as one would type them."""

    def to_json(self) -> Any:
        """What ``from_json`` makes the same tokenizer from."""


class WordTokenizer:
    """Whole lower-case words; unknown ones become [UNK] and are never written."""

    def __init__(self, words: Sequence[str]) -> None:
        if tuple(words[: len(SPECIAL)]) != SPECIAL:
            raise ValueError(f"a vocabulary begins with {', '.join(SPECIAL)}; this one begins with {', '.join(words[:5])}")
        self.words = list(words)
        self._number = {word: number for number, word in enumerate(self.words)}
        self.pad, self.unknown, self.begin, self.end, self.class_token = range(len(SPECIAL))

    @classmethod
    def learn(cls, texts: Iterable[str], *, least: int = 2, always: Iterable[str] = ()) -> WordTokenizer:
        """Every word seen at least so often, most frequent first, and those of ``always`` (lesion names)."""
        counts = Counter(word for text in texts for word in split(text))
        kept = {word for word, count in counts.items() if count >= least} | {word for text in always for word in split(text)}
        return cls([*SPECIAL, *sorted(kept, key=lambda word: (-counts[word], word))])

    def __len__(self) -> int:
        return len(self.words)

    def _numbers(self, text: str, limit: int) -> list[int]:
        return [self._number.get(word, self.unknown) for word in split(text)][: limit - 2]

    def for_decoder(self, text: str, limit: int) -> list[int]:
        """[DEC] words [SEP]."""
        return [self.begin, *self._numbers(text, limit), self.end]

    def for_encoder(self, text: str, limit: int) -> list[int]:
        """[CLS] words [SEP]."""
        return [self.class_token, *self._numbers(text, limit), self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """Words joined, signs set close."""
        words: list[str] = []
        for token in tokens:
            if token == self.end:
                break
            if token >= len(SPECIAL):
                words.append(self.words[token])
        return join(words)

    def to_json(self) -> Any:
        """The list of words."""
        return {"kind": "words", "words": self.words}


class BertTokenizer:
    """bert-base-uncased (or any WordPiece of transformers) with one token more, [DEC], that a sentence begins with."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer

        self.name = name
        self._inner: Any = AutoTokenizer.from_pretrained(name)
        self._inner.add_special_tokens({"bos_token": BEGIN})
        self.pad = int(self._inner.pad_token_id)
        self.unknown = int(self._inner.unk_token_id)
        self.begin = int(self._inner.bos_token_id)
        self.end = int(self._inner.sep_token_id)
        self.class_token = int(self._inner.cls_token_id)

    def __len__(self) -> int:
        return len(self._inner)

    def _numbers(self, text: str, limit: int) -> list[int]:
        return list(self._inner(text, add_special_tokens=False)["input_ids"])[: limit - 2]

    def for_decoder(self, text: str, limit: int) -> list[int]:
        """[DEC] words [SEP]."""
        return [self.begin, *self._numbers(text, limit), self.end]

    def for_encoder(self, text: str, limit: int) -> list[int]:
        """[CLS] words [SEP]."""
        return [self.class_token, *self._numbers(text, limit), self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """Pieces joined by the tokenizer's own rules."""
        kept = list(tokens)
        if self.end in kept:
            kept = kept[: kept.index(self.end)]
        return str(self._inner.decode(kept, skip_special_tokens=True)).strip()

    def to_json(self) -> Any:
        """Its name: the vocabulary itself is published."""
        return {"kind": "bert", "name": self.name}


def from_json(values: Any) -> Tokenizer:
    """The tokenizer that ``to_json`` described."""
    if values["kind"] == "words":
        return WordTokenizer(values["words"])
    return BertTokenizer(values["name"])


def split(text: str) -> list[str]:
    """Lower-case words and signs."""
    return _TOKEN.findall(text.lower())


def join(words: Sequence[str]) -> str:
    """Words with spaces between, none before a closing sign or after an opening one."""
    text = " ".join(words)
    text = re.sub(r" ([.,;:!?)\]%])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    return re.sub(r"(?<=\w) ([/]) (?=\w)", r"\1", text)
