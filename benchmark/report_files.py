"""Files of reports that somebody made: read with care, matched by id.

Read are CSV (comma, semicolon, tab or bar; quoted line breaks; byte order mark), TSV, JSON, JSON lines, each of them also as ``.gz``, and Parquet.
A JSON file is an object ``{id: text}``, an array of objects, or an object that holds one such array (``{"predictions": [...]}``).

What is done with what people's files look like:

* Ids are strings, exactly as written: ``007`` stays ``007``. Only a column of nothing but ``12.0``, ``7.0``, which is what pandas makes of whole
  numbers, is read as ``12``, ``7``.
* Rows of nothing but empty cells are passed over. A missing text (an empty cell, NaN, null) is an empty report: it stays, is listed in ``empty``,
  and will be scored as empty.
* A row with a ``failure`` (our own ``reports.jsonl`` has that field) is no report: it is listed in ``failures`` and will not be scored.
* Text is UTF-8, or UTF-16 with its byte order mark. A file that is neither and has no UTF-8 in it either is taken for Windows-1252 (Excel's CSV; in
  its printable signs the same as Latin-1), and ``warnings`` says from which line and how often. A file that mixes the two is damaged, and refused.
* Everything else that is odd is refused in one line that names the place: a line of the file for text, a row (from 1) for Parquet and JSON arrays.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.datasets.parquet_size import unpacks_to_more
from benchmark.records import UserError

ID_COLUMNS = ("id", "case_id", "study_id", "dicom_id", "image_id", "uid", "filename")
TEXT_COLUMNS = ("report", "text", "prediction", "generated", "generated_report", "hypothesis", "reference", "findings", "model_prediction")
FAILURE_COLUMN = "failure"
MOST_BYTES = 4 * 2**30
"""what a gzipped file may unpack to: a million reports are one"""
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_NO_VALUE = frozenset({"", "nan", "NaN", "NAN", "<NA>", "None", "null", "NULL"})  # how pandas and others print a missing cell into a CSV
_SHOWN = 5  # so many ids, rows or columns in a message


class UnreadableReports(UserError):
    """A file of reports that cannot be read as one; the line says where and what to do."""


class MismatchedIds(UserError):
    """References and predictions are not about the same cases."""


class ReportTexts(NamedTuple):
    """What a file of reports holds."""

    texts: dict[str, str]
    """id -> report, in file order"""
    empty: tuple[str, ...]
    """ids among ``texts`` whose report is missing or blank"""
    failures: dict[str, str]
    """id -> why there is no report (rows with a ``failure``); these ids are not in ``texts``"""
    warnings: tuple[str, ...]
    """what was read with a doubt, one line each"""
    source_sha256: str
    """of the file's bytes as they lie on disk"""


class Matched(NamedTuple):
    """References and predictions side by side."""

    ids: list[str]
    """ids that both sides have, in the order of the references"""
    references: list[str]
    """one text per id"""
    predictions: list[str]
    """one text per id"""
    unscored: list[str]
    """ids of references without a prediction, in order"""
    unused: list[str]
    """ids of predictions without a reference, in order"""


class _Row(NamedTuple):
    """One record of the file before its cells are looked at."""

    place: str
    id: Any
    text: Any
    failure: Any


def read_reports(path: Path, *, id_column: str | None = None, text_column: str | None = None) -> ReportTexts:
    """The reports of a file, by id, in file order. Raises ``UnreadableReports`` in one line that names the place.

    Columns that are not named are found by the lists ``ID_COLUMNS`` and ``TEXT_COLUMNS``; more than one candidate is an error, never a guess.
    """
    rows, warnings, sha256 = _rows(Path(path), id_column, text_column)
    return _collect(Path(path), rows, warnings, sha256)


def read_patients(path: Path, patient_column: str, *, id_column: str | None = None) -> dict[str, str]:
    """Id -> patient, from a column of a file of reports; a blank cell makes the case a patient of its own. Raises ``UnreadableReports``."""
    rows, _, _ = _rows(Path(path), id_column, patient_column)
    ids = [_read_id(Path(path), row) for row in rows]
    patients = [_read_id(Path(path), row._replace(id=row.text)) for row in rows]
    return {name: patient or name for name, patient in zip(ids, patients, strict=True)}


