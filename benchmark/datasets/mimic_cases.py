"""From what an index knows of an image to what a model may see of it, for every dataset on MIMIC-CXR-JPG."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from benchmark.datasets.entries import Entry
from benchmark.datasets.mimic_metadata import view_rank
from benchmark.records import Case, ImageFile, Problem, UserError

Unit = Literal["image", "study"]
"""image: a case per image. study: one image stands for its study, and the case has the study's id"""
UNITS = get_args(Unit)


class NoRoot(UserError):
    """The dataset was named without saying where it lies."""


class StoppedAtProblem(UserError):
    """Under ``strict``: the first fault of the files."""


def root_of(dataset: str, argument: str, root: Path | None, holds: str) -> Path:
    """The folder that was named, behind a colon or as an option. Raises NoRoot."""
    if not argument and root is None:
        raise NoRoot(f"{dataset}: no folder given; name the one that holds {holds}: {dataset}:/path/to/it")
    return Path(argument) if argument else Path(root or "")


def check_settings(dataset: str, settings: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Nothing, if each setting (name -> value, what is allowed) is one of those. Raises UserError."""
    for setting, (value, allowed) in settings.items():
        if value not in allowed:
            raise UserError(f"{dataset}: {setting} was to be {value!r}; it can be {' or '.join(allowed)}")


def check_workers(dataset: str, workers: int) -> None:
    """Nothing, if it is a number of processes. Raises UserError."""
    if workers < 0:
        raise UserError(f"{dataset}: workers was to be {workers}; give a number of processes, or 0 for one per core")


def case_id(entry: Entry, unit: Unit) -> str:
    """The dicom id, or the study's number with its s."""
    return f"s{entry.study}" if unit == "study" else entry.dicom


def case_of(entry: Entry, images: Path, unit: Unit, *, with_boxes: bool = False) -> Case:
    """The case; ``images`` is the folder that the entry's paths are below."""
    return Case(
        id=case_id(entry, unit),
        patient=entry.subject,
        study=entry.study,
        images=(
            ImageFile(images / entry.image, entry.view, entry.dicom),
            *(ImageFile(images / path, view, dicom) for path, view, dicom in entry.others),
        ),
        indication=entry.indication,
        technique=entry.technique,
        comparison=entry.comparison,
        prior_report=entry.prior_report,
        prior_image=images / entry.prior_image if entry.prior_image else None,
        boxes=entry.boxes if with_boxes else None,
    )


def one_per_study(entries: Sequence[Entry]) -> list[Entry]:
    """The first image of each study, in the order of the studies: PA before AP before all others."""
    first: dict[str, Entry] = {}
    for entry in entries:
        known = first.get(entry.study)
        if known is None or view_rank(entry.view) < view_rank(known.view):
            first[entry.study] = entry
    return list(first.values())


def stop_at_faults(dataset: str, problems: Sequence[Problem], by_rule: Collection[str]) -> None:
    """Raise StoppedAtProblem if there is a problem that is no rule at work."""
    faults = [problem for problem in problems if problem.kind not in by_rule]
    if faults:
        first = f"{faults[0].kind}: {faults[0].where}" + (f" ({faults[0].what})" if faults[0].what else "")
        count = sum(problem.count for problem in faults)
        many, them = ("1 fault", "it") if count == 1 else (f"{count:,} faults", "them")
        raise StoppedAtProblem(f"{dataset} was to be read strictly, and found {many}, first {first}; mend {them} or leave strict off")
