"""CLALA-Net's region sentences made into reports by a language model: asked for together, and never replaced by rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from adapters.clala import CLALA, DEMO_WEIGHTS, read_report
from benchmark.llm.prompts import BadPrompt, load
from benchmark.llm.questions import Answered, Failed, Question, Unusable
from benchmark.records import Case, ImageFile, UserError
from clala.aggregate import LostFindings, NoAnswer, aggregate, aggregate_all_by_model

T = TypeVar("T")


class Model:
    """A language model: writes every statement of its prompt, or what ``answers`` has for it; it is what makes what asks, too."""

    def __init__(self, answers: Callable[[str], str | Failed] | None = None) -> None:
        self.answers = answers or (lambda prompt: "Written. " + " ".join(re.findall(r"^- [a-z ]+: (.*)$", prompt, re.MULTILINE)))
        self.asked: list[list[Question]] = []

    def asking(self, task: str, model: str | None = None) -> Model:
        assert (task, model) == ("aggregate", None)
        return self

    def __call__(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        self.asked.append(list(questions))
        for question in self.asked[-1]:
            answer = self.answers(question.prompt)
            yield answer if isinstance(answer, Failed) else self._read(answer, read)

    def signature(self) -> str:
        return "scripted|temperature:0"

    @staticmethod
    def _read(answer: str, read: Callable[[str], T]) -> Answered[T] | Failed:
        try:
            return Answered(read(answer), answer)
        except Unusable as error:
            return Failed("unusable", str(error))


SICK = {"left lung": "left pleural effusion.", "right lung": "the lungs are clear."}
WELL = {"left lung": "no pleural effusion.", "right lung": "the lungs are clear."}


def batches(answers: Callable[[str], str], cases: Sequence[Mapping[str, str]]) -> tuple[list[object], list[list[str]]]:
    """The reports of the cases, and what was asked in which round."""
    asked: list[list[str]] = []

    def ask(prompts: Sequence[str]) -> list[str | NoAnswer]:
        asked.append(list(prompts))
        return [answers(prompt) or NoAnswer("nothing came") for prompt in prompts]

    return list(aggregate_all_by_model(cases, ask, "Rules.\n{regions}")), asked


def test_all_cases_are_asked_for_at_once_and_those_that_lost_a_finding_once_more() -> None:
    reports, asked = batches(lambda prompt: "Left pleural effusion." if "left out: left pleural effusion" in prompt else "Clear.", [SICK, WELL, SICK])
    assert reports == ["Left pleural effusion.", "Clear.", "Left pleural effusion."]
    assert [len(prompts) for prompts in asked] == [3, 2]
    assert asked[1][0] == f"{asked[0][0]}\n\nAn earlier answer left out: left pleural effusion. Write the whole report again with them."


def test_a_case_whose_finding_stays_lost_fails_alone() -> None:
    reports, _ = batches(lambda prompt: "Clear.", [WELL, SICK])
    assert reports[0] == "Clear."
    assert isinstance(reports[1], LostFindings)
    assert str(reports[1]) == "the report lacks left pleural effusion, which the region sentences state"


def test_no_answer_is_a_failure_in_either_round() -> None:
    reports, asked = batches(lambda prompt: "" if "left out" in prompt or "no pleural" in prompt else "Clear.", [WELL, SICK])
    assert [str(report) for report in reports] == ["nothing came", "nothing came"]
    assert all(isinstance(report, NoAnswer) for report in reports)
    assert [len(prompts) for prompts in asked] == [2, 1]


def test_a_case_without_sentences_has_an_empty_report_and_nobody_is_asked() -> None:
    assert batches(lambda prompt: "Clear.", [{"left lung": " "}, {}]) == (["", ""], [])
    assert batches(lambda prompt: "Clear.", []) == ([], [])


def test_an_answer_that_is_no_report_is_asked_to_be_mended() -> None:
    assert read_report("<think>so</think>\n The heart is large.\n") == "The heart is large."
    with pytest.raises(Unusable, match="the report is empty; write the report"):
        read_report("<think>so</think> ")


needs_weights = pytest.mark.skipif(not (DEMO_WEIGHTS / "weights.safetensors").is_file(), reason="the demo weights are not in this checkout")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("radiographs")
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (90, 80)).astype(np.uint8)).save(folder / f"{number}.png")
    return [Case(f"c{number}", "p", "s", (ImageFile(folder / f"{number}.png"),)) for number in range(3)]


@needs_weights
def test_the_reports_of_a_batch_are_asked_for_together_with_the_shipped_prompt(cases: list[Case]) -> None:
    llm = Model()
    model = CLALA(device="cpu", beams=1, batch_size=2, aggregator="language_model", llm=llm)
    broken = Case("bare", "p", "s", ())
    reports = list(model.generate([cases[0], broken, *cases[1:]]))
    assert [report.failure for report in reports] == ["", "the case has no image", "", ""]
    assert [len(batch) for batch in llm.asked] == [1, 2]
    for report, question in zip([reports[0], *reports[2:]], [question for batch in llm.asked for question in batch], strict=True):
        assert report.text == "Written. " + " ".join(text for text in report.regions.values() if text)
        said = "\n".join(f"- {region}: {text}" for region, text in report.regions.items() if text)
        assert question == Question("aggregate", load("aggregate").fill(regions=said))
    assert model.provenance()["aggregator"] == f"language_model|scripted|temperature:0|prompt:{load('aggregate').digest}"


@needs_weights
def test_a_failed_answer_is_a_failed_case_that_keeps_its_sentences(cases: list[Case]) -> None:
    """A report by rules in its place would be measured as the language model's."""
    llm = Model(lambda prompt: Failed("rate limit", "429 five times"))
    (report,) = CLALA(device="cpu", beams=1, aggregator="language_model", llm=llm).generate(cases[:1])
    assert (report.text, report.failure) == ("", "the language model gave no report: rate limit: 429 five times")
    assert report.regions
    assert aggregate(report.regions)


@needs_weights
def test_what_makes_asking_pointless_stops_the_model(cases: list[Case]) -> None:
    def spent(prompt: str) -> str:
        raise UserError("the budget of $5.00 is reached")

    with pytest.raises(UserError, match=r"the budget of \$5\.00 is reached"):
        list(CLALA(device="cpu", beams=1, aggregator="language_model", llm=Model(spent)).generate(cases))


@needs_weights
def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="aggregator is 'gpt'; it must be rules or language_model, or in Python a function that asks one"):
        CLALA(device="cpu", aggregator="gpt")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"is for a language model, but aggregator is rules; set clala\.aggregator=language_model too"):
        CLALA(device="cpu", prompt=tmp_path / "mine.md")
    with pytest.raises(UserError, match="aggregate by a language model needs one to ask, and got none; give llm"):
        CLALA(device="cpu", aggregator="language_model")
    (tmp_path / "mine.md").write_text("Write a report.")
    with pytest.raises(BadPrompt, match="has no place for the regions"):
        CLALA(device="cpu", aggregator="language_model", llm=Model(), prompt=tmp_path / "mine.md")


@needs_weights
def test_a_prompt_of_the_users_own_is_asked_and_named(cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("Sum up: {regions}")
    llm = Model()
    model = CLALA(device="cpu", beams=1, aggregator="language_model", llm=llm, prompt=tmp_path / "mine.md")
    list(model.generate(cases[:1]))
    assert llm.asked[0][0].prompt.startswith("Sum up: - ")
    assert model.provenance()["aggregator"].endswith(f"prompt:{load('aggregate', tmp_path / 'mine.md').digest}")
