"""Consistency by language models, against scripted ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_model import Script, ScriptedModels

from benchmark.llm.prompts import load
from benchmark.llm.questions import Failed, Question, Unusable
from benchmark.metrics.consistency_judge import SCHEMA, Consistency, read_scores
from benchmark.metrics.consistency_rules import AXES
from benchmark.records import UserError


def answer(*scores: Any) -> str:
    return json.dumps({axis: {"evidence": "as seen", "score": score} for axis, score in zip(AXES, scores, strict=True)})


def between(question: Question, tag: str) -> str:
    return question.prompt.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0]


def by_candidate(question: Question, problem: str) -> str | Failed:
    """Gives each axis what the candidate says: "4 3 5 2"; a kind of failure fails."""
    said = between(question, "candidate")
    return Failed("refused", "its filter") if said == "refused" else answer(*map(int, said.split()))


def judge(script: Script = by_candidate, llm: ScriptedModels | None = None, **settings: Any) -> tuple[Consistency, ScriptedModels]:
    llm = llm or ScriptedModels(script)
    return Consistency(llm, judge="language_model", **settings), llm


def numbers(metric: Consistency, rows: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in metric.values(np.nansum(rows, axis=0)).items()}


def test_axes_are_means_over_cases_and_total_and_mean_are_both_given() -> None:
    metric, llm = judge()
    rows = metric.statistics(["4 3 5 2", "2 2 4 1", "refused", "4 3 5 2"], ["a", "a", "a", "a"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, False, True, False]
    assert numbers(metric, rows) == pytest.approx(
        {
            "total": 37 / 3,
            "mean": 37 / 12,
            "clinical_accuracy": 10 / 3,
            "findings_completeness": 8 / 3,
            "linguistic_quality": 14 / 3,
            "report_structure": 5 / 3,
        }
    )
    assert metric.failures == {"refused": 1}
    assert metric.asks
    assert len(llm.asked) == 3  # equal pairs once


def test_the_first_number_is_the_headline() -> None:
    metric, _ = judge()
    assert next(iter(metric.values(np.ones(5)))) == "total"


def test_the_question_has_each_report_in_its_role_and_the_schema_asks_for_evidence_first() -> None:
    metric, llm = judge()
    metric.statistics(["1 2 3 4"], ["the reference"])
    assert llm.asked == [Question("judge", load("judge").fill(reference="the reference", candidate="1 2 3 4"), SCHEMA)]
    assert list(SCHEMA["properties"]) == list(AXES)
    assert all(list(axis["properties"]) == ["evidence", "score"] for axis in SCHEMA["properties"].values())


def test_an_empty_candidate_is_the_judges_to_score() -> None:
    metric, llm = judge(lambda question, problem: answer(1, 1, 1, 1) if between(question, "candidate") == "" else answer(5, 5, 5, 5))
    assert numbers(metric, metric.statistics([""], ["text"]))["total"] == 4
    assert len(llm.asked) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4 out of 5", "the answer holds no JSON object"),
        (json.dumps(dict.fromkeys(AXES, 4)), "clinical_accuracy must be an object with the keys evidence (a text) and score"),
        (json.dumps({axis: {"score": 4} for axis in AXES}), "clinical_accuracy must be an object with the keys evidence"),
        (answer(4, 3, 2, 1).replace("report_structure", "structure"), "report_structure must be an object"),
        (answer(4, 0, 2, 1), "the score of findings_completeness is 0; it must be a whole number from 1 to 5"),
        (answer(4, 3, 6, 1), "the score of linguistic_quality is 6"),
        (answer(4, 3, 2, 3.5), "the score of report_structure is 3.5"),
        (answer("4", 3, 2, 1), 'the score of clinical_accuracy is "4"'),
        (answer(True, 3, 2, 1), "the score of clinical_accuracy is true"),
        (answer(None, 3, 2, 1), "the score of clinical_accuracy is null"),
        (answer([4], 3, 2, 1), "the score of clinical_accuracy is [4]"),
        (answer(4, 3, 2, 1).replace("as seen", " "), "the evidence of clinical_accuracy is blank"),
    ],
)
def test_what_is_no_score_is_none(text: str, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_scores(text)
    assert message in str(caught.value)


def test_scores_are_read_in_any_order_and_spelling_of_the_axes() -> None:
    turned = dict(reversed(json.loads(answer(4, 3, 2, 1)).items()))
    spelt = {axis.replace("_", " ").title(): value for axis, value in turned.items()}
    assert read_scores(json.dumps(spelt | {"overall": 9})) == (4, 3, 2, 1)
    assert read_scores(answer(4.0, 3, 2, 1)) == (4, 3, 2, 1)


def test_an_axis_that_is_scored_twice_in_two_spellings_has_no_score() -> None:
    """Else the last one would hold, whatever the first says."""
    twice = json.loads(answer(2, 3, 2, 1)) | {"Clinical accuracy": {"evidence": "as seen", "score": 5}}
    with pytest.raises(Unusable, match='the key "Clinical accuracy" stands twice in one object, spelt in two ways; write each key once'):
        read_scores(json.dumps(twice))


def test_a_mended_answer_counts() -> None:
    metric, llm = judge(lambda question, problem: answer(4, 3, 2, 1) if problem else answer(4, 3, 2, 0))
    assert numbers(metric, metric.statistics(["c"], ["r"]))["total"] == 10
    assert llm.mended == ["the score of report_structure is 0; it must be a whole number from 1 to 5"]


def test_several_judges_have_their_own_numbers_and_the_headline_is_their_mean() -> None:
    silent_on_b: Script = lambda question, problem: Failed("timeout", "") if "b" in between(question, "reference") else answer(5, 5, 5, 5)  # noqa: E731
    llm = ScriptedModels(by_candidate, **{"open/one": by_candidate, "two": silent_on_b})
    metric, _ = judge(llm=llm, judges="open/one, two")
    rows = metric.statistics(["1 2 3 4", "1 1 1 1"], ["a", "b"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]  # a mean over fewer judges would be another number
    found = numbers(metric, rows)
    assert (found["total"], found["open/one.total"], found["two.total"]) == (15, 10, 20)
    assert (found["mean"], found["open/one.report_structure"], found["report_structure"]) == (3.75, 4, 4.5)
    assert list(llm.made) == ["open/one", "two"]
    assert metric.failures == {"timeout": 1}
    assert "models:(open/one|temperature:0)+(two|temperature:0)|" in metric.signature()


def test_samples_are_different_questions_and_their_spread_is_within_cases() -> None:
    """Totals 8, 12, 16 in one case and 12 three times in the other: standard deviations 4 and 0."""

    def script(question: Question, problem: str) -> str:
        return answer(*[question.sample + 2] * 4) if "varied" in question.prompt else answer(3, 3, 3, 3)

    metric, llm = judge(script, samples=3)
    found = numbers(metric, metric.statistics(["varied", "even"], ["r", "r"]))
    assert [question.sample for question in llm.asked] == [0, 1, 2, 0, 1, 2]
    assert (found["total"], found["total.spread"], found["clinical_accuracy"]) == (12, 2, 3)
    assert "|samples:3|" in metric.signature()


def test_the_swapped_question_measures_bias_and_leaves_the_headline_alone() -> None:
    """A judge that favours the candidate's place: 5 there for whatever text, and 3 where the reports are exchanged."""

    def script(question: Question, problem: str) -> str:
        return answer(5, 5, 5, 5) if between(question, "reference") == "r" else answer(3, 4, 5, 5)

    metric, llm = judge(script, swap=True)
    found = numbers(metric, metric.statistics(["c"], ["r"]))
    assert [(between(question, "reference"), between(question, "candidate")) for question in llm.asked] == [("r", "c"), ("c", "r")]
    assert (found["total"], found["swap_bias"]) == (20, 3)
    assert "|swap:yes|" in metric.signature()


