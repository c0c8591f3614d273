"""N-grams as numbers: BLEU and ROUGE match those of two texts, CIDEr and self-BLEU count those of a whole set.

- ``matched_ngrams``: within each pair of texts, what of one finds a partner in the other;
- ``number_ngrams``: every distinct n-gram of a set of texts becomes a number, by a tree of words that is kept in a hash table.

Both compare whole keys, never hashes: unlike n-grams never count as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.tokens import Tokens, spread

ORDERS = 4


class NGrams(NamedTuple):
    """The n-grams of some texts, of one word to four."""

    numbers: np.ndarray
    """int32 (words of all texts, 4), the n-grams that begin at a word, -1 where the text ends before; a single word is its own number"""
    distinct: int
    """numbers are below this"""
    keys: np.ndarray
    """uint64, hash table of the tree's edges: (n-gram << 32 | next word) + 1, 0 = free"""
    children: np.ndarray
    """int32, beside ``keys``: the longer n-gram"""


def number_ngrams(tokens: Tokens) -> NGrams:
    """Numbers for all n-grams, in the order of their first appearance after the single words."""
    numbers = np.full((len(tokens.ids), ORDERS), -1, dtype=np.int32)
    size = 1 << max(10, 3 * int(tokens.lengths.max(initial=0))).bit_length()
    keys, children = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32)
    text, count = 0, len(tokens.words)
    while True:
        text, count = _grow(tokens.ids, tokens.ends, len(tokens.words), numbers, keys, children, text, count)
        if text == len(tokens.ends) - 1:
            return NGrams(numbers, count, keys, children)
        keys, children = _with_room(keys, children)


@kernel
def _grow(
    ids: np.ndarray, ends: np.ndarray, words: int, numbers: np.ndarray, keys: np.ndarray, children: np.ndarray, text: int, count: int
) -> tuple[int, int]:
    """Go on with ``text`` until all are read or half of the table might be full; returns where that was, and the n-grams so far."""
    mask = np.uint64(len(keys) - 1)
    while text < len(ends) - 1:
        if 2 * (count - words + (ORDERS - 1) * (ends[text + 1] - ends[text])) > len(keys):
            break
        for at in range(ends[text], ends[text + 1]):
            number = ids[at]
            numbers[at, 0] = number
            for order in range(1, min(ORDERS, ends[text + 1] - at)):
                key = ((np.uint64(number) << np.uint64(32)) | np.uint64(ids[at + order])) + np.uint64(1)
                slot = spread(key) & mask
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if keys[slot] == 0:
                    keys[slot] = key
                    children[slot] = count
                    count += 1
                number = children[slot]
                numbers[at, order] = number
        text += 1
    return text, count


@kernel
def _with_room(keys: np.ndarray, children: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same table, twice as large."""
    larger = np.zeros(2 * len(keys), dtype=np.uint64)
    longer = np.zeros(2 * len(keys), dtype=np.int32)
    mask = np.uint64(len(larger) - 1)
    for old in range(len(keys)):
        if keys[old] != 0:
            slot = spread(keys[old]) & mask
            while larger[slot] != 0:
                slot = (slot + np.uint64(1)) & mask
            larger[slot] = keys[old]
            longer[slot] = children[old]
    return larger, longer


@kernel
def matched_ngrams(a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, words: int, orders: int) -> np.ndarray:
    """n-grams of text a that find a partner in text b, each of b's used once.

    An n-gram is numbered by (number of its first n - 1 words, last word) within its pair of texts: numbers are given in b's order and looked
    up in a small hash table that compares the whole key, so unlike n-grams never count as one.

    a, b      int32, words of all texts, numbers below ``words``;  a_ends, b_ends  (n + 1,) int64
    orders    n-grams of up to so many words
    returns   (n, orders) int64
    """
    n = len(a_ends) - 1
    matched = np.zeros((n, orders), dtype=np.int64)
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
        for order in range(1, orders):
            stamp = np.int64(i) * orders + order
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
