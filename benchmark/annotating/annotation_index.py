"""Where in a large file of annotations that of each report stands, found once for a file and kept by its checksum.

Half a gigabyte of annotations takes ten seconds to be read through, and every process that scores or shows them would do so anew. What is kept holds
no text: digests of 16 bytes and places.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.places import cache_folder

VERSION = 1
KEPT_FROM = 1 << 24
"""bytes of a file; a smaller one is read through in less time than it is worth"""
NOWHERE = -1
PART_SECONDS = 3600
"""after which half a file is one of a process that was killed; a whole one is written in a second or two"""


class Digests(NamedTuple):
    """Texts by their digests -> places."""

    heads: np.ndarray
    """(n,) uint64, rising: the first half of each digest"""
    tails: np.ndarray
    """(n,) uint64, the other half"""
    places: np.ndarray
    """(n,) int64"""

    @classmethod
    def of(cls, known: dict[bytes, int]) -> Digests:
        """Those of a dict."""
        heads, tails = _halves(list(known))
        places = np.fromiter(known.values(), dtype=np.int64, count=len(known))
        order = np.argsort(heads, kind="stable")
        return cls(heads[order], tails[order], places[order])

    def find(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts),) the place of each, ``NOWHERE`` for one that is not known."""
        found = np.full(len(texts), NOWHERE, dtype=np.int64)
        if not len(self.places) or not texts:
            return found
        heads, tails = _halves([digest_of(text) for text in texts])
        at = np.searchsorted(self.heads, heads)
        looking = np.arange(len(texts))
        while len(looking):  # more than once only where two digests begin alike
            looking = looking[at[looking] < len(self.heads)]
            looking = looking[self.heads[at[looking]] == heads[looking]]
            is_hit = self.tails[at[looking]] == tails[looking]
            found[looking[is_hit]] = self.places[at[looking[is_hit]]]
            looking = looking[~is_hit]
            at[looking] += 1
        return found


@dataclass(frozen=True)
class Index:
    """Of one file."""

    sha256: str
    """of its bytes"""
    starts: np.ndarray
    """(n,) int64, bytes of the file before each annotation"""
    sizes: np.ndarray
    """(n,) int64, bytes of each"""
    by_report: Digests
    """of the reports"""
    by_letters: Digests
    """of the letters of annotations that have not their report beside them"""

    @property
    def count(self) -> int:
        """Annotations that differ in their report."""
        return len(self.starts)

    def find(self, reports: Sequence[str]) -> list[int]:
        """The place of each report's annotation, ``NOWHERE`` where there is none."""
        found = self.by_report.find(reports)
        missing = np.flatnonzero(found == NOWHERE)
        if len(missing) and len(self.by_letters.places):
            found[missing] = self.by_letters.find([letters_of(reports[place]) for place in missing.tolist()])
        places: list[int] = found.tolist()
        return places


class IndexMaker:
    """Gathers the places while a file is read through."""

    def __init__(self) -> None:
        self.starts, self.sizes = array("q"), array("q")
        self._by_report: dict[bytes, int] = {}
        self._by_letters: dict[bytes, int] = {}

    def place_of(self, report: str | None, letters: str, start: int, size: int) -> int | None:
        """Take up the annotation of a report, or of these letters; the place of one that is known already, else None."""
        where, name = (self._by_letters, letters) if report is None else (self._by_report, report)
        place = where.setdefault(digest_of(name), len(self.starts))
        if place < len(self.starts):
            return place
        self.starts.append(start)
        self.sizes.append(size)
        return None

    def index(self, sha256: str) -> Index:
        """All of them."""
        starts, sizes = (np.array(numbers, dtype=np.int64) for numbers in (self.starts, self.sizes))
        return Index(sha256, starts, sizes, Digests.of(self._by_report), Digests.of(self._by_letters))


def kept_index(sha256: str, size: int) -> Index | None:
    """What was kept of a file of this checksum and so many bytes; None if it was not, or is damaged."""
    try:
        with np.load(_file_of(sha256), allow_pickle=False) as kept:
            starts, sizes = kept["starts"], kept["sizes"]
            digests = [Digests(heads, tails, places.astype(np.int64)) for heads, tails, places in (kept["by_report"], kept["by_letters"])]
        places = np.sort(np.concatenate([one.places for one in digests]))
        is_within = len(starts) == len(sizes) and (starts >= 0).all() and (starts + sizes <= size).all()
        return Index(sha256, starts, sizes, *digests) if is_within and np.array_equal(places, np.arange(len(starts))) else None
    except Exception:  # what a damaged archive makes of numpy and zipfile is any of a dozen, and all of it is found out again
        return None


def keep_index(index: Index) -> None:
    """Keep it for other processes and later runs, for its owner alone; where that cannot be done, they find it out again."""
    file = _file_of(index.sha256)
    by_report, by_letters = (np.stack([one.heads, one.tails, one.places.astype(np.uint64)]) for one in (index.by_report, index.by_letters))
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            np.savez(out, starts=index.starts, sizes=index.sizes, by_report=by_report, by_letters=by_letters)
        part.replace(file)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    _clear_parts(file.parent)


def digest_of(text: str) -> bytes:
    """16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def letters_of(text: str) -> str:
    """A text without its blanks: what the annotator's tokens and the report have in common."""
    return "".join(text.split())


def _file_of(sha256: str) -> Path:
    return cache_folder() / "annotations" / f"index-{VERSION}-{sha256[:32]}.npz"


def _clear_parts(folder: Path) -> None:
    """Half files of processes that were killed while they wrote; by age, since the cache may be that of several machines."""
    with suppress(OSError):
        for part in folder.glob("index-*.part"):
            with suppress(OSError):  # another process cleared it away
                if time.time() - part.stat().st_mtime > PART_SECONDS:
                    part.unlink()


def _halves(digests: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (n,) uint64."""
    both = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()
