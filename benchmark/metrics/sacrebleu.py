"""BLEU as sacreBLEU 2.6 computes it: words by its tokeniser 13a, exponential smoothing; the corpus number, and the mean over reports beside it.

M. Post, "A call for clarity in reporting BLEU scores", WMT 2018; https://github.com/mjpost/sacrebleu. ``corpus`` is ``BLEU().corpus_score``,
``sentence`` the mean of ``BLEU(effective_order=True).sentence_score`` (as sacreBLEU advises for single texts); both as shares in [0, 1], where
sacreBLEU prints percentages. ``lowercase`` is its ``-lc``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from benchmark.metrics.ngrams import ORDERS, matched_ngrams
from benchmark.metrics.tokens import Remembered, Tokens, check_pairs, respelled, shared_numbers, whitespace

ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# NIST's mteval-v13a in four passes: signs apart; full stop and comma apart after what is no digit, and before; a hyphen apart after a digit.
PASSES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"([ -&(-+:-@/\[-`{-~])", r" \1 "),
        (r"([^0-9])([.,])", r"\1 \2 "),
        (r"([.,])([^0-9])", r" \1 \2"),
        (r"([0-9])(-)", r"\1 \2 "),
    )
)


class SacreBleu:
    """sacreBLEU's BLEU-4, corpus and mean over cases."""

    name = "sacrebleu"

    def __init__(self, lowercase: bool = False) -> None:
        self._lowercase = lowercase
        self.titles = {"corpus": "sacreBLEU (lc)" if lowercase else "sacreBLEU", "sentence": f"sacreBLEU of sentences{' (lc)' * lowercase}"}
        self._references = Remembered(self._read)

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 12): matched 1- to 4-grams, n-grams of the hypothesis, words of both, the case's own score, and 1.

        NaN for a reference without words.
        """
        check_pairs(hypotheses, references)
        ours, theirs = self._read(hypotheses), self._references(references)
        ours, theirs = (tokens.renumbered(new) for tokens, new in zip((ours, theirs), shared_numbers(ours.words, theirs.words), strict=True))
        words = 1 + int(max(ours.ids.max(initial=0), theirs.ids.max(initial=0)))
        matched = matched_ngrams(ours.ids, ours.ends, theirs.ids, theirs.ends, words, ORDERS)
        guessed = np.maximum(ours.lengths[:, None] - np.arange(ORDERS), 0)
        counts = np.column_stack([matched, guessed, ours.lengths, theirs.lengths]).astype(np.float64)
        rows = np.column_stack([counts, _bleu(counts, effective_order=True), np.ones(len(counts))])
        rows[theirs.lengths == 0] = np.nan
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``corpus`` and ``sentence`` (mean over cases), shares in [0, 1]."""
        sums = np.asarray(sums, dtype=np.float64)
        cases = sums[..., -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(cases > 0, sums[..., -2] / cases, np.nan)
        return {"corpus": np.where(cases > 0, _bleu(sums, effective_order=False), np.nan), "sentence": mean}

    def signature(self) -> str:
        """Which BLEU this is, in sacreBLEU's own words where it has them."""
        case = "lc" if self._lowercase else "mixed"
        return f"sacrebleu|nrefs:1|case:{case}|eff:corpus_no,sentence_yes|tok:13a|smooth:exp|empty_reference:unscored|as:sacrebleu-2.6|v1"

    def _read(self, texts: Sequence[str]) -> Tokens:
        """What tokeniser 13a makes of the texts, found once for every distinct piece between spaces: no pass looks beyond one."""
        if self._lowercase:
            texts = [text.lower() for text in texts]
        texts = [_joined(text) for text in texts]
        pieces = whitespace(texts)
        return respelled(pieces.ids, pieces.ends, [_words(piece) for piece in pieces.words])


def _joined(text: str) -> str:
    """A word that a line break divides is whole again; the only step that crosses spaces, and must come before them."""
    return text.rstrip().replace("<skipped>", "").replace("-\n", "") if "-\n" in text or "<skipped>" in text else text


def _words(piece: str) -> list[str]:
    if "&" in piece:
        for entity, sign in ENTITIES:
            piece = piece.replace(entity, sign)
    line = f" {piece} "
    for pattern, replacement in PASSES:
        line = pattern.sub(replacement, line)
    return line.split()


def _bleu(counts: np.ndarray, *, effective_order: bool) -> np.ndarray:
    """sacreBLEU's score of counts (..., 10 or more) as ``statistics`` gives them, of a case or of their sums.

    An order without n-grams ends the score: it is 0, or with ``effective_order`` the mean of the orders before. An order without matches counts
    as half a match, the next such as a quarter, and so on; but nothing matched at all is 0.
    """
    length, reference_length = counts[..., 2 * ORDERS], counts[..., 2 * ORDERS + 1]
    halved = np.ones(counts.shape[:-1])
    logs = np.zeros(counts.shape[:-1])
    orders = np.zeros(counts.shape[:-1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for order in range(ORDERS):
            matched, guessed = counts[..., order], counts[..., ORDERS + order]
            is_there = guessed > 0
            halved = np.where(is_there & (matched == 0), halved / 2, halved)
            logs += np.where(is_there, np.log(np.where(matched > 0, matched, halved) / guessed), 0.0)
            orders += is_there
        brevity = np.where(length < reference_length, np.exp(1 - reference_length / length), 1.0)
        score = brevity * np.exp(logs / orders)
    is_score = (counts[..., 0] > 0) & ((orders == ORDERS) | effective_order)
    return np.where(is_score, score, 0.0)
