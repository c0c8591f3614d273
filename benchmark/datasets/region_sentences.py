"""What a report says about one region: from the phrases of Chest ImaGenome to one clean text.

The rule is RGRG's (Tanida et al., CVPR 2023) with two departures. Their list of headings is used there as a regular expression with bare dots, so
that "5. " also eats the end of "25% "; ours matches letter by letter. And sentences are found by rules here, not by spaCy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WET_READ = re.compile(r"\bWET READ\b.{0,160}?\b(?:AM|PM)\b", re.DOTALL)

# Headings that ImaGenome's sentence cutter left inside phrases. Upper case on purpose: "findings:" in lower case is somebody's sentence.
_HEADINGS = (
    "FINAL REPORT",
    "FINAL ADDENDUM",
    "ADDENDUM",
    "WET READ",
    "PRELIMINARY REPORT",
    "FINDINGS AND IMPRESSION",
    "FINDINGS/IMPRESSION",
    "IMPRESSION AND FINDINGS",
    "IMPRESSION",
    "IMPRESSIONS",
    "FINDINGS",
    "FINDING",
    "CONCLUSION",
    "INDICATION",
    "HISTORY",
    "CLINICAL HISTORY",
    "REASON FOR EXAM",
    "REASON FOR EXAMINATION",
    "EXAMINATION",
    "EXAM",
    "TYPE OF EXAMINATION",
    "STUDY",
    "TECHNIQUE",
    "COMPARISON",
    "COMPARISONS",
    "RECOMMENDATION",
    "RECOMMENDATIONS",
    "NOTIFICATION",
    "REPORT",
    "AP CHEST",
    "PA CHEST",
    "CHEST",
    "PORTABLE CHEST",
    "SINGLE PORTABLE VIEW OF THE CHEST",
    "PORTABLE AP CHEST",
    "PORTABLE AP CHEST RADIOGRAPH",
    "PORTABLE CHEST RADIOGRAPH",
    "PORTABLE UPRIGHT AP CHEST RADIOGRAPH",
    "PORTABLE SEMI-ERECT CHEST RADIOGRAPH",
    "AP CHEST RADIOGRAPH",
    "CHEST RADIOGRAPH",
    "CHEST RADIOGRAPHS",
    "FRONTAL CHEST RADIOGRAPH",
    "PA AND LATERAL CHEST",
    "PA AND LATERAL CHEST RADIOGRAPH",
    "PA AND LATERAL CHEST RADIOGRAPHS",
    "PA AND LATERAL VIEWS OF THE CHEST",
    "FRONTAL AND LATERAL CHEST RADIOGRAPHS",
    "FRONTAL AND LATERAL VIEWS OF THE CHEST",
    "SINGLE FRONTAL VIEW OF THE CHEST",
    "CHEST, SINGLE VIEW",
    "CHEST, TWO VIEWS",
    "TWO VIEWS OF THE CHEST",
)
_LONGEST_FIRST = "|".join(re.escape(heading).replace(r"\ ", r"\s+") for heading in sorted(_HEADINGS, key=len, reverse=True))
HEADING = re.compile(rf"(?<![A-Za-z])(?:(?:{_LONGEST_FIRST})\s*:|(?:FINAL REPORT|COMPARISON\.|IMPRESSION\.|FINDINGS\.))")
UNDERSCORE_LINE = re.compile(r"_{10,}")  # divides an addendum from the report; de-identification blanks are three long
LIST_NUMBER = re.compile(r"(?:^|(?<=[.:;!?]\s))[ ]*\(?\d{1,2}[.)]\s+(?=[A-Za-z])", re.MULTILINE)

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
    """Whether the sentence that began at ``start`` runs on past this full stop."""
    if stop.group()[0] != ".":
        return False
    word = re.split(r"[\s(]", text[start : stop.start()])[-1]
    following = text[stop.end() :].lstrip()[:1]
    if not following:
        return False
    if word.isdigit() and text[start : stop.start()].strip() == word:  # "1." at the head of a list item
        return True
    if len(word) == 1 and word.isalpha() and word.isupper() and following.isupper():
        # An initial stands after another name or a title; "lobe of segment B. The" ends a sentence.
        before = text[start : stop.start() - 1].rstrip()
        return not before or before.endswith(".") or before.rsplit(" ", 1)[-1][:1].isupper()
    if _ABBREVIATION.fullmatch(word):
        if word.lower() in ("no", "nos"):  # a number's sign before a digit, else somebody's answer
            return following.isdigit()
        return not (_CLOSING.fullmatch(word) and following.isupper())
    return False
