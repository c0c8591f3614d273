"""The registered dataset ``manifest``: a table of one's own radiographs and reports, or simply a folder of images."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from benchmark.datasets.account import Account, Part
from benchmark.datasets.boxes import mend_boxes
from benchmark.datasets.dicom_pixels import is_dicom
from benchmark.datasets.dicom_studies import cases_of_films, view_in_words, view_of_file
from benchmark.datasets.encodings import foreign_lines
from benchmark.datasets.images import IMAGE_SUFFIXES, UnreadableImage, image_size_px
from benchmark.datasets.lesion_columns import lesion_columns, lesions_named, lesions_of
from benchmark.datasets.split import SPLITS, check_disjoint
from benchmark.datasets.table_records import BETWEEN_IMAGES, Record, boxes_cell, file_bytes, read_records, sentences_cell, text_cell
from benchmark.datasets.table_records import BadManifest as BadManifest
from benchmark.datasets.truncation import CUT_OFF, is_cut_off
from benchmark.progress import progress
from benchmark.records import BoxXYXY, Case, ImageFile, Lesions, Problem, Reference, UserError

TEXT_ROLES = ("image", "report", "id", "patient", "study", "split", "view", "indication", "comparison", "technique", "prior_report", "prior_image")
NESTED_ROLES = ("boxes", "region_sentences")
"""read as JSON, or as the nested value that Parquet and JSON lines have"""
ROLES = (*TEXT_ROLES, *NESTED_ROLES, "labels")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validate", "val", "valid", "validation", "dev"), "validate"),
    **dict.fromkeys(("", "test", "testing"), "test"),
}
IMAGE_NAMES = frozenset(
    ("image id", "image index", "image path", "image name", "images", "file", "filename", "file name", "path", "dicom id", "dicom")
)
REPORT_NAMES = frozenset(("reports", "finding", "findings", "findings text", "report text", "text", "impression", "caption", "reference"))
"""what a column of reports may be called, for the question whether it is meant"""
NOT_UTF8 = "file name is not UTF-8"
NO_PATIENT = "no patient"


class StoppedAtProblem(UserError):
    """Under ``strict``: the first row that cannot be used."""


@dataclass(frozen=True)
class _Row:
    """One examination as the table has it."""

    case: Case
    where: str
    report: str = ""
    lesions: Lesions | None = None
    boxes: Mapping[str, BoxXYXY] = field(default_factory=dict)
    region_sentences: Mapping[str, str] = field(default_factory=dict)
    split: str = "test"
    is_checked: bool = False
    """its images were looked into already"""


class Manifest:
    """A CSV, TSV, JSON, JSON lines or Parquet file with a row per case, or a folder of images without references.

        manifest:cases.csv         manifest:/path/to/folder

    Columns: ``image`` (path, relative to the table; DICOM too; several views divided by ``;``, the one that the report is asked for first), and if
    wanted ``report``, ``id`` (else the image's name), ``patient`` (else the study), ``study`` (else the id), ``split`` (train, validate, test; else
    test), ``view`` (else what a DICOM header says), ``indication``, ``comparison``, ``technique``, ``prior_report``, ``prior_image`` (path),
    ``boxes`` (JSON: region -> [left, top, right, bottom] in pixels), ``region_sentences`` (JSON: region -> sentence), and the 14 lesions as columns
    of 0 and 1. Reports may be missing altogether; then there is nothing to be measured against. A row with a blank patient among rows with one is of
    its study's patient, else a patient of its own, and counted.

    Of a folder every image is a case, called by its path, and the images of one DICOM study are one case, frontal first. Its patients are those of
    the headers, numbered: nothing else of a header that names a patient gets out, see ``dicom_studies``.

    A setting per column names one that is called otherwise: ``--set manifest.image=filename``, ``--set manifest.report="findings text"``.

    columns         the same for several at once: "image=filename,report=findings text"
    box_column      the name of the column of boxes
    labels          a column that names the lesions present: "Effusion|Mass", "No Finding"
    images          folder that image paths are relative to, if not the table's own
    boxes           "truth": cases carry the boxes of the table
    unit            of a folder: "image" makes every DICOM file a case of its own (the images of one study keep its name); else "study"
    strict          stop at the first row that cannot be used instead of leaving it out
    is_credentialed whether the texts may not leave this machine; yes, unless you say otherwise
    note            a sentence to stand under every table
    """

    name = "manifest"

    def __init__(
        self,
        argument: str,
        *,
        columns: str = "",
        images: Path | None = None,
        boxes: Literal["none", "truth"] = "none",
        unit: Literal["", "study", "image"] = "",
        strict: bool = False,
        is_credentialed: bool = True,
        note: str = "",
        image: str = "",
        report: str = "",
        id: str = "",  # noqa: A002  the setting is called as its column
        patient: str = "",
        study: str = "",
        split: str = "",
        view: str = "",
        indication: str = "",
        comparison: str = "",
        technique: str = "",
        prior_report: str = "",
        prior_image: str = "",
        region_sentences: str = "",
        box_column: str = "",
        labels: str = "",
    ) -> None:
        self.path = Path(argument).expanduser()
        given = (image, report, id, patient, study, split, view, indication, comparison, technique, prior_report, prior_image)
        single = dict(zip(ROLES, (*given, box_column, region_sentences, labels), strict=True))
        self.columns = {**_mapped(columns), **{role: column for role, column in single.items() if column}}
        self.folder = images or (self.path if self.path.is_dir() else self.path.parent)
        self.boxes = boxes
        self.unit = unit
        self.strict = strict
        self.is_credentialed = is_credentialed
        self.note = note
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
        return [Reference(row.case.id, row.report, row.region_sentences, row.boxes, row.lesions) for row in self._of(split)]

    def fingerprint(self, split: str) -> str:
        """Changes when the table changes, the set of images, or the size of one. Images do not enter with their content."""
        self._of(split)
        return hashlib.sha256(f"{split} {sorted(self.columns.items())} {self.boxes} {self.unit} {self._digest}".encode()).hexdigest()

    def problems(self) -> list[Problem]:
        """Rows that were left out or have no patient, and boxes that were dropped or clipped."""
        return list(self._problems)

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the table or folder, which column was taken for what, and how many rows each split has."""
        self._of("test")
        what = "examinations" if self.path.is_dir() else "rows"
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
            rows = _with_patients(_folder_rows(self.path, problems, by_study=self.unit != "image"), problems)
        elif self.unit:
            raise BadManifest(
                f"manifest: unit={self.unit} was asked of a table, of which a row is a case; give each image a row, or put the images of a study "
                f"into one, divided by {BETWEEN_IMAGES}"
            )
        else:
            content = file_bytes(self.path)
            digest.update(content)
            for line in foreign_lines(content):
                problems.append(Problem("mixed encodings", f"line {line}", "not UTF-8 as other lines are; read as Windows-1252"))
            rows = self._table_rows(read_records(self.path, content), problems)
        has_reports = any(row.report for row in rows)
        usable: dict[str, list[_Row]] = {split: [] for split in SPLITS}
        with progress("read manifest", len(rows)) as advance:
            for row in rows:
                advance(1)
                for path in filter(None, (*(image.path for image in row.case.images), row.case.prior_image)):
                    digest.update(f"{row.case.id} {path.name} {_size(path)}\n".encode(errors="backslashreplace"))
                fault = None if row.is_checked else next(filter(None, map(_fault, row.case.images)), None)
                if fault is None and has_reports and not row.report:
                    fault = "no report", row.where, "other rows have one"
                if fault is not None:
                    kind, where, what = fault
                    problems.append(Problem(kind, where if where == row.where else f"{row.where}: {where}", what))
                    continue
                usable[row.split].append(self._with_boxes(_with_prior(_with_views(row), problems), problems))
        if self.strict and problems:
            first = f"{problems[0].kind}: {problems[0].where} ({problems[0].what})"
            raise StoppedAtProblem(
                f"{self.path} was to be read strictly, and found {len(problems)} faults, first {first}; mend it or leave strict off"
            )
        self._rows, self._problems, self._digest = usable, problems, digest.hexdigest()
        self._split_of = {row.where: row.split for row in rows}

    def _table_rows(self, records: list[Record], problems: list[Problem]) -> list[_Row]:
        """The rows of a table, checked among each other. Raises BadManifest."""
        if not records:
            raise BadManifest(f"{self.path}: was to hold a row per case, found none; a table needs a header and rows")
        header = list(dict.fromkeys(name for _, record in records for name in record))
        names = self._names(header, records)
        if names["report"] not in header and (meant := [name for name in header if _plain(name) in REPORT_NAMES]):
            what = f"so there is nothing to be measured against; if it is {meant[0]!r}: --set manifest.report={_quoted(meant[0])}"
            problems.append(Problem("no column of reports", self.path.name, what))
        labels = {} if names["labels"] else lesion_columns(header)
        self._read_from = {role: column for role, column in (names | labels).items() if column in header}
        read = [names[role] for role in (*TEXT_ROLES, "labels") if names[role] in header] + list(labels.values())
        seen: dict[str, tuple[str, str]] = {}
        rows = []
        for where, record in records:
            place = f"{self.path}, {where}"
            cells = {name: text_cell(record.get(name), f"{place}, column {name!r}") for name in read}
            cell_of = {role: cells.get(column, "") for role, column in names.items()}
            if not any(part.strip() for part in cell_of["image"].split(BETWEEN_IMAGES)):
                problems.append(Problem("no image path", f"{where}, column {names['image']!r}", "blank; the row was left out"))
                continue
            case = self._case(cell_of, names, header, where)
            if case.id in seen:
                earlier, its_image = seen[case.id]
                if not cell_of["id"] and its_image != cell_of["image"]:
                    raise BadManifest(
                        f"{place}: {cell_of['image']!r} and that of {earlier} would both be called {case.id!r}; add a column id, or set images "
                        "to the folder above them"
                    )
                problems.append(Problem("duplicate id", where, f"{case.id!r} is already that of {earlier}; that row was kept"))
                continue
            seen[case.id] = where, cell_of["image"]
            split = SPLIT_WORDS.get(cell_of["split"].lower())
            if split is None:
                known = ", ".join(SPLITS)
                raise BadManifest(f"{place}, column {names['split']!r}: {cell_of['split']!r} is no split; write one of {known}")
            lesions = lesions_of(cells, labels, place) if labels else lesions_named(cell_of["labels"], f"{place}, column {names['labels']!r}")
            boxes = boxes_cell(record.get(names["boxes"]), f"{place}, column {names['boxes']!r}")
            sentences = sentences_cell(record.get(names["region_sentences"]), f"{place}, column {names['region_sentences']!r}")
            rows.append(_Row(case, where, cell_of["report"], lesions, boxes, sentences, split))
        rows = _with_patients(rows, problems)
        check_disjoint({split: {row.case.patient for row in rows if row.split == split} for split in SPLITS})
        return rows

    def _names(self, header: Sequence[str], records: Sequence[Record]) -> dict[str, str]:
        """role -> its column: as said, else called as the role, in whichever case and with _ or spaces. Raises BadManifest."""
        for role, column in self.columns.items():
            if column not in header:
                found = f"found the columns {', '.join(header)}{_did_you_mean(column, header)}"
                raise BadManifest(f"{self.path}: {role} was to be in the column {column!r}, {found}; mend --set manifest.{_setting(role)}")
        like = {_plain(name): name for name in reversed(header)}
        names = {role: self.columns.get(role) or (role if role in header else like.get(_plain(role), role)) for role in ROLES}
        names["labels"] = self.columns.get("labels", "")  # unasked, a column of that name may hold anything
        if names["image"] not in header:
            pictures = [name for name in header if _names_pictures(name, records)] or [name for name in header if _plain(name) in IMAGE_NAMES]
            asked = f"; did you mean {pictures[0]!r}" if pictures else ""
            remedy = f"say which it is: --set manifest.image={_quoted(pictures[0]) if pictures else '...'}"
            raise BadManifest(f"{self.path}: needs the column 'image', found {', '.join(header)}{asked}; {remedy}")
        return names

    def _case(self, cell_of: Mapping[str, str], names: Mapping[str, str], header: Sequence[str], where: str) -> Case:
        paths = [part.strip() for part in cell_of["image"].split(BETWEEN_IMAGES) if part.strip()]
        views = [view_in_words(part) or part.strip().upper() for part in cell_of["view"].split(BETWEEN_IMAGES)]
        views += [""] * (len(paths) - len(views))
        if names["id"] in header and not cell_of["id"]:
            raise BadManifest(f"{self.path}, {where}, column {names['id']!r}: the id is missing; fill it in or take the column out")
        case_id = cell_of["id"] or self._name_of(paths[0])
        views = views[: len(paths)]
        images = [ImageFile(_on_disk(self.folder / path), view, self._name_of(Path(path).name)) for path, view in zip(paths, views, strict=True)]
        return Case(
            id=case_id,
            patient=cell_of["patient"],
            study=cell_of["study"] or case_id,
            images=tuple(images),
            indication=cell_of["indication"],
            technique=cell_of["technique"],
            comparison=cell_of["comparison"],
            prior_report=cell_of["prior_report"],
            prior_image=_on_disk(self.folder / cell_of["prior_image"]) if cell_of["prior_image"] else None,
        )

    def _name_of(self, written: str) -> str:
        """What a case without an id is called: its image's path below the folder, without the suffix of an image."""
        path = Path(written)
        if path.is_absolute():
            path = path.relative_to(self.folder) if path.is_relative_to(self.folder) else Path(path.name)
        return (path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path).as_posix()

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


