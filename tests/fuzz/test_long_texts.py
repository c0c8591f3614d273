"""A text of any length and kind is read in time that grows with it, not with its square: a model that loops writes a megabyte of one word."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.chen_text import clean
from adapters.vision_language.pieces import sentencepieces
from benchmark.annotating import rules as entity_rules
from benchmark.datasets import mimic_reports
from benchmark.datasets.region_sentences import region_sentence
from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sentences import split_sentences
from benchmark.llm.json_answers import read_object
from benchmark.llm.questions import Unusable
from benchmark.metrics import consistency_rules, green
from benchmark.metrics.bleu import Bleu
from benchmark.metrics.cider import CiderD
from benchmark.metrics.degeneration import Degeneration
from benchmark.metrics.green_rules import Rules
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.meteor_nltk import MeteorNltk
from benchmark.metrics.rouge import RougeL
from benchmark.metrics.rouge_coco import RougeLCoco
from benchmark.records import Lesion
from benchmark.viewer import spans

LENGTH = 100_000
CPU_SECONDS = 2.0
"""of the processor; all take a fraction of it, and what was quadratic took more than four"""
ORDINARY = "The heart is normal in size. No pleural effusion or pneumothorax. There is a small left pleural effusion."
PATTERNS = {
    "no no no": "no ",
    "one long word": "a",
    "commas": ", ",
    "open brackets": "(",
    "objects": '{"a":',
    "line ends": "\n",
    "blank lines": "\n \n",
    "findings": "the left lung effusion and ",
    "findings without a stop": "no effusion\nno edema\n",
    "words of films": "AP PA ",
    "initials": "A. ",
    "abbreviations": "e.g. ",
    "headers": "\n FINDINGS: ",
    "accents": "e\u0301",
}


def read_answer(text: str) -> None:
    green.count_as_published(text)
    for read in (read_object, green.read_counts):
        try:
            read(text)
        except Unusable:
            continue


def measured(metric: object) -> Callable[[str], object]:
    """Against a report of ordinary length, either way round."""
    metric.statistics([ORDINARY], [f"{ORDINARY} Clear."])  # type: ignore[attr-defined] # compiled before the clock runs
    return lambda text: metric.statistics([text, ORDINARY], [ORDINARY, text])  # type: ignore[attr-defined]


def shown(text: str) -> None:
    labeller = RuleLabeller()
    spans.read_text(text, labeller.label([text])[0], labeller)
    # the words of a language model need not stand in the text
    spans.read_text(text, (Lesion("mass", "positive", rationale=f"{text[: len(text) // 2]}q"),))


READERS: dict[str, Callable[[], Callable[[str], object]]] = {
    "sections": lambda: lambda text: (mimic_reports.narrative(text), mimic_reports.beginning(text), mimic_reports.normal_name(text)),
    "sentences": lambda: split_sentences,
    "sentences of regions": lambda: lambda text: region_sentence([text]),
    "lesions": lambda: lambda text: RuleLabeller().label([text]),
    "entities": lambda: entity_rules.annotate,
    "green by rules": lambda: lambda text: Rules().compare(text, ORDINARY),
    "consistency by rules": lambda: lambda text: consistency_rules.RuleJudge().statistics([text, ORDINARY], [f"{text} {ORDINARY}", text]),
    "the page": lambda: shown,
    "an answer": lambda: read_answer,
    "R2Gen's cleaning": lambda: clean,
    "METEOR": lambda: measured(Meteor()),
    "ROUGE-L": lambda: measured(RougeL()),
    "BLEU": lambda: measured(Bleu()),
    "CIDEr": lambda: measured(CiderD()),
    "degeneration": lambda: measured(Degeneration()),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_long_text_is_read_in_time_that_grows_with_it(reader: str) -> None:
    """Measured as time of the processor, which a busy machine does not stretch."""
    read = READERS[reader]()
    for name, pattern in PATTERNS.items():
        text = (pattern * (LENGTH // len(pattern) + 1))[:LENGTH]
        start = time.process_time()
        read(text)
        taken = time.process_time() - start
        assert taken < CPU_SECONDS, f"{taken:.1f} s for {LENGTH:,} characters of {name}"


WORDS = [f"{first}{second}{third}" for first in "bcdfglmnprst" for second in ("a", "e", "ing", "ation", "ed") for third in ("no", "ris", "tube")]
TWO_TEXTS = {
    "words of a report": (lambda draw: draw.choice(WORDS), 150_000, 8.0),
    "words that all differ": (lambda draw: f"{draw.choice(WORDS)}{draw.randrange(10**7)}", 70_000, 8.0),
    "single letters": (lambda draw: draw.choice("abcdefgh"), 500_000, 30.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("metric", [RougeL, RougeLCoco, Meteor, MeteorNltk, Bleu, CiderD], ids=lambda metric: metric.name)
@pytest.mark.parametrize("kind", TWO_TEXTS)
def test_two_different_texts_of_a_megabyte_are_measured(metric: Callable[[], Any], kind: str) -> None:
    """The documentation says how long it takes; the limits are those of a machine that is busy and slow."""
    word, count, cpu_seconds = TWO_TEXTS[kind]
    draw = random.Random(3)
    hypothesis, reference = (" ".join(word(draw) for _ in range(count)) for _ in range(2))
    measure = metric()
    measure.statistics([ORDINARY], [f"{ORDINARY} Clear."])  # compiled before the clock runs
    start = time.process_time()
    (row,) = measure.statistics([hypothesis], [reference])
    assert time.process_time() - start < cpu_seconds
    assert np.isfinite(row).all()


@pytest.mark.parametrize("metric", [RougeL, RougeLCoco, Meteor, MeteorNltk, Bleu, CiderD], ids=lambda metric: metric.name)
def test_two_different_texts_of_a_hundred_kilobytes_are_measured(metric: Callable[[], Any]) -> None:
    """Half of their words nobody else has. METEOR of nltk once looked at each word of one text for each of the other."""
    draw = random.Random(3)
    hypothesis, reference = (" ".join(f"{draw.choice(WORDS)}{draw.choice((draw.randrange(10**6), ''))}" for _ in range(11_000)) for _ in range(2))
    measure = metric()
    measure.statistics([ORDINARY], [f"{ORDINARY} Clear."])
    start = time.process_time()
    (row,) = measure.statistics([hypothesis], [reference])
    assert time.process_time() - start < CPU_SECONDS
    assert np.isfinite(row).all()


def test_a_vocabulary_that_is_one_endless_number_is_refused_at_once() -> None:
    """A number of a protobuf message takes ten bytes; one of a megabyte would be made anew at each of them, for a quarter of an hour."""
    start = time.process_time()
    with pytest.raises(ValueError, match="no protobuf message"):
        list(sentencepieces(b"\xff" * 1_000_000))
    assert time.process_time() - start < CPU_SECONDS


def test_two_texts_of_a_megabyte_that_are_not_the_same_are_aligned() -> None:
    """All pairs of equal words would be 10^11: no memory holds them."""
    text = "no " * 333_000
    (row,) = Meteor().statistics([text], [f"{text}effusion"])
    assert row[0] == 333_000
    assert row[1] == 333_001
