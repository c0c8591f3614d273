"""Finds MIMIC-CXR-JPG, the MIMIC-CXR reports and Chest ImaGenome below a folder, in whatever arrangement people keep them.

files/p10/p10000032/s50414267/<dicom_id>.jpg       radiographs; reports as files/p10/p10000032/s50414267.txt beside them,
mimic-cxr-reports/ or mimic-cxr-reports.zip        or below a folder, or in an archive, of their own
mimic-cxr-2.0.0-{metadata,split}.csv(.gz)          of MIMIC-CXR-JPG 2.0.0 and 2.1.0 alike; either, or both side by side
annotation.json                                    R2Gen's, if it is there
chest-imagenome-dataset-1.0.0/silver_dataset/      also chest-imagenome/1.0.0/silver_dataset/; scene_graph/, scene_graph/scene_graph/ or
                                                   scene_graph.zip in it, and splits/{train,valid,test,images_to_avoid}.csv
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets.images import IMAGE_SUFFIXES
from benchmark.records import UserError

IMAGENOME_PARTS = frozenset(("images", "reports", "scene_graphs", "splits"))
"""what Chest ImaGenome cannot be read without"""
SPLIT_FILES = {"train": "train.csv", "validate": "valid.csv", "test": "test.csv"}
METADATA_FILE = "mimic-cxr-2.0.0-metadata.csv.gz"
"""in 2.1.0 too"""
DEEPEST = 6
"""levels below the root: physionet.org/files/mimic-cxr-jpg/2.1.0/files is the fifth"""
MOST_FOLDERS = 20_000
"""folders looked into before we say that this is no data folder"""
_GROUP = re.compile(r"p\d\d")
_PATIENT = re.compile(r"p\d{8}")
_VERSION = re.compile(r"(?<![\d.])(\d+\.\d+\.\d+)(?![\d.])")


class NoSuchTree(UserError):
    """The root does not hold what the dataset consists of."""


class OnDisk(NamedTuple):
    """One radiograph that is there."""

    relative: str
    """path below the folder of images"""


@dataclass(frozen=True)
class MimicTree:
    """Where the parts of the dataset lie."""

    root: Path
    """as given"""
    images: Path
    """the folder that holds p10 ... p19 with radiographs"""
    reports: tuple[Path, ...]
    """folders that hold p10 ... p19 with texts, and archives of them"""
    scene_graphs: tuple[Path, ...]
    """folders that hold <dicom>_SceneGraph.json, and archives of them"""
    splits: Mapping[str, Path]
    """train | validate | test -> Chest ImaGenome's list of its images"""
    avoid: Path | None = None
    """images_to_avoid.csv"""
    gold: Path | None = None
    """list of the 1,000 images of the gold standard, which no split may contain"""
    metadata: Path | None = None
    """view, size and time of every image"""
    mimic_split: Path | None = None
    """MIMIC-CXR-JPG's own split; beside Chest ImaGenome's for counting what other models have seen"""
    annotations: tuple[Path, ...] = ()
    """files that are called annotation.json, as R2Gen's is"""
    passed_over: tuple[Path, ...] = ()
    """other folders of radiographs, of which nothing is read"""

    def studies_of(self, subject: str) -> dict[str, dict[str, OnDisk]]:
        """study -> dicom id -> radiograph, of what lies in the patient's folder (nothing where there is none).

        Of an image in several formats the JPG is taken. Links that lead nowhere and hidden files (macOS leaves ._ files on foreign disks) are none.
        """
        found: dict[str, dict[str, OnDisk]] = {}
        folder = patient_folder(subject)
        for study in scan(f"{self.images}/{folder}"):  # text, not Path: a listing of all patients spends its time on making paths
            if study.name.startswith("s") and is_folder(study):
                shown = found[study.name[1:]] = {}
                for entry in sorted(scan(study.path), key=lambda entry: entry.name):
                    if not entry.name.lower().endswith(IMAGE_SUFFIXES) or entry.name.startswith(".") or size_of(entry) is None:
                        continue
                    dicom = entry.name.rpartition(".")[0]
                    if dicom not in shown or entry.name.lower().endswith(".jpg"):
                        shown[dicom] = OnDisk(f"{folder}/{study.name}/{entry.name}")
        return found


def patient_folder(subject: str) -> str:
    """p10/p10000032 for 10000032."""
    return f"p{subject[:2]}/p{subject}"


def report_files(subject: str, study: str) -> tuple[str, str]:
    """Where a report can lie below a folder of reports; some disks and archives write all their names in capitals."""
    place = f"{patient_folder(subject)}/s{study}"
    return f"{place}.txt", f"{place}.TXT"


