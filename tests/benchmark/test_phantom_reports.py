"""The reports of the phantoms: what is drawn is said, what is said decides the truth, and the words vary."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from benchmark.datasets.phantom import anatomy, devices, lesions, reports
from benchmark.datasets.phantom.reports import Said, Sentence
from benchmark.vocabulary import LESIONS, REGIONS


@pytest.fixture(scope="module")
def studies():
    """600 studies, half of them follow-ups, with their sentences."""
    out = []
    for k in range(600):
        rng = np.random.default_rng([4, k])
        patient = anatomy.sample_patient(rng)
        found, before = lesions.sample(rng), None
        if k % 2:
            before, found = found, lesions.sample(rng, previous=found, first=False)
        view = "AP" if k % 3 else "PA"
        study = reports.Study(patient, view, view == "PA", found, before, devices.sample(rng, patient, view, found))
        findings = reports.findings_section(rng, study)
        impression = reports.impression_section(rng, study, findings)
        out.append((study, findings, impression, reports.layout(rng, study, findings, impression)))
    return out


def test_every_drawn_lesion_is_affirmed_and_no_other(studies):
    for study, findings, _, _ in studies:
        affirmed = {lesion.name for lesion in reports.truth(findings) if lesion.status == "positive"}
        assert affirmed == {finding.name for finding in study.findings}


def test_a_stated_side_is_the_side_that_was_drawn(studies):
    for study, findings, _, _ in studies:
        drawn = {finding.name: finding.side for finding in study.findings}
        for lesion in reports.truth(findings):
            both_lungs = lesion.name == "emphysema" and lesion.side == "bilateral"  # it has no side of its own, but some reports say so
            assert lesion.side == "not mentioned" or both_lungs or lesion.side == drawn[lesion.name], (lesion, findings)


def test_the_impression_affirms_nothing_that_the_findings_do_not(studies):
    for study, _, impression, _ in studies:
        assert {said.lesion for s in impression for said in s.says if said.status == "positive"} <= {f.name for f in study.findings}


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ([], ("negative", "not mentioned", "not mentioned")),
        ([("negative", "not mentioned", "stated")], ("negative", "not mentioned", "stated")),
        ([("negative", "not mentioned", "hedged")], ("negative", "not mentioned", "hedged")),
        ([("positive", "left", "hedged")], ("positive", "left", "hedged")),
        ([("positive", "left", "stated"), ("positive", "right", "stated")], ("positive", "bilateral", "stated")),
        ([("positive", "left", "stated"), ("negative", "not mentioned", "stated")], ("positive", "left", "stated")),
        ([("positive", "right", "hedged"), ("positive", "right", "stated")], ("positive", "right", "stated")),
        ([("positive", "not mentioned", "stated"), ("positive", "left", "stated")], ("positive", "left", "stated")),
    ],
)
def test_statements_add_up_to_one_label(says, expected):
    sentences = [Sentence("x", (Said("pleural effusion", *said),)) for said in says]
    labels = {lesion.name: lesion for lesion in reports.truth(sentences)}
    assert (labels["pleural effusion"].status, labels["pleural effusion"].side, labels["pleural effusion"].certainty) == expected
    assert tuple(labels) == LESIONS
    assert labels["mass"].certainty == "not mentioned"


def test_hedges_negations_comparisons_and_blanks_all_occur(studies):
    text = "\n".join(" ".join(s.text for s in findings) for _, findings, _, _ in studies)
    for words in (
        "cannot be excluded", "Possible", "likely", "suggestive of", "has resolved", "no longer", "unchanged", "New ", "increase", "decrease",
        "No evidence of", "without", "Negative for", "bilateral", "bibasilar", "left upper lobe", "lingula", "___", "rather than", "top normal",
    ):  # fmt: skip
        assert words in text, words
    certainties = Counter(lesion.certainty for _, findings, _, _ in studies for lesion in reports.truth(findings) if lesion.status == "positive")
    assert 0.04 < certainties["hedged"] / certainties.total() < 0.25


def test_what_cannot_be_excluded_is_negative(studies):
    doubted = [said for _, findings, _, _ in studies for s in findings for said in s.says if re.search("excluded|exclude", s.text)]
    assert len(doubted) > 20
    assert all(said.status == "negative" for said in doubted)


def test_each_lesion_has_many_wordings(studies):
    wordings = defaultdict(set)
    for _, findings, _, _ in studies:
        for sentence in findings:
            for said in sentence.says:
                if said.status == "positive":
                    wordings[said.lesion].add(sentence.text)
    assert set(wordings) == set(LESIONS)
    assert min(map(len, wordings.values())) >= 15


def test_sentences_belong_to_known_regions_of_the_right_side(studies):
    for _, findings, impression, _ in studies:
        for sentence in (*findings, *impression):
            assert set(sentence.regions) <= set(REGIONS), sentence
            sides = {said.side for said in sentence.says if said.status == "positive"}
            if sides == {"left"} and all(said.status == "positive" for said in sentence.says):
                assert not any(region.startswith("right") for region in sentence.regions), sentence
            if sentence.says:
                assert sentence.regions


def test_positive_sentences_are_filed_as_abnormal(studies):
    for _, findings, _, _ in studies:
        for sentence in findings:
            if any(said.status == "positive" for said in sentence.says):
                assert "nlp|yes|abnormal" in sentence.attributes
                assert "nlp|yes|normal" not in sentence.attributes


def test_sentences_are_whole_and_clean(studies):
    for _, findings, impression, _ in studies:
        for sentence in (*findings, *impression):
            assert re.fullmatch(r"[A-Z0-9].*\.", sentence.text), sentence.text
            assert not re.search(r"\{|\}|~|  | [.,]|\ba [aeio]|\ban [bcdfgjklmnpqrstvwxyz]|\bare (is|a )\b", sentence.text), sentence.text


def test_layouts_differ_in_headers_but_keep_their_order(studies):
    firsts = Counter()
    for _, _, _, text in studies:
        headers = re.findall(r"^ ([A-Z ]+):", text, re.M)
        firsts[headers[0]] += 1
        assert headers.index("FINDINGS") < headers.index("IMPRESSION")
    assert len(firsts) >= 3
    assert firsts["WET READ"] > 0


@pytest.mark.parametrize(
    ("style", "header"), [("merged", "FINDINGS AND IMPRESSION"), ("impression only", "IMPRESSION"), ("empty findings", "FINDINGS")]
)
def test_reports_without_findings_come_in_three_forms(studies, style, header):
    study, findings, impression, _ = studies[0]
    text = reports.layout(np.random.default_rng(0), study, findings, impression, style)
    assert f" {header}:" in text
    section = re.search(r"^ FINDINGS:(.*?)^ IMPRESSION", text, re.S | re.M)
    assert section is None or not re.search("[A-Za-z]", section[1])
