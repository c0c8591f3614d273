"""How much of a case models see: decided in one place, for what they are measured on and what they learn from, and part of every number."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pluggy
import pytest

from adapters.command import Command
from benchmark import evaluator, hookspecs, registry
from benchmark.context import reduced
from benchmark.hookspecs import hookimpl
from benchmark.metrics.plugin import register_metrics
from benchmark.records import Case, Context, ImageFile, Problem, Reference, Report, RunConfig, TrainingData, UserError
from benchmark.runs import OtherRun
from benchmark.scoring import score
from benchmark.signatures import compare_runs, differing, parse, with_field

WHOLE = Case(
    "c1",
    "p1",
    "s1",
    (ImageFile(Path("front.png"), "PA"), ImageFile(Path("side.png"), "LATERAL")),
    indication="Fever.",
    technique="PA and lateral.",
    comparison="Last week.",
    prior_report="Clear lungs.",
    prior_image=Path("before.png"),
    boxes={"left lung": (0.0, 0.0, 9.0, 9.0)},
)


def seen(case: Case) -> list[str]:
    """What a model gets of a case, by name."""
    fields = ("indication", "technique", "comparison", "prior_report", "prior_image")
    return [*(image.view for image in case.images), *(name for name in fields if getattr(case, name))]


@pytest.mark.parametrize(
    ("context", "left"),
    [
        ("none", ["PA"]),
        ("indication", ["PA", "indication"]),
        ("full", ["PA", "LATERAL", "indication", "technique", "comparison", "prior_report", "prior_image"]),
    ],
)
def test_each_context_leaves_its_part_of_a_case(context: Context, left: list[str]) -> None:
    (case,) = reduced([WHOLE], context)
    assert seen(case) == left
    assert (case.id, case.patient, case.study) == (WHOLE.id, WHOLE.patient, WHOLE.study)
    assert case.boxes == WHOLE.boxes, "the experiment grants them, not the context"


def test_a_case_without_an_image_stays_one() -> None:
    assert reduced([replace(WHOLE, images=())], "none")[0].images == ()


class Spy:
    """Writes down what it was shown, while it learns and while it is measured."""

    def __init__(self, training: TrainingData) -> None:
        self.learnt = [seen(case) for case in training.cases("train")]

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            yield Report(case.id, "Clear lungs.", details={"learnt": self.learnt, "saw": seen(case)})


class TwoStudies:
    name, is_credentialed, note = "two", False, ""

    def cases(self, split: str) -> list[Case]:
        names = [f"{split}{number}" for number in range(2)]
        images = {name: tuple(replace(image, path=Path(name) / image.path) for image in WHOLE.images) for name in names}
        return [replace(WHOLE, id=name, patient=name, images=images[name]) for name in names]

    def references(self, split: str) -> list[Reference]:
        return [Reference(case.id, "Clear lungs.") for case in self.cases(split)]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


class Plugin:
    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        register("spy", Spy)

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register("two", TwoStudies)

    @hookimpl
    def register_metrics(self, register: hookspecs.Register) -> None:
        register_metrics(register)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run of the spy."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin(), name="fakes")
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)
    return RunConfig(("spy",), ("rouge_l",), "two", draws=20)


@pytest.mark.parametrize(("context", "count"), [("none", 1), ("indication", 2), ("full", 7)])
def test_models_learn_from_no_more_than_they_are_measured_with(spied: RunConfig, context: Context, count: int, tmp_path: Path) -> None:
    outcome = evaluator.run(replace(spied, context=context), tmp_path / "run")
    for report in outcome.reports["spy"]:
        assert len(report.details["saw"]) == count
        assert report.details["learnt"] == [report.details["saw"]] * 2


def test_every_number_and_every_table_says_in_which_context_it_was_measured(spied: RunConfig, tmp_path: Path) -> None:
    outcome = evaluator.run(replace(spied, context="none"), tmp_path / "run")
    assert {parse(row.signature)["context"] for row in (*outcome.scored.rows, *outcome.scored.strata)} == {"none"}
    sealed = json.loads((tmp_path / "run" / "run.json").read_text())
    assert parse(sealed["signatures"]["rouge_l"])["context"] == sealed["config"]["context"] == "none"
    assert "one frontal image of each case and no text (--context none)" in (tmp_path / "run" / "summary.md").read_text()


def test_a_run_of_another_context_is_another_run(spied: RunConfig, tmp_path: Path) -> None:
    evaluator.run(spied, tmp_path / "run")
    with pytest.raises(OtherRun, match='its context is "full", now it would be "none"; choose another folder with --out, or delete this one'):
        evaluator.run(replace(spied, context="none"), tmp_path / "run")


def test_a_folder_from_before_there_was_a_context_goes_on_as_full(spied: RunConfig, tmp_path: Path) -> None:
    """All that a dataset had was what models saw then."""
    evaluator.run(spied, tmp_path / "run")
    file = tmp_path / "run" / "settings.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "context"}))
    evaluator.run(spied, tmp_path / "run")
    with pytest.raises(OtherRun, match='its context is "full"'):
        evaluator.run(replace(spied, context="indication"), tmp_path / "run")


def test_two_runs_that_differ_in_context_alone_do_not_compare(spied: RunConfig, tmp_path: Path) -> None:
    runs = []
    for context in ("none", "full"):
        evaluator.run(replace(spied, context=context), tmp_path / context)
        runs.append(json.loads((tmp_path / context / "run.json").read_text()))
    compared = compare_runs(*runs)
    assert compared.comparable == ()
    assert compared.lines() == ["rouge_l was computed differently: context: none against full"]


def test_reports_that_already_exist_have_no_context_since_nobody_knows() -> None:
    texts = {"a": "Clear lungs.", "b": "Small effusion."}
    outcome = evaluator.score_reports(texts, {"m": texts}, RunConfig((), ("rouge_l",), "", draws=20, strata=False), None)
    assert "context" not in parse(outcome.scored.rows[0].signature)


def test_differences_and_mcnemars_tests_have_the_context_too() -> None:
    config = RunConfig((), ("lesions",), "", draws=50, context="indication")
    texts = ["Small left pleural effusion.", "Clear lungs.", "Moderate right pneumothorax."]
    written = {name: [Report(str(place), text) for place, text in enumerate(each)] for name, each in (("a", texts), ("b", texts[::-1]))}
    scored = score(["p", "q", "r"], texts, written, config)
    rows = [*scored.rows, *scored.differences, *scored.strata]
    assert {parse(row.signature)["context"] for row in rows} == {"indication"}
    assert any(row.value_name.endswith("only_first_right") for row in rows)


def test_a_context_that_there_is_not_is_refused_with_those_that_there_are(spied: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no context 'all'; name one of: none, indication, full"):
        evaluator.run(replace(spied, context="all"), tmp_path / "run")  # type: ignore[arg-type]


ECHO = """
import json, sys
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps({"id": case["id"], "report": line}), flush=True)
"""


def test_a_program_behind_a_pipe_gets_the_reduced_case(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    model = Command(f"{sys.executable} {tmp_path / 'echo.py'}", log=tmp_path / "log")
    (report,) = model.generate(reduced([WHOLE], "indication"))
    sent = json.loads(report.text)
    assert [image["view"] for image in sent["images"]] == ["PA"]
    assert (sent["indication"], sent["technique"], sent["comparison"], sent["prior_report"], sent["prior_image"]) == ("Fever.", "", "", "", None)


@pytest.mark.parametrize(
    ("signature", "whole"),
    [
        ("rouge_l|stem:yes|v1", "rouge_l|stem:yes|context:full|v1"),
        ("lesions|labeller:(rules|v1)|v12", "lesions|labeller:(rules|v1)|context:full|v12"),
        ("lesions|labeller:(rules|v1)", "lesions|labeller:(rules|v1)|context:full"),
        ("whatever a guest wrote", "whatever a guest wrote|context:full"),
    ],
)
def test_a_field_is_added_before_the_version_of_the_whole(signature: str, whole: str) -> None:
    assert with_field(signature, "context", "full") == whole
    assert with_field(signature, "context", "") == signature
    assert [one.field for one in differing(whole, with_field(signature, "context", "none"))] in (["context"], ["signature"])
