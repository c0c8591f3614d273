"""The registered dataset ``mimic_cxr``: MIMIC-CXR-JPG with its reports, without Chest ImaGenome.

MIMIC-CXR: Johnson et al., Scientific Data 2019, https://physionet.org/content/mimic-cxr/. MIMIC-CXR-JPG: Johnson et al., 2019,
https://physionet.org/content/mimic-cxr-jpg/. R2Gen's split: Chen et al., EMNLP 2020, https://github.com/cuhksz-nlp/R2Gen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from benchmark.datasets import mimic_index as index
from benchmark.datasets import mimic_splits
from benchmark.datasets.account import Account
from benchmark.datasets.entries import BAD_ROW, Entry, problems_of
from benchmark.datasets.gathering import Task
from benchmark.datasets.mimic_cases import UNITS, Unit, case_id, case_of, check_settings, check_workers, one_per_study, root_of, stop_at_faults
from benchmark.datasets.mimic_metadata import REQUIRED_COLUMNS, VIEW, WITHOUT, missing_metadata, view_counts
from benchmark.datasets.mimic_tree import MimicTree, locate
from benchmark.datasets.split import SPLITS, check_disjoint, check_split
from benchmark.datasets.stores import Store
from benchmark.records import Case, Problem, Reference, UserError

SplitRule = Literal["official", "r2gen"]
NEEDS = {"official": ("images", "reports", "metadata", "mimic_split"), "r2gen": ("images",)}
FRONTAL, USUAL_VIEWS = "PA,AP", ("PA", "AP", "LATERAL", "LL")
# Stands under every table where the references are not the FINDINGS that most numbers are measured against.
NOTES = {
    "findings": "",
    "impression": "References are the IMPRESSION of MIMIC-CXR's reports.",
    "findings+impression": "References are FINDINGS and IMPRESSION of MIMIC-CXR's reports, or the one of them that there is.",
}
R2GEN_NOTE = "References are the texts of R2Gen's annotation.json, and its split."


class UnknownView(UserError):
    """A view that the metadata have of no image."""


class AmbiguousAnnotation(UserError):
    """Several files of which each may be R2Gen's split."""


