"""The entries of one split, gathered in parts by as many processes as there are, and kept: a reading that was killed goes on where it was."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmark.datasets.entries import Entry
from benchmark.datasets.entry_file import load, save
from benchmark.engine import each
from benchmark.progress import progress

IMAGES_PER_PART = 2_000
"""what one worker reads and writes at a time, and what a killed reading loses per worker"""
ATTEMPTS = 3
"""at a part that is damaged as soon as it is written"""
WORTH_A_POOL = 5_000
"""images from which on several processes read; below, starting them costs more than it saves"""
ABANDONED_S = 24 * 3600
"""age from which on a file that was never finished is nobody's any more"""
UNUSED_S = 28 * 24 * 3600
"""age from which on an index that nobody has opened is swept"""
_INDEX = re.compile(r"[a-z]+-[0-9a-f]{32}(-[0-9a-f]{8})?")
_PART = re.compile(r"\d+-of-\d+-by-\d+\.parquet")
Patient = TypeVar("Patient", bound="tuple[str, Sequence[Any]]")
"""with the images that are listed of it"""


class NotKept(OSError):
    """The cache could not be written to; nothing is said of the data by it."""


class Task(NamedTuple):
    """What one part is made from."""

    images: int
    """that it will have, for the progress bar"""
    arguments: tuple[Any, ...]
    """of the function that reads"""


def gather(
    folder: Path, tasks: Callable[..., Sequence[Task]], read: Callable[..., list[Entry]], *, label: str, workers: int, shared: tuple[Any, ...] = ()
) -> list[Entry]:
    """The entries in a folder; what is not there yet is read by ``read(*arguments, *shared)`` and kept, a part per task, in their order.

    The tasks must follow from the folder's name, and are asked for only if something is missing, or, with a set of patients as argument, for these
    alone: those with a file that could not be read are read again. A reading that was killed goes on where it was; a damaged part is made again.
    Workers write what they read: however many images there are, none of them waits in memory. Raises NotKept if the folder cannot be written to.
    """
    is_new = False
    for _ in range(ATTEMPTS):
        with _keeping(folder):
            parts = _load(folder)
        if parts is not None:
            return [
                entry
                for entries in (parts.values() if is_new else _again(parts, tasks, read, label=label, workers=workers, shared=shared))
                for entry in entries
            ]
        todo = tasks()
        if not todo:
            return []
        paths = [folder / f"{number:05d}-of-{len(todo):05d}-by-{IMAGES_PER_PART}.parquet" for number in range(len(todo))]
        with _keeping(folder):
            # Report text under a data use agreement: for this user's eyes.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            missing = [(path, task) for path, task in zip(paths, todo, strict=True) if not path.exists()]
            for other in folder.glob("*.parquet"):
                if other not in paths:  # cut otherwise, by another version
                    other.unlink(missing_ok=True)
        is_new = len(missing) == len(todo)
        total = sum(task.images for task in todo)
        done = total - sum(task.images for _, task in missing)
        jobs = [(read, path, task.arguments) for path, task in missing]
        with progress(label, total, done=done, unit="images") as advance:
            for index, _ in each(_make_part, jobs, workers=workers if total - done >= WORTH_A_POOL else 1, shared=shared):
                advance(missing[index][1].images)
        with _keeping(folder):
            _sweep(folder)
    raise NotKept(errno.EIO, f"what was written to {folder} could not be read again; is the disk in order?")


def read_all(tasks: Sequence[Task], read: Callable[..., list[Entry]], *, label: str, workers: int, shared: tuple[Any, ...] = ()) -> list[Entry]:
    """The entries without keeping them, for where nothing can be written."""
    total = sum(task.images for task in tasks)
    parts: dict[int, list[Entry]] = {}
    with progress(label, total, unit="images") as advance:
        for index, entries in each(read, [task.arguments for task in tasks], workers=workers if total >= WORTH_A_POOL else 1, shared=shared):
            parts[index] = entries
            advance(tasks[index].images)
    return [entry for index in range(len(tasks)) for entry in parts[index]]


def portions(patients: Iterable[Patient]) -> Iterator[list[Patient]]:
    """Patients by as many as have about IMAGES_PER_PART listed images together."""
    portion: list[Patient] = []
    images = 0
    for patient in patients:
        portion.append(patient)
        images += len(patient[1])
        if images >= IMAGES_PER_PART:
            yield portion
            portion, images = [], 0
    if portion:
        yield portion


def load_parts(folder: Path) -> list[Entry] | None:
    """The entries of all parts in order; None if any is missing or damaged. A damaged one is removed."""
    parts = _load(folder)
    return None if parts is None else [entry for entries in parts.values() for entry in entries]


def sweep_unused(folder: Path) -> None:
    """Note that the folder is in use, and remove those beside it that nobody has opened for weeks: of files that have changed since, or are gone."""
    with suppress(OSError):
        os.utime(folder)
        for other in folder.parent.iterdir():
            if other != folder and _INDEX.fullmatch(other.name) and time.time() - other.stat().st_mtime > UNUSED_S:
                for file in other.iterdir():
                    if file.name.endswith((".parquet", ".part")):
                        file.unlink(missing_ok=True)
                other.rmdir()


def _load(folder: Path) -> dict[Path, list[Entry]] | None:
    """The same by file."""
    try:
        found = sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name))
    except OSError:
        return None
    if not found or len(found) != int(found[0].name.split("-")[2]):
        return None
    parts: dict[Path, list[Entry]] = {}
    for path in found:
        part = load(path)
        if part is None:
            path.unlink(missing_ok=True)
            return None
        parts[path] = part
    return parts


def _again(
    parts: Mapping[Path, list[Entry]],
    tasks: Callable[..., Sequence[Task]],
    read: Callable[..., list[Entry]],
    *,
    label: str,
    workers: int,
    shared: tuple[Any, ...],
) -> Iterator[list[Entry]]:
    """The parts, with a second look at the patients of whom a file could not be read, and kept with what it shows.

    The file may have been mended, or the disk been at fault; and what is kept of one copy of the data is opened for another, whose file is whole.
    """
    patients = {entry.subject for entries in parts.values() for entry in entries if entry.blames_a_file}
    new: dict[str, list[Entry]] = {}
    for entry in read_all(tasks(patients), read, label=f"{label} again", workers=workers, shared=shared) if patients else ():
        new.setdefault(entry.subject, []).append(entry)
    left = {subject: iter(entries) for subject, entries in new.items()}
    for path, entries in parts.items():
        mended = [next(left[entry.subject]) if entry.subject in patients else entry for entry in entries]
        if any(one is not other and one != other for one, other in zip(mended, entries, strict=True)):
            with suppress(OSError):  # then it will be looked at again next time
                save(mended, path)
        yield mended


def _make_part(read: Callable[..., list[Entry]], path: Path, arguments: tuple[Any, ...], *shared: Any) -> None:
    """In a worker: what it read stays out of the parent's memory."""
    entries = read(*arguments, *shared)
    with _keeping(path.parent):
        save(entries, path)


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """What fails in here is the cache's fault."""
    try:
        yield
    except OSError as error:
        raise NotKept(error.errno, error.strerror or str(error), str(folder)) from error


def _sweep(folder: Path) -> None:
    """Remove what killed readings left behind."""
    for old in folder.glob(".*.part"):
        try:
            if time.time() - old.stat().st_mtime > ABANDONED_S:
                old.unlink()
        except FileNotFoundError:
            continue
