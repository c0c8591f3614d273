"""What a copy of MIMIC-CXR-JPG and Chest ImaGenome consists of, and its counts beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.datasets import imagenome_index as index
from benchmark.datasets.account import Account, Beside, Part
from benchmark.datasets.columns import read_rows
from benchmark.datasets.entries import NO_GRAPH, Entry
from benchmark.datasets.mimic_index import in_train
from benchmark.datasets.mimic_splits import NOT_KEPT
from benchmark.datasets.mimic_tree import MimicTree, groups_in, patients_in, version_in
from benchmark.datasets.split import PAPER_IMAGES, SPLITS
from benchmark.records import Problem
from benchmark.vocabulary import REGIONS

LISTED = (166_521, 23_953, 47_393)  # rows of Chest ImaGenome 1.0.0's train.csv, valid.csv, test.csv
NO_GRAPHS = (17, 2, 4)  # RGRG (Tanida et al., CVPR 2023), src/dataset/constants.py: 23 listed images without a scene graph
TO_AVOID = 3_821  # rows of Chest ImaGenome 1.0.0's images_to_avoid.csv
LEAKED = 39_243
"""of the 47,393 test images at least so many are in MIMIC-CXR's train split, whose validate and test hold 2,991 + 5,159 images together"""
PAPER, IMAGENOME = "CLALA-Net, Sect. 4.1", "Chest ImaGenome 1.0.0"
GROUPS = tuple(f"p{number}" for number in range(10, 20))


def account(
    tree: MimicTree, entries: Mapping[str, Sequence[Entry]], problems: Mapping[str, Sequence[Problem]], tested: Sequence[Entry] | None
) -> Account:
    """The account of some official splits: what their lists name, used or not. ``tested``: the cases of the test split, None if nobody asks."""
    besides, notes = _leak(tree, entries, tested)
    return Account(
        parts=parts_of(tree),
        listed={split: len(found) for split, found in entries.items()},
        besides=[*_counts(entries), *_avoided(tree), *besides],
        problems=problems,
        by_rule=no_faults(entries),
        notes=notes,
    )


def no_faults(entries: Mapping[str, Sequence[Entry]]) -> frozenset[str]:
    """Kinds of problems that are no fault of this copy's files: the dataset's rules, a full cache, and scene graphs that all copies lack."""
    return index.BY_RULE | {NOT_KEPT} | ({NO_GRAPH} if lacks_what_all_lack(entries) else frozenset())


def lacks_what_all_lack(entries: Mapping[str, Sequence[Entry]]) -> bool:
    """Whether the missing scene graphs are the 23 that are missing from the published archive, and so no fault of this copy."""
    lists = [(SPLITS.index(split), ones) for split, ones in entries.items()]
    missing = [sum(entry.left_out == NO_GRAPH for entry in ones) for _, ones in lists]
    return all(len(ones) == LISTED[n] and count <= NO_GRAPHS[n] for (n, ones), count in zip(lists, missing, strict=True))


def parts_of(tree: MimicTree) -> list[Part]:
    """Every part that the dataset can have, with its version where a name tells it."""
    return [
        *radiographs(tree),
        *reports(tree),
        *(Part("scene graphs", place, _said("Chest ImaGenome", _version(tree, place)) + _kind(place)) for place in tree.scene_graphs),
        *(Part(f"list of {split}", tree.splits[split]) for split in SPLITS if split in tree.splits),
        Part("images to avoid", tree.avoid, "" if tree.avoid else "none is left out for it"),
        Part("gold standard", tree.gold, "its images are kept out of the splits" if tree.gold else "its images cannot be kept out of the splits"),
        Part("metadata", tree.metadata, "" if tree.metadata else "no views, priors or times; boxes are taken for the size of the files"),
        Part("MIMIC-CXR's own split", tree.mimic_split, "" if tree.mimic_split else "nobody can say which test images other models were trained on"),
    ]


