"""METEOR as nltk 3.10 computes it (``single_meteor_score`` on ``.split()`` words, WordNet 3.0), mean over cases.

A. Lavie, A. Agarwal, "METEOR: an automatic metric for MT evaluation with high levels of correlation with human judgments", WMT 2007;
https://www.nltk.org/_modules/nltk/translate/meteor_score.html. Another metric than METEOR 1.5, with values twice as high on radiology reports: greedy
matching from the last word, no paraphrases, alpha 0.9, beta 3, gamma 0.5. Every case is bit for bit nltk's, oddities included: synonyms are
looked up for the *stem* of a word, and words keep their punctuation ("effusion." is not "effusion").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.compiled import kernel
from benchmark.metrics.porter import porter_stem
from benchmark.metrics.synonyms import synonyms, table_digest
from benchmark.metrics.tokens import WHITESPACE_REFERENCES, check_pairs, shared_numbers, whitespace
from benchmark.shares import SHARE, share

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5  # nltk's defaults


class MeteorNltk:
    """nltk's METEOR, mean over cases."""

    name = "meteor_nltk"
    titles = {"mean": "METEOR (nltk)"}  # noqa: RUF012
    ranges = dict.fromkeys(titles, SHARE)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 2) the case's score, and 1; NaN for a reference without words."""
        check_pairs(hypotheses, references)
        ours, theirs = whitespace(hypotheses), WHITESPACE_REFERENCES(references)
        ours, theirs = (
            tokens.renumbered(new) for tokens, new in zip((ours, theirs), shared_numbers(ours.words, theirs.words, of=str.lower), strict=True)
        )
        words = list(dict.fromkeys(word.lower() for word in (*ours.words, *theirs.words)))
        matched, chunks = _align(ours.ids, ours.ends, theirs.ids, theirs.ends, *_kinship(words))
        counts = zip(matched.tolist(), chunks.tolist(), ours.lengths.tolist(), theirs.lengths.tolist(), strict=True)
        rows = np.array([(_score(*count), 1.0) for count in counts], dtype=np.float64).reshape(-1, 2)
        rows[theirs.lengths == 0] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``mean`` over the scored cases, a share in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        return {"mean": share(sums[..., 0], sums[..., 1])}

    def signature(self) -> str:
        """Which METEOR this is."""
        return (
            f"meteor_nltk|variant:nltk|tok:whitespace|case:lower|alpha:{ALPHA}|beta:{BETA}|gamma:{GAMMA}|stem:porter_nltk"
            f"|synonyms:wordnet-3.0-{table_digest()}|average:cases|empty_reference:unscored|as:nltk-3.10|v1"
        )


def _kinship(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stem of each word as a number; for each stem the stems that are among its synonyms (starts, stems)."""
    number: dict[str, int] = {}
    stems = np.array([number.setdefault(porter_stem(word), len(number)) for word in words], dtype=np.int32)
    kin = [[number[name] for name in synonyms(stem) if name in number] for stem in number]
    starts = np.zeros(len(kin) + 1, dtype=np.int64)
    np.cumsum([len(others) for others in kin], out=starts[1:])
    return stems, starts, np.array([other for others in kin for other in others], dtype=np.int32)


def _score(matched: int, chunks: int, length: int, reference_length: int) -> float:
    """In nltk's order of operations; in Python, since numpy's power may differ in the last bit."""
    if matched == 0:
        return 0.0
    precision, recall = matched / length, matched / reference_length
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    return float((1 - GAMMA * (chunks / matched) ** BETA) * mean)


@kernel
def _align(
    a: np.ndarray, a_ends: np.ndarray, b: np.ndarray, b_ends: np.ndarray, stems: np.ndarray, kin_starts: np.ndarray, kin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matched words and chunks of every pair.

    Three stages, each from the last free hypothesis word to the first: take the last free reference word that is equal, has the same stem,
    has a stem among the synonyms of the stem.
    """
    n = len(a_ends) - 1
    matched = np.zeros(n, dtype=np.int64)
    chunks = np.zeros(n, dtype=np.int64)
    last = np.full(max(len(stems), 1), -1, dtype=np.int64)  # word or stem -> its last free place in the reference
    for i in range(n):
        h = a[a_ends[i] : a_ends[i + 1]]
        r = b[b_ends[i] : b_ends[i + 1]]
        partner = np.full(len(h), -1, dtype=np.int64)
        is_taken = np.zeros(len(r), dtype=np.bool_)
        before = np.empty(len(r), dtype=np.int64)
        for stage in range(2):
            for j in range(len(r)):
                if not is_taken[j]:
                    key = r[j] if stage == 0 else stems[r[j]]
                    before[j] = last[key]
                    last[key] = j
            for k in range(len(h) - 1, -1, -1):
                if partner[k] < 0:
                    key = h[k] if stage == 0 else stems[h[k]]
                    j = last[key]
                    if j >= 0:
                        last[key] = before[j]
                        partner[k] = j
                        is_taken[j] = True
            for j in range(len(r)):
                last[r[j] if stage == 0 else stems[r[j]]] = -1
        for j in range(len(r)):
            if not is_taken[j]:
                before[j] = last[stems[r[j]]]
                last[stems[r[j]]] = j
        for k in range(len(h) - 1, -1, -1):
            if partner[k] < 0:
                j = -1  # the last of the last free places of all kin: to look at every word for each would take hours for a megabyte
                for at in range(kin_starts[stems[h[k]]], kin_starts[stems[h[k]] + 1]):
                    j = max(j, last[kin[at]])
                if j >= 0:
                    last[stems[r[j]]] = before[j]
                    partner[k] = j
        for j in range(len(r)):
            last[stems[r[j]]] = -1
        previous = -2
        place = -2
        for k in range(len(h)):
            if partner[k] >= 0:
                matched[i] += 1
                if k != place + 1 or partner[k] != previous + 1:
                    chunks[i] += 1
                place = k
                previous = partner[k]
    return matched, chunks
