"""Faults of files in MIMIC's layout: none is overlooked, none outlives its repair, and none is charged to a rule or to another copy.

All patients and reports are invented.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import zipfile
from collections import Counter

import pytest
from mimic_trees import SILVER, Tree

from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.mimic_cases import StoppedAtProblem
from benchmark.datasets.mimic_cxr import MimicCXR
from benchmark.datasets.scene_graphs import UnreadableSceneGraph, parse

NEW, OLD = "files/p10/p10000032/s50000001", "files/p10/p10000032/s50000002"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """A patient with two studies, the second with a lateral, and one with one; all of them test."""
    tree = Tree(tmp_path / "physionet")
    tree.image("b-old", "10000032", "50000002", day=1)
    tree.image("b-new", "10000032", "50000001", day=5, view="AP")
    tree.image("b-lat", "10000032", "50000001", day=5, view="LATERAL", split=None)
    tree.image("a-one", "10000764", "50000003")
    tree.write()
    return tree


def imagenome(tree, **settings):
    return ChestImaGenome(str(tree.root if isinstance(tree, Tree) else tree), **settings)


def mimic(tree, **settings):
    return MimicCXR(str(tree.root if isinstance(tree, Tree) else tree), **settings)


def ids(dataset, split="test"):
    return [case.id for case in dataset.cases(split)]


def kinds(dataset):
    """Kind -> how many, of a dataset that has been read."""
    counts = Counter()
    for problem in dataset.problems():
        counts[problem.kind] += problem.count
    return dict(counts)


def problems(dataset, kind):
    dataset.cases("test")
    return [problem for problem in dataset.problems() if problem.kind == kind]


def rewrite(tree, change, table="metadata"):
    path = tree.root / f"mimic-cxr-2.0.0-{table}.csv.gz"
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))


# --- a fault lasts as long as the file has it ---


def zeros(path):
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize(
    ("name", "kind", "left", "priors"),
    [
        (f"{NEW}/b-new.jpg", "unreadable image", ["b-old", "a-one"], 0),
        (f"{OLD}/b-old.jpg", "unreadable image", ["b-new", "a-one"], 1),
        (f"{NEW}/b-lat.jpg", "unreadable context image", ["b-new", "b-old", "a-one"], 1),
        (f"{OLD}.txt", "unreadable report", ["b-new", "a-one"], 0),
        (f"{SILVER}/scene_graph/a-one_SceneGraph.json", "unreadable scene graph", ["b-new", "b-old"], 1),
    ],
)
def test_a_file_that_is_mended_is_used_again(tree, name, kind, left, priors):
    """Of the same length, so that no listing shows it; and the case beside it, which missed it as a prior or a view, has it again too."""
    whole = imagenome(tree)
    expected = whole.cases("test"), whole.references("test"), whole.problems()
    shutil.rmtree(os.environ["CLALA_BENCHMARK_CACHE"])
    path = tree.root / name
    good = path.read_bytes()
    zeros(path)
    for _ in range(2):  # read, and out of the cache
        broken = imagenome(tree)
        assert ids(broken) == left
        assert set(kinds(broken)) >= {kind}
        assert sum(bool(case.prior_report) for case in broken.cases("test")) == priors
    path.write_bytes(good)
    mended = imagenome(tree)
    assert (mended.cases("test"), mended.references("test"), mended.problems()) == expected


def test_what_was_mended_is_looked_at_once(tree, own_cache, capfd):
    path = tree.root / NEW / "b-new.jpg"
    good = path.read_bytes()
    zeros(path)
    ids(imagenome(tree))
    path.write_bytes(good)
    ids(imagenome(tree))
    assert "again: 2/2 images" in capfd.readouterr().err, "the patient's two images, not the split's three"
    assert len(ids(imagenome(tree))) == 3
    assert "again" not in capfd.readouterr().err


def test_a_fault_of_one_copy_is_not_anothers(tree, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(tree.root, copy)
    zeros(tree.root / NEW / "b-new.jpg")
    broken, whole = imagenome(tree), imagenome(copy)
    assert broken.fingerprint("test") == whole.fingerprint("test")
    assert (len(ids(broken)), len(ids(whole))) == (2, 3)
    assert not whole.problems()


@pytest.mark.parametrize("read", [imagenome, mimic])
def test_no_problem_names_the_place_where_the_data_lay(tree, tmp_path, read):
    """They are kept, and the folder may be moved."""
    zeros(tree.root / NEW / "b-new.jpg")
    (tree.root / f"{OLD}.txt").unlink()
    (tree.root / f"{OLD}.txt").mkdir()
    zeros(tree.root / SILVER / "scene_graph/a-one_SceneGraph.json")
    found = read(tree)
    ids(found)
    assert len(found.problems()) >= 2
    assert not [problem for problem in found.problems() if str(tmp_path) in f"{problem.where}{problem.what}"]


def test_a_file_that_may_not_be_read_for_a_while_is_used_again(tree):
    """Root may read anything: a folder in the report's place is as unreadable to everybody."""
    path = tree.root / f"{OLD}.txt"
    good = path.read_bytes()
    path.unlink()
    path.mkdir()
    assert ids(imagenome(tree)) == ["b-new", "a-one"]
    path.rmdir()
    path.write_bytes(good)
    assert ids(imagenome(tree)) == ["b-new", "b-old", "a-one"]


