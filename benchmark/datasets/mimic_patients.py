"""One patient of MIMIC-CXR-JPG: images with their views, reports, and which study came before which."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from benchmark.datasets import mimic_reports
from benchmark.datasets.encodings import decode
from benchmark.datasets.entries import BAD_CELL, BAD_CONTEXT_IMAGE, BAD_IMAGE, BAD_REPORT, NO_IMAGE, NO_REPORT, Entry
from benchmark.datasets.images import UnreadableImage, image_size_px
from benchmark.datasets.mimic_metadata import FRONTAL_FIRST, WITHOUT_CELL, Shot, view_rank
from benchmark.datasets.mimic_tree import MimicTree, OnDisk, report_files
from benchmark.datasets.stores import Store, UnreadableMember
from benchmark.datasets.truncation import CUT_OFF, is_cut_off

UNKNOWN = (math.nan, math.nan)
"""of a study without a date"""


class Look(NamedTuple):
    """What a look at an image's file showed."""

    size_px: tuple[int, int]
    """width and height; nothing of a file that is none"""
    fault: str
    """empty if it can be read to its end"""


class Patient:
    """One patient's files; each report and each image is looked at once, however many images and priors point at it."""

    def __init__(self, tree: MimicTree, reports: Store, subject: str, shots: Sequence[Shot]) -> None:
        self.tree, self.reports, self.subject = tree, reports, subject
        self.on_disk = tree.studies_of(subject)
        self.shots = {shot.dicom: shot for shot in shots}
        self._texts: dict[str, tuple[str | None, str]] = {}
        self._sections: dict[str, dict[str, str]] = {}
        self._looks: dict[str, Look] = {}
        self._told: set[str] = set()
        whens: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for shot in shots:
            whens[shot.study].append(shot.when)
        self.when = {study: _begin(times) for study, times in whens.items()}

    def view(self, dicom: str) -> str:
        """What the metadata says; empty where it says nothing."""
        return self.shots[dicom].view if dicom in self.shots else ""

    def is_known(self, dicom: str) -> bool:
        """Whether the metadata have the image; there may be none, and then nobody is missing from them."""
        return self.tree.metadata is None or dicom in self.shots

    def faults(self, dicom: str, columns: Collection[str]) -> list[tuple[str, str]]:
        """(where, what) of an image's cells in these columns of the metadata that are no size, date or time."""
        found = self.shots[dicom].faults if dicom in self.shots else ()
        return [(f"{dicom}: {cell!r}", WITHOUT_CELL[column]) for column, cell in found if column in columns]

    def tell_of_metadata(self, entry: Entry, columns: Collection[str]) -> None:
        """Note with one of the patient's entries what is wrong in these columns of the metadata, of all the patient's images."""
        entry.problems += [(BAD_CELL, *fault) for dicom in self.shots for fault in self.faults(dicom, columns)]

    def image(self, entry: Entry) -> OnDisk | None:
        """The entry's file; if there is none the entry is left out."""
        image = self.on_disk.get(entry.study, {}).get(entry.dicom)
        if image is None:
            entry.leave_out(NO_IMAGE, f"p{entry.subject}/s{entry.study}/{entry.dicom}")
        return image

    def size_px(self, entry: Entry, image: OnDisk) -> tuple[int, int] | None:
        """Width and height of the entry's file; if it cannot be read, or was cut off, the entry is left out."""
        look = self._look(image)
        if look.fault:
            self._told.add(image.relative)
            entry.leave_out(BAD_IMAGE, image.relative, look.fault)
            return None
        return look.size_px

    def sections(self, entry: Entry) -> dict[str, str] | None:
        """The sections of the entry's report; if it is not there or cannot be read the entry is left out."""
        text, fault = self._text(entry.study)
        if text is None:
            entry.leave_out(BAD_REPORT if fault else NO_REPORT, f"p{entry.subject}/s{entry.study}.txt", fault)
            return None
        return self._parts(entry.study, text)

    def add_context(self, entry: Entry, image: OnDisk) -> None:
        """Fill in what a model may see beside the image: sections of its report, the study's other images, the study before."""
        entry.image = image.relative
        text, fault = self._text(entry.study)
        if text is None and self.tree.reports:
            entry.problems.append((BAD_REPORT if fault else NO_REPORT, f"p{entry.subject}/s{entry.study}.txt", fault or "the case has no context"))
        if text is not None:
            parts = self._parts(entry.study, text)
            entry.indication = mimic_reports.indication(parts)
            entry.technique, entry.comparison = (mimic_reports.beginning(parts.get(name, "")) for name in ("technique", "comparison"))
        others = sorted(self.on_disk.get(entry.study, {}).items(), key=lambda one: (view_rank(self.view(one[0])), one[0]))
        # A mask or a picture of a heat map that somebody laid beside an image is no view of the patient.
        entry.others = [
            (other.relative, self.view(dicom), dicom)
            for dicom, other in others
            if other.relative != image.relative and self.is_known(dicom) and self._is_whole(entry, other)
        ]
        self._add_prior(entry)

    def _add_prior(self, entry: Entry) -> None:
        """Report and frontal image of the last study that was before this one for certain, where there is one.

        A study of the same date and time is none: its report may be about this very image. Where a date is missing nothing is before anything;
        where a time is, only what was on another day.
        """
        now = self.when.get(entry.study, UNKNOWN)
        earlier = [study for study, when in self.when.items() if _is_before(when, now)]
        if not earlier:
            return
        before = max(earlier, key=lambda study: (self.when[study][0], -math.inf if math.isnan(self.when[study][1]) else self.when[study][1], study))
        text, fault = self._text(before)
        where = f"p{entry.subject}/s{before}.txt"
        if fault and where not in self._told:
            self._told.add(where)
            entry.problems.append((BAD_REPORT, where, fault))
        entry.prior_report = mimic_reports.narrative(text, f"s{before}") if text is not None else ""
        frontal = [(view_rank(self.view(dicom)), dicom) for dicom in self.on_disk.get(before, {}) if self.view(dicom) in FRONTAL_FIRST]
        for _, dicom in sorted(frontal):
            image = self.on_disk[before][dicom]
            if self._is_whole(entry, image):
                entry.prior_image = image.relative
                return

    def _text(self, study: str) -> tuple[str | None, str]:
        """The report, or None and what is wrong with the file (nothing: it is not there)."""
        if study not in self._texts:
            try:
                contents = (self.reports.read(name) for name in report_files(self.subject, study))
                content = next((found for found in contents if found is not None), None)
            except UnreadableMember as error:
                self._texts[study] = (None, str(error))
            else:
                text = None if content is None else decode(content)
                fault = mimic_reports.fault_of(text) if text is not None else ""
                self._texts[study] = (None if fault else text, fault)
        return self._texts[study]

    def _parts(self, study: str, text: str) -> dict[str, str]:
        if study not in self._sections:
            self._sections[study] = mimic_reports.sections(text)
        return self._sections[study]

    def _is_whole(self, entry: Entry, image: OnDisk) -> bool:
        """Whether an image can go beside an entry's own; the first entry that misses it says so."""
        fault = self._look(image).fault
        if fault and image.relative not in self._told:
            self._told.add(image.relative)
            entry.problems.append((BAD_CONTEXT_IMAGE, image.relative, fault))
        return not fault

    def _look(self, image: OnDisk) -> Look:
        """The beginning and the end of an image's file, looked at once."""
        if image.relative not in self._looks:
            path = f"{self.tree.images}/{image.relative}"
            try:
                size = image_size_px(path)
                self._looks[image.relative] = Look(size, CUT_OFF if is_cut_off(path) else "")
            except UnreadableImage as error:
                # Where the tree lies is no property of its data: what is kept holds for a copy too.
                self._looks[image.relative] = Look((0, 0), str(error).replace(f"{self.tree.images}/", ""))
            except OSError as error:
                self._looks[image.relative] = Look((0, 0), f"the file cannot be read ({error.strerror or error}); fetch it again")
        return self._looks[image.relative]


def _begin(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Date and time of a study's first image; a part that is missing for any image that could be the first is not known."""
    dates = [date for date, _ in times]
    if any(math.isnan(date) for date in dates):
        return UNKNOWN
    clocks = [clock for date, clock in times if date == min(dates)]
    return min(dates), math.nan if any(math.isnan(clock) for clock in clocks) else min(clocks)


def _is_before(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Strictly; nothing that is unknown is before or after anything."""
    return one[0] < other[0] or (one[0] == other[0] and one[1] < other[1])
