"""What a dataset can say of its own files, for ``data check``: its parts, how much its lists name, and published counts to set beside its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.records import Problem


@dataclass(frozen=True)
class Part:
    """One part of a dataset on disk."""

    name: str
    """``radiographs``, ``scene graphs``, ..."""
    where: Path | None
    """None where it is not there"""
    what: str = ""
    """its version, how much is in it; of a missing part what follows from that"""
    is_whole: bool = True
    """False where something of it is known to be lacking"""


@dataclass(frozen=True)
class Beside:
    """A count of this copy beside the one that somebody published."""

    what: str
    """what was counted"""
    split: str
    """train | validate | test; empty for all splits together"""
    found: int
    """here"""
    published: int
    """there"""
    source: str
    """who published it"""
    is_at_least: bool = False
    """the published count is a lower bound"""


@dataclass(frozen=True)
class Account:
    """What ``account(splits)`` of a dataset returns; every part of it may be empty."""

    parts: Sequence[Part] = ()
    """everything that the dataset can consist of, found or not"""
    listed: Mapping[str, int] = field(default_factory=dict)
    """split -> how many images (or reports) its lists name, before anything is left out"""
    listed_as: str = "images listed"
    """what is counted there"""
    besides: Sequence[Beside] = ()
    problems: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """split -> what was wrong in it; under the empty name what is of no split"""
    by_rule: frozenset[str] = frozenset()
    """kinds of problems that are the dataset's stated rules at work, not faults of this copy"""
    notes: Sequence[str] = ()
    """one sentence each"""
