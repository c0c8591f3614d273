"""Numbers as one CSV that can be committed, and back: tables and figures are made again of it without the runs. Aggregates, and no text of a case.

    kind        what the line is
    number      of an arm: mean over its seeds with interval, ``sd`` over the seeds, each seed's own number
    difference  of ``A - B``, with p-value and the smallest detectable difference
    signature   ``number`` is how lines refer to it, ``text`` the signature: how a metric computes
    seeds       ``by_seed`` are the seeds that the numbers of ``model`` are of, in the order of every line's ``by_seed``
    title       ``text`` is the arm's name in print
    fact        what is known of an arm beside the metrics
    count       how many cases and patients were measured
    setting     level and draws of the intervals; the name of the dataset, and its note

Six digits: more than any table prints, and few enough that another machine, whose sums are rounded otherwise, writes the same bytes. What is not
known is empty, what is undefined is ``nan``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from benchmark.experiments.numbers import Key, Numbers
from benchmark.records import Row, UserError

COLUMNS = (
    "kind",
    "model",
    "metric",
    "number",
    "mean",
    "low",
    "high",
    "sd",
    "by_seed",
    "p_value",
    "detectable",
    "scored",
    "unscored",
    "patients",
    "direction",
    "is_headline",
    "signature",
    "text",
)
DIGITS = 6
ROWS = ("number", "difference")


class BadNumbers(UserError):
    """A file that is not what ``to_csv`` writes; the message has file and line."""


def to_csv(numbers: Numbers, only: Collection[tuple[str, str]] | None = None) -> str:
    """The whole file; ``only`` names the metrics' numbers that are kept, (metric, number), all if None. Same numbers, same bytes.

    How often each lesion occurs is always kept: tables and their notes tell it beside other numbers.
    """
    rows = [row for row in numbers.rows if only is None or (row.metric, row.value_name) in only or row.value_name.endswith(".support")]
    kept = [*rows, *(row for row in numbers.differences if only is None or (row.metric, row.value_name) in only)]
    signatures = {signature: str(place) for place, signature in enumerate(dict.fromkeys(row.signature for row in kept), start=1)}
    differences = {id(row) for row in numbers.differences}
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_about(numbers))
    writer.writerows({"kind": "signature", "number": number, "text": signature} for signature, number in signatures.items())
    for row in kept:
        of_seeds = [_written(value) for value in numbers.of_seeds(row.model, row.metric, row.value_name)]
        writer.writerow(
            {
                "kind": "difference" if id(row) in differences else "number",
                "model": row.model,
                "metric": row.metric,
                "number": row.value_name,
                **{name: _written(value) for name, value in (("mean", row.value), ("low", row.low), ("high", row.high))},
                "sd": _sd(of_seeds),
                "by_seed": " ".join(of_seeds),
                "p_value": _written(row.p_value),
                "detectable": _written(row.detectable),
                "scored": row.scored,
                "unscored": row.unscored,
                "patients": "" if row.patients is None else row.patients,
                "direction": row.direction,
                "is_headline": "yes" if row.is_headline else "",
                "signature": signatures[row.signature],
                "text": row.title,
            }
        )
    return out.getvalue()


def from_csv(text: str, name: str = "numbers.csv") -> Numbers:
    """The numbers of such a file; ``name`` is for messages. Raises ``BadNumbers``."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise BadNumbers(f"{name} was to have the columns {', '.join(COLUMNS)}, and has {', '.join(reader.fieldnames or ()) or 'none'}; make it anew")
    rows: dict[str, list[Row]] = {kind: [] for kind in ROWS}
    by_seed: dict[Key, tuple[float, ...]] = {}
    known: dict[str, Any] = {"signature": {}, "seeds": {}, "title": {}, "fact": {}, "count": {}, "setting": {}}
    try:
        for line in reader:
            kind = line["kind"]
            if kind in ROWS:
                row = _row(line, known["signature"])
                rows[kind].append(row)
                by_seed[row.model, row.metric, row.value_name] = tuple(map(float, line["by_seed"].split()))
            else:
                _learn(known, line)
        settings = {"level": float(known["setting"]["level"]), "draws": int(known["setting"]["draws"]), "note": known["setting"]["note"]}
        settings["measured_on"] = known["setting"].get("measured_on", "")
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise BadNumbers(f"{name}, line {reader.line_num} was to be as `reproduce` writes it, and is not ({error!r}); make the file anew") from error
    seeds, titles, counts, facts = (known[kind] for kind in ("seeds", "title", "count", "fact"))
    return Numbers(tuple(rows["number"]), tuple(rows["difference"]), by_seed, seeds, titles, counts, facts=facts, **settings)


def _about(numbers: Numbers) -> Iterator[Mapping[str, Any]]:
    """Everything beside the numbers, a line each."""
    yield {"kind": "setting", "number": "level", "mean": _written(numbers.level)}
    yield {"kind": "setting", "number": "draws", "mean": numbers.draws}
    yield {"kind": "setting", "number": "note", "text": numbers.note}
    if numbers.measured_on:
        yield {"kind": "setting", "number": "measured_on", "text": numbers.measured_on}
    for name, count in numbers.counts.items():
        yield {"kind": "count", "number": name, "mean": count}
    for arm, title in numbers.titles.items():
        yield {"kind": "title", "model": arm, "text": title}
    for model, seeds in numbers.seeds.items():
        yield {"kind": "seeds", "model": model, "by_seed": " ".join(map(str, seeds))}
    for arm, facts in numbers.facts.items():
        for name, value in facts.items():
            yield {"kind": "fact", "model": arm, "number": name, "mean": _written(value)}


def _learn(known: dict[str, Any], line: Mapping[str, str]) -> None:
    """Take in a line of ``_about``, or a signature."""
    match line["kind"]:
        case "setting":
            known["setting"][line["number"]] = line["text"] if line["number"] in ("note", "measured_on") else line["mean"]
        case "count":
            known["count"][line["number"]] = int(line["mean"])
        case "title":
            known["title"][line["model"]] = line["text"]
        case "seeds":
            known["seeds"][line["model"]] = tuple(map(int, line["by_seed"].split()))
        case "fact":
            known["fact"].setdefault(line["model"], {})[line["number"]] = float(line["mean"])
        case "signature":
            known["signature"][line["number"]] = line["text"]
        case kind:
            raise ValueError(f"no kind {kind!r}")


def _row(line: Mapping[str, str], signatures: Mapping[str, str]) -> Row:
    direction = line["direction"]
    if direction not in ("higher", "lower", ""):
        raise ValueError(f"no direction {direction!r}")
    return Row(
        line["model"],
        line["metric"],
        line["number"],
        float(line["mean"]),
        float(line["low"]),
        float(line["high"]),
        int(line["scored"]),
        int(line["unscored"]),
        signatures[line["signature"]],
        p_value=_read(line["p_value"]),
        title=line["text"],
        direction=direction,  # type: ignore[arg-type]
        is_headline=line["is_headline"] == "yes",
        detectable=_read(line["detectable"]),
        patients=int(line["patients"]) if line["patients"] else None,
    )


def _written(value: float | None) -> str:
    return "" if value is None else f"{float(value) + 0.0:.{DIGITS}g}"  # + 0.0: no minus before a zero


def _read(text: str) -> float | None:
    return float(text) if text else None


def _sd(of_seeds: Collection[str]) -> str:
    """Over the seeds that have the number, of what is written of each, so that the file read and written again is the same."""
    defined = [value for value in map(float, of_seeds) if not math.isnan(value)]
    return _written(float(np.std(defined, ddof=1))) if len(defined) > 1 else ""
