"""Whether two numbers compare, and if not, which field of their signatures keeps them apart.

A signature is ``name|key:value|...|v1``; a value in brackets is a signature of its own, several are joined by ``+``:

    lesions|unit:case|labeller:(rules|hedges:d15|v1)|context:full|v1
    consistency|judge:language_model|models:(gpt|temperature:0)+(qwen|temperature:0)|v1

``context`` is not the metric's: it says how much of the cases models saw, and a number of reports that already existed has none, since nobody knows.

Two numbers stand in one column, or are subtracted, only if their signatures agree. There is no way to force it: what differs gets a column of its
own, under a name of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmark.records import UserError

NAME, VERSION = "name", "version"
"""fields of the words that stand without a key: the first one, and ``v1``"""


class UnreadableSignature(ValueError):
    """Text that is no signature: empty, or its brackets do not close."""


class UnlikeSignatures(UserError):
    """Two numbers that were computed differently would be put side by side as if they were alike."""


class Unlike(NamedTuple):
    """A field in which two signatures differ."""

    field: str
    """``labeller.hedges``: the field ``hedges`` within the brackets of ``labeller``"""
    first: str
    """its value in the first, empty where that has none"""
    second: str
    """as ``first``"""

    def __str__(self) -> str:
        return f"{self.field}: {self.first or '(nothing)'} against {self.second or '(nothing)'}"


def parse(signature: str) -> dict[str, str]:
    """Every field by its path: ``{"name": "lesions", "unit": "case", "labeller": "rules", "labeller.hedges": "d15", ...}``.

    A value in brackets gives its name to the field, and its own fields stand below; of several joined by ``+`` the second is ``models.2``.
    A word without a key is ``version`` if it reads v1, else it goes by its place. Raises ``UnreadableSignature``.
    """
    fields: dict[str, str] = {}
    _collect(signature, "", fields)
    return fields


def differing(first: str, second: str) -> list[Unlike]:
    """The fields in which two signatures differ, in the order of the first; empty if they agree. What cannot be read is compared as it stands."""
    if first == second:
        return []
    try:
        ours, theirs = parse(first), parse(second)
    except UnreadableSignature:
        return [Unlike("signature", first, second)]
    found = [Unlike(field, ours.get(field, ""), theirs.get(field, "")) for field in dict.fromkeys((*ours, *theirs))]
    unlike = [one for one in found if one.first != one.second]
    return unlike or [Unlike("signature", first, second)]  # the same fields in another order, or written in another way


def require_alike(what: str, first: tuple[str, str], second: tuple[str, str]) -> None:
    """Raise ``UnlikeSignatures`` unless both were computed alike; ``first`` and ``second`` say of whom the number is, and its signature."""
    if unlike := differing(first[1], second[1]):
        raise UnlikeSignatures(
            f"{what} of {first[0]} and of {second[0]} would stand in one column, but were computed differently "
            f"({in_words(unlike)}); score both with the same settings"
        )


def with_field(signature: str, key: str, value: str) -> str:
    """The signature with one more field, before its version if it ends in one; as it is for an empty value."""
    if not value:
        return signature
    body, version = re.fullmatch(r"(.*?)(\|v\d+)?", signature, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    return f"{body}|{key}:{value}{version}"


def in_words(unlike: Sequence[Unlike]) -> str:
    """All differences on one line."""
    return "; ".join(map(str, unlike))


@dataclass(frozen=True)
class Compared:
    """Which numbers of two runs may be set against each other."""

    data: tuple[Unlike, ...]
    """in what the measured data differ; if anything does, no number compares"""
    metrics: Mapping[str, tuple[Unlike, ...]]
    """metric of both runs -> in what its signatures differ, nothing for one that compares"""
    only_first: tuple[str, ...]
    """metrics that only the first run has"""
    only_second: tuple[str, ...]
    """as ``only_first``"""

    @property
    def comparable(self) -> tuple[str, ...]:
        """The metrics whose numbers compare."""
        return () if self.data else tuple(metric for metric, unlike in self.metrics.items() if not unlike)

    def lines(self) -> list[str]:
        """What does not compare and why, one sentence each; nothing if everything does."""
        said = [f"the runs measure different data: {in_words(self.data)}"] if self.data else []
        said += [f"{metric} was computed differently: {in_words(unlike)}" for metric, unlike in self.metrics.items() if unlike]
        for which, names in (("first", self.only_first), ("second", self.only_second)):
            said += [f"only the {which} run has {', '.join(names)}"] if names else []
        return said


def compare_runs(first: Mapping[str, Any], second: Mapping[str, Any]) -> Compared:
    """What of two runs compares, from what ``run.json`` says of each."""
    ours, theirs = first["signatures"], second["signatures"]
    return Compared(
        tuple(_unlike_data(first, second)),
        {metric: tuple(differing(ours[metric], theirs[metric])) for metric in ours if metric in theirs},
        tuple(metric for metric in ours if metric not in theirs),
        tuple(metric for metric in theirs if metric not in ours),
    )


def _unlike_data(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Unlike]:
    """A fingerprint is of a whole split, or of a sample of it, and a limit takes the first cases: with as many cases, they are the same."""
    for place, field in (("dataset", "fingerprint"), ("config", "split"), ("dataset", "cases")):
        ours, theirs = (str(run[place].get(field, "")) for run in (first, second))
        if ours != theirs:
            yield Unlike(field, ours, theirs)


def _collect(signature: str, path: str, fields: dict[str, str]) -> None:
    """Add the fields of a signature, each under ``path``."""
    parts = _split(signature, "|")
    if not parts[0].strip():
        raise UnreadableSignature(f"no signature: {signature!r}; write name|key:value|...|v1")
    fields[path or NAME] = parts[0]
    for place, part in enumerate(parts[1:], start=2):
        keyed = re.match(r"([a-z][a-z0-9_]*):", part)
        key = keyed[1] if keyed else VERSION if re.fullmatch(r"v\d+", part) else str(place)
        value = part[keyed.end() :] if keyed else part
        field = f"{path}.{key}" if path else key
        if field in fields:
            raise UnreadableSignature(f"the signature {signature!r} has the field {key!r} twice; name each setting once")
        inner = _split(value, "+")
        if not all(one.startswith("(") and one.endswith(")") for one in inner):
            fields[field] = value
            continue
        for number, one in enumerate(inner, start=1):
            _collect(one[1:-1], field if number == 1 else f"{field}.{number}", fields)


def _split(text: str, sign: str) -> list[str]:
    """The parts of a text between ``sign``s that stand in no bracket. Raises ``UnreadableSignature`` where brackets do not close."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            break
        if letter == sign and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise UnreadableSignature(f"brackets do not close in the signature {text!r}; write every ( with its )")
    return parts
