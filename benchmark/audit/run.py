"""``python -m benchmark audit``: a run whose models are kinds of candidates, and whose question is put to the metrics.

<folder>/  <kind>/reports.jsonl      the candidates of that kind; where it does not apply the reference itself, marked, scored and never looked at: a
                                     metric that weighs words by all references (CIDEr-D) must see the same references with every kind
           <kind>/<metric>.npz       statistics per report, so that nothing is measured, or asked of a language model, twice
           pairs.jsonl               every candidate with its reference, what was changed, and into what: to be read, and doubted
           scores.csv                the number of every candidate by every metric
           audit.md .csv .png .svg   how often the candidate without error is preferred, with intervals
           run.json                  written last: configuration, signatures, fingerprint, versions
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import registry
from benchmark.audit.candidates import IDENTICAL, VERSION, make_candidates
from benchmark.audit.errors import ERRORS, Edit
from benchmark.audit.plot import NoMatplotlib, heat_map
from benchmark.audit.ranking import ranked
from benchmark.audit.rewrites import REWRITES
from benchmark.audit.table import audit_table
from benchmark.estimates import Estimated, estimate_scores
from benchmark.evaluator import check_names, fingerprint_of, use_of_datasets, use_of_texts
from benchmark.hookspecs import Metric
from benchmark.inputs import Data, chosen, open_dataset, read
from benchmark.llm.models import LanguageModels, Manner
from benchmark.per_case import CaseNumber, case_numbers, parse_numbers, per_case
from benchmark.provenance import provenance
from benchmark.records import Case, Reference, Report, Row, RunConfig
from benchmark.runs import RunFolder, json_line, opened, write_atomically, writing
from benchmark.scoring import build_metric, measure_all
from benchmark.statistics import PatientBootstrap
from benchmark.tables.long_form import long_form
from benchmark.tables.markdown import markdown
from benchmark.tables.table import Table

NOT_MADE = {"kind": "does not apply to this report"}


@dataclass(frozen=True)
class Audit:
    """What came of it."""

    folder: Path
    data: Data
    made: dict[str, int]
    """kind -> reports to which it applies"""
    rows: list[Row]
    numbers: list[CaseNumber]
    table: Table
    pictures: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """what a reader should know besides"""
    asked: list[str] = field(default_factory=list)
    """what language models were asked, one line for each task and model"""


def reports_of_file(references: Mapping[str, str], patients: Mapping[str, str] | None = None) -> Data:
    """References given as id -> text, as a run holds them; each case is its own patient if not said otherwise."""
    cases = [Case(case_id, (patients or {}).get(case_id) or case_id, case_id, ()) for case_id in references]
    truth = [Reference(case_id, text) for case_id, text in references.items()]
    return Data("reports", cases, truth, fingerprint_of(references), "", is_private=True, names_patients=patients is not None)


def audit(
    config: RunConfig,
    out: Path,
    *,
    given: Data | None = None,
    numbers: Sequence[str] = (),
    strict: bool = False,
    manner: Manner | None = None,
    is_public: bool = False,
) -> Audit:
    """Put the metrics of ``config`` to the test on the references of its dataset, or on ``given``; run again, it goes on where it stopped.

    numbers     ``metric.number`` to look at in place of a metric's headlines
    is_public   the given texts may be sent to others

    Raises ``UserError``.
    """
    started, clock = time.time(), time.monotonic()  # the clock on the wall may be set while it runs
    check_names(config, "")
    wanted = parse_numbers(numbers, [spec.label for spec in registry.parse_specs(config.metrics)])
    data, llm = _data(config, given, strict=strict, manner=manner, is_public=is_public)
    metrics = {spec.label: build_metric(spec, config, llm) for spec in registry.parse_specs(config.metrics)}
    llm.preflight()
    references = _texts(data)
    edits = make_candidates(references, config.seed)
    reports = _reports(references, edits)
    with opened(out) as folder:
        folder.begin(_identity(config, data), data.cases, data.references, is_private=data.is_private)
        folder.unseal()
        folders = {kind: folder.model(kind) for kind in reports}
        for kind, written in reports.items():
            folders[kind].begin({"candidates": kind, "version": VERSION, "seed": config.seed}, replacing=True)
            folders[kind].rewrite(written)
        statistics = measure_all(metrics, list(references.values()), reports, config, folders, is_anew=llm.manner.refresh)
        made = {kind: np.array([not report.details for report in written]) for kind, written in reports.items()}
        looked_at, scores = _scores(metrics, statistics, made, wanted)
        rows = _rows(config, data, metrics, looked_at, scores, made)
        table = audit_table(
            rows,
            looked_at,
            {kind: int(applies.sum()) for kind, applies in made.items()},
            list(ERRORS),
            list(REWRITES),
            note=data.note,
            counts=data.counts,
            signatures={label: metric.signature() for label, metric in metrics.items()},
            level=config.level,
            draws=config.draws,
        )
        found = Audit(out, data, {kind: int(made[kind].sum()) for kind in (*ERRORS, *REWRITES)}, rows, looked_at, table, asked=list(llm.lines()))
        _write(folder, found, references, edits, scores, made)
        _seal(folder, found, config, metrics, llm, started, clock)
    return found


def estimate_audit(
    config: RunConfig, *, given: Data | None = None, strict: bool = False, manner: Manner | None = None, is_public: bool = False
) -> Estimated:
    """What the audit would ask of language models. Raises ``UserError``."""
    data = chosen(given, config) if given else read(open_dataset(config.dataset, config.options, strict=strict), config)
    references = _texts(data)
    candidates = {kind: {case_id: edit.text for case_id, edit in made.items()} for kind, made in make_candidates(references, config.seed).items()}
    return estimate_scores(references, {IDENTICAL: references, **candidates}, config, manner or Manner(None, "estimate", False), is_public=is_public)


def _data(config: RunConfig, given: Data | None, *, strict: bool, manner: Manner | None, is_public: bool) -> tuple[Data, LanguageModels]:
    if given is not None:
        return chosen(given, config), LanguageModels(config.options, use_of_texts(is_public=is_public), manner)
    dataset = open_dataset(config.dataset, config.options, strict=strict)
    return read(dataset, config), LanguageModels(config.options, use_of_datasets(dataset), manner)


def _texts(data: Data) -> dict[str, str]:
    return {reference.case_id: reference.report for reference in data.references}


def _reports(references: Mapping[str, str], edits: Mapping[str, Mapping[str, Edit]]) -> dict[str, list[Report]]:
    """Kind -> a report per case; the references themselves come first."""
    reports = {IDENTICAL: [Report(case_id, text) for case_id, text in references.items()]}
    for kind, made in edits.items():
        reports[kind] = [
            Report(case_id, made[case_id].text) if case_id in made else Report(case_id, text, details=NOT_MADE)
            for case_id, text in references.items()
        ]
    return reports


def _scores(
    metrics: Mapping[str, Metric],
    statistics: Mapping[tuple[str, str], np.ndarray],
    made: Mapping[str, np.ndarray],
    wanted: Mapping[str, Sequence[str]],
) -> tuple[list[CaseNumber], dict[str, dict[str, np.ndarray]]]:
    """The numbers that are looked at, and for each by its key: kind -> (n,) of every report, NaN where the kind does not apply."""
    numbers: list[CaseNumber] = []
    scores: dict[str, dict[str, np.ndarray]] = {}
    for label, metric in metrics.items():
        for number in case_numbers(label, metric, statistics[label, IDENTICAL].shape[1], wanted.get(label, ())):
            numbers.append(number)
            values = {kind: per_case(metric, statistics[label, kind], number.name) for kind in made}
            scores[number.key] = {kind: np.where(made[kind], of_kind, math.nan) for kind, of_kind in values.items()}
    return numbers, scores


def _rows(
    config: RunConfig,
    data: Data,
    metrics: Mapping[str, Metric],
    numbers: Sequence[CaseNumber],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    made: Mapping[str, np.ndarray],
) -> list[Row]:
    bootstrap = PatientBootstrap(data.patients, draws=config.draws, seed=config.seed, level=config.level)
    rows: list[Row] = []
    for number in numbers:
        rows += ranked(bootstrap, number, scores[number.key], made, list(ERRORS), list(REWRITES), metrics[number.metric].signature())
    return rows


def _identity(config: RunConfig, data: Data) -> dict[str, Any]:
    """What must agree for two audits to share a folder: the references and what is made of them, however they were come by. Metrics may be added."""
    return {
        "audit": VERSION,
        "dataset": config.dataset,
        "split": config.split,
        "sample": config.sample,
        "fingerprint": data.fingerprint,
        "cases": len(data.cases),
        "seed": config.seed,
    }


def _write(
    folder: RunFolder,
    found: Audit,
    references: Mapping[str, str],
    edits: Mapping[str, Mapping[str, Edit]],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    made: Mapping[str, np.ndarray],
) -> None:
    """Pairs, scores, tables and pictures; where pictures cannot be drawn, a note says why. Raises ``CannotWrite``."""
    with writing(folder.path):
        write_atomically(folder.path / "pairs.jsonl", "".join(_pairs(references, edits)))
        write_atomically(folder.path / "scores.csv", _scores_csv(list(references), found.numbers, scores, made))
        write_atomically(folder.path / "audit.md", markdown(found.table))
        write_atomically(folder.path / "audit.csv", long_form(found.rows))
        try:
            of = "" if found.data.name == "reports" else f" of {found.data.name.partition(':')[0]}"
            title = f"How often metrics score a harmless rewrite higher than an error: {len(found.data.cases):,} reports{of}"
            found.pictures.extend(heat_map(found.rows, found.numbers, list(ERRORS), folder.path, title=title))
        except NoMatplotlib as error:
            found.notes.append(str(error))


def _pairs(references: Mapping[str, str], edits: Mapping[str, Mapping[str, Edit]]) -> Iterator[str]:
    for case_id, reference in references.items():
        for kind, made in edits.items():
            if edit := made.get(case_id):
                about = {"case": case_id, "kind": kind, "is_error": kind in ERRORS, "reference": reference, "candidate": edit.text}
                yield json_line(about | {"what": edit.what, "before": edit.before, "after": edit.after, "lesions": list(edit.lesions)})


def _scores_csv(
    ids: Sequence[str], numbers: Sequence[CaseNumber], scores: Mapping[str, Mapping[str, np.ndarray]], made: Mapping[str, np.ndarray]
) -> str:
    """As the metric gives them, not turned round; empty where it has no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["case", "kind", *(number.key for number in numbers)])
    for kind, applies in made.items():
        for place in np.flatnonzero(applies):
            values = [float(scores[number.key][kind][place]) for number in numbers]
            writer.writerow([ids[int(place)], kind, *("" if math.isnan(value) else repr(value) for value in values)])
    return out.getvalue()


def _seal(
    folder: RunFolder, found: Audit, config: RunConfig, metrics: Mapping[str, Metric], llm: LanguageModels, started: float, clock: float
) -> None:
    folder.seal(
        {
            "audit": {"version": VERSION, "made": found.made, "numbers": [number.key for number in found.numbers]},
            "config": asdict(config),
            "dataset": found.data.record(),
            "signatures": {label: metric.signature() for label, metric in metrics.items()},
            "language_models": llm.record(),
            "notes": found.notes,
            "provenance": provenance(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.monotonic() - clock, 1),
        }
    )
