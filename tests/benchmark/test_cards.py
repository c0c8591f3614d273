"""What models say of themselves stands under the numbers, and one that has learnt from what it is measured on is marked beside its name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pluggy
import pytest
import typer
from rich.console import Console

from benchmark import cli, doctor, evaluator, hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.labelling.plugin import register_labellers
from benchmark.metrics.plugin import register_metrics
from benchmark.records import Case, Problem, ProtocolCard, Reference, Report, RunConfig, UserError
from benchmark.tables import print_summary
from benchmark.tables.cards import in_words

LEAKY = ProtocolCard(
    "findings",
    ("frontal image", "indication"),
    "beam search, 4 beams, at most 60 tokens",
    "MIMIC-CXR, official train split",
    {"three": "two of its three cases were in the training data", "other/train": "all of it"},
    "GPL-3.0",
    "doi:10.25919/ng3g-aj81",
    ("Cuts every report at 60 tokens.",),
)


class Writer:
    """Knows nothing of itself."""

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            yield Report(case.id, "Clear lungs.")


class Leaky(Writer):
    def card(self) -> ProtocolCard:
        return LEAKY


class Clean(Writer):
    def __init__(self, wording: str = "First words.") -> None:
        self.wording = wording

    def card(self) -> ProtocolCard:
        return ProtocolCard("findings", (), "none", "none", {}, "MIT", "none", (self.wording,))


class WrongCard(Writer):
    def card(self) -> dict[str, str]:
        return {"target": "findings"}


class WithoutWeights(Writer):
    def __init__(self) -> None:
        raise UserError("heavy: no weights given; name the file of the published checkpoint: --set heavy.weights=model.pth")

    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        return [(False, "model.pth, 4.2 GB, from its authors")]


class NeedsASetting(Writer):
    def __init__(self, vocabulary: Path) -> None:
        self.vocabulary = vocabulary


class Speechless(Writer):
    @staticmethod
    def needs() -> list[tuple[bool, str]]:
        raise OSError("disk on fire")


class Three:
    name, is_credentialed, note = "three", False, "Three sentences."

    def cases(self, split: str) -> list[Case]:
        return [Case(str(number), f"p{number}", "s", ()) for number in range(3)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(str(number), "Clear lungs.") for number in range(3)]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


MODELS = {
    "writer": Writer,
    "leaky": Leaky,
    "clean": Clean,
    "wrong_card": WrongCard,
    "heavy": WithoutWeights,
    "needy": NeedsASetting,
    "speechless": Speechless,
}


class Plugin:
    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        for name in self.names:
            register(name, MODELS[name])

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register("three", Three)

    @hookimpl
    def register_metrics(self, register: hookspecs.Register) -> None:
        register_metrics(register)

    @hookimpl
    def register_labellers(self, register: hookspecs.Register) -> None:
        register_labellers(register)


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin(*names), name="fakes")
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)


@pytest.fixture(autouse=True)
def only_these_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, *MODELS)


def config(*models: str, split: str = "test") -> RunConfig:
    return RunConfig(models, ("rouge_l", "lesions"), "three", split, draws=20)


def test_a_leak_is_marked_beside_the_name_in_every_table_with_its_footnote(tmp_path: Path) -> None:
    evaluator.run(config("leaky", "clean"), tmp_path / "run")
    said = "‡ leaky has learnt from what it is measured on: two of its three cases were in the training data."
    for name in ("summary", "table1", "table2a", "lesions", "differences"):
        text = (tmp_path / "run" / f"{name}.md").read_text()
        assert "leaky‡" in text, name
        assert said in text, name
        assert not {"clean‡", "clean§"} & set(text.split()), name
        assert r"leaky$^{\ddagger}$" in (tmp_path / "run" / f"{name}.tex").read_text(), name
    assert {row.model for row in evaluator.run(config("leaky", "clean"), tmp_path / "run").scored.rows} == {"leaky", "clean"}, "a mark is print"


def test_a_model_that_says_nothing_is_marked_as_not_known_not_as_clean(tmp_path: Path) -> None:
    evaluator.run(config("writer", "clean"), tmp_path / "run")
    text = (tmp_path / "run" / "summary.md").read_text()
    assert "| writer§ " in text
    assert "§ Whether it has learnt from what it is measured on is not known: writer." in text
    assert "- **writer** nothing is known of its training, inputs, decoding and licence." in text


def test_the_card_stands_under_the_numbers_in_markdown_latex_and_the_terminal(tmp_path: Path) -> None:
    outcome = evaluator.run(config("leaky"), tmp_path / "run")
    said = in_words(LEAKY, "three/test")
    assert said == (
        "writes: findings; from: frontal image, indication; decoding: beam search, 4 beams, at most 60 tokens; learnt from: MIMIC-CXR, official "
        "train split; of which measured here: two of its three cases were in the training data; licence: GPL-3.0; weights: doi:10.25919/ng3g-aj81. "
        "Cuts every report at 60 tokens."
    )
    for name in ("summary", "table1", "table2a"):
        assert f"- **leaky** {said}" in (tmp_path / "run" / f"{name}.md").read_text(), name
        assert r"\textbf{leaky} writes: findings" in (tmp_path / "run" / f"{name}.tex").read_text(), name
    console = Console(width=200, record=True, file=io.StringIO())
    print_summary(outcome.scored.rows, console, **outcome.for_tables())
    assert said in " ".join(console.export_text().split())


def test_cards_are_a_table_of_their_own_for_those_who_count(tmp_path: Path) -> None:
    evaluator.run(config("leaky", "clean", "writer"), tmp_path / "run")
    lines = {line["model"]: line for line in csv.DictReader((tmp_path / "run" / "cards.csv").open(newline=""))}
    assert lines["leaky"]["leak"] == "two of its three cases were in the training data"
    assert (lines["clean"]["leak"], lines["clean"]["inputs"]) == ("none", "nothing of the case")
    assert (lines["writer"]["leak"], lines["writer"]["inputs"], lines["writer"]["target"]) == ("", "", "unknown")


def test_the_card_is_kept_in_the_record_of_the_run(tmp_path: Path) -> None:
    evaluator.run(config("leaky"), tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["models"]["leaky"]["card"]
    assert kept["leaks"] == LEAKY.leaks
    assert kept["remarks"] == ["Cuts every report at 60 tokens."]


def test_a_card_that_is_worded_better_makes_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator.run(config("clean"), tmp_path / "run")
    monkeypatch.setattr(Clean.__init__, "__defaults__", ("Better words.",))
    evaluator.run(config("clean"), tmp_path / "run")
    assert "Better words." in (tmp_path / "run" / "summary.md").read_text()


@pytest.mark.parametrize(
    ("dataset", "split", "leak"),
    [
        ("three", "test", "two of its three cases were in the training data"),
        ("three", "train", "two of its three cases were in the training data"),
        ("other", "train", "all of it"),
        ("other", "test", ""),
        ("phantom", "test", ""),
    ],
)
def test_a_leak_is_of_a_dataset_or_of_one_split_of_it(dataset: str, split: str, leak: str) -> None:
    assert LEAKY.leak(dataset, split) == leak
    assert ProtocolCard().leak(dataset, split) is None


def test_a_card_that_is_none_costs_the_model_its_numbers_and_says_why(tmp_path: Path) -> None:
    outcome = evaluator.run(config("wrong_card", "clean"), tmp_path / "run")
    assert "card() gave a dict, and is to give a benchmark.records.ProtocolCard" in outcome.failed["wrong_card"]
    assert {row.model for row in outcome.scored.rows} == {"clean"}


def test_reports_in_files_have_neither_card_nor_mark(tmp_path: Path) -> None:
    texts = {"a": "Clear lungs.", "b": "Small effusion."}
    evaluator.score_reports(texts, {"m": texts}, RunConfig((), ("rouge_l",), "", draws=20), tmp_path / "run")
    text = (tmp_path / "run" / "summary.md").read_text()
    assert "§" not in text
    assert "**m**" not in text
    assert not (tmp_path / "run" / "cards.csv").exists()


def test_a_model_without_its_weights_is_a_row_with_the_reason_and_never_a_number(tmp_path: Path) -> None:
    outcome = evaluator.run(config("heavy", "clean"), tmp_path / "run")
    assert outcome.not_made == {"heavy"}
    assert "no weights given; name the file" in outcome.failed["heavy"]
    assert all("heavy" not in row.model for row in (*outcome.scored.rows, *outcome.scored.differences))
    assert "heavy" not in (tmp_path / "run" / "rows.csv").read_text()
    for name in ("summary", "table2a", "lesions"):
        (line,) = [line for line in (tmp_path / "run" / f"{name}.md").read_text().splitlines() if line.startswith("| heavy")]
        assert "not scored: heavy: no weights given" in line, name


def test_all_passes_over_models_without_weights_and_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, "clean", "heavy", "needy")
    monkeypatch.chdir(tmp_path)
    cli.run(models=["all"], dataset="three", metrics="rouge_l", draws=20, out=tmp_path / "run")
    answer = capsys.readouterr()
    assert "skipped: model 'needy' needs the setting 'vocabulary': --set needy.vocabulary=..." in answer.err
    assert "not scored: heavy: no weights given" in " ".join(answer.out.split())
    with pytest.raises(typer.Exit) as caught:
        cli.run(models=["clean,heavy"], dataset="three", metrics="rouge_l", draws=20, out=tmp_path / "named")
    assert caught.value.exit_code == 1, "asked for by name, its absence is a failure"


def test_doctor_says_what_is_missing_and_is_stopped_by_no_guest() -> None:
    found = {finding.name: finding for finding in doctor.examine_plugins() if finding.group == "models"}
    assert (found["heavy"].state, found["heavy"].what) == ("missing", "model.pth, 4.2 GB, from its authors")
    assert (found["speechless"].state, found["speechless"].what) == ("missing", "cannot say what it needs: OSError: disk on fire")
    assert found["clean"].state == "ok"
