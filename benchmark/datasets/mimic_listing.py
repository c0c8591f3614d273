"""A fingerprint of patients' folders: names and sizes of all their images and reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from benchmark.datasets.images import IMAGE_SUFFIXES
from benchmark.datasets.mimic_tree import MimicTree, is_folder, patient_folder, scan, size_of
from benchmark.datasets.slow_disks import look_at

STAMPED = (*IMAGE_SUFFIXES, ".txt")
"""what a change of is noticed; other files beside them, of the desktop or of a download, are not read"""


def stamp_patients(digest: hashlib._Hash, tree: MimicTree, subjects: Iterable[str]) -> None:
    """Add names and sizes of all images and reports in the patients' folders: a prior study or another view may come from any of them.

    A listing of each folder, and nothing that is remembered from the last one: the date of a folder tells that a file came or went, but not that one
    was written over.
    """
    places = list(dict.fromkeys(str(place) for place in (tree.images, *tree.reports) if place.is_dir()))
    for listing in look_at(sorted(set(subjects)), lambda subject: _listing(subject, places)):
        digest.update(listing.encode(errors="surrogateescape"))


def _listing(subject: str, places: Sequence[str]) -> str:
    """A patient's files in each of the places."""
    found: list[str] = []
    for number, place in enumerate(places):
        lines: list[str] = []
        _list(f"{place}/{patient_folder(subject)}", "", lines)
        found += [f"p{subject} {number}", *sorted(lines)]
    return "\n".join([*found, ""])


def _list(folder: str, below: str, lines: list[str]) -> None:
    """A line per file that may matter, in the folder and in those in it."""
    # Called for every study: text instead of Path, and no more than one call of the system per folder and file.
    for entry in scan(folder):
        if entry.name.lower().endswith(STAMPED):
            lines.append(f"{below}{entry.name} {size_of(entry)}")
        elif not below and is_folder(entry):
            _list(entry.path, f"{entry.name}/", lines)
