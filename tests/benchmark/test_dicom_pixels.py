"""DICOM as devices write it: every way of storing pixels, against values by hand, pydicom's own tables, and files written by other programs."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmark.datasets import dicom_pixels
from benchmark.datasets.images import UnreadableImage, image_size_px, read_radiograph
from benchmark.datasets.truncation import is_cut_off

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""pydicom's own test files, written by dcmtk, GDCM and devices; in its wheel since 1.0"""


def header(stored, **elements):
    """One frame of stored values with what describes them."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored, data.PixelRepresentation = data.BitsAllocated, int(stored.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.HighBit = data.BitsStored - 1
    data.PixelData = stored.tobytes()
    return data


def saved(folder, data, name="film.dcm"):
    data.save_as(folder / name, enforce_file_format=True)
    return folder / name


def packed(folder, data, syntax, frame):
    """The same header around a compressed frame."""
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([frame])
    return saved(folder, data)


def deep(height=37, width=50, top=4095):
    """A 12-bit film: a ramp with noise, another if turned."""
    noise = np.random.default_rng(7).integers(0, top // 8, (height, width))
    return (np.linspace(0, top - top // 8, width)[None, :] + noise).astype(np.uint16)


def table(first, entries, bits=16):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.asarray(entries, np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    return item


# --- how values are stored ---


def test_overlay_bits_above_the_stored_ones_are_no_brightness(tmp_path):
    """Old scanners keep lines and letters in bits 12 to 15."""
    plain = deep()
    drawn = plain | np.uint16(0xA000)
    drawn[::2] = plain[::2]
    assert (read_radiograph(saved(tmp_path, header(drawn, BitsStored=12))) == read_radiograph(saved(tmp_path, header(plain, BitsStored=12)))).all()


def test_signed_values_of_12_bits_are_signed_whatever_stands_above_them(tmp_path):
    stored = np.array([[0x0801, 0x0FFF, 0x0000, 0x07FF]], np.uint16)  # -2047, -1, 0, 2047 of 12 bits
    path = saved(tmp_path, header(stored, BitsStored=12, PixelRepresentation=1, WindowCenter="0", WindowWidth="4094", VOILUTFunction="LINEAR_EXACT"))
    assert read_radiograph(path).tolist() == [[0, 127, 128, 255]]


@pytest.mark.parametrize("bits", [10, 12, 14, 15, 16])
def test_any_depth_is_spread_over_its_own_range(tmp_path, bits):
    top = 2**bits - 1
    stored = np.linspace(0, top, 5000).astype(np.uint16).reshape(50, 100)
    image = read_radiograph(saved(tmp_path, header(stored, BitsStored=bits)))
    assert np.abs(image.astype(float) - np.clip((stored / top - 0.005) / 0.99, 0, 1) * 255).max() <= 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_orders_of_bytes_and_deflated_files_give_the_same_picture(tmp_path, syntax):
    stored = deep()
    expected = read_radiograph(saved(tmp_path, header(stored, BitsStored=12)))
    data = header(stored, BitsStored=12)
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        data.PixelData = stored.astype(">u2").tobytes()
    data["PixelData"].VR = "OW"
    path = saved(tmp_path, data, "other.dcm")
    assert (read_radiograph(path) == expected).all()
    assert image_size_px(path) == (50, 37)


def test_a_file_without_meta_information_is_read_by_the_order_it_has(tmp_path):
    data = header(deep(), BitsStored=12)
    expected = read_radiograph(saved(tmp_path, data))
    bare = Dataset()
    bare.update(data)
    bare.save_as(tmp_path / "old.dcm", implicit_vr=False, little_endian=True)
    assert (read_radiograph(tmp_path / "old.dcm") == expected).all()


def test_planes_and_pixels_of_colour_are_told_apart(tmp_path):
    colour = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    by_pixel = saved(tmp_path, header(colour), "pixels.dcm")
    data = header(colour, PlanarConfiguration=1)
    data.PixelData = np.ascontiguousarray(colour.transpose(2, 0, 1)).tobytes()
    expected = np.array(Image.fromarray(colour).convert("L"), int)
    for path in (by_pixel, saved(tmp_path, data, "planes.dcm")):
        assert np.abs(read_radiograph(path) - expected).max() <= 1


def test_colour_of_12_bits_is_as_bright_as_it_was_stored(tmp_path):
    white = np.full((3, 4, 3), 4095, np.uint16)
    assert (read_radiograph(saved(tmp_path, header(white, BitsStored=12))) == 255).all()


def test_a_palette_is_looked_up(tmp_path):
    data = header(np.array([[0, 1, 2]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(data, f"{colour}PaletteColorLookupTableData", np.array([0, 0x8000, 0xFFFF], np.uint16).tobytes())
    assert read_radiograph(saved(tmp_path, data)).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("name", ["+eb+cy+n1", "+eb+cy+n2", "+eb+cy+np", "+eb+cy+s2", "+eb+cy+s4"])
def test_luminance_and_chrominance_by_dcmtk_give_what_its_rgb_gives(name):
    """YBR_FULL and YBR_FULL_422 as JPG, of one picture of coloured bars; at the bars' edges chrominance is shared by neighbours."""
    rgb = read_radiograph(SHIPPED / "SC_rgb_dcmtk_+eb+cr.dcm").astype(int)
    ybr = read_radiograph(SHIPPED / f"SC_rgb_dcmtk_{name}.dcm").astype(int)
    assert np.percentile(np.abs(rgb - ybr), 95) <= 3


