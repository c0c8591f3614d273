"""Errors and matched findings counted by rules: GREEN's categories and formula for the demo and for CI, and no GREEN: no model reads anything.

Deterministic and without a download. It sees 14 lesions and no other finding; its numbers bear its name (``rules.green``) and compare with nothing
but themselves. Of each lesion:

(a) false_finding       the candidate states it, the reference does not                                    significant
(b) missing_finding     the reference states it, the candidate does not                                    significant
(c) location            both state it, and the sides that they give are not the same                       significant
(d) severity            both state it, in words of severity two or more grades apart; one grade apart      significant; insignificant
matched                 both state it, neither (c) nor a significant (d); or both deny it in so many words

And of each report as a whole, at most once: (e) ``false_comparison``, the candidate compares with an earlier examination and the reference does not;
(f) ``missing_comparison``, the other way round. Significant where a change is told (worse, better, new), insignificant where only "unchanged".
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sentences import split_sentences

VERSION = 2
GRADES = (
    r"trace|tiny|minimal\w*|minor|subtle|slight\w*|faint",
    r"small|mild\w*|little",
    r"moderate\w*|medium",
    r"large|severe\w*|marked\w*|massive|extensive|substantial\w*",
)
"""words of severity, from the least; in their order"""
GRADE_NAMES = ("trace", "small or mild", "moderate", "large or severe")
SAME = r"unchanged|stable|unaltered|persist\w*|no (?:interval |significant )*changes?|no new \w+|similar|again seen|compar\w+|prior|previous\w*"
CHANGE = r"increas\w+|decreas\w+|worse\w*|progress\w+|improv\w+|resol\w+|new|newly|enlarging|smaller|larger|developed|reduced|cleared"
BOUNDARY = r"[,;]|\b(?:in|with|without|and(?!/or)|but)\b"
"""where another thing begins, whose severity it is: a mass in massive cardiomegaly; but "mild scarring or atelectasis" is of both"""
_GRADE = re.compile("|".join(rf"(?P<g{grade}>{words})" for grade, words in enumerate(GRADES)), re.IGNORECASE)
_BOUNDARY = re.compile(BOUNDARY, re.IGNORECASE)
_SAME = re.compile(rf"\b(?:{SAME})\b", re.IGNORECASE)
_CHANGE = re.compile(rf"\b(?:{CHANGE})\b", re.IGNORECASE)
BEFORE, BEHIND = 4, 3
"""words up to a boundary in which a lesion's severity is looked for"""
REMEMBERED = 100_000
"""reports kept as read"""


class Finding(NamedTuple):
    """One of the 14 lesions as a report speaks of it."""

    status: str
    """positive | negative | not mentioned"""
    side: str
    grade: int | None
    """place in ``GRADES`` of the word of severity that stands with it"""


class Said(NamedTuple):
    """What the rules see of a report."""

    lesions: dict[str, Finding]
    comparison: str
    """change | same | empty where it compares with nothing"""


class RuleCounts(NamedTuple):
    """What is counted of a pair; six categories in the order of the published answer."""

    significant: tuple[int, ...]
    insignificant: tuple[int, ...]
    matched: int


class Counted(NamedTuple):
    """One error or one match of a pair."""

    category: int | None
    """place of the error's category in the order of the published answer; None for a match"""
    is_significant: bool
    what: str
    """which, for people: ``pleural effusion (left)``"""


