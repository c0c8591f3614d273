"""The whole of ``python -m benchmark reproduce``: plan, train, generate, measure, lay out, seal.

    OUT/  steps/          a record and a log of each step
          weights/ crops/ what was trained, and what it was trained on
          reports/        a run folder for each arm and seed: reports, statistics per case
          tables/         the aggregates: numbers.csv, every table and figure, claims, README.md, run.json; what may be published

Nothing of a case is in ``tables``; it is made anew each time, from what lies there, in the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import registry
from benchmark.engine import cores
from benchmark.evaluator import use_of_datasets
from benchmark.experiments.aggregates import Aggregates, Head, pairs_of, write_aggregates
from benchmark.experiments.definitions import PAPER, Definitions, chosen_experiments, read_definitions
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.plan import Plan, Setting, plan, settings_of_labeller
from benchmark.experiments.preflight import preflight
from benchmark.experiments.publish import check_publish, publish
from benchmark.experiments.runner import commits_of, done_steps, run_steps, seconds_of
from benchmark.experiments.unplaced import unplaced, unplaced_command, unplaced_record
from benchmark.llm.models import LanguageModels
from benchmark.provenance import provenance
from benchmark.records import RunConfig, UserError
from benchmark.runs import opened, sha256, write_json, writing

if TYPE_CHECKING:
    from benchmark.hookspecs import Dataset
    from benchmark.llm.models import Manner

METRICS = ("lesions", "consistency", "meteor", "rouge_l", "green", "radgraph")
"""the columns of Tables 1 and 2a"""
PROFILES = {"phantom": "demo"}
"""dataset -> the profile that fits it; others: paper"""
PUBLISHABLE = r"ended with status -?\d+|was killed \(\w+|every case failed|it wrote no report|not begun: [\w.-]+ failed"
"""what of the reason of a failure is no line of a log, which may hold places and texts"""
FORMAT = 1


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    experiments: tuple[str, ...]
    """names, or all"""
    dataset: str = "phantom"
    """as typed"""
    out: Path | None = None
    """None = results/runs/reproduce-<dataset>"""
    seeds: int = 3
    profile: str = ""
    """empty = the one that fits the dataset"""
    models: tuple[str, ...] = ()
    """beside CLALA-Net in Tables 1 and 2a; the profile's if none is given"""
    jobs: int = 0
    """steps at a time; 0 = one per core, and one on a GPU"""
    device: str = "auto"
    labeller: str = "rules"
    """who labels lesions: of training images, of what the model is told, and of reports that are measured"""
    judge: str = "rules"
    metrics: tuple[str, ...] = METRICS
    options: Mapping[str, str] = field(default_factory=dict)
    draws: int = 1000
    level: float = 0.95
    limit: int | None = None
    sample: int | None = None
    publish: Path | None = None
    """where the aggregates are copied to"""
    definitions: Path = PAPER

    @property
    def folder(self) -> Path:
        """Of everything."""
        return self.out or Path("results/runs") / f"reproduce-{registry.parse_spec(self.dataset).name}"


@dataclass(frozen=True)
class Outline:
    """What would be done, before anything is."""

    definitions: Definitions
    plan: Plan
    done: frozenset[str]
    jobs: int
    folder: Path
    dataset: Dataset
    """opened, and nothing read of it"""
    on_gpu: bool = False
    """whether steps would find one"""

    @property
    def minutes(self) -> float:
        """Estimated, of what is not done."""
        return self.plan.minutes(self.jobs, self.done)


@dataclass(frozen=True)
class Reproduced:
    """What came of it."""

    outline: Outline
    failed: Mapping[str, str]
    """step -> why"""
    numbers: Numbers
    folder: Path
    """of the aggregates"""
    minutes: float
    """of this command"""
    aggregates: Aggregates
    """what was written"""
    published: Path | None = None
    """where it was copied to"""


def outline(request: Request, manner: Manner | None = None) -> Outline:
    """The steps, and which of them are done. Raises ``UserError`` for whatever is wrong with what is asked, before anything is trained."""
    name = registry.parse_spec(request.dataset).name
    known = registry.load()
    known.entry("datasets", name)
    if request.seeds < 1:
        raise UserError(f"--seeds {request.seeds}: at least one training of each network is needed")
    definitions = read_definitions(
        request.profile or PROFILES.get(name, "paper"), labels=request.labeller, models=request.models, path=request.definitions
    )
    chosen = chosen_experiments(definitions, request.experiments)
    for arm in definitions.arms.values():
        if arm.model:
            known.entry("models", registry.parse_spec(arm.model).name)
    words = (("--limit", str(request.limit)) if request.limit else ()) + (("--sample", str(request.sample)) if request.sample else ())
    setting = Setting(request.dataset, request.folder, request.seeds, request.labeller, request.device, dict(request.options), words)
    planned = plan(definitions, chosen, setting)
    dataset = preflight(_config(request), definitions, planned, manner)
    if request.publish:
        check_publish(request.publish, request.folder, name, [experiment.name for experiment in chosen])
    on_gpu = is_on_gpu(request.device)
    jobs = request.jobs or (1 if on_gpu else cores(0))  # each on one thread, so that no number depends on how many cores there are
    return Outline(definitions, planned, done_steps(planned, request.folder), jobs, request.folder, dataset, on_gpu)


