"""Entries in a Parquet file of typed columns, so that opening is no parsing: lists of structs, and boxes that stay numbers until asked for."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.datasets.entries import Entry
from benchmark.records import BoxXYXY
from benchmark.uncollected import uncollected
from benchmark.vocabulary import REGIONS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TEXTS = tuple(f.name for f in fields(Entry) if f.type == "str")
"""columns of one text each"""
OFTEN_SAME = frozenset(("subject", "study", "view", "left_out", "technique", "comparison"))
"""those in which one text stands in many rows: it is made once"""
STRUCTS = {
    "problems": ("kind", "where", "what"),
    "others": ("path", "view", "dicom"),
    "sentences": ("region", "sentence"),
    "boxes": ("region", "left", "top", "right", "bottom"),
    "lesions": ("lesion",),
}
"""columns of a list each -> the parts of what is in the list"""
CORNERS = STRUCTS["boxes"][1:]
LAYOUT = hashlib.sha256(repr((TEXTS, STRUCTS)).encode()).hexdigest()[:8]
"""for the name of a folder: a program that has other columns keeps its files elsewhere"""
Value = TypeVar("Value")


class ByRegion(Mapping[str, Value]):
    """Region -> box, or sentence, of one image. They stay in the columns of the file: as objects, those of 166,521 images would fill gigabytes."""

    __slots__ = ("_regions", "_start", "_values")

    def __init__(self, regions: tuple[str, ...], values: Callable[[int, int], list[Value]], start: int) -> None:
        """``values`` makes those from one row of the column to before another; the image's own begin at ``start``."""
        self._regions, self._values, self._start = regions, values, start

    def __getitem__(self, region: str) -> Value:
        try:
            row = self._start + self._regions.index(region)
        except ValueError:
            raise KeyError(region) from None
        return self._values(row, row + 1)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)

    def items(self) -> ItemsView[str, Value]:
        """All at once, which is faster than one by one."""
        values = self._values(self._start, self._start + len(self._regions))
        return dict(zip(self._regions, values, strict=True)).items()

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items()),)  # not with those of all the other images


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
    if not _is_known(table.schema):
        return None
    with uncollected():
        columns = {name: (_known if name in OFTEN_SAME else _texts)(table.column(name).combine_chunks()) for name in TEXTS}
        for name, parts in STRUCTS.items():
            starts, values = _flat(table.column(name), parts)
            columns[name] = list(_OF_ROWS[name](starts, values))
        return [Entry(*row) for row in zip(*(columns[f.name] for f in fields(Entry)), strict=True)]


def _is_known(schema: pa.Schema) -> bool:
    """Whether a table is laid out as ``save`` does it now."""
    import pyarrow as pa

    if set(schema.names) != {*TEXTS, *STRUCTS}:
        return False
    structs = {name: {part: pa.float64() if part in CORNERS else pa.string() for part in parts} for name, parts in STRUCTS.items()}
    types = {name: schema.field(name).type for name in schema.names}
    return all(types[name] == pa.string() for name in TEXTS) and all(
        pa.types.is_list(types[name])
        and pa.types.is_struct(types[name].value_type)
        and {part.name: part.type for part in types[name].value_type} == parts
        for name, parts in structs.items()
    )


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


def _texts(column: pa.Array) -> list[str]:
    """Cut from the buffer: to_pylist makes a scalar of Arrow for each."""
    content, ends = _content(column)
    if content.isascii():
        text = content.decode("ascii")
        return [text[start:stop] for start, stop in itertools.pairwise(ends.tolist())]
    return [content[start:stop].decode() for start, stop in itertools.pairwise(ends.tolist())]


def _content(column: pa.Array) -> tuple[bytes, np.ndarray[Any, np.dtype[np.int32]]]:
    """All texts of a column one after another in UTF-8, and where each begins and the last one ends."""
    import numpy as np

    _, starts, content = column.buffers()
    ends = np.frombuffer(starts or b"", np.int32)[column.offset : column.offset + len(column) + 1]
    return content.to_pybytes() if content is not None else b"", ends


def _problems(starts: list[int], values: list[pa.Array]) -> Iterator[list[tuple[str, str, str]]]:
    kinds, places, words = values
    rows = list(zip(_known(kinds), _texts(places), _known(words), strict=True))  # of 130,000 laterals two words are the same
    return (rows[start:stop] for start, stop in itertools.pairwise(starts))


def _others(starts: list[int], values: list[pa.Array]) -> Iterator[list[tuple[str, str, str]]]:
    paths, views, ids = values
    rows = list(zip(_texts(paths), _known(views), _texts(ids), strict=True))
    return (rows[start:stop] for start, stop in itertools.pairwise(starts))


def _lesions(starts: list[int], values: list[pa.Array]) -> Iterator[list[str]]:
    names = _known(values[0])
    return (names[start:stop] for start, stop in itertools.pairwise(starts))


def _sentences(starts: list[int], values: list[pa.Array]) -> Iterator[ByRegion[str]]:
    texts, ends = _content(values[1])

    def sentences(start: int, stop: int) -> list[str]:
        return [texts[begin:end].decode() for begin, end in itertools.pairwise(ends[start : stop + 1].tolist())]

    return _by_region(starts, values[0], sentences)


def _boxes(starts: list[int], values: list[pa.Array]) -> Iterator[ByRegion[BoxXYXY]]:
    import numpy as np

    corners = np.stack([_numbers(value, np.float64) for value in values[1:]], axis=1)

    def boxes(start: int, stop: int) -> list[BoxXYXY]:
        return [(left, top, right, bottom) for left, top, right, bottom in corners[start:stop].tolist()]

    return _by_region(starts, values[0], boxes)


def _by_region(starts: list[int], regions: pa.Array, values: Callable[[int, int], list[Value]]) -> Iterator[ByRegion[Value]]:
    """One mapping per image. Many have the same regions in the same order: one tuple for them."""
    import numpy as np

    coded = regions.dictionary_encode()
    names = [_REGION.get(name, name) for name in coded.dictionary.to_pylist()]
    codes = _numbers(coded.indices, np.int32)
    key_of, width = codes.tobytes(), codes.itemsize
    known: dict[bytes, tuple[str, ...]] = {}
    for start, stop in itertools.pairwise(starts):
        key = key_of[start * width : stop * width]
        own = known.get(key)
        if own is None:
            own = known[key] = tuple(names[code] for code in codes[start:stop])
        yield ByRegion(own, values, start)


_OF_ROWS: Mapping[str, Callable[[list[int], list[pa.Array]], Iterator[Any]]] = {
    "problems": _problems,
    "others": _others,
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
