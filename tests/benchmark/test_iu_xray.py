"""IU X-Ray from small collections made here, and from the real reports where they are. All texts in the small ones are invented."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from benchmark.datasets import iu_xray
from benchmark.datasets.columns import BadTable
from benchmark.datasets.iu_xray import IUXRay, NoSuchCollection, StoppedAtProblem, without_blanks
from benchmark.datasets.r2gen_annotation import BadAnnotation, read_items
from benchmark.records import UserError
from benchmark.vocabulary import LESIONS

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "iu_xray"


TINY = b"BM" + struct.pack("<IIIIiiHHIIiiII", 62, 0, 58, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(4)
"""a BMP of one pixel"""


def xml(number, images, findings="The lungs are XXXX.", indication="Cough", caption="Chest PA and Lateral"):
    parents = "".join(f'<parentImage id="{image}"><caption>{caption}</caption></parentImage>' for image in images)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>'
        f'<AbstractText Label="COMPARISON"/><AbstractText Label="INDICATION">{indication}</AbstractText>'
        f'<AbstractText Label="FINDINGS">{findings}</AbstractText><AbstractText Label="IMPRESSION">Normal.</AbstractText>'
        f"</Abstract></Article></MedlineCitation>{parents}</eCitation>"
    )


REPORTS = {
    "10.xml": xml(10, ["CXR10_IM-0002-2001", "CXR10_IM-0002-1001"]),
    "2.xml": xml(2, ["CXR2_2_IM-0651-1001"], findings="Clear.\n  Heart normal.", caption="AP portable"),
    "3.xml": xml(3, ["CXR3_IM-0003-1001"], findings=""),
    "4.xml": xml(4, ["CXR4_IM-0004-1001"]),
    "5.xml": xml(5, []),
}
PROJECTIONS = """uid,filename,projection
10,10_IM-0002-2001.dcm.png,Lateral
10,10_IM-0002-1001.dcm.png,Frontal
2,2_IM-0651-1001.dcm.png,Frontal
"""


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(path)


@pytest.fixture
def collection(tmp_path):
    """Five reports: two complete, one without FINDINGS, one whose image is not there, one that names none."""
    (tmp_path / "ecgen-radiology").mkdir()
    for name, content in REPORTS.items():
        (tmp_path / "ecgen-radiology" / name).write_text(content)
    for name in ("CXR10_IM-0002-2001", "CXR10_IM-0002-1001", "CXR2_IM-0651-1001", "CXR3_IM-0003-1001"):
        picture(tmp_path / "images" / f"{name}.png")
    (tmp_path / "indiana_projections.csv").write_text(PROJECTIONS)
    return tmp_path


def read(root, **settings):
    dataset = IUXRay(str(root), **settings)
    return dataset, dataset.cases("test"), dataset.references("test")


def kinds(dataset):
    return Counter(problem.kind for problem in dataset.problems())


def test_studies_come_in_the_order_of_their_numbers(collection):
    dataset, cases, references = read(collection)
    assert [(case.id, case.patient, case.study) for case in cases] == [("CXR2", "CXR2", "CXR2"), ("CXR10", "CXR10", "CXR10")]
    assert [(reference.case_id, reference.report) for reference in references] == [("CXR2", "Clear. Heart normal."), ("CXR10", "The lungs are XXXX.")]
    assert dataset.cases("train") == dataset.cases("validate") == []


def test_frontal_comes_before_lateral_whatever_the_report_says(collection):
    _, (two, ten), _ = read(collection)
    assert [(image.id, image.view) for image in ten.images] == [("10_IM-0002-1001", "PA"), ("10_IM-0002-2001", "LATERAL")]
    assert [(image.id, image.view) for image in two.images] == [("2_IM-0651-1001", "AP")]
    assert all(image.path.is_file() for image in ten.images)


def test_without_projections_the_reports_order_holds_and_no_view_is_claimed(collection):
    (collection / "indiana_projections.csv").unlink()
    _, (_, ten), _ = read(collection)
    assert [(image.id, image.view) for image in ten.images] == [("10_IM-0002-2001", ""), ("10_IM-0002-1001", "")]


def test_open_is_dicom_files_say_their_view_themselves(collection):
    (collection / "indiana_projections.csv").unlink()
    for name, view in (("CXR10_IM-0002-2001", "LL"), ("CXR10_IM-0002-1001", "PA")):
        path = collection / "images" / f"{name}.png"
        data = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "MR_small.dcm")
        data.ViewPosition = view
        data.save_as(path.with_name(f"{name.removeprefix('CXR')}.dcm"))
        path.unlink()
    _, (_, ten), _ = read(collection)
    assert [(image.id, image.view) for image in ten.images] == [("10_IM-0002-1001", "PA"), ("10_IM-0002-2001", "LL")]


def test_indication_is_filled_and_an_empty_comparison_stays_empty(collection):
    _, (case, _), _ = read(collection)
    assert (case.indication, case.comparison) == ("Cough", "")


def test_reports_without_findings_or_image_are_left_out_and_counted(collection):
    dataset, _, _ = read(collection)
    assert kinds(dataset) == {"no findings": 1, "missing image": 1, "no image": 1}
    assert {problem.where for problem in dataset.problems()} == {"CXR3", "CXR4", "CXR5"}


def test_the_archive_is_read_in_place(collection):
    expected = read(collection)[1:]
    folder = collection / "ecgen-radiology"
    with tarfile.open(collection / "NLMCXR_reports.tgz", "w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, f"ecgen-radiology/{path.name}")
            path.unlink()
    assert read(collection)[1:] == expected


def test_kaggles_copy_gives_the_same_studies(collection):
    expected = read(collection)[1:]
    for path in (collection / "ecgen-radiology").iterdir():
        path.unlink()
    for path in (collection / "images").iterdir():
        path.rename(path.with_name(path.name.removeprefix("CXR").replace(".png", ".dcm.png")))
    (collection / "indiana_reports.csv").write_text(
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        "10,normal,normal,Chest PA and Lateral,Cough,,The lungs are XXXX.,Normal.\n"
        "2,normal,normal,AP portable,Cough,,Clear.  Heart normal.,Normal.\n3,normal,normal,PA,Cough,,,Normal.\n"
    )
    dataset, cases, references = read(collection)
    assert references == expected[1]
    assert [[image.id for image in case.images] for case in cases] == [[image.id for image in case.images] for case in expected[0]]
    assert kinds(dataset) == {"no image": 1}


def test_r2gens_images_are_found_by_their_folder(collection):
    for path in (collection / "images").iterdir():
        path.unlink()
    for name in ("1.png", "0.png"):
        picture(collection / "images/CXR2_IM-0651" / name)
    _, (case,), _ = read(collection)
    assert [(image.path.name, image.view) for image in case.images] == [("0.png", ""), ("1.png", "")]


def test_the_first_study_whose_folder_repeats_its_number_is_found_too(collection):
    picture(collection / "images" / "CXR4_4_IM-0004" / "0.png")
    assert [case.id for case in read(collection)[1]] == ["CXR2", "CXR4", "CXR10"]


def test_r2gens_copy_needs_nothing_else(tmp_path):
    """What people download for R2Gen: its annotation.json and its folders of images."""
    for name in ("CXR2_IM-0651", "CXR10_IM-0002"):
        picture(tmp_path / "images" / name / "0.png")
        picture(tmp_path / "images" / name / "1.png")
    items = [
        {"id": name, "report": f"{name} \n is clear.", "image_path": [f"{name}/0.png", f"{name}/1.png"]} for name in ("CXR2_IM-0651", "CXR7_IM-1")
    ]
    other = {"id": "CXR10_IM-0002", "report": "Clear.", "image_path": ["CXR10_IM-0002/0.png"]}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [other], "val": [], "test": items}))
    dataset, cases, references = read(tmp_path)
    assert [(case.id, [image.path.name for image in case.images]) for case in cases] == [("CXR2", ["0.png", "1.png"])]
    assert [reference.report for reference in references] == ["CXR2_IM-0651 is clear."]
    assert [case.id for case in dataset.cases("train")] == ["CXR10"]
    assert kinds(dataset) == {"missing image": 1}
    with pytest.raises(NoSuchCollection, match=r"target=impression was asked, and R2Gen's annotation.json has the findings alone"):
        read(tmp_path, target="impression")


def test_the_annotation_may_lie_elsewhere_and_can_be_insisted_on(collection, tmp_path_factory):
    with pytest.raises(NoSuchCollection, match=r"split_rule=r2gen was asked, .* --set iu_xray\.annotation=PATH"):
        read(collection, split_rule="r2gen")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "iu.json"
    elsewhere.write_text(json.dumps({"train": [], "val": [], "test": [{"id": "CXR2_IM-0651"}]}))
    assert [case.id for case in read(collection, split_rule="r2gen", annotation=elsewhere)[1]] == ["CXR2"]


def test_kaggles_reports_without_projections_find_images_by_their_number(collection):
    for path in (collection / "ecgen-radiology").iterdir():
        path.unlink()
    (collection / "indiana_projections.csv").unlink()
    (collection / "indiana_reports.csv").write_text("uid,findings\n10,Clear.\n2,Clear.\n1,Clear.\n")
    _, cases, _ = read(collection)
    assert [(case.id, len(case.images)) for case in cases] == [("CXR2", 1), ("CXR10", 2)]


def test_images_that_nobody_unpacked_are_named(collection):
    for path in (collection / "images").iterdir():
        path.unlink()
    (collection / "NLMCXR_png.tgz").write_bytes(b"")
    with pytest.raises(NoSuchCollection, match=r"NLMCXR_png\.tgz is still packed; unpack it there"):
        read(collection)


@pytest.mark.parametrize(
    ("target", "reports", "left_out"),
    [
        ("findings", ["Clear. Heart normal.", "The lungs are XXXX."], {"no findings": 1}),
        ("impression", ["Normal."] * 3, {}),
        ("findings+impression", ["Clear. Heart normal. Normal.", "Normal.", "The lungs are XXXX. Normal."], {}),
    ],
)
def test_the_reference_is_the_section_that_was_asked_for(collection, target, reports, left_out):
    dataset, _, references = read(collection, target=target)
    assert [reference.report for reference in references] == reports
    assert dataset.note.endswith(f"The reference is {target.replace('+', ' and ')}.") == (target != "findings")
    assert {kind: count for kind, count in kinds(dataset).items() if "image" not in kind} == left_out


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("The lungs are XXXX.", "The lungs are."),
        ("XXXX. The heart is normal.", "The heart is normal."),
        ("No change. XXXX XXXX. Clear (XXXX).", "No change. Clear."),
        ("XXXX-year-old with XXXX, cough", "year-old with, cough"),
        ("A 3 XXXX nodule, XXXX.", "A 3 nodule,"),
        ("XXXX", ""),
        ("Clear.", "Clear."),
    ],
)
def test_blanks_can_be_taken_out_with_what_they_leave(text, bare):
    assert without_blanks(text) == bare


def test_blanks_are_taken_out_of_every_text_and_the_note_says_so(collection):
    (collection / "ecgen-radiology" / "2.xml").write_text(xml(2, ["CXR2_2_IM-0651-1001"], findings="XXXX.", indication="XXXX cough"))
    (collection / "ecgen-radiology" / "10.xml").write_text(xml(10, ["CXR10_IM-0002-1001"], indication="XXXX cough"))
    dataset, cases, references = read(collection, blanks="drop")
    assert [case.indication for case in cases] == ["cough"]
    assert [reference.report for reference in references] == ["The lungs are."]
    assert kinds(dataset)["no findings"] == 2
    assert "XXXX are taken out" in dataset.note
    assert "XXXX stay in" in IUXRay.note


def test_by_image_every_frontal_is_a_case_with_the_laterals_beside_it(collection):
    picture(collection / "images" / "CXR10_IM-0002-1002.png")
    (collection / "ecgen-radiology" / "10.xml").write_text(xml(10, [f"CXR10_IM-0002-{number}" for number in (2001, 1001, 1002)]))
    (collection / "indiana_projections.csv").write_text(PROJECTIONS + "10,10_IM-0002-1002.dcm.png,Frontal\n")
    _, cases, references = read(collection, unit="image")
    assert [(case.id, case.study, [image.id[-4:] for image in case.images]) for case in cases] == [
        ("2_IM-0651-1001", "CXR2", ["1001"]),
        ("10_IM-0002-1001", "CXR10", ["1001", "2001"]),
        ("10_IM-0002-1002", "CXR10", ["1002", "2001"]),
    ]
    assert [reference.case_id for reference in references] == [case.id for case in cases]


def test_pairs_are_a_frontal_and_a_lateral_or_two_of_which_nobody_says_what_they_are(collection):
    dataset, cases, _ = read(collection, pairs=True)
    assert [case.id for case in cases] == ["CXR10"]
    assert kinds(dataset)["no pair of views"] == 1
    assert read(collection, pairs=True, strict=False)[0].fingerprint("test") != read(collection)[0].fingerprint("test")
    (collection / "indiana_projections.csv").unlink()
    assert [case.id for case in read(collection, pairs=True)[1]] == ["CXR10"]


@pytest.mark.parametrize(("limit", "kind"), [("MOST_BYTES", ""), ("BIGGEST_ARCHIVE_MEMBER", "unreadable report")])
def test_an_archive_that_would_fill_the_memory_is_refused_and_a_giant_in_it_left_out(collection, monkeypatch, limit, kind):
    monkeypatch.setattr(iu_xray, limit, 2**16)  # the real limits would take the test as long as the attack
    giant = collection / "ecgen-radiology" / "9.xml"
    giant.write_text(xml(9, [], findings="a" * 2**17))
    with tarfile.open(collection / "NLMCXR_reports.tgz", "w:gz") as archive:
        archive.add(giant, "9.xml")
    giant.unlink()
    if kind:
        assert kinds(read(collection)[0])[kind] == 1
    else:
        with pytest.raises(NoSuchCollection, match="may be made to fill the memory"):
            read(collection)


def test_an_xml_bomb_is_an_unreadable_report(collection):
    entities = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10 if k else "lol" * 10}">' for k in range(10))
    (collection / "ecgen-radiology" / "9.xml").write_text(f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><eCitation>&e9;</eCitation>')
    dataset, cases, _ = read(collection)
    assert len(cases) == 2
    assert kinds(dataset)["unreadable report"] == 1


@pytest.mark.parametrize("test_key", ["test", "    "])
def test_r2gens_split_is_used_even_if_the_key_of_test_is_spaces(collection, test_key):
    annotation = {"train": [{"id": "CXR10_IM-0002"}], "val": [], test_key: [{"id": "CXR2_IM-0651"}]}
    (collection / "annotation.json").write_text(json.dumps(annotation))
    dataset = IUXRay(str(collection))
    assert {split: [case.id for case in dataset.cases(split)] for split in ("train", "validate", "test")} == {
        "train": ["CXR10"],
        "validate": [],
        "test": ["CXR2"],
    }
    assert kinds(dataset)["not in annotation.json"] == 3
    assert [case.id for case in IUXRay(str(collection), split_rule="all").cases("test")] == ["CXR2", "CXR10"]


def test_an_items_own_word_on_its_split_is_believed_first(collection):
    annotation = {"train": [{"id": "CXR10_IM-0002", "split": "val"}], "val": [], "test": []}
    (collection / "annotation.json").write_text(json.dumps(annotation))
    assert [case.id for case in IUXRay(str(collection)).cases("validate")] == ["CXR10"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "was to be R2Gen's annotation.json"),
        ("[]", "was to be R2Gen's annotation.json"),
        ('{"train": [{"name": "CXR1"}]}', "KeyError"),
        ('{"a": [], "b": []}', "was to have the splits train, val and test, found 'a', 'b'; rename its keys"),
    ],
)
def test_another_annotation_json_is_refused(collection, content, words):
    (collection / "annotation.json").write_text(content)
    with pytest.raises(BadAnnotation) as caught:
        IUXRay(str(collection)).cases("test")
    assert words in str(caught.value)


def test_labels_by_experts_become_the_references_lesions(collection):
    header = "Atelectasis,Cardiomegaly,Effusion,Infiltration,Mass,Nodule,Pneumonia,Pneumothorax,Consolidation,Edema,Emphysema,Fibrosis"
    (collection / "gold.csv").write_text(f"filename,{header},Pleural_Thickening,Hernia,normal\nCXR2,0,0,1,0,0,0,0,0,0,0,0,0,1,0,0\n")
    _, _, (two, ten) = read(collection)
    assert [lesion.name for lesion in two.lesions] == list(LESIONS)
    assert [lesion.name for lesion in two.lesions if lesion.status == "positive"] == ["pleural effusion", "pleural thickening"]
    assert ten.lesions is None


def test_a_report_that_is_no_xml_is_left_out_and_strict_stops_at_it(collection):
    (collection / "ecgen-radiology" / "2.xml").write_text(REPORTS["2.xml"][:100])
    dataset, cases, _ = read(collection)
    assert [case.id for case in cases] == ["CXR10"]
    assert [problem.where for problem in dataset.problems() if problem.kind == "unreadable report"] == ["2.xml"]
    with pytest.raises(StoppedAtProblem, match=r"found 2 faults, first unreadable report: 2\.xml"):
        IUXRay(str(collection), strict=True).cases("test")


def test_a_report_in_another_encoding_than_it_says_is_read(collection):
    (collection / "ecgen-radiology" / "2.xml").write_bytes(REPORTS["2.xml"].replace("Heart", "Größe").encode("latin-1"))
    assert read(collection)[2][0].report == "Clear. Größe normal."


def test_a_report_that_comes_twice_is_one_case(collection):
    (collection / "ecgen-radiology" / "copy.xml").write_text(REPORTS["2.xml"])
    dataset, cases, _ = read(collection)
    assert len(cases) == 2
    assert kinds(dataset)["duplicate report"] == 1


@pytest.mark.parametrize("left", [8, -6])
def test_an_unreadable_image_is_left_out_and_the_others_of_the_study_stay(collection, left):
    path = collection / "images" / "CXR10_IM-0002-1001.png"
    path.write_bytes(path.read_bytes()[:left])
    dataset, (_, ten), _ = read(collection)
    assert [image.view for image in ten.images] == ["LATERAL"]
    assert kinds(dataset)["unreadable image"] == 1


def test_half_an_archive_is_refused(collection):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(collection / "ecgen-radiology", "ecgen-radiology")
    (collection / "NLMCXR_reports.tgz").write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
    with pytest.raises(NoSuchCollection, match=r"NLMCXR_reports\.tgz cannot be read to its end .* fetch it again"):
        IUXRay(str(collection)).cases("test")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root.joinpath("images").mkdir(), "found 0 images but no NLMCXR_reports.tgz"),
        (lambda root: root.rmdir(), "is not there"),
    ],
)
def test_a_root_without_reports_is_refused(tmp_path, make, words):
    root = tmp_path / "iu"
    root.mkdir()
    make(root)
    with pytest.raises(NoSuchCollection) as caught:
        IUXRay(str(root)).cases("test")
    assert words in str(caught.value)


def test_no_root_and_a_wrong_split_are_refused(collection):
    with pytest.raises(NoSuchCollection, match="iu_xray:/path/to/it"):
        IUXRay()
    with pytest.raises(UserError, match="iu_xray has no split 'val'; it has train, validate, test"):
        IUXRay(str(collection)).cases("val")


def test_a_broken_projections_table_is_refused_with_its_line(collection):
    (collection / "indiana_projections.csv").write_text(PROJECTIONS + "2,x.png,Frontal,more\n")
    with pytest.raises(BadTable, match="line 5: 4 cells in a table of 3 columns"):
        IUXRay(str(collection)).cases("test")


def change_report(root):
    (root / "ecgen-radiology" / "2.xml").write_text(REPORTS["2.xml"].replace("Clear", "Cloudy"))


@pytest.mark.parametrize(
    "change",
    [
        change_report,
        lambda root: (root / "images" / "CXR2_IM-0651-1001.png").unlink(),
        lambda root: (root / "indiana_projections.csv").unlink(),
        lambda root: (root / "annotation.json").write_text('{"train": [], "val": [], "test": [{"id": "CXR2_IM"}]}'),
    ],
)
def test_the_fingerprint_changes_with_any_input(collection, change):
    before = IUXRay(str(collection)).fingerprint("test")
    assert IUXRay(str(collection)).fingerprint("test") == before
    change(collection)
    assert IUXRay(str(collection)).fingerprint("test") != before


def test_the_note_names_the_licence_and_the_text_may_travel():
    assert "CC BY-NC-ND 4.0" in IUXRay.note
    assert not IUXRay.is_credentialed


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (../shared/data/iu_xray)")
def test_the_real_collection_has_its_known_counts():
    """3,955 reports, of which 2,955 are in R2Gen's split; five studies have images here. CXR54's second image is a lateral."""
    dataset, cases, references = read(REAL, split_rule="all")
    assert [case.id for case in cases] == ["CXR7", "CXR25", "CXR54", "CXR303", "CXR1900"]
    assert kinds(dataset) == {"no image": 104, "missing image": 3846}
    assert [[image.view for image in case.images] for case in cases] == [["PA", "LATERAL"], ["PA"], ["PA", "LATERAL"], [""], ["PA", "LATERAL"]]
    assert all(reference.report for reference in references)
    assert [lesion.name for lesion in references[2].lesions if lesion.status == "positive"] == ["atelectasis"]
    by_r2gen = IUXRay(str(REAL))
    assert {split: len(by_r2gen.cases(split)) for split in ("train", "validate", "test")} == {"train": 4, "validate": 0, "test": 0}
    assert kinds(by_r2gen) == {"missing image": 2951, "not in annotation.json": 1000}


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (../shared/data/iu_xray)")
def test_r2gens_reports_are_the_findings_word_for_word(tmp_path):
    """All 2,955, blanks included: it is why annotation.json can stand for the reports. 1,227 of them have a blank."""
    reports = {item.id.split("_")[0]: " ".join(item.report.split()) for item in read_items(REAL / "r2gen_annotation.json")}
    assert len(reports) == 2955
    assert sum("XXXX" in report for report in reports.values()) == 1227
    for uid in reports:
        (tmp_path / f"{uid}_IM-1").mkdir()
        (tmp_path / f"{uid}_IM-1" / "0.bmp").write_bytes(TINY)
    (tmp_path / "NLMCXR_reports.tgz").symlink_to(REAL / "NLMCXR_reports.tgz")
    assert {reference.case_id: reference.report for reference in read(tmp_path, split_rule="all")[2]} == reports
