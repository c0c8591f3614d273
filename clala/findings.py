"""What a sentence says of the 14 lesions: present or denied, and on which side. For the embedded aggregator.

Small on purpose: it reads sentences that a model wrote about one region. Reports are labelled by a labeller, which reads far more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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


_HEART = r"(?:heart|cardiac silhouette|cardiomediastinal silhouette|cardiac)"
TERMS: dict[str, str] = {
    "cardiomegaly": (
        rf"cardiomegal\w+|enlarged {_HEART}|{_HEART}(?:[\w ]{{0,30}}?) (?:enlarged|increased|large|borderline)|borderline {_HEART}"
        rf"|{_HEART} enlargement|enlargement of (?:the )?{_HEART}"
    ),
    "emphysema": r"(?<!subcutaneous )emphysema\w*",
    "pleural effusion": r"(?<!pericardial )effusions?|pleural fluid|h[ya]e?mothorax|hydropneumothora\w+|hydrothorax",
    "hernia": r"hernia\w*",
    "nodule": r"nodules?|nodular (?:opacit|densit)\w+",
    "pneumothorax": r"(?:hydro)?pneumothora\w+",
    "atelectasis": r"atelecta\w+",
    "pleural thickening": r"pleural thickening|thickening of the pleura|thickened pleura|apical thickening|apical cap(?:s|ping)?",
    "mass": r"mass(?:es)?(?! effect)|tumou?rs?|neoplasms?",
    "edema": r"o?edema",
    "consolidation": r"consolidat\w+",
    "infiltration": r"infiltrat\w+",
    "fibrosis": r"fibro(?:sis|tic)",
    "pneumonia": r"(?:broncho)?pneumonias?",
}
_TERMS = {lesion: re.compile(rf"\b(?:{pattern})\b") for lesion, pattern in TERMS.items()}

# Words of denial that deny a change, and so say that the lesion is still there.
_NO_CUE = re.compile(
    r"\b(?:no|not|nor|without) (?:[\w-]+ ){0,2}(?:change|changed|improvement|improved|progression|worsening)\b"
    r"|\bnot (?:yet )?(?:(?:completely|entirely|fully) )?(?:resolved|cleared)\b|\bif not\b|\bnot only\b|\bno\.\s*\d"
)
_BEFORE = re.compile(r"\b(?:no|not|without|nor|neither|negative for|free of|absence of|resolution of|resolved|rather than|clear of)\b")
_AFTER = re.compile(
    r"\b(?:resolved|no longer|cleared|(?:is|are) absent|ruled out"
    r"|(?:is|are|was|were) not (?:seen|identified|present|visuali[sz]ed|apparent|evident))\b"
)
_OPEN = re.compile(r"\b(?:cannot|can not|not|difficult to|hard to) (?:be )?(?:entirely |completely )?(?:excluded?|ruled? out)\b")
_OPEN_AHEAD = re.compile(r"\b(?:cannot|can not|does not|difficult to|hard to) (?:entirely |completely )?(?:exclude|rule out)\b")
_TURN = re.compile(
    r";|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\bapart from\b|\bthere (?:is|are)\b|\bwith (?=\w+ (?:left|right|bilateral))"
)
# "no pneumothorax or effusion, mild edema is present": a comma and a statement with a finding and a verb of its own. Where it has an "or", or opens
# as an item of a list would, the list goes on: "no consolidation, effusion or mass is seen".
_STATEMENT = re.compile(
    r", (?P<and>and )?(?!(?:and|or|nor|which|that|in|at|on|as|if)\b)"
    r"(?=(?P<opens>(?:the|an?|some|small|tiny|trace|minimal|slight|subtle|mild|moderate|severe|marked|large|new|stable|unchanged|persistent|chronic"
    r"|old|patchy|streaky|linear|multiple|left|right|bilateral|bibasilar|biapical)\b)?"
    r"(?P<subject>(?:(?!\bn?or\b)[\w /-])*?) (?:is|are|was|were|has|have|remains?|persists?|appears?)\b)"
)
_CLOSED_LIST = re.compile(r"\bn?or\b")
_SIDE = re.compile(r"\b(left|right|bilateral(?:ly)?|both|bi(?:basilar|basal|apical|lateral)\w*|lingula\w*)\b")
_BOTH = re.compile(r"\b(?:left and right|right and left)\b")
# A comma does not part a finding from what it may mean, or from its own place.
_JOINT = re.compile(
    r",? (?:and|as well as|along with) "
    r"|, (?!in |at |or |consistent|compatible|reflecting|likely|possibly|suggest|which|greater|worse|bilateral|both"
    r"|(?:left|right) (?:side|greater|larger))"
)
_PLACE = re.compile(
    r"(?:(?:the|in|at|on|of|over|left|right|both|bilateral(?:ly)?|lung|lobes?|lungs|bases?|zones?|ap(?:ex|ices)|lingula|sides?|upper|mid|middle|lower)"
    r"\b[ -]*)+(?:$|[.,;]|(?:is|are|was|were|has|have|measuring|consistent|compatible|with)\b)"
)
_COMPANION = re.compile(r"(?:(?:overlying|underlying|adjacent|associated|accompanying|compressive|subjacent|secondary|passive|basilar|pleural) )*$")
_SIDELESS = frozenset({"cardiomegaly", "hernia"})
_DIFFUSE = frozenset({"edema", "emphysema"})
"""of both lungs as a rule: they take a side from their own phrase alone, not from a neighbour's"""


SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def lesions_stated(text: str) -> set[str]:
    """Lesions that any sentence of a text says are there."""
    return {finding.lesion for sentence in SENTENCE_END.split(text) for finding in read_findings(sentence) if finding.status == PRESENT}


def read_findings(sentence: str) -> list[Finding]:
    """All lesions that the sentence names, once each, in the order of the 14."""
    text = _NO_CUE.sub(lambda match: " " * len(match.group()), sentence.lower())
    text = _BOTH.sub(lambda match: "bilateral".ljust(len(match.group())), text)
    found = []
    for lesion in LESIONS:
        said = [(_status(text, match), _side(text, match, lesion)) for match in _TERMS[lesion].finditer(text)]
        if said:
            # named twice in one sentence: present once is present, and on both sides if each time on another
            status = min((status for status, _ in said), key=(PRESENT, OPEN, DENIED).index)
            found.append(Finding(lesion, status, both_of(side for how, side in said if how == status)))
    return found


def _status(text: str, match: re.Match[str]) -> str:
    start, stop = _clause(text, match)
    before, after = text[start : match.end()], text[match.end() : stop]
    if _OPEN.search(after) or _OPEN_AHEAD.search(before):
        return OPEN
    return DENIED if _BEFORE.search(before) or _AFTER.search(after) else PRESENT


def _clause(text: str, match: re.Match[str]) -> tuple[int, int]:
    """From where to where words can speak of the lesion."""
    statements = [new for new in _STATEMENT.finditer(text) if _is_new(text, new)]
    starts = [turn.end() for turn in (*_TURN.finditer(text, 0, match.start()), *statements) if turn.end() <= match.start()]
    stops = [turn.start() for turn in (*_TURN.finditer(text, match.end()), *statements) if turn.start() >= match.end()]
    return max(starts, default=0), min(stops, default=len(text))


def _is_new(text: str, new: re.Match[str]) -> bool:
    """True for ", mild edema is present", False for "effusions, left greater than right, have cleared" and for an item of a list."""
    lesion = _first_lesion(text, new.end(), len(text))
    has_own_finding = lesion is not None and lesion.start() < new.end("subject")
    return has_own_finding and (bool(new["opens"] and not new["and"]) or _CLOSED_LIST.search(text, 0, new.start()) is not None)


def _side(text: str, match: re.Match[str], lesion: str) -> str:
    """The side of the phrase that names the lesion; of its neighbour's, where one phrase holds both ("left effusion and adjacent atelectasis")."""
    if lesion in _SIDELESS:
        return "not mentioned"
    start, stop = _clause(text, match)
    phrases = _phrases(text, start, stop)
    own = next(number for number, (begin, end) in enumerate(phrases) if begin <= match.start() < end)
    words = _SIDE.findall(text, *phrases[own])
    if not words and lesion not in _DIFFUSE:
        if own and _COMPANION.match(text[phrases[own][0] : match.start()]):
            words = _SIDE.findall(text, *phrases[own - 1])
        elif own + 1 < len(phrases):
            begin, end = phrases[own + 1]
            if (following := _first_lesion(text, begin, end)) and following.start() == begin:  # "effusion and atelectasis at both bases"
                words = _SIDE.findall(text, following.end(), end)
    return both_of({"le": "left", "li": "left", "ri": "right"}.get(word[:2], "bilateral") for word in words)


def both_of(sides: Iterable[str]) -> str:
    """One side of several: left and right make bilateral."""
    named = set(sides) - {"not mentioned"}
    return "not mentioned" if not named else named.pop() if len(named) == 1 else "bilateral"


def _phrases(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """The stretch cut behind each finding where a new one begins; "in the right middle lobe and lingula" stays whole."""
    cuts = [start]
    for joint in _JOINT.finditer(text, start, stop):
        if not _PLACE.match(text, joint.end(), stop) and _first_lesion(text, cuts[-1], joint.start()):
            cuts.append(joint.end())
    return list(zip(cuts, [*cuts[1:], stop], strict=True))


def _first_lesion(text: str, start: int, stop: int) -> re.Match[str] | None:
    found = [match for pattern in _TERMS.values() if (match := pattern.search(text, start, stop))]
    return min(found, key=lambda match: match.start(), default=None)
