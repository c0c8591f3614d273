"""sacreBLEU's BLEU: its tokeniser piece by piece, and single numbers; ``test_lexical_equality`` holds the rest to sacrebleu 2.6."""

import random

import numpy as np
import pytest

from benchmark.metrics.sacrebleu import SacreBleu

SIGNS = [
    *"aZé59..,,--  \n\t&;'\"/()[]{}~^_`*+=@#$%!?<>|\\",
    "&quot;",
    "&amp;",
    "&lt;",
    "<skipped>",
    "-\n",
    "\u00a0",
    "\u2028",
    "肺",
    "\x1c",
    " .",
    ". ",
    "3.",
    ".3",
]


@pytest.mark.parametrize("lowercase", [False, True])
def test_words_are_those_of_tokeniser_13a(lowercase):
    """sacrebleu 2.6: 4,000 lines of signs that its four passes treat unlike."""
    program = pytest.importorskip("sacrebleu.tokenizers.tokenizer_13a").Tokenizer13a()
    draw = random.Random(6)
    texts = ["".join(draw.choices(SIGNS, k=draw.randint(0, 20))) for _ in range(4000)]
    tokens = SacreBleu(lowercase)._read(texts)
    ours = [[tokens.words[k] for k in tokens.ids[start:end]] for start, end in zip(tokens.ends, tokens.ends[1:], strict=False)]
    assert ours == [program((text.lower() if lowercase else text).rstrip()).split() for text in texts]


def test_sums_give_the_corpus_number_and_cases_their_mean():
    """sacrebleu 2.6, ``corpus_score`` and ``sentence_score`` of these three, as the program itself says."""
    program = pytest.importorskip("sacrebleu.metrics.bleu")
    reports = ["The heart is big.", "No pleural effusion or pneumothorax.", "Normal."]
    references = ["The heart is mildly enlarged.", "No effusion or pneumothorax.", "The lungs are clear."]
    metric = SacreBleu()
    rows = metric.statistics(reports, references)
    values = metric.values(rows.sum(axis=0))
    single = program.BLEU(effective_order=True)
    assert values["corpus"] == pytest.approx(program.BLEU().corpus_score(reports, [references]).score / 100, abs=1e-12)
    assert values["sentence"] == pytest.approx(np.mean([single.sentence_score(h, [r]).score for h, r in zip(reports, references, strict=True)]) / 100)


def test_nothing_in_common_is_zero_and_no_order_is_left_out_of_the_corpus_number():
    """A corpus without any run of four words has no BLEU-4 in sacreBLEU: 0; the single sentence goes by the orders that it has."""
    metric = SacreBleu()
    rows = metric.statistics(["no effusion", ""], ["no effusion", "clear"])
    assert rows[0, 10] == 1
    assert metric.values(rows.sum(axis=0))["corpus"] == 0
    assert rows[1, 10] == 0
    assert np.isnan(metric.statistics(["a"], [" "])).all()
    assert np.isnan(metric.values(np.zeros((3, 12)))["corpus"]).all()
    assert metric.signature() != SacreBleu(lowercase=True).signature()
