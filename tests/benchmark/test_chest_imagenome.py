"""Chest ImaGenome read from small trees made here: ordinary studies, every fault, and the arrangements in which people keep the data.

All patients, reports and boxes are invented.
"""

from __future__ import annotations

import gzip
import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
from mimic_trees import BOX, REPORT, SILVER, Tree, dicom
from PIL import Image

from benchmark.datasets import mimic_splits
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.columns import BadTable
from benchmark.datasets.mimic_cases import NoRoot, StoppedAtProblem
from benchmark.datasets.mimic_tree import NoSuchTree, locate
from benchmark.datasets.split import PAPER_IMAGES, SharedPatient, UnknownSplit
from benchmark.datasets.stores import BadArchive
from benchmark.records import UserError
from benchmark.vocabulary import REGIONS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """Two patients in test: the first with two studies and a lateral, the second with one; one patient in train."""
    tree = Tree(tmp_path / "physionet")
    tree.image("b-old", "10000032", "50000002", day=1, findings="Old\n findings.", indication="Fever.")
    tree.image("b-new", "10000032", "50000001", day=5, view="AP")
    tree.image("b-lat", "10000032", "50000001", day=5, view="LATERAL", split=None)
    tree.image("a-one", "10000764", "50000003", boxes={"left lung": BOX, "spine": (-4, 10, 30, 90)})
    tree.image("c-one", "10000898", "50000004", split="train")
    tree.write()
    return tree


def kinds(dataset):
    return Counter(problem.kind for problem in dataset.problems())


def only_problem(dataset, split="test"):
    dataset.cases(split)
    (problem,) = [problem for problem in dataset.problems() if problem.kind not in ("box dropped", "box clipped")]
    return problem


# --- ordinary studies ---


def test_cases_come_by_subject_study_and_image(tree):
    cases = ChestImaGenome(str(tree.root)).cases("test")
    assert [case.id for case in cases] == ["b-new", "b-old", "a-one"]
    assert [case.patient for case in cases] == ["10000032", "10000032", "10000764"]
    assert [case.study for case in cases] == ["50000001", "50000002", "50000003"]


def test_references_are_the_findings_in_the_order_of_the_cases(tree):
    dataset = ChestImaGenome(str(tree.root))
    references = dataset.references("test")
    assert [reference.case_id for reference in references] == [case.id for case in dataset.cases("test")]
    assert [reference.report for reference in references] == ["Findings of 50000001.", "Old findings.", "Findings of 50000003."]
    assert references[0].region_sentences == {"left lung": "The left lung is clear."}
    assert references[0].boxes == {"left lung": BOX}


def test_a_case_carries_its_context_and_the_study_before_it(tree):
    new, old, _ = ChestImaGenome(str(tree.root)).cases("test")
    assert (old.indication, old.technique, old.comparison) == ("Fever.", "Chest PA.", "None.")
    assert (old.prior_report, old.prior_image) == ("", None)
    assert new.prior_report == "Old findings. Impression of 50000002."
    assert new.prior_image == old.images[0].path


@pytest.mark.parametrize(
    ("whens", "before"),
    [
        ({"1": "0103 0900", "2": "0103 0900"}, {"1": "", "2": ""}),  # at the same time
        ({"1": "0101 0800", "2": "0103 0900", "3": "0103 0900"}, {"1": "", "2": "1", "3": "1"}),
        ({"1": "0103 0900", "2": "0103 0900.5"}, {"1": "", "2": "1"}),
        ({"1": "0103 0900", "2": "0103 ", "3": "0104 "}, {"1": "", "2": "", "3": "1"}),  # a missing time: on another day only
        ({"1": "0103 0900", "2": " 0900", "3": "0104 0900"}, {"1": "", "2": "", "3": "1"}),  # a missing date: never
        ({"1": "0103 ", "2": "0104 0900"}, {"1": "", "2": "1"}),
    ],
)
def test_only_a_study_that_is_earlier_for_certain_is_a_prior(tmp_path, whens, before):
    """The report of a simultaneous study can be about the very image that a model is to describe."""
    tree = Tree(tmp_path / "t")
    for study, when in whens.items():
        tree.image(f"i{study}", "10000032", f"5000000{study}")
        tree.metadata[-1][7:9] = [f"2144{when.split(' ')[0]}" if when.split(" ")[0] else "", when.split(" ")[1]]
    cases = ChestImaGenome(str(tree.write())).cases("test")
    said = {study: f"Findings of 5000000{study}. Impression of 5000000{study}." for study in whens} | {"": ""}
    assert {case.id[1:]: case.prior_report for case in cases} == {study: said[prior] for study, prior in before.items()}
    assert [case.prior_image is None for case in cases] == [not prior for prior in before.values()]


