"""The registered dataset ``chest_imagenome``: MIMIC-CXR-JPG with the regions, boxes and phrases of Chest ImaGenome.

Chest ImaGenome: Wu et al., NeurIPS Datasets and Benchmarks 2021, https://physionet.org/content/chest-imagenome/1.0.0/.
MIMIC-CXR-JPG: Johnson et al., 2019, https://physionet.org/content/mimic-cxr-jpg/.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.datasets import imagenome_account, mimic_splits
from benchmark.datasets import imagenome_index as index
from benchmark.datasets.account import Account
from benchmark.datasets.entries import BAD_ROW, Entry, problems_of
from benchmark.datasets.gathering import Task
from benchmark.datasets.imagenome_index import Listed
from benchmark.datasets.mimic_cases import UNITS, Unit, case_id, case_of, check_settings, check_workers, one_per_study, root_of, stop_at_faults
from benchmark.datasets.mimic_metadata import WITHOUT_WITH_BOXES, missing_metadata
from benchmark.datasets.mimic_tree import MimicTree, locate
from benchmark.datasets.split import SPLITS, ShareErrors, check_disjoint, check_split, share_errors, stratify
from benchmark.datasets.stores import Store
from benchmark.records import Case, Problem, Reference
from benchmark.vocabulary import LESIONS, PAPER_REGIONS, REGIONS


class ChestImaGenome:
    """Frontal radiographs of MIMIC-CXR-JPG whose report has a FINDINGS section, with a box of at least one of the paper's regions.

    The folder is named as argument, ``chest_imagenome:/data/physionet``; see ``mimic_tree`` for what it may look like. Cases come in the order
    subject, study, dicom id. What cannot be used is left out and listed in ``problems()``. The first reading of a split takes its time and is kept in
    the cache folder.

    split_rule   "official": Chest ImaGenome's files, which fit the paper's counts. "stratified": patients shared out anew, as its prose says
    boxes        "truth": cases carry the true boxes; "none": a model has to find them
    unit         "image": a case per frontal image, as in the paper. "study": the study's first image (PA before AP), with the study's id
    required     "any": one box of the paper's 11 regions will do. "all": images of validate and test need all 29 (spec D1, to meet the counts)
    strict       stop at the first fault of the files instead of stepping over it; what the stated rules leave out is no fault
    workers      processes for the first reading, 0 = one per core
    """

    name = "chest_imagenome"

    def __init__(
        self,
        argument: str = "",
        *,
        root: Path | None = None,
        split_rule: Literal["official", "stratified"] = "official",
        boxes: Literal["none", "truth"] = "none",
        unit: Unit = "image",
        required: Literal["any", "all"] = "any",
        strict: bool = False,
        split_seed: int = 42,
        workers: int = 0,
        is_credentialed: bool = True,
        note: str = "",
    ) -> None:
        self.root = root_of(self.name, argument, root, "MIMIC-CXR-JPG and Chest ImaGenome")
        rules, any_or_all = ("official", "stratified"), ("any", "all")
        settings = {"split_rule": (split_rule, rules), "boxes": (boxes, ("none", "truth")), "unit": (unit, UNITS), "required": (required, any_or_all)}
        check_settings(self.name, settings)
        check_workers(self.name, workers)
        self.split_rule, self.boxes, self.unit, self.required = split_rule, boxes, unit, required
        self.strict, self.split_seed, self.workers = strict, split_seed, workers
        self.is_credentialed = is_credentialed
        self.note = note
        self.errors = ShareErrors(math.nan, math.nan)  # of the stratified split, once it is made
        self._tree: MimicTree | None = None
        self._lists: dict[str, list[Listed]] = {}
        self._stamps: dict[str, str] = {}
        self._official: dict[str, list[Entry]] = {}
        self._kept: dict[str, list[Entry]] = {}
        self._not_kept: list[Problem] = []

    def cases(self, split: str) -> list[Case]:
        """All usable images (or studies) of a split, in the order subject, study, dicom id."""
        images = self.tree.images
        return [case_of(entry, images, self.unit, with_boxes=self.boxes == "truth") for entry in self._entries(split)]

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order: FINDINGS, sentences and boxes by region."""
        return [Reference(case_id(entry, self.unit), entry.findings, entry.sentences, entry.boxes) for entry in self._entries(split)]

    def fingerprint(self, split: str) -> str:
        """Changes when a file of the split changes (see ``imagenome_index.stamp`` for what is noticed), or a setting of this reader."""
        check_split(self.name, split)
        settings = f"{self.split_rule} {self.split_seed} {self.boxes} {self.unit} {self.required}"
        sources = SPLITS if self.split_rule == "stratified" else (split,)
        return hashlib.sha256("\n".join([split, settings, *(self._stamp(source) for source in sources)]).encode()).hexdigest()

    def problems(self) -> list[Problem]:
        """What was wrong with the files of the splits read so far: each image left out, each box dropped or clipped."""
        return [*self._of_no_split(), *(problem for split in SPLITS for problem in problems_of(self._official.get(split, ())))]

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the parts of the tree, and what the official lists of some splits name, used or not."""
        entries = {split: self._read(split) for split in splits}
        problems = {split: problems_of(found) for split, found in entries.items()}
        tested = self._entries("test") if "test" in splits else None
        found = imagenome_account.account(self.tree, entries, {"": self._of_no_split(), **problems}, tested)
        if self.split_rule == "official":
            return found
        note = "The cases are of the stratified split; lists, problems and published counts are of Chest ImaGenome's official one."
        self._entries(splits[0])
        errors = f"{100 * self.errors.images:.1f} points, none of a lesion's or a region's by more than {100 * self.errors.labels:.1f}"
        return replace(
            found,
            listed_as="images listed officially",
            notes=[note, f"Stratified: no split's share of the images is off by more than {errors}.", *found.notes],
        )

    def _of_no_split(self) -> list[Problem]:
        """What was wrong that is not one image's."""
        if self._tree is None:
            return []
        return [*missing_metadata(self._tree, WITHOUT_WITH_BOXES), *self._not_kept]

    @property
    def tree(self) -> MimicTree:
        """Where the parts lie. Raises NoSuchTree."""
        if self._tree is None:
            self._tree = locate(self.root)
        return self._tree

    def _entries(self, split: str) -> list[Entry]:
        """The entries that are cases, after the split rule, the required boxes and the unit."""
        check_split(self.name, split)
        if split not in self._kept:
            if self.split_rule == "stratified":
                self._kept |= self._stratified()
            else:
                self._kept[split] = self._selected([entry for entry in self._read(split) if not entry.left_out], split)
        return self._kept[split]

    def _stratified(self) -> dict[str, list[Entry]]:
        """All usable images, shared out by patient so that lesions and sentences of regions are spread as the images are."""
        everything = [entry for split in SPLITS for entry in self._read(split) if not entry.left_out]
        everything.sort(key=lambda entry: (entry.subject, entry.study, entry.dicom))
        names = [*LESIONS, *PAPER_REGIONS]
        patients = {subject: row for row, subject in enumerate(dict.fromkeys(entry.subject for entry in everything))}
        labels, images = np.zeros((len(patients), len(names)), np.int64), np.zeros(len(patients), np.int64)
        for entry in everything:
            labels[patients[entry.subject], [names.index(name) for name in (*entry.lesions, *entry.sentences) if name in names]] += 1
            images[patients[entry.subject]] += 1
        folds = stratify(labels, images, seed=self.split_seed)
        self.errors = share_errors(folds, labels, images)
        chosen: dict[str, list[Entry]] = {split: [] for split in SPLITS}
        for entry in everything:
            chosen[SPLITS[folds[patients[entry.subject]]]].append(entry)
        check_disjoint({split: {entry.subject for entry in entries} for split, entries in chosen.items()})
        return {split: self._selected(entries, split) for split, entries in chosen.items()}

    def _selected(self, entries: Sequence[Entry], split: str) -> list[Entry]:
        if self.required == "all" and split != "train":
            entries = [entry for entry in entries if len(entry.boxes) == len(REGIONS)]
        return one_per_study(entries) if self.unit == "study" else list(entries)

    def _read(self, split: str) -> list[Entry]:
        """Every listed image of an official split, from the cache if its files are what they were."""
        if split not in self._official:
            # One of each for a worker's whole life: the directory of an archive of 240,000 files takes seconds to read.
            shared = self.tree, Store(self.tree.reports), Store(self.tree.scene_graphs)
            found = mimic_splits.gather(
                self.name, split, self._stamp(split), partial(self._tasks, split), index.read_patients, workers=self.workers, shared=shared
            )
            self._official[split] = found.entries
            self._not_kept += found.not_kept
        if self.strict:
            read = self._official[split]
            stop_at_faults(self.name, [*self._of_no_split(), *problems_of(read)], imagenome_account.no_faults({split: read}))
        return self._official[split]

    def _tasks(self, split: str, patients: Collection[str] | None = None) -> list[Task]:
        """Of all patients of a split, or of some."""
        check_disjoint({name: (one.subject for one in listed if one.reason != BAD_ROW) for name, listed in self._listed().items()})
        listed = [one for one in self._listed()[split] if patients is None or one.subject in patients]
        return mimic_splits.tasks(self.tree, listed)

    def _listed(self) -> dict[str, list[Listed]]:
        if not self._lists:
            self._lists = index.read_lists(self.tree)
        return self._lists

    def _stamp(self, split: str) -> str:
        if split not in self._stamps:
            self._stamps[split] = index.stamp(self.tree, split)
        return self._stamps[split]
