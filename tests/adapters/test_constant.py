"""The floor that sees nothing."""

from __future__ import annotations

from adapters.constant import NORMAL_REPORT, Constant
from benchmark.records import Case, Report


def test_every_case_gets_the_same_report() -> None:
    cases = [Case(id=name, patient=name, study=name, images=()) for name in "abc"]
    assert list(Constant().generate(cases)) == [Report(name, NORMAL_REPORT) for name in "abc"]
    assert list(Constant(text="Clear.").generate(cases[:1])) == [Report("a", "Clear.")]
    assert list(Constant().generate([])) == []


def test_provenance_holds_the_text() -> None:
    assert Constant("Clear.").provenance() == {"text": "Clear."}
