"""The registered dataset ``chest_imagenome_gold``: the part of Chest ImaGenome that people annotated.

Chest ImaGenome: Wu et al., NeurIPS Datasets and Benchmarks 2021, https://physionet.org/content/chest-imagenome/1.0.0/. Its gold standard has 500
patients with two studies each, one frontal image per study, and is in none of the three splits.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.datasets import mimic_reports
from benchmark.datasets.account import Account, Beside, Part
from benchmark.datasets.boxes import mend_boxes
from benchmark.datasets.columns import number, read_rows, table_digest
from benchmark.datasets.entries import BAD_CELL, NO_FINDINGS, NO_IMAGE, NOT_IN_METADATA, Entry, problems_of
from benchmark.datasets.imagenome_account import IMAGENOME, radiographs, reports
from benchmark.datasets.imagenome_index import BOX_CLIPPED, BOX_DROPPED, BY_RULE, NO_BOX
from benchmark.datasets.listed_rows import dicom_id, patient_id, study_id
from benchmark.datasets.mimic_cases import UNITS, Unit, case_id, case_of, check_settings, one_per_study, root_of, stop_at_faults
from benchmark.datasets.mimic_index import in_train
from benchmark.datasets.mimic_listing import stamp_patients
from benchmark.datasets.mimic_metadata import NO_SIZE, SIZE_COLUMNS, TIME_COLUMNS, WITHOUT_WITH_BOXES, Shot, missing_metadata, read_metadata
from benchmark.datasets.mimic_patients import Patient
from benchmark.datasets.mimic_tree import MimicTree, NoSuchTree, locate
from benchmark.datasets.region_sentences import region_sentence
from benchmark.datasets.split import check_split
from benchmark.datasets.stores import Store
from benchmark.progress import progress
from benchmark.records import BoxXYXY, Case, Problem, Reference
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

BOXES_FILE = "gold_bbox_coordinate_annotations_1000images.csv"
ATTRIBUTES_FILE = "gold_object_attribute_with_coordinates.txt"
BOX_COLUMNS = ("image_id", "bbox_name", "original_x1", "original_y1", "original_x2", "original_y2")
ATTRIBUTE_COLUMNS = ("patient_id", "study_id", "image_id", "row_id", "bbox", "relation", "context", "attribute", "sentence")
ABNORMAL = "nlp|yes|abnormal"
MEDIASTINUM, ITS_PARTS = "mediastinum", ("upper mediastinum", "cardiac silhouette")
"""nobody drew the whole; MIMIC-Ext-MIMIC-CXR-VQA (Bae et al., NeurIPS 2023) takes what encloses the two, and so do we"""
VERSION = 2
"""raise it whenever a case would come out otherwise from the same files"""
ALL_IS_TEST = ", of which all but test are empty"
IMAGES, BOX_ROWS, ATTRIBUTE_ROWS = 1_000, 25_989, 15_688  # Chest ImaGenome 1.0.0


class Annotations(NamedTuple):
    """Both tables, read."""

    by_image: dict[str, Annotated]
    """dicom id -> what people said of it, in the order of the table of boxes"""
    rows: Counter[tuple[str, str]]
    """relation and context -> rows of the table of sentences"""


@dataclass
class Annotated:
    """What people said of one image."""

    boxes_xyxy: list[tuple[str, BoxXYXY]] = field(default_factory=list)
    """region and box in pixels of the original image, as the file has them"""
    phrases: dict[str, dict[str, str]] = field(default_factory=dict)
    """region -> id of a sentence (its study and number) -> the sentence"""
    abnormal: set[str] = field(default_factory=set)
    """regions of which a sentence says something abnormal"""
    subject: str = ""
    """of the images that have sentences; the others' lies on disk beside theirs"""
    study: str = ""


