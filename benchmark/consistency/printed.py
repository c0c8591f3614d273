"""A printed table from a CSV file: which line is about what, and every number with the digits that were printed.

The shape: key columns from the left (what a line is about), number columns after them; ``results/reported/README.md`` says it whole. Numbers are kept
as decimals, since 0.10 and 0.1 are not the same print.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from benchmark.records import UserError

LESION_NUMBERS = ("precision", "recall", "f1")
AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")
TOTAL = "total"
SHARES = (*LESION_NUMBERS, "meteor", "rouge_l", "green", "f1_radgraph")
KNOWN_NUMBERS = frozenset({*SHARES, *AXES, TOTAL})

AVERAGES = frozenset({"average", "avg", "mean", "macro", "macro average", "macro avg", "macro mean"})
"""words of a line that is the mean of other lines"""
SUMMARIES = frozenset({"average", "avg", "mean", "macro", "micro", "weighted", "overall", "median", "std", "sd"})
"""first words of a line that sums others up in whatever way: no mean is made of it"""
ALL = "all"
"""sums up, too, but alone: "all 29" is a level of its own"""
MICRO = "micro"
"""first word of a line of counts that were pooled: its F1 is that of its P and R"""
NOT_GIVEN = frozenset({"-", "–", "—", "n/a", "na", "nan"})
"""cells, in lower case, that say themselves that there is no number"""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?|[+-]?\.\d+")
_BOLD = re.compile(r"\*\*(.+)\*\*|\\textbf\{(.+)\}|\\mathbf\{(.+)\}|<b>(.+)</b>")
_UNDERLINED = re.compile(r"\\underline\{(.+)\}|<u>(.+)</u>|__(.+)__")


class UnreadableTable(UserError):
    """A file that holds no printed table; the message names file, line and column."""


@dataclass(frozen=True)
class Cell:
    """One printed number."""

    text: str
    """as printed, without marks: ``0.40``"""
    value: Decimal
    """what that is"""
    line: int
    """of the file, from 1"""
    is_bold: bool = False
    """marked as best"""
    is_derived: bool = False
    """never printed, but worked out of printed numbers: takes part in claims, not in arithmetic"""

    @property
    def unit(self) -> Decimal:
        """One of the last printed digit: 0.01."""
        return Decimal(1).scaleb(int(self.value.as_tuple().exponent))

    @property
    def decimals(self) -> int:
        """Digits behind the point."""
        return max(0, -int(self.value.as_tuple().exponent))


@dataclass(frozen=True)
class Row:
    """What is printed of one thing."""

    line: int
    """of the file, from 1"""
    keys: Mapping[str, str]
    """key column -> cell: what the row is about"""
    cells: Mapping[str, Cell]
    """number column -> number; a missing one is not there"""
    empty: tuple[str, ...] = ()
    """number columns of which the cell is empty: no number, and no dash that says so"""

    @property
    def is_average(self) -> bool:
        """The mean of other rows."""
        return any(is_average(cell) for cell in self.keys.values())

    @property
    def is_summary(self) -> bool:
        """Made of other rows, in whatever way."""
        return any(is_summary(cell) for cell in self.keys.values())

    @property
    def is_micro(self) -> bool:
        """Of pooled counts."""
        return any(_words(cell).partition(" ")[0] == MICRO for cell in self.keys.values())

    @property
    def name(self) -> str:
        """As messages call it: ``Mass, base``."""
        return ", ".join(filter(None, self.keys.values()))


@dataclass(frozen=True)
class PrintedTable:
    """One file."""

    name: str
    """of the file without its ending: ``table3``"""
    path: Path
    """where it lies"""
    keys: tuple[str, ...]
    """key columns; the last one is what is compared (a model, a variant), those before it say on what"""
    numbers: tuple[str, ...]
    """number columns, in the order of print"""
    rows: tuple[Row, ...]
    """in the order of print"""


def is_average(cell: str) -> bool:
    """Whether a key cell names the mean of other rows."""
    return _words(cell) in AVERAGES


def is_summary(cell: str) -> bool:
    """Whether a key cell names what is made of other rows, in whatever way."""
    words = _words(cell)
    return words == ALL or words.partition(" ")[0] in SUMMARIES


def _words(cell: str) -> str:
    """``Macro-average`` -> ``macro average``."""
    return " ".join(re.findall(r"[a-z0-9]+", cell.lower()))


def read_table(path: Path, keys: Sequence[str] = ()) -> PrintedTable:
    """The table in a file; ``keys`` names the key columns where they look like numbers. Raises ``UnreadableTable``."""
    header, lines = read_lines(path)
    if unknown := [key for key in keys if key not in header]:
        raise UnreadableTable(f"{path}, line 1: no column {unknown[0]!r} to name a row; its columns are {', '.join(header)}")
    if "metric" in header and "value" in header:
        return _long_form(path, header, lines, keys)
    chosen = tuple(keys) or tuple(header[: _first_number(header, lines)])
    numbers = columns_of_numbers(path, [name for name in header if name not in chosen], lines)
    remarks = [name for name in header if name not in chosen and name not in numbers]
    return PrintedTable(path.stem, path, chosen, numbers, tuple(_row(path, line, chosen, numbers, remarks) for line in lines))


@dataclass(frozen=True)
class FileLine:
    """One line of a file, of which nothing is known yet but its columns."""

    number: int
    """from 1"""
    cells: Mapping[str, str]
    """column -> text"""


def columns_of_numbers(path: Path, names: Sequence[str], lines: Sequence[FileLine]) -> tuple[str, ...]:
    """Those of the columns that hold numbers; the others are remarks. Raises ``UnreadableTable`` where there is none."""
    numbers = tuple(name for name in names if _is_of_numbers(name, [line.cells[name] for line in lines]))
    if not numbers:
        columns = ", ".join(lines[0].cells)
        raise UnreadableTable(f"{path}: no column of numbers among {columns}; after the columns that say what a row is, numbers are needed")
    return numbers


def read_lines(path: Path) -> tuple[list[str], list[FileLine]]:
    """The header and the lines of a file, each with a cell for each column. Raises ``UnreadableTable``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableTable(f"{path}: cannot be read ({error.strerror}); name a CSV file or a folder of them") from None
    except UnicodeDecodeError as error:
        raise UnreadableTable(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    if "\0" in text:
        raise UnreadableTable(f"{path}: NUL characters in it, so it is no CSV; name a CSV file")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        read = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise UnreadableTable(f"{path}, line {reader.line_num}: not CSV ({error}); mend that line") from None
    filled = [(number, cells) for number, cells in read if any(cells)]
    if len(filled) < 2:
        raise UnreadableTable(f"{path}: {'nothing' if not filled else 'only a header'} in it; a header and rows are needed")
    header = [known_name(name) for name in filled[0][1]]
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise UnreadableTable(f"{path}, line {filled[0][0]}: {header.count(twice[0])} columns are called {twice[0]!r}; give each its own name")
    for number, cells in filled[1:]:
        if len(cells) != len(header):
            raise UnreadableTable(f"{path}, line {number}: {len(cells)} cells, and the header has {len(header)}; mend that line")
    return header, [FileLine(number, dict(zip(header, cells, strict=True))) for number, cells in filled[1:]]


def known_name(name: str) -> str:
    """``F1``, ``ROUGE-L`` and ``Clinical accuracy`` as we write them; any other name as it stands."""
    plain = _words(name).replace(" ", "_")
    return plain if plain in KNOWN_NUMBERS | {"metric", "value"} else name


def _first_number(header: Sequence[str], lines: Sequence[FileLine]) -> int:
    """The place of the first column of numbers; the first column is never one, since something must say what a row is about."""
    places = range(1, len(header))
    return next((place for place in places if _is_of_numbers(header[place], [line.cells[header[place]] for line in lines])), len(header))


def _is_of_numbers(name: str, cells: Sequence[str]) -> bool:
    """Known by name, or more than half of what stands in it is a number: so one misprint does not turn a column into words."""
    filled = [cell for cell in cells if cell and cell.lower() not in NOT_GIVEN]
    return name in KNOWN_NUMBERS or 2 * sum(_NUMBER.fullmatch(_bare(cell)[0]) is not None for cell in filled) > len(filled)


def _row(path: Path, line: FileLine, keys: Sequence[str], numbers: Sequence[str], remarks: Sequence[str]) -> Row:
    is_derived = any(line.cells[name].lower().startswith("derived") for name in remarks)
    cells = {name: cell for name in numbers if (cell := read_cell(path, line.number, name, line.cells[name], is_derived=is_derived)) is not None}
    return Row(line.number, {key: line.cells[key] for key in keys}, cells, tuple(name for name in numbers if not line.cells[name]))


def _long_form(path: Path, header: Sequence[str], lines: Sequence[FileLine], keys: Sequence[str]) -> PrintedTable:
    """One number a line: ``metric`` names it, ``value`` is it, the columns before ``value`` say of what, those behind it are remarks."""
    chosen = tuple(name for name in keys or header[: header.index("value")] if name not in {"metric", "value"})
    remarks = [name for name in header if name not in {*chosen, "metric", "value"}]
    found: dict[tuple[str, ...], list[Row]] = {}
    for line in lines:
        metric = known_name(line.cells["metric"])
        as_wide = FileLine(line.number, {**line.cells, metric: line.cells["value"]})
        one = _row(path, as_wide, chosen, [metric], remarks)
        same = found.setdefault(tuple(one.keys.values()), [])
        # A number that stands there twice opens a row of its own, which is then found to be a duplicate.
        place = next((place for place, row in enumerate(same) if metric not in row.cells and metric not in row.empty), None)
        if place is None:
            same.append(one)
        else:
            before = same[place]
            same[place] = Row(before.line, before.keys, {**before.cells, **one.cells}, (*before.empty, *one.empty))
    numbers = tuple(dict.fromkeys(known_name(line.cells["metric"]) for line in lines))
    return PrintedTable(path.stem, path, chosen, numbers, tuple(row for same in found.values() for row in same))


def read_cell(path: Path, line: int, name: str, text: str, *, is_derived: bool = False) -> Cell | None:
    """The number in a cell, without the marks of print; None where there is none. Raises ``UnreadableTable``."""
    if not text or text.lower() in NOT_GIVEN:
        return None
    bare, is_bold = _bare(text)
    if _NUMBER.fullmatch(bare) is None:
        hint = "write a point before the decimals" if re.fullmatch(r"[+-]?\d+,\d+", bare) else "write one number, or - where there is none"
        raise UnreadableTable(f"{path}, line {line}, column {name}: {text!r} is no number; {hint}")
    return Cell(bare, Decimal(bare), line, is_bold, is_derived)


def _bare(text: str) -> tuple[str, bool]:
    """The number without the marks of print, and whether it was set in bold."""
    is_bold, before = False, ""
    while text != before:
        before = text
        for marks, means_bold in ((_BOLD, True), (_UNDERLINED, False)):
            if match := marks.fullmatch(text):
                text, is_bold = next(part for part in match.groups() if part is not None).strip(), is_bold or means_bold
        text = text.strip("$ ").removesuffix("%").removesuffix("\\").strip()
    return text.replace("−", "-"), is_bold
