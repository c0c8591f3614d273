"""Which lesions a report gets right: precision, recall and F1 for each of 14, and their macro and micro averages.

Both texts go through the same labeller; a case counts for a lesion as a hit (tp), a false alarm (fp) or a miss (fn) by status alone, as in
Tables 1, 3 and 4 of Noh, Pi, Lee, Scientific Reports 16:4645 (2026). Numbers compare only within one labeller: it is in the signature.

Conventions, where the paper is silent:
- a lesion that occurs on one side only: the share with the empty denominator is 0, as with ``zero_division=0`` of scikit-learn;
- a lesion that occurs on neither side: NaN, and left out of the macro averages (means over the lesions that occur);
- the macro F1 is the mean of the lesions' F1, not the harmonic mean of the averages (so does the paper: its Average rows show it).

Side is scored apart, since it does not enter the paper's numbers. A hit whose reference states a side (left, right, bilateral) is on that side, on
another (left against bilateral is another), or says none: ``side_accuracy`` is the share of the first among hits with a side in both texts,
``wrong_side`` and ``side_omitted`` are the shares of the other two among hits whose reference states one. ``f1_sided`` is the F1 in which a hit needs
the side, too: a wrong or omitted one makes it a miss and a false alarm at once. A side of which the reference says nothing is nobody's error.

``hallucination`` is the share of false alarms among reports whose reference lacks the lesion (one minus ``specificity``), ``omission`` that of misses
among those whose reference has it. Their micro averages pool all lesions, their macro averages are means over the lesions for which there is a share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmark.hookspecs import Labeller
from benchmark.records import Lesions
from benchmark.shares import SHARE, mean_of_defined, share
from benchmark.vocabulary import LESIONS, SIDES, STATUSES

COUNTS = ("tp", "fp", "fn", "sided", "side_agrees", "placed")
"""Columns of ``statistics``, each 14 wide: lesions in the order of the vocabulary. ``placed``: hits whose reference states a side."""
REPORTS = ("reports", "reports_with_false_alarm", "reports_with_miss", "reports_with_wrong_side")
"""The columns after them: one, and whether the report has an error of that kind in any lesion."""
CONFUSION = tuple((true, said) for true in SIDES for said in SIDES)
"""The last ones: hits of all lesions by the side of the reference and of the report."""
COLUMNS = len(COUNTS) * len(LESIONS) + len(REPORTS) + len(CONFUSION)
POSITIVE = STATUSES.index("positive")
UNSTATED = SIDES.index("not mentioned")

RATES = ("hallucination", "omission", "wrong_side", "side_omitted")
"""shares of errors"""
PER_LESION = (
    "precision",
    "recall",
    "f1",
    "support",
    "side_accuracy",
    "f1_sided",
    "specificity",
    "hallucination",
    "omission",
    "wrong_side",
    "side_omitted",
    "side_support",
)
AVERAGED = ("precision", "recall", "f1", "f1_sided", "specificity", "hallucination", "omission")
TITLES = {
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "micro_precision": "Micro precision",
    "micro_recall": "Micro recall",
    "macro_f1_sided": "Macro F1 with side",
    "micro_f1_sided": "Micro F1 with side",
    "macro_specificity": "Macro specificity",
    "micro_specificity": "Micro specificity",
    "macro_hallucination": "Macro hallucination",
    "micro_hallucination": "Hallucination",
    "macro_omission": "Macro omission",
    "micro_omission": "Omission",
    "side_accuracy": "Same side",
    "wrong_side": "Wrong side",
    "side_omitted": "Side omitted",
    "reports_with_false_alarm": "Reports with a false alarm",
    "reports_with_miss": "Reports with a miss",
    "reports_with_wrong_side": "Reports with a wrong side",
}


class WrongLesions(ValueError):
    """A labeller gave something else than the 14 lesions in order, each with a known status and side."""


class LesionScores:
    """Precision, recall and F1 over the lesions that a labeller finds in two reports."""

    name = "lesions"
    layout = "2"
    """of the columns, apart from the signature: what was kept in another is measured again, and its numbers are the same"""
    titles = TITLES | {f"{lesion}.{name}": f"{lesion.capitalize()} {name.replace('_', ' ')}" for lesion in LESIONS for name in PER_LESION}
    lower_is_better = frozenset(
        [f"{level}_{rate}" for level in ("macro", "micro") for rate in ("hallucination", "omission")]
        + ["wrong_side", "side_omitted", *REPORTS[1:]]
        + [f"{lesion}.{rate}" for lesion in LESIONS for rate in RATES]
    )
    undirected = frozenset(f"{lesion}.{name}" for lesion in LESIONS for name in ("support", "side_support"))
    ranges = dict.fromkeys(sorted(titles.keys() - undirected), SHARE)
    headlines = ("macro_f1", "micro_f1")

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
        """(n, 104) counts, see ``COLUMNS``; a row of NaN where the labeller had no answer (an empty tuple) for one of the texts."""
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references; they are paired in order")
        self._ask(hypotheses, references)
        rows = np.full((len(hypotheses), COLUMNS), np.nan)
        pairs = [(self._codes[hypothesis], self._codes[reference]) for hypothesis, reference in zip(hypotheses, references, strict=True)]
        scored = [(row, ours, theirs) for row, (ours, theirs) in enumerate(pairs) if ours is not None and theirs is not None]
        if scored:
            index, ours, theirs = zip(*scored, strict=True)
            rows[list(index)] = _counts(np.stack(ours), np.stack(theirs))
        self.failures = self._failures(hypotheses, references)
        return rows

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The numbers of each lesion, ``<lesion>.<number>``, and of all: ``macro_*``, ``micro_*``, and what has no average of its own.

        support, side_support                   reference positives; hits whose reference states a side
        precision, recall, f1                   by status alone, as the paper's
        f1_sided                                the F1 in which a hit needs the side, too
        hallucination, omission, specificity    shares of the references without the lesion, with it, and without it
        side_accuracy                           of the hits with a side in both texts
        wrong_side, side_omitted                of the hits whose reference states a side
        reports_with_*                          share of the reports with at least one error of that kind
        side.<true>_as_<said>                   hits of all lesions by side in reference and report; ``unstated`` where none is
        """
        sums = np.asarray(sums, dtype=np.float64)
        wide = len(COUNTS) * len(LESIONS)
        tp, fp, fn, sided, agrees, placed = np.moveaxis(np.reshape(sums[..., :wide], (*sums.shape[:-1], len(COUNTS), len(LESIONS))), -2, 0)
        reports = sums[..., wide]
        numbers = _numbers(tp, fp, fn, reports[..., None] - tp - fp - fn, sided, agrees, placed)
        of_all = _numbers(*(count.sum(axis=-1) for count in (tp, fp, fn, reports[..., None] - tp - fp - fn, sided, agrees, placed)))
        result = {f"{lesion}.{name}": numbers[name][..., column] for column, lesion in enumerate(LESIONS) for name in PER_LESION}
        result |= {f"macro_{name}": mean_of_defined(numbers[name]) for name in AVERAGED}
        result |= {f"micro_{name}": of_all[name] for name in AVERAGED}
        result |= {name: of_all[name] for name in ("side_accuracy", "wrong_side", "side_omitted")}
        result |= {name: share(sums[..., wide + place], reports) for place, name in enumerate(REPORTS) if place}
        names = [f"side.{_short(true)}_as_{_short(said)}" for true, said in CONFUSION]
        return result | {name: sums[..., column] for column, name in enumerate(names, start=COLUMNS - len(CONFUSION))}

    def outcomes(self, statistics: np.ndarray) -> dict[str, np.ndarray]:
        """Lesion -> (n,) 1 where the report has its status right, 0 where not, NaN where the case is not scored: what McNemar's test compares."""
        counts = statistics[:, : len(COUNTS) * len(LESIONS)].reshape(len(statistics), len(COUNTS), len(LESIONS))
        right = 1 - counts[:, COUNTS.index("fp")] - counts[:, COUNTS.index("fn")]
        return {lesion: right[:, column] for column, lesion in enumerate(LESIONS)}

    def signature(self) -> str:
        """Names the labeller and the conventions; the labeller's own signature stands in brackets, since it has fields of its own."""
        return (
            f"lesions|unit:case|count:status|absent_on_both:left_out|zero_division:0|macro:mean_of_lesions|labeller:({self._labeller.signature()})|v1"
        )

    def lesions_in_references(self, statistics: np.ndarray) -> np.ndarray:
        """(n,) how many of the 14 lesions each reference has, from (n, k) statistics of any model; NaN where the case was not scored."""
        hits, misses = (statistics[:, place * len(LESIONS) : (place + 1) * len(LESIONS)] for place in (COUNTS.index("tp"), COUNTS.index("fn")))
        counts: np.ndarray = (hits + misses).sum(axis=1)
        return counts

    def label_pairs(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[tuple[Lesions, Lesions]]:
        """What the labeller finds in hypothesis and reference of each case, with side, certainty and rationale; for reading single cases."""
        texts = _distinct(hypotheses, references)
        found = dict(zip(texts, self._labeller.label(texts), strict=True))
        return [(found[hypothesis], found[reference]) for hypothesis, reference in zip(hypotheses, references, strict=True)]

    @property
    def labeller(self) -> Labeller:
        """Who labels."""
        return self._labeller

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
    """(n, 104) counts from (n, 2, 14) codes of hypotheses and references."""
    said, true = ours[:, 0] == POSITIVE, theirs[:, 0] == POSITIVE
    hit, false_alarm, miss = said & true, said & ~true, ~said & true
    placed = hit & (theirs[:, 1] != UNSTATED)
    sided = placed & (ours[:, 1] != UNSTATED)
    agrees = sided & (ours[:, 1] == theirs[:, 1])
    each = np.concatenate([hit, false_alarm, miss, sided, agrees, placed], axis=1)
    of_reports = np.stack([np.ones(len(ours), dtype=bool), *(errors.any(axis=1) for errors in (false_alarm, miss, sided & ~agrees))], axis=1)
    cells = np.where(hit, theirs[:, 1] * len(SIDES) + ours[:, 1], -1)
    confusion = np.stack([(cells == cell).sum(axis=1) for cell in range(len(CONFUSION))], axis=1)
    return np.concatenate([each, of_reports, confusion], axis=1).astype(np.float64)


def _numbers(
    tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray, sided: np.ndarray, agrees: np.ndarray, placed: np.ndarray
) -> dict[str, np.ndarray]:
    """Every number of one lesion, or of all in one, from its counts."""
    precision, recall, f1 = _precision_recall_f1(tp, fp, fn)
    elsewhere = placed - agrees  # on a wrong side, or on none
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": tp + fn,
        "side_accuracy": share(agrees, sided),
        "f1_sided": _precision_recall_f1(tp - elsewhere, fp + elsewhere, fn + elsewhere)[2],
        "specificity": share(tn, fp + tn),
        "hallucination": share(fp, fp + tn),
        "omission": share(fn, tp + fn),
        "wrong_side": share(sided - agrees, placed),
        "side_omitted": share(placed - sided, placed),
        "side_support": placed,
    }


def _short(side: str) -> str:
    """The side as it stands in a number's name."""
    return "unstated" if side == SIDES[UNSTATED] else side


def _precision_recall_f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    occurs = tp + fp + fn > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (np.where(whole > 0, part / whole, 0.0) for part, whole in ((tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn)))
        precision, recall, f1 = (np.where(occurs, share, np.nan) for share in shares)
    return precision, recall, f1
