"""Tables of one's own: formats, columns, and every way in which a table can be wrong."""

from __future__ import annotations

import gzip
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.datasets import columns
from benchmark.datasets.columns import BadTable
from benchmark.datasets.lesion_columns import BadLabel
from benchmark.datasets.manifest import BadManifest, Manifest, StoppedAtProblem
from benchmark.datasets.split import SharedPatient
from benchmark.records import UserError
from benchmark.registry import Spec, load
from benchmark.vocabulary import LESIONS

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS = [
    {"id": "1", "image": "a.png", "report": "Clear lungs, no effusion.", "patient": "p1", "split": "test"},
    {"id": "2", "image": "b.png;c.png", "report": "Größe normal.", "patient": "p1", "split": "test"},
    {"id": "3", "image": "c.png", "report": "Effusion.", "patient": "p2", "split": "val"},
]


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(path, rows):
    """The rows in the format that the path's suffix names."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case ".json":
            frame.to_json(path, orient="records")
        case ".parquet":
            frame.to_parquet(path)
    return path


def read(dataset):
    dataset.cases("test")
    return dataset


def text(folder, content, name="cases.csv"):
    (folder / name).write_text(content)
    return str(folder / name)


@pytest.mark.parametrize("name", ["cases.csv", "cases.tsv", "cases.jsonl", "cases.json", "cases.parquet"])
def test_every_format_gives_the_same_cases(folder, name):
    dataset = Manifest(str(write(folder / name, ROWS)))
    cases = dataset.cases("test")
    assert [(case.id, case.patient, case.study) for case in cases] == [("1", "p1", "1"), ("2", "p1", "2")]
    assert [[image.path for image in case.images] for case in cases] == [[folder / "a.png"], [folder / "b.png", folder / "c.png"]]
    assert [(reference.case_id, reference.report) for reference in dataset.references("test")] == [
        ("1", "Clear lungs, no effusion."),
        ("2", "Größe normal."),
    ]
    assert [case.id for case in dataset.cases("validate")] == ["3"]
    assert dataset.cases("train") == []
    assert dataset.problems() == []


def test_only_the_image_is_needed(folder):
    dataset = Manifest(text(folder, "image\na.png\nb.png\n"))
    assert [(case.id, case.patient, case.study) for case in dataset.cases("test")] == [("a", "a", "a"), ("b", "b", "b")]
    assert [reference.report for reference in dataset.references("test")] == ["", ""]


def test_a_row_without_a_patient_among_rows_with_one_is_a_patient_of_its_own(folder):
    """Taken as one patient '' they would be drawn together in every interval; the id of the last is already another's patient."""
    path = text(folder, "id,image,patient,split\na,a.png,,train\nb,b.png,nan,test\nc,c.png,d,train\nd,a.png,,test\n")
    dataset = Manifest(path)
    patients = {case.id: case.patient for split in ("train", "test") for case in dataset.cases(split)}
    assert patients == {"a": "a", "b": "b", "c": "d", "d": "patient of d"}
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [("no patient", f"line {line}") for line in (2, 3, 5)]


@pytest.mark.parametrize("content", ["id,image,patient\n1,a.png,\n2,b.png,\n", "id,image\n1,a.png\n2,b.png\n"])
def test_where_no_row_has_a_patient_each_is_its_own_and_nothing_is_wrong(folder, content):
    dataset = Manifest(text(folder, content))
    assert [case.patient for case in dataset.cases("test")] == ["1", "2"]
    assert dataset.problems() == []


def test_images_of_one_study_are_of_one_patient_also_where_nobody_says_of_whom(folder):
    """Taken for two patients they would be two witnesses, and the one's report could be learnt from while the other's is measured."""
    dataset = Manifest(text(folder, "id,image,study\n1,a.png,s1\n2,b.png,s1\n3,c.png,s2\n"))
    assert [case.patient for case in dataset.cases("test")] == ["s1", "s1", "s2"]
    dataset = Manifest(text(folder, "id,image,study,patient\n1,a.png,s1,\n2,b.png,s1,ann\n3,c.png,s2,\n"))
    assert [case.patient for case in dataset.cases("test")] == ["ann", "ann", "s2"]
    with pytest.raises(UserError, match="patient s1 is in train and in test"):
        Manifest(text(folder, "id,image,study,split\n1,a.png,s1,train\n2,b.png,s1,test\n")).cases("test")


