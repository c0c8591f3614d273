"""Reports to token numbers, as CheXbert was trained on them: one line, lower case, the word pieces of bert-base-uncased, 512 of them at most."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from adapters.running import whole_signs
from benchmark.records import UserError

BERT_BASE_UNCASED = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"  # sha256 of google-bert/bert-base-uncased's vocab.txt
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class WrongVocabulary(UserError):
    """A list of word pieces that is not the network's; the message says what was expected."""


class Vocabulary:
    """The word pieces of a network, by their numbers."""

    def __init__(self, path: Path, *, words: int, places: int) -> None:
        """Read ``vocab.txt``, a piece per line. ``words`` are the network's, and so must be the file's; ``places`` is how long a text may be.

        Raises WrongVocabulary.
        """
        from tokenizers import BertWordPieceTokenizer

        try:
            data = path.read_bytes()
            pieces = data.decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")  # some pieces are line ends to others
        except (OSError, UnicodeDecodeError) as error:
            raise WrongVocabulary(f"{path}: cannot be read as a list of word pieces ({error}); take vocab.txt of bert-base-uncased") from error
        if lacking := [piece for piece in SPECIAL if piece not in pieces]:
            raise WrongVocabulary(f"{path}: has {len(pieces)} lines, but no {lacking[0]}; take vocab.txt of bert-base-uncased, a word piece per line")
        if len(pieces) != words or len(set(pieces)) != words:
            raise WrongVocabulary(
                f"{path}: has {len(set(pieces)):,} different word pieces in {len(pieces):,} lines, the network has places for {words:,}: "
                "take the vocabulary that it was trained with, for the published one vocab.txt of bert-base-uncased"
            )
        self.places = places
        self.pad, self.end = pieces.index("[PAD]"), pieces.index("[SEP]")
        digest = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
        self.name = "bert-base-uncased" if digest == BERT_BASE_UNCASED else f"sha256:{digest[:12]}"
        self._pieces = BertWordPieceTokenizer({piece: number for number, piece in enumerate(pieces)}, lowercase=True)

    def numbers(self, reports: Sequence[str]) -> list[list[int]]:
        """[CLS] pieces [SEP] of each report that ``one_line`` made; what is too long is cut, and ends with [SEP] all the same."""
        found = [list(encoding.ids) for encoding in self._pieces.encode_batch(list(reports))]
        return [row if len(row) <= self.places else [*row[: self.places - 1], self.end] for row in found]


def one_line(report: str) -> str:
    """White space of any kind and length as one blank, none at the ends; halves of signs, which no file can hold, as signs that are not known."""
    return " ".join(whole_signs(report).split())
