"""Signs that a model writes by rote: the same report for many images, one report for most, phrases of each other, phrases twice in one report.

Text metrics reward the commonest normal report; these numbers show whether that is what a model found out. None compares a report with its reference.
Each stands beside the same number of the references (``reference_...``), since radiologists' reports of normal images are much alike too.

- ``distinct``: unlike reports per report, spaces apart;
- ``commonest``: share of reports that equal the commonest one;
- ``self_bleu``: mean BLEU-4 of each report against all the others as references (Zhu et al., "Texygen", SIGIR 2018), smoothed as nltk's ``method1``;
- ``repeated_4grams``: share of a report's runs of four words that it had before (Welleck et al., "Neural text generation with unlikelihood training",
  ICLR 2020, seq-rep-4), over all reports;
- ``length_ratio``: words of the reports over words of the references.

The first three are about a set, and every number here must be a sum over cases. So each case carries its share of the set: one over the number of
reports like it (these sum to the number of unlike reports), 1 if it is the commonest, its BLEU against all the others. A bootstrap draws these shares
as they are. It must: a case drawn twice is not a report written twice, and a recount within a draw would see about a third of all reports repeated.
The interval tells how far the number would move with other patients *beside the same reports*; it does not tell what a larger test set would do,
which repeats more whoever writes. Of a stratum, likewise: its cases' shares in the whole set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.ngrams import ORDERS, number_ngrams
from benchmark.metrics.tokens import WHITESPACE_REFERENCES, Remembered, Tokens, check_pairs, whitespace
from benchmark.shares import share

EPSILON = 0.1  # nltk.translate.bleu_score.SmoothingFunction().method1: what no match counts as
SIDE = ("distinct", "commonest", "self_bleu", "repeated", "runs", "words")
"""columns of ``statistics`` for the reports, then for the references"""


TITLES = {
    "distinct": "Distinct reports",
    "commonest": "Commonest report",
    "self_bleu": "Self-BLEU",
    "repeated_4grams": "Repeated 4-grams",
    "length_ratio": "Length ratio",
    "reference_distinct": "Distinct references",
    "reference_commonest": "Commonest reference",
    "reference_self_bleu": "Self-BLEU of references",
    "reference_repeated_4grams": "Repeated 4-grams of references",
}
"""None is better the higher or the lower it is: the aim is the references' own number."""


class Degeneration:
    """How alike a model's reports are, beside how alike the references are."""

    name = "degeneration"
    titles = TITLES
    undirected = frozenset(TITLES)
    headlines = ("distinct", "commonest", "self_bleu")

    def __init__(self) -> None:
        self._references = Remembered(lambda texts: _signs(WHITESPACE_REFERENCES(texts)))

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 14): ``SIDE`` of reports and of references, 1 where there is another report to compare with, and 1.

        NaN for a reference without words; its report is no part of the set then.
        """
        check_pairs(hypotheses, references)
        is_scored = np.array([bool(reference.strip()) for reference in references], dtype=np.bool_)
        kept = np.flatnonzero(is_scored).tolist()
        ours = _signs(whitespace([hypotheses[case] for case in kept]))
        theirs = self._references([references[case] for case in kept])
        rows = np.full((len(hypotheses), 2 * len(SIDE) + 2), np.nan)
        rows[is_scored] = np.column_stack([ours, theirs, np.full(len(kept), float(len(kept) > 1)), np.ones(len(kept))])
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The numbers above, shares in [0, 1] but for ``length_ratio``; ``self_bleu`` is NaN for a set of one."""
        sums = np.asarray(sums, dtype=np.float64)
        compared, cases = sums[..., -2], sums[..., -1]
        numbers = {}
        for prefix, first in (("", 0), ("reference_", len(SIDE))):
            distinct, commonest, self_bleu, repeated, runs, _ = (sums[..., first + column] for column in range(len(SIDE)))
            numbers[f"{prefix}distinct"] = share(distinct, cases)
            numbers[f"{prefix}commonest"] = share(commonest, cases)
            numbers[f"{prefix}self_bleu"] = share(self_bleu, compared)
            numbers[f"{prefix}repeated_4grams"] = share(repeated, runs)
        words = SIDE.index("words")
        numbers["length_ratio"] = share(sums[..., words], sums[..., len(SIDE) + words])
        return numbers

    def signature(self) -> str:
        """How each is counted, and over what."""
        return (
            f"degeneration|tok:whitespace|case:mixed|self_bleu:bleu-{ORDERS},all_others,epsilon_{EPSILON}|repeated:{ORDERS}grams_within_report"
            "|set:cases_of_the_model,fixed_in_resampling|empty_reference:unscored|v1"
        )


