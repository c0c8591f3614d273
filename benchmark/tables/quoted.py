"""The paper's numbers in the tables of a run, as rows that say so: of Tables 1 and 2a, which name models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmark.records import Row
from benchmark.tables.printed import Printed, read_printed

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
    read = read_printed(table)
    if table == "table1":
        return [_row(read, line, ("lesions", _lesion_value(line["lesion"], name)), name) for line in read.lines for name in lesion_numbers()]
    return [_row(read, line, QUALITY[name], name) for line in read.lines for name in QUALITY]


def citation(table: str) -> str:
    """Paper and table, as it stands in a note."""
    return read_printed(table).reference


def block_title(differs: Sequence[str] = ("other data", "other labeller")) -> str:
    """What stands above every block of quoted numbers: whose they are, and what keeps them apart from those above (``tables.apart``)."""
    read = read_printed("table1")
    said = f"{', '.join(differs)}: not comparable with the rows above" if differs else "whether measured alike, print does not say"
    return f"† Quoted from {read.short} ({read.data}; {said})"


def lesion_numbers() -> tuple[str, ...]:
    """The three numbers of a lesion, in the order of the paper's columns."""
    return ("precision", "recall", "f1")


def _lesion_value(lesion: str, name: str) -> str:
    return f"macro_{name}" if lesion == "Average" else f"{lesion.lower()}.{name}"


def _row(read: Printed, line: Mapping[str, str], number: tuple[str, str], column: str) -> Row:
    return Row(line["model"], *number, float(line[column]), math.nan, math.nan, 0, 0, read.reference, source="quoted", printed=line[column])
