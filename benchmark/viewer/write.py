"""Writes the page: small parts first, then a block of cases at a time, ``index.html`` last. A page without it is no page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.datasets.images import UnreadableImage, image_size_px
from benchmark.progress import progress
from benchmark.records import ImageFile
from benchmark.runs import RunFolder, writing
from benchmark.tables import tables_of
from benchmark.tables.finished import as_material
from benchmark.viewer.case_record import Material, records
from benchmark.viewer.data_files import codes, column, write_bytes, write_part
from benchmark.viewer.errors import Masks, masks
from benchmark.viewer.numbers import CaseNumbers, numbers_of
from benchmark.viewer.overview import run_part, title
from benchmark.viewer.page import page_html
from benchmark.viewer.radiographs import Images, copy_images
from benchmark.viewer.shown import Shown

BLOCK_SIZE = 50
"""cases of which texts are read together"""


class Written(NamedTuple):
    """A page that was written."""

    file: Path
    files: list[str]
    """all of its files, by their names within the run folder"""
    absent: dict[str, str]
    """``<place>-<number>`` of images that should have been copied -> why they were not"""


def write_page(folder: RunFolder, shown: Shown, images: Images = "auto") -> Written:
    """Write the page of a run whose folder is held, in place of one that is there. The seal is left to the caller. Raises ``CannotWrite``."""
    is_private = bool(shown.run.record["dataset"].get("is_private", True))
    mode = 0o600 if is_private else 0o666
    given = as_material(shown.run)
    tables = tables_of(given)
    numbers = numbers_of(shown.metrics, shown.statistics, [model for model in shown.models if model in shown.reports])
    errors = _masks(shown)
    with writing(folder.path):
        remove_page(folder.path)
        place = folder.path / "page"
        place.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
        write_part(place, "run", run_part(shown, tables, given, numbers, BLOCK_SIZE), mode)
        write_part(place, "cases", _cases(shown, errors), mode)
        for number, model in enumerate(shown.models):
            write_part(place, f"model-{number}", _model(shown, model, errors.get(model)), mode)
        for number, one in enumerate(numbers):
            columns = [column(one.values[model], "f32") if model in one.values else None for model in shown.models]
            write_part(place, f"number-{number}", {"values": columns}, mode)
        _write_blocks(place, shown, errors, numbers, mode)
        pictures = copy_images(shown.cases, place / "images", images, is_private=is_private)
        write_part(place, "images", pictures, mode)
        index = folder.path / "index.html"
        part = index.with_name("index.html.part")
        note = str(shown.run.record["dataset"].get("note", ""))
        write_bytes(part, page_html(title(shown), note, tables).encode("utf-8", "backslashreplace"), mode)
        part.replace(index)
    return Written(index, ["index.html", *sorted(str(file.relative_to(folder.path)) for file in _data_files(folder.path))], pictures["absent"])


def remove_page(path: Path) -> None:
    """Take away the page of a run folder, ``index.html`` first; nothing else that may lie there."""
    (path / "index.html").unlink(missing_ok=True)
    for folder in (path / "page", path / "page" / "images"):
        if folder.is_symlink():  # what it leads to is not ours
            folder.unlink()
    for file in _data_files(path):
        file.unlink()
    for folder in (path / "page" / "images", path / "page"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _data_files(path: Path) -> list[Path]:
    return [*(path / "page").glob("*.js"), *(path / "page" / "images").glob("*.jpg")]


def _masks(shown: Shown) -> dict[str, Masks]:
    name = shown.lesions_metric
    return {model: masks(shown.statistics[name, model]) for model in shown.reports if (name, model) in shown.statistics}


def _cases(shown: Shown, errors: dict[str, Masks]) -> dict[str, Any]:
    """The part ``cases``. A lesion of a reference is known from any model that was scored on it."""
    lesions = np.zeros(len(shown.cases), dtype=np.uint16)
    for found in errors.values():
        lesions |= found.hit | found.missed
    return {
        "ids": [case.id for case in shown.cases],
        "patients": [case.patient for case in shown.cases],
        "views": codes([case.images[0].view if case.images else "" for case in shown.cases]),
        "reference_lesions": column(lesions, "u16") if errors else None,
    }


def _model(shown: Shown, model: str, errors: Masks | None) -> dict[str, Any]:
    """The part ``model-<k>``."""
    names = ("hit", "missed", "invented", "wrong_side")
    state = np.ones(len(shown.cases), dtype=np.uint8)  # failed, all of them, unless there are reports
    for place, report in enumerate(shown.reports.get(model, ())):
        is_scored = errors.is_scored[place] if errors is not None else bool(shown.references[place].report.strip())
        state[place] = 1 if report.failure else _state(not report.text.strip(), bool(is_scored))
    return {"state": column(state, "u8"), **{name: None if errors is None else column(getattr(errors, name), "u16") for name in names}}


def _state(is_empty: bool, is_scored: bool) -> int:
    """Of a report that did not fail: an empty one without a score has a state of its own, for it is neither right nor wrong."""
    return (2 if is_empty else 0) if is_scored else (4 if is_empty else 3)


def _write_blocks(place: Path, shown: Shown, errors: dict[str, Masks], numbers: Sequence[CaseNumbers], mode: int) -> None:
    texts = (shown.models, shown.cases, shown.references, shown.reports)
    material = Material(*texts, labels=shown.label, masks=errors, numbers=numbers, metrics=shown.metrics, size_of=_size_of)
    with progress("write page", len(shown.cases)) as advance:
        for block, start in enumerate(range(0, len(shown.cases), BLOCK_SIZE)):
            stop = min(start + BLOCK_SIZE, len(shown.cases))
            write_part(place, f"block-{block}", records(material, start, stop), mode)
            advance(stop - start)


def _size_of(image: ImageFile) -> tuple[int, int] | None:
    try:
        return image_size_px(image.path)
    except UnreadableImage:
        return None