# --- metadata ---


@pytest.mark.parametrize("rows", [lambda text: "\n".join(text.split("\n")[:1]), lambda text: "\n".join(text.split("\n")[:3])])
@pytest.mark.parametrize("read", [imagenome, mimic])
def test_an_image_that_the_metadata_lack_is_a_fault_and_no_rule(tree, read, rows):
    """Half a table is a whole gzip if somebody wrote it so: a header alone, or the header and two images."""
    rewrite(tree, rows)
    kept = len(rows("\n".join("12345")).split("\n")) - 1
    dataset = read(tree)
    assert ids(dataset) == ["b-new", "b-old"][:kept]
    listed = 4 if read is mimic else 3
    assert kinds(dataset) == {"not in the metadata": listed - kept}
    assert problems(dataset, "not in the metadata")[0].where.endswith(("a-one", "b-old", "b-new", "b-lat"))
    with pytest.raises(StoppedAtProblem, match="not in the metadata"):
        read(tree, strict=True).cases("test")


def test_no_box_is_placed_on_an_image_of_unknown_size(tree):
    """On a copy at half the size they would be in the wrong place, and inside the image all the same."""
    rewrite(tree, lambda text: text.replace(",80,64,", ",,,", 1))
    dataset = imagenome(tree)
    assert ids(dataset) == ["b-new", "a-one"]
    (problem,) = problems(dataset, "unreadable metadata cell")
    assert (problem.where, problem.what[:26]) == ("b-old: ''", "Columns is no number of pi")


def test_r2gens_item_stays_without_metadata_of_its_own_and_it_is_said(tree):
    """Its list needs no view and no size."""
    item = {"id": "a-one", "study_id": 50000003, "subject_id": 10000764, "report": "Clear .", "image_path": ["p10/p10000764/s50000003/a-one.jpg"]}
    (tree.root / "annotation.json").write_text(json.dumps({"train": [], "val": [], "test": [item]}))
    rewrite(tree, lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("a-one")))
    dataset = mimic(tree, split_rule="r2gen")
    assert ids(dataset) == ["a-one"]
    assert kinds(dataset) == {"not in the metadata": 1}


def dates(change):
    """The metadata's dates and times, written otherwise."""

    def written(text):
        header, *rows = (line.split(",") for line in text.split("\n"))
        for row in rows:
            row[7], row[8] = change(row[7], row[8])
        return "\n".join(map(",".join, [header, *rows]))

    return written


