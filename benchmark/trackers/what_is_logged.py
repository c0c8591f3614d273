"""What a tracker gets of a run: for each model its settings, headline numbers and tables. Texts go along only when that is said.

Every number keeps its interval, as two numbers of their own: ``rouge_l.f1``, ``rouge_l.f1_low``, ``rouge_l.f1_high``. One that is undefined is left
out, for nothing is not zero. Places on this machine and command lines are not logged: an argument or a setting that may be one goes as a digest or
not at all, and a table or a figure that holds one is left out.

The identity of what is logged is made of what the numbers rest on, so that the same run is known again when it is logged twice, also where a page was
written beside it since.
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
from benchmark.llm.discretion import without_secrets
from benchmark.llm.routes import secrets
from benchmark.loaded_run import LoadedRun
from benchmark.places import is_place, registered_name
from benchmark.records import UserError
from benchmark.registry import UnknownName, parse_spec
from benchmark.runs import RunFolder, sha256, writing
from benchmark.vocabulary import LESIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALWAYS = ("rows.csv", "strata.csv", "cards.csv")
"""tables without a page of their own; every other file beside ``run.json`` is logged only if it is a table: ``NAME.md`` and ``NAME.csv``"""

COMMAND = "command"
"""registered name of models in programs of their own, behind whose colon is a command line"""
NAMES_MODELS = ("api",)
"""registered names behind whose colon is never a place"""
PLAIN = ("yes", "no", "true", "false", "on", "off", "none", "auto", "cpu", "cuda")
"""settings that are logged as typed, beside numbers; every other word might be a name, a place or a key"""
LONGEST_NUMBER = 12
"""a longer one may be a key"""
SHORTEST_WORD = 4
"""shorter ones stand in every text by chance: ``a.b``"""
_LOGIN = re.compile(r"(?<=//)[^/\s]*@")


class NoTracker(UserError):
    """A tracker's package is not installed."""


class TrackerRefused(UserError):
    """The tracker would not take the run; the message is its own."""


class RunMayNotTravel(UserError):
    """A run on credentialed data, or on data of unknown right, was to be logged where nobody approved it."""


class LoggedRun(NamedTuple):
    """One model's run in a tracker."""

    model: str
    where: str
    """its id or folder, for whoever looks for it"""
    is_new: bool
    """False if the tracker had it already"""
    left_out: Sequence[str] = ()
    """tables, or ``figures``, that hold a place on this machine or a command line"""


@dataclass(frozen=True)
class WhatIsLogged:
    """Of one model."""

    model: str
    name: str
    """as the tracker calls it: without what stands behind a colon, where that may be a place or is a command line"""
    title: str
    """of its run in the tracker"""
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
    left_out: Sequence[str]
    """tables, or ``figures``, that hold what may not be logged"""
    texts: Sequence[Path]
    """reports and references, only if they were asked for"""
    started: datetime
    seconds: float


def what_is_logged(run: LoadedRun, models: Sequence[str] = (), *, with_text: bool = False) -> list[WhatIsLogged]:
    """Of each model that came to the end, or of the named ones. Raises ``UnknownName``, ``EditedRun``."""
    for model in models:
        if model not in run.models:
            raise UnknownName(f"no model {model!r} came to the end in {run.path}; known: {', '.join(run.models) or 'none'}")
    unsaid = _unsaid(run)
    tables, left_out = _tables(run, unsaid)
    left_out += [] if _may_draw(run, unsaid) else ["figures"]
    identity = _identity(run)
    started = datetime.fromisoformat(run.record["started"])
    provenance = run.record.get("provenance", {})
    note = _without(unsaid, run.note)
    found = []
    for model in dict.fromkeys(models or run.models):
        name, itself = name_in_tracker(run, model), hashlib.sha256(f"{identity}\0{model}".encode()).hexdigest()[:32]
        tags = {
            "clala.id": itself,
            "clala.run": identity[:32],
            "clala.model": name,
            "clala.benchmark": str(provenance.get("benchmark", "")),
            "clala.commit": str(provenance.get("commit") or ""),
            "clala.dirty": str(provenance.get("dirty") or False).lower(),
            "clala.note": note,
        }
        texts = [RunFolder(run.path).model(model).reports_file, run.path / "references.jsonl"] if with_text else []
        found.append(
            WhatIsLogged(
                model,
                name,
                f"{name} {identity[:12] if is_private(run) else run.path.resolve().name}",
                itself,
                {key: said for key, value in _parameters(run, model).items() if (said := _without(unsaid, value))},
                _numbers(run, model),
                {key: value for key, value in tags.items() if value},
                note,
                tables,
                tuple(left_out),
                texts,
                started,
                float(run.record.get("seconds", 0.0)),
            )
        )
    return found


