"""Measures reports: reports and references -> statistics per case -> numbers with intervals, and paired differences.

A case is scored if the model wrote a report (an empty one counts, and scores what nothing scores) and the reference has text.
Every other case is a row of NaN: left out of the number, and counted beside it.

A metric that asks a language model (``asks``) is measured in this process, after all others, and its kept statistics are taken only if they have
no hole where an answer could be: the next run asks for what is missing, and for nothing else, since answers are kept too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmark import registry, strata
from benchmark.engine import Engine, Local
from benchmark.generation import WouldEndAll, contained
from benchmark.hookspecs import Metric
from benchmark.labelling.choose import labeller_named
from benchmark.margins import check_margins, margins_of
from benchmark.narrow import Narrow, Statistics, of_metric
from benchmark.outcomes import outcome_rows, outcomes_of, shares_right
from benchmark.progress import progress
from benchmark.records import Report, Row, RunConfig, UserError
from benchmark.runs import ModelFolder
from benchmark.signatures import with_field
from benchmark.stages import Stages, processor_seconds
from benchmark.statistics import Differences, Measured, PatientBootstrap, Scores, flips_for

if TYPE_CHECKING:
    from benchmark.llm.models import LanguageModels

POOL_FROM = 20_000  # reports x metrics from which starting processes (about 2 s each) pays


@dataclass(frozen=True)
class Scored:
    """Everything that was measured."""

    rows: list[Row]
    """one per model, metric and number"""
    differences: list[Row]
    """one per pair of models, metric and number; model is ``A - B``"""
    signatures: dict[str, str]
    """metric -> how it was computed"""
    strata: list[Row] = field(default_factory=list)
    """the headlines of each model in parts of the cases, and in the abnormal ones its differences from models with one report for everyone"""
    flips: int = 0
    """swaps of each paired test, 0 where there is no pair"""
    metrics: Mapping[str, Metric] = field(default_factory=dict, compare=False)
    """name -> the metric that was built"""
    statistics: Statistics = field(default_factory=Statistics, compare=False)
    """(metric, model) -> (n, k), a row for each case: what the page shows of single cases; what it comes to is in the rows"""


class BadMetric(UserError):
    """A metric broke its contract: another number of rows than reports, or statistics that are not numbers."""


def score(
    patients: Sequence[str],
    references: Sequence[str],
    reports: Mapping[str, Sequence[Report]],
    config: RunConfig,
    folders: Mapping[str, ModelFolder] | None = None,
    llm: LanguageModels | None = None,
    views: Sequence[str] = (),
    stages: Stages | None = None,
    engine: Engine | None = None,
) -> Scored:
    """Every number of every metric for every model, with patient-bootstrap intervals, and all paired differences.

    patients, references   one per case
    reports                model -> one report per case, in the same order
    folders                model -> where its statistics are kept; those that are there and of the same reports are not measured again
    llm                    who makes what asks language models, for metrics that do
    views                  of each case's image, where they are known: one of the ways in which cases are parted
    stages                 where it is written down how long each part took
    engine                 where metrics are measured, if not on this machine alone
    """
    stages = stages or Stages()
    with stages.stage("prepare"):
        metrics = {spec.label: build_metric(spec, config, llm) for spec in registry.parse_specs(config.metrics)}
    is_anew = llm is not None and llm.manner.refresh
    statistics = measure_all(metrics, references, reports, config, folders or {}, is_anew=is_anew, stages=stages, engine=engine)
    check_margins(config.margins, metrics)
    pairs = list(itertools.combinations(reports, 2))
    flips = flips_for(len(pairs) * sum(map(tests_of, metrics.values())), config.draws, config.level)
    bootstrap = PatientBootstrap(
        patients, draws=config.draws, seed=config.seed, level=config.level, method=config.interval, flips=flips, timed=stages.stage
    )
    of_metrics = {name: of_metric(statistics, name, reports) for name in metrics}
    measured = [Measured(of_metrics[name], metric.values, margins_of(config.margins, name, metric)) for name, metric in metrics.items()]
    outcomes = {name: judged for name, metric in metrics.items() if pairs and (judged := outcomes_of(metric, of_metrics[name]))}
    shares = [shares_right(judged) for judged in outcomes.values()]
    rows: list[Row] = []
    differences: list[Row] = []
    with progress("resample", len(measured) + len(shares), unit="tables") as advance:
        resampled = bootstrap.compare([*measured, *shares], pairs)  # the metrics first, then what they judge right or wrong
        for (name, metric), found in zip(metrics.items(), resampled, strict=False):
            rows += _rows(name, metric, found.scores)
            differences += _difference_rows(name, metric, found.differences, margins_of(config.margins, name, metric))
            advance(1)
        for (name, judged), found in zip(outcomes.items(), resampled, strict=True):
            with stages.stage("differences"):
                differences += outcome_rows(bootstrap, name, metrics[name], judged, found, pairs)
            advance(1)
    with stages.stage("strata"):
        # Where no model came to its end there is nothing to part, and no metric says how many numbers it has.
        parts = _strata(bootstrap, metrics, statistics, reports, views) if config.strata and reports else []
    rows, differences, parts = ([_of_context(row, config) for row in found] for found in (rows, differences, parts))
    signatures = {name: with_field(metric.signature(), "context", config.context) for name, metric in metrics.items()}
    return Scored(rows, differences, signatures, parts, flips if pairs else 0, metrics, statistics)


def _of_context(row: Row, config: RunConfig) -> Row:
    """A number with the context in which its reports were written: what a metric cannot know, and what numbers differ by."""
    return replace(row, signature=with_field(row.signature, "context", config.context))


def _strata(
    bootstrap: PatientBootstrap,
    metrics: Mapping[str, Metric],
    statistics: Statistics,
    reports: Mapping[str, Sequence[Report]],
    views: Sequence[str],
) -> list[Row]:
    """The rows of every part of the cases."""
    parts = strata.strata_of(strata.lesions_in_references(metrics, statistics), views)
    floors = strata.constants({model: [report.text for report in written if not report.failure] for model, written in reports.items()})
    rows: list[Row] = []
    count = len(parts) * len(metrics)
    with progress("strata", count, unit="tables") if count else nullcontext(lambda count: None) as advance:
        for part, name, compared in strata.measured(bootstrap, metrics, statistics, parts, floors):
            size = int(part.is_in.sum())
            for row in (*_rows(name, metrics[name], compared.scores), *_difference_rows(name, metrics[name], compared.differences)):
                rows.append(strata.without_interval_of_few(replace(row, stratum=part.name, unscored=size - row.scored)))
            advance(1)
    return rows


def build_metric(spec: registry.Spec, config: RunConfig, llm: LanguageModels | None = None) -> Metric:
    """The metric with its settings. Raises what ``Registry.build`` raises, and ``UserError`` for a label: a metric keeps its own name."""
    if spec.label not in (spec.name, f"{spec.name}:{spec.argument}"):
        raise UserError(f"metric {spec.name!r} is called {spec.label!r} here; a metric keeps its own name, in every table")
    given = {"seed": config.seed, "device": config.device, "llm": llm}
    labeller = registry.Lazy(lambda: labeller_named(config.labeller, registry.options_of(config.options, config.labeller), given))
    available = {"labeller": labeller, "judge": config.judge, **given}
    options = registry.options_of(config.options, *dict.fromkeys((spec.name, spec.label)))
    with _stays(spec.name):
        metric: Metric = registry.load().build("metrics", spec, available=available, options=options)
    return metric


@contextmanager
def _stays(name: str) -> Iterator[None]:
    """Make a ``BadMetric`` of what would end the command: ``SystemExit`` by a library that gives up."""
    try:
        with contained():
            yield
    except WouldEndAll as error:
        raise BadMetric(f"metric {name!r} ended with {error}, where numbers were due; mend it, or leave it out of --metrics") from error


def _rows(name: str, metric: Metric, found: Mapping[str, Scores]) -> Iterator[Row]:
    signature = metric.signature()
    for model, scores in found.items():
        for value_name, estimate in scores.estimates.items():
            counts, looks = (scores.scored, scores.unscored), presented(metric, value_name)
            yield Row(model, name, value_name, *estimate, *counts, signature, patients=scores.patients, **looks)


def _difference_rows(
    name: str, metric: Metric, found: Mapping[tuple[str, str], Differences], margins: Mapping[str, float] | None = None
) -> Iterator[Row]:
    signature = metric.signature()
    for (first, second), differences in found.items():
        for value_name, one in differences.estimates.items():
            how = {"p_value": one.p_value, "detectable": one.detectable, "patients": differences.patients, **presented(metric, value_name)}
            if margins and value_name in margins:
                not_worse = (one.p_not_below, one.p_not_above)
                if how["direction"] == "lower":
                    not_worse = (one.p_not_above, one.p_not_below)
                how |= {"margin": margins[value_name], "p_first_not_worse": not_worse[0], "p_second_not_worse": not_worse[1]}
            counts = differences.scored, differences.unscored
            yield Row(f"{first} - {second}", name, value_name, *one[:3], *counts, signature, **how)


def measure_all(
    metrics: Mapping[str, Metric],
    references: Sequence[str],
    reports: Mapping[str, Sequence[Report]],
    config: RunConfig,
    folders: Mapping[str, ModelFolder],
    *,
    is_anew: bool,
    stages: Stages | None = None,
    engine: Engine | None = None,
) -> Statistics:
    """(metric, model) -> (n, k) statistics; read where they were kept, measured and kept where not.

    ``metrics`` are those of ``config``; ``is_anew``: what asks a language model is measured in any case.
    """
    stages = stages or Stages()
    engine = Local(config.workers) if engine is None else engine
    found: dict[tuple[str, str], Narrow] = {}
    with stages.stage("look up"):
        digests = {model: digest_of(written, references) for model, written in reports.items()}
        keys = {(name, model): made_of(metric, digests[model]) for name, metric in metrics.items() for model in reports}
        for (name, model), key in keys.items():
            kept = folders[model].read_statistics(name, key) if model in folders else None
            is_open = asks(metrics[name]) and (is_anew or (kept is not None and _has_holes(kept, reports[model], references)))
            if kept is not None and kept.shape[0] == len(references) and not is_open:
                found[name, model] = Narrow(kept)
    tasks, asking = [], dict[str, list[str]]()
    for spec in registry.parse_specs(config.metrics):
        if missing := {model: list(written) for model, written in reports.items() if (spec.label, model) not in found}:
            if asks(metrics[spec.label]):
                asking[spec.label] = list(missing)
            else:
                parts = [(model,) for model in missing] if engine.takes_small_pieces else [tuple(missing)]
                tasks += [(spec, config, part) for part in parts]
    is_large = len(references) * sum(len(task[2]) for task in tasks) >= POOL_FROM
    on_device = [engine.takes_small_pieces and takes_device(task[0], config) for task in tasks]
    shared = (Texts.of(reports, references),) if tasks else ()
    names = [f"metric {spec.label} of {part[0] if len(part) == 1 else f'{len(part)} models'}" for spec, _, part in tasks]
    count = sum(len(task[2]) for task in tasks) * len(references)
    with progress("measure", count, unit="reports") if tasks else nullcontext(lambda count: None) as advance:
        for index, measured in engine.each(measure, tasks, is_large=is_large, on_device=on_device, shared=shared, names=names):
            name = tasks[index][0].label
            stages.add(f"measure {name}", measured.began, measured.seconds, measured.cpu_seconds)
            for model, narrow in measured.statistics.items():
                found[name, model] = narrow
                if model in folders:
                    with stages.stage("keep"):
                        folders[model].write_statistics(name, narrow.rows(), keys[name, model])
                advance(len(references))
    for name, models in asking.items():
        # All models at once: handed in as batches, one after another would each take a day.
        with stages.stage(f"measure {name}"):
            together = statistics_of(metrics[name], [report for model in models for report in reports[model]], [*references] * len(models))
        for place, model in enumerate(models):
            rows = together[place * len(references) : (place + 1) * len(references)]
            found[name, model] = Narrow(rows)
            if model in folders:
                folders[model].write_statistics(name, rows, keys[name, model])
    return Statistics({key: found[key] for key in keys})  # not in the order in which workers were done: tables are written in this one


def presented(metric: Metric, value_name: str) -> dict[str, Any]:
    """What a metric says of the look of one of its numbers, as fields of a ``Row``: title, direction, whether it is a headline."""
    titles: Mapping[str, str] = getattr(metric, "titles", {})
    direction = "lower" if value_name in getattr(metric, "lower_is_better", ()) else "higher" if value_name in titles else ""
    return {
        "title": titles.get(value_name, ""),
        "direction": "" if value_name in getattr(metric, "undirected", ()) else direction,
        "is_headline": value_name in getattr(metric, "headlines", list(titles)[:1]),
    }


def tests_of(metric: Metric) -> int:
    """How many differences of a pair the table of differences corrects over: of the headlines that are better one way."""
    headlines = getattr(metric, "headlines", list(getattr(metric, "titles", {}))[:1])
    return sum(number not in getattr(metric, "undirected", ()) for number in headlines) if headlines else 1


def made_of(metric: Metric, digest: str) -> str:
    """What kept statistics must have been made of: the signature, the layout of the columns where the metric has changed it, and the reports."""
    layout = getattr(metric, "layout", "")
    return f"{metric.signature()}{f' layout:{layout}' if layout else ''} {digest}"


def asks(metric: Metric) -> bool:
    """True if the metric sends questions to a language model, itself or through its labeller."""
    return bool(getattr(metric, "asks", False))


class MeasuredApart(NamedTuple):
    """What one metric measured, and how long it took where it was done."""

    statistics: dict[str, Narrow]
    """model -> (n, k)"""
    began: float
    """seconds since 1970"""
    seconds: float
    """that a clock on the wall showed"""
    cpu_seconds: float
    """that processors worked"""


def takes_device(spec: registry.Spec, config: RunConfig) -> bool:
    """True if the metric, or its labeller, is handed a device."""
    known = registry.load()
    metric, who = known.entry("metrics", spec.name).factory, f"metric {spec.name!r}"
    if not registry.takes(metric, who, "labeller"):
        return registry.takes(metric, who, "device")
    return registry.takes(known.entry("labellers", registry.parse_spec(config.labeller).name).factory, f"labeller {config.labeller!r}", "device")


class Texts(NamedTuple):
    """What is scored, as workers are handed it: each text once, whoever wrote it how often. Whole reports take twenty times as long to hand over."""

    texts: list[str]
    """all that differ"""
    references: np.ndarray
    """(n,) int32, place in ``texts`` of each case's reference"""
    reports: dict[str, np.ndarray]
    """model -> (n,) int32, place in ``texts`` of each report; -1 where there is none"""

    @classmethod
    def of(cls, reports: Mapping[str, Sequence[Report]], references: Sequence[str]) -> Texts:
        """The same in that form."""
        places: dict[str, int] = {}
        theirs = np.array([places.setdefault(text, len(places)) for text in references], dtype=np.int32)
        ours = {
            model: np.array([-1 if one.failure else places.setdefault(one.text, len(places)) for one in written], dtype=np.int32)
            for model, written in reports.items()
        }
        return cls(list(places), theirs, ours)

    def of_model(self, model: str) -> list[str | None]:
        """The text of each report."""
        return [None if place < 0 else self.texts[place] for place in self.reports[model].tolist()]


