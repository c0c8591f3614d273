"""A run, in eight steps: parse, discover, read, generate, measure, resample, tabulate, seal. And the same from reports that already exist.

``run`` is what ``python -m benchmark run`` calls; ``score_reports`` is what ``score`` and ``benchmark.score`` call.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmark import registry
from benchmark.context import IN_WORDS
from benchmark.engine import Engine, Placed, Placement, opened_engine
from benchmark.engine.blocks import RaisedElsewhere
from benchmark.generation import ModelFailed, generate, kept_failure, unreadable
from benchmark.hookspecs import Dataset, Model
from benchmark.inputs import Data, HeldBack, Told, check_choice, check_grant, learning_side, open_dataset, read
from benchmark.labelling.choose import known_labellers
from benchmark.llm.data_use import DataUse, approved_hosts
from benchmark.llm.models import LanguageModels, Manner
from benchmark.making import AsksALanguageModel, Said, handed, make, make_elsewhere, options_of, stays, takes_device
from benchmark.margins import check_margins, without_pair
from benchmark.problems_file import write_problems
from benchmark.provenance import provenance
from benchmark.records import Case, ProtocolCard, Reference, Report, RunConfig, UserError
from benchmark.report_files import match
from benchmark.runs import CannotWrite, ModelFolder, OtherRun, RunFolder, check_apart, opened, sha256, writing
from benchmark.scoring import Scored, build_metric, score
from benchmark.screen import say
from benchmark.stages import Stages
from benchmark.strata import no_better
from benchmark.tables import write_tables

if TYPE_CHECKING:
    from benchmark.viewer.radiographs import Images
    from benchmark.viewer.write import Written

JUDGES = ("rules", "language_model")
DEVICES = r"auto|cpu|mps|cuda(:\d+)?"


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    folder: Path
    config: RunConfig
    data: Data
    scored: Scored
    reports: dict[str, list[Report]]
    """model -> its reports, of the models that came to the end"""
    failed: dict[str, str]
    """model -> why it did not"""
    not_made: frozenset[str] = frozenset()
    """those of the failed that lack something which the user can bring: weights, a setting"""
    notes: tuple[str, ...] = ()
    """what a reader of the numbers should know besides"""
    told: tuple[str, ...] = ()
    """what models were told of the cases that they are measured on; stands under every table"""
    put_together: tuple[str, ...] = ()
    """who made reports of models' sentences, a language model or rules, of the models that say so; stands under every table"""
    taken_out: tuple[str, ...] = ()
    """what of the data that models learnt from is measured, and was taken out; stands under every table"""
    asked: tuple[str, ...] = ()
    """what language models were asked, and what came of it, one line for each task and model"""
    cards: Mapping[str, ProtocolCard] = field(default_factory=dict)
    """model -> what it says of itself, of the models that were made; of one that says nothing, a card on which nothing is known"""
    page: Written | None = None
    """to read cases on, if one was asked for"""

    @property
    def wrote_nothing(self) -> set[str]:
        """Models that came to their end and failed in every case, as where their server is down."""
        return {model for model, reports in self.reports.items() if reports and all(report.failure for report in reports)}

    @property
    def context(self) -> tuple[str, ...]:
        """How much of the cases models were shown, one sentence; nothing where nobody knows."""
        return (IN_WORDS[self.config.context],) if self.config.context else ()

    def for_tables(self) -> dict[str, Any]:
        """What the tables say of the run, beside its numbers."""
        return {
            "models": [spec.label for spec in registry.parse_specs(self.config.models)] or list(self.reports),
            "note": " ".join(filter(None, (self.data.note, *self.taken_out, *self.told, *self.put_together, *self.context))),
            "cards": {model: card for model, card in self.cards.items() if model in self.reports},
            "measured": f"{self.config.dataset}/{self.config.split}@{self.data.of_split}" if self.config.dataset else "",
            "skipped": self.failed,
            "counts": self.data.counts,
            "level": self.config.level,
            "draws": self.config.draws,
            "interval": self.config.interval,
            "flips": self.scored.flips,
        }