def _signs(tokens: Tokens) -> np.ndarray:
    """(n, 6) columns ``SIDE`` of the texts of a set."""
    spelled = [tokens.ids[start:end].tobytes() for start, end in zip(tokens.ends[:-1].tolist(), tokens.ends[1:].tolist(), strict=True)]
    times = Counter(spelled)
    commonest = times.most_common(1)[0][0] if times else b""  # of several, the one that comes first
    ngrams = number_ngrams(tokens)
    matched, repeated = _matched_elsewhere(ngrams.numbers, tokens.ends, ngrams.distinct)
    lengths = tokens.lengths
    runs = np.maximum(lengths - ORDERS + 1, 0)
    columns = (
        [1 / times[text] for text in spelled],
        [text == commonest for text in spelled],
        _self_bleu(matched, lengths),
        repeated,
        runs,
        lengths,
    )
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def _self_bleu(matched: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """BLEU of every text against all the others, from its matched n-grams (n, 4), in nltk's way."""
    guessed = np.maximum(lengths[:, None] - np.arange(ORDERS), 1)
    precision = np.where(matched > 0, matched, EPSILON) / guessed
    nearest = _nearest_other(lengths)
    with np.errstate(divide="ignore"):
        brevity = np.where(lengths > nearest, 1.0, np.exp(1 - nearest / np.maximum(lengths, 1)))
    return np.where(matched[:, 0] > 0, brevity * np.exp(np.log(precision).mean(axis=1)), 0.0)


def _nearest_other(lengths: np.ndarray) -> np.ndarray:
    """For each text the length, among the other texts, that is nearest to its own; the shorter of two."""
    known, place, times = np.unique(lengths, return_inverse=True, return_counts=True)
    if len(lengths) < 2:
        return lengths
    far = 2 * known[-1] + 1  # no neighbour on that side: never the nearer one
    below = np.concatenate([[-far], known[:-1]])
    above = np.concatenate([known[1:], [2 * far]])
    nearest = np.where(known - below <= above - known, below, above)
    return np.where(times > 1, known, nearest)[place]


@kernel
def _matched_elsewhere(numbers: np.ndarray, ends: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For every text: its n-grams that another text has, each counted as often as in the text that has it most; and its repeated 4-grams.

    numbers, count  of ``NGrams``;  ends  (n + 1,) int64
    returns         (n, 4) int64, (n,) int64
    """
    n = len(ends) - 1
    here = np.zeros(count, dtype=np.int32)
    most = np.zeros(count, dtype=np.int32)  # of any text; whose that is; and of any other
    owner = np.full(count, -1, dtype=np.int32)
    second = np.zeros(count, dtype=np.int32)
    matched = np.zeros((n, ORDERS), dtype=np.int64)
    repeated = np.zeros(n, dtype=np.int64)
    for text in range(n):
        for at in range(ends[text], ends[text + 1]):
            for order in range(ORDERS):
                number = numbers[at, order]
                if number >= 0:
                    if order == ORDERS - 1 and here[number] > 0:
                        repeated[text] += 1
                    here[number] += 1
        for at in range(ends[text], ends[text + 1]):
            for order in range(ORDERS):
                number = numbers[at, order]
                if number >= 0 and here[number] > 0:
                    if here[number] > most[number]:
                        second[number] = most[number]
                        most[number] = here[number]
                        owner[number] = text
                    elif here[number] > second[number]:
                        second[number] = here[number]
                    here[number] = 0
    for text in range(n):
        for at in range(ends[text], ends[text + 1]):
            for order in range(ORDERS):
                number = numbers[at, order]
                if number >= 0:
                    if here[number] < (second[number] if owner[number] == text else most[number]):
                        matched[text, order] += 1
                    here[number] += 1
        for at in range(ends[text], ends[text + 1]):
            for order in range(ORDERS):
                if numbers[at, order] >= 0:
                    here[numbers[at, order]] = 0
    return matched, repeated
