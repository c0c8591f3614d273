"""What a tracker gets of a run: for each model its settings, headline numbers and tables. Texts go along only when that is said.

Every number keeps its interval, as two numbers of their own: ``rouge_l.f1``, ``rouge_l.f1_low``, ``rouge_l.f1_high``. One that is undefined is left
out, for nothing is not zero. The identity of what is logged is made of what the numbers rest on, so that the same run is known again when it is
logged twice, also where a page was written beside it since.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.figures import NoMatplotlib
from benchmark.gate.sealed import EditedRun
from benchmark.llm.data_use import DataUse, MayNotTravel, approved_hosts
from benchmark.loaded_run import LoadedRun
from benchmark.records import UserError
from benchmark.registry import UnknownName
from benchmark.runs import folder_name, sha256, writing
from benchmark.vocabulary import LESIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALWAYS = ("rows.csv", "strata.csv", "cards.csv")
"""tables without a page of their own; every other file beside ``run.json`` is logged only if it is a table: ``NAME.md`` and ``NAME.csv``"""


class NoTracker(UserError):
    """A tracker's package is not installed."""


class TrackerRefused(UserError):
    """The tracker would not take the run; the message is its own."""


class TextMayNotTravel(UserError):
    """Texts of credentialed data were to be logged where nobody approved it."""


class LoggedRun(NamedTuple):
    """One model's run in a tracker."""

    model: str
    where: str
    """its id or folder, for whoever looks for it"""
    is_new: bool
    """False if the tracker had it already"""


@dataclass(frozen=True)
class WhatIsLogged:
    """Of one model."""

    model: str
    id: str
    """the same for the same model of the same run"""
    parameters: Mapping[str, str]
    """what decided the numbers"""
    numbers: Mapping[str, float]
    """all of them finite"""
    tags: Mapping[str, str]
    """what must be known beside them"""
    note: str
    """of the data; empty if there is none"""
    tables: Sequence[Path]
    texts: Sequence[Path]
    """reports and references, only if they were asked for"""
    started: datetime
    seconds: float


def what_is_logged(run: LoadedRun, models: Sequence[str] = (), *, with_text: bool = False) -> list[WhatIsLogged]:
    """Of each model that came to the end, or of the named ones. Raises ``UnknownName``, ``EditedRun``."""
    for model in models:
        if model not in run.models:
            raise UnknownName(f"no model {model!r} came to the end in {run.path}; known: {', '.join(run.models) or 'none'}")
    tables = _tables(run)
    identity = _identity(run)
    started = datetime.fromisoformat(run.record["started"])
    provenance = run.record.get("provenance", {})
    found = []
    for model in dict.fromkeys(models or run.models):
        tags = {
            "clala.id": hashlib.sha256(f"{identity}\0{model}".encode()).hexdigest()[:32],
            "clala.run": identity[:32],
            "clala.model": model,
            "clala.benchmark": str(provenance.get("benchmark", "")),
            "clala.commit": str(provenance.get("commit") or ""),
            "clala.dirty": str(provenance.get("dirty") or False).lower(),
            "clala.note": run.note,
        }
        texts = [run.path / folder_name(model) / "reports.jsonl", run.path / "references.jsonl"] if with_text else []
        numbers = _numbers(run, model)
        about = (_parameters(run, model), numbers, {name: value for name, value in tags.items() if value}, run.note)
        found.append(WhatIsLogged(model, tags["clala.id"], *about, tables, texts, started, float(run.record.get("seconds", 0.0))))
    return found


def check_text_may_go(run: LoadedRun, host: str, where: str) -> None:
    """Raises ``TextMayNotTravel`` if texts of credentialed data, or of unknown right, would go to a host that nobody approved.

    host   empty or ``localhost`` for this machine
    """
    if not host:
        return
    dataset = run.record["dataset"]
    use = DataUse(bool(dataset.get("is_private", True)), f"the text of {dataset.get('name') or run.path}", approved_hosts())
    try:
        use.check(host)
    except MayNotTravel as error:
        raise TextMayNotTravel(
            f"reports and references of {run.path} were to be logged to {where} (--with-text), and their text may not leave this machine or is of "
            f"unknown right; nothing was logged. Leave --with-text out, or, if your agreement allows it, add to benchmark.toml under [data_use]: "
            f'approved = ["{host}"]'
        ) from error


