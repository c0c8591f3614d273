"""What is known about one listed image of a MIMIC-CXR dataset, used or not: the row that an index keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from benchmark.records import BoxXYXY, Problem

# Kinds of problems that keep an image out, whatever the dataset.
BAD_ROW, DUPLICATE, NO_FINDINGS = "unusable row", "duplicate image id", "no findings"
NO_IMAGE, BAD_IMAGE = "missing image", "unreadable image"
NO_REPORT, BAD_REPORT = "missing report", "unreadable report"
NO_GRAPH, BAD_GRAPH = "missing scene graph", "unreadable scene graph"
NOT_IN_METADATA = "not in the metadata"
"""nobody knows the image's view, time and size; where a dataset needs none of them it stays"""
OTHER_VIEW = "other view"
BAD_CONTEXT_IMAGE = "unreadable context image"
"""another view or a prior image; it is left out of the case, which stays"""
BAD_CELL = "unreadable metadata cell"
"""a size, date or time; an image without its size is left out where boxes were drawn on it"""

OF_A_FILE = frozenset((BAD_IMAGE, BAD_REPORT, BAD_GRAPH, BAD_CONTEXT_IMAGE))
"""kinds that may be mended, or may have been a moment's, without a trace in names and sizes: what is kept of such a patient is looked at again"""
TOGETHER = frozenset((OTHER_VIEW, BAD_CELL))
"""kinds that can be of every image: one line for all of which the same is to be said"""


@dataclass(slots=True)
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

    @property
    def blames_a_file(self) -> bool:
        """Whether it was a file's fault that something is missing here, or from another image of the patient."""
        return any(kind in OF_A_FILE for kind, _, _ in self.problems)


def problems_of(entries: Iterable[Entry]) -> list[Problem]:
    """All that was found wrong, in the order of the entries; of some kinds one line stands for many."""
    found: list[Problem] = []
    alike: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        for kind, where, what in entry.problems:
            if kind in TOGETHER:
                place_and_count = alike.setdefault((kind, what), [len(found), 0])
                place_and_count[1] += 1
                if place_and_count[1] > 1:
                    continue
            found.append(Problem(kind, where, what))
    for place, count in alike.values():
        if count > 1:
            found[place] = replace(found[place], where=f"{found[place].where} and {count - 1:,} more", count=count)
    return found
