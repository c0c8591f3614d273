"""What Chest ImaGenome, the reports and the radiographs say about every image of a split, gathered once and kept as one Parquet file.

A row per listed image, kept or not: why it was left out and what else was wrong with it are columns, so that counts never need a second reading.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets import mimic_reports, scene_graphs
from benchmark.datasets.boxes import mend_boxes
from benchmark.datasets.columns import read_rows
from benchmark.datasets.images import UnreadableImage, image_size_px
from benchmark.datasets.mimic_tree import MimicTree, OnDisk, report_file
from benchmark.datasets.region_sentences import region_sentence
from benchmark.datasets.stores import Store, UnreadableMember
from benchmark.engine import each
from benchmark.progress import progress
from benchmark.records import BoxXYXY, Problem
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

VERSION = 3
"""raise it whenever a row would come out otherwise from the same files"""
FRONTAL_FIRST = ("PA", "AP")
PATIENTS_PER_CHUNK = 100
WORTH_A_POOL = 5_000
"""images from which on several processes read; below, starting them costs more than it saves"""
UNKNOWN = (math.nan, math.nan)
"""of a study without a date"""

# Kinds of problems; all but the last two keep the image out.
DUPLICATE, AVOID, GOLD, NO_FINDINGS, NO_BOX = "duplicate image id", "image to avoid", "gold image", "no findings", "no valid box"
NO_GRAPH, BAD_GRAPH = "missing scene graph", "unreadable scene graph"
NO_IMAGE, BAD_IMAGE = "missing image", "unreadable image"
NO_REPORT, BAD_REPORT = "missing report", "unreadable report"
BOX_DROPPED, BOX_CLIPPED = "box dropped", "box clipped"
BY_RULE = frozenset((AVOID, GOLD, NO_FINDINGS, NO_BOX, BOX_DROPPED, BOX_CLIPPED))
"""kinds that are the dataset's stated rules at work, not faults of this copy of it"""


class Listed(NamedTuple):
    """One row of Chest ImaGenome's split files."""

    subject: str
    study: str
    dicom: str
    view: str
    where: str
    """file and line"""
    reason: str
    """why the lists alone rule it out, or empty"""


class Shot(NamedTuple):
    """One row of MIMIC-CXR-JPG's metadata."""

    dicom: str
    study: str
    view: str
    size_px: tuple[float, float] | None
    """width and height of the original image; None where the table does not say"""
    when: tuple[float, float]
    """date and time of the study, shifted as all of MIMIC's; only their order means something. NaN where the table does not say"""


@dataclass
class Entry:
    """Everything that is known about one listed image."""

    subject: str
    study: str
    dicom: str
    view: str = ""
    left_out: str = ""
    """kind of the problem that keeps it out, empty if it is a case"""
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    """kind, where, what"""
    image: str = ""
    """path below the folder of images"""
    others: list[tuple[str, str, str]] = field(default_factory=list)
    """path, view and id of the study's other images on disk"""
    findings: str = ""
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    prior_report: str = ""
    prior_image: str = ""
    sentences: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, BoxXYXY] = field(default_factory=dict)
    lesions: list[str] = field(default_factory=list)
    """silver labels, for the stratified split"""

    def leave_out(self, kind: str, where: str, what: str = "") -> Entry:
        """The entry, with the reason why it is no case."""
        self.left_out = kind
        self.problems.append((kind, where, what))
        return self


