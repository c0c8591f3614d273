"""Names become things, and a wrong name says what exists."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pluggy
import pytest

from benchmark import hookspecs, registry
from benchmark.hookspecs import hookimpl
from benchmark.records import UserError
from benchmark.registry import BadOption, BadPlugin, MissingPackage, Spec, UnknownName


def collected(**plugins: object) -> registry.Registry:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name, plugin in plugins.items():
        manager.register(plugin, name=name)
    return registry.collect(manager)


def plugin(**hooks: Callable[..., Any]) -> types.ModuleType:
    module = types.ModuleType("a_plugin")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


class Parrot:
    def __init__(
        self, argument: str = "", *, words: int = 3, loud: bool = False, mode: Literal["", "a", "b"] = "a", file: Path | None = None
    ) -> None:
        self.settings = (argument, words, loud, mode, file)


def registers_parrot(register: hookspecs.Register) -> None:
    register("parrot", Parrot, summary="says it again")


def test_the_built_in_models_come_through_the_same_door_as_foreign_ones() -> None:
    known = registry.load()
    assert {"constant", "retrieval", "reports_file", "command", "clala"} <= set(known.entries["models"])
    assert known.entries["models"]["constant"].plugin == "adapters"
    assert {"lesions", "meteor", "rouge_l", "bleu"} <= set(known.entries["metrics"])
    assert {"phantom", "chest_imagenome", "iu_xray", "manifest"} <= set(known.entries["datasets"])
    assert {"rules", "language_model"} <= set(known.entries["labellers"])


def test_every_built_in_name_leads_to_something() -> None:
    """A dotted name that is wrong would only be noticed by the first user of it."""
    for kind, entries in registry.load().entries.items():
        for name, entry in entries.items():
            assert callable(registry.resolve(entry.factory, f"{kind} {name}"))
            if entry.trainer is not None:
                assert callable(registry.resolve(entry.trainer, f"trainer {name}"))


def test_a_plugin_s_model_is_listed_beside_others_in_the_order_of_names() -> None:
    def registers_two(register: hookspecs.Register) -> None:
        register("zebra", Parrot)
        register("ant", Parrot)

    known = collected(second=plugin(register_models=registers_parrot), first=plugin(register_models=registers_two))
    assert list(known.entries["models"]) == ["ant", "parrot", "zebra"]
    assert known.entries["models"]["parrot"].summary == "says it again"


def test_a_misspelt_hook_is_refused() -> None:
    with pytest.raises(BadPlugin, match=r"plugin 'typo'.*register_modles.*the hooks are register_models, register_metrics, register_datasets"):
        collected(typo=plugin(register_modles=registers_parrot))


def test_a_name_that_two_plugins_register_is_refused_with_both_named() -> None:
    with pytest.raises(BadPlugin, match="'parrot' is registered by plugin 'a' and by 'b'"):
        collected(a=plugin(register_models=registers_parrot), b=plugin(register_models=registers_parrot))


def test_a_name_that_could_not_be_typed_is_refused() -> None:
    def registers_odd(register: hookspecs.Register) -> None:
        register("my model", Parrot)

    with pytest.raises(BadPlugin, match="'my model': a name is lower-case letters"):
        collected(a=plugin(register_models=registers_odd))


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    known = collected(a=plugin(register_models=registers_parrot))
    with pytest.raises(UnknownName, match=r"no model named 'parot' \(did you mean 'parrot'\?\); known: parrot"):
        known.entry("models", "parot")


def test_a_factory_gets_what_it_asks_for_by_name_and_settings_in_their_type(tmp_path: Path) -> None:
    known = collected(a=plugin(register_models=registers_parrot))
    options = {"words": "7", "loud": "yes", "mode": "b", "file": str(tmp_path)}
    made = known.build("models", Spec("p", "parrot", "hello"), available={"loud": False, "unasked": 1}, options=options)
    assert made.settings == ("hello", 7, True, "b", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "many"}, "setting words: 'many' is not a whole number"),
        ({"loud": "perhaps"}, "setting loud: 'perhaps' is neither yes nor no"),
        ({"mode": "c"}, "setting mode: 'c' is none of a, b"),
        ({"wings": "2"}, "model 'parrot' has no setting 'wings'; it has: words, loud, mode, file"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_what_would(options: dict[str, str], message: str) -> None:
    known = collected(a=plugin(register_models=registers_parrot))
    with pytest.raises(BadOption, match=message):
        known.build("models", Spec("p", "parrot", ""), available={}, options=options)


def test_text_behind_a_colon_is_refused_by_what_takes_none_and_asked_for_by_what_needs_it() -> None:
    with pytest.raises(BadOption, match="model 'x' takes nothing behind a colon, found 'y'"):
        registry.call(lambda: None, "model 'x'", argument="y", available={}, options={})
    with pytest.raises(BadOption, match="model 'x' needs something behind a colon, x:"):
        registry.call(lambda argument: argument, "model 'x'", argument="", available={}, options={})


def test_a_missing_package_names_the_extra_that_brings_it() -> None:
    def needs_torch() -> None:
        raise ModuleNotFoundError("No module named 'timm.layers'", name="timm.layers")

    with pytest.raises(MissingPackage, match=r"model 'x' needs the package timm.*pip install 'clala-benchmark\[models\]'"):
        registry.call(needs_torch, "model 'x'", argument="", available={}, options={})


def test_a_dotted_name_that_leads_nowhere_is_the_plugin_s_fault_and_says_so() -> None:
    with pytest.raises(BadPlugin, match=r"benchmark\.nowhere"):
        registry.resolve("benchmark.nowhere:Thing", "model 'x'")
    with pytest.raises(BadPlugin, match="Nothing"):
        registry.resolve("benchmark.records:Nothing", "model 'x'")


@pytest.mark.parametrize(
    ("word", "spec"),
    [
        ("constant", Spec("constant", "constant", "")),
        ("reports_file:a/b.csv", Spec("reports_file:a/b.csv", "reports_file", "a/b.csv")),
        ("ours=reports_file:a=b.csv", Spec("ours", "reports_file", "a=b.csv")),
        ("x=command:'python m.py --pair 1,2'", Spec("x", "command", "python m.py --pair 1,2")),
    ],
)
def test_a_spec_is_taken_apart(word: str, spec: Spec) -> None:
    assert registry.parse_specs([word]) == (spec,)


def test_a_comma_divides_unless_it_is_quoted() -> None:
    labels = [spec.name for spec in registry.parse_specs(["constant,a=command:'x, y',retrieval", "clala"])]
    assert labels == ["constant", "command", "retrieval", "clala"]


@pytest.mark.parametrize("word", ["a b", "=x", "a==b", "-!", "my model=constant", "a/b=constant"])
def test_what_is_no_spec_is_refused_and_the_signs_that_can_stand_in_one_are_named(word: str) -> None:
    with pytest.raises(UserError, match=r"cannot read .*; write .*label=name:argument, a label of letters, digits, '_', '\.', '\+' and '-'"):
        registry.parse_specs([word])


def test_a_name_that_is_no_text_is_refused_before_any_table_is_to_hold_it() -> None:
    """As Python has the name of a file that is not UTF-8."""
    registry.check_model_names(["größe", "\U0001f600"])
    with pytest.raises(UserError, match=r"a model called 'm.udcff', with bytes that are no character; give it a label of its own, first="):
        registry.check_model_names(["clala", "m\udcff"])


def test_the_same_model_twice_needs_two_labels() -> None:
    with pytest.raises(UserError, match="'constant' is asked for twice"):
        registry.parse_specs(["constant,constant"])


def test_settings_of_one_thing_are_picked_by_its_name() -> None:
    options = registry.parse_options(["clala.beams=3", "clala.mode=a=b", "ours.beams=1"])
    assert registry.options_of(options, "clala") == {"beams": "3", "mode": "a=b"}
    with pytest.raises(UserError, match="cannot read the setting 'beams=3'"):
        registry.parse_options(["beams=3"])


def test_a_setting_for_nothing_in_the_run_is_refused_with_the_nearest_name() -> None:
    registry.check_options({"clala.beams": "3", "ours.x.y": "1"}, ["clala", "ours"])
    with pytest.raises(BadOption, match=r"'cala\.beams' is for nothing in this run \(did you mean clala\?\)"):
        registry.check_options({"cala.beams": "3"}, ["clala", "phantom"])


def test_a_check_finds_what_building_would_refuse_and_builds_nothing() -> None:
    made = []

    def factory(argument: str, size: int = 1) -> None:
        made.append(argument)

    known = collected(a=plugin(register_models=lambda register: register("thing", factory)))
    known.check("models", Spec("t", "thing", "x"), available={}, options={"size": "2"})
    for argument, options in (("", {}), ("x", {"size": "big"}), ("x", {"colour": "red"})):
        with pytest.raises(BadOption):
            known.check("models", Spec("t", "thing", argument), available={}, options=options)
    assert made == []


def test_an_unclosed_quote_loses_no_letter() -> None:
    assert registry.split_names(["a,b'c,d"]) == ("a", "b'c", "d")


def test_a_module_that_gives_up_when_it_is_imported_ends_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With status 0, as some libraries do where there is no GPU, a run would have ended without a word and as if all were well."""
    (tmp_path / "gives_up.py").write_text("import sys\n\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadPlugin, match=r"model 'quiet' is registered as 'gives_up:Model'; importing it ended with SystemExit: 0, where a reason"):
        registry.resolve("gives_up:Model", "model 'quiet'")
