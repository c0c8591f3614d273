"""CIDEr-D as the COCO caption toolkit computes it (pycocoevalcap 1.2, ``Cider()``), one reference per case, mean over reports.

R. Vedantam, C. L. Zitnick, D. Parikh, "CIDEr: consensus-based image description evaluation", CVPR 2015. N-grams of one word to four, weighted by how
few references have them (log of the number of references over that of those with the n-gram), cosine with counts clipped by the reference's,
a Gaussian penalty on the difference of lengths, times ten. Lengths are counted in pairs of words, as the toolkit does.

A case's score depends on the whole set: the weights come from all references that are measured together (a model that failed on some cases
is weighted by the references of the others, as the toolkit would). A bootstrap draws the cases' scores and leaves the weights as they are:
its interval says how far the mean would move with other patients under *these* weights, not what another set's weights would do to it.
For that, measure another set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.ngrams import ORDERS, NGrams, number_ngrams
from benchmark.metrics.tokens import Remembered, TextForm, Tokens, check_pairs, reader_of, shared_numbers, spread, text_fields, text_title
from benchmark.shares import share

SIGMA = 6.0  # words; pycocoevalcap/cider/cider.py
SCALE = 10.0


class _Weighed(NamedTuple):
    """References, read."""

    tokens: Tokens
    ngrams: NGrams
    weights: np.ndarray
    """float64 (n-grams,), log of the number of references over that of those that have the n-gram"""
    unseen: float
    """the weight of an n-gram that no reference has"""


class CiderD:
    """CIDEr-D, mean over cases."""

    name = "cider_d"

    def __init__(self, text: TextForm = "as_is") -> None:
        self._read, references = reader_of(text, self.name)
        self._text = text
        self.titles = {"mean": text_title("CIDEr-D", text)}
        self._references = Remembered(_weigh_after(references))

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 2) the case's score under the weights of these references, and 1; NaN, and out of the weights, for a reference without words."""
        check_pairs(hypotheses, references)
        theirs, ours = self._references(references), self._read(hypotheses)
        # The references' words come first and keep their numbers; what only a hypothesis says is numbered above.
        _, numbers = shared_numbers(theirs.tokens.words, ours.words)
        ours = ours.renumbered(numbers)
        scores = _compare(
            ours.ids, ours.ends, theirs.ngrams.numbers, theirs.tokens.ends, theirs.ngrams.keys, theirs.ngrams.children,
            len(theirs.tokens.words), theirs.ngrams.distinct, theirs.weights, theirs.unseen,
        )  # fmt: skip
        rows = np.column_stack([scores, np.ones(len(scores))])
        rows[theirs.tokens.lengths == 0] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``mean`` over the scored cases, from 0 to 10."""
        sums = np.asarray(sums, dtype=np.float64)
        return {"mean": share(sums[..., 0], sums[..., 1])}

    def signature(self) -> str:
        """Which CIDEr this is, and that its weights are those of the set."""
        return (
            f"cider_d|variant:coco|n:{ORDERS}|sigma:{SIGMA}|scale:{SCALE}|idf:references_of_the_set,fixed_in_resampling|nrefs:1|{text_fields(self._text)}"
            "|average:cases|empty_reference:unscored|as:pycocoevalcap-1.2|v1"
        )


def _weigh_after(read: Callable[[Sequence[str]], Tokens]) -> Callable[[Sequence[str]], _Weighed]:
    def weigh(texts: Sequence[str]) -> _Weighed:
        tokens = read(texts)
        ngrams = number_ngrams(tokens)
        whole = float(np.log(max(1, int(np.count_nonzero(tokens.lengths)))))
        frequency = _texts_with(ngrams.numbers, tokens.ends, ngrams.distinct)
        return _Weighed(tokens, ngrams, whole - np.log(np.maximum(1.0, frequency)), whole)

    return weigh


@kernel
def _texts_with(numbers: np.ndarray, ends: np.ndarray, count: int) -> np.ndarray:
    """In how many texts each n-gram stands, (count,) int64."""
    frequency = np.zeros(count, dtype=np.int64)
    last = np.full(count, -1, dtype=np.int32)
    for text in range(len(ends) - 1):
        for at in range(ends[text], ends[text + 1]):
            for order in range(ORDERS):
                number = numbers[at, order]
                if number >= 0 and last[number] != text:
                    last[number] = text
                    frequency[number] += 1
    return frequency


@kernel
def _compare(
    a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, keys: np.ndarray, children: np.ndarray,
    words: int, count: int, weights: np.ndarray, unseen: float,
) -> np.ndarray:  # fmt: skip
    """Scores of all pairs.

    a, a_ends       words of the hypotheses, those that no reference has numbered from ``words`` on
    b, b_ends       (words, 4) n-grams of the references
    keys, children  the references' tree; ``count`` n-grams in it, with ``weights``, and ``unseen`` for all others
    returns         (n,) float64

    An n-gram that the tree lacks is numbered from ``count`` on, anew for each hypothesis: it matches nothing, but lengthens the vector.
    """
    n = len(a_ends) - 1
    longest = 1
    for i in range(n):
        longest = max(longest, a_ends[i + 1] - a_ends[i])
    size = 64
    while size < 2 * ORDERS * longest:
        size *= 2
    mask = np.uint64(len(keys) - 1)
    own_mask = np.uint64(size - 1)
    own_keys = np.zeros(size, dtype=np.uint64)
    own_numbers = np.zeros(size, dtype=np.int32)
    own_stamps = np.full(size, -1, dtype=np.int64)  # a slot is empty unless stamped by this hypothesis: nothing is ever cleared
    said = np.zeros(count + ORDERS * longest, dtype=np.int32)
    wanted = np.zeros(count, dtype=np.int32)
    seen = np.empty((longest, ORDERS), dtype=np.int32)
    scores = np.zeros(n, dtype=np.float64)
    common = np.empty(ORDERS, dtype=np.float64)
    ours = np.empty(ORDERS, dtype=np.float64)
    theirs = np.empty(ORDERS, dtype=np.float64)
    one = np.uint64(1)
    for i in range(n):
        start, stop = a_ends[i], a_ends[i + 1]
        common[:] = 0.0
        ours[:] = 0.0
        theirs[:] = 0.0
        for at in range(b_ends[i], b_ends[i + 1]):
            for order in range(ORDERS):
                number = b[at, order]
                if number >= 0:
                    # The square of a sum, one occurrence at a time: (c + 1)^2 - c^2
                    theirs[order] += (2 * wanted[number] + 1) * weights[number] * weights[number]
                    wanted[number] += 1
        known = count
        for at in range(start, stop):
            number = np.int64(a[at])
            is_known = bool(number < words)
            for order in range(min(ORDERS, stop - at)):
                if order > 0 or not is_known:
                    word = np.uint64(a[at + order])
                    key = ((np.uint64(number) << np.uint64(32)) | word) + one if order > 0 else (one << np.uint64(63)) | word
                    found = -1
                    if is_known:
                        slot = spread(key) & mask
                        while keys[slot] != 0 and keys[slot] != key:
                            slot = (slot + one) & mask
                        if keys[slot] != 0:
                            found = children[slot]
                    if found < 0:
                        is_known = False
                        slot = spread(key) & own_mask
                        while own_stamps[slot] == i and own_keys[slot] != key:
                            slot = (slot + one) & own_mask
                        if own_stamps[slot] != i:
                            own_stamps[slot] = i
                            own_keys[slot] = key
                            own_numbers[slot] = known
                            known += 1
                        found = own_numbers[slot]
                    number = np.int64(found)
                seen[at - start, order] = number
                weight = weights[number] if number < count else unseen
                ours[order] += (2 * said[number] + 1) * weight * weight
                if number < count and said[number] < wanted[number]:
                    common[order] += wanted[number] * weight * weight
                said[number] += 1
        for at in range(start, stop):
            for order in range(min(ORDERS, stop - at)):
                said[seen[at - start, order]] = 0
        for at in range(b_ends[i], b_ends[i + 1]):
            for order in range(ORDERS):
                if b[at, order] >= 0:
                    wanted[b[at, order]] = 0
        apart = max(stop - start - 1, 0) - max(b_ends[i + 1] - b_ends[i] - 1, 0)
        total = 0.0
        for order in range(ORDERS):
            if ours[order] > 0 and theirs[order] > 0:
                total += common[order] / np.sqrt(ours[order] * theirs[order])
        scores[i] = SCALE * total / ORDERS * np.exp(-(apart * apart) / (2 * SIGMA * SIGMA))
    return scores
