"""Reports into sentences: the punctuation of radiology."""

from __future__ import annotations

import pytest

from benchmark.labelling.sentences import LONGEST, split_sentences


@pytest.mark.parametrize(
    ("report", "sentences"),
    [
        ("No effusion. Heart is normal.", ["No effusion", "Heart is normal"]),
        ("A 1.7 cm nodule. Stable.", ["A 1.7 cm nodule", "Stable"]),
        ("Atelectasis vs. pneumonia. Seen by Dr. Who.", ["Atelectasis vs. pneumonia", "Seen by Dr. Who"]),
        ("No effusion.Heart is normal.", ["No effusion", "Heart is normal"]),
        ("1. Edema. 2. No effusion.", ["Edema", "No effusion"]),
        ("1. Edema 2. No effusion 3) Cardiomegaly", ["Edema", "No effusion", "Cardiomegaly"]),
        ("- Edema\n- No effusion", ["Edema", "No effusion"]),
        ("No effusion\nNo pneumothorax", ["No effusion", "No pneumothorax"]),
        ("no effusion . heart is normal .", ["no effusion", "heart is normal"]),
        ("No effusion The heart is enlarged", ["No effusion", "The heart is enlarged"]),
        ("Nodule of ___ mm. XXXX opacity.", ["Nodule of ___ mm", "XXXX opacity"]),
        ("Is this a mass? Yes!", ["Is this a mass", "Yes"]),
        ("", []),
        (" \n\n ... ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(report: str, sentences: list[str]) -> None:
    assert split_sentences(report) == sentences


def test_a_line_wrapped_by_the_archive_is_one_sentence() -> None:
    wrapped = (
        " There is a moderate left pleural effusion that has increased in size since the\n Swan-Ganz catheter was placed, with no\n pneumothorax."
    )
    assert len(split_sentences(wrapped)) == 1


def test_a_blank_line_ends_a_sentence() -> None:
    assert split_sentences("no effusion\n \nmild edema") == ["no effusion", "mild edema"]


def test_windows_line_ends_are_line_ends() -> None:
    assert split_sentences("No effusion\r\n\r\nmild edema") == ["No effusion", "mild edema"]


def test_sections_that_state_no_finding_are_left_out() -> None:
    report = (
        "                FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  ___ year old with pneumonia. Effusion?\n\n"
        " TECHNIQUE:  Two views\n\n COMPARISON:  ___, with edema\n\n FINDINGS: \n\n The lungs are clear.\n\n IMPRESSION: \n\n No effusion."
    )
    assert split_sentences(report) == ["FINAL REPORT", "The lungs are clear", "No effusion"]


def test_text_behind_a_silent_section_is_heard_again_without_a_header() -> None:
    assert split_sentences("HISTORY: Pneumonia\n\nThe lungs are clear.") == ["The lungs are clear"]
    assert split_sentences("Comparison: None. The lungs are clear.") == ["The lungs are clear"]


def test_headers_in_one_line_are_found() -> None:
    assert split_sentences("INDICATION: Mass. FINDINGS: No effusion. IMPRESSION: Normal.") == ["No effusion", "Normal"]


def test_text_without_full_stops_is_cut_at_blanks() -> None:
    pieces = split_sentences("effusion " * 1000)
    assert max(map(len, pieces)) <= LONGEST
    assert " ".join(pieces).split() == ["effusion"] * 1000


def test_text_without_blanks_is_cut_all_the_same() -> None:
    assert "".join(split_sentences("a" * 5000)) == "a" * 5000
