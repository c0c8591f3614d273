"""Which lesions a report gets right: precision, recall and F1 for each of 14, and their macro and micro averages.

Both texts go through the same labeller; a case counts for a lesion as a hit (tp), a false alarm (fp) or a miss (fn) by status alone, as in
Tables 1, 3 and 4 of Noh, Pi, Lee, Scientific Reports 16:4645 (2026). Numbers compare only within one labeller: it is in the signature.

Conventions, where the paper is silent:
- a lesion that occurs on one side only: the share with the empty denominator is 0, as with ``zero_division=0`` of scikit-learn;
- a lesion that occurs on neither side: NaN, and left out of the macro averages (means over the lesions that occur);
- the macro F1 is the mean of the lesions' F1, not the harmonic mean of the averages (so does the paper: its Average rows show it).

Side is scored apart, since it does not enter the paper's numbers: ``side_accuracy`` is the share of hits with a side stated in both texts
whose sides agree; left against bilateral is a disagreement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmark.hookspecs import Labeller
from benchmark.records import Lesions
from benchmark.shares import mean_of_defined, share
from benchmark.vocabulary import LESIONS, SIDES, STATUSES

COUNTS = ("tp", "fp", "fn", "sided", "side_agrees")
"""Columns of ``statistics``, each 14 wide: lesions in the order of the vocabulary."""
POSITIVE = STATUSES.index("positive")
UNSTATED = SIDES.index("not mentioned")


class WrongLesions(ValueError):
    """A labeller gave something else than the 14 lesions in order, each with a known status and side."""


class LesionScores:
    """Precision, recall and F1 over the lesions that a labeller finds in two reports."""

    name = "lesions"

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller
        self._codes: dict[str, np.ndarray | None] = {}  # text -> its labels: a text that recurs, in another model too, is asked about once
        self.failures: Counter[str] = Counter()
        """why how many cases of the last ``statistics`` have no score; ``no answer`` where the labeller does not say"""

    @property
    def asks(self) -> bool:
        """True if the labeller sends questions to a language model."""
        return bool(getattr(self._labeller, "asks", False))

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """(n, 5 * 14) counts, see ``COUNTS``; a row of NaN where the labeller had no answer (an empty tuple) for one of the texts."""
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references; they are paired in order")
        self._ask(hypotheses, references)
        rows = np.full((len(hypotheses), len(COUNTS), len(LESIONS)), np.nan)
        pairs = [(self._codes[hypothesis], self._codes[reference]) for hypothesis, reference in zip(hypotheses, references, strict=True)]
        scored = [(row, ours, theirs) for row, (ours, theirs) in enumerate(pairs) if ours is not None and theirs is not None]
        if scored:
            index, ours, theirs = zip(*scored, strict=True)
            rows[list(index)] = _counts(np.stack(ours), np.stack(theirs))
        self.failures = self._failures(hypotheses, references)
        return rows.reshape(len(hypotheses), len(COUNTS) * len(LESIONS))

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """``<lesion>.precision``, ``.recall``, ``.f1``, ``.support`` (reference positives), ``.side_accuracy``; ``macro_*``, ``micro_*``."""
        tp, fp, fn, sided, agrees = np.moveaxis(np.reshape(sums, (*np.shape(sums)[:-1], len(COUNTS), len(LESIONS))), -2, 0)
        precision, recall, f1 = _precision_recall_f1(tp, fp, fn)
        numbers = {"precision": precision, "recall": recall, "f1": f1, "support": tp + fn, "side_accuracy": share(agrees, sided)}
        result = {f"{lesion}.{name}": number[..., column] for column, lesion in enumerate(LESIONS) for name, number in numbers.items()}
        result |= {f"macro_{name}": mean_of_defined(numbers[name]) for name in ("precision", "recall", "f1")}
        micro = _precision_recall_f1(tp.sum(axis=-1), fp.sum(axis=-1), fn.sum(axis=-1))
        result |= dict(zip(("micro_precision", "micro_recall", "micro_f1"), micro, strict=True))
        result["side_accuracy"] = share(agrees.sum(axis=-1), sided.sum(axis=-1))
        return result

    def signature(self) -> str:
        """Names the labeller and the conventions; the labeller's own signature stands in brackets, since it has fields of its own."""
        return (
            f"lesions|unit:case|count:status|absent_on_both:left_out|zero_division:0|macro:mean_of_lesions|labeller:({self._labeller.signature()})|v1"
        )

    def label_pairs(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[tuple[Lesions, Lesions]]:
        """What the labeller finds in hypothesis and reference of each case, with side, certainty and rationale; for reading single cases."""
        texts = _distinct(hypotheses, references)
        found = dict(zip(texts, self._labeller.label(texts), strict=True))
        return [(found[hypothesis], found[reference]) for hypothesis, reference in zip(hypotheses, references, strict=True)]

    def _failures(self, hypotheses: Sequence[str], references: Sequence[str]) -> Counter[str]:
        """Of each case that has no labels of one of its texts: why, the hypothesis first."""
        unlabelled = (
            hypothesis if self._codes[hypothesis] is None else reference
            for hypothesis, reference in zip(hypotheses, references, strict=True)
            if self._codes[hypothesis] is None or self._codes[reference] is None
        )
        why: Mapping[str, str] = getattr(self._labeller, "failed", {})
        return Counter(why.get(text, "no answer") for text in unlabelled)

    def _ask(self, *groups: Iterable[str]) -> None:
        new = [text for text in _distinct(*groups) if text not in self._codes]
        if new:
            self._codes.update((text, _code(lesions)) for text, lesions in zip(new, self._labeller.label(new), strict=True))


def _distinct(*groups: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for group in groups for text in group))


def _code(lesions: Lesions) -> np.ndarray | None:
    """(2, 14) status and side as places in the vocabulary; None where the labeller had no answer."""
    if not lesions:
        return None
    if tuple(lesion.name for lesion in lesions) != LESIONS:
        raise WrongLesions(f"a labeller gives the 14 lesions of the vocabulary in order; it gave {[lesion.name for lesion in lesions]}")
    try:
        return np.array([[_STATUS[lesion.status] for lesion in lesions], [_SIDE[lesion.side] for lesion in lesions]], dtype=np.int8)
    except KeyError as unknown:
        raise WrongLesions(f"a labeller gave {unknown} as status or side; known: {', '.join(STATUSES)}; {', '.join(SIDES)}") from None


_STATUS = {status: place for place, status in enumerate(STATUSES)}
_SIDE = {side: place for place, side in enumerate(SIDES)}


def _counts(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(n, 5, 14) counts from (n, 2, 14) codes of hypotheses and references."""
    said, true = ours[:, 0] == POSITIVE, theirs[:, 0] == POSITIVE
    hit = said & true
    sided = hit & (ours[:, 1] != UNSTATED) & (theirs[:, 1] != UNSTATED)
    return np.stack([hit, said & ~true, ~said & true, sided, sided & (ours[:, 1] == theirs[:, 1])], axis=1).astype(np.float64)


def _precision_recall_f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    occurs = tp + fp + fn > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (np.where(whole > 0, part / whole, 0.0) for part, whole in ((tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn)))
        precision, recall, f1 = (np.where(occurs, share, np.nan) for share in shares)
    return precision, recall, f1
