"""The embedded judge: how consistent a report is with its reference, on the four axes of the paper, by rules alone.

Deterministic and without a download, for the demo and for CI. It is no language model, reads 14 lesions and no other finding, and its numbers say
so by their names (``rules.total``); they compare with each other and with nothing else.

Each axis is a share from 0 to 1, made a whole number from 1 to 5 by ``CUTS``:

clinical_accuracy       Of the lesions that either report states, how many both state. A lesion counts 1 where both give one side (or neither gives
                        any), 0.75 where only one gives a side, 0.5 for one side against both, 0 for left against right. 1 where neither states any.
findings_completeness   Of the lesions that the reference states or denies, how many the candidate covers. A stated one is covered if the candidate
                        states it, and weighs 2; a denied one if the candidate speaks of it at all (that it says otherwise is an error of accuracy,
                        and counted there), and weighs 1. 1 where the reference names no lesion.
linguistic_quality      Of the candidate alone: the share of its sentences that are not repeated, times how well they are formed (the mean of
                        four shares: begins with a capital or a digit; ends with a full stop; has 2 to 60 words; no word stands twice in a row),
                        times 5 / words where there are fewer than 5 words for a number, or 300 / words where there are more than 300.
report_structure        0.6 x order of the subjects (twice their longest common subsequence by the sum of the lengths) + 0.25 x ratio of the lengths
                        in words + 0.15 x share of the section headings that both have.

A candidate without a word states nothing, and gets 1 on every axis.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from benchmark.labelling.rules import RuleLabeller
from benchmark.llm.questions import Kind
from benchmark.metrics.tokens import check_pairs
from benchmark.records import Evidence, Lesions
from benchmark.vocabulary import LESIONS

AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")
"""in the order of the paper's Table 2a"""
_AXIS_HEADS = {axis: axis.replace("_", " ").capitalize() for axis in AXES}
VERSION = 1
CUTS = (0.25, 0.5, 0.7, 0.9)
"""a share from the first on is a 2, from the last on a 5"""
ONE_SIDE_UNSTATED, ONE_OF_BOTH_SIDES = 0.75, 0.5
STATED_WEIGHT, DENIED_WEIGHT = 2, 1
FEWEST_WORDS, MOST_WORDS = 5, 300
SENTENCE_WORDS = (2, 60)
ORDER, LENGTH, SECTIONS = 0.6, 0.25, 0.15
REMEMBERED = 100_000
"""texts kept as read; a memory that is full is emptied"""

SUBJECTS = {
    "devices": r"tubes?|catheters?|lines?|pacemakers?|leads?|wires?|clips?|picc|drains?|icd|stents?|valves?|port",
    "heart": r"hearts?|cardi\w+",
    "mediastinum": r"mediastin\w+|hil(?:a|um|ar)|aort\w+|trachea\w*",
    "pleura": r"pleura\w*|effusions?|\w*pneumothora\w+|costophrenic",
    "lungs": r"lungs?|pulmonary|lobes?|lobar|opacit\w+|consolidat\w+|atelecta\w+|o?edema|nod\w+|mass(?:es)?|infiltrat\w+|pneumonia|emphysema\w*"
    r"|fibro\w+|airspace|interstiti\w+|lingula",
    "bones": r"bones?|bony|osseous|ribs?|spine|spinal|vertebra\w*|fractures?|clavicles?|scoliosis|degenerative",
    "abdomen": r"abdom\w+|diaphragm\w*|hemidiaphragm\w*|stomach|bowel|hernia\w*|free air",
}
"""what sentences are about; "cardiomediastinal" is of the heart"""

_SUBJECT = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in SUBJECTS.items()))
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_WORD = re.compile(r"\w+")
_HEADER = re.compile(r"^[ \t]*([A-Z][A-Z /&]{2,40}):", re.MULTILINE)
_TWICE_IN_A_ROW = re.compile(r"\b([a-z]{2,})\s+\1\b")


class Read(NamedTuple):
    """One text, as far as the four axes look at it."""

    stated: Mapping[str, str]
    """lesion -> side"""
    named: frozenset[str]
    """lesions that it states or denies"""
    words: int
    subjects: tuple[str, ...]
    """in their order; one that follows itself stands once"""
    headings: frozenset[str]
    linguistic: float
    """share from 0 to 1"""


