"""Label reports by rules: 14 lesions with status, side and certainty, deterministic, without a download.

Each sentence is read once (``scope.read_sentence``) and remembered, because reports repeat themselves; a report is the sum of its sentences.

Conventions (``hedges="d15"``, the default): a lesion that is hedged but affirmed ("possible", "likely", "may represent") is positive with certainty
``hedged``; one that only "cannot be excluded" is negative with certainty ``hedged``; prior and resolved lesions are negative; a lesion that is not
mentioned is negative with certainty ``not mentioned``; negatives carry no side; left and right make bilateral; and one affirmation outweighs any
number of denials, for they speak of another site.

``hedges="gold_openi"`` follows the expert labels of the Indiana University reports (Open-i), where they differ. Those readers took "likely",
"probable", "consistent with", "X versus Y" and "X and/or Y" for findings, as we do, and passed over the weaker "possible", "may", "could",
"suggests", "suspected", "concerning for" and "question of": these are negative (certainty ``hedged``) under this option.

``terms="gold_openi"`` cuts the lesions as the code lists behind that gold do: a hiatal hernia is not counted as hernia, bullous emphysema not as
emphysema, a nodular opacity not as nodule, and a pericardial effusion is counted as effusion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from benchmark.labelling import lexicon, scope
from benchmark.labelling.scope import Mention
from benchmark.labelling.sentences import sentence_spans, split_sentences, with_plain_line_ends
from benchmark.records import Lesion, Lesions, UserError
from benchmark.vocabulary import LESIONS

HEDGES = ("d15", "gold_openi")
TERMS = ("chest14", "gold_openi")
VERSION = 1
REMEMBERED = 500_000
"""sentences kept, and as many reports and decisions; a memory that is full is emptied"""

_STATED: dict[str, tuple[str, str]] = {
    # stance -> status, certainty
    "stated": ("positive", "stated"),
    "likely": ("positive", "hedged"),
    "possible": ("positive", "hedged"),
    "excluded": ("negative", "hedged"),
    "asked": ("negative", "hedged"),
    "unlikely": ("negative", "hedged"),
    "denied": ("negative", "stated"),
    "past": ("negative", "stated"),
}
CONVENTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "d15": _STATED,
    "gold_openi": _STATED | {"possible": ("negative", "hedged")},
}
_UNMENTIONED: Lesions = tuple(Lesion(name, "negative", certainty="not mentioned") for name in LESIONS)
_PLACE = {name: place for place, name in enumerate(LESIONS)}


class Memory(NamedTuple):
    """What labellers of the same options have read: one in the run, one in a judge and one in GREEN by rules see the same texts."""

    phrases: scope.Phrases
    sentences: dict[str, tuple[Mention, ...]]
    decided: dict[tuple[Mention, ...], Lesion]
    reports: dict[str, Lesions]


_OF_MEMORY = ("_phrases", "_sentences", "_decided", "_reports")
"""what a labeller calls the parts of it"""


@cache
def _memory(hedges: str, terms: str) -> Memory:
    return Memory(scope.compile_phrases(terms), {}, {}, {})


class RuleLabeller:
    """Turns reports into lesions by rules. Raises ``UserError`` for an unknown option."""

    def __init__(self, *, hedges: str = "d15", terms: str = "chest14") -> None:
        for option, value, known in (("hedges", hedges, HEDGES), ("terms", terms, TERMS)):
            if value not in known:
                raise UserError(f"the labeller by rules has no {option}={value!r}; known: {', '.join(known)}")
        self.hedges = hedges
        self.terms = terms
        self._convention = CONVENTIONS[hedges]
        self._phrases, self._sentences, self._decided, self._reports = _memory(hedges, terms)

    def __getstate__(self) -> dict[str, Any]:
        """All but the memory: the process that it is sent to has its own."""
        return {name: value for name, value in vars(self).items() if name not in _OF_MEMORY}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        vars(self).update(zip(_OF_MEMORY, _memory(self.hedges, self.terms), strict=True))

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        """14 lesions for each report, in order; an empty report mentions none."""
        out = []
        for report in reports:
            lesions = self._reports.get(report)
            if lesions is None:
                if len(self._reports) >= REMEMBERED:
                    self._reports.clear()
                lesions = self._reports[report] = self._sum(self.mentions(report))
            out.append(lesions)
        return out

    def mentions(self, report: str) -> list[Mention]:
        """Every mention of a lesion in the report, in order: the evidence from which ``label`` sums up."""
        found: list[Mention] = []
        for sentence in split_sentences(report):
            found += self._said(sentence)
        return found

    def mentions_at(self, report: str) -> list[tuple[tuple[int, int], tuple[Mention, ...]]]:
        """The same by sentence: where each stands that mentions a lesion, and what it mentions."""
        placed = (((start, end), self._said(with_plain_line_ends(report[start:end]))) for start, end in sentence_spans(report))
        return [(place, said) for place, said in placed if said]

    def read(self, report: str) -> tuple[Lesions, list[tuple[tuple[int, int], tuple[Mention, ...]]]]:
        """What ``label`` and ``mentions_at`` say of a report, in one look at it."""
        said = self.mentions_at(report)
        return self._sum([mention for _, mentions in said for mention in mentions]), said

    def status_of(self, mention: Mention) -> str:
        """Positive or negative, by the conventions of this labeller."""
        return self._convention[mention.stance][0]

    def _said(self, sentence: str) -> tuple[Mention, ...]:
        said = self._sentences.get(sentence)
        if said is None:
            if len(self._sentences) >= REMEMBERED:
                self._sentences.clear()
            said = self._sentences[sentence] = scope.read_sentence(sentence, self._phrases)
        return said

    def signature(self) -> str:
        """Back end, conventions, and a hash of the lexicon."""
        return f"rules|hedges:{self.hedges}|terms:{self.terms}|v{VERSION}|lexicon:{_lexicon_hash()}"

    def _sum(self, mentions: Sequence[Mention]) -> Lesions:
        """One lesion record each from all that was said of it."""
        if not mentions:
            return _UNMENTIONED
        said: dict[str, list[Mention]] = {}
        for mention in mentions:
            said.setdefault(mention.lesion, []).append(mention)
        lesions = list(_UNMENTIONED)
        for name, about in said.items():
            key = tuple(about)
            lesion = self._decided.get(key)
            if lesion is None:
                if len(self._decided) >= REMEMBERED:
                    self._decided.clear()
                lesion = self._decided[key] = self._decide(name, about)
            lesions[_PLACE[name]] = lesion
        return tuple(lesions)

    def _decide(self, name: str, about: Sequence[Mention]) -> Lesion:
        """What the mentions of one lesion come to. Equal mentions share one record: a million reports then fit into memory."""
        convention = self._convention
        positive = [mention for mention in about if convention[mention.stance][0] == "positive"]
        deciding = positive or about
        stated = [mention for mention in deciding if convention[mention.stance][1] == "stated"]
        certainty = "stated" if stated else "hedged"
        words = (stated or deciding)[0].words
        if not positive:
            return Lesion(name, "negative", "not mentioned", certainty, words)
        sides = {mention.side for mention in positive} - {"not mentioned"}
        side = "not mentioned" if not sides else sides.pop() if len(sides) == 1 else "bilateral"
        return Lesion(name, "positive", side, certainty, words)


@cache
def _lexicon_hash() -> str:
    """Eight hex digits over everything that the lexicon lists."""
    listed = [
        (name, sorted(value) if isinstance(value, frozenset) else value)
        for name, value in sorted(vars(lexicon).items())
        if name.isupper() and isinstance(value, dict | tuple | frozenset)
    ]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:8]
