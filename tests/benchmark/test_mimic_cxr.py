"""MIMIC-CXR read from small trees made here and from phantoms in its layout: either split, every target, every fault.

All patients and reports are invented.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from mimic_trees import Tree
from PIL import Image

from benchmark.datasets.columns import BadTable
from benchmark.datasets.mimic_cases import NoRoot, StoppedAtProblem
from benchmark.datasets.mimic_cxr import AmbiguousAnnotation, MimicCXR, UnknownView
from benchmark.datasets.mimic_tree import NoSuchTree
from benchmark.datasets.phantom.write import generate
from benchmark.datasets.r2gen_annotation import BadAnnotation
from benchmark.datasets.split import SharedPatient, UnknownSplit
from benchmark.records import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """A patient with two studies in test, the second with a lateral; one in validate, whose report has an impression alone; one in train."""
    tree = Tree(tmp_path / "physionet")
    tree.image("b-old", "10000032", "50000002", day=1, findings="Old\n findings.", indication="Fever.")
    tree.image("b-new", "10000032", "50000001", day=5, view="AP")
    tree.image("b-lat", "10000032", "50000001", day=5, view="LATERAL")
    tree.image("v-one", "10000764", "50000003", findings="")
    tree.image("t-one", "10000898", "50000004")
    tree.official = {"v-one": "validate", "t-one": "train"}
    tree.write()
    return tree


def ids(dataset, split="test"):
    return [case.id for case in dataset.cases(split)]


def texts(dataset, split="test"):
    return [reference.report for reference in dataset.references(split)]


def kinds(dataset):
    return Counter(problem.kind for problem in dataset.problems())


def annotate(tree, items, name="annotation.json"):
    """R2Gen's file: split key -> (dicom, subject, study, report) of each item."""

    def item(dicom, subject, study, report):
        path = f"p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"
        return {"id": dicom, "study_id": int(study), "subject_id": int(subject), "report": report, "image_path": [path]}

    (tree.root / name).write_text(json.dumps({key: [item(*one) for one in listed] for key, listed in items.items()}))


OLD = ("b-old", "10000032", "50000002", "The\n old report .")
LATERAL = ("b-lat", "10000032", "50000001", "the lateral .")
TRAIN = ("t-one", "10000898", "50000004", "to learn from .")


# --- the official split ---


def test_cases_are_the_frontal_images_of_mimics_own_split(tree):
    dataset = MimicCXR(str(tree.root))
    assert (ids(dataset, "train"), ids(dataset, "validate"), ids(dataset)) == (["t-one"], [], ["b-new", "b-old"])
    assert texts(dataset) == ["Findings of 50000001.", "Old findings."]
    assert kinds(dataset) == {"other view": 1, "no findings": 1}
    assert (dataset.is_credentialed, [case.boxes for case in dataset.cases("test")]) == (True, [None, None])


def test_a_case_carries_context_laterals_and_the_study_before(tree):
    new, old = MimicCXR(str(tree.root)).cases("test")
    assert [(image.id, image.view) for image in new.images] == [("b-new", "AP"), ("b-lat", "LATERAL")]
    assert (old.indication, old.technique, old.comparison, old.prior_report) == ("Fever.", "Chest PA.", "None.", "")
    assert (new.prior_report, new.prior_image) == ("Old findings. Impression of 50000002.", old.images[0].path)
    assert all(image.path.is_file() for image in new.images)


@pytest.mark.parametrize(
    ("target", "test", "validate"),
    [
        ("findings", ["Findings of 50000001.", "Old findings."], []),
        ("impression", ["Impression of 50000001.", "Impression of 50000002."], ["Impression of 50000003."]),
        (
            "findings+impression",
            ["Findings of 50000001. Impression of 50000001.", "Old findings. Impression of 50000002."],
            ["Impression of 50000003."],
        ),
    ],
)
def test_the_target_says_which_section_is_the_reference(tree, target, test, validate):
    dataset = MimicCXR(str(tree.root), target=target)
    assert (texts(dataset), texts(dataset, "validate")) == (test, validate)
    assert [word in dataset.note for word in ("FINDINGS", "IMPRESSION")] == [target == "findings+impression", target != "findings"]


