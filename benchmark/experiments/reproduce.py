"""The whole of ``python -m benchmark reproduce``: plan, train, generate, measure, lay out, seal.

    OUT/  steps/          a record and a log of each step
          weights/ crops/ what was trained, and what it was trained on
          reports/        a run folder for each arm and seed: reports, statistics per case
          tables/         the aggregates: numbers.csv, every table and figure, claims, README.md, run.json; what may be published

Nothing of a case is in ``tables``; it is made anew each time, from what lies there, in the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import registry
from benchmark.engine import cores
from benchmark.evaluator import check_names
from benchmark.experiments.definitions import PAPER, Definitions, chosen_experiments, read_definitions
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.plan import Plan, Setting, plan
from benchmark.experiments.runner import done_steps, run_steps, seconds_of
from benchmark.provenance import provenance
from benchmark.records import RunConfig, UserError
from benchmark.runs import FolderInUse, sha256, write_json, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.llm.models import Manner

METRICS = ("lesions", "consistency", "meteor", "rouge_l", "green", "radgraph")
"""the columns of Tables 1 and 2a"""
PROFILES = {"phantom": "demo"}
"""dataset -> the profile that fits it; others: paper"""
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
    left_out: Mapping[str, str]
    """experiment -> why there is no table of it"""


def outline(request: Request) -> Outline:
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
    for spec in registry.parse_specs([arm.model for arm in definitions.arms.values() if arm.model]):
        known.entry("models", spec.name)
    config = _config(request)
    check_names(replace(config, options={key: value for key, value in config.options.items() if key.partition(".")[0] not in definitions.arms}), "")
    words = (("--limit", str(request.limit)) if request.limit else ()) + (("--sample", str(request.sample)) if request.sample else ())
    setting = Setting(request.dataset, request.folder, request.seeds, request.labeller, request.device, dict(request.options), words)
    planned = plan(definitions, chosen, setting)
    return Outline(definitions, planned, done_steps(planned, request.folder), request.jobs or _jobs(request.device), request.folder)


def reproduce(request: Request, *, say: Callable[[str], None], manner: Manner | None = None) -> Reproduced:
    """Train what is not trained, generate, measure, and write tables and figures; typed again, it goes on where it stopped.

    Raises ``UserError`` for what the user can mend. A step that fails takes with it what rests on it and nothing else; its arms are missing from the
    tables, which say so.
    """
    from benchmark.figures.sheet import ready

    began = time.monotonic()
    asked = outline(request)
    with ready():  # that figures can be drawn is found out before the days of training, not after
        pass
    with held(asked.folder):
        (asked.folder / ".gitignore").write_text("*\n")  # the text of reports may not be anybody's to commit; what may be is copied out
        environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if request.device in ("auto", "cpu") and not _has_gpu() else {}
        failed = run_steps(asked.plan, asked.folder, jobs=asked.jobs, environment=environment, say=say)
        there = {
            arm: {seed: folder for seed, folder in of_seed.items() if f"reports-{arm}-{seed}" not in failed}
            for arm, of_seed in asked.plan.runs.items()
        }
        numbers = _measured(request, asked, there, manner)
        tables = asked.folder / "tables"
        left_out = _write(request, asked, numbers, failed, tables)
        if request.publish:
            _publish(tables, request.publish)
    return Reproduced(asked, failed, numbers, tables, (time.monotonic() - began) / 60, left_out)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made if need be, held by this process alone. Raises ``FolderInUse``, ``CannotWrite``."""
    import fcntl

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderInUse(f"{folder} is being written by another `reproduce`; wait for it, or choose another folder with --out") from None
        yield


def _measured(request: Request, asked: Outline, there: Mapping[str, Mapping[int, Path]], manner: Manner | None) -> Numbers:
    """Every number of every arm that has reports."""
    from benchmark.evaluator import use_of_datasets
    from benchmark.experiments.aggregates import pairs_of
    from benchmark.experiments.measure import ArmRun, measure
    from benchmark.inputs import open_dataset
    from benchmark.llm.models import LanguageModels

    runs = {arm: [ArmRun(seed, folder) for seed, folder in sorted(of_seed.items())] for arm, of_seed in there.items() if of_seed}
    if not runs:
        raise UserError(f"no arm has reports, since steps failed; mend what their logs in {asked.folder / 'steps'} say, and type the same command")
    pairs = [pair for pair in pairs_of(asked.plan.experiments) if set(pair) <= runs.keys()]
    config = _config(request)
    dataset = open_dataset(request.dataset, config.options)
    llm = LanguageModels(config.options, use_of_datasets(dataset), manner)
    titles = {arm: asked.definitions.arms[arm].title for arm in runs}
    return measure(runs, pairs, config, titles=titles, llm=llm, note=dataset.note)


