"""The commands. They parse and print, and compute nothing.

Exit status: 0 done; 1 a model failed, as a whole or in every case (the others are measured, its row says why); 2 something that the user can mend, in
one line on stderr; 130 interrupted, 143 ended by a scheduler, 129 by a terminal that was closed (what was done is kept, the same command goes on).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli_data import data
from benchmark.cli_examples import Commands
from benchmark.cli_exchange import exchange
from benchmark.cli_gate import gate
from benchmark.cli_here import here
from benchmark.cli_options import (
    METRICS,
    Batch,
    Budget,
    ContextOption,
    DatasetName,
    Device,
    Draws,
    EngineName,
    Estimate,
    GpusPerModel,
    Grant,
    Images,
    Interval,
    Judge,
    Labeller,
    Level,
    Limit,
    Llm,
    LlmUrl,
    Margin,
    Metrics,
    Models,
    Out,
    Page,
    Patience,
    Prompt,
    Public,
    RayAddress,
    Refresh,
    RetryFailed,
    Sample,
    Seed,
    Settings,
    Split,
    Strata,
    Strict,
    Training,
    Unit,
    Workers,
    command_line,
    options_of,
)
from benchmark.cli_paper import paper
from benchmark.cli_trackers import trackers
from benchmark.cli_train import trainer
from benchmark.cli_view import view
from benchmark.records import STOPPING, Interrupted, RunConfig, UserError, interrupt
from benchmark.screen import say

if TYPE_CHECKING:
    from benchmark.engine import Placement
    from benchmark.evaluator import Outcome
    from benchmark.llm.models import Manner
    from benchmark.report_files import ReportTexts

app = typer.Typer(
    name="benchmark",
    cls=Commands,
    help="""Measure chest X-ray report generators: run models, score reports, print tables that say how sure they are.

    Reports in a file: begin with `score`. A model to run: `run`. To see what it looks like without data of your own, type the first example.
    """,
    epilog="""Examples:

    \b
    python -m benchmark run --models constant,retrieval --limit 20
    python -m benchmark score --references references.csv --predictions ours=ours.csv
    python -m benchmark list models
    python -m benchmark doctor

    `python -m benchmark COMMAND --help` shows the options of a command, with examples.
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Without a name: their commands stand beside those below, and in help behind them, in this order.
app.add_typer(here)
app.add_typer(trainer)
app.add_typer(paper)
app.add_typer(gate)
app.add_typer(exchange)
app.add_typer(trackers)
app.add_typer(view)
app.add_typer(data, name="data")


@app.command()
def run(
    models: Models,
    dataset: DatasetName = "phantom",
    split: Split = "test",
    limit: Limit = None,
    metrics: Metrics = METRICS,
    labeller: Labeller = "rules",
    settings: Settings = None,
    out: Out = None,
    draws: Draws = 1000,
    level: Level = 0.95,
    seed: Seed = 42,
    device: Device = "auto",
    workers: Workers = 0,
    retry_failed: RetryFailed = False,
    patience: Patience = 0,
    strict: Strict = False,
    training: Training = "",
    grant: Grant = "",
    judge: Judge = "rules",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    refresh: Refresh = False,
    strata: Strata = True,
    interval: Interval = "percentile",
    margin: Margin = None,
    context: ContextOption = "full",
    sample: Sample = None,
    unit: Unit = "",
    prompt: Prompt = None,
    page: Page = True,
    images: Images = "auto",
    engine: EngineName = "local",
    ray_address: RayAddress = "",
    gpus_per_model: GpusPerModel = None,
) -> None:
    """Run models on a dataset, measure their reports, print and write the tables.

    python -m benchmark run --models constant,retrieval,clala

    python -m benchmark run --models "clala,mine=command:'./my-model --fast'" --dataset chest_imagenome:/data/physionet --limit 200

    python -m benchmark run --models all --dataset chest_imagenome:/data/physionet --sample 500 --seed 7 --context indication
    """
    from benchmark import evaluator

    options = _with_prompt(options_of(settings, llm, llm_url, dataset, unit), models, prompt)
    drawn = (draws, level, seed)
    config = _config(
        models, dataset, split, limit, metrics, labeller, options, *drawn, device, workers, grant, judge, strata, interval, margin, context, sample
    )
    folder, manner = out or _default_folder(config), _manner(budget, estimate, batch, refresh)
    placement = _placement(engine, ray_address, gpus_per_model, device)
    if estimate:
        from benchmark.estimates import estimate_run
        from benchmark.shows import show_estimate

        show_estimate(estimate_run(config, folder, manner, strict=strict, training=training))
        return
    pictures = images if page else None
    outcome = evaluator.run(
        config,
        folder,
        retry_failed=retry_failed,
        strict=strict,
        training=training,
        manner=manner,
        page=pictures,
        placement=placement,
        patience=patience,
    )
    _show(outcome, asked_for_all=models == ["all"])


