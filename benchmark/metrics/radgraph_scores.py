"""Two annotations to numbers: F1-RadGraph at three levels, and the mean of two F1 that enters RadCliQ.

J.-B. Delbrouck et al., "Improving the factual correctness of radiology report generation with semantic rewards" (Findings of EMNLP 2022,
https://arxiv.org/abs/2210.12186); code: github.com/Stanford-AIMI/radgraph. F. Yu et al., "Evaluating progress in automatic chest X-ray radiology
report generation" (Patterns 2023); code: github.com/rajpurkarlab/CXR-Report-Metric.

Each report becomes a set, so that what is said twice counts once; of an entity there enters

    simple    (tokens, label)                                                                     RG_E
    partial   (tokens, label, has it a relation)                                                  RG_ER, what most papers call F1-RadGraph
    complete  (tokens, label, kind, tokens of the other) for each relation, or (tokens, label)    RG_ER with a bar

``case`` is a convention, and under one version number of the package (0.1.18) there are two: what PyPI has compares tokens as they are written,
but for the relations of ``complete``, which it lower-cases (``cased``); the repository, since July 2026, lower-cases all (``lower``).
"""

from __future__ import annotations

from collections.abc import Hashable, Set
from typing import Literal, NamedTuple

from benchmark.annotating.annotations import Annotation

Case = Literal["lower", "cased"]
LEVELS = ("simple", "partial", "complete")


class Numbering:
    """Things as small integers, equal things alike: sets of integers meet several times faster than sets of tuples of strings."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __call__(self, thing: Hashable) -> int:
        """The number of the thing."""
        return self._numbers.setdefault(thing, len(self._numbers))


class Sets(NamedTuple):
    """A report as the three levels see it; numbers mean something within one ``Numbering`` and case."""

    simple: frozenset[int]
    partial: frozenset[int]
    complete: frozenset[int]


class Match(NamedTuple):
    """How two sets agree; shares in [0, 1], 0 where a set is empty."""

    f1: float
    precision: float
    recall: float


def sets_of(annotation: Annotation, case: Case, number: Numbering) -> Sets:
    """What each level makes of a report."""
    entities = annotation["entities"]
    simple: set[int] = set()
    partial: set[int] = set()
    complete: set[int] = set()
    for entity in entities.values():
        tokens, label = entity["tokens"], entity["label"]
        small = tokens.lower()
        plain = number((small if case == "lower" else tokens, label))
        simple.add(plain)
        if relations := entity["relations"]:
            partial.add(number((plain, True)))
            complete.update(number((small, label, kind, entities[other]["tokens"].lower())) for kind, other in relations)
        else:
            partial.add(plain)
            complete.add(plain)
    return Sets(frozenset(simple), frozenset(partial), frozenset(complete))


def match(ours: Set[Hashable], theirs: Set[Hashable]) -> Match:
    """Precision and recall of our set against theirs, and F1."""
    common = len(ours & theirs)
    if not common:
        return Match(0.0, 0.0, 0.0)
    precision, recall = common / len(ours), common / len(theirs)
    return Match(2 * precision * recall / (precision + recall), precision, recall)


def radgraph_combined(ours: Annotation, theirs: Annotation) -> float:
    """The mean of F1 of entities and F1 of relations, as RadCliQ has it: tokens cased, the other entity of a relation with its label.

    0 for a half of which one report has nothing, also where neither has: two reports without relations are at most 0.5 alike.
    """
    entities = match(*({(entity["tokens"], entity["label"]) for entity in one["entities"].values()} for one in (ours, theirs)))
    relations = match(_relations(ours), _relations(theirs))
    return (entities.f1 + relations.f1) / 2


def _relations(annotation: Annotation) -> set[Hashable]:
    entities = annotation["entities"]
    return {
        ((entity["tokens"], entity["label"]), (entities[other]["tokens"], entities[other]["label"]), kind)
        for entity in entities.values()
        for kind, other in entity["relations"]
    }
