"""Radiographs from files: one grey image of 8 bits, whatever the file holds.

Pillow reads PNG, JPG, TIFF and their relatives, pydicom reads DICOM. Pillow's guard against decompression bombs stays as it is.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.records import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Grey = NDArray[np.uint8]
    """(H, W), 0 black, 255 white; bone is bright"""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom", ".tif", ".tiff", ".bmp", ".webp", ".jp2")
WINDOW_PERCENTILES = (0.5, 99.5)
"""What deeper images are windowed to: burnt-in letters and dead pixels at both ends are cut, lung and bone are kept."""
EXIF_ORIENTATION = 0x0112
EXIF_TURNED = (5, 6, 7, 8)
"""orientations that swap width and height"""


class UnreadableImage(UserError):
    """A file that should hold a radiograph and cannot be read as one."""


def read_radiograph(path: Path | str) -> Grey:
    """The radiograph in a file as (H, W) uint8, bone bright.

    8-bit grey comes back as it is; colour and palettes become luminance (ITU-R 601), transparent parts become black, 1 bit becomes 0 and 255, an
    EXIF orientation is applied, of several pages the first is taken. Images deeper than 8 bits (PNG, TIFF) carry no window, so the range between
    their 0.5th and 99.5th percentile is spread over 0 to 255.

    DICOM: rescale slope and intercept, then the first window or look-up table of the file if it leaves anything to see, else the percentiles above;
    MONOCHROME1 is inverted. Files with several frames are refused.

    A film that is inverted without saying so stays inverted; ask ``looks_inverted``.

    Raises UnreadableImage if the file is missing, truncated, or no image.
    """
    path = Path(path)
    content = _content(path)
    if _is_dicom(path, content):
        return _read_dicom(path, content)
    return _read_picture(path, content)


def image_size_px(path: Path | str) -> tuple[int, int]:
    """(width, height) as ``read_radiograph`` would return it, from the header alone.

    Raises UnreadableImage if the header cannot be read; a file that is truncated further on passes.
    """
    from PIL import Image

    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(132)
            if _is_dicom(path, start):
                header = _dicom_header(path)
                return int(header.Columns), int(header.Rows)
            file.seek(0)
            with Image.open(file) as picture:
                width, height = picture.size
                # Asking for EXIF parses it, and most radiographs have none. Of a TIFF Pillow gives the size as turned already.
                turned = "exif" in picture.info and picture.format != "TIFF" and picture.getexif().get(EXIF_ORIENTATION) in EXIF_TURNED
                return (height, width) if turned else (width, height)
    except UnreadableImage:
        raise
    except Exception as error:  # decoders raise whatever they like at a broken header
        raise _unreadable(path, error) from error


def looks_inverted(grey: Grey) -> bool:
    """Whether a frontal chest film seems to be a negative of the usual (lungs white, spine black). A heuristic, for use where a person asks for it.

    On a film as it should be, the middle column (spine, mediastinum) is brighter than the lungs beside it, and the air in the upper corners is the
    darkest of all; the two differences are added. Laterals, close-ups and films that are mostly device can fool it, so no reader applies it unasked.
    """
    height, width = grey.shape
    if height < 8 or width < 8:
        return False
    image = grey.astype(np.float64)
    rows = slice(int(0.25 * height), int(0.60 * height))
    spine = np.median(image[rows, int(0.46 * width) : int(0.54 * width) + 1])
    lungs = np.median(np.concatenate([image[rows, int(a * width) : int(b * width) + 1].ravel() for a, b in ((0.22, 0.36), (0.64, 0.78))]))
    corner = max(1, int(0.06 * min(height, width)))
    air = np.median(np.concatenate([image[:corner, :corner].ravel(), image[:corner, -corner:].ravel()]))
    return bool((spine - lungs) + 0.5 * (np.median(image) - air) < 0)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> UnreadableImage:
    """The three-part message for what went wrong."""
    if isinstance(error, FileNotFoundError):
        return UnreadableImage(f"radiograph {path}: there is no such file; check the path, or the folder that it is relative to")
    if isinstance(error, IsADirectoryError):
        return UnreadableImage(f"radiograph {path}: this is a folder; name an image file in it")
    if isinstance(error, PermissionError):
        return UnreadableImage(f"radiograph {path}: the file may not be read by this user; change its permissions")
    words = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ == "UnidentifiedImageError":
        words = _kind_of(path)
        return UnreadableImage(f"radiograph {path}: found {words}; give a PNG, JPG, TIFF or DICOM file")
    if type(error).__name__ == "DecompressionBombError":
        return UnreadableImage(f"radiograph {path}: more pixels than any radiograph has ({words}); check the file, it may be made to fill the memory")
    return UnreadableImage(f"radiograph {path}: the file is truncated or damaged ({words}); fetch it again")


def _kind_of(path: Path) -> str:
    """What a file that no decoder knows seems to be."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    if start.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return "the beginning of an image that is truncated or damaged"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself"
    if start.lstrip()[:1] == b"<":
        return "a web page or XML, not an image"
    if start.isascii() and b"\0" not in start:
        return "text, not an image"
    return "no image format that is known here"


