"""What an annotator says of a report, in the form of the package ``radgraph`` (github.com/Stanford-AIMI/radgraph), so that files of either are read.

    {"text": "small pleural effusion .",
     "entities": {"1": {"tokens": "small", "label": "Observation::definitely present", "start_ix": 0, "end_ix": 0, "relations": [["modify", "3"]]},
                  "2": {"tokens": "pleural", ...}, ...}}

``text`` is the tokens with a blank between any two; ``start_ix`` and ``end_ix`` are the places of the first and the last token; a relation stands at
the entity that it comes from, and names the key of the one that it goes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

RELATIONS = ("modify", "located_at", "suggestive_of")


class Entity(TypedDict):
    """A word or a few that name a part of the body or something seen."""

    tokens: str
    """its tokens with a blank between any two, cased as in the report"""
    label: str
    """``Observation::definitely present`` and the like; of the first model ``OBS-DP``"""
    start_ix: int
    """place of its first token"""
    end_ix: int
    """place of its last token"""
    relations: list[list[str]]
    """(kind, key of the other entity)"""


class Annotation(TypedDict):
    """All that is said of one report."""

    text: str
    """its tokens, a blank between any two"""
    entities: dict[str, Entity]
    """by their keys, "1" and on"""
    data_source: NotRequired[None]
    """the package writes it, and nobody reads it"""
    data_split: NotRequired[str]
    """likewise"""


def fault_of(annotation: Any) -> str:
    """Why this is no annotation, in a few words; empty if it is one. What does not enter a score is not looked at."""
    if _is_plainly_one(annotation):
        return ""
    if not isinstance(annotation, Mapping) or not isinstance(annotation.get("entities"), Mapping):
        return "not an object with entities (an object: key -> entity)"
    entities = annotation["entities"]
    for key, entity in entities.items():
        if not isinstance(entity, Mapping) or not all(isinstance(entity.get(name), str) for name in ("tokens", "label")):
            return f"entity {key!r} has no tokens and label that are text"
        if not isinstance(entity.get("relations"), list):
            return f"entity {key!r} has no list of relations, which may be empty"
        for relation in entity["relations"]:
            if not isinstance(relation, Sequence) or isinstance(relation, str) or len(relation) != 2 or not isinstance(relation[0], str):
                return f"entity {key!r} has the relation {relation!r}, which is not [kind, key of the other entity]"
            if relation[0] not in RELATIONS:
                return f"entity {key!r} has the relation {relation!r}, and known kinds are {', '.join(RELATIONS)}"
            if not isinstance(relation[1], str) or relation[1] not in entities:
                return f"entity {key!r} has the relation {relation!r}, and there is no entity {relation[1]!r}"
    return ""


def _is_plainly_one(annotation: Any) -> bool:
    """True for what JSON makes of a sound annotation: most are, and millions of entities are looked at."""
    entities = annotation.get("entities") if type(annotation) is dict else None
    if type(entities) is not dict:
        return False
    for entity in entities.values():
        if type(entity) is not dict or type(entity.get("tokens")) is not str or type(entity.get("label")) is not str:
            return False
        relations = entity.get("relations")
        if type(relations) is not list:
            return False
        for relation in relations:
            if type(relation) is not list or len(relation) != 2 or type(relation[0]) is not str or type(relation[1]) is not str:
                return False
            if relation[0] not in RELATIONS or relation[1] not in entities:
                return False
    return True
