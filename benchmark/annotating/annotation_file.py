"""Annotations that already exist, from a file: of the package ``radgraph``, or of any program that writes its form.

Read are a JSON object (or JSON lines) of
- what ``RadGraph()(reports)`` returns, ``{"0": {"text": ..., "entities": ...}, ...}``: found by the words of ``text``, blanks between tokens aside;
- the same with the report itself as the key: ``{"No effusion.": {"entities": ...}, ...}``;
- one annotation a line, with the report beside it: ``{"report": "No effusion.", "text": ..., "entities": ...}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from benchmark.annotating.annotations import Annotation, fault_of
from benchmark.records import UserError


class UnreadableAnnotations(UserError):
    """A file of annotations that cannot be read as one; the message names the place."""


class NotAnnotated(UserError):
    """A report that the file says nothing of."""


class AnnotationFile:
    """Looks annotations up."""

    is_kept = False
    """they are in a file already"""

    def __init__(self, argument: str) -> None:
        """``argument`` is the file's path. Raises ``UnreadableAnnotations``."""
        self.path = Path(argument).expanduser()
        try:
            data = self.path.read_bytes()
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise UnreadableAnnotations(f"{self.path}: cannot be read ({error.strerror}); name a file: --set radgraph.annotator=file:PATH") from None
        except UnicodeDecodeError as error:
            raise UnreadableAnnotations(f"{self.path}: not UTF-8 ({error.reason}); annotations are JSON in UTF-8") from None
        self._sha256 = hashlib.sha256(data).hexdigest()
        self._by_report: dict[str, Annotation] = {}
        self._by_letters: dict[str, Annotation] = {}
        for place, key, annotation in _annotations(self.path, text):
            if fault := fault_of(annotation):
                raise UnreadableAnnotations(f"{self.path}, {place}: {fault}; an annotation is written as the package radgraph writes it")
            self._take(place, key, annotation)
        if not self._by_report and not self._by_letters:
            raise UnreadableAnnotations(f"{self.path}: no annotations in it; write what the package radgraph returns, as JSON")

    def annotate(self, reports: Sequence[str]) -> list[Annotation]:
        """The annotation of each report, in order; of an empty one none is needed. Raises ``NotAnnotated``."""
        found = [self._find(report) for report in reports]
        if missing := [report for report, annotation in zip(reports, found, strict=True) if annotation is None]:
            known = len(self._by_report) + len(self._by_letters)
            raise NotAnnotated(
                f"{self.path}: has {known:,} annotations, and none of {len(missing):,} of {len(reports):,} reports, the first of which begins "
                f"{missing[0][:60]!r}; annotate those too, references and reports of every model, or take another annotator"
            )
        return [annotation for annotation in found if annotation is not None]

    def signature(self) -> str:
        """The file by its checksum: whose annotations they are, it does not say."""
        return f"file|sha256:{self._sha256[:12]}|v1"

    def _take(self, place: str, key: str | None, annotation: Annotation) -> None:
        report = cast(Mapping[str, Any], annotation).get("report", key)
        where, name = (self._by_letters, _letters(annotation["text"])) if report is None else (self._by_report, report)
        if where.setdefault(name, annotation)["entities"] != annotation["entities"]:
            raise UnreadableAnnotations(
                f"{self.path}, {place}: annotates the report that begins {name[:60]!r} otherwise than a place before it; leave one of the two"
            )

    def _find(self, report: str) -> Annotation | None:
        if not report.strip():
            return {"text": "", "entities": {}}
        return self._by_report.get(report) or self._by_letters.get(_letters(report))


def _annotations(path: Path, text: str) -> Iterator[tuple[str, str | None, Any]]:
    """(where it stands, the report where that is the key, annotation)."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, Mapping) and "entities" not in whole:
        for key, annotation in whole.items():
            is_index = key.isdigit() and isinstance(annotation, Mapping) and isinstance(annotation.get("text"), str)
            yield f"key {key[:40]!r}", None if is_index else key, annotation
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                annotation = json.loads(line)
            except ValueError as error:
                raise UnreadableAnnotations(f"{path}, line {number}: not JSON ({error}); write one object, or one object a line") from None
            if not isinstance(annotation, Mapping) or not any(isinstance(annotation.get(name), str) for name in ("report", "text")):
                raise UnreadableAnnotations(
                    f"{path}, line {number}: says of no report what it annotates; an annotation that stands alone in its line has its report beside "
                    'it, {"report": ..., "entities": ...}, or the text of its tokens'
                )
            yield f"line {number}", None, annotation


def _letters(text: str) -> str:
    """A text without its blanks: what the annotator's tokens and the report have in common."""
    return "".join(text.split())
