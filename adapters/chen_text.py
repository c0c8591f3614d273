"""Reports as R2Gen reads and writes them: cleaned, cut into words, numbered. Half of the field's published scores are over this text.

Chen et al., Generating Radiology Reports via Memory-driven Transformer, EMNLP 2020 (cuhksz-nlp/R2Gen at 5a2e63f, modules/tokenizers.py), whose
splits and cleaning TSGET, CvT2DistilGPT2 and many others took over. Lower case, no comma, sentences end in `` .``; hyphens stay, for the original's
pattern has them as the sign of a range. Numbers are dropped where they look like those of a list, and so is a lone ``1. `` anywhere.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmark.records import UserError

Manner = Literal["mimic_cxr", "iu_xray"]
"""whose reports are cleaned: R2Gen has a chain of replacements for each"""
THRESHOLDS: dict[Manner, int] = {"mimic_cxr": 10, "iu_xray": 3}
"""how often a word must occur in the training reports to be in the vocabulary"""
LONGEST: dict[Manner, int] = {"mimic_cxr": 100, "iu_xray": 60}
"""tokens of a report, in training with the 0 before and after it, in generation with the 0 after it"""
UNKNOWN = "<unk>"
END = 0
"""ends a report, begins it and fills it up: R2Gen has one number for all three"""

_REPEATS: dict[Manner, tuple[tuple[str, str, int], ...]] = {
    "mimic_cxr": (("\n", " ", 1), ("__", "_", 7), ("  ", " ", 6), ("..", ".", 8)),
    "iu_xray": (("..", ".", 3),),
}
"""what is replaced by what, and how often in a row"""
_DROPPED = str.maketrans("", "", "\"/\\'")
_PUNCTUATION = str.maketrans("", "", ".,?;*!%^&_+()]{}" + "".join(map(chr, range(ord(":"), ord("[") + 1))))
"""``:-[`` in the original's class of signs is a range: all from the colon to the bracket, and no hyphen"""


class WrongVocabulary(UserError):
    """A list of words that cannot be read, or is no vocabulary of this kind."""


def clean(report: str, manner: Manner = "mimic_cxr") -> str:
    """The report as R2Gen cleans it: ``the lungs are clear . no pneumothorax .``"""
    for old, new, times in _REPEATS[manner]:
        for _ in range(times):
            report = report.replace(old, new)
    report = report.replace("1. ", "")
    for before in (". ", " "):
        for number in "2345":
            report = report.replace(f"{before}{number}. ", ". ")
    sentences = report.strip().lower().split(". ")
    return " . ".join(_clean_sentence(sentence) for sentence in sentences) + " ."


def _clean_sentence(sentence: str) -> str:
    return sentence.translate(_DROPPED).strip().lower().translate(_PUNCTUATION)


class Vocabulary:
    """Words by number, counted from 1; 0 is no word."""

    def __init__(self, words: Sequence[str]) -> None:
        """``words`` in the order of their numbers. Raises ``WrongVocabulary`` for one that R2Gen could not have made."""
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}
        if len(self._numbers) < len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise WrongVocabulary(f"the vocabulary has {len(self.words)} words, {twice!r} among them twice; give each word one line")
        if UNKNOWN not in self._numbers:
            raise WrongVocabulary(f"the vocabulary has {len(self.words)} words, and no {UNKNOWN} among them; R2Gen's has one: take the whole of it")
        if self.words != sorted(self.words):
            place = next(i for i, (word, after) in enumerate(zip(self.words, self.words[1:], strict=False), 1) if word > after)
            raise WrongVocabulary(
                f"the vocabulary is not in order, first at line {place} ({self.words[place - 1]!r} before {self.words[place]!r}); R2Gen numbers "
                "words by code point, upper case before lower: sort it so (LC_ALL=C sort)"
            )

    def __len__(self) -> int:
        return len(self.words)

    @property
    def rows(self) -> int:
        """Of an embedding over it: one more than there are words."""
        return len(self.words) + 1

    def encode(self, report: str, manner: Manner = "mimic_cxr", *, longest: int | None = None) -> list[int]:
        """Numbers of the cleaned report with a 0 before and after it, cut to ``longest`` of them: then the 0 after it may be gone."""
        unknown = self._numbers[UNKNOWN]
        numbers = [END, *(self._numbers.get(word, unknown) for word in clean(report, manner).split()), END]
        return numbers[:longest]

    def decode(self, numbers: Iterable[int]) -> str:
        """The words up to the first 0, with spaces between them."""
        words = []
        for number in numbers:
            if number == END:
                break
            words.append(self.words[number - 1])
        return " ".join(words)

    def write(self, path: Path) -> None:
        """One word a line."""
        path.write_text("\n".join(self.words) + "\n", encoding="utf-8")


def vocabulary_of(reports: Iterable[str], manner: Manner, threshold: int | None = None) -> Vocabulary:
    """The words that occur ``threshold`` times at least in cleaned reports (R2Gen's own number unless given), and the unknown one."""
    counts = Counter(word for report in reports for word in clean(report, manner).split())
    least = THRESHOLDS[manner] if threshold is None else threshold
    return Vocabulary(sorted({word for word, count in counts.items() if count >= least} | {UNKNOWN}))


def read_vocabulary(path: Path, manner: Manner, threshold: int | None = None) -> Vocabulary:
    """The vocabulary of a file: one word a line, or of an ``annotation.json`` as R2Gen's authors give it out, by the reports of its split train.

    Raises ``WrongVocabulary``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise WrongVocabulary(
            f"vocabulary {path}: cannot be read ({reason}); name a file with one word a line, or R2Gen's annotation.json"
        ) from error
    if path.suffix != ".json":
        return _named(path, Vocabulary, text.splitlines())
    try:
        return _named(path, vocabulary_of, [_report_of(entry) for entry in json.loads(text)["train"]], manner, threshold)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongVocabulary(
            f"vocabulary {path}: is no annotation.json of R2Gen ({type(error).__name__}: {error}); expected is an object with a list under train, "
            "each with a report; or name a file with one word a line"
        ) from error


def _report_of(entry: Any) -> str:
    report = entry["report"]
    if not isinstance(report, str):
        raise TypeError(f"a report is {type(report).__name__}")
    return report


def _named(path: Path, make: Any, *arguments: Any) -> Vocabulary:
    """What ``make`` makes; what is wrong with it is said with the file's name."""
    try:
        found: Vocabulary = make(*arguments)
    except WrongVocabulary as error:
        raise WrongVocabulary(f"{path}: {error}") from error
    return found
