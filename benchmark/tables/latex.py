"""A table as LaTeX for booktabs: best bold, second underlined, intervals in small type; ``\\input`` it as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import ceil
from typing import NamedTuple

from benchmark.tables.table import Block, Cell, Column, Line, Note, Number, Quoted, Table

PAGE = 45
"""rows of a table that a page holds, below the caption"""
LETTERS, SMALL = 95, 0.8
"""of a note in a line of its small type, and how high that is beside a row"""
HEAD = "% Made by python -m benchmark; needs \\usepackage{booktabs,graphicx}."
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after a line break it would open an optional argument
    "]": "{]}",
    "*": "{*}",  # and this would be the starred line break
    "—": "---",
    "–": "--",
    "−": "$-$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "§": r"\textsuperscript{\S}",
    "↓": r"$\downarrow$",
    **{raised: rf"\textsuperscript{{{digit}}}" for digit, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}


def latex(table: Table) -> str:
    """The whole file: the blocks one under the other and the notes as a list, in as many floating tables as it takes pages.

    The second and later ones keep the number of the first and say that they continue it: ``tab:table1``, ``tab:table1-2``, ...
    """
    lines = [HEAD]
    for place, page in enumerate(_pages([*(part for block in table.blocks for part in _parts(block)), *map(_note_part, table.notes)])):
        lines += _float(table, place, page)
    return "\n".join([*lines, ""])


class _Part(NamedTuple):
    """What is not broken over pages: a block, a piece of one that is longer than a page, or a note."""

    lines: list[str]
    height: float
    """in rows of a table"""
    is_note: bool = False


def _pages(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Parts in their order, so many to a page as fit; of nothing, one empty page."""
    pages: list[list[_Part]] = [[]]
    left = float(PAGE)
    for part in parts:
        if pages[-1] and part.height > left:
            pages.append([])
            left = PAGE
        pages[-1].append(part)
        left -= part.height
    return pages


def _float(table: Table, place: int, page: Sequence[_Part]) -> list[str]:
    """One floating table; one that continues another does not count."""
    lines = [r"\begin{table}[htbp]", r"\centering", *([r"\addtocounter{table}{-1}"] if place else [])]
    more, label = (" (continued)", f"{table.name}-{place + 1}") if place else ("", table.name)
    lines += [rf"\caption{{{escaped(table.title)}{more}}}", rf"\label{{tab:{label}}}"]
    lines += [line for part in page if not part.is_note for line in part.lines]
    if notes := [line for part in page if part.is_note for line in part.lines]:
        lines += [r"\begin{minipage}{\linewidth}", r"\footnotesize\raggedright", *notes, r"\end{minipage}"]
    return [*lines, r"\end{table}"]


def _parts(block: Block) -> list[_Part]:
    """A block, cut where it is longer than a page: each piece has the heads."""
    around = 2 + (1.5 if block.title else 0) + any(column.group for column in block.columns)  # heads, rules and the room between blocks
    room = int(PAGE - around)
    pieces = [block.lines[start : start + room] for start in range(0, len(block.lines), room)] or [()]
    titles = [block.title, *([f"{block.title} (continued)".strip()] * (len(pieces) - 1))]
    return [_Part(_block(replace(block, lines=lines, title=title)), around + len(lines)) for lines, title in zip(pieces, titles, strict=True)]


def _note_part(note: Note) -> _Part:
    text = _note(note)
    return _Part([f"{text}\\par"], ceil(len(text) / LETTERS) * SMALL, is_note=True)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(ESCAPES.get(letter, letter) for letter in " ".join(text.split()))


def _block(block: Block) -> list[str]:
    lines = []
    if block.title:
        lines.append(rf"\par\smallskip{{\small{_face(block)} {escaped(block.title)}}}\par\smallskip")
    # A table as wide as its text is left alone, a wider one is made to fit.
    lines += [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%", rf"\begin{{tabular}}{{{_alignment(block)}}}", r"\toprule"]
    lines += [*_groups(block), _row([_head(column) for column in block.columns]), r"\midrule"]
    for line in block.lines:
        if line.is_summary:
            lines.append(r"\midrule")
        lines.append(_row(_line(line, block)))
    return [*lines, r"\bottomrule", r"\end{tabular}}", r"\par\smallskip"]


def _alignment(block: Block) -> str:
    return "".join("l" if column.is_words else "r" for column in block.columns)


def _groups(block: Block) -> list[str]:
    """The row above the heads, which names what columns side by side have in common, with a rule under each name."""
    if not any(column.group for column in block.columns):
        return []
    cells, rules, start = [], [], 1
    for group, columns in groupby(block.columns, key=lambda column: column.group):
        count = len(list(columns))
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escaped(group)}}}" if group else " & ".join([""] * count))
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    return [_row(cells), " ".join(rules)]


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _head(column: Column) -> str:
    mark = rf"\textsuperscript{{{column.footnote}}}" if column.footnote else ""
    return escaped(column.title + column.arrow) + mark


def _line(line: Line, block: Block) -> list[str]:
    label = escaped(line.label)
    if block.is_quoted:
        label = rf"\textit{{{label}}}"
    if line.reason:
        return [label, rf"\multicolumn{{{len(block.columns) - 1}}}{{l}}{{\textit{{{escaped(line.reason)}}}}}"]
    return [label, *(_cell(cell, block.is_quoted) for cell in line.cells)]


def _cell(cell: Cell, is_quoted: bool) -> str:
    if isinstance(cell, Quoted):
        mark = rf"\textsuperscript{{{cell.footnote}}}" if cell.footnote else ""
        return _ranked(rf"\textit{{{escaped(cell.text)}}}", cell.rank) + mark
    if not isinstance(cell, Number):
        return rf"\textit{{{escaped(cell)}}}" if is_quoted else escaped(cell)
    value = _ranked(_signed(cell.text), cell.rank)
    return rf"{value} {{\scriptsize {_signed(cell.interval)}}}" if cell.interval else value


def _ranked(value: str, rank: int) -> str:
    return {0: value, 1: rf"\textbf{{{value}}}", 2: rf"\underline{{{value}}}"}[rank]


def _signed(number: str) -> str:
    return number.replace("-", "$-$").replace("+", "$+$")


def _face(block: Block) -> str:
    return r"\itshape" if block.is_quoted else ""


def _note(note: Note) -> str:
    mark = rf"\textsuperscript{{{note.footnote}}} " if note.footnote else ""
    signature = escaped(note.signature).replace(r"\textbar{}", r"\textbar{}\allowbreak{}")
    label = rf"\textbf{{{escaped(note.label)}}} " if note.label else ""
    return f"{mark}{label}{escaped(note.text)}" + (rf" \texttt{{{signature}}}" if signature else "")
