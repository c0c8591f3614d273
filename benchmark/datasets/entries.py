"""What is known about one listed image of a MIMIC-CXR dataset, used or not: the row that an index keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmark.records import BoxXYXY, Problem

# Kinds of problems that keep an image out, whatever the dataset.
BAD_ROW, DUPLICATE, NO_FINDINGS = "unusable row", "duplicate image id", "no findings"
NO_IMAGE, BAD_IMAGE = "missing image", "unreadable image"
NO_REPORT, BAD_REPORT = "missing report", "unreadable report"
BAD_CONTEXT_IMAGE = "unreadable context image"
"""another view or a prior image; it is left out of the case, which stays"""


@dataclass
class Entry:
    """Everything that is known about one listed image."""

    subject: str
    study: str
    dicom: str
    view: str = ""
    left_out: str = ""
    """kind of the problem that keeps it out, empty if it is a case"""
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    """kind, where, what"""
    image: str = ""
    """path below the folder of images"""
    others: list[tuple[str, str, str]] = field(default_factory=list)
    """path, view and id of the study's other images on disk"""
    findings: str = ""
    """the text that predictions are measured against: FINDINGS, unless the dataset was asked for another"""
    indication: str = ""
    technique: str = ""
    comparison: str = ""
    prior_report: str = ""
    prior_image: str = ""
    sentences: dict[str, str] = field(default_factory=dict)
    boxes: Mapping[str, BoxXYXY] = field(default_factory=dict)
    lesions: list[str] = field(default_factory=list)
    """silver labels, for the stratified split"""

    def leave_out(self, kind: str, where: str, what: str = "") -> Entry:
        """The entry, with the reason why it is no case."""
        self.left_out = kind
        self.problems.append((kind, where, what))
        return self


def problems_of(entries: Iterable[Entry]) -> list[Problem]:
    """All that was found wrong, in the order of the entries."""
    return [Problem(kind, where, what) for entry in entries for kind, where, what in entry.problems]
