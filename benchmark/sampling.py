"""A part of the cases that is like the whole: ``--sample 500 --seed 7``, stratified by the 14 lesions.

A plain random sample of 500 may hold twice as many of a lesion of one in a hundred as another, and scores follow. Here each lesion, and the normal
cases, are there in the share that they have in the whole, to about one case: iterative stratification (``datasets.split``) shares the cases out, then
single cases are exchanged until the number is exact and no exchange brings the shares nearer. Which cases those are, the seed decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.datasets.split import stratify
from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sources import label_texts
from benchmark.records import Reference, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sample(NamedTuple):
    """Which cases are taken."""

    places: list[int]
    """among all cases, rising: a sample keeps the order of the dataset"""
    said: str
    """one sentence for the note under the tables"""


def sample(references: Sequence[Reference], size: int, seed: int) -> Sample:
    """Exactly ``size`` of the cases; always the same ones for the same references and seed. Raises ``UserError`` if there are not so many."""
    count = len(references)
    if not 0 < size <= count:
        raise UserError(f"--sample {size:,} was asked of {count:,} cases; leave it away for all of them, or ask for 1 to {count:,}")
    positive, labelled = _positive(references)
    places = np.flatnonzero(choose(positive, size, seed)).tolist()
    return Sample(places, f"A sample of {size:,} of {count:,} cases, stratified by lesion, seed {seed}; lesions {labelled}.")


def choose(positive: NDArray[np.bool_], size: int, seed: int) -> NDArray[np.bool_]:
    """(n, L) which case has which label -> (n,) True for the ``size`` that are taken."""
    count = len(positive)
    if size == count:
        return np.ones(count, dtype=bool)
    labels = np.column_stack([positive, ~positive.any(axis=1)]).astype(np.int64)  # normal is a label too
    chosen: NDArray[np.bool_] = stratify(labels, np.ones(count, dtype=np.int64), shares=(size, count - size), seed=seed) == 0
    by_lot = np.random.default_rng(seed).permutation(count)  # of equals the first by lot, not the first of the file
    wished = labels.sum(axis=0) * (size / count)

    def nearest(taken: NDArray[np.bool_], *, adds: bool) -> tuple[int, float]:
        """The case that is best added (or left out), and by how much the squared distance to the wished counts changes."""
        lacking = (wished - labels[taken].sum(axis=0)) * (1 if adds else -1)
        open_to = by_lot[taken[by_lot] != adds]
        change = labels[open_to] @ (1 - 2 * lacking)  # of (lacking - 1)^2 - lacking^2, for each label that the case has
        best = int(np.argmin(change))
        return int(open_to[best]), float(change[best])

    while (missing := size - int(chosen.sum())) != 0:
        place, _ = nearest(chosen, adds=missing > 0)
        chosen[place] = missing > 0
    while True:
        without = chosen.copy()
        leaves, first = nearest(chosen, adds=False)
        without[leaves] = False
        comes, second = nearest(without, adds=True)
        if first + second > -1e-9:
            return chosen
        without[comes] = True
        chosen = without


def _positive(references: Sequence[Reference]) -> tuple[NDArray[np.bool_], str]:
    """(n, 14) which reference affirms which lesion, and who says so: the dataset where it knows all of them, else our rules."""
    known = [reference.lesions for reference in references if reference.lesions is not None]
    labels = known if len(known) == len(references) else label_texts(RuleLabeller(), [reference.report for reference in references])
    said = "as the dataset has them" if labels is known else "by rules from the reference reports"
    return np.array([[lesion.status == "positive" for lesion in lesions] for lesions in labels], dtype=bool), said