def _rows(path: Path, id_column: str | None, text_column: str | None) -> tuple[list[_Row], list[str], str]:
    """The records of a file of any kind, what was read with a doubt, and the digest of its bytes."""
    ending = _ending(path)
    data = _read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    warnings: list[str] = []
    if ending in (".parquet", ".pq"):
        return _parquet_rows(path, data, id_column, text_column), warnings, sha256
    text = _decode(path, _unpack(path, data), warnings)
    if not text.strip():
        raise UnreadableReports(f"{path}: the file is empty; expected reports with an id each")
    if ending in (".csv", ".tsv"):
        rows = _whole_number_ids(_csv_rows(path, text, ending, id_column, text_column))
    elif ending == ".json":
        rows = _json_rows(path, text, id_column, text_column)
    else:
        rows = _json_line_rows(path, text, id_column, text_column)
    return rows, warnings, sha256


def match(references: Mapping[str, str], predictions: Mapping[str, str], *, missing: Literal["fail", "unscored"] = "fail") -> Matched:
    """References and predictions paired by id; the order of neither file matters.

    ``missing="fail"`` refuses ids that only one side has. ``missing="unscored"`` keeps what both have and lists the rest, to be counted as
    unscored; it still refuses two sides that have no id in common. Raises ``MismatchedIds``.
    """
    if missing not in ("fail", "unscored"):
        raise UserError(f"missing={missing!r}: what to do with ids that one side lacks is either fail or unscored")
    ids = [case_id for case_id in references if case_id in predictions]
    unscored = [case_id for case_id in references if case_id not in predictions]
    unused = [case_id for case_id in predictions if case_id not in references]
    if not ids:
        raise MismatchedIds(
            f"no id is in both references and predictions: {len(references)} references ({_some(list(references))}), "
            f"{len(predictions)} predictions ({_some(list(predictions))}); name the column that holds the same ids with --id-column"
        )
    if missing == "fail" and (unscored or unused):
        sides = [f"{len(unscored)} references have no prediction ({_some(unscored)})"] if unscored else []
        sides += [f"{len(unused)} predictions have no reference ({_some(unused)})"] if unused else []
        raise MismatchedIds(
            f"{len(ids)} ids are in both references and predictions, but {' and '.join(sides)}; add what is missing, "
            "or score what both have and count the rest as unscored with --missing unscored"
        )
    return Matched(ids, [references[name] for name in ids], [predictions[name] for name in ids], unscored, unused)