@pytest.mark.parametrize(
    ("target", "report", "kind"),
    [
        ("findings", " IMPRESSION: Fine.\n", "no findings"),
        ("impression", " FINDINGS: Fine.\n", "no impression"),
        ("findings+impression", " HISTORY: Cough.\n", "neither findings nor impression"),
        ("findings+impression", " FINDINGS: ___\n", "neither findings nor impression"),
    ],
)
def test_a_report_without_the_target_is_left_out_by_rule(tree, target, report, kind):
    tree.report_file("10000898", "50000004").write_text(f"FINAL REPORT\n{report}")
    dataset = MimicCXR(str(tree.root), target=target, strict=True)
    assert ids(dataset, "train") == []
    (problem,) = dataset.problems()
    assert (problem.kind, problem.where) == (kind, "p10000898/s50000004.txt")


def test_a_special_study_has_no_reference(tree):
    """The official files of sections leave it out; its text would be parsed as anyone's."""
    tree.image("special", "10000898", "50913680")
    tree.official["special"] = "train"
    tree.write()
    assert ids(MimicCXR(str(tree.root), target="findings+impression"), "train") == ["t-one"]


@pytest.mark.parametrize(
    ("views", "expected"),
    [("pa", ["b-old"]), (" AP , PA ", ["b-new", "b-old"]), ("LATERAL", ["b-lat"]), ("PA,AP,LATERAL", ["b-lat", "b-new", "b-old"])],
)
def test_views_are_the_users_to_choose(tree, views, expected):
    assert ids(MimicCXR(str(tree.root), views=views)) == expected


def test_a_view_that_no_image_is_of_is_refused_with_those_that_there_are(tree):
    tree.image("b-xt", "10000032", "50000001", day=5, view="XTABLE LATERAL")
    tree.write()
    assert ids(MimicCXR(str(tree.root), views="xtable lateral")) == ["b-xt"]
    words = (
        r"views was to name 'XX', which no image is; mimic-cxr-2\.0\.0-metadata\.csv\.gz has PA \(3\), AP \(1\), LATERAL \(1\), XTABLE LATERAL \(1\)"
    )
    for views in ("XX", "PA,XX"):
        with pytest.raises(UnknownView, match=words):
            MimicCXR(str(tree.root), views=views).cases("test")


def test_a_case_per_study_takes_pa_before_ap_and_the_studys_name(tree):
    tree.image("z-pa", "10000032", "50000001", day=5)
    new, old = MimicCXR(str(tree.write()), unit="study").cases("test")
    assert (new.id, [image.id for image in new.images]) == ("s50000001", ["z-pa", "b-new", "b-lat"])
    assert old.id == "s50000002"


def test_chest_imagenome_beside_it_changes_nothing(tree):
    before = MimicCXR(str(tree.root))
    expected = before.cases("test"), before.references("test"), before.fingerprint("test")
    shutil.rmtree(tree.root / "chest-imagenome-dataset-1.0.0")
    after = MimicCXR(str(tree.root))
    assert (after.cases("test"), after.references("test"), after.fingerprint("test")) == expected


# --- R2Gen's annotation.json ---


def test_r2gens_items_decide_which_images_which_split_and_which_text(tree):
    """Of any view, and even where the official split and the report say otherwise."""
    annotate(tree, {"train": [TRAIN], "val": [], "test": [OLD, LATERAL]})
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert (ids(dataset), texts(dataset)) == (["b-lat", "b-old"], ["the lateral .", "The old report ."])
    assert (ids(dataset, "train"), ids(dataset, "validate")) == (["t-one"], [])
    lateral = dataset.cases("test")[0]
    assert (lateral.images[0].view, lateral.indication, lateral.prior_report) == ("LATERAL", "Cough.", "Old findings. Impression of 50000002.")
    assert dataset.problems() == []
    assert dataset.note == "References are the texts of R2Gen's annotation.json, and its split."


