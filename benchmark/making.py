"""Makes the models of a run, in this process or in a worker elsewhere: the same settings, the same things handed over, the same words about them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from benchmark import registry
from benchmark.engine import Held
from benchmark.generation import batch_size_of, checked_answers, contained
from benchmark.hookspecs import Model
from benchmark.inputs import HeldBack, Told, learning_side, open_dataset
from benchmark.llm.models import LanguageModels
from benchmark.places import cache_folder
from benchmark.records import ProtocolCard, RunConfig, UserError

HANDED = ("training", "granted", "llm", "device", "seed", "cache")
"""what a model is given if its constructor names it"""


class AsksALanguageModel(Exception):
    """A model that was to live elsewhere asks a language model, which this command's own process alone does: one client, one budget."""


class NobodyElsewhere:
    """In place of what asks language models, where there is none."""

    def asking(self, task: str, model: str | None = None) -> NoReturn:
        """Raise ``AsksALanguageModel``."""
        raise AsksALanguageModel(f"{task} by a language model is asked for in the command's own process alone")


@dataclass(frozen=True)
class Said:
    """What is known of a model once it is made."""

    provenance: dict[str, Any]
    """what it says of itself: checksums of weights, settings"""
    card: ProtocolCard
    """no part of what decides its reports: what a model says of itself may be worded better, and that makes no other run of it"""
    told: list[str]
    """one sentence for each thing that it was told of the measured cases"""
    asked: list[dict[str, str]]
    """the same for the record"""
    taken_out: tuple[str, ...] = ()
    """one sentence for each split that it learnt from elsewhere and that shared cases with what is measured"""


def options_of(config: RunConfig, spec: registry.Spec) -> dict[str, str]:
    """The settings that are meant for a model."""
    return registry.options_of(config.options, *dict.fromkeys((spec.name, spec.label)))


def handed(config: RunConfig, training: HeldBack | None, granted: Told | None, llm: LanguageModels | NobodyElsewhere) -> dict[str, Any]:
    """What a model may ask for by name."""
    return dict(zip(HANDED, (training, granted, llm, config.device, config.seed, cache_folder() / "models"), strict=True))


def make(spec: registry.Spec, config: RunConfig, given: Mapping[str, Any]) -> tuple[Model, Said]:
    """The model, and what is known of it. Raises ``UserError``, and whatever else a guest does while it is made."""
    granted: Told = given["granted"]
    with contained():
        model: Model = registry.load().build("models", spec, available=given, options=options_of(config, spec))
        granted.close()
        says: dict[str, Any] = getattr(model, "provenance", dict)()
        card = getattr(model, "card", ProtocolCard)()
    if not isinstance(card, ProtocolCard):
        raise TypeError(f"card() gave a {type(card).__name__}, and is to give a benchmark.records.ProtocolCard")
    return model, Said(says, card, granted.notes(), granted.asked)


def make_elsewhere(spec: registry.Spec, config: RunConfig, training: str, witness: Path | None, patience: float, device: str) -> Held:
    """The same in a worker, which opens the data itself: what is under one path here is under the same path there, as ``witness`` shows, an image.

    At module level, for other processes. Raises what ``make`` raises, ``UserError`` without the image, and ``AsksALanguageModel``.
    """
    if witness is not None and not witness.exists():
        raise UserError(
            f"machine {platform.node()} of the cluster has no {witness}; the data, and the cache with its phantoms (CLALA_BENCHMARK_CACHE), "
            "must lie under one path on every machine"
        )
    config = replace(config, device=device)
    dataset = open_dataset(config.dataset, config.options)
    learn_from = learning_side(dataset, config, training)
    nobody = NobodyElsewhere()
    model, said = make(spec, config, handed(config, learn_from, Told(spec.label, dataset, config, nobody), nobody))
    is_independent = bool(getattr(model, "is_independent_by_case", True))
    made_of = json.dumps([said.provenance, said.asked], sort_keys=True, default=lambda thing: type(thing).__name__)
    said = replace(said, taken_out=tuple(learn_from.notes()))
    return Held(partial(checked_answers, model, patience=patience), said, batch_size_of(model), is_independent, made_of, learn_from.notes)


def takes_device(spec: registry.Spec) -> bool:
    """True if the model can be told a device: one that cannot needs no GPU."""
    return registry.takes(registry.load().entry("models", spec.name).factory, f"model {spec.name!r}", "device")


def stays(spec: registry.Spec) -> bool:
    """True if the model says of its kind that it asks language models."""
    return bool(getattr(registry.resolve(registry.load().entry("models", spec.name).factory, f"model {spec.name!r}"), "asks", False))
