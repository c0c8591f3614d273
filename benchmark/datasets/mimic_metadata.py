"""The table of metadata of MIMIC-CXR-JPG: of every image its view, its size before anybody scaled it, and when it was taken."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets.columns import read_cells
from benchmark.datasets.encodings import decode
from benchmark.records import Problem

FRONTAL_FIRST = ("PA", "AP")
LONGEST_HEADER = 65_536
"""bytes"""
REQUIRED_COLUMNS = ("dicom_id", "subject_id", "study_id")
OPTIONAL_COLUMNS = {
    "ViewPosition": "images are without their view",
    "Columns": "boxes are taken for the size of the files",
    "Rows": "boxes are taken for the size of the files",
    "StudyDate": "no study has a prior",
    "StudyTime": "of two studies on one day neither is the other's prior",
}
"""columns of the metadata -> what follows if one is missing"""


class Shot(NamedTuple):
    """One row of MIMIC-CXR-JPG's metadata."""

    dicom: str
    study: str
    view: str
    size_px: tuple[float, float] | None
    """width and height of the original image; None where the table does not say"""
    when: tuple[float, float]
    """date and time of the study, shifted as all of MIMIC's; only their order means something. NaN where the table does not say"""


def view_rank(view: str) -> int:
    """PA before AP before all others."""
    return FRONTAL_FIRST.index(view) if view in FRONTAL_FIRST else len(FRONTAL_FIRST)


def read_metadata(path: Path, subjects: set[str], required: Sequence[str] = REQUIRED_COLUMNS) -> dict[str, list[Shot]]:
    """subject -> its images in the order of the file. Raises BadTable."""
    shots: dict[str, list[Shot]] = defaultdict(list)
    names = ("ViewPosition", "Columns", "Rows", "StudyDate", "StudyTime")
    for _, row in read_cells(path, (*REQUIRED_COLUMNS, *required), names):
        dicom, subject_id, study_id = row[: len(REQUIRED_COLUMNS)]
        if (subject := subject_id.removeprefix("p")) in subjects:
            view, columns, rows, date, clock = row[-len(names) :]
            width, height = _number(columns), _number(rows)
            size = (width, height) if width > 0 and height > 0 else None
            shots[subject].append(Shot(dicom, study_id.removeprefix("s"), view.upper(), size, (_number(date), _number(clock))))
    return dict(shots)


def missing_columns(path: Path) -> list[Problem]:
    """Columns of the metadata that this copy lacks, and what follows."""
    header = {name.strip(' "') for name in re.split(r"[,;\t]", _first_line(path))}
    return [Problem("missing column", f"{path.name}: {name}", what) for name, what in OPTIONAL_COLUMNS.items() if name not in header]


def _first_line(path: Path) -> str:
    """Without reading the rest; empty if it cannot be read, which whoever reads the table will be told."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_packed else path.open("rb") as file:
            return decode(file.readline(LONGEST_HEADER)).strip()
    except (OSError, EOFError, zlib.error):
        return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