def _ending(path: Path) -> str:
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] == ".gz":
        endings.pop()
        if endings and endings[-1] in (".parquet", ".pq"):
            raise UnreadableReports(f"{path}: Parquet is compressed within; unpack the .gz")
    if not endings or endings[-1] not in ENDINGS:
        raise UnreadableReports(f"{path}: cannot tell the format by the name; known endings: {', '.join(ENDINGS)}, the text ones also with .gz")
    return endings[-1]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableReports(f"{path}: no such file; give the path of a file of reports") from None
    except IsADirectoryError:
        raise UnreadableReports(f"{path}: is a folder; give one file of reports") from None
    except OSError as error:
        raise UnreadableReports(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _unpack(path: Path, data: bytes) -> bytes:
    if path.suffix.lower() != ".gz":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableReports(f"{path}: broken gzip file ({error}); write it again") from None
    if len(unpacked) > MOST_BYTES:
        raise _too_large(path)
    return unpacked


def _too_large(path: Path) -> UnreadableReports:
    return UnreadableReports(
        f"{path}: more than {MOST_BYTES >> 20:,} MiB unpacked; check the file, it may be made to fill the memory, or unpack it yourself"
    )


def _decode(path: Path, data: bytes, warnings: list[str]) -> str:
    """The text of a file whose encoding is told by its first bytes, else UTF-8, else (see the module) Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            line = data[: error.start].decode("utf-16", errors="ignore").count("\n") + 1
            raise UnreadableReports(f"{path}, line {line}: broken UTF-16 ({error.reason}); save the file as UTF-8") from None
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text = _decode_windows(path, data, error.start, warnings)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UnreadableReports(f"{path}, line {line}: NUL bytes in the text (UTF-16 without its byte order mark?); save the file as UTF-8")
    return text


def _decode_windows(path: Path, data: bytes, first_bad: int, warnings: list[str]) -> str:
    place = f"line {data.count(bytes([10]), 0, first_bad) + 1}"
    odd = [line for line in data.split(b"\n") if not line.isascii()]
    if any(_is_utf8(line) for line in odd):
        raise UnreadableReports(
            f"{path}, {place}: byte 0x{data[first_bad]:02x} is not UTF-8, though other lines are; the file is damaged or glued of two: write it anew"
        )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise UnreadableReports(f"{path}, {place}: byte 0x{data[first_bad]:02x} is neither UTF-8 nor Windows-1252; save the file as UTF-8") from None
    warnings.append(f"{path.name} is not UTF-8; read as Windows-1252 ({len(odd)} lines with such signs, the first is {place})")
    return text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _csv_rows(path: Path, text: str, ending: str, id_column: str | None, text_column: str | None) -> list[_Row]:
    delimiter = "\t" if ending == ".tsv" else _find_delimiter(text, (id_column, text_column))
    limit = csv.field_size_limit(len(text) + 1)  # a report longer than 128 kB is a question for the metrics, not for the reader
    try:
        return list(_parse_csv(path, text, delimiter, id_column, text_column))
    finally:
        csv.field_size_limit(limit)


def _parse_csv(path: Path, text: str, delimiter: str, id_column: str | None, text_column: str | None) -> Iterator[_Row]:
    # strict: an opening quote that is never closed would otherwise swallow the rest of the file in silence
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            place, start = f"line {start}", reader.line_num + 1
            if not any(cells):
                continue
            if header is None:
                header = [name.strip() for name in cells]
                at_id = header.index(_choose(path, "id", header, id_column, ID_COLUMNS))
                at_text = header.index(_choose(path, "text", header, text_column, TEXT_COLUMNS))
                at_failure = header.index(FAILURE_COLUMN) if FAILURE_COLUMN in header else None
                continue
            if len(cells) < len(header) or any(cells[len(header) :]):
                raise UnreadableReports(
                    f"{path}, {place}: {len(cells)} cells where the header has {len(header)}; "
                    f"a report with {_DELIMITERS[delimiter]} in it must stand in double quotes"
                )
            report, failure = cells[at_text], cells[at_failure] if at_failure is not None else ""
            yield _Row(place, cells[at_id], None if report in _NO_VALUE else report, None if failure in _NO_VALUE else failure)
    except csv.Error as error:
        raise UnreadableReports(f"{path}, line {start}: broken CSV ({error}); a double quote within a report is written twice") from None


def _find_delimiter(text: str, named: Sequence[str | None]) -> str:
    """The delimiter under which the first line shows most of the columns that are looked for, then most columns."""
    line = next(line for line in text.splitlines() if line.strip())
    known = {*ID_COLUMNS, *TEXT_COLUMNS}

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        return sum(name in named or name.lower() in known for name in names), len(names)

    return max(_DELIMITERS, key=fit)


def _whole_number_ids(rows: list[_Row]) -> list[_Row]:
    """Ids of a column that pandas turned from whole numbers into floats, as they were."""
    present = [row.id for row in rows if row.id not in _NO_VALUE]
    if not present or not all(re.fullmatch(r"-?\d+\.0", name) for name in present):
        return rows
    return [row._replace(id=row.id.removesuffix(".0")) for row in rows]


def _json_rows(path: Path, text: str, id_column: str | None, text_column: str | None) -> list[_Row]:
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        lines = "; one object per line is JSON lines: call the file .jsonl" if error.msg == "Extra data" else "; write it again"
        raise UnreadableReports(f"{path}, line {error.lineno}, column {error.colno}: broken JSON ({error.msg}){lines}") from None
    except RecursionError:
        raise UnreadableReports(f"{path}: JSON nested too deeply; expected an object id -> text or an array of objects") from None
    except ValueError as error:  # a number of thousands of digits
        raise UnreadableReports(f"{path}: broken JSON ({error}); write ids and texts as strings") from None
    if isinstance(content, dict):
        lists = {name: value for name, value in content.items() if isinstance(value, list) and value and all(isinstance(v, dict) for v in value)}
        if len(lists) > 1:
            raise UnreadableReports(f"{path}: {len(lists)} lists of objects ({_some(list(lists))}); keep the one that is meant in a file of its own")
        if not lists:
            _refuse_repeats(path, content)
            return [_Row(f"entry {name!r}", name, value, None) for name, value in content.items()]
        content = next(iter(lists.values()))
    if not isinstance(content, list):
        raise UnreadableReports(f"{path}: holds {_kind(content)}; expected an object id -> text or an array of objects")
    return _object_rows(path, [(f"row {number}", value) for number, value in enumerate(content, start=1)], id_column, text_column)


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its names came twice."""

    repeats: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) < len(pairs):
        result.repeats = tuple(_find_repeats([name for name, _ in pairs]))
    return result