def is_private(run: LoadedRun) -> bool:
    """True unless somebody said that the data may travel."""
    return bool(run.record["dataset"].get("is_private", True))


def check_may_go(run: LoadedRun, host: str, where: str) -> None:
    """Raises ``RunMayNotTravel`` if anything of a run on credentialed data, or on data of unknown right, would go to a host that nobody approved.

    Numbers too: those of three patients, or of a lesion that one of them has, tell of a patient.

    host   empty or ``localhost`` for this machine
    """
    if not host:
        return
    use = DataUse(is_private(run), "a run", approved_hosts())
    try:
        use.check(host)
    except MayNotTravel as error:
        raise RunMayNotTravel(
            f"{run.path} was to be logged to {without_logins(where)}, and its data may not leave this machine or are of unknown right; nothing was "
            "logged, for numbers of few patients tell of patients too. Log it on this machine (--uri mlruns), or, if your agreement allows it, add "
            f'to benchmark.toml under [data_use]: approved = ["{host}"]'
        ) from error


def without_logins(text: str) -> str:
    """What a tracker says, without the keys of the environment and without names and passwords in addresses."""
    return _LOGIN.sub("[login]@", without_secrets(text, secrets()))


def name_in_tracker(run: LoadedRun, model: str) -> str:
    """The model's label; of one that was given none, and is called by a command line or a place, its registered name and a digest."""
    about = run.record["models"][model]
    registered = about.get("model") or ""
    is_as_typed = bool(registered) and model.startswith(f"{registered}:")
    return f"{registered}-{_digest(model)}" if is_as_typed and _is_unsaid(registered, about.get("argument") or "") else model


def keep_from_commits(run: LoadedRun, folder: Path) -> None:
    """Close a folder for git and for other users of the machine before texts come into it that may not travel."""
    if not is_private(run):
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def draw_pictures(run: LoadedRun, folder: Path) -> list[Path]:
    """The forest plots and the heat map as PNG; none where the package for pictures is not there, or what they say may not be logged."""
    if not _may_draw(run, _unsaid(run)):
        return []
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


