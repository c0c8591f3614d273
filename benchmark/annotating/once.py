"""Every distinct report annotated once: in this process, and on this machine.

What a network says of a report is kept in an SQLite file under the hash of the report and of the annotator's signature, a batch at a time, so that a
run that was killed goes on where it stopped. Annotations hold the text: the file is its owner's alone, as that of language models' answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from benchmark.annotating.annotations import Annotation
from benchmark.hookspecs import Annotator
from benchmark.llm.cache import AnswerCache, Kept
from benchmark.places import cache_folder
from benchmark.progress import progress
from benchmark.runs import CannotWrite
from benchmark.screen import say

BATCH = 128
"""reports that are kept together, and lost together if the process is killed"""
TASK = "annotate"


def annotate_once(annotator: Annotator, reports: Sequence[str]) -> Iterator[tuple[str, Annotation]]:
    """(report, annotation) of each of the reports, which are distinct; those that were kept first, then the longest."""
    if not getattr(annotator, "is_kept", True):
        # One after the other where the annotator can: all annotations of ten models are gigabytes.
        yield from zip(reports, getattr(annotator, "each", annotator.annotate)(reports), strict=True)
        return
    signature = annotator.signature()
    cache: AnswerCache | None = AnswerCache(cache_folder() / "annotations" / "annotations.sqlite")
    keys = {report: key_of(signature, report) for report in reports}
    kept: dict[str, Kept] = {}
    try:
        kept = cache.get_many(keys.values()) if cache else {}
    except CannotWrite as error:
        _say_unkept(error)
        cache = None
    missing = []
    for report in reports:
        if answer := kept.pop(keys[report], None):
            yield report, json.loads(answer.text)
        else:
            missing.append(report)
    if not missing:
        return
    # Neighbours in length share a batch, the longest first: filling costs as much as words, and what does not fit into memory is known at once.
    missing.sort(key=len, reverse=True)
    with progress(f"annotate by {signature.partition('|')[0]}", len(reports), done=len(reports) - len(missing), unit="reports") as advance:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            found = annotator.annotate(batch)
            try:
                if cache:
                    cache.put_many((keys[report], _kept(annotation, signature)) for report, annotation in zip(batch, found, strict=True))
            except CannotWrite as error:
                _say_unkept(error)
                cache = None
            yield from zip(batch, found, strict=True)
            advance(len(batch))
    if cache:
        cache.close()


def kept_annotations(annotator: Annotator, reports: Sequence[str]) -> Iterator[tuple[str, Annotation]]:
    """(report, annotation) of those of the reports, which are distinct, that are known without asking a network."""
    if not getattr(annotator, "is_kept", True):
        yield from zip(reports, annotator.annotate(reports), strict=True)
        return
    signature = annotator.signature()
    keys = {report: key_of(signature, report) for report in reports}
    try:
        kept = AnswerCache(cache_folder() / "annotations" / "annotations.sqlite").get_many(keys.values())
    except CannotWrite:
        return
    yield from ((report, json.loads(kept[key].text)) for report, key in keys.items() if key in kept)


def key_of(signature: str, report: str) -> str:
    """Hex digest of everything that decides an annotation."""
    return hashlib.sha256(f"{len(signature)}:{signature}:{report}".encode("utf-8", "surrogatepass")).hexdigest()


def _kept(annotation: Annotation, signature: str) -> Kept:
    return Kept(json.dumps(annotation, ensure_ascii=False, separators=(",", ":")), "", 0, 0, None, TASK, signature)


def _say_unkept(error: CannotWrite) -> None:
    """Annotations cost time and no money: without a place to keep them they are made all the same."""
    say(f"annotations are not kept, and another run will make them again: {error}", err=True)