def test_a_study_is_as_old_as_its_first_image_and_of_no_known_time_if_one_is_missing(tmp_path):
    tree = Tree(tmp_path / "t")
    for image, study, clock in (("a", "50000001", "0900"), ("b", "50000002", "1000"), ("c", "50000002", "0800"), ("d", "50000003", "")):
        tree.image(image, "10000032", study)
        tree.metadata[-1][7:9] = ["21440103", clock]
    tree.image("e", "10000032", "50000003")
    tree.metadata[-1][7:9] = ["21440103", "2300"]
    cases = ChestImaGenome(str(tree.write())).cases("test")
    assert [case.prior_report.split(". ")[0] for case in cases] == ["Findings of 50000002", "", "", "", ""]


def test_other_views_of_the_study_follow_the_image(tree):
    new = ChestImaGenome(str(tree.root)).cases("test")[0]
    assert [(image.id, image.view) for image in new.images] == [("b-new", "AP"), ("b-lat", "LATERAL")]
    assert all(image.path.is_file() for image in new.images)


def test_boxes_are_in_the_case_only_where_they_are_granted(tree):
    assert [case.boxes for case in ChestImaGenome(str(tree.root)).cases("test")] == [None, None, None]
    assert ChestImaGenome(str(tree.root), boxes="truth").cases("test")[0].boxes == {"left lung": BOX}


def test_the_splits_are_those_of_the_files(tree):
    dataset = ChestImaGenome(root=tree.root)
    assert [case.id for case in dataset.cases("train")] == ["c-one"]
    assert dataset.cases("validate") == []
    with pytest.raises(UnknownSplit, match="no split 'valid'; it has train, validate, test"):
        dataset.cases("valid")


def test_a_case_per_study_takes_pa_before_ap_and_the_studys_name(tmp_path):
    tree = Tree(tmp_path / "t")
    tree.image("a-ap", "10000032", "50000001", view="AP")
    tree.image("b-pa", "10000032", "50000001", view="PA")
    (case,) = ChestImaGenome(str(tree.write()), unit="study").cases("test")
    assert (case.id, case.images[0].id, case.images[1].id) == ("s50000001", "b-pa", "a-ap")


def test_credentials_and_note_are_the_callers_to_say(tree):
    assert ChestImaGenome(str(tree.root)).is_credentialed
    drawn = ChestImaGenome(str(tree.root), is_credentialed=False, note="Drawn.")
    assert (drawn.is_credentialed, drawn.note) == (False, "Drawn.")


# --- boxes ---


def test_a_box_over_the_border_is_clipped_and_counted(tree):
    dataset = ChestImaGenome(str(tree.root))
    assert dataset.references("test")[2].boxes["spine"] == (0, 10, 30, 80)
    assert kinds(dataset) == {"box clipped": 1}
    assert dataset.problems()[0].where == "a-one: spine"


def test_a_faulty_box_is_dropped_and_counted(tmp_path):
    tree = Tree(tmp_path / "t")
    tree.image("a", "10000032", "50000001", boxes={"left lung": BOX, "svc": (5, 5, 5, 9), "carina": ("x", 1, 2, 3)})
    dataset = ChestImaGenome(str(tree.write()))
    assert list(dataset.references("test")[0].boxes) == ["left lung"]
    assert kinds(dataset) == {"box dropped": 2}


