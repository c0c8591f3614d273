"""Whether run folders are of the same cases, and which those are: numbers of arms stand side by side only then.

What an arm was told, or with which boxes, is what an experiment is about and may differ; cases, patients, references and the data behind may not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.records import UserError
from benchmark.runs import DamagedRun, read_json


class UnlikeRuns(UserError):
    """Two run folders that are not of the same cases."""


class NotGenerated(UserError):
    """A folder without the reports that are to be measured."""


class Cases(NamedTuple):
    """What all run folders have in common."""

    ids: list[str]
    patients: list[str]
    """of each case"""
    references: list[str]
    """of each case"""


def same_cases(folders: Sequence[Path], context: str) -> Cases:
    """The cases of all the folders, which models saw with that ``context``. Raises ``UnlikeRuns``, ``NotGenerated``, ``DamagedRun``."""
    first, *others = dict.fromkeys(folders)
    settings, cases = _read(first)
    if settings["context"] != context:
        raise UnlikeRuns(f"numbers of the context {context!r} were asked for, and {first} shows models {settings['context']!r}; generate it anew")
    for other in others:
        its_settings, its_cases = _read(other)
        if difference := _difference(settings, its_settings) or _of_cases(cases, its_cases):
            raise UnlikeRuns(
                f"arms are compared on the same cases, and {first} and {other} differ in {difference}; generate both from the same data, "
                "or measure them apart"
            )
    return cases


def _read(folder: Path) -> tuple[dict[str, Any], Cases]:
    if not (folder / "settings.json").exists():
        raise NotGenerated(f"{folder} is to be measured and holds no run (no settings.json); make it: python -m benchmark generate --out {folder}")
    cases, references = (_lines(folder / name) for name in ("cases.jsonl", "references.jsonl"))
    ids = [case["id"] for case in cases]
    if ids != [reference["case_id"] for reference in references]:
        raise DamagedRun(f"{folder} was to pair each case with its reference, and its two lists differ; delete it and generate it anew")
    settings = {"context": "full", "limit": None, **read_json(folder / "settings.json")}
    return settings, Cases(ids, [case["patient"] for case in cases], [reference["report"] for reference in references])


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8", errors="surrogatepass") as lines:
            return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise DamagedRun(f"cannot read {file}: {error}; delete its folder and generate it anew") from error


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The first setting that may not differ; the data's fingerprint says nothing where their settings differ, as they may (true boxes)."""
    keys = ["dataset", "split", "context", *(["fingerprint"] if ours.get("dataset_options") == theirs.get("dataset_options") else [])]
    return next((f"{key} ({ours.get(key)!r} and {theirs.get(key)!r})" for key in keys if ours.get(key) != theirs.get(key)), "")


def _of_cases(ours: Cases, theirs: Cases) -> str:
    """The first case that is another."""
    if len(ours.ids) != len(theirs.ids):
        return f"the number of cases ({len(ours.ids):,} and {len(theirs.ids):,})"
    for what, mine, its in zip(("id", "patient", "reference"), ours, theirs, strict=True):
        if mine != its:
            place = next(place for place, (one, other) in enumerate(zip(mine, its, strict=True)) if one != other)
            both = "" if what == "reference" else f" ({mine[place]!r} and {its[place]!r})"
            return f"the {what} of case {place + 1}{both}"
    return ""
