"""ROUGE-1 and ROUGE-2 as google's rouge-score 0.1.2 computes them: F1 of shared words, or pairs of words, mean over reports.

C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries", ACL workshop 2004. Words are those of ``rouge``, stemmed unless told otherwise;
precision, recall and F1 of every case are bit for bit those of ``RougeScorer(["rouge1", "rouge2"], use_stemmer=...)``; a test holds that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.ngrams import matched_ngrams
from benchmark.metrics.rouge import google_rows, google_titles, google_values, google_words
from benchmark.metrics.tokens import check_pairs
from benchmark.shares import SHARE


class RougeN:
    """ROUGE over runs of ``n`` words."""

    def __init__(self, n: int, stem: bool = True) -> None:
        self.name = f"rouge_{n}"
        self._n, self._stem = n, stem
        self.titles = google_titles(f"ROUGE-{n}", stem)
        self.ranges = dict.fromkeys(self.titles, SHARE)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 4) F1, precision and recall of each case, and 1; NaN for a reference without words. One too short for an n-gram scores 0, as there."""
        check_pairs(hypotheses, references)
        ours, theirs, words = google_words(hypotheses, references, self._stem)
        common = matched_ngrams(ours.ids, ours.ends, theirs.ids, theirs.ends, words, self._n)[:, -1]
        possible, wanted = (np.maximum(tokens.lengths - self._n + 1, 0) for tokens in (ours, theirs))
        return google_rows(common, possible, wanted, theirs.lengths > 0)

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Means over the scored cases: ``f1`` (the published number), ``precision``, ``recall``; shares in [0, 1]."""
        return google_values(sums)

    def signature(self) -> str:
        """Which ROUGE this is."""
        stemmer = "porter_nltk" if self._stem else "none"
        return (
            f"{self.name}|variant:google|beta:1|tok:a-z0-9|case:lower|stem:{stemmer}|average:cases|empty_reference:unscored|as:rouge-score-0.1.2|v1"
        )


def rouge_1(stem: bool = True) -> RougeN:
    """ROUGE over single words."""
    return RougeN(1, stem)


def rouge_2(stem: bool = True) -> RougeN:
    """ROUGE over pairs of words."""
    return RougeN(2, stem)