@app.command()
def generate(
    models: Models,
    dataset: DatasetName = "phantom",
    split: Split = "test",
    limit: Limit = None,
    settings: Settings = None,
    out: Out = None,
    seed: Seed = 42,
    device: Device = "auto",
    retry_failed: RetryFailed = False,
    patience: Patience = 0,
    strict: Strict = False,
    training: Training = "",
    grant: Grant = "",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    context: ContextOption = "full",
    sample: Sample = None,
    unit: Unit = "",
    prompt: Prompt = None,
    workers: Workers = 0,
    engine: EngineName = "local",
    ray_address: RayAddress = "",
    gpus_per_model: GpusPerModel = None,
) -> None:
    """Let models write reports and measure nothing; `run` on the same folder goes on from there.

    python -m benchmark generate --models clala --dataset manifest:/data/radiographs --out results/runs/ours

    python -m benchmark generate --models clala,rgrg --dataset chest_imagenome:/data/physionet --engine ray --ray-address auto
    """
    from benchmark import evaluator

    options = _with_prompt(options_of(settings, llm, llm_url, dataset, unit), models, prompt)
    config = _config(
        models, dataset, split, limit, METRICS, "rules", options, 1000, 0.95, seed, device, workers, grant, context=context, sample=sample
    )
    placement, folder = _placement(engine, ray_address, gpus_per_model, device), out or _default_folder(config)
    manner = _manner(budget, False, False, False)
    outcome = evaluator.run(
        config,
        folder,
        retry_failed=retry_failed,
        strict=strict,
        only_generate=True,
        training=training,
        manner=manner,
        placement=placement,
        patience=patience,
    )
    from benchmark.shows import show_reports

    show_reports(outcome)
    _exit_by(outcome, asked_for_all=models == ["all"])


@app.command()
def score(
    references: Annotated[Path, typer.Option("--references", "-r", help="File of reference reports: CSV, TSV, JSON, JSON lines or Parquet.")],
    predictions: Annotated[
        list[str], typer.Option("--predictions", "-p", help="File of generated reports, or name=file. May be repeated, one per model.")
    ],
    metrics: Metrics = METRICS,
    labeller: Labeller = "rules",
    settings: Settings = None,
    out: Out = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids, where it cannot be guessed.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the reference reports, where it cannot be guessed.")] = None,
    prediction_column: Annotated[str | None, typer.Option(help="Column of the generated reports, where it cannot be guessed.")] = None,
    patient_column: Annotated[
        str | None, typer.Option(help="Column of the references file that names the patient; cases of one patient are resampled together.")
    ] = None,
    missing: Annotated[
        Literal["fail", "unscored"], typer.Option(help="Ids that only one side has: refuse, or leave them unscored and count them.")
    ] = "fail",
    draws: Draws = 1000,
    level: Level = 0.95,
    seed: Seed = 42,
    workers: Workers = 0,
    judge: Judge = "rules",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    refresh: Refresh = False,
    public: Public = False,
    strata: Strata = True,
    interval: Interval = "percentile",
    margin: Margin = None,
    page: Page = True,
    engine: EngineName = "local",
    ray_address: RayAddress = "",
) -> None:
    """Score reports that already exist, matched by id; no model is needed.

    python -m benchmark score --references references.csv --predictions ours.csv --patient-column patient

    python -m benchmark score --references references.csv --predictions ours=ours.csv --predictions theirs=theirs.jsonl
    """
    from benchmark import evaluator
    from benchmark.report_files import read_patients
    from benchmark.stages import Stages

    placement = _placement(engine, ray_address, None, "auto")
    named = [_named(word) for word in predictions]
    if len({name for name, _ in named}) < len(named):
        raise UserError("two prediction files have the same name; name them: --predictions first=a/test.csv --predictions second=b/test.csv")
    stages = Stages()
    with stages.stage("read"):
        truth = _read(references, id_column, text_column, "--text-column")
        read = {name: _read(file, id_column, prediction_column, "--prediction-column") for name, file in named}
        patients = read_patients(references, patient_column, id_column=id_column) if patient_column else None
    options = options_of(settings, llm, llm_url)
    drawn = (draws, level, seed)
    config = _config([], "", "", None, metrics, labeller, options, *drawn, "auto", workers, "", judge, strata, interval, margin)
    manner = _manner(budget, estimate, batch, refresh)
    if estimate:
        from benchmark.estimates import estimate_scores
        from benchmark.shows import show_estimate

        show_estimate(estimate_scores(truth.texts, {name: found.texts for name, found in read.items()}, config, manner, is_public=public))
        return
    outcome = evaluator.score_reports(
        truth.texts,
        {name: found.texts for name, found in read.items()},
        config,
        out or Path("results/runs") / f"score-{references.name.partition('.')[0]}-{evaluator.fingerprint_of(truth.texts)[:8]}",
        patients=patients,
        missing=missing,
        failures={name: found.failures for name, found in read.items()},
        sources={name: {"file": file.name, "sha256": read[name].source_sha256} for name, file in named},
        manner=manner,
        is_public=public,
        page="none" if page else None,
        stages=stages,
        placement=placement,
    )
    _show(outcome)


