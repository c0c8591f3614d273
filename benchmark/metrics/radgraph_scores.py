"""Two annotations to the number that enters RadCliQ: the mean of F1 of entities and F1 of relations.

F. Yu et al., "Evaluating progress in automatic chest X-ray radiology report generation" (Patterns 2023); code: radgraph_evaluate_model.py of
github.com/rajpurkarlab/CXR-Report-Metric, compute_f1 and parse_entity_relation. It is none of the levels of F1-RadGraph, which ``radgraph_levels``
has: tokens are compared as they are written, and of a relation both ends count with their labels.
"""

from __future__ import annotations

from collections.abc import Hashable, Set

from benchmark.annotating.annotations import Annotation


def radgraph_combined(ours: Annotation, theirs: Annotation) -> float:
    """The mean of F1 of entities and F1 of relations.

    0 for a half of which one report has nothing, also where neither has: two reports without relations are at most 0.5 alike.
    """
    return (f1(_entities(ours), _entities(theirs)) + f1(_relations(ours), _relations(theirs))) / 2


def f1(ours: Set[Hashable], theirs: Set[Hashable]) -> float:
    """Of two sets; 0 where they have nothing in common."""
    common = len(ours & theirs)
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return 2 * precision * recall / (precision + recall)


def _entities(annotation: Annotation) -> set[Hashable]:
    return {(entity["tokens"], entity["label"]) for entity in annotation["entities"].values()}


def _relations(annotation: Annotation) -> set[Hashable]:
    entities = annotation["entities"]
    return {
        ((entity["tokens"], entity["label"]), (entities[other]["tokens"], entities[other]["label"]), kind)
        for entity in entities.values()
        for kind, other in entity["relations"]
    }
