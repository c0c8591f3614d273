"""The gold standard read from a small one: tables in the published columns, written from what phantoms were drawn with."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmark.data_check import check_data
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.columns import BadTable
from benchmark.datasets.imagenome_gold import ATTRIBUTES_FILE, BOXES_FILE, ChestImaGenomeGold
from benchmark.datasets.mimic_cases import NoRoot, StoppedAtProblem
from benchmark.datasets.mimic_tree import NoSuchTree
from benchmark.datasets.phantom import generate
from benchmark.datasets.split import UnknownSplit
from benchmark.records import UserError

GOLD = "chest-imagenome-dataset-1.0.0/gold_dataset"
BOX_HEADER = [
    *("image_id", "x1", "y1", "x2", "y2", "width", "height", "bbox_name", "annot_id"),
    *("original_x1", "original_x2", "original_y1", "original_y2", "original_width", "original_height", "annotator", "coord224", "coord_original"),
]
ATTRIBUTE_HEADER = [
    *("patient_id", "study_id", "image_id", "row_id", "bbox", "relation", "context"),
    *("categoryID", "label_name", "attribute", "sentence", "section", "coord224", "coord_original"),
]


class GoldTables:
    """Rows of the two tables, kept until they are written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boxes: list[dict[str, Any]] = []
        self.attributes: list[dict[str, Any]] = []

    def box(self, dicom: str, region: str, box: tuple[float, float, float, float]) -> None:
        left, top, right, bottom = box
        original = {"original_x1": left, "original_x2": right, "original_y1": top, "original_y2": bottom}
        small = {"x1": 1, "y1": 2, "x2": 3, "y2": 4, "width": 2, "height": 2, "coord224": "[1, 2, 3, 4]"}  # of the 224-pixel frame: not to be read
        self.boxes.append({"image_id": f"{dicom}.dcm", "bbox_name": region, "annot_id": 1, "annotator": "J", **small, **original})

    def said(
        self, case: Any, region: str, number: int, sentence: str, *, relation: Any = 1, context: str = "yes", attribute: str = "nlp|yes|normal"
    ) -> None:
        category, _, label = attribute.split("|")
        ids = {"patient_id": case.patient, "study_id": case.study, "image_id": f"{case.id}.dcm", "row_id": f"{case.study}|{number}"}
        row = {"bbox": region, "relation": relation, "context": context, "categoryID": category, "label_name": label, "attribute": attribute}
        self.attributes.append({**ids, **row, "sentence": sentence, "section": "finalreport", "coord_original": "[1, 2, 3, 4]"})

    def write(self) -> Path:
        folder = self.root / GOLD
        folder.mkdir(parents=True, exist_ok=True)
        for name, header, rows, delimiter in (
            (BOXES_FILE, BOX_HEADER, self.boxes, ","),
            (ATTRIBUTES_FILE, ATTRIBUTE_HEADER, self.attributes, "\t"),
        ):
            with (folder / name).open("w", newline="") as file:
                writer = csv.DictWriter(file, header, delimiter=delimiter)
                writer.writeheader()
                writer.writerows(rows)
        images = sorted({row["image_id"] for row in self.boxes})
        lines = ["image_id,top,bottom,left,right,ratio", *(f"{image},0,0,0,0,0.1" for image in images)]
        (folder / "gold_bbox_scaling_factors_original_to_224x224.csv").write_text("\n".join(lines) + "\n")
        return self.root


@pytest.fixture(scope="module")
def silver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("physionet") / "data"
    generate(root, train=10, validate=2, test=8, fast=True, workers=1, progress=False)
    return root


@pytest.fixture
def tables(silver: Path, tmp_path: Path) -> GoldTables:
    """The phantoms' test images as a gold standard: their boxes, and two sentences in every first study of a patient."""
    root = tmp_path / "data"
    root.mkdir()
    for part in silver.iterdir():
        if part.name != "chest-imagenome-dataset-1.0.0":
            (root / part.name).symlink_to(part)
    reader = ChestImaGenome(root=silver)
    tables = GoldTables(root)
    seen: set[str] = set()
    for case, reference in zip(reader.cases("test"), reader.references("test"), strict=True):
        for region, box in reference.boxes.items():
            tables.box(case.id, region, box)
        if case.patient not in seen:
            tables.said(case, "left lung", 2, "no effusion on the left.", relation=0, context="no", attribute="disease|no|pleural effusion")
            tables.said(case, "left lung", 1, "the left lung is clear.")
            tables.said(case, "cardiac silhouette", 3, 'the heart is "large".', attribute="nlp|yes|abnormal")
        seen.add(case.patient)
    return tables


