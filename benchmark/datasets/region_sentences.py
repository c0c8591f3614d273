"""What a report says about one region: from the phrases of Chest ImaGenome to one clean text.

The rule is RGRG's (Tanida et al., CVPR 2023) with departures. Their list of 147 headings is used there as a regular expression with bare dots, so
that "5. " also eats the end of "25% ", and "IMPRESSION: AP" the first word of a sentence; ours are made of the words of headings, and numbers go
where a list has them. Sentences are found by rules here, not by spaCy, end where a phrase ends, and are the same whatever their case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WET_READ = re.compile(r"\bWET READ\b.{0,160}?\b(?:AM|PM)\b", re.DOTALL)

# Headings that ImaGenome's sentence cutter left inside phrases. Upper case on purpose: "findings:" in lower case is somebody's sentence.
_SECTIONS = (
    "FINDINGS AND IMPRESSION|FINDINGS/IMPRESSION|IMPRESSION AND FINDINGS|IMPRESSIONS?|IMPRESSON|FINDINGS?|FINIDNGS|FINDNGS|CONCLUSION|INDICATION|"
    "CLINICAL HISTORY|HISTORY|REASON FOR EXAM(?:INATION)?|TYPE OF EXAMINATION|EXAMINATION|EXAM|STUDY|TECHNIQUE|COMPARISONS?|RECOMMENDATIONS?|"
    "NOTIFICATION|TECHNOLOGIST'S NOTE|PRELIMINARY REPORT|REPORT|ADDENDUM"
)
# What a heading may say of the films, in any order: "SEMI-UPRIGHT PORTABLE AP RADIOGRAPH OF THE CHEST:".
_OF_THE_FILMS = (
    "AP|PA|LAT|LATERAL|FRONTAL|CHEST|ABDOMEN|ABDOMINAL|UPPER|RIBS?|RADIOGRAPHS?|RADIOGRAPHY|X-RAYS?|VIEWS?|FILMS?|IMAGES?|PORTABLES?|BEDSIDE|"
    "SUPINE|UPRIGHT|ERECT|SEMI-?UPRIGHT|SEMI-?ERECT|SINGLE|ONE|TWO|THREE|[1-4]|AND|OF|THE|WITH|PATIENT|IN|POSITIONS?"
)
# Without a colon only where a sentence of another case follows: an upper-case report may end in "NO ACUTE FINDINGS.".
_BARE = (
    r"FINAL REPORT(?: (?:FINDINGS|IMPRESSION)\b)?|FINAL ADDENDUM(?:[ *]+ADDENDUM\b[*]*)?|WET READ(?: VERSION)?(?: #\d)?|"
    r"(?<![A-Z] )(?:FRONTAL|IMPRESSION|FINDINGS|COMPARISON)(?:\.|(?=\s+(?:[A-Z]?[a-z]|A\s|[\d_])|\s*$))"
)
HEADING = re.compile(
    # What stands behind EXAMINATION: in upper case is the order that was typed there.
    r"(?<![A-Za-z])(?:EXAMINATION:\s*(?:[A-Z0-9/()#-]+\s+)*[A-Z0-9/()#-]{2,}(?=\s|$)|"
    # At most so many words of the films: else a text of nothing but such words is read to its end from each of them.
    rf"(?:{_SECTIONS})\s*:|(?:(?:{_OF_THE_FILMS})(?:[,/]\s*|\s+)){{0,40}}(?:{_OF_THE_FILMS})\s*:|(?:^|(?<=[.:]\s))AP,|(?:{_BARE})(?![A-Za-z]):?)",
    re.MULTILINE,
)
UNDERSCORE_LINE = re.compile(r"_{10,}")  # divides an addendum from the report; de-identification blanks are three long
LIST_NUMBER = re.compile(r"(?:^|(?<=[.:;!?]\s))[ ]*(?:\(?\d{1,2}[.)]|#\d)\s+(?=[A-Za-z])", re.MULTILINE)

_ABBREVIATION = re.compile(
    r"drs?|mrs?|ms|prof|st|vs|approx|e\.g|i\.e|cf|etc|fig|nos?|ca|resp|incl|excl|[ap]\.m|inf|sup|ant|post|lat|r\.n|m\.d|p\.a|a\.p", re.IGNORECASE
)
_CLOSING = re.compile(r"etc|[ap]\.m", re.IGNORECASE)  # abbreviations that end a sentence as often as not
_TERMINATOR = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)")


def region_sentence(phrases: Iterable[str]) -> str:
    """One text about a region from its phrases, each sentence once, closed by a full stop; empty if nothing is left."""
    # A phrase is one or more whole sentences, so its end is kept as a line's end.
    text = "\n".join(" ".join(phrase.split()) for phrase in phrases if isinstance(phrase, str))
    text = WET_READ.sub(" ", text)
    text = UNDERSCORE_LINE.sub(" ", text)
    text = HEADING.sub(" ", text)
    text = LIST_NUMBER.sub(" ", text)
    kept: dict[str, str] = {}
    for raw in (sentence for line in text.split("\n") for sentence in split_sentences(line)):
        sentence = raw.strip(" ,;:-").rstrip(".").rstrip()
        if any(letter.isalnum() for letter in sentence):
            kept.setdefault(sentence.lower(), sentence[0].upper() + sentence[1:])
    return " ".join(sentence if sentence[-1] in "!?" else f"{sentence}." for sentence in kept.values())


def split_sentences(text: str) -> list[str]:
    """The sentences of a report, in order, whitespace collapsed.

    A full stop does not end a sentence inside a number (2.5 cm), after an abbreviation (Dr., vs.), an initial (J. Smith) or the number of a list item
    (1. Clear lungs.).
    """
    text = " ".join(text.split())
    sentences: list[str] = []
    start = 0
    for stop in _TERMINATOR.finditer(text):
        if _goes_on(text, start, stop):
            continue
        sentences.append(text[start : stop.end()].strip())
        start = stop.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _goes_on(text: str, start: int, stop: re.Match[str]) -> bool:
    """Whether the sentence that began at ``start`` runs on past this full stop. Looks at the words around it alone: what is before may be long."""
    if stop.group()[0] != ".":
        return False
    end = stop.start()
    begin = max(text.rfind(" ", start, end) + 1, start)
    word = text[begin:end].rpartition("(")[2]
    following = text[stop.end() : stop.end() + 2].lstrip()[:1]
    if not following:
        return False
    if word.isdigit() and text[begin:end] == word and begin <= start + 1:  # "1." at the head of a list item
        return True
    if len(word) == 1 and word.isalpha() and word.isupper() and following.isupper():
        # An initial stands after another name or a title; "lobe of segment B. The" ends a sentence.
        end -= 2 if text[end - 2 : end - 1] == " " else 1
        before = text[max(text.rfind(" ", start, end) + 1, start) : end] if end > start else ""
        return not before or before.endswith(".") or before[:1].isupper()
    if _ABBREVIATION.fullmatch(word):
        if word.lower() in ("no", "nos"):  # a number's sign before a digit, else somebody's answer
            return following.isdigit()
        return not (_CLOSING.fullmatch(word) and following.isupper())
    return False
