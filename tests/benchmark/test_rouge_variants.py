"""ROUGE-1, ROUGE-2 and COCO's ROUGE_L: by hand and at the edges; ``test_lexical_equality`` holds them to their programs."""

import numpy as np
import pytest

from benchmark.metrics.rouge import RougeL
from benchmark.metrics.rouge_coco import RougeLCoco
from benchmark.metrics.rouge_n import rouge_1, rouge_2
from benchmark.metrics.tokens import ALPHANUMERIC_REFERENCES


def test_shared_words_and_pairs_of_words_are_counted_with_clipping():
    """By hand: of `no no effusion` two words are in `no effusion`, and one pair of two."""
    assert rouge_1().statistics(["No no effusion"], ["no effusions"])[0].tolist() == [0.8, 2 / 3, 1, 1]
    assert rouge_2().statistics(["No no effusion"], ["no effusions"])[0].tolist() == [2 / 3, 1 / 2, 1, 1]
    assert rouge_1(stem=False).statistics(["No no effusion"], ["no effusions"])[0].tolist() == [0.4, 1 / 3, 1 / 2, 1]


def test_a_text_too_short_for_a_pair_scores_nothing_and_an_empty_reference_is_not_scored():
    assert rouge_2().statistics(["clear"], ["clear"])[0].tolist() == [0, 0, 0, 1]
    assert rouge_1().statistics([""], ["clear"])[0].tolist() == [0, 0, 0, 1]
    assert np.isnan(rouge_2().statistics(["clear"], ["... !"])).all()
    assert rouge_2().statistics([], []).shape == (0, 4)


def test_three_rouges_read_the_references_once():
    texts = ["heart size is normal", "no effusion"]
    for metric in (rouge_1(), rouge_2(stem=False), RougeL()):
        metric.statistics(["a", "b"], texts)
    assert ALPHANUMERIC_REFERENCES(texts) is ALPHANUMERIC_REFERENCES(list(texts))


def test_recall_counts_for_more_in_coco():
    """By hand: two words of three and of two in order; (1 + 1.44) P R / (R + 1.44 P)."""
    row = RougeLCoco().statistics(["no new effusion"], ["no effusion"])[0]
    assert row[0] == pytest.approx(2.44 * (2 / 3) / (1 + 1.44 * 2 / 3))


def test_coco_splits_at_single_spaces_unless_told_to_clean():
    """Two spaces enclose an empty word and a line break is part of one; cleaned, neither matters, nor do case and full stops."""
    assert RougeLCoco().statistics(["a  b"], ["a b"])[0, 0] == pytest.approx(2.44 * (2 / 3) / (1 + 1.44 * 2 / 3))
    assert RougeLCoco().statistics(["a\nb"], ["a b"])[0, 0] == 0
    assert RougeLCoco(text="lower_split").statistics(["A\nb."], ["a b ."])[0, 0] == pytest.approx(1)
    assert np.isnan(RougeLCoco().statistics(["a"], ["  "])).all()


def test_variants_tell_themselves_apart():
    metrics = [rouge_1(), rouge_1(stem=False), rouge_2(), rouge_2(stem=False), RougeL(), RougeLCoco(), RougeLCoco(text="lower_split")]
    assert len({metric.signature() for metric in metrics}) == len(metrics)
    titles = [metric.titles["mean" if isinstance(metric, RougeLCoco) else "f1"] for metric in metrics]
    assert titles == [
        "ROUGE-1 (google, stem)",
        "ROUGE-1 (google)",
        "ROUGE-2 (google, stem)",
        "ROUGE-2 (google)",
        "ROUGE-L (google, stem)",
        "ROUGE-L (COCO)",
        "ROUGE-L (COCO, cleaned)",
    ]
    with pytest.raises(ValueError, match="rouge_l_coco: text is as_is or lower_split"):
        RougeLCoco(text="clean")