def test_a_lateral_view_is_known_by_what_people_write(folder):
    views = ["Lat", "lateral view", "ll", "PA view", "ap", "Frontal"]
    rows = "".join(f"{number},a.png,{view}\n" for number, view in enumerate(views))
    cases = Manifest(text(folder, f"id,image,view\n{rows}")).cases("test")
    assert [case.images[0].view for case in cases] == ["LATERAL", "LATERAL", "LL", "PA", "AP", "FRONTAL"]


def test_a_table_with_semicolons_is_read(folder):
    """Several images are divided by the same sign: they stand in quotes."""
    (case,) = Manifest(text(folder, 'image;report\n"a.png;b.png";Clear, no effusion\n')).cases("test")
    assert [image.id for image in case.images] == ["a", "b"]


def test_a_column_that_is_not_asked_for_may_hold_anything(folder):
    (folder / "cases.jsonl").write_text('{"image": "a.png", "age": Infinity, "more": {"a": [1]}}')
    assert len(Manifest(str(folder / "cases.jsonl")).cases("test")) == 1


def test_context_and_views_are_read(folder):
    path = text(folder, "image,view,indication,comparison,technique\na.png;b.png,pa;lateral,Cough,None,Two views\nc.png,,,,\n")
    full, bare = Manifest(path).cases("test")
    assert [image.view for image in full.images] == ["PA", "LATERAL"]
    assert (full.indication, full.comparison, full.technique) == ("Cough", "None", "Two views")
    assert (bare.images[0].view, bare.indication) == ("", "")


def test_columns_can_have_other_names(folder):
    path = text(folder, "filename,findings text,who\na.png,Clear.,7\n")
    dataset = Manifest(path, columns="image=filename, report=findings text,patient=who")
    assert dataset.cases("test")[0].patient == "7"
    assert dataset.references("test")[0].report == "Clear."


def test_images_may_lie_elsewhere(folder):
    (folder / "tables").mkdir()
    path = text(folder, "image\na.png\n", "tables/cases.csv")
    assert len(Manifest(path, images=folder).cases("test")) == 1
    assert Manifest(path).problems() == []
    assert Manifest(path).cases("test") == []


def test_an_absolute_path_gives_no_path_as_id(folder):
    path = text(folder, f"image\n{folder / 'a.png'}\n")
    assert Manifest(path).cases("test")[0].id == "a"
    assert Manifest(path, images=Path("/elsewhere")).cases("test")[0].id == "a"


def test_whole_numbers_that_pandas_made_floats_are_whole_again(folder):
    path = folder / "cases.jsonl"
    path.write_text(json.dumps({"image": "a.png", "id": 12.0, "patient": 3, "report": math.nan}) + "\n")
    (case,) = Manifest(str(path)).cases("test")
    assert (case.id, case.patient) == ("12", "3")


def test_a_list_of_images_in_json_is_several_views(folder):
    (folder / "cases.json").write_text(json.dumps([{"image": ["a.png", "b.png"]}]))
    assert len(Manifest(str(folder / "cases.json")).cases("test")[0].images) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_the_encoding_does_not_matter(folder, encoding):
    (folder / "cases.csv").write_bytes("image,report\na.png,Größe normal.\n".encode(encoding))
    assert Manifest(str(folder / "cases.csv")).references("test")[0].report == "Größe normal."


def test_labels_of_all_14_lesions_become_lesions(folder):
    header = [name.replace(" ", "_").title() for name in LESIONS]
    values = ["1" if name == "edema" else "-1" if name == "mass" else "" if name == "hernia" else "0" for name in LESIONS]
    path = text(folder, f"image,report,{','.join(header)}\na.png,Edema.,{','.join(values)}\nb.png,Clear.,{',' * 13}\n")
    labelled, unlabelled = Manifest(path).references("test")
    assert [(one.name, one.certainty) for one in labelled.lesions if one.status == "positive"] == [("mass", "hedged"), ("edema", "stated")]
    assert [one.name for one in labelled.lesions] == list(LESIONS)
    assert unlabelled.lesions is None


def test_some_of_the_14_lesions_are_not_taken_for_labels(folder):
    """The others would read as negative."""
    assert Manifest(text(folder, "image,report,edema\na.png,Edema.,1\n")).references("test")[0].lesions is None