@pytest.mark.parametrize("keys", [("train", "val", "    "), (" train", "val ", "test"), ("TRAIN", "validate", "test")])
def test_keys_of_people_s_copies_are_understood(tree, keys):
    annotate(tree, dict(zip(keys, ([TRAIN], [], [OLD]), strict=True)))
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert (ids(dataset), ids(dataset, "train")) == (["b-old"], ["t-one"])


def test_items_without_numbers_are_found_by_their_path(tree):
    item = {"id": "b-old", "report": "Fine .", "image_path": ["p10/p10000032/s50000002/b-old.jpg"], " split ": " test"}
    (tree.root / "annotation.json").write_text(json.dumps({"train": [item], "val": [], "test": []}))
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert [(case.id, case.patient, case.study) for case in dataset.cases("test")] == [("b-old", "10000032", "50000002")]


def test_r2gen_needs_images_and_its_file_alone(tree):
    """The copy that R2Gen's authors hand out has neither tables nor reports."""
    annotate(tree, {"train": [], "val": [], "test": [OLD]})
    for path in [*tree.root.glob("*.csv.gz"), *tree.root.glob("files/p*/p*/s*.txt")]:
        path.unlink()
    (tree.root / "files").rename(tree.root / "images")
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    (case,) = dataset.cases("test")
    assert (case.id, case.images[0].view, case.indication, case.prior_image) == ("b-old", "", "", None)
    assert kinds(dataset) == {"missing metadata": 1, "missing reports": 1}


def test_a_report_that_is_missing_from_the_context_is_named(tree):
    annotate(tree, {"train": [], "val": [], "test": [OLD, LATERAL]})
    tree.report_file("10000032", "50000001").unlink()
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert [(case.id, case.indication) for case in dataset.cases("test")] == [("b-lat", ""), ("b-old", "Fever.")]
    (problem,) = dataset.problems()
    assert (problem.kind, problem.where, problem.what) == ("missing report", "p10000032/s50000001.txt", "the case has no context")


def test_a_prior_report_that_cannot_be_read_is_named_once(tree):
    """Its study is not listed; a folder where the file should be is what a careless copy leaves."""
    tree.image("b-also", "10000032", "50000001", day=5)
    tree.official |= {"b-old": "none"}
    tree.write()
    tree.report_file("10000032", "50000002").unlink()
    tree.report_file("10000032", "50000002").mkdir()
    dataset = MimicCXR(str(tree.root))
    assert [(case.id, case.prior_report) for case in dataset.cases("test")] == [("b-also", ""), ("b-new", "")]
    assert [problem.where for problem in dataset.problems() if problem.kind == "unreadable report"] == ["p10000032/s50000002.txt"]


def test_the_file_can_lie_elsewhere_and_has_to_be_named_if_there_are_two(tree, tmp_path):
    annotate(tree, {"train": [], "val": [], "test": [OLD]})
    (tree.root / "iu").mkdir()
    annotate(tree, {"train": [], "val": [], "test": []}, "iu/annotation.json")
    with pytest.raises(AmbiguousAnnotation, match=r"needs one annotation\.json, found .*annotation\.json, .*--set mimic_cxr\.annotation=PATH"):
        MimicCXR(str(tree.root), split_rule="r2gen").cases("test")
    named = (tree.root / "annotation.json").rename(tmp_path / "named.json")
    assert ids(MimicCXR(str(tree.root), split_rule="r2gen", annotation=named)) == ["b-old"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "lists of items with an id under train, val and test; found something else"),
        ('{"train": [', "found something else"),
        ('{"a": [], "b": [], "c": []}', "was to have the splits train, val and test, found 'a', 'b', 'c'"),
        ('{"train": [{"id": "CXR1_IM-0001", "report": "Fine.", "image_path": ["CXR1_IM-0001/0.png"]}], "val": [], "test": []}', "that of IU X-Ray"),
    ],
)
def test_another_json_is_refused_with_what_it_holds(tree, content, words):
    (tree.root / "annotation.json").write_text(content)
    with pytest.raises(BadAnnotation) as caught:
        MimicCXR(str(tree.root), split_rule="r2gen").cases("test")
    assert words in str(caught.value)


