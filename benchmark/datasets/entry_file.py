"""The entries of one split as a Parquet file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.datasets.entries import Entry
from benchmark.vocabulary import REGIONS

if TYPE_CHECKING:
    import pyarrow as pa

NESTED = ("problems", "others", "sentences", "boxes", "lesions")
"""columns that are kept as JSON text"""


def save(entries: Sequence[Entry], path: Path) -> None:
    """Write the entries as one Parquet file; another process sees the old file or the whole new one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f.name: pa.array([_cell(f.name, getattr(entry, f.name)) for entry in entries], pa.string()) for f in fields(Entry)}
    # Report text under a data use agreement: for this user's eyes.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(pa.table(columns), part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> list[Entry] | None:
    """The entries in a file that ``save`` wrote; None if it is not there or damaged, and then they have to be read anew."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f.name for f in fields(Entry)]
    try:
        table: pa.Table = pq.ParquetFile(path).read(columns=names)
    except (OSError, pa.ArrowException):
        return None
    if table.column_names != names:
        return None
    columns = [table.column(name).to_pylist() for name in names]
    empty = {"[]": list, "{}": dict}
    columns = [
        [empty[text]() if text in empty else json.loads(text) for text in column] if name in NESTED else column
        for name, column in zip(names, columns, strict=True)
    ]
    entries = [Entry(*row) for row in zip(*columns, strict=True)]
    name_of = {region: region for region in REGIONS}  # one string per region, not one per region and image
    for entry in entries:
        entry.boxes = {name_of[region]: (box[0], box[1], box[2], box[3]) for region, box in entry.boxes.items()}
        entry.sentences = {name_of[region]: sentence for region, sentence in entry.sentences.items()}
    return entries


def _cell(name: str, value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if name in NESTED else value
