"""A table as CSV in its own layout: for numbers whose printed digits are the truth, and for tables that set them beside measured ones."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

from benchmark.tables.table import Block, Cell, Column, Line, Number, Quoted, Table


def grid(table: Table) -> str:
    """The whole file: blocks with the same labels side by side, others one under the other. Measured numbers at full precision, with their ends.

    Where blocks are of one model each, the first column says of which; where numbers are quoted, a dagger says which, and the last column of whom.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    has_models = any(block.model for block in table.blocks)
    cited = [table.citation] if table.citation else []
    for place, blocks in enumerate(_stacked(_joined(table.blocks))):
        if place:
            writer.writerow([])
        ends = [any(_has_ends(line, at) for block in blocks for line in block.lines) for at in _places(blocks[0])]
        names = [name for at in _places(blocks[0]) for name in _heads(blocks[0].columns[at + 1], has_ends=ends[at], is_quoted=blocks[0].is_quoted)]
        writer.writerow([*(["Model"] if has_models else []), blocks[0].columns[0].title, *names, *(["citation"] if cited else [])])
        for block in blocks:
            for line in block.lines:
                values = [value for at, cell in enumerate(line.cells) for value in _values(cell, has_ends=ends[at])]
                told = [line.reason, *[""] * (len(names) - 1)] if line.reason else values
                writer.writerow([*([block.model] if has_models else []), line.label, *told, *cited])
    return out.getvalue()


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Blocks of one model, or of none, whose lines are the same, as one."""
    joined: list[Block] = []
    for block in blocks:
        above = joined[-1] if joined else None
        is_alike = above is not None and (above.model, above.is_quoted, _labels(above)) == (block.model, block.is_quoted, _labels(block))
        if above and is_alike and not any(line.reason for line in (*above.lines, *block.lines)):
            lines = tuple(replace(line, cells=(*line.cells, *further.cells)) for line, further in zip(above.lines, block.lines, strict=True))
            joined[-1] = replace(above, columns=(*above.columns, *block.columns[1:]), lines=lines)
        else:
            joined.append(block)
    return joined


def _stacked(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks that share their heads together: one head is enough."""
    stacked: list[list[Block]] = []
    for block in blocks:
        if stacked and (stacked[-1][0].columns, stacked[-1][0].is_quoted) == (block.columns, block.is_quoted):
            stacked[-1].append(block)
        else:
            stacked.append([block])
    return stacked


def _has_ends(line: Line, at: int) -> bool:
    cell = line.cells[at] if line.cells else ""
    return isinstance(cell, Number) and bool(cell.interval)


def _labels(block: Block) -> list[str]:
    return [block.columns[0].title, *(line.label for line in block.lines)]


def _places(block: Block) -> range:
    """Of the cells of a line."""
    return range(len(block.columns) - 1)


def _heads(column: Column, *, has_ends: bool, is_quoted: bool) -> list[str]:
    title = " ".join(filter(None, (column.group, column.title))) + ("†" if is_quoted and not column.is_words else "")
    return [title, f"{title} low", f"{title} high"] if has_ends else [title]


def _values(cell: Cell, *, has_ends: bool) -> list[str]:
    if isinstance(cell, Number):
        values = [_exact(cell.value), *([_exact(cell.low), _exact(cell.high)] if has_ends else [])]
    else:
        values = [cell.text if isinstance(cell, Quoted) else cell, *(["", ""] if has_ends else [])]
    return values


def _exact(number: float) -> str:
    return "" if math.isnan(number) else repr(float(number))
