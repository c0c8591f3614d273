"""What Chest ImaGenome, the reports and the radiographs say about every image of a split, gathered once and kept (see ``gathering``).

A row per listed image, kept or not: why it was left out and what else was wrong with it are columns, so that counts never need a second reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from benchmark.datasets import mimic_reports, scene_graphs
from benchmark.datasets.boxes import mend_boxes
from benchmark.datasets.columns import read_cells, table_digest
from benchmark.datasets.entries import BAD_CELL, BAD_GRAPH, BAD_ROW, DUPLICATE, NO_FINDINGS, NO_GRAPH, NOT_IN_METADATA, Entry
from benchmark.datasets.listed_rows import dicom_id, fault_of_row, patient_id, study_id
from benchmark.datasets.mimic_listing import stamp_patients
from benchmark.datasets.mimic_metadata import NO_SIZE, SIZE_COLUMNS, TIME_COLUMNS, Shot
from benchmark.datasets.mimic_patients import Patient
from benchmark.datasets.mimic_tree import MimicTree, OnDisk
from benchmark.datasets.region_sentences import region_sentence
from benchmark.datasets.slow_disks import look_at
from benchmark.datasets.stores import Store, UnreadableMember
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

VERSION = 9
"""raise it whenever a row would come out otherwise from the same files"""

# Kinds of problems beside those of ``entries``; all but the last two keep the image out.
AVOID, GOLD, NO_BOX = "image to avoid", "gold image", "no valid box"
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
    what: str = ""
    """more of the reason"""


def read_lists(tree: MimicTree) -> dict[str, list[Listed]]:
    """The images of each official split, in the order subject, study, dicom. Raises BadTable."""
    avoid = {dicom_id(cell) for _, (cell,) in read_cells(tree.avoid, ["dicom_id"])} if tree.avoid else set()
    gold = {dicom_id(cell) for _, (cell,) in read_cells(tree.gold, ["image_id"])} if tree.gold else set()
    known: set[str] = set()
    lists: dict[str, list[Listed]] = {}
    for split, path in tree.splits.items():
        lists[split], file = [], path.name
        for line, (*cells, view) in read_cells(path, ["subject_id", "study_id", "dicom_id"], ["ViewPosition"]):
            subject, study, dicom = patient_id(cells[0]), study_id(cells[1]), dicom_id(cells[2])
            reason, what = "", fault_of_row(subject, study, dicom)
            if what:
                reason = BAD_ROW
            else:
                reason = DUPLICATE if dicom in known else AVOID if dicom in avoid else GOLD if dicom in gold else ""
                known.add(dicom)
            lists[split].append(Listed(subject, study, dicom, view.upper(), f"{file}, line {line}: {dicom}", reason, what))
        lists[split].sort(key=itemgetter(0, 1, 2))
    return lists


def stamp(tree: MimicTree, split: str) -> str:
    """Hex digest of everything that the entries of one split are read from.

    Tables enter with their whole content: they are few, and one changed character can move a patient. Radiographs, reports and scene graphs enter
    with name and size, which a listing gives; hashing half a terabyte of pixels before every run would not be borne by anyone. So a file that was
    edited without changing its length is not noticed, unless it lies in a zip, whose checksums are included. Dates do not enter: a copy is the same
    data. All files of a patient count, since a prior study or another view may come from any of them.
    """
    digest = hashlib.sha256(f"{VERSION} {split}\n".encode())
    # The lists of the other splits too: an image that is in two of them is a case of the first alone.
    for table in (*tree.splits.values(), tree.avoid, tree.gold, tree.metadata):
        digest.update(table_digest(table))
    graphs = Store(tree.scene_graphs)
    digest.update(f"{Store(tree.reports).archive_stamp()} {graphs.archive_stamp()}\n".encode())
    graphs.archives = []  # their checksums are in by now
    images = [row for _, row in read_cells(tree.splits[split], ["subject_id", "dicom_id"])]
    stamp_patients(digest, tree, (patient_id(subject) for subject, _ in images))
    if graphs.folders:
        names = sorted(scene_graphs.file_name(dicom_id(dicom)) for _, dicom in images)
        digest.update("".join(f"{name} {size}\n" for name, size in zip(names, look_at(names, graphs.size), strict=True)).encode())
    return digest.hexdigest()


def read_patients(
    patients: Sequence[tuple[str, Sequence[Listed]]], shots: dict[str, list[Shot]], tree: MimicTree, reports: Store, graphs: Store
) -> list[Entry]:
    """The entries of some patients. What is wrong with a file is in the entry; nothing is raised for it."""
    found: list[Entry] = []
    for subject, listed in patients:
        patient = Patient(tree, reports, subject, shots[subject])
        entries = [_entry(patient, graphs, one) for one in listed]
        patient.tell_of_metadata(entries[0], TIME_COLUMNS)
        found += entries
    return found


def _entry(patient: Patient, graphs: Store, listed: Listed) -> Entry:
    """Everything about the image, or the first reason why it is no case."""
    entry = Entry(listed.subject, listed.study, listed.dicom, patient.view(listed.dicom) or listed.view)
    if listed.reason:
        return entry.leave_out(listed.reason, listed.where, listed.what)
    if not patient.is_known(listed.dicom):
        return entry.leave_out(NOT_IN_METADATA, listed.where, NO_SIZE)
    if faults := patient.faults(listed.dicom, SIZE_COLUMNS):
        return entry.leave_out(BAD_CELL, *faults[0])
    graph_name = scene_graphs.file_name(entry.dicom)
    if not graphs.has(graph_name):
        return entry.leave_out(NO_GRAPH, graph_name)
    image = patient.image(entry)
    parts = patient.sections(entry) if image else None
    if image is None or parts is None:
        return entry
    entry.findings = mimic_reports.findings_of(parts, f"s{entry.study}")
    if not entry.findings:
        return entry.leave_out(NO_FINDINGS, f"p{entry.subject}/s{entry.study}.txt", f"sections: {', '.join(parts)}"[:200])
    if _add_boxes_and_sentences(entry, patient, image, graphs):
        patient.add_context(entry, image)
    return entry


def _add_boxes_and_sentences(entry: Entry, patient: Patient, image: OnDisk, graphs: Store) -> bool:
    """Whether the image can be read and has a box of the paper's regions; if so the entry has them all."""
    size = patient.size_px(entry, image)
    if size is None:
        return False
    graph_name = scene_graphs.file_name(entry.dicom)
    try:
        graph = scene_graphs.parse(graphs.read(graph_name) or b"")
        if graph.dicom not in ("", entry.dicom):
            raise scene_graphs.UnreadableSceneGraph(f"it says that it is of another image, {graph.dicom}")
    except (UnreadableMember, scene_graphs.UnreadableSceneGraph) as error:
        entry.leave_out(BAD_GRAPH, graph_name, str(error))
        return False
    shot = patient.shots.get(entry.dicom)
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
