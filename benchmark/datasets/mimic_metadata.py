"""The table of metadata of MIMIC-CXR-JPG: of every image its view, its size before anybody scaled it, and when it was taken."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets.columns import number, read_cells
from benchmark.datasets.encodings import decode
from benchmark.datasets.listed_rows import dicom_id, patient_id, study_id
from benchmark.datasets.mimic_tree import METADATA_FILE, MimicTree
from benchmark.records import Problem

FRONTAL_FIRST = ("PA", "AP")
LONGEST_HEADER = 65_536
"""bytes"""
REQUIRED_COLUMNS, VIEW = ("dicom_id", "subject_id", "study_id"), "ViewPosition"
OPTIONAL_COLUMNS = {
    "ViewPosition": "images are without their view",
    "Columns": "boxes are taken for the size of the files",
    "Rows": "boxes are taken for the size of the files",
    "StudyDate": "no study has a prior",
    "StudyTime": "of two studies on one day neither is the other's prior",
}
"""columns of the metadata -> what follows if one is missing"""
NO_SIZE = "nobody knows how large the image was on which its boxes were drawn"
WITHOUT_CELL = {
    "Columns": f"Columns is no number of pixels, and {NO_SIZE}",
    "Rows": f"Rows is no number of pixels, and {NO_SIZE}",
    "StudyDate": "StudyDate is no date as 21440103 or 2144-01-03, and the study is before or after no other",
    "StudyTime": "StudyTime is no time as 90512.5 or 09:05:12.5, and of two studies on that day neither is the other's prior",
}
"""what follows if a cell cannot be read"""
SIZE_COLUMNS, TIME_COLUMNS = ("Columns", "Rows"), ("StudyDate", "StudyTime")
_DATE = re.compile(r"(\d{4})([-/.]?)(\d\d)\2(\d\d)(?:\.0|[ T]00:00(?::00)?)?")
"""21440103 as MIMIC has it, 2144-01-03 as spreadsheets make of it, and what pandas adds to either"""
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d(?:\.\d*)?))?")
"""09:05:12.5; MIMIC's own is 90512.5"""

WITHOUT = "there are no views, priors or times"
WITHOUT_WITH_BOXES = f"boxes are taken for the size of the files, and {WITHOUT}"
"""what follows if the whole table is missing, of a dataset with boxes"""


class Shot(NamedTuple):
    """One row of MIMIC-CXR-JPG's metadata."""

    dicom: str
    study: str
    view: str
    size_px: tuple[float, float] | None
    """width and height of the original image; None where the table does not say"""
    when: tuple[float, float]
    """date and time of the study, shifted as all of MIMIC's; only their order means something. NaN where the table does not say"""
    faults: tuple[tuple[str, str], ...] = ()
    """column and cell of what is no size, date or time; nothing of a column that the table lacks"""


def view_rank(view: str) -> int:
    """PA before AP before all others."""
    return FRONTAL_FIRST.index(view) if view in FRONTAL_FIRST else len(FRONTAL_FIRST)


def read_metadata(path: Path, subjects: set[str], required: Sequence[str] = REQUIRED_COLUMNS) -> dict[str, list[Shot]]:
    """subject -> its images in the order of the file. Raises BadTable."""
    shots: dict[str, list[Shot]] = defaultdict(list)
    names = ("ViewPosition", *SIZE_COLUMNS, *TIME_COLUMNS)
    there = _header(path)
    for _, row in read_cells(path, (*REQUIRED_COLUMNS, *required), names):
        dicom, subject, study = row[: len(REQUIRED_COLUMNS)]
        if (subject := patient_id(subject)) not in subjects:
            continue
        view, *cells = row[-len(names) :]
        width, height, date, clock = values = *(_pixels(cell) for cell in cells[:2]), _date(cells[2]), _clock(cells[3])
        size = None if math.isnan(width + height) else (width, height)
        faults = [(name, cell) for name, cell, value in zip(names[1:], cells, values, strict=True) if math.isnan(value) and name in there]
        shots[subject].append(Shot(dicom_id(dicom), study_id(study), view.upper(), size, (date, clock), tuple(faults)))
    return dict(shots)


def view_counts(path: Path) -> Counter[str]:
    """View -> how many images have it. Raises BadTable."""
    return Counter(view.upper() for _, (view,) in read_cells(path, [VIEW]))


def missing_metadata(tree: MimicTree, without: str) -> list[Problem]:
    """That this copy has no metadata, and what there is not ``without`` them; of metadata that are there the columns that they lack."""
    if tree.metadata is not None:
        return missing_columns(tree.metadata)
    return [Problem("missing metadata", f"{tree.root}: {METADATA_FILE}", without)]


def missing_columns(path: Path) -> list[Problem]:
    """Columns of the metadata that this copy lacks, and what follows."""
    there = _header(path)
    return [Problem("missing column", f"{path.name}: {name}", what) for name, what in OPTIONAL_COLUMNS.items() if name not in there]


def _header(path: Path) -> set[str]:
    """Names of columns, without reading the rest; empty if the table cannot be read, which whoever reads it will be told."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else path.open("rb") as file:
            line = decode(file.readline(LONGEST_HEADER)).strip()
    except (OSError, EOFError, zlib.error):
        return set()
    return {name.strip(' "') for name in re.split(r"[,;\t]", line)}


def _pixels(cell: str) -> float:
    pixels = number(cell)
    return pixels if 0 < pixels < math.inf else math.nan


def _date(cell: str) -> float:
    """As a number of eight digits."""
    found = _DATE.fullmatch(cell)
    return float(found[1] + found[3] + found[4]) if found else math.nan


def _clock(cell: str) -> float:
    """As a number of hours, minutes and seconds, two digits each."""
    if found := _CLOCK.fullmatch(cell):
        return float(found[1] + found[2] + (found[3] or "00"))
    clock = number(cell)
    return clock if 0 <= clock < 240_000 else math.nan
