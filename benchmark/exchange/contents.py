"""What travels between a run and a file of another harness: one model's reports, the references, and why a case has no report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.records import UserError

NO_ANSWER = "the imported file holds no answer for this case"


class UnreadableExchange(UserError):
    """A file that is not of the shape that was named; the message says where."""


class TextCannotTravel(UserError):
    """A text or an id that a file of this shape cannot hold unchanged."""


@dataclass(frozen=True)
class Contents:
    """One model of one run. Every case has a report or a failure, never both."""

    texts: dict[str, str]
    """case id -> report; an empty one is an answer"""
    failures: dict[str, str]
    """case id -> why there is no report"""
    references: dict[str, str]
    """case id -> text, where there is one"""
    order: tuple[str, ...]
    """all case ids, as the run or the file has them"""
    model: str = ""
    """as the run calls it"""
    dataset: str = ""
    started: str = ""
    """when the run began, as ISO 8601 in UTC"""
    studies: Mapping[str, str] = field(default_factory=dict)
    """case id -> study"""
    notes: tuple[str, ...] = ()
    """what was read with a doubt"""


class Gathered:
    """Cases of a file, collected one by one; a case that comes twice is refused."""

    def __init__(self, path: object) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.references: dict[str, str] = {}
        self.order: list[str] = []

    def add(self, case_id: str, text: str | None, failure: str | None, reference: str | None, again: str = "keep one report for each") -> None:
        """A text of None is no answer: a failure, never an empty report."""
        if not case_id.strip():
            raise UnreadableExchange(f"{self.path} is to be imported, and a report in it has no id; give each its case's id")
        if case_id in self.texts or case_id in self.failures:
            raise UnreadableExchange(f"{self.path} is to be imported, and case {case_id!r} is in it more than once; {again}")
        if text is None or failure:
            self.failures[case_id] = failure or NO_ANSWER
        else:
            self.texts[case_id] = text
        if reference is not None:
            self.references[case_id] = reference
        self.order.append(case_id)

    def contents(self, *notes: str) -> Contents:
        """All of them."""
        if not self.order:
            raise UnreadableExchange(f"{self.path} is to be imported, and holds no case; give a file with reports")
        return Contents(self.texts, self.failures, self.references, tuple(self.order), notes=notes)


def parsed(text: str, path: object, where: str = "") -> Any:
    """The JSON value of a text. Raises ``UnreadableExchange``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableExchange(f"{path}{where} is to be imported, and is broken JSON ({error}); write it again") from None


def wrong_shape(path: object, shape: str, found: str, expected: str) -> UnreadableExchange:
    """What to raise when a file has not what its shape has."""
    return UnreadableExchange(f"{path} is to be read as {shape}, and {found}; expected {expected}, or name another shape with --from")


def text_or_none(value: Any, path: object, what: str) -> str | None:
    """A text as it is; None where there is none (null, NaN). Raises ``UnreadableExchange``."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if not isinstance(value, str):
        raise UnreadableExchange(f"{path} is to be imported, and {what} is {type(value).__name__}, no text; write it as a string")
    return value


def check_texts(contents: Contents, asked: str) -> None:
    """Raises ``TextCannotTravel`` at the first text that no file could hold."""
    for kind, of_kind in (("report", contents.texts), ("failure", contents.failures), ("reference", contents.references)):
        for case_id, text in of_kind.items():
            for what in (case_id, text):
                if "\0" in what:
                    raise TextCannotTravel(f"{asked}, and the {kind} of case {case_id!r} holds a NUL byte; take it out where the text was made")
                try:
                    what.encode("utf-8")
                except UnicodeEncodeError:
                    raise TextCannotTravel(
                        f"{asked}, and the {kind} of case {case_id!r} holds half a sign (a lone surrogate); mend it where the text was made"
                    ) from None
