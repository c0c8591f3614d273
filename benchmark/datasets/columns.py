"""Rows of a table with commas, tabs or semicolons, plain or gzipped, by the names of their columns."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.datasets.encodings import decode
from benchmark.records import UserError

BIGGEST_CELL = 2**24
"""characters; csv's own limit of 131,072 is less than some reports with their history"""
MOST_BYTES = 2**30
"""what a gzipped table may unpack to; MIMIC-CXR's largest has 60 million"""
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons"}


class BadTable(UserError):
    """A table that cannot be read, or that lacks a column."""


def read_rows(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line in the file, column -> stripped text) of every row that is not empty.

    Column names keep their case but lose the spaces around them; a short row has empty cells at its end.
    Raises BadTable if the file cannot be read, lacks a required column, has a row with more cells than columns, or a quote that is never closed.
    """
    header, rows = _table(path, required)
    for line, cells in rows:
        yield line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def read_cells(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, tuple[str, ...]]]:
    """As ``read_rows``, but the cells of the named columns alone: for tables of 377,110 rows, of which making a dict each takes most of the time.

    An optional column that the table lacks has empty cells.
    """
    header, rows = _table(path, required)
    columns = {name: k for k, name in enumerate(header)}
    places = [columns.get(name, len(header)) for name in (*required, *optional)]
    for line, cells in rows:
        cells.append("")  # where the columns that are not there are looked up
        yield line, tuple([cells[k].strip() for k in places])


def _table(path: Path, required: Sequence[str]) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and (line, as many cells) of every row that is not empty. Raises BadTable, also on the way."""
    content = _content(path)
    # A table without a quote is cut at its commas and line ends, which is what csv makes of it, in a third of the time and a tenth of the memory.
    is_plain = content.isascii() and b'"' not in content and b"\r" not in content and b"\0" not in content and b"\n" in content
    text = content[: content.find(b"\n") + 1].decode("ascii") if is_plain else decode(content)
    delimiter = _delimiter(text.split("\n", 1)[0], required)
    rows = _cut(content, delimiter) if is_plain else _parsed(path, text, delimiter)
    line, names = next(rows, (0, []))
    header = [name.strip() for name in names]
    if missing := [name for name in required if name not in header]:
        raise BadTable(f"{path}: needs the column {missing[0]!r}, found {', '.join(filter(None, header)) or 'an empty file'}; is it another file?")
    return header, _even(path, header, rows, delimiter, line + 1)


def _even(path: Path, header: Sequence[str], rows: Iterator[tuple[int, list[str]]], delimiter: str, start: int) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each as long as the header; the first begins on line ``start``. Raises BadTable."""
    for line, cells in rows:
        begins, start = start, line + 1
        if len(cells) != len(header) or not any(cells):
            if not any(cells):
                continue
            if len(cells) > len(header):
                hint = f"put quotes around a text with {DELIMITERS[delimiter]}"
                raise BadTable(f"{path}, line {begins}: {len(cells)} cells in a table of {len(header)} columns; {hint}")
            cells += [""] * (len(header) - len(cells))
        yield line, cells


def _cut(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of a table without quotes."""
    for line, content_of_row in enumerate(io.BytesIO(content), 1):
        row = content_of_row.rstrip(b"\n").decode("ascii")
        yield line, row.split(delimiter) if row else []


def _parsed(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(last line, cells) of any table. Raises BadTable."""
    csv.field_size_limit(BIGGEST_CELL)
    # strict: an opening quote that is never closed would otherwise swallow the rest of the table in silence
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1  # line on which the row begins: where to look for its quote
    try:
        for cells in reader:
            start = reader.line_num + 1
            yield reader.line_num, cells
    except csv.Error as error:
        found = "a quote that is opened here is never closed" if "unexpected end of data" in str(error) else f"broken CSV, {error}"
        raise BadTable(f"{path}, line {start}: {found}; close the quote, and write a quote within a text twice") from error


def read_table_text(path: Path) -> str:
    """The whole text of a table, unzipped if it is gzipped (by its content, whatever its name says). Raises BadTable."""
    return decode(_content(path))


def _content(path: Path) -> bytes:
    """What a file holds, unzipped if it is gzipped. Raises BadTable."""
    try:
        return unzipped(path, path.read_bytes())
    except OSError as error:
        raise _unreadable(path, "no such file" if isinstance(error, FileNotFoundError) else str(error)) from error


def number(cell: str) -> float:
    """The number in a cell, NaN where there is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def table_digest(path: Path | None) -> bytes:
    """Digest of a table's bytes as they lie, for fingerprints; the same for every table that is not there. Raises BadTable if it cannot be read."""
    if path is None:
        return b"none"
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def unzipped(path: Path, content: bytes) -> bytes:
    """The content of a file, unzipped if it is gzipped. Raises BadTable, also where it would unpack to more than any table has."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            found = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, str(error)) from error
    if len(found) > MOST_BYTES:
        raise BadTable(f"{path}: more than {MOST_BYTES >> 20} MiB unpacked, which no table has; check the file, it may be made to fill the memory")
    return found


def _unreadable(path: Path, found: str) -> BadTable:
    return BadTable(f"{path}: the table cannot be read ({' '.join(found.split())}); check the path, or fetch the file again")


def _delimiter(header: str, required: Sequence[str]) -> str:
    """The delimiter under which a header shows most of the required columns, then most columns; of equals the comma."""

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(name in names for name in required), len(names)

    return max(DELIMITERS, key=fit)
