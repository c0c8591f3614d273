"""Cut a report into sentences that assert something about this examination.

Radiology prose needs more than a full stop: decimals (1.7 cm), abbreviations (vs., Dr.), numbered impressions without line breaks, lines wrapped
by the archive in the middle of a sentence (MIMIC-CXR), missing blanks (effusion.Heart), missing full stops (run-on dictation), de-identified
words (``___``, ``XXXX``) and section headers. Sections that ask or tell what was done (indication, history, technique, comparison) are left out:
the question "pneumonia?" is no finding.
"""

from __future__ import annotations

import re

from benchmark.labelling import lexicon

LONGEST = 1200
"""characters; a longer "sentence" is running text without full stops and is cut at blanks, which bounds all later work"""

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


def split_sentences(report: str) -> list[str]:
    """Sentences of the report that assert findings, in order, without surrounding blanks."""
    text = report.replace("\r\n", "\n").replace("\r", "\n")
    parts = [text] if ":" not in text else _asserting_sections(text)
    sentences = []
    for part in parts:
        for piece in _BOUNDARY.split(f" {part}"):  # a number at the very start needs its blank
            sentence = piece.strip(" \t\n\f\v\u00a0-*\u2022")
            if not sentence:
                continue
            if len(sentence) <= LONGEST:
                sentences.append(sentence)
            else:
                sentences += _chop(sentence)
    return sentences


def _asserting_sections(text: str) -> list[str]:
    """The text without headers, and without the sections that state no finding (those end at the next header or blank line)."""
    parts = []
    start, silence = 0, ""
    for header in _HEADER.finditer(text):
        parts.append(_audible(text[start : header.start()], silence))
        name = header.group(1)
        words = name.lower().replace("/", " ").replace(",", " ").split()
        silence = "" if lexicon.SILENT_HEADERS.isdisjoint((words[0], words[-1])) else "paragraph" if name.isupper() else "sentence"
        start = header.end()
    parts.append(_audible(text[start:], silence))
    return [part for part in parts if part]


def _audible(section: str, silence: str) -> str:
    """The section without its first paragraph, or its first sentence, where that is silent."""
    if silence == "paragraph":
        return "".join(_BLANK_LINE.split(section.strip(), maxsplit=1)[1:])
    if silence == "sentence":
        return "".join(_BOUNDARY.split(section.strip(), maxsplit=1)[1:])
    return section


def _chop(sentence: str) -> list[str]:
    """Pieces of at most ``LONGEST`` characters, cut at a blank where there is one."""
    pieces = []
    start = 0
    while start < len(sentence):
        end = start + LONGEST
        if end < len(sentence):
            blank = sentence.rfind(" ", start + 1, end)
            end = blank if blank > start else end
        pieces.append(sentence[start:end].strip())
        start = end
    return [piece for piece in pieces if piece]
