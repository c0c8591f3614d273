"""What MIMIC-CXR-JPG and its reports say about every image of a split, by the official split or R2Gen's, without Chest ImaGenome."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.datasets import mimic_reports
from benchmark.datasets.columns import read_cells, table_digest
from benchmark.datasets.entries import BAD_ROW, DUPLICATE, NO_FINDINGS, NOT_IN_METADATA, OTHER_VIEW, Entry
from benchmark.datasets.listed_rows import dicom_id, fault_of_row, is_usable, patient_id, study_id
from benchmark.datasets.mimic_listing import stamp_patients
from benchmark.datasets.mimic_metadata import TIME_COLUMNS, Shot
from benchmark.datasets.mimic_patients import Patient
from benchmark.datasets.mimic_tree import MimicTree
from benchmark.datasets.r2gen_annotation import KEYS, BadAnnotation, Item, Place, place_of, read_items
from benchmark.datasets.split import SPLITS
from benchmark.datasets.stores import Store

VERSION = 5
"""raise it whenever a row would come out otherwise from the same files"""
NO_IMPRESSION, NEITHER = "no impression", "neither findings nor impression"
BY_RULE = frozenset((OTHER_VIEW, NO_FINDINGS, NO_IMPRESSION, NEITHER))
"""kinds that are the dataset's stated rules at work, not faults of this copy of it"""

Target = Literal["findings", "impression", "findings+impression"]
MISSING_TARGET: dict[str, str] = {"findings": NO_FINDINGS, "impression": NO_IMPRESSION, "findings+impression": NEITHER}


class Listed(NamedTuple):
    """One image of a split."""

    subject: str
    study: str
    dicom: str
    where: str
    """file, and line or number of the item"""
    reason: str
    """why the list alone rules it out, or empty"""
    report: str = ""
    """the reference, where the list brings it"""
    what: str = ""
    """more of the reason"""


class Patients(NamedTuple):
    """Who is in which split: all that a cached split is opened with, in a third of the time that every row takes."""

    of: dict[str, set[str]]
    """split -> subjects"""
    unplaced: list[str]
    """file and line of what is of no split"""


class Asked(NamedTuple):
    """What is wanted of each image."""

    target: Target
    views: tuple[str, ...]
    """as the metadata has them; empty where the list alone decides"""


def read_official(path: Path) -> dict[str, list[Listed]]:
    """split -> its images in the order subject, study, dicom. What is of no split is in ``read_patients_of`` alone. Raises BadTable."""
    lists: dict[str, list[Listed]] = {split: [] for split in SPLITS}
    known: set[str] = set()
    file = path.name
    for line, (*cells, word) in read_cells(path, ["subject_id", "study_id", "dicom_id", "split"]):
        if not (split := KEYS.get(word.lower())):
            continue
        subject, study, dicom = patient_id(cells[0]), study_id(cells[1]), dicom_id(cells[2])
        reason, what = _reason(subject, study, dicom, known)
        lists[split].append(Listed(subject, study, dicom, f"{file}, line {line}: {dicom}", reason, what=what))
    return {split: sorted(listed) for split, listed in lists.items()}


def in_train(path: Path) -> set[str]:
    """The images of the train split of MIMIC-CXR-JPG's table, from which most published models learnt. Raises BadTable."""
    return {dicom_id(dicom) for _, (dicom, word) in read_cells(path, ["dicom_id", "split"]) if KEYS.get(word.lower()) == "train"}


def read_patients_of(path: Path) -> Patients:
    """The patients of the official table. Raises BadTable."""
    found = Patients({split: set() for split in SPLITS}, [])
    for line, (subject, word) in read_cells(path, ["subject_id", "split"]):
        if split := KEYS.get(word.lower()):
            found.of[split].add(patient_id(subject))
        else:
            found.unplaced.append(f"{path.name}, line {line}")
    return found


