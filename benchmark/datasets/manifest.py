"""The registered dataset ``manifest``: a table of one's own radiographs and reports, or simply a folder of images."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmark.datasets.account import Account, Part
from benchmark.datasets.boxes import mend_boxes
from benchmark.datasets.columns import read_rows
from benchmark.datasets.encodings import decode
from benchmark.datasets.images import IMAGE_SUFFIXES, UnreadableImage, image_size_px
from benchmark.datasets.lesion_columns import lesion_columns, lesions_of
from benchmark.datasets.split import SPLITS, check_disjoint
from benchmark.progress import progress
from benchmark.records import BoxXYXY, Case, ImageFile, Lesions, Problem, Reference, UserError
from benchmark.vocabulary import REGIONS

ROLES = ("image", "report", "id", "patient", "study", "split", "view", "indication", "comparison", "technique", "boxes")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validate", "val", "valid", "validation", "dev"), "validate"),
    **dict.fromkeys(("", "test", "testing"), "test"),
}
EMPTY_WORDS = frozenset(("nan", "null", "<na>"))
"""what programs write for nothing; "none" and "n/a" are left alone, a radiologist may have written them"""
BETWEEN_IMAGES = ";"
NOT_UTF8 = "file name is not UTF-8"
NO_PATIENT = "no patient"


class BadManifest(UserError):
    """A manifest that cannot be read; the message names row and column."""


class StoppedAtProblem(UserError):
    """Under ``strict``: the first row that cannot be used."""


@dataclass(frozen=True)
class _Row:
    """One examination as the table has it."""

    case: Case
    report: str
    lesions: Lesions | None
    boxes: Mapping[str, BoxXYXY]
    split: str
    where: str


class Manifest:
    """A CSV, TSV, JSON, JSON lines or Parquet file with a row per case, or a folder whose every image is a case without a reference.

        manifest:cases.csv         manifest:/path/to/folder

    Columns: ``image`` (path, relative to the table; DICOM too; several views divided by ``;``, the one that the report is asked for first), and if
    wanted ``report``, ``id`` (else the image's name), ``patient`` (else the id), ``study`` (else the id), ``split`` (train, validate, test; else
    test), ``view``, ``indication``, ``comparison``, ``technique``, ``boxes`` (JSON: region -> [left, top, right, bottom] in pixels), and the
    14 lesions as columns of 0 and 1. Reports may be missing altogether; then there is nothing to be measured against. A row with a blank patient
    among rows with one is a patient of its own, and counted.

    columns         names that differ: "image=filename,report=findings_text"
    images          folder that image paths are relative to, if not the table's own
    boxes           "truth": cases carry the boxes of the table
    strict          stop at the first row that cannot be used instead of leaving it out
    is_credentialed whether the texts may not leave this machine; yes, unless you say otherwise
    """

    name = "manifest"
    note = ""

    def __init__(
        self,
        argument: str,
        *,
        columns: str = "",
        images: Path | None = None,
        boxes: Literal["none", "truth"] = "none",
        strict: bool = False,
        is_credentialed: bool = True,
    ) -> None:
        self.path = Path(argument).expanduser()
        self.columns = _mapped(columns)
        self.folder = images or (self.path if self.path.is_dir() else self.path.parent)
        self.boxes = boxes
        self.strict = strict
        self.is_credentialed = is_credentialed
        self._rows: dict[str, list[_Row]] = {}
        self._problems: list[Problem] = []
        self._digest = ""
        self._split_of: dict[str, str] = {}
        self._read_from: dict[str, str] = {}

    def cases(self, split: str) -> list[Case]:
        """The split's usable rows, in the order of the table (of a folder: by path)."""
        return [row.case for row in self._of(split)]

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order; with an empty report if the table has none at all."""
        return [Reference(row.case.id, row.report, boxes=row.boxes, lesions=row.lesions) for row in self._of(split)]

    def fingerprint(self, split: str) -> str:
        """Changes when the table changes, the set of images, or the size of one. Images do not enter with their content."""
        self._of(split)
        return hashlib.sha256(f"{split} {sorted(self.columns.items())} {self.boxes} {self._digest}".encode()).hexdigest()

    def problems(self) -> list[Problem]:
        """Rows that were left out or have no patient, and boxes that were dropped or clipped."""
        return list(self._problems)

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the table or folder, which column was taken for what, and how many rows each split has."""
        self._of("test")
        what = "images" if self.path.is_dir() else "rows"
        parts = [Part("folder of images" if self.path.is_dir() else "table", self.path.absolute(), f"{len(self._split_of):,} {what}")]
        if not self.path.is_dir():
            parts.append(Part("images", self.folder.absolute() if self.folder.is_dir() else None, "the folder that their paths start from"))
            parts += [Part(role, self.path.absolute(), f"column {column!r}") for role, column in self._read_from.items()]
        problems: dict[str, list[Problem]] = {}
        for problem in self._problems:
            row = problem.where if problem.where in self._split_of else problem.where.partition(": ")[0]
            problems.setdefault(self._split_of.get(row, ""), []).append(problem)
        chosen = {split: found for split, found in problems.items() if split in ("", *splits)}
        return Account(parts, {split: list(self._split_of.values()).count(split) for split in splits}, f"{what} listed", problems=chosen)

    def _of(self, split: str) -> list[_Row]:
        if split not in SPLITS:
            raise UserError(f"manifest has no split {split!r}; it has {', '.join(SPLITS)}")
        if not self._rows:
            self._read()
        return self._rows[split]

    def _read(self) -> None:
        digest = hashlib.sha256()
        problems: list[Problem] = []
        if self.path.is_dir():
            rows = [_Row(case, "", None, {}, "test", _shown(case.id)) for case in _folder_cases(self.path)]
        else:
            content = _bytes(self.path)
            digest.update(content)
            rows = self._table_rows(_records(self.path, content), problems)
        has_reports = any(row.report for row in rows)
        usable: dict[str, list[_Row]] = {split: [] for split in SPLITS}
        with progress("read manifest", len(rows)) as advance:
            for row in rows:
                advance(1)
                for image in row.case.images:
                    digest.update(f"{row.case.id} {image.path.name} {_size(image.path)}\n".encode(errors="backslashreplace"))
                fault = next(filter(None, map(_fault, row.case.images)), None)
                if fault is None and has_reports and not row.report:
                    fault = "no report", row.where, "other rows have one"
                if fault is not None:
                    kind, where, what = fault
                    problems.append(Problem(kind, where if where == row.where else f"{row.where}: {where}", what))
                    continue
                usable[row.split].append(self._with_boxes(row, problems))
        if self.strict and problems:
            first = f"{problems[0].kind}: {problems[0].where} ({problems[0].what})"
            raise StoppedAtProblem(
                f"{self.path} was to be read strictly, and found {len(problems)} faults, first {first}; mend it or leave strict off"
            )
        self._rows, self._problems, self._digest = usable, problems, digest.hexdigest()
        self._split_of = {row.where: row.split for row in rows}

    def _table_rows(self, records: list[tuple[str, dict[str, Any]]], problems: list[Problem]) -> list[_Row]:
        """The rows of a table, checked among each other. Raises BadManifest."""
        header = list(dict.fromkeys(name for _, record in records for name in record))
        if not records:
            raise BadManifest(f"{self.path}: was to hold a row per case, found none; a table needs a header and rows")
        for role, column in self.columns.items():
            if column not in header:
                raise BadManifest(f"{self.path}: {role} was to be in the column {column!r}, found the columns {', '.join(header)}; mend columns")
        names = {role: self.columns.get(role, role) for role in ROLES}
        if names["image"] not in header:
            raise BadManifest(f"{self.path}: needs the column 'image', found {', '.join(header)}; say which it is: columns=image=...")
        labels = lesion_columns(header)
        self._read_from = {role: column for role, column in (names | labels).items() if column in header}
        read = [name for name in header if name in {*names.values(), *labels.values()} and name != names["boxes"]]
        seen: dict[str, str] = {}
        rows = []
        for where, record in records:
            cells = {name: _cell(record.get(name), f"{self.path}, {where}, column {name!r}") for name in read}
            cell_of = {role: cells.get(column, "") for role, column in names.items()}
            case = self._case(cell_of, names, header, where)
            if case.id in seen:
                raise BadManifest(f"{self.path}, {where}: the id {case.id!r} is already that of {seen[case.id]}; ids have to be unique")
            seen[case.id] = where
            split = SPLIT_WORDS.get(cell_of["split"].lower())
            if split is None:
                known = ", ".join(SPLITS)
                raise BadManifest(f"{self.path}, {where}, column {names['split']!r}: {cell_of['split']!r} is no split; write one of {known}")
            lesions = lesions_of(cells, labels, f"{self.path}, {where}") if labels else None
            boxes = _boxes(record.get(names["boxes"]), f"{self.path}, {where}, column {names['boxes']!r}")
            rows.append(_Row(case, cell_of["report"], lesions, boxes, split, where))
        rows = _with_patients(rows, problems)
        check_disjoint({split: {row.case.patient for row in rows if row.split == split} for split in SPLITS})
        return rows

    def _case(self, cell_of: Mapping[str, str], names: Mapping[str, str], header: Sequence[str], where: str) -> Case:
        paths = [part.strip() for part in cell_of["image"].split(BETWEEN_IMAGES) if part.strip()]
        if not paths:
            raise BadManifest(f"{self.path}, {where}, column {names['image']!r}: the image's path is missing; fill it in or take the row out")
        views = [part.strip().upper() for part in cell_of["view"].split(BETWEEN_IMAGES)]
        views += [""] * (len(paths) - len(views))
        if names["id"] in header and not cell_of["id"]:
            raise BadManifest(f"{self.path}, {where}, column {names['id']!r}: the id is missing; fill it in or take the column out")
        case_id = cell_of["id"] or self._name_of(Path(paths[0]))
        images = [ImageFile(self.folder / path, view, Path(path).stem) for path, view in zip(paths, views[: len(paths)], strict=True)]
        return Case(
            id=case_id,
            patient=cell_of["patient"],
            study=cell_of["study"] or case_id,
            images=tuple(images),
            indication=cell_of["indication"],
            technique=cell_of["technique"],
            comparison=cell_of["comparison"],
        )

    def _name_of(self, path: Path) -> str:
        """What a case without an id is called: its image's path below the folder, without the suffix."""
        if path.is_absolute():
            path = path.relative_to(self.folder) if path.is_relative_to(self.folder) else Path(path.name)
        return path.with_suffix("").as_posix()

    def _with_boxes(self, row: _Row, problems: list[Problem]) -> _Row:
        """The row with the boxes that its image has room for, in the case too if they are granted."""
        if not row.boxes:
            return row
        mended = mend_boxes(row.boxes, image_size_px(row.case.images[0].path))
        problems += [Problem("box dropped", f"{row.where}: {region}", why) for region, why in mended.dropped.items()]
        problems += [Problem("box clipped", f"{row.where}: {region}") for region in mended.clipped]
        case = row.case
        if self.boxes == "truth":
            case = replace(case, boxes=mended.boxes)
        return replace(row, case=case, boxes=mended.boxes)


