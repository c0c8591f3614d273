"""Signatures: what is read from them, that every metric and labeller has one, and what two that differ say."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_model import ScriptedModels

from benchmark import registry
from benchmark.records import RunConfig, UserError
from benchmark.scoring import build_metric
from benchmark.signatures import UnlikeSignatures, UnreadableSignature, compare_runs, differing, in_words, parse, require_alike

RULES = "lesions|unit:case|labeller:(rules|hedges:d15|v1)|v1"
MODEL = "lesions|unit:case|labeller:(language_model|ollama/llama3:8b|temperature:0|prompt:01|v1)|v1"


def test_a_signature_is_read_field_by_field_with_what_stands_in_brackets_below_its_own_name() -> None:
    assert parse(RULES) == {
        "name": "lesions",
        "unit": "case",
        "labeller": "rules",
        "labeller.hedges": "d15",
        "labeller.version": "v1",
        "version": "v1",
    }


def test_several_in_brackets_are_told_apart_and_a_bar_within_brackets_divides_nothing_outside() -> None:
    fields = parse("consistency|models:(a|t:0)+(b|t:1|of:(c|d:e))|samples:3|v2")
    assert (fields["models"], fields["models.2"]) == ("a", "b")
    assert (fields["models.t"], fields["models.2.t"], fields["models.2.of"], fields["models.2.of.d"]) == ("0", "1", "c", "e")
    assert (fields["samples"], fields["version"]) == ("3", "v2")


def test_a_models_name_with_a_colon_is_one_word() -> None:
    assert parse(MODEL)["labeller.2"] == "ollama/llama3:8b"


def test_a_value_may_hold_colons_and_plus_signs() -> None:
    assert parse("bleu|tok:a:b|smooth:add+1|v1") == {"name": "bleu", "tok": "a:b", "smooth": "add+1", "version": "v1"}


@pytest.mark.parametrize("text", ["", "|v1", "a|b:(c|v1", "a|b:c)|v1", "a|b:1|b:2"])
def test_what_is_no_signature_is_refused_and_still_compared(text: str) -> None:
    with pytest.raises(UnreadableSignature, match="signature"):
        parse(text)
    assert differing(text, "a|v1") != []
    assert differing(text, text) == []


def test_what_differs_is_named_by_field_with_both_values() -> None:
    other = RULES.replace("d15", "chexpert").replace("|v1)|v1", "|v2)|zero:0|v1")
    found = differing(RULES, other)
    assert in_words(found) == "labeller.hedges: d15 against chexpert; labeller.version: v1 against v2; zero: (nothing) against 0"
    assert {(one.field, one.second, one.first) for one in differing(other, RULES)} == set(found)


def test_fields_in_another_order_are_no_agreement() -> None:
    """A metric writes its signature one way; two ways of writing are two programs."""
    assert [one.field for one in differing("a|b:1|c:2", "a|c:2|b:1")] == ["signature"]


def test_numbers_computed_differently_are_refused_saying_whose_what_and_what_to_do() -> None:
    with pytest.raises(UnlikeSignatures) as refusal:
        require_alike("Macro F1", ("clala", RULES), ("rgrg", MODEL))
    said = str(refusal.value)
    assert said.startswith(
        "Macro F1 of clala and of rgrg would stand in one column, but were computed differently (labeller: rules against language_model;"
    )
    assert said.endswith("score both with the same settings")
    require_alike("Macro F1", ("clala", RULES), ("rgrg", RULES))


def run(signatures: dict[str, str], *, fingerprint: str = "ab", cases: int = 300, split: str = "test") -> dict[str, Any]:
    return {"signatures": signatures, "dataset": {"fingerprint": fingerprint, "cases": cases}, "config": {"split": split, "limit": None}}


def test_two_runs_say_which_of_their_numbers_compare_and_which_field_keeps_the_others_apart() -> None:
    found = compare_runs(run({"lesions": RULES, "bleu": "bleu|v1", "green": "g|v1"}), run({"lesions": MODEL, "bleu": "bleu|v1", "meteor": "m|v1"}))
    assert found.comparable == ("bleu",)
    assert found.metrics["lesions"][0].field == "labeller"
    assert found.lines()[0].startswith("lesions was computed differently: labeller: rules against language_model")
    assert found.lines()[1:] == ["only the first run has green", "only the second run has meteor"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"fingerprint": "cd"}, "fingerprint: ab against cd"),
        ({"cases": 20}, "cases: 300 against 20"),
        ({"split": "validate"}, "split: test against validate"),
    ],
)
def test_no_number_of_two_runs_on_other_data_compares(other: dict[str, Any], said: str) -> None:
    found = compare_runs(run({"bleu": "bleu|v1"}), run({"bleu": "bleu|v1"}, **other))
    assert found.comparable == ()
    assert found.lines() == [f"the runs measure different data: {said}"]


def test_two_runs_alike_have_nothing_to_say() -> None:
    assert compare_runs(run({"bleu": "bleu|v1"}), run({"bleu": "bleu|v1"})).lines() == []


NEEDS = {"green": {"green.judge": "language_model"}}
"""settings without which a metric cannot be had"""


@pytest.mark.parametrize("name", registry.load().entries["metrics"])
def test_every_registered_metric_has_a_signature_that_names_its_settings_and_its_version(name: str) -> None:
    config = RunConfig((), (name,), "", options=NEEDS.get(name, {}))
    try:
        metric = build_metric(registry.parse_spec(name), config, ScriptedModels(lambda question, problem: ""))  # type: ignore[arg-type]
    except UserError as error:
        pytest.skip(f"cannot be had here: {error}")
    fields = parse(metric.signature())
    assert fields["name"] == metric.name
    assert fields["version"].startswith("v")
    assert len(fields) >= 4
    assert metric.signature() == build_metric(registry.parse_spec(name), config, ScriptedModels(lambda question, problem: "")).signature()  # type: ignore[arg-type]
    titled = getattr(metric, "titles", {})
    assert set(getattr(metric, "headlines", ())) <= set(titled)
    assert set(getattr(metric, "undirected", ())) <= set(titled)
    assert all(titled.values())


LEXICAL = ("bleu", "meteor_nltk", "rouge_l")


@pytest.mark.parametrize("name", LEXICAL)
def test_a_metric_of_words_names_variant_tokeniser_case_and_the_program_whose_number_it_is(name: str) -> None:
    fields = parse(build_metric(registry.parse_spec(name), RunConfig((), (name,), "")).signature())
    assert {"variant", "tok", "case", "as"} <= set(fields)


@pytest.mark.parametrize("name", ["rules", "language_model"])
def test_every_labeller_has_a_signature_within_the_metrics(name: str) -> None:
    metric = build_metric(registry.parse_spec("lesions"), RunConfig((), ("lesions",), "", labeller=name), ScriptedModels(lambda q, p: ""))  # type: ignore[arg-type]
    fields = parse(metric.signature())
    assert fields["labeller"] == name
    assert fields["labeller.version"].startswith("v")


def test_the_embedded_annotator_is_named_with_its_version_and_the_hash_of_what_it_lists() -> None:
    fields = parse(build_metric(registry.parse_spec("radgraph"), RunConfig((), ("radgraph",), "")).signature())
    assert fields["annotator"] == "rules"
    assert {"annotator.version", "annotator.lexicon", "case"} <= set(fields)


def test_metrics_unlike_by_one_setting_have_signatures_unlike_in_one_field() -> None:
    stemmed, plain = (
        build_metric(registry.parse_spec("rouge_l"), RunConfig((), ("rouge_l",), "", options={"rouge_l.stem": stem})) for stem in ("yes", "no")
    )
    assert [one.field for one in differing(stemmed.signature(), plain.signature())] == ["stem"]
