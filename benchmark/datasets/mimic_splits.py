"""The entries of one split of a dataset on MIMIC-CXR-JPG: out of the cache where it has them, else read from the files and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from benchmark.datasets import gathering
from benchmark.datasets.entries import Entry
from benchmark.datasets.entry_file import LAYOUT
from benchmark.datasets.gathering import Task, portions
from benchmark.datasets.listed_rows import by_subject
from benchmark.datasets.mimic_metadata import REQUIRED_COLUMNS, read_metadata
from benchmark.datasets.mimic_tree import MimicTree
from benchmark.places import cache_folder
from benchmark.records import Problem, UserError

NOT_KEPT = "cache not written"
"""kind of a problem that is none of the data"""
Listed = TypeVar("Listed", bound="tuple[Any, ...]")


class UnreadableData(UserError):
    """A file or folder of the data that the system does not let us read."""


class Gathered(NamedTuple):
    """A split, read."""

    entries: list[Entry]
    not_kept: list[Problem]
    """that the cache could not be written to; it costs time at the next start, and nothing else"""


def gather(
    dataset: str,
    split: str,
    stamp: str,
    tasks: Callable[..., Sequence[Task]],
    read: Callable[..., list[Entry]],
    *,
    workers: int,
    shared: tuple[Any, ...],
) -> Gathered:
    """Every listed image of a split. ``stamp`` tells the files from what they were when it was kept; ``tasks`` may be asked for some patients' alone.

    Raises UnreadableData, and what the tasks do.
    """
    from benchmark.engine import cores

    folder = cache_folder() / dataset / f"{split}-{stamp[:32]}-{LAYOUT}"
    how: dict[str, Any] = {"label": f"read {dataset} {split}", "workers": cores(workers), "shared": shared}
    try:
        try:
            entries = gathering.gather(folder, tasks, read, **how)
            gathering.sweep_unused(folder)
            return Gathered(entries, [])
        except gathering.NotKept as error:
            problem = Problem(NOT_KEPT, str(folder), f"{error.strerror}; the files will be read again next time")
            return Gathered(gathering.read_all(tasks(), read, **how), [problem])
    except OSError as error:
        if error.filename is None:  # no file's fault
            raise
        found = f"{error.filename} cannot be read ({error.strerror})"
        raise UnreadableData(f"{dataset}: the files of {split} were to be read, but {found}; check its permissions, and the disk") from error


def tasks(tree: MimicTree, listed: Sequence[Listed], required: Sequence[str] = REQUIRED_COLUMNS) -> list[Task]:
    """The patients of a split in portions, with their rows of the metadata. Raises BadTable."""
    patients = list(by_subject(listed))
    shots = read_metadata(tree.metadata, {subject for subject, _ in patients}, required) if tree.metadata else {}
    return [
        Task(sum(len(images) for _, images in portion), (portion, {subject: shots.get(subject, []) for subject, _ in portion}))
        for portion in portions(patients)
    ]