class RuleJudge:
    """Scores on four axes, from the lesions of both texts and the look of them."""

    asks = False

    def __init__(self, labeller: RuleLabeller | None = None) -> None:
        """``labeller`` is one by rules, whoever else labels in a run: a judge by rules is by rules throughout."""
        self._labeller = labeller or RuleLabeller()
        self._read: dict[str, Read] = {}
        self.failures: Counter[Kind] = Counter()
        """always empty: rules have an answer to everything"""

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 5) one, and the four scores in the order of ``AXES``."""
        check_pairs(hypotheses, references)
        self._look_at((*hypotheses, *references))
        pairs = zip(hypotheses, references, strict=True)
        shares = [shares_of(self._read[candidate], self._read[reference]) for candidate, reference in pairs]
        scores = scores_of(np.array(shares, dtype=np.float64).reshape(len(hypotheses), len(AXES)))
        return np.column_stack([np.ones(len(hypotheses)), scores])

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``rules.total`` out of 20, ``rules.mean`` out of 5, and ``rules.<axis>``: means over cases."""
        return axis_values(sums[..., 1:], sums[..., 0], "rules.")

    @property
    def evidence_title(self) -> str:
        """Whose evidence it is."""
        return "Judge (rules)"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        """Of each pair the four scores, with what was counted for each."""
        self._look_at((*hypotheses, *references))
        return [explained(self._read[candidate], self._read[reference]) for candidate, reference in zip(hypotheses, references, strict=True)]

    def _look_at(self, texts: Sequence[str]) -> None:
        """Read those that are new."""
        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self._read]
        if len(self._read) + len(new) > REMEMBERED:
            self._read.clear()
            new = list(wanted)
        for text, lesions in zip(new, self._labeller.label(new), strict=True):
            self._read[text] = read(text, lesions)

    def signature(self) -> str:
        """Says rules first; the labeller's own stands in brackets."""
        cuts = ",".join(map(str, CUTS))
        return f"consistency|judge:rules|scale:1-5|cuts:{cuts}|lesions:({self._labeller.signature()})|v{VERSION}"


def axis_values(scores: np.ndarray, cases: np.ndarray, prefix: str = "") -> dict[str, np.ndarray]:
    """Total (out of 20), mean (out of 5) and the axes of sums over cases; NaN where there are none.

    scores   (..., 4)  sums, in the order of ``AXES``
    cases    (...)     how many
    returns  name with the prefix -> (...)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(cases[..., None] > 0, scores / cases[..., None], np.nan)
    total = means.sum(axis=-1)
    named = {"total": total, "mean": total / len(AXES), **{axis: means[..., column] for column, axis in enumerate(AXES)}}
    return {f"{prefix}{name}": value for name, value in named.items()}


def scores_of(shares: np.ndarray) -> np.ndarray:
    """Shares as whole numbers from 1 to 5; a hair below a cut, where only rounding put it there, is on it."""
    return np.searchsorted(np.array(CUTS), shares + 1e-9, side="right") + 1.0


def shares_of(candidate: Read, reference: Read) -> tuple[float, float, float, float]:
    """The four shares, in the order of ``AXES``."""
    if not candidate.words:
        return 0.0, 0.0, 0.0, 0.0
    return accuracy(candidate, reference), completeness(candidate, reference), candidate.linguistic, structure(candidate, reference)


def explained(candidate: Read, reference: Read) -> list[Evidence]:
    """The score of each axis, and what it was counted from."""
    scores = scores_of(np.array(shares_of(candidate, reference)))
    if candidate.words:
        why = (_why_accurate(candidate, reference), _why_complete(candidate, reference), _why_written(candidate), _why_built(candidate, reference))
    else:
        why = ("The report has no words.",) * 4
    return [Evidence(_AXIS_HEADS[axis], f"{score:.0f} of 5", words) for axis, score, words in zip(AXES, scores, why, strict=True)]


def _why_accurate(candidate: Read, reference: Read) -> str:
    ours, theirs = candidate.stated, reference.stated
    both = [name for name in ours if name in theirs]
    same = [_sided(name, ours[name]) for name in both if ours[name] == theirs[name]]
    other = [f"{name} ({_side(ours[name])}; reference: {_side(theirs[name])})" for name in both if ours[name] != theirs[name]]
    parts = (
        ("Both state", same),
        ("Both state, sides differ", other),
        ("Only the report states", [_sided(name, side) for name, side in ours.items() if name not in theirs]),
        ("Only the reference states", [_sided(name, side) for name, side in theirs.items() if name not in ours]),
    )
    return _sentences(parts) or "Neither text states any of the 14 lesions."


def _why_complete(candidate: Read, reference: Read) -> str:
    stated = [name for name in LESIONS if name in reference.stated]
    denied = [name for name in LESIONS if name in reference.named and name not in reference.stated]
    parts = (
        ("Covered", [name for name in stated if name in candidate.stated] + [f"no {name}" for name in denied if name in candidate.named]),
        ("Not covered", [name for name in stated if name not in candidate.stated] + [f"no {name}" for name in denied if name not in candidate.named]),
    )
    return _sentences(parts) or "The reference names none of the 14 lesions."


def _why_written(candidate: Read) -> str:
    return f"{candidate.words:,} words; {candidate.linguistic:.0%} well formed and without repetition."


def _why_built(candidate: Read, reference: Read) -> str:
    ours, theirs = (", ".join(text.subjects) or "no known subject" for text in (candidate, reference))
    headed, also = (", ".join(sorted(text.headings)) or "none" for text in (candidate, reference))
    headings = f" Headings: {headed}; reference: {also}." if candidate.headings | reference.headings else ""
    return f"Subjects in order: {ours}. Reference: {theirs}. Words: {candidate.words:,}, reference {reference.words:,}.{headings}"


def _sentences(parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    return " ".join(f"{head}: {', '.join(names)}." for head, names in parts if names)


def _sided(name: str, side: str) -> str:
    return name if side == "not mentioned" else f"{name} ({side})"


def _side(side: str) -> str:
    return "no side" if side == "not mentioned" else side


def accuracy(candidate: Read, reference: Read) -> float:
    """Agreement on the lesions that either states."""
    either = candidate.stated.keys() | reference.stated.keys()
    both = candidate.stated.keys() & reference.stated.keys()
    return sum(_side_agreement(candidate.stated[name], reference.stated[name]) for name in both) / len(either) if either else 1.0


def _side_agreement(ours: str, theirs: str) -> float:
    if ours == theirs:
        return 1.0
    if "not mentioned" in (ours, theirs):
        return ONE_SIDE_UNSTATED
    return ONE_OF_BOTH_SIDES if "bilateral" in (ours, theirs) else 0.0


def completeness(candidate: Read, reference: Read) -> float:
    """How much of what the reference names the candidate covers."""
    stated, denied = reference.stated.keys(), reference.named - reference.stated.keys()
    due = STATED_WEIGHT * len(stated) + DENIED_WEIGHT * len(denied)
    covered = STATED_WEIGHT * len(stated & candidate.stated.keys()) + DENIED_WEIGHT * len(denied & candidate.named)
    return covered / due if due else 1.0


def structure(candidate: Read, reference: Read) -> float:
    """How alike the two are built."""
    subjects = len(candidate.subjects) + len(reference.subjects)
    order = 2 * _common(candidate.subjects, reference.subjects) / subjects if subjects else 1.0
    length = min(candidate.words, reference.words) / max(candidate.words, reference.words)
    headings = candidate.headings | reference.headings
    sections = len(candidate.headings & reference.headings) / len(headings) if headings else 1.0
    return ORDER * order + LENGTH * length + SECTIONS * sections


@lru_cache(maxsize=REMEMBERED)
def _common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the longest common subsequence: a row of the table as the bits of one number, whose zeros mark the steps up (Hyyrö 2004).

    Cell by cell, two reports of a megabyte would take hours.
    """
    alike = _alike_at_first(first, second)
    first, second = first[alike:], second[alike:]
    at_last = _alike_at_first(first[::-1], second[::-1])
    first, second = first[: len(first) - at_last], second[: len(second) - at_last]
    places = {one: int("".join("1" if other == one else "0" for other in reversed(first)), 2) for one in set(first) & set(second)}
    whole = row = (1 << len(first)) - 1
    for other in second:
        if match := row & places.get(other, 0):
            row = (row + match | row - match) & whole
    return alike + at_last + len(first) - row.bit_count()


