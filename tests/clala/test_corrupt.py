from __future__ import annotations

import numpy as np
import pytest

from clala.corrupt import corrupt

LABELS = (np.random.default_rng(0).random((500, 14)) < np.linspace(0.02, 0.3, 14)).astype(np.float32)


@pytest.mark.parametrize("target", [0.2, 0.43, 0.7, 0.85, 1.0])
def test_the_asked_for_f1_is_reached_for_every_lesion(target: float) -> None:
    np.testing.assert_allclose(corrupt(LABELS, target).f1, target, atol=0.5 / LABELS.sum(0).min())


def test_prevalence_stays() -> None:
    assert np.array_equal(corrupt(LABELS, 0.43).labels.sum(0), LABELS.sum(0))


def test_the_levels_are_nested() -> None:
    low, high = corrupt(LABELS, 0.3).labels, corrupt(LABELS, 0.7).labels
    assert ((LABELS * low) <= (LABELS * high)).all()
    assert (((1 - LABELS) * high) <= ((1 - LABELS) * low)).all()


def test_at_one_nothing_changes_and_the_same_seed_gives_the_same_labels() -> None:
    assert np.array_equal(corrupt(LABELS, 1.0).labels, LABELS)
    assert np.array_equal(corrupt(LABELS, 0.5, seed=3).labels, corrupt(LABELS, 0.5, seed=3).labels)
    assert not np.array_equal(corrupt(LABELS, 0.5, seed=3).labels, corrupt(LABELS, 0.5, seed=4).labels)


def test_a_lesion_that_nobody_has_has_no_f1() -> None:
    assert np.isnan(corrupt(np.zeros((5, 2)), 0.5).f1).all()


def test_a_lesion_that_nearly_everybody_has_comes_out_higher_than_asked() -> None:
    labels = np.ones((10, 1))
    labels[0] = 0
    assert corrupt(labels, 0.2).f1[0] > 0.2


def test_a_target_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"f1 is 43; it must be a share between 0 and 1"):
        corrupt(LABELS, 43)
