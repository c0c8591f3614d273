"""What a page shows: a run with its cases, texts, metrics and statistics, whether it has just been measured or is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from benchmark import registry
from benchmark.hookspecs import Labeller, Metric
from benchmark.labelling.choose import kept_labels, labeller_named
from benchmark.llm.data_use import DataUse, approved_hosts
from benchmark.llm.models import LanguageModels, Manner
from benchmark.records import Case, Reference, Report, RunConfig, UserError
from benchmark.tables.finished import FinishedRun
from benchmark.viewer.case_record import Label


class Looked(NamedTuple):
    """What is known of a model's reports from one look at each."""

    failures: dict[int, str]
    """place -> why there is none"""
    is_empty: np.ndarray
    """(n,) bool"""


def looked_at(reports: Sequence[Report]) -> Looked:
    """One look at each report; those of a file that has been read through already know."""
    if (known := getattr(reports, "looked", None)) is not None:
        return Looked(*known)
    failures = {place: report.failure for place, report in enumerate(reports) if report.failure}
    return Looked(failures, np.array([not report.failure and not report.text.strip() for report in reports], dtype=bool))


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
    is_without_dataset: bool = False
    """its dataset could not be opened again: no boxes, no sentences of regions, no context"""

    @cached_property
    def looked(self) -> dict[str, Looked]:
        """Model -> what one look at its reports tells."""
        return {model: looked_at(reports) for model, reports in self.reports.items()}

    @property
    def models(self) -> list[str]:
        """All that the run named, in the order of its tables; those that failed included."""
        named = self.run.record["models"]
        return [*dict.fromkeys(model for model in (*self.run.for_tables["models"], *named) if model in named)]

    @property
    def lesions_metric(self) -> str:
        """The first metric that counts lesions, empty if there is none."""
        return next((name for name in self.metrics if name.partition(":")[0] == "lesions"), "")


def kept_answers(config: RunConfig) -> LanguageModels:
    """Language models that answer what they answered before, and are asked nothing: no byte leaves this machine."""
    use = DataUse(False, "text that is looked up and sent nowhere", approved_hosts())
    return LanguageModels(config.options, use, Manner(mode="estimate"))


def labels_of(config: RunConfig, metrics: Mapping[str, Metric], signatures: Mapping[str, str]) -> tuple[Label | None, str]:
    """What the run's labeller says of texts, of one that asks a language model what it has kept; and what is to be said if there is none.

    ``metrics`` are those that were built: the labeller of the one that counts lesions is made once. ``signatures`` are the run's: what has changed
    since would mark other words than were counted.
    """
    counted = next((name for name in signatures if name.partition(":")[0] == "lesions"), "")
    labeller: Labeller | None = getattr(metrics.get(counted), "labeller", None)
    try:
        if labeller is None:
            given = {"seed": config.seed, "device": config.device, "llm": kept_answers(config)}
            labeller = labeller_named(config.labeller, registry.options_of(config.options, config.labeller), given)
        signature = labeller.signature()
    except Exception as error:
        return None, f"Lesions are not marked in the texts: {error if isinstance(error, UserError) else repr(error)}".rstrip(".") + "."
    if counted and f"labeller:({signature})" not in signatures[counted]:
        return None, "Lesions are not marked in the texts: the labeller has changed since the run, and would mark others than were counted."
    # The method itself, so that who reads texts sees whose it is: rules know every mention.
    return (partial(kept_labels, labeller) if getattr(labeller, "asks", False) else labeller.label), ""
