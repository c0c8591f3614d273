"""Do intervals hold what they say, and p-values, and the smallest detectable difference: by simulated data whose truth is known.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/interval_coverage.py [data sets] (2,000: six minutes of one core)

Patients have one image, or one to four that share most of what makes them hard: a normal variable of the patient stands behind each image's truth,
each model's answer and each score, so that the shares in the long run are known without simulation. 95 % intervals shall cover within 93 and 97.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.stats
from scipy.special import ndtr, ndtri

from benchmark.statistics import Method, PatientBootstrap, mcnemar, mcnemar_by_patient

SHARED = 0.6
"""of the variance, between a patient's images"""
DRAWS = 1000


class Design(NamedTuple):
    """Whom a simulated study sees."""

    patients: int
    images: int
    """at most so many per patient, at least one"""
    prevalence: float = 0.2
    """of the lesion, among images"""


def main(data_sets: int = 2000) -> None:
    started = time.time()
    print(f"{data_sets:,} data sets each; a share of 0.95 comes out within {limits(0.95, data_sets)} in 99 % of such runs\n")
    print(f"{'95 % interval of':58} percentile     BCa   undefined")
    for what, design, study in CASES:
        print(f"{what:58} {held(design, study, data_sets)}", flush=True)
    print()
    for design in (Design(200, 1), Design(200, 4), Design(40, 4, 0.1)):
        nulls(design, data_sets)
    print()
    for design in (Design(1000, 4), Design(200, 4), Design(40, 4)):
        power(design, data_sets)
    print(f"\n{time.time() - started:.0f} s")


class Study(NamedTuple):
    """One number, or the difference of two models in it."""

    draw: Callable[[Design, np.random.Generator], tuple[list[str], list[np.ndarray]]]
    """patients of the cases, and the statistics of one model or two"""
    values: Callable[[np.ndarray], dict[str, np.ndarray]]
    truth: Callable[[Design], float]


def held(design: Design, study: Study, data_sets: int) -> str:
    """How often the interval holds the truth, of those data sets in which there is one."""
    covered: dict[Method, int] = {"percentile": 0, "bca": 0}
    undefined: dict[Method, int] = {"percentile": 0, "bca": 0}
    truth = study.truth(design)
    for seed in range(data_sets):
        patients, statistics = study.draw(design, np.random.default_rng([seed, 7]))
        for method in covered:
            bootstrap = PatientBootstrap(patients, draws=DRAWS, flips=1, seed=seed, method=method)
            found = (bootstrap.scores if len(statistics) == 1 else bootstrap.difference)(*statistics, study.values).estimates["number"]  # type: ignore[operator]
            covered[method] += found.low <= truth <= found.high
            undefined[method] += bool(np.isnan(found.low))
    shares = {method: covered[method] / max(1, data_sets - undefined[method]) for method in covered}
    marks = {method: " " if 0.93 <= share <= 0.97 else "!" for method, share in shares.items()}
    numbers = "   ".join(f"{shares[method]:6.3f}{marks[method]}" for method in shares)
    return f"{numbers}   {undefined['percentile'] / data_sets:.3f} {undefined['bca'] / data_sets:.3f}"


