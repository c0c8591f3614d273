"""What a page shows, gathered from a finished run: nothing is generated, no model is asked, and the run is left as it is.

A run folder keeps no boxes, sentences of regions and context of its cases: the dataset is opened again for them, and believed only if it is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from benchmark import registry
from benchmark.gate.sealed import EditedRun, SealedRun, read_sealed
from benchmark.hookspecs import Metric
from benchmark.inputs import open_dataset, read
from benchmark.progress import progress
from benchmark.records import Case, ImageFile, Reference, Report, UserError
from benchmark.runs import DamagedRun
from benchmark.scoring import asks, build_metric, digest_of, made_of, measure_all
from benchmark.signatures import with_field
from benchmark.tables.finished import read_finished
from benchmark.viewer.shown import Shown, kept_answers, labels_of


def read_back(folder: Path) -> Shown:
    """Everything that the page of a run is made of. Raises ``NoFinishedRun``, ``EditedRun``, ``DamagedRun``."""
    sealed, finished = read_sealed(folder), read_finished(folder)
    cases, references = kept_cases(folder), [Reference(case, text) for case, text in sealed.references.items()]
    notes = []
    if sealed.config.dataset:
        try:
            cases, references = _read_again(sealed, cases, references)
        except (UserError, OSError) as error:
            notes.append(f"The page has no boxes, sentences of regions and context of the cases: {str(error).rstrip('.')}.")
    reports = {model: KeptReports(sealed.folder(model).reports_file, len(cases)) for model in sealed.models}
    metrics, statistics, left_out = _statistics(sealed, reports)

    label, said = labels_of(sealed.config)
    notes += [*left_out, *([said] if said else [])]
    return Shown(finished, sealed.config, cases, references, reports, metrics, statistics, label, tuple(notes))


def kept_cases(folder: Path) -> list[Case]:
    """The cases as the run folder keeps them: who they are, and where their images lie."""
    cases = []
    with (folder / "cases.jsonl").open(encoding="utf-8", errors="surrogatepass") as lines:
        for line in map(json.loads, lines):
            images = tuple(ImageFile(Path(image["path"]), image["view"], image["id"]) for image in line["images"])
            cases.append(Case(line["id"], line["patient"], line["study"], images))
    return cases


@dataclass(frozen=True)
class _Places:
    """Where in a file each line begins, and the end of the last."""

    starts: np.ndarray

    @classmethod
    def of(cls, file: Path) -> _Places:
        with file.open("rb") as lines:
            return cls(np.cumsum([0, *map(len, lines)], dtype=np.int64))


class KeptReports(Sequence[Report]):
    """The reports of a model, read from their file when they are asked for: those of a hundred thousand cases need not fit into memory."""

    def __init__(self, file: Path, count: int) -> None:
        """``count`` is how many there are to be. Raises ``EditedRun``."""
        self._file, self._starts = file, _Places.of(file).starts
        if len(self) != count:
            raise EditedRun(f"{file} is to have a report on each of {count:,} cases, and has {len(self):,} lines; run the same command again")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[Report]:
        with self._file.open("rb") as lines:
            for number, line in enumerate(lines):
                yield self._report(line, number)

    @overload
    def __getitem__(self, place: int) -> Report: ...

    @overload
    def __getitem__(self, place: slice) -> list[Report]: ...

    def __getitem__(self, place: int | slice) -> Report | list[Report]:
        if isinstance(place, slice):
            places = range(*place.indices(len(self)))
            return [self[one] for one in places] if places.step != 1 else self._read(places.start, places.stop)
        number = range(len(self))[place]
        return self._read(number, number + 1)[0]

    def _read(self, start: int, stop: int) -> list[Report]:
        """Those from ``start`` up to ``stop``, which stand together in the file."""
        with self._file.open("rb") as lines:
            lines.seek(int(self._starts[start]))
            return [self._report(lines.read(int(self._starts[number + 1] - self._starts[number])), number) for number in range(start, stop)]

    def _report(self, line: bytes, number: int) -> Report:
        try:
            return Report(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DamagedRun(f"{self._file}, line {number + 1} is not a report ({error}); delete that line and run again") from error


def _read_again(sealed: SealedRun, cases: Sequence[Case], references: Sequence[Reference]) -> tuple[list[Case], list[Reference]]:
    """Cases and references with all that the dataset knows of them. Raises ``UserError`` if it is not what was measured."""
    data = read(open_dataset(sealed.config.dataset, sealed.config.options), sealed.config)
    if data.fingerprint != sealed.record["dataset"]["fingerprint"]:
        raise UserError("the dataset has changed since the run, its fingerprint is another")
    now, then = ([(case.id, one.report) for case, one in zip(*both, strict=True)] for both in ((data.cases, data.references), (cases, references)))
    if now != then:
        raise UserError("the dataset gives other cases than the run has")
    return data.cases, data.references


def _statistics(sealed: SealedRun, reports: Mapping[str, Sequence[Report]]) -> tuple[dict[str, Metric], dict[tuple[str, str], np.ndarray], list[str]]:
    """Metrics, their statistics of each model, and a sentence on each that is left out: none is asked, and none computes otherwise than the run."""
    config, references, digests = sealed.config, list(sealed.references.values()), dict[str, str]()
    with progress("read reports", len(reports), unit="models") as advance:
        for model, written in reports.items():
            digests[model] = digest_of(written, references)
            advance(1)
    metrics: dict[str, Metric] = {}
    found: dict[tuple[str, str], np.ndarray] = {}
    notes = []
    for spec in registry.parse_specs(config.metrics):
        try:
            metric = build_metric(spec, config, kept_answers(config))
            of_models: dict[str, Any] = {
                model: sealed.folder(model).read_statistics(spec.label, made_of(metric, digest)) for model, digest in digests.items()
            }
            if missing := [model for model, rows in of_models.items() if rows is None]:
                _require_measurable(sealed, spec.label, metric)
                alone = replace(config, metrics=(spec.label,))
                again = measure_all({spec.label: metric}, references, {model: list(reports[model]) for model in missing}, alone, {}, is_anew=False)
                of_models |= {model: again[spec.label, model] for model in missing}
        except UserError as error:
            notes.append(f"The page has no numbers of {spec.label} by case: {str(error).rstrip('.')}.")
            continue
        metrics[spec.label] = metric
        found |= {(spec.label, model): rows for model, rows in of_models.items()}
    return metrics, found, notes


def _require_measurable(sealed: SealedRun, name: str, metric: Metric) -> None:
    """Raise ``UserError`` where statistics that are not at hand cannot be had as the run had them."""
    if asks(metric):
        raise UserError("its kept statistics do not fit, and a page asks no language model")
    if with_field(metric.signature(), "context", sealed.config.context) != sealed.record["signatures"].get(name):
        raise UserError("it was measured by another version of this program")
