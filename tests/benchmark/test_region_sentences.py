"""From ImaGenome's phrases to one text per region. All texts here are invented."""

from __future__ import annotations

import pytest

from benchmark.datasets.region_sentences import region_sentence, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("No stop at all", ["No stop at all"]),
        ("Clear lungs. No effusion.", ["Clear lungs.", "No effusion."]),
        ("Seen by Dr. Miller at noon. Stable.", ["Seen by Dr. Miller at noon.", "Stable."]),
        ("A nodule of 2.5 cm. Old rib fracture.", ["A nodule of 2.5 cm.", "Old rib fracture."]),
        ("Dr. J. Smith was told. He agreed.", ["Dr. J. Smith was told.", "He agreed."]),
        ("1. Clear lungs. 2. No effusion.", ["1. Clear lungs.", "2. No effusion."]),
        ("Larger vs. the prior. New?", ["Larger vs. the prior.", "New?"]),
        ("Is it new? No. It is old.", ["Is it new?", "No.", "It is old."]),
        ("Called at 5 p.m. on Monday. Read at 6 p.m. Stable.", ["Called at 5 p.m. on Monday.", "Read at 6 p.m.", "Stable."]),
        ("the heart is normal. the lungs are clear.", ["the heart is normal.", "the lungs are clear."]),
        ("Line at T4. Tip at the level of segment B. Stable.", ["Line at T4.", "Tip at the level of segment B.", "Stable."]),
        ("Compared to ___. ___ is unchanged.", ["Compared to ___.", "___ is unchanged."]),
        ("Two\n   lines.  Another.", ["Two lines.", "Another."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, sentences):
    assert split_sentences(text) == sentences


def test_headings_are_cut_and_sentences_start_with_a_capital():
    assert region_sentence(["FINAL REPORT FINDINGS: the lungs are clear."]) == "The lungs are clear."
    assert region_sentence(["PORTABLE AP CHEST RADIOGRAPH: There is an effusion."]) == "There is an effusion."


def test_a_heading_cuts_only_itself():
    """RGRG's bare dots ate "25% "; here a number in a sentence stays, and so does a lower-case word that could be a heading."""
    assert region_sentence(["Effusion of 25% of the lung.", "Nodule of 1.5 cm."]) == "Effusion of 25% of the lung. Nodule of 1.5 cm."
    assert region_sentence(["Incidental findings: none in the chest."]) == "Incidental findings: none in the chest."


@pytest.mark.parametrize(
    "heading",
    [
        "SEMI-UPRIGHT PORTABLE AP RADIOGRAPH OF THE CHEST:",
        "UPRIGHT AP AND LATERAL VIEWS OF THE CHEST:",
        "CHEST, AP PORTABLE, UPRIGHT:",
        "CHEST/ABDOMEN RADIOGRAPHS:",
        "FRONTAL CHEST RADIOGRAPH WITH THE PATIENT IN SUPINE AND UPRIGHT POSITIONS:",
        "FRONTAL UPPER ABDOMINAL RADIOGRAPH, TWO IMAGES:",
        "IMPRESSION: AP CHEST:",
        "FINAL REPORT EXAMINATION: DX CHEST PORT LINE/TUBE PLCMT 1 EXAM INDICATION:",
        "FINAL ADDENDUM **********ADDENDUM***********",
        "WET READ VERSION #2",
        "FINAL REPORT FINDINGS",
        "IMPRESSION",
        "TECHNOLOGIST'S NOTE:",
        "FINIDNGS:",
        "AP:",
        "#1",
    ],
)
def test_headings_of_every_make_are_cut_whole(heading):
    """Of the kinds that RGRG's list has; what is left of half a heading would begin the sentence."""
    assert region_sentence([f"{heading} the lungs are clear."]) == "The lungs are clear."
    assert region_sentence([f"Heart is normal. {heading} The lungs are clear."]) == "Heart is normal. The lungs are clear."


@pytest.mark.parametrize(
    "sentence",
    [
        "AP view shows a large heart.",
        "PICC: tip in the SVC.",
        "NO ACUTE FINDINGS.",
        "FINDINGS CONSISTENT WITH EDEMA.",
        "NO CHANGE FROM PRIOR STUDY.",
        "Seen on AP, not on lateral.",
        "FRONTAL CHEST RADIOGRAPH demonstrates edema.",
        "IMPRESSIONS of clothing overlie the lung.",
    ],
)
def test_words_of_headings_within_sentences_stay(sentence):
    assert region_sentence([sentence]) == sentence


def test_list_numbers_are_cut():
    assert region_sentence(["IMPRESSION: 1. No pneumothorax. 2. Small effusion."]) == "No pneumothorax. Small effusion."


def test_a_sentence_is_said_once():
    assert (
        region_sentence(["The lungs are clear.", "the lungs are clear", "No effusion. The lungs are clear."]) == "The lungs are clear. No effusion."
    )


def test_phrases_without_full_stops_stay_apart():
    assert region_sentence(["lungs are clear", "heart is large"]) == "Lungs are clear. Heart is large."


def test_a_wet_read_stamp_is_cut():
    assert region_sentence(["WET READ: ABC MON ___ 5:15 PM Left effusion."]) == "Left effusion."


@pytest.mark.parametrize("phrases", [[], [""], ["   "], ["."], ["FINAL REPORT"], ["IMPRESSION:"], ["____________________"], [None]])
def test_nothing_said_is_no_sentence(phrases):
    assert region_sentence(phrases) == ""


def test_de_identification_blanks_stay():
    assert region_sentence(["Compared to ___, no change."]) == "Compared to ___, no change."


def test_text_beyond_ascii_is_kept():
    assert region_sentence(["größe normal."]) == "Größe normal."