def read_r2gen(path: Path) -> dict[str, list[Listed]]:
    """The same of R2Gen's annotation.json. Raises BadAnnotation."""
    lists: dict[str, list[Listed]] = {split: [] for split in SPLITS}
    known: set[str] = set()
    items = read_items(path)
    for number, item in enumerate(items, start=1):
        where = f"{path.name}, item {number}: {item.id}"
        elsewhere = _of_another_image(item)
        reason, what = (BAD_ROW, elsewhere) if elsewhere else _reason(item.subject, item.study, item.id, known)
        lists[item.split].append(Listed(item.subject, item.study, item.id, where, reason, mimic_reports.one_line(item.report), what))
    if items and not any(is_usable(item.subject, item.study, item.id) for item in items):
        raise BadAnnotation(
            f"{path}: was to be R2Gen's annotation.json of MIMIC-CXR, whose items have subject_id and study_id; found items such as {items[0].id!r}; "
            "it may be that of IU X-Ray: name the other one (--set mimic_cxr.annotation=PATH)"
        )
    return {split: sorted(listed) for split, listed in lists.items()}


def _of_another_image(item: Item) -> str:
    """What is wrong if the item's path is that of another image than its ids say, of another study say: one of the two is not what it should be."""
    place = place_of(item.images[0]) if item.images else None
    if place is None or place == Place(item.subject, item.study, item.id):
        return ""
    said, found = (f"p{one.subject}/s{one.study}/{one.dicom}" for one in (Place(item.subject, item.study, item.id), place))
    return f"its ids say {said}, its path {found}"


def _reason(subject: str, study: str, dicom: str, known: set[str]) -> tuple[str, str]:
    """Why the list alone rules an image out, and more of it; both empty if it does not."""
    if fault := fault_of_row(subject, study, dicom):
        return BAD_ROW, fault
    reason = DUPLICATE if dicom in known else ""
    known.add(dicom)
    return reason, ""


def stamp(tree: MimicTree, subjects: Iterable[str], asked: Asked, lists: Path) -> str:
    """Hex digest of everything that the entries of one split are read from; see ``imagenome_index.stamp`` for what is noticed."""
    digest = hashlib.sha256(f"{VERSION} {asked.target} {','.join(asked.views)}\n".encode())
    for table in (lists, tree.metadata):
        digest.update(table_digest(table))
    digest.update(f"{Store(tree.reports).archive_stamp()}\n".encode())
    stamp_patients(digest, tree, subjects)
    return digest.hexdigest()


def read_patients(
    patients: Sequence[tuple[str, Sequence[Listed]]], shots: dict[str, list[Shot]], tree: MimicTree, reports: Store, asked: Asked
) -> list[Entry]:
    """The entries of some patients. What is wrong with a file is in the entry; nothing is raised for it."""
    found: list[Entry] = []
    for subject, listed in patients:
        patient = Patient(tree, reports, subject, shots[subject])
        entries = [_entry(patient, one, asked) for one in listed]
        patient.tell_of_metadata(entries[0], TIME_COLUMNS)
        found += entries
    return found


def _entry(patient: Patient, listed: Listed, asked: Asked) -> Entry:
    """Everything about the image, or the first reason why it is no case."""
    entry = Entry(listed.subject, listed.study, listed.dicom, patient.view(listed.dicom))
    if listed.reason:
        return entry.leave_out(listed.reason, listed.where, listed.what)
    if asked.views and not patient.is_known(listed.dicom):
        return entry.leave_out(NOT_IN_METADATA, listed.where, "nobody knows which view it is")
    if asked.views and entry.view not in asked.views:
        return entry.leave_out(OTHER_VIEW, entry.dicom, entry.view or "the metadata do not say which")
    image = patient.image(entry)
    if image is None or not _has_reference(entry, patient, listed, asked) or patient.size_px(entry, image) is None:
        return entry
    if not patient.is_known(listed.dicom):
        entry.problems.append((NOT_IN_METADATA, listed.where, "the case has neither a view nor a prior"))
    patient.add_context(entry, image)
    return entry


def _has_reference(entry: Entry, patient: Patient, listed: Listed, asked: Asked) -> bool:
    """Whether there is a text to be measured against; if so the entry has it."""
    if not asked.views:
        entry.findings = listed.report if any(letter.isalpha() for letter in listed.report) else ""
        if not entry.findings:
            entry.leave_out(NO_FINDINGS, listed.where, "the item has no report")
        return bool(entry.findings)
    parts = patient.sections(entry)
    if parts is None:
        return False
    study = f"s{entry.study}"
    texts = [mimic_reports.section_of(parts, name, study) for name in asked.target.split("+")]
    entry.findings = " ".join(filter(None, texts))
    if not entry.findings:
        entry.leave_out(MISSING_TARGET[asked.target], f"p{entry.subject}/{study}.txt", f"sections: {', '.join(parts)}"[:200])
    return bool(entry.findings)
