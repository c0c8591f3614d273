"""Looking a dataset over: counts by hand, the faults that phantoms are written with, published counts beside one's own, and what is left on disk."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data_check import DataCheck, account_of, check_data, count_split, kinds_of, write_check
from benchmark.datasets import imagenome_account
from benchmark.datasets.account import Account
from benchmark.datasets.entries import Entry
from benchmark.datasets.phantom import generate
from benchmark.datasets.split import PAPER_IMAGES
from benchmark.evaluator import run
from benchmark.inputs import open_dataset
from benchmark.problems_file import write_problems
from benchmark.records import Case, ImageFile, Problem, Reference, RunConfig, UserError


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of 12, 4 and 6 usable images; each split has one image to avoid, one without FINDINGS, without scene graph, without valid box."""
    root = tmp_path_factory.mktemp("physionet") / "data"
    generate(root, train=12, validate=4, test=6, fast=True, workers=1, progress=False)
    return root


@pytest.fixture(scope="module")
def checked(phantoms: Path) -> DataCheck:
    return check_data("chest_imagenome", root=phantoms)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four rows of which one has no image and one no report."""
    for name in ("a", "b", "d"):
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(tmp_path / f"{name}.png")
    rows = ["image,report,patient,split,boxes", "a.png,Clear lungs.,p1,train,", "b.png,,p2,test,", "c.png,Clear.,p3,test,"]
    rows.append('d.png,Large heart.,p4,test,"{""cardiac silhouette"": [5, 5, 40, 15]}"')
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "cases.csv"


def command(*words: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, text=True, timeout=120)
    assert answer.returncode == check, answer.stdout + answer.stderr
    return answer


def published(check: DataCheck, what: str) -> dict[str, tuple[int, int]]:
    """split -> here, published."""
    return {one.split: (one.found, one.published) for one in check.account.besides if one.what.startswith(what)}


def test_what_the_cases_have_is_counted() -> None:
    frontal, lateral = ImageFile(Path("a.jpg"), "PA"), ImageFile(Path("b.jpg"), "LATERAL")
    cases = [
        Case("1", "p1", "s1", (frontal, lateral), indication="Cough.", prior_report="Clear."),
        Case("2", "p1", "s1", (frontal,), indication=" ", prior_image=Path("c.jpg")),
        Case("3", "p2", "s2", (frontal,)),
    ]
    box = (0.0, 0.0, 1.0, 1.0)
    references = [
        Reference("1", "Lungs are clear.", {"left lung": "Clear.", "svc": ""}, {"left lung": box, "spine": box}),
        Reference("2", "", {}, {"left lung": box}),
        Reference("3", "No change.", {"left lung": "Clear."}),
    ]
    found = count_split(cases, references)
    assert (found.cases, found.patients, found.studies, found.with_report, found.with_indication) == (3, 2, 2, 2, 1)
    assert (found.with_lateral, found.with_prior, found.with_lesions, found.words) == (1, 2, 0, 2.5)
    assert (found.boxes, found.paper_boxes) == (1.0, 2 / 3)
    assert found.with_sentence == {"left lung": 2}


def test_a_split_without_cases_has_no_means() -> None:
    found = count_split([], [])
    assert found.cases == 0
    assert np.isnan([found.words, found.boxes, found.paper_boxes]).all()


def test_what_the_phantoms_were_spoiled_with_is_found_by_kind_and_split(phantoms: Path, checked: DataCheck) -> None:
    drawn = [json.loads(line) for line in (phantoms / "truth.jsonl").read_text().splitlines()]
    named = {
        "no findings": "no findings",
        "missing scene graph": "missing scene graph",
        "to be avoided": "image to avoid",
        "no valid box": "no valid box",
    }
    expected = Counter(named[row["fault"]] for row in drawn if row["fault"])
    assert {kind.name: kind.count for kind in checked.kinds if kind.name in named.values()} == expected
    assert all(kind.by_split == {"train": 1, "validate": 1, "test": 1} for kind in checked.kinds if kind.name in named.values())
    assert [kind.name for kind in checked.kinds if kind.is_fault] == ["missing scene graph"]
    assert checked.faults == 3
    assert {split: found.cases for split, found in checked.splits.items()} == {"train": 12, "validate": 4, "test": 6}
    assert checked.account.listed == {"train": 16, "validate": 8, "test": 10}


def test_counts_stand_beside_the_papers(checked: DataCheck) -> None:
    any_box, all_boxes = published(checked, "images used, required=any"), published(checked, "images used, required=all")
    assert any_box == {"train": (12, 111_326), "validate": (4, 15_640), "test": (6, 31_255)}
    assert all_boxes["train"] == any_box["train"]
    for split in ("validate", "test"):
        assert all_boxes[split][0] == sum(len(entry) == 29 for entry in boxes_of(checked.dataset, split)) <= any_box[split][0]
    assert published(checked, "scene graphs missing") == {"train": (1, 17), "validate": (1, 2), "test": (1, 4)}
    assert published(checked, "images to avoid") == {"": (3, 3_821)}


def boxes_of(dataset: str, split: str) -> list[dict[str, tuple[float, float, float, float]]]:
    return [dict(reference.boxes) for reference in open_dataset(dataset, {}).references(split)]


def test_test_images_that_others_were_trained_on_are_counted(phantoms: Path, tmp_path: Path) -> None:
    """Half of the test images are put into MIMIC-CXR's train split: the phantoms' own split file agrees with Chest ImaGenome's."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in phantoms.iterdir():
        (copy / part.name).symlink_to(part)
    with gzip.open(phantoms / "mimic-cxr-2.0.0-split.csv.gz", "rt") as file:
        header, *rows = csv.reader(file)
    listed = {row["dicom_id"] for row in csv.DictReader((phantoms / "chest-imagenome-dataset-1.0.0/silver_dataset/splits/test.csv").open())}
    moved = sorted(listed)[::2]
    rows = [[*row[:3], "train" if row[0] in moved else row[3]] for row in rows]
    (copy / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    (copy / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(gzip.compress("\n".join(map(",".join, [header, *rows])).encode()))
    check = check_data("chest_imagenome", ["test"], root=copy)
    assert published(check, "test images in MIMIC-CXR's train split") == {"test": (len(moved), 39_243)}
    used = {image.id for image in images_of(check.dataset)}
    assert f"Of the 6 cases of the test split, {len(used & set(moved))} are in MIMIC-CXR's official train split" in check.account.notes[0]
    assert list(check.splits) == ["test"]


@pytest.mark.parametrize("options", [{"split_rule": "stratified"}, {"required": "all"}, {"unit": "study"}, {"required": "all", "unit": "study"}])
def test_cases_that_others_were_trained_on_are_counted_among_those_that_a_run_tests(phantoms: Path, tmp_path: Path, options: dict[str, str]) -> None:
    """All but one image are in MIMIC-CXR's train split, in a word that not everybody writes so."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in phantoms.iterdir():
        if part.name != "mimic-cxr-2.0.0-split.csv.gz":
            (copy / part.name).symlink_to(part)
    settings = {f"chest_imagenome.{name}": value for name, value in options.items()}
    cases = open_dataset(f"chest_imagenome:{phantoms}", settings).cases("test")
    kept_apart = cases[0].images[0].id
    with gzip.open(phantoms / "mimic-cxr-2.0.0-split.csv.gz", "rt") as file:
        header, *rows = csv.reader(file)
    rows = [[*row[:3], "test" if row[0] == kept_apart else "TRAIN"] for row in rows]
    (copy / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(gzip.compress("\n".join(map(",".join, [header, *rows])).encode()))
    check = check_data("chest_imagenome", ["test"], settings, root=copy)
    (note,) = [note for note in check.account.notes if "official train split" in note]
    assert note.startswith(f"Of the {len(cases)} cases of the test split, {len(cases) - 1} are in MIMIC-CXR's official train split")
    assert check.splits["test"].cases == len(cases) > 1


def images_of(dataset: str) -> list[ImageFile]:
    return [case.images[0] for case in open_dataset(dataset, {}).cases("test")]


def test_parts_are_named_with_their_versions_and_missing_ones_with_what_follows(phantoms: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in phantoms.iterdir():
        if "metadata" not in part.name:
            (copy / part.name).symlink_to(part)
    (copy / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("study_id\n")
    parts = {part.name: part for part in check_data("chest_imagenome", ["test"], root=copy).account.parts}
    assert parts["radiographs"].what.startswith("MIMIC-CXR-JPG 2.1.0, ")  # whose tables are still called 2.0.0
    assert parts["scene graphs"].what == "Chest ImaGenome 1.0.0, a folder"
    assert parts["radiographs"].is_whole == (len(list((phantoms / "files").iterdir())) == 10)
    assert parts["metadata"].where is None
    assert "no views" in parts["metadata"].what
    assert parts["gold standard"].where is None


def test_a_part_of_the_archive_is_told_by_its_groups(phantoms: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "files").mkdir(parents=True)
    for part in phantoms.iterdir():
        if part.name != "files":
            (copy / part.name).symlink_to(part)
    groups = sorted(group.name for group in (phantoms / "files").iterdir())
    for group in groups[1:]:
        (copy / "files" / group).symlink_to(phantoms / "files" / group)
    check = check_data("chest_imagenome", root=copy)
    assert not check.account.parts[0].is_whole
    assert f"not {groups[0]}" in check.account.parts[0].what
    assert {"missing image"} <= {kind.name for kind in check.kinds if kind.is_fault}


def test_a_stratified_split_is_told_from_the_official_lists(phantoms: Path) -> None:
    check = check_data("chest_imagenome", root=phantoms, options={"chest_imagenome.split_rule": "stratified"})
    assert sum(found.cases for found in check.splits.values()) == 22
    assert check.account.listed == {"train": 16, "validate": 8, "test": 10}
    rule, errors, leak = check.account.notes
    assert rule == "The cases are of the stratified split; lists, problems and published counts are of Chest ImaGenome's official one."
    cases = {split: found.cases for split, found in check.splits.items()}
    worst = max(abs(cases[split] / 22 - wished / sum(PAPER_IMAGES)) for split, wished in zip(cases, PAPER_IMAGES, strict=True))
    assert errors.startswith(f"Stratified: no split's share of the images is off by more than {100 * worst:.1f} points, none of a lesion's ")
    with gzip.open(phantoms / "mimic-cxr-2.0.0-split.csv.gz", "rt") as file:
        official = {row["dicom_id"]: row["split"] for row in csv.DictReader(file)}
    tested = open_dataset(f"chest_imagenome:{phantoms}", {"chest_imagenome.split_rule": "stratified"}).cases("test")
    seen = sum(official[case.images[0].id] == "train" for case in tested)
    assert leak.startswith(f"Of the {cases['test']} cases of the test split, {seen} are in MIMIC-CXR's official train split")
    assert check.account.listed_as == "images listed officially"
    answer = command("data", "check", "--dataset", "chest_imagenome", "--root", str(phantoms), "--set", "chest_imagenome.split_rule=stratified")
    assert "images listed officially" in answer.stdout


def test_the_23_scene_graphs_that_all_copies_lack_are_no_fault_of_this_one() -> None:
    lists = {}
    for split, count, missing in zip(("train", "validate", "test"), imagenome_account.LISTED, imagenome_account.NO_GRAPHS, strict=True):
        lists[split] = [Entry("1", "2", "a", left_out="missing scene graph")] * missing + [Entry("1", "2", "b")] * (count - missing)
    assert sum(imagenome_account.NO_GRAPHS) == 23
    assert imagenome_account.lacks_what_all_lack(lists)
    assert "missing scene graph" in imagenome_account.no_faults(lists)
    lists["test"] = [Entry("1", "2", "a", left_out="missing scene graph"), *lists["test"][:-1]]
    assert not imagenome_account.lacks_what_all_lack(lists)
    assert "missing scene graph" not in imagenome_account.no_faults(lists)


def test_a_manifests_problems_know_their_split(table: Path) -> None:
    check = check_data("manifest", root=table)
    assert {kind.name: (kind.by_split, kind.first.where) for kind in check.kinds} == {
        "missing image": ({"test": 1}, f"line 4: {table.parent / 'c.png'}"),
        "no report": ({"test": 1}, "line 3"),
        "box clipped": ({"test": 1}, "line 5: cardiac silhouette"),
    }
    assert check.account.listed == {"train": 1, "validate": 0, "test": 3}
    assert {part.name: part.what for part in check.account.parts}["report"] == "column 'report'"
    assert not check_data("manifest", ["train"], root=table).kinds


class Plain:
    """A dataset of somebody's own, with what the contract asks for and no more."""

    name, is_credentialed, note = "plain", False, ""

    def cases(self, split: str) -> list[Case]:
        return []

    def references(self, split: str) -> list[Reference]:
        return []

    def fingerprint(self, split: str) -> str:
        return "0"

    def problems(self) -> list[Problem]:
        return [Problem("torn page", "page 3")]


def test_a_dataset_that_does_not_account_for_itself_is_checked_by_its_problems() -> None:
    account = account_of(Plain(), ["test"])
    assert account == Account(problems={"": [Problem("torn page", "page 3")]})
    (kind,) = kinds_of([(Problem("torn page", "page 3"), "")], account.by_rule)
    assert (kind.is_fault, kind.count, dict(kind.by_split)) == (True, 1, {})


def test_faults_come_before_what_rules_leave_out() -> None:
    problems = [(Problem("by rule", str(number)), "test") for number in range(3)] + [(Problem("torn", "x"), "train")]
    assert [(kind.name, kind.count) for kind in kinds_of(problems, frozenset({"by rule"}))] == [("torn", 1), ("by rule", 3)]


def test_counts_and_problems_are_written_and_no_text_of_a_report_is(checked: DataCheck, tmp_path: Path) -> None:
    write_check(checked, tmp_path / "checked")
    rows = list(csv.DictReader((tmp_path / "checked" / "problems.csv").open()))
    assert Counter(row["kind"] for row in rows) == {kind.name: kind.count for kind in checked.kinds}
    assert {row["split"] for row in rows} == {"train", "validate", "test"}
    counts = json.loads((tmp_path / "checked" / "counts.json").read_text())
    assert counts["splits"]["test"]["cases"] == 6
    assert counts["faults"] == 3
    assert counts["images_listed"]["test"] == 10
    written = "".join(file.read_text() for file in (tmp_path / "checked").iterdir())
    sentences = {sentence for entry in sentences_of(checked.dataset) for sentence in entry.values()}
    assert sentences
    assert not [sentence for sentence in sentences if sentence in written]
    assert (tmp_path / "checked").stat().st_mode & 0o077 == 0


def sentences_of(dataset: str) -> list[dict[str, str]]:
    return [dict(reference.region_sentences) for reference in open_dataset(dataset, {}).references("test")]


def test_json_of_an_empty_split_is_json(table: Path, tmp_path: Path) -> None:
    write_check(check_data("manifest", ["validate"], root=table), tmp_path / "checked")
    text = (tmp_path / "checked" / "counts.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["splits"]["validate"]["words"] is None


def test_problems_are_a_file_only_where_there_are_any(tmp_path: Path) -> None:
    write_problems(tmp_path, [(Problem("no report", "line 3", 'says "none", twice'), "test")])
    assert (tmp_path / "problems.csv").read_text() == 'kind,where,what,split\nno report,line 3,"says ""none"", twice",test\n'
    write_problems(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_the_command_prints_counts_and_its_status_tells_faults_under_strict(table: Path, tmp_path: Path) -> None:
    words = ("data", "check", "--dataset", "manifest", "--root", str(table))
    answer = command(*words, "--out", str(tmp_path / "checked"))
    for expected in ("what is there", "column 'report'", "no report", "3 faults of the files", str(tmp_path / "checked")):
        assert expected in answer.stdout
    assert sorted(file.name for file in (tmp_path / "checked").iterdir()) == [".gitignore", "counts.json", "problems.csv"]
    assert "3 faults" in command(*words, "--strict", check=1).stdout


def test_a_wrong_root_is_one_line_and_status_two() -> None:
    answer = command("data", "check", "--dataset", "chest_imagenome", "--root", "nowhere", check=2)
    assert answer.stderr.startswith("error: ")
    assert "the root nowhere is not there" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_two_places_or_an_unknown_split_are_refused() -> None:
    with pytest.raises(UserError, match=r"--dataset manifest:a\.csv names a place already, and --root b\.csv another; give one"):
        check_data("manifest:a.csv", root=Path("b.csv"))
    with pytest.raises(UserError, match="there is no split 'tst' to check; there is: train, validate, test"):
        check_data("phantom", ["tst"])


def test_unknown_settings_are_refused(table: Path) -> None:
    with pytest.raises(UserError, match=r"the setting 'manifesto.columns' is for nothing"):
        check_data("manifest", options={"manifesto.columns": "image=x"}, root=table)


def test_a_run_leaves_the_problems_of_its_dataset_beside_its_seal(table: Path, tmp_path: Path) -> None:
    config = RunConfig(("constant",), ("rouge_l",), f"manifest:{table}", draws=20, strata=False, workers=1)
    run(config, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "problems.csv").open()))
    assert sorted(row["kind"] for row in rows) == ["box clipped", "missing image", "no report"]
    sealed = (tmp_path / "run" / "run.json").read_text()
    assert "problems.csv" in json.loads(sealed)["files"]
    run(config, tmp_path / "run")  # again: nothing stands in its way
    assert list(csv.DictReader((tmp_path / "run" / "problems.csv").open())) == rows


def test_a_run_that_is_refused_leaves_no_problems_behind(table: Path, tmp_path: Path) -> None:
    config = RunConfig((f"reports_file:{tmp_path / 'nowhere.csv'}",), ("rouge_l",), f"manifest:{table}")
    with pytest.raises(UserError):
        run(config, tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir() if file.name != ".lock"] == []


def test_the_real_collection_beside_its_published_counts(real_data: Path) -> None:
    """3,955 reports with 7,470 images, of which eight are here; R2Gen's split has 2,069, 296 and 590 of them."""
    check = check_data("iu_xray", root=real_data / "iu_xray")
    assert published(check, "reports") == {"": (3_955, 3_955), "train": (2_069, 2_069), "validate": (296, 296), "test": (590, 590)}
    assert published(check, "images that the reports name") == {"": (7_470, 7_470)}
    assert published(check, "images on disk") == {"": (8, 7_470)}
    missing = {kind.name: (kind.is_fault, dict(kind.by_split)) for kind in check.kinds}["missing image"]
    assert missing == (True, {"train": 2_065, "validate": 296, "test": 590})
