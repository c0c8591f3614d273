"""GREEN's categories by rules: what is an error, what is a match, counted by hand on single sentences."""

from __future__ import annotations

import pytest

from benchmark.metrics import green_rules
from benchmark.metrics.green_rules import Rules

RULES = Rules()
CATEGORIES = ("false", "missing", "location", "severity", "false_comparison", "missing_comparison")


@pytest.mark.parametrize(
    ("candidate", "reference", "significant", "insignificant", "matched"),
    [
        ("Left pleural effusion.", "Left pleural effusion.", {}, {}, 1),
        ("Left pleural effusion.", "Right pleural effusion.", {"location": 1}, {}, 0),
        ("Left pleural effusion.", "Bilateral pleural effusions.", {"location": 1}, {}, 0),
        ("Pleural effusion.", "Right pleural effusion.", {}, {}, 1),
        ("Left pleural effusion.", "No pleural effusion.", {"false": 1}, {}, 0),
        ("Left pleural effusion.", "The bones are intact.", {"false": 1}, {}, 0),
        ("No pleural effusion.", "Left pleural effusion.", {"missing": 1}, {}, 0),
        ("No pleural effusion.", "No pleural effusion or pneumothorax.", {}, {}, 1),
        ("Small left pleural effusion.", "Large left pleural effusion.", {"severity": 1}, {}, 0),
        ("Mild pulmonary edema.", "Moderate pulmonary edema.", {}, {"severity": 1}, 1),
        ("Mild pulmonary edema.", "Pulmonary edema.", {}, {}, 1),
        ("The heart is mildly enlarged.", "The heart is severely enlarged.", {"severity": 1}, {}, 0),
        ("Pleural effusion is small.", "Pleural effusion is large.", {"severity": 1}, {}, 0),
        ("Small pneumothorax and large effusion.", "Small pneumothorax and large effusion.", {}, {}, 2),
        ("Small pneumothorax, pleural effusion.", "Small pneumothorax, large pleural effusion.", {}, {}, 2),
        ("A mass in massive cardiomegaly.", "A small mass, cardiomegaly.", {}, {}, 2),
        ("Massive cardiomegaly with effusion.", "Massive cardiomegaly with small effusion.", {}, {}, 2),
        ("Massive cardiomegaly, mass.", "Massive cardiomegaly, small mass.", {}, {}, 2),
        ("Small to moderate effusion.", "A large amount of pleural effusion.", {}, {"severity": 1}, 1),
        ("Left pleural effusion, worse.", "Left pleural effusion.", {"false_comparison": 1}, {}, 1),
        ("Left pleural effusion.", "Left pleural effusion has increased.", {"missing_comparison": 1}, {}, 1),
        ("Left pleural effusion.", "Stable left pleural effusion.", {}, {"missing_comparison": 1}, 1),
        ("Left pleural effusion.", "Left pleural effusion. No significant interval change.", {}, {"missing_comparison": 1}, 1),
        ("Pulmonary edema. Atelectasis.", "Cardiomegaly. Pulmonary edema.", {"false": 1, "missing": 1}, {}, 1),
        ("", "Left pleural effusion.", {"missing": 1}, {}, 0),
        ("", "The bones are intact.", {}, {}, 0),
        ("Épanchement à gauche.", "Épanchement à gauche.", {}, {}, 0),
    ],
)
def test_a_pair_is_counted_as_by_hand(
    candidate: str, reference: str, significant: dict[str, int], insignificant: dict[str, int], matched: int
) -> None:
    found = RULES.count(candidate, reference)
    assert found.significant == tuple(significant.get(name, 0) for name in CATEGORIES)
    assert found.insignificant == tuple(insignificant.get(name, 0) for name in CATEGORIES)
    assert found.matched == matched


@pytest.mark.parametrize(("name", "value"), [("VERSION", 99), ("BEFORE", 1), ("BEHIND", 1), ("BOUNDARY", ";"), ("SAME", "stable"), ("CHANGE", "new")])
def test_the_signature_says_another_thing_where_a_count_would_be_another(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = RULES.signature()
    monkeypatch.setattr(green_rules, name, value)
    assert RULES.signature() != before
