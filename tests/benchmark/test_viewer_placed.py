"""Where a sentence about a region went, by the words that it shares with the report."""

from __future__ import annotations

import pytest

from benchmark.viewer.placed import content_words, placed

REPORT = [
    "The lungs are clear.",
    "Heart size is normal.",
    "No pneumothorax, focal consolidation, or pleural effusion.",
    "Small left pleural effusion.",
]


@pytest.mark.parametrize(
    ("sentence", "into"),
    [
        ("The lungs are clear.", [0]),
        ("lungs are clear bilaterally. no pneumothorax is seen.", [0, 2]),
        ("there is no evidence of confluent consolidation or effusion.", [2]),
        ("the lungs are without pneumothorax", [2]),  # "without" denies as "no" does
        ("no left pleural effusion", [2]),  # three of its words are in the last sentence too, which denies nothing
        ("small effusions on the left", [3]),
        ("The aorta is tortuous.", []),
        ("", []),
        ("the of and", []),
        ("\U0001f600 \x00", []),
    ],
)
def test_a_region_sentence_goes_where_most_of_its_words_are(sentence: str, into: list[int]) -> None:
    assert placed(sentence, REPORT) == into


def test_an_identical_sentence_is_found_whatever_others_hold_the_same_words() -> None:
    assert placed("No pneumothorax.", ["No effusion, no pneumothorax.", "No pneumothorax."]) == [1]
    assert placed("No pneumothorax.", ["No pneumothorax.", "No pneumothorax."]) == [0, 1]


def test_sentences_that_have_as_many_of_the_words_are_all_named() -> None:
    assert placed("No pneumothorax.", ["No effusion or pneumothorax.", "Clear.", "No edema or pneumothorax."]) == [0, 2]


def test_a_report_without_sentences_has_none() -> None:
    assert placed("The lungs are clear.", []) == []


def test_words_that_carry_nothing_are_left_out_and_what_denies_is_one_word() -> None:
    assert content_words("There is no evidence of effusions") == content_words("Without effusion.") == {"no", "effus"}
