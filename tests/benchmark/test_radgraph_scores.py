"""F1-RadGraph from annotations, against numbers of the package radgraph 0.1.18 on annotations made by hand, and against sums worked out here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.metrics.radgraph_levels import Levels, matches
from benchmark.metrics.radgraph_scores import radgraph_combined

GOLDEN = json.loads((Path(__file__).parent / "radgraph_golden.json").read_text())
PRESENT, ABSENT = "Observation::definitely present", "Observation::definitely absent"


def annotation(*entities: tuple[str, str, list[list[str]]]) -> Any:
    return {
        "text": " ".join(tokens for tokens, _, _ in entities),
        "entities": {
            str(place): {"tokens": tokens, "label": label, "start_ix": place - 1, "end_ix": place - 1, "relations": relations}
            for place, (tokens, label, relations) in enumerate(entities, start=1)
        },
    }


def f1_of(ours: Any, theirs: Any, case: Any) -> list[float]:
    return [float(matches(sets, sets, np.array([[0, 1]]))[0, 0]) for sets in Levels(case).sets([ours, theirs])]


@pytest.mark.parametrize("case", ["lower", "cased"])
@pytest.mark.parametrize("pair", GOLDEN["pairs"], ids=lambda pair: pair["name"])
def test_all_three_levels_are_those_of_the_package_in_both_casings(pair: dict[str, Any], case: Any) -> None:
    assert f1_of(pair["hyp"], pair["ref"], case) == pytest.approx(pair[f"{case}_simple_partial_complete"], abs=1e-12)


def test_what_is_said_twice_counts_once() -> None:
    """The package builds sets: two effusions of one label and spelling are one."""
    once, twice = (annotation(*[("effusion", PRESENT, [])] * count, ("mass", PRESENT, [])) for count in (1, 2))
    assert f1_of(once, twice, "lower") == [1.0, 1.0, 1.0]


def test_keys_of_entities_need_not_be_numbers_in_order() -> None:
    """Files of other programs name them as they like."""
    usual = annotation(("effusion", PRESENT, [["located_at", "2"]]), ("pleural", "ANAT", []))
    named = {"b": {**usual["entities"]["2"]}, "a": {**usual["entities"]["1"], "relations": [["located_at", "b"]]}}
    assert f1_of(usual, {"text": "", "entities": named}, "cased") == [1.0, 1.0, 1.0]


def test_what_was_read_first_compares_with_what_is_read_later() -> None:
    """Annotations come in parts; an element has one number in all of them."""
    levels = Levels("lower")
    first = levels.sets([annotation(("effusion", PRESENT, [["modify", "2"]]), ("mass", PRESENT, []))])
    later = levels.sets([annotation(), annotation(("Mass", PRESENT, []), ("EFFUSION", PRESENT, [["modify", "1"]]))])
    pairs = np.array([[0, 1], [0, 0]])
    assert [matches(one, other, pairs)[:, 0].tolist() for one, other in zip(first, later, strict=True)] == [[1.0, 0.0]] * 3


def test_of_radcliq_it_is_the_mean_of_the_f1_of_entities_and_of_relations() -> None:
    """Entities: 2 common, 2 and 3 in all, F1 = 4/5. Relations: 1 common, 1 and 2 in all, F1 = 2/3."""
    ours = annotation(("effusion", PRESENT, [["located_at", "2"]]), ("pleural", "ANAT", []))
    theirs = annotation(("effusion", PRESENT, [["located_at", "2"]]), ("pleural", "ANAT", []), ("small", PRESENT, [["modify", "1"]]))
    assert radgraph_combined(ours, theirs) == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-12)


def test_of_radcliq_a_relation_counts_the_label_of_the_other_entity_and_case_counts() -> None:
    """Here RadCliQ's number differs from ``complete``, which looks at the other entity's tokens alone, in lower case."""
    ours = annotation(("small", PRESENT, [["modify", "2"]]), ("effusion", PRESENT, []))
    other_label = annotation(("small", PRESENT, [["modify", "2"]]), ("effusion", ABSENT, []))
    assert radgraph_combined(ours, other_label) == pytest.approx((1 / 2 + 0) / 2, abs=1e-12)
    capital = annotation(("Small", PRESENT, [["modify", "2"]]), ("effusion", PRESENT, []))
    assert radgraph_combined(ours, capital) == pytest.approx((1 / 2 + 0) / 2, abs=1e-12)


def test_of_radcliq_two_alike_reports_without_relations_are_half_alike_and_two_without_entities_not_at_all() -> None:
    """compute_f1 of CXR-Report-Metric gives 0 where nothing is there to be found."""
    lone = annotation(("effusion", PRESENT, []))
    assert radgraph_combined(lone, lone) == 0.5
    assert radgraph_combined(annotation(), annotation()) == 0.0