def _on_disk(path: Path) -> Path:
    """A path as written, or with the suffix that its file has: tables often name images without."""
    if path.suffix.lower() in IMAGE_SUFFIXES or path.is_file():
        return path
    return next((there for suffix in IMAGE_SUFFIXES if (there := path.with_name(path.name + suffix)).is_file()), path)


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().lower()))


def _quoted(name: str) -> str:
    """A column's name as it is typed in a shell."""
    return f'"{name}"' if re.search(r"[^\w.-]", name) else name


def _setting(role: str) -> str:
    return "box_column" if role == "boxes" else role


def _did_you_mean(column: str, header: Sequence[str]) -> str:
    known = {_plain(name): name for name in header}
    close = get_close_matches(_plain(column), known, n=1)
    return f" (did you mean {known[close[0]]!r}?)" if close else ""


def _names_pictures(column: str, records: Sequence[Record]) -> bool:
    """Whether the first cell of a column that holds anything names a file of an image."""
    first = next((value for _, record in records if (value := record.get(column))), "")
    first = first[0] if isinstance(first, list) and first else first
    return isinstance(first, str) and first.split(BETWEEN_IMAGES)[0].strip().lower().endswith(IMAGE_SUFFIXES)


def _folder_rows(folder: Path, problems: list[Problem], *, by_study: bool) -> list[_Row]:
    """The cases of the images below a folder, by path; a picture's path without its suffix is the id, with it where two would be the same."""
    pictures, films = [], []
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith(".") or name.upper() == "DICOMDIR":
                continue
            if name.lower().endswith(IMAGE_SUFFIXES) and not _is_utf8(str(path)):
                pictures.append(path)
            elif _is_film(path):
                films.append(path)
            elif name.lower().endswith(IMAGE_SUFFIXES):
                pictures.append(path)
    if not pictures and not films:
        raise BadManifest(f"{folder}: was to hold radiographs, found no {', '.join(IMAGE_SUFFIXES)}; name the folder of the images, or a table")
    relative = [path.relative_to(folder) for path in sorted(pictures)]
    times = Counter(path.with_suffix("") for path in relative)
    cases = cases_of_films(films, folder, problems, by_study=by_study) if films else []
    rows = [_Row(case, case.id, is_checked=True) for case in cases]
    taken = {case.id for case in cases}
    for path in relative:
        bare = path.with_suffix("")
        name = (path if times[bare] > 1 or bare.as_posix() in taken else bare).as_posix()
        rows.append(_Row(Case(id=name, patient="", study=name, images=(ImageFile(folder / path, "", path.stem),)), _shown(name)))
    return sorted(rows, key=lambda row: row.case.images[0].path)