def reproduce(request: Request, *, say: Callable[[str], None], manner: Manner | None = None, asked: Outline | None = None) -> Reproduced:
    """Train what is not trained, generate, measure, and write tables and figures; typed again, it goes on where it stopped.

    ``manner`` is how language models are asked where reports are measured; ``asked`` is the outline, if it was made already.
    Raises ``UserError`` for what the user can mend. A step that fails takes with it what rests on it and nothing else; its arms are missing from the
    tables, which say so.
    """
    from benchmark.figures.sheet import ready

    began = time.monotonic()
    asked = asked or outline(request, manner)
    with ready():  # that figures can be drawn is found out before the days of training, not after
        pass
    with opened(asked.folder):
        with writing(asked.folder):
            (asked.folder / ".gitignore").write_text("*\n")  # the text of reports may not be anybody's to commit; what may be is copied out
            if asked.dataset.is_credentialed:
                asked.folder.chmod(0o700)  # nor anybody's to read who has signed nothing
        environment = {} if asked.on_gpu else {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        failed = run_steps(asked.plan, asked.folder, jobs=asked.jobs, environment=environment, say=say)
        there = {
            arm: {seed: folder for seed, folder in of_seed.items() if f"reports-{arm}-{seed}" not in failed}
            for arm, of_seed in asked.plan.runs.items()
        }
        numbers = _measured(request, asked, there, manner)
        tables = asked.folder / "tables"
        written = _write(request, asked, numbers, failed, tables)
        if request.publish:
            publish(tables, request.publish)
    return Reproduced(asked, failed, numbers, tables, (time.monotonic() - began) / 60, written, request.publish)


def is_on_gpu(device: str, devices: Path = Path("/dev"), visible: str | None = None) -> bool:
    """Whether steps on that device would find a GPU, told without loading torch.

    devices  where the system shows them: nvidia0, nvidia1, ..., or dxg under Windows
    visible  CUDA_VISIBLE_DEVICES; the environment's if None. Empty or -1 hides all.
    """
    if device != "auto":
        return device != "cpu"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    return visible not in ("", "-1") and ((devices / "dxg").exists() or any(devices.glob("nvidia[0-9]*")))


def _measured(request: Request, asked: Outline, there: Mapping[str, Mapping[int, Path]], manner: Manner | None) -> Numbers:
    """Every number of every arm that has reports."""
    from benchmark.experiments.measure import ArmRun, measure

    runs = {arm: [ArmRun(seed, folder) for seed, folder in sorted(of_seed.items())] for arm, of_seed in there.items() if of_seed}
    if not runs:
        raise UserError(f"no arm has reports, since steps failed; mend what their logs in {asked.folder / 'steps'} say, and type the same command")
    arms = asked.definitions.arms
    trained = {arm for arm in runs if not arms[arm].model}
    pairs = [pair for pair in pairs_of(asked.plan.experiments) if set(pair) <= runs.keys()]
    apart = [pair for pair in pairs if set(pair) <= trained and not there[pair[0]].keys() & there[pair[1]].keys()]
    titles = {arm: arms[arm].title for arm in runs}
    lost = said_of_lost({arm: tuple(there[arm]) for arm in trained}, asked.plan.runs, apart, titles)
    # Where an arm and the labeller share a name, what is the arm's is not the labeller's.
    others = {key: value for key, value in request.options.items() if key.partition(".")[0] != request.labeller}
    config = replace(_config(request), options={**others, **settings_of_labeller(request.options, request.labeller, arms)})
    llm = LanguageModels(config.options, use_of_datasets(asked.dataset), manner)
    note = f"{asked.dataset.note} {lost}".strip()
    compared = [pair for pair in pairs if pair not in apart]
    return measure(runs, compared, config, titles=titles, trained=trained, llm=llm, note=note)


def said_of_lost(
    left: Mapping[str, Collection[int]], wanted: Mapping[str, Collection[int]], apart: Iterable[tuple[str, str]], titles: Mapping[str, str]
) -> str:
    """What is missing of arms that are trained here, in a sentence that stands under every table; empty if nothing is.

    left    arm -> the seeds that there are reports of
    wanted  arm -> those that were asked for
    apart   pairs that share no seed
    """
    fewer = [
        f"{titles[arm]}: {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, sorted(seeds)))} of {len(wanted[arm])}"
        for arm, seeds in left.items()
        if len(seeds) < len(wanted[arm])
    ]
    said = (
        [f"Since steps failed, there are fewer trainings than asked of {'; '.join(fewer)}. A difference is of the seeds that both have."]
        if fewer
        else []
    )
    said += [f"{titles[first]} and {titles[second]} have no seed in common and are not compared." for first, second in apart]
    return " ".join(said)


def _write(request: Request, asked: Outline, numbers: Numbers, failed: Mapping[str, str], folder: Path) -> Aggregates:
    """Every table and figure, the claims, and the record."""
    waiting = folder.with_name("tables.part")
    shutil.rmtree(waiting, ignore_errors=True)
    statuses = {step: published_reason(why) for step, why in failed.items()}
    with writing(waiting):
        waiting.mkdir(parents=True)
        name = registry.parse_spec(request.dataset).name
        head = Head(f"Tables and figures of the paper, made again on {name}", _lead(request, numbers), _said(request, asked, numbers, statuses))
        written = write_aggregates(asked.plan.experiments, numbers, waiting, head)
        profile = asked.definitions.profile
        record = {
            "format": FORMAT,
            "command": command_of(request),
            "experiments": [experiment.name for experiment in asked.plan.experiments],
            "dataset": name,
            "asked": unplaced(request.dataset),
            "limit": request.limit,
            "sample": request.sample,
            "profile": {**unplaced_record(asdict(profile)), "about": profile.about},
            "definitions": asked.definitions.digest,
            "seeds": request.seeds,
            "labeller": unplaced(request.labeller),
            "judge": request.judge,
            "metrics": list(request.metrics),
            "options": unplaced_record(request.options),
            "draws": request.draws,
            "level": request.level,
            "measured": numbers.counts,
            "steps": _steps(asked),
            "failed": statuses,
            "left_out": dict(written.left_out),
            "provenance": provenance(),
            "files": {str(file.relative_to(waiting)): sha256(file) for file in sorted(waiting.rglob("*")) if file.is_file()},
        }
        write_json(waiting / "run.json", record)
        shutil.rmtree(folder, ignore_errors=True)
        waiting.replace(folder)
    return written


def _lead(request: Request, numbers: Numbers) -> str:
    """What a reader must know before the first number."""
    level = f"{request.level * 100:g} % intervals"
    brackets = f"In brackets: {level} over patients and, of what was trained several times, over its trainings."
    if request.seeds == 1:
        brackets = f"In brackets: {level} over patients alone; what another start of a training would give is not in them."
    return f"{numbers.note} {brackets} What is marked † or called printed is quoted from the paper, not measured here.".strip()


def _said(request: Request, asked: Outline, numbers: Numbers, failed: Mapping[str, str]) -> str:
    """What was done, for the head of the page."""
    counts = ", ".join(f"{count:,} {what if count != 1 else what.removesuffix('s')}" for what, count in numbers.counts.items())
    seeds = f"{request.seeds} trainings of each network" if request.seeds > 1 else "one training of each network"
    by = f"Lesions labelled by {_words(request.labeller)}, reports judged by {_words(request.judge)}."
    lost = f" Steps that failed, with what rests on them: {', '.join(f'{step} ({why})' for step, why in failed.items())}." if failed else ""
    return "\n".join(
        [
            f"Made by `{command_of(request)}`: {seeds},",
            f"profile {asked.definitions.profile.name} ({asked.definitions.profile.about}). Measured on {counts}. {by}{lost}",
            "`run.json` has the command of every step, how long it took, versions and commit.",
        ]
    )


def published_reason(why: str) -> str:
    """The status of a failed step without the words of its log, which are for who ran it."""
    found = re.match(PUBLISHABLE, why)
    return f"{found[0]})" if found and "(" in found[0] else found[0] if found else "failed"


def command_of(request: Request) -> str:
    """The command as it could be typed, with everything that differs from its default and may change a number; places are left open."""
    plain = Request(request.experiments)
    words = ["reproduce", *request.experiments, "--dataset", unplaced(request.dataset), "--seeds", str(request.seeds)]
    words += ["--profile", request.profile] if request.profile else []
    words += ["--models", ",".join(map(unplaced, request.models))] if request.models else []
    for flag in ("device", "labeller", "judge", "draws", "level", "limit", "sample"):
        if (value := getattr(request, flag)) != getattr(plain, flag):
            words += [f"--{flag}", unplaced(str(value))]
    words += ["--metrics", ",".join(request.metrics)] if request.metrics != METRICS else []
    words += [word for key, value in request.options.items() for word in ("--set", unplaced(f"{key}={value}"))]
    words += ["--definitions", "PLACE"] if request.definitions != PAPER else []
    return unplaced_command(words, request.folder)


def _words(back_end: str) -> str:
    return "embedded rules, not by a language model" if back_end == "rules" else unplaced(back_end).replace("_", " ")


def _steps(asked: Outline) -> dict[str, Any]:
    """Step -> its command, with the folder of everything called OUT and no other place in it, how long it took, and the commit that did it."""
    took, commits = seconds_of(asked.plan, asked.folder), commits_of(asked.plan, asked.folder)
    return {
        step.name: {"command": unplaced_command(step.words, asked.folder), "seconds": took.get(step.name), "commit": commits.get(step.name)}
        for step in asked.plan.steps
    }


def _config(request: Request) -> RunConfig:
    """How everything is measured."""
    return RunConfig(
        (),
        request.metrics,
        request.dataset,
        "test",
        request.limit,
        dict(request.options),
        request.labeller,
        request.draws,
        request.level,
        judge=request.judge,
        device=request.device,
        strata=False,
        sample=request.sample,
    )
