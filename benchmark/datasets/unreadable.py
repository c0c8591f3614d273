"""What is said of a file that should hold a radiograph and cannot be read as one."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.records import UserError

MOST_PIXELS = 2 * 89_478_485
"""where Pillow too takes a picture for a decompression bomb; the largest radiographs have about 30 million"""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:\.\d+){3,}|\d{6,}")


class UnreadableImage(UserError):
    """A file that should hold a radiograph and cannot be read as one."""


def unreadable(path: Path, error: BaseException) -> UnreadableImage:
    """The three-part message for what went wrong with a file."""
    if isinstance(error, FileNotFoundError):
        return UnreadableImage(f"radiograph {path}: there is no such file; check the path, or the folder that it is relative to")
    if isinstance(error, IsADirectoryError):
        return UnreadableImage(f"radiograph {path}: this is a folder; name an image file in it")
    if isinstance(error, PermissionError):
        return UnreadableImage(f"radiograph {path}: the file may not be read by this user; change its permissions")
    words = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ == "UnidentifiedImageError":
        return UnreadableImage(f"radiograph {path}: found {_kind_of(path)}; give a PNG, JPG, TIFF or DICOM file")
    if type(error).__name__ == "DecompressionBombError":
        return bomb(path, words)
    return UnreadableImage(f"radiograph {path}: the file is truncated or damaged ({words}); fetch it again")


def bomb(path: Path, found: str) -> UnreadableImage:
    """The message for a file that would unpack to more than any radiograph has."""
    return UnreadableImage(f"radiograph {path}: more pixels than any radiograph has ({found}); check the file, it may be made to fill the memory")


def without_values(words: str, most: int = 160) -> str:
    """A decoder's words without what they may quote from a header: names, dates, numbers and UIDs of patients stay out of every message."""
    return _QUOTED.sub("...", " ".join(words.split()))[:most]


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