def _write(request: Request, asked: Outline, numbers: Numbers, failed: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Every table and figure, the claims, and the record; the experiments that no arm is there for, with the reason."""
    from benchmark.experiments.aggregates import write_aggregates

    waiting = folder.with_name("tables.part")
    shutil.rmtree(waiting, ignore_errors=True)
    with writing(waiting):
        waiting.mkdir(parents=True)
        name = registry.parse_spec(request.dataset).name
        title = f"Tables and figures of the paper, made again on {name}"
        left_out = write_aggregates(asked.plan.experiments, numbers, waiting, said=_said(request, asked, numbers, failed), title=title)
        record = {
            "format": FORMAT,
            "experiments": [experiment.name for experiment in asked.plan.experiments],
            "dataset": name,
            "profile": asdict(asked.definitions.profile),
            "definitions": asked.definitions.digest,
            "seeds": request.seeds,
            "labeller": request.labeller,
            "judge": request.judge,
            "metrics": list(request.metrics),
            "draws": request.draws,
            "level": request.level,
            "measured": numbers.counts,
            "steps": _steps(asked),
            "failed": dict(failed),
            "left_out": left_out,
            "provenance": provenance(),
            "files": {str(file.relative_to(waiting)): sha256(file) for file in sorted(waiting.rglob("*")) if file.is_file()},
        }
        write_json(waiting / "run.json", record)
        shutil.rmtree(folder, ignore_errors=True)
        waiting.replace(folder)
    return left_out


def _said(request: Request, asked: Outline, numbers: Numbers, failed: Mapping[str, str]) -> str:
    """What was done, for the head of the page."""
    counts = ", ".join(f"{count:,} {what}" for what, count in numbers.counts.items())
    seeds = f"{request.seeds} trainings of each network" if request.seeds > 1 else "one training of each network"
    by = f"Lesions labelled by {_words(request.labeller)}, reports judged by {_words(request.judge)}."
    lost = f" Steps that failed, and what rests on them: {', '.join(failed)}." if failed else ""
    names = " ".join(request.experiments)
    return "\n".join(
        [
            f"Made by `python -m benchmark reproduce {names} --dataset {registry.parse_spec(request.dataset).name}`: {seeds},",
            f"profile {asked.definitions.profile.name} ({asked.definitions.profile.about}). Measured on {counts}. {by}{lost}",
            f"{numbers.note} `run.json` has every command, how long it took, versions and commit.".strip(),
        ]
    )


def _words(back_end: str) -> str:
    return "embedded rules, not by a language model" if back_end == "rules" else back_end.replace("_", " ")


def _steps(asked: Outline) -> dict[str, Any]:
    """Step -> its command, with the folder of everything called OUT, and how long it took."""
    took, out = seconds_of(asked.plan, asked.folder), str(asked.folder)
    place = registry.parse_spec(asked.plan.steps[0].words[asked.plan.steps[0].words.index("--dataset") + 1]).argument if asked.plan.steps else ""
    found = {}
    for step in asked.plan.steps:
        command = step.command.replace(out, "OUT")
        found[step.name] = {"command": command.replace(place, "PLACE") if "/" in place else command, "seconds": took.get(step.name)}
    return found


def _publish(tables: Path, folder: Path) -> None:
    """Copy the aggregates; what an earlier set left there goes, if it was one. Raises ``UserError`` for a folder of something else."""
    with writing(folder):
        if folder.exists() and any(folder.iterdir()):
            try:
                earlier = json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError(f"--publish {folder}: it is not empty and holds no earlier set (no run.json of one); name another folder") from None
            for name in (*earlier, "run.json"):
                (folder / name).unlink(missing_ok=True)
        shutil.copytree(tables, folder, dirs_exist_ok=True)


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


def _jobs(device: str) -> int:
    """Steps at a time: one per core, each on one thread, so that no number depends on how many cores there are; on a GPU one."""
    return 1 if device not in ("auto", "cpu") or _has_gpu() else cores(0)


def _has_gpu() -> bool:
    """Whether a step would find one, told without loading torch."""
    return Path("/dev/nvidia0").exists() or bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