def _is_film(path: Path) -> bool:
    """Whether a file is DICOM, by its content: many are called IM0001, or by a UID whose last number looks like a suffix."""
    try:
        with path.open("rb") as file:
            return is_dicom(path, file.read(132))
    except OSError:
        return False


def _with_views(row: _Row) -> _Row:
    """The row with the views that its DICOM files state, where the table does not."""
    if all(image.view or not _is_film(image.path) for image in row.case.images):
        return row
    images = [image if image.view or not _is_film(image.path) else replace(image, view=view_of_file(image.path)) for image in row.case.images]
    return replace(row, case=replace(row.case, images=tuple(images)))


def _with_prior(row: _Row, problems: list[Problem]) -> _Row:
    """The row, without a prior image that cannot be read."""
    prior = row.case.prior_image
    fault = _fault(ImageFile(prior)) if prior else None
    if fault is None:
        return row
    kind, where, what = fault
    problems.append(Problem(f"prior: {kind}", f"{row.where}: {where}", f"{what}; the case was kept without it"))
    return replace(row, case=replace(row.case, prior_image=None))


def _with_patients(rows: Sequence[_Row], problems: list[Problem]) -> list[_Row]:
    """The rows; one without a patient is of the patient of its study, where a row says who that is; else each study is a patient of its own, and
    called as it, unless another patient is called so.
    """
    patients = {row.case.patient for row in rows if row.case.patient}
    of_study = {row.case.study: row.case.patient for row in rows if row.case.patient}
    some_have_one = bool(patients)
    whole = []
    for row in rows:
        if not row.case.patient:
            study = row.case.study
            if study not in of_study:
                name = study
                while name in patients:
                    name = f"patient of {name}"
                patients.add(name)
                of_study[study] = name
            if some_have_one:
                problems.append(Problem(NO_PATIENT, row.where, f"others have one; taken as {of_study[study]!r}"))
            row = replace(row, case=replace(row.case, patient=of_study[study]))
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
        is_whole = not is_cut_off(image.path)
    except (UnreadableImage, OSError) as error:
        return "unreadable image", str(image.path), str(error)
    return None if is_whole else ("unreadable image", str(image.path), CUT_OFF)


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
