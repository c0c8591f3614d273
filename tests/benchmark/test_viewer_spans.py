"""A text as the page shows it: sentences and lesions by offsets that JavaScript understands."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.labelling.rules import RuleLabeller
from benchmark.labelling.sentences import sentence_spans, split_sentences
from benchmark.records import Lesion, Lesions
from benchmark.viewer.spans import TextReader, find, read_text, sentences_of

RULES = RuleLabeller()
PIECES = [
    "FINDINGS: ",
    "INDICATION: cough? ",
    "IMPRESSION:\n",
    "No effusion. ",
    "Heart is large",
    ".",
    " ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "1. ",
    "- ",
    "\u2022 ",
]
PIECES += [
    "\U0001f600",
    "\x00",
    "\u202eabc\u202c",
    "\u05d0\u05d1",
    "vs. ",
    "effusion.Heart ",
    "\u00a0",
    "\t",
    "\u2028",
    "\ud83d",
    "x" * 1300,
    "w " * 700,
    ":",
    "(a)",
]
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def shown(text: str, span: Sequence[int]) -> str:
    """What JavaScript's ``text.slice(start, end)`` gives: it counts UTF-16 code units."""
    return text.encode("utf-16-le", "surrogatepass")[2 * span[0] : 2 * span[1]].decode("utf-16-le", "surrogatepass")


def rules(text: str) -> Lesions:
    return RULES.label([text])[0]


@given(TEXTS)
@settings(max_examples=100, deadline=None)
@example("")
@example("word" * 2500)
@example("INDICATION: Pneumonia?\r\n\r\nFINDINGS:\r\n1. Small effusion.\r\n2. No mass")
def test_every_character_but_white_space_lies_in_exactly_one_sentence(text: str) -> None:
    """What lay in none would not be shown, what lay in two would be shown twice."""
    done, between = 0, ""
    for start, end in sentences_of(text):
        assert done <= start < end
        between += text[done:start]
        done = end
    assert not (between + text[done:]).strip()


@given(TEXTS)
@settings(max_examples=80, deadline=None)
def test_offsets_are_those_that_javascript_counts(text: str) -> None:
    assert [shown(text, span) for span in read_text(text, ())["sentences"]] == [text[start:end] for start, end in sentences_of(text)]


@given(TEXTS)
@settings(max_examples=100, deadline=None)
@example("Effusion.\r\nNo mass.\rEdema")
def test_where_a_sentence_stands_is_where_the_labeller_reads_it(text: str) -> None:
    found = [text[start:end].replace("\r\n", "\n").replace("\r", "\n") for start, end in sentence_spans(text)]
    assert found == split_sentences(text)


def test_marks_go_with_the_sentence_before_and_headers_with_the_one_behind() -> None:
    text = "INDICATION: Cough.\n\nFINDINGS: Heart is large. 1. No mass"
    assert [text[start:end] for start, end in sentences_of(text)] == ["INDICATION: Cough.", "FINDINGS: Heart is large.", "1. No mass"]


def test_a_lesion_stands_where_it_is_said_behind_an_emoji_too() -> None:
    """By hand: an emoji is two code units, so "left" begins at 9 and not at 8."""
    text = "\U0001f600 Small left pleural effusion."
    (lesion,) = read_text(text, rules(text), RULES)["lesions"]
    assert lesion == {"name": "pleural effusion", "status": "positive", "side": "left", "certainty": "stated", "start": 9, "end": 30}
    assert shown(text, (9, 30)) == "left pleural effusion"


def test_only_lesions_that_the_text_mentions_are_listed() -> None:
    text = "No pneumothorax. Heart size is normal."
    assert [(lesion["name"], lesion["status"]) for lesion in read_text(text, rules(text), RULES)["lesions"]] == [
        ("cardiomegaly", "negative"),
        ("pneumothorax", "negative"),
    ]
    assert read_text(text, ())["lesions"] == []


def test_all_places_that_affirm_a_lesion_are_marked_and_those_that_deny_it_are_not() -> None:
    text = "Left pleural effusion. No pleural effusion on the right. Again the left pleural effusion is seen."
    (lesion,) = (one for one in read_text(text, rules(text), RULES)["lesions"] if one["name"] == "pleural effusion")
    places = [(lesion["start"], lesion["end"]), *map(tuple, lesion["also"])]
    assert [text[start:end] for start, end in places] == ["Left pleural effusion", "left pleural effusion"]
    assert places[0][0] == 0
    assert places[1][0] > text.index("Again")


