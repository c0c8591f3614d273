"""Everything about a reproduction that can be known to be wrong before anything is trained: what a run checks of itself, for every arm of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmark import registry
from benchmark.evaluator import check_names, use_of_datasets
from benchmark.experiments.definitions import Arm, Definitions
from benchmark.experiments.plan import TRAINED, Plan, labellers_of, settings_of_labeller, settings_of_things
from benchmark.hookspecs import Dataset
from benchmark.inputs import check_grant, open_dataset
from benchmark.labelling.choose import known_labellers, labeller_named
from benchmark.labelling.sources import label_source
from benchmark.llm.models import LanguageModels, Manner
from benchmark.making import HANDED
from benchmark.records import RunConfig
from benchmark.scoring import build_metric


def preflight(config: RunConfig, definitions: Definitions, plan: Plan, manner: Manner | None = None) -> Dataset:
    """The dataset, opened, once nothing that was asked is known to be wrong. Raises ``UserError``, before anything is read or trained.

    ``config`` is how arms are measured, with the settings of everything.
    """
    arms = [definitions.arms[name] for name in plan.runs]
    registry.check_model_names(arm.name for arm in arms)
    metrics = [name for spec in registry.parse_specs(config.metrics) for name in (spec.name, spec.label)]
    labellers = labellers_of(arms, config.labeller)
    of_arms = {*plan.runs, *labellers, *(TRAINED for arm in arms if not arm.model)}
    registry.check_options(config.options, [*of_arms, *metrics, registry.parse_spec(config.dataset).name, "llm"])
    check_names(replace(config, options={key: value for key, value in config.options.items() if key.partition(".")[0] not in of_arms}), "")
    dataset = open_dataset(config.dataset, config.options)
    llm = LanguageModels(config.options, use_of_datasets(dataset), manner)
    given = {"seed": config.seed, "device": config.device, "llm": llm}
    for spec in registry.parse_specs(config.metrics):
        build_metric(spec, config, llm)
    of_labellers = {name: registry.options_of(settings_of_labeller(config.options, name, plan.runs), name) for name in labellers}
    labeller_named(config.labeller, of_labellers[config.labeller], given)
    for arm in arms:
        _check_arm(arm, config, given, of_labellers)
    llm.preflight()
    return dataset


def _check_arm(arm: Arm, config: RunConfig, given: Mapping[str, Any], of_labellers: Mapping[str, Mapping[str, str]]) -> None:
    known = registry.load()
    check_grant(arm.grant)
    for source in filter(None, (arm.labels, arm.told.get("lesions", ""))):
        _check_labels(source, given, of_labellers.get(source, {}))
    of_dataset = registry.parse_spec(config.dataset)
    settings = {**registry.options_of(config.options, of_dataset.name), **arm.dataset}
    known.check("datasets", of_dataset, available={"strict": False}, options=settings)
    spec = registry.parse_spec(arm.model) if arm.model else registry.Spec(arm.name, TRAINED, "weights")
    own = settings_of_things(config.options, (spec.name, arm.name), of_labellers)
    options = {**registry.options_of(own, spec.name), **arm.told, **registry.options_of(own, arm.name)}
    known.check("models", spec._replace(label=arm.name), available={**dict.fromkeys(HANDED), **given}, options=options)


def _check_labels(source: str, given: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """A source of labels: a labeller is not made, which may take weights and minutes, but asked for what it lacks."""
    if source in known_labellers():
        registry.load().check("labellers", registry.Spec(source, source, ""), available=given, options=options)
    else:
        label_source(source)
