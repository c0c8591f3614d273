"""Files that end too early, of every kind that is told; whole ones are never taken for them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from mimic_trees import dicom
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from benchmark.datasets.truncation import END_BYTES, is_cut_off

PIXELS = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)


def encoded(kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **how)
    return buffer.getvalue()


WHOLE = {
    "jpg": encoded("JPEG"),
    "progressive jpg": encoded("JPEG", progressive=True),
    "jpg with bytes behind": encoded("JPEG") + b"\0" * 200,
    "png": encoded("PNG"),
    "dicom": dicom(PIXELS, ExplicitVRLittleEndian),
    "dicom, implicit": dicom(PIXELS, ImplicitVRLittleEndian),
    "dicom, big endian": dicom(PIXELS, ExplicitVRBigEndian),
    "dicom, jpeg": dicom(PIXELS, JPEGBaseline8Bit),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_is_whole_and_a_part_of_it_is_cut_off(tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(WHOLE[kind])
    assert not is_cut_off(path)
    behind = 200 if kind == "jpg with bytes behind" else 0
    for keep in (0.998, 0.7, 0.2):
        path.write_bytes(WHOLE[kind][: int(keep * (len(WHOLE[kind]) - behind))])
        assert is_cut_off(path), keep


def test_a_jpg_that_ends_in_what_looks_like_pixels_shows_its_size_and_is_cut_off(tmp_path):
    """What the header alone would pass."""
    path = tmp_path / "a.jpg"
    path.write_bytes(WHOLE["jpg"][: len(WHOLE["jpg"]) // 2])
    with Image.open(path) as picture:
        assert picture.size == (128, 96)
    assert is_cut_off(path)


def test_an_end_far_before_the_end_of_the_file_does_not_count(tmp_path):
    """A thumbnail in the header has an end of its own."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1" + WHOLE["jpg"] + b"\x11" * (END_BYTES + 1))
    assert is_cut_off(path)


@pytest.mark.parametrize("content", [b"GIF89a whatever", b"text", dicom(PIXELS, DeflatedExplicitVRLittleEndian)])
def test_of_other_kinds_nothing_is_said(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not is_cut_off(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM" + b"\x02\x00", dicom(PIXELS, DeflatedExplicitVRLittleEndian)[:-200]])
def test_a_file_with_nothing_in_it_or_no_whole_header_is_cut_off(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert is_cut_off(path)


def test_no_real_radiograph_is_taken_for_one_that_was_cut_off(real_data):
    files = [path for path in real_data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".dcm")]
    assert len(files) > 100
    assert not [path for path in files if is_cut_off(path)]
