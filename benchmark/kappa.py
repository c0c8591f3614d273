"""How far labellers agree on the 14 lesions: every number a function of column sums, so that ``PatientBootstrap`` gives it an interval.

Two labellers:  raw agreement; kappa (Cohen 1960); PABAK, prevalence-adjusted bias-adjusted kappa (Byrt, Bishop, Carlin 1993), for two classes
                2 x raw agreement - 1; precision, recall and F1 by the conventions of ``metrics.lesions``; and of the side where both affirm.
More of them:   kappa of Fleiss (1971) and alpha of Krippendorff (Computing Krippendorff's Alpha-Reliability, 2011), nominal.
Direction:      McNemar's exact test (1947): of the cases in which only one of two affirms, is it one of them more often than a coin would have it?

Kappa is undefined where both say one and the same thing of every case. Macro numbers are means over the lesions that at least one of the labellers
affirms, micro numbers pool the decisions on all lesions. A labeller without an answer says nothing: it is never read as negative. Of two that
never both state a side, of any lesion, kappa of the side is undefined, not 0: one of them knows no sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.records import Lesions
from benchmark.shares import mean_of_defined, share
from benchmark.statistics import mcnemar
from benchmark.vocabulary import LESIONS, SIDES

UNANSWERED = -1
UNSTATED = SIDES.index("not mentioned")
PAIR_COUNTS = (
    *("cases", "both", "only_first", "only_second", "sided", "side_agrees", "same_side"),
    *(f"{who} {side}" for who in ("first", "second") for side in SIDES),
)
"""Columns of ``pair_statistics``, each 14 wide; all from ``sided`` on speak of the cases in which both affirm the lesion."""
AVERAGED = ("kappa", "pabak", "raw_agreement", "precision", "recall", "f1", "side_agreement", "side_kappa")
"""numbers of a lesion of which there is a macro average"""


def coded(labels: Sequence[Lesions]) -> np.ndarray:
    """(n, 2, 14) int8: status (1 positive, 0 negative) and place of the side in ``SIDES``; -1 throughout where there is no answer."""
    none = ([UNANSWERED] * len(LESIONS),) * 2
    codes = [([_STATUS[one.status] for one in lesions], [_SIDE[one.side] for one in lesions]) if lesions else none for lesions in labels]
    return np.array(codes, dtype=np.int8).reshape(len(labels), 2, len(LESIONS))


_STATUS = {"positive": 1, "negative": 0}
_SIDE = {side: place for place, side in enumerate(SIDES)}


def answered(codes: np.ndarray) -> np.ndarray:
    """(n,) True where a labeller had an answer."""
    return np.asarray(codes[:, 0, 0] != UNANSWERED)


def differing(codes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Twice (n, 14): True where labellers that answered differ by status; and where all of them affirm the lesion but differ by side.

    A labeller that never states a side knows none, and differs from nobody by it.
    """
    status, side = (np.stack([labeller[:, what] for labeller in codes]) for what in (0, 1))
    by_status = (status == 1).any(axis=0) & (status == 0).any(axis=0)
    has_side = (status == 1) & (side != UNSTATED).any(axis=(1, 2), where=status == 1)[:, None, None]
    lowest, highest = np.where(has_side, side, len(SIDES)).min(axis=0), np.where(has_side, side, UNANSWERED).max(axis=0)
    return by_status, has_side.any(axis=0) & ~by_status & (lowest != highest)


def pair_statistics(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, 15 * 14) counts, see ``PAIR_COUNTS``, from the codes of two labellers; a row of NaN where one of them had no answer."""
    is_scored = answered(first) & answered(second)
    (ours, our_side), (theirs, their_side) = (np.moveaxis(codes[is_scored], 1, 0) for codes in (first, second))
    both = (ours == 1) & (theirs == 1)
    sided = both & (our_side != UNSTATED) & (their_side != UNSTATED)
    is_same = our_side == their_side
    sides = [both & (side == place) for side in (our_side, their_side) for place in range(len(SIDES))]
    counts = [np.ones_like(both), both, (ours == 1) & (theirs == 0), (ours == 0) & (theirs == 1), sided, sided & is_same, both & is_same, *sides]
    rows = np.full((len(first), len(PAIR_COUNTS) * len(LESIONS)), np.nan)
    rows[is_scored] = np.stack(counts, axis=1).reshape(len(both), -1)
    return rows


def pair_values(sums: np.ndarray, *, has_truth: bool) -> dict[str, np.ndarray]:
    """Every number of two labellers from column sums (..., 15 * 14): ``<lesion>.kappa``, ``macro_kappa``, ``micro_kappa`` and so on.

    ``has_truth`` adds precision and recall of the first, the second being the truth; without, only what is the same both ways.
    """
    counts = np.moveaxis(np.reshape(sums, (*np.shape(sums)[:-1], len(PAIR_COUNTS), len(LESIONS))), -2, 0)
    numbers, pooled = _pair_numbers(counts, has_truth=has_truth), _pair_numbers(counts.sum(axis=-1), has_truth=has_truth)
    occurs = counts[1] + counts[2] + counts[3] > 0
    has_sides = counts[4].sum(axis=-1) > 0
    numbers["side_kappa"] = np.where(has_sides[..., None], numbers["side_kappa"], np.nan)
    pooled["side_kappa"] = np.where(has_sides, pooled["side_kappa"], np.nan)
    result = {f"{lesion}.{name}": number[..., column] for column, lesion in enumerate(LESIONS) for name, number in numbers.items()}
    result |= {f"macro_{name}": mean_of_defined(np.where(occurs, numbers[name], np.nan)) for name in AVERAGED if name in numbers}
    return result | {f"micro_{name}": number for name, number in pooled.items()}


def direction_p_values(statistics: np.ndarray) -> dict[str, float]:
    """Lesion -> p-value of "one of the two affirms it more often", from a pair's statistics. Cases count as independent."""
    sums = statistics[~np.isnan(statistics[:, 0])].sum(axis=0)
    only_first, only_second = sums.reshape(len(PAIR_COUNTS), len(LESIONS))[2:4].astype(int)
    return {lesion: mcnemar(int(ours), int(theirs)) for lesion, ours, theirs in zip(LESIONS, only_first, only_second, strict=True)}


