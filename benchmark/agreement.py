"""Labels of the same reports by two or more labellers -> how far they agree: ``python -m benchmark agreement``.

<folder>/  agreement.md .csv .tex    the numbers, with intervals
           disagreements.csv         every lesion of every case on which they differ, with the sentence: text of reports
           agreement.json            written last: checksums of what was read, command, seed, versions
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark import kappa
from benchmark.disagreements import Disagreement, disagreements, written
from benchmark.labelling.label_file import read_labels
from benchmark.provenance import provenance
from benchmark.records import Lesions, Row, UserError
from benchmark.report_files import MismatchedIds, read_patients, read_reports
from benchmark.runs import FORMAT, NoRunFolder, check_same, folder_name, opened, read_json, sha256, write_atomically, write_json, writing
from benchmark.statistics import PatientBootstrap, holm
from benchmark.tables.agreement import METRIC, Pair, agreement_table
from benchmark.tables.latex import latex
from benchmark.tables.long_form import long_form
from benchmark.tables.markdown import markdown
from benchmark.tables.table import Table
from benchmark.vocabulary import LESIONS

CONVENTIONS = "agreement|unit:case|scale:nominal|count:status|unanswered:left_out|absent_on_both:left_out|zero_division:0|macro:mean_of_lesions"
SEALED_BY = "agreement.json"
WITH_TEXT = "disagreements.csv"
OURS = {"agreement.md", "agreement.csv", "agreement.tex", WITH_TEXT, SEALED_BY, ".lock", ".gitignore"}


@dataclass(frozen=True)
class Measured:
    """The numbers, and the p-values among them after Holm's correction."""

    rows: list[Row]
    """of every pair, then of all labellers together where there are more than two"""
    adjusted: dict[tuple[str, str, str], float]
    """model, metric and value name of a direction -> p-value, corrected over all pairs and lesions"""
    pairs: list[Pair]
    together: str = ""
    """the model under which the numbers of all labellers stand; empty where they are but two"""

    def by_lesion(self) -> dict[str, float]:
        """Lesion -> kappa of two labellers, alpha of more."""
        model, name = (self.together, "krippendorff_alpha") if self.together else (self.pairs[0].model, "kappa")
        values = {row.value_name: row.value for row in self.rows if row.model == model}
        return {lesion: values[f"{lesion}.{name}"] for lesion in LESIONS}


@dataclass(frozen=True)
class Agreement:
    """What came of it."""

    folder: Path
    names: list[str]
    """of the labellers, the truth last"""
    counts: dict[str, int]
    """cases, and patients where they are named"""
    measured: Measured
    table: Table
    differing: list[Disagreement]
    """the lesion with the worst agreement first"""
    notes: list[str] = field(default_factory=list)
    """what a reader of the numbers should know besides"""


@dataclass(frozen=True)
class _Read:
    """Everything that was read, side by side."""

    ids: list[str]
    labels: dict[str, list[Lesions]]
    """labeller -> its lesions of each case, an empty tuple where it has none"""
    patients: list[str]
    texts: dict[str, str]
    """id -> report, of those that are at hand"""
    sources: dict[str, Any]
    """what was read from where, with checksums"""
    notes: list[str]


def agree(
    files: Mapping[str, Path],
    out: Path | None = None,
    *,
    truth: str = "",
    reports: Path | None = None,
    patients: Path | None = None,
    id_column: str | None = None,
    text_column: str | None = None,
    patient_column: str | None = None,
    missing: Literal["fail", "unscored"] = "fail",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 42,
    is_public: bool = False,
    command: str = "",
) -> Agreement:
    """Measure the agreement of label files, matched by id, and leave the tables in ``out``. Raises ``UserError``.

    files        labeller -> its file, see ``labelling.label_file``
    truth        the labeller whose labels count as true, if one's do: the others then have precision and recall
    reports      file of the labelled reports, so that disagreements come with their sentence
    patients     file that names the patient of each case in ``patient_column``; ``reports`` if not given
    missing      ``fail``: refuse files whose ids differ; ``unscored``: count what is missing
    is_public    the text may travel: the folder is not kept from commits and other users
    """
    started, clock = time.time(), time.monotonic()  # the clock on the wall may be set while it runs
    if patient_column and not (reports or patients):
        raise UserError(
            f"the column {patient_column!r} is to name the patients, but no file that has it was given; add --reports FILE or --patients FILE, "
            "or leave --patient-column: cases are then drawn each on its own"
        )
    names = _in_order(list(files), truth)
    given = _read(files, names, reports, patients, id_column, text_column, patient_column, missing)
    codes = {name: kappa.coded(said) for name, said in given.labels.items()}
    measured = measure(codes, given.patients, truth=truth, draws=draws, level=level, seed=seed)
    names_patients = bool(patient_column or patients)
    counts = {"cases": len(given.ids), **({"patients": len(set(given.patients))} if names_patients else {})}
    table = agreement_table(measured.rows, measured.adjusted, measured.pairs, names, measured.together, counts=counts, level=level, draws=draws)
    differing = disagreements(list(given.labels.values()), list(codes.values()), given.ids, measured.by_lesion(), given.texts)
    identity = {"labels": {name: given.sources["labels"][name]["sha256"] for name in names}, "truth": truth}
    folder = out or Path("results/runs") / folder_name(f"agreement-{'-'.join(names)}-{_digest(identity)}")
    found = Agreement(folder, names, counts, measured, table, differing, given.notes)
    settings = {"truth": truth, "missing": missing, "draws": draws, "level": level, "seed": seed}
    _write(
        found,
        {"command": command, "inputs": given.sources, "identity": identity, "settings": settings, "started": started, "clock": clock},
        is_public=is_public,
    )
    return found


