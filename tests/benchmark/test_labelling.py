"""Reports into lesions by rules: what the words of medicine mean. Expected labels are by hand, by the conventions of ``RuleLabeller``."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.labelling import lexicon, scope
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Lesion, UserError
from benchmark.vocabulary import CERTAINTIES, LESIONS, SIDES, STATUSES

LABELLER = RuleLabeller()
GOLD_LABELLER = RuleLabeller(hedges="gold_openi", terms="gold_openi")


def label(report: str, labeller: RuleLabeller = LABELLER) -> dict[str, Lesion]:
    return {lesion.name: lesion for lesion in labeller.label([report])[0]}


def positives(report: str, labeller: RuleLabeller = LABELLER) -> dict[str, str]:
    """Lesion -> side of what is affirmed."""
    return {name: lesion.side for name, lesion in label(report, labeller).items() if lesion.status == "positive"}


def denied(report: str) -> set[str]:
    return {name for name, lesion in label(report).items() if lesion.status == "negative" and lesion.certainty != "not mentioned"}


NONE = "not mentioned"


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        (
            "cardiomegaly",
            ["Mild cardiomegaly.", "The heart is enlarged.", "Enlarged cardiac silhouette.", "Borderline heart size.", "Cardiac enlargement."],
        ),
        ("cardiomegaly", ["Heart size remains moderately enlarged.", "There is enlargement of the heart.", "Interval increase in heart size."]),
        ("emphysema", ["Emphysematous changes.", "Severe centrilobular emphysema.", "Bullous emphysema."]),
        ("pleural effusion", ["Small effusion.", "Pleural fluid.", "Layering fluid at the base.", "Loculated pleural fluid collections."]),
        ("hernia", ["Large hiatal hernia.", "A diaphragmatic hernia.", "Herniation of the stomach.", "Intrathoracic stomach."]),
        ("nodule", ["A 6 mm nodule.", "Multiple pulmonary nodules.", "A 1.2 cm nodular opacity."]),
        ("pneumothorax", ["Tiny pneumothorax.", "Pneumothoraces are present.", "There is pleural air."]),
        ("atelectasis", ["Platelike atelectasis.", "Atelectatic changes.", "Partial lobar collapse.", "The lobe has collapsed."]),
        ("pleural thickening", ["Pleural thickening.", "Thickening of the pleura.", "Thickened pleura.", "Apical capping.", "Biapical capping."]),
        ("mass", ["A 4 cm mass.", "Masses.", "A tumor."]),
        ("edema", ["Interstitial edema.", "Pulmonary oedema."]),
        ("consolidation", ["Dense consolidation.", "Consolidative opacity.", "The lobe is consolidated."]),
        ("infiltration", ["Patchy infiltrates.", "An infiltrate.", "Interstitial infiltration."]),
        ("fibrosis", ["Pulmonary fibrosis.", "Fibrotic changes."]),
        ("pneumonia", ["Lobar pneumonia.", "Bronchopneumonia."]),
    ],
)
def test_each_lesion_is_known_by_its_names(name: str, phrases: list[str]) -> None:
    for phrase in phrases:
        assert list(positives(phrase)) == [name], phrase


@pytest.mark.parametrize(
    "report",
    [
        "Subcutaneous emphysema along the left chest wall.",
        "Pericardial effusion.",
        "Cystic fibrosis.",
        "Mass effect on the trachea.",
        "Compression collapse of the T12 vertebral body.",
        "Bronchial wall thickening.",
        "Calcified granuloma in the left lung.",
        "Hyperinflated lungs, consistent with COPD.",
        "Stable blunting of the left costophrenic angle.",
        "Pulmonary vascular congestion.",
        "Heart size is at the upper limits of normal.",
        "The heart is normal. The aorta is enlarged.",
        "Large hiatus of unknown cause beside the heart.",
        "Biapical scarring.",
    ],
)
def test_what_only_sounds_like_a_lesion_is_none(report: str) -> None:
    assert positives(report) == {}


@pytest.mark.parametrize(
    ("report", "names"),
    [
        ("No pneumothorax, effusion or consolidation.", {"pneumothorax", "pleural effusion", "consolidation"}),
        ("There is no evidence of pneumonia.", {"pneumonia"}),
        ("The lungs are free of consolidation, effusion, and pneumothorax.", {"consolidation", "pleural effusion", "pneumothorax"}),
        ("Negative for pneumothorax or pleural effusion.", {"pneumothorax", "pleural effusion"}),
        ("Neither pneumothorax nor effusion is present.", {"pneumothorax", "pleural effusion"}),
        ("No large effusion, left nodule, or mass.", {"pleural effusion", "nodule", "mass"}),
        ("Pneumothorax is not seen.", {"pneumothorax"}),
        ("Pleural effusion, pneumothorax and consolidation are not identified.", {"pleural effusion", "pneumothorax", "consolidation"}),
        ("Pneumothorax: none.", {"pneumothorax"}),
        ("There is no longer a left pneumothorax.", {"pneumothorax"}),
        ("The effusion, which was large, has resolved.", {"pleural effusion"}),
        ("Interval resolution of the right pleural effusion.", {"pleural effusion"}),
        ("The heart is not significantly enlarged.", {"cardiomegaly"}),
        ("Heart size is normal.", {"cardiomegaly"}),
        ("Findings are not consistent with pneumonia.", {"pneumonia"}),
        ("NO PLEURAL\nEFFUSION.", {"pleural effusion"}),
        ("Mass was resected.", {"mass"}),
        ("The right upper lobe nodule was surgically excised.", {"nodule"}),
        ("The mass in the right upper lobe was resected.", {"mass"}),
    ],
)
def test_denials_reach_their_lesions_before_and_behind(report: str, names: set[str]) -> None:
    assert positives(report) == {}
    assert denied(report) == names


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("No pneumothorax but a left effusion.", {"pleural effusion": "left"}),
        ("No pneumothorax; however, there is edema.", {"edema": NONE}),
        ("No acute findings other than mild cardiomegaly.", {"cardiomegaly": NONE}),
        ("No effusion or pneumothorax, and the heart is enlarged.", {"cardiomegaly": NONE}),
        ("No pneumothorax is seen, mild edema is present.", {"edema": NONE}),
        ("No pneumothorax, small left effusion.", {"pleural effusion": "left"}),
        ("No cardiomegaly with bilateral small pleural effusions.", {"pleural effusion": "bilateral"}),
        ("No pneumothorax the heart is enlarged", {"cardiomegaly": NONE}),
        ("Cardiomegaly without edema.", {"cardiomegaly": NONE}),
        ("Atelectasis at the left base with no pneumothorax.", {"atelectasis": "left"}),
        ("Left effusion and pneumothorax is not seen.", {"pleural effusion": "left"}),
        ("Chest tube has been removed with small residual pneumothorax.", {"pneumothorax": NONE}),
        ("Left pneumothorax after the mass was resected.", {"pneumothorax": "left"}),
        ("The left mass has not been resected.", {"mass": "left"}),
        ("Right effusion where the lobe was resected.", {"pleural effusion": "right"}),
        ("Left pneumothorax is seen where the tube was removed.", {"pneumothorax": "left"}),
        ("Base not well seen due to effusion.", {"pleural effusion": NONE}),
        ("A nodule that is not calcified.", {"nodule": NONE}),
    ],
)
def test_a_denial_ends_where_a_new_statement_begins(report: str, expected: dict[str, str]) -> None:
    assert positives(report) == expected


@pytest.mark.parametrize(
    "report",
    [
        "No change in the right pneumothorax.",
        "No significant interval change in the right pneumothorax.",
        "No increase in the right pneumothorax.",
        "The right pneumothorax is not only larger.",
        "The right pneumothorax has not resolved.",
        "Near complete resolution of the right pneumothorax.",
        "The right pneumothorax is not as well seen.",
        "The right pneumothorax has improved but not resolved.",
    ],
)
def test_a_denied_change_is_no_denied_lesion(report: str) -> None:
    assert positives(report) == {"pneumothorax": "right"}


@pytest.mark.parametrize(
    "report",
    [
        "Possible left pneumonia.",
        "Likely left pneumonia.",
        "Left basilar opacity may represent pneumonia.",
        "Left basilar opacity suggests pneumonia.",
        "Left pneumonia is suspected.",
        "Questionable left pneumonia.",
        "Left opacity, infection versus pneumonia, possibly early pneumonia.",
        "Left opacity concerning for pneumonia.",
        "Left pneumonia is a possibility.",
    ],
)
def test_a_hedged_lesion_is_positive_and_says_so(report: str) -> None:
    lesion = label(report)["pneumonia"]
    assert (lesion.status, lesion.side, lesion.certainty) == ("positive", "left", "hedged")


@pytest.mark.parametrize("report", ["Opacity, atelectasis versus pneumonia.", "Atelectasis or pneumonia.", "Atelectasis and/or pneumonia."])
def test_alternatives_are_both_hedged(report: str) -> None:
    found = label(report)
    assert [found[name].certainty for name in ("atelectasis", "pneumonia")] == ["hedged", "hedged"]
    assert set(positives(report)) == {"atelectasis", "pneumonia"}


def test_a_hedge_about_something_else_leaves_the_lesion_stated() -> None:
    assert label("A dense nodule suggests an old process.")["nodule"].certainty == "stated"
    assert label("Apical fibrosis, may be due to radiation.")["fibrosis"].certainty == "stated"


@pytest.mark.parametrize(
    "report",
    [
        "Pneumonia cannot be excluded.",
        "Pneumonia cannot be entirely excluded.",
        "Cannot exclude early pneumonia.",
        "Pneumonia is difficult to exclude.",
        "Pneumonia is not excluded.",
        "Cannot rule out pneumonia.",
        "Pneumonia is unlikely.",
        "Pneumonia is less likely.",
        "Evaluate for pneumonia.",
        "If pneumonia is suspected, a lateral view may help.",
        "Low volumes may obscure a pneumonia.",
    ],
)
def test_what_is_merely_not_excluded_or_asked_for_is_a_hedged_negative(report: str) -> None:
    lesion = label(report)["pneumonia"]
    assert (lesion.status, lesion.side, lesion.certainty) == ("negative", NONE, "hedged")


@pytest.mark.parametrize(
    "report",
    ["History of pneumonia.", "Prior left pneumonia.", "Previously seen pneumonia has cleared.", "Pneumonia has resolved.", "Status post pneumonia."],
)
def test_the_past_is_negative(report: str) -> None:
    assert positives(report) == {}
    assert denied(report) == {"pneumonia"}


@pytest.mark.parametrize(
    "report", ["Previously seen left nodule is unchanged.", "The previously described left nodule persists.", "Left nodule, again seen."]
)
def test_what_was_seen_before_and_is_still_there_is_positive(report: str) -> None:
    assert positives(report) == {"nodule": "left"}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Biapical capping.", {"pleural thickening": "bilateral"}),
        ("Bi-apical pleural caps.", {"pleural thickening": "bilateral"}),
        ("Biapical pleural capping and a right nodule.", {"pleural thickening": "bilateral", "nodule": "right"}),
        ("Small left pleural effusion and right basilar atelectasis.", {"pleural effusion": "left", "atelectasis": "right"}),
        ("A pleural effusion is seen on the right and pneumothorax on the left.", {"pleural effusion": "right", "pneumothorax": "left"}),
        ("Consolidation in the lingula.", {"consolidation": "left"}),
        ("Middle lobe consolidation.", {"consolidation": "right"}),
        ("RLL consolidation.", {"consolidation": "right"}),
        ("Bibasilar atelectasis.", {"atelectasis": "bilateral"}),
        ("Fibrosis in both upper lobes.", {"fibrosis": "bilateral"}),
        ("Pleural effusions, right greater than left.", {"pleural effusion": "bilateral"}),
        ("Right greater than left pleural effusions.", {"pleural effusion": "bilateral"}),
        ("Infiltrates in the right middle lobe and lingula.", {"infiltration": "bilateral"}),
        ("Atelectasis in the right base and left effusion.", {"atelectasis": "right", "pleural effusion": "left"}),
        ("Small right effusion. Large left effusion.", {"pleural effusion": "bilateral"}),
        ("Effusion. The left effusion is small.", {"pleural effusion": "left"}),
        ("Left effusion with adjacent atelectasis.", {"pleural effusion": "left", "atelectasis": "left"}),
        ("Effusion and atelectasis in the left base.", {"pleural effusion": "left", "atelectasis": "left"}),
        ("Left lower lobe opacity, atelectasis versus pneumonia.", {"atelectasis": "left", "pneumonia": "left"}),
        ("Left consolidation could be due to aspiration pneumonia.", {"consolidation": "left", "pneumonia": "left"}),
        ("Atelectasis at the left base as well as a right nodule.", {"atelectasis": "left", "nodule": "right"}),
        ("Consolidation in the left lower lobe without effusion.", {"consolidation": "left"}),
        ("Cardiomegaly with left effusion.", {"cardiomegaly": NONE, "pleural effusion": "left"}),
        (
            "The heart is enlarged with small bilateral effusions and mild edema.",
            {"cardiomegaly": NONE, "pleural effusion": "bilateral", "edema": NONE},
        ),
        ("Right PICC line in place with mild edema.", {"edema": NONE}),
        ("In the left lower lobe, there is a 1 cm nodule.", {"nodule": "left"}),
        ("Fluid in the left pleural space.", {"pleural effusion": "left"}),
        ("Left hydropneumothorax.", {"pleural effusion": "left", "pneumothorax": "left"}),
        ("Left effusion is smaller, and the right effusion has resolved.", {"pleural effusion": "left"}),
    ],
)
def test_sides_come_from_the_lesions_own_phrase(report: str, expected: dict[str, str]) -> None:
    assert positives(report) == expected


def test_one_affirmation_outweighs_denials_at_other_sites() -> None:
    found = label("No focal consolidation on the right. Consolidation at the left base. No new consolidation.")["consolidation"]
    assert (found.status, found.side, found.certainty) == ("positive", "left", "stated")
    assert found.rationale == "Consolidation at the left"


def test_the_rationale_quotes_the_report() -> None:
    report = "Lungs are low in volume. There is No Definite pneumothorax today."
    assert label(report)["pneumothorax"].rationale == "No Definite pneumothorax"


@pytest.mark.parametrize("report", ["", " \n ", "___", "XXXX.", "Pneumo", "лёгкие без изменений", "両肺は清明", "\x00\ud800", "?!"])
def test_a_report_that_names_nothing_mentions_nothing(report: str) -> None:
    lesions = LABELLER.label([report])[0]
    assert tuple(lesion.name for lesion in lesions) == LESIONS
    assert {(lesion.status, lesion.side, lesion.certainty, lesion.rationale) for lesion in lesions} == {("negative", NONE, NONE, "")}


def test_foreign_letters_beside_a_lesion_do_not_hide_it() -> None:
    assert positives("Épanchement İ: left pleural effusion – stable ﬂow.") == {"pleural effusion": "left"}
    assert positives("There isn’t a pneumothorax. Left‑sided effusion.") == {"pleural effusion": "left"} | positives("There isn't a pneumothorax.")


def test_no_reports_give_no_labels() -> None:
    assert LABELLER.label([]) == []


def test_labels_do_not_depend_on_what_was_labelled_before() -> None:
    reports = ["Left effusion.", "No effusion.", "Left effusion.", "", "Possible effusion."]
    fresh = [RuleLabeller().label([report])[0] for report in reports]
    assert RuleLabeller().label(reports) == fresh
    assert RuleLabeller().label(reports[::-1]) == fresh[::-1]


def test_a_labeller_travels_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(LABELLER)).label(["Left effusion."]) == LABELLER.label(["Left effusion."])


@pytest.mark.parametrize(
    ("report", "ours", "gold"),
    [
        ("Possible pneumonia.", {"pneumonia"}, set()),
        ("Findings may represent pneumonia.", {"pneumonia"}, set()),
        ("Pneumonia is suspected.", {"pneumonia"}, set()),
        ("Probable pneumonia.", {"pneumonia"}, {"pneumonia"}),
        ("Opacity consistent with pneumonia.", {"pneumonia"}, {"pneumonia"}),
        ("Atelectasis versus pneumonia.", {"atelectasis", "pneumonia"}, {"atelectasis", "pneumonia"}),
        ("Hiatal hernia.", {"hernia"}, set()),
        ("Pericardial effusion.", set(), {"pleural effusion"}),
        ("Nodular opacity.", {"nodule"}, set()),
    ],
)
def test_the_conventions_of_the_expert_gold_are_an_option(report: str, ours: set[str], gold: set[str]) -> None:
    assert set(positives(report)) == ours
    assert set(positives(report, GOLD_LABELLER)) == gold


def test_signatures_tell_conventions_and_lexicon_apart() -> None:
    signature = LABELLER.signature()
    assert signature.startswith("rules|hedges:d15|terms:chest14|v1|lexicon:")
    assert signature == RuleLabeller().signature()
    assert signature != GOLD_LABELLER.signature()


def test_an_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="no hedges='chexpert'; known: d15, gold_openi"):
        RuleLabeller(hedges="chexpert")
    with pytest.raises(UserError, match="no terms='x'; known: chest14, gold_openi"):
        RuleLabeller(terms="x")


def test_every_name_of_a_lesion_is_read_as_that_lesion() -> None:
    """Also proves the shortcut: a sentence without an anchor word is skipped, so every name must contain one."""
    compiled = scope.compile_phrases()
    for name, phrases in lexicon.LESION_PHRASES.items():
        for phrase in phrases:
            for words in lexicon.expand(phrase):
                mentions = scope.read_sentence(" ".join(words), compiled)
                assert name in {mention.lesion for mention in mentions}, words


def test_a_phrase_with_two_meanings_is_an_error_of_the_lexicon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lexicon.SIDE_PHRASES, "left", ("left", "nodule"))
    with pytest.raises(ValueError, match="lists 'nodule' as"):
        scope.compile_phrases()


def test_phrases_expand_choices_options_and_endings() -> None:
    assert set(lexicon.expand("a|b_c d? nodule(s)")) == {
        ("a", "nodule"),
        ("a", "nodules"),
        ("a", "d", "nodule"),
        ("a", "d", "nodules"),
        ("b", "c", "nodule"),
        ("b", "c", "nodules"),
        ("b", "c", "d", "nodule"),
        ("b", "c", "d", "nodules"),
    }


_WORDS = sorted(
    {word for group in (*lexicon.LESION_PHRASES.values(), *lexicon.CUES.values()) for phrase in group for word in next(lexicon.expand(phrase))}
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*_WORDS, "left", "right", "and", "or", ",", ".", "\n", "with", "the", "is", "heart", "___", "1."]), max_size=40).map(
        " ".join
    )
)
def test_any_row_of_words_gets_14_well_formed_lesions(report: str) -> None:
    lesions = LABELLER.label([report])[0]
    assert tuple(lesion.name for lesion in lesions) == LESIONS
    for lesion in lesions:
        assert lesion.status in STATUSES
        assert lesion.side in SIDES
        assert lesion.certainty in CERTAINTIES
        assert lesion.status == "positive" or lesion.side == NONE
        assert (lesion.certainty == NONE) == (lesion.rationale == "")


@pytest.mark.parametrize(
    "unit",
    ["effusion ", "no ", "or ", "left right ", "\n ", "FINDINGS: ", "A ", "1. ", "1.", ".", "a", "There is a small left effusion. ", "é effusion ß "],
)
def test_a_megabyte_of_text_is_read_in_time_that_grows_with_its_length(unit: str) -> None:
    start = time.process_time()
    RuleLabeller().label([unit * (1_000_000 // len(unit))])
    assert time.process_time() - start < 3  # a few tenths on an idle machine; a quadratic way would need minutes


@pytest.mark.parametrize(
    "report",
    [
        "",
        "Left effusion.\r\nNo pneumothorax.\r\rHeart is large.",
        "INDICATION: pneumonia? FINDINGS: \U0001f600 Nodule. Nodule cannot be excluded on the right.",
        "1. Cardiomegaly 2. Edema\n\n- left rib fracture",
        "x" * 3000,
    ],
)
def test_one_look_at_a_report_says_what_two_say(report: str) -> None:
    rules = RuleLabeller()
    assert rules.read(report) == (rules.label([report])[0], rules.mentions_at(report))


@pytest.mark.parametrize("options", [{}, {"hedges": "gold_openi", "terms": "gold_openi"}])
def test_a_labeller_is_sent_to_another_process_without_what_it_remembers(options: dict[str, str]) -> None:
    rules = RuleLabeller(**options)
    reports = [f"Possible hiatal hernia {number}." for number in range(1000)]
    labels = rules.label(reports)
    sent = pickle.dumps(rules)
    assert len(sent) < 500
    assert pickle.loads(sent).label(reports) == labels
    assert pickle.loads(sent).signature() == rules.signature()
