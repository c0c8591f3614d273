"""Sections of MIMIC-CXR reports: the fixtures of the spec (1.5), and the faults of real files. All texts here are invented."""

from __future__ import annotations

import pytest

from benchmark.datasets.mimic_reports import LAST_PARAGRAPH, conclusion, findings, indication, normal_name, sections

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___ year old man with cough  // pneumonia?
 
 TECHNIQUE:  Chest PA and lateral
 
 COMPARISON:  ___
 
 FINDINGS: 
 
 The heart is mildly enlarged.  There is a small left
 pleural effusion.
 
 IMPRESSION: 
 
 Small left effusion.
"""  # noqa: W291, W293 - the single spaces are MIMIC's


def test_a_plain_report_has_its_seven_sections_in_order():
    parts = sections(REPORT)
    assert list(parts) == ["preamble", "examination", "indication", "technique", "comparison", "findings", "impression"]
    assert parts["preamble"] == "FINAL REPORT"
    assert parts["comparison"] == "___"


def test_findings_come_on_one_line():
    assert findings(REPORT) == "The heart is mildly enlarged. There is a small left pleural effusion."


def test_findings_and_impression_is_an_impression():
    text = "x\n FINDINGS AND IMPRESSION: Clear lungs.\n"
    assert sections(text) == {"preamble": "x", "impression": "Clear lungs."}
    assert findings(text) == ""


def test_chest_two_views_is_findings_but_a_blank_is_no_text():
    text = "x\n CHEST, TWO VIEWS: ___\n"
    assert sections(text)["findings"] == "___"
    assert findings(text) == ""


def test_of_two_findings_the_last_one_wins():
    assert findings("x\n FINDINGS: First.\n \n FINDINGS: Second.\n") == "Second."


def test_of_two_findings_an_empty_last_one_does_not_win():
    assert findings("x\n FINDINGS: First.\n \n FINDINGS: \n \n \n IMPRESSION: None.\n") == "First."


def test_a_header_without_its_leading_space_is_no_header():
    assert sections("x\nFINDINGS: Clear.\n") == {"full report": "x\nFINDINGS: Clear."}


def test_there_is_one_header_per_line():
    assert sections("x\n FINDINGS: A line with\n INSIDE: two.\n") == {"preamble": "x", "findings": "A line with", "inside": "two."}
    assert sections("x\n FINDINGS: Heart. IMPRESSION: Fine.\n") == {"preamble": "x", "findings": "Heart. IMPRESSION: Fine."}


def test_without_findings_and_impression_the_rest_of_the_last_section_is_its_last_paragraph():
    parts = sections("FINAL REPORT\n HISTORY: Cough.\n \n The lungs are clear.\n \n Heart normal.\n")
    assert parts["history"] == "Cough."
    assert parts[LAST_PARAGRAPH] == "The lungs are clear.\n \n Heart normal."
    assert conclusion("FINAL REPORT\n HISTORY: Cough.\n \n The lungs are clear.\n") == "The lungs are clear."


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("FINDINGS: F.|IMPRESSION: I.", "I."),
        ("COMPARISON: C.|FINDINGS: F.", "F."),
        ("COMPARISON: C.", "C."),
        ("HISTORY: H.", ""),
    ],
)
def test_the_conclusion_is_taken_in_the_official_order(headers, expected):
    text = "x\n " + "\n \n ".join(headers.split("|")) + "\n"
    assert conclusion(text) == expected


def test_a_special_study_has_a_conclusion_under_its_other_name_and_no_findings():
    text = "x\n FINDINGS: F.\n \n RECOMMENDATIONS: Repeat in six weeks.\n"
    assert conclusion(text, "s50913680") == "Repeat in six weeks."
    assert findings(text, "s50913680") == ""
    assert findings(text, "s50000000") == "F."


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("FINDINS", "findings"),
        ("FINDINGS/IMPRESSION", "impression"),
        ("CONCLUSION", "impression"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PORTABLE AP CHEST", "findings"),
        ("PA AND LATERAL VIEWS OF THE CHEST", "findings"),
        ("CLINICAL HISTORY", "history"),
        ("REASON FOR EXAM", "indication"),
        ("COMPARISON STUDIES", "comparison"),
        ("WET READ", "wet read"),
        ("TECHNIQUE", "technique"),
        ("EXAMINATION", "examination"),
        ("IMPRESSION AND RECOMMENDATION", "impression"),
    ],
)
def test_spellings_are_brought_to_one_name(header, name):
    assert normal_name(header) == name


def test_the_indication_is_else_the_history():
    assert indication({"history": "Cough,\n fever."}) == "Cough, fever."
    assert indication({"indication": "Pain.", "history": "Cough."}) == "Pain."
    assert indication({}) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_bytes_in_any_encoding_are_read(encoding):
    assert findings("x\r\n FINDINGS: Größe normal.\r\n".encode(encoding)) == "Größe normal."


def test_nothing_gives_nothing():
    assert findings("") == ""
    assert conclusion(b"") == ""
    assert sections("") == {"full report": ""}