def measure(
    codes: Mapping[str, np.ndarray], patients: Sequence[str], *, truth: str = "", draws: int = 1000, level: float = 0.95, seed: int = 42
) -> Measured:
    """Every number of every pair of labellers and, of more than two, of all together, with intervals by patient.

    codes       labeller -> its labels of each case, see ``kappa.coded``; the truth last
    patients    of each case
    """
    bootstrap = PatientBootstrap(patients, draws=draws, seed=seed, level=level)
    pairs = [Pair(first, second, second == truth) for first, second in combinations(codes, 2)]
    rows: list[Row] = []
    for pair in pairs:
        statistics = kappa.pair_statistics(codes[pair.first], codes[pair.second])
        p_values = {f"{lesion}.prevalence_difference": p for lesion, p in kappa.direction_p_values(statistics).items()}
        signature = f"{CONVENTIONS}|truth:{'second' if pair.has_truth else 'none'}|v1"
        rows += _rows(bootstrap, pair.model, statistics, partial(kappa.pair_values, has_truth=pair.has_truth), signature, p_values)
    tested = [row for row in rows if row.p_value is not None]
    adjusted = holm([math.nan if row.p_value is None else row.p_value for row in tested])
    together = ""
    if len(codes) > 2:
        together = ", ".join(codes)
        everyone = list(codes.values())
        for at_least, values, who in ((len(everyone), kappa.fleiss_values, "all"), (2, kappa.alpha_values, "two")):
            statistics = kappa.group_statistics(everyone, at_least=at_least)
            rows += _rows(bootstrap, together, statistics, values, f"{CONVENTIONS}|answers:{who}|v1", {})
    return Measured(rows, {(row.model, row.metric, row.value_name): p for row, p in zip(tested, adjusted, strict=True)}, pairs, together)


def _rows(bootstrap: PatientBootstrap, model: str, statistics: np.ndarray, values: Any, signature: str, p_values: Mapping[str, float]) -> list[Row]:
    scores = bootstrap.scores(statistics, values)
    return [
        Row(model, METRIC, name, *estimate, scores.scored, scores.unscored, signature, p_value=p_values.get(name))
        for name, estimate in scores.estimates.items()
    ]


def _in_order(names: list[str], truth: str) -> list[str]:
    """The labellers, the truth last. Raises ``UserError``."""
    if len(names) < 2:
        raise UserError(f"agreement is between two labellers or more, found {', '.join(names) or 'none'}; give two files: --labels a.jsonl b.jsonl")
    if truth and truth not in names:
        raise UserError(f"no labeller named {truth!r} to be the truth; known: {', '.join(names)}")
    return [name for name in names if name != truth] + ([truth] if truth else [])


