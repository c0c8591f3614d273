"""Writes the page beside the one that is there, and puts it in its place when it is whole: a full disk takes nobody's page away.

page.new/ blocks, parts, images   index.html.part   then page/ -> page.old/, page.new/ -> page/, index.html last. A page without it is no page.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.datasets.images import UnreadableImage, image_size_px
from benchmark.engine import cores, each
from benchmark.progress import progress
from benchmark.records import ImageFile
from benchmark.runs import CannotWrite, RunFolder, page_files, writing
from benchmark.tables import tables_of
from benchmark.tables.finished import as_material
from benchmark.viewer.case_record import Material, Readers, records
from benchmark.viewer.data_files import NoPart, codes, column, read_part, write_bytes, write_part
from benchmark.viewer.errors import Masks, masks
from benchmark.viewer.evidence import witnesses
from benchmark.viewer.numbers import CaseNumbers, numbers_of
from benchmark.viewer.overview import run_part, title
from benchmark.viewer.page import page_html
from benchmark.viewer.radiographs import Before, Images, copy_images
from benchmark.viewer.short import elsewhere, labels_elsewhere
from benchmark.viewer.shown import Shown
from benchmark.vocabulary import LESIONS

BLOCK_SIZE = 50
"""cases of which texts are read together"""
BLOCKS_OF_PART = 10
"""blocks that are written by one process, one after the other"""
POOL_FROM = 50_000
"""texts from which further processes (about 2 s each) pay"""
MOST_BYTES = 1 << 26
"""of what reads texts, to be handed to other processes; a network of billions of numbers stays where it is"""


class Written(NamedTuple):
    """A page that was written."""

    file: Path
    files: list[str]
    """all of its files, by their names within the run folder"""
    absent: dict[str, str]
    """``<place>-<number>`` of images that should have been copied -> why they were not"""
    notes: tuple[str, ...]
    """what it has to do without, and why"""


def write_page(folder: RunFolder, shown: Shown, images: Images = "auto") -> Written:
    """Write the page of a sealed run whose folder is held, in place of one that is there; ``RunFolder.seal_page`` of its files is left to the caller.

    If it cannot be written, the one that is there stays. Raises ``CannotWrite``.
    """
    try:
        return _written(folder, shown, images)
    except BaseException:
        with suppress(CannotWrite):
            folder.remove_page("page.new", "index.html.part")
        raise


def _written(folder: RunFolder, shown: Shown, images: Images) -> Written:
    is_private = bool(shown.run.record["dataset"].get("is_private", True))
    mode = 0o600 if is_private else 0o666
    given = as_material(shown.run)
    tables = tables_of(given)
    notes: list[str] = []
    numbers = numbers_of(shown.metrics, shown.statistics, [model for model in shown.models if model in shown.reports], notes)
    errors = _masks(shown)
    named = labels_elsewhere(shown.models)
    with writing(folder.path):
        folder.remove_page("page.new", "index.html.part")
        place = folder.path / "page.new"
        place.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
        for number, model in enumerate(shown.models):
            write_part(place, f"model-{number}", _model(shown, model, errors.get(model)), mode)
        for number, one in enumerate(numbers):
            columns = [column(one.values[model], "f32") if model in one.values else None for model in shown.models]
            write_part(place, f"number-{number}", {"values": columns}, mode)
        copied = copy_images(shown.cases, place / "images", images, is_private=is_private, before=_copies_before(folder.path))
        write_part(place, "images", copied.part, mode)
        if copied.made_of:
            write_part(place, "copies", copied.made_of, mode)
        # Then only it is known which cases' sizes are of use, and after the blocks what they had to do without.
        material = _material(shown, errors, numbers, has_copies=bool(copied.made_of))
        write_blocks(place, material, mode, shown.config.workers)
        write_part(place, "cases", _cases(shown, errors, material), mode)
        notes = [*shown.notes, *notes, *material.notes]
        told = replace(shown, notes=notes)
        write_part(place, "run", elsewhere(run_part(told, tables, given, numbers, BLOCK_SIZE), named), mode)
        note = str(shown.run.record["dataset"].get("note", ""))
        html = page_html(*elsewhere((title(shown), note, tables), named))
        write_bytes(folder.path / "index.html.part", html.encode("utf-8", "backslashreplace"), mode)
        _put_in_place(folder)
    names = sorted(str(file.relative_to(folder.path)) for file in page_files(folder.path / "page"))
    return Written(folder.path / "index.html", ["index.html", *names], copied.part["absent"], tuple(notes))


def _put_in_place(folder: RunFolder) -> None:
    """What was written becomes the page. In between ``run.json`` vouches for none; files of others among those of the page stay where they are."""
    page, old, new = (folder.path / name for name in ("page", "page.old", "page.new"))
    folder.seal_page([])
    (folder.path / "index.html").unlink(missing_ok=True)
    folder.remove_page("page.old")
    if page.is_symlink():
        page.unlink()
    if page.exists():
        if old.exists():  # a page that was being put in place when the process was killed, and files of others with it
            _move_others(old, page)
        page.replace(old)
    new.replace(page)
    folder.remove_page("page.old")
    if old.exists():
        _move_others(old, page)
    (folder.path / "index.html.part").replace(folder.path / "index.html")


def _move_others(old: Path, page: Path) -> None:
    """Hand on what is not the page's own; a name that is taken stays where it is."""
    for file in [*old.iterdir()]:
        if file.name == "images" and file.is_dir() and (page / "images").is_dir():
            _move_others(file, page / "images")
        elif not (page / file.name).exists():
            file.replace(page / file.name)
    if not any(old.iterdir()):
        old.rmdir()


