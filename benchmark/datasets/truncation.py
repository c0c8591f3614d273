"""Images that end too early, told by their last bytes alone: half a million radiographs cannot be decoded before every run.

A header says nothing of the end: a JPG that was cut off shows its size, and a grey band where the lungs were.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmark.datasets.dicom_pixels import silent

CUT_OFF = "the file ends too early; fetch it again"
END_BYTES = 4096
"""looked at; some programs write a few bytes behind the end of the picture"""
# What stands at the end of a whole file. Within a JPG's pixels the first cannot occur: a 0xff there is followed by a zero.
END_OF_JPG, END_OF_PNG, END_OF_FRAMES = b"\xff\xd9", b"IEND", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
PREAMBLE_BYTES = 132
"""of a DICOM file, with the letters DICM at their end"""


def is_cut_off(path: Path | str) -> bool:
    """Whether a JPG, PNG or DICOM file lacks its end, or a file has nothing in it; False for other kinds, and for no images. Raises OSError.

    A fault in the middle of a file is not noticed.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - called for every image of a split; making a Path costs more than the call
        start = file.read(PREAMBLE_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_BYTES))
        end = file.read()
    if start.startswith(b"\xff\xd8\xff"):
        return END_OF_JPG not in end
    if start.startswith(b"\x89PNG"):
        return END_OF_PNG not in end
    if start.endswith(b"DICM"):
        return _is_cut_off_dicom(Path(path), size, end)
    return not size


def _is_cut_off_dicom(path: Path, size: int, end: bytes) -> bool:
    """Compressed pixels end with a mark; others fill as many bytes as the header says."""
    import pydicom

    asked = ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"]
    try:
        with silent(), path.open("rb") as file:
            header: Any = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=asked)
            left = size - file.tell()  # from the tag of the pixels on
            syntax = header.file_meta.TransferSyntaxUID
            if syntax.is_deflated:
                return False
            if syntax.is_compressed:
                return END_OF_FRAMES not in end
            samples = 2 if header.get("PhotometricInterpretation") == "YBR_FULL_422" else int(header.get("SamplesPerPixel") or 1)
            pixels = int(header.Rows) * int(header.Columns) * samples * int(header.get("NumberOfFrames") or 1)
            return left < pixels * int(header.BitsAllocated) // 8
    except Exception:  # pydicom raises whatever it likes at a header, or a deflated file, that breaks off
        return True