def test_a_label_that_is_none_names_row_and_column(folder):
    path = text(folder, f"image,{','.join(LESIONS)}\na.png,{','.join(['yes'] + ['0'] * 13)}\n")
    with pytest.raises(BadLabel, match=r"line 2, column 'cardiomegaly': a label was to be 1, 0, -1 .* found 'yes'"):
        Manifest(path).cases("test")


def test_boxes_go_to_the_reference_and_to_the_case_only_where_granted(folder):
    boxes = {"left lung": [1, 2, 10, 15], "spine": [25, 1, 40, 30], "svc": [3, 3, 3, 3]}
    (folder / "cases.jsonl").write_text(json.dumps({"image": "a.png", "boxes": boxes}))
    plain, granted = (Manifest(str(folder / "cases.jsonl"), boxes=which) for which in ("none", "truth"))
    assert plain.cases("test")[0].boxes is None
    assert plain.references("test")[0].boxes == {"left lung": (1, 2, 10, 15), "spine": (25, 1, 30, 20)}
    assert granted.cases("test")[0].boxes == plain.references("test")[0].boxes
    assert [problem.kind for problem in plain.problems()] == ["box dropped", "box clipped"]


def test_regions_sentences_and_priors_are_read_in_every_format(folder):
    """CSV has them as JSON, Parquet and JSON lines as nested values; a struct of Parquet is filled up with nothing."""
    sentences = [{"left lung": "The left  lung is clear."}, {"spine": "Scoliosis.", "trachea": ""}]
    rows = [
        {"image": "a.png", "region_sentences": sentences[0], "prior_report": "Effusion.", "prior_image": "c.png"},
        {"image": "b.png", "region_sentences": sentences[1], "prior_report": "", "prior_image": ""},
    ]
    write(folder / "cases.parquet", rows)
    write(folder / "cases.jsonl", rows)
    write(folder / "cases.csv", [{**row, "region_sentences": json.dumps(row["region_sentences"])} for row in rows])
    for name in ("cases.csv", "cases.jsonl", "cases.parquet"):
        dataset = Manifest(str(folder / name))
        assert [reference.region_sentences for reference in dataset.references("test")] == [
            {"left lung": "The left lung is clear."},
            {"spine": "Scoliosis."},
        ]
        assert [(case.prior_report, case.prior_image) for case in dataset.cases("test")] == [("Effusion.", folder / "c.png"), ("", None)]


def test_a_prior_image_that_is_not_there_is_counted_and_the_case_stays(folder):
    dataset = Manifest(text(folder, "image,prior_image\na.png,gone.png\n"))
    assert [case.prior_image for case in dataset.cases("test")] == [None]
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [("prior: missing image", f"line 2: {folder / 'gone.png'}")]


def test_a_setting_per_column_names_one_that_is_called_otherwise(folder):
    path = text(folder, "filename,findings text,who,found\na.png,Clear.,7,Effusion|Pleural_Thickening\nb.png,Clear.,8,No Finding\nc.png,Clear.,9,\n")
    options = {"image": "filename", "report": "findings text", "patient": "who", "labels": "found"}
    dataset = load().build("datasets", Spec("m", "manifest", path), available={}, options=options)
    assert [case.patient for case in dataset.cases("test")] == ["7", "8", "9"]
    named, none, unlabelled = dataset.references("test")
    assert named.report == "Clear."
    assert [lesion.name for lesion in named.lesions if lesion.status == "positive"] == ["pleural effusion", "pleural thickening"]
    assert {lesion.status for lesion in none.lesions} == {"negative"}
    assert unlabelled.lesions is None


def test_a_name_that_is_no_lesion_is_refused_with_row_and_column(folder):
    with pytest.raises(BadLabel, match=r"line 2, column 'found': 'fracture' is none of the 14 lesions; known: cardiomegaly, .*, No Finding"):
        Manifest(text(folder, "image,found\na.png,Mass|Fracture\n"), labels="found").cases("test")


def test_a_column_is_known_in_any_case_and_with_underscores_or_spaces(folder):
    dataset = Manifest(text(folder, "Image,REPORT,Prior Report\na.png,Clear.,Old.\n"))
    assert dataset.cases("test")[0].prior_report == "Old."
    assert dataset.references("test")[0].report == "Clear."