def run(
    config: RunConfig,
    out: Path,
    *,
    retry_failed: bool = False,
    strict: bool = False,
    only_generate: bool = False,
    training: str = "",
    manner: Manner | None = None,
    page: Images | None = None,
    placement: Placement | None = None,
    patience: float = 0.0,
) -> Outcome:
    """Run the models on the dataset, measure them, and leave the tables in ``out``; run again, it goes on where it stopped.

    ``training`` names the dataset that models learn from, if it is not the one that is measured. ``manner`` says how language models are asked.
    ``page`` asks for the page to read cases on, and says which images are copied beside it; a page of before is removed if there is to be none.
    ``placement`` says where the work runs, if not on this machine alone. A model that gives no report for ``patience`` seconds is stopped; 0 = never.
    Raises ``UserError`` for what the user can mend, before anything is generated where it can be known; a model that fails does not stop the
    others, its row says why.
    """
    stages = Stages()
    specs = registry.parse_specs(config.models)
    check_names(config, training)
    check_apart(spec.label for spec in specs)
    with stages.stage("read"):
        dataset = open_dataset(config.dataset, config.options, strict=strict)
        learn_from = learning_side(dataset, config, training)
    llm = LanguageModels(config.options, use_of_datasets(dataset, learn_from), manner)
    with stages.stage("prepare"):
        _check(config, specs, llm, only_generate=only_generate)
    with ExitStack() as held:
        engine = held.enter_context(opened_engine(placement or Placement(), config.workers))  # what it lacks is told before hours of reading
        with stages.stage("read"):
            data = read(dataset, config)
        data = replace(data, is_private=data.is_private or learn_from.is_credentialed)
        folder = held.enter_context(opened(out))
        folder.begin(_identity(config, data), data.cases, data.references, is_private=data.is_private, unsaid={"context": "full"})
        write_problems(folder.path, ((problem, "") for problem in data.problems))
        reports: dict[str, list[Report]] = {}
        cards: dict[str, ProtocolCard] = {}
        failed: dict[str, str] = {}
        about: dict[str, Any] = {}
        told: list[str] = []
        taken_out: list[str] = []
        not_made: list[str] = []
        for spec in specs:
            try:
                place = partial(_placed, engine, spec, config, training, data, patience)
                given = handed(config, learn_from, Told(spec.label, dataset, config, llm), llm)
                with ExitStack() as until_done:
                    with stages.stage(f"make {spec.label}"):
                        model, said, made_by = _made(spec, config, place, given, folder.model(spec.label))
                    if isinstance(model, Placed):
                        until_done.callback(model.close)
                        until_done.callback(_add_learnt, model, taken_out)
                    about[spec.label], cards[spec.label] = {**made_by, "card": asdict(said.card)}, said.card
                    told += said.told
                    taken_out += said.taken_out
                    with stages.stage(f"generate {spec.label}"):
                        reports[spec.label] = generate(
                            model,
                            data.cases,
                            folder.model(spec.label),
                            spec.label,
                            retry_failed=retry_failed,
                            patience=0.0 if isinstance(model, Placed) else patience,  # of its workers the engine takes care
                        )
            except ModelFailed as error:
                failed[spec.label] = str(error)
            except (CannotWrite, OtherRun):
                raise
            except UserError as error:
                if len(specs) == 1:
                    folder.forget()
                    raise
                failed[spec.label] = str(error)
                not_made += [] if spec.label in about else [spec.label]
        if config.grant and not told:
            told = [f"The run grants {' and '.join(config.grant)} of the references; no model asked for them."]
        put_together = tuple(by for model in about if (by := _put_together(model, about[model]["provenance"])))
        outcome = Outcome(out, config, data, Scored([], [], {}), reports, failed, frozenset(not_made), cards=cards)
        outcome = replace(outcome, taken_out=tuple(sorted({*learn_from.notes(), *taken_out})), told=tuple(told), put_together=put_together)
        if only_generate:
            if not folder.is_sealed:  # there are other reports now than a page of before shows
                folder.remove_page()
            return outcome
        return _finish(folder, outcome, about, stages, llm, engine, page)


