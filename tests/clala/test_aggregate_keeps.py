"""No positive finding is lost on the way from region sentences to a report: by the rules, and by a language model, whatever it answers.

The sentences are those of the phantoms, whose writer says what each of them means. Two readers that share no code read what went in and what came
out: the aggregator's own (``clala.findings``), and the labeller that measures reports (``benchmark.labelling``).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.datasets.phantom import anatomy, devices, lesions, reports
from benchmark.datasets.phantom.reports import Sentence
from benchmark.labelling.rules import RuleLabeller
from benchmark.places import shipped
from benchmark.vocabulary import PAPER_REGIONS
from clala.aggregate import NotAggregated, aggregate, aggregate_by_model
from clala.findings import PRESENT, both_of, read_findings

Positives = dict[str, str]
"""lesion -> side"""
LABELLER = RuleLabeller()
PROMPT = shipped("prompts", "aggregate.md").read_text(encoding="utf-8")


def studies(number: int) -> list[list[Sentence]]:
    """The FINDINGS of so many drawn examinations."""
    rng, out = np.random.default_rng(7), []
    for k in range(number):
        patient, found, before = anatomy.sample_patient(rng), lesions.sample(rng), None
        if k % 2:
            before, found = found, lesions.sample(rng, previous=found, first=False)
        view = "AP" if k % 3 else "PA"
        study = reports.Study(patient, view, view == "PA", found, before, devices.sample(rng, patient, view, found))
        out.append(reports.findings_section(rng, study))
    return out


STUDIES = studies(300)
POOL = list({sentence.text: sentence for study in STUDIES for sentence in study if set(sentence.regions) & set(PAPER_REGIONS)}.values())


def by_region(study: Iterable[Sentence]) -> dict[str, str]:
    """What a study says of each region."""
    said = {region: " ".join(sentence.text for sentence in study if region in sentence.regions) for region in PAPER_REGIONS}
    return {region: text for region, text in said.items() if text}


def sentences_of(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text.strip()) if sentence]


def read_by_findings(texts: Iterable[str]) -> Positives:
    sides: dict[str, list[str]] = {}
    for finding in (finding for text in texts for sentence in sentences_of(text) for finding in read_findings(sentence)):
        if finding.status == PRESENT:
            sides.setdefault(finding.lesion, []).append(finding.side)
    return {lesion: both_of(said) for lesion, said in sides.items()}


def read_by_labeller(texts: Iterable[str]) -> Positives:
    sides: dict[str, list[str]] = {}
    for lesion in (lesion for labels in LABELLER.label(list(texts)) for lesion in labels):
        if lesion.status == "positive":
            sides.setdefault(lesion.name, []).append(lesion.side)
    return {lesion: both_of(said) for lesion, said in sides.items()}


def check_nothing_is_lost(regions: Mapping[str, str], report: str) -> None:
    before, after = read_by_findings(regions.values()), read_by_findings([report])
    assert before == after, "lesions and their sides, as the aggregator reads them"
    # Its sides are not compared: the labeller misreads those of one sentence in four hundred, and a report shows another of several such sentences.
    assert read_by_labeller(regions.values()).keys() == read_by_labeller([report]).keys(), "lesions, as they are measured"


def test_the_reader_misses_nothing_that_the_writer_meant_and_no_side_of_it() -> None:
    for sentence in POOL:
        meant: dict[str, list[str]] = {}
        for said in sentence.says:
            if said.status == "positive":
                meant.setdefault(said.lesion, []).append(said.side)
        found = read_by_findings([sentence.text])
        assert {lesion: found.get(lesion) for lesion in meant} == {lesion: both_of(sides) for lesion, sides in meant.items()}, sentence.text


@pytest.mark.parametrize("as_decoded", [False, True], ids=["as written", "lower case"])
def test_the_report_of_a_drawn_examination_keeps_every_finding_and_adds_none(as_decoded: bool) -> None:
    counted = 0
    for study in STUDIES:
        regions = {region: text.lower() if as_decoded else text for region, text in by_region(study).items()}
        check_nothing_is_lost(regions, aggregate(regions))
        counted += len(read_by_findings(regions.values()))
    assert counted > 300


def combinations() -> st.SearchStrategy[dict[str, str]]:
    """Any sentences about any regions: contradictions, repetitions and both sides of everything."""
    texts = st.lists(st.sampled_from([sentence.text for sentence in POOL]), min_size=1, max_size=4).map(" ".join)
    return st.dictionaries(st.sampled_from(PAPER_REGIONS), texts, min_size=1, max_size=7)


@settings(max_examples=200, deadline=None)
@given(combinations())
def test_any_combination_of_sentences_keeps_every_finding_by_the_rules(regions: dict[str, str]) -> None:
    check_nothing_is_lost(regions, aggregate(regions))


class Endpoint:
    """Behaves like a language model: reads the statements of its prompt and writes a report of them, leaving out what it is told to."""

    def __init__(self, forgets: Callable[[str], bool], seed: int = 0) -> None:
        self.forgets, self.draw = forgets, random.Random(seed)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        statements = re.findall(r"^- [a-z ]+: (.*)$", prompt, re.MULTILINE)
        told = list(dict.fromkeys(sentence for text in statements for sentence in sentences_of(text)))
        self.draw.shuffle(told)
        return " ".join(sentence for sentence in told if not self.forgets(sentence))


@settings(max_examples=100, deadline=None)
@given(combinations())
def test_a_model_that_forgets_nothing_is_believed_at_once(regions: dict[str, str]) -> None:
    endpoint = Endpoint(lambda _: False)
    check_nothing_is_lost(regions, aggregate_by_model(regions, endpoint, PROMPT))
    assert len(endpoint.prompts) == 1
    assert all(f"- {region}: {text}" in endpoint.prompts[0] for region, text in regions.items())


@settings(max_examples=200, deadline=None)
@given(combinations(), st.integers(0, 2**32), st.floats(0, 1))
def test_whatever_a_model_forgets_a_report_that_comes_out_lacks_no_finding(regions: dict[str, str], seed: int, share: float) -> None:
    draw = random.Random(seed)
    try:
        report = aggregate_by_model(regions, Endpoint(lambda _: draw.random() < share, seed), PROMPT)
    except NotAggregated:
        return  # no report, and so none that lacks something
    assert read_by_findings([report]).keys() == read_by_findings(regions.values()).keys()
    assert read_by_labeller([report]).keys() == read_by_labeller(regions.values()).keys()