def read_lists(tree: MimicTree) -> dict[str, list[Listed]]:
    """The images of each official split, in the order subject, study, dicom. Raises BadTable."""
    avoid = {row["dicom_id"] for _, row in read_rows(tree.avoid, ["dicom_id"])} if tree.avoid else set()
    gold = {row["image_id"].removesuffix(".dcm") for _, row in read_rows(tree.gold, ["image_id"])} if tree.gold else set()
    known: set[str] = set()
    lists: dict[str, list[Listed]] = {}
    for split, path in tree.splits.items():
        lists[split] = []
        for line, row in read_rows(path, ["subject_id", "study_id", "dicom_id"]):
            dicom = row["dicom_id"].removesuffix(".dcm")
            reason = DUPLICATE if dicom in known else AVOID if dicom in avoid else GOLD if dicom in gold else ""
            known.add(dicom)
            listed = Listed(row["subject_id"].lstrip("p"), row["study_id"].lstrip("s"), dicom, row.get("ViewPosition", ""), "", reason)
            lists[split].append(listed._replace(where=f"{path.name}, line {line}: {dicom}"))
        lists[split].sort(key=lambda one: one[:3])
    return lists


def read_metadata(path: Path, subjects: set[str]) -> dict[str, list[Shot]]:
    """subject -> its images in the order of the file. Raises BadTable."""
    shots: dict[str, list[Shot]] = defaultdict(list)
    for _, row in read_rows(path, ["dicom_id", "subject_id", "study_id", "ViewPosition"]):
        if row["subject_id"] in subjects:
            width, height = (_number(row.get(name, "")) for name in ("Columns", "Rows"))
            when = (_number(row.get("StudyDate", "")), _number(row.get("StudyTime", "")))
            size = (width, height) if width > 0 and height > 0 else None
            shots[row["subject_id"]].append(Shot(row["dicom_id"], row["study_id"], row["ViewPosition"], size, when))
    return dict(shots)


def stamp(tree: MimicTree, split: str, listed: Sequence[Listed]) -> str:
    """Hex digest of everything that the entries of one split are read from.

    Tables enter with their whole content: they are few, and one changed character can move a patient. Radiographs, reports and scene graphs enter
    with name and size, which a listing gives; hashing half a terabyte of pixels before every run would not be borne by anyone. So a file that was
    edited without changing its length is not noticed, unless it lies in a zip, whose checksums are included. Dates do not enter: a copy is the same
    data. All files of a patient count, since a prior study or another view may come from any of them.
    """
    digest = hashlib.sha256(f"{VERSION} {split}\n".encode())
    for table in (tree.splits[split], tree.avoid, tree.gold, tree.metadata):
        digest.update(hashlib.sha256(table.read_bytes()).digest() if table else b"none")
    reports, graphs = Store(tree.reports), Store(tree.scene_graphs)
    digest.update(f"{reports.archive_stamp()} {graphs.archive_stamp()}\n".encode())
    reports.archives, graphs.archives = [], []  # their checksums are in by now
    for subject, images in _by_subject(listed):
        for study, shown in sorted(tree.studies_of(subject).items()):
            digest.update(f"s{study} {reports.size(report_file(subject, study))}\n".encode())
            digest.update("".join(f"{one.relative} {one.size}\n" for one in shown.values()).encode())
        for study in sorted({one.study for one in images}):
            digest.update(f"s{study} {reports.size(report_file(subject, study))}\n".encode())
        digest.update("".join(f"{one.dicom} {graphs.size(scene_graphs.file_name(one.dicom))}\n" for one in images).encode())
    return digest.hexdigest()


def build(tree: MimicTree, split: str, listed: Sequence[Listed], *, workers: int) -> list[Entry]:
    """The entries of one split in its order, read from the files with a progress bar."""
    patients = list(_by_subject(listed))
    shots = read_metadata(tree.metadata, {subject for subject, _ in patients}) if tree.metadata else {}
    chunks = [patients[start : start + PATIENTS_PER_CHUNK] for start in range(0, len(patients), PATIENTS_PER_CHUNK)]
    tasks = [(tree, chunk, {subject: shots.get(subject, []) for subject, _ in chunk}) for chunk in chunks]
    done: dict[int, list[Entry]] = {}
    with progress(f"read chest_imagenome {split}", len(listed), unit="images") as advance:
        for index, entries in each(read_patients, tasks, workers=workers if len(listed) >= WORTH_A_POOL else 1):
            done[index] = entries
            advance(len(entries))
    return [entry for index in range(len(tasks)) for entry in done[index]]


