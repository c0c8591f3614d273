"""Reports in a file -> lesions in a file: ``python -m benchmark label``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.labelling.choose import labeller_named
from benchmark.progress import progress
from benchmark.report_files import read_reports
from benchmark.runs import json_line, write_atomically, writing

BATCH = 500  # reports labelled between two steps of the progress bar


@dataclass(frozen=True)
class Labelled:
    """What ``label_file`` did."""

    out: Path
    reports: int
    empty: int
    """reports without text; labelled as saying nothing"""
    positives: dict[str, int]
    """lesion -> reports that affirm it"""
    signature: str
    warnings: tuple[str, ...] = ()


def label_file(
    reports: Path,
    out: Path,
    labeller: str = "rules",
    options: Mapping[str, str] | None = None,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
) -> Labelled:
    """Write one JSON line per report: ``{"id": ..., "lesions": [14 x {name, status, side, certainty, rationale}]}``. Raises ``UserError``."""
    read = read_reports(reports, id_column=id_column, text_column=text_column)
    chosen = labeller_named(labeller, options)
    ids, texts = list(read.texts), list(read.texts.values())
    lines: list[str] = []
    positives: Counter[str] = Counter()
    with progress("label", len(texts), unit="reports") as advance:
        for start in range(0, len(texts), BATCH):
            labels = chosen.label(texts[start : start + BATCH])
            for name, lesions in zip(ids[start : start + BATCH], labels, strict=True):
                lines.append(json_line({"id": name, "lesions": [asdict(lesion) for lesion in lesions]}))
                positives.update(lesion.name for lesion in lesions if lesion.status == "positive")
            advance(len(labels))
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, "".join(lines))
    return Labelled(out, len(texts), len(read.empty), dict(positives), chosen.signature(), read.warnings)
