"""Sections of MIMIC-CXR reports: beside the official program's answers, the fixtures of the spec (1.5), and the faults of real files.

All texts here are invented. ``mimic_sections_golden.json`` holds what the official program (MIT-LCP/mimic-cxr @3190146) said of some of them.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmark.datasets.mimic_reports import (
    LAST_PARAGRAPH,
    conclusion,
    findings,
    indication,
    narrative,
    normal_name,
    one_line,
    sections,
    special_studies,
)

GOLDEN = json.loads(Path(__file__).with_name("mimic_sections_golden.json").read_text(encoding="utf-8"))

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


@pytest.mark.parametrize("known", GOLDEN["texts"], ids=[known["name"] for known in GOLDEN["texts"]])
def test_sections_and_conclusion_are_the_official_programs(known):
    content, study = known["text"].encode(), known["study"]
    assert list(sections(content).items()) == list(known["sections"].items())
    assert conclusion(content, study) == one_line(known["conclusion"])
    has_words = any(letter.isalpha() for letter in known["findings"])
    assert findings(content, study) == (one_line(known["findings"]) if has_words else "")


def test_every_header_gets_the_official_name():
    assert {header: normal_name(header.upper()) for header in GOLDEN["headers"]} == GOLDEN["headers"]


def test_the_special_studies_are_the_official_54():
    """Counted by hand in the official table: 23 with a renamed section; 31 with characters, of which 8 have no text at all."""
    special = special_studies().values()
    assert sum(bool(one.section) for one in special) == 23
    assert sum(one.characters == slice(0, 0) for one in special if not one.section) == 8
    assert len(special) == 54
    assert Counter(one.section for one in special if one.section)["recommendations"] == 7


def test_a_special_study_has_a_conclusion_in_its_other_place_and_no_findings():
    text = "x\n FINDINGS: F.\n \n RECOMMENDATIONS: Repeat in six weeks.\n" + "Words. " * 80
    assert conclusion(text, "s50913680").startswith("Repeat in six weeks. Words.")
    assert conclusion(text, "s50525523") == one_line(text[201:349])
    assert conclusion(text, "s58235663") == ""
    assert [findings(text, study) for study in ("s50913680", "s50525523", "s58235663", "s50000000")] == ["", "", "", "F."]


def test_the_next_reader_is_told_findings_and_impression_or_what_there_is():
    assert narrative("x\n FINDINGS: F.\n \n IMPRESSION: I.\n") == "F. I."
    assert narrative("x\n HISTORY: H.\n \n Clear.\n") == "Clear."
    assert narrative("x\n FINDINGS: ___\n") == ""
    assert narrative("x\n FINDINGS: F.\n \n RECOMMENDATIONS: R.\n", "s50913680") == "R."


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