@pytest.mark.parametrize(
    "change",
    [
        lambda date, clock: (f"{date[:4]}-{date[4:6]}-{date[6:]}", clock),
        lambda date, clock: (f"{date[:4]}/{date[4:6]}/{date[6:]}", f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"),
        lambda date, clock: (f"{date[:4]}-{date[4:6]}-{date[6:]} 00:00:00", f"{clock[:2]}:{clock[2:4]}"),
        lambda date, clock: (f"{date}.0", clock.lstrip("0")),
    ],
)
@pytest.mark.parametrize("read", [imagenome, mimic])
def test_dates_as_spreadsheets_and_pandas_write_them_are_read(tree, read, change):
    expected = [case.prior_report for case in read(tree).cases("test")]
    assert sum(map(bool, expected)) == 1
    rewrite(tree, dates(change))
    assert [case.prior_report for case in read(tree, strict=True).cases("test")] == expected


@pytest.mark.parametrize("read", [imagenome, mimic])
def test_dates_that_cannot_be_read_are_counted_in_one_line(tree, read):
    """Otherwise every prior would be gone and nothing said: 01/05/2144 may be of May or of January."""
    rewrite(tree, dates(lambda date, clock: (f"{date[6:]}/{date[4:6]}/{date[:4]}", clock)))
    dataset = read(tree)
    assert [case.prior_report for case in dataset.cases("test")] == ["", "", ""]
    (problem,) = problems(dataset, "unreadable metadata cell")
    assert (problem.where, problem.count) == ("b-old: '01/01/2144' and 3 more", 4)
    assert problem.what.startswith("StudyDate is no date as 21440103")
    with pytest.raises(StoppedAtProblem, match="found 4 faults, first unreadable metadata cell: b-old"):
        read(tree, strict=True).cases("test")


@pytest.mark.parametrize("read", [imagenome, mimic])
def test_ids_as_pandas_writes_them_are_understood(tree, read):
    """A column with one empty cell is one of floats; and dicom ids may carry the suffix of the file."""
    expected = [(case.id, case.prior_report, len(case.images)) for case in read(tree).cases("test")]
    for table in ("metadata", "split"):
        rewrite(tree, lambda text: text.replace(",1000", ",p1000").replace("10000032,", "10000032.0,").replace("50000001,", "50000001.0,"), table)
    rewrite(tree, lambda text: text.replace("b-old,", "b-old.dcm,").replace("b-lat,", "b-lat.dcm,"))
    Tree.csv(
        tree.root / SILVER / "splits/test.csv",
        ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"],
        [[number, f"{subject}.0", f"{study}.0", *rest] for number, subject, study, *rest in tree.lists["test"]],
    )
    assert [(case.id, case.prior_report, len(case.images)) for case in read(tree, strict=True).cases("test")] == expected


@pytest.mark.parametrize("read", [imagenome, mimic])
def test_an_unusable_row_says_what_it_lacks(tree, read):
    tree.lists["test"][0][1] = "1.0000032e7"
    tree.write()
    rewrite(tree, lambda text: text.replace("b-old,50000002,10000032,", "b-old,50000002,1.0000032e7,"), "split")
    dataset = read(tree)
    assert ids(dataset) == ["b-new", "a-one"]
    (problem,) = problems(dataset, "unusable row")
    assert problem.what == "'1.0000032e7' is no number of a patient"


def test_a_bad_row_does_not_take_a_good_ones_place(tree):
    """Half a row in train that names an image of test."""
    tree.lists["train"].append([0, "", "", "b-new", "", ""])
    tree.write()
    dataset = imagenome(tree)
    assert "b-new" in ids(dataset)
    assert "duplicate image id" not in kinds(dataset)


# --- images and reports ---


@pytest.mark.parametrize("content", [b"<html>login</html>", b"\0" * 500, b""])
def test_what_is_no_image_goes_beside_no_other(tree, content):
    """A web page in a prior's place, or zeros in a lateral's, would fail the whole case in a model."""
    for name in (f"{NEW}/b-lat.jpg", f"{OLD}/b-old.jpg"):
        (tree.root / name).write_bytes(content)
    dataset = imagenome(tree)
    new = dataset.cases("test")[0]
    assert ([image.id for image in new.images], new.prior_image) == (["b-new"], None)
    assert kinds(dataset) == {"unreadable context image": 2, "unreadable image": 1}


def test_a_mask_beside_an_image_is_no_view(tree):
    shutil.copy(tree.root / NEW / "b-new.jpg", tree.root / NEW / "b-new_mask.png")
    assert [image.id for image in imagenome(tree, strict=True).cases("test")[0].images] == ["b-new", "b-lat"]
    next(tree.root.glob("*metadata*")).unlink()
    assert [image.id for image in imagenome(tree).cases("test")[0].images] == ["b-new", "b-lat", "b-new_mask"], "nobody can tell"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b" \r\n\r\n", "an empty file"),
        (b"\0" * 300, "an empty file"),
        (b"<!DOCTYPE html>\n<title>Log in</title>", "a web page or XML, no report"),
    ],
)
@pytest.mark.parametrize("read", [imagenome, mimic])
def test_a_report_without_a_report_in_it_is_a_fault_and_no_rule(tree, read, content, what):
    tree.report_file("10000764", "50000003").write_bytes(content)
    dataset = read(tree)
    assert ids(dataset) == ["b-new", "b-old"]
    (problem,) = problems(dataset, "unreadable report")
    assert (problem.where, problem.what) == ("p10000764/s50000003.txt", what)
    with pytest.raises(StoppedAtProblem, match="unreadable report"):
        read(tree, strict=True).cases("test")


