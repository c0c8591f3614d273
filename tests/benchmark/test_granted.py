"""A model is told nothing of what it is measured on, unless the experiment grants it; and then every table says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pluggy
import pytest

from benchmark import evaluator, hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.inputs import NotGranted, Told
from benchmark.labelling.plugin import register_labellers
from benchmark.metrics.plugin import register_metrics
from benchmark.records import Case, Granted, Lesion, Problem, Reference, Report, RunConfig, UserError
from benchmark.runs import OtherRun
from benchmark.vocabulary import LESIONS


class Four:
    """Four cases; those with an even number have an effusion."""

    name, is_credentialed, note = "four", False, "Four sentences."

    def cases(self, split: str) -> list[Case]:
        return [Case(str(number), f"p{number}", "s", ()) for number in range(4)]

    def references(self, split: str) -> list[Reference]:
        texts = ["Left pleural effusion.", "Clear lungs."]
        lesions = [tuple(Lesion(n, "positive" if n == "pleural effusion" and not number % 2 else "negative") for n in LESIONS) for number in range(4)]
        return [Reference(str(number), texts[number % 2], lesions=lesions[number]) for number in range(4)]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


class Secret(Four):
    """The same, under an agreement."""

    name, is_credentialed = "secret", True


class Prompted:
    """Says what it is told."""

    def __init__(self, granted: Granted, *, lesions: str = "truth", late: bool = False, said: str = "") -> None:
        self.granted, self.lesions = granted, lesions
        self.known = {} if late else granted.lesions(lesions)
        if said:
            granted.made_of_them(said)

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        known = self.known or self.granted.lesions(self.lesions)
        for case in cases:
            names = [lesion.name for lesion in known[case.id] if lesion.status == "positive"]
            yield Report(case.id, f"There is {' and '.join(names)}." if names else "Clear lungs.", details={"told": names, "of": len(known)})


class Honest:
    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            yield Report(case.id, "Clear lungs.")


class Plugin:
    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        register("prompted", Prompted)
        register("honest", Honest)

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register("four", Four)
        register("secret", Secret)

    @hookimpl
    def register_labellers(self, register: hookspecs.Register) -> None:
        register_labellers(register)

    @hookimpl
    def register_metrics(self, register: hookspecs.Register) -> None:
        register_metrics(register)


@pytest.fixture(autouse=True)
def only_these_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin(), name="fakes")
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)


def config(*models: str, **options: str) -> RunConfig:
    named = {f"prompted.{name}": value for name, value in options.items()}
    return RunConfig(models, ("rouge_l",), "four", options=named, draws=20, grant=("lesions",))


def test_without_a_grant_a_model_is_told_nothing_and_the_remedy_is_named(tmp_path: Path) -> None:
    message = (
        r"model 'prompted' asks for the lesions of the references that it is measured on \(truth\), and this run does not grant them; "
        r"leave that setting, or start the experiment with --grant lesions: every table will say so"
    )
    with pytest.raises(NotGranted, match=message):
        evaluator.run(replace(config("prompted"), grant=()), tmp_path / "run")


def test_the_remedy_works_in_the_same_folder(tmp_path: Path) -> None:
    with pytest.raises(NotGranted):
        evaluator.run(replace(config("prompted"), grant=()), tmp_path / "run")
    assert not evaluator.run(config("prompted"), tmp_path / "run").failed


def test_a_model_is_told_of_all_cases_of_the_split_beyond_the_limit_too(tmp_path: Path) -> None:
    """Else a corruption over all of them would come out differently for the first twenty."""
    outcome = evaluator.run(replace(config("prompted"), limit=2), tmp_path / "run")
    assert [report.details for report in outcome.reports["prompted"]] == [{"told": ["pleural effusion"], "of": 4}, {"told": [], "of": 4}]


def test_what_a_model_was_told_stands_under_every_table_and_in_the_record(tmp_path: Path) -> None:
    evaluator.run(config("prompted", "honest", lesions="rules", said="corrupted to F1 0.70"), tmp_path / "run")
    said = "prompted was told lesions of the references: rules, corrupted to F1 0.70."
    for name in ("summary", "table1", "table2a", "differences"):
        assert f"Four sentences. {said}" in (tmp_path / "run" / f"{name}.md").read_text(), name
    sealed = json.loads((tmp_path / "run" / "run.json").read_text())
    assert sealed["notes"] == [said]
    assert sealed["config"]["grant"] == ["lesions"]
    (told,) = sealed["models"]["prompted"]["told"]
    assert (told["what"], told["source"], told["said"]) == ("lesions", "rules", "corrupted to F1 0.70")
    assert told["signature"].startswith("rules|")
    assert "told" not in sealed["models"]["honest"]


def test_a_run_that_grants_what_no_model_asked_for_says_that(tmp_path: Path) -> None:
    evaluator.run(config("honest"), tmp_path / "run")
    assert "The run grants lesions of the references; no model asked for them." in (tmp_path / "run" / "summary.md").read_text()


def test_a_run_without_a_grant_does_not_mention_it(tmp_path: Path) -> None:
    evaluator.run(replace(config("honest"), grant=()), tmp_path / "run")
    assert "grant" not in (tmp_path / "run" / "settings.json").read_text()
    assert "of the references" not in (tmp_path / "run" / "summary.md").read_text()


def test_a_run_with_a_grant_and_one_without_share_no_folder(tmp_path: Path) -> None:
    evaluator.run(replace(config("honest"), grant=()), tmp_path / "plain")
    with pytest.raises(OtherRun, match=r'its grant is null, now it would be \["lesions"\]; choose another folder with --out'):
        evaluator.run(config("honest"), tmp_path / "plain")
    evaluator.run(config("honest"), tmp_path / "told")
    with pytest.raises(OtherRun, match=r'its grant is \["lesions"\], now it would be null'):
        evaluator.run(replace(config("honest"), grant=()), tmp_path / "told")


def test_labels_that_have_changed_are_another_model(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(n), "lesions": [{"name": name, "status": "negative"} for name in LESIONS]}) + "\n" for n in range(4)]
    (tmp_path / "labels.jsonl").write_text("".join(lines))
    asked = config("prompted", lesions=f"file:{tmp_path / 'labels.jsonl'}")
    evaluator.run(asked, tmp_path / "run")
    (tmp_path / "labels.jsonl").write_text("".join(reversed(lines)))
    with pytest.raises(OtherRun, match="its told is"):
        evaluator.run(asked, tmp_path / "run")


def test_a_model_that_asks_after_it_was_made_is_stopped(tmp_path: Path) -> None:
    """The second time its reports are all there, it would not ask, and the note would be gone."""
    outcome = evaluator.run(config("prompted", "honest", late="yes"), tmp_path / "run")
    assert "RuntimeError: a model is told lesions while it is made, and not later" in outcome.failed["prompted"]


def test_labels_that_are_not_there_fail_that_model_alone(tmp_path: Path) -> None:
    outcome = evaluator.run(config("prompted", "honest", lesions="oracle"), tmp_path / "run")
    assert outcome.failed["prompted"].startswith("no labels named 'oracle'; known: truth, file:PATH, ")


@pytest.mark.parametrize(
    ("grant", "message"),
    [
        ("lesion", "nothing named 'lesion' can be granted; there is: lesions$"),
        ("boxes", r"nothing named 'boxes' can be granted; there is: lesions; true boxes are a setting of the dataset: --set NAME\.boxes=truth"),
    ],
)
def test_a_grant_that_does_not_exist_is_refused(tmp_path: Path, grant: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluator.run(replace(config("honest"), grant=(grant,)), tmp_path / "run")


def test_a_labeller_s_settings_count_for_what_is_told() -> None:
    class Hedged(Four):
        def references(self, split: str) -> list[Reference]:
            return [Reference(str(number), "Possible pneumonia.") for number in range(4)]

    asked = RunConfig((), (), "four", options={"rules.hedges": "gold_openi"}, grant=("lesions",))
    told = Told("m", Hedged(), asked)
    assert not any(lesion.status == "positive" for lesions in told.lesions("rules").values() for lesion in lesions)
    assert "hedges:gold_openi" in told.asked[0]["signature"]


def test_a_run_whose_models_learn_from_credentialed_text_is_private_too(tmp_path: Path) -> None:
    """What they write may be a training report, word for word."""
    settings = RunConfig(("honest",), ("rouge_l",), "four", draws=20)
    assert not evaluator.run(settings, tmp_path / "public").data.is_private
    assert evaluator.run(settings, tmp_path / "private", training="secret").data.is_private
    assert (tmp_path / "private" / ".gitignore").read_text() == "*\n"
