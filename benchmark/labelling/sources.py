"""Where the labels of a dataset's cases come from, by name. Of labellers by text there are others: see ``choose``.

truth       what the dataset itself knows: what was drawn, or what experts said
file:PATH   a file as ``label_file`` describes it, looked up by the case's id: labels that were made elsewhere
rules       and every other labeller by name: what it reads in the reference report
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.hookspecs import Labeller
from benchmark.labelling.choose import known_labellers, labeller_named
from benchmark.labelling.label_file import read_labels
from benchmark.progress import progress
from benchmark.records import Case, Lesions, Reference, UserError

BATCH = 500  # reports labelled between two steps of the progress bar


class MissingLabels(UserError):
    """A source that does not know some of the cases; the message has their number, the first of them, and the other sources."""


class LabelSource(Protocol):
    """Knows the lesions of cases."""

    def lesions(self, cases: Sequence[Case], references: Sequence[Reference]) -> list[Lesions]:
        """14 lesions for each case, in order. Raises ``MissingLabels`` if there is one without."""

    def signature(self) -> str:
        """Which source, so that two of the same signature say the same."""


def known_sources() -> tuple[str, ...]:
    """What a source may be called."""
    return ("truth", "file:PATH", *known_labellers())


def label_source(name: str, options: Mapping[str, str] | None = None, available: Mapping[str, Any] | None = None) -> LabelSource:
    """The source of that name; ``options`` and ``available`` are a labeller's, see ``choose``.

    Raises ``UserError`` listing the known ones, ``UnreadableLabels``.
    """
    kind, colon, path = name.partition(":")
    if kind == "file" and path:
        return FromFile(Path(path).expanduser())
    if not colon and kind == "truth":
        return FromDataset()
    if name in known_labellers():
        return FromReports(labeller_named(name, options, available))
    raise UserError(f"no labels named {name!r}; known: {', '.join(known_sources())}")


def short_name(name: str) -> str:
    """A source as tables name it: a file by its name, without the folder."""
    kind, _, path = name.partition(":")
    return f"file:{Path(path).name}" if kind == "file" and path else name


class FromDataset:
    """``truth``: the labels that come with the dataset."""

    def lesions(self, cases: Sequence[Case], references: Sequence[Reference]) -> list[Lesions]:
        """As the references have them."""
        found = [reference.lesions or () for reference in references]
        _check(cases, found, "truth: the dataset states no lesions")
        return found

    def signature(self) -> str:
        """Whose labels they are; which, the dataset's fingerprint says."""
        return "truth|of the dataset"


class FromFile:
    """``file:PATH``: looked up by the case's id or, where not one case's id is in the file, by its study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.labels = read_labels(path)

    def lesions(self, cases: Sequence[Case], references: Sequence[Reference]) -> list[Lesions]:
        """As the file has them; two images of one study may share a line."""
        known = self.labels.lesions
        by_id = any(case.id in known for case in cases)
        found = [known.get(case.id if by_id else case.study, ()) for case in cases]
        _check(cases, found, f"{self.path.name} has no labels")
        return found

    def signature(self) -> str:
        """The file by its content."""
        return f"file|sha256:{self.labels.sha256[:16]}"


class FromReports:
    """A labeller's name: what it reads in the reference reports."""

    def __init__(self, labeller: Labeller) -> None:
        self.labeller = labeller

    def lesions(self, cases: Sequence[Case], references: Sequence[Reference]) -> list[Lesions]:
        """As the labeller reads them; a case without a report has none."""
        found = label_texts(self.labeller, [reference.report for reference in references])
        said: list[Lesions] = [lesions if reference.report.strip() else () for lesions, reference in zip(found, references, strict=True)]
        _check(cases, said, f"{self.labeller.signature().partition('|')[0]}: no reference report, or no answer of the labeller,")
        return said

    def signature(self) -> str:
        """The labeller's own."""
        return self.labeller.signature()


def label_texts(labeller: Labeller, texts: Sequence[str]) -> list[Lesions]:
    """What the labeller says of each text, in order, with a progress bar.

    One that asks a language model shows its own, and gets all texts at once: cut into pieces, batches of a day each would follow one another.
    """
    if getattr(labeller, "asks", False):
        return labeller.label(texts)
    found: list[Lesions] = []
    with progress("label", len(texts), unit="reports") as advance:
        for start in range(0, len(texts), BATCH):
            labels = labeller.label(texts[start : start + BATCH])
            found += labels
            advance(len(labels))
    return found


def _check(cases: Sequence[Case], found: Sequence[Lesions], what: str) -> None:
    without = [case.id for case, lesions in zip(cases, found, strict=True) if not lesions]
    if without:
        raise MissingLabels(
            f"{what} for {len(without)} of {len(cases)} cases, the first {without[0]!r}; "
            f"name another source of labels ({', '.join(known_sources())}), or give it those too"
        )