def score_reports(
    references: Mapping[str, str],
    predictions: Mapping[str, Mapping[str, str]],
    config: RunConfig,
    out: Path | None,
    *,
    patients: Mapping[str, str] | None = None,
    missing: Literal["fail", "unscored"] = "fail",
    failures: Mapping[str, Mapping[str, str]] | None = None,
    sources: Mapping[str, Any] | None = None,
    manner: Manner | None = None,
    is_public: bool = False,
    page: Images | None = None,
    stages: Stages | None = None,
    placement: Placement | None = None,
) -> Outcome:
    """Score reports that already exist, matched by id. What their models saw of the cases nobody knows: the numbers have no context.

    references    id -> text
    predictions   model -> id -> text
    patients      id -> patient; each case is its own patient if not given, or if its patient is blank
    missing       ``fail``: refuse predictions whose ids differ; ``unscored``: count what is missing
    failures      model -> id -> why there is no text
    sources       model -> where its reports come from, kept in ``run.json``
    out           the run folder, or None to write nothing
    manner        how language models are asked, where a metric asks them
    is_public     the texts may be sent to others; of reports in a file nobody knows, so they stay here unless it is said
    page          write the page to read cases on; see ``run``
    stages        how long it took to read the files, where that was timed
    placement     where the work runs, if not on this machine alone
    """
    stages = stages or Stages()
    config = replace(config, context="")
    check_names(config, "")
    registry.check_model_names(predictions)
    check_apart(predictions if out else ())
    llm = LanguageModels(config.options, use_of_texts(is_public=is_public), manner)
    with stages.stage("prepare"):
        _check(config, (), llm, only_generate=False)
    cases = [Case(case_id, (patients or {}).get(case_id) or case_id, case_id, ()) for case_id in references]
    truth = [Reference(case_id, text) for case_id, text in references.items()]
    data = Data("reports", cases, truth, fingerprint_of(references), "", is_private=True, names_patients=patients is not None)
    reports, notes = {}, []
    for model, texts in predictions.items():
        failed = (failures or {}).get(model, {})
        matched = match(references, {**texts, **dict.fromkeys(failed, "")}, missing=missing)
        if matched.unused:
            notes.append(f"{model}: {len(matched.unused)} predictions have no reference and are not used, the first {matched.unused[0]!r}")
        reports[model] = [_given_report(case.id, texts, failed) for case in cases]
    outcome = Outcome(out or Path(), config, data, Scored([], [], {}), reports, {}, notes=tuple(notes))
    with opened_engine(placement or Placement(), config.workers) as engine, opened(out) if out else nullcontext(None) as folder:
        if folder is None:
            scored = score(data.patients, [reference.report for reference in truth], reports, config, llm=llm, engine=engine)
            return replace(outcome, scored=scored, notes=(*notes, *_remarks(scored)))
        about = {model: {"source": (sources or {}).get(model, "given in memory")} for model in predictions}
        with stages.stage("write reports"):
            folder.begin(_identity(config, data), cases, truth, is_private=data.is_private)
            for model, written in reports.items():
                folder.model(model).begin(about[model], replacing=True)
                folder.model(model).rewrite(written)
        return _finish(folder, outcome, about, stages, llm, engine, page)


def use_of_datasets(*datasets: Dataset | HeldBack) -> DataUse:
    """What may be sent of datasets' text, and of what models write about their images or have learnt from them: a nearest report is a report."""
    credentialed = [dataset.name for dataset in datasets if dataset.is_credentialed]
    names = dict.fromkeys(credentialed or [dataset.name for dataset in datasets])
    return DataUse(bool(credentialed), f"the text of {' and '.join(names)}", approved_hosts())


def use_of_texts(*, is_public: bool) -> DataUse:
    """What may be sent of reports that were given in a file or in memory."""
    return DataUse(not is_public, "text of which nobody said that it may travel (--public says so)", approved_hosts())


def fingerprint_of(texts: Mapping[str, str]) -> str:
    """Hex digest of ids and texts."""
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def check_device(device: str) -> None:
    """Raise ``UserError`` for a word that names no device."""
    if not re.fullmatch(DEVICES, device):
        raise UserError(f"no device {device!r}; name auto, cpu, mps, cuda, or one of several: cuda:1")


def check_names(config: RunConfig, training: str) -> None:
    """What is named and what is set, before anything is opened. Raises ``UserError``."""
    specs = registry.parse_specs(config.models)
    registry.check_model_names(spec.label for spec in specs)
    check_device(config.device)
    check_grant(config.grant)
    check_choice(config)
    metrics = registry.parse_specs(config.metrics)
    datasets = [registry.parse_spec(words).name for words in (config.dataset, training) if words]
    names = [name for spec in (*specs, *metrics) for name in (spec.name, spec.label)]
    told_by = known_labellers() if config.grant else ()  # a model that is told lesions names the labeller among its own settings
    registry.check_options(config.options, [*names, *datasets, config.labeller, *told_by, "llm"])
    if config.judge not in JUDGES:
        raise UserError(f"no judge named {config.judge!r}; known: {', '.join(JUDGES)}")