def test_a_table_whose_reports_are_called_otherwise_is_told(folder):
    """Else a day of generation would end with nothing to be measured against."""
    (problem,) = read(Manifest(text(folder, "image,findings\na.png,Clear.\n"))).problems()
    assert problem.kind == "no column of reports"
    assert "if it is 'findings': --set manifest.report=findings" in problem.what


def test_images_are_found_without_their_suffix(folder):
    cases = Manifest(text(folder, "image\na\nb.2\n")).cases("test")
    assert [(case.id, case.images[0].path.name) for case in cases] == [("a", "a.png")]
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "b.2.jpg")
    cases = Manifest(text(folder, "image\na\nb.2\n")).cases("test")
    assert [(case.id, case.images[0].path.name) for case in cases] == [("a", "a.png"), ("b.2", "b.2.jpg")]


def test_a_row_that_comes_twice_and_one_without_image_are_left_out_and_counted(folder):
    path = text(folder, "id,image,report\n1,a.png,One.\n1,b.png,Two.\n3,,Three.\n4,c.png,Four.\n")
    dataset = Manifest(path)
    assert [reference.report for reference in dataset.references("test")] == ["One.", "Four."]
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [
        ("duplicate id", "line 3"),
        ("no image path", "line 4, column 'image'"),
    ]
    with pytest.raises(StoppedAtProblem, match="found 2 faults, first duplicate id: line 3"):
        Manifest(path, strict=True).cases("test")


def test_a_table_of_two_encodings_is_read_and_a_zipped_one_too(folder):
    (folder / "cases.csv").write_bytes("image,report\na.png,Größe.\n".encode() + "b.png,Größe.\n".encode("latin-1"))
    dataset = Manifest(str(folder / "cases.csv"))
    assert [reference.report for reference in dataset.references("test")] == ["Größe."] * 2
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [("mixed encodings", "line 3")]
    (folder / "cases.jsonl.gz").write_bytes(gzip.compress(b'{"image": "a.png"}\n{"image": "b.png"}'))
    assert len(Manifest(str(folder / "cases.jsonl.gz")).cases("test")) == 2


@pytest.mark.parametrize(("name", "error"), [("cases.csv.gz", BadTable), ("cases.jsonl.gz", BadManifest)])
def test_a_zipped_table_that_would_fill_the_memory_is_refused(folder, monkeypatch, name, error):
    monkeypatch.setattr(columns, "MOST_BYTES", 2**20)  # the real limit of 1 GiB would take the test as long as the attack
    (folder / name).write_bytes(gzip.compress(b"image\n" + b"a" * 2**21))
    with pytest.raises(error, match="more than 1 MiB unpacked, which no table has"):
        Manifest(str(folder / name)).cases("test")


def test_a_unit_is_asked_of_folders_alone(folder):
    with pytest.raises(BadManifest, match="unit=image was asked of a table, of which a row is a case; give each image a row"):
        Manifest(text(folder, "image\na.png\n"), unit="image").cases("test")


# --- a folder ---


def test_every_image_of_a_folder_is_a_case_without_a_reference(folder):
    (folder / "sub").mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "sub" / "a.jpg")
    (folder / "sub" / "a.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "notes.txt").write_text("not an image")
    dataset = Manifest(str(folder))
    assert [case.id for case in dataset.cases("test")] == ["a", "b", "c", "sub/a.jpg", "sub/a.png"]
    assert {reference.report for reference in dataset.references("test")} == {""}


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(BadManifest, match="was to hold radiographs"):
        Manifest(str(tmp_path)).cases("test")


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"caf\xe9/a.png"])
def test_an_image_whose_name_is_not_utf_8_is_left_out_and_named(folder, name):
    """Neither its id nor its path could be written to any file of a run."""
    path = folder / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    (folder / "a.png").rename(path)
    dataset = Manifest(str(folder))
    assert [case.id for case in dataset.cases("test")] == ["b", "c"]
    (problem,) = dataset.problems()
    assert problem.kind == "file name is not UTF-8"
    assert name.decode(errors="backslashreplace") in problem.where
    assert problem.where.encode()
    assert dataset.fingerprint("test") == Manifest(str(folder)).fingerprint("test")


# --- what is left out ---


def test_a_missing_image_is_left_out_and_named_with_its_row(folder):
    dataset = Manifest(text(folder, "image,report\ngone.png,Clear.\na.png,Clear.\n"))
    assert [case.id for case in dataset.cases("test")] == ["a"]
    (problem,) = dataset.problems()
    assert (problem.kind, problem.where) == ("missing image", f"line 2: {folder / 'gone.png'}")


