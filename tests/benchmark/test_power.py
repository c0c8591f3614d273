"""The smallest detectable difference against statsmodels 0.14.5 and simulation; non-inferiority against the interval that decides it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from benchmark.statistics import PatientBootstrap, interval, minimum_detectable, p_within
from benchmark.statistics.power import standard_error

# patients: statsmodels.stats.power.TTestPower().solve_power(nobs=patients, alpha=0.05, power=0.8), in standard deviations, statsmodels 0.14.5
STATSMODELS = {3: 3.264043552819638, 5: 1.6819970833232674, 10: 0.9960019107624178, 30: 0.5292357045238948, 200: 0.19906465946973934}
STATSMODELS |= {1000: 0.08868101827724957, 5000: 0.0396303504923098}


def mean_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": sums[..., 0] / sums[..., 1]}


def rows(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([scores, np.ones(len(scores))])


@pytest.mark.parametrize(("patients", "expected"), STATSMODELS.items())
def test_a_mean_of_one_case_per_patient_is_the_paired_t_test(patients, expected):
    assert minimum_detectable(1 / math.sqrt(patients), patients) == pytest.approx(expected, rel=1e-4)


def test_for_many_patients_it_is_the_normal_formula():
    assert minimum_detectable(0.01, 50_000, 0.9, 0.9) == pytest.approx(0.01 * (scipy.stats.norm.ppf(0.95) + scipy.stats.norm.ppf(0.9)))
    assert minimum_detectable(0.01, 10_001) == pytest.approx(minimum_detectable(0.01, 10_002), rel=1e-3)


@pytest.mark.parametrize(("error", "patients"), [(0.0, 20), (np.nan, 20), (0.1, 1)])
def test_what_never_varied_detects_nothing(error, patients):
    assert math.isnan(minimum_detectable(error, patients))


def test_the_bootstraps_standard_error_is_that_of_the_mean():
    scores = np.random.default_rng(0).normal(size=25)
    bootstrap = PatientBootstrap([str(case) for case in range(25)], draws=5000)
    drawn = mean_values(bootstrap.resample(rows(scores)[np.argsort([str(case) for case in range(25)])]))["mean"]
    assert standard_error(drawn, 25) == pytest.approx(scores.std(ddof=1) / 5, rel=0.04)
    assert math.isnan(standard_error(np.array([1.0, np.nan, np.nan]), 9))
    assert standard_error(np.array([0.3, 0.1 + 0.2, 0.3]), 9) == 0, "equal but for the order of summation is equal"


def test_a_difference_as_large_as_said_is_found_in_four_of_five_studies():
    """300 studies of 60 patients with one to three images: between 72 and 87 in a hundred."""
    generator = np.random.default_rng(5)
    said, found = [], []
    for seed in range(300):
        owner = np.repeat(np.arange(60), generator.integers(1, 4, size=60))
        patients = [f"p{number:02d}" for number in owner]
        apart = generator.normal(size=60)[owner] + generator.normal(size=len(owner))
        shift = float(np.mean(said)) if said else 0.5
        bootstrap = PatientBootstrap(patients, draws=200, flips=199, seed=seed)
        one = bootstrap.difference(rows(apart + shift), rows(np.zeros(len(owner))), mean_values).estimates["mean"]
        said.append(one.detectable)
        found.append(one.p_value <= 0.05)
    low, high = scipy.stats.binom.ppf([0.001, 0.999], 300, 0.8) / 300
    assert low <= np.mean(found) <= high


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_p_value_of_being_beyond_a_bound_is_the_interval_turned_round(method):
    """The level at which the end of the interval falls on the bound."""
    generator = np.random.default_rng(2)
    scores = generator.gamma(2.0, size=60)
    drawn = generator.choice(scores, size=(20_000, 60)).mean(axis=1)
    left_out = (scores.sum() - scores) / 59
    for tail in (0.4, 0.1, 0.025, 0.004):
        low, high = interval(drawn, scores.mean(), 1 - 2 * tail, method, left_out)
        assert p_within(drawn, scores.mean(), low, method, left_out)[0] == pytest.approx(tail, rel=0.03, abs=2e-4)
        assert p_within(drawn, scores.mean(), high, method, left_out)[1] == pytest.approx(tail, rel=0.03, abs=2e-4)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("apart", [0.4, -0.4])
def test_p_value_and_interval_never_disagree_on_a_bound(method, apart):
    """One of 20 patients differs, so the draws are a few skewed steps; bounds between and beyond them, on none (there rounding would decide)."""
    ours = np.zeros(20)
    ours[0] = apart
    for seed in range(20):
        bootstrap = PatientBootstrap([f"{case:02d}" for case in range(20)], draws=199, seed=seed, flips=9, method=method)
        for bound in (0.001, 0.013, 0.03, 0.051, 0.07, 0.0901, 0.5):
            one = bootstrap.difference(rows(ours), rows(np.zeros(20)), mean_values, {"mean": bound}).estimates["mean"]
            assert (one.low > -bound) == (one.p_not_below < 0.025)
            assert (one.high < bound) == (one.p_not_above < 0.025)
            assert min(one.p_not_below, one.p_not_above) >= 1 / 200


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_a_bound_on_a_draw_is_not_passed(method):
    """Five of 99 draws lie on 0.1, one below; the quantiles of numpy turned round, and rounding of the bound changes nothing."""
    drawn = np.sort(np.concatenate([[0.0], [0.1] * 5, np.linspace(0.2, 0.8, 93)]))
    left_out = np.linspace(0.45, 0.55, 20)
    p_values = [p_within(drawn, 0.5, bound, method, left_out)[0] for bound in (0.1, 0.1 - 1e-16, 0.1 + 1e-16)]
    assert p_values == pytest.approx([p_values[0]] * 3)
    if method == "percentile":
        assert p_values[0] == pytest.approx(5 / 98)
        assert p_within(drawn, 0.5, 0.1, method)[1] == pytest.approx(1 - 1 / 98)


def test_beyond_every_draw_the_p_value_is_small_and_not_zero():
    drawn = np.linspace(0.4, 0.6, 99)
    assert p_within(drawn, 0.5, 0.0) == (0.01, 1.0)
    assert p_within(drawn, 0.5, 1.0) == (1.0, 0.01)
    assert np.isnan(p_within(np.array([np.nan, np.nan, 0.3]), 0.3, 0.0)).all()


def test_a_margin_gives_both_directions_a_p_value_and_no_margin_none():
    generator = np.random.default_rng(0)
    ours, theirs = (rows(generator.normal(shift, 0.1, size=80)) for shift in (0.50, 0.52))
    bootstrap = PatientBootstrap([str(case) for case in range(80)], draws=400)
    one = bootstrap.difference(ours, theirs, mean_values, {"mean": 0.1}).estimates["mean"]
    assert one.low > -0.1
    assert one.p_not_below < 0.025
    assert one.p_not_above < 0.025
    tight = bootstrap.difference(ours, theirs, mean_values, {"mean": 0.001}).estimates["mean"]
    assert tight.low < -0.001
    assert tight.p_not_below > 0.025
    bare = bootstrap.difference(ours, theirs, mean_values).estimates["mean"]
    assert math.isnan(bare.p_not_below)
    assert math.isnan(bare.p_not_above)