def _alike_at_first(first: Sequence[str], second: Sequence[str]) -> int:
    """How many subjects two reports begin with alike."""
    return next((place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), min(len(first), len(second)))


def read(text: str, lesions: Lesions) -> Read:
    """What the axes need of a text and its lesions."""
    sentences = [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]
    found = [_sentence(sentence) for sentence in sentences]
    subjects = [subject for sentence in found for subject in sentence.subjects]
    words = sum(sentence.words for sentence in found)
    return Read(
        {lesion.name: lesion.side for lesion in lesions if lesion.status == "positive"},
        frozenset(lesion.name for lesion in lesions if lesion.certainty != "not mentioned"),
        words,
        tuple(subject for place, subject in enumerate(subjects) if not place or subjects[place - 1] != subject),
        frozenset(_HEADER.findall(text)),
        _linguistic(found, words),
    )


class _Sentence(NamedTuple):
    key: str
    words: int
    form: float
    subjects: tuple[str, ...]


@lru_cache(maxsize=REMEMBERED)
def _sentence(text: str) -> _Sentence:
    lower = text.lower()
    words = _WORD.findall(lower)
    form = (
        text[0].isupper() or text[0].isdigit(),
        text[-1] in ".!?",
        SENTENCE_WORDS[0] <= len(words) <= SENTENCE_WORDS[1],
        not _TWICE_IN_A_ROW.search(lower),
    )
    return _Sentence(" ".join(words), len(words), sum(form) / len(form), tuple(match.lastgroup or "" for match in _SUBJECT.finditer(lower)))


def _linguistic(sentences: Sequence[_Sentence], words: int) -> float:
    if not words:
        return 0.0
    distinct = len({sentence.key for sentence in sentences}) / len(sentences)
    formed = sum(sentence.form for sentence in sentences) / len(sentences)
    return distinct * formed * min(1.0, words / FEWEST_WORDS, MOST_WORDS / words)
