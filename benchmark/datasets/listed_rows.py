"""Rows of a list of images: whether one names an image, and which are of one patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar


def is_usable(subject: str, study: str, dicom: str) -> bool:
    """Whether a row names an image: numbers of patient and study, and a name that is no path. The last row of half a table often does not."""
    return len(subject) > 2 and (subject + study).isascii() and subject.isdigit() and study.isdigit() and bool(dicom) and not set(dicom) & set("/\\")


Named = TypeVar("Named", bound="tuple[str, ...]")


def by_subject(listed: Iterable[Named]) -> Iterator[tuple[str, list[Named]]]:
    """Patients in order, each with its images in order; a row begins with its patient."""
    grouped: dict[str, list[Named]] = {}
    for one in listed:
        grouped.setdefault(one[0], []).append(one)
    yield from grouped.items()
