"""The three levels of F1-RadGraph, over many annotations at once.

Each report becomes a set, so that what is said twice counts once; of an entity there enters

    simple    (tokens, label)                                                                     RG_E
    partial   (tokens, label, has it a relation)                                                  RG_ER, what most papers call F1-RadGraph
    complete  (tokens, label, kind, tokens of the other) for each relation, or (tokens, label)    RG_ER with a bar

J.-B. Delbrouck et al., "Improving the factual correctness of radiology report generation with semantic rewards" (Findings of EMNLP 2022,
https://arxiv.org/abs/2210.12186); code: github.com/Stanford-AIMI/radgraph.

``case`` is a convention, and under one version number of the package (0.1.18) there are two: what PyPI has compares tokens as they are written,
but for the relations of ``complete``, which it lower-cases (``cased``); the repository, since July 2026, lower-cases all (``lower``).

An element becomes an integer in which its parts have places of their own, so unlike elements are unlike integers. A set is a sorted run of them, and
two sets are laid side by side by compiled code. Of the time that is left, nine tenths are spent on taking the annotations' dicts apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmark.annotating.annotations import Annotation
from benchmark.compiled import kernel

Case = Literal["lower", "cased"]
LEVELS = ("simple", "partial", "complete")
SHIFT = 28
"""bits of a number of tokens or of tokens and label: 268 million of them"""

_NAME, _RELATIONS, _KIND, _OTHER = itemgetter("tokens", "label"), itemgetter("relations"), itemgetter(0), itemgetter(1)


class Sets(NamedTuple):
    """Sets of integers, one after the other, each sorted and without repetition."""

    elements: np.ndarray
    """int64"""
    ends: np.ndarray
    """int64 (n + 1), set i is ``elements[ends[i]:ends[i + 1]]``"""


class Numbers(dict[Any, int]):
    """Things -> integers, given in the order in which they are first asked for."""

    def __missing__(self, thing: Any) -> int:
        self[thing] = number = len(self)
        return number


class Levels:
    """Annotations to the sets of the three levels. What it numbers, it numbers alike in all calls: their sets can be compared."""

    def __init__(self, case: Case) -> None:
        self._is_lower = case == "lower"
        self._names = Numbers()  # (tokens, label) as written
        self._compared = Numbers()  # (tokens, label) as compared
        self._small = Numbers()  # tokens in lower case
        self._kinds = Numbers()
        self._table = np.empty((0, 3), dtype=np.int64)  # of a name as written: as compared, in lower case, and its lower-cased tokens alone

    def sets(self, annotations: Sequence[Annotation]) -> tuple[Sets, Sets, Sets]:
        """What each level makes of each annotation."""
        entities = [annotation["entities"] for annotation in annotations]
        if list(chain.from_iterable(entities)) != list(chain.from_iterable(map(_KEYS.__getitem__, map(slice, map(len, entities))))):
            entities = [_in_order(one) for one in entities]
        counts = np.fromiter(map(len, entities), dtype=np.int64, count=len(entities))
        listed = list(chain.from_iterable(one.values() for one in entities))
        names = np.fromiter(map(self._names.__getitem__, map(_NAME, listed)), dtype=np.int64, count=len(listed))
        relations = list(map(_RELATIONS, listed))
        each = np.fromiter(map(len, relations), dtype=np.int64, count=len(listed))
        flat = list(chain.from_iterable(relations))
        kinds = np.fromiter(map(self._kinds.__getitem__, map(_KIND, flat)), dtype=np.int64, count=len(flat))
        others = np.fromiter(map(_PLACE.__getitem__, map(_OTHER, flat)), dtype=np.int64, count=len(flat))
        compared, small, tokens = self._compare()[names].T
        report = np.repeat(np.arange(len(entities)), counts)
        source = np.repeat(np.arange(len(listed)), each)
        target = (np.cumsum(counts) - counts)[report[source]] + others
        related = (small[source] << (SHIFT + 6)) | (tokens[target] << 6) | kinds
        lone = each == 0
        complete = np.concatenate([-1 - compared[lone], related])  # those of a relation are not below 0
        complete_of = np.concatenate([report[lone], report[source]])
        order = np.argsort(complete_of, kind="stable")
        return (
            _distinct(compared, _ends(counts)),
            _distinct(2 * compared + ~lone, _ends(counts)),
            _distinct(complete[order], _ends(np.bincount(complete_of, minlength=len(entities)))),
        )

    def _compare(self) -> np.ndarray:
        """The table, with the names that are new."""
        new = list(self._names)[len(self._table) :]
        rows = []
        for tokens, label in new:
            small = tokens.lower()
            as_compared = self._compared[small if self._is_lower else tokens, label]
            rows.append((as_compared, self._compared[small, label], self._small[small]))
        if rows:
            self._table = np.concatenate([self._table, np.array(rows, dtype=np.int64)])
        if max(len(self._names), len(self._compared)) >= 1 << SHIFT or len(self._kinds) >= 1 << 6:
            raise OverflowError(f"{len(self._names):,} unlike entities and {len(self._kinds)} kinds of relations are more than there are numbers for")
        return self._table


def matches(ours: Sets, theirs: Sets, pairs: np.ndarray) -> np.ndarray:
    """(n, 3) F1, precision and recall of the sets of each pair, (n, 2) places in ``ours`` and ``theirs``; 0 where a set is empty."""
    common = _common(*ours, *theirs, pairs).astype(np.float64)
    sizes = np.diff(ours.ends)[pairs[:, 0]], np.diff(theirs.ends)[pairs[:, 1]]
    precision, recall = (np.divide(common, size, out=np.zeros(len(common)), where=size > 0) for size in sizes)
    f1 = np.divide(2 * precision * recall, precision + recall, out=np.zeros(len(common)), where=common > 0)
    return np.stack([f1, precision, recall], axis=1)


def joined(parts: Sequence[Sets]) -> Sets:
    """The sets of all parts, one part after the other."""
    return Sets(np.concatenate([part.elements for part in parts]), _ends(np.concatenate([np.diff(part.ends) for part in parts])))


class _Places(dict[str, int]):
    """The keys that entities have in an annotation of the package, "1" and on -> their places from 0 on."""

    def __missing__(self, key: str) -> int:
        self[key] = place = int(key) - 1
        return place


_PLACE = _Places()
_KEYS = [str(number) for number in range(1, 1_000)]


def _in_order(entities: dict[str, Any]) -> dict[str, Any]:
    """The same entities with the keys "1", "2" and on, as the package gives them; from a file they may come otherwise."""
    keys = {key: str(number) for number, key in enumerate(entities, start=1)}
    return {keys[key]: {**entity, "relations": [[kind, keys[other]] for kind, other in entity["relations"]]} for key, entity in entities.items()}


def _ends(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _distinct(elements: np.ndarray, ends: np.ndarray) -> Sets:
    return Sets(*_sorted_runs(elements.astype(np.int64), ends))


@kernel
def _sorted_runs(elements: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each run sorted and without repetition, and where the runs end now."""
    kept = np.empty_like(elements)
    new_ends = np.zeros_like(ends)
    at = 0
    for run in range(len(ends) - 1):
        start = at
        for place in range(ends[run], ends[run + 1]):  # runs are short: insertion is the fastest way
            element = elements[place]
            low = at
            while low > start and kept[low - 1] > element:
                low -= 1
            if low > start and kept[low - 1] == element:
                continue
            for moved in range(at, low, -1):
                kept[moved] = kept[moved - 1]
            kept[low] = element
            at += 1
        new_ends[run + 1] = at
    return kept[:at].copy(), new_ends


@kernel
def _common(a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(n,) elements that the runs of each pair have in common."""
    counts = np.zeros(len(pairs), dtype=np.int64)
    for pair in range(len(pairs)):
        i, i_end = a_ends[pairs[pair, 0]], a_ends[pairs[pair, 0] + 1]
        j, j_end = b_ends[pairs[pair, 1]], b_ends[pairs[pair, 1] + 1]
        while i < i_end and j < j_end:
            one, other = a[i], b[j]
            counts[pair] += one == other
            i += one <= other
            j += other <= one
    return counts