def keep_from_commits(run: LoadedRun, folder: Path) -> None:
    """Close a folder for git and for other users of the machine before texts come into it that may not travel."""
    if not run.record["dataset"].get("is_private", True):
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def draw_pictures(run: LoadedRun, folder: Path) -> list[Path]:
    """The forest plots and the heat map as PNG; none where the package for pictures is not there."""
    plots: dict[str, Callable[[], Figure]] = {"summary": run.plot_forest} if run.models else {}
    plots |= {} if run.differences.empty else {"differences": run.plot_differences}
    plots |= {} if run.lesions.empty else {"lesions": run.plot_lesions}
    files = []
    for name, plot in plots.items():
        try:
            figure = plot()
        except NoMatplotlib:
            return []
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=200, metadata={"Software": None})
    return files


def name_of(number: str) -> str:
    """A number's name as every tracker takes it; unlike numbers have unlike names."""
    name = number.replace(" ", "_")
    plain = re.sub(r"[^A-Za-z0-9_.:-]+", "-", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(number.encode()).hexdigest()[:8]}"


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """The process with these variables, and as it was afterwards; trackers are told what they may do by no other way."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _identity(run: LoadedRun) -> str:
    """A digest of what the numbers rest on: the seal of reports, references and numbers, and how they were measured."""
    files: Mapping[str, str] = run.record["files"]
    sealed = {
        name: digest for name, digest in files.items() if name.rpartition("/")[2] in ("reports.jsonl", "references.jsonl", "cases.jsonl", "rows.csv")
    }
    told = {"files": sealed, "config": run.record["config"], "signatures": run.signatures, "started": run.record["started"]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _tables(run: LoadedRun) -> list[Path]:
    """Tables as they were sealed. Raises ``EditedRun``."""
    files: Mapping[str, str] = run.record["files"]
    wanted = [name for name in files if "/" not in name and (name in ALWAYS or (name.endswith((".md", ".csv")) and f"{Path(name).stem}.md" in files))]
    found = []
    for name in wanted:
        file = run.path / name
        if not file.is_file():
            continue  # a table may be thrown away: it is made again from the numbers
        if sha256(file) != files[name]:
            raise EditedRun(
                f"{run.path} is to be logged, and {name} was edited since it was sealed (another checksum); delete it, or measure it anew"
            )
        found.append(file)
    return found


def _parameters(run: LoadedRun, model: str) -> dict[str, str]:
    config, dataset, about = run.config, run.record["dataset"], run.record["models"][model]
    said = {
        "model": about.get("model") or model,
        "argument": about.get("argument", ""),
        "dataset": config.dataset or "reports from files",
        "split": config.split if config.dataset else "",
        "fingerprint": dataset.get("fingerprint", ""),
        "cases": dataset.get("cases", ""),
        "patients": dataset.get("patients") or "",
        "labeller": config.labeller,
        "judge": config.judge,
        "context": config.context,
        "seed": config.seed,
        "draws": config.draws,
        "level": config.level,
        "interval": config.interval,
        "limit": config.limit or "",
        "sample": config.sample or "",
        "grant": ",".join(config.grant),
        **{f"option.{name}": value for name, value in (about.get("options") or {}).items()},
        **{f"signature.{metric}": signature for metric, signature in run.signatures.items()},
    }
    return {name_of(name): str(value) for name, value in said.items() if value != ""}


def _numbers(run: LoadedRun, model: str) -> dict[str, float]:
    """Headlines, F1 of each lesion, and how many cases have a report."""
    frame = run.numbers
    frame = frame[frame["model"] == model]
    is_lesion = (frame["metric"].str.partition(":")[0] == "lesions") & frame["name"].isin([f"{lesion}.f1" for lesion in LESIONS])
    found: dict[str, float] = {}
    for line in frame[frame["is_headline"] | is_lesion].to_dict("records"):
        name = name_of(f"{line['metric']}.{line['name']}")
        found |= {name: line["value"], f"{name}_low": line["low"], f"{name}_high": line["high"]}
    about = run.record["models"][model]
    found |= {name: float(about[name]) for name in ("reports", "failures", "empty") if about.get(name) is not None}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}
