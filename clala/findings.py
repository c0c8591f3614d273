"""What a sentence says of the 14 lesions: present or denied, and on which side. For the embedded aggregator.

Small on purpose: it reads sentences that a model wrote about one region. Reports are labelled by a labeller, which reads far more.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from clala.regions import LESIONS

PRESENT, DENIED, OPEN = "present", "denied", "open"
"""open = "cannot be excluded": neither found nor ruled out"""


class Finding(NamedTuple):
    """One lesion as one sentence speaks of it."""

    lesion: str
    status: str
    """present | denied | open"""
    side: str
    """left | right | bilateral | not mentioned"""


_HEART = r"(?:heart|cardiac|cardiac silhouette)"
TERMS: dict[str, str] = {
    "cardiomegaly": (
        rf"cardiomegal\w+|enlarged {_HEART}|{_HEART}(?:[\w ]{{0,30}}?) (?:enlarged|increased)|{_HEART} enlargement|enlargement of the {_HEART}"
    ),
    "emphysema": r"(?<!subcutaneous )emphysema\w*",
    "pleural effusion": r"effusions?|pleural fluid|h[ya]e?mothorax|hydropneumothora\w+|hydrothorax",
    "hernia": r"hernia\w*",
    "nodule": r"nodules?|nodular opacit\w+",
    "pneumothorax": r"(?:hydro)?pneumothora\w+",
    "atelectasis": r"atelecta\w+",
    "pleural thickening": r"pleural thickening|thickening of the pleura|thickened pleura|apical thickening",
    "mass": r"mass(?:es)?(?! effect)|tumou?rs?|neoplasms?",
    "edema": r"o?edema",
    "consolidation": r"consolidat\w+",
    "infiltration": r"infiltrat\w+",
    "fibrosis": r"fibro(?:sis|tic)",
    "pneumonia": r"(?:broncho)?pneumonias?",
}
_TERMS = {lesion: re.compile(rf"\b(?:{pattern})\b") for lesion, pattern in TERMS.items()}

_NO_CUE = re.compile(
    r"\b(?:no|not|nor) (?:[\w-]+ ){0,2}(?:change|changed)\b"
    r"|\bnot (?:completely|entirely|fully) (?:resolved|cleared)\b|\bif not\b|\bnot only\b|\bno\.\s*\d"
)
_BEFORE = re.compile(r"\b(?:no|not|without|nor|neither|negative for|free of|absence of|resolution of|resolved|rather than|clear of)\b")
_AFTER = re.compile(
    r"\b(?:resolved|no longer|cleared|(?:is|are) absent|ruled out"
    r"|(?:is|are|was|were) not (?:seen|identified|present|visuali[sz]ed|apparent|evident))\b"
)
_OPEN = re.compile(r"\b(?:cannot|can not|not|difficult to|hard to) (?:be )?(?:entirely |completely )?(?:excluded?|ruled? out)\b")
_TURN = re.compile(
    r";|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\bapart from\b|\bthere (?:is|are)\b|\bwith (?=\w+ (?:left|right|bilateral))"
)
_SIDE = re.compile(r"\b(left|right|bilateral(?:ly)?|both|bi(?:basilar|basal|apical|lateral)\w*|lingula\w*)\b")


def read_findings(sentence: str) -> list[Finding]:
    """All lesions that the sentence names, once each, in the order of the 14."""
    text = _NO_CUE.sub(lambda match: " " * len(match.group()), sentence.lower())
    found = []
    for lesion in LESIONS:
        statuses = [(_status(text, match), _side(text, match)) for match in _TERMS[lesion].finditer(text)]
        if statuses:
            # named twice in one sentence: present once is present
            status, side = min(statuses, key=lambda pair: (PRESENT, OPEN, DENIED).index(pair[0]))
            found.append(Finding(lesion, status, side))
    return found


def _status(text: str, match: re.Match[str]) -> str:
    turns = [turn.end() for turn in _TURN.finditer(text, 0, match.start())]
    ends = [turn.start() for turn in _TURN.finditer(text, match.end())]
    before, after = text[turns[-1] if turns else 0 : match.end()], text[match.end() : ends[0] if ends else len(text)]
    if _OPEN.search(after):
        return OPEN
    return DENIED if _BEFORE.search(before) or _AFTER.search(after) else PRESENT


def _side(text: str, match: re.Match[str]) -> str:
    start = max([turn.end() for turn in _TURN.finditer(text, 0, match.start())] or [0])
    stop = min([turn.start() for turn in _TURN.finditer(text, match.end())] or [len(text)])
    words = {word[:2] for word in _SIDE.findall(text, start, stop)}
    sides = {{"le": "left", "li": "left", "ri": "right"}.get(word, "bilateral") for word in words}
    if not sides:
        return "not mentioned"
    return sides.pop() if len(sides) == 1 else "bilateral"