def test_boxes_are_scaled_to_a_downscaled_copy(tmp_path):
    tree = Tree(tmp_path / "t")
    tree.image("a", "10000032", "50000001", size=(32, 40), original=(64, 80))
    assert ChestImaGenome(str(tree.write())).references("test")[0].boxes["left lung"] == (4, 4, 12, 20)


def test_all_29_boxes_can_be_required_for_evaluation_only(tmp_path):
    tree = Tree(tmp_path / "t")
    whole = dict.fromkeys(REGIONS, BOX)
    tree.image("a-all", "10000032", "50000001", boxes=whole)
    tree.image("b-some", "10000033", "50000002")
    tree.image("c-some", "10000034", "50000003", split="train")
    dataset = ChestImaGenome(str(tree.write()), required="all")
    assert [case.id for case in dataset.cases("test")] == ["a-all"]
    assert [case.id for case in dataset.cases("train")] == ["c-some"]


# --- what is left out ---


def spoil_graph(tree):
    tree.graph_file("a-one").write_text('{"objects": [')


def spoil_report(tree):
    tree.report_file("10000764", "50000003").write_text(" FINAL REPORT\n IMPRESSION: Nothing.\n")


def spoil_image(tree):
    (tree.root / "files/p10/p10000764/s50000003/a-one.jpg").write_bytes(b"\xff\xd8\xff")


def cut_image(tree):
    path = tree.root / "files/p10/p10000764/s50000003/a-one.jpg"
    path.write_bytes(path.read_bytes()[:-20])


def cut_dicom(tree):
    path = tree.root / "files/p10/p10000764/s50000003/a-one.jpg"
    path.with_suffix(".dcm").write_bytes(dicom(np.full((80, 64), 90, np.uint8))[:-1000])
    path.unlink()


def lead_nowhere(tree):
    path = tree.root / "files/p10/p10000764/s50000003/a-one.jpg"
    path.unlink()
    path.symlink_to(tree.root / "elsewhere.jpg")


def half_a_row(tree):
    tree.lists["test"][2] = tree.lists["test"][2][:2]
    tree.write()


def spoil_boxes(tree):
    tree.graph("a-one", {"left lung": (5, 5, 5, 5), "spine": BOX}, {})


def avoid_it(tree):
    tree.avoid.append(["10000764", "50000003", "a-one", "files/...", "PA"])
    tree.write()


def list_it_twice(tree):
    tree.lists["test"].append(list(tree.lists["test"][2]))
    tree.write()


def rename_column(tree, name):
    path = next(tree.root.glob("*metadata*"))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(name.encode(), b"renamed")))


def make_it_gold(tree):
    folder = tree.root / "chest-imagenome-dataset-1.0.0/gold_dataset"
    folder.mkdir()
    Tree.csv(folder / "gold_bbox_scaling_factors_original_to_224x224.csv", ["image_id", "top"], [["a-one.dcm", 0]])