def group_statistics(codes: Sequence[np.ndarray], *, at_least: int) -> np.ndarray:
    """(n, 3 * 14) for ``fleiss_values`` and ``alpha_values``: answers, positive ones, and how far those of the case disagree.

    A row of NaN where fewer than ``at_least`` labellers answered: all of them for Fleiss, two for Krippendorff.
    """
    said = np.stack([labeller[:, 0] for labeller in codes])
    answers, positives = ((said != UNANSWERED).sum(axis=0).astype(np.float64), (said == 1).sum(axis=0).astype(np.float64))
    differing = 2 * positives * (answers - positives) / np.maximum(answers - 1, 1)  # ordered pairs of answers that differ, per partner
    rows = np.stack([answers, positives, differing], axis=1).reshape(len(answers), -1)
    return np.where(answers[:, :1] >= at_least, rows, np.nan)


def fleiss_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``<lesion>.fleiss_kappa``, and its macro and micro averages."""
    return _chance_corrected("fleiss_kappa", sums, with_replacement=True)


def alpha_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    """``<lesion>.krippendorff_alpha``, and its macro and micro averages."""
    return _chance_corrected("krippendorff_alpha", sums, with_replacement=False)


def _pair_numbers(counts: np.ndarray, *, has_truth: bool) -> dict[str, np.ndarray]:
    cases, both, only_first, only_second, sided, agrees, same_side = counts[:7]
    neither = cases - both - only_first - only_second
    first, second = both + only_first, both + only_second
    by_chance = np.sum(counts[7 : 7 + len(SIDES)] * counts[7 + len(SIDES) :], axis=0)  # of both^2 pairs drawn from the two marginals
    numbers = {
        "kappa": share(2 * (both * neither - only_first * only_second), first * (cases - second) + second * (cases - first)),
        "pabak": 2 * share(both + neither, cases) - 1,
        "raw_agreement": share(both + neither, cases),
    }
    occurs = both + only_first + only_second > 0
    shares = {"precision": (both, first), "recall": (both, second)} if has_truth else {}
    for name, (part, whole) in (shares | {"f1": (2 * both, first + second)}).items():
        numbers[name] = np.where(occurs, np.where(whole > 0, share(part, whole), 0.0), np.nan)
    return numbers | {
        "prevalence_first": share(first, cases),
        "prevalence_second": share(second, cases),
        "prevalence_difference": share(only_first - only_second, cases),
        "positives_first": first,
        "positives_second": second,
        "positives_both": both,
        "side_stated_by_both": sided,
        "side_agreement": share(agrees, sided),
        "side_kappa": share(both * same_side - by_chance, both * both - by_chance),
    }


def _chance_corrected(name: str, sums: np.ndarray, *, with_replacement: bool) -> dict[str, np.ndarray]:
    """1 - disagreement that is there / disagreement of two answers drawn from all of them, per lesion, averaged, and pooled."""
    columns = np.moveaxis(np.reshape(sums, (*np.shape(sums)[:-1], 3, len(LESIONS))), -2, 0)

    def corrected(answers: np.ndarray, positives: np.ndarray, differing: np.ndarray) -> np.ndarray:
        by_chance = share(2 * positives * (answers - positives), answers if with_replacement else answers - 1)
        return 1 - share(differing, by_chance)

    each = corrected(*columns)
    result = {f"{lesion}.{name}": each[..., column] for column, lesion in enumerate(LESIONS)}
    result[f"macro_{name}"] = mean_of_defined(each)  # undefined where nobody affirms the lesion
    result[f"micro_{name}"] = corrected(*columns.sum(axis=-1))
    return result
