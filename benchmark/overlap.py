"""Which cases two sides share, under whatever names they were opened: what a model is measured on, it does not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from benchmark.records import Case, ImageFile


def shared_places(cases: Sequence[Case], others: Sequence[Case]) -> frozenset[int]:
    """The places of those ``cases`` that are of a patient of the ``others``, or have the id of one, or show an image of theirs.

    Two collections that both count their patients from 1 are taken to share them: no file says that they do not, and a case too few is said, while a
    case too many is a score too high.
    """
    patients = {other.patient for other in others if other.patient}
    ids = {other.id for other in others}
    files = {_file(image.path) for other in others for image in other.images}
    image_ids = _telling_ids(others) & _telling_ids(cases)
    return frozenset(
        place
        for place, case in enumerate(cases)
        if case.patient in patients or case.id in ids or any(image.id in image_ids or _file(image.path) in files for image in case.images)
    )


def _telling_ids(cases: Sequence[Case]) -> set[str]:
    """The ids of images that name one file each: CheXpert calls an image of nearly every study ``view1_frontal``."""
    file_of: dict[str, Path] = {}
    told = {image.id for image in _images(cases) if image.id}
    return told - {image.id for image in _images(cases) if file_of.setdefault(image.id, image.path) != image.path}


def _images(cases: Sequence[Case]) -> Iterable[ImageFile]:
    return (image for case in cases for image in case.images)


def _file(path: Path) -> Path:
    """Where a file really lies; its folder is followed once for all of them, since half a million look-ups on a slow disk are minutes."""
    lies = _folder(path.parent) / path.name
    return lies.resolve() if lies.is_symlink() else lies


@lru_cache(maxsize=65536)
def _folder(folder: Path) -> Path:
    return folder.resolve()
