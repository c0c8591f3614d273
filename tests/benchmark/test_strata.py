"""Parts of the cases: which there are, that their numbers are those of scoring them alone, and which models one report for everyone matches."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.evaluator import score_reports
from benchmark.records import Report, Row, RunConfig
from benchmark.scoring import score
from benchmark.strata import ABNORMAL, NORMAL, constants, no_better, strata_of

FINDINGS = ["Left pleural effusion.", "Cardiomegaly. Right pleural effusion.", "Pneumothorax. Mass. Edema. Hernia.", "The lungs are clear."]
CLEAR = "The heart is normal. The lungs are clear. No pleural effusion."
CASES = 60
REFERENCES = [FINDINGS[number % 4] if number % 4 < 3 else CLEAR for number in range(CASES)]
PATIENTS = [str(number // 2) for number in range(CASES)]
VIEWS = ["PA" if number % 3 else "AP" for number in range(CASES)]
CONFIG = RunConfig((), ("lesions", "rouge_l"), "files", draws=200)


def written(*texts: str) -> list[Report]:
    return [Report(str(number), text) for number, text in enumerate(texts)]


def reports() -> dict[str, list[Report]]:
    """A model that reads every second abnormal case rightly, and one that says the same of everyone."""
    said = [reference if number % 2 else "Left pleural effusion." for number, reference in enumerate(REFERENCES)]
    return {"reader": written(*said), "everyone": written(*[CLEAR] * CASES)}


def test_cases_are_parted_by_lesions_and_by_view_and_an_empty_part_is_none() -> None:
    parts = {part.name: part.is_in.tolist() for part in strata_of(np.array([0, 1, 2, 5, math.nan]), ["pa", "AP", "LATERAL", "", "PA"])}
    assert parts == {
        NORMAL: [True, False, False, False, False],
        ABNORMAL: [False, True, True, True, False],
        "1 lesion": [False, True, False, False, False],
        "2 lesions": [False, False, True, False, False],
        "3 or more lesions": [False, False, False, True, False],
        "view AP": [False, True, False, False, False],
        "view PA": [True, False, False, False, True],
        "view other": [False, False, True, False, False],
        "view not stated": [False, False, False, True, False],
    }


@pytest.mark.parametrize("views", [[], ["PA", "PA"], ["", ""]])
def test_one_view_for_all_or_none_known_parts_nothing(views: list[str]) -> None:
    assert [part.name for part in strata_of(np.array([0.0, 0.0]), views)] == [NORMAL]
    assert strata_of(None, views) == []


def test_the_numbers_of_a_part_are_those_of_its_cases_scored_alone() -> None:
    config = replace(CONFIG, draws=20)
    whole = score(PATIENTS, REFERENCES, reports(), config, views=VIEWS)
    parts = {
        NORMAL: [number for number in range(CASES) if number % 4 == 3],
        ABNORMAL: [number for number in range(CASES) if number % 4 < 3],
        "2 lesions": [number for number in range(CASES) if number % 4 == 1],
        "view AP": [number for number in range(CASES) if number % 3 == 0],
    }
    for name, chosen in parts.items():
        alone = score(
            [PATIENTS[number] for number in chosen],
            [REFERENCES[number] for number in chosen],
            {model: [texts[number] for number in chosen] for model, texts in reports().items()},
            replace(config, strata=False),
        )
        expected = {(row.model, row.metric, row.value_name): (row.value, row.scored) for row in alone.rows}
        found = [row for row in whole.strata if row.stratum == name and row.p_value is None]
        assert {row.value_name for row in found} == {"macro_f1", "micro_f1", "micro_hallucination", "micro_omission", "f1"}
        for row in found:
            assert (row.value, row.scored) == pytest.approx(expected[row.model, row.metric, row.value_name], nan_ok=True), (name, row)
            assert row.unscored == 0


def test_a_case_that_a_model_failed_is_unscored_in_its_own_part_and_in_no_other() -> None:
    broken = reports()
    broken["reader"][3] = Report("3", failure="broken")
    rows = score(PATIENTS, REFERENCES, broken, CONFIG).strata
    unscored = {row.stratum: row.unscored for row in rows if row.model == "reader"}
    assert unscored == {NORMAL: 1, ABNORMAL: 0, "1 lesion": 0, "2 lesions": 0, "3 or more lesions": 0}


def test_intervals_of_a_part_are_of_the_draws_of_the_whole_and_few_patients_have_none() -> None:
    """Where the part is everyone, its interval is that of the whole; nine patients are too few."""
    everyone = score(PATIENTS, [FINDINGS[0]] * CASES, reports(), CONFIG)
    whole = {(row.model, row.value_name): (row.low, row.high) for row in everyone.rows}
    for row in everyone.strata:
        if row.stratum == ABNORMAL and row.p_value is None:
            assert (row.low, row.high) == pytest.approx(whole[row.model, row.value_name], nan_ok=True)
    few = score(PATIENTS[:18], REFERENCES[:18], {model: texts[:18] for model, texts in reports().items()}, CONFIG).strata
    assert few
    assert all(math.isnan(row.low) and math.isnan(row.high) for row in few)
    assert not all(math.isnan(row.value) for row in few)


def test_a_number_of_few_scored_patients_has_no_interval_however_many_the_part_has() -> None:
    """45 abnormal cases of 30 patients, of which one model wrote on six: its own numbers are of three patients, and so are its differences."""
    broken = reports()
    broken["reader"] = [report if number < 6 else Report(str(number), failure="broken") for number, report in enumerate(broken["reader"])]
    rows = [row for row in score(PATIENTS, REFERENCES, broken, CONFIG).strata if row.stratum == ABNORMAL]
    assert {row.model: row.patients for row in rows} == {"reader": 3, "everyone": 30, "reader - everyone": 3}
    for row in rows:
        assert math.isnan(row.low) == (row.model != "everyone") or math.isnan(row.value)
    assert all(math.isnan(row.detectable) for row in rows if row.detectable is not None)
    assert no_better(rows, ["reader", "everyone"]) == []


def test_without_a_count_of_lesions_cases_are_parted_by_view_alone_and_not_at_all_if_that_is_not_wanted() -> None:
    config = RunConfig((), ("rouge_l",), "files", draws=20)
    assert {row.stratum for row in score(PATIENTS, REFERENCES, reports(), config, views=VIEWS).strata} == {"view AP", "view PA"}
    assert score(PATIENTS, REFERENCES, reports(), config).strata == []
    assert score(PATIENTS, REFERENCES, reports(), RunConfig((), ("lesions",), "files", draws=20, strata=False), views=VIEWS).strata == []


def test_one_report_for_everyone_is_known_by_its_reports_and_not_by_its_name() -> None:
    assert constants({"a": ["x", "x"], "b": ["x", "y"], "once": ["x"], "none": []}) == ["a"]


def difference(value: float, *, low: float, high: float, direction: str = "higher", stratum: str = ABNORMAL, is_headline: bool = True) -> Row:
    row = Row("m - floor", "x", "y", value, low, high, 40, 0, "x|v1", p_value=0.1, title="Y", stratum=stratum, is_headline=is_headline)
    return replace(row, direction=direction)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "is_flagged"),
    [
        (difference(0.1, low=0.05, high=0.2), False),
        (difference(0.1, low=-0.05, high=0.2), True),
        (difference(0.0, low=0.0, high=0.0), True),
        (difference(-0.1, low=-0.2, high=-0.05, direction="lower"), False),
        (difference(0.1, low=0.05, high=0.2, direction="lower"), True),
        (difference(-0.1, low=-0.2, high=-0.05, direction=""), False),
        (difference(-0.1, low=-0.2, high=-0.05, stratum=NORMAL), False),
        (difference(-0.1, low=-0.2, high=-0.05, is_headline=False), False),
        (difference(-0.1, low=math.nan, high=math.nan), False),
    ],
)
def test_a_model_is_flagged_where_its_gain_over_one_report_for_everyone_is_not_shown(row: Row, is_flagged: bool) -> None:
    assert bool(no_better([row], ["m", "floor"])) == is_flagged


def test_a_run_with_one_report_for_everyone_warns_of_the_model_that_it_matches_and_of_no_other(tmp_path: Path) -> None:
    """The copyist's ROUGE-L and lesions are above; the noisy one says something else of everyone, and never a lesion that is there."""
    noise = [f"{CLEAR} {'Comparison: none. ' * (number % 3)}" for number in range(CASES)]
    texts = {
        "reader": [reference if number % 2 else CLEAR for number, reference in enumerate(REFERENCES)],
        "noisy": noise,
        "same": [CLEAR] * CASES,
    }
    predictions = {model: {str(number): text for number, text in enumerate(said)} for model, said in texts.items()}
    references = {str(number): text for number, text in enumerate(REFERENCES)}
    outcome = score_reports(references, predictions, CONFIG, tmp_path / "run", is_public=True)
    (warning,) = [note for note in outcome.notes if "not shown to be better" in note]
    assert warning.startswith("noisy is not shown to be better on the abnormal cases (45) than same, one report for everyone: Macro F1 +0.000")
    assert "ROUGE-L (google, stem)" in warning
    assert warning in json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert warning in (tmp_path / "run" / "strata.md").read_text()
