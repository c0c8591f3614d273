"""A table for the terminal: intervals beside the numbers where the window is wide enough, beneath them where it is not."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from benchmark.tables.table import Block, Cell, Column, Line, Note, Number, Quoted, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

STYLES = {0: "", 1: "bold green", 2: "underline"}
"""of ordinary, best and second numbers"""
LABEL_WIDTH = 24
"""to which a label may be broken where there is no room"""


def show(table: Table, console: Console) -> None:
    """Print the table with its notes."""
    from rich.text import Text

    console.print()
    console.print(Text(table.heading, style="bold"))
    for block in table.blocks:
        if block.title and (block.is_quoted or len(table.blocks) > 1):
            console.print(Text(block.title, style="italic yellow" if block.is_quoted else "cyan"))
        lines = [line for line in block.lines if not line.reason]
        if lines:
            _show_lines(block, lines, console)
        for line in block.lines:
            if line.reason:  # below the others, where it does not stretch a column
                console.print(Text.assemble(line.label, " ", (line.reason, "yellow")))
    for note in table.notes:
        console.print(_note(note))


def _show_lines(block: Block, lines: list[Line], console: Console) -> None:
    """The roomiest way that fits the window: on one line, stacked, without columns that are alike in every line, without counts, in several parts."""
    places = list(range(1, len(block.columns)))
    counts = [place for place in places if not block.columns[place].is_words and all(isinstance(line.cells[place - 1], str) for line in lines)]
    same = [place for place in counts if len({line.cells[place - 1] for line in lines}) == 1]
    for left_out, is_stacked in (((), False), ((), True), (same, True), (counts, True)):
        kept = [place for place in places if place not in left_out]
        drawn = _drawn(block.columns, lines, kept, is_stacked=is_stacked)
        if _fits(drawn, console):
            console.print(drawn)
            break
    else:
        for part in _parts(block.columns, lines, kept, console):
            console.print(_drawn(block.columns, lines, part, is_stacked=True))
    if told := [f"{_titled(block.columns[place])} {lines[0].cells[place - 1]}" for place in same if place in left_out]:
        console.print(", ".join(told), markup=False)


def _parts(columns: tuple[Column, ...], lines: list[Line], places: list[int], console: Console) -> list[list[int]]:
    """The columns in parts that each fit the window beside the labels, as few as will do; one that is too wide by itself is a part.

    What columns have in common stays together where it fits: the numbers of one model.
    """
    parts: list[list[int]] = [[]]
    for _, together in groupby(places, key=lambda place: columns[place].group or str(place)):
        whole = list(together)
        is_whole = _fits(_drawn(columns, lines, whole, is_stacked=True), console)
        for more in [whole] if is_whole else [[place] for place in whole]:
            if parts[-1] and not _fits(_drawn(columns, lines, [*parts[-1], *more], is_stacked=True), console):
                parts.append([])
            parts[-1] += more
    return parts


def _fits(drawn: RichTable, console: Console) -> bool:
    boundless = console.options.update(width=10_000)  # measured within its own width, nothing is ever too wide
    return console.measure(drawn, options=boundless).maximum <= console.width


def _drawn(columns: tuple[Column, ...], lines: list[Line], places: list[int], *, is_stacked: bool) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold cyan")
    widest_label = max(len(line.label) for line in lines)
    for column in (columns[place] for place in (0, *places)):
        head = _titled(column).replace(" (", "\n(") + column.arrow + column.mark  # which of its name, below it
        drawn.add_column(Text(head), justify="left" if column.is_words else "right", no_wrap=not column.is_words, overflow="fold")
    drawn.columns[0].min_width = min(widest_label, LABEL_WIDTH)
    for line in lines:
        drawn.add_row(Text(line.label), *(_cell(line.cells[place - 1], is_stacked=is_stacked) for place in places))
    return drawn


def _titled(column: Column) -> str:
    return " ".join(filter(None, (column.group, column.title)))


def _cell(cell: Cell, *, is_stacked: bool) -> Text:
    from rich.text import Text

    if isinstance(cell, Quoted):
        return Text.assemble((cell.text, f"italic {STYLES[cell.rank]}"), cell.mark)
    if not isinstance(cell, Number):
        return Text(cell)
    value = (cell.text, STYLES[cell.rank])
    if not cell.interval:
        return Text.assemble(value)
    if is_stacked and not cell.is_signed:
        return Text.assemble(value, "\n", (cell.interval.strip("[]").replace(", ", "–"), "dim"))
    return Text.assemble(value, "\n" if is_stacked else " ", (cell.interval, "dim"))


def _note(note: Note) -> Text:
    from rich.text import Text

    mark = f"{Column('', footnote=note.footnote).mark} " if note.footnote else ""
    signature = " " + note.signature.replace("|", " | ") if note.signature else ""  # room to break a line
    label = (f"{note.label} ", "bold") if note.label else ""
    return Text.assemble(label, (f"{mark}{note.text}", "italic"), (signature, "dim"))
