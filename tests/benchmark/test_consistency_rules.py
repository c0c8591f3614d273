"""The embedded judge: three pairs by hand, and what must hold for any report."""

from __future__ import annotations

import random
import re
import time

import numpy as np
import pytest

from benchmark.datasets.phantom import anatomy, devices, lesions, reports
from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.consistency_rules import AXES, RuleJudge, scores_of
from benchmark.records import Lesions

JUDGE = RuleJudge()


def judged(candidate: str, reference: str) -> tuple[int, ...]:
    row = JUDGE.statistics([candidate], [reference])[0]
    assert row[0] == 1
    return tuple(int(score) for score in row[1:])


def phantoms(number: int) -> list[str]:
    """FINDINGS sections of drawn examinations."""
    rng, out = np.random.default_rng(11), []
    for _ in range(number):
        patient, found = anatomy.sample_patient(rng), lesions.sample(rng)
        study = reports.Study(patient, "PA", True, found, None, devices.sample(rng, patient, "PA", found))
        out.append(" ".join(sentence.text for sentence in reports.findings_section(rng, study)))
    return out


REPORTS = phantoms(150)


def sentences_of(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", text)


REFERENCE = "The heart is enlarged. There is a small left pleural effusion. No pneumothorax. The bones are intact."


def test_a_report_by_hand() -> None:
    """Stated 2, denied 1. The candidate states both, one on the wrong side: 1 of 2; it covers 2 x 2 of 2 x 2 + 1."""
    candidate = "The heart is enlarged. There is a small right pleural effusion."
    # structure: heart, pleura of heart, pleura, bones: 0.6 x 2 x 2 / 5 + 0.25 x 11 / 17 + 0.15 x 1 = 0.79
    assert judged(candidate, REFERENCE) == (3, 4, 5, 4)


def test_a_side_that_is_left_out_costs_less_than_a_wrong_one() -> None:
    effusion = "There is a {}pleural effusion.".format
    assert [judged(effusion(side), effusion("left "))[0] for side in ("left ", "", "bilateral ", "right ")] == [5, 4, 3, 1]


def test_a_normal_report_about_a_sick_patient_is_wrong_and_incomplete_in_good_english() -> None:
    assert judged("The lungs are clear. The heart is normal in size.", REFERENCE)[:3] == (1, 1, 5)


@pytest.mark.parametrize("text", ["", "  \n", "..."])
def test_a_candidate_without_a_word_gets_the_least_on_every_axis(text: str) -> None:
    assert judged(text, "No acute findings in this chest.") == (1, 1, 1, 1)


@pytest.mark.parametrize("reference", REPORTS[:60])
def test_the_reference_itself_is_accurate_complete_and_built_alike(reference: str) -> None:
    accuracy, completeness, _, structure = judged(reference, reference)
    assert (accuracy, completeness, structure) == (5, 5, 5)


def labels(text: str) -> Lesions:
    return RuleLabeller().label([text])[0]


def test_a_false_lesion_that_is_added_never_makes_a_report_more_accurate() -> None:
    said = {"hernia": "There is a hiatal hernia.", "fibrosis": "Pulmonary fibrosis is present.", "mass": "There is a right mass."}
    fell = 0
    for candidate, reference in zip(REPORTS, REPORTS[1:] + REPORTS[:1], strict=True):
        true = {lesion.name for lesion in labels(reference) if lesion.status == "positive"}
        for lesion, sentence in said.items():
            if lesion not in true:
                before, after = judged(candidate, reference)[0], judged(f"{candidate} {sentence}", reference)[0]
                assert after <= before, (candidate, sentence)
                fell += after < before
    assert fell > 20


def test_a_sentence_that_is_left_out_never_makes_a_report_more_complete() -> None:
    fell = 0
    for reference, other in zip(REPORTS, REPORTS[1:] + REPORTS[:1], strict=True):
        for whole in (reference, other):
            parts = sentences_of(whole)
            scores = [judged(" ".join(parts[:kept]), reference)[1] for kept in range(len(parts), 0, -1)]
            assert scores == sorted(scores, reverse=True), (whole, reference)
            fell += scores[-1] < scores[0]
    assert fell > 100


def test_sentences_in_another_order_change_the_structure_alone() -> None:
    fell = 0
    for number, reference in enumerate(REPORTS):
        parts = sentences_of(reference)
        random.Random(number).shuffle(parts)
        before, after = judged(reference, reference), judged(" ".join(parts), reference)
        assert after[:3] == before[:3]
        assert after[3] <= before[3]
        fell += after[3] < before[3]
    assert fell > len(REPORTS) / 2


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("The heart is enlarged. No pleural effusion is seen.", 5),
        ("the heart is enlarged. no pleural effusion is seen.", 4),  # no capitals
        ("the heart is enlarged no pleural effusion is seen", 3),  # nor full stops
        ("No effusion. No effusion. No effusion.", 2),  # one of three sentences is new
        ("The the heart heart is is enlarged. No no effusion effusion.", 4),
        ("Effusion", 1),
    ],
)
def test_english_is_judged_by_the_look_of_it(text: str, score: int) -> None:
    assert judged(text, REFERENCE)[2] == score