# --- what they look like ---


def test_a_modality_table_comes_before_the_window(tmp_path):
    item = table(0, [0, 500, 700, 1000])
    item.ModalityLUTType = "US"
    data = header(np.array([[0, 1, 2, 3]], np.uint16), ModalityLUTSequence=[item])
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = "500", "1000", "LINEAR_EXACT"
    assert read_radiograph(saved(tmp_path, data)).tolist() == [[0, 128, 178, 255]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "look",
    [
        {"WindowCenter": ["1500", "300"], "WindowWidth": ["2000", "10"]},
        {"WindowCenter": "1500", "WindowWidth": "1800", "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "700.5", "WindowWidth": "900.5", "VOILUTFunction": "LINEAR_EXACT", "RescaleSlope": "0.5", "RescaleIntercept": "-10.5"},
        {"VOILUTSequence": [table(100, np.arange(0, 4000, 2) ** 2 // 250)]},
        {"VOILUTSequence": [table(100, np.arange(0, 1023))], "WindowCenter": "10", "WindowWidth": "5"},
        {"VOILUTSequence": [table(0, np.arange(2000))], "RescaleSlope": "2", "RescaleIntercept": "-300"},
    ],
)
def test_what_is_shown_is_what_pydicom_shows(tmp_path, look, photometric):
    """pydicom 3.0's apply_voi_lut, which takes a table before a window; its range is that of the table or of the stored values."""
    data = header(deep(), BitsStored=12, PhotometricInterpretation=photometric, **look)
    values = apply_modality_lut(data.pixel_array, data)
    shown = apply_voi_lut(values.astype(np.int32) if "VOILUTSequence" in look else values, data).astype(float)
    if "VOILUTSequence" in look:
        entries = np.frombuffer(data.VOILUTSequence[0].LUTData, np.uint16)
        low, high = float(entries.min()), float(entries.max())
    else:
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        low, high = intercept, 4095 * slope + intercept
    expected = (shown - low) / (high - low) * 255
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(read_radiograph(saved(tmp_path, data)) - expected).max() <= 1


@pytest.mark.parametrize("broken", [{"LUTDescriptor": [4, 0, 9]}, {"LUTDescriptor": [0, 0]}, {"LUTData": b""}])
def test_a_broken_table_gives_way_to_the_window(tmp_path, broken):
    item = table(0, [0, 1, 2, 3])
    for keyword, value in broken.items():
        setattr(item, keyword, value)
    data = header(np.array([[0, 100, 200]], np.uint16), VOILUTSequence=[item], WindowCenter="100", WindowWidth="200", VOILUTFunction="LINEAR_EXACT")
    assert read_radiograph(saved(tmp_path, data)).tolist() == [[0, 128, 255]]


def test_a_range_of_padding_does_not_count(tmp_path):
    stored = deep().astype(np.int16)
    stored[:, :15] = np.tile(np.arange(-3000, -2985, dtype=np.int16), (37, 1))
    ramp = read_radiograph(saved(tmp_path, header(stored, PixelPaddingValue=-3000, PixelPaddingRangeLimit=-2986)))
    alone = read_radiograph(saved(tmp_path, header(np.ascontiguousarray(stored[:, 15:]))))
    assert (ramp[:, 15:] == alone).all()


def test_pixels_that_are_not_square_stay_as_they_are_stored(tmp_path):
    path = saved(tmp_path, header(deep(), BitsStored=12, PixelAspectRatio=[2, 1], PixelSpacing=["0.2", "0.1"]))
    assert read_radiograph(path).shape == (37, 50)
    assert image_size_px(path) == (50, 37)


# --- compressed ---


def lossless_jpeg(stored, bits):
    """ITU-T T.81 process 14, predictor 1 (the left neighbour): 17 codes of five bits, one for each category of difference."""
    height, width = stored.shape
    values = stored.astype(int)
    before = np.empty_like(values)
    before[:, 1:], before[1:, 0], before[0, 0] = values[:, :-1], values[:-1, 0], 2 ** (bits - 1)
    signs = []
    for one in (values - before).ravel().tolist():
        category = abs(one).bit_length()
        signs.append(f"{category:05b}" + (f"{one if one > 0 else one + 2**category - 1:0{category}b}" if category else ""))
    text = "".join(signs)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">HHBHHB3B", 0xFFC3, 11, bits, height, width, 1, 1, 0x11, 0)
    huffman = struct.pack(">HHB", 0xFFC4, 36, 0) + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    return b"\xff\xd8" + frame + huffman + struct.pack(">HHB2B3B", 0xFFDA, 8, 1, 1, 0, 1, 0, 0) + scan + b"\xff\xd9"


def test_lossless_jpeg_the_archive_format_of_most_radiographs_gives_every_value_back(tmp_path):
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg, of the extra dicom, is not installed")
    stored = deep()
    expected = read_radiograph(saved(tmp_path, header(stored, BitsStored=12)))
    path = packed(tmp_path, header(stored, BitsStored=12), JPEGLosslessSV1, lossless_jpeg(stored, 12))
    assert (read_radiograph(path) == expected).all()


def test_jpeg_2000_gives_every_value_back(tmp_path):
    """The codestream by Pillow's OpenJPEG."""
    stored = deep(top=65535)
    expected = read_radiograph(saved(tmp_path, header(stored)))
    frame = io.BytesIO()
    Image.fromarray(stored).save(frame, "JPEG2000", no_jp2=True, irreversible=False)
    path = packed(tmp_path, header(stored), JPEG2000Lossless, frame.getvalue())
    assert (read_radiograph(path) == expected).all()
    assert image_size_px(path) == (50, 37)


def test_run_lengths_give_every_value_back(tmp_path):
    data = header(deep(), BitsStored=12)
    expected = read_radiograph(saved(tmp_path, data))
    data.compress(RLELossless, generate_instance_uid=False)
    assert (read_radiograph(saved(tmp_path, data)) == expected).all()


def test_jpeg_of_8_bits_is_read_within_its_loss(tmp_path):
    stored = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    frame = io.BytesIO()
    Image.fromarray(stored).save(frame, "JPEG", quality=95)
    whole = {"WindowCenter": "127.5", "WindowWidth": "255", "VOILUTFunction": "LINEAR_EXACT"}
    path = packed(tmp_path, header(stored, **whole), JPEGBaseline8Bit, frame.getvalue())
    assert np.abs(read_radiograph(path).astype(int) - stored).max() <= 4


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_padded"])
def test_one_picture_written_by_others_in_five_ways_is_one_picture(name):
    assert (read_radiograph(SHIPPED / f"{name}.dcm") == read_radiograph(SHIPPED / "MR_small.dcm")).all()


def test_a_compression_without_decoder_is_named_with_what_to_install(tmp_path):
    if get_decoder(JPEGLSLossless).is_available:
        pytest.skip("a decoder of JPEG-LS is installed")
    path = packed(tmp_path, header(deep(), BitsStored=12), JPEGLSLossless, b"\xff\xd8\xff\xf7")
    with pytest.raises(UnreadableImage, match=r"no installed decoder knows \(JPEG-LS Lossless.*pip install 'clala-benchmark\[dicom\]'"):
        read_radiograph(path)


# --- what is refused ---


def test_every_file_that_pydicom_ships_is_read_or_refused_in_one_line():
    """94 files of all kinds: reports, plans, doses, ECGs, broken ones. What both read has one size."""
    images, refused = {}, []
    for path in sorted(SHIPPED.glob("*.dcm")):
        try:
            images[path] = read_radiograph(path)
        except UnreadableImage as error:
            refused.append(str(error))
    assert len(images) > 30
    assert [path.name for path in images if is_cut_off(path)] == []
    assert not [words for words in refused if "\n" in words]
    assert {image.dtype for image in images.values()} == {np.dtype(np.uint8)}
    assert {path.name: image_size_px(path) for path in images} == {path.name: image.shape[::-1] for path, image in images.items()}


def test_several_frames_are_refused_by_the_header_too(tmp_path):
    path = saved(tmp_path, header(np.zeros((4, 4), np.uint16), NumberOfFrames=2))
    for read in (read_radiograph, image_size_px):
        with pytest.raises(UnreadableImage, match=r"multi-frame DICOM with 2 frames; .* split it first"):
            read(path)


def test_a_header_without_pixels_is_named_as_that(tmp_path):
    data = header(deep())
    del data.PixelData
    with pytest.raises(UnreadableImage, match="whose pixels are not there, the header alone; fetch the whole file"):
        read_radiograph(saved(tmp_path, data))


def test_a_file_of_the_wrong_suffix_is_read_as_what_it_is(tmp_path):
    path = saved(tmp_path, header(deep(), BitsStored=12))
    expected = read_radiograph(path)
    assert (read_radiograph(path.rename(tmp_path / "film.png")) == expected).all()
    Image.fromarray(expected).save(tmp_path / "film.tif")
    assert (read_radiograph((tmp_path / "film.tif").rename(tmp_path / "film.dcm")) == expected).all()


def test_more_pixels_than_any_radiograph_has_are_refused_before_they_are_unpacked(tmp_path):
    data = header(np.zeros((4, 4), np.uint16))
    data.Rows = data.Columns = 60_000
    path = packed(tmp_path, data, RLELossless, b"\0" * 64)
    for read in (read_radiograph, image_size_px):
        with pytest.raises(UnreadableImage, match=r"more pixels than any radiograph has \(60000 x 60000\)"):
            read(path)


def test_a_deflated_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_pixels, "MOST_BYTES", 2**20)  # the real limit of 1 GiB would take the test as long as the attack
    data = header(np.zeros((1000, 1000), np.uint16))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data["PixelData"].VR = "OW"
    path = saved(tmp_path, data)
    assert path.stat().st_size < 20_000
    for read in (read_radiograph, image_size_px):
        with pytest.raises(UnreadableImage, match=r"more pixels than any radiograph has .* may be made to fill the memory"):
            read(path)


def test_a_decoder_that_panics_is_a_damaged_file_and_an_interrupt_stays_one(tmp_path):
    """pylibjpeg-rle 2.1 ends so at run lengths that run out of the picture."""

    class PanicException(BaseException):
        pass

    def panic():
        raise PanicException("index out of bounds: the len is 8192 but the index is 8192")

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(UnreadableImage, match=r"truncated or damaged \(index out of bounds"):
        dicom_pixels.guarded(tmp_path, panic)
    with pytest.raises(KeyboardInterrupt):
        dicom_pixels.guarded(tmp_path, interrupt)


def test_half_a_deflated_file_is_refused(tmp_path):
    data = header(deep(), BitsStored=12)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data["PixelData"].VR = "OW"
    path = saved(tmp_path, data)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(UnreadableImage, match="truncated or damaged"):
        read_radiograph(path)
    path.write_bytes(path.read_bytes()[:500] + zlib.compress(b"no"))
    with pytest.raises(UnreadableImage):
        read_radiograph(path)


@pytest.mark.parametrize(
    "spoilt", [{"PixelPaddingValue": 2**15 - 1}, {"RescaleSlope": "0"}, {"WindowCenter": "", "WindowWidth": ""}, {"VOILUTFunction": "OTHER"}]
)
def test_odd_headers_still_give_a_picture(tmp_path, spoilt):
    assert read_radiograph(saved(tmp_path, header(deep(), BitsStored=12, **spoilt))).shape == (37, 50)


def test_a_film_that_names_two_ways_of_storing_is_damaged_not_the_end_of_a_run(tmp_path):
    """One flipped byte makes two values of the UID."""
    path = saved(tmp_path, header(deep()))
    content = path.read_bytes()
    assert content.count(b"1.2.840.10008.1.2.1\0") == 1
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008\\1.2.1\0"))
    with pytest.raises(UnreadableImage, match=r"radiograph .*film\.dcm"):
        read_radiograph(path)