def test_a_file_that_is_not_where_it_is_said_to_be_is_refused(tree, tmp_path):
    with pytest.raises(
        BadAnnotation, match=r"elsewhere\.json: R2Gen's annotation\.json cannot be read \(No such file or directory\); check the path"
    ):
        MimicCXR(str(tree.root), split_rule="r2gen", annotation=tmp_path / "elsewhere.json").cases("test")


def test_an_item_whose_path_is_another_images_is_left_out_and_named(tree):
    """Its ids say the new study, its path the old one: nobody knows which image the report is of."""
    items = [
        {"id": "b-new", "subject_id": 10000032, "study_id": 50000001, "report": "Fine .", "image_path": [f"p10/p10000032/s5000000{path}.jpg"]}
        for path in ("2/b-old", "1/b-lat")
    ]
    (tree.root / "annotation.json").write_text(json.dumps({"train": [], "val": [], "test": items}))
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert ids(dataset) == []
    assert [(problem.kind, problem.where, problem.what) for problem in dataset.problems()] == [
        ("unusable row", f"annotation.json, item {number}: b-new", f"its ids say p10000032/s50000001/b-new, its path p10000032/s5000000{path}")
        for number, path in ((1, "2/b-old"), (2, "1/b-lat"))
    ]


def test_one_file_reached_over_a_link_is_one_annotation(tree):
    annotate(tree, {"train": [], "val": [], "test": [OLD]})
    (tree.root / "latest").symlink_to(".")
    (tree.root / "mimic_annotation_all.json").symlink_to("annotation.json")
    assert ids(MimicCXR(str(tree.root), split_rule="r2gen")) == ["b-old"]


def test_a_json_of_a_thousand_brackets_is_refused(tree):
    (tree.root / "annotation.json").write_text('{"train": ' + "[" * 100_000)
    with pytest.raises(BadAnnotation, match="found something else"):
        MimicCXR(str(tree.root), split_rule="r2gen").cases("test")


def test_items_that_cannot_be_used_are_left_out_and_named(tree):
    bad = ("x-one", "10000032", "50000009", "Not on disk .")
    annotate(tree, {"train": [], "val": [], "test": [OLD, OLD, bad, (*LATERAL[:3], " ")]})
    dataset = MimicCXR(str(tree.root), split_rule="r2gen")
    assert ids(dataset) == ["b-old"]
    assert kinds(dataset) == {"duplicate image id": 1, "missing image": 1, "no findings": 1}
    assert {problem.where for problem in dataset.problems()} == {
        "annotation.json, item 2: b-old",
        "p10000032/s50000009/x-one",
        "annotation.json, item 4: b-lat",
    }


# --- faults ---


def in_another_encoding(tree):
    tree.report_file("10000032", "50000002").write_bytes("x\r\n FINDINGS: Größe normal.\r\n".encode("utf-16"))


def list_twice(tree):
    rewrite(tree, "split", lambda text: f"{text}\nb-old,50000002,10000032,test")


def half_a_row(tree):
    rewrite(tree, "split", lambda text: text.replace("b-old,50000002,10000032,test", "b-old,5000"))


def rewrite(tree, table, change):
    path = tree.root / f"mimic-cxr-2.0.0-{table}.csv.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))


