"""METEOR 1.5's paraphrase table, read from the pycocoevalcap package where that is installed.

M. Denkowski, A. Lavie, "Meteor Universal", WMT 2014. The English table has 5.27 million pairs of phrases (272 MB of text, three lines a pair:
probability, phrase, phrase). It is not ours to ship. On first use its words are turned into numbers and kept under
``places.cache_folder() / "paraphrases"`` (140 MB, read through afterwards a part at a time); each corpus then needs only the pairs whose words all
occur in it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.tokens import WHITESPACE, number_words, spread
from benchmark.places import cache_folder
from benchmark.records import UserError

BLOCK_BYTES = 1 << 24
PAIRS_TOGETHER = 1 << 18
"""pairs that are looked through at a time: 7 MB, where the whole would be the largest thing that a process holds"""


class Phrases(NamedTuple):
    """The pairs that matter to one vocabulary: a tree of phrases, and for each phrase those that paraphrase it."""

    slots: np.ndarray
    """uint64, hash table of edges: (phrase << 32 | next word) + 1, 0 = free; phrase 0 is the empty one"""
    children: np.ndarray
    """int32, beside ``slots``: the longer phrase"""
    starts: np.ndarray
    """int64 (phrases + 1), paraphrases of phrase i are ``targets[starts[i]:starts[i + 1]]``"""
    targets: np.ndarray
    """int32, in the order of the table"""


NO_PHRASES = Phrases(np.zeros(1, np.uint64), np.zeros(1, np.int32), np.zeros(2, np.int64), np.zeros(0, np.int32))


class _Column(NamedTuple):
    """An array that stays in its file."""

    file: Path
    offset: int
    """bytes before its first number"""


class _Table(NamedTuple):
    words: list[str]
    ids: _Column
    """int32, the words of all phrases"""
    sizes: _Column
    """int8, words of each phrase; phrases 2 i and 2 i + 1 are a pair"""


def installed_table() -> Path | None:
    """The table inside the pycocoevalcap package, None where it is not installed."""
    spec = find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "meteor" / "data" / "paraphrase-en.gz"
    return path if path.is_file() else None


@lru_cache(maxsize=4)
def digest(path: Path) -> str:
    """The first hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def phrases_of(vocabulary: Sequence[str], path: Path) -> Phrases:
    """The pairs of the table at ``path`` whose words all occur in the vocabulary; words are numbered by their place in it."""
    table = _read(path)
    number = {word: place for place, word in enumerate(vocabulary)}
    known = np.array([number.get(word, -1) for word in table.words], dtype=np.int32)
    ids, sizes = zip(*_selected(table, known), strict=True)
    return Phrases(*_tree(np.concatenate(ids), np.concatenate(sizes)))


@lru_cache(maxsize=1)
def _read(path: Path) -> _Table:
    folder = cache_folder() / "paraphrases" / digest(path)
    if not (folder / "words.txt").is_file():
        try:
            _convert(path, folder)
        except OSError as error:
            raise UserError(
                f"METEOR cannot turn its paraphrase table into numbers in {folder.parent}: {error}; make room, or name a folder that can be "
                "written with CLALA_BENCHMARK_CACHE"
            ) from error
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    return _Table(words, *(_Column(file, np.load(file, mmap_mode="r").offset) for file in (folder / "ids.npy", folder / "sizes.npy")))


