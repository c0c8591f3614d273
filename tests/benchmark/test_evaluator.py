"""A run with models that misbehave while they are made: each keeps its fault to itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pluggy
import pytest

from benchmark import evaluator, hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.metrics.plugin import register_metrics
from benchmark.records import Case, Problem, Reference, Report, RunConfig, UserError
from benchmark.runs import CannotWrite


class Good:
    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            yield Report(case.id, "Clear lungs.")


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no such layer")


class FullDisk(Good):
    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        raise CannotWrite("cannot write to reports.jsonl: no space left")
        yield


class Learner(Good):
    def __init__(self, training: object) -> None:
        training.references("test")  # type: ignore[attr-defined]


class FromSentences(Good):
    def __init__(self, aggregator: str = "rules") -> None:
        self.aggregator = aggregator

    def provenance(self) -> dict[str, str]:
        return {"aggregator": self.aggregator}


class Three:
    name, is_credentialed, note = "three", False, "Three sentences."

    def cases(self, split: str) -> list[Case]:
        return [Case(str(number), f"p{number // 2}", "s", ()) for number in range(3)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(str(number), "Clear lungs.") for number in range(3)]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


class Plugin:
    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        for name, model in {"good": Good, "broken": Broken, "full_disk": FullDisk, "learner": Learner, "region": FromSentences}.items():
            register(name, model)

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register("three", Three)

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


def config(*models: str) -> RunConfig:
    return RunConfig(models, ("rouge_l",), "three", draws=20)


def test_a_model_that_cannot_be_made_leaves_the_others_their_numbers(tmp_path: Path) -> None:
    outcome = evaluator.run(config("broken", "good"), tmp_path / "run")
    assert outcome.failed == {"broken": "could not be made: RuntimeError: no such layer (traceback in failure.txt)"}
    assert "RuntimeError" in (tmp_path / "run" / "broken" / "failure.txt").read_text()
    assert {row.model for row in outcome.scored.rows} == {"good"}
    sealed = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "no such layer" in sealed["models"]["broken"]["failed"]


def test_a_full_disk_stops_the_run_and_is_not_a_failed_model(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        evaluator.run(config("full_disk", "good"), tmp_path / "run")
    assert not (tmp_path / "run" / "good").exists()


def test_a_model_that_asks_for_the_references_it_is_measured_on_gets_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a model asked for the split 'test'"):
        evaluator.run(config("learner"), tmp_path / "run")


def test_every_model_failing_still_leaves_tables_that_say_why(tmp_path: Path) -> None:
    outcome = evaluator.run(config("broken"), tmp_path / "run")
    assert outcome.scored.rows == []
    assert "no such layer" in (tmp_path / "run" / "summary.md").read_text()


def test_the_note_of_the_dataset_stands_under_the_tables(tmp_path: Path) -> None:
    evaluator.run(config("good"), tmp_path / "run")
    assert "Three sentences." in (tmp_path / "run" / "summary.md").read_text()
    assert "3 cases, 2 patients" in (tmp_path / "run" / "summary.md").read_text()


def test_every_table_says_who_put_sentences_into_reports(tmp_path: Path) -> None:
    """A report by a language model and one by rules of the same sentences are two systems."""
    options = {"asked.aggregator": "language_model|openai/small|temperature:0|prompt:0123456789ab"}
    made = RunConfig(("good", "region", "asked=region", "broken"), ("rouge_l",), "three", draws=20, options=options)
    evaluator.run(made, tmp_path / "run")
    said = [
        "region: sentences put into reports by embedded rules, not by a language model.",
        "asked: sentences put into reports by the language model openai/small.",
    ]
    for table in ("summary.md", "summary.tex", "differences.md"):
        text = " ".join((tmp_path / "run" / table).read_text().split())
        assert all(sentence in text for sentence in said), table
        assert "good: sentences" not in text
    assert json.loads((tmp_path / "run" / "run.json").read_text())["notes"] == said