class Rules:
    """Counts of pairs."""

    def __init__(self) -> None:
        self._labeller = RuleLabeller()
        self._read = lru_cache(maxsize=REMEMBERED)(self._said)

    def count(self, candidate: str, reference: str) -> RuleCounts:
        """Errors and matches of one pair."""
        significant, insignificant, matched = [0] * 6, [0] * 6, 0
        for one in self.compare(candidate, reference):
            if one.category is None:
                matched += 1
            else:
                (significant if one.is_significant else insignificant)[one.category] += 1
        return RuleCounts(tuple(significant), tuple(insignificant), matched)

    def compare(self, candidate: str, reference: str) -> list[Counted]:
        """Everything that is counted of one pair: each error, and each match; of a severity one grade apart both."""
        ours, theirs = self._read(candidate), self._read(reference)
        found: list[Counted] = []
        for name in dict.fromkeys((*theirs.lesions, *ours.lesions)):
            said, true = (report.lesions.get(name, _SILENT) for report in (ours, theirs))
            if "positive" not in (said.status, true.status):
                found += [Counted(None, False, f"no {name}")] if said.status == true.status == "negative" else []
            elif true.status != "positive":
                found.append(Counted(0, True, sided(name, said.side)))
            elif said.status != "positive":
                found.append(Counted(1, True, sided(name, true.side)))
            elif "not mentioned" not in (said.side, true.side) and said.side != true.side:
                found.append(Counted(2, True, f"{name}: {said.side}, reference {true.side}"))
            else:
                apart = abs(said.grade - true.grade) if said.grade is not None and true.grade is not None else 0
                if apart and said.grade is not None and true.grade is not None:
                    found.append(Counted(3, apart > 1, f"{name}: {GRADE_NAMES[said.grade]}, reference {GRADE_NAMES[true.grade]}"))
                found += [Counted(None, False, sided(name, said.side))] if apart <= 1 else []
        if bool(ours.comparison) != bool(theirs.comparison):
            place, told = (4, ours.comparison) if ours.comparison else (5, theirs.comparison)
            found.append(Counted(place, told == "change", _TOLD[place, told]))
        return found

    def signature(self) -> str:
        """The labeller's own, a hash of the words above and of where they are looked for, and the version of what is made of them."""
        digest = hashlib.sha256("\n".join((*GRADES, SAME, CHANGE, BOUNDARY, str(BEFORE), str(BEHIND))).encode()).hexdigest()[:12]
        return f"labeller:({self._labeller.signature()})|words_of_severity_and_change:{digest}|rules:v{VERSION}"

    def _said(self, report: str) -> Said:
        (lesions,) = self._labeller.label([report])
        found = {
            lesion.name: Finding(lesion.status, lesion.side, _grade(report, lesion.rationale))
            for lesion in lesions
            if lesion.status == "positive" or lesion.certainty != "not mentioned"
        }
        return Said(found, "change" if _CHANGE.search(_SAME.sub(" ", report)) else "same" if _SAME.search(report) else "")


_TOLD = {
    (4, "change"): "the report tells a change",
    (4, "same"): "the report says that something is unchanged, or compares",
    (5, "change"): "the reference tells a change",
    (5, "same"): "the reference says that something is unchanged, or compares",
}


def sided(name: str, side: str) -> str:
    """A lesion with its side, if there is one."""
    return name if side == "not mentioned" else f"{name} ({side})"


_SILENT = Finding("not mentioned", "not mentioned", None)


def _grade(report: str, words: str) -> int | None:
    """The word of severity that stands with the words that decided a lesion, in the first sentence that has them."""
    sentence = next((sentence for sentence in split_sentences(report) if _whole(words, sentence) >= 0), None) if words else None
    return None if sentence is None else _grade_in(sentence, words)


@lru_cache(maxsize=REMEMBERED)
def _grade_in(sentence: str, words: str) -> int | None:
    """The last of those before the words, one within, or the first behind."""
    start = _whole(words, sentence)
    before, after = sentence[:start], sentence[start + len(words) :]
    near = (_BOUNDARY.split(before)[-1].split()[-BEFORE:], words.split(), _BOUNDARY.split(after)[0].split()[:BEHIND])
    grades = [[_grade_of(word) for word in part if _grade_of(word) is not None] for part in near]
    return next((part[place] for part, place in zip(grades, (-1, 0, 0), strict=True) if part), None)


def _whole(words: str, sentence: str) -> int:
    """Where they stand as whole words, -1 if nowhere: a mass is not in "massive"."""
    start = sentence.find(words)
    while start >= 0 and (_is_within(sentence, start) or _is_within(sentence, start + len(words))):
        start = sentence.find(words, start + 1)
    return start


def _is_within(text: str, place: int) -> bool:
    """True if a word goes on over the place."""
    return 0 < place < len(text) and all(one.isalnum() or one == "_" for one in text[place - 1 : place + 1])


@lru_cache(maxsize=REMEMBERED)
def _grade_of(word: str) -> int | None:
    found = _GRADE.fullmatch(word.strip(".:()"))
    return int(found.lastgroup[1:]) if found and found.lastgroup else None