@app.command()
def label(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines: id, and for each of 14 lesions status, side, certainty, rationale.")],
    reports: Annotated[Path | None, typer.Argument(help="File of reports: CSV, TSV, JSON, JSON lines or Parquet; or name a dataset.")] = None,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Label the cases of a dataset instead of a file, by their reference reports.")] = "",
    split: Annotated[str, typer.Option(help="Of the dataset: train, validate or test.")] = "test",
    labeller: Annotated[str, typer.Option(help="Who labels. Of a dataset also truth, what it knows itself, and file:PATH, labels by id.")] = "rules",
    settings: Settings = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids, where it cannot be guessed.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the reports, where it cannot be guessed.")] = None,
    device: Device = "auto",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    refresh: Refresh = False,
    public: Public = False,
    sample: Sample = None,
    seed: Annotated[int, typer.Option(help="Of --sample.")] = 42,
    unit: Unit = "",
) -> None:
    """Turn reports into 14 lesions with status and side.

    python -m benchmark label reports.csv --out labels.jsonl

    python -m benchmark label --dataset phantom --split test --labeller truth --out labels.jsonl
    """
    from benchmark.labels import label_dataset, label_file
    from benchmark.shows import show_labels

    if (reports is None) == (not dataset):
        given = f"found {reports} and {dataset}" if dataset else "found neither"
        raise UserError(f"label takes the reports of a file or of a dataset, {given}; write `label reports.csv` or `label --dataset phantom`")
    if sample is not None and not dataset:
        raise UserError(f"--sample {sample} is of a dataset's cases, but the reports are those of {reports}; name a dataset, or leave --sample away")
    options, manner = options_of(settings, llm, llm_url, dataset, unit), _manner(budget, estimate, batch, refresh)
    if estimate:
        from benchmark.estimates import estimate_label_dataset, estimate_label_file
        from benchmark.shows import show_estimate

        if reports is None:
            show_estimate(estimate_label_dataset(dataset, split, labeller, options, manner, sample=sample, seed=seed))
        else:
            found = estimate_label_file(reports, labeller, options, manner, id_column=id_column, text_column=text_column, is_public=public)
            show_estimate(found)
    elif reports is None:
        show_labels(label_dataset(dataset, split, out, labeller, options, device=device, manner=manner, sample=sample, seed=seed))
    else:
        labelled = label_file(
            reports, out, labeller, options, id_column=id_column, text_column=text_column, device=device, manner=manner, is_public=public
        )
        show_labels(labelled)