@pytest.mark.parametrize(
    ("spoil", "kind", "where", "what"),
    [
        (lambda tree: (tree.root / "files/p10/p10000032/s50000002/b-old.jpg").unlink(), "missing image", "p10000032/s50000002/b-old", ""),
        (lambda tree: tree.report_file("10000032", "50000002").unlink(), "missing report", "p10000032/s50000002.txt", ""),
        (half_a_row, "unusable row", "mimic-cxr-2.0.0-split.csv.gz, line 2", "without a split"),
        (lambda tree: rewrite(tree, "split", lambda text: text.replace(",10000032,", ",,", 1)), "unusable row", "split.csv.gz, line 2: b-old", ""),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named_or_stopped_at(tree, spoil, kind, where, what):
    spoil(tree)
    dataset = MimicCXR(str(tree.root))
    assert ids(dataset) == ["b-new"]
    (problem,) = [problem for problem in dataset.problems() if problem.kind != "other view"]
    assert problem.kind == kind
    assert problem.where.endswith(where)
    assert what in problem.what
    assert "\n" not in f"{problem.where}{problem.what}"
    with pytest.raises(
        StoppedAtProblem, match=f"mimic_cxr was to be read strictly, and found 1 fault, first {kind}: .*; mend it or leave strict off"
    ):
        MimicCXR(str(tree.root), strict=True).cases("test")


def test_whoever_asks_again_is_stopped_again(tree):
    half_a_row(tree)
    dataset = MimicCXR(str(tree.root), strict=True)
    for ask in (dataset.cases, dataset.cases, dataset.references):
        with pytest.raises(StoppedAtProblem):
            ask("test")


@pytest.mark.parametrize(("keep", "words"), [(-20, "the file ends too early; fetch it again"), (0, "found an empty file"), (40, "damaged")])
def test_an_image_that_cannot_be_read_to_its_end_is_left_out(tree, keep, words):
    path = tree.root / "files/p10/p10000898/s50000004/t-one.jpg"
    path.write_bytes(path.read_bytes()[:keep])
    dataset = MimicCXR(str(tree.root))
    assert ids(dataset, "train") == []
    (problem,) = dataset.problems()
    assert (problem.kind, problem.where) == ("unreadable image", "p10/p10000898/s50000004/t-one.jpg")
    assert words in problem.what


def test_a_report_in_another_encoding_is_read(tree):
    in_another_encoding(tree)
    assert texts(MimicCXR(str(tree.root), strict=True)) == ["Findings of 50000001.", "Größe normal."]


def test_an_image_that_is_listed_twice_is_one_case(tree):
    list_twice(tree)
    dataset = MimicCXR(str(tree.root))
    assert ids(dataset) == ["b-new", "b-old"]
    assert kinds(dataset) == {"duplicate image id": 1, "other view": 1}


def test_an_image_that_is_cut_off_goes_beside_no_other(tree):
    """A lateral and a prior that a model cannot open would fail the whole case."""
    for study, dicom in (("50000001", "b-lat"), ("50000002", "b-old")):
        path = tree.root / f"files/p10/p10000032/s{study}/{dicom}.jpg"
        path.write_bytes(path.read_bytes()[:-20])
    dataset = MimicCXR(str(tree.root))
    (case,) = dataset.cases("test")
    assert ([image.id for image in case.images], case.prior_image, case.prior_report[:12]) == (["b-new"], None, "Old findings")
    assert kinds(dataset) == {"unreadable context image": 2, "unreadable image": 1, "other view": 1}


@pytest.mark.parametrize("table", ["split", "metadata"])
@pytest.mark.parametrize("spoil", [lambda packed: packed[:-30], lambda packed: packed[:40] + b"\xff" * 20 + packed[60:]])
def test_half_a_table_is_refused_with_what_to_do(tree, table, spoil):
    path = tree.root / f"mimic-cxr-2.0.0-{table}.csv.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadTable, match=rf"{table}\.csv\.gz: the table cannot be read .*fetch the file again"):
        MimicCXR(str(tree.root)).cases("test")


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("split", "split", "needs the column 'split'"),
        ("split", "dicom_id", "needs the column 'dicom_id'"),
        ("metadata", "ViewPosition", "'ViewPosition'"),
    ],
)
def test_a_table_of_another_version_is_refused_with_its_columns(tree, table, column, words):
    rewrite(tree, table, lambda text: text.replace(column, "renamed", 1))
    with pytest.raises(BadTable) as caught:
        MimicCXR(str(tree.root)).cases("test")
    assert words in str(caught.value)
    assert "renamed" in str(caught.value)


def test_metadata_without_times_are_used_and_it_is_said(tree):
    rewrite(tree, "metadata", lambda text: text.replace("StudyDate", "Date"))
    dataset = MimicCXR(str(tree.root))
    assert [case.prior_report for case in dataset.cases("test")] == ["", ""]
    missing = [problem for problem in dataset.problems() if problem.kind == "missing column"]
    assert [(problem.where, problem.what) for problem in missing] == [("mimic-cxr-2.0.0-metadata.csv.gz: StudyDate", "no study has a prior")]


