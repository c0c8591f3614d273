"""Speed of the patient bootstrap beside loops that resample row by row. Run: python tests/benchmarks/bootstrap.py [cases]

CPU seconds of one process. The loops are timed on a few draws and scaled up to 1,000 (their cost is the same for every draw).
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from benchmark.statistics import PatientBootstrap, draw_counts, patient_numbers

LESIONS, COLUMNS, DRAWS = 14, 60, 1000


def main(cases: int = 31_255) -> None:
    """Print one line per way, and how far its numbers are from ours on the same draws."""
    generator = np.random.default_rng(0)
    patients = [f"p{number:05d}" for number in generator.integers(0, cases, size=cases)]
    true, said = (generator.random((cases, LESIONS)) < 0.15 for _ in range(2))
    counts = np.concatenate([true & said, said & ~true, true & ~said], axis=1).astype(float)
    statistics = np.concatenate([counts, generator.random((cases, COLUMNS - 3 * LESIONS))], axis=1)

    bootstrap = PatientBootstrap(patients, draws=DRAWS, seed=1)
    first = cpu_seconds(lambda: bootstrap.scores(statistics, values))
    again = cpu_seconds(lambda: bootstrap.scores(statistics, values))
    pair = cpu_seconds(lambda: bootstrap.difference(statistics, statistics[::-1], values))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{cases} cases of {bootstrap.patients} patients, {COLUMNS} columns, {DRAWS} draws; peak memory {peak_mb:.0f} MB")
    print(f"matrix product, draws included   {first:9.3f} s")
    print(f"matrix product, next model       {again:9.3f} s")
    print(f"paired difference with its test  {pair:9.3f} s")

    number, count = patient_numbers(patients)
    rows_of = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number, minlength=count))[:-1])
    drawn = draw_counts(count, 4, seed=1)
    gathered = [np.concatenate([rows_of[patient] for patient in np.repeat(np.arange(count), row)]) for row in drawn]
    ours = values(bootstrap.resample(_sums(statistics, number, count)))["f1"][:4]
    for name, loop in (
        ("numpy gather", lambda rows: values(statistics[rows].sum(axis=0))["f1"]),
        ("scikit-learn", lambda rows: sklearn_f1(true, said, rows)),
    ):
        found: list[np.ndarray] = []
        seconds = cpu_seconds(lambda loop=loop, found=found: found.extend(loop(rows) for rows in gathered)) * DRAWS / len(gathered)
        apart = np.abs(np.array(found) - ours).max()
        print(f"{name:32} {seconds:9.1f} s  {seconds / first:8.0f} x, largest difference {apart:.1e}")


def values(sums: np.ndarray) -> dict[str, np.ndarray]:
    tp, fp, fn = (sums[..., part * LESIONS : (part + 1) * LESIONS] for part in range(3))
    f1 = 2 * tp / (2 * tp + fp + fn)
    return {"f1": f1.mean(axis=-1)} | {f"mean{column}": sums[..., column] for column in range(COLUMNS)}


def sklearn_f1(true: np.ndarray, said: np.ndarray, rows: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(precision_recall_fscore_support(true[rows], said[rows], average="macro", zero_division=0)[2])


def _sums(statistics: np.ndarray, number: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros((count, statistics.shape[1]))
    np.add.at(sums, number, statistics)
    return sums


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
