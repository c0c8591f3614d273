from __future__ import annotations

import pytest

from clala.aggregate import LostFindings, NoAnswer, aggregate, aggregate_by_model, lost_findings, sentence_case
from clala.findings import Finding, read_findings

NONE = "not mentioned"
DENIED_PAIR = [("pleural effusion", "denied", NONE), ("mass", "denied", NONE)]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("there is a small left pleural effusion.", [("pleural effusion", "present", "left")]),
        ("no pleural effusion or pneumothorax.", [("pleural effusion", "denied", "not mentioned"), ("pneumothorax", "denied", "not mentioned")]),
        ("no focal consolidation, pleural effusion, or pneumothorax is seen.", ["pleural effusion", "pneumothorax", "consolidation"]),
        ("the heart is mildly enlarged.", [("cardiomegaly", "present", "not mentioned")]),
        ("the heart is not enlarged.", [("cardiomegaly", "denied", "not mentioned")]),
        ("heart size is normal.", []),
        ("bibasilar atelectasis, no change.", [("atelectasis", "present", "bilateral")]),
        ("no significant change in a right apical pneumothorax.", [("pneumothorax", "present", "right")]),
        ("the previously seen left pneumothorax has resolved.", [("pneumothorax", "denied", "left")]),
        ("a small pneumothorax cannot be entirely excluded.", [("pneumothorax", "open", "not mentioned")]),
        ("right pleural effusion has improved but not completely resolved.", [("pleural effusion", "present", "right")]),
        ("subcutaneous emphysema in the left chest wall.", []),
        ("a right lower lobe pneumonia has not resolved.", [("pneumonia", "present", "right")]),
        ("without interval change, emphysematous changes are again demonstrated.", [("emphysema", "present", "not mentioned")]),
        ("there has been no interval improvement in pulmonary edema.", [("edema", "present", "not mentioned")]),
        ("cannot exclude a small left pleural effusion.", [("pleural effusion", "open", "left")]),
        ("small pericardial effusion.", []),
        ("the cardiomediastinal silhouette is enlarged.", [("cardiomegaly", "present", "not mentioned")]),
        (
            "a tiny left effusion and a moderate pneumothorax on the right.",
            [("pleural effusion", "present", "left"), ("pneumothorax", "present", "right")],
        ),
        ("moderate left effusion and small right effusion.", [("pleural effusion", "present", "bilateral")]),
        ("small right and left pleural effusions.", [("pleural effusion", "present", "bilateral")]),
        ("left effusion, right pneumothorax.", [("pleural effusion", "present", "left"), ("pneumothorax", "present", "right")]),
        ("effusions and atelectasis at both bases.", [("pleural effusion", "present", "bilateral"), ("atelectasis", "present", "bilateral")]),
        ("left effusion and overlying atelectasis.", [("pleural effusion", "present", "left"), ("atelectasis", "present", "left")]),
        ("left effusion and moderate pulmonary edema.", [("pleural effusion", "present", "left"), ("edema", "present", "not mentioned")]),
        ("infiltrate in the right middle lobe and lingula.", [("infiltration", "present", "bilateral")]),
        ("right mid lung opacity, in keeping with pneumonia.", [("pneumonia", "present", "right")]),
        ("effusions, right larger than left.", [("pleural effusion", "present", "bilateral")]),
        (
            "no pneumothorax or effusion, mild edema is present.",
            [("pleural effusion", "denied", NONE), ("pneumothorax", "denied", NONE), ("edema", "present", NONE)],
        ),
        ("no effusion or mass, consolidation is seen on the left.", [*DENIED_PAIR, ("consolidation", "present", "left")]),
        ("no effusion or mass, and a left consolidation is seen.", [*DENIED_PAIR, ("consolidation", "present", "left")]),
        ("small left effusion, the mass has resolved.", [("pleural effusion", "present", "left"), ("mass", "denied", NONE)]),
        ("the effusions, left greater than right on the prior exam have cleared.", ["pleural effusion"]),
        ("no effusion, mass, consolidation is seen.", ["pleural effusion", "mass", "consolidation"]),
        ("no effusion, left consolidation or mass is seen.", ["pleural effusion", "mass", "consolidation"]),
        ("no effusion, left nodule, or mass is seen.", ["pleural effusion", "nodule", "mass"]),
        ("no effusion or mass, consolidation is not seen.", ["pleural effusion", "mass", "consolidation"]),
        ("no pneumothorax but there is a right effusion.", [("pleural effusion", "present", "right"), ("pneumothorax", "denied", "not mentioned")]),
    ],
)
def test_a_sentence_is_read_as_a_person_reads_it(sentence: str, expected: list[tuple[str, str, str] | str]) -> None:
    found = read_findings(sentence)
    if expected and isinstance(expected[0], str):
        assert [(f.lesion, f.status) for f in found] == [(lesion, "denied") for lesion in expected]
    else:
        assert found == [Finding(*item) for item in expected]