def test_a_file_that_is_no_image_is_left_out(folder):
    (folder / "a.png").write_text("no image")
    dataset = Manifest(text(folder, "image\na.png\nb.png\n"))
    assert [case.id for case in dataset.cases("test")] == ["b"]
    assert dataset.problems()[0].kind == "unreadable image"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_that_was_cut_off_is_left_out_though_its_header_is_whole(folder, suffix):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)).save(folder / f"cut.{suffix}")
    (folder / f"cut.{suffix}").write_bytes((folder / f"cut.{suffix}").read_bytes()[:-900])
    dataset = read(Manifest(text(folder, f"image\ncut.{suffix}\nb.png\n")))
    assert [case.id for case in dataset.cases("test")] == ["b"]
    assert [(problem.kind, problem.what) for problem in dataset.problems()] == [("unreadable image", "the file ends too early; fetch it again")]
    assert [problem.kind for problem in read(Manifest(str(folder), images=folder)).problems()] == ["unreadable image"]


@pytest.mark.parametrize("nothing", ["", "nan", "NaN", "  "])
def test_a_row_without_a_report_among_rows_with_one_is_left_out(folder, nothing):
    dataset = Manifest(text(folder, f"image,report\na.png,{nothing}\nb.png,Clear.\n"))
    assert [case.id for case in dataset.cases("test")] == ["b"]
    assert [(problem.kind, problem.where) for problem in dataset.problems()] == [("no report", "line 2")]


def test_strict_stops_at_the_first_row_that_cannot_be_used(folder):
    path = text(folder, "image\ngone.png\na.png\n")
    with pytest.raises(StoppedAtProblem, match=r"found 1 faults, first missing image: line 2: .*gone\.png"):
        Manifest(path, strict=True).cases("test")


# --- what is refused ---


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "was to hold a row per case, found none"),
        ("image,report\n", "found none"),
        ("thing,report\nx,x\n", "needs the column 'image', found thing, report; say which it is: --set manifest.image=..."),
        ("the file,report\na.png;b.png,x\n", "; did you mean 'the file'; say which it is: --set manifest.image=\"the file\""),
        ("id,image\n1,a.png\n,b.png\n", "line 3, column 'id': the id is missing"),
        ("image,report\n/a/x.png,1\n/b/x.png,2\n", "line 3: '/b/x.png' and that of line 2 would both be called 'x'; add a column id"),
        ("image,split\na.png,holdout\n", "line 2, column 'split': 'holdout' is no split; write one of train, validate, test"),
        ('image,boxes\na.png,"{""knee"": [1,2,3,4]}"\n', "line 2, column 'boxes': 'knee' is no region"),
        ('image,boxes\na.png,"{""spine"": [1,2,3]}"\n', "the box of 'spine' was to be left, top, right, bottom"),
        ("image,boxes\na.png,spine\n", "line 2, column 'boxes': no JSON"),
        ("image,boxes\na.png,3\n", "was to be JSON like"),
        ("image,region_sentences\na.png,clear\n", "line 2, column 'region_sentences': no JSON"),
        ('image,region_sentences\na.png,"{""spine"": 1}"\n', "the sentence about 'spine' was to be a text, found int"),
    ],
)
def test_a_wrong_table_is_refused_with_row_and_column(folder, content, words):
    with pytest.raises(BadManifest) as caught:
        Manifest(text(folder, content)).cases("test")
    assert words in str(caught.value)
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cases.json", '{"image": "a.png"}', "was to be a JSON list of objects, found dict"),
        ("cases.json", "[1]", "item 1: was to be an object"),
        ("cases.jsonl", '{"image": "a.png"}\n{"image":', "line 2: no JSON"),
        ("cases.jsonl", '{"image": {"path": "a.png"}}', "column 'image': was to be a text, a number or a list of texts, found dict"),
        ("cases.jsonl", '{"image": "a.png", "id": Infinity}', "line 1, column 'id': was to be a text or a number, found infinity"),
        ("cases.json", '[{"image": "a.png", "patient": -1e999}]', "item 1, column 'patient': was to be a text or a number, found infinity"),
        ("cases.json", "[" * 200_000, "JSON nested too deeply"),
        ("cases.jsonl", '{"image":' * 200_000, "line 1: JSON nested too deeply"),
        ("cases.jsonl", r'{"image": "caf\udce9.png"}', "column 'image': half a surrogate pair in the text"),
        ("cases.jsonl", '{"image": "a.png", "boxes": {"spine": [1, 2, 3, 1%s]}}' % ("0" * 400), "the box of 'spine' has a number too large"),
        ("cases.parquet", "not Parquet", "was to be Parquet, and cannot be read"),
        ("cases.xlsx", "x", "found a .xlsx; give one of .csv"),
        ("cases", "x", "found a file without suffix"),
    ],
)
def test_a_file_of_the_wrong_kind_is_refused(folder, name, content, words):
    with pytest.raises(BadManifest) as caught:
        Manifest(text(folder, content, name)).cases("test")
    assert words in str(caught.value)
    assert str(folder / name) in str(caught.value)


