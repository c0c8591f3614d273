"""What a command would ask of language models, before it asks anything: the same code makes the questions, and a client that only counts takes them.

Reports that a model has not written yet are taken to be as long as the references: the note says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark import registry
from benchmark.evaluator import check_names, use_of_datasets, use_of_texts
from benchmark.inputs import learning_side, open_dataset, read
from benchmark.labelling.choose import labeller_named
from benchmark.llm.estimate import Expected
from benchmark.llm.models import LanguageModels, Manner
from benchmark.making import HANDED
from benchmark.records import Case, Report, RunConfig
from benchmark.report_files import read_reports
from benchmark.runs import RunFolder, opened
from benchmark.scoring import asks, build_metric, statistics_of


@dataclass(frozen=True)
class Estimated:
    """What it would take."""

    rows: list[Expected]
    """one per task and model; none if nothing is asked"""
    notes: tuple[str, ...] = ()
    """what the numbers leave out, or rest on"""

    @property
    def cost(self) -> float | None:
        """Dollars of all together; None if a price is unknown."""
        costs = [row.cost for row in self.rows]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


def estimate_run(config: RunConfig, out: Path, manner: Manner, *, strict: bool = False, training: str = "") -> Estimated:
    """What measuring a run would ask. Raises ``UserError`` as the run would, ``FolderInUse`` among them."""
    check_names(config, training)
    dataset = open_dataset(config.dataset, config.options, strict=strict)
    llm = LanguageModels(config.options, use_of_datasets(dataset, learning_side(dataset, config, training)), replace(manner, mode="estimate"))
    data = read(dataset, config)
    references = [reference.report for reference in data.references]
    notes: list[str] = []
    reports = {}
    # Held as a run holds it: what another process is writing now would be counted as not written yet.
    with opened(out) if out.exists() else nullcontext(RunFolder(out)) as folder:
        written = {spec.label: folder.model(spec.label).reports() for spec in registry.parse_specs(config.models)}
    for spec in registry.parse_specs(config.models):
        _ask_as_it_writes(spec, config, llm, [case for case in data.cases if case.id not in {report.case_id for report in written[spec.label]}])
        there = {report.case_id: report for report in written[spec.label]}
        # A stand-in is another text than the reference: else it would count as a question that is asked already.
        reports[spec.label] = [
            there.get(reference.case_id, Report(reference.case_id, f"{reference.report} ({spec.label})")) for reference in data.references
        ]
        if missing := sum(reference.case_id not in there for reference in data.references):
            notes.append(f"{spec.label}: {missing:,} reports are not written yet; each is taken to be as long as its reference")
    return _estimated(config, reports, references, llm, [*notes, "what an aggregator asks while a model writes is not in it"])


def _ask_as_it_writes(spec: registry.Spec, config: RunConfig, llm: LanguageModels, cases: Sequence[Case]) -> None:
    """Let a model that asks for its reports, and says so (``asks``), ask; others are not even made."""
    known = registry.load()
    if getattr(registry.resolve(known.entry("models", spec.name).factory, f"model {spec.name!r}"), "asks", False):
        available = {**dict.fromkeys(HANDED), "llm": llm, "device": config.device, "seed": config.seed}
        model = known.build("models", spec, available=available, options=registry.options_of(config.options, *dict.fromkeys((spec.name, spec.label))))
        deque(model.generate(cases), maxlen=0)


def estimate_scores(
    references: Mapping[str, str], predictions: Mapping[str, Mapping[str, str]], config: RunConfig, manner: Manner, *, is_public: bool
) -> Estimated:
    """What scoring these reports would ask. Raises ``UserError``."""
    check_names(config, "")
    llm = LanguageModels(config.options, use_of_texts(is_public=is_public), replace(manner, mode="estimate"))
    reports = {
        model: [Report(name, texts[name]) if name in texts else Report(name, failure="none") for name in references]
        for model, texts in predictions.items()
    }
    return _estimated(config, reports, list(references.values()), llm, [])


def estimate_labels(texts: Sequence[str], labeller: str, options: Mapping[str, str], llm: LanguageModels) -> Estimated:
    """What labelling these texts would ask."""
    made = labeller_named(labeller, registry.options_of(options, labeller), {"device": "auto", "seed": 42, "llm": llm})
    if getattr(made, "asks", False):
        made.label(texts)
    return _of(llm, [])


def estimate_label_file(
    reports: Path, labeller: str, options: Mapping[str, str], manner: Manner, *, id_column: str | None, text_column: str | None, is_public: bool
) -> Estimated:
    """What labelling the reports of a file would ask. Raises ``UserError``."""
    llm = LanguageModels(options, use_of_texts(is_public=is_public), replace(manner, mode="estimate"))
    return estimate_labels(list(read_reports(reports, id_column=id_column, text_column=text_column).texts.values()), labeller, options, llm)


def estimate_label_dataset(
    dataset: str, split: str, labeller: str, options: Mapping[str, str], manner: Manner, *, sample: int | None = None, seed: int = 42
) -> Estimated:
    """What labelling the reference reports of a split, or of a sample of it, would ask. Raises ``UserError``."""
    opened = open_dataset(dataset, options)
    llm = LanguageModels(options, use_of_datasets(opened), replace(manner, mode="estimate"))
    data = read(opened, RunConfig((), (), dataset, split, sample=sample, seed=seed))
    return estimate_labels([reference.report for reference in data.references], labeller, options, llm)


def _estimated(
    config: RunConfig, reports: Mapping[str, Sequence[Report]], references: Sequence[str], llm: LanguageModels, notes: list[str]
) -> Estimated:
    for spec in registry.parse_specs(config.metrics):
        metric = build_metric(spec, config, llm)
        if asks(metric):
            for written in reports.values():
                statistics_of(metric, written, references)
    return _of(llm, notes)


def _of(llm: LanguageModels, notes: list[str]) -> Estimated:
    return Estimated([row for client in llm.clients for row in client.expected()], tuple(notes))
