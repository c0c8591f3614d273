"""A table before it has a format: blocks of lines of cells, and the notes that stand under it. Numbers are rounded here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmark.records import Row

NOT_RUN = "—"
UNDEFINED = "n/a"
LOWER = "↓"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Number:
    """A measured number with its interval."""

    value: float
    """at full precision; NaN prints as ``n/a``"""
    low: float = math.nan
    """NaN prints no interval"""
    high: float = math.nan
    """as ``low``"""
    decimals: int = 3
    """to print"""
    is_signed: bool = False
    """print a plus, too: a difference"""
    rank: Literal[0, 1, 2] = 0
    """1 best of its column, 2 second, 0 neither or not comparable"""

    @property
    def text(self) -> str:
        """The rounded value."""
        return written(self.value, self.decimals, is_signed=self.is_signed)

    @property
    def interval(self) -> str:
        """The rounded interval in brackets, or nothing."""
        if math.isnan(self.low) or math.isnan(self.high):
            return ""
        low, high = (written(end, self.decimals, is_signed=self.is_signed) for end in (self.low, self.high))
        return f"[{low}, {high}]"


@dataclass(frozen=True)
class Quoted:
    """A number printed elsewhere; in italics wherever it stands."""

    text: str
    """in the digits of print: 0.60 stays 0.60"""
    rank: Literal[0, 1, 2] = 0
    """as of ``Number``"""
    footnote: int = 0
    """number of the note that says where it was printed, 0 for none"""

    @property
    def mark(self) -> str:
        """The footnote's number, raised."""
        return raised(self.footnote)


Cell = Number | Quoted | str
"""A string is printed as it is: a count, a word, a dash."""


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    title: str
    """what is in it"""
    group: str = ""
    """what several columns side by side have in common (a model)"""
    footnote: int = 0
    """number of the note that says how it was computed, 0 for none"""
    is_words: bool = False
    """set flush left"""
    direction: Literal["higher", "lower", ""] = ""
    """which way is better, as far as it is known"""

    @property
    def head(self) -> str:
        """The title with all its marks."""
        return self.title + self.arrow + self.mark

    @property
    def arrow(self) -> str:
        """Marks a number that is better the lower it is; the usual way needs no mark."""
        return f" {LOWER}" if self.direction == "lower" else ""

    @property
    def mark(self) -> str:
        """The footnote's number, raised."""
        return raised(self.footnote)


@dataclass(frozen=True)
class Line:
    """One line of a block."""

    label: str
    """what it is about: a model, a lesion"""
    cells: tuple[Cell, ...] = ()
    """one per column but the first"""
    reason: str = ""
    """stands in place of cells: why there are none"""
    is_summary: bool = False
    """an average of the lines above, set off by a rule"""


@dataclass(frozen=True)
class Block:
    """Lines that share their columns; quoted numbers are in a block of their own."""

    columns: tuple[Column, ...]
    """the first is that of the labels"""
    lines: tuple[Line, ...]
    """from the top"""
    title: str = ""
    """empty where there is but one"""
    is_quoted: bool = False
    """printed elsewhere, not measured here: set in italics, with a dagger"""
    model: str = ""
    """whose numbers these are, where a table has a block for each: in CSV, which has no titles, it gets a column"""


@dataclass(frozen=True)
class Note:
    """A sentence under the table."""

    text: str
    """what a reader must know"""
    footnote: int = 0
    """the number that columns refer to"""
    signature: str = ""
    """verbatim, in typewriter"""
    label: str = ""
    """of whom it is, in bold before it"""
    is_of_data: bool = False
    """the dataset's own word on what numbers on it are worth: goes first where a table is summed up in a line"""


@dataclass(frozen=True)
class Table:
    """Everything that is printed under one title."""

    name: str
    """of its files"""
    title: str
    """in words"""
    number: str
    """which table of the paper it is laid out like, or empty"""
    blocks: tuple[Block, ...]
    """measured first, quoted after"""
    notes: tuple[Note, ...]
    """in the order of printing"""
    numbers: tuple[Row, ...]
    """what the CSV holds, at full precision"""
    adjusted: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """model, metric and value name of a difference -> p-value after Holm's correction over this table"""
    false_discovery: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """the same after Benjamini and Hochberg's"""
    is_laid_out_as_csv: bool = False
    """its CSV has the lines and columns that a reader sees, not a line for each number"""
    citation: str = ""
    """of its quoted numbers: a CSV that is laid out has no notes, and says it on each line"""

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number}. {self.title}" if self.number else self.title


def raised(footnote: int) -> str:
    """A footnote's number as superscript, nothing for none."""
    return str(footnote).translate(SUPERSCRIPTS) if footnote else ""


def written(value: float, decimals: int, *, is_signed: bool = False) -> str:
    """A rounded number; never a negative zero."""
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    return f"+{text}" if is_signed and value > 0 else text


def written_p(p_value: float | None) -> str:
    """A rounded p-value; what is below the last digit is said to be below, since none is 0."""
    if p_value is None or math.isnan(p_value):
        return UNDEFINED
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