def read_patients(tree: MimicTree, patients: Sequence[tuple[str, Sequence[Listed]]], shots: dict[str, list[Shot]]) -> list[Entry]:
    """The entries of some patients. What is wrong with a file is in the entry; nothing is raised for it."""
    reports, graphs = Store(tree.reports), Store(tree.scene_graphs)
    return [entry for subject, listed in patients for entry in _Patient(tree, reports, graphs, subject, shots[subject]).entries(listed)]


class _Patient:
    """One patient's files; each report is read once, however many images and priors point at it."""

    def __init__(self, tree: MimicTree, reports: Store, graphs: Store, subject: str, shots: Sequence[Shot]) -> None:
        self.tree, self.reports, self.graphs, self.subject = tree, reports, graphs, subject
        self.on_disk = tree.studies_of(subject)
        self.shots = {shot.dicom: shot for shot in shots}
        self.read: dict[str, tuple[dict[str, str] | None, str]] = {}
        whens: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for shot in shots:
            whens[shot.study].append(shot.when)
        self.when = {study: _begin(times) for study, times in whens.items()}

    def entries(self, listed: Sequence[Listed]) -> Iterator[Entry]:
        for one in listed:
            view = self.shots[one.dicom].view if one.dicom in self.shots else one.view
            entry = Entry(one.subject, one.study, one.dicom, view or one.view)
            yield entry.leave_out(one.reason, one.where) if one.reason else self._fill(entry)

    def _fill(self, entry: Entry) -> Entry:
        """Everything about the image, or the first reason why it is no case."""
        graph_name = scene_graphs.file_name(entry.dicom)
        if not self.graphs.has(graph_name):
            return entry.leave_out(NO_GRAPH, graph_name)
        image = self.on_disk.get(entry.study, {}).get(entry.dicom)
        if image is None:
            return entry.leave_out(NO_IMAGE, f"p{entry.subject}/s{entry.study}/{entry.dicom}")
        parts, fault = self._sections(entry.study)
        if parts is None:
            return entry.leave_out(BAD_REPORT if fault else NO_REPORT, f"p{entry.subject}/s{entry.study}.txt", fault)
        entry.findings = _findings(parts, entry.study)
        if not entry.findings:
            return entry.leave_out(NO_FINDINGS, f"p{entry.subject}/s{entry.study}.txt", f"sections: {', '.join(parts)}"[:200])
        if not self._boxes_and_sentences(entry, image, graph_name):
            return entry
        entry.image = image.relative
        entry.indication = mimic_reports.indication(parts)
        entry.technique, entry.comparison = (mimic_reports.one_line(parts.get(name, "")) for name in ("technique", "comparison"))
        entry.others = [(other.relative, self._view(dicom), dicom) for dicom, other in self._others(entry)]
        self._prior(entry)
        return entry

    def _boxes_and_sentences(self, entry: Entry, image: OnDisk, graph_name: str) -> bool:
        """Whether the image can be read and has a box of the paper's regions; if so the entry has them all."""
        try:
            size = image_size_px(self.tree.images / image.relative)
        except UnreadableImage as error:
            entry.leave_out(BAD_IMAGE, image.relative, str(error))
            return False
        try:
            content = self.graphs.read(graph_name)
            graph = scene_graphs.parse(content or b"")
        except (UnreadableMember, scene_graphs.UnreadableSceneGraph) as error:
            entry.leave_out(BAD_GRAPH, graph_name, str(error))
            return False
        shot = self.shots.get(entry.dicom)
        wanted = [(region, box) for region, box in graph.boxes_xyxy if region in REGIONS]
        mended = mend_boxes(wanted, size, shot.size_px if shot else None)
        entry.problems += [(BOX_DROPPED, f"{entry.dicom}: {region}", why) for region, why in mended.dropped.items()]
        entry.problems += [(BOX_CLIPPED, f"{entry.dicom}: {region}", "") for region in mended.clipped]
        if not any(region in mended.boxes for region in PAPER_REGIONS):
            entry.leave_out(NO_BOX, graph_name, f"{len(mended.boxes)} other regions have one")
            return False
        # In the vocabulary's order, so that two copies of the data give the same line.
        entry.boxes = {region: mended.boxes[region] for region in REGIONS if region in mended.boxes}
        said = {region: region_sentence(graph.phrases[region]) for region in REGIONS if region in graph.phrases}
        entry.sentences = {region: sentence for region, sentence in said.items() if sentence}
        entry.lesions = sorted(graph.lesions)
        return True

    def _sections(self, study: str) -> tuple[dict[str, str] | None, str]:
        """The report's sections, or None and what is wrong with the file (nothing: it is not there)."""
        if study not in self.read:
            try:
                content = self.reports.read(report_file(self.subject, study))
                self.read[study] = (mimic_reports.sections(content) if content is not None else None, "")
            except UnreadableMember as error:
                self.read[study] = (None, str(error))
        return self.read[study]

    def _others(self, entry: Entry) -> list[tuple[str, OnDisk]]:
        """The study's other images: frontal before lateral, then by name."""
        others = [(dicom, image) for dicom, image in self.on_disk.get(entry.study, {}).items() if dicom != entry.dicom]
        return sorted(others, key=lambda one: (_rank(self._view(one[0])), one[0]))

    def _view(self, dicom: str) -> str:
        return self.shots[dicom].view if dicom in self.shots else ""

    def _prior(self, entry: Entry) -> None:
        """Report and frontal image of the last study that was before this one for certain, where there is one.

        A study of the same date and time is none: its report may be about this very image. Where a date is missing nothing is before anything;
        where a time is, only what was on another day.
        """
        now = self.when.get(entry.study, UNKNOWN)
        earlier = [study for study, when in self.when.items() if _is_before(when, now)]
        if not earlier:
            return
        before = max(earlier, key=lambda study: (self.when[study][0], -math.inf if math.isnan(self.when[study][1]) else self.when[study][1], study))
        parts, _ = self._sections(before)
        if parts:
            texts = [_findings(parts, before), mimic_reports.one_line(parts.get("impression", ""))]
            entry.prior_report = " ".join(filter(None, texts)) or mimic_reports.one_line(parts.get(mimic_reports.LAST_PARAGRAPH, ""))
        frontal = [(self._view(dicom), dicom) for dicom in self.on_disk.get(before, {}) if self._view(dicom) in FRONTAL_FIRST]
        if frontal:
            _, dicom = min(frontal, key=lambda one: (_rank(one[0]), one[1]))
            entry.prior_image = self.on_disk[before][dicom].relative


