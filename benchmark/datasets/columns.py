"""Rows of a table with commas, tabs or semicolons, plain or gzipped, by the names of their columns."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.datasets.encodings import decode
from benchmark.records import UserError

BIGGEST_CELL = 2**24
"""characters; csv's own limit of 131,072 is less than some reports with their history"""
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons"}


class BadTable(UserError):
    """A table that cannot be read, or that lacks a column."""


def read_rows(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line in the file, column -> stripped text) of every row that is not empty.

    Column names keep their case but lose the spaces around them; a short row has empty cells at its end.
    Raises BadTable if the file cannot be read, lacks a required column, has a row with more cells than columns, or a quote that is never closed.
    """
    text = read_table_text(path)
    csv.field_size_limit(BIGGEST_CELL)
    delimiter = _delimiter(text.split("\n", 1)[0], required)
    # strict: an opening quote that is never closed would otherwise swallow the rest of the table in silence
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1  # line on which the row begins: where to look for its quote
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing:
            raise BadTable(
                f"{path}: needs the column {missing[0]!r}, found {', '.join(filter(None, header)) or 'an empty file'}; is it another file?"
            )
        start = reader.line_num + 1
        for cells in reader:
            place, start = f"{path}, line {start}", reader.line_num + 1
            if not any(cells):
                continue
            if len(cells) > len(header):
                hint = f"put quotes around a text with {DELIMITERS[delimiter]}"
                raise BadTable(f"{place}: {len(cells)} cells in a table of {len(header)} columns; {hint}")
            cells += [""] * (len(header) - len(cells))
            yield reader.line_num, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        found = "a quote that is opened here is never closed" if "unexpected end of data" in str(error) else f"broken CSV, {error}"
        raise BadTable(f"{path}, line {start}: {found}; close the quote, and write a quote within a text twice") from error


def read_table_text(path: Path) -> str:
    """The whole text of a table, unzipped if it is gzipped (by its content, whatever its name says). Raises BadTable."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise BadTable(f"{path}: the table cannot be read ({found}); check the path, or fetch the file again") from error
    return decode(content)


def _delimiter(header: str, required: Sequence[str]) -> str:
    """The delimiter under which a header shows most of the required columns, then most columns; of equals the comma."""

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(name in names for name in required), len(names)

    return max(DELIMITERS, key=fit)