@pytest.mark.parametrize(
    ("text", "name", "marked"),
    [
        ("There is a nodule in the right lower lobe.", "nodule", "nodule in the right lower lobe"),
        ("\U0001f600 Consolidation of the left upper and lower lobes.", "consolidation", "Consolidation of the left upper and lower lobes"),
        ("Nodule in the right lung base is seen.", "nodule", "Nodule in the right lung base"),
        ("A nodule on the left. Lung volumes are low.", "nodule", "nodule on the left"),
        ("A nodule on the right, base of the neck is clear.", "nodule", "nodule on the right"),
        ("The cardiac silhouette is mildly enlarged.", "cardiomegaly", "cardiac silhouette is mildly enlarged"),
        ("Lungs are clear and heart size is increased.", "cardiomegaly", "heart size is increased"),
        ("The cardiac silhouette, once normal, is now enlarged.", "cardiomegaly", "enlarged"),
    ],
)
def test_a_mark_holds_the_whole_phrase_and_no_word_of_the_next_clause(text: str, name: str, marked: str) -> None:
    """ "nodule in the right" and "enlarged" alone are no findings; beyond a full stop or a comma other things are spoken of."""
    (lesion,) = (one for one in read_text(text, rules(text), RULES)["lesions"] if one["name"] == name)
    assert shown(text, (lesion["start"], lesion["end"])) == marked


def test_the_same_words_twice_in_one_sentence_are_two_places() -> None:
    text = "Edema at the base and edema at the apex."
    (lesion,) = read_text(text, rules(text), RULES)["lesions"]
    assert [text[start:end].lower() for start, end in [(lesion["start"], lesion["end"]), *lesion["also"]]] == ["edema", "edema"]


def test_a_question_in_the_indication_is_not_where_the_finding_is_said() -> None:
    text = "INDICATION: pneumothorax?\n\nFINDINGS: There is a pneumothorax."
    quoted = (Lesion("pneumothorax", "positive", rationale="pneumothorax"),)
    for lesions, who in ((rules(text), RULES), (quoted, None)):
        (lesion,) = read_text(text, lesions, who)["lesions"]
        assert lesion["start"] == text.rindex("pneumothorax")


def test_a_quotation_is_looked_for_as_it_is_written_and_then_with_case_and_blanks_folded() -> None:
    text = "Massive heart; a mass\n in the LEFT  lung."
    assert find("mass", text) == (17, 21)  # not in "Massive", nor would it be as a part of a word
    assert find("a mass in the left lung", text) == (15, len(text) - 1)
    assert find('"Massive heart"', text) == (0, 13)
    assert find("assiv", text) == (1, 6)  # a part of a word where there is nothing better


def test_a_quotation_that_is_not_there_is_empty_or_is_longer_than_the_text_has_no_place() -> None:
    text = "Small effusion."
    for words in ("", "  ", '""', "a nodule", "Small effusion. And a good deal more", "(", "effusion.."):
        (lesion,) = read_text(text, (Lesion("pleural effusion", "positive", rationale=words),))["lesions"]
        assert (lesion["start"], lesion["end"]) == (None, None)
    assert find("x", "") is None


def test_one_word_of_ten_thousand_letters_takes_no_time() -> None:
    text = "a" * 10_000
    began = time.process_time()
    assert read_text(text, (Lesion("mass", "positive", rationale="a" * 5_000 + "b"),))["lesions"][0]["start"] is None
    read_text(text, rules(text), RULES)
    assert time.process_time() - began < 2


def test_each_text_is_labelled_once() -> None:
    asked: list[str] = []

    def label(texts: Sequence[str]) -> list[Lesions]:
        asked.extend(texts)
        return RULES.label(texts)

    reader = TextReader(label)
    first = reader.read(["Edema.", "No edema.", "Edema."])
    assert reader.read(["No edema."]) == [first[1]]
    assert first[0] is first[2]
    assert asked == ["Edema.", "No edema."]
    assert TextReader(None).read(["Edema."])[0]["lesions"] == []
