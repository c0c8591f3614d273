"""The page of a finished run, as it lies there or written anew: where there is none, and where it is not whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from benchmark.gate.sealed import read_sealed
from benchmark.records import UserError
from benchmark.runs import FolderInUse, is_of_page, opened, sha256
from benchmark.viewer.data_files import NoPart, read_part
from benchmark.viewer.radiographs import Images
from benchmark.viewer.read_back import read_again, read_back
from benchmark.viewer.write import write_page


class Opened(NamedTuple):
    """A page that is whole."""

    file: Path
    is_new: bool
    """it was written just now"""
    absent: dict[str, str]
    """``<place>-<number>`` of images that should be beside it -> why they are not"""
    notes: tuple[str, ...]
    """what it has to do without"""


class WouldLose(UserError):
    """A page written anew would have less on it than the one that is there."""


def page_of(folder: Path, *, images: Images | None = None, again: bool = False, without_dataset: bool = False) -> Opened:
    """The page of a run. It is written if it is not whole, if ``again`` is said, or if ``images`` says what is to become of its images; and if it was
    written while its dataset was away, and that is back.

    ``without_dataset`` lets a page that has boxes and context be replaced by one that has none. Raises ``NoFinishedRun``, ``EditedRun``,
    ``FolderInUse``, ``CannotWrite``, ``WouldLose``.
    """
    sealed = read_sealed(folder)
    before = _part(folder, "images")
    if whole := is_whole(folder, sealed.record.get("files", {})):
        said = _part(folder, "run")
        lacks, is_without = tuple(map(str, said.get("lacks", ()))), bool(said.get("is_without_dataset"))
        if not again and images is None and not (is_without and not isinstance(read_again(sealed), str)):
            return Opened(folder / "index.html", False, before.get("absent", {}), lacks)
    try:
        with opened(folder) as held:
            shown = read_back(folder)  # as it is now that nobody else writes it
            if whole and not is_without and shown.is_without_dataset and not without_dataset:
                raise WouldLose(
                    f"the page of {folder} was to be written anew, and would lose what the dataset knows of its cases. {shown.notes[0]} Bring the "
                    "dataset back, or add --without-dataset"
                )
            written = write_page(held, shown, images or _asked_before(before))
            held.seal_page(written.files)
    except FolderInUse as error:
        found = str(error).partition("; ")[0]
        raise FolderInUse(f"the page of {folder} is to be written, and {found}; wait for it, then run the same command") from error
    return Opened(written.file, True, written.absent, written.notes)


def is_whole(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether all of the page is there as ``run.json`` vouches for it; of images, which are many and large, only that they are there."""
    of_page = {name: digest for name, digest in files.items() if is_of_page(name)}
    return "index.html" in of_page and all(
        (folder / name).is_file() and (name.endswith(".jpg") or sha256(folder / name) == digest) for name, digest in of_page.items()
    )


def _asked_before(part: Mapping[str, Any]) -> Images:
    """What was to become of the images of the page that is there."""
    return next((known for known in get_args(Images) if known == part.get("asked")), "auto")


def _part(folder: Path, name: str) -> dict[str, Any]:
    """A part of the page that is there; nothing if there is none."""
    try:
        part = read_part(folder / "page" / f"{name}.js")[1]
    except NoPart:
        return {}
    return part if isinstance(part, dict) else {}