# --- pictures ---------------------------------------------------------------------------------------------------------------------------------------


def _read_picture(path: Path, content: bytes) -> Grey:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
            picture = ImageOps.exif_transpose(opened) or opened
            return _grey(picture)
    except Image.DecompressionBombError as error:
        raise _unreadable(path, error) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        # SyntaxError is Pillow's word for a broken PNG chunk.
        raise _unreadable(path, error) from error


def _grey(picture: Image.Image) -> Grey:
    """Any picture as (H, W) uint8."""
    from PIL import Image

    if picture.mode in {"I", "F"} or picture.mode.startswith("I;16"):
        return spread(np.asarray(picture).astype(np.float64))
    if "transparency" in picture.info or picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        colour = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, (0, 0, 0, 255)), colour).convert("RGB")
    if picture.mode not in {"L", "1", "RGB"}:
        picture = picture.convert("RGB")
    return np.array(picture.convert("L"), dtype=np.uint8)


def spread(values: NDArray[np.float64], counted: NDArray[np.bool_] | None = None) -> Grey:
    """Any grey values as uint8: the range between the 0.5th and 99.5th percentile (of the ``counted`` pixels) over 0 to 255; flat is black."""
    finite = np.isfinite(values) if counted is None else np.isfinite(values) & counted
    if not finite.any():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = np.percentile(values[finite], WINDOW_PERCENTILES)
    if high <= low:  # nearly flat: a few pixels on one ground
        low, high = values[finite].min(), values[finite].max()
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    return _bytes(np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0))


def _bytes(share: NDArray[np.float64]) -> Grey:
    """Shares of white as grey values; what lies outside [0, 1] is cut."""
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


# --- DICOM ------------------------------------------------------------------------------------------------------------------------------------------


def _is_dicom(path: Path, start: bytes) -> bool:
    # Old files lack the preamble; then the name is all there is to go by.
    return start[128:132] == b"DICM" or (path.suffix.lower() in {".dcm", ".dicom"} and not start.startswith((b"\x89PNG", b"\xff\xd8\xff")))


def _dicom_header(path: Path) -> Any:
    import pydicom

    header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    if "Rows" not in header or "Columns" not in header:
        raise UnreadableImage(f"radiograph {path}: a DICOM file without an image (no Rows and Columns); give the file of the image itself")
    return header