def nulls(design: Design, data_sets: int) -> None:
    """Two models that are alike: the p-values of all tests."""
    means, flipped, exact, half, naive, spread = [], [], [], [], [], []
    for seed in range(data_sets):
        generator = np.random.default_rng([seed, 8])
        patients, (ours, theirs) = two_models(design, generator, 0.0)
        bootstrap = PatientBootstrap(patients, draws=1, flips=999, seed=seed)
        flipped.append(bootstrap.difference(ours, theirs, f1).estimates["number"].p_value)
        patients_of_means, scores = two_means(design, generator, 0.0)
        bootstrap_of_means = PatientBootstrap(patients_of_means, draws=1, flips=999, seed=seed)
        means.append(bootstrap_of_means.difference(*scores, mean).estimates["number"].p_value)
        wrong = [model[:, 1] + model[:, 2] for model in (ours, theirs)]
        net = bootstrap.sums_of((wrong[1] - wrong[0])[:, None])[:, 0]
        exact.append(mcnemar_by_patient(net))
        half.append(mcnemar_by_patient(net, "mid-p"))
        naive.append(mcnemar(int(((wrong[0] == 0) & (wrong[1] == 1)).sum()), int(((wrong[0] == 1) & (wrong[1] == 0)).sum())))
        spread.append(exact[-1] - 2 * (1 - generator.random()) * (exact[-1] - half[-1]))  # steps smoothed by chance: uniform if the test is right
    print(f"models that are alike, {said(design)}: share of p <= 0.05")
    for name, p_values in (
        ("sign-flip, mean", means),
        ("sign-flip, F1", flipped),
        ("McNemar by patient, exact", exact),
        ("McNemar by patient, mid-p", half),
    ):
        print(f"    {name:32} {np.mean(np.array(p_values) <= 0.05):.3f}")
    print(f"    {'McNemar, each case a witness':32} {np.mean(np.array(naive) <= 0.05):.3f}")
    for name, p_values in (("sign-flip, mean", means), ("sign-flip, F1", flipped), ("McNemar by patient, steps smoothed", spread)):
        kept = [p for p in p_values if not np.isnan(p)]
        uniform, too_small = (scipy.stats.kstest(kept, "uniform", alternative=side).pvalue for side in ("two-sided", "greater"))
        print(f"    {name:36} Kolmogorov and Smirnov: uniform p {uniform:.3f}, none too small p {too_small:.3f}", flush=True)


def power(design: Design, data_sets: int) -> None:
    """Two models that differ by what is said to be detectable; and two that differ by just the margin."""
    for name, study, values in (("mean", two_means, mean), ("F1", two_models, f1)):
        apart = 0.0
        for turn in range(4):  # what is detectable of models that differ by as much: the spread of F1 grows as it falls
            detectable = []
            for seed in range(100):
                patients, pair = study(design, np.random.default_rng([seed, 9, turn]), apart)
                bootstrap = PatientBootstrap(patients, draws=DRAWS, flips=1, seed=seed)
                detectable.append(bootstrap.difference(*pair, values).estimates["number"].detectable)
            apart = float(np.mean(detectable))
        found, not_worse = [], []
        for seed in range(data_sets):
            patients, pair = study(design, np.random.default_rng([seed, 10]), apart)
            bootstrap = PatientBootstrap(patients, draws=DRAWS, flips=999, seed=seed)
            one = bootstrap.difference(*pair, values, {"number": apart}).estimates["number"]
            found.append(one.p_value <= 0.05)
            not_worse.append(one.low > -apart)
        print(
            f"{name:5} {said(design)}: detectable {apart:.3f}; of such differences the test finds {np.mean(found):.3f} (0.80 was said); "
            f"with a margin as large, {np.mean(not_worse):.3f} count as not worse (0.025 was said)",
            flush=True,
        )


def cluster(design: Design, generator: np.random.Generator) -> np.ndarray:
    """The patient of each image."""
    return np.repeat(np.arange(design.patients), generator.integers(1, design.images + 1, size=design.patients))