def _check(config: RunConfig, specs: tuple[registry.Spec, ...], llm: LanguageModels, *, only_generate: bool) -> None:
    """Arguments and settings, before anything is read or generated. Raises ``UserError``."""
    known = registry.load()
    for spec in specs:
        known.check("models", spec, available=handed(config, None, None, llm), options=options_of(config, spec))
    # A metric that cannot be had, or a margin of nothing, is told before hours of generation, not after.
    metrics = {spec.label: build_metric(spec, config, llm) for spec in (() if only_generate else registry.parse_specs(config.metrics))}
    check_margins({} if only_generate else config.margins, metrics)
    llm.preflight()


class _Made(NamedTuple):
    """A model that is ready."""

    model: Model
    said: Said
    about: dict[str, Any]
    """what decides its reports: name, settings, what it was told, and what it says of itself"""


def _made(spec: registry.Spec, config: RunConfig, place: Callable[[], Placed | None], given: Mapping[str, Any], folder: ModelFolder) -> _Made:
    """The model, made here or where ``place`` says, told what the run grants, and written down.

    Raises ``UserError``, and ``ModelFailed`` for whatever else a guest does while it is made.
    """
    try:
        placed = place()
        model, said = (placed, placed.said) if placed else make(spec, config, given)
    except UserError:
        raise
    except Exception as error:
        raise ModelFailed(f"could not be made: {kept_failure(error, folder)}") from error
    options = options_of(config, spec)
    about = {"model": spec.name, "argument": spec.argument, "options": options, "seed": config.seed, "provenance": said.provenance}
    if said.asked:
        about["told"] = said.asked
    try:
        folder.begin(about)
    except UserError:
        if placed:
            placed.close()
        raise
    return _Made(model, said, about)


def _placed(engine: Engine, spec: registry.Spec, config: RunConfig, training: str, data: Data, patience: float) -> Placed | None:
    """The model in workers of the engine; None if it lives in this process, as one does that asks language models."""
    if stays(spec):
        return None
    witness = next((case.images[0].path for case in data.cases if case.images and case.images[0].path.exists()), None)
    try:
        elsewhere = partial(make_elsewhere, spec, config, training, witness and witness.absolute(), patience)
        return engine.place(elsewhere, spec.label, takes_device=takes_device(spec), patience=patience)
    except RaisedElsewhere as error:
        if error.raised.kind != AsksALanguageModel.__name__:
            raise
        say(f"{spec.label} asks a language model, so it runs in this process: one client, one budget", err=True)
        return None


def _add_learnt(model: Placed, taken_out: list[str]) -> None:
    """What was taken out of the data that the model read while it wrote; of what it read while it was made, its ``Said`` tells."""
    taken_out += sorted(model.learnt)


def _put_together(model: str, says: Any) -> str:
    """One sentence on who made reports of the model's sentences; empty for a model that names no aggregator.

    An aggregator is ``rules``, or ``language_model|MODEL|...``.
    """
    aggregator = says.get("aggregator") if isinstance(says, Mapping) else None
    if not isinstance(aggregator, str) or not aggregator:
        return ""
    kind, _, rest = aggregator.partition("|")
    if kind == "rules":
        return f"{model}: sentences put into reports by embedded rules, not by a language model."
    name = rest.partition("|")[0]
    by = f"the language model {name}" if kind == "language_model" and name and not name.startswith("prompt:") else aggregator
    return f"{model}: sentences put into reports by {by}."


def _given_report(case_id: str, texts: Mapping[str, str], failures: Mapping[str, str]) -> Report:
    if case_id not in texts:
        return Report(case_id, failure=failures.get(case_id, "no prediction"))
    problem = unreadable(texts[case_id])
    return Report(case_id, failure=problem) if problem else Report(case_id, texts[case_id])


def _identity(config: RunConfig, data: Data) -> dict[str, Any]:
    """What must agree for two runs to share a folder: the data, and what models are told of it. Models and metrics may be added."""
    name = registry.parse_spec(config.dataset).name if config.dataset else ""
    return {
        "dataset": config.dataset,
        "split": config.split,
        "limit": config.limit,
        **({"sample": {"cases": config.sample, "seed": config.seed}} if config.sample else {}),
        **({"context": config.context} if config.context else {}),
        "dataset_options": registry.options_of(config.options, name) if name else {},
        "fingerprint": data.fingerprint,
        "cases": len(data.cases),
        **({"grant": list(config.grant)} if config.grant else {}),
    }


