"""The phantom generator: files in the layout of the real thing, exact counts, the same bytes for the same seed, nothing half-made."""

import csv
import gzip
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from benchmark.datasets.phantom.contact_sheet import contact_sheet
from benchmark.datasets.phantom.write import CHEXPERT, METADATA, SPLITS, default_folder, generate, plan
from benchmark.records import UserError
from benchmark.vocabulary import LESIONS, PAPER_REGIONS, REGIONS

SILVER = "chest-imagenome-dataset-1.0.0/silver_dataset"
COUNTS = {"train": 30, "validate": 6, "test": 9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantoms") / "small"
    generate(path, **COUNTS, size_px=160, workers=1, progress=False)
    return path


def digest(folder: Path) -> str:
    h = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        h.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return h.hexdigest()


def rows_of(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as text:
            return list(csv.DictReader(text))
    return list(csv.DictReader(path.read_text().splitlines()))


def truth_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]


def usable(folder: Path) -> Counter:
    """An independent reader's view: which images survive the rules that the real files need."""
    avoided = {row["dicom_id"] for row in rows_of(folder / SILVER / "splits/images_to_avoid.csv")}
    count = Counter()
    for split, name in zip(SPLITS, ("train", "valid", "test"), strict=True):
        for row in rows_of(folder / SILVER / f"splits/{name}.csv"):
            report = (folder / row["path"]).parent.with_suffix(".txt").read_text()
            section = re.search(r"^ FINDINGS:(.*?)(?=^ [A-Z ]+:|\Z)", report, re.S | re.M)
            graph_file = folder / SILVER / f"scene_graph/{row['dicom_id']}_SceneGraph.json"
            if row["dicom_id"] in avoided or not section or not re.search("[A-Za-z]", section[1]) or not graph_file.exists():
                continue
            width, height = Image.open((folder / row["path"]).with_suffix(".jpg")).size
            boxes = [o for o in json.loads(graph_file.read_text())["objects"] if o["bbox_name"] in PAPER_REGIONS]
            boxes = [(o["original_x1"], o["original_y1"], o["original_x2"], o["original_y2"]) for o in boxes]
            count[split] += any(x1 != x2 and y1 != y2 and x2 > 0 and y2 > 0 and x1 < width and y1 < height for x1, y1, x2, y2 in boxes)
    return count


def test_the_usable_images_are_exactly_as_many_as_asked_for(folder):
    assert usable(folder) == COUNTS
    assert Counter(row["split"] for row in truth_of(folder) if not row["fault"]) == COUNTS


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 2, 5), (0, 0, 0)])
def test_small_and_empty_populations_have_their_counts_too(tmp_path, counts):
    asked = dict(zip(SPLITS, counts, strict=True))
    generate(tmp_path / "p", **asked, fast=True, workers=1, progress=False)
    assert usable(tmp_path / "p") == Counter({k: v for k, v in asked.items() if v})


def test_every_kind_of_fault_is_there_for_the_reader_to_meet(folder):
    faults = {row["fault"] for row in truth_of(folder)}
    assert faults == {"", "no findings", "missing scene graph", "to be avoided", "no valid box"}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(tmp_path):
    for name, workers in (("one", 1), ("three", 3)):
        generate(tmp_path / name, train=14, validate=2, test=2, seed=5, size_px=96, workers=workers, progress=False)
    generate(tmp_path / "other", train=14, validate=2, test=2, seed=6, size_px=96, workers=1, progress=False)
    assert digest(tmp_path / "one") == digest(tmp_path / "three")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_archives_hold_what_would_lie_in_folders(tmp_path):
    """The layout of the downloads: reports and scene graphs packed, everything else as it was."""
    counts = {"train": 9, "validate": 0, "test": 3, "fast": True, "progress": False}
    generate(tmp_path / "loose", **counts, workers=1)
    for workers in (1, 2):
        generate(tmp_path / f"packed{workers}", **counts, workers=workers, archives=True)
    assert digest(tmp_path / "packed1") == digest(tmp_path / "packed2")
    packed = tmp_path / "packed1"
    for archive, root in (("mimic-cxr-reports.zip", packed), (f"{SILVER}/scene_graph.zip", packed / SILVER)):
        with zipfile.ZipFile(packed / archive) as members:
            members.extractall(root)
        (packed / archive).unlink()
    (packed / "generated.json").write_bytes((tmp_path / "loose/generated.json").read_bytes())
    assert digest(packed) == digest(tmp_path / "loose")


