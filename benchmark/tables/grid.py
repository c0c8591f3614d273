"""A table as CSV in its own layout: for numbers whose printed digits are the truth, and for tables that set them beside measured ones."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from benchmark.tables.table import Block, Cell, Column, Number, Quoted, Table


def grid(table: Table) -> str:
    """The whole file: blocks with the same labels side by side, others one under the other. Measured numbers at full precision, with their ends."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for place, block in enumerate(_joined(table.blocks)):
        if place:
            writer.writerow([])
        ends = [any(isinstance(line.cells[at], Number) and line.cells[at].interval for line in block.lines if line.cells) for at in _places(block)]  # type: ignore[union-attr]
        writer.writerow([block.columns[0].title, *(name for at in _places(block) for name in _heads(block.columns[at + 1], has_ends=ends[at]))])
        for line in block.lines:
            values = [value for at, cell in enumerate(line.cells) for value in _values(cell, has_ends=ends[at])]
            writer.writerow([line.label, *([line.reason] if line.reason else values)])
    return out.getvalue()


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Blocks whose lines are the same, as one."""
    joined: list[Block] = []
    for block in blocks:
        above = joined[-1] if joined else None
        if above and _labels(above) == _labels(block) and not any(line.reason for line in (*above.lines, *block.lines)):
            lines = (
                type(line)(line.label, (*line.cells, *further.cells), is_summary=line.is_summary)
                for line, further in zip(above.lines, block.lines, strict=True)
            )
            joined[-1] = Block((*above.columns, *block.columns[1:]), tuple(lines))
        else:
            joined.append(block)
    return joined


def _labels(block: Block) -> list[str]:
    return [block.columns[0].title, *(line.label for line in block.lines)]


def _places(block: Block) -> range:
    """Of the cells of a line."""
    return range(len(block.columns) - 1)


def _heads(column: Column, *, has_ends: bool) -> list[str]:
    title = " ".join(filter(None, (column.group, column.title)))
    return [title, f"{title} low", f"{title} high"] if has_ends else [title]


def _values(cell: Cell, *, has_ends: bool) -> list[str]:
    if isinstance(cell, Number):
        values = [_exact(cell.value), *([_exact(cell.low), _exact(cell.high)] if has_ends else [])]
    else:
        values = [cell.text if isinstance(cell, Quoted) else cell, *(["", ""] if has_ends else [])]
    return values


def _exact(number: float) -> str:
    return "" if math.isnan(number) else repr(float(number))