def read(root: Path, **settings: Any) -> tuple[ChestImaGenomeGold, list[Any], list[Any]]:
    dataset = ChestImaGenomeGold(str(root), **settings)
    return dataset, dataset.cases("test"), dataset.references("test")


def kinds(dataset: ChestImaGenomeGold) -> list[str]:
    return sorted(problem.kind for problem in dataset.problems())


def test_images_reports_and_boxes_are_those_of_the_silver_reader(silver: Path, tables: GoldTables) -> None:
    """What both read from the same files must be the same: FINDINGS, views, priors, other images; and the boxes that went into the table."""
    reader = ChestImaGenome(root=silver, boxes="truth")
    dataset, cases, references = read(tables.write(), boxes="truth")
    others = {case.id: case for case in reader.cases("test")}
    boxes = {reference.case_id: reference.boxes for reference in reader.references("test")}
    reports = {reference.case_id: reference.report for reference in reader.references("test")}
    assert len(cases) == 8
    assert [case.id for case in cases] == list(others)
    for case, reference in zip(cases, references, strict=True):
        other = others[case.id]
        assert (case.patient, case.study, case.indication, case.comparison, case.prior_report) == (
            other.patient, other.study, other.indication, other.comparison, other.prior_report
        )  # fmt: skip
        assert [(image.id, image.view) for image in case.images] == [(image.id, image.view) for image in other.images]
        assert dict(reference.boxes) == dict(boxes[case.id]) == dict(case.boxes or {})
        assert reference.report == reports[case.id]
    assert kinds(dataset) == []
    assert dataset.is_credentialed


def test_sentences_come_in_the_order_of_the_report_whether_they_affirm_or_deny(tables: GoldTables) -> None:
    dataset, cases, references = read(tables.write())
    (first, *_) = references
    assert first.region_sentences == {
        "left lung": "The left lung is clear. No effusion on the left.",
        "cardiac silhouette": 'The heart is "large".',
    }
    with_sentences = {case.patient for case, reference in zip(cases, references, strict=True) if reference.region_sentences}
    assert with_sentences == {case.patient for case in cases}
    assert dataset.abnormal_regions("test")[0] == {"cardiac silhouette"}


def test_what_is_affirmed_of_a_region_without_a_relation_is_not_taken(silver: Path, tables: GoldTables) -> None:
    case = ChestImaGenome(root=silver).cases("test")[0]
    tables.said(case, "spine", 4, "scoliosis.", relation=0, attribute="nlp|yes|abnormal")
    tables.said(case, "left lung", 1, "the left lung is clear.", attribute="anatomicalfinding|no|lung opacity")  # a second label of one sentence
    tables.said(case, "neck", 5, "the neck is not a region with a box.")
    tables.said(case, "right lung", 6, "clear.", relation="1.0")  # as pandas writes it beside an empty cell
    dataset, _, (first, *_) = read(tables.write())
    assert list(first.region_sentences) == ["right lung", "left lung", "cardiac silhouette"]
    assert first.region_sentences["left lung"] == "The left lung is clear. No effusion on the left."
    assert dataset.abnormal_regions("test")[0] == {"cardiac silhouette"}


def test_the_mediastinum_that_nobody_drew_encloses_its_parts(silver: Path, tables: GoldTables) -> None:
    case = ChestImaGenome(root=silver).cases("test")[0]
    tables.boxes = [row for row in tables.boxes if row["image_id"] != f"{case.id}.dcm"]
    tables.box(case.id, "upper mediastinum", (10, 2, 18, 12))
    assert read(tables.write())[2][0].boxes == {"upper mediastinum": (10, 2, 18, 12)}
    tables.box(case.id, "cardiac silhouette", (8, 11, 30, 25))
    assert read(tables.write())[2][0].boxes["mediastinum"] == (8, 2, 30, 25)
    tables.box(case.id, "mediastinum", (1, 1, 2, 2))  # what somebody drew after all is theirs
    assert read(tables.write())[2][0].boxes["mediastinum"] == (1, 1, 2, 2)