@app.command()
def agreement(
    labels: Annotated[
        list[str],
        typer.Option("--labels", "-l", metavar="FILES", help="Files as `label` writes them, two or more: a.jsonl b.jsonl, or name=a.jsonl."),
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="The files after the first.")] = None,
    truth: Annotated[str, typer.Option(metavar="NAME", help="Whose labels count as true; the others then have precision and recall.")] = "",
    reports: Annotated[Path | None, typer.Option(help="File of the reports, so that a disagreement comes with its sentence.")] = None,
    patients: Annotated[Path | None, typer.Option(help="File that names the patient of each case, where the reports file does not.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the tables. Default: results/runs/agreement-<names>.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids, where it cannot be guessed.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the reports, where it cannot be guessed.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Column that names the patient; cases of one patient are resampled together.")] = None,
    missing: Annotated[
        Literal["fail", "unscored"], typer.Option(help="Ids that not every file has: refuse, or leave them unscored and count them.")
    ] = "fail",
    draws: Draws = 1000,
    level: Level = 0.95,
    seed: Seed = 42,
    public: Annotated[
        bool, typer.Option("--public", help="The text may be seen by all: the folder is not kept from commits and other users.")
    ] = False,
) -> None:
    """Say how far labellers of the same reports agree, and list where they do not.

    python -m benchmark agreement --labels rules.jsonl truth.jsonl --truth truth --reports reports.csv
    """
    from benchmark.agreement import agree
    from benchmark.shows import show_agreement

    named = [_named(word) for word in (*labels, *(more or []))]
    if len({name for name, _ in named}) < len(named):
        raise UserError("two files of labels have the same name; name them: --labels first=a/labels.jsonl second=b/labels.jsonl")
    found = agree(
        dict(named),
        out,
        truth=truth,
        reports=reports,
        patients=patients,
        id_column=id_column,
        text_column=text_column,
        patient_column=patient_column,
        missing=missing,
        draws=draws,
        level=level,
        seed=seed,
        is_public=public,
        command=command_line(),
    )
    show_agreement(found)


