"""What a page shows: a run with its cases, texts, metrics and statistics, whether it has just been measured or is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmark import registry
from benchmark.hookspecs import Metric
from benchmark.labelling.choose import kept_labels, labeller_named
from benchmark.llm.data_use import DataUse, approved_hosts
from benchmark.llm.models import LanguageModels, Manner
from benchmark.records import Case, Lesions, Reference, Report, RunConfig, UserError
from benchmark.tables.finished import FinishedRun

Label = Callable[[Sequence[str]], list[Lesions]]
"""texts -> the lesions of each, none (an empty tuple) where there is no answer"""


@dataclass(frozen=True)
class Shown:
    """Everything that a page is made of."""

    run: FinishedRun
    """folder, ``run.json`` and numbers"""
    config: RunConfig
    cases: Sequence[Case]
    """in the run's order"""
    references: Sequence[Reference]
    """one per case"""
    reports: Mapping[str, Sequence[Report]]
    """model -> one per case, of the models that came to the end"""
    metrics: Mapping[str, Metric]
    """name -> the metric, of those whose statistics are at hand"""
    statistics: Mapping[tuple[str, str], np.ndarray]
    """(metric, model) -> (n, k)"""
    label: Label | None = None
    """who says which lesions a text has; nobody, where that would ask or pay"""
    notes: Sequence[str] = field(default_factory=tuple)
    """what the page has to do without, and why"""

    @property
    def models(self) -> list[str]:
        """All that the run named, in the order of its tables; those that failed included."""
        named = self.run.record["models"]
        return [*dict.fromkeys(model for model in (*self.run.for_tables["models"], *named) if model in named)]

    @property
    def failed(self) -> dict[str, str]:
        """Model -> why it has no reports at all."""
        return {model: str(about["failed"]) for model, about in self.run.record["models"].items() if "failed" in about}

    @property
    def lesions_metric(self) -> str:
        """The first metric that counts lesions, empty if there is none."""
        return next((name for name in self.metrics if name.partition(":")[0] == "lesions"), "")


def kept_answers(config: RunConfig) -> LanguageModels:
    """Language models that answer what they answered before, and are asked nothing: no byte leaves this machine."""
    use = DataUse(False, "text that is looked up and sent nowhere", approved_hosts())
    return LanguageModels(config.options, use, Manner(mode="estimate"))


def labels_of(config: RunConfig) -> tuple[Label | None, str]:
    """What the run's labeller says of texts, of one that asks a language model what it has kept; and what is to be said if there is none."""
    try:
        given = {"seed": config.seed, "device": config.device, "llm": kept_answers(config)}
        labeller = labeller_named(config.labeller, registry.options_of(config.options, config.labeller), given)
    except UserError as error:
        return None, f"Lesions are not marked in the texts: {str(error).rstrip('.')}."
    # The method itself, so that who reads texts sees whose it is: rules know every mention.
    return (partial(kept_labels, labeller) if getattr(labeller, "asks", False) else labeller.label), ""