def test_equal_sentences_of_several_regions_are_said_once() -> None:
    sentence = "there is a small left pleural effusion."
    assert aggregate({"left lung": sentence, "left costophrenic angle": sentence}) == "There is a small left pleural effusion."


def test_a_vaguer_sentence_about_a_finding_already_said_is_left_out() -> None:
    report = aggregate({"left lung": "pleural effusion is present.", "left costophrenic angle": "there is a small left pleural effusion."})
    assert report == "There is a small left pleural effusion."


def test_left_and_right_of_one_lesion_are_both_kept() -> None:
    report = aggregate({"left lung": "left pleural effusion.", "right lung": "right pleural effusion."})
    assert report == "Left pleural effusion. Right pleural effusion."


def test_present_holds_against_absent() -> None:
    report = aggregate({"left lung": "no pleural effusion or pneumothorax.", "left costophrenic angle": "small left pleural effusion."})
    assert report == "Small left pleural effusion. No pneumothorax."


def test_a_denial_within_a_positive_sentence_gives_way_too() -> None:
    report = aggregate(
        {"left lung": "left lower lobe consolidation without pleural effusion.", "left costophrenic angle": "small left pleural effusion."}
    )
    assert report == "Left lower lobe consolidation. Small left pleural effusion."


def test_what_a_positive_sentence_denies_in_passing_is_not_denied_again() -> None:
    report = aggregate({"left lung": "left lower lobe consolidation, no pleural effusion.", "right lung": "no pleural effusion or pneumothorax."})
    assert report == "Left lower lobe consolidation, no pleural effusion. No pneumothorax."


def test_abnormal_findings_come_first_the_most_urgent_leading() -> None:
    report = aggregate(
        {
            "mediastinum": "mediastinal contours are unremarkable.",
            "cardiac silhouette": "the heart is enlarged.",
            "left lung": "large left pneumothorax.",
        }
    )
    assert report == "Large left pneumothorax. The heart is enlarged. The mediastinal contours are normal."


def test_normal_regions_come_out_short() -> None:
    report = aggregate(
        {
            "left lung": "the lungs are well expanded and clear. there is no pneumothorax.",
            "right lung": "lungs are clear bilaterally. no evidence of pleural effusion.",
            "cardiac silhouette": "the cardiac silhouette is unremarkable.",
            "left hilar structures": "hilar and mediastinal silhouettes are unremarkable.",
        }
    )
    assert report == "The lungs are clear. Heart size is normal. The mediastinal and hilar contours are normal. No pneumothorax or pleural effusion."


def test_lungs_are_not_called_clear_beside_a_lung_lesion() -> None:
    assert "clear" not in aggregate({"left lung": "the lungs are clear.", "right lung": "right lower lobe pneumonia."})


