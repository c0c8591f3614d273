"""ROUGE_L as the COCO caption toolkit computes it (pycocoevalcap 1.2, ``Rouge()``), one reference per case, mean over reports.

The longest common subsequence of words as in google's ROUGE-L, yet another number: recall counts for more (beta 1.2), case counts, nothing is
stemmed, and words are what ``str.split(" ")`` gives: two spaces enclose a word without letters, and a line break joins the words beside it. This is
the "ROUGE-L" of R2Gen and its family, who clean their text first (lower case, punctuation apart); ``text="lower_split"`` does the like of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.rouge import common_subsequences
from benchmark.metrics.tokens import (
    LOWER_SPLIT_REFERENCES,
    Remembered,
    TextForm,
    Tokens,
    check_pairs,
    lower_split,
    shared_numbers,
    text_title,
    tokenise,
)
from benchmark.shares import SHARE, share

BETA = 1.2  # pycocoevalcap/rouge/rouge.py
MARK = "\x01"  # stands before every word, so that one without letters is seen; the same before all, so that equal words stay equal

_SPACES = np.arange(256, dtype=np.uint8)
_SPACES[ord(" ")] = 0


class RougeLCoco:
    """COCO's ROUGE_L."""

    name = "rouge_l_coco"

    def __init__(self, text: TextForm = "as_is") -> None:
        if text not in ("as_is", "lower_split"):
            raise ValueError(f"{self.name}: text is as_is or lower_split, not {text!r}")
        self._text = text
        self.titles = {"mean": text_title("ROUGE-L (COCO)", text)}
        self.ranges = dict.fromkeys(self.titles, SHARE)
        self._read = between_spaces if text == "as_is" else lower_split
        self._references = Remembered(between_spaces) if text == "as_is" else LOWER_SPLIT_REFERENCES

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 2) the case's score, and 1; NaN for a reference without words."""
        check_pairs(hypotheses, references)
        ours, theirs = self._read(hypotheses), self._references(references)
        numbers = shared_numbers(ours.words, theirs.words)
        words = 1 + int(max(part.max(initial=0) for part in numbers))
        ours, theirs = (tokens.renumbered(new) for tokens, new in zip((ours, theirs), numbers, strict=True))
        common = common_subsequences(ours.ids, ours.ends, theirs.ids, theirs.ends, words)
        precision, recall = common / np.maximum(ours.lengths, 1), common / np.maximum(theirs.lengths, 1)
        whole = recall + BETA**2 * precision
        scores = np.zeros(len(common))
        np.divide((1 + BETA**2) * precision * recall, whole, out=scores, where=whole > 0)
        rows = np.column_stack([scores, np.ones(len(scores))])
        rows[[not reference.strip() for reference in references]] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``mean`` over the scored cases, a share in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        return {"mean": share(sums[..., 0], sums[..., 1])}

    def signature(self) -> str:
        """Which ROUGE-L this is."""
        fields = "case:mixed|tok:single_space" if self._text == "as_is" else "case:lower|tok:punctuation_apart"
        return f"rouge_l_coco|variant:coco|beta:{BETA}|nrefs:1|{fields}|stem:none|average:cases|empty_reference:unscored|as:pycocoevalcap-1.2|v1"


def between_spaces(texts: Sequence[str]) -> Tokens:
    """What ``str.split(" ")`` gives, each word with ``MARK`` before it."""
    marked = [MARK + text.replace(" ", " " + MARK) for text in texts]
    return tokenise(marked, lambda text: text.encode("utf-8", "surrogatepass").replace(b"\0", b"\xff"), _SPACES)
