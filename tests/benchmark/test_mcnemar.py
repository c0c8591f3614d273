"""McNemar's test against statsmodels 0.14.5, Fagerland, Lydersen and Laake's mid-p by hand, tosses counted one by one, and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from benchmark.statistics import PatientBootstrap, mcnemar, mcnemar_by_patient

# only first, only second: statsmodels.stats.contingency_tables.mcnemar, exact and with the continuity correction, statsmodels 0.14.5
STATSMODELS = [
    ((1, 7), 0.0703125, 0.07709987174354202),
    ((3, 9), 0.14599609375, 0.14891467317876161),
    ((12, 30), 0.007915897334896727, 0.008711912962379598),
    ((150, 190), 0.0342700465332939, 0.03442381432538881),
    ((0, 6), 0.03125, 0.041226833337163815),
]


@pytest.mark.parametrize(("counts", "exact", "corrected"), STATSMODELS)
def test_one_case_per_patient_is_the_usual_test(counts, exact, corrected):
    assert mcnemar(*counts) == pytest.approx(exact, rel=1e-12)
    assert mcnemar(*counts, "chi-square") == pytest.approx(corrected, rel=1e-12)
    net = np.repeat([1, -1, 0], [counts[0], counts[1], 50])
    assert mcnemar_by_patient(net) == mcnemar(*counts)


def test_mid_p_by_hand():
    """Of 1 against 7: twice 9 / 256 less 8 / 256; as many on either side: all but half of the middle."""
    assert mcnemar(1, 7, "mid-p") == pytest.approx(10 / 256)
    assert mcnemar(2, 2, "mid-p") == pytest.approx(1 - 6 / 16 / 2)
    assert mcnemar(2, 2) == 1


def test_many_cases_equal_scipys_binomial_test():
    assert mcnemar(5000, 5300) == pytest.approx(scipy.stats.binomtest(5000, 10300).pvalue, rel=1e-9)
    assert mcnemar(20, 1000) == pytest.approx(scipy.stats.binomtest(20, 1020).pvalue, rel=1e-9)


def test_by_patient_equals_tossing_every_sign():
    """All 2^8 signs of nets of several sizes; a patient with 2 and -2 has none."""
    net = np.array([3, -1, 2, 2, 0, -2, 1, 1, 4])
    totals = [abs(sum(s * size for s, size in zip(signs, np.abs(net), strict=True))) for signs in itertools.product((1, -1), repeat=len(net))]
    assert mcnemar_by_patient(net) == pytest.approx(np.mean(np.array(totals) >= abs(net.sum())), rel=1e-12)
    ties = np.mean(np.array(totals) == abs(net.sum()))
    assert mcnemar_by_patient(net, "mid-p") == pytest.approx(mcnemar_by_patient(net) - ties / 2, rel=1e-12)


def test_it_is_the_sign_flip_test_of_the_shares_right_with_all_flips():
    generator = np.random.default_rng(3)
    patients = [f"p{number // 3:02d}" for number in range(60)]
    ours, theirs = generator.random(60) < 0.8, generator.random(60) < 0.6
    bootstrap = PatientBootstrap(patients, draws=10, flips=40_000)
    rows = [np.column_stack([right, np.ones(60)]).astype(float) for right in (ours, theirs)]
    drawn = bootstrap.difference(*rows, lambda sums: {"share": sums[..., 0] / sums[..., 1]}).estimates["share"].p_value
    net = bootstrap.sums_of((ours.astype(float) - theirs)[:, None])[:, 0]
    assert mcnemar_by_patient(net) == pytest.approx(drawn, abs=0.01)


def test_nothing_that_differs_is_nothing_to_test():
    assert math.isnan(mcnemar(0, 0))
    assert all(math.isnan(mcnemar_by_patient(np.zeros(5), form)) for form in ("exact", "mid-p", "chi-square"))
    assert math.isnan(mcnemar_by_patient(np.array([])))


def test_models_that_are_alike_are_found_to_differ_as_often_as_said_and_no_oftener():
    """400 data sets of 60 patients whose images are hard together: by patient 5 % or less, case by case far more; steps smoothed, p is uniform."""
    generator = np.random.default_rng(11)
    exact, smoothed, by_case = [], [], []
    for _ in range(400):
        owner = np.repeat(np.arange(60), generator.integers(1, 6, size=60))
        right = [generator.normal(size=60)[owner] + 0.5 * generator.normal(size=len(owner)) > -0.5 for _ in range(2)]
        net = np.bincount(owner, weights=right[0].astype(int) - right[1].astype(int))
        exact.append(mcnemar_by_patient(net))
        smoothed.append(exact[-1] - 2 * (1 - generator.random()) * (exact[-1] - mcnemar_by_patient(net, "mid-p")))
        by_case.append(mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())))
    most = scipy.stats.binom.ppf(0.999, 400, 0.05) / 400
    assert np.mean(np.array(exact) <= 0.05) <= most
    assert np.mean(np.array(by_case) <= 0.05) > 2 * most
    assert scipy.stats.kstest(smoothed, "uniform").pvalue > 0.01
