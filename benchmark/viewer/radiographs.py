"""Copies of the radiographs for the page, or none and the reason. A copy is small and of 8 bits; the file itself stays where it is.

``auto`` copies what anyone may see and is not too much of it: images of credentialed data lie beside a page only if that is asked for.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.datasets.images import UnreadableImage, read_radiograph
from benchmark.progress import progress
from benchmark.records import Case
from benchmark.viewer.data_files import write_bytes

Images = Literal["auto", "embed", "none"]
COPY_PX, SERVED_PX, QUALITY = 1024, 2048, 85
"""longest side of a copy, and of what a server sends; of JPEG"""
MOST_CASES = 1000
"""up to which images are copied without being asked for"""


class Copied(NamedTuple):
    """What became of the images."""

    part: dict[str, Any]
    """the part ``images``"""
    made_of: dict[str, tuple[str, str]]
    """``<place>-<number>`` of a copy -> what says that its image is the same as before, and the digest of the copy"""


class Before(NamedTuple):
    """Copies of a page that is there, or was."""

    folder: Path
    made_of: Mapping[str, Sequence[str]]
    """as ``Copied`` has it"""


def copy_images(cases: Sequence[Case], folder: Path, images: Images, *, is_private: bool, before: Before | None = None) -> Copied:
    """Copies as ``<place>-<number>.jpg`` in ``folder`` if there are to be any. One of ``before`` is taken if neither it nor its image has changed."""
    count = sum(len(case.images) for case in cases)
    why = _why_none(count, len(cases), images, is_private=is_private)
    part: dict[str, Any] = {"how": "none" if why else "copies", "why": why, "sizes": None, "absent": {}, "asked": images}
    made_of: dict[str, tuple[str, str]] = {}
    if why:
        return Copied(part, made_of)
    folder.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
    with progress("copy images", count, unit="images") as advance:
        for place, case in enumerate(cases):
            for number, image in enumerate(case.images):
                name = f"{place}-{number}"
                try:
                    state = _state_of(image.path)
                    content = _as_before(name, state, before) or as_jpeg(image.path, COPY_PX)
                    write_bytes(folder / f"{name}.jpg", content, 0o600 if is_private else 0o666)
                    made_of[name] = (state, hashlib.sha256(content).hexdigest())
                except UnreadableImage:
                    part["absent"][name] = why_unreadable(image.path)
                advance(1)
    return Copied(part, made_of)


def _state_of(path: Path) -> str:
    """What changes when the file does; its place does not show in it. Empty where there is none, which is found out when it is read."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(
        f"{path.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\0{COPY_PX}\0{QUALITY}".encode(errors="surrogateescape")
    ).hexdigest()


def _as_before(name: str, state: str, before: Before | None) -> bytes | None:
    """The copy that there is, if it is of this very image and nobody has changed it."""
    known = before.made_of.get(name) if before else None
    if before is None or not state or not known or known[0] != state:
        return None
    try:
        content = (before.folder / f"{name}.jpg").read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == known[1] else None


def as_jpeg(path: Path, longest_px: int) -> bytes:
    """The radiograph in a file, DICOM too, as a JPEG whose sides are no longer than that. Raises ``UnreadableImage``."""
    from PIL import Image

    picture = Image.fromarray(read_radiograph(path))
    picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def why_unreadable(path: Path) -> str:
    """In words, without the place: a page is handed on."""
    return f"the file {path.name} cannot be read as an image" if path.is_file() else f"the file {path.name} is missing"


def _why_none(count: int, cases: int, images: Images, *, is_private: bool) -> str:
    if not count:
        return "These reports came without images."
    if images == "none":
        return "This page was written without images; view RUN --images embed copies them, view RUN --serve shows them from where they lie."
    if images == "auto" and is_private:
        return (
            "The images of these data are not copied unless that is asked for; view RUN --serve shows them from where they lie, "
            "view RUN --images embed copies them beside the page."
        )
    if images == "auto" and cases > MOST_CASES:
        return (
            f"Images of more than {MOST_CASES:,} cases are not copied unless that is asked for; view RUN --serve shows them from where they lie, "
            "view RUN --images embed copies them beside the page."
        )
    return ""
