"""CIDEr-D by hand, and its dependence on the set; ``test_lexical_equality`` holds it to pycocoevalcap."""

import numpy as np
import pytest

from benchmark.metrics.cider import CiderD


def test_a_report_that_equals_its_reference_scores_ten_and_one_without_a_common_word_nothing():
    """Rare n-grams of all four lengths, cosine 1 each, no difference of length."""
    rows = CiderD().statistics(["a b c d e", "x y z"], ["a b c d e", "f g h i"])
    assert rows[:, 0] == pytest.approx([10, 0])


def test_a_case_scores_by_hand():
    """Hypothesis `a a b`, reference `a b`, two references: 1-grams (2L, L) against (L, L) clipped, 2-grams (L, L) against (L), one pair longer."""
    row = CiderD().statistics(["a a b", "q"], ["a b", "c d"])[0]
    by_order = [2 / np.sqrt(5 * 2), 1 / np.sqrt(2), 0, 0]
    assert row[0] == pytest.approx(10 / 4 * sum(by_order) * np.exp(-1 / 72))


def test_what_every_reference_says_counts_for_nothing_and_the_set_decides_that():
    common = CiderD().statistics(["clear lungs", "clear heart"], ["clear", "clear"])
    rare = CiderD().statistics(["clear lungs", "clear heart"], ["clear", "normal"])
    assert common[0, 0] == 0
    assert rare[0, 0] > 0


def test_a_reference_without_words_is_not_scored_and_weighs_nothing():
    with_empty = CiderD().statistics(["a b", "c", "x"], ["a c", "c d", " \n"])
    without = CiderD().statistics(["a b", "c"], ["a c", "c d"])
    assert np.isnan(with_empty[2]).all()
    assert np.array_equal(with_empty[:2], without)
    assert CiderD().statistics([], []).shape == (0, 2)
    assert np.isnan(CiderD().values(np.zeros((2, 2)))["mean"]).all()


def test_the_signature_says_that_weights_are_those_of_the_set():
    assert "idf:references_of_the_set,fixed_in_resampling" in CiderD().signature()
    assert CiderD(text="lower_split").signature() != CiderD().signature()
    assert CiderD(text="lower_split").titles == {"mean": "CIDEr-D (cleaned)"}
    with pytest.raises(ValueError, match="cider_d: text is as_is or lower_split"):
        CiderD(text="clean")