def radiographs(tree: MimicTree) -> list[Part]:
    """The folder of images, and how much of the whole is in it; then the folders that are there too and are not read."""
    groups = groups_in(tree.images)
    lacking = [group for group in GROUPS if group not in groups]
    absent = f", not {', '.join(lacking)} (a part of the archive, or half unpacked)" if lacking else ""
    what = f"{_said('MIMIC-CXR-JPG', _jpg_version(tree))}{_patients(tree.images)}{absent}"
    others = [Part("other radiographs", place, f"passed over, nothing of it is read; {_patients(place)}") for place in tree.passed_over]
    return [Part("radiographs", tree.images, what, is_whole=not lacking), *others]


def reports(tree: MimicTree) -> list[Part]:
    """Folders and archives of reports."""
    return [Part("reports", place, _kind(place)) for place in tree.reports]


def _counts(entries: Mapping[str, Sequence[Entry]]) -> list[Beside]:
    """Images listed, images used by either reading of the paper (spec D1), and missing scene graphs, by split."""
    found = []
    for split, ones in entries.items():
        number = SPLITS.index(split)
        used = [entry for entry in ones if not entry.left_out]
        chosen = len(used) if split == "train" else sum(len(entry.boxes) == len(REGIONS) for entry in used)
        found += [
            Beside("images listed", split, len(ones), LISTED[number], IMAGENOME),
            Beside("images used, required=any: a box of one of the 11 regions", split, len(used), PAPER_IMAGES[number], PAPER),
            Beside("images used, required=all: all 29 boxes in validate and test", split, chosen, PAPER_IMAGES[number], PAPER),
            Beside("scene graphs missing", split, sum(entry.left_out == NO_GRAPH for entry in ones), NO_GRAPHS[number], "RGRG"),
        ]
    order = list(dict.fromkeys(one.what for one in found))
    return sorted(found, key=lambda one: order.index(one.what))


def _avoided(tree: MimicTree) -> list[Beside]:
    return [Beside("images to avoid", "", sum(1 for _ in read_rows(tree.avoid, ["dicom_id"])), TO_AVOID, IMAGENOME)] if tree.avoid else []


def _leak(tree: MimicTree, entries: Mapping[str, Sequence[Entry]], tested: Sequence[Entry] | None) -> tuple[list[Beside], list[str]]:
    """How many test images lie in the split that most published models were trained on: of the official list, and of the cases that a run tests."""
    if tree.mimic_split is None or tested is None:
        return [], []
    train = in_train(tree.mimic_split)
    listed = sum(entry.dicom in train for entry in entries["test"])
    seen = sum(entry.dicom in train for entry in tested)
    note = (
        f"Of the {len(tested):,} cases of the test split, {seen:,} are in MIMIC-CXR's official train split, which RaDialog, LLaVA-Rad, MAIRA-2, "
        "CvT2DistilGPT2 and R2Gen were trained on: they may have seen them, with their reports."
    )
    return [Beside("test images in MIMIC-CXR's train split", "test", listed, LEAKED, "from the sizes of both splits", is_at_least=True)], [note]


def _patients(images: Path) -> str:
    """How many patients' folders there are, and in which groups."""
    groups = groups_in(images)
    return f"{patients_in(images):,} patients in {'p10 to p19' if tuple(groups) == GROUPS else ', '.join(groups)}"


def _jpg_version(tree: MimicTree) -> str:
    """The images' before the tables'. 2.1.0 kept the names of 2.0.0's tables, and added one of its own; else the folders' names tell it."""
    for place in filter(None, (tree.images, tree.metadata, tree.mimic_split)):
        if next(place.parent.glob("mimic-cxr-2.1.0-*"), None):
            return "2.1.0"
        if version := _version(tree, place.parent) or _version(tree, place):
            return version
    return ""


def _version(tree: MimicTree, place: Path) -> str:
    """The version in the lowest name of a path below the root that has one."""
    inside = place.relative_to(tree.root).parts if place.is_relative_to(tree.root) else place.parts
    return next(filter(None, (version_in(name) for name in reversed((tree.root.name, *inside)))), "")


def _said(name: str, version: str) -> str:
    return f"{name} {version}, " if version else ""


def _kind(place: Path) -> str:
    return "a folder" if place.is_dir() else "an archive, read in place"