@pytest.mark.parametrize(
    ("spoil", "kind", "where", "what"),
    [
        (lambda tree: tree.graph_file("a-one").unlink(), "missing scene graph", "a-one_SceneGraph.json", ""),
        (spoil_graph, "unreadable scene graph", "a-one_SceneGraph.json", "no JSON"),
        (lambda tree: tree.graph_file("a-one").write_text("[]"), "unreadable scene graph", "a-one_SceneGraph.json", "without the list of objects"),
        (lambda tree: tree.graph_file("a-one").write_bytes(b""), "unreadable scene graph", "a-one_SceneGraph.json", "an empty file"),
        (lambda tree: (tree.root / "files/p10/p10000764/s50000003/a-one.jpg").unlink(), "missing image", "p10000764/s50000003/a-one", ""),
        (lead_nowhere, "missing image", "p10000764/s50000003/a-one", ""),
        (spoil_image, "unreadable image", "s50000003/a-one.jpg", "truncated or damaged"),
        (cut_image, "unreadable image", "s50000003/a-one.jpg", "the file ends too early"),
        (cut_dicom, "unreadable image", "s50000003/a-one.dcm", "the file ends too early"),
        (half_a_row, "unusable row", "test.csv, line 4: ", ""),
        (lambda tree: tree.report_file("10000764", "50000003").unlink(), "missing report", "p10000764/s50000003.txt", ""),
        (spoil_report, "no findings", "p10000764/s50000003.txt", "sections: preamble, impression"),
        (spoil_boxes, "no valid box", "a-one_SceneGraph.json", "1 other regions"),
        (avoid_it, "image to avoid", "test.csv, line 4: a-one", ""),
        (make_it_gold, "gold image", "test.csv, line 4: a-one", ""),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named(tree, spoil, kind, where, what):
    spoil(tree)
    dataset = ChestImaGenome(str(tree.root))
    assert [case.id for case in dataset.cases("test")] == ["b-new", "b-old"]
    problem = only_problem(dataset)
    assert problem.kind == kind
    assert problem.where.endswith(where)
    assert what in problem.what


def test_an_image_that_is_listed_twice_is_one_case(tree):
    list_it_twice(tree)
    dataset = ChestImaGenome(str(tree.root))
    assert [case.id for case in dataset.cases("test")] == ["b-new", "b-old", "a-one"]
    assert only_problem(dataset).kind == "duplicate image id"


@pytest.mark.parametrize(
    ("spoil", "first"),
    [
        (lambda tree: tree.graph_file("a-one").unlink(), r"missing scene graph: a-one_SceneGraph\.json;"),
        (spoil_graph, r"unreadable scene graph: a-one_SceneGraph\.json \(no JSON"),
        (cut_image, r"unreadable image: p10/p10000764/s50000003/a-one\.jpg \(the file ends too early"),
        (lead_nowhere, "missing image: p10000764/s50000003/a-one;"),
        (lambda tree: tree.report_file("10000764", "50000003").unlink(), r"missing report: p10000764/s50000003\.txt;"),
        (list_it_twice, r"duplicate image id: test\.csv, line 5: a-one;"),
        (half_a_row, r"unusable row: test\.csv, line 4:  \('' is no number of a study\);"),
        (lambda tree: rename_column(tree, "StudyDate"), r"missing column: mimic-cxr-2\.0\.0-metadata\.csv\.gz: StudyDate \(no study has a prior\);"),
        (lambda tree: next(tree.root.glob("*metadata*")).unlink(), "missing metadata: "),
    ],
)
def test_strict_stops_at_a_fault_and_names_it(tree, spoil, first):
    spoil(tree)
    with pytest.raises(
        StoppedAtProblem, match=f"chest_imagenome was to be read strictly, and found 1 fault, first {first}.*mend it or leave strict off"
    ):
        ChestImaGenome(str(tree.root), strict=True).cases("test")


def test_strict_does_not_stop_at_what_the_rules_leave_out(tree):
    spoil_report(tree)
    assert len(ChestImaGenome(str(tree.root), strict=True).cases("test")) == 2


def test_a_patient_in_two_splits_is_refused(tree):
    tree.image("d", "10000898", "50000009", split="test")
    tree.write()
    with pytest.raises(SharedPatient, match="patient 10000898 is in train and in test"):
        ChestImaGenome(str(tree.root)).cases("test")


def test_without_metadata_there_are_cases_but_no_priors_and_it_is_said(tree):
    next(tree.root.glob("*metadata*")).unlink()
    dataset = ChestImaGenome(str(tree.root))
    assert [case.prior_report for case in dataset.cases("test")] == ["", "", ""]
    assert dataset.cases("test")[0].images[0].view == "AP"
    assert kinds(dataset)["missing metadata"] == 1


def test_a_latin_1_report_is_read(tree):
    tree.report_file("10000764", "50000003").write_bytes("x\n FINDINGS: Größe normal.\n".encode("latin-1"))
    assert ChestImaGenome(str(tree.root)).references("test")[2].report == "Größe normal."


def test_a_split_file_of_another_kind_is_refused_with_its_columns(tree):
    (tree.root / SILVER / "splits/test.csv").write_text("image,label\na,b\n")
    with pytest.raises(BadTable, match=r"test\.csv: needs the column 'subject_id', found image, label"):
        ChestImaGenome(str(tree.root)).cases("test")


def test_an_image_whose_boxes_are_all_faulty_is_left_out_with_every_box_counted(tree):
    tree.graph("a-one", {"left lung": (5, 5, 5, 5), "right lung": (70, 5, 80, 9), "spine": (1, 2, "x", 4)}, {})
    dataset = ChestImaGenome(str(tree.root), strict=True)
    assert [case.id for case in dataset.cases("test")] == ["b-new", "b-old"]
    assert kinds(dataset) == {"box dropped": 3, "no valid box": 1}
    assert [problem.what for problem in dataset.problems()] == [
        "no area: 5, 5, 5, 5 on 64 x 80",
        "outside the image: 70, 5, 80, 9 on 64 x 80",
        "not a number: 1, 2, nan, 4 on 64 x 80",
        "0 other regions have one",
    ]


@pytest.mark.parametrize(("column", "priors"), [("ViewPosition", True), ("Columns", True), ("StudyDate", False)])
def test_metadata_that_lack_a_column_are_used_and_it_is_said(tree, column, priors):
    rename_column(tree, column)
    dataset = ChestImaGenome(str(tree.root))
    new, old, _ = dataset.cases("test")
    assert (new.images[0].view, bool(new.prior_report)) == ("AP", priors)
    assert old.images[0].view == "PA"
    assert [problem.where for problem in dataset.problems() if problem.kind == "missing column"] == [f"mimic-cxr-2.0.0-metadata.csv.gz: {column}"]


def test_half_an_archive_of_radiographs_leaves_out_what_is_not_there(tree):
    """One line for each image, and a run on the rest."""
    tree.image("e-one", "11000001", "50000011")
    tree.image("e-two", "11000002", "50000012")
    tree.write()
    shutil.rmtree(tree.root / "files/p11")
    dataset = ChestImaGenome(str(tree.root))
    assert len(dataset.cases("test")) == 3
    assert [problem.where for problem in dataset.problems() if problem.kind == "missing image"] == [
        "p11000001/s50000011/e-one",
        "p11000002/s50000012/e-two",
    ]


def test_half_an_archive_of_reports_is_refused(tree):
    reports_in_a_zip(tree)
    archive = tree.root / "mimic-cxr-reports.zip"
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(BadArchive, match=r"mimic-cxr-reports\.zip: cannot be opened as a zip archive .* fetch it again"):
        ChestImaGenome(str(tree.root)).cases("test")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_in_other_encodings_are_read(tree, encoding):
    """As a spreadsheet saves them."""
    for path in (tree.root / SILVER / "splits").iterdir():
        path.write_text(path.read_text(), encoding=encoding)
    assert len(ChestImaGenome(str(tree.root)).cases("test")) == 3


def test_hidden_files_and_second_formats_are_no_views(tree):
    folder = tree.root / "files/p10/p10000032/s50000001"
    (folder / "._b-new.jpg").write_bytes(b"\0\5\x16\7 of a Mac")
    Image.open(folder / "b-new.jpg").save(folder / "b-new.png")
    new = ChestImaGenome(str(tree.root)).cases("test")[0]
    assert [image.path.name for image in new.images] == ["b-new.jpg", "b-lat.jpg"]


# --- arrangements ---


def zip_of(folder, archive, prefix):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, f"{prefix}/{path.name}")


def graphs_in_a_zip(tree):
    folder = tree.root / SILVER / "scene_graph"
    zip_of(folder, folder.with_suffix(".zip"), "scene_graph")
    shutil.rmtree(folder)


def graphs_half_unpacked(tree):
    folder = tree.root / SILVER / "scene_graph"
    zip_of(folder, folder.with_suffix(".zip"), "scene_graph")
    tree.graph_file("a-one").unlink()


def graphs_nested(tree):
    folder = tree.root / SILVER / "scene_graph"
    folder.rename(folder.with_name("kept"))
    folder.mkdir()
    folder.with_name("kept").rename(folder / "scene_graph")


def reports_of_their_own(tree):
    for path in tree.root.glob("files/p*/p*/s*.txt"):
        target = tree.root / "mimic-cxr-reports" / path.relative_to(tree.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def reports_in_a_zip(tree):
    with zipfile.ZipFile(tree.root / "mimic-cxr-reports.zip", "w") as file:
        for path in sorted(tree.root.glob("files/p*/p*/s*.txt")):
            file.write(path, str(path.relative_to(tree.root)))
            path.unlink()


def as_physionet_mirrors(tree):
    kept = tree.root.rename(tree.root.with_name("kept"))
    jpg = tree.root / "physionet.org/files/mimic-cxr-jpg/2.0.0"
    jpg.mkdir(parents=True)
    (kept / "files").rename(jpg / "files")
    next(kept.glob("*metadata*")).rename(jpg / "mimic-cxr-2.0.0-metadata.csv.gz")
    (tree.root / "physionet.org/files/chest-imagenome").mkdir()
    (kept / "chest-imagenome-dataset-1.0.0").rename(tree.root / "physionet.org/files/chest-imagenome/1.0.0")


def tables_unzipped(tree):
    packed = next(tree.root.glob("*metadata*"))
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()


def as_dicom(tree):
    """MIMIC-CXR itself in place of its JPGs."""
    for path in tree.root.glob("files/p*/p*/s*/*.jpg"):
        path.with_suffix(".dcm").write_bytes(dicom(np.asarray(Image.open(path))))
        path.unlink()


def versions_side_by_side(tree):
    """2.1.0 keeps the names of 2.0.0's tables and adds one of its own; neither CheXpert's labels nor these are ours to read."""
    older, newer = tree.root / "mimic-cxr-jpg/2.0.0", tree.root / "mimic-cxr-jpg/2.1.0"
    older.mkdir(parents=True)
    for path in [tree.root / "files", *tree.root.glob("*.csv.gz")]:
        path.rename(older / path.name)
    shutil.copytree(older, newer)
    (newer / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("study_id,Atelectasis\n50000001,1.0\n")
    (newer / "mimic-cxr-2.0.0-chexpert.csv.gz").write_bytes(gzip.compress(b"subject_id,study_id,Atelectasis\n10000032,50000001,1.0\n"))
    for path in older.glob("files/p*/p*/s*/*.jpg"):
        path.unlink()


def as_png(tree):
    for path in tree.root.glob("files/p*/p*/s*/*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()


@pytest.mark.parametrize(
    "arrange",
    [
        graphs_in_a_zip,
        graphs_half_unpacked,
        graphs_nested,
        reports_of_their_own,
        reports_in_a_zip,
        as_physionet_mirrors,
        tables_unzipped,
        as_png,
        as_dicom,
        versions_side_by_side,
    ],
)
def test_every_arrangement_of_the_files_gives_the_same_cases(tree, arrange):
    before = ChestImaGenome(str(tree.root))
    plain, references = before.cases("test"), before.references("test")
    digest = before.fingerprint("test")
    arrange(tree)
    dataset = ChestImaGenome(str(tree.root))
    cases = dataset.cases("test")
    assert [(case.id, case.patient, case.indication, case.prior_report) for case in cases] == [
        (case.id, case.patient, case.indication, case.prior_report) for case in plain
    ]
    assert [[(image.id, image.view) for image in case.images] for case in cases] == [
        [(image.id, image.view) for image in case.images] for case in plain
    ]
    assert all(image.path.is_file() for case in cases for image in case.images)
    assert dataset.references("test") == references
    assert len(digest) == 64


def test_half_an_archive_of_scene_graphs_is_refused(tree):
    graphs_in_a_zip(tree)
    archive = tree.root / SILVER / "scene_graph.zip"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(BadArchive, match=r"scene_graph\.zip: cannot be opened as a zip archive .* fetch it again"):
        ChestImaGenome(str(tree.root)).cases("test")


def test_a_member_whose_checksum_is_wrong_is_an_unreadable_scene_graph(tree):
    graphs_in_a_zip(tree)
    archive = tree.root / SILVER / "scene_graph.zip"
    content = archive.read_bytes()
    at = content.index(b'"image_id": "a-one"')
    archive.write_bytes(content[:at] + b'"image_id": "x-one"' + content[at + 19 :])
    problem = only_problem(ChestImaGenome(str(tree.root)))
    assert problem.kind == "unreadable scene graph"
    assert "Bad CRC-32" in problem.what


def test_the_scene_graph_of_another_image_is_not_taken(tree):
    tree.graph_file("a-one").write_bytes(tree.graph_file("b-old").read_bytes())
    dataset = ChestImaGenome(str(tree.root))
    problem = only_problem(dataset)
    assert (problem.kind, problem.where) == ("unreadable scene graph", "a-one_SceneGraph.json")
    assert problem.what == "it says that it is of another image, b-old"
    assert [case.id for case in dataset.cases("test")] == ["b-new", "b-old"]


@pytest.mark.parametrize("is_packed", [False, True])
def test_reports_whose_names_are_in_capitals_are_read(tree, is_packed):
    expected = ChestImaGenome(str(tree.root)).cases("test")
    with zipfile.ZipFile(tree.root / "mimic-cxr-reports.zip", "w") as file:
        for path in sorted(tree.root.glob("files/p*/p*/s*.txt")):
            capital = path.rename(path.with_suffix(".TXT"))
            if is_packed:
                file.write(capital, str(capital.relative_to(tree.root)))
                capital.unlink()
    assert ChestImaGenome(str(tree.root)).cases("test") == expected


@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ("files", "not the radiographs (files/p10/p10000032/s50414267/<dicom_id>.jpg); nor the reports"),
        (f"{SILVER}/scene_graph", "found radiographs, reports, split files, but not the scene graphs"),
        (f"{SILVER}/splits", "found radiographs, reports, scene graphs, but not the split files"),
    ],
)
def test_a_root_without_a_part_says_what_is_there_and_what_is_missing(tree, remove, words):
    shutil.rmtree(tree.root / remove)
    with pytest.raises(NoSuchTree) as caught:
        ChestImaGenome(str(tree.root)).cases("test")
    assert words in str(caught.value)
    assert str(tree.root) in str(caught.value)


def test_a_root_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NoSuchTree, match="is not there; name the folder"):
        locate(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NoSuchTree, match="is no folder"):
        locate(tmp_path / "file")


def test_no_root_at_all_is_refused():
    with pytest.raises(NoRoot, match="chest_imagenome:/path/to/it"):
        ChestImaGenome()


def test_a_setting_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="boxes was to be 'gold'; it can be none or truth"):
        ChestImaGenome("/data", boxes="gold")
    with pytest.raises(UserError, match="workers was to be -3; give a number of processes, or 0 for one per core"):
        ChestImaGenome("/data", workers=-3)


