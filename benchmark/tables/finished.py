"""Finished runs read back, so that their tables can be printed again without measuring anything: one, or several side by side.

Numbers come from ``rows.csv`` and ``strata.csv``, what stands under them from ``run.json``. Several runs stand side by side only if they measured
the same cases and computed what they have in common alike; there is no way to force it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from benchmark.records import ProtocolCard, Row, UserError
from benchmark.runs import FORMAT
from benchmark.signatures import UnlikeSignatures, compare_runs
from benchmark.tables.material import Material, material


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return value is None or (_is_number(value) and value >= 0 and value == int(value))


SAID: Mapping[str, Callable[[Any], bool]] = {
    "models": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "skipped": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "counts": lambda value: isinstance(value, dict) and None not in value.values() and all(map(_is_count, value.values())),
    **dict.fromkeys(("note", "measured", "interval"), _is_text),
    **dict.fromkeys(("draws", "flips"), _is_count),
    "level": lambda value: _is_number(value) and 0 < value < 1,
    "cards": lambda value: isinstance(value, dict),
}
"""what stands under the tables of a run, and whether it is what a run says: the file may be of anybody's hand"""


class NoFinishedRun(UserError):
    """The folder holds no run that came to its end, or one of another kind."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run left behind."""

    path: Path
    """its folder"""
    record: Mapping[str, Any]
    """its ``run.json``"""
    rows: tuple[Row, ...]
    """all of its numbers, those of parts of the cases too"""
    registered: Mapping[str, str] = field(default_factory=dict)
    """model as the tables name it -> its registered name, as far as it was run here"""

    @property
    def for_tables(self) -> dict[str, Any]:
        """What its tables say beside the numbers, as ``tables.write_tables`` takes it."""
        record, config = self.record, self.record["config"]
        dataset = record["dataset"]
        said = record.get("tables") or {  # a run of before tables were printed again
            "models": list(record["models"]),
            "note": " ".join(filter(None, (dataset.get("note", ""), *record.get("notes", ())))),
            "measured": f"{config['dataset']}/{config['split']}@{dataset['fingerprint']}" if config.get("dataset") else "",
            "skipped": {model: about["failed"] for model, about in record["models"].items() if "failed" in about},
            "counts": {name: dataset[name] for name in ("cases", "patients") if name in dataset},
            "level": config["level"],
            "draws": config["draws"],
            "interval": config.get("interval", ""),
            "flips": record.get("flips", 0),
        }
        cards = {model: _card(about["card"]) for model, about in record["models"].items() if "card" in about and "failed" not in about}
        return {**said, "cards": cards}


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Say in one line that a run was damaged, or made up, where what is read of it has another shape than a run has. Raises ``NoFinishedRun``."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError, csv.Error) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise NoFinishedRun(
            f"{folder} is to be the folder of a finished run, and its files are not those of one ({found}); measure it anew"
        ) from error


def read_finished(folder: Path) -> FinishedRun:
    """The run of a folder. Raises ``NoFinishedRun``."""
    with reading(folder):
        return _read_finished(folder)


def _read_finished(folder: Path) -> FinishedRun:
    asked = f"{folder} is to be the folder of a finished run"
    if not folder.is_dir():
        raise NoFinishedRun(f"{asked}, and is no folder; name one as `run` or `score` left it, results/runs/...")
    if not (folder / "run.json").exists():
        begun = (folder / "settings.json").exists()
        mend = "the command that began it goes on from there" if begun else "name one as `run` or `score` left it, results/runs/..."
        raise NoFinishedRun(f"{asked}, and has no run.json{' yet' if begun else ''}; {mend}")
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoFinishedRun(f"{asked}, and its run.json cannot be read ({error}); measure it anew") from error
    if not isinstance(record, dict) or not {"config", "dataset", "models", "signatures"} <= record.keys() or not (folder / "rows.csv").exists():
        raise NoFinishedRun(f"{asked} by `run` or `score`, and is of another kind, without rows.csv; its tables lie in it already")
    if record.get("format", FORMAT) > FORMAT:
        raise NoFinishedRun(f"{folder} was written by a newer version (format {record['format']}, this one knows {FORMAT}); update, then print it")
    headlines = {(line.get("metric"), line.get("value_name")) for line in _lines(folder / "summary.csv")}
    rows = [_row(line, folder, headlines) for name in ("rows.csv", "strata.csv") for line in _lines(folder / name)]
    pairs = {f"{first} - {second}" for first, second in permutations(record["models"], 2)}
    # Of a difference an empty p-value is a test that could not be made, of a single model one that there is none of.
    rows = [replace(row, p_value=math.nan) if row.model in pairs and row.p_value is None else row for row in rows]
    registered = {model: about["model"] for model, about in record["models"].items() if about.get("model")}
    return FinishedRun(folder, record, tuple(rows), registered)


def as_material(run: FinishedRun) -> Material:
    """What the tables of a run are made of."""
    with reading(run.path):
        return _as_material(run)


def _as_material(run: FinishedRun) -> Material:
    said = dict(run.for_tables)
    if strange := [name for name, is_right in SAID.items() if name in said and not is_right(said[name])]:
        raise TypeError(f"its {strange[0]} is {said[strange[0]]!r}")
    return material(run.rows, said.pop("models"), said.pop("skipped"), decimals={}, **said)