def locate(root: Path, *, dataset: str = "chest_imagenome", needs: Collection[str] = IMAGENOME_PARTS) -> MimicTree:
    """The parts of the dataset below ``root``. Raises NoSuchTree naming what is there and what is missing of what it ``needs`` (fields of the tree).

    Of several folders of radiographs one with JPGs is taken (people keep the DICOM files beside them), then the one with more patients, then the one
    beside a table of metadata, then the newest version. Of several copies of a table the one beside what it is about is taken, then the newest.
    """
    root = root.expanduser()
    if fault := _fault_of_root(root):
        raise NoSuchTree(f"{dataset}: the root {root} {fault}; name the folder that holds MIMIC-CXR-JPG")
    seen = _Seen()
    _walk(root, seen, dataset)
    images = [folder for folder in seen.patients if _suffixes(folder)]
    if len(images) > 1:
        beside = {table.parent for table in seen.metadata}
        images.sort(key=lambda folder: (".jpg" in _suffixes(folder), patients_in(folder), folder.parent in beside, *_newness(folder)), reverse=True)
    tables = _silver(seen)
    found = {
        "images": images,
        "reports": seen.reports,
        "scene_graphs": seen.scene_graphs,
        "splits": len(tables) == len(SPLIT_FILES),
        "metadata": seen.metadata,
        "mimic_split": seen.mimic_split,
        "annotations": seen.annotations,
    }
    if missing := [what for part, what in _PARTS.items() if part in needs and not found[part]]:
        there = [what.split(" (")[0].removeprefix("the ") for part, what in _PARTS.items() if part in needs and found[part]]
        raise NoSuchTree(
            f"{dataset}: below {root} found {', '.join(there) or 'none of its parts'}, but not {'; nor '.join(missing)}; "
            "name the folder that holds them all (symbolic links to them will do), or finish unpacking"
        )
    return MimicTree(
        root=root,
        images=images[0],
        reports=tuple(seen.reports),
        scene_graphs=tuple(seen.scene_graphs),
        splits=tables,
        avoid=_beside(seen.avoid, tables),
        gold=next(iter(seen.gold), None),
        metadata=_beside(seen.metadata, {"images": images[0]}),
        mimic_split=_beside(seen.mimic_split, {"images": images[0]}),
        annotations=tuple(seen.annotations),
        passed_over=tuple(images[1:]),
    )


def _fault_of_root(root: Path) -> str:
    """What is wrong with the folder that was named, or nothing."""
    try:
        with os.scandir(root):
            return ""
    except FileNotFoundError:
        return "is not there"
    except NotADirectoryError:
        return "is no folder"
    except OSError as error:
        return f"cannot be entered ({error.strerror or error})"


@dataclass
class _Seen:
    """What a walk came by."""

    patients: list[Path] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    scene_graphs: list[Path] = field(default_factory=list)
    splits: list[Path] = field(default_factory=list)
    avoid: list[Path] = field(default_factory=list)
    gold: list[Path] = field(default_factory=list)
    metadata: list[Path] = field(default_factory=list)
    mimic_split: list[Path] = field(default_factory=list)
    annotations: list[Path] = field(default_factory=list)
    real: set[tuple[str, str]] = field(default_factory=set)
    """part and place, links resolved, of what was noted or entered: reached over a link too, it is the same thing"""

    def is_new(self, part: str, place: Path | str) -> bool:
        """Whether nothing was noted for it yet, by whatever name."""
        key = part, os.path.realpath(place)
        if key in self.real:
            return False
        self.real.add(key)
        return True


_PARTS = {
    "images": "the radiographs (files/p10/p10000032/s50414267/<dicom_id>.jpg)",
    "reports": "the reports (s50414267.txt beside the radiographs, mimic-cxr-reports/ or mimic-cxr-reports.zip)",
    "scene_graphs": "the scene graphs (silver_dataset/scene_graph/ or scene_graph.zip)",
    "splits": "the split files (silver_dataset/splits/train.csv, valid.csv, test.csv)",
    "metadata": f"the metadata ({METADATA_FILE})",
    "mimic_split": "the split (mimic-cxr-2.0.0-split.csv.gz)",
    "annotations": "R2Gen's split (annotation.json; where it lies elsewhere --set mimic_cxr.annotation=PATH)",
}
_TABLES = (
    ("avoid", re.compile(r"images_to_avoid\.csv(\.gz)?")),
    ("splits", re.compile(r"(train|valid|test)\.csv(\.gz)?")),
    ("gold", re.compile(r"gold_bbox_scaling_factors_original_to_224x224\.csv")),
    ("metadata", re.compile(r"mimic-cxr-.*metadata\.csv(\.gz)?")),
    ("mimic_split", re.compile(r"mimic-cxr-.*split\.csv(\.gz)?")),
    ("reports", re.compile(r"mimic-cxr-reports.*\.zip")),
    ("scene_graphs", re.compile(r"scene_graph.*\.zip")),
    ("annotations", re.compile(r".*annotation.*\.json")),
)


