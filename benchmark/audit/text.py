"""A report as the makers of candidates hold it: sentences at their places, so that what is not edited stays as it was, byte for byte."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from benchmark.labelling.sentences import split_sentences

REMEMBERED = 4
"""reports: fourteen makers ask the same of each in turn"""

_STOP = re.compile(r"\s*[.!?]+")
_BLANKS = re.compile(r"\s+")
_ARTICLE = re.compile(r"\b([Aa])n? (?=(\w))")
_TIED = re.compile(
    r"(?:this|these|those|that|it|its|they|their|such|there (?:is|are) also|also|again|otherwise|however|in addition|additionally|specifically|"
    r"the (?:largest|opacity|opacities|nodule|nodules|mass|lesion|finding|findings|appearance|remainder|remaining|other|same|latter|former|tip)|"
    r"another|both of|one of|and|but|compared|overall|as such|therefore|on the lateral|on the frontal|in the setting|superimposed)\b",
    re.IGNORECASE,
)
_VOWEL_SOUND = re.compile(r"[aeiou]|8|11|18", re.IGNORECASE)


class Sentence(NamedTuple):
    """One sentence of a report."""

    text: str
    """without the full stop, and on one line where the report breaks it"""
    start: int
    """of its first character in the report"""
    end: int
    """after its last character, before the full stop"""
    stop: int
    """after the full stop; ``end`` where there is none"""


@lru_cache(maxsize=REMEMBERED)
def sentences_of(report: str) -> tuple[Sentence, ...]:
    """The sentences that assert something about this examination, in order; what a section only asks or recalls is not among them."""
    found: list[Sentence] = []
    position = 0
    for text in split_sentences(report):
        start = report.find(text, position)
        if start < 0:  # the splitter read "\r\n" as one line break: its sentence stands nowhere like that
            continue
        end = position = start + len(text)
        stop = _STOP.match(report, end)
        body = text.rstrip(".!? ")
        found.append(Sentence(on_one_line(body), start, start + len(body), stop.end() if stop else end))
    return tuple(found)


def replaced(report: str, sentence: Sentence, new: str) -> str:
    """The report with another text in place of the sentence; its full stop stays."""
    return report[: sentence.start] + in_style_of(report, new) + report[sentence.end :]


def followed(report: str, sentence: Sentence, new: str) -> str:
    """The report with a further sentence after this one; ``new`` comes without a full stop."""
    full_stop = " ." if is_spaced(report) else "."
    before = report[: sentence.stop] if sentence.stop > sentence.end else report[: sentence.end] + full_stop
    return f"{before} {in_style_of(report, new)}{full_stop}{report[sentence.stop :]}"


def without(report: str, sentence: Sentence) -> str:
    """The report without the sentence, its full stop and the blanks that parted it from the next."""
    before, after = report[: sentence.start], report[sentence.stop :]
    blanks = _BLANKS.match(after)
    return before + after[blanks.end() :] if blanks and after.strip() else before.rstrip() + after.rstrip()


def in_style_of(report: str, text: str) -> str:
    """New words in the manner of a report: all small, all capital, or with punctuation set apart, if it is so throughout."""
    if is_spaced(report):
        text = re.sub(r"([,;:])(?=\s)", r" \1", text)
    if not any(letter.isupper() for letter in report):
        return text.lower()
    return text.upper() if not any(letter.islower() for letter in report) else text


def on_one_line(text: str) -> str:
    """The text with one blank wherever there is white space; an archive breaks lines where it likes."""
    return _BLANKS.sub(" ", text)


def is_spaced(report: str) -> bool:
    """True for text whose full stops are words of their own, as R2Gen and its family clean their references."""
    return " ." in report and not re.search(r"\w\.(?:\s|$)", report)


def is_tied(sentence: str) -> bool:
    """True for a sentence that may refer to the one before it: "It measures 2 cm", "Otherwise no nodule"."""
    return bool(_TIED.match(sentence))


def is_followed_up(sentence: Sentence, sentences: Sequence[Sentence]) -> bool:
    """True if the next sentence may refer to this one."""
    later = [other for other in sentences if other.start > sentence.start]
    return bool(later) and is_tied(later[0].text)


def with_articles(text: str) -> str:
    """The text with a or an as the next word wants it: an edit may have changed that word."""
    return _ARTICLE.sub(lambda match: f"{match[1]}{'n' if _VOWEL_SOUND.match(text, match.start(2)) else ''} ", text)


def capitalised(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def uncapitalised(text: str) -> str:
    """The text with a small first letter, unless its first word is an abbreviation: ET tube, PA view."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def generator(seed: int, case_id: str, kind: str) -> np.random.Generator:
    """A stream of its own for each case and kind: what becomes of one does not hang on which others there are."""
    digest = hashlib.sha256(f"{case_id}\n{kind}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
