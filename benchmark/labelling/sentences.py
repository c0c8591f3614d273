"""Cut a report into sentences that assert something about this examination.

Radiology prose needs more than a full stop: decimals (1.7 cm), abbreviations (vs., Dr.), numbered impressions without line breaks, lines wrapped
by the archive in the middle of a sentence (MIMIC-CXR), missing blanks (effusion.Heart), missing full stops (run-on dictation), de-identified
words (``___``, ``XXXX``) and section headers. Sections that ask or tell what was done (indication, history, technique, comparison) are left out:
the question "pneumonia?" is no finding.
"""

from __future__ import annotations

import operator
import re
from functools import lru_cache

from benchmark.labelling import lexicon

LONGEST = 1200
"""characters; a longer "sentence" is running text without full stops and is cut at blanks, which bounds all later work"""

REMEMBERED = 5_000
"""texts of which is kept where their sentences are: several readers look at one text, one soon after the other"""

_HEADER = re.compile(
    r"(?:(?<=\n)|(?<=^)|(?<=[.?!:] )|(?<=[.?!]  ))[ \t]*"
    r"([A-Z][A-Z][A-Z /,&()\-]{1,60}|"
    r"(?:[Cc]linical )?(?:[Ii]ndications?|[Hh]istory|[Cc]omparisons?|[Tt]echnique|[Ff]indings?|[Ii]mpressions?|[Cc]onclusions?)"
    r"|[Rr]eason for (?:the )?exam(?:ination)?)[ \t]*:"
)

_ABBREVIATIONS = ("dr", "mr", "mrs", "ms", "vs", "st", "approx", "e.g", "i.e", "ca", "resp", "prev", "incl")
_NOT_ABBREVIATED = "".join(rf"(?<!\b{word}\.)(?<!\b{word.capitalize()}\.)" for word in _ABBREVIATIONS)
# Capitalised words that open a sentence often enough that one in mid-line marks a full stop that was never dictated.
_OPENERS = "No|There|The|This|These|Heart|Lungs|Cardiac|Cardiomediastinal|Mediastinal|Osseous|Bony|Visualized|Pleural|Pulmonary|Stable|Interval"

_AROUND = " \t\n\f\v\u00a0-*\u2022"
"""what is no part of a sentence at its ends: blanks and bullets"""

_BLANK_LINE = re.compile(r"\n\s*\n")
# Each choice opens with the character that it consumes, and looks around only then: this lets the engine skip from candidate to candidate.
_BOUNDARY = re.compile(
    rf"[.!?]{_NOT_ABBREVIATED}[.!?]*(?=[\s\"')\]]|$)"  # the ordinary end
    r"|[.](?<=[a-z]{2}[.])(?=[A-Z])"  # effusion.Heart
    r"|\n(?:"
    r"\s*\n\s*"  # a blank line
    r"|(?<![^\n]{60}\n)[ \t]*(?=[A-Z][a-z])"  # a new line that starts like a sentence, after one too short to have been wrapped
    r"|[ \t]*[-*\u2022][ \t]+"  # a bullet
    r")"
    r"|\s\d{1,2}[.)][ \t]+(?=[A-Z_])"  # 1. Cardiomegaly 2. Edema
    rf"|[ ](?<=[a-z0-9)] )(?=(?:{_OPENERS}) )"
)
_SPAN = operator.methodcaller("span")


def split_sentences(report: str) -> list[str]:
    """Sentences of the report that assert findings, in order, without surrounding blanks."""
    text = with_plain_line_ends(report)
    return [text[start:end] for start, end in _spans(text)]


def sentence_spans(report: str) -> list[tuple[int, int]]:
    """Where the sentences of ``split_sentences`` stand in the report: the first character of each, and the one behind its last."""
    text = with_plain_line_ends(report)
    if len(text) == len(report):
        return list(_spans(text))
    places = [place for place, character in enumerate(report) if character != "\r" or report[place + 1 : place + 2] != "\n"]
    return [(places[start], places[end - 1] + 1) for start, end in _spans(text)]


def with_plain_line_ends(report: str) -> str:
    """The report as its sentences are cut: no carriage returns."""
    return report.replace("\r\n", "\n").replace("\r", "\n") if "\r" in report else report


@lru_cache(maxsize=REMEMBERED)
def _spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for opening, closing in [(0, len(text))] if ":" not in text else _asserting_sections(text):
        part = f" {text[opening:closing]}"  # a number at the very start needs its blank
        begin = 0
        for end, following in (*map(_SPAN, _BOUNDARY.finditer(part)), (len(part), 0)):
            piece = part[begin:end].lstrip(_AROUND)
            if piece:
                start = opening + end - len(piece) - 1
                end = start + len(piece.rstrip(_AROUND))
                spans += [(start, end)] if end - start <= LONGEST else _chop(text, start, end)
            begin = following
    return spans


def _asserting_sections(text: str) -> list[tuple[int, int]]:
    """Where the text stands without headers, and without the sections that state no finding (those end at the next header or blank line)."""
    parts = []
    start, silence = 0, ""
    for header in _HEADER.finditer(text):
        parts.append(_audible(text, start, header.start(), silence))
        name = header.group(1)
        words = name.lower().replace("/", " ").replace(",", " ").split()
        silence = "" if lexicon.SILENT_HEADERS.isdisjoint((words[0], words[-1])) else "paragraph" if name.isupper() else "sentence"
        start = header.end()
    parts.append(_audible(text, start, len(text), silence))
    return [(start, end) for start, end in parts if start < end]


def _audible(text: str, start: int, end: int, silence: str) -> tuple[int, int]:
    """The section without its first paragraph, or its first sentence, where that is silent."""
    if not silence:
        return start, end
    section = text[start:end]
    stripped = section.strip()
    start += len(section) - len(section.lstrip())
    over = (_BLANK_LINE if silence == "paragraph" else _BOUNDARY).search(stripped)
    return (start + over.end(), start + len(stripped)) if over else (end, end)


def _chop(text: str, first: int, last: int) -> list[tuple[int, int]]:
    """Pieces of at most ``LONGEST`` characters, cut at a blank where there is one."""
    pieces = []
    start = first
    while start < last:
        end = start + LONGEST
        if end < last:
            blank = text.rfind(" ", start + 1, end)
            end = blank if blank > start else end
        end = min(end, last)
        piece = text[start:end]
        begin = start + len(piece) - len(piece.lstrip())
        pieces.append((begin, begin + len(piece.strip())))
        start = end
    return [(start, end) for start, end in pieces if start < end]