class ChestImaGenomeGold:
    """The gold standard's images that are on disk and whose report has a FINDINGS section, with the boxes that people drew; all of them are test.

    The folder is named as argument, ``chest_imagenome_gold:/data/physionet``; see ``mimic_tree`` for what it may look like: radiographs, reports and
    Chest ImaGenome's gold_dataset/, scene graphs are not needed. Sentences were given to regions by people too, in each patient's first study alone:
    half of the references have none. A sentence belongs to a region whether it affirms something there (relation 1, context yes) or denies it (0,
    no): both are what the report says of the region. A row that affirms what is no relation (0, yes) is not taken; ``data check`` counts the rows of
    each sort. Nobody drew the mediastinum: its box is what encloses upper mediastinum and cardiac silhouette.

    boxes        "truth": cases carry the true boxes; "none": a model has to find them
    unit         "image": a case per image. "study": the same with the study's id, as there is one image of each
    strict       stop at the first fault of the files instead of stepping over it; what the stated rules leave out is no fault
    """

    name = "chest_imagenome_gold"

    def __init__(
        self,
        argument: str = "",
        *,
        root: Path | None = None,
        boxes: Literal["none", "truth"] = "none",
        unit: Unit = "image",
        strict: bool = False,
        is_credentialed: bool = True,
        note: str = "",
    ) -> None:
        self.root = root_of(self.name, argument, root, "MIMIC-CXR-JPG and Chest ImaGenome")
        check_settings(self.name, {"boxes": (boxes, ("none", "truth")), "unit": (unit, UNITS)})
        self.boxes, self.unit, self.strict = boxes, unit, strict
        self.is_credentialed, self.note = is_credentialed, note
        self._tree: MimicTree | None = None
        self._annotations = Annotations({}, Counter())
        self._entries: list[Entry] | None = None

    def cases(self, split: str) -> list[Case]:
        """All usable images in the order subject, study, dicom id; of test, the other splits are empty."""
        return [case_of(entry, self.tree.images, self.unit, with_boxes=self.boxes == "truth") for entry in self._usable(split)]

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order: FINDINGS, sentences and boxes by region."""
        return [Reference(case_id(entry, self.unit), entry.findings, entry.sentences, entry.boxes) for entry in self._usable(split)]

    def abnormal_regions(self, split: str) -> list[frozenset[str]]:
        """For each case, in the same order, the regions of which people found something abnormal said; of second studies nobody was asked."""
        return [frozenset(self._annotations.by_image[entry.dicom].abnormal) for entry in self._usable(split)]

    def fingerprint(self, split: str) -> str:
        """Changes when a table changes, or the set of a patient's images and reports, or the size of one; or a setting of this reader."""
        check_split(self.name, split, ALL_IS_TEST)
        digest = hashlib.sha256(f"{VERSION} {split} {self.boxes} {self.unit}\n".encode())
        for table in (*self._tables(), self.tree.metadata):
            digest.update(table_digest(table))
        digest.update(f"{Store(self.tree.reports).archive_stamp()}\n".encode())
        stamp_patients(digest, self.tree, {entry.subject for entry in self._all() if entry.subject})
        return digest.hexdigest()

    def problems(self) -> list[Problem]:
        """What was wrong with the files: each image left out, each box dropped or clipped."""
        return [*self._of_no_image(), *problems_of(self._entries or ())]

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the parts of the tree, and how much of the published gold standard is in its tables."""
        entries, annotated = self._all(), self._annotations.by_image.values()
        boxes, attributes = self._tables()
        parts = [*radiographs(self.tree), *reports(self.tree), Part("boxes by people", boxes), Part("sentences by region, by people", attributes)]
        parts.append(Part("metadata", self.tree.metadata, "" if self.tree.metadata else "no views, priors or times"))
        besides = [
            Beside("images listed", "test", len(entries), IMAGES, IMAGENOME),
            Beside("boxes listed", "test", sum(len(one.boxes_xyxy) for one in annotated), BOX_ROWS, IMAGENOME),
            Beside("rows of sentences", "test", self._annotations.rows.total(), ATTRIBUTE_ROWS, IMAGENOME),
            Beside("images with sentences by region", "test", sum(bool(one.phrases) for one in annotated), IMAGES // 2, IMAGENOME),
        ]
        problems = {"": self._of_no_image(), "test": problems_of(entries)}
        listed = {split: len(entries) if split == "test" else 0 for split in splits}
        return Account(parts, listed, besides=besides, problems=problems, by_rule=BY_RULE, notes=[self._sorts_of_rows(), *self._seen_elsewhere()])

    @property
    def tree(self) -> MimicTree:
        """Where the parts lie. Raises NoSuchTree."""
        if self._tree is None:
            self._tree = locate(self.root, dataset=self.name, needs=("images", "reports"))
        return self._tree

    def _tables(self) -> tuple[Path, Path]:
        """The two tables of the gold standard. Raises NoSuchTree."""
        folder = self.tree.gold.parent if self.tree.gold else None
        if folder is None or (missing := [name for name in (BOXES_FILE, ATTRIBUTES_FILE) if not (folder / name).is_file()]):
            found = f"{folder} without {missing[0]}" if folder else f"nothing of it below {self.root}"
            raise NoSuchTree(
                f"{self.name}: needs Chest ImaGenome's gold_dataset/, found {found}; name the folder that holds it too, or finish unpacking"
            )
        return folder / BOXES_FILE, folder / ATTRIBUTES_FILE

    def _usable(self, split: str) -> list[Entry]:
        check_split(self.name, split, ALL_IS_TEST)
        entries = [entry for entry in self._all() if not entry.left_out] if split == "test" else []
        return one_per_study(entries) if self.unit == "study" else entries

    def _all(self) -> list[Entry]:
        """Every image of the gold standard, used or not."""
        if self._entries is None:
            annotations = read_annotations(*self._tables())
            entries = read_entries(self.tree, annotations.by_image)
            if self.strict:
                stop_at_faults(self.name, [*self._of_no_image(), *problems_of(entries)], BY_RULE)
            self._annotations, self._entries = annotations, entries
        return self._entries

    def _of_no_image(self) -> list[Problem]:
        """What was wrong that is not one image's."""
        if self._tree is None:
            return []
        return missing_metadata(self._tree, WITHOUT_WITH_BOXES)

    def _sorts_of_rows(self) -> str:
        """How many sentences affirm, deny, or neither: whoever has the real tables sees whether they are what we take them for."""
        said = ", ".join(f"{count:,} relation {relation} context {context}" for (relation, context), count in self._annotations.rows.most_common())
        return f"Rows of sentences: {said}; those of relation 0 and context yes are not taken."

    def _seen_elsewhere(self) -> list[str]:
        """How many of the cases a model may have learnt from: by Chest ImaGenome's train split, and by MIMIC-CXR's."""
        used = self._usable("test")
        patients = {entry.subject for entry in used}
        notes = []
        if train := self.tree.splits.get("train"):
            avoid = {dicom_id(row["dicom_id"]) for _, row in read_rows(self.tree.avoid, ["dicom_id"])} if self.tree.avoid else set()
            rows = read_rows(train, ["subject_id", "dicom_id"])
            listed = {patient_id(row["subject_id"]) for _, row in rows if dicom_id(row["dicom_id"]) not in avoid}
            notes.append(f"Of the {len(patients):,} patients {len(patients & listed):,} have images in Chest ImaGenome's train split.")
        if self.tree.mimic_split:
            known = in_train(self.tree.mimic_split)
            images = sum(entry.dicom in known for entry in used)
            notes.append(f"Of the {len(used):,} images {images:,} are in MIMIC-CXR's official train split, from which most published models learnt.")
        return notes


