"""Numbers printed elsewhere, as rows that say so: read from ``results/reported``, which names table and citation."""

from __future__ import annotations

import csv
import json
import math
from functools import cache
from typing import Any

from benchmark.places import shipped
from benchmark.records import Row

# Column of Table 2a -> our metric and its number; which variant the paper used is not printed, so this names the nearest, not an equal.
QUALITY = {
    "clinical_accuracy": ("consistency", "clinical_accuracy"),
    "findings_completeness": ("consistency", "findings_completeness"),
    "linguistic_quality": ("consistency", "linguistic_quality"),
    "report_structure": ("consistency", "report_structure"),
    "total": ("consistency", "total"),
    "meteor": ("meteor", "system"),
    "rouge_l": ("rouge_l", "f1"),
    "green": ("green", "green"),
    "f1_radgraph": ("radgraph", "partial"),
}


def quoted_rows(table: str) -> list[Row]:
    """The numbers of ``table1`` or ``table2a`` in the order of print: no interval, no count, the citation in place of a signature."""
    with shipped("results", "reported", f"{table}.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if table == "table1":
        return [_row(table, line["model"], "lesions", _lesion_value(line["lesion"], name), line[name]) for line in lines for name in lesion_numbers()]
    return [_row(table, line["model"], *QUALITY[name], line[name]) for line in lines for name in QUALITY]


def citation(table: str) -> str:
    """Paper and table, as it stands in a note."""
    return f"{sources()['citation']}, {sources()['files'][f'{table}.csv']['table']}"


def block_title() -> str:
    """What stands above every block of quoted numbers."""
    return f"† Quoted from {sources()['short']} ({sources()['data']}; other data, other labeller: not comparable with the rows above)"


def printed(row: Row) -> str:
    """A quoted number with the digits of print: lexical and graph metrics have three, all others two."""
    return f"{row.value:.{3 if row.metric in ('meteor', 'rouge_l', 'green', 'radgraph') else 2}f}"


def lesion_numbers() -> tuple[str, ...]:
    """The three numbers of a lesion, in the order of the paper's columns."""
    return ("precision", "recall", "f1")


@cache
def sources() -> dict[str, Any]:
    """What ``results/reported/sources.json`` says of the files."""
    loaded: dict[str, Any] = json.loads(shipped("results", "reported", "sources.json").read_text(encoding="utf-8"))
    return loaded


def _lesion_value(lesion: str, name: str) -> str:
    return f"macro_{name}" if lesion == "Average" else f"{lesion.lower()}.{name}"


def _row(table: str, model: str, metric: str, value_name: str, value: str) -> Row:
    return Row(model, metric, value_name, float(value), math.nan, math.nan, 0, 0, citation(table), source="quoted")
