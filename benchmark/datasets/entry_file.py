"""The entries of one split in a folder of Parquet files, written by as many processes as there are, opened in a second or two.

Typed columns, so that opening is no parsing: nested ones are lists of structs, boxes stay numbers until somebody asks for one.
"""

from __future__ import annotations

import gc
import itertools
import os
import re
import time
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from benchmark.datasets.entries import Entry
from benchmark.engine import each
from benchmark.progress import progress
from benchmark.records import BoxXYXY
from benchmark.vocabulary import REGIONS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TEXTS = tuple(f.name for f in fields(Entry) if f.type == "str")
"""columns of one text each"""
STRUCTS = {
    "problems": ("kind", "where", "what"),
    "others": ("path", "view", "dicom"),
    "sentences": ("region", "sentence"),
    "boxes": ("region", "left", "top", "right", "bottom"),
    "lesions": ("lesion",),
}
"""columns of a list each -> the parts of what is in the list"""
CORNERS = STRUCTS["boxes"][1:]
IMAGES_PER_PART = 2_000
"""what one worker reads and writes at a time, and what a killed reading loses per worker"""
ATTEMPTS = 3
"""at a part that is damaged as soon as it is written"""
WORTH_A_POOL = 5_000
"""images from which on several processes read; below, starting them costs more than it saves"""
ABANDONED_S = 24 * 3600
"""age from which on a file that was never finished is nobody's any more"""
_PART = re.compile(r"\d+-of-\d+-by-\d+\.parquet")
Patient = TypeVar("Patient", bound="tuple[str, Sequence[Any]]")
"""with the images that are listed of it"""


class Task(NamedTuple):
    """What one part is made from."""

    images: int
    """that it will have, for the progress bar"""
    arguments: tuple[Any, ...]
    """of the function that reads"""


class Boxes(Mapping[str, BoxXYXY]):
    """Region -> box of one image. The numbers stay in the array of the file: as tuples, those of 166,521 images would fill a gigabyte."""

    __slots__ = ("_corners", "_regions", "_start")

    def __init__(self, regions: tuple[str, ...], corners: np.ndarray[Any, np.dtype[np.float64]], start: int) -> None:
        """``corners`` (n, 4) of many images; those of this one begin at ``start``."""
        self._regions, self._corners, self._start = regions, corners, start

    def __getitem__(self, region: str) -> BoxXYXY:
        try:
            row = self._start + self._regions.index(region)
        except ValueError:
            raise KeyError(region) from None
        left, top, right, bottom = self._corners[row].tolist()
        return left, top, right, bottom

    def __iter__(self) -> Iterator[str]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)

    def items(self) -> ItemsView[str, BoxXYXY]:
        """All at once, which is faster than one by one."""
        corners = self._corners[self._start : self._start + len(self._regions)].tolist()
        return {region: (box[0], box[1], box[2], box[3]) for region, box in zip(self._regions, corners, strict=True)}.items()

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items()),)  # not with the boxes of all the other images


def gather(
    folder: Path, tasks: Callable[[], Sequence[Task]], read: Callable[..., list[Entry]], *, label: str, workers: int, shared: tuple[Any, ...] = ()
) -> list[Entry]:
    """The entries in a folder; what is not there yet is read by ``read(*arguments, *shared)`` and kept, a part per task, in their order.

    The tasks must follow from the folder's name, and are asked for only if something is missing. A reading that was killed goes on where it was; a
    damaged part is made again. Workers write what they read: however many images there are, none of them waits in memory. Raises OSError if the
    folder cannot be written to.
    """
    for _ in range(ATTEMPTS):
        if (entries := load_parts(folder)) is not None:
            return entries
        todo = tasks()
        if not todo:
            return []
        # Report text under a data use agreement: for this user's eyes.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = [folder / f"{number:05d}-of-{len(todo):05d}-by-{IMAGES_PER_PART}.parquet" for number in range(len(todo))]
        missing = [(path, task) for path, task in zip(paths, todo, strict=True) if not path.exists()]
        for other in folder.glob("*.parquet"):
            if other not in paths:  # cut otherwise, by another version
                other.unlink(missing_ok=True)
        total = sum(task.images for task in todo)
        done = total - sum(task.images for _, task in missing)
        jobs = [(read, path, task.arguments) for path, task in missing]
        with progress(label, total, done=done, unit="images") as advance:
            for index, _ in each(_make_part, jobs, workers=workers if total - done >= WORTH_A_POOL else 1, shared=shared):
                advance(missing[index][1].images)
        _sweep(folder)
    raise OSError(f"what was written to {folder} could not be read again; is the disk in order?")


