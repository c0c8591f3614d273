"""A part of the cases that is like the whole: ``--sample 500 --seed 7``, stratified by the 14 lesions.

A plain random sample of 500 may hold twice as many of a rare lesion as another, and scores follow. Here the strata are the sets of lesions that a
report can have; of each, the sample has its share, rounded up or down. Which way each is rounded is drawn by the cube method (Deville and Tillé,
Efficient balanced sampling: the cube method, Biometrika 91, 2004): so that of each lesion, and of the normal cases, there are as many as in the
whole, to two or three cases, and every case still has the same chance to be taken. That no greedy choice gives: it comes near too, but takes some
kinds of case twice as often as others, and what is estimated on them is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sources import label_texts
from benchmark.records import Reference, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

NEAR = 1e-9  # a probability so near to 0 or 1 is that


class Sample(NamedTuple):
    """Which cases are taken."""

    places: list[int]
    """among all cases, rising: a sample keeps the order of the dataset"""
    said: str
    """one sentence for the note under the tables"""


def sample(references: Sequence[Reference], size: int, seed: int) -> Sample:
    """Exactly ``size`` of the cases, the same for the same references and seed, however ordered. Raises ``UserError`` if there are not so many."""
    count = len(references)
    if not 0 < size <= count:
        raise UserError(f"--sample {size:,} was asked of {count:,} cases; leave it away for all of them, or ask for 1 to {count:,}")
    positive, labelled = _positive(references)
    # Drawn in the order of the ids: a table whose rows were sorted anew has the same sample.
    order = sorted(range(count), key=lambda place: references[place].case_id)
    places = sorted(order[drawn] for drawn in np.flatnonzero(choose(positive[order], size, seed)).tolist())
    return Sample(places, f"A sample of {size:,} of {count:,} cases, stratified by lesion, seed {seed}; lesions {labelled}.")


def choose(positive: NDArray[np.bool_], size: int, seed: int) -> NDArray[np.bool_]:
    """(n, L) which case has which label -> (n,) True for the ``size`` that are taken."""
    rng = np.random.default_rng(seed)
    kinds, kind_of, counts = np.unique(positive, axis=0, return_inverse=True, return_counts=True)
    expected = counts * (size / len(positive))
    certain = np.floor(expected + NEAR)
    # Held constant: how many there are in all, of each label from the rarest on, and without any.
    rarest = np.argsort(positive.sum(axis=0), kind="stable")
    held = np.column_stack([np.ones(len(kinds)), kinds[:, rarest], ~kinds.any(axis=1)]).astype(np.float64)
    taken = certain + _rounded(held, np.clip(expected - certain, 0, 1), rng)
    by_lot = rng.permutation(len(positive))
    by_kind = by_lot[np.argsort(kind_of.ravel()[by_lot], kind="stable")]  # kind after kind, within each by lot
    place_in_kind = np.arange(len(positive)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = np.zeros(len(positive), dtype=bool)
    chosen[by_kind] = place_in_kind < np.repeat(taken, counts)
    return chosen


def _rounded(held: Numbers, chances: Numbers, rng: np.random.Generator) -> Numbers:
    """Each chance to 0 or 1, as often to 1 as it says, with the sums of ``held`` as they were: the cube method.

    held     (k, q)  what each brings to the q sums, the most important sum first
    chances  (k,)    in [0, 1], with a whole number as their sum
    returns  (k,)    0 or 1
    """
    found = chances.copy()
    waiting = rng.permutation(np.flatnonzero((found > NEAR) & (found < 1 - NEAR))).tolist()
    open_ones: list[int] = []
    sums = held.shape[1]
    while True:
        open_ones += [waiting.pop() for _ in range(min(len(waiting), sums + 1 - len(open_ones)))]
        if not open_ones:
            return found
        line = _line(held[open_ones, :sums])
        if line is None:
            sums -= 1  # landing: the last few cannot be decided without moving a sum; the least important goes first
            continue
        # Flight: along a line on which no sum changes, one way or the other by lot, until one of them is decided.
        here = found[open_ones]
        up, down = line > NEAR, line < -NEAR
        ahead = min(((1 - here[up]) / line[up]).min(initial=np.inf), (-here[down] / line[down]).min(initial=np.inf))
        back = min((here[up] / line[up]).min(initial=np.inf), ((here[down] - 1) / line[down]).min(initial=np.inf))
        here = here + line * (ahead if rng.random() < back / (ahead + back) else -back)
        here[np.abs(here) < NEAR], here[np.abs(here - 1) < NEAR] = 0, 1
        found[open_ones] = here
        open_ones = [one for one in open_ones if 0 < found[one] < 1]


def _line(held: Numbers) -> Numbers | None:
    """(m,) a direction in which m chances can move while no sum of ``held`` (m, q) does; None if there is none.

    By elimination, not by a library: that would give another direction, and so another sample, on another processor.
    """
    rows = held.T.copy()
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        depth = len(pivots)
        best = depth + int(np.argmax(np.abs(rows[depth:, column]))) if depth < len(rows) else depth
        if depth == len(rows) or abs(rows[best, column]) < NEAR:
            line = np.zeros(rows.shape[1])
            line[column] = 1
            line[pivots] = -rows[:depth, column]
            return line
        rows[[depth, best]] = rows[[best, depth]]
        rows[depth] /= rows[depth, column]
        others = np.arange(len(rows)) != depth
        rows[others] -= rows[others, column, None] * rows[depth]
        pivots.append(column)
    return None


def _positive(references: Sequence[Reference]) -> tuple[NDArray[np.bool_], str]:
    """(n, 14) which reference affirms which lesion, and who says so: the dataset where it knows all of them, else our rules."""
    known = [reference.lesions for reference in references if reference.lesions is not None]
    labels = known if len(known) == len(references) else label_texts(RuleLabeller(), [reference.report for reference in references])
    said = "as the dataset has them" if labels is known else "by rules from the reference reports"
    return np.array([[lesion.status == "positive" for lesion in lesions] for lesions in labels], dtype=bool), said
