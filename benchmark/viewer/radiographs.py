"""Copies of the radiographs for the page, or none and the reason. A copy is small and of 8 bits; the file itself stays where it is.

``auto`` copies what anyone may see and is not too much of it: images of credentialed data lie beside a page only if that is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from benchmark.datasets.images import UnreadableImage, read_radiograph
from benchmark.progress import progress
from benchmark.records import Case
from benchmark.viewer.data_files import write_bytes

Images = Literal["auto", "embed", "none"]
COPY_PX, SERVED_PX, QUALITY = 1024, 2048, 85
"""longest side of a copy, and of what a server sends; of JPEG"""
MOST_CASES = 1000
"""up to which images are copied without being asked for"""


def copy_images(cases: Sequence[Case], folder: Path, images: Images, *, is_private: bool) -> dict[str, Any]:
    """The part ``images``; copies as ``<place>-<number>.jpg`` in ``folder`` if there are to be any."""
    count = sum(len(case.images) for case in cases)
    why = _why_none(count, len(cases), images, is_private=is_private)
    part: dict[str, Any] = {"how": "none" if why else "copies", "why": why, "sizes": None, "absent": {}, "asked": images}
    if why:
        return part
    folder.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
    with progress("copy images", count, unit="images") as advance:
        for place, case in enumerate(cases):
            for number, image in enumerate(case.images):
                try:
                    write_bytes(folder / f"{place}-{number}.jpg", as_jpeg(image.path, COPY_PX), 0o600 if is_private else 0o666)
                except UnreadableImage:
                    part["absent"][f"{place}-{number}"] = why_unreadable(image.path)
                advance(1)
    return part


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