@pytest.mark.parametrize("target", ["findings", "impression", "findings+impression"])
@pytest.mark.parametrize(
    "text",
    [
        " INDICATION:  Cough.\n \n There is a large left pleural effusion.\n \n IMPRESSION:  Effusion.\n",
        " HISTORY:  Cough.\n \n COMPARISON:  None.\n \n There is a large left pleural effusion.\n \n IMPRESSION:  Effusion.\n",
        " TECHNIQUE:\n \n PA.\n\n There is a large left pleural effusion.\n \n FINDINGS:  Effusion.\n",
    ],
)
def test_a_description_without_a_header_is_in_no_context(tree, text, target):
    """It is what the model is to say, or is about it; it stands under the header before it."""
    (tree.root / f"{OLD}.txt").write_text(f"{' ' * 33}FINAL REPORT\n{text}")
    cases = {case.id: case for case in mimic(tree, target=target).cases("test")}
    for case in filter(None, [cases.get("b-old")]):
        context = f"{case.indication} {case.technique} {case.comparison}"
        assert any(word in context for word in ("Cough.", "PA.", "None."))
        assert "effusion" not in context
    assert ("b-old" in cases) == any(section.upper() in text for section in target.split("+"))


# --- scene graphs ---


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"objects": [], "attributes": 5}, "attributes that are no list"),
        ({"objects": [], "attributes": True}, "attributes that are no list"),
        ({"objects": [], "attributes": [{"bbox_name": "spine", "phrases": 5}]}, "phrases that are no list"),
        ({"objects": [], "attributes": [{"bbox_name": "spine", "attributes": 5}]}, "attributes that are no list"),
    ],
)
def test_an_odd_scene_graph_is_unreadable_and_says_why(content, what):
    with pytest.raises(UnreadableSceneGraph, match=what):
        parse(json.dumps(content).encode())


def test_json_that_is_nested_without_end_is_no_scene_graph():
    with pytest.raises(UnreadableSceneGraph, match="nested deeper"):
        parse(b'{"objects": ' + b"[" * 200_000)


def test_a_coordinate_of_400_digits_is_no_number():
    (one,) = parse(('{"objects": [{"bbox_name": "spine", "original_x1": 1' + "0" * 400 + ', "original_y1": true}]}').encode()).boxes_xyxy
    assert one[0] == "spine"
    assert all(value != value for value in one[1])


def test_one_odd_scene_graph_costs_its_own_image_alone(tree):
    tree.graph_file("a-one").write_text('{"objects": [], "attributes": [{"phrases": 5}]}')
    dataset = imagenome(tree)
    assert ids(dataset) == ["b-new", "b-old"]
    assert kinds(dataset) == {"unreadable scene graph": 1}


def test_a_damaged_member_of_an_lzma_archive_is_one_unreadable_scene_graph(tree):
    folder, archive = tree.root / SILVER / "scene_graph", tree.root / SILVER / "scene_graph.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as packed:
        for file in sorted(folder.iterdir()):
            packed.write(file, f"scene_graph/{file.name}")
    shutil.rmtree(folder)
    with zipfile.ZipFile(archive) as packed:
        first = packed.infolist()[0]
    content = bytearray(archive.read_bytes())
    start = first.header_offset + 30 + len(first.filename) + 9  # zip's and LZMA's own headers
    content[start : start + 40] = b"\xff" * 40
    archive.write_bytes(content)
    with zipfile.ZipFile(archive) as packed, pytest.raises(lzma.LZMAError):
        packed.read(first)
    dataset = imagenome(tree)
    assert ids(dataset) == ["b-new", "b-old"]
    assert kinds(dataset) == {"unreadable scene graph": 1}


# --- laterals, by the hundred thousand ---


def test_other_views_are_counted_in_a_line_for_each_view(tree):
    for number in range(5):
        tree.image(f"c{number}", "10000764", "50000003", view="LL" if number else "LATERAL", split=None)
    tree.write()
    dataset = mimic(tree)
    found = {problem.what: (problem.where, problem.count) for problem in problems(dataset, "other view")}
    assert found == {"LATERAL": ("b-lat and 1 more", 2), "LL": ("c1 and 3 more", 4)}
    assert kinds(dataset) == {"other view": 6}
    assert dataset.account(["test"]).listed == {"test": 9}
    mimic(tree, strict=True).cases("test")