def _copies_before(path: Path) -> Before | None:
    try:
        return Before(path / "page" / "images", dict(read_part(path / "page" / "copies.js")[1]))
    except (NoPart, TypeError, ValueError):
        return None


def _masks(shown: Shown) -> dict[str, Masks]:
    name = shown.lesions_metric
    return {model: masks(shown.statistics[name, model]) for model in shown.reports if (name, model) in shown.statistics}


def _cases(shown: Shown, errors: dict[str, Masks], material: Material) -> dict[str, Any]:
    """The part ``cases``. A lesion of a reference is known from any model that was scored on it, or else from kept labels."""
    lesions, is_known = np.zeros(len(shown.cases), dtype=np.uint16), np.zeros(len(shown.cases), dtype=bool)
    for found in errors.values():
        lesions |= found.hit | found.missed
        is_known |= found.is_scored
    unknown = [place for place in np.flatnonzero(~is_known).tolist() if errors and shown.references[place].report.strip()]
    for start in range(0, len(unknown), BLOCK_SIZE):
        places = unknown[start : start + BLOCK_SIZE]
        for place, known in zip(places, material.label([shown.references[place].report for place in places]), strict=True):
            if known:
                lesions[place] = sum(1 << LESIONS.index(lesion.name) for lesion in known if lesion.status == "positive")
            else:
                material.unknown.append(place)
    return {
        "ids": [case.id for case in shown.cases],
        "patients": [case.patient for case in shown.cases],
        "views": codes([case.images[0].view if case.images else "" for case in shown.cases]),
        "reference_lesions": column(lesions, "u16") if errors else None,
    }


def _model(shown: Shown, model: str, errors: Masks | None) -> dict[str, Any]:
    """The part ``model-<k>``. An empty report without a score has a state of its own, for it is neither right nor wrong."""
    names = ("hit", "missed", "invented", "wrong_side")
    state = np.ones(len(shown.cases), dtype=np.uint8)  # failed, all of them, unless there are reports
    if model in shown.looked:
        failures, is_empty = shown.looked[model]
        is_scored = errors.is_scored if errors is not None else np.array([bool(one.report.strip()) for one in shown.references], dtype=bool)
        state = np.where(is_scored, np.where(is_empty, 2, 0), np.where(is_empty, 4, 3)).astype(np.uint8)
        state[list(failures)] = 1
    return {"state": column(state, "u8"), **{name: None if errors is None else column(getattr(errors, name), "u16") for name in names}}