def test_sections_and_length_belong_to_the_structure() -> None:
    sections = "FINDINGS: The heart is enlarged. No pleural effusion.\nIMPRESSION: Cardiomegaly."
    plain = "The heart is enlarged. No pleural effusion. Cardiomegaly."
    assert judged(sections, sections)[3] == 5
    assert judged(plain, sections)[3] < 5
    assert judged(" ".join([plain] * 4), plain)[3] < judged(plain, plain)[3]


def test_shares_become_scores_at_the_cuts() -> None:
    assert scores_of(np.array([0, 0.249, 0.25, 0.49, 0.5, 0.7, 0.89, 0.9, 0.1 + 0.2 + 0.6, 1])).tolist() == [1, 1, 2, 2, 3, 4, 4, 5, 5, 5]


def test_numbers_are_means_over_cases_and_say_rules() -> None:
    rows = JUDGE.statistics([REFERENCE, ""], [REFERENCE, REFERENCE])
    found = {name: float(value) for name, value in JUDGE.values(rows.sum(axis=0)).items()}
    assert list(found) == ["rules.total", "rules.mean", *(f"rules.{axis}" for axis in AXES)]
    assert found["rules.total"] == (20 + 4) / 2
    assert found["rules.mean"] == (5 + 1) / 2
    assert np.isnan(JUDGE.values(np.zeros(5))["rules.total"])
    assert JUDGE.statistics([], []).shape == (0, 5)


def test_another_convention_of_the_labeller_is_another_signature_and_another_score() -> None:
    gold = RuleJudge(RuleLabeller(hedges="gold_openi"))
    possible, denied = "Possible pneumonia in the left lung.", "No pneumonia is seen in the left lung."
    assert [judge.statistics([possible], [denied])[0, 1] for judge in (JUDGE, gold)] == [1, 5]
    assert gold.signature() != JUDGE.signature()


def test_a_memory_that_is_full_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = JUDGE.statistics(REPORTS[:9], REPORTS[1:10])
    monkeypatch.setattr("benchmark.metrics.consistency_rules.REMEMBERED", 4)
    small = RuleJudge()
    for start in range(0, 9, 3):
        assert (small.statistics(REPORTS[start : start + 3], REPORTS[start + 1 : start + 4]) == expected[start : start + 3]).all()


def test_a_whole_test_split_is_judged_in_seconds() -> None:
    """31,255 pairs shall take less than 20 s; this bound is four times as wide, for machines that are busy."""
    sentences = [sentence for report in REPORTS for sentence in sentences_of(report)]
    draw = random.Random(0)
    texts = [" ".join(draw.choices(sentences, k=8)) for _ in range(2000)]
    start = time.process_time()
    RuleJudge().statistics(texts[:1000], texts[1000:])
    assert time.process_time() - start < 1000 / 31_255 * 20 * 4