def _walk(root: Path, seen: _Seen, dataset: str) -> None:
    """Every folder once, level by level; folders of patients and of scene graphs are noted and not entered."""
    level, looked_into = [root], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            if not seen.is_new("folder", folder):
                continue
            looked_into += 1
            if looked_into > MOST_FOLDERS:
                raise NoSuchTree(f"{dataset}: {root} holds more than {MOST_FOLDERS:,} folders besides patients; name the data's own folder")
            folders = [Path(entry.path) for entry in _sorted(folder, seen) if is_folder(entry) and not entry.name.startswith(".")]
            if any(_GROUP.fullmatch(child.name) for child in folders):
                seen.patients.append(folder)
                if _holds_reports(folder):
                    seen.reports.append(folder)
            for child in folders:
                if child.name == "scene_graph":
                    seen.scene_graphs += [place for place in _scene_graph_folders(child) if seen.is_new("scene_graphs", place)]
                elif not _GROUP.fullmatch(child.name):
                    below.append(child)
        level = sorted(below, key=Path.is_symlink)  # a folder is called by its own name where it has one
    # Folders are tried before archives, wherever they lie.
    seen.reports.sort(key=lambda place: place.is_file())
    seen.scene_graphs.sort(key=lambda place: place.is_file())


def _sorted(folder: Path, seen: _Seen) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder by name; the tables and archives among them are noted on the way."""
    for entry in sorted(scan(folder), key=lambda entry: entry.name):
        for part, pattern in _TABLES:
            if pattern.fullmatch(entry.name) and _is_file(entry) and seen.is_new(part, entry.path):
                getattr(seen, part).append(Path(entry.path))
        yield entry


def _scene_graph_folders(folder: Path) -> list[Path]:
    """The folder itself, or the one of the same name in it (some unpack it so)."""
    nested = folder / "scene_graph"
    return [place for place in (folder, nested) if any(entry.name.endswith("_SceneGraph.json") for entry in scan(place))]


def _silver(seen: _Seen) -> dict[str, Path]:
    """split -> its file, all from the folder that has most of them (other projects call their files train.csv too)."""
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in seen.splits:
        name = next(split for split, file in SPLIT_FILES.items() if path.name.startswith(file.removesuffix(".csv")))
        by_folder.setdefault(path.parent, {}).setdefault(name, path)
    ranked = sorted(by_folder, key=lambda folder: (folder.parent.name != "silver_dataset", -len(by_folder[folder]), str(folder)))
    return {split: by_folder[ranked[0]][split] for split in SPLIT_FILES if split in by_folder[ranked[0]]} if ranked else {}


def _beside(found: list[Path], anchors: Mapping[str, Path]) -> Path | None:
    """Of several files one that lies beside an anchor, then the newest."""
    parents = {anchor.parent for anchor in anchors.values()}
    return max(found, key=lambda path: (path.parent in parents, *_newness(path)), default=None)


def version_in(name: str) -> str:
    """2.1.0 of mimic-cxr-jpg-2.1.0; empty where a name has none."""
    return found[1] if (found := _VERSION.search(name)) else ""


def _newness(path: Path) -> tuple[list[int], str]:
    """Sorts newer versions behind older ones; by the lowest name of the path that has a version, since 2.1.0 kept the names of 2.0.0's tables."""
    version = next(filter(None, (version_in(folder.name) for folder in path.parents)), "")
    return [int(number) for number in version.split(".")] if version else [], str(path)


def patients_in(folder: Path) -> int:
    """Folders of patients below a folder of radiographs; names alone are looked at, there are 65,379 of them."""
    return sum(bool(_PATIENT.fullmatch(entry.name)) for group in groups_in(folder) for entry in scan(f"{folder}/{group}"))


def groups_in(folder: Path) -> list[str]:
    """Those of p10 ... p19 that are in a folder of radiographs, in order."""
    return sorted(entry.name for entry in scan(folder) if _GROUP.fullmatch(entry.name) and is_folder(entry))


def _suffixes(folder: Path) -> set[str]:
    """Of the images of the first patient who has any."""
    for patient in _first_patients(folder):
        found = {Path(image.name).suffix.lower() for study in scan(patient) if is_folder(study) for image in scan(study.path)}
        if found := found & set(IMAGE_SUFFIXES):
            return found
    return set()


def _holds_reports(folder: Path) -> bool:
    return any(entry.name.lower().endswith(".txt") for patient in _first_patients(folder) for entry in scan(patient))


def _first_patients(folder: Path, at_most: int = 50) -> list[Path]:
    """Some patient folders to look into: a few of each group, since half an archive may leave the first ones empty."""
    found: list[Path] = []
    for group in scan(folder):
        if _GROUP.fullmatch(group.name) and is_folder(group):
            patients = (Path(entry.path) for entry in scan(group.path) if _PATIENT.fullmatch(entry.name))
            found += islice(patients, at_most)
    return found


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder that can be reached; a link to itself, or into what belongs to somebody else, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """The same of a file."""
    try:
        return entry.is_file()
    except OSError:
        return False


def size_of(entry: os.DirEntry[str]) -> int | None:
    """Bytes; None of a link that leads nowhere."""
    try:
        return entry.stat().st_size
    except OSError:
        return None


def scan(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder, none if it is not there or may not be entered."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
