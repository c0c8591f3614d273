"""Printed numbers as an experiment reads them: which line a selector picks, and which number of ours stands nearest to a printed one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.records import Row
from benchmark.tables import quoted
from benchmark.tables.printed import Printed, printed_table
from benchmark.tables.table import Block, Line, Note, Quoted

ROW_KEYS = ("lesion", "metric")
"""keys that name a number of an arm, where all others name the arm"""
AVERAGE = "Average"


def selectors(printed: Printed) -> list[dict[str, str]]:
    """Every arm of a printed table, in the order of print, by the keys that name it: ``{"config": "base"}``."""
    keys = [key for key in printed.keys if key not in ROW_KEYS]
    return [dict(zip(keys, values, strict=True)) for values in dict.fromkeys(tuple(line[key] for key in keys) for line in printed.lines)]


def rows_of(printed: Printed) -> tuple[str, ...]:
    """The lesions of a table by lesion, the average among them; one empty name for a table that has a line for each arm."""
    return printed.values("lesion") if "lesion" in printed.keys else ("",)


def cell(printed: Printed, selector: Mapping[str, str], row: str, number: str) -> str:
    """What is printed of an arm, with the digits of print; empty if nothing is."""
    picks = {**selector, **({"lesion": row} if "lesion" in printed.keys else {})}
    if "metric" in printed.keys:
        return printed.cell(printed.numbers[0], **picks, metric=number)
    return printed.cell(number, **picks)


def nearest(row: str, number: str) -> tuple[str, str]:
    """Metric and number of ours that stand nearest to a printed one."""
    if number in quoted.QUALITY:
        return quoted.QUALITY[number]
    return "lesions", f"macro_{number}" if row in (AVERAGE, "") else f"{row.lower()}.{number}"


def in_words(printed: Printed, selector: Mapping[str, str]) -> str:
    """An arm as the printed table calls it: ``Regions: all 29``."""
    return ": ".join(map(printed.word, selector.values()))


def quoted_rows(printed: Printed) -> list[Row]:
    """Every printed number, with its citation in place of a signature."""
    names = [*{line["metric"]: None for line in printed.lines}] if "metric" in printed.keys else printed.numbers
    return [
        Row(in_words(printed, arm), *nearest(row, name), float(text), math.nan, math.nan, 0, 0, printed.reference, source="quoted", printed=text)
        for arm in selectors(printed)
        for row in rows_of(printed)
        for name in names
        if (text := cell(printed, arm, row, name))
    ]


def quoted_blocks(printed: Printed, differs: Sequence[str] = ("other data", "other labeller")) -> tuple[list[Block], list[Note]]:
    """The printed table to stand below measured ones, and the notes on it; ``differs`` is what keeps the two apart (``tables.apart``)."""
    table = printed_table(printed)
    several = len(table.blocks) > 1
    blocks = [
        replace(
            block,
            title=quoted.block_title(differs) + (f": part {place}" if several else ""),
            lines=tuple(_daggered(line) for line in block.lines),
        )
        for place, block in enumerate(table.blocks, start=1)
    ]
    said = [f"† {printed.reference}."]
    if any(name in quoted.QUALITY for name in (*printed.numbers, *(line.get("metric", "") for line in printed.lines))):
        said.append("Which METEOR, ROUGE-L, GREEN and F1-RadGraph were used is not printed.")
    if any(isinstance(one, Quoted) and one.rank for block in blocks for line in block.lines for one in line.cells):
        said.append("Best and second there by the printed digits, whatever was bold in print.")
    notes = [Note(" ".join(said))]
    if printed.origin:
        notes.append(Note(f"Of the quoted numbers, {_derived(printed)}; a place without a number has none in print."))
    return blocks, notes


def _daggered(line: Line) -> Line:
    """Marked on every line; the printed table's own footnotes would be taken for those of the measured one."""
    return replace(line, label=f"{line.label}†", cells=tuple(replace(one, footnote=0) if isinstance(one, Quoted) else one for one in line.cells))


def _derived(printed: Printed) -> str:
    """Which numbers are not printed themselves."""
    derived: Sequence[str] = [
        f"{printed.word(line['metric'])} at {line[printed.keys[0]]}" for line in printed.lines if line[printed.origin].startswith("derived")
    ]
    return f"{', '.join(derived)} follow from printed ones" if derived else "all are printed as they stand"
