"""The labeller that asks a language model, against a scripted one."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_model import ScriptedModels

from benchmark.labelling.language_model import SCHEMA, LanguageModelLabeller, read_lesions
from benchmark.llm.prompts import load
from benchmark.llm.questions import Failed, Question, Unusable
from benchmark.metrics.lesions import LesionScores
from benchmark.records import Lesion
from benchmark.vocabulary import LESIONS

NEGATIVE = {"rationale": "", "status": "negative", "location": "not mentioned"}


def answer(**changes: dict[str, Any]) -> str:
    """All 14 negative, but for the changes."""
    return json.dumps({(key := name.replace(" ", "_")): {**NEGATIVE, **changes.get(key, {})} for name in LESIONS})


EFFUSION = answer(pleural_effusion={"status": "positive", "location": "left", "rationale": "small left effusion"})


def labeller(script: Callable[[Question, str], str | Failed]) -> tuple[LanguageModelLabeller, ScriptedModels]:
    llm = ScriptedModels(script)
    return LanguageModelLabeller(llm), llm


def test_an_answer_becomes_14_lesions_with_side_and_the_words_that_decided() -> None:
    ours, llm = labeller(lambda question, problem: EFFUSION)
    (lesions,) = ours.label(["Small left effusion."])
    assert [lesion.name for lesion in lesions] == list(LESIONS)
    assert lesions[2] == Lesion("pleural effusion", "positive", "left", "stated", "small left effusion")
    assert lesions[0] == Lesion("cardiomegaly", "negative")
    (question,) = llm.asked
    assert question == Question("label", load("label").fill(report="Small left effusion."), SCHEMA)
    assert llm.tasks == ["label"]


def test_order_case_and_underscores_make_no_difference() -> None:
    said = {}
    for key, item in reversed(json.loads(EFFUSION).items()):
        item["status"] = item["status"].capitalize()
        item["location"] = item["location"].title().replace(" ", "-")
        said[key.upper().replace("_", " ")] = item
    text = f"<think>{{maybe}}</think>Here it is:\n```json\n{json.dumps(said)}\n```"
    assert read_lesions(text) == read_lesions(EFFUSION)


def test_the_side_of_what_is_absent_is_left_out_and_its_words_are_kept() -> None:
    lesions = read_lesions(answer(pneumothorax={"location": "left", "rationale": "no left pneumothorax"}))
    assert lesions[5] == Lesion("pneumothorax", "negative", "not mentioned", "stated", "no left pneumothorax")


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    said = json.loads(EFFUSION)
    change(said)
    return json.dumps(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I am not a doctor.", "the answer holds no JSON object"),
        ('{"mass": [', "the answer holds no JSON object"),
        ('{"mass": [}', "the answer is not one valid JSON object"),
        ('{"findings": []}', '"findings" is none of the 14 lesions'),
        ('{"mass": "positive"}', '"positive" under "mass" is no object'),
        ("{}", "cardiomegaly, emphysema, pleural_effusion, "),
        (changed(lambda said: said.pop("hernia")), "hernia: not there; write all 14 lesions"),
        (changed(lambda said: said.update({"Pleural Effusion": said["mass"]})), "pleural effusion: there more than once"),
        (changed(lambda said: said.update(effusion=said.pop("mass"))), '"effusion" is none of the 14 lesions: cardiomegaly, '),
        (changed(lambda said: said.update(pleural_effusions=said.pop("mass"))), '"pleural_effusions" is none of the 14 lesions'),
        (answer(mass={"status": "unclear"}), 'the status of mass is "unclear"; it must be one of: positive, negative'),
        (answer(mass={"status": None}), "the status of mass is null"),
        (answer(mass={"status": "positive", "location": "upper"}), 'the location of mass is "upper"; it must be one of: left, right, bilateral, not'),
        (answer(mass={"rationale": 3}), "the rationale of mass is 3; it must be a text"),
        ('{"mass": {}, "mass": {}}', 'the key "mass" stands twice'),
        ("{" * 100_000 + "}", "the answer is not one valid JSON object"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_in_words_that_help_to_mend_it(text: str, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_lesions(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_mended_answer_counts_and_one_that_stays_wrong_is_no_label() -> None:
    ours, llm = labeller(lambda question, problem: EFFUSION if problem and "mendable" in question.prompt else "{}")
    mended, lost = ours.label(["mendable", "hopeless"])
    assert mended == read_lesions(EFFUSION)
    assert lost == ()
    assert [problem.partition(", emphysema")[0] for problem in llm.mended] == ["cardiomegaly"] * 3
    assert ours.failures == {"unusable": 1}


def test_a_text_without_words_mentions_nothing_and_nobody_is_asked() -> None:
    ours, llm = labeller(lambda question, problem: EFFUSION)
    for lesions in ours.label(["", " \n"]):
        assert [(lesion.name, lesion.status, lesion.certainty) for lesion in lesions] == [(name, "negative", "not mentioned") for name in LESIONS]
    assert not llm.asked


def test_equal_texts_are_asked_about_once_and_answers_stay_with_their_texts() -> None:
    def script(question: Question, problem: str) -> str | Failed:
        lesion = question.prompt.split("<report>\n")[1].split("\n</report>")[0]
        return Failed("timeout", "no answer after 120 s") if lesion == "late" else answer(**{lesion: {"status": "positive"}})

    ours, llm = labeller(script)
    said = ours.label(["mass", "edema", "late", "mass", "hernia"])
    assert [next((lesion.name for lesion in lesions if lesion.status == "positive"), "") for lesions in said] == [
        "mass",
        "edema",
        "",
        "mass",
        "hernia",
    ]
    assert len(llm.asked) == 4
    ours.label(["hernia", "mass"])
    assert len(llm.asked) == 4
    ours.label(["late"])  # a failure is not remembered
    assert len(llm.asked) == 5


def test_questions_are_written_as_they_are_taken() -> None:
    """A million prompts at once would not fit; the client takes a few at a time."""
    written = []

    class Frugal(ScriptedModels):
        def asking(self, task: str, model: str | None = None) -> Any:
            def ask(questions: Any, read: Any) -> Any:
                while some := list(islice(questions, 2)):
                    written.append(len(some))
                    yield from (Failed("not asked", "an estimate") for _ in some)

            ask.signature = lambda: "none"  # type: ignore[attr-defined]
            return ask

    assert LanguageModelLabeller(Frugal(lambda question, problem: "")).label(["a", "b", "c"]) == [()] * 3
    assert written == [2, 1]


def test_the_memory_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.labelling.language_model.REMEMBERED", 3)
    ours, llm = labeller(lambda question, problem: EFFUSION)
    ours.label(["a", "b", "c"])
    assert ours.label(["c", "d"]) == [read_lesions(EFFUSION)] * 2
    assert len(llm.asked) == 4
    ours.label(["a"])
    assert len(llm.asked) == 5


def test_the_signature_names_model_and_prompt(tmp_path: Path) -> None:
    ours, llm = labeller(lambda question, problem: EFFUSION)
    assert ours.signature() == f"language_model|scripted|temperature:0|prompt:{load('label').digest}|v1"
    (tmp_path / "mine.md").write_text("Label {report}")
    other = LanguageModelLabeller(llm, prompt=tmp_path / "mine.md")
    assert other.signature() != ours.signature()
    other.label(["x"])
    assert llm.asked[-1].prompt == "Label x"


def test_the_lesion_table_leaves_out_a_case_that_was_not_labelled_and_says_why() -> None:
    def script(question: Question, problem: str) -> str | Failed:
        return Failed("refused", "its filter") if "secret" in question.prompt else EFFUSION

    ours, llm = labeller(script)
    metric = LesionScores(ours)
    assert metric.asks
    rows = metric.statistics(["a", "secret", "b", "secret"], ["r", "r", "secret", "r"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, True]
    assert metric.failures == {"refused": 3}
    metric.statistics(["a"], ["r"])
    assert not metric.failures
    assert len(llm.asked) == 4
