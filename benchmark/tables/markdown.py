"""A table as Markdown: aligned, so that it reads in an editor as well as on a page."""

from __future__ import annotations

import re

from benchmark.tables.table import Block, Cell, Column, Line, Note, Number, Quoted, Table


def markdown(table: Table) -> str:
    """The whole file."""
    parts = [f"# {escaped(table.heading)}"]
    for block in table.blocks:
        if block.title:
            parts.append(f"## {escaped(block.title)}")
        parts.append(_block(block))
    parts.append("\n".join(_note(note) for note in table.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line and in one cell; what is plain anyway ("_" within a word, "<" before a digit) is left alone."""
    text = re.sub(r"([\\`*|]|<(?=[A-Za-z/!?])|\](?=[(\[:]))", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def _block(block: Block) -> str:
    heads = [_head(column) for column in block.columns]
    rows = [[_label(line, block.is_quoted), *_cells(line, block)] for line in block.lines]
    full = [heads, *(row for row, line in zip(rows, block.lines, strict=True) if not line.reason)]  # a reason may stick out: it is no number
    widths = [max(3, *(len(row[place]) for row in full), *(len(row[0]) for row in rows if place == 0)) for place in range(len(heads))]

    def aligned(row: list[str]) -> str:
        sides = zip(row, widths, block.columns, strict=False)  # a line with a reason ends after it
        return "| " + " | ".join(text.ljust(width) if column.is_words else text.rjust(width) for text, width, column in sides) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if column.is_words else "-" * (width + 1) + ":" for width, column in zip(widths, block.columns, strict=True)
    )
    return "\n".join([aligned(heads), rule + "|", *map(aligned, rows)])


def _head(column: Column) -> str:
    return " ".join(filter(None, (escaped(column.group), escaped(column.title)))) + column.arrow + column.mark


def _label(line: Line, is_quoted: bool) -> str:
    label = escaped(line.label)
    if is_quoted:
        return f"*{label}*"
    return f"**{label}**" if line.is_summary else label


def _cells(line: Line, block: Block) -> list[str]:
    if line.reason:
        return [f"*{escaped(line.reason)}*"]
    return [_cell(cell, block.is_quoted) for cell in line.cells]


def _cell(cell: Cell, is_quoted: bool) -> str:
    if isinstance(cell, Number):
        value = f"**{cell.text}**" if cell.rank == 1 else cell.text
        return f"{value} {cell.interval}".strip()
    if isinstance(cell, Quoted):
        return (f"***{escaped(cell.text)}***" if cell.rank == 1 else f"*{escaped(cell.text)}*") + cell.mark
    return f"*{escaped(cell)}*" if is_quoted else escaped(cell)


def _note(note: Note) -> str:
    mark = f"{Column('', footnote=note.footnote).mark} " if note.footnote else ""
    ticks = "``" if "`" in note.signature else "`"
    signature = f" {ticks}{note.signature}{ticks}" if note.signature else ""
    label = f"**{escaped(note.label)}** " if note.label else ""
    return f"- {mark}{label}{escaped(note.text)}{signature}"
