"""Speed of the patient bootstrap beside loops that resample row by row, and of the paired tests beside scipy's.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bootstrap.py [draws] [models] [cases]

CPU seconds of one process, everything included from the statistics of the cases to the intervals. Ours is one call for all models; the loops are
timed on a few draws of one model and scaled up (their cost is the same for every draw and model), and their numbers compared on the same draws.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats
from sklearn.metrics import precision_recall_fscore_support

from benchmark.statistics import Measured, PatientBootstrap, draw_counts
from benchmark.statistics.draws import PatientDraws
from benchmark.statistics.mcnemar import mcnemar_by_patient

LESIONS, MEANS, FLIPS, TIMED = 14, 4, 1000, 4


def main(draws: int = 10_000, models: int = 10, cases: int = 31_255) -> None:
    """Print one line per way, and how far its numbers are from ours."""
    generator = np.random.default_rng(0)
    patients = [f"p{number:05d}" for number in range(cases)]  # each its own: the most that there can be to draw
    true = generator.random((cases, LESIONS)) < 0.15
    said = [true ^ (generator.random((cases, LESIONS)) < 0.1) for _ in range(models)]
    names = [f"model {number}" for number in range(models)]
    counts = {name: confusion(true, found) for name, found in zip(names, said, strict=True)}
    means = {name: np.column_stack([generator.random((cases, MEANS)), np.ones(cases)]) for name in names}
    metrics = [Measured(counts, lesion_values), Measured(means, mean_values)]
    pairs = list(itertools.combinations(names, 2))
    warm_up(patients[:9])
    bootstrap = PatientBootstrap(patients, draws=draws, seed=1)
    print(f"{cases:,} cases, {models} models, {LESIONS} lesions by precision, recall and F1, {MEANS} means; {draws:,} draws; numpy {np.__version__}")

    ours, alone = cpu_seconds(lambda: list(bootstrap.compare(metrics[:1], pairs=())))
    found, both = cpu_seconds(lambda: list(bootstrap.compare(metrics, pairs=())))
    _, drawing = cpu_seconds(lambda: draw_counts(cases, draws, seed=1).shape)
    print(f"lesions, intervals included              {alone:9.2f} s   of it drawing {drawing:.2f} s")
    print(f"lesions and means, intervals included    {both:9.2f} s   peak memory {peak_mb():.0f} MB")
    assert ours[0].scores == found[0].scores

    rows = [np.repeat(np.arange(cases), row) for row in draw_counts(cases, TIMED, seed=1)]
    drawn = PatientDraws(cases, draws=TIMED, flips=1, seed=1).resampled([counts[names[0]]])[0]
    mine = np.stack([lesion_values(drawn)[f"f1.{lesion}"] for lesion in range(LESIONS)], axis=1)
    for name, loop in (
        ("scikit-learn, draw by draw", lambda chosen: sklearn_f1(true[chosen], said[0][chosen])),
        ("numpy gather, draw by draw", lambda chosen: f1_of(counts[names[0]][chosen].sum(axis=0))),
    ):
        theirs, seconds = cpu_seconds(lambda loop=loop: [loop(chosen) for chosen in rows])
        seconds *= draws / TIMED * models
        print(f"{name:40} {seconds:9.1f} s   {seconds / alone:8,.0f} x, largest difference {np.abs(np.array(theirs) - mine).max():.1e}")
    column = means[names[0]][:, 0]
    _, seconds = cpu_seconds(lambda: scipy.stats.bootstrap((column,), np.mean, n_resamples=100, method="percentile", batch=100))
    seconds *= draws / 100 * models * MEANS
    print(f"scipy.stats.bootstrap, the means alone   {seconds:9.1f} s   {seconds / (both - alone):8,.0f} x")

    tests = PatientBootstrap(patients, draws=1, seed=1, flips=FLIPS)
    print(f"sign-flip tests of all {len(pairs)} pairs, {FLIPS:,} flips")
    measured, tested = cpu_seconds(lambda: list(tests.compare(metrics, pairs)))
    print(f"every number of lesions and means        {tested:9.2f} s")
    _, of_means = cpu_seconds(lambda: list(tests.compare(metrics[1:], pairs)))
    print(f"the {MEANS} means                              {of_means:9.2f} s")
    first, second = (means[name][:, 0] for name in names[:2])
    scipys, seconds = cpu_seconds(lambda: permutation(first, second, 100))
    seconds *= FLIPS / 100 * len(pairs) * MEANS
    apart = abs(scipys - measured[1].differences[pairs[0]].estimates["mean.0"].value)
    print(f"scipy.stats.permutation_test, the means  {seconds:9.1f} s   {seconds / of_means:8,.0f} x, largest difference {apart:.1e}")
    wrong = [found != true for found in said]
    nets = [theirs.astype(int) - ours.astype(int) for ours, theirs in itertools.combinations(wrong, 2)]
    _, seconds = cpu_seconds(lambda: [mcnemar_by_patient(net[:, lesion]) for net in nets for lesion in range(LESIONS)])
    print(f"McNemar, exact, {len(pairs)} pairs x {LESIONS} lesions      {seconds:9.2f} s")


def confusion(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    return np.concatenate([true & said, said & ~true, true & ~said], axis=1).astype(float)


def lesion_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    tp, fp, fn = (sums[..., part * LESIONS : (part + 1) * LESIONS] for part in range(3))
    numbers = {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn)}
    return {f"{name}.{lesion}": number[..., lesion] for name, number in numbers.items() for lesion in range(LESIONS)}


def mean_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {f"mean.{column}": sums[..., column] / sums[..., MEANS] for column in range(MEANS)}


def f1_of(sums: np.ndarray) -> np.ndarray:
    return np.array([lesion_values(sums)[f"f1.{lesion}"] for lesion in range(LESIONS)])


def sklearn_f1(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(precision_recall_fscore_support(true, said, zero_division=0)[2])


def permutation(first: np.ndarray, second: np.ndarray, flips: int) -> float:
    def apart(ours: np.ndarray, theirs: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((ours - theirs).mean(axis=axis))

    found = scipy.stats.permutation_test((first, second), apart, permutation_type="samples", n_resamples=flips, vectorized=True, batch=100)
    return float(found.statistic)


def warm_up(patients: list[str]) -> None:
    """Compile, or load what was compiled, and say how long it took."""
    _, seconds = cpu_seconds(lambda: PatientBootstrap(patients, draws=5).scores(np.ones((len(patients), 1)), lambda sums: {"sum": sums[..., 0]}))
    print(f"loading or compiling the kernel {seconds:.2f} s, not counted below")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    done = work()
    return done, time.process_time() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