def measure(spec: registry.Spec, config: RunConfig, models: Sequence[str], given: Texts) -> MeasuredApart:
    """One metric's statistics for several models; runs in a process of its own where there are many reports."""
    began, clock, cpu = time.time(), time.perf_counter(), processor_seconds()
    metric, references = build_metric(spec, config), [given.texts[place] for place in given.references.tolist()]
    found = {model: Narrow(_statistics(metric, given.of_model(model), references)) for model in models}
    return MeasuredApart(found, began, time.perf_counter() - clock, processor_seconds() - cpu)


def statistics_of(metric: Metric, reports: Sequence[Report], references: Sequence[str]) -> np.ndarray:
    """(n, k) statistics of one model's reports, NaN rows where there is nothing to compare. Raises ``BadMetric``."""
    return _statistics(metric, _texts_of(reports), references)


def _statistics(metric: Metric, reports: Sequence[str | None], references: Sequence[str]) -> np.ndarray:
    """The same of texts, None where there is no report."""
    scorable = _scorable(reports, references)
    hypotheses = [text for index in scorable if (text := reports[index]) is not None]
    texts = [references[index] for index in scorable]
    with _stays(metric.name):
        rows = np.asarray(metric.statistics(hypotheses, texts))
    if rows.ndim != 2 or len(rows) != len(hypotheses) or not np.issubdtype(rows.dtype, np.number):
        raise BadMetric(
            f"metric {metric.name!r} gave an array of shape {rows.shape} and type {rows.dtype} for {len(hypotheses)} reports; "
            "it must give numbers, one row per report"
        )
    statistics = np.full((len(reports), rows.shape[1]), np.nan)
    statistics[scorable] = rows
    return statistics


def _texts_of(reports: Iterable[Report]) -> list[str | None]:
    return [None if report.failure else report.text for report in reports]


def _scorable(reports: Sequence[str | None], references: Sequence[str]) -> list[int]:
    """The cases in which there are two texts to compare."""
    return [index for index, (report, reference) in enumerate(zip(reports, references, strict=True)) if report is not None and reference.strip()]


def _has_holes(statistics: np.ndarray, reports: Sequence[Report], references: Sequence[str]) -> bool:
    return bool(np.isnan(statistics[_scorable(_texts_of(reports), references)]).all(axis=1).any())


def digest_of(reports: Iterable[Report], references: Sequence[str]) -> str:
    """Hex digest of what a metric sees: ids, texts, failures and references."""
    digest, encoder = hashlib.sha256(), json.JSONEncoder(ensure_ascii=False)
    for report, reference in zip(reports, references, strict=True):
        seen: list[Any] = [report.case_id, report.text, bool(report.failure), reference]
        digest.update(encoder.encode(seen).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
