"""The printed numbers beside which an experiment stands, with the digits of print: which CSV line is which column or line of the printed table."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from benchmark.places import shipped
from benchmark.records import Row
from benchmark.tables import quoted
from benchmark.tables.material import QUALITY_TITLES

Key = tuple[tuple[str, str], ...]
"""columns of the CSV and their values that name one printed configuration: ``(("config", "base"),)``"""
AVERAGE = "Average"
WHOLE = ""
"""the row of a table that has one line per configuration"""
NUMBER_TITLES = {"precision": "P", "recall": "R", "f1": "F1"} | dict(zip(quoted.QUALITY, QUALITY_TITLES, strict=True))
"""number of the CSV -> head of its printed column, in the order of print"""
WORDS = {
    "base": "neither",
    "llcl_only": "LLCL only",
    "lca_only": "LCA only",
    "llcl_lca": "LCA and LLCL",
    "chexbert": "labels by CheXbert",
    "llm": "labels by a language model",
    "all_29": "all 29 regions",
    "relevant_11": "11 relevant regions",
    "256": "256 pixels",
    "384": "384 pixels",
    "gt": "true boxes",
    "predicted": "predicted boxes",
}
"""what the values of keys say; others stand as they are"""


@dataclass(frozen=True)
class Printed:
    """One printed table."""

    table: str
    """of its file: ``table2b``"""
    cells: Mapping[Key, Mapping[tuple[str, str], str]]
    """configuration -> row (a lesion, ``Average``, or nothing) and number -> what is printed, in the order of print"""
    derived: tuple[str, ...] = ()
    """numbers that follow from printed ones without being printed, in words"""

    def find(self, selector: Mapping[str, str]) -> list[Key]:
        """The configurations that a selector is of: every column that it names agrees."""
        return [key for key in self.cells if set(selector.items()) <= set(key)]

    def rows(self) -> list[Row]:
        """Every number with its citation in place of a signature."""
        return [
            Row(titled(key), *ours(row, number), float(text), math.nan, math.nan, 0, 0, quoted.citation(self.table), source="quoted")
            for key, cells in self.cells.items()
            for (row, number), text in cells.items()
        ]


@cache
def printed(table: str) -> Printed:
    """The printed table of that file, ``table2b``; Figure 3 is one of the numbers that its text gives."""
    with shipped("results", "reported", f"{table}.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    keys = [key for key in quoted.sources()["files"][f"{table}.csv"]["keys"] if key not in ("lesion", "metric")]
    cells: dict[Key, dict[tuple[str, str], str]] = {}
    derived = []
    for line in lines:
        key = tuple((name, line[name]) for name in keys)
        found = cells.setdefault(key, {})
        if "metric" in line:
            found[WHOLE, line["metric"]] = line["value"]
            if line["source"].startswith("derived"):
                derived.append(f"{NUMBER_TITLES[line['metric']]} at {titled(key)}")
            continue
        found |= {(line.get("lesion", WHOLE), number): line[number] for number in NUMBER_TITLES if number in line}
    return Printed(table, cells, tuple(derived))


def titled(key: Key) -> str:
    """A configuration in words, by the last of its columns: the others say what it is a level of."""
    value = key[-1][1]
    return WORDS.get(value, value)


def ours(row: str, number: str) -> tuple[str, str]:
    """Metric and number of ours that stand nearest to a printed one."""
    if number in quoted.QUALITY:
        return quoted.QUALITY[number]
    return "lesions", f"macro_{number}" if row in (AVERAGE, WHOLE) else f"{row.lower()}.{number}"