def _tables(run: LoadedRun, unsaid: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Tables as they were sealed, and the names of those that hold what may not be logged. Raises ``EditedRun``."""
    files: Mapping[str, str] = run.record["files"]
    wanted = [name for name in files if "/" not in name and (name in ALWAYS or (name.endswith((".md", ".csv")) and f"{Path(name).stem}.md" in files))]
    found, left_out = [], []
    for name in wanted:
        file = run.path / name
        if not file.is_file():
            continue  # a table may be thrown away: it is made again from the numbers
        if sha256(file) != files[name]:
            raise EditedRun(
                f"{run.path} is to be logged, and {name} was edited since it was sealed (another checksum); delete it, or measure it anew"
            )
        if _without(unsaid, file.read_text(encoding="utf-8", errors="replace")):
            found.append(file)
        else:
            left_out.append(name)
    return found, left_out


def _parameters(run: LoadedRun, model: str) -> dict[str, str]:
    config, dataset, about = run.config, run.record["dataset"], run.record["models"][model]
    registered, argument = about.get("model") or "", about.get("argument") or ""
    said = {
        "model": registered or name_in_tracker(run, model),
        "argument": "" if registered == COMMAND else _digest(argument) if _is_unsaid(registered, argument) else argument,
        "dataset": registered_name(config.dataset) or "reports from files",
        "split": config.split if config.dataset else "",
        "fingerprint": dataset.get("fingerprint", ""),
        "cases": dataset.get("cases", ""),
        "patients": dataset.get("patients") or "",
        "labeller": registered_name(config.labeller),
        "judge": config.judge,
        "context": config.context,
        "seed": config.seed,
        "draws": config.draws,
        "level": config.level,
        "interval": config.interval,
        "limit": config.limit or "",
        "sample": config.sample or "",
        "grant": ",".join(config.grant),
        **{f"option.{name}": value for name, value in (about.get("options") or {}).items() if _is_plain(str(value))},
        **{f"signature.{_metric(metric)}": signature for metric, signature in run.signatures.items()},
    }
    return {name_of(name): str(value) for name, value in said.items() if value != ""}


def _is_unsaid(registered: str, argument: str) -> bool:
    """True for what stands behind a colon and is a command line, or may be a place; behind ``api:`` stands a model's name at its provider."""
    return registered == COMMAND or (registered not in NAMES_MODELS and is_place(argument))


def _is_plain(value: str) -> bool:
    """True for a setting that can be neither a place nor a secret: a number, or one of a few words."""
    try:
        float(value)
    except ValueError:
        return value.lower() in PLAIN
    return len(value) <= LONGEST_NUMBER


def _metric(label: str) -> str:
    """A metric's label; by a digest where what it was given may be a place."""
    spec = parse_spec(label)
    return f"{spec.name}-{_digest(label)}" if spec.label == label and is_place(spec.argument) else label


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unsaid(run: LoadedRun) -> list[str]:
    """Every word of the run's settings that may be a place, a command line or a secret, and so stands in nothing that is logged."""
    config = run.config
    words = {str(run.path.resolve())}
    for spec in (config.dataset, config.labeller, *config.metrics):
        _, _, argument = spec.partition(":")
        words |= {spec, argument} if is_place(argument) else set()
    for model, about in run.record["models"].items():
        argument = about.get("argument") or ""
        if _is_unsaid(about.get("model") or "", argument):
            words |= {argument, *([model] if ":" in model else [])}
    words |= {value for value in map(str, config.options.values()) if not _is_plain(value) and is_place(value)}
    return sorted(word for word in words if len(word) >= SHORTEST_WORD)


def _without(unsaid: Sequence[str], text: str) -> str:
    """The text, or nothing if it holds one of these, also as Markdown writes it."""
    bare = text.replace("\\", "")
    return "" if any(word in text or word.replace("\\", "") in bare for word in unsaid) else text


def _may_draw(run: LoadedRun, unsaid: Sequence[str]) -> bool:
    """True if names of models and the note, which stand in every figure, hold nothing that may not be logged."""
    return all(_without(unsaid, text) == text for text in (*run.record["models"], run.note))


def _numbers(run: LoadedRun, model: str) -> dict[str, float]:
    """Headlines, F1 of each lesion, and how many cases have a report."""
    frame = run.numbers
    frame = frame[frame["model"] == model]
    is_lesion = (frame["metric"].str.partition(":")[0] == "lesions") & frame["name"].isin([f"{lesion}.f1" for lesion in LESIONS])
    found: dict[str, float] = {}
    for line in frame[frame["is_headline"] | is_lesion].to_dict("records"):
        name = name_of(f"{_metric(line['metric'])}.{line['name']}")
        found |= {name: line["value"], f"{name}_low": line["low"], f"{name}_high": line["high"]}
    about = run.record["models"][model]
    found |= {name: float(about[name]) for name in ("reports", "failures", "empty") if about.get(name) is not None}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}