def _material(shown: Shown, errors: dict[str, Masks], numbers: Sequence[CaseNumbers], *, has_copies: bool) -> Material:
    texts = (shown.models, shown.cases, shown.references, shown.reports)
    return Material(
        *texts,
        labels=shown.label,
        masks=errors,
        numbers=numbers,
        metrics=shown.metrics,
        statistics=shown.statistics,
        size_of=_size_of,
        has_copies=has_copies,
    )


def write_blocks(place: Path, material: Material, mode: int, workers: int) -> None:
    """All blocks, in several processes where there are many texts and what reads them can be sent there."""
    count = len(material.cases)
    parts = _Parts(place, material, mode)
    processes = min(cores(workers), cores(0)) if count * (1 + len(material.reports)) >= POOL_FROM and can_travel(material) else 1
    with progress("write page", count) as advance:
        if processes > 1:
            notes: dict[str, str] = {}
            names = [f"page, cases {parts.cases(index).start + 1} to {parts.cases(index).stop}" for index in range(len(parts))]
            for index, (unlike, said) in each(write_part_of_blocks, parts, workers=processes, shared=(_sent(material),), names=names):
                material.unlike.update(unlike)
                notes |= said
                advance(len(parts.cases(index)))
            if not notes:
                return
            # A metric broke, and is not asked about what comes after: only one process after the other knows what that is.
            material.unlike.clear()
        for index, part in enumerate(parts):
            unlike, _ = write_part_of_blocks(*part, material.readers)
            material.unlike.update(unlike)
            advance(len(parts.cases(index)) if processes == 1 else 0)


class _Parts(Sequence[tuple[Path, Material, int]]):
    """What each task of writing is given, made when it is asked for: the texts of all of them at once need not fit into memory."""

    def __init__(self, place: Path, material: Material, mode: int) -> None:
        self._place, self._material, self._mode = place, material, mode

    def __len__(self) -> int:
        return -(-len(self._material.cases) // (BLOCKS_OF_PART * BLOCK_SIZE))

    def cases(self, index: int) -> range:
        """The places of its cases."""
        size = BLOCKS_OF_PART * BLOCK_SIZE
        return range(index * size, min((index + 1) * size, len(self._material.cases)))

    def __getitem__(self, index: Any) -> Any:
        cases = self.cases(range(len(self))[index])
        return self._place, self._material.part(cases.start, cases.stop), self._mode


def write_part_of_blocks(place: Path, part: Material, mode: int, readers: Readers) -> tuple[Counter[str], dict[str, str]]:
    """Write the blocks of some cases; in how many texts of them lesions are not marked, and metric -> why nothing more is shown of it."""
    part = replace(part, given=readers)
    with writing(place.parent):
        for start in range(0, len(part.cases), BLOCK_SIZE):
            block = (part.first + start) // BLOCK_SIZE
            write_part(place, f"block-{block}", records(part, start, start + BLOCK_SIZE), mode)
    return part.unlike, readers.witnesses.notes


def _sent(material: Material) -> Readers:
    return Readers(material.labels, witnesses(material.metrics))


def can_travel(material: Material) -> bool:
    """True if what reads texts can be pickled, and is small. What asks language models cannot, and is not asked from elsewhere."""
    try:
        pickle.Pickler(_Limited(), pickle.HIGHEST_PROTOCOL).dump(_sent(material))
    except Exception:  # whatever a guest raises when it is to be pickled
        return False
    return True


class _Limited:
    """Takes so many bytes, and lets them fall."""

    def __init__(self) -> None:
        self._left = MOST_BYTES

    def write(self, content: Any) -> int:
        """Raises ``OverflowError`` when it is too much."""
        size = memoryview(content).nbytes
        self._left -= size
        if self._left < 0:
            raise OverflowError(f"more than {MOST_BYTES:,} bytes")
        return size


def _size_of(image: ImageFile) -> tuple[int, int] | None:
    try:
        return image_size_px(image.path)
    except UnreadableImage:
        return None
