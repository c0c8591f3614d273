"""The picture in a DICOM file as a workstation would show it (DICOM PS3.3 C.7.6.3, C.11.1, C.11.2), in 8 bits.

pydicom unpacks the stored values, with pylibjpeg (the extra ``dicom``) where they are compressed. No value of a header gets into a message.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmark.datasets.grey import between, of_colour, of_shares, spread
from benchmark.datasets.unreadable import MOST_PIXELS, UnreadableImage, bomb, without_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.datasets.grey import Grey

Found = TypeVar("Found")

DICOM_SUFFIXES = (".dcm", ".dicom")
DEFLATED = b"1.2.840.10008.1.2.1.99"
MOST_BYTES = 2**30
"""what a deflated file may unpack to"""
NO_DECODER = (
    "missing dependencies",
    "Unable to decompress",
    "with a transfer syntax UID of",
    "'Transfer Syntax UID' value of",
    "Pillow does not support",
)
"""pydicom's words where it lacks a decoder, against those for broken data"""
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"SQ")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8", b"RIFF")


def is_dicom(path: Path, start: bytes) -> bool:
    """Whether a file is DICOM, by its first 132 bytes. Old files lack the mark; then the name is all there is to go by."""
    return start[128:132] == b"DICM" or (path.suffix.lower() in DICOM_SUFFIXES and not start.startswith(_PICTURES))


def read_dicom(path: Path, content: bytes) -> Grey:
    """The one frame of a DICOM file. Raises UnreadableImage, see ``images.read_radiograph``."""
    header = read_header(path, content)
    check_picture(path, header)
    if not any(name in header for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise UnreadableImage(f"radiograph {path}: a DICOM file whose pixels are not there, the header alone; fetch the whole file")
    _name_syntax(header)
    syntax = guarded(path, lambda: str(header.file_meta.TransferSyntaxUID.name))  # a broken file may hold several
    return guarded(path, lambda: _shown(header), syntax)


def dicom_size_px(path: Path) -> tuple[int, int]:
    """(width, height) by the header alone. Raises UnreadableImage, for several frames too."""
    header = read_header(path, path.read_bytes() if _is_deflated(path) else path)
    return check_picture(path, header)


def read_header(path: Path, source: bytes | Path, tags: list[str] | None = None) -> Any:
    """The header of a DICOM file (of bytes: and its pixels), or only its elements of these keywords. Raises UnreadableImage."""
    import pydicom

    if isinstance(source, bytes):
        _check_deflated(path, source)
        return guarded(path, lambda: pydicom.dcmread(io.BytesIO(source), force=True, specific_tags=tags))
    return guarded(path, lambda: pydicom.dcmread(source, force=True, stop_before_pixels=True, specific_tags=tags))


def check_picture(path: Path, header: Any) -> tuple[int, int]:
    """(width, height) of a header that is one radiograph's. Raises UnreadableImage."""
    if "Rows" not in header or "Columns" not in header:
        found = "a DICOM file without an image" if len(header) else "no DICOM file"
        raise UnreadableImage(f"radiograph {path}: found {found} (no Rows and Columns); give the file of the image itself")
    frames = guarded(path, lambda: int(header.get("NumberOfFrames") or 1))
    if frames > 1:
        raise UnreadableImage(f"radiograph {path}: a multi-frame DICOM with {frames} frames; a report is asked for one radiograph, so split it first")
    width, height = guarded(path, lambda: (int(header.Columns), int(header.Rows)))
    if width < 1 or height < 1:
        raise UnreadableImage(f"radiograph {path}: a DICOM file of {width} x {height} pixels; give the file of the image itself")
    if width * height > MOST_PIXELS:
        raise bomb(path, f"{width} x {height}")
    return width, height


def _shown(header: Any) -> Grey:
    """Decoded, through every table that the header asks for."""
    from pydicom.pixels import apply_color_lut, pixel_array

    photometric = str(header.PhotometricInterpretation)
    raw = pixel_array(header)  # overlays in the unused bits masked, signs extended, planes interleaved, YBR made RGB
    if photometric == "PALETTE COLOR":
        raw = apply_color_lut(raw, header)
    if raw.ndim == 3:  # colour, the annotations burnt in
        return of_colour(raw, _white(raw, header, photometric))
    grey = _grey(raw, header)
    return np.subtract(255, grey, dtype=np.uint8) if photometric == "MONOCHROME1" else grey


def _grey(raw: NDArray[Any], header: Any) -> Grey:
    """Stored values as grey: rescaled, then through the file's own table or window, or the percentiles where neither shows anything."""
    from pydicom.pixels import apply_modality_lut

    values = apply_modality_lut(raw, header)
    for look in (_by_table, _by_window):
        grey = look(values, header)
        if grey is not None and np.count_nonzero(np.bincount(grey.ravel(), minlength=256)) > 2:
            return grey
    return spread(values.astype(np.float64), _counted(raw, header))


def _by_table(values: NDArray[Any], header: Any) -> Grey | None:
    """Through the first VOI look-up table (pydicom too prefers it to a window), its smallest entry black, its largest white; None without one."""
    from pydicom.pixels import apply_voi

    if not header.get("VOILUTSequence"):
        return None
    try:
        entries, first, _ = (int(one) for one in header.VOILUTSequence[0].LUTDescriptor)
        table = np.asarray(apply_voi(np.arange(first, first + (entries or 2**16)), header), dtype=np.float64)
        shown = apply_voi(np.rint(values).astype(np.int64), header)
    except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError):
        return None  # a table that is none: the window, or the percentiles
    # Not by its declared depth: many files say 16 bits over a table of 12.
    return between(np.asarray(shown, dtype=np.float64), float(table.min()), float(table.max()))


