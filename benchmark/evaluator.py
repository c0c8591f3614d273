"""A run, in eight steps: parse, discover, read, generate, measure, resample, tabulate, seal. And the same from reports that already exist.

``run`` is what ``python -m benchmark run`` calls; ``score_reports`` what ``score`` calls; ``score_frame`` is ``benchmark.score`` for notebooks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark import registry
from benchmark.generation import ModelFailed, generate
from benchmark.hookspecs import Dataset, Model
from benchmark.places import cache_folder
from benchmark.provenance import provenance
from benchmark.records import DEFAULT_METRICS, Case, Problem, Reference, Report, RunConfig, UserError
from benchmark.report_files import match, read_reports
from benchmark.runs import RunFolder, opened, sha256, writing
from benchmark.scoring import Scored, build_metric, score
from benchmark.tables import write_tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Data:
    """What was read in step three."""

    name: str
    cases: list[Case]
    references: list[Reference]
    fingerprint: str
    note: str
    is_credentialed: bool
    problems: list[Problem] = field(default_factory=list)
    names_patients: bool = True
    """False where nobody said whose cases these are: each is then drawn on its own"""

    @property
    def counts(self) -> dict[str, int]:
        """How much there is."""
        patients = {"patients": len({case.patient for case in self.cases})} if self.names_patients else {}
        return {"cases": len(self.cases), **patients}


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
    tables: list[Path]

    def for_tables(self) -> dict[str, Any]:
        """What the tables say of the run, beside its numbers."""
        labels = [spec.label for spec in registry.parse_specs(self.config.models)] or list(self.reports)
        return {
            "models": labels,
            "note": self.data.note,
            "skipped": self.failed,
            "counts": self.data.counts,
            "level": self.config.level,
            "draws": self.config.draws,
        }


class HeldBack:
    """The training side of a dataset, as a model may see it: every split but the one that is measured."""

    def __init__(self, dataset: Dataset, measured: str) -> None:
        self._dataset, self._measured = dataset, measured
        self.name = dataset.name

    def cases(self, split: str) -> list[Case]:
        """All cases of a split that is not being measured."""
        return self._dataset.cases(self._allowed(split))

    def references(self, split: str) -> list[Reference]:
        """Their references, in the same order."""
        return self._dataset.references(self._allowed(split))

    def fingerprint(self, split: str) -> str:
        """Digest of the split's inputs."""
        return self._dataset.fingerprint(self._allowed(split))

    def _allowed(self, split: str) -> str:
        if split == self._measured:
            raise UserError(f"a model asked for the references of the split that is being measured, {split!r}; it may learn from the others")
        return split


def run(
    config: RunConfig, out: Path, *, retry_failed: bool = False, strict: bool = False, only_generate: bool = False, training: str = ""
) -> Outcome:
    """Run the models on the dataset, measure them, and leave the tables in ``out``; run again, it goes on where it stopped.

    ``training`` names the dataset that models learn from, if it is not the one that is measured.
    Raises ``UserError`` for what the user can mend; a model that fails does not stop the others, its row says why.
    """
    started = time.time()
    known = registry.load()
    specs = registry.parse_specs(config.models)
    for spec in specs:
        known.entry("models", spec.name)
    for spec in () if only_generate else registry.parse_specs(config.metrics):
        build_metric(spec, config)  # a metric that cannot be had is told before hours of generation, not after
    dataset = open_dataset(config.dataset, config.options, strict=strict)
    learn_from = HeldBack(open_dataset(training, config.options), "") if training else HeldBack(dataset, config.split)
    data = read(dataset, config)
    with opened(out) as folder:
        folder.begin(_identity(config, data), data.cases, data.references, is_credentialed=data.is_credentialed)
        reports: dict[str, list[Report]] = {}
        failed: dict[str, str] = {}
        about: dict[str, Any] = {}
        for spec in specs:
            try:
                model = _build_model(known, spec, config, learn_from)
                about[spec.label] = _about(spec, config, model)
                folder.model(spec.label).begin(about[spec.label])
                reports[spec.label] = generate(model, data.cases, folder.model(spec.label), spec.label, retry_failed=retry_failed)
            except ModelFailed as error:
                failed[spec.label] = str(error)
            except UserError as error:
                if len(specs) == 1:
                    raise
                failed[spec.label] = str(error)
        if only_generate:
            return Outcome(out, config, data, Scored([], [], {}), reports, failed, [])
        return _finish(folder, config, data, reports, failed, about, started)


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
) -> Outcome:
    """Score reports that already exist, matched by id.

    references    id -> text
    predictions   model -> id -> text
    patients      id -> patient; each case is its own patient if not given
    missing       ``fail``: refuse predictions whose ids differ; ``unscored``: count what is missing
    failures      model -> id -> why there is no text
    sources       model -> where its reports come from, kept in ``run.json``
    out           the run folder, or None to write nothing
    """
    started = time.time()
    cases = [Case(case_id, (patients or {}).get(case_id, case_id), case_id, ()) for case_id in references]
    data = Data("files", cases, [Reference(case_id, text) for case_id, text in references.items()], _digest(references), "", False)
    data = replace(data, names_patients=patients is not None)
    reports = {}
    for model, texts in predictions.items():
        failed = (failures or {}).get(model, {})
        match(references, {**texts, **dict.fromkeys(failed, "")}, missing=missing)
        reports[model] = [
            Report(case.id, texts[case.id]) if case.id in texts else Report(case.id, failure=failed.get(case.id, "no prediction")) for case in cases
        ]
    about = {model: {"source": (sources or {}).get(model, "given in memory")} for model in predictions}
    with opened(out) if out else nullcontext(None) as folder:
        if folder is None:
            texts_of = [reference.report for reference in data.references]
            return Outcome(Path(), config, data, score([case.patient for case in cases], texts_of, reports, config), reports, {}, [])
        folder.begin(_identity(config, data), cases, data.references, is_credentialed=False)
        for model, written in reports.items():
            folder.model(model).begin(about[model])
            folder.model(model).rewrite(written)
        return _finish(folder, config, data, reports, {}, about, started)


