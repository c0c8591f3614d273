"""Rows of a list of images: the ids in them, whether one names an image, and which are of one patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Named = TypeVar("Named", bound="tuple[object, ...]")


def patient_id(cell: str) -> str:
    """10000032, of p10000032 too, and of 10000032.0, which pandas makes of a column with an empty cell in it."""
    return cell.removeprefix("p").removesuffix(".0")


def study_id(cell: str) -> str:
    """50414267, of s50414267 and 50414267.0 too."""
    return cell.removeprefix("s").removesuffix(".0")


def dicom_id(cell: str) -> str:
    """The image's id, without the suffix of a file."""
    return cell.removesuffix(".dcm")


def fault_of_row(subject: str, study: str, dicom: str) -> str:
    """Why a row names no image: it takes numbers of patient and study, and a name that is no path. Empty if it does."""
    # The last row of half a table often does not.
    if not _is_number(subject) or len(subject) < 3:
        return f"{subject!r} is no number of a patient"
    if not _is_number(study):
        return f"{study!r} is no number of a study"
    return "" if dicom and not set(dicom) & set("/\\") else f"{dicom!r} is no id of an image"


def is_usable(subject: str, study: str, dicom: str) -> bool:
    """Whether a row names an image."""
    return not fault_of_row(subject, study, dicom)


def by_subject(listed: Iterable[Named]) -> Iterator[tuple[str, list[Named]]]:
    """Patients in order, each with its images in order; a row begins with its patient."""
    grouped: dict[str, list[Named]] = {}
    for one in listed:
        grouped.setdefault(str(one[0]), []).append(one)
    yield from grouped.items()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
