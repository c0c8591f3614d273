"""What can be trained is found by name, is handed what it asks for, and says what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pluggy
import pytest

from benchmark import hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.places import cache_folder
from benchmark.records import Case, Problem, Reference, UserError
from benchmark.registry import BadOption, BadPlugin, Setting, UnknownName
from benchmark.training import _taken, describe, summary_of, train


class Five:
    name, is_credentialed, note = "five", False, ""

    def cases(self, split: str) -> list[Case]:
        return [Case(f"{split}{number}", "p", "s", ()) for number in range(5)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(case.id, "Clear lungs.") for case in self.cases(split)]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


def fit_ear(training: Any, *, out: Path, pitch: float = 440.0, kind: Literal["left", "right"] = "left", seed: int = 0, loud: bool = True) -> Path:
    """Train an ear.

    pitch   in hertz

    Raises nothing.
    """
    out.mkdir(parents=True)
    heard = [case.id for case in training.cases("train")]
    about = {"heard": heard, "pitch": pitch, "kind": kind, "seed": seed, "summary": {"error": 0.25, "f1": {"a": 0.5, "b": 1.0}, "note": "fine"}}
    (out / "about.json").write_text(json.dumps(about))
    return out


class Singer:
    def generate(self, cases: Any) -> Any:
        return iter(())


class Plugin:
    @hookimpl
    def register_models(self, register: hookspecs.Register) -> None:
        register("singer", Singer, summary="sings", trainer=fit_ear)
        register("mute", Singer)

    @hookimpl
    def register_trainers(self, register: hookspecs.Register) -> None:
        register("ear", fit_ear, summary="half of a singer")

    @hookimpl
    def register_datasets(self, register: hookspecs.Register) -> None:
        register("five", Five)


def collected(*plugins: object) -> registry.Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for number, plugin in enumerate(plugins):
        manager.register(plugin, name=f"plugin{number}")
    return registry.collect(manager)


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    known = collected(Plugin())
    monkeypatch.setattr(registry, "load", lambda: known)


def fit(name: str, out: Path, **settings: str) -> Any:
    return train(name, "five", out, settings, {}, seed=7, device="cpu", command="typed")


def test_a_trainer_that_is_no_model_is_handed_what_it_names_and_its_settings_in_their_type(tmp_path: Path) -> None:
    trained = fit("ear", tmp_path / "ear", pitch="220", kind="right")
    about = json.loads((trained.folder / "about.json").read_text())
    assert about["heard"] == [f"train{number}" for number in range(5)]
    assert (about["pitch"], about["kind"], about["seed"]) == (220.0, "right", 7)


def test_a_model_that_brings_a_trainer_is_trained_by_its_own_name(tmp_path: Path) -> None:
    assert fit("singer", tmp_path / "singer").folder == tmp_path / "singer"
    assert list(registry.load().entries["trainers"]) == ["ear", "singer"]
    assert registry.load().entries["trainers"]["singer"].summary == "sings"


def test_what_the_weights_scored_comes_back_with_groups_as_their_mean(tmp_path: Path) -> None:
    assert fit("ear", tmp_path / "ear").summary == {"error": 0.25, "mean f1": 0.75}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"summary": 3}', '{"summary": {"loss": null, "ok": true, "nan": NaN}}'])
def test_a_folder_that_says_nothing_of_its_weights_has_no_summary(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "about.json").write_text(text)
    assert summary_of(tmp_path) == {}


def test_an_unknown_name_lists_what_can_be_trained(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no trainer named 'eer' \(did you mean 'ear'\?\); known: ear, singer"):
        fit("eer", tmp_path)


def test_a_model_without_a_trainer_says_so_and_lists_those_with_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model 'mute' cannot be trained here; these can: ear, singer"):
        fit("mute", tmp_path)


def test_an_unknown_setting_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="trainer 'ear' has no setting 'volume'; it has: pitch, kind, loud"):
        fit("ear", tmp_path, volume="3")


def test_a_trainer_may_not_look_at_the_test_split(tmp_path: Path) -> None:
    def peeks(training: Any) -> Path:
        training.cases("test")
        return tmp_path

    class Peeking(Plugin):
        @hookimpl
        def register_trainers(self, register: hookspecs.Register) -> None:
            register("peeking", peeks)

    known = collected(Peeking())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load", lambda: known)
        with pytest.raises(UserError, match="asked for the split 'test' of five; it may learn from train and validate alone"):
            fit("peeking", tmp_path)


def test_a_trainer_and_a_trainable_model_of_one_name_are_refused() -> None:
    class Second:
        @hookimpl
        def register_trainers(self, register: hookspecs.Register) -> None:
            register("singer", fit_ear)

    with pytest.raises(BadPlugin, match="trainer 'singer' is registered by plugin 'plugin1', and model 'singer' of 'plugin0' brings one: rename one"):
        collected(Plugin(), Second())


def test_a_description_has_the_settings_as_they_are_typed_and_the_words_without_what_is_raised() -> None:
    described = describe("ear")
    assert described.text == "Train an ear.\n\npitch   in hertz"
    assert described.settings == [Setting("pitch", "number", "440.0"), Setting("kind", "left | right", "left"), Setting("loud", "yes | no", "yes")]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: None, Setting("x", "text", "required")),
        (lambda x=None: None, Setting("x", "text", "")),
    ],
)
def test_a_setting_without_a_type_is_text_and_one_without_a_default_is_required(function: Callable[..., Any], expected: Setting) -> None:
    assert registry.settings_of(function, "thing", available=()) == [expected]


def test_an_optional_setting_shows_what_it_takes_and_no_default() -> None:
    def function(size: int | None = None, file: Path | str = "", **rest: Any) -> None: ...

    settings = registry.settings_of(function, "thing", available=())
    assert settings == [Setting("size", "whole number", ""), Setting("file", "path | text", "")]


def test_where_the_cache_knows_no_locks_a_training_goes_on_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is opened as a place alone takes none, as none on a file system without."""
    (tmp_path / "lock").touch()
    with os.fdopen(os.open(tmp_path / "lock", os.O_PATH)) as lock:
        assert _taken(lock, tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{cache_folder()}: its file system knows no locks; see to it that nothing else trains into {tmp_path / 'out'}"


def test_a_lock_that_another_training_has_is_not_taken(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a+") as first, (tmp_path / "lock").open("a+") as second:
        assert _taken(first, tmp_path)
        assert not _taken(second, tmp_path)
