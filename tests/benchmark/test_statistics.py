"""Intervals and tests against counting by hand, scipy 1.17.1, scikit-learn 1.9.1 and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.metrics import f1_score

import benchmark.statistics.draws
from benchmark.statistics import (
    Measured,
    PatientBootstrap,
    benjamini_hochberg,
    draw_counts,
    flip_signs,
    flips_for,
    holm,
    interval,
    p_value,
    patient_sums,
)


def mean_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    """A metric of two columns: the sum of the scores, and their number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"mean": sums[..., 0] / sums[..., 1]}


def f1_values(sums: np.ndarray) -> dict[str, np.ndarray]:
    tp, fp, fn = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"f1": np.asarray(2 * tp / (2 * tp + fp + fn))}


def mean_statistics(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([scores, np.ones(len(scores))])


def confusion_statistics(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.column_stack([predicted & true, predicted & ~true, ~predicted & true]).astype(float)


def clustered_scores(generator: np.random.Generator, patients: int) -> tuple[list[str], np.ndarray]:
    """One to four images a patient, half of the variance between patients; the true mean is 0.6."""
    images = generator.integers(1, 5, size=patients)
    owner = np.repeat(np.arange(patients), images)
    return [f"p{number}" for number in owner], 0.6 + generator.normal(size=patients)[owner] + generator.normal(size=len(owner))


def test_sums_are_added_up_by_patient_in_the_order_of_their_names():
    statistics = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    assert patient_sums(statistics, ["b", "a", "b"]).tolist() == [[2.0, 20.0], [5.0, 50.0]]


def test_an_unscored_row_adds_nothing_and_is_counted():
    """One NaN in a row is enough: a half-scored case is not scored."""
    statistics = np.array([[1.0, 1.0], [np.nan, 1.0], [0.0, 1.0]])
    assert patient_sums(statistics, ["a", "a", "b"]).tolist() == [[1.0, 1.0], [0.0, 1.0]]
    result = PatientBootstrap(["a", "a", "b"], draws=50).scores(statistics, mean_values)
    assert (result.scored, result.unscored) == (2, 1)
    assert result.estimates["mean"].value == 0.5


def test_each_draw_takes_as_many_patients_as_there_are_and_a_seed_fixes_them():
    counts = draw_counts(7, 40, seed=3)
    assert counts.shape == (40, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts == draw_counts(7, 40, seed=3)).all()
    assert (counts != draw_counts(7, 40, seed=4)).any()
    assert (counts == draw_counts(7, 90, seed=3)[:40]).all()


def test_every_patient_is_equally_likely_to_be_drawn():
    """Chi-square of 40,000 picks among 8; the seed is fixed, so this cannot flicker."""
    assert scipy.stats.chisquare(draw_counts(8, 5000, seed=0).sum(axis=0)).pvalue > 0.01


def test_memory_saving_blocks_change_no_draw(monkeypatch):
    whole = draw_counts(50, 30, seed=1)
    monkeypatch.setattr(benchmark.statistics.draws, "BLOCK_ENTRIES", 120)
    assert (draw_counts(50, 30, seed=1) == whole).all()


def test_draws_that_are_not_kept_are_drawn_alike_again(monkeypatch):
    scores = np.random.default_rng(0).random(30)
    patients = [str(number % 11) for number in range(30)]
    kept = PatientBootstrap(patients, draws=64).scores(mean_statistics(scores), mean_values)
    monkeypatch.setattr(benchmark.statistics.draws, "KEPT_ENTRIES", 0)
    assert PatientBootstrap(patients, draws=64).scores(mean_statistics(scores), mean_values) == kept


def test_the_bootstrap_of_f1_equals_resampling_rows_by_index():
    """Truth: scikit-learn's f1_score on the gathered rows of the patients drawn, each draw on its own."""
    generator = np.random.default_rng(5)
    owner = generator.integers(0, 12, size=60)
    true, predicted = generator.random(60) < 0.4, generator.random(60) < 0.4
    patients = [f"p{number:02d}" for number in owner]
    names = sorted(set(patients))
    bootstrap = PatientBootstrap(patients, draws=80, seed=9)
    sums = patient_sums(confusion_statistics(predicted, true), patients)
    ours = f1_values(bootstrap.resample(sums))["f1"]
    for draw, counts in enumerate(draw_counts(len(names), 80, seed=9)):
        rows = [row for name, count in zip(names, counts, strict=True) for row in np.flatnonzero(np.array(patients) == name).tolist() * int(count)]
        assert ours[draw] == pytest.approx(f1_score(true[rows], predicted[rows]), abs=1e-15)


def test_intervals_equal_those_of_scipy_on_the_same_draws():
    scores = np.random.default_rng(2).gamma(2.0, size=40)
    for method, scipy_method in (("percentile", "percentile"), ("bca", "BCa")):
        theirs = scipy.stats.bootstrap((scores,), np.mean, n_resamples=499, method=scipy_method, rng=np.random.default_rng(1))
        left_out = (scores.sum() - scores) / (len(scores) - 1)
        ours = interval(theirs.bootstrap_distribution, scores.mean(), 0.95, method, left_out)
        assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


def test_a_number_that_is_undefined_in_most_draws_has_no_interval():
    assert np.isnan(interval(np.array([0.5, np.nan, np.nan]), 0.5)).all()
    assert interval(np.array([0.5, 0.5, np.nan]), 0.5) == (0.5, 0.5)
    assert np.isnan(interval(np.array([0.5, 0.6]), np.nan)).all()


def test_bca_without_jackknife_is_refused_and_with_all_draws_on_one_side_is_undefined():
    with pytest.raises(ValueError, match="needs the jackknife values"):
        interval(np.array([0.1, 0.2]), 0.15, method="bca")
    assert np.isnan(interval(np.array([0.1, 0.2]), 0.9, 0.95, "bca", np.array([0.8, 0.95]))).all()


def clustered_confusion(generator: np.random.Generator, patients: int) -> tuple[list[str], np.ndarray]:
    """One to four images a patient; 30 % true, 70 % of these and 10 % of the others said: the F1 is 0.42 / 0.58. A patient's images are alike."""
    owner = np.repeat(np.arange(patients), generator.integers(1, 5, size=patients))
    ranks = [scipy.special.ndtr((generator.normal(size=patients)[owner] + generator.normal(size=len(owner))) / np.sqrt(2)) for _ in range(2)]
    true = ranks[0] < 0.3
    return [f"p{number}" for number in owner], confusion_statistics(ranks[1] < np.where(true, 0.7, 0.1), true)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("number", ["mean", "f1"])
def test_95_percent_intervals_cover_the_truth_when_images_cluster_by_patient(number, method):
    """300 simulated data sets of 60 patients, 150 for F1; limits that a right interval passes in 998 of 1,000 such tests, or one of 93 %."""
    generator = np.random.default_rng(7)
    data_sets = 300
    covered = 0
    for seed in range(data_sets):
        if number == "mean":
            patients, scores = clustered_scores(generator, 60)
            statistics, values, truth = mean_statistics(scores), mean_values, 0.6
        else:
            (patients, statistics), values, truth = clustered_confusion(generator, 150), f1_values, 0.42 / (0.21 + 0.07 + 0.3)
        found = PatientBootstrap(patients, draws=250, seed=seed, method=method).scores(statistics, values).estimates[number]
        covered += found.low <= truth <= found.high
    assert scipy.stats.binom.ppf(0.001, data_sets, 0.93) <= covered <= scipy.stats.binom.ppf(0.999, data_sets, 0.97)


def test_drawing_images_instead_of_patients_would_be_too_sure():
    patients, scores = clustered_scores(np.random.default_rng(0), 400)
    by_patient = PatientBootstrap(patients).scores(mean_statistics(scores), mean_values).estimates["mean"]
    by_image = PatientBootstrap([str(case) for case in range(len(scores))]).scores(mean_statistics(scores), mean_values).estimates["mean"]
    assert by_image.value == pytest.approx(by_patient.value)
    assert by_image.high - by_image.low < 0.85 * (by_patient.high - by_patient.low)


def test_a_difference_counts_only_cases_that_both_models_scored():
    ours = mean_statistics(np.array([1.0, 0.0, np.nan, 1.0]))
    theirs = mean_statistics(np.array([0.0, np.nan, 1.0, 1.0]))
    found = PatientBootstrap(list("abcd"), draws=20).difference(ours, theirs, mean_values)
    assert (found.scored, found.unscored) == (2, 2)
    assert found.estimates["mean"].value == 0.5


def test_a_paired_interval_is_narrower_than_unpaired_ones_when_models_err_together():
    generator = np.random.default_rng(3)
    difficulty = generator.normal(size=200)
    ours, theirs = (mean_statistics(difficulty + shift + 0.1 * generator.normal(size=200)) for shift in (0.05, 0.0))
    bootstrap = PatientBootstrap([str(case) for case in range(200)], draws=400)
    paired, alone = bootstrap.difference(ours, theirs, mean_values).estimates["mean"], bootstrap.scores(ours, mean_values).estimates["mean"]
    assert 0 < paired.low < paired.value < paired.high < 0.1
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_a_model_does_not_differ_from_itself():
    scores = mean_statistics(np.random.default_rng(0).random(20))
    for method in ("percentile", "bca"):
        found = PatientBootstrap([str(case) for case in range(20)], draws=99, method=method).difference(scores, scores, mean_values)
        assert found.estimates["mean"][:4] == (0.0, 0.0, 0.0, 1.0)
        assert np.isnan(found.estimates["mean"].detectable)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_models_that_are_alike_differ_by_exactly_nothing_whatever_stands_beside_them(method):
    """The columns of a product are added up in an order of their own: with nine models between, 5e-16 was once "detectable"."""
    generator = np.random.default_rng(0)
    scores = mean_statistics(generator.random(311))
    bootstrap = PatientBootstrap([str(case) for case in range(311)], draws=200, method=method)

    def two(sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": sums[..., 0] / sums[..., 1], "else": sums[..., 2] / sums[..., 1]}

    for others in range(1, 13):
        beside = {str(other): mean_statistics(generator.random(311)) for other in range(others)}
        (found,) = bootstrap.compare([Measured({"a": scores, **beside, "c": scores.copy()}, mean_values)], pairs=[("a", "0"), ("a", "c")])
        wider = {name: np.column_stack([rows, generator.random(311)]) for name, rows in {"a": scores, **beside, "c": scores}.items()}
        (nearly,) = bootstrap.compare([Measured(wider, two)], pairs=[("a", "c")])  # alike in one number of two
        for one in (found.differences["a", "c"].estimates["mean"], nearly.differences["a", "c"].estimates["mean"]):
            assert one[:4] == (0.0, 0.0, 0.0, 1.0)
            assert np.isnan(one.detectable)
        assert found.differences["a", "0"].estimates["mean"].detectable > 0


def test_patients_are_counted_where_they_were_scored():
    ours, theirs = mean_statistics(np.array([1.0, 0.0, np.nan, 1.0])), mean_statistics(np.array([np.nan, np.nan, 1.0, 1.0]))
    bootstrap = PatientBootstrap(list("aabc"), draws=20)
    assert bootstrap.scores(ours, mean_values).patients == 2
    assert bootstrap.difference(ours, theirs, mean_values).patients == 1


def test_a_p_value_is_never_zero():
    ours, theirs = mean_statistics(np.linspace(2, 3, 40)), mean_statistics(np.linspace(0, 1, 40))
    found = PatientBootstrap([str(case) for case in range(40)], draws=10, flips=199).difference(ours, theirs, mean_values)
    assert found.estimates["mean"].p_value == 1 / 200


def test_there_are_enough_flips_for_a_correction_to_leave_something_to_find():
    """The smallest p-value times the tests lies below 1 - level, whatever the number of models; few tests need no more flips than draws."""
    for models in (2, 3, 6, 10, 40):
        tests = 5 * models * (models - 1) // 2
        for level in (0.9, 0.95, 0.99):
            assert tests / (flips_for(tests, 1000, level) + 1) < (1 - level) / 1.99
    assert flips_for(0, 1000, 0.95) == flips_for(2, 1000, 0.95) == 1000
    assert flips_for(5, 1000, 0.95) == 2000
    assert flips_for(75, 1000, 0.95) == 10_000
    assert flips_for(75, 50_000, 0.95) == 50_000


def test_more_flips_begin_with_the_same_ones_and_are_counted_in_parts():
    generator = np.random.default_rng(2)
    ours, theirs = (mean_statistics(generator.normal(shift, 1, size=30)) for shift in (0.3, 0.0))
    patients = [str(case) for case in range(30)]
    found = {
        flips: PatientBootstrap(patients, draws=10, flips=flips).difference(ours, theirs, mean_values).estimates["mean"] for flips in (999, 3999)
    }
    swaps = np.concatenate(list(flip_signs(30, 3999, seed=42)))
    apart = (ours - theirs)[np.argsort(patients), 0]
    values = (1 - 2 * swaps.astype(float)) @ apart / 30
    for flips, one in found.items():
        assert one.p_value == p_value(values[:flips], one.value)


def test_an_undefined_swap_counts_against_the_difference():
    assert p_value(np.array([np.nan, 0.0, 0.0]), 0.5) == 2 / 4
    assert np.isnan(p_value(np.array([0.0]), np.nan))


def test_the_sign_flip_test_agrees_with_all_swaps_of_scipy():
    """scipy.stats.permutation_test over all 2^9 swaps; ours draws 40,000 of them."""
    generator = np.random.default_rng(8)
    ours, theirs = generator.normal(0.4, 1, size=9), generator.normal(0, 1, size=9)
    exact = scipy.stats.permutation_test((ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True)
    bootstrap = PatientBootstrap([str(case) for case in range(9)], draws=10, flips=40_000)
    found = bootstrap.difference(mean_statistics(ours), mean_statistics(theirs), mean_values).estimates["mean"]
    assert found.value == pytest.approx(exact.statistic)
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.01)


def test_p_values_are_uniform_when_the_models_are_exchangeable():
    """F1, not a mean: the test must hold for numbers that are not linear in the sums. 300 data sets, two images a patient."""
    generator = np.random.default_rng(4)
    p_values = []
    for seed in range(300):
        true = generator.random(80) < 0.4
        ours, theirs = ((true ^ (generator.random(80) < 0.25)) for _ in range(2))
        bootstrap = PatientBootstrap([str(case // 2) for case in range(80)], draws=10, flips=99, seed=seed)
        found = bootstrap.difference(confusion_statistics(ours, true), confusion_statistics(theirs, true), f1_values)
        p_values.append(found.estimates["f1"].p_value)
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.085


def test_coins_are_fair_and_other_than_the_draws():
    coins = np.concatenate(list(flip_signs(1001, 300, seed=0)))
    assert coins.shape == (300, 1001)
    assert coins.mean() == pytest.approx(0.5, abs=0.005)
    assert set(np.unique(coins)) == {0, 1}


@pytest.mark.parametrize(
    ("patients", "scores", "value"),
    [
        ([], [], np.nan),
        (["a"], [0.7], 0.7),
        (["a", "a", "a"], [0.0, 0.5, 1.0], 0.5),
        (["a", "b"], [np.nan, np.nan], np.nan),
        (["a", "b", "b"], [np.nan, 0.25, 0.75], 0.5),
    ],
    ids=["no case", "one case", "one patient", "every row unscored", "one patient scored"],
)
def test_fewer_than_two_patients_give_a_number_but_no_interval(patients, scores, value):
    """A zero-width interval would claim certainty where there is one witness."""
    statistics = mean_statistics(np.array(scores, dtype=float))
    for method in ("percentile", "bca"):
        bootstrap = PatientBootstrap(patients, draws=20, method=method)
        found = bootstrap.scores(statistics, mean_values)
        assert found.estimates["mean"] == pytest.approx((value, np.nan, np.nan), nan_ok=True)
        assert found.scored + found.unscored == len(patients)
        difference = bootstrap.difference(statistics, statistics, mean_values).estimates["mean"]
        assert difference[:3] == pytest.approx((value - value, np.nan, np.nan), nan_ok=True)


def test_a_wrong_number_of_rows_is_refused():
    bootstrap = PatientBootstrap(["a", "b"], draws=5)
    with pytest.raises(ValueError, match="3 rows of statistics for 2 cases"):
        bootstrap.scores(np.zeros((3, 2)), mean_values)
    with pytest.raises(ValueError, match="two models of unlike shape"):
        bootstrap.difference(np.zeros((2, 2)), np.zeros((2, 3)), mean_values)


def test_holm_by_hand():
    """0.01 * 3, then 0.03 * 2, and 0.04 may not fall below the one before; the NaN is no fourth test."""
    assert holm([0.04, 0.01, np.nan, 0.03]) == pytest.approx([0.06, 0.03, np.nan, 0.06], nan_ok=True)
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_benjamini_hochberg_equals_scipy():
    p_values = np.random.default_rng(1).random(20) ** 2
    assert benjamini_hochberg(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values).tolist())
    assert benjamini_hochberg([np.nan, 0.02]) == pytest.approx([np.nan, 0.02], nan_ok=True)
