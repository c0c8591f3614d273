"""The rows of a table of one's own, CSV, TSV, JSON, JSON lines or Parquet, and what their cells say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.datasets.columns import MOST_BYTES, BadTable, read_rows, unzipped
from benchmark.datasets.encodings import decode
from benchmark.datasets.parquet_size import unpacks_to_more
from benchmark.records import BoxXYXY, UserError
from benchmark.vocabulary import REGIONS

Record = tuple[str, dict[str, Any]]
"""("line 3", column -> value)"""

EMPTY_WORDS = frozenset(("nan", "null", "<na>"))
"""what programs write for nothing; "none" and "n/a" are left alone, a radiologist may have written them"""
BETWEEN_IMAGES = ";"


class BadManifest(UserError):
    """A manifest that cannot be read; the message names row and column."""


def file_bytes(path: Path) -> bytes:
    """What a table's file holds. Raises BadManifest."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadManifest(f"manifest {path}: cannot be read ({error.strerror or error}); check the path") from error


def read_records(path: Path, content: bytes) -> list[Record]:
    """Every row with its place in the file. Raises BadManifest, BadTable."""
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    readers: dict[str, Callable[[Path, bytes], Iterator[Record]]] = {
        **dict.fromkeys((".csv", ".tsv", ".txt"), _from_csv),
        **dict.fromkeys((".jsonl", ".ndjson"), _from_json_lines),
        ".json": _from_json,
        **dict.fromkeys((".parquet", ".pq"), _from_parquet),
    }
    if suffix not in readers:
        raise BadManifest(
            f"manifest {path}: was to be a table, found a {suffix or 'file without suffix'}; give one of {', '.join(readers)}, or a folder"
        )
    return list(readers[suffix](path, content))


def _from_csv(path: Path, content: bytes) -> Iterator[Record]:
    for line, row in read_rows(path):
        yield f"line {line}", {name: value for name, value in row.items() if name}


def _from_json_lines(path: Path, content: bytes) -> Iterator[Record]:
    for number, line in enumerate(_text(path, content).split("\n"), 1):
        if line.strip():
            yield f"line {number}", _record(_json(line, f"{path}, line {number}"), f"{path}, line {number}")


def _from_json(path: Path, content: bytes) -> Iterator[Record]:
    listed = _json(_text(path, content), str(path))
    if not isinstance(listed, list):
        raise BadManifest(f"{path}: was to be a JSON list of objects, found {type(listed).__name__}; write [{{...}}, ...] or JSON lines")
    for number, record in enumerate(listed, 1):
        yield f"item {number}", _record(record, f"{path}, item {number}")


def _from_parquet(path: Path, content: bytes) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if unpacks_to_more(content, MOST_BYTES):
            raise BadManifest(
                f"{path}: more than {MOST_BYTES >> 20:,} MiB unpacked, and no manifest has as many; check the file, keep only the columns that a "
                "manifest has, and have images in files of their own, which it names"
            )
        records = pq.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # of a text that is no UTF-8, of a date beyond the calendar
        raise BadManifest(f"{path}: was to be Parquet, and cannot be read ({' '.join(str(error).split())[:160]}); write it anew") from error
    for number, record in enumerate(records, 1):
        yield f"row {number}", record


def _text(path: Path, content: bytes) -> str:
    try:
        return decode(unzipped(path, content))
    except BadTable as error:
        raise BadManifest(str(error)) from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadManifest(f"{where}: no JSON ({error}); mend it") from error
    except RecursionError:
        raise BadManifest(f"{where}: JSON nested too deeply; a row is an object with the columns as keys") from None


def _record(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadManifest(f"{where}: was to be an object with the columns as keys, found {type(value).__name__}; mend it")
    return value


# --- cells ---


def text_cell(value: Any, where: str) -> str:
    """A cell as text: nothing for NaN and null, 12 for 12.0 (what pandas makes of whole numbers beside an empty cell). Raises BadManifest."""
    if _is_nothing(value):
        return ""
    if isinstance(value, str):
        if not _is_utf8(value):
            raise BadManifest(f"{where}: half a surrogate pair in the text; write plain text")
        return "" if value.strip().lower() in EMPTY_WORDS else value.strip()
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and math.isinf(value):
        raise BadManifest(f"{where}: was to be a text or a number, found infinity; mend the cell")
    if isinstance(value, (int, float)):
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return BETWEEN_IMAGES.join(value)
    raise BadManifest(f"{where}: was to be a text, a number or a list of texts, found {type(value).__name__}; mend the cell")


def boxes_cell(value: Any, where: str) -> dict[str, BoxXYXY]:
    """region -> box of a cell with JSON, or of a nested value. Raises BadManifest."""
    boxes: dict[str, BoxXYXY] = {}
    for region, box in _by_region(value, where, '{"left lung": [10, 20, 200, 300]}'):
        if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(isinstance(one, (int, float)) for one in box):
            raise BadManifest(f"{where}: the box of {region!r} was to be left, top, right, bottom in pixels, found {box!r}; mend the cell")
        try:
            boxes[region] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        except OverflowError:
            raise BadManifest(f"{where}: the box of {region!r} has a number too large for pixels; mend the cell") from None
    return boxes


def sentences_cell(value: Any, where: str) -> dict[str, str]:
    """region -> what the report says about it, of a cell with JSON, or of a nested value; without regions of which it says nothing.

    Raises BadManifest.
    """
    sentences: dict[str, str] = {}
    for region, sentence in _by_region(value, where, '{"left lung": "The left lung is clear."}'):
        if not isinstance(sentence, str) or not _is_utf8(sentence):
            raise BadManifest(f"{where}: the sentence about {region!r} was to be a text, found {type(sentence).__name__}; mend the cell")
        if text := " ".join(sentence.split()):
            sentences[region] = text
    return sentences


def _by_region(value: Any, where: str, example: str) -> Iterator[tuple[str, Any]]:
    """(region, what is said of it) of a cell with JSON, or of a nested value. Raises BadManifest."""
    if _is_nothing(value) or (isinstance(value, str) and (not value.strip() or value.strip().lower() in EMPTY_WORDS)):
        return
    found = _json(value, where) if isinstance(value, str) else value
    if isinstance(found, list) and all(isinstance(one, (list, tuple)) and len(one) == 2 for one in found):
        found = dict(found)  # Parquet's map
    if not isinstance(found, dict):
        raise BadManifest(f"{where}: was to be JSON like {example}, found {type(found).__name__}; mend the cell")
    for region, one in found.items():
        if region not in REGIONS:
            raise BadManifest(f"{where}: {region!r} is no region of Chest ImaGenome; the 29 are {', '.join(REGIONS)}")
        if one is not None:  # Parquet fills a struct's missing fields so
            yield region, one


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