def score_frame(
    references: Any,
    predictions: Any,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    patients: Any = None,
    labeller: str = "rules",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 42,
    missing: Literal["fail", "unscored"] = "fail",
    options: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A DataFrame with one line per model, metric and number: value, interval, cases scored and not, signature.

    references    {id: text}, a pandas Series, a list (ids are then 0, 1, ...) or the path of a file of reports
    predictions   the same, or {model: any of these} for several models, matched by id
    patients      {id: patient}, a Series or a list beside ``references``; cases of one patient are resampled together

    Raises ``UserError`` where ids do not match, a file cannot be read or a name is not known.
    """
    import pandas as pd

    texts = texts_by_id(references, "references")
    models = predictions if _is_several(predictions) else {"predictions": predictions}
    config = RunConfig((), tuple(metrics), "files", options=dict(options or {}), labeller=labeller, draws=draws, level=level, seed=seed)
    outcome = score_reports(
        texts,
        {str(model): texts_by_id(given, str(model)) for model, given in models.items()},
        config,
        None,
        patients=None if patients is None else texts_by_id(patients, "patients"),
        missing=missing,
    )
    return pd.DataFrame([asdict(row) for row in (*outcome.scored.rows, *outcome.scored.differences)])


def texts_by_id(given: Any, what: str) -> dict[str, str]:
    """{id: text} of a mapping, a Series, a list or a file. Raises ``UserError``."""
    if isinstance(given, str | Path):
        return dict(read_reports(Path(given)).texts)
    items = given.items() if isinstance(given, Mapping) or hasattr(given, "items") else enumerate(given)
    texts: dict[str, str] = {}
    for key, text in items:
        if text is None or (isinstance(text, float) and text != text):
            text = ""
        if not isinstance(text, str):
            raise UserError(f"{what}: the text of {key!r} is a {type(text).__name__}; give strings")
        if str(key) in texts:
            raise UserError(f"{what}: the id {key!r} is there twice")
        texts[str(key)] = text
    return texts


def _is_several(predictions: Any) -> bool:
    return isinstance(predictions, Mapping) and any(
        not isinstance(value, str) and value is not None and value == value for value in predictions.values()
    )


def open_dataset(words: str, options: Mapping[str, str], *, strict: bool = False) -> Dataset:
    """The dataset of ``name`` or ``name:argument`` with its settings; ``strict`` is handed to one that takes it. Raises ``UserError``."""
    specs = registry.parse_specs([words])
    if len(specs) != 1:
        raise UserError(f"{words!r} names {len(specs)} datasets; a run has one (a comma in a path must stand in quotes)")
    dataset: Dataset = registry.load().build("datasets", specs[0], available={"strict": strict}, options=registry.options_of(options, specs[0].name))
    return dataset


def read(dataset: Dataset, config: RunConfig) -> Data:
    """Cases and references in one fixed order, with a fingerprint. Raises ``UserError`` if there is none."""
    cases, references = dataset.cases(config.split), dataset.references(config.split)
    for case, reference in zip(cases, references, strict=True):
        if case.id != reference.case_id:
            raise UserError(f"dataset {config.dataset!r} pairs case {case.id!r} with the reference of {reference.case_id!r}; its reader is wrong")
    problems = dataset.problems()
    if not cases:
        kinds = ", ".join(sorted({problem.kind for problem in problems}))
        raise UserError(f"no case in split {config.split!r} of {config.dataset}" + (f" (stepped over: {kinds})" if kinds else ""))
    count = config.limit or len(cases)
    return Data(config.dataset, cases[:count], references[:count], dataset.fingerprint(config.split), dataset.note, dataset.is_credentialed, problems)


def train(
    name: str, dataset: str, out: Path | None, settings: Mapping[str, str], options: Mapping[str, str], *, seed: int, device: str, command: str
) -> Path:
    """Train a model on a dataset and return the folder of its weights. Raises ``UserError`` if it cannot be trained here."""
    entry = registry.load().entry("models", name)
    if entry.trainer is None:
        trainable = [each.name for each in registry.load().entries["models"].values() if each.trainer is not None]
        raise UserError(f"model {name!r} cannot be trained here; these can: {', '.join(trainable) or 'none'}")
    available = {
        "training": HeldBack(open_dataset(dataset, options), "test"),
        "out": out or Path("results/runs") / f"train-{name}",
        "seed": seed,
        "device": device,
        "command": command,
    }
    return Path(registry.call(entry.trainer, f"trainer {name!r}", argument="", available=available, options=settings))


def _build_model(known: registry.Registry, spec: registry.Spec, config: RunConfig, training: HeldBack) -> Model:
    available = {"training": training, "device": config.device, "seed": config.seed, "cache": cache_folder() / "models"}
    options = registry.options_of(config.options, *dict.fromkeys((spec.name, spec.label)))
    model: Model = known.build("models", spec, available=available, options=options)
    return model


def _about(spec: registry.Spec, config: RunConfig, model: Model) -> dict[str, Any]:
    """What decides a model's reports: its name and settings, and what it says of itself (checksums of weights)."""
    options = registry.options_of(config.options, *dict.fromkeys((spec.name, spec.label)))
    says: dict[str, Any] = getattr(model, "provenance", dict)()
    return {"model": spec.name, "argument": spec.argument, "options": options, "seed": config.seed, "provenance": says}


def _identity(config: RunConfig, data: Data) -> dict[str, Any]:
    """What must agree for two runs to share a folder: the data. Models and metrics may be added."""
    name = registry.parse_specs([config.dataset])[0].name if config.dataset else ""
    return {
        "dataset": config.dataset,
        "split": config.split,
        "limit": config.limit,
        "dataset_options": registry.options_of(config.options, name),
        "fingerprint": data.fingerprint,
        "cases": len(data.cases),
    }


def _finish(
    folder: RunFolder,
    config: RunConfig,
    data: Data,
    reports: dict[str, list[Report]],
    failed: dict[str, str],
    about: dict[str, Any],
    started: float,
) -> Outcome:
    """Steps five to eight: measure, resample, tabulate, seal."""
    references = [reference.report for reference in data.references]
    folders = {model: folder.model(model) for model in reports}
    scored = score([case.patient for case in data.cases], references, reports, config, folders)
    outcome = Outcome(folder.path, config, data, scored, reports, failed, [])
    with writing(folder.path):
        tables = write_tables([*scored.rows, *scored.differences], folder.path, **outcome.for_tables())
    folder.seal(
        {
            "config": asdict(config),
            "dataset": {
                "name": data.name,
                "fingerprint": data.fingerprint,
                **data.counts,
                "is_credentialed": data.is_credentialed,
                "note": data.note,
                "problems": _counted(data.problems),
            },
            "models": {model: {**about.get(model, {}), **_reports_record(folders, reports, failed, model)} for model in (*reports, *failed)},
            "signatures": scored.signatures,
            "provenance": provenance(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 1),
        }
    )
    return replace(outcome, tables=tables)


def _reports_record(folders: Mapping[str, Any], reports: Mapping[str, list[Report]], failed: Mapping[str, str], model: str) -> dict[str, Any]:
    if model in failed:
        return {"failed": failed[model]}
    written = reports[model]
    return {
        "reports": len(written),
        "failures": sum(bool(report.failure) for report in written),
        "empty": sum(not report.failure and not report.text.strip() for report in written),
        "sha256": sha256(folders[model].reports_file),
    }


def _counted(problems: Iterable[Problem]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.kind] = counts.get(problem.kind, 0) + 1
    return dict(sorted(counts.items()))


def _digest(texts: Mapping[str, str]) -> str:
    import hashlib
    import json

    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
