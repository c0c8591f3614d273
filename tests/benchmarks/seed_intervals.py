"""Do intervals over patients and seeds hold what they say: by simulated trainings whose long-run mean is known, beside three other ways.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/seed_intervals.py [data sets] (2,000: eight minutes of one core)

176 patients, as many as the phantoms' test split has. A seed moves its network's scores on all patients alike (its variance as a multiple of what
the patients give the mean of one seed), and each network errs in its own way on each patient (``own``: the share of the patients' variance that no
other seed has). Another row is F1 of a lesion that 30 % have, where a seed moves the sensitivity. Of a paired difference between two designs the same
holds: it is a number per seed, too.

patients      the percentile interval of the seeds' mean by patients alone
doubled       variance of that over the draws + variance between seeds / S, Satterthwaite's degrees of freedom: counts seed x patient twice
Satterthwaite the parts of ``statistics.seeds`` with one t of his degrees of freedom, as Hillis (2007) has it
here          ``statistics.over_seeds``

Widths are multiples of the interval of somebody who knows all variances. The intervals here shall cover 95 % but for chance in all rows of means;
where a seed moves F1 so far that its numbers are skewed (the last row), a little less: 93 with three seeds, and 54 by patients alone.
"""

from __future__ import annotations

import math
import sys
import time
from typing import NamedTuple

import numpy as np
import scipy.stats
from scipy.special import ndtr, ndtri, stdtrit

from benchmark.statistics import draw_counts, over_seeds

PATIENTS, DRAWS, LEVEL = 176, 1000, 0.95
PREVALENCE, SENSITIVITY, FALSE_ALARMS = 0.3, 0.7, 0.05
WAYS = ("patients", "doubled", "Satterthwaite", "here")


class Study(NamedTuple):
    """The number of each seed, and in each draw."""

    values: np.ndarray
    """(S,)"""
    drawn: np.ndarray
    """(R, S)"""


def main(data_sets: int = 2000) -> None:
    started = time.time()
    low, high = scipy.stats.binom.ppf([0.005, 0.995], data_sets, LEVEL) / data_sets
    print(f"{data_sets:,} data sets each, {PATIENTS} patients; a share of 0.95 comes out within {low:.3f} to {high:.3f} in 99 % of such runs\n")
    counts = draw_counts(PATIENTS, DRAWS, 42).astype(np.float64)
    for seeds in (3, 2, 5):
        print(f"{seeds} seeds{'':34} coverage{'':36} width")
        print(
            f"{'mean: variance of seeds : of patients':40} " + " ".join(f"{way:>13}" for way in WAYS) + "  " + " ".join(f"{way:>13}" for way in WAYS)
        )
        for own in (0.0, 0.5, 0.9):
            for ratio in (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0):
                said = f"{ratio:g} : 1, own {own:g}"
                print(held(said, seeds, data_sets, lambda rng, s=seeds, r=ratio, o=own: means(rng, s, r, o, counts), 0.0, spread(seeds, ratio, own)))
        for shift in (0.0, 0.1, 0.3, 0.6):
            truth = f1_in_the_long_run(shift)
            print(
                held(
                    f"F1 {truth:.3f}, sensitivity +- {shift:g} probits",
                    seeds,
                    data_sets,
                    lambda rng, s=seeds, d=shift: f1(rng, s, d, counts),
                    truth,
                    math.nan,
                )
            )
        print()
    print(f"{time.time() - started:.0f} s")


def held(said: str, seeds: int, data_sets: int, draw, truth: float, error: float) -> str:  # type: ignore[no-untyped-def]
    """How often each interval holds the truth, and how wide it is."""
    generator = np.random.default_rng([seeds, 5])
    covered, width = np.zeros(len(WAYS)), np.zeros(len(WAYS))
    for _ in range(data_sets):
        study = draw(generator)
        ends = np.array(intervals(study))
        covered += (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        width += ends[:, 1] - ends[:, 0]
    ideal = 2 * float(ndtri((1 + LEVEL) / 2)) * error
    shares = " ".join(f"{share:12.3f}{'!' if share < 0.94 else ' '}" for share in covered / data_sets)
    widths = " ".join(f"{one:13.2f}" for one in width / data_sets / ideal) if error > 0 else ""
    return f"{said:40} {shares}  {widths}".rstrip()


def intervals(study: Study) -> list[tuple[float, float]]:
    """Both ends, of each of ``WAYS``."""
    values, drawn = study
    seeds = len(values)
    covariances = np.cov(drawn, rowvar=False) * PATIENTS / (PATIENTS - 1)
    of_seeds = values.var(ddof=1) / seeds
    shared = max((covariances.sum() - np.trace(covariances)) / (seeds * (seeds - 1)), 0.0)
    low, high = np.quantile(drawn.mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    here = over_seeds(values, drawn, PATIENTS, LEVEL)
    reaches = [satterthwaite(of_seeds, of_patients, seeds) for of_patients in (covariances.sum() / seeds**2, shared)]
    return [(float(low), float(high)), *((here.value - reach, here.value + reach) for reach in reaches), (here.low, here.high)]


def satterthwaite(of_seeds: float, of_patients: float, seeds: int) -> float:
    whole = of_seeds + of_patients
    freedom = whole**2 / (of_seeds**2 / (seeds - 1) + of_patients**2 / (PATIENTS - 1))
    return float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(whole)


def means(generator: np.random.Generator, seeds: int, ratio: float, own: float, counts: np.ndarray) -> Study:
    """Scores whose mean in the long run is 0."""
    scores = math.sqrt(1 - own) * generator.normal(size=(PATIENTS, 1)) + math.sqrt(own) * generator.normal(size=(PATIENTS, seeds))
    scores += math.sqrt(ratio / PATIENTS) * generator.normal(size=seeds)
    return Study(scores.mean(axis=0), counts @ scores / PATIENTS)


def spread(seeds: int, ratio: float, own: float) -> float:
    """The standard error of their mean."""
    return math.sqrt((1 - own + (own + ratio) / seeds) / PATIENTS)


def f1(generator: np.random.Generator, seeds: int, shift: float, counts: np.ndarray) -> Study:
    """F1 of networks that see half of what they miss alike."""
    true = generator.random(PATIENTS) < PREVALENCE
    ease = math.sqrt(0.5) * (generator.normal(size=(PATIENTS, 1)) + generator.normal(size=(PATIENTS, seeds)))
    level = ndtri(SENSITIVITY) + shift * generator.normal(size=seeds)
    said = ease < np.where(true[:, None], level, ndtri(FALSE_ALARMS))
    parts = [(true[:, None] & said).astype(float), (said | true[:, None]).astype(float)]  # hits; hits, misses and false alarms
    (hits, whole), (drawn_hits, drawn_whole) = ([part.sum(axis=0) for part in parts], [counts @ part for part in parts])
    return Study(2 * hits / (hits + whole), 2 * drawn_hits / (drawn_hits + drawn_whole))


def f1_in_the_long_run(shift: float) -> float:
    """The mean over seeds, of a design that sees so many patients that only seeds vary."""
    points, weights = np.polynomial.hermite_e.hermegauss(41)
    hits = PREVALENCE * ndtr(ndtri(SENSITIVITY) + shift * points)
    return float((weights * 2 * hits / (hits + (1 - PREVALENCE) * FALSE_ALARMS + PREVALENCE)).sum() / weights.sum())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