def read_all(tasks: Sequence[Task], read: Callable[..., list[Entry]], *, label: str, workers: int, shared: tuple[Any, ...] = ()) -> list[Entry]:
    """The entries without keeping them, for where nothing can be written."""
    total = sum(task.images for task in tasks)
    parts: dict[int, list[Entry]] = {}
    with progress(label, total, unit="images") as advance:
        for index, entries in each(read, [task.arguments for task in tasks], workers=workers if total >= WORTH_A_POOL else 1, shared=shared):
            parts[index] = entries
            advance(tasks[index].images)
    return [entry for index in range(len(tasks)) for entry in parts[index]]


def portions(patients: Iterable[Patient]) -> Iterator[list[Patient]]:
    """Patients by as many as have about IMAGES_PER_PART listed images together."""
    portion: list[Patient] = []
    images = 0
    for patient in patients:
        portion.append(patient)
        images += len(patient[1])
        if images >= IMAGES_PER_PART:
            yield portion
            portion, images = [], 0
    if portion:
        yield portion


def load_parts(folder: Path) -> list[Entry] | None:
    """The entries of all parts in order; None if any is missing or damaged. A damaged one is removed."""
    try:
        found = sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name))
    except OSError:
        return None
    if not found or len(found) != int(found[0].name.split("-")[2]):
        return None
    entries: list[Entry] = []
    for path in found:
        part = load(path)
        if part is None:
            path.unlink(missing_ok=True)
            return None
        entries += part
    return entries


def save(entries: Sequence[Entry], path: Path) -> None:
    """Write the entries as one Parquet file; another process sees the old file or the whole new one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {name: _strings([getattr(entry, name) for entry in entries]) for name in TEXTS}
    for name, parts in STRUCTS.items():
        columns[name] = _lists([_rows(name, getattr(entry, name)) for entry in entries], parts)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(pa.table(columns), part, compression="zstd", write_page_checksum=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> list[Entry] | None:
    """The entries in a file that ``save`` wrote; None if it is not there or damaged, and then they have to be read anew."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table: pa.Table = file.read()
    except (OSError, pa.ArrowException):
        return None
    if set(table.column_names) != {f.name for f in fields(Entry)}:
        return None
    with _without_collections():
        columns = {name: _texts(table.column(name)) for name in TEXTS}
        for name, parts in STRUCTS.items():
            starts, values = _flat(table.column(name), parts)
            columns[name] = list(_OF_ROWS[name](starts, values))
        return [Entry(*row) for row in zip(*(columns[f.name] for f in fields(Entry)), strict=True)]


def _make_part(read: Callable[..., list[Entry]], path: Path, arguments: tuple[Any, ...], *shared: Any) -> None:
    """In a worker: what it read stays out of the parent's memory."""
    save(read(*arguments, *shared), path)


def _sweep(folder: Path) -> None:
    """Remove what killed readings left behind."""
    for old in folder.glob(".*.part"):
        try:
            if time.time() - old.stat().st_mtime > ABANDONED_S:
                old.unlink()
        except FileNotFoundError:
            continue


@contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing made here is garbage; looking for some, again and again, takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _rows(name: str, value: Any) -> Sequence[tuple[Any, ...]]:
    """One cell as rows of its struct's parts."""
    if name == "boxes":
        return [(region, *box) for region, box in value.items()]
    if name == "sentences":
        return list(value.items())
    return [(lesion,) for lesion in value] if name == "lesions" else value


