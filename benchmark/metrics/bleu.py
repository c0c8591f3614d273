"""BLEU-1 to BLEU-4 over the corpus, as the COCO caption toolkit computes them (pycocoevalcap 1.2, ``Bleu(4)``), one reference per case.

K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002. The toolkit's own touches are kept: words are
what ``str.split()`` gives, case counts, no smoothing but 1e-15 over 1e-9 against division by zero, brevity penalty from summed lengths.
R2Gen and its family report this number on text that they cleaned first (lower case, punctuation apart): ``text="lower_split"`` does the like of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.ngrams import ORDERS, matched_ngrams
from benchmark.metrics.tokens import TextForm, check_pairs, reader_of, shared_numbers, text_fields, text_title
from benchmark.shares import SHARE

SMALL = 1e-9  # both from pycocoevalcap/bleu/bleu_scorer.py
TINY = 1e-15


class Bleu:
    """Corpus BLEU of n-grams up to four words."""

    name = "bleu"
    headlines = ("bleu_4",)

    def __init__(self, text: TextForm = "as_is") -> None:
        self._read, self._references = reader_of(text, self.name)
        self._text = text
        self.titles = {f"bleu_{order + 1}": text_title(f"BLEU-{order + 1} (COCO)", text) for order in range(ORDERS)}
        self.ranges = dict.fromkeys(self.titles, SHARE)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 11): matched 1- to 4-grams, n-grams of the hypothesis, words of hypothesis and reference, and 1; NaN for a reference without words."""
        check_pairs(hypotheses, references)
        ours, theirs = self._read(hypotheses), self._references(references)
        ours, theirs = (tokens.renumbered(new) for tokens, new in zip((ours, theirs), shared_numbers(ours.words, theirs.words), strict=True))
        words = 1 + int(max(ours.ids.max(initial=0), theirs.ids.max(initial=0)))
        matched = matched_ngrams(ours.ids, ours.ends, theirs.ids, theirs.ends, words, ORDERS)
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
        return f"bleu|variant:coco|level:corpus|nrefs:1|{text_fields(self._text)}|smooth:none|empty_reference:unscored|as:pycocoevalcap-1.2|v1"