def test_everything_is_test(tables: GoldTables) -> None:
    dataset, _, _ = read(tables.write())
    assert dataset.cases("train") == dataset.references("train") == dataset.cases("validate") == []
    with pytest.raises(UnknownSplit, match="all but test are empty"):
        dataset.cases("gold")


def test_boxes_are_scaled_to_a_smaller_copy_and_mended(silver: Path, tables: GoldTables) -> None:
    case = ChestImaGenome(root=silver).cases("test")[0]
    with Image.open(case.images[0].path) as image:
        width, height = image.size
    metadata = gzip.decompress((silver / "mimic-cxr-2.0.0-metadata.csv.gz").read_bytes()).decode().splitlines()
    header = metadata[0].split(",")
    rows = [line.split(",") for line in metadata[1:]]
    for row in rows:
        if row[0] == case.id:
            row[header.index("Rows")], row[header.index("Columns")] = str(height * 4), str(width * 4)
    (tables.root / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    (tables.root / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(gzip.compress("\n".join(map(",".join, [header, *rows])).encode()))
    tables.boxes = [row for row in tables.boxes if row["image_id"] != f"{case.id}.dcm"]
    tables.box(case.id, "left lung", (4, 8, 40, 80))
    tables.box(case.id, "right lung", (-4, 8, 4 * width + 4, 80))
    tables.box(case.id, "spine", (8, 8, 8, 80))
    dataset, _, (first, *_) = read(tables.write())
    assert first.boxes == {"right lung": (0, 2, width, 20), "left lung": (1, 2, 10, 20)}
    assert kinds(dataset) == ["box clipped", "box dropped"]


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda folder, dicom: (folder / f"{dicom}.jpg").unlink(), "missing image"),
        (lambda folder, dicom: (folder / f"{dicom}.jpg").write_bytes(b"no picture"), "unreadable image"),
        (lambda folder, dicom: folder.with_suffix(".txt").unlink(), "missing report"),
        (lambda folder, dicom: folder.with_suffix(".txt").write_text(" IMPRESSION: Clear.\n"), "no findings"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_listed(
    silver: Path, tables: GoldTables, tmp_path: Path, spoil: Callable[[Path, str], Any], kind: str
) -> None:
    case = next(case for case in ChestImaGenome(root=silver).cases("test") if case.images[0].view)
    tables.write()
    own = tmp_path / "own"
    (own / "files").mkdir(parents=True)
    for part in tables.root.iterdir():
        if part.name != "files":
            (own / part.name).symlink_to(part)
    for group in (silver / "files").iterdir():  # one patient copied, the others linked to
        (own / "files" / group.name).mkdir()
        for patient in group.iterdir():
            if patient.name != f"p{case.patient}":
                (own / "files" / group.name / patient.name).symlink_to(patient)
    source = silver / "files" / f"p{case.patient[:2]}" / f"p{case.patient}"
    for file in source.rglob("*"):
        if file.is_file():
            target = own / "files" / f"p{case.patient[:2]}" / f"p{case.patient}" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    before = len(read(own)[1])
    spoil(own / "files" / f"p{case.patient[:2]}" / f"p{case.patient}" / f"s{case.study}", case.id)
    dataset, cases, references = read(own)
    assert len(cases) == len(references) < before
    assert case.id not in [one.id for one in cases]
    assert kind in kinds(dataset)
    if kind != "no findings":
        with pytest.raises(StoppedAtProblem, match=rf"first {kind}"):
            read(own, strict=True)


def test_an_image_that_is_nowhere_is_missing(tables: GoldTables) -> None:
    tables.box("nowhere", "left lung", (1, 1, 9, 9))
    dataset, cases, _ = read(tables.write())
    assert len(cases) == 8
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [("missing image", "nowhere")]


def test_a_study_can_stand_for_its_image(tables: GoldTables) -> None:
    _, cases, _ = read(tables.write(), unit="study")
    assert [case.id for case in cases] == list(dict.fromkeys(f"s{case.study}" for case in cases))


def test_a_fingerprint_changes_with_a_table_a_setting_and_a_file(tables: GoldTables) -> None:
    root = tables.write()
    first = read(root)[0].fingerprint("test")
    assert read(root)[0].fingerprint("test") == first
    prints = {first, read(root, boxes="truth")[0].fingerprint("test"), read(root, unit="study")[0].fingerprint("test")}
    tables.attributes[0]["sentence"] = "no effusion on the Left."
    tables.write()
    prints.add(read(root)[0].fingerprint("test"))
    assert len(prints) == 4


def test_a_missing_gold_standard_or_root_says_what_is_needed(silver: Path, tables: GoldTables) -> None:
    with pytest.raises(NoSuchTree, match=r"needs Chest ImaGenome's gold_dataset/, found nothing of it below"):
        ChestImaGenomeGold(str(silver)).cases("test")
    with pytest.raises(NoSuchTree, match=r"chest_imagenome_gold: the root nowhere is not there"):
        ChestImaGenomeGold("nowhere").cases("test")
    with pytest.raises(NoRoot, match="no folder given"):
        ChestImaGenomeGold()
    with pytest.raises(UserError, match="boxes was to be 'yes'; it can be none or truth"):
        ChestImaGenomeGold("x", boxes="yes")
    (tables.write() / GOLD / ATTRIBUTES_FILE).unlink()
    with pytest.raises(NoSuchTree, match=rf"found .*gold_dataset without {ATTRIBUTES_FILE}"):
        ChestImaGenomeGold(str(tables.root)).cases("test")
    (tables.root / GOLD / ATTRIBUTES_FILE).write_text("patient_id,study\n1,2\n")
    with pytest.raises(BadTable, match="needs the column"):
        ChestImaGenomeGold(str(tables.root)).cases("test")


def test_it_accounts_for_itself_beside_the_published_tables(silver: Path, tables: GoldTables) -> None:
    root = tables.write()
    (root / "chest-imagenome-dataset-1.0.0/silver_dataset").symlink_to(silver / "chest-imagenome-dataset-1.0.0/silver_dataset")
    check = check_data("chest_imagenome_gold", root=root)
    patients = {case.patient for case in read(root)[1]}
    assert [(one.what, one.found, one.published) for one in check.account.besides] == [
        ("images listed", 8, 1_000),
        ("boxes listed", len(tables.boxes), 25_989),
        ("rows of sentences", 3 * len(patients), 15_688),
        ("images with sentences by region", len(patients), 500),
    ]
    assert {split: found.cases for split, found in check.splits.items()} == {"train": 0, "validate": 0, "test": 8}
    sorts, others, official = check.account.notes
    assert sorts.startswith(f"Rows of sentences: {2 * len(patients)} relation 1 context yes, {len(patients)} relation 0 context no; ")
    assert others == f"Of the {len(patients)} patients 0 have images in Chest ImaGenome's train split."
    assert official.startswith("Of the 8 images 0 are in MIMIC-CXR's official train split")
    with gzip.open(root / "mimic-cxr-2.0.0-split.csv.gz", "rt") as file:
        table = file.read()
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    (root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(gzip.compress(table.replace(",test", ",Train").encode()))
    spoiled = check_data("chest_imagenome_gold", ["test"], {"chest_imagenome_gold.unit": "study"}, root=root)
    assert spoiled.account.notes[-1].startswith(f"Of the {spoiled.splits['test'].cases} images {spoiled.splits['test'].cases} are in MIMIC-CXR's")
    drawn = [json.loads(line) for line in (silver / "truth.jsonl").read_text().splitlines()]
    assert {row["split"] for row in drawn if row["dicom_id"] in {case.id for case in read(root)[1]}} == {"test"}
    assert ChestImaGenome(root=root).cases("test") == []  # the images of a gold standard are in no split of silver