def read_annotations(boxes: Path, attributes: Path) -> Annotations:
    """Both tables. Raises BadTable."""
    found: dict[str, Annotated] = defaultdict(Annotated)
    rows = Counter[tuple[str, str]]()
    for _, row in read_rows(boxes, BOX_COLUMNS):
        left, top, right, bottom = (number(row[name]) for name in BOX_COLUMNS[2:])
        found[dicom_id(row["image_id"])].boxes_xyxy.append((row["bbox_name"], (left, top, right, bottom)))
    for _, row in read_rows(attributes, ATTRIBUTE_COLUMNS):
        one = found[dicom_id(row["image_id"])]
        one.subject, one.study = patient_id(row["patient_id"]), study_id(row["study_id"])
        relation, context = _relation(row["relation"]), row["context"].lower()
        rows[relation, context] += 1
        if relation == "1" or context == "no":
            one.phrases.setdefault(row["bbox"], {}).setdefault(row["row_id"], row["sentence"])
            if row["attribute"] == ABNORMAL:
                one.abnormal.add(row["bbox"])
    return Annotations(dict(found), rows)


def read_entries(tree: MimicTree, annotated: Mapping[str, Annotated]) -> list[Entry]:
    """An entry for every annotated image, in the order subject, study, dicom id; those that are nowhere come last."""
    subjects = {one.subject for one in annotated.values() if one.subject}
    shots = read_metadata(tree.metadata, subjects) if tree.metadata else {}
    texts = Store(tree.reports)
    entries: list[Entry] = []
    with progress("read chest_imagenome_gold", len(annotated), unit="images") as advance:
        for subject in sorted(subjects):
            patient = Patient(tree, texts, subject, shots.get(subject, ()))
            own = sorted((study, dicom) for dicom, study in _studies(patient).items() if dicom in annotated)
            of_patient = [_entry(patient, study, dicom, annotated[dicom]) for study, dicom in own]
            if of_patient:
                patient.tell_of_metadata(of_patient[0], TIME_COLUMNS)
            entries += of_patient
            advance(len(own))
    known = {entry.dicom for entry in entries}
    for dicom in sorted(set(annotated) - known):
        one = annotated[dicom]
        entries.append(Entry(one.subject, one.study, dicom).leave_out(NO_IMAGE, dicom, "in no folder of a patient of the gold standard"))
    return entries