def test_a_row_with_too_many_cells_is_refused(folder):
    with pytest.raises(BadTable, match="line 2: 3 cells in a table of 2 columns"):
        Manifest(text(folder, "image,report\na.png,Clear, no effusion\n")).cases("test")


def test_a_manifest_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadManifest, match="No such file"):
        Manifest(str(tmp_path / "cases.csv")).cases("test")


def test_a_patient_in_two_splits_is_refused(folder):
    with pytest.raises(SharedPatient, match="patient p is in train and in test"):
        Manifest(text(folder, "image,patient,split\na.png,p,train\nb.png,p,test\n")).cases("test")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("image", "cannot read 'image'"),
        ("picture=a", "cannot read 'picture=a' of columns; write role=column, the roles are image, report"),
        ("image=file", "image was to be in the column 'file', found the columns image; mend --set manifest.image"),
        ("image=imege", "image was to be in the column 'imege', found the columns image (did you mean 'image'?); mend --set manifest.image"),
        ("boxes=box", "boxes was to be in the column 'box', found the columns image; mend --set manifest.box_column"),
    ],
)
def test_a_wrong_mapping_is_refused(folder, columns, words):
    with pytest.raises(BadManifest) as caught:
        Manifest(text(folder, "image\na.png\n"), columns=columns).cases("test")
    assert words in str(caught.value)


def test_a_split_that_does_not_exist_is_refused(folder):
    with pytest.raises(UserError, match="manifest has no split 'val'; it has train, validate, test"):
        Manifest(text(folder, "image\na.png\n")).cases("val")


# --- fingerprint, registry, real data ---


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: text(folder, "image,report\na.png,Clear!\nb.png,Clear.\n"),
        lambda folder: (folder / "a.png").unlink(),
        lambda folder: Image.fromarray(np.zeros((50, 50), np.uint8)).save(folder / "a.png"),
    ],
)
def test_the_fingerprint_changes_with_table_and_images(folder, change):
    path = text(folder, "image,report\na.png,Clear.\nb.png,Clear.\n")
    before = Manifest(path).fingerprint("test")
    assert Manifest(path).fingerprint("test") == before
    change(folder)
    assert Manifest(path).fingerprint("test") != before


def test_text_of_ones_own_is_credentialed_unless_said_otherwise(folder):
    path = text(folder, "file\na.png\n")
    assert Manifest(path).is_credentialed
    built = load().build("datasets", Spec("m", "manifest", path), available={}, options={"columns": "image=file", "is_credentialed": "no"})
    assert not built.is_credentialed
    assert len(built.cases("test")) == 1


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (../shared/data)")
@pytest.mark.parametrize(("name", "count"), [("nih/images", 32), ("hannover/images", 12), ("vqa_rad_chest/images", 107), ("iu_xray/images", 8)])
def test_folders_of_real_radiographs_are_read_whole(name, count):
    dataset = Manifest(str(REAL / name))
    assert len(dataset.cases("test")) == count
    assert dataset.problems() == []


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (../shared/data)")
def test_a_real_table_is_read_by_its_own_column_names():
    dataset = Manifest(str(REAL / "nih/labels.csv"), columns="image=Image Index,patient=Patient ID,view=View Position", images=REAL / "nih/images")
    cases = dataset.cases("test")
    assert len(cases) == 32
    assert cases[0].id == "00001369_000"
    assert (cases[0].patient, cases[0].images[0].view) == ("1369", "PA")