def test_a_patient_in_two_splits_is_refused(tree):
    tree.official["b-old"] = "train"
    tree.write()
    with pytest.raises(SharedPatient, match="patient 10000032 is in train and in test"):
        MimicCXR(str(tree.root)).cases("test")


@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ("files", "found metadata, split, but not the radiographs"),
        ("mimic-cxr-2.0.0-split.csv.gz", "found radiographs, reports, metadata, but not the split (mimic-cxr-2.0.0-split.csv.gz)"),
        ("mimic-cxr-2.0.0-metadata.csv.gz", "but not the metadata (mimic-cxr-2.0.0-metadata.csv.gz)"),
    ],
)
def test_a_root_without_a_part_says_what_is_there_and_what_is_missing(tree, remove, words):
    path = tree.root / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(NoSuchTree) as caught:
        MimicCXR(str(tree.root)).cases("test")
    assert str(caught.value).startswith("mimic_cxr: below ")
    assert words in str(caught.value)


def test_a_root_without_r2gens_file_says_so(tree):
    with pytest.raises(NoSuchTree, match=r"found radiographs, but not R2Gen's split \(annotation\.json; .*--set mimic_cxr\.annotation=PATH\)"):
        MimicCXR(str(tree.root), split_rule="r2gen").cases("test")


def test_what_is_asked_for_wrongly_is_refused():
    with pytest.raises(NoRoot, match="mimic_cxr:/path/to/it"):
        MimicCXR()
    with pytest.raises(UserError, match="target was to be 'summary'; it can be findings or impression or findings\\+impression"):
        MimicCXR("/data", target="summary")
    with pytest.raises(UserError, match="workers was to be -3; give a number of processes, or 0 for one per core"):
        MimicCXR("/data", workers=-3)
    with pytest.raises(
        UserError, match=r"annotation was to be nope\.json, but split_rule is official, which does not read it; add --set mimic_cxr\."
    ):
        MimicCXR("/data", annotation=Path("nope.json"))
    with pytest.raises(UserError, match="views was to be ' , ', which names none"):
        MimicCXR("/data", views=" , ")
    with pytest.raises(UnknownSplit, match="no split 'val'; it has train, validate, test"):
        MimicCXR("/data").fingerprint("val")


# --- arrangements, cache and fingerprint ---


def reports_in_a_zip(tree):
    with zipfile.ZipFile(tree.root / "mimic-cxr-reports.zip", "w") as file:
        for path in sorted(tree.root.glob("files/p*/p*/s*.txt")):
            file.write(path, str(path.relative_to(tree.root)))
            path.unlink()


def versions_side_by_side(tree):
    """2.1.0 keeps the names of the tables and adds one; of this copy only a part was fetched."""
    older, newer = tree.root / "mimic-cxr-jpg/2.0.0", tree.root / "mimic-cxr-jpg/2.1.0"
    older.mkdir(parents=True)
    for path in [tree.root / "files", *tree.root.glob("*.csv.gz")]:
        path.rename(older / path.name)
    shutil.copytree(older, newer)
    (newer / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("study_id,Atelectasis\n50000001,1.0\n")
    for name in ("chexpert", "negbio"):
        (newer / f"mimic-cxr-2.0.0-{name}.csv.gz").write_bytes(gzip.compress(b"subject_id,study_id,Atelectasis\n10000032,50000001,1.0\n"))


def newer_version_half_unpacked(tree):
    """Two groups in the whole one, one of them in the other."""
    versions_side_by_side(tree)
    whole = tree.root / "mimic-cxr-jpg/2.0.0/files/p11/p11000001/s50000099"
    whole.mkdir(parents=True)
    shutil.rmtree(tree.root / "mimic-cxr-jpg/2.1.0/files/p10/p10000032/s50000001")


@pytest.mark.parametrize("arrange", [reports_in_a_zip, versions_side_by_side, newer_version_half_unpacked])
def test_every_arrangement_of_the_files_gives_the_same_cases(tree, arrange):
    def seen():
        dataset = MimicCXR(str(tree.root))
        return [(case.id, case.indication, case.prior_report, [image.id for image in case.images]) for case in dataset.cases("test")], texts(dataset)

    before = seen()
    arrange(tree)
    assert seen() == before


def test_the_second_opening_reads_the_cache_and_gives_the_same(tree, own_cache):
    half_a_row(tree)
    first = MimicCXR(str(tree.root))
    expected = first.cases("test"), first.references("test"), first.problems()
    files = {path: path.stat().st_mtime_ns for path in own_cache.rglob("*.parquet")}
    again = MimicCXR(str(tree.root))
    assert (again.cases("test"), again.references("test"), again.problems()) == expected
    assert files
    assert {path: path.stat().st_mtime_ns for path in own_cache.rglob("*.parquet")} == files


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tree, own_cache):
    own_cache.write_text("a file where the folder should be")
    dataset = MimicCXR(str(tree.root), strict=True)
    assert len(dataset.cases("test")) == 2
    assert kinds(dataset)["cache not written"] == 1