def _by_window(values: NDArray[Any], header: Any) -> Grey | None:
    """DICOM PS3.3 C.11.2.1.2: LINEAR, LINEAR_EXACT or SIGMOID with the first centre and width; None if there is no usable pair."""
    centre, width = (_first_number(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if width < 1 if function == "LINEAR" else width <= 0:
        return None
    deep = values.astype(np.float64)
    if function == "SIGMOID":
        return of_shares(1 / (1 + np.exp(np.clip(-4 * (deep - centre) / width, -500, 500))))
    if function == "LINEAR_EXACT":
        return between(deep, centre - width / 2, centre + width / 2)
    return between(deep, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _counted(raw: NDArray[Any], header: Any) -> NDArray[np.bool_] | None:
    """True where a pixel is no padding (PS3.3 C.7.5.1.1.2: one value, or a range of values); None where nothing is padded."""
    padding = header.get("PixelPaddingValue")
    if padding is None or padding == "":
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = int(padding), int(padding if limit is None or limit == "" else limit)
    return (raw < min(ends)) | (raw > max(ends))


def _white(raw: NDArray[Any], header: Any, photometric: str) -> float:
    """The value of a full colour."""
    if not np.issubdtype(raw.dtype, np.integer):
        return float(raw.max()) or 1.0
    bits = 8 * raw.dtype.itemsize if photometric == "PALETTE COLOR" else int(header.BitsStored)
    return float(2**bits - 1)


def _name_syntax(header: Any) -> None:
    """Give a header without file meta information the transfer syntax that it was read by."""
    import pydicom

    if "TransferSyntaxUID" in getattr(header, "file_meta", {}):
        return
    if not hasattr(header, "file_meta"):
        header.file_meta = pydicom.dataset.FileMetaDataset()
    is_implicit, is_little = header.original_encoding
    explicit = pydicom.uid.ExplicitVRLittleEndian if is_little else pydicom.uid.ExplicitVRBigEndian
    header.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if is_implicit else explicit


def _first_number(value: Any) -> float | None:
    """A DICOM value that may be absent, empty, one number or several."""
    if value is None or value == "":
        return None
    first = value[0] if isinstance(value, (list, tuple)) or hasattr(value, "__getitem__") else value
    try:
        return float(first)
    except (TypeError, ValueError):
        return None


def guarded(path: Path, step: Callable[[], Found], compression: str = "") -> Found:
    """What a step of DICOM reading returns, its failure put into words that quote nothing of the header. Looking up an element is such a step too."""
    try:
        with silent():
            return step()
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise many kinds at broken data
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system, not of the file
        if any(sign in str(error) for sign in NO_DECODER):
            raise UnreadableImage(
                f"radiograph {path}: compressed in a way that no installed decoder knows ({compression or 'not named'}); install the decoders: "
                "pip install 'clala-benchmark[dicom]'"
            ) from None
        raise _damaged(path, error) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of decoders in Rust; it is no Exception, and would end the run
            raise _damaged(path, error) from None
        raise


@contextmanager
def silent() -> Iterator[None]:
    """pydicom's warnings and log, which quote the values that they complain of, go nowhere."""
    log = logging.getLogger("pydicom")
    nowhere, propagate = logging.NullHandler(), log.propagate
    log.addHandler(nowhere)
    log.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeHandler(nowhere)
        log.propagate = propagate


def _damaged(path: Path, error: BaseException) -> UnreadableImage:
    words = without_values(str(error)) or type(error).__name__
    return UnreadableImage(f"radiograph {path}: the DICOM file is truncated or damaged ({words}); fetch it again")


# --- deflated files ---


def _is_deflated(path: Path) -> bool:
    with path.open("rb") as file:
        return DEFLATED in file.read(1024)


def _check_deflated(path: Path, content: bytes) -> None:
    """Raise UnreadableImage if a deflated file would fill the memory: pydicom unpacks it without asking how far."""
    if DEFLATED not in content[:1024]:
        return
    at = 132 if content[128:132] == b"DICM" else 0
    while content[at : at + 2] == b"\x02\x00":  # the file meta information, never deflated
        is_long = content[at + 4 : at + 6] in _LONG_VRS
        at += 12 + int.from_bytes(content[at + 8 : at + 12], "little") if is_long else 8 + int.from_bytes(content[at + 6 : at + 8], "little")
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    left, unpacked = content[at:], 0
    try:
        while left and not unpacking.eof:
            unpacked += len(unpacking.decompress(left, 2**24))
            if unpacked > MOST_BYTES:
                raise bomb(path, f"more than {MOST_BYTES >> 20} MiB unpacked")
            left = unpacking.unconsumed_tail
    except zlib.error as error:
        raise _damaged(path, error) from None