def _mapped(columns: str) -> dict[str, str]:
    """role -> column of "image=filename,report=text". Raises BadManifest."""
    mapped: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in columns.split(","))):
        role, sign, column = (piece.strip() for piece in part.partition("="))
        if not sign or role not in ROLES or not column:
            raise BadManifest(f"manifest: cannot read {part!r} of columns; write role=column, the roles are {', '.join(ROLES)}")
        mapped[role] = column
    return mapped


def _folder_cases(folder: Path) -> list[Case]:
    """A case for every image below a folder, by path; the path without its suffix is the id, with it where two would be the same."""
    paths = []
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        paths += [Path(place, name) for name in files if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
    if not paths:
        raise BadManifest(f"{folder}: was to hold radiographs, found no {', '.join(IMAGE_SUFFIXES)}; name the folder of the images, or a table")
    relative = [path.relative_to(folder) for path in sorted(paths)]
    times = Counter(path.with_suffix("") for path in relative)
    cases = []
    for path in relative:
        name = (path if times[path.with_suffix("")] > 1 else path.with_suffix("")).as_posix()
        cases.append(Case(id=name, patient=name, study=name, images=(ImageFile(folder / path, "", path.stem),)))
    return cases


def _with_patients(rows: Sequence[_Row], problems: list[Problem]) -> list[_Row]:
    """The rows; one without a patient is a patient of its own, called as its case unless another patient is called so."""
    patients = {row.case.patient for row in rows if row.case.patient}
    some_have_one = bool(patients)
    whole = []
    for row in rows:
        if not row.case.patient:
            name = row.case.id
            while name in patients:
                name = f"patient of {name}"
            patients.add(name)
            if some_have_one:
                problems.append(Problem(NO_PATIENT, row.where, "others have one; taken as a patient of its own"))
            row = replace(row, case=replace(row.case, patient=name))
        whole.append(row)
    return whole


def _fault(image: ImageFile) -> tuple[str, str, str] | None:
    """kind, where, what of an image that is missing, no image, or of a name that no file of ours could hold."""
    if not _is_utf8(str(image.path)):
        return NOT_UTF8, _shown(str(image.path)), "left out; give the file or its folder another name"
    if not image.path.is_file():
        return "missing image", str(image.path), "there is no such file"
    try:
        image_size_px(image.path)
    except UnreadableImage as error:
        return "unreadable image", str(image.path), str(error)
    return None


def _is_utf8(name: str) -> bool:
    """False for a name that the file system holds in another encoding: Python keeps its bytes as halves of surrogate pairs."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """A name as it can be written anywhere: caf\\xe9.png for bytes that are no UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace") if not _is_utf8(name) else name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


# --- tables ---


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadManifest(f"manifest {path}: cannot be read ({error.strerror or error}); check the path") from error


def _records(path: Path, content: bytes) -> list[tuple[str, dict[str, Any]]]:
    """("line 3", column -> value) of every row. Raises BadManifest, BadTable."""
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    readers: dict[str, Callable[[Path, bytes], Iterator[tuple[str, dict[str, Any]]]]] = {
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


def _from_csv(path: Path, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line, row in read_rows(path):
        yield f"line {line}", {name: value for name, value in row.items() if name}


def _from_json_lines(path: Path, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(decode(content).split("\n"), 1):
        if line.strip():
            yield f"line {number}", _record(_json(line, f"{path}, line {number}"), f"{path}, line {number}")


def _from_json(path: Path, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    listed = _json(decode(content), str(path))
    if not isinstance(listed, list):
        raise BadManifest(f"{path}: was to be a JSON list of objects, found {type(listed).__name__}; write [{{...}}, ...] or JSON lines")
    for number, record in enumerate(listed, 1):
        yield f"item {number}", _record(record, f"{path}, item {number}")


def _from_parquet(path: Path, content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadManifest(f"{path}: was to be Parquet, and cannot be read ({' '.join(str(error).split())[:160]}); write it anew") from error
    for number, record in enumerate(records, 1):
        yield f"row {number}", record


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


def _cell(value: Any, where: str) -> str:
    """A cell as text: nothing for NaN and null, 12 for 12.0 (what pandas makes of whole numbers beside an empty cell). Raises BadManifest."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
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


def _boxes(value: Any, where: str) -> dict[str, BoxXYXY]:
    """region -> box of a cell with JSON, or of a nested value. Raises BadManifest."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return {}
    found = _json(value, where) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise BadManifest(f'{where}: was to be JSON like {{"left lung": [10, 20, 200, 300]}}, found {type(found).__name__}; mend the cell')
    boxes: dict[str, BoxXYXY] = {}
    for region, box in found.items():
        if region not in REGIONS:
            raise BadManifest(f"{where}: {region!r} is no region of Chest ImaGenome; the 29 are {', '.join(REGIONS)}")
        if box is None:  # Parquet fills a struct's missing fields so
            continue
        if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(isinstance(one, (int, float)) for one in box):
            raise BadManifest(f"{where}: the box of {region!r} was to be left, top, right, bottom in pixels, found {box!r}; mend the cell")
        try:
            boxes[region] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        except OverflowError:
            raise BadManifest(f"{where}: the box of {region!r} has a number too large for pixels; mend the cell") from None
    return boxes
