"""Labellers by name: what a plugin registers is made with its settings and with what it asks for, and nothing else."""

from __future__ import annotations

import types
from collections.abc import Sequence
from importlib import metadata

import pluggy
import pytest

from benchmark import hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.labelling import plugin as ours
from benchmark.labelling.choose import known_labellers, labeller_named
from benchmark.labelling.sources import FromReports, label_source
from benchmark.records import Case, Lesion, Lesions, Reference, UserError
from benchmark.registry import BadOption, BadPlugin, Lazy, UnknownName
from benchmark.vocabulary import LESIONS


class Oracle:
    """Affirms a lesion if whoever it asks says so."""

    def __init__(self, llm: object, device: str = "auto", *, lesion: str = "mass", loud: bool = False) -> None:
        self.llm, self.device, self.lesion, self.loud = llm, device, lesion, loud

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        return [tuple(Lesion(name, "positive" if name == self.lesion else "negative") for name in LESIONS) for _ in reports]

    def signature(self) -> str:
        return f"oracle|lesion:{self.lesion}"


@pytest.fixture
def with_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of our labellers and one more."""
    foreign = types.ModuleType("delphi")
    foreign.register_labellers = hookimpl(lambda register: register("oracle", Oracle, summary="asks"))  # type: ignore[attr-defined]
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(ours, name="labelling")
    manager.register(foreign, name="delphi")
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)


@pytest.mark.usefixtures("with_oracle")
def test_a_labeller_is_handed_what_it_asks_for_and_its_settings_in_their_type() -> None:
    made = labeller_named("oracle", {"loud": "yes", "lesion": "edema"}, {"llm": "anyone", "device": "cpu", "unasked": 1})
    assert isinstance(made, Oracle)
    assert (made.llm, made.device, made.lesion, made.loud) == ("anyone", "cpu", "edema", True)


@pytest.mark.usefixtures("with_oracle")
def test_what_is_costly_to_make_is_made_only_for_a_labeller_that_asks_for_it() -> None:
    made = []
    llm = Lazy(lambda: made.append("llm") or "made")  # type: ignore[func-returns-value]
    labeller_named("rules", {}, {"llm": llm})
    assert made == []
    oracle = labeller_named("oracle", {}, {"llm": llm})
    assert isinstance(oracle, Oracle)
    assert (made, oracle.llm) == (["llm"], "made")


@pytest.mark.usefixtures("with_oracle")
@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("oracel", {}, UnknownName, r"no labeller named 'oracel' \(did you mean 'oracle'\?\); known: language_model, oracle, rules"),
        ("oracle", {}, BadOption, r"labeller 'oracle' needs the setting 'llm'"),
        ("rules", {"hedge": "d15"}, BadOption, "labeller 'rules' has no setting 'hedge'; it has: hedges, terms"),
        ("rules", {"hedges": "none"}, UserError, "no hedges='none'; known: d15, gold_openi"),
    ],
)
def test_a_name_or_a_setting_that_does_not_fit_is_refused_with_what_would(
    name: str, options: dict[str, str], error: type[UserError], message: str
) -> None:
    with pytest.raises(error, match=message):
        labeller_named(name, options)


@pytest.mark.usefixtures("with_oracle")
def test_every_labeller_is_a_source_of_labels_by_its_name() -> None:
    source = label_source("oracle", {"lesion": "hernia"}, {"llm": None})
    assert isinstance(source, FromReports)
    [lesions] = source.lesions([Case("a", "p", "s", ())], [Reference("a", "Anything.")])
    assert [lesion.name for lesion in lesions if lesion.status == "positive"] == ["hernia"]
    with pytest.raises(UserError, match="no labels named 'oracel'; known: truth, file:PATH, language_model, oracle, rules"):
        label_source("oracel")


def test_our_labellers_come_through_the_same_door_as_foreign_ones() -> None:
    entries = registry.load().entries["labellers"]
    assert entries["rules"].plugin == "labelling"
    assert known_labellers() == tuple(sorted(entries))


def test_an_installation_from_before_a_plugin_of_ours_was_there_says_that_it_is_to_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install keeps the entry points of the day it was made: else `rules` would be unknown, and nobody would know why."""
    points = [point for point in metadata.entry_points(group=hookspecs.PROJECT) if point.name != "labelling"]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points)
    registry.load.cache_clear()
    try:
        with pytest.raises(BadPlugin, match=r"'labelling' is not among the installed .* found adapters, .*install it again: pip install -e \."):
            registry.load()
    finally:
        registry.load.cache_clear()