def side_by_side(runs: Sequence[FinishedRun]) -> FinishedRun:
    """Several runs as one. Raises ``UnlikeSignatures`` naming what keeps them apart.

    A model that several runs have under one name is told apart by its run's folder. No model of one run is subtracted from one of another.
    """
    if len(runs) == 1:
        return runs[0]
    with reading(runs[0].path):
        return _side_by_side(runs)


def _side_by_side(runs: Sequence[FinishedRun]) -> FinishedRun:
    for other in runs[1:]:
        _require_alike(runs[0], other)
    names = _told_apart(runs)
    rows = [row for run, named in zip(runs, names, strict=True) for row in _renamed(run.rows, named)]
    said = [run.for_tables for run in runs]
    merged: dict[str, Any] = dict(said[0])
    merged["models"] = [named[model] for one, named in zip(said, names, strict=True) for model in one["models"]]
    for key in ("skipped", "cards"):
        merged[key] = {named[model]: value for one, named in zip(said, names, strict=True) for model, value in one[key].items()}
    merged["note"] = " ".join(
        [
            *dict.fromkeys(one["note"] for one in said if one["note"]),
            f"Of {len(runs)} runs, side by side; only models of one run have paired differences.",
        ]
    )
    for key, unknown in (("draws", None), ("flips", 0)):
        merged[key] = said[0][key] if len({one[key] for one in said}) == 1 else unknown
    cards = merged.pop("cards")
    models = {named[model]: about for run, named in zip(runs, names, strict=True) for model, about in run.record["models"].items()}
    for model, card in cards.items():
        models[model] = {**models[model], "card": vars(card)}
    registered = {named[model]: name for run, named in zip(runs, names, strict=True) for model, name in run.registered.items()}
    return FinishedRun(runs[0].path, {**runs[0].record, "models": models, "tables": merged}, tuple(rows), registered)


def _require_alike(first: FinishedRun, other: FinishedRun) -> None:
    compared = compare_runs(first.record, other.record)
    unlike = [line for line in compared.lines() if not line.startswith("only ")]  # what one run alone has stands beside a dash
    ours, theirs = first.for_tables, other.for_tables
    for what, setting in (("level", "level"), ("kind", "interval")):
        if ours[setting] and theirs[setting] and ours[setting] != theirs[setting]:  # the kind is not known of old runs
            unlike.append(f"{what} of the intervals: {ours[setting]} against {theirs[setting]}")
    if unlike:
        raise UnlikeSignatures(
            f"{first.path} and {other.path} are to stand side by side, and {'; '.join(unlike)}; measure both on the same cases in the same way"
        )


def _told_apart(runs: Sequence[FinishedRun]) -> list[dict[str, str]]:
    """Of each run, model -> its name among all."""
    models = [[*dict.fromkeys((*run.for_tables["models"], *run.record["models"]))] for run in runs]
    folders = [run.path.resolve().name for run in runs]
    if len(set(folders)) < len(runs):
        folders = [str(run.path) for run in runs]
    everywhere = [model for one in models for model in one]
    return [
        {model: f"{model} ({folder})" if everywhere.count(model) > 1 else model for model in one} for one, folder in zip(models, folders, strict=True)
    ]


def _renamed(rows: Sequence[Row], named: Mapping[str, str]) -> list[Row]:
    pairs = {f"{first} - {second}": f"{named[first]} - {named[second]}" for first, second in permutations(named, 2)}
    return [replace(row, model={**pairs, **named}.get(row.model, row.model)) for row in rows]


def _lines(file: Path) -> list[dict[str, str]]:
    """The lines of a CSV, none if it is not there."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _row(line: Mapping[str, str], folder: Path, headlines: set[tuple[str | None, str | None]]) -> Row:
    """A line of ``tables.long_form`` as the number that it was. Raises ``NoFinishedRun``."""
    try:
        return Row(
            line["model"],
            line["metric"],
            line["value_name"],
            _number(line["value"]),
            _number(line["low"]),
            _number(line["high"]),
            int(line["scored"]),
            int(line["unscored"]),
            line["signature"],
            p_value=_or_none(line, "p_value"),
            title=line.get("title", ""),
            direction=line.get("direction", ""),  # type: ignore[arg-type]
            is_headline=(line["metric"], line["value_name"]) in headlines,
            stratum=line.get("stratum", ""),
            detectable=_or_none(line, "detectable"),
            margin=_or_none(line, "margin"),
            p_first_not_worse=_or_none(line, "p_first_not_worse"),
            p_second_not_worse=_or_none(line, "p_second_not_worse"),
            patients=int(line["patients"]) if line.get("patients") else None,
        )
    except (KeyError, ValueError) as error:
        raise NoFinishedRun(f"{folder} is to have its numbers in rows.csv, and a line of it cannot be read ({error}); measure it anew") from error


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _or_none(line: Mapping[str, str], name: str) -> float | None:
    return float(line[name]) if line.get(name) else None


def _card(said: Mapping[str, Any]) -> ProtocolCard:
    """A card as ``run.json`` keeps it."""
    tuples = {name: tuple(said[name]) for name in ("inputs", "remarks") if said.get(name) is not None}
    card = ProtocolCard(**{**said, **tuples})
    words = (card.target, card.decoding, card.training, card.licence, card.weights, *(card.inputs or ()), *card.remarks)
    if not all(map(_is_text, words)) or not isinstance(card.leaks or {}, dict):
        raise TypeError("a model's card holds other things than words")
    return card