# --- cache and fingerprint ---


def test_the_second_opening_reads_the_cache_and_gives_the_same(tree, own_cache, monkeypatch):
    first = ChestImaGenome(str(tree.root), boxes="truth")
    expected = first.cases("test"), first.references("test"), first.problems()
    assert len(list(own_cache.rglob("*.parquet"))) == 1
    monkeypatch.setattr(mimic_splits, "tasks", lambda *_, **__: pytest.fail("the files were read again"))
    again = ChestImaGenome(str(tree.root), boxes="truth")
    assert (again.cases("test"), again.references("test"), again.problems()) == expected


def test_a_damaged_cache_is_made_anew(tree, own_cache):
    expected = ChestImaGenome(str(tree.root)).cases("test")
    (file,) = own_cache.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    assert ChestImaGenome(str(tree.root)).cases("test") == expected


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tree, own_cache):
    own_cache.write_text("a file where the folder should be")
    dataset = ChestImaGenome(str(tree.root))
    assert len(dataset.cases("test")) == 3
    assert kinds(dataset)["cache not written"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.report_file("10000764", "50000003").write_text(REPORT),
        lambda tree: tree.graph("a-one", {"left lung": (1, 2, 3, 4), "right lung": BOX}, {}),
        lambda tree: tree.graph_file("a-one").unlink(),
        lambda tree: tree.image("b-extra", "10000032", "50000001", view="LL", split=None),
        lambda tree: (tree.root / "files/p10/p10000032/s50000001/b-lat.jpg").unlink(),
        avoid_it,
        list_it_twice,
        lambda tree: next(tree.root.glob("*metadata*")).unlink(),
    ],
)
def test_the_fingerprint_changes_with_any_input_and_the_cache_with_it(tree, change, tmp_path, monkeypatch):
    def seen():
        dataset = ChestImaGenome(str(tree.root))
        return dataset.fingerprint("test"), dataset.cases("test"), dataset.references("test"), dataset.problems()

    before = seen()
    change(tree)
    after = seen()
    assert after[0] != before[0]
    assert after[1:] != before[1:]
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "another"))
    assert seen() == after