class MimicCXR:
    """Frontal radiographs of MIMIC-CXR-JPG with a section of their report as reference; there are no true boxes, models have to find theirs.

    The folder is named as argument, ``mimic_cxr:/data/physionet``; see ``mimic_tree`` for what it may look like. Cases come in the order subject,
    study, dicom id. What cannot be used is left out and listed in ``problems()``. The first reading of a split takes its time and is kept in the
    cache folder.

    split_rule   "official": MIMIC-CXR-JPG's own split. "r2gen": R2Gen's annotation.json decides which images there are, of any view, in which split
                 they are and which text is the reference; target and views say nothing then. Report files are for the context alone there
    annotation   where that file is, if it is not below the folder, or not the only one there
    target       the section that is the reference. "findings+impression": both, one after the other, or the one that the report has
    views        ViewPosition of the images that are cases, as the metadata have it, in any order
    unit         "image": a case per image. "study": the study's first image (PA before AP), with the study's id
    strict       stop at the first fault of the files instead of stepping over it; what the stated rules leave out is no fault
    workers      processes for the first reading, 0 = one per core
    """

    name = "mimic_cxr"

    def __init__(
        self,
        argument: str = "",
        *,
        root: Path | None = None,
        split_rule: SplitRule = "official",
        annotation: Path | None = None,
        target: index.Target = "findings",
        views: str = FRONTAL,
        unit: Unit = "image",
        strict: bool = False,
        workers: int = 0,
        is_credentialed: bool = True,
        note: str = "",
    ) -> None:
        self.root = root_of(self.name, argument, root, "MIMIC-CXR-JPG and its reports")
        rules, targets = get_args(SplitRule), get_args(index.Target)
        check_settings(self.name, {"split_rule": (split_rule, rules), "target": (target, targets), "unit": (unit, UNITS)})
        check_workers(self.name, workers)
        if annotation is not None and split_rule == "official":
            hint = "add --set mimic_cxr.split_rule=r2gen, or leave annotation away"
            raise UserError(f"mimic_cxr: annotation was to be {annotation}, but split_rule is official, which does not read it; {hint}")
        wanted = tuple(sorted({view.strip().upper() for view in views.split(",")} - {""}))
        if not wanted:
            raise UserError(f"mimic_cxr: views was to be {views!r}, which names none; give those of the metadata: {FRONTAL} or PA,AP,LATERAL,LL")
        self.split_rule, self.annotation, self.unit, self.strict, self.workers = split_rule, annotation, unit, strict, workers
        self.asked = index.Asked(target, wanted if split_rule == "official" else ())
        self.is_credentialed = is_credentialed
        self.note = note or (R2GEN_NOTE if split_rule == "r2gen" else NOTES[target])
        self._tree: MimicTree | None = None
        self._lists: dict[str, list[index.Listed]] = {}
        self._who: index.Patients | None = None
        self._stamps: dict[str, str] = {}
        self._read: dict[str, list[Entry]] = {}
        self._not_kept: list[Problem] = []

    def cases(self, split: str) -> list[Case]:
        """All usable images (or studies) of a split, in the order subject, study, dicom id."""
        return [case_of(entry, self.tree.images, self.unit) for entry in self._entries(split)]

    def references(self, split: str) -> list[Reference]:
        """One reference per case, in the same order: the target, without anything by region."""
        return [Reference(case_id(entry, self.unit), entry.findings) for entry in self._entries(split)]

    def fingerprint(self, split: str) -> str:
        """Changes when a file of the split changes (see ``imagenome_index.stamp`` for what is noticed), or a setting of this reader."""
        return hashlib.sha256(f"{split} {self.split_rule} {self.unit} {self._stamp(split)}".encode()).hexdigest()

    def problems(self) -> list[Problem]:
        """What was wrong with the files of the splits read so far: each image left out, and why."""
        return [*self._of_no_split(), *(problem for split in SPLITS for problem in problems_of(self._read.get(split, ())))]

    def account(self, splits: Sequence[str]) -> Account:
        """For ``data check``: the parts of the tree, and what the lists of some splits name, used or not."""
        from benchmark.datasets import mimic_account

        entries = {split: self._all(split) for split in splits}
        problems = {split: problems_of(found) for split, found in entries.items()}
        return mimic_account.account(self.tree, self._list_file(), self.split_rule, entries, {"": self._of_no_split(), **problems})

    @property
    def tree(self) -> MimicTree:
        """Where the parts lie. Raises NoSuchTree."""
        if self._tree is None:
            needs = (*NEEDS[self.split_rule], *(("annotations",) if self.split_rule == "r2gen" and self.annotation is None else ()))
            self._tree = locate(self.root, dataset=self.name, needs=needs)
        return self._tree

    def _entries(self, split: str) -> list[Entry]:
        """The entries that are cases, after the unit."""
        usable = [entry for entry in self._all(split) if not entry.left_out]
        return one_per_study(usable) if self.unit == "study" else usable

    def _all(self, split: str) -> list[Entry]:
        """Every listed image of a split, from the cache if its files are what they were."""
        if split not in self._read:
            # One store for a worker's whole life: the directory of an archive of 227,835 files takes seconds to read.
            shared = self.tree, Store(self.tree.reports), self.asked
            found = mimic_splits.gather(
                self.name, split, self._stamp(split), partial(self._tasks, split), index.read_patients, workers=self.workers, shared=shared
            )
            self._read[split] = found.entries
            self._not_kept += found.not_kept
        if self.strict:
            stop_at_faults(self.name, [*self._of_no_split(), *problems_of(self._read[split])], index.BY_RULE | {mimic_splits.NOT_KEPT})
        return self._read[split]

    def _tasks(self, split: str, patients: Collection[str] | None = None) -> list[Task]:
        """Of all patients of a split, or of some."""
        check_disjoint({name: filter(str.isdigit, subjects) for name, subjects in self._patients().of.items()})
        listed = [one for one in self._listed()[split] if patients is None or one.subject in patients]
        return mimic_splits.tasks(self.tree, listed, (*REQUIRED_COLUMNS, *((VIEW,) if self.asked.views else ())))

    def _of_no_split(self) -> list[Problem]:
        """What was wrong that is not one image's."""
        if self._tree is None:
            return []
        found = [Problem(BAD_ROW, where, "without a split, or one that is not known") for where in self._patients().unplaced]
        found += missing_metadata(self._tree, WITHOUT)
        if not self._tree.reports:
            found.append(Problem("missing reports", str(self.root), "there is no context; references are R2Gen's"))
        return found + self._not_kept

    def _listed(self) -> dict[str, list[index.Listed]]:
        if not self._lists:
            read = index.read_r2gen if self.split_rule == "r2gen" else index.read_official
            self._lists = read(self._list_file())
        return self._lists

    def _patients(self) -> index.Patients:
        if self._who is None:
            if self.split_rule == "official":
                self._who = index.read_patients_of(self._list_file())
            else:
                self._who = index.Patients({split: {one.subject for one in listed} for split, listed in self._listed().items()}, [])
        return self._who

    def _list_file(self) -> Path:
        """The table that says which image is in which split. Raises NoSuchTree, AmbiguousAnnotation."""
        if self.split_rule == "official":
            assert self.tree.mimic_split is not None  # the tree was asked for it
            return self.tree.mimic_split
        if self.annotation is not None:
            return self.annotation.expanduser()
        if len(self.tree.annotations) > 1:
            found = ", ".join(map(str, self.tree.annotations))
            raise AmbiguousAnnotation(f"mimic_cxr: split_rule r2gen needs one annotation.json, found {found}; give --set mimic_cxr.annotation=PATH")
        return self.tree.annotations[0]

    def _check_views(self) -> None:
        """Nothing, if there are such views. Raises UnknownView."""
        # The usual ones are in every copy, or are missing from a small one: reading a table of 377,110 rows for them would cost a second.
        if not (unusual := [view for view in self.asked.views if view not in USUAL_VIEWS]):
            return
        assert self.tree.metadata is not None  # the tree was asked for it
        counts = view_counts(self.tree.metadata)
        if unknown := [view for view in unusual if view not in counts]:
            there = ", ".join(f"{view} ({count:,})" for view, count in counts.most_common() if view)
            raise UnknownView(f"mimic_cxr: views was to name {unknown[0]!r}, which no image is; {self.tree.metadata.name} has {there}")

    def _stamp(self, split: str) -> str:
        check_split(self.name, split)
        if split not in self._stamps:
            self._check_views()
            self._stamps[split] = index.stamp(self.tree, self._patients().of[split], self.asked, self._list_file())
        return self._stamps[split]
