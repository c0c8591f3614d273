"""Corpus BLEU against pycocoevalcap 1.2."""

import random

import numpy as np
import pytest

from benchmark.metrics.bleu import Bleu

WORDS = ["the", "lungs", "are", "clear", ".", "No", "focal", "consolidation,", "effusion", "or", "pneumothorax", "Heart", "size", "normal"]
DEGENERATE = [
    ("", "a"),
    ("a", "a"),
    ("no no no no", "no no"),
    ("no no", "no no no no no"),
    ("a\nb\n\nc", "a b c"),
    ("a\u00a0b\u2003c", "a b c"),
    ("Été naïve", "été naïve"),
    ("identical text right here", "identical text right here"),
    (" ".join(f"w{i % 37} v{i % 11}" for i in range(1000)), " ".join(f"w{i % 31} v{i % 11}" for i in range(1000))),
]


def random_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    return [(" ".join(draw.choices(WORDS, k=draw.randint(0, 60))), " ".join(draw.choices(WORDS, k=draw.randint(1, 60)))) for _ in range(n)]


def coco(pairs: list[tuple[str, str]]) -> tuple[list[float], list[list[float]]]:
    reference = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu(4)
    return reference.compute_score({i: [r] for i, (_, r) in enumerate(pairs)}, {i: [h] for i, (h, _) in enumerate(pairs)}, verbose=0)


@pytest.mark.parametrize("pairs", [random_pairs(300, 1), DEGENERATE, [("", "a")], [("a b", "a b c d e f")]], ids=["drawn", "odd", "empty", "short"])
def test_corpus_and_cases_equal_the_coco_toolkit(pairs):
    """pycocoevalcap 1.2: the corpus number to 1e-12, and every case on its own."""
    corpus, cases = coco(pairs)
    rows = Bleu().statistics(*zip(*pairs, strict=True))
    assert list(Bleu().values(rows.sum(axis=0)).values()) == pytest.approx(corpus, rel=0, abs=1e-12)
    assert list(Bleu().values(rows).values()) == pytest.approx(np.array(cases), rel=0, abs=1e-12)


def test_matches_are_clipped_by_the_reference():
    """By hand: of four times `no` two are matched, and one bigram of three."""
    row = Bleu().statistics(["no no no no"], ["no no"])[0]
    assert row.tolist() == [2, 1, 0, 0, 4, 3, 2, 1, 4, 2, 1]


def test_an_empty_hypothesis_is_scored_and_an_empty_reference_is_not():
    rows = Bleu().statistics(["", "a", ""], ["a", "", " \n"])
    assert rows[0].tolist() == [0] * 9 + [1, 1]
    assert np.isnan(rows[1:]).all()
    assert Bleu().values(rows[0])["bleu_4"] == 0


def test_values_take_any_leading_shape_and_are_nan_where_nothing_was_scored():
    values = Bleu().values(np.zeros((2, 3, 11)))
    assert values["bleu_1"].shape == (2, 3)
    assert np.isnan(values["bleu_1"]).all()


def test_cleaned_text_is_another_metric_by_its_signature():
    """R2Gen's way: case gone and punctuation apart, so the full stop no longer hides the word."""
    metric = Bleu(text="lower_split")
    assert metric.statistics(["Lungs are clear."], ["lungs are clear ."])[0, :4].tolist() == [4, 3, 2, 1]
    assert metric.signature() != Bleu().signature()
    with pytest.raises(ValueError, match="as_is or lower_split, not 'clean'"):
        Bleu(text="clean")