def test_one_split_does_not_change_when_another_grows():
    assert plan("test", 20, 1) == plan("test", 20, 1)
    ids = {study.frontal_ids for p in plan("train", 10, 1) for study in p.studies} | {s.frontal_ids for p in plan("train", 10, 2) for s in p.studies}
    assert len(ids) == sum(len(p.studies) for seed in (1, 2) for p in plan("train", 10, seed))


def test_no_patient_and_no_study_is_in_two_splits():
    patients, studies = Counter(), Counter()
    for split in SPLITS:
        patients.update({p.subject_id for p in plan(split, 400, 3)})
        studies.update(study.study_id for p in plan(split, 400, 3) for study in p.studies)
    assert max(patients.values()) == max(studies.values()) == 1
    assert all(10_000_000 <= p < 20_000_000 for p in patients)
    assert all(50_000_000 <= s < 60_000_000 for s in studies)


def test_some_patients_come_twice_and_some_studies_have_two_images():
    plans = plan("train", 300, 3)
    assert any(len(p.studies) > 1 for p in plans)
    assert any(len(study.frontal_ids) > 1 for p in plans for study in p.studies)


def test_tables_have_the_columns_of_the_real_ones(folder):
    metadata = rows_of(folder / "mimic-cxr-2.0.0-metadata.csv.gz")
    splits = rows_of(folder / "mimic-cxr-2.0.0-split.csv.gz")
    chexpert = rows_of(folder / "mimic-cxr-2.0.0-chexpert.csv.gz")
    assert tuple(metadata[0]) == METADATA
    assert tuple(splits[0]) == ("dicom_id", "study_id", "subject_id", "split")
    assert tuple(chexpert[0]) == ("subject_id", "study_id", *CHEXPERT)
    assert {value for row in chexpert for name, value in row.items() if name in CHEXPERT} <= {"1.0", "0.0", "-1.0", ""}
    assert (folder / SILVER / "splits/train.csv").read_text().startswith(",subject_id,study_id,dicom_id,path,ViewPosition\n0,")
    assert (folder / SILVER / "splits/images_to_avoid.csv").read_text().startswith("subject_id,study_id,dicom_id,path,ViewPosition\n1")
    assert {row["dicom_id"] for row in metadata} == {row["dicom_id"] for row in splits} == {p.stem for p in folder.rglob("*.jpg")}


def test_metadata_tells_the_size_of_every_image(folder):
    for row in rows_of(folder / "mimic-cxr-2.0.0-metadata.csv.gz"):
        path = folder / f"files/p{row['subject_id'][:2]}/p{row['subject_id']}/s{row['study_id']}/{row['dicom_id']}.jpg"
        with Image.open(path) as image:
            assert (image.mode, image.width, image.height) == ("L", int(row["Columns"]), int(row["Rows"]))


def test_lateral_views_are_in_the_metadata_but_not_in_imagenome(folder):
    lateral = {row["dicom_id"] for row in rows_of(folder / "mimic-cxr-2.0.0-metadata.csv.gz") if row["ViewPosition"] == "LATERAL"}
    listed = {row["dicom_id"] for name in ("train", "valid", "test") for row in rows_of(folder / SILVER / f"splits/{name}.csv")}
    assert lateral
    assert not lateral & listed