def test_all_options_together_are_column_sums() -> None:
    llm = ScriptedModels(by_candidate, a=by_candidate, b=by_candidate)
    metric, _ = judge(llm=llm, judges="a,b", samples=2, swap=True)
    rows = metric.statistics(["1 2 3 4", "5 5 5 5"], ["2 2 2 2", "1 1 1 1"])
    assert rows.shape == (2, 1 + 2 * 6)
    names = metric.values(rows.sum(axis=0))
    assert float(names["a.swap_bias"]) == ((10 - 8) + (20 - 4)) / 2
    assert float(names["b.total.spread"]) == 0
    resampled = metric.values(np.stack([rows[[0, 0]].sum(axis=0), rows[[1, 1]].sum(axis=0), np.zeros(rows.shape[1])]))
    assert resampled["total"].tolist() == pytest.approx([10, 20, np.nan], nan_ok=True)


def test_no_case_is_no_question() -> None:
    metric, llm = judge(samples=2, swap=True)
    assert metric.statistics([], []).shape == (0, 7)
    assert not llm.asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": "rules", "judges": "a"}, "judges, samples, swap and prompt are for a judge that is a language model"),
        ({"judge": "rules", "samples": 2}, r"add consistency\.judge=language_model, or leave them"),
        ({"judge": "language_model", "samples": 0}, "samples is 0; it must be at least 1"),
        ({"judge": "language_model", "judges": "a,b,a"}, "judges names 'a' twice; name it once, and ask it more often with samples=2"),
        ({"judge": "language_model", "prompt": Path("nowhere.md")}, r"nowhere\.md cannot be read"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Consistency(ScriptedModels(by_candidate, a=by_candidate, b=by_candidate), **settings)


def test_without_anybody_to_ask_that_is_said() -> None:
    with pytest.raises(UserError, match="judge by a language model needs one to ask, and got none; give llm, an object with asking"):
        Consistency(judge="language_model")


def test_the_judge_by_rules_asks_nobody_and_names_itself_in_every_number() -> None:
    llm = ScriptedModels(by_candidate)
    metric = Consistency(llm)
    found = numbers(metric, metric.statistics(["No edema."], ["No edema."]))
    assert not metric.asks
    assert not llm.tasks
    assert all(name.startswith("rules.") for name in found)
    assert metric.signature().startswith("consistency|judge:rules|")


def test_the_form_in_the_prompt_is_an_answer_once_it_is_filled_in_and_none_before() -> None:
    """A model that gives the form back has not judged."""
    text = load("judge").text
    form = text[text.index('{"clinical_accuracy"') : text.index("<reference>")]
    assert read_scores(form.replace("N}", "2}")) == (2, 2, 2, 2)
    with pytest.raises(Unusable):
        read_scores(form)
