"""ROUGE-L against google's rouge-score 0.1.2, and the Porter stemmer against nltk 3.10.4: equal to the last bit."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmark.metrics.porter import STEP_2, STEP_3, STEP_4, porter_stem
from benchmark.metrics.rouge import RougeL
from benchmark.metrics.tokens import alphanumeric, whitespace

WORDS = [
    "the",
    "lungs",
    "are",
    "clear",
    "no",
    "focal",
    "consolidation",
    "pleural",
    "effusion",
    "effusions",
    "or",
    "pneumothorax",
    "cardiac",
    "silhouette",
    "is",
    "mildly",
    "enlarged",
    "interval",
    "increase",
    "in",
    "opacities",
    "at",
    "left",
    "base",
    "bases",
    "may",
    "represent",
    "atelectasis",
    "versus",
    "pneumonia",
    ".",
    ",",
    ";",
    "degenerative",
    "changes",
    "of",
    "spine",
    "hyperinflated",
    "granulomas",
    "stable",
]

DEGENERATE = [
    ("", "a"),
    ("a", "a"),
    ("no", "no no no"),
    ("no no no no", "no no"),
    ("Été naïve café", "été naive café"),
    ("\u212aelvin", "kelvin"),
    ("\u0130stanbul", "i stanbul"),
    ("肺 clear 正常", "肺 clear"),
    ("... !!!", "clear."),
    ("a\nb\n\nc", "a b c"),
    ("a\0b", "a b"),
    ("identical text here", "identical text here"),
    ("x" * 3000, "x" * 3000),
    (" ".join(f"w{i % 37} v{i % 11}" for i in range(1000)), " ".join(f"w{i % 31} v{i % 13}" for i in range(1000))),
    ("word " * 2000, "word " * 1999),
]


def random_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    pairs = []
    for _ in range(n):
        reference = ["clear", *draw.choices(WORDS, k=draw.randint(0, 130))]
        hypothesis = [draw.choice(WORDS) if draw.random() < 0.3 else word for word in reference]
        pairs.append((" ".join(hypothesis[: draw.randint(0, 130)]).capitalize(), " ".join(reference)))
    return pairs


@pytest.mark.parametrize("stem", [True, False])
def test_every_case_equals_rouge_score_to_the_last_bit(stem):
    """rouge-score 0.1.2; the odd pairs check words, lengths over 64 and non-ASCII, the drawn ones the rest."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=stem)
    pairs = [*random_pairs(300, seed=1), *DEGENERATE[:-2]]
    rows = RougeL(stem=stem).statistics(*zip(*pairs, strict=True))
    expected = [scorer.score(reference, hypothesis)["rougeL"] for hypothesis, reference in pairs]
    assert rows[:, :3].tolist() == [[score.fmeasure, score.precision, score.recall] for score in expected]


def test_two_thousand_words_are_counted_exactly():
    """By hand: 1,999 of 2,000 words in order."""
    rows = RougeL(stem=False).statistics(*zip(DEGENERATE[-1], strict=True))
    assert rows[0, 1:3].tolist() == [1999 / 2000, 1.0]


def common_words(one: list[str], other: list[str]) -> int:
    """The textbook's table, a row at a time."""
    row = [0] * (len(one) + 1)
    for word in other:
        before = row
        row = [0]
        for j, mine in enumerate(one):
            row.append(before[j] + 1 if mine == word else max(row[j], before[j + 1]))
    return row[-1]


def test_texts_of_any_length_are_counted_as_by_the_textbook():
    """Around 64 and 128 words the table is cut into strips; few different words make long carries."""
    draw = random.Random(5)
    sizes = [(n, m) for n in (1, 63, 64, 65, 127, 128, 129, 300) for m in (1, 64, 200)]
    pairs = [(draw.choices("abcdefgh"[:kinds], k=n), draw.choices("abcdefgh"[:kinds], k=m)) for n, m in sizes for kinds in (1, 2, 8)]
    rows = RougeL(stem=False).statistics([" ".join(one) for one, _ in pairs], [" ".join(other) for _, other in pairs])
    expected = [common_words(one, other) for one, other in pairs]
    assert rows[:, 1].tolist() == [count / len(one) for count, (one, _) in zip(expected, pairs, strict=True)]