def _studies(patient: Patient) -> dict[str, str]:
    """dicom id -> study of every image that the metadata know or that is on disk; where they differ the folder is right."""
    known = {dicom: shot.study for dicom, shot in patient.shots.items()}
    return known | {dicom: study for study, images in patient.on_disk.items() for dicom in images}


def _entry(patient: Patient, study: str, dicom: str, annotated: Annotated) -> Entry:
    """Everything about the image, or the first reason why it is no case."""
    entry = Entry(patient.subject, study, dicom, patient.view(dicom))
    if not patient.is_known(dicom):
        return entry.leave_out(NOT_IN_METADATA, dicom, NO_SIZE)
    if faults := patient.faults(dicom, SIZE_COLUMNS):
        return entry.leave_out(BAD_CELL, *faults[0])
    image = patient.image(entry)
    parts = patient.sections(entry) if image else None
    if image is None or parts is None:
        return entry
    entry.findings = mimic_reports.findings_of(parts, f"s{study}")
    if not entry.findings:
        return entry.leave_out(NO_FINDINGS, f"p{entry.subject}/s{study}.txt", f"sections: {', '.join(parts)}"[:200])
    size = patient.size_px(entry, image)
    if size is None:
        return entry
    shot: Shot | None = patient.shots.get(dicom)
    mended = mend_boxes([one for one in annotated.boxes_xyxy if one[0] in REGIONS], size, shot.size_px if shot else None)
    entry.problems += [(BOX_DROPPED, f"{dicom}: {region}", why) for region, why in mended.dropped.items()]
    entry.problems += [(BOX_CLIPPED, f"{dicom}: {region}", "") for region in mended.clipped]
    if MEDIASTINUM not in mended.boxes and all(part in mended.boxes for part in ITS_PARTS):
        mended.boxes[MEDIASTINUM] = _enclosing(*(mended.boxes[part] for part in ITS_PARTS))
    if not any(region in mended.boxes for region in PAPER_REGIONS):
        return entry.leave_out(NO_BOX, dicom, f"{len(mended.boxes)} other regions have one")
    entry.boxes = {region: mended.boxes[region] for region in REGIONS if region in mended.boxes}
    said = {region: region_sentence(_in_order(annotated.phrases[region])) for region in REGIONS if region in annotated.phrases}
    entry.sentences = {region: sentence for region, sentence in said.items() if sentence}
    patient.add_context(entry, image)
    return entry


def _enclosing(one: BoxXYXY, other: BoxXYXY) -> BoxXYXY:
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


def _in_order(phrases: Mapping[str, str]) -> list[str]:
    """Sentences as they stand in the report: by the number behind the bar of their id."""
    return [phrases[row] for row in sorted(phrases, key=lambda row: (number(row.rpartition("|")[2]), row))]


def _relation(cell: str) -> str:
    """1 for 1.0, as pandas writes a whole number beside an empty cell."""
    return cell.removesuffix(".0")