def problems_of(entries: Iterable[Entry]) -> list[Problem]:
    """All that was found wrong, in the order of the entries."""
    return [Problem(kind, where, what) for entry in entries for kind, where, what in entry.problems]


def _by_subject(listed: Sequence[Listed]) -> Iterator[tuple[str, list[Listed]]]:
    """Patients in order, each with its images in order."""
    grouped: dict[str, list[Listed]] = {}
    for one in listed:
        grouped.setdefault(one.subject, []).append(one)
    yield from grouped.items()


def _findings(parts: dict[str, str], study: str) -> str:
    return mimic_reports.findings_of(parts, f"s{study}")


def _begin(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Date and time of a study's first image; a part that is missing for any image that could be the first is not known."""
    dates = [date for date, _ in times]
    if any(math.isnan(date) for date in dates):
        return UNKNOWN
    clocks = [clock for date, clock in times if date == min(dates)]
    return min(dates), math.nan if any(math.isnan(clock) for clock in clocks) else min(clocks)


def _is_before(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Strictly; nothing that is unknown is before or after anything."""
    return one[0] < other[0] or (one[0] == other[0] and one[1] < other[1])


def _rank(view: str) -> int:
    return FRONTAL_FIRST.index(view) if view in FRONTAL_FIRST else len(FRONTAL_FIRST)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