def test_what_is_abnormal_and_none_of_the_14_is_kept() -> None:
    report = aggregate(
        {
            "mediastinum": "the aorta is tortuous. no acute cardiopulmonary process. pa and lateral views of the chest.",
            "left lung": "subcutaneous emphysema along the left chest wall. the lungs are clear.",
        }
    )
    assert report == "The aorta is tortuous. Subcutaneous emphysema along the left chest wall. The lungs are clear."


def test_nothing_written_gives_an_empty_report() -> None:
    assert aggregate({}) == ""
    assert aggregate({"left lung": " "}) == ""


def test_abbreviations_keep_their_capitals() -> None:
    assert sentence_case("right picc tip in the low svc") == "Right PICC tip in the low SVC."


def test_a_device_is_mentioned_once() -> None:
    report = aggregate({"left lung": "endotracheal tube in standard position.", "right lung": "the endotracheal tube is 4 cm above the carina."})
    assert report == "Endotracheal tube in standard position."


REGIONS = {"left lung": "small left pleural effusion. no pneumothorax.", "cardiac silhouette": "the heart is enlarged.", "right lung": ""}


def test_no_positive_finding_is_lost_by_the_rules() -> None:
    texts = {
        "left lung": "large left pneumothorax with left lower lobe atelectasis. no effusion.",
        "right lung": "right upper lobe nodule. unchanged right pleural thickening. pneumonia cannot be excluded.",
        "left costophrenic angle": "small left pleural effusion.",
        "cardiac silhouette": "moderate cardiomegaly. small hiatal hernia.",
        "left hilar structures": "pulmonary edema without consolidation.",
        "right lower lung zone": "right basilar consolidation.",
    }
    assert lost_findings(texts.values(), aggregate(texts)) == []


def test_a_language_model_is_shown_every_sentence_and_its_report_is_taken() -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return " The heart is enlarged. There is a small left pleural effusion. "

    report = aggregate_by_model(REGIONS, ask, "Rules.\n{regions}")
    assert report == "The heart is enlarged. There is a small left pleural effusion."
    assert asked == ["Rules.\n- left lung: small left pleural effusion. no pneumothorax.\n- cardiac silhouette: the heart is enlarged."]


def test_a_language_model_that_loses_a_finding_is_asked_once_more() -> None:
    answers = iter(["The heart is enlarged.", "The heart is enlarged. Small left pleural effusion."])
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    assert aggregate_by_model(REGIONS, ask, "{regions}") == "The heart is enlarged. Small left pleural effusion."
    assert "An earlier answer left out: left pleural effusion." in asked[1]


def test_what_a_report_states_after_a_denial_in_the_same_sentence_is_not_lost() -> None:
    texts = ["mild edema.", "no pneumothorax or effusion."]
    assert lost_findings(texts, "No pneumothorax or effusion, mild edema is present.") == []
    assert lost_findings(texts, "No pneumothorax, effusion or mild edema is present.") == ["edema"]


def test_a_language_model_that_loses_it_again_has_failed() -> None:
    with pytest.raises(LostFindings, match="the report lacks cardiomegaly; left pleural effusion, which the region sentences state"):
        aggregate_by_model(REGIONS, lambda _: "Normal chest.", "{regions}")


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_a_language_model_that_answers_with_nothing_has_failed(answer: str) -> None:
    """Also where nothing positive could be lost: an empty text would be scored as a report."""
    with pytest.raises(NoAnswer, match="the language model answered with nothing"):
        aggregate_by_model({"left lung": "the lungs are clear."}, lambda _: answer, "{regions}")


def test_an_error_of_the_endpoint_is_the_reason_why_there_is_no_report() -> None:
    def ask(prompt: str) -> str:
        raise TimeoutError("no answer\nafter 60 s")

    with pytest.raises(NoAnswer, match=r"the language model gave no answer: TimeoutError: no answer after 60 s$") as caught:
        aggregate_by_model(REGIONS, ask, "{regions}")
    assert isinstance(caught.value.__cause__, TimeoutError)