def _finish(
    folder: RunFolder, outcome: Outcome, about: Mapping[str, Any], stages: Stages, llm: LanguageModels, engine: Engine, page: Images | None = None
) -> Outcome:
    """Steps five to eight: measure, resample, tabulate, seal."""
    config, data, reports, failed = outcome.config, outcome.data, outcome.reports, outcome.failed
    folder.unseal()
    folders = {model: folder.model(model) for model in reports}
    views = [case.images[0].view if case.images else "" for case in data.cases]
    scored = score(data.patients, [reference.report for reference in data.references], reports, config, folders, llm, views, stages, engine)
    warnings = [*no_better(scored.strata, list(reports)), *without_pair(config.margins, len(reports)), *_others(folder, [*reports, *failed])]
    warnings += _remarks(scored)
    outcome = replace(outcome, scored=scored, notes=(*outcome.notes, *warnings), asked=tuple(llm.lines()))
    with stages.stage("tables"), writing(folder.path):
        write_tables([*scored.rows, *scored.differences, *scored.strata], folder.path, **outcome.for_tables())
    records = {model: {**about.get(model, {}), **_reports_record(folders[model], written)} for model, written in reports.items()}
    record = {
        "config": asdict(config),
        "dataset": data.record(),
        "models": {**records, **{model: {**about.get(model, {}), "failed": why} for model, why in failed.items()}},
        "signatures": scored.signatures,
        "flips": scored.flips,
        "language_models": llm.record(),
        "tables": {name: value for name, value in outcome.for_tables().items() if name != "cards"},  # so that they can be printed again
        "notes": [*outcome.notes, *outcome.taken_out, *outcome.told, *outcome.put_together],
        "provenance": {**provenance(), "engine": engine.record()},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stages.started)),
        **({"begun_in": str(Path.cwd())} if config.dataset else {}),  # from where places of the dataset are named
    }
    with stages.stage("seal"):
        files = folder.checksums()
    folder.seal({**record, **_took(stages)}, files)
    # The run is whole now: whatever becomes of its page, the numbers stay.
    with stages.stage("page"):
        outcome = _with_page(folder, outcome, record, page)
    folder.seal_page(outcome.page.files if outcome.page else [], **_took(stages))
    return outcome


def _took(stages: Stages) -> dict[str, Any]:
    """How long all of it took, and each part."""
    return {"seconds": round(stages.elapsed(), 1), "stages": stages.record()}


def _with_page(folder: RunFolder, outcome: Outcome, record: Mapping[str, Any], images: Images | None) -> Outcome:
    """With the page to read cases on, if there is to be one; none of an earlier run stays. Where it cannot be written, a note says why."""
    if images is None:
        folder.remove_page()
        return outcome
    try:
        return replace(outcome, page=_write_page(folder, outcome, record, images))
    # A page shows what guests say of themselves, at length: no fault of theirs, or of ours, is worth a run that is measured.
    except Exception as error:
        with suppress(CannotWrite):
            folder.remove_page()
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        said = f"the run is whole, and has no page to read its cases on: {why.rstrip('.')}; python -m benchmark view writes it"
        return replace(outcome, notes=(*outcome.notes, said))


def _write_page(folder: RunFolder, outcome: Outcome, record: Mapping[str, Any], images: Images) -> Written:
    from benchmark.tables.finished import FinishedRun
    from benchmark.viewer.shown import Shown, labels_of
    from benchmark.viewer.write import write_page

    data, scored = outcome.data, outcome.scored
    label, said = labels_of(outcome.config, scored.metrics, scored.signatures)
    finished = FinishedRun(folder.path, record, (*scored.rows, *scored.differences, *scored.strata))
    of_cases = (data.cases, data.references, outcome.reports, scored.metrics, scored.statistics)
    return write_page(folder, Shown(finished, outcome.config, *of_cases, label, (said,) if said else ()), images)


def _others(folder: RunFolder, models: list[str]) -> list[str]:
    """One line on what an earlier run left in the folder, if it did."""
    others = folder.others(models)
    return [f"the run folder holds other models of an earlier run, which are no part of this one: {', '.join(others)}"] if others else []


def _remarks(scored: Scored) -> list[str]:
    """What metrics say of how single reports were measured."""
    asked = {(name, model): getattr(scored.metrics[name], "remarks", None) for name, model in scored.statistics}
    return [f"{model}: {said}" for (name, model), remarks in asked.items() if remarks for said in remarks(scored.statistics[name, model])]


def _reports_record(folder: ModelFolder, written: list[Report]) -> dict[str, Any]:
    return {
        "reports": len(written),
        "failures": sum(bool(report.failure) for report in written),
        "empty": sum(not report.failure and not report.text.strip() for report in written),
        "sha256": sha256(folder.reports_file),
    }
