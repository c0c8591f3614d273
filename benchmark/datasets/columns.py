"""Rows of a CSV or TSV file, plain or gzipped, by the names of their columns."""

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


class BadTable(UserError):
    """A table that cannot be read, or that lacks a column."""


def read_rows(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line in the file, column -> stripped text) of every row that is not empty.

    Column names keep their case but lose the spaces around them; a short row has empty cells at its end.
    Raises BadTable if the file cannot be read, lacks a required column, or has a row with more cells than columns.
    """
    text = read_table_text(path)
    csv.field_size_limit(BIGGEST_CELL)
    dialect = csv.excel_tab if "\t" in text.split("\n", 1)[0] and "," not in text.split("\n", 1)[0] else csv.excel
    reader = csv.reader(io.StringIO(text, newline=""), dialect)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing:
            raise BadTable(
                f"{path}: needs the column {missing[0]!r}, found {', '.join(filter(None, header)) or 'an empty file'}; is it another file?"
            )
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) > len(header):
                where = f"{path}, line {reader.line_num}"
                raise BadTable(f"{where}: {len(cells)} cells in a table of {len(header)} columns; put quotes around a text with commas")
            cells += [""] * (len(header) - len(cells))
            yield reader.line_num, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise BadTable(f"{path}, line {reader.line_num}: {error}; mend the line, or write the table anew") from error


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