def test_the_fingerprint_tells_settings_splits_and_changes_apart(tree):
    annotate(tree, {"train": [], "val": [], "test": [OLD]})
    root = str(tree.root)
    settings = [{}, {"target": "impression"}, {"views": "PA"}, {"unit": "study"}, {"split_rule": "r2gen"}]
    digests = [MimicCXR(root, **setting).fingerprint("test") for setting in settings]
    digests += [MimicCXR(root).fingerprint(split) for split in ("train", "validate")]
    assert MimicCXR(root, views="AP,PA").fingerprint("test") == digests[0]
    tree.report_file("10000032", "50000002").write_text("x\n FINDINGS: Changed.\n")
    digests.append(MimicCXR(root).fingerprint("test"))
    (tree.root / "files/p10/p10000032/s50000001/b-lat.jpg").unlink()
    digests.append(MimicCXR(root).fingerprint("test"))
    assert len(set(digests)) == len(settings) + 4


def test_data_check_sees_the_parts_the_counts_and_the_rules(tree):
    account = MimicCXR(str(tree.root)).account(["test", "validate"])
    assert {part.name: part.where and part.where.name for part in account.parts} == {
        "radiographs": "files",
        "reports": "files",
        "MIMIC-CXR's own split": "mimic-cxr-2.0.0-split.csv.gz",
        "metadata": "mimic-cxr-2.0.0-metadata.csv.gz",
    }
    assert account.listed == {"test": 3, "validate": 1}
    assert [(one.split, one.found, one.published) for one in account.besides] == [("test", 3, 5159), ("validate", 1, 2991)]
    assert {problem.kind for found in account.problems.values() for problem in found} == {"other view", "no findings"} <= account.by_rule


# --- phantoms ---


def test_phantoms_are_read_as_mimic_is(tmp_path):
    """The generator writes MIMIC's layout; the truth of what it wrote is beside it."""
    root = tmp_path / "phantoms"
    generate(root, train=16, validate=4, test=10, seed=11, size_px=64, fast=True)
    truth = {row["dicom_id"]: row for row in map(json.loads, (root / "truth.jsonl").read_text().splitlines())}
    dataset = MimicCXR(str(root))
    found = [image for split in ("train", "validate", "test") for case in dataset.cases(split) for image in case.images[:1]]
    left_out = sum(problem.kind == "no findings" for problem in dataset.problems())
    assert {image.id for image in found} <= set(truth)
    assert len(found) + left_out == len(truth)
    assert all(image.view in ("PA", "AP") and Image.open(image.path).size for image in found)
    cases, references = dataset.cases("test"), dataset.references("test")
    assert [reference.case_id for reference in references] == [case.id for case in cases]
    said = [lesion["rationale"] for reference in references for lesion in truth[reference.case_id]["lesions"] if lesion["status"] == "positive"]
    whole = " ".join(reference.report for reference in references).lower()
    assert said
    assert all(words.lower() in whole for words in said)