@app.command()
def audit(
    references: Annotated[
        Path | None, typer.Option("--references", "-r", help="File of reports to make candidates of: CSV, TSV, JSON, JSON lines or Parquet.")
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Take the reference reports of a dataset instead.")] = "phantom",
    split: Split = "test",
    limit: Limit = None,
    metrics: Metrics = METRICS,
    numbers: Annotated[
        str, typer.Option(metavar="NAMES", help="Comma list of numbers to look at, as metric.number, in place of a metric's headlines.")
    ] = "",
    labeller: Labeller = "rules",
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder. Default: results/runs/audit-<references>.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids, where it cannot be guessed.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the reports, where it cannot be guessed.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Column that names the patient; reports of one patient are resampled together.")] = None,
    draws: Draws = 1000,
    level: Level = 0.95,
    seed: Seed = 42,
    device: Device = "auto",
    workers: Workers = 0,
    strict: Strict = False,
    judge: Judge = "rules",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    refresh: Refresh = False,
    public: Public = False,
    sample: Sample = None,
    unit: Unit = "",
) -> None:
    """Put metrics to the test: does a harmless rewrite of a report score higher than the same report with one error?

    python -m benchmark audit --metrics lesions,meteor,rouge_l,bleu

    python -m benchmark audit --references reports.csv --metrics green --llm ollama/llama3.1 --limit 50
    """
    from benchmark.audit.run import audit as put_to_the_test
    from benchmark.audit.run import estimate_audit, reports_of_file
    from benchmark.registry import split_names
    from benchmark.report_files import read_patients
    from benchmark.runs import folder_name

    config = _config(
        [], "" if references else dataset, "" if references else split, limit, metrics, labeller,
        options_of(settings, llm, llm_url, "" if references else dataset, unit), draws, level, seed, device, workers, judge=judge, sample=sample,
    )  # fmt: skip
    given = None
    name = "-".join(filter(None, (dataset.partition(":")[0], split, str(limit or ""), *_parts_of_name(config))))
    if references:
        texts = dict(list(_read(references, id_column, text_column, "--text-column").texts.items())[:limit])
        patients = read_patients(references, patient_column, id_column=id_column) if patient_column else None
        given = reports_of_file(texts, patients)
        name = "-".join((references.name.partition(".")[0], given.fingerprint[:8], *_parts_of_name(config)))
    manner = _manner(budget, estimate, batch, refresh)
    if estimate:
        from benchmark.shows import show_estimate

        show_estimate(estimate_audit(config, given=given, strict=strict, manner=manner, is_public=public))
        return
    from benchmark.shows import show_audit

    folder = out or Path("results/runs") / folder_name(f"audit-{name}")
    show_audit(put_to_the_test(config, folder, given=given, numbers=split_names([numbers]), strict=strict, manner=manner, is_public=public))


@app.command(name="meta-eval")
def meta_eval(
    judgements: Annotated[
        Path, typer.Argument(metavar="FILE", help="Radiologists' judgements: RadPref, ReXVal, RadEvalX (a file or the folder), or a long table.")
    ],
    metrics: Metrics = METRICS,
    numbers: Annotated[
        str, typer.Option(metavar="NAMES", help="Comma list of numbers to look at, as metric.number, in place of a metric's headlines.")
    ] = "",
    labeller: Labeller = "rules",
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder. Default: results/runs/meta-eval-<file>.")] = None,
    draws: Draws = 1000,
    level: Level = 0.95,
    seed: Seed = 42,
    device: Device = "auto",
    workers: Workers = 0,
    judge: Judge = "rules",
    llm: Llm = "",
    llm_url: LlmUrl = "",
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    refresh: Refresh = False,
    public: Public = False,
) -> None:
    """Say how far metrics agree with radiologists, between a control that only counts words and one radiologist against the others.

    A long table has the columns study, candidate, reference, report, rater, and score (higher is better) or errors; optional: significance
    (significant or insignificant), patient.

    python -m benchmark meta-eval RadPref/ --metrics rouge_l,meteor_nltk,bleu
    """
    from benchmark.meta_eval.readers import read_judgements
    from benchmark.meta_eval.run import estimate_meta_eval
    from benchmark.meta_eval.run import meta_eval as hold_against
    from benchmark.registry import split_names
    from benchmark.runs import folder_name

    said = read_judgements(judgements)
    options = options_of(settings, llm, llm_url)
    config = _config([], "", "", None, metrics, labeller, options, draws, level, seed, device, workers, judge=judge)
    manner = _manner(budget, estimate, batch, refresh)
    if estimate:
        from benchmark.shows import show_estimate

        show_estimate(estimate_meta_eval(said, config, manner=manner, is_public=public))
        return
    from benchmark.shows import show_meta_eval

    folder = out or Path("results/runs") / folder_name(f"meta-eval-{judgements.resolve().name.partition('.')[0]}")
    show_meta_eval(hold_against(said, config, folder, numbers=split_names([numbers]), manner=manner, is_public=public))


def main() -> None:
    """Run a command; the door through which every user error leaves, as one line."""
    # torch's threads else spin while they wait for each other; on cores that others use too, that made generation a hundred times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with _stoppable():
            app()
    except UserError as error:
        say(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except Interrupted as error:
        again = "the same command without --refresh" if "--refresh" in sys.argv else "the same command"  # which would ask everything anew
        with suppress(OSError):  # the terminal may be what went
            say(f"interrupted; what was done is kept, {again} goes on from there", err=True)
        sys.exit(128 + error.signal)
    except BrokenPipeError:  # `... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make an ``Interrupted`` of what asks a command to stop: what it started, and holds open, is to be closed."""
    # nohup: a closed terminal is to stop nothing. Ctrl-C is, also where a shell started the command in the background and deaf to it.
    before = {number: handler for number in STOPPING if (handler := signal.getsignal(number)) is not signal.SIG_IGN or number == signal.SIGINT}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _config(
    models: list[str],
    dataset: str,
    split: str,
    limit: int | None,
    metrics: str,
    labeller: str,
    options: dict[str, str],
    draws: int,
    level: float,
    seed: int,
    device: str,
    workers: int,
    grant: str = "",
    judge: str = "rules",
    strata: bool = True,
    interval: Literal["percentile", "bca"] = "percentile",
    margin: list[str] | None = None,
    context: Literal["none", "indication", "full"] = "full",
    sample: int | None = None,
) -> RunConfig:
    from benchmark.margins import parse_margins
    from benchmark.registry import split_names

    chosen = _all_models(options) if models == ["all"] else split_names(models)
    if models and not chosen:
        raise UserError("--models names no model; `list models` prints those that there are")
    named, granted = split_names([metrics]), split_names([grant])
    settings = (options, labeller, draws, level, seed, device, workers, granted, judge, strata, interval)
    return RunConfig(chosen, named, dataset, split, limit, *settings, parse_margins(margin or []), context, sample)


def _all_models(options: dict[str, str]) -> tuple[str, ...]:
    """The models that can be made of what is installed and set; what lacks its weights is found out when it is made, and its row says so."""
    from benchmark import registry
    from benchmark.making import HANDED

    known = registry.load()
    chosen = []
    for name, entry in known.entries["models"].items():
        try:
            if registry.takes_argument(entry.factory, f"model {name!r}"):
                continue  # speaks for something outside, which only the user can name
            settings = registry.settings_of(entry.factory, f"model {name!r}", available=HANDED)
        except UserError as error:
            say(f"skipped: {error}", err=True)
            continue
        if required := [setting.name for setting in settings if setting.default == "required" and f"{name}.{setting.name}" not in options]:
            say(f"skipped: model {name!r} needs the setting {required[0]!r}: --set {name}.{required[0]}=...", err=True)
            continue
        chosen.append(name)
    return tuple(chosen)


def _with_prompt(options: dict[str, str], models: list[str], prompt: Path | None) -> dict[str, str]:
    """The settings with ``--prompt`` among them, for the models that are asked in words: what the user names behind a colon, with a prompt."""
    from benchmark import registry

    if prompt is None:
        return options
    known, asked = registry.load(), []
    for spec in registry.parse_specs([] if models == ["all"] else models):
        factory, who = known.entry("models", spec.name).factory, f"model {spec.name!r}"
        if registry.takes_argument(factory, who) and any(one.name == "prompt" for one in registry.settings_of(factory, who, available=())):
            asked.append(f"{spec.label}.prompt")
            if (other := options.get(asked[-1], options.get(f"{spec.name}.prompt", str(prompt)))) != str(prompt):
                raise UserError(f"--set {spec.name}.prompt={other} and --prompt {prompt} say different things; give one")
    if not asked:
        raise UserError(f"--prompt {prompt} is for models that are asked in words, and none is named; name one: --models api:openai/gpt-4o-mini")
    return {**dict.fromkeys(asked, str(prompt)), **options}


def _placement(engine: Literal["local", "ray"], address: str, gpus_per_model: float | None, device: str) -> Placement:
    from benchmark.engine import Placement

    return Placement(engine, address, gpus_per_model, device)


def _manner(budget: float | None, estimate: bool, batch: bool, refresh: bool) -> Manner:
    from benchmark.llm.models import Manner

    return Manner(budget, "estimate" if estimate else "batch" if batch else "ask", refresh)


def _read(file: Path, id_column: str | None, text_column: str | None, flag: str) -> ReportTexts:
    """A file of reports, with what was doubtful about it on stderr; an error names the flag that mends it here."""
    from benchmark.report_files import UnreadableReports, read_reports

    try:
        found = read_reports(file, id_column=id_column, text_column=text_column)
    except UnreadableReports as error:
        raise UnreadableReports(str(error).replace("--text-column", flag)) from error
    for warning in found.warnings:
        say(f"{file}: {warning}", err=True)
    return found


def _named(word: str) -> tuple[str, Path]:
    """The name that is given to a file, or its own without the ending, and the file."""
    name, sign, file = word.partition("=")
    if not sign or os.path.exists(word):  # noqa: PTH110  of a word that is longer than any file's name, Path raises an error
        name, file = Path(word).name.partition(".")[0], word
    if not name.strip():
        raise UserError(f"cannot take a name from {word!r}; write name=file")
    return name, Path(file)


def _default_folder(config: RunConfig) -> Path:
    from benchmark.runs import folder_name

    parts = [
        config.dataset.partition(":")[0],
        config.split,
        *([str(config.limit)] if config.limit else []),
        *_parts_of_name(config),
        *(f"told-{name}" for name in config.grant),
    ]
    return Path("results/runs") / folder_name("-".join(parts))


def _parts_of_name(config: RunConfig) -> list[str]:
    """What sets runs on one split apart: each has a folder of its own."""
    sample = [f"sample{config.sample}-{config.seed}"] if config.sample else []
    unit = [value for key, value in config.options.items() if key == f"{config.dataset.partition(':')[0]}.unit"]
    return [*unit, *sample, *([f"context-{config.context}"] if config.context != "full" else [])]


def _show(outcome: Outcome, *, asked_for_all: bool = False) -> None:
    """The numbers; a model that failed in every case has failed, though ``generate`` leaves that to whoever reads its reports."""
    from benchmark.shows import show_outcome

    show_outcome(outcome)
    if outcome.wrote_nothing:
        raise typer.Exit(1)
    _exit_by(outcome, asked_for_all=asked_for_all)


def _exit_by(outcome: Outcome, *, asked_for_all: bool = False) -> None:
    """``all`` asks for every model that runs here: one whose weights are not here has a row that says so, and is no failure."""
    if set(outcome.failed) - (outcome.not_made if asked_for_all else set()):
        raise typer.Exit(1)