LONG = """
import resource
from benchmark.metrics.rouge import RougeL
metric = RougeL(stem=False)
metric.statistics(["a b"], ["b a"])
words = [f"w{i}" for i in range(60_000)]
texts = ["a " * 60_000, " ".join(words)], ["b", " ".join(words[::2])]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = metric.statistics(*texts)
print(rows[1, 1], rows[1, 2], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_one_endless_hypothesis_does_not_cost_the_memory_of_words_times_length():
    """60,000 different words, every second one in the reference too: a table of vocabulary by length would be 450 MiB."""
    said = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True).stdout.split()
    assert said[:2] == ["0.5", "1.0"]
    assert int(said[2]) < 60, "MiB"


def test_texts_that_are_alike_at_their_ends_are_counted_as_by_the_textbook():
    """What both begin or end with is left out of the table, which is walked in strips of 63 and of 252 words, the shorter text across."""
    draw = random.Random(11)
    pairs = []
    for length in (0, 1, 62, 63, 64, 126, 251, 252, 253, 320, 700):
        middle, other = (draw.choices("abcdefgh", k=size) for size in (length, draw.randint(0, 500)))
        begin, end = (draw.choices("xyzab", k=draw.randint(0, 90)) for _ in range(2))
        pairs += [([*begin, *middle, *end], [*begin, *other, *end]), ([*begin, *middle], [*begin, *middle, *end]), (middle, other)]
    texts = [(" ".join(hypothesis), " ".join(reference) or "x") for hypothesis, reference in pairs]
    rows = RougeL(stem=False).statistics(*zip(*texts, strict=True))
    for (hypothesis, reference), row in zip(texts, rows, strict=True):
        common = common_words(hypothesis.split(), reference.split())
        assert row[1:3].tolist() == [common / max(1, len(hypothesis.split())), common / len(reference.split())]


def test_an_empty_hypothesis_is_scored_and_an_empty_reference_is_not():
    rows = RougeL().statistics(["", "clear", "", "clear"], ["clear", "", "", "!?"])
    assert rows[0].tolist() == [0, 0, 0, 1]
    assert np.isnan(rows[1:]).all()


def test_values_are_means_for_any_leading_shape_and_nan_where_nothing_was_scored():
    sums = np.array([[[1.5, 2.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]]])
    values = RougeL().values(sums)
    assert values["f1"].shape == (1, 2)
    assert values["f1"][0, 0] == 0.5
    assert all(np.isnan(number[0, 1]) for number in values.values())
    assert RougeL().statistics([], []).shape == (0, 4)


def test_unpaired_texts_are_refused():
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        RougeL().statistics(["a", "b"], ["a"])


def test_the_signature_tells_the_stemmed_variant_from_the_other():
    assert RougeL().signature() != RougeL(stem=False).signature()
    assert "stem:porter_nltk" in RougeL().signature()


def test_threads_that_share_a_metric_get_what_one_thread_gets():
    metric = RougeL()
    batches = [tuple(zip(*random_pairs(50, seed), strict=True)) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: metric.statistics(*batch), batches))
    for batch, rows in zip(batches, together, strict=True):
        assert np.array_equal(rows, RougeL().statistics(*batch))


def test_porter_stems_equal_nltk():
    """nltk 3.10.4, default mode: words of reports, and made-up ones under every suffix and of every shape."""
    reference = pytest.importorskip("nltk.stem.porter").PorterStemmer()
    draw = random.Random(3)
    endings = [ending for ending, _ in (*STEP_2, *STEP_3)] + [*STEP_4, "ed", "ing", "ied", "ies", "eed", "s", "sses", "y", "ll", ""]
    words = {*WORDS, "skies", "dying", "died", "flies", "news", "yyyy", "ying", "interval", "internal", "lateral", "geology", "theology"}
    words |= {draw.choice(WORDS)[: draw.randint(1, 6)] + draw.choice(endings) + draw.choice(["", "s", "ed", "ly"]) for _ in range(8000)}
    words |= {"".join(draw.choices("aeiouybclstxw", k=draw.randint(1, 7))) for _ in range(8000)}
    assert {word: porter_stem(word) for word in words} == {word: reference.stem(word) for word in words}


def test_tokens_are_those_of_split_and_of_a_regular_expression():
    """Python's own split and re are the truth; every odd character stands in some text."""
    import re

    odd = [hypothesis + reference for hypothesis, reference in DEGENERATE] + [f"a{chr(c)}b {chr(c)}" for c in (*range(0x3100), 0xD800, 0xFEFF)]
    for texts in (odd, ["plain ascii only", "", "x"]):
        tokens = whitespace(texts)
        assert [[tokens.words[k] for k in tokens.ids[a:b]] for a, b in zip(tokens.ends, tokens.ends[1:], strict=False)] == [t.split() for t in texts]
        tokens = alphanumeric(texts)
        found = [[tokens.words[k] for k in tokens.ids[a:b]] for a, b in zip(tokens.ends, tokens.ends[1:], strict=False)]
        assert found == [re.findall("[a-z0-9]+", text.lower()) for text in texts]
