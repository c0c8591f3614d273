"""Folders of DICOM files: what belongs together, from which side it is seen, and that nobody is named. All persons are invented."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from benchmark.datasets.dicom_studies import view_of, view_of_file
from benchmark.datasets.images import UnreadableImage, image_size_px, read_radiograph
from benchmark.datasets.manifest import Manifest, StoppedAtProblem
from benchmark.datasets.truncation import is_cut_off

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "PatientName": "QUARTZBERG^ZELDA",
    "PatientID": "QX7734190",
    "OtherPatientIDs": "ALT5519082",
    "PatientBirthDate": "19430217",
    "PatientAddress": "14 Marbleway Court",
    "PatientTelephoneNumbers": "0555-730-1188",
    "PatientMotherBirthName": "LINDQVISTOVA",
    "EthnicGroup": "ZORBLAXIAN",
    "PatientComments": "grandmother of Wilhelmina",
    "AccessionNumber": "ACC99120457",
    "StudyID": "STID66180",
    "StudyDate": "20190423",
    "SeriesDate": "20190424",
    "AcquisitionDate": "20190425",
    "ContentDate": "20190426",
    "StudyTime": "081733.120",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.7731001",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.7731002",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.7731003",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.7731004",
    "ReferringPhysicianName": "OAKENSHIELD^THRAIN",
    "OperatorsName": "PIPPINTOOK^PEREGRIN",
    "PerformingPhysicianName": "BRANDYBUCK^MERIADOC",
    "RequestingPhysician": "GAMGEE^SAMWISE",
    "InstitutionName": "Saint Orpheus Infirmary",
    "InstitutionAddress": "9 Obsidian Quay",
    "StationName": "XRAYROOM77",
    "DeviceSerialNumber": "SN4410982",
    "RequestedProcedureID": "RPID80021",
    "StudyDescription": "RUNE for Mrs Quartzberg",
    "SeriesDescription": "Quartzberg LAT",
    "ProtocolName": "PROTO quartzberg",
    "ImageComments": "seen by Dr Greyhame",
}
"""every kind of tag that names a patient, an examination, or who was there"""


SPOILT = ("77310x3", "1943-2-1", "QUARTZBERG2")
"""how some of them stand in the films that are broken on purpose"""


def film(path, level=90, meta_instance="1.2.3", **elements):
    """A film of 20 x 30 pixels, brighter to the right."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = elements.get("SOPInstanceUID", meta_instance)
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 20, 30, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in {"Modality": "DX", **elements}.items():
        setattr(data, keyword, value)
    data.PixelData = (level + np.tile(np.arange(30, dtype=np.uint16) * 40, (20, 1))).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def export(tmp_path):
    """Two patients: Ann with a study of two views and a later one, Bob with one; the lateral's file comes first."""
    film(tmp_path / "a" / "1.dcm", PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.1", ViewPosition="LL")
    film(tmp_path / "a" / "2.dcm", PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.2", ViewPosition="PA")
    film(tmp_path / "a" / "3", PatientID="Ann ", StudyInstanceUID="1.5.2", SOPInstanceUID="1.6.3", ViewPosition="AP")
    film(tmp_path / "b" / "1.dcm", PatientID="bob", StudyInstanceUID="1.5.3", SOPInstanceUID="1.6.4")
    return tmp_path


def read(folder, **settings):
    dataset = Manifest(str(folder), **settings)
    return dataset, dataset.cases("test")


def kinds(dataset):
    return Counter(problem.kind for problem in dataset.problems())


def test_images_of_a_study_are_one_case_frontal_first_and_patients_are_numbers(export):
    dataset, cases = read(export)
    assert [(case.id, case.patient, [(image.id, image.view) for image in case.images]) for case in cases] == [
        ("a/2", "patient 1", [("2", "PA"), ("1", "LL")]),
        ("a/3", "patient 1", [("3", "AP")]),
        ("b/1", "patient 2", [("1", "")]),
    ]
    assert [case.study for case in cases] == [case.id for case in cases]
    assert dataset.problems() == []
    assert dataset.note == ""


def test_grouping_can_be_switched_off_and_patients_stay(export):
    _, cases = read(export, unit="image")
    assert [(case.id, case.patient, case.study, len(case.images)) for case in cases] == [
        ("a/1", "patient 1", "a/2", 1),
        ("a/2", "patient 1", "a/2", 1),
        ("a/3", "patient 1", "a/3", 1),
        ("b/1", "patient 2", "b/1", 1),
    ]


def test_pictures_may_lie_beside_films(export):
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(export / "b" / "1.png")
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(export / "c.png")
    dataset, cases = read(export)
    assert [(case.id, case.patient) for case in cases] == [
        ("a/2", "patient 1"),
        ("a/3", "patient 1"),
        ("b/1", "patient 2"),
        ("b/1.png", "b/1.png"),
        ("c", "c"),
    ]
    assert kinds(dataset) == {"no patient": 2}


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS", "0"])
def test_a_patient_that_everyone_is_is_no_patient(tmp_path, nobody):
    """One study UID for all, as some anonymisers leave it, must not make one examination of different persons either."""
    for number in "12":
        film(tmp_path / f"{number}.dcm", PatientID=nobody, SOPInstanceUID=f"1.6.{number}", StudyInstanceUID=f"1.5.{number}")
    dataset, cases = read(tmp_path)
    assert [(case.id, case.patient) for case in cases] == [("1", "1"), ("2", "2")]
    assert dataset.problems() == []


def test_two_patients_with_one_study_uid_are_two_examinations(tmp_path):
    for number in "12":
        film(tmp_path / f"{number}.dcm", PatientID=f"p{number}", SOPInstanceUID=f"1.6.{number}", StudyInstanceUID="1.5")
    assert [(case.id, case.patient) for case in read(tmp_path)[1]] == [("1", "patient 1"), ("2", "patient 2")]


def test_what_is_no_radiograph_or_damaged_or_comes_twice_is_left_out_and_the_study_stays(export):
    film(export / "a" / "4.dcm", Modality="CT", PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.5")
    film(export / "a" / "5.dcm", NumberOfFrames=3, PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.6")
    film(export / "a" / "copy.dcm", PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.2")
    (export / "a" / "7.dcm").write_bytes((export / "a" / "1.dcm").read_bytes()[:300])
    film(export / "a" / "8.dcm", PatientID="ann", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.7")
    (export / "a" / "8.dcm").write_bytes((export / "a" / "8.dcm").read_bytes()[:-100])
    (export / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (export / "notes.txt").write_text("no image")
    dataset, cases = read(export)
    assert [(case.id, len(case.images)) for case in cases] == [("a/2", 2), ("a/3", 1), ("b/1", 1)]
    assert kinds(dataset) == {"no radiograph": 1, "unreadable image": 3, "duplicate image": 1}
    with pytest.raises(StoppedAtProblem, match="found 5 faults, first no radiograph"):
        read(export, strict=True)


def test_a_folder_in_which_nothing_can_be_used_says_so(tmp_path):
    film(tmp_path / "1.dcm", Modality="CT")
    dataset, cases = read(tmp_path)
    assert cases == []
    assert kinds(dataset) == {"no radiograph": 1}


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "AP "}, "AP"),
        ({"ViewPosition": "LLAT"}, "LATERAL"),
        ({"ViewPosition": "RL"}, "RL"),
        ({"ViewPosition": "LAT DECUB"}, ""),
        ({"ViewPosition": "SMITH"}, ""),
        ({"code": "postero-anterior"}, "PA"),
        ({"code": "Antero-Posterior projection"}, "AP"),
        ({"code": "left lateral"}, "LATERAL"),
        ({"PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "Chest p.a."}, ""),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "CHEST_PA"}, "PA"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "W Chest Lat"}, ""),
        ({"SeriesDescription": "Thorax lateral"}, "LATERAL"),
        ({"SeriesDescription": "chest pa/lat"}, ""),
        ({"SeriesDescription": "PAtient LATer"}, ""),
        ({}, ""),
    ],
)
def test_the_view_is_what_the_header_says_in_its_several_places(elements, view):
    header = Dataset()
    for keyword, value in elements.items():
        if keyword == "code":
            item = Dataset()
            item.CodeMeaning = value
            header.ViewCodeSequence = Sequence([item])
        else:
            setattr(header, keyword, value)
    assert view_of(header) == view


def test_a_table_without_views_takes_them_from_the_headers(export):
    (export / "cases.csv").write_text("image,view\na/1.dcm;a/2.dcm,\na/3,LATERAL\n")
    cases = Manifest(str(export / "cases.csv")).cases("test")
    assert [[image.view for image in case.images] for case in cases] == [["LL", "PA"], ["LATERAL"]]


def test_a_file_that_is_called_by_its_patient_or_uid_gives_its_case_a_number(tmp_path):
    uid = "1.2.826.0.1.3680043.8.498.7731003"
    film(tmp_path / f"{uid}.dcm", SOPInstanceUID=uid, StudyInstanceUID="1.5.1", PatientID="77", ViewPosition="PA")
    film(tmp_path / "Quartzberg_Z" / "im1.dcm", SOPInstanceUID="1.6.2", StudyInstanceUID="1.5.2", PatientName="QUARTZBERG^Z")
    film(tmp_path / "x" / "77" / "im1.dcm", SOPInstanceUID="1.6.3", StudyInstanceUID="1.5.1", PatientID="77", ViewPosition="LL")
    film(tmp_path / "y" / "im1.dcm", SOPInstanceUID="1.6.4", StudyInstanceUID="1.5.4", PatientID="78", StudyDate="20190423")
    _, cases = read(tmp_path)
    assert [(case.id, case.study, [image.id for image in case.images]) for case in cases] == [
        ("study 1", "study 1", ["study 1, image 1", "study 1, image 2"]),
        ("study 2", "study 2", ["study 2, image 1"]),
        ("y/im1", "y/im1", ["im1"]),
    ]
    assert [case.id for case in read(tmp_path, unit="image")[1]] == ["study 1, image 1", "study 2, image 1", "study 1, image 2", "y/im1"]


# --- nobody is named ---


def words_to_look_for():
    """Every secret as a header has it, and its parts that could be quoted alone."""
    yield from SPOILT
    for value in SECRETS.values():
        yield value
        yield from (part for part in value.replace("^", " ").split() if len(part) > 5)


@pytest.fixture
def films(tmp_path):
    """A whole film, a copy of it, and broken ones in every way that makes pydicom speak."""
    folder = tmp_path / "films"
    film(folder / "good.dcm", **SECRETS)
    film(folder / "frames.dcm", **{**SECRETS, "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.7731009", "NumberOfFrames": 2})
    film(folder / "copy.dcm", **SECRETS)
    content = (folder / "good.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(content[:-700])
    (folder / "header.dcm").write_bytes(content[: content.index(b"QUARTZBERG") + 5])
    (folder / "no-pixels.dcm").write_bytes(content[: content.index(b"\xe0\x7f\x10\x00")])
    for name, old, new in (
        ("uid", b"7731003", b"77310x3"),
        ("date", b"19430217", b"1943-2-1"),
        ("vr", b"PN\x10\x00QUARTZ", b"P?\x10\x00QUARTZ"),
        ("syntax", b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4\0"),
        ("bits", b"\x28\x00\x00\x01US\x02\x00\x10", b"\x28\x00\x00\x01US\x02\x00\x07"),
        ("colour", b"MONOCHROME2", b"QUARTZBERG2"),
        ("length", b"\x02\x00\x10\x00UI\x14\x00", b"\x02\x00\x10\x00UI\xff\x01"),  # the syntax swallows the header, and is complained of
    ):
        assert old in content
        other = content.replace(SECRETS["SOPInstanceUID"].encode(), f"1.2.826.0.1.3680043.8.498.7{len(name)}31003".encode())
        (folder / f"{name}.dcm").write_bytes((content if name == "uid" else other).replace(old, new))
    return folder


def test_no_message_about_a_broken_film_quotes_its_header(films, capfd, caplog, recwarn):
    said = []
    for path in sorted(films.iterdir()):
        for look in (read_radiograph, image_size_px, view_of_file, is_cut_off):
            try:
                look(path)
            except UnreadableImage as error:
                said.append(str(error))
    assert len(said) > 7
    streams = capfd.readouterr()
    warned = [str(warning.message) for warning in recwarn]
    everything = "\n".join([*said, *warned, streams.out, streams.err, caplog.text]).lower()
    assert [word for word in words_to_look_for() if word.lower() in everything] == []


@pytest.mark.parametrize("by_table", [False, True], ids=["folder", "table"])
def test_nothing_of_a_header_that_names_someone_gets_into_a_run_or_onto_the_screen(films, tmp_path, by_table):
    """Every byte of what a run wrote is searched."""
    words = ["generate", "--dataset", f"manifest:{films}"]
    if by_table:
        rows = "".join(f"{path.name},No effusion is seen.\n" for path in sorted(films.iterdir()))
        (tmp_path / "cases.csv").write_text("image,report\n" + rows)
        words = [
            "run",
            "--dataset",
            f"manifest:{tmp_path / 'cases.csv'}",
            "--set",
            f"manifest.images={films}",
            "--metrics",
            "rouge_l",
            "--draws",
            "20",
        ]
    words += ["--models", "constant", "--out", str(tmp_path / "run")]
    answer = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, cwd=ROOT, timeout=120)
    assert answer.returncode == 0, answer.stderr.decode()
    written = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert b"good" in b"".join(written.values())
    assert b"multi-frame" in b"".join(written.values())
    written[Path("stdout")], written[Path("stderr")] = answer.stdout, answer.stderr
    for path, content in written.items():
        found = [word for word in words_to_look_for() if word.lower().encode() in content.lower()]
        assert not found, f"{path} holds {found}"


@pytest.mark.parametrize(
    ("place", "elements"),
    [
        ("A-12/im1", {"PatientID": "A-12"}),
        ("a12/im1", {"PatientID": "A-12"}),
        ("00123/im1", {"PatientID": "123"}),
        ("2020-01-06_x/im1", {"StudyDate": "20200106"}),
        ("mueller/im1", {"PatientName": "M\u00fcller^Eva", "SpecificCharacterSet": "ISO_IR 192"}),
        ("muller/im1", {"PatientName": "M\u00fcller^Eva", "SpecificCharacterSet": "ISO_IR 192"}),
        ("M\u00dcLLER/im1", {"PatientName": "Mueller^Eva"}),
    ],
)
def test_a_path_that_names_someone_in_another_spelling_is_replaced_by_a_number(tmp_path, place, elements):
    film(tmp_path / f"{place}.dcm", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.1", **elements)
    (case,) = read(tmp_path)[1]
    assert (case.id, case.study, case.images[0].id) == ("study 1", "study 1", "study 1, image 1")


def test_a_path_that_names_nobody_stays(tmp_path):
    film(
        tmp_path / "ward 7" / "im1.dcm", PatientID="A-12", PatientName="Jo^X", StudyDate="20200106", StudyInstanceUID="1.5.1", SOPInstanceUID="1.6.1"
    )
    (case,) = read(tmp_path)[1]
    assert case.id == "ward 7/im1"


def test_films_of_one_study_without_a_patient_are_one_witness(tmp_path):
    for number in (1, 2):
        film(tmp_path / f"{number}.dcm", StudyInstanceUID="1.5.1", SOPInstanceUID=f"1.6.{number}")
    cases = read(tmp_path, unit="image")[1]
    assert len(cases) == 2
    assert len({case.patient for case in cases}) == 1
