"""Radiographs from files: one grey image of 8 bits, whatever the file holds.

Pillow reads PNG, JPG, TIFF and their relatives, and nothing else that it could: of a file of PostScript it would start Ghostscript. DICOM is read in
``dicom_pixels``. Pillow's guard against decompression bombs stays as it is.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.datasets.dicom_pixels import dicom_size_px, is_dicom, read_dicom
from benchmark.datasets.grey import spread as spread
from benchmark.datasets.unreadable import UnreadableImage as UnreadableImage
from benchmark.datasets.unreadable import unreadable

if TYPE_CHECKING:
    from PIL import Image

    from benchmark.datasets.grey import Grey

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom", ".tif", ".tiff", ".bmp", ".webp", ".jp2")
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF", "PPM")
EXIF_ORIENTATION = 0x0112
EXIF_TURNED = (5, 6, 7, 8)
"""orientations that swap width and height"""


def read_radiograph(path: Path | str) -> Grey:
    """The radiograph in a file as (H, W) uint8, bone bright.

    8-bit grey comes back as it is; colour and palettes become luminance (ITU-R 601), transparent parts become black, 1 bit becomes 0 and 255, an
    EXIF orientation is applied, of several pages the first is taken. Images deeper than 8 bits (PNG, TIFF) carry no window, so the range between
    their 0.5th and 99.5th percentile is spread over 0 to 255.

    DICOM: modality table or rescale slope and intercept, then the first VOI look-up table, else the first window, of the file if it leaves anything
    to see, else the percentiles above (padding does not count for them); MONOCHROME1 is inverted. Files with several frames are refused. Pixels
    that are not square stay as they are stored: boxes are in pixels of the file.

    A film that is inverted without saying so stays inverted; ask ``looks_inverted``.

    Raises UnreadableImage if the file is missing, truncated, or no image.
    """
    path = Path(path)
    content = _content(path)
    if is_dicom(path, content[:132]):
        return read_dicom(path, content)
    return _read_picture(path, content)


def image_size_px(path: Path | str) -> tuple[int, int]:
    """(width, height) as ``read_radiograph`` would return it, from the header alone.

    Raises UnreadableImage if the header cannot be read, or is that of several frames; a file that is truncated further on passes.
    """
    from PIL import Image

    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(132)
            if is_dicom(path, start):
                return dicom_size_px(path)
            file.seek(0)
            with Image.open(file, formats=FORMATS) as picture:
                width, height = picture.size
                # Asking for EXIF parses it, and most radiographs have none. Of a TIFF Pillow gives the size as turned already.
                turned = "exif" in picture.info and picture.format != "TIFF" and picture.getexif().get(EXIF_ORIENTATION) in EXIF_TURNED
                return (height, width) if turned else (width, height)
    except UnreadableImage:
        raise
    except Exception as error:  # decoders raise whatever they like at a broken header
        raise unreadable(path, error) from error


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
        raise unreadable(path, error) from error


# --- pictures ---------------------------------------------------------------------------------------------------------------------------------------


def _read_picture(path: Path, content: bytes) -> Grey:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            opened.load()
            picture = ImageOps.exif_transpose(opened) or opened
            return _grey(picture)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like at broken data: SyntaxError is Pillow's word for a broken PNG chunk
        raise unreadable(path, error) from error


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
