"""The options that several commands have in common, each with its one help text, and what is made of ``--set`` and its short flags."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.records import DEFAULT_METRICS, UserError

Models = Annotated[
    list[str],
    typer.Option(
        "--models", "-m", metavar="NAMES", help="Comma list of name, name:argument or label=name:argument; 'all' for every one that runs here."
    ),
]
DatasetName = Annotated[
    str, typer.Option("--dataset", "-d", help="Name of a dataset, with its place behind a colon: chest_imagenome:/data/physionet")
]
Split = Annotated[str, typer.Option(help="Which split to measure: train, validate or test.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many cases, for a cheap look.")]
Sample = Annotated[
    int | None, typer.Option(min=1, help="So many cases, chosen by --seed so that each lesion is as frequent among them as among all of the split.")
]
Unit = Annotated[
    Literal["", "image", "study"], typer.Option(metavar="image|study", help="What a case is, where the dataset can do both.", show_default=False)
]
ContextOption = Annotated[
    Literal["none", "indication", "full"],
    typer.Option("--context", help="What models see: none = one frontal image; indication = that and the reason for the examination; full = all."),
]
Prompt = Annotated[
    Path | None, typer.Option("--prompt", help="What models that are asked in words (api:..., hf:...) are asked, in place of prompts/report.md.")
]
Metrics = Annotated[str, typer.Option(help="Comma list of metrics.")]
Labeller = Annotated[str, typer.Option(help="Who turns reports into lesions. The tables name it.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME.OPTION=VALUE", help="A setting of a model, metric or dataset: clala.beams=3. May be repeated."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The run folder. Default: results/runs/<dataset>-<split>. An unfinished one is resumed.")
]
Draws = Annotated[int, typer.Option(min=1, help="Bootstrap draws of patients.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")]
Interval = Annotated[
    Literal["percentile", "bca"], typer.Option(help="How intervals are made of the draws; bca corrects bias and skew, and takes longer.")
]
Margin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NUMBER=MARGIN",
        help="By how much a model may be worse and still count as not worse: rouge_l=0.01, lesions.macro_f1=0.02. The differences say who is.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of the resampling, of --sample, and of models that draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes for scoring, with Ray also for each model; 0 = one per core, or GPU. Never changes a number.")
]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Where the work runs: this machine, or a cluster of Ray's. Never changes a number.")
]
RayAddress = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Of a cluster that runs: host:port, or auto on a machine of it. Not given, Ray is started here.")
]
GpusPerModel = Annotated[
    float | None,
    typer.Option(
        min=0, help="With Ray: GPUs of each worker that holds a model, 0.5 = two share one. Default: 1 where there are any.", show_default=False
    ),
]
Patience = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Stop a model that gives no report for so long; 0 = wait for ever. The first takes longest.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again for the cases that failed before.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first problem of the dataset instead of stepping over and counting it.")]
Training = Annotated[str, typer.Option(help="The dataset that models learn from, where it is not the one that is measured.")]

Grant = Annotated[
    str,
    typer.Option(
        metavar="NAMES", help="What models may be told of the cases that they are measured on, for an experiment: lesions. Every table says so."
    ),
]

Judge = Annotated[str, typer.Option(help="Who judges reports, for metrics that need a judge: rules, or language_model. The tables name it.")]
Llm = Annotated[
    str,
    typer.Option(
        "--llm", metavar="MODEL", help="The language model that is asked: openai/gpt-4o-mini, anthropic/..., ollama/..., a name at --llm-url."
    ),
]
LlmUrl = Annotated[str, typer.Option(metavar="URL", help="Where it is served, if not by its provider: http://127.0.0.1:8000/v1")]
Budget = Annotated[
    float | None, typer.Option(min=0, help="Dollars that this command may spend; it stops before, and the next one goes on from there.")
]
Estimate = Annotated[bool, typer.Option("--estimate", help="Ask nothing; say how many questions, tokens and dollars it would take.")]
Batch = Annotated[
    bool, typer.Option("--batch", help="Hand questions in as batch files: half the price, an answer within a day. Killed, it waits on.")
]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask language models anew what they answered before.")]
Public = Annotated[bool, typer.Option("--public", help="The reports may be sent to others. Not said, they go to models on this machine alone.")]

Strata = Annotated[bool, typer.Option(help="Measure parts of the cases too: normal, abnormal, by number of lesions, by view.")]

Page = Annotated[bool, typer.Option("--page/--no-page", help="Write index.html, the page to read cases on; `view` opens it.")]
Images = Annotated[
    Literal["auto", "embed", "none"],
    typer.Option(metavar="auto|embed|none", help="Copies of the images beside the page: auto = of public data up to 1,000 cases; embed = always."),
]

METRICS = ",".join(DEFAULT_METRICS)


def options_of(settings: list[str] | None, llm: str = "", llm_url: str = "", dataset: str = "", unit: str = "") -> dict[str, str]:
    """All settings; the short flags are settings too, and do not speak against one that was given in full."""
    from benchmark.registry import parse_options

    options = parse_options(settings or [])
    for name, flag, value in (("llm.model", "--llm", llm), ("llm.api_base", "--llm-url", llm_url)):
        if value and options.setdefault(name, value) != value:
            raise UserError(f"--set {name}={options[name]} and {flag} {value} say different things; give one")
    if unit:
        from benchmark.inputs import with_unit

        return with_unit(options, dataset, unit)
    return options


def command_line() -> str:
    """The command as it was typed, for the record of what it made."""
    import shlex

    return shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])
