"""Radiographs from every kind of file that people have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from benchmark.datasets.images import UnreadableImage, image_size_px, looks_inverted, read_radiograph
from benchmark.records import UserError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


def ramp(height=40, width=60, top=255, dtype=np.uint8):
    """Brighter from left to right, a little darker downwards: turned or mirrored it is another image."""
    across, down = np.meshgrid(np.linspace(0, top, width), np.linspace(0, top / 4, height))
    return np.clip(across - down, 0, top).astype(dtype)


def film():
    """The coarsest frontal chest: black air, grey body, dark lungs, bright spine."""
    image = np.full((100, 100), 10, np.uint8)
    image[10:, 8:92] = 130
    image[20:75, 18:42] = 45
    image[20:75, 58:82] = 45
    image[10:, 44:56] = 190
    return image


@pytest.fixture
def dicom(tmp_path):
    """A function that writes one frame of stored values as DICOM and gives its path."""

    def write(stored, name="film.dcm", preamble=True, **elements):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        data = FileDataset(str(tmp_path / name), {}, file_meta=meta, preamble=b"\0" * 128 if preamble else None)
        data.Rows, data.Columns = stored.shape[:2]
        data.SamplesPerPixel = 3 if stored.ndim == 3 else 1
        data.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
        data.BitsAllocated = stored.dtype.itemsize * 8
        data.BitsStored, data.HighBit, data.PixelRepresentation = data.BitsAllocated, data.BitsAllocated - 1, int(stored.dtype.kind == "i")
        if stored.ndim == 3:
            data.PlanarConfiguration = 0
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        data.HighBit = data.BitsStored - 1
        data.PixelData = stored.tobytes()
        data.save_as(tmp_path / name, enforce_file_format=preamble)
        return tmp_path / name

    return write


CUT = 12
"""how far a ramp may move when the ends of its range are cut at the 0.5th and 99.5th percentile"""


def same(image, expected, within=1):
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= within


# --- pictures ---


@pytest.mark.parametrize(
    ("mode", "suffix"), [*((mode, "png") for mode in ("L", "RGB", "RGBA", "LA", "P")), ("L", "tif"), ("RGBA", "tif"), ("CMYK", "tif")]
)
def test_eight_bit_pictures_keep_their_grey_values(tmp_path, mode, suffix):
    path = tmp_path / f"film.{suffix}"
    Image.fromarray(ramp()).convert(mode).save(path)
    same(read_radiograph(path), ramp())


def test_a_jpg_is_read_within_its_compression(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "film.jpg", quality=95)
    same(read_radiograph(tmp_path / "film.jpg"), ramp(), within=4)


def test_colour_becomes_luminance(tmp_path):
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "red.png")
    assert (read_radiograph(tmp_path / "red.png") == 76).all()


def test_transparent_parts_become_black(tmp_path):
    picture = Image.new("RGBA", (4, 4), (200, 200, 200, 255))
    picture.paste((255, 255, 255, 0), (0, 0, 2, 4))
    picture.save(tmp_path / "film.png")
    assert read_radiograph(tmp_path / "film.png").tolist() == [[0, 0, 200, 200]] * 4


def test_a_palette_with_a_transparent_colour_is_read(tmp_path):
    picture = Image.new("P", (3, 1))
    picture.putpalette([0, 0, 0, 90, 90, 90, 255, 255, 255])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "film.png", transparency=2)
    assert read_radiograph(tmp_path / "film.png").tolist() == [[0, 90, 0]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("top", [65535, 4095, 300])
def test_sixteen_bits_are_spread_over_their_own_range(tmp_path, suffix, top):
    """A 12-bit film in a 16-bit file must not come out black."""
    path = tmp_path / f"film.{suffix}"
    Image.fromarray(ramp(top=top, dtype=np.uint16)).save(path)
    same(read_radiograph(path), ramp(), within=CUT)


def test_burnt_in_letters_do_not_darken_a_deep_film(tmp_path):
    deep = ramp(200, 200, top=2000, dtype=np.uint16)
    deep[:5, :5] = 65535
    Image.fromarray(deep).save(tmp_path / "film.png")
    assert read_radiograph(tmp_path / "film.png")[10, 195] > 240


def test_a_float_tiff_with_nan_is_read(tmp_path):
    values = ramp().astype(np.float32) / 255
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "film.tif")
    image = read_radiograph(tmp_path / "film.tif")
    assert image[0, 0] == 0
    assert image[0, -1] == 255


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(ramp() > 128).save(tmp_path / "film.png")
    assert set(np.unique(read_radiograph(tmp_path / "film.png"))) == {0, 255}


def test_a_flat_deep_film_is_black_and_not_an_error(tmp_path):
    Image.fromarray(np.full((5, 7), 1234, np.uint16)).save(tmp_path / "film.png")
    assert not read_radiograph(tmp_path / "film.png").any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_turned_photograph_is_turned_back_and_its_size_with_it(tmp_path, orientation, suffix):
    undo = {2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 5: np.transpose, 6: lambda a: np.rot90(a, -1)}
    undo |= {1: np.asarray, 7: lambda a: a[::-1, ::-1].T, 8: np.rot90}
    picture = Image.fromarray(ramp())
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"film.{suffix}", exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    image = read_radiograph(tmp_path / f"film.{suffix}")
    same(image, undo[orientation](ramp()), within=4)
    assert image_size_px(tmp_path / f"film.{suffix}") == image.shape[::-1]


def test_a_path_may_be_a_string(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "film.png")
    assert read_radiograph(str(tmp_path / "film.png")).shape == (40, 60)
    assert image_size_px(str(tmp_path / "film.png")) == (60, 40)


# --- what cannot be read ---


@pytest.mark.parametrize("read", [read_radiograph, image_size_px])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.png", None, "there is no such file"),
        ("empty.png", b"", "an empty file"),
        ("notes.png", b"The lungs are clear.", "text, not an image"),
        ("page.jpg", b"<!DOCTYPE html><html>log in</html>", "a web page or XML"),
        ("lfs.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        ("noise.jpg", bytes(range(128, 256)) * 3, "no image format"),
        ("text.dcm", b"The lungs are clear, and this is no DICOM at all. " * 5, "DICOM"),
    ],
)
def test_what_is_no_image_is_named_with_its_path(tmp_path, read, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert words in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(UnreadableImage, match="this is a folder"):
        read_radiograph(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_truncated_picture_is_refused(tmp_path, suffix):
    path = tmp_path / f"film.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match="truncated or damaged"):
        read_radiograph(path)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    with pytest.raises(UnreadableImage, match="more pixels than any radiograph"):
        read_radiograph(tmp_path / "bomb.png")


# --- DICOM ---


def test_dicom_without_a_window_is_spread_over_its_own_range(dicom):
    path = dicom(ramp(top=4095, dtype=np.uint16), BitsStored=12)
    same(read_radiograph(path), ramp(), within=CUT)
    assert image_size_px(path) == (60, 40)


def test_monochrome1_is_inverted(dicom):
    stored = ramp(top=4095, dtype=np.uint16)
    plain = read_radiograph(dicom(stored, "plain.dcm"))
    same(read_radiograph(dicom(stored, "negative.dcm", PhotometricInterpretation="MONOCHROME1")), 255 - plain, within=0)


def test_a_window_is_applied_after_slope_and_intercept(dicom):
    stored = np.array([[0, 100, 200, 300, 400]], np.uint16)
    path = dicom(stored, WindowCenter="400.5", WindowWidth="401", RescaleSlope="2", RescaleIntercept="-100")
    # -100 100 300 500 700 seen through 200 ... 600 (LINEAR: centre - 0.5 and width - 1)
    assert read_radiograph(path).tolist() == [[0, 0, 64, 191, 255]]


def test_of_several_windows_the_first_is_taken(dicom):
    stored = np.array([[0, 100, 200]], np.uint16)
    path = dicom(stored, WindowCenter=["100.5", "5000"], WindowWidth=["201", "10"])
    assert read_radiograph(path).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(("function", "expected"), [("LINEAR_EXACT", [[0, 128, 255]]), ("SIGMOID", [[30, 128, 225]])])
def test_other_window_functions_are_known(dicom, function, expected):
    path = dicom(np.array([[0, 100, 200]], np.uint16), WindowCenter="100", WindowWidth="200", VOILUTFunction=function)
    assert read_radiograph(path).tolist() == expected


@pytest.mark.parametrize("window", [("100000", "10"), ("0", "0")])
def test_a_window_that_shows_nothing_is_not_believed(dicom, window):
    path = dicom(ramp(top=4095, dtype=np.uint16), WindowCenter=window[0], WindowWidth=window[1])
    same(read_radiograph(path), ramp(), within=CUT)


def test_padding_does_not_count_for_the_range(dicom):
    stored = ramp(top=1000, dtype=np.int16)
    stored[:, :30] = -2000
    image = read_radiograph(dicom(stored, PixelPaddingValue=-2000))
    assert image[0, 59] - image[0, 31] > 120  # without the rule the padding would take two thirds of the range, leaving 40
    assert not image[:, :30].any()


def test_a_look_up_table_is_applied(dicom):
    table = pydicom.Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTData = np.array([0, 1000, 3000, 4000], np.uint16).tobytes()
    path = dicom(np.array([[0, 1, 2, 3]], np.uint16), VOILUTSequence=pydicom.Sequence([table]))
    assert read_radiograph(path).tolist() == [[0, 64, 191, 255]]


def test_signed_values_are_read(dicom):
    same(read_radiograph(dicom(ramp(top=2000, dtype=np.int16) - np.int16(1000))), ramp(), within=CUT)


def test_colour_dicom_becomes_luminance(dicom):
    red = np.zeros((3, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (read_radiograph(dicom(red)) == 76).all()


def test_several_frames_are_refused(dicom):
    path = dicom(np.zeros((4, 4), np.uint16), NumberOfFrames=2)
    with pytest.raises(UnreadableImage, match="multi-frame DICOM with 2 frames"):
        read_radiograph(path)


def test_one_frame_said_aloud_is_no_multi_frame(dicom):
    assert read_radiograph(dicom(ramp(top=4095, dtype=np.uint16), NumberOfFrames=1)).shape == (40, 60)


def test_a_truncated_dicom_is_refused(dicom):
    path = dicom(ramp(top=4095, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UnreadableImage, match="truncated or damaged"):
        read_radiograph(path)


def test_a_dicom_without_an_image_is_refused(dicom):
    path = dicom(np.zeros((4, 4), np.uint16))
    data = pydicom.dcmread(path)
    del data.Rows
    data.save_as(path)
    for read in (read_radiograph, image_size_px):
        with pytest.raises(UnreadableImage, match="without an image"):
            read(path)


def test_a_dicom_without_suffix_is_known_by_its_mark(dicom):
    assert read_radiograph(dicom(ramp(top=4095, dtype=np.uint16), "film")).shape == (40, 60)


def test_a_picture_that_is_called_dcm_is_read_as_what_it_is(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "film.png")
    (tmp_path / "film.png").rename(tmp_path / "film.dcm")
    same(read_radiograph(tmp_path / "film.dcm"), ramp())
    assert image_size_px(tmp_path / "film.dcm") == (60, 40)


# --- negatives ---


def test_a_negative_is_told_from_a_film():
    assert not looks_inverted(film())
    assert looks_inverted(255 - film())


def test_a_flat_or_tiny_image_is_not_called_inverted():
    assert not looks_inverted(np.zeros((50, 50), np.uint8))
    assert not looks_inverted(np.zeros((3, 3), np.uint8))


# --- real files ---


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (../shared/data)")
@pytest.mark.parametrize("folder", ["iu_xray", "nih", "hannover", "vqa_rad_chest"])
def test_every_real_radiograph_is_read_and_none_looks_inverted(folder):
    paths = sorted((REAL / folder / "images").iterdir())
    assert paths
    for path in paths:
        image = read_radiograph(path)
        assert image.dtype == np.uint8
        assert image.shape[::-1] == image_size_px(path)
        assert image.std() > 10, f"{path.name} has no contrast"
        assert not looks_inverted(image), path.name
        assert looks_inverted(255 - image), path.name