def test_reports_keep_the_form_of_mimic(folder):
    for path in folder.glob("files/*/*/*.txt"):
        text = path.read_text()
        assert max(map(len, text.splitlines())) <= 79
        assert re.search(r"^ {20,}FINAL REPORT$", text, re.M)
        assert re.search(r"^ (INDICATION|HISTORY|REASON FOR EXAM): ", text, re.M)
        assert not re.search(r"^[A-Z]", text, re.M), "every header and every line of text begins with a blank"
        assert "a~" not in text.lower()
        assert "{" not in text
        assert "  " not in re.sub(r"(?m)^ +", "", text).replace("ADDENDUM  ", "")


def test_scene_graphs_have_parallel_lists_and_boxes_in_both_frames(folder):
    names = set()
    for path in (folder / SILVER / "scene_graph").glob("*_SceneGraph.json"):
        graph = json.loads(path.read_text())
        image = next((folder / "files").rglob(f"{graph['image_id']}.jpg"))
        width, height = Image.open(image).size
        for o in graph["objects"]:
            names.add(o["bbox_name"])
            assert o["object_id"] == f"{graph['image_id']}_{o['bbox_name']}"
            assert (o["original_width"], o["original_height"]) == (o["original_x2"] - o["original_x1"], o["original_y2"] - o["original_y1"])
            scale = 224 / max(width, height)
            assert abs(o["x1"] - (o["original_x1"] * scale + (224 - width * scale) / 2)) <= 0.5
            assert abs(o["y2"] - (o["original_y2"] * scale + (224 - height * scale) / 2)) <= 0.5
        for entry in graph["attributes"]:
            lists = (
                "attributes",
                "attributes_ids",
                "phrases",
                "phrase_IDs",
                "sections",
                "comparison_cues",
                "temporal_cues",
                "severity_cues",
                "texture_cues",
            )
            assert len({len(entry[name]) for name in lists}) == 1
            assert isinstance(entry[entry["bbox_name"]], bool)
            assert all(label.count("|") == 2 for labels in entry["attributes"] for label in labels)
            assert all(sum(label.startswith("nlp|yes|") for label in labels) <= 1 for labels in entry["attributes"])
    assert len(names) == 36
    assert set(REGIONS) <= names


def test_phrases_are_about_as_available_as_in_chest_imagenome(tmp_path):
    # Shares of training images with a sentence: spec 1.3, from RGRG's dataset statistics.
    generate(tmp_path / "p", train=500, validate=0, test=0, fast=True, workers=1, progress=False)
    count: Counter = Counter()
    graphs = [json.loads(p.read_text()) for p in (tmp_path / "p" / SILVER / "scene_graph").iterdir()]
    for graph in graphs:
        count.update(entry["bbox_name"] for entry in graph["attributes"])
    printed = {"left lung": 0.97, "cardiac silhouette": 0.76, "left costophrenic angle": 0.73, "mediastinum": 0.72}
    printed |= {"right hilar structures": 0.58, "upper mediastinum": 0.40, "left lower lung zone": 0.38}
    assert {name: round(count[name] / len(graphs), 2) for name in printed} == pytest.approx(printed, abs=0.09)


def test_follow_up_studies_compare_with_the_earlier_image(folder):
    relations = [r for p in (folder / SILVER / "scene_graph").iterdir() for r in json.loads(p.read_text())["relationships"]]
    assert relations
    known = {row["dicom_id"] for row in truth_of(folder)}
    for relation in relations:
        now, before = relation["subject_id"].split("_")[0], relation["object_id"].split("_")[0]
        assert now != before
        assert {now, before} <= known
        assert relation["relationship_names"][0].removeprefix("comparison|yes|") in ("no change", "worsened", "improved")