def _lists(cells: Sequence[Sequence[tuple[Any, ...]]], parts: Sequence[str]) -> pa.Array:
    """A list of structs per entry."""
    import numpy as np
    import pyarrow as pa

    starts = np.zeros(len(cells) + 1, np.int32)
    np.cumsum([len(rows) for rows in cells], out=starts[1:])
    flat = [row for rows in cells for row in rows]
    columns = list(zip(*flat, strict=True)) or [()] * len(parts)
    arrays = [pa.array(column, pa.float64()) if name in CORNERS else _strings(column) for name, column in zip(parts, columns, strict=True)]
    return pa.ListArray.from_arrays(pa.array(starts), pa.StructArray.from_arrays(arrays, list(parts)))


def _strings(texts: Sequence[str]) -> pa.Array:
    """Half a character (JSON may hold the one of a pair alone) is kept as a question mark: no file of text can hold it."""
    import pyarrow as pa

    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.string())


def _flat(column: pa.ChunkedArray, parts: Sequence[str]) -> tuple[list[int], list[pa.Array]]:
    """Where each entry's list begins (and the last one ends), and the parts of all structs one after another."""
    lists = column.combine_chunks()
    return lists.offsets.to_pylist(), [lists.values.field(name) for name in parts]


def _texts(column: pa.ChunkedArray | pa.Array) -> list[str]:
    """Cut from the buffer: to_pylist makes a scalar of Arrow for each."""
    import numpy as np

    array = column if not hasattr(column, "chunks") else column.combine_chunks()
    _, starts, content = array.buffers()
    if not len(array) or content is None:
        return [""] * len(array)
    ends = np.frombuffer(starts, np.int32)[array.offset : array.offset + len(array) + 1].tolist()
    data = content.to_pybytes()
    if data.isascii():
        text = data.decode("ascii")
        return [text[start:stop] for start, stop in itertools.pairwise(ends)]
    return [data[start:stop].decode() for start, stop in itertools.pairwise(ends)]


def _tuples(starts: list[int], values: list[pa.Array]) -> Iterator[list[tuple[str, ...]]]:
    rows = list(zip(*map(_texts, values), strict=True))
    return (rows[start:stop] for start, stop in itertools.pairwise(starts))


def _lesions(starts: list[int], values: list[pa.Array]) -> Iterator[list[str]]:
    names = _known(values[0])
    return (names[start:stop] for start, stop in itertools.pairwise(starts))


def _sentences(starts: list[int], values: list[pa.Array]) -> Iterator[dict[str, str]]:
    regions, texts = _known(values[0]), _texts(values[1])
    return (dict(zip(regions[start:stop], texts[start:stop], strict=True)) for start, stop in itertools.pairwise(starts))


def _boxes(starts: list[int], values: list[pa.Array]) -> Iterator[Boxes]:
    import numpy as np

    coded = values[0].dictionary_encode()
    names = [_REGION.get(name, name) for name in coded.dictionary.to_pylist()]
    codes = _numbers(coded.indices, np.int32)
    key_of, width = codes.tobytes(), codes.itemsize
    corners = np.stack([_numbers(value, np.float64) for value in values[1:]], axis=1)
    known: dict[bytes, tuple[str, ...]] = {}  # most images have the 29 regions in one order: one tuple for them
    for start, stop in itertools.pairwise(starts):
        key = key_of[start * width : stop * width]
        regions = known.get(key)
        if regions is None:
            regions = known[key] = tuple(names[code] for code in codes[start:stop])
        yield Boxes(regions, corners, start)


_OF_ROWS: Mapping[str, Callable[[list[int], list[pa.Array]], Iterator[Any]]] = {
    "problems": _tuples,
    "others": _tuples,
    "sentences": _sentences,
    "boxes": _boxes,
    "lesions": _lesions,
}


def _numbers(column: pa.Array, kind: type) -> np.ndarray[Any, Any]:
    """The column's own buffer: to_numpy would import pandas."""
    import numpy as np

    return np.frombuffer(column.buffers()[1] or b"", kind)[column.offset : column.offset + len(column)]


def _known(column: pa.Array) -> list[str]:
    """Texts of which there are few: one string for each, not one for each row."""
    coded = column.dictionary_encode()
    names = [_REGION.get(name, name) for name in coded.dictionary.to_pylist()]
    return [names[code] for code in coded.indices.to_pylist()]


_REGION = {region: region for region in REGIONS}