def _refuse_repeats(path: Path, content: Mapping[str, Any]) -> None:
    if isinstance(content, _Object) and content.repeats:
        raise UnreadableReports(f"{path}: {len(content.repeats)} ids occur more than once ({_some(list(content.repeats))}); keep one report for each")


def _json_line_rows(path: Path, text: str, id_column: str | None, text_column: str | None) -> list[_Row]:
    # Not splitlines(): U+2028 may stand unescaped within a JSON string
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    objects: list[tuple[str, Any]] = []
    for number, line in lines:
        try:
            objects.append((f"line {number}", json.loads(line)))
        except json.JSONDecodeError as error:
            if number == lines[-1][0] and not text.endswith("\n"):
                raise UnreadableReports(f"{path}, line {number}: the last line is half-written; delete it or write the file again") from None
            raise UnreadableReports(f"{path}, line {number}, column {error.colno}: broken JSON ({error.msg}); expected one object per line") from None
        except RecursionError:
            raise UnreadableReports(f"{path}, line {number}: JSON nested too deeply; expected an object with an id and a text") from None
        except ValueError as error:  # a number of thousands of digits
            raise UnreadableReports(f"{path}, line {number}: broken JSON ({error}); write ids and texts as strings") from None
    return _object_rows(path, objects, id_column, text_column)


def _object_rows(path: Path, objects: list[tuple[str, Any]], id_column: str | None, text_column: str | None) -> list[_Row]:
    for place, value in objects:
        if not isinstance(value, dict):
            raise UnreadableReports(f"{path}, {place}: {_kind(value)}; expected an object with an id and a text")
    # Columns are those of all rows together: a row may leave its text out, and that is an empty report
    columns = list(dict.fromkeys(name for _, value in objects for name in value))
    if not objects:
        return []
    id_name = _choose(path, "id", columns, id_column, ID_COLUMNS)
    text_name = _choose(path, "text", columns, text_column, TEXT_COLUMNS)
    return [_Row(place, value.get(id_name), value.get(text_name), value.get(FAILURE_COLUMN)) for place, value in objects]


def _parquet_rows(path: Path, data: bytes, id_column: str | None, text_column: str | None) -> list[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        columns = list(file.schema_arrow.names)
        id_name = _choose(path, "id", columns, id_column, ID_COLUMNS)
        text_name = _choose(path, "text", columns, text_column, TEXT_COLUMNS)
        wanted = [id_name, text_name] + ([FAILURE_COLUMN] if FAILURE_COLUMN in columns else [])
        if unpacks_to_more(data, MOST_BYTES, list(dict.fromkeys(wanted))):
            raise UnreadableReports(
                f"{path}: its columns {' and '.join(map(repr, dict.fromkeys(wanted)))} hold more than {MOST_BYTES >> 20:,} MiB unpacked, "
                "and a million reports a quarter of it; check the file, it may be made to fill the memory"
            )
        table = file.read(columns=list(dict.fromkeys(wanted)))
        cells: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in dict.fromkeys(wanted)}
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # of a text that is no UTF-8, of a date beyond the calendar
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableReports(f"{path}: broken Parquet file ({reason}); write it again") from None
    failures = cells.get(FAILURE_COLUMN) or [None] * table.num_rows
    together = zip(cells[id_name], cells[text_name], failures, strict=True)
    return [_Row(f"row {number}", *values) for number, values in enumerate(together, start=1)]


