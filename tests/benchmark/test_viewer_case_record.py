"""The record of one case: plain JSON, nothing of this machine, nothing of another program's at length."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.consistency_judge import Consistency
from benchmark.metrics.lesions import LesionScores
from benchmark.metrics.rouge import RougeL
from benchmark.records import Case, Evidence, ImageFile, Reference, Report, UserError
from benchmark.viewer.case_record import Material, details_of, in_words, name_of, records
from benchmark.viewer.errors import masks
from benchmark.viewer.numbers import numbers_of

SECRET = Path("/home/alice/data/files/p10/p10000032/s50414267/a.jpg")
CASES = [
    Case("c0", "10000032", "50414267", (ImageFile(SECRET, "PA"),), indication="Cough.", prior_report="Clear lungs."),
    Case("c1", "2", "2", ()),
    Case("c2", "3", "3", (ImageFile(Path("/home/alice/b.png")),)),
]
REFERENCES = [
    Reference("c0", "Left pleural effusion. The heart is normal.", {"left lung": "Left pleural effusion."}, {"left lung": (1, 2.25, 3.04, 4)}),
    Reference("c1", "Cardiomegaly."),
    Reference("c2", ""),
]
TOLD = {"told": ["pleural effusion"], "boxes": {"left lung": [0, 1, 2, 3], "odd": [0, 1], "nan": [0, 0, 0, float("nan")]}, "missing_regions": []}
REPORTS = [
    Report("c0", "Right pleural effusion. \U0001f600 Heart size is normal.", regions={"left lung": "a right pleural effusion"}, details=TOLD),
    Report("c1", failure="the model ran out of memory"),
    Report("c2", "Edema."),
]


@pytest.fixture(scope="module")
def material() -> Material:
    labeller = RuleLabeller()
    metrics: dict[str, Any] = {"lesions": LesionScores(labeller), "rouge_l": RougeL(), "consistency": Consistency()}
    statistics = {}
    for name, metric in metrics.items():
        rows = metric.statistics([REPORTS[0].text], [REFERENCES[0].report])
        statistics[name, "m"] = np.concatenate([rows, np.full((2, rows.shape[1]), np.nan)])
    numbers = numbers_of(metrics, statistics, ["m"])
    found = {"m": masks(statistics["lesions", "m"])}
    return Material(["m", "lost"], CASES, REFERENCES, {"m": REPORTS}, labeller.label, found, numbers, metrics)


@pytest.fixture(scope="module")
def found(material: Material) -> list[dict[str, Any]]:
    return records(material, 0, 50)


def test_records_are_json_without_nan(found: list[dict[str, Any]]) -> None:
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [record["place"] for record in found] == [0, 1, 2]


def test_a_block_is_the_same_as_its_part_of_the_whole(material: Material, found: list[dict[str, Any]]) -> None:
    assert records(material, 1, 3) == found[1:]
    assert records(material, 3, 50) == []


def test_a_case_shows_what_there_is_of_it(found: list[dict[str, Any]]) -> None:
    assert found[0]["context"] == [["Indication", "Cough."], ["Prior report", "Clear lungs."]]
    assert found[0]["boxes"] == {"left lung": [1, 2.2, 3, 4]}
    assert found[0]["reference"]["regions"] == [{"region": "left lung", "text": "Left pleural effusion.", "into": [0]}]


def test_no_folder_of_this_machine_is_told(found: list[dict[str, Any]]) -> None:
    assert found[0]["images"] == [{"name": "p10/p10000032/s50414267/a.jpg", "view": "PA", "width": None, "height": None}]
    assert found[2]["images"][0]["name"] == "b.png"
    assert "alice" not in json.dumps(found)
    assert name_of(Path("/3/b.png"), replace(CASES[2], patient="", study="")) == "b.png"


def test_a_folder_is_named_only_if_it_is_the_patient_s_or_the_study_s() -> None:
    """A patient called 1 or n is no reason to tell of ``ada1`` or ``projekt-nabu``."""
    for file, patient, study in (("/home/ada1/x.png", "1", "s"), ("/srv/projekt-nabu/x.png", "n", "b"), ("/mnt/p/x.png", "7", "")):
        assert name_of(Path(file), replace(CASES[1], patient=patient, study=study)) == "x.png"
    assert name_of(Path("/home/ada/p7/s8/x.png"), replace(CASES[1], patient="p7", study="8")) == "p7/s8/x.png"


def test_sizes_are_asked_for_where_somebody_knows_them(material: Material) -> None:
    sized = replace(material, size_of=lambda image: (640, 480) if image.view else None)
    shown = [record["images"] for record in records(sized, 0, 3)]
    assert (shown[0][0]["width"], shown[0][0]["height"], shown[2][0]["width"]) == (640, 480, None)


def test_a_report_says_what_was_found_in_it(found: list[dict[str, Any]]) -> None:
    report, lost = found[0]["reports"]
    assert lost is None
    assert report["lesions_found"] == {"pleural effusion": "wrong side"}
    assert report["regions"][0]["into"] == [0]
    assert report["boxes"] == {"left lung": [0, 1, 2, 3]}
    assert report["told"] == ["pleural effusion"]
    assert report["details"] == [["missing regions", "none"]]
    assert len(report["numbers"]) == 5
    assert report["numbers"][0] == 1.0
    assert report["disagreement"] is None  # of one scored case nothing can be ranked
    assert report["evidence"][0]["title"] == "Judge (rules)"
    assert "pleural effusion (right; reference: left)" in report["evidence"][0]["items"][0]["words"]


def test_a_failed_case_has_a_reason_and_nothing_else(found: list[dict[str, Any]]) -> None:
    assert found[1]["reports"] == [{"failure": "the model ran out of memory"}, None]


def test_a_case_without_a_reference_has_a_text_and_no_scores(found: list[dict[str, Any]]) -> None:
    report = found[2]["reports"][0]
    assert report["text"] == "Edema."
    assert report["lesions"][0]["name"] == "edema"
    assert (report["numbers"], report["evidence"], report["lesions_found"]) == ([None] * 5, [], {})


def test_without_labels_masks_and_metrics_there_are_still_records(material: Material) -> None:
    bare = Material(["m"], CASES, REFERENCES, {"m": REPORTS})
    report = records(bare, 0, 1)[0]["reports"][0]
    assert (report["lesions"], report["lesions_found"], report["numbers"], report["disagreement"], report["evidence"]) == ([], {}, [], None, [])


def test_numbers_that_disagree_are_named_by_their_keys() -> None:
    texts = ["Left pleural effusion.", "No pneumothorax is seen.", "The heart is enlarged."]
    written = ["A left pleural effusion is present today.", "No pneumothorax.", "The heart is normal."]
    metrics: dict[str, Any] = {"lesions": LesionScores(RuleLabeller()), "rouge_l": RougeL()}
    statistics = {(name, "m"): metric.statistics(written, texts) for name, metric in metrics.items()}
    cases = [Case(str(place), str(place), str(place), ()) for place in range(3)]
    references = [Reference(str(place), text) for place, text in enumerate(texts)]
    reports = [Report(str(place), text) for place, text in enumerate(written)]
    made = Material(["m"], cases, references, {"m": reports}, numbers=numbers_of(metrics, statistics, ["m"]), metrics=metrics)
    shown = [record["reports"][0] for record in records(made, 0, 3)]
    # ROUGE-L is 6/10, 4/6 and 3/4: ranks 0, 1/2, 1. Lesion F1 is 1, none, 0: ranks 1, none, 0. Nothing is hallucinated, which ranks nothing.
    assert [one["disagreement"] for one in shown] == [["lesions.micro_f1", "rouge_l.f1"], None, ["rouge_l.f1", "lesions.micro_f1"]]
    assert [one["numbers"][-1] for one in shown] == [1.0, None, 1.0]


def test_details_of_any_program_are_cut_to_something_short() -> None:
    deep: Any = "x"
    for _ in range(3_000):
        deep = [deep]
    details = {
        "boxes": {},
        "lesions": {f"lesion {number}": number / 100 for number in range(14)},
        "long": "y" * 1_000_000,
        "deep": deep,
        "wide": [{"a": list(range(1000))}] * 1000,
        "nan": float("nan"),
        "huge": 10**400,
        "nothing": None,
        "flag": True,
        **{f"more_{number}": number for number in range(100)},
    }
    shown = details_of(details)
    assert len(shown) == 21
    assert shown[-1] == ["further details", "88, not shown"]
    assert all(len(name) <= 100 and len(words) <= 300 for name, words in shown)
    words = dict(map(tuple, shown))
    assert words["lesions"].startswith("lesion 13 0.13, lesion 12 0.12")
    assert words["lesions"].endswith("and 6 lower")
    assert (words["nan"], words["huge"], words["nothing"], words["flag"]) == ("no usable number", "no usable number", "none", "yes")
    json.dumps(shown, allow_nan=False)
    assert in_words([]) == "none"
    assert in_words(["a", 1]) == "a, 1"


class Closed:
    """A metric that cannot open its file of kept answers."""

    name = "closed"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        raise UserError("cannot write to answers.sqlite")


class Gives:
    """A metric of somebody else, whose evidence is whatever it is."""

    name = "gives"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


BAD_EVIDENCE = {
    "a list of another length": ([], "TypeError: its evidence is to be a list of 1 lists, and is a list of 0"),
    "nothing": (None, "TypeError: its evidence is to be a list of 1 lists, and is a NoneType"),
    "a word": ("x", "TypeError: its evidence is to be a list of 1 lists, and is a str of 1"),
    "a word for a case": (["why"], "TypeError: its evidence of a case is to be a list, and is a str of 3"),
    "no Evidence": ([[{"about": "x"}]], "TypeError: its evidence is to be of Evidence with three texts, and one is a dict of 1"),
    "no words": ([[Evidence("x", 3)]], "TypeError: its evidence is to be of Evidence with three texts, and one is a Evidence"),  # type: ignore[arg-type]
    "an error of its own": (ZeroDivisionError("x is 0"), "ZeroDivisionError: x is 0"),
}


@pytest.mark.parametrize(("answer", "words"), BAD_EVIDENCE.values(), ids=BAD_EVIDENCE)
def test_evidence_that_is_none_costs_the_metric_its_evidence_and_nothing_else(material: Material, answer: Any, words: str) -> None:
    ill: dict[str, Any] = {"gives": Gives(answer), "consistency": Consistency()}
    made = replace(material, metrics=ill, statistics={})
    assert [one["metric"] for one in records(made, 0, 1)[0]["reports"][0]["evidence"]] == ["consistency"]
    assert made.notes == [f"What gives counted in single cases is not shown: {words}."]


def test_kept_answers_that_cannot_be_opened_are_no_evidence_and_stop_nothing(material: Material) -> None:
    closed: dict[str, Any] = {"closed": Closed()}
    made = replace(material, metrics=closed)
    assert records(made, 0, 1)[0]["reports"][0]["evidence"] == []
    assert made.notes == ["What closed counted in single cases is not shown: UserError: cannot write to answers.sqlite."]


class Answered:
    """A metric whose answers are kept: what they come to now may be another thing than what was counted."""

    name = "answered"

    def __init__(self, now: float) -> None:
        self.now = now

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        return [[Evidence("Score", str(self.now), "it wrote so")]]

    def kept_statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, self.now]])


@pytest.mark.parametrize(
    ("counted", "about"),
    [(2.0, "Score"), (5.0, "Not shown"), (float("nan"), "Not scored")],
    ids=["the same", "another", "no score"],
)
def test_an_answer_is_shown_only_if_it_is_the_one_that_was_scored(material: Material, counted: float, about: str) -> None:
    metric: Any = Answered(2.0)
    made = replace(material, metrics={"answered": metric}, statistics={("answered", "m"): np.array([[1.0, counted]] * 3)})
    (one,) = records(made, 0, 1)[0]["reports"][0]["evidence"]
    assert [item["about"] for item in one["items"]] == [about]
    assert ("it wrote so" in json.dumps(one)) == (about == "Score")


def test_labels_that_are_others_than_those_that_were_scored_mark_nothing(material: Material) -> None:
    labeller = RuleLabeller()

    def otherwise(texts: Sequence[str]) -> list[Any]:
        return labeller.label([text.replace("Right", "No") for text in texts])

    made = replace(material, labels=otherwise, unlike=Counter())
    case = records(made, 0, 1)[0]
    assert case["reports"][0]["lesions"] == []
    assert case["reference"]["lesions"]
    assert case["reports"][0]["lesions_found"] == {"pleural effusion": "wrong side"}  # the run's own
    assert made.notes == ["In 1 texts lesions are not marked: the labels that are kept are others than those that were scored."]


def test_reasons_and_details_name_no_place_and_are_short(material: Material) -> None:
    failed = Report("c0", failure="cannot read /home/secret place/w.pt " + "x" * 10_000)
    told = Report("c0", "Edema.", details={"weights": "/home/secret place/w.pt", "of": {"a": "'/home/secret place/b'"}})
    for report in (failed, told):
        shown = json.dumps(records(replace(material, reports={"m": [report, *REPORTS[1:]]}, unlike=Counter()), 0, 1))
        assert "secret" not in shown
        assert len(shown) < 5_000
    assert "w.pt" in shown