def test_truth_names_14_lesions_and_29_boxes_within_the_image(folder):
    for row in truth_of(folder):
        width, height = Image.open(folder / row["path"]).size
        assert tuple(x["name"] for x in row["lesions"]) == LESIONS
        assert tuple(row["boxes"]) == REGIONS
        for x1, y1, x2, y2 in row["boxes"].values():
            assert 0 <= x1 <= x2 <= width
            assert 0 <= y1 <= y2 <= height
        for lesion in row["lesions"]:
            assert (lesion["status"] == "positive") == (lesion["severity"] > 0) == bool(lesion["boxes"])
            assert lesion["side"] in ("not mentioned", lesion["drawn_side"]) or (lesion["name"], lesion["side"]) == ("emphysema", "bilateral")
            report = " ".join((folder / row["path"]).parent.with_suffix(".txt").read_text().split())
            assert row["fault"] or lesion["rationale"] in report or lesion["rationale"].split(". ")[0] in report


def test_a_complete_folder_is_left_alone_and_a_foreign_one_is_refused(folder, tmp_path):
    before = (folder / "truth.jsonl").stat().st_mtime_ns
    generate(folder, **COUNTS, size_px=160, workers=1, progress=False)
    assert (folder / "truth.jsonl").stat().st_mtime_ns == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        generate(tmp_path, train=1, validate=0, test=0, fast=True, workers=1, progress=False)
    with pytest.raises(UserError, match="holds something else"):
        generate(folder, train=31, validate=6, test=9, size_px=160, workers=1, progress=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"


PROGRAM = """
import sys
from pathlib import Path
from benchmark.datasets.phantom import generate
generate(Path(sys.argv[1]), train=int(sys.argv[2]), validate=0, test=0, progress=False, {})
"""


def test_a_killed_generation_leaves_nothing_that_looks_complete(tmp_path):
    target = tmp_path / "p"
    run = subprocess.Popen([sys.executable, "-c", PROGRAM.format("size_px=128, workers=2"), str(target), "3000"])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".p.*.part/files/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert run.poll() is None
    workers = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not target.exists()
    assert list(tmp_path.iterdir()), "the killed process could not tidy up"
    assert psutil.wait_procs(workers, timeout=120)[1] == [], "its workers notice within half a second that they are orphans"
    generate(target, train=3, validate=0, test=0, fast=True, workers=1, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert usable(target) == {"train": 3}


def test_two_processes_at_once_make_one_complete_folder(tmp_path):
    target = tmp_path / "p"
    runs = [subprocess.Popen([sys.executable, "-c", PROGRAM.format("fast=True, workers=1"), str(target), "150"]) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert usable(target) == {"train": 150}


def test_the_default_folder_lies_in_the_cache_and_depends_on_the_arguments(monkeypatch, tmp_path):
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    assert default_folder().parent == tmp_path / "phantom"
    assert default_folder() == default_folder(train=1200)
    assert len({default_folder(), default_folder(train=1201), default_folder(seed=1), default_folder(fast=True), default_folder(size_px=1024)}) == 5


def test_larger_images_show_the_same_chest(tmp_path):
    for name, size in (("s", 256), ("l", 512)):
        generate(tmp_path / name, train=2, validate=0, test=0, size_px=size, workers=1, progress=False)
    for small, large in zip(truth_of(tmp_path / "s"), truth_of(tmp_path / "l"), strict=True):
        assert small["lesions"][0]["status"] == large["lesions"][0]["status"]
        a, b = (Image.open(tmp_path / n / row["path"]) for n, row in (("s", small), ("l", large)))
        assert b.width == pytest.approx(a.width * 2, abs=3)
        again = np.asarray(b.resize(a.size, Image.Resampling.BOX)).astype(float)
        assert np.corrcoef(again.ravel(), np.asarray(a).astype(float).ravel())[0, 1] > 0.98


def test_a_contact_sheet_shows_as_many_as_there_are(folder, tmp_path):
    contact_sheet(folder, tmp_path / "deep" / "sheet.png", 8)
    sheet = np.asarray(Image.open(tmp_path / "deep" / "sheet.png"))
    assert sheet.shape == (2 * 330, 6 * 300)
    assert sheet[:300, :300].std() > 30
    assert sheet[330:, 2 * 300 :].max() == 0, "eight images leave four empty places"