def test_the_fingerprint_is_that_of_a_copy_elsewhere(tree, tmp_path):
    shutil.copytree(tree.root, tmp_path / "copy")
    assert ChestImaGenome(str(tmp_path / "copy")).fingerprint("test") == ChestImaGenome(str(tree.root)).fingerprint("test")


def test_the_fingerprint_tells_splits_and_settings_apart(tree):
    root = str(tree.root)
    digests = [ChestImaGenome(root).fingerprint(split) for split in ("train", "validate", "test")]
    digests += [
        ChestImaGenome(root, **setting).fingerprint("test") for setting in ({"unit": "study"}, {"boxes": "truth"}, {"split_rule": "stratified"})
    ]
    assert len(set(digests)) == 6


# --- stratified ---


@pytest.fixture
def many(tmp_path):
    tree = Tree(tmp_path / "many")
    for number in range(40):
        for image in range(1 + number % 3):
            split = ("train", "valid", "test")[number % 3]
            region = ("left lung", "right lung", "mediastinum")[number % 3]
            tree.image(f"d{number:02d}-{image}", f"100000{number:02d}", f"500000{number:02d}", split=split, phrases={region: ["clear."]})
    return tree.write()


def test_the_stratified_split_shares_patients_out_as_the_paper_says(many):
    dataset = ChestImaGenome(str(many), split_rule="stratified")
    cases = {split: dataset.cases(split) for split in ("train", "validate", "test")}
    total = sum(map(len, cases.values()))
    assert total == 79
    assert [round(len(cases[split]) / total, 1) for split in cases] == [0.7, 0.1, 0.2]
    patients = {split: {case.patient for case in cases[split]} for split in cases}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == 40
    (note,) = [note for note in dataset.account(["test"]).notes if note.startswith("Stratified")]
    shares = [len(cases[split]) / total - wished for split, wished in zip(cases, np.array(PAPER_IMAGES) / sum(PAPER_IMAGES), strict=True)]
    assert f"no split's share of the images is off by more than {100 * max(map(abs, shares)):.1f} points" in note


def test_the_stratified_split_is_the_same_for_the_same_seed(many):
    ids = [[case.id for case in ChestImaGenome(str(many), split_rule="stratified", split_seed=seed).cases("test")] for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] == sorted(ids[0])