def _selected(table: _Table, known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Words and sizes of the pairs of which every word is known, a part of the table at a time; never nothing."""
    with table.ids.file.open("rb") as all_ids, table.sizes.file.open("rb") as all_sizes:
        all_ids.seek(table.ids.offset)
        all_sizes.seek(table.sizes.offset)
        while True:
            sizes = np.fromfile(all_sizes, dtype=np.int8, count=2 * PAIRS_TOGETHER)
            ids = np.fromfile(all_ids, dtype=np.int32, count=int(sizes.sum(dtype=np.int64)))
            yield _select(ids, sizes, known)
            if len(sizes) < 2 * PAIRS_TOGETHER:
                return


def _convert(path: Path, folder: Path) -> None:
    """Write the table as numbers. Built aside and moved into place, so that another process sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        words: dict[bytes, int] = {}
        ids, sizes = [], []
        with gzip.open(path, "rb") as file:
            rest = b""
            while block := file.read(BLOCK_BYTES):
                block_ids, block_sizes, rest = _number_block(rest + block, words)
                ids.append(block_ids)
                sizes.append(block_sizes)
        np.save(scratch / "ids.npy", np.concatenate(ids))
        np.save(scratch / "sizes.npy", np.concatenate(sizes))
        (scratch / "words.txt").write_bytes(b"\n".join(words))
        os.replace(scratch, folder)  # noqa: PTH105 (Path.replace is the same; this one says that the target may exist)
    except OSError:
        if not (folder / "words.txt").is_file():  # unless another process was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _number_block(text: bytes, words: dict[bytes, int]) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Words and sizes of the phrases in the whole triples of lines of a block, and what is left over."""
    data = np.frombuffer(text, dtype=np.uint8)
    line_ends = np.flatnonzero(data == ord("\n")) + 1
    line_ends = line_ends[: len(line_ends) // 3 * 3]
    ends = np.concatenate([[0], line_ends]).astype(np.int64)
    ids, word_ends, starts, stops = number_words(data, ends, WHITESPACE)
    sizes = np.diff(word_ends)
    is_phrase = np.arange(len(sizes)) % 3 > 0
    ids = ids[np.repeat(is_phrase, sizes)]
    numbers = np.full(len(starts), -1, dtype=np.int32)
    used = np.unique(ids)  # the other words are probabilities
    spans = zip(starts[used].tolist(), stops[used].tolist(), strict=True)
    numbers[used] = [words.setdefault(text[start:stop], len(words)) for start, stop in spans]
    return numbers[ids], sizes[is_phrase].astype(np.int8), text[int(ends[-1]) :]


@kernel
def _select(ids: np.ndarray, sizes: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words and sizes of the pairs of which every word is known.

    ids, sizes  of some pairs of the table;  known  (words of the table,) int32, its number in the corpus or -1
    returns     the words by their numbers in the corpus, int32, and the sizes, int8
    """
    kept_ids = np.empty_like(ids)
    kept_sizes = np.empty_like(sizes)
    filled = 0
    row = 0
    at = 0
    for pair in range(len(sizes) // 2):
        size = int(sizes[2 * pair]) + int(sizes[2 * pair + 1])
        keep = True
        for k in range(at, at + size):
            if known[ids[k]] < 0:
                keep = False
                break
        if keep:
            for k in range(at, at + size):
                kept_ids[filled] = known[ids[k]]
                filled += 1
            kept_sizes[2 * row] = sizes[2 * pair]
            kept_sizes[2 * row + 1] = sizes[2 * pair + 1]
            row += 1
        at += size
    return kept_ids[:filled].copy(), kept_sizes[: 2 * row].copy()


@kernel
def _tree(ids: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs as a tree of phrases and lists of paraphrases; ``ids`` are words of the corpus."""
    count = len(sizes) // 2
    room = 16
    while room < 2 * (len(ids) + 1):
        room *= 2
    mask = np.uint64(room - 1)
    slots = np.zeros(room, dtype=np.uint64)
    children = np.zeros(room, dtype=np.int32)
    ends = np.empty((count, 2), dtype=np.int32)
    phrases = 1
    at = 0
    for row in range(count):
        for side in range(2):
            size = int(sizes[2 * row + side])
            phrase = 0
            for k in range(at, at + size):
                key = ((np.uint64(phrase) << np.uint64(32)) | np.uint64(ids[k])) + np.uint64(1)
                slot = spread(key) & mask
                while slots[slot] != 0 and slots[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if slots[slot] == 0:
                    slots[slot] = key
                    children[slot] = phrases
                    phrases += 1
                phrase = int(children[slot])
            ends[row, side] = phrase
            at += size
    starts = np.zeros(phrases + 1, dtype=np.int64)
    for row in range(count):
        starts[ends[row, 0] + 1] += 1
    for phrase in range(phrases):
        starts[phrase + 1] += starts[phrase]
    targets = np.empty(count, dtype=np.int32)
    filled = starts[:-1].copy()
    for row in range(count):
        targets[filled[ends[row, 0]]] = ends[row, 1]
        filled[ends[row, 0]] += 1
    return slots, children, starts, targets


@kernel
def longer_phrase(slots: np.ndarray, children: np.ndarray, phrase: int, word: int) -> int:
    """The phrase that is ``phrase`` and one more word; -1 where the table has none."""
    key = ((np.uint64(phrase) << np.uint64(32)) | np.uint64(word)) + np.uint64(1)
    mask = np.uint64(len(slots) - 1)
    slot = spread(key) & mask
    while slots[slot] != 0 and slots[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return int(children[slot]) if slots[slot] == key else -1
