"""Scores of candidates -> how often a metric ranks the one without error above the one with, and how far each kind makes the score fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from benchmark.per_case import CaseNumber
from benchmark.records import Row
from benchmark.shares import share
from benchmark.statistics import PatientBootstrap

CONVENTIONS = "audit|unit:report|better:higher|ties:half|mean:over_all_errors"
TOLERANCE = 1e-12
"""scores that differ by less are tied: they are equal but for the order of summation"""
ALL = "all errors"


def ranked(
    bootstrap: PatientBootstrap,
    number: CaseNumber,
    scores: Mapping[str, np.ndarray],
    made: Mapping[str, np.ndarray],
    errors: Sequence[str],
    rewrites: Sequence[str],
    signature: str,
) -> list[Row]:
    """The rows of one number; ``model`` is the kind of candidate, or ``ALL``: the mean over the errors that were made, NaN if it lacks one of them.

    scores     kind -> (n,) the number of each report, NaN where there is none; ``identical`` is among the kinds
    made       kind -> (n,) True where the kind applies to the report
    returns    ``<number>.above``: share of pairs in which the rewrite scores higher than the error, pairs of equal scores counted half; over all
               rewrites, and ``<number>.above.<rewrite>`` for each; ``<number>.ties``: share of pairs of equal scores; ``<number>.drop``: mean of
               the score that the reference has for itself minus the candidate's. Scored and unscored are pairs; of a drop they are reports.
               ``<number>.reports``: how many reports have a pair that is scored, of how many the error was made of
    """
    better = {kind: number.better_higher(values) for kind, values in scores.items()}
    kinds = (*errors, *rewrites)
    pairs = np.stack([_compared(better[error], better[rewrite]) for error, rewrite in product(errors, rewrites)], axis=1)  # (n, E * W, 3)
    falls = np.stack([_fall(better["identical"], better[kind]) for kind in kinds], axis=1)  # (n, K, 2)
    possible = np.stack([made[error] & made[rewrite] for error, rewrite in product(errors, rewrites)], axis=1)
    there = np.flatnonzero(possible.any(axis=0).reshape(len(errors), len(rewrites)).any(axis=1)).tolist()
    split = pairs.shape[1] * 3

    def values(sums: np.ndarray) -> dict[str, np.ndarray]:
        wins, ties, count = np.moveaxis(np.reshape(sums[..., :split], (*sums.shape[:-1], len(errors), len(rewrites), 3)), -1, 0)
        fall, fallen = np.moveaxis(np.reshape(sums[..., split:], (*sums.shape[:-1], len(kinds), 2)), -1, 0)
        above = share((wins + ties / 2).sum(axis=-1), count.sum(axis=-1))
        tied = share(ties.sum(axis=-1), count.sum(axis=-1))
        by_rewrite = share(wins + ties / 2, count)
        found = {f"{error}|above": above[..., place] for place, error in enumerate(errors)}
        found |= {f"{error}|ties": tied[..., place] for place, error in enumerate(errors)}
        found |= {f"{error}|above.{rewrite}": by_rewrite[..., e, w] for (e, error), (w, rewrite) in product(enumerate(errors), enumerate(rewrites))}
        found |= {f"{kind}|drop": share(fall, fallen)[..., place] for place, kind in enumerate(kinds)}
        # undefined in a draw, too, that lacks an error: a mean over fewer is another number
        return found | {
            f"{ALL}|{name}": each[..., there].mean(axis=-1) if there else each[..., 0] for name, each in (("above", above), ("ties", tied))
        }

    statistics = np.concatenate([pairs.reshape(len(pairs), -1), falls.reshape(len(falls), -1)], axis=1)
    entered = _counts(pairs[..., 2], falls[..., 1], errors, rewrites)
    wanted = _counts(possible, np.stack([made[kind] for kind in kinds], axis=1), errors, rewrites)
    rows = []
    made_of = f"{CONVENTIONS}|number:{number.name}|metric:({signature})|v1"
    for key, estimate in bootstrap.scores(statistics, values).estimates.items():
        kind, _, name = key.partition("|")
        scored = int(entered[key].sum())
        low, high = estimate[1:] if bootstrap.patients_among(entered[key] > 0) > 1 else (np.nan, np.nan)
        counts = scored, int(wanted[key].sum()) - scored
        rows.append(Row(kind, number.metric, f"{number.name}.{name}", estimate.value, low, high, *counts, made_of, title=number.title))
    for error in errors:
        reports, of = int((entered[f"{error}|above"] > 0).sum()), int((wanted[f"{error}|above"] > 0).sum())
        rows.append(
            Row(error, number.metric, f"{number.name}.reports", float(reports), np.nan, np.nan, reports, of - reports, made_of, title=number.title)
        )
    return rows


def _compared(error: np.ndarray, rewrite: np.ndarray) -> np.ndarray:
    """(n, 3) rewrite higher, equal, and one where both have a score."""
    with np.errstate(invalid="ignore"):
        difference = rewrite - error
    both = ~np.isnan(difference)
    return np.stack([both & (difference > TOLERANCE), both & (np.abs(difference) <= TOLERANCE), both], axis=1).astype(np.float64)


def _fall(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """(n, 2) how much less the candidate has than the reference, and one where both have a score."""
    difference = reference - candidate
    both = ~np.isnan(difference)
    return np.stack([np.where(both, difference, 0.0), both], axis=1)


def _counts(pairs: np.ndarray, fallen: np.ndarray, errors: Sequence[str], rewrites: Sequence[str]) -> dict[str, np.ndarray]:
    """For each number of ``ranked``: (n,) how many pairs of each report it is of; of a drop, whether the report is in it.

    pairs   (n, E * W)    of each error and rewrite, one or none
    fallen  (n, E + W)    of each kind, one or none
    """
    cells = pairs.reshape(len(pairs), len(errors), len(rewrites))
    found = {f"{error}|above.{rewrite}": cells[:, e, w] for (e, error), (w, rewrite) in product(enumerate(errors), enumerate(rewrites))}
    found |= {f"{error}|{name}": cells[:, e].sum(axis=1) for e, error in enumerate(errors) for name in ("above", "ties")}
    found |= {f"{kind}|drop": fallen[:, place] for place, kind in enumerate((*errors, *rewrites))}
    return found | dict.fromkeys((f"{ALL}|above", f"{ALL}|ties"), pairs.sum(axis=1))