def _choose(path: Path, what: str, columns: Sequence[str], named: str | None, known: Sequence[str]) -> str:
    """The column that was named, or the only one of the known names."""
    flag = f"--{what}-column"
    found = [column for column in columns if column == named] if named else [column for column in columns if column.lower() in known]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        problem = f"{len(found)} columns are called {found[0]!r}" if named else f"several columns could hold the {what} ({', '.join(found)})"
        raise UnreadableReports(f"{path}: {problem}; " + ("rename all but one" if named else f"say which with {flag}"))
    problem = f"no column {named!r}" if named else f"no column for the {what} (known names: {', '.join(known)})"
    raise UnreadableReports(f"{path}: {problem}; its columns are {_some(list(columns), 12)}; name one with {flag}")


def _collect(path: Path, rows: Sequence[_Row], warnings: list[str], sha256: str) -> ReportTexts:
    """Cells looked at one by one; the first kind of trouble with ids is told with all its places, a bad text at its first."""
    if not rows:
        raise UnreadableReports(f"{path}: holds no reports; expected rows with an id and a text")
    ids = [_read_id(path, row) for row in rows]
    nameless = [row.place for row, name in zip(rows, ids, strict=True) if not name.strip()]
    if nameless:
        raise UnreadableReports(f"{path}: {len(nameless)} reports have no id ({_some(nameless, quote=str)}); give each its case's id")
    repeats = _find_repeats(ids)
    if repeats:
        raise UnreadableReports(f"{path}: {len(repeats)} ids occur more than once ({_some(repeats)}); keep one report for each")
    texts: dict[str, str] = {}
    failures: dict[str, str] = {}
    for row, name in zip(rows, ids, strict=True):
        if failure := _read_text(path, row, row.failure, "failure"):
            failures[name] = failure
        else:
            texts[name] = _read_text(path, row, row.text, "report")
    empty = tuple(name for name, text in texts.items() if not text.strip())
    return ReportTexts(texts, empty, failures, tuple(warnings), sha256)


def _read_id(path: Path, row: _Row) -> str:
    """The id as a string, empty if there is none."""
    if row.id is None or (isinstance(row.id, float) and math.isnan(row.id)):
        return ""
    if isinstance(row.id, str):
        return "" if row.id in _NO_VALUE else row.id
    if isinstance(row.id, float) and row.id.is_integer():
        if abs(row.id) >= 2**53:
            raise UnreadableReports(f"{path}, {row.place}: the id {row.id!r} is a floating-point number that has lost digits; write ids as text")
        return str(int(row.id))
    if isinstance(row.id, bool | list | dict | bytes):
        raise UnreadableReports(f"{path}, {row.place}: the id is {_kind(row.id)}; write ids as text")
    return str(row.id)


def _read_text(path: Path, row: _Row, value: Any, what: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, str):
        raise UnreadableReports(f"{path}, {row.place} (id {row.id!r}): the {what} is {_kind(value)}, not text; write one string for each id")
    if "\0" in value:
        raise UnreadableReports(f"{path}, {row.place} (id {row.id!r}): NUL characters in the {what}; write plain text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnreadableReports(f"{path}, {row.place} (id {row.id!r}): half a surrogate pair in the {what}; write plain text") from None
    return value


def _find_repeats(ids: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(ids).items() if count > 1]


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a text", bytes: "bytes"}
    return names.get(type(value), "null" if value is None else "an object" if isinstance(value, dict) else f"a {type(value).__name__}")


def _some(items: Sequence[str], count: int = _SHOWN, quote: Callable[[str], str] = repr) -> str:
    shown = ", ".join(quote(item) for item in items[:count])
    return shown + (", ..." if len(items) > count else "")
