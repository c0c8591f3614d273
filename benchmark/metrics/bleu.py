"""BLEU-1 to BLEU-4 over the corpus, as the COCO caption toolkit computes them (pycocoevalcap 1.2, ``Bleu(4)``), one reference per case.

K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002. The toolkit's own touches are kept: words are
what ``str.split()`` gives, case counts, no smoothing but 1e-15 over 1e-9 against division by zero, brevity penalty from summed lengths.
R2Gen and its family report this number on text that they cleaned first (lower case, punctuation apart): ``text="lower_split"`` does the like of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from benchmark.metrics.compiled import kernel
from benchmark.metrics.tokens import Remembered, Tokens, check_pairs, shared_numbers, spread, whitespace

ORDERS = 4
SMALL = 1e-9  # both from pycocoevalcap/bleu/bleu_scorer.py
TINY = 1e-15
PUNCTUATION = re.compile(r"([^\w\s])")


class Bleu:
    """Corpus BLEU of n-grams up to four words."""

    name = "bleu"

    def __init__(self, text: Literal["as_is", "lower_split"] = "as_is") -> None:
        if text not in ("as_is", "lower_split"):
            raise ValueError(f"bleu: text is as_is or lower_split, not {text!r}")
        self._text = text
        self._references = Remembered(self._tokenise)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 11): matched 1- to 4-grams, n-grams of the hypothesis, words of hypothesis and reference, and 1; NaN for a reference without words."""
        check_pairs(hypotheses, references)
        ours, theirs = self._tokenise(hypotheses), self._references(references)
        ours, theirs = (tokens.renumbered(new) for tokens, new in zip((ours, theirs), shared_numbers(ours.words, theirs.words), strict=True))
        words = 1 + int(max(ours.ids.max(initial=0), theirs.ids.max(initial=0)))
        matched = _matched_ngrams(ours.ids, ours.ends, theirs.ids, theirs.ends, words)
        guessed = np.maximum(ours.lengths[:, None] - np.arange(ORDERS), 0)
        rows = np.column_stack([matched, guessed, ours.lengths, theirs.lengths, np.ones(len(matched))]).astype(np.float64)
        rows[theirs.lengths == 0] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``bleu_1`` to ``bleu_4``, shares in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        precisions = (sums[..., :ORDERS] + TINY) / (sums[..., ORDERS : 2 * ORDERS] + SMALL)
        length, reference_length, cases = (sums[..., column] for column in (-3, -2, -1))
        ratio = (length + TINY) / (reference_length + SMALL)
        with np.errstate(over="ignore"):
            brevity = np.where(ratio < 1, np.exp(1 - 1 / ratio), 1.0)
        product = np.ones(sums.shape[:-1])
        numbers = {}
        for order in range(ORDERS):
            product = product * precisions[..., order]
            numbers[f"bleu_{order + 1}"] = np.where(cases > 0, product ** (1 / (order + 1)) * brevity, np.nan)
        return numbers

    def signature(self) -> str:
        """Which BLEU this is."""
        case = "mixed" if self._text == "as_is" else "lower"
        tok = "whitespace" if self._text == "as_is" else "punctuation_apart"
        return f"bleu|variant:coco|level:corpus|nrefs:1|case:{case}|tok:{tok}|smooth:none|empty_reference:unscored|as:pycocoevalcap-1.2|v1"

    def _tokenise(self, texts: Sequence[str]) -> Tokens:
        return whitespace(texts if self._text == "as_is" else [PUNCTUATION.sub(r" \1 ", text.lower()) for text in texts])


@kernel
def _matched_ngrams(a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, words: int) -> np.ndarray:
    """n-grams of text a that find a partner in text b, each of b's used once.

    An n-gram is numbered by (number of its first n - 1 words, last word) within its pair of texts: numbers are given in b's order and looked
    up in a small hash table that compares the whole key, so unlike n-grams never count as one.

    a, b      int32, words of all texts, numbers below ``words``;  a_ends, b_ends  (n + 1,) int64
    returns   (n, 4) int64
    """
    n = len(a_ends) - 1
    matched = np.zeros((n, 4), dtype=np.int64)
    longest = 1
    longest_a = 1
    for i in range(n):
        longest = max(longest, b_ends[i + 1] - b_ends[i])
        longest_a = max(longest_a, a_ends[i + 1] - a_ends[i])
    size = 64
    while size < 4 * longest:
        size *= 2
    mask = np.uint64(size - 1)
    keys = np.zeros(size, dtype=np.uint64)
    stamps = np.full(size, -1, dtype=np.int64)  # a slot is empty unless stamped by this pair and order: nothing is ever cleared
    numbers = np.zeros(size, dtype=np.int32)
    free = np.zeros(longest + 1, dtype=np.int32)  # n-gram of b -> how many of it are not matched yet
    first = np.full(words, -1, dtype=np.int32)  # word -> its number within b
    b_prefix = np.zeros(longest + 1, dtype=np.int32)
    a_prefix = np.zeros(longest_a, dtype=np.int32)
    for i in range(n):
        m = b_ends[i + 1] - b_ends[i]
        size_a = a_ends[i + 1] - a_ends[i]
        if m == 0 or size_a == 0:
            continue
        known = 0
        for j in range(m):
            word = b[b_ends[i] + j]
            if first[word] < 0:
                first[word] = known
                free[known] = 0
                known += 1
            free[first[word]] += 1
            b_prefix[j] = first[word]
        for j in range(size_a):
            number = first[a[a_ends[i] + j]]
            a_prefix[j] = number
            if number >= 0 and free[number] > 0:
                free[number] -= 1
                matched[i, 0] += 1
        for order in range(1, 4):
            stamp = np.int64(i) * 4 + order
            known = 0
            for j in range(m - order):
                key = (np.uint64(b_prefix[j]) << np.uint64(32)) | np.uint64(first[b[b_ends[i] + j + order]])
                slot = spread(key) & mask
                while stamps[slot] == stamp and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if stamps[slot] != stamp:
                    stamps[slot] = stamp
                    keys[slot] = key
                    numbers[slot] = known
                    free[known] = 0
                    known += 1
                free[numbers[slot]] += 1
                b_prefix[j] = numbers[slot]
            for j in range(size_a - order):
                last = first[a[a_ends[i] + j + order]]
                if a_prefix[j] < 0 or last < 0:
                    a_prefix[j] = -1
                    continue
                key = (np.uint64(a_prefix[j]) << np.uint64(32)) | np.uint64(last)
                slot = spread(key) & mask
                while stamps[slot] == stamp and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if stamps[slot] != stamp:
                    a_prefix[j] = -1
                    continue
                number = numbers[slot]
                a_prefix[j] = number
                if free[number] > 0:
                    free[number] -= 1
                    matched[i, order] += 1
        for j in range(m):
            first[b[b_ends[i] + j]] = -1
    return matched