def _read_dicom(path: Path, content: bytes) -> Grey:
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    header = _guarded(path, lambda: pydicom.dcmread(io.BytesIO(content), force=True))
    if "Rows" not in header or "Columns" not in header:
        found = "a DICOM file without an image" if content[128:132] == b"DICM" else "no DICOM file"
        raise UnreadableImage(f"radiograph {path}: found {found} (no Rows and Columns); give the file of the image itself")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImage(f"radiograph {path}: a multi-frame DICOM with {frames} frames; a report is asked for one radiograph, so split it first")
    if "TransferSyntaxUID" not in getattr(header, "file_meta", {}):
        if not hasattr(header, "file_meta"):
            header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian  # what the standard prescribes where nothing is said
    raw = _guarded(path, lambda: pixel_array(header))
    if str(header.PhotometricInterpretation) == "PALETTE COLOR":
        raw = _guarded(path, lambda: apply_color_lut(raw, header))
    if raw.ndim == 3:  # colour, the annotations burnt in
        return _grey_of_colour(raw)
    shown = _windowed(raw, header)
    return np.subtract(255, shown, dtype=np.uint8) if str(header.PhotometricInterpretation) == "MONOCHROME1" else shown


def _guarded(path: Path, step: Any) -> Any:
    """What a step of DICOM reading returns, its failure put into words."""
    from pydicom.errors import InvalidDicomError

    try:
        return step()
    except InvalidDicomError as error:
        raise UnreadableImage(f"radiograph {path}: found no DICOM file ({error}); give a PNG, JPG, TIFF or DICOM file") from error
    except Exception as error:  # pydicom and its decoders raise many kinds at broken pixel data
        words = " ".join(str(error).split())
        if "missing dependencies" in words or "Unable to decompress" in words or "no available" in words.lower():
            raise UnreadableImage(
                f"radiograph {path}: compressed in a way that no installed decoder knows ({words[:160]}); "
                "install one: pip install 'pylibjpeg[all]', or python-gdcm"
            ) from error
        raise UnreadableImage(f"radiograph {path}: the DICOM file is truncated or damaged ({words[:160]}); fetch it again") from error


def _grey_of_colour(raw: NDArray[Any]) -> Grey:
    top = 255.0 if raw.dtype == np.uint8 else float(np.iinfo(raw.dtype).max) if np.issubdtype(raw.dtype, np.integer) else float(raw.max() or 1)
    luminance = raw[..., :3].astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # ITU-R 601, as for pictures
    return _bytes(luminance / top)


def _windowed(raw: NDArray[Any], header: Any) -> Grey:
    """Stored values as grey: rescaled, then seen through the file's own window, or through the percentiles where it has none that shows anything."""
    from pydicom.pixels import apply_modality_lut, apply_voi

    values = apply_modality_lut(raw, header).astype(np.float64)
    if "VOILUTSequence" in header and "WindowCenter" not in header:
        # A look-up table maps stored integers, so it is applied by pydicom and only spread here.
        shown = np.asarray(apply_voi(apply_modality_lut(raw, header).astype(np.int32), header), dtype=np.float64)
        grey = _linear(shown, float(shown.min()), float(shown.max()))
    else:
        grey = _by_window(values, header)
    if grey is not None and len(np.unique(grey)) > 2:
        return grey
    padding = header.get("PixelPaddingValue")
    return spread(values, None if padding is None else raw != int(padding))


def _by_window(values: NDArray[np.float64], header: Any) -> Grey | None:
    """DICOM PS3.3 C.11.2.1.2: LINEAR, LINEAR_EXACT or SIGMOID with the first centre and width; None if there is no usable pair."""
    centre, width = (_first_number(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return _bytes(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500))))
    if function == "LINEAR_EXACT":
        return _linear(values, centre - width / 2, centre + width / 2)
    return _linear(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _linear(values: NDArray[np.float64], low: float, high: float) -> Grey | None:
    if not high > low:
        return None
    return _bytes((values - low) / (high - low))


def _first_number(value: Any) -> float | None:
    """A DICOM value that may be absent, empty, one number or several."""
    if value is None or value == "":
        return None
    first = value[0] if isinstance(value, (list, tuple)) or hasattr(value, "__getitem__") else value
    try:
        return float(first)
    except (TypeError, ValueError):
        return None