def _read(
    files: Mapping[str, Path],
    names: Sequence[str],
    reports: Path | None,
    patients: Path | None,
    id_column: str | None,
    text_column: str | None,
    patient_column: str | None,
    missing: str,
) -> _Read:
    read = {name: read_labels(files[name]) for name in names}
    ids = list(dict.fromkeys(case_id for name in files for case_id in read[name].lesions))
    sources: dict[str, Any] = {"labels": {}}
    notes = []
    for name in names:
        unanswered = sum(not lesions for lesions in read[name].lesions.values())
        sources["labels"][name] = {"file": files[name].name, "sha256": read[name].sha256, "ids": len(read[name].lesions), "unanswered": unanswered}
        if unanswered:
            notes.append(f"{name} had no answer for {unanswered:,} cases; they are left out of its numbers, not read as negative")
    notes += _missing_ids({name: read[name].lesions for name in names}, ids, missing)
    texts: dict[str, str] = {}
    if reports:
        given = read_reports(reports, id_column=id_column, text_column=text_column)
        texts = given.texts
        sources["reports"] = {"file": reports.name, "sha256": given.source_sha256}
        notes += [f"{reports.name}: {warning}" for warning in given.warnings]
        if lacking := [case_id for case_id in ids if case_id not in texts]:
            notes.append(
                f"{reports.name} has no report for {len(lacking):,} of {len(ids):,} cases, the first {lacking[0]!r}; their sentences are blank"
            )
    named = _patients(ids, patients or (reports if patient_column else None), patient_column or "patient", id_column)
    if patients:
        sources["patients"] = {"file": patients.name, "sha256": sha256(patients)}
    return _Read(ids, {name: [read[name].lesions.get(case_id, ()) for case_id in ids] for name in names}, named, texts, sources, notes)


def _missing_ids(labels: Mapping[str, Mapping[str, Lesions]], ids: Sequence[str], missing: str) -> list[str]:
    """What is to be said of ids that not every file has. Raises ``MismatchedIds`` under ``fail``, and where no two files share one."""
    lacking = {name: [case_id for case_id in ids if case_id not in known] for name, known in labels.items()}
    said = [f"{name} lacks {len(cases):,} of {len(ids):,} cases (the first is {cases[0]!r})" for name, cases in lacking.items() if cases]
    for first, second in combinations(labels, 2):
        if labels[first].keys().isdisjoint(labels[second]):
            raise MismatchedIds(f"no id is in both {first} and {second}: {'; '.join(said)}; give files that label the same reports")
    if said and missing == "fail":
        raise MismatchedIds(f"the files do not label the same cases: {'; '.join(said)}; add what is missing, or count it with --missing unscored")
    return said


def _patients(ids: Sequence[str], file: Path | None, column: str, id_column: str | None) -> list[str]:
    """The patient of each case; each its own where no file names them. Raises ``UserError``."""
    if file is None:
        return list(ids)
    known = read_patients(file, column, id_column=id_column)
    if lacking := [case_id for case_id in ids if case_id not in known]:
        raise UserError(f"{file} names no patient for {len(lacking):,} of {len(ids):,} cases, the first {lacking[0]!r}; add them")
    return [known[case_id] for case_id in ids]


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:8]


def _write(found: Agreement, record: dict[str, Any], *, is_public: bool) -> None:
    """The tables, the disagreements, and last the record of what was done. Raises ``NoRunFolder``, ``OtherRun``, ``CannotWrite``."""
    texts = {
        "agreement.md": markdown(found.table),
        "agreement.csv": long_form(found.measured.rows, found.measured.adjusted),
        "agreement.tex": latex(found.table),
        WITH_TEXT: written(found.differing, found.names),
    }
    identity, started, clock = (record.pop(name) for name in ("identity", "started", "clock"))
    with writing(found.folder):
        found.folder.mkdir(parents=True, exist_ok=True)
    if others := [other.name for other in sorted(found.folder.iterdir()) if other.name.removesuffix(".part") not in OURS]:
        raise NoRunFolder(f"{found.folder} holds other things than an agreement (it has {others[0]}); choose another folder with --out")
    with opened(found.folder) as folder, writing(found.folder):
        seal = folder.path / SEALED_BY
        if seal.exists():
            check_same(read_json(seal)["identity"], identity, folder.path)
            seal.unlink()
        if is_public:
            (folder.path / ".gitignore").unlink(missing_ok=True)
        else:
            folder.path.chmod(0o700)
            (folder.path / ".gitignore").write_text("*\n")
        for name, text in texts.items():
            write_atomically(folder.path / name, text)
        if not is_public:
            (folder.path / WITH_TEXT).chmod(0o600)
        about = {
            "format": FORMAT,
            "identity": identity,
            **record,
            **found.counts,
            "disagreements": len(found.differing),
            "notes": found.notes,
            "provenance": provenance(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.monotonic() - clock, 1),
            "files": {name: sha256(folder.path / name) for name in texts},
        }
        write_json(seal, about)
