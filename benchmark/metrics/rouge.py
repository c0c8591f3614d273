"""ROUGE-L as google's rouge-score 0.1.2 computes it: F1 of the longest common subsequence of words, mean over reports.

C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", ACL workshop 2004; https://github.com/google-research/google-research/tree/master/rouge.
Precision, recall and F1 of every case are bit for bit those of ``RougeScorer(["rougeL"], use_stemmer=...)``; a test holds that.

Radiology papers use two settings under one name, and CLALA-Net (2026) does not say which. The default here stems, as RadEval, ViLMedic and
MedHELM do; Hugging Face's ``evaluate`` (LLaVA-Rad, Libra) does not, and is ``stem=False``. The COCO toolkit's ROUGE_L (beta 1.2, case kept) is
another metric. The signature says which one a number is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.porter import porter_stem
from benchmark.metrics.tokens import ALPHANUMERIC_REFERENCES, Tokens, alphanumeric, check_pairs, shared_numbers
from benchmark.shares import SHARE, share

COLUMNS = ("f1", "precision", "recall", "cases")
LOW = np.uint64(2**63 - 1)
"""63 cells of the table"""


class RougeL:
    """ROUGE-L over words of ASCII letters and digits, stemmed unless told otherwise."""

    name = "rouge_l"

    def __init__(self, stem: bool = True) -> None:
        self._stem = stem
        self.titles = google_titles("ROUGE-L", stem)
        self.ranges = dict.fromkeys(self.titles, SHARE)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 4) F1, precision and recall of each case, and 1; NaN where the reference has no word: nothing can be right there."""
        check_pairs(hypotheses, references)
        ours, theirs, words = google_words(hypotheses, references, self._stem)
        common = common_subsequences(ours.ids, ours.ends, theirs.ids, theirs.ends, words)
        return google_rows(common, ours.lengths, theirs.lengths, theirs.lengths > 0)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over the scored cases: ``f1`` (the published number), ``precision``, ``recall``; shares in [0, 1]."""
        return google_values(sums)

    def signature(self) -> str:
        """Which ROUGE-L this is."""
        stemmer = "porter_nltk" if self._stem else "none"
        return f"rouge_l|variant:google|beta:1|tok:a-z0-9|case:lower|stem:{stemmer}|average:cases|empty_reference:unscored|as:rouge-score-0.1.2|v1"


def google_words(hypotheses: Sequence[str], references: Sequence[str], stem: bool) -> tuple[Tokens, Tokens, int]:
    """Both sides in one numbering, and what its numbers are below; words of up to three letters are not stemmed (rouge-score's own rule)."""
    ours, theirs = alphanumeric(hypotheses), ALPHANUMERIC_REFERENCES(references)
    if stem:
        our_numbers, their_numbers = shared_numbers(ours.words, theirs.words, of=lambda word: porter_stem(word) if len(word) > 3 else word)
    else:
        our_numbers, their_numbers = shared_numbers(ours.words, theirs.words)
    words = 1 + int(max(our_numbers.max(initial=0), their_numbers.max(initial=0)))
    return ours.renumbered(our_numbers), theirs.renumbered(their_numbers), words


def google_titles(name: str, stem: bool) -> dict[str, str]:
    """Heads of columns."""
    variant = "google, stem" if stem else "google"
    return {"f1": f"{name} ({variant})"} | {part: f"{name} {part} ({variant})" for part in COLUMNS[1:-1]}


def google_rows(common: np.ndarray, possible: np.ndarray, wanted: np.ndarray, is_scored: np.ndarray) -> np.ndarray:
    """(n, 4) F1, precision, recall and 1 from what both texts have in common, what the hypothesis and what the reference has of it."""
    precision, recall = _share(common, possible), _share(common, wanted)
    f1 = _share(2 * precision * recall, precision + recall)  # this order of operations is rouge-score's
    rows = np.stack([f1, precision, recall, np.ones(len(common))], axis=1)
    rows[~is_scored] = np.nan
    return rows


def google_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Means of ``f1``, ``precision`` and ``recall`` over the scored cases."""
    sums = np.asarray(sums, dtype=np.float64)
    means = share(sums[..., :-1], sums[..., -1:])
    return {name: means[..., column] for column, name in enumerate(COLUMNS[:-1])}


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares = np.zeros(len(part))
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


@kernel
def common_subsequences(a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, words: int) -> np.ndarray:
    """Length of the longest common subsequence of each pair of texts, 63 cells of the table at a time.

    H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a row of the table is a bit string whose zeros mark the steps up;
    one addition carries a step through a row. The table is walked in strips of columns, each from the first row to the last, with the carries
    between them kept: so memory grows with the texts and the vocabulary, never with their product. What two texts begin or end with alike is counted
    without a table.

    a, b            int32, words of all texts;  a_ends, b_ends  (n + 1,) int64
    words           numbers are below this
    returns         (n,) int64
    """
    n = len(a_ends) - 1
    lengths = np.zeros(n, dtype=np.int64)
    most = 0
    for i in range(n):
        most = max(most, a_ends[i + 1] - a_ends[i], b_ends[i + 1] - b_ends[i])
    where = np.zeros((words, 4), dtype=np.uint64)  # bit j of a word: it stands at place j of the strip
    carries = np.empty(most, dtype=np.uint8)  # out of each row of the strip before
    for i in range(n):
        across, down = a[a_ends[i] : a_ends[i + 1]], b[b_ends[i] : b_ends[i + 1]]
        alike = _alike_at_first(across, down)
        across, down = across[alike:], down[alike:]
        at_last = _alike_at_first(across[::-1], down[::-1])
        across, down = across[: len(across) - at_last], down[: len(down) - at_last]
        if len(across) > len(down):
            across, down = down, across
        lengths[i] = alike + at_last
        carries[: len(down)] = 0
        start = 0
        while start < len(across):
            width = 63 if len(across) - start <= 63 else 4 * 63
            columns = across[start : start + width]
            lengths[i] += _narrow_strip(columns, down, where, carries) if width == 63 else _wide_strip(columns, down, where, carries)
            start += width
    return lengths


@kernel
def _alike_at_first(a: np.ndarray, b: np.ndarray) -> int:
    """How many words two texts begin with alike."""
    alike = 0
    while alike < min(len(a), len(b)) and a[alike] == b[alike]:
        alike += 1
    return alike


@kernel
def _narrow_strip(columns: np.ndarray, rows: np.ndarray, where: np.ndarray, carries: np.ndarray) -> int:
    """Steps up in one strip of 63 columns or less; ``where`` is all 0 before and after."""
    for j in range(len(columns)):
        where[columns[j], 0] |= np.uint64(1) << np.uint64(j)
    cells = LOW
    for j in range(len(rows)):
        cells, carry = _next_row(cells, where[rows[j], 0], np.uint64(carries[j]))
        carries[j] = carry
    for word in columns:
        where[word, 0] = np.uint64(0)
    return _zeros(cells, len(columns))


@kernel
def _wide_strip(columns: np.ndarray, rows: np.ndarray, where: np.ndarray, carries: np.ndarray) -> int:
    """Likewise of four times 63 columns, which stay in the registers of the processor from one row to the next."""
    for j in range(len(columns)):
        where[columns[j], j // 63] |= np.uint64(1) << np.uint64(j % 63)
    first = second = third = fourth = LOW
    for j in range(len(rows)):
        here = where[rows[j]]
        carry = np.uint64(carries[j])
        if here[0] | here[1] | here[2] | here[3] | carry == 0:  # a row without a match, into which no step is carried, is the one before
            continue
        first, carry = _next_row(first, here[0], carry)
        second, carry = _next_row(second, here[1], carry)
        third, carry = _next_row(third, here[2], carry)
        fourth, carry = _next_row(fourth, here[3], carry)
        carries[j] = carry
    for word in columns:
        where[word] = 0
    size = len(columns)
    return _zeros(first, size) + _zeros(second, size - 63) + _zeros(third, size - 126) + _zeros(fourth, size - 189)


@kernel
def _next_row(cells: np.uint64, places: np.uint64, carry: np.uint64) -> tuple[np.uint64, np.uint64]:
    """63 cells of the next row and what they carry over; the bit above them is free to take it."""
    match = cells & places
    total = cells + match + carry
    return (total & LOW) | (cells ^ match), total >> np.uint64(63)


@kernel
def _zeros(cells: np.uint64, size: int) -> int:
    """How many of the first ``size`` bits are 0, of 63 at most."""
    zeros = 0
    for j in range(min(size, 63)):
        zeros += 1 - int((cells >> np.uint64(j)) & np.uint64(1))
    return zeros
