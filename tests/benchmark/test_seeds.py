"""Numbers over seeds: by hand, against Student's t where that is exact, and whether intervals hold what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from benchmark.statistics import draw_counts, over_seeds, paired_seeds

NAN = math.nan


def drawn_with(covariances: np.ndarray, values: np.ndarray, patients: int) -> np.ndarray:
    """(R, S) draws whose unbiased covariances, stretched by P / (P - 1), are exactly these."""
    noise = np.random.default_rng(0).normal(size=(400, len(values)))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False))).T
    return values + white @ np.linalg.cholesky(covariances * (patients - 1) / patients).T


def test_the_parts_by_hand() -> None:
    """Three seeds at 0.4, 0.5, 0.6: variance 0.01. Over the draws each has 0.0009 and two share 0.0005, so that i = 0.0004."""
    values = np.array([0.4, 0.5, 0.6])
    drawn = drawn_with(np.full((3, 3), 0.0005) + 0.0004 * np.eye(3), values, 176)
    found = over_seeds(values, drawn, 176)
    assert found.value == pytest.approx(0.5)
    assert found.error == pytest.approx(math.sqrt(0.01 / 3 + 0.0005))
    seeds, patients = scipy.stats.t.ppf(0.975, 2), scipy.stats.t.ppf(0.975, 175)
    reach = math.sqrt(seeds**2 * 0.01 / 3 + patients**2 * 0.0005)
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_where_patients_do_not_matter_it_is_students_t_over_the_seeds() -> None:
    values = np.array([0.31, 0.35, 0.29, 0.33])
    expected = scipy.stats.ttest_1samp(values, 0.0)
    found = over_seeds(values, np.tile(values, (50, 1)), 30)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_where_all_seeds_are_one_network_it_is_students_t_over_the_patients() -> None:
    scores = np.random.default_rng(3).normal(0.1, 1, size=60)
    counts = draw_counts(60, 20_000, 1) / 60
    values, drawn = np.full(3, scores.mean()), np.repeat((counts @ scores)[:, None], 3, axis=1)
    found, expected = over_seeds(values, drawn, 60), scipy.stats.ttest_1samp(scores, 0.0)
    assert found.error == pytest.approx(scores.std(ddof=1) / math.sqrt(60), rel=0.02)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.02)


def test_seeds_that_are_alike_by_chance_say_no_more_of_the_design_than_the_patients_do() -> None:
    values = np.array([0.5, 0.5, 0.5])
    drawn = drawn_with(0.0009 * np.eye(3), values, 100)
    found = over_seeds(values, drawn, 100)
    assert found.error == pytest.approx(math.sqrt(0.0009 / 3))
    assert found.high - 0.5 == pytest.approx(scipy.stats.t.ppf(0.975, 99) * math.sqrt(0.0009 / 3))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_p_value_is_the_level_at_which_the_interval_ends_at_0(level: float) -> None:
    values = np.array([0.02, 0.05, 0.03])
    drawn = drawn_with(np.full((3, 3), 0.0001) + 0.00005 * np.eye(3), values, 90)
    found = over_seeds(values, drawn, 90)
    at_p = over_seeds(values, drawn, 90, 1 - found.p_value)
    assert at_p.low == pytest.approx(0, abs=1e-9)
    assert (over_seeds(values, drawn, 90, level).low > 0) == (found.p_value < 1 - level)
    turned = over_seeds(-values, -drawn, 90)
    assert (turned.p_value, turned.low, turned.high) == pytest.approx((found.p_value, -found.high, -found.low))


def test_a_seed_in_which_the_number_is_undefined_is_left_out() -> None:
    values = np.array([0.2, NAN, 0.3])
    drawn = drawn_with(np.full((3, 3), 0.0005) + 0.0004 * np.eye(3), np.array([0.2, 0.9, 0.3]), 50)
    drawn[:, 1] = NAN
    assert over_seeds(values, drawn, 50) == over_seeds(values[[0, 2]], drawn[:, [0, 2]], 50)


def test_what_is_defined_in_one_seed_or_none_has_no_interval() -> None:
    drawn = np.random.default_rng(0).normal(0.2, 0.1, size=(100, 2))
    one, none = over_seeds(np.array([0.2, NAN]), drawn, 50), over_seeds(np.array([NAN, NAN]), drawn, 50)
    assert one.value == 0.2
    assert math.isnan(none.value)
    assert all(math.isnan(number) for number in (*one[1:], *none[1:]))


def test_draws_in_which_a_seed_has_no_number_are_left_out_until_they_are_most() -> None:
    values = np.array([0.2, 0.3])
    drawn = np.random.default_rng(0).normal(values, 0.1, size=(100, 2))
    holed = drawn.copy()
    holed[:50, 0] = NAN
    assert over_seeds(values, holed, 50) == over_seeds(values, drawn[50:], 50)
    holed[50, 1] = NAN
    assert math.isnan(over_seeds(values, holed, 50).low)


def test_what_never_varies_has_an_interval_of_no_width_and_is_no_finding() -> None:
    same = over_seeds(np.zeros(2), np.zeros((10, 2)), 20)
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    apart = over_seeds(np.full(2, 0.25), np.full((10, 2), 0.25), 20)
    assert (apart.low, apart.high) == (0.25, 0.25)
    assert math.isnan(apart.p_value)
    assert math.isnan(apart.detectable)


def test_fewer_than_two_patients_or_seeds_say_nothing() -> None:
    assert math.isnan(over_seeds(np.array([0.2, 0.3]), np.full((10, 2), 0.2), 1).low)
    with pytest.raises(ValueError, match="at least two seeds"):
        over_seeds(np.array([0.2]), np.full((10, 1), 0.2), 20)


def test_what_is_detectable_is_found_in_four_of_five_comparisons() -> None:
    """Where seeds are all that varies: the power of a t-test on four differences, by its noncentral distribution."""
    values = np.array([-0.02, 0.01, 0.03, 0.0])
    found = over_seeds(values, np.tile(values, (20, 1)), 40)
    error = values.std(ddof=1) / 2
    power = 1 - scipy.stats.nct.cdf(scipy.stats.t.ppf(0.975, 3), 3, found.detectable / error)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_trainings_are_paired_by_their_seed_and_a_single_one_stands_against_each() -> None:
    assert paired_seeds([1, 2, 3], [3, 2, 1]) == [(1, 1), (2, 2), (3, 3)]
    assert paired_seeds([1, 2, 3], [2, 3, 9]) == [(2, 2), (3, 3)]
    assert paired_seeds([1, 2], [2]) == [(1, 2), (2, 2)]
    assert paired_seeds([7], [1, 2]) == [(7, 1), (7, 2)]
    assert paired_seeds([1], [1]) == [(1, 1)]
    with pytest.raises(ValueError, match="the seeds 1, 2 and 2, 3, which share 1; train both with at least two seeds in common"):
        paired_seeds([1, 2], [2, 3])


@pytest.mark.parametrize(("ratio", "own"), [(0.5, 0.5), (5.0, 0.0), (20.0, 0.5)], ids=["patients", "seeds", "seeds far apart"])
def test_intervals_over_three_seeds_cover_and_those_by_patients_alone_do_not(ratio: float, own: float) -> None:
    """500 studies of 60 patients; a share of 0.95 comes out above 0.92 in 999 of 1,000 such tests."""
    patients, seeds, studies = 60, 3, 500
    generator, counts = np.random.default_rng(11), draw_counts(60, 300, 42) / 60
    covered = by_patients = 0
    for _ in range(studies):
        shift = generator.normal(size=seeds) * math.sqrt(ratio / patients)
        shared = generator.normal(size=(patients, 1)) * math.sqrt(1 - own)
        scores = shared + generator.normal(size=(patients, seeds)) * math.sqrt(own) + shift
        drawn = counts @ scores
        found = over_seeds(scores.mean(axis=0), drawn, patients)
        covered += found.low <= 0 <= found.high
        low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
        by_patients += bool(low <= 0 <= high)
    assert covered / studies > 0.92
    assert by_patients / studies < 0.92