def latent(owner: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A standard normal variable per image, most of it the patient's."""
    patient = generator.normal(size=owner.max() + 1)[owner]
    return np.sqrt(SHARED) * patient + np.sqrt(1 - SHARED) * generator.normal(size=len(owner))


SENSITIVITY, FALSE_ALARMS = 0.7, 0.05


def confusion(true: np.ndarray, ease: np.ndarray, sensitivity: float) -> np.ndarray:
    said = ndtr(ease) < np.where(true, sensitivity, FALSE_ALARMS)
    return np.column_stack([true & said, said & ~true, true & ~said]).astype(float)


def two_models(design: Design, generator: np.random.Generator, apart: float) -> tuple[list[str], list[np.ndarray]]:
    """Counts of two models on the same images, the first lower in F1 by ``apart``."""
    owner = cluster(design, generator)
    true = latent(owner, generator) < ndtri(design.prevalence)
    worse = sensitivity_of(f1_of(design.prevalence, SENSITIVITY) - apart, design.prevalence)
    return names(owner), [confusion(true, latent(owner, generator), sensitivity) for sensitivity in (worse, SENSITIVITY)]


def two_means(design: Design, generator: np.random.Generator, apart: float) -> tuple[list[str], list[np.ndarray]]:
    """Skewed scores of two models on the same images, the first lower by ``apart``."""
    owner = cluster(design, generator)
    hard = latent(owner, generator)
    scores = [np.exp(0.3 * (hard + latent(owner, generator))) for _ in range(2)]
    return names(owner), [np.column_stack([score - shift, np.ones(len(owner))]) for score, shift in zip(scores, (apart, 0.0), strict=True)]


def many_lesions(design: Design, generator: np.random.Generator) -> tuple[list[str], list[np.ndarray]]:
    """Counts of one model for 14 lesions, from common to rare."""
    owner = cluster(design, generator)
    parts = [confusion(latent(owner, generator) < ndtri(share), latent(owner, generator), SENSITIVITY) for share in shares(design)]
    return names(owner), [np.stack(parts, axis=2).reshape(len(owner), -1)]


def shares(design: Design) -> np.ndarray:
    return np.geomspace(design.prevalence, design.prevalence / 20, 14)


def names(owner: np.ndarray) -> list[str]:
    return [f"p{number:06d}" for number in owner]


def mean(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {"number": sums[..., 0] / sums[..., 1]}


def f1(sums: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore"):
        return {"number": np.asarray(2 * sums[..., 0] / (2 * sums[..., 0] + sums[..., 1] + sums[..., 2]))}


def macro_f1(sums: np.ndarray) -> dict[str, np.ndarray]:
    each = f1(np.moveaxis(np.reshape(sums, (*np.shape(sums)[:-1], 3, -1)), -2, -1))["number"]
    there = ~np.isnan(each)
    return {"number": np.where(there, each, 0).sum(axis=-1) / there.sum(axis=-1)}


def f1_of(prevalence: float, sensitivity: float) -> float:
    hits = prevalence * sensitivity
    return 2 * hits / (hits + (1 - prevalence) * FALSE_ALARMS + prevalence)


def sensitivity_of(target: float, prevalence: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if f1_of(prevalence, middle) < target else (low, middle)
    return low


def said(design: Design) -> str:
    images = "1 image each" if design.images == 1 else f"1 to {design.images} images each"
    return f"{design.patients} patients, {images}, prevalence {design.prevalence:g}"


def limits(share: float, data_sets: int) -> str:
    low, high = scipy.stats.binom.ppf([0.005, 0.995], data_sets, share) / data_sets
    return f"{low:.3f} to {high:.3f}"


MEAN = Study(lambda design, generator: one_of(two_means(design, generator, 0.0)), mean, lambda design: float(np.exp(0.09)))
F1 = Study(lambda design, generator: one_of(two_models(design, generator, 0.0)), f1, lambda design: f1_of(design.prevalence, SENSITIVITY))
MACRO = Study(many_lesions, macro_f1, lambda design: float(np.mean([f1_of(share, SENSITIVITY) for share in shares(design)])))
MEANS_APART = Study(lambda design, generator: two_means(design, generator, 0.1), mean, lambda design: -0.1)
F1_APART = Study(lambda design, generator: two_models(design, generator, 0.1), f1, lambda design: -0.1)


def one_of(drawn: tuple[list[str], list[np.ndarray]]) -> tuple[list[str], list[np.ndarray]]:
    return drawn[0], drawn[1][1:]


CASES = [
    ("mean, 200 patients", Design(200, 1), MEAN),
    ("mean, 200 patients of 1 to 4 images", Design(200, 4), MEAN),
    ("difference of means, 200 patients of 1 to 4 images", Design(200, 4), MEANS_APART),
    ("F1, 200 patients, 40 positives", Design(200, 1), F1),
    ("F1, 200 patients of 1 to 4 images, 100 positives", Design(200, 4), F1),
    ("difference of F1, 200 patients of 1 to 4 images", Design(200, 4), F1_APART),
    ("macro F1 of 14 lesions, 1,000 patients of 1 to 4 images", Design(1000, 4), MACRO),
    ("F1, 1,000 patients, 20 positives", Design(1000, 1, 0.02), F1),
    ("F1, 500 patients, 10 positives", Design(500, 1, 0.02), F1),
    ("F1, 250 patients, 5 positives", Design(250, 1, 0.02), F1),
    ("macro F1 of 14 lesions, 200 patients, rarest 2 positives", Design(200, 1), MACRO),
    ("mean, 50 patients of 1 to 4 images", Design(50, 4), MEAN),
    ("mean, 20 patients", Design(20, 1), MEAN),
    ("mean, 10 patients", Design(10, 1), MEAN),
    ("F1, 20 patients of 1 to 4 images, 10 positives", Design(20, 4), F1),
]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
