"""What a page shows, gathered from a finished run: nothing is generated, no model is asked, and the run is left as it is.

A run folder keeps no boxes, sentences of regions and context of its cases: the dataset is opened again for them, and believed only if it is the same.
Images are those whose places the run wrote down, never files that now have the same name elsewhere. Nothing is fetched from any hub.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from benchmark import registry
from benchmark.gate.sealed import EditedRun, SealedRun, read_sealed
from benchmark.hookspecs import Metric
from benchmark.inputs import open_dataset, read
from benchmark.narrow import Narrow, Statistics
from benchmark.progress import progress
from benchmark.records import Case, ImageFile, Reference, Report, RunConfig, UserError
from benchmark.runs import DamagedRun
from benchmark.scoring import asks, build_metric, digest_of, made_of, measure_all
from benchmark.signatures import with_field
from benchmark.tables.finished import read_finished, reading
from benchmark.viewer.shown import Shown, kept_answers, labels_of


def read_back(folder: Path) -> Shown:
    """Everything that the page of a run is made of. Raises ``NoFinishedRun``, ``EditedRun``, ``DamagedRun``."""
    sealed, finished = read_sealed(folder), read_finished(folder)
    again = read_again(sealed)
    notes = [again] if isinstance(again, str) else []
    texts = list(sealed.references.values())
    cases, references = (kept_cases(folder), [*map(Reference, sealed.references, texts)]) if isinstance(again, str) else again
    with progress("read reports", len(sealed.models), unit="models") as advance:
        reports = {}
        for model in sealed.models:
            reports[model] = KeptReports(sealed.folder(model).reports_file, texts)
            advance(1)
    offline = replace(sealed, config=_fetching_nothing(sealed.config))
    metrics, statistics, left_out = _statistics(offline, reports)
    label, said = labels_of(offline.config, metrics, sealed.record["signatures"])
    notes += [*left_out, *([said] if said else [])]
    of_cases = (cases, references, reports, metrics, statistics)
    return Shown(finished, sealed.config, *of_cases, label, tuple(notes), isinstance(again, str))


def read_again(sealed: SealedRun) -> tuple[list[Case], list[Reference]] | str:
    """Cases and references with all that the dataset knows of them, or a sentence on why the page does without. A run on reports has none to open."""
    cases, references = kept_cases(sealed.path), [Reference(case, text) for case, text in sealed.references.items()]
    if not sealed.config.dataset:
        return cases, references
    try:
        return _read_again(sealed, cases, references)
    # A dataset may be anybody's plugin, and raises whatever it likes.
    except Exception as error:
        said = str(error) if isinstance(error, UserError | OSError) else f"{type(error).__name__}: {error}"
        return f"The page has no boxes, sentences of regions and context of the cases: {said.rstrip('.')}."


def kept_cases(folder: Path) -> list[Case]:
    """The cases as the run folder keeps them: who they are, and where their images lie.

    A place that does not begin at the root, as older versions wrote it, is looked for in the run folder and nowhere else: from wherever one stands,
    another file may have that name.
    """
    cases = []
    with reading(folder), (folder / "cases.jsonl").open(encoding="utf-8", errors="surrogatepass") as lines:
        for line in map(json.loads, lines):
            images = tuple(ImageFile(folder.absolute() / image["path"], image["view"], image["id"]) for image in line["images"])
            cases.append(Case(line["id"], line["patient"], line["study"], images))
    return cases


class KeptReports(Sequence[Report]):
    """The reports of a model, read from their file when they are asked for: those of a hundred thousand cases need not fit into memory."""

    def __init__(self, file: Path, references: Sequence[str]) -> None:
        """Read through once, for where each begins, what failed and what is empty, and the digest by which statistics are known.

        ``references`` are the texts of the run, one for each report. Raises ``EditedRun``, ``DamagedRun``.
        """
        self._file, count = file, len(references)
        with file.open("rb") as lines:
            self._starts = np.cumsum([0, *map(len, lines)], dtype=np.int64)
        if len(self) != count:
            raise EditedRun(f"{file} is to have a report on each of {count:,} cases, and has {len(self):,} lines; run the same command again")
        self._failures: dict[int, str] = {}
        self._is_empty = np.zeros(count, dtype=bool)
        self.digest = digest_of(self._looking(), references)
        """of what a metric sees"""

    @property
    def looked(self) -> tuple[dict[int, str], np.ndarray]:
        """Place -> why there is no report; and (n,) whether it is empty."""
        return self._failures, self._is_empty

    def _looking(self) -> Iterator[Report]:
        for place, report in enumerate(self):
            if report.failure:
                self._failures[place] = report.failure
            self._is_empty[place] = not report.failure and not report.text.strip()
            yield report

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
    config = _from_where_it_was_begun(sealed)
    data = read(open_dataset(config.dataset, config.options), config)
    if data.fingerprint != sealed.record["dataset"]["fingerprint"]:
        raise UserError("the dataset has changed since the run, its fingerprint is another")
    now, then = ([(case.id, one.report) for case, one in zip(*both, strict=True)] for both in ((data.cases, data.references), (cases, references)))
    if now != then:
        raise UserError("the dataset gives other cases than the run has")
    return [replace(case, images=kept.images) for case, kept in zip(data.cases, cases, strict=True)], data.references


def _from_where_it_was_begun(sealed: SealedRun) -> RunConfig:
    """The run's settings, with places of its dataset that are named from the folder in which it was begun, and not from where one stands now."""
    config, begun_in = sealed.config, sealed.record.get("begun_in")
    if not begun_in:
        return config
    head, colon, argument = config.dataset.partition(":")
    dataset = f"{head}{colon}{_from(begun_in, argument)}" if argument else config.dataset
    own = registry.options_of(config.options, registry.parse_spec(config.dataset).name)
    mine = {f"{registry.parse_spec(config.dataset).name}.{name}": _from(begun_in, value) for name, value in own.items()}
    return replace(config, dataset=dataset, options={**config.options, **mine})


def _from(folder: str, value: str) -> str:
    """A place as it was meant; of words that name nothing there, the words."""
    place = Path(folder, value)
    return str(place) if value and not value.startswith("~") and place.exists() else value


def _fetching_nothing(config: RunConfig) -> RunConfig:
    """The run's settings, of which none lets anything be fetched: to look at numbers costs no download."""
    return replace(config, options={name: "no" if name.endswith(".download") else value for name, value in config.options.items()})


def _statistics(sealed: SealedRun, reports: Mapping[str, KeptReports]) -> tuple[dict[str, Metric], Statistics, list[str]]:
    """Metrics, their statistics of each model, and a sentence on each that is left out: none is asked, and none computes otherwise than the run."""
    config, references = sealed.config, list(sealed.references.values())
    metrics: dict[str, Metric] = {}
    found: dict[tuple[str, str], Narrow] = {}
    notes = []
    for spec in registry.parse_specs(config.metrics):
        try:
            metric = build_metric(spec, config, kept_answers(config))
            of_models: dict[str, Any] = {
                model: sealed.folder(model).read_statistics(spec.label, made_of(metric, kept.digest)) for model, kept in reports.items()
            }
            if missing := [model for model, rows in of_models.items() if rows is None]:
                _require_measurable(sealed, spec.label, metric)
                alone = replace(config, metrics=(spec.label,))
                again = measure_all({spec.label: metric}, references, {model: list(reports[model]) for model in missing}, alone, {}, is_anew=False)
                of_models |= {model: again[spec.label, model] for model in missing}
        # A metric may be anybody's, and have changed since.
        except Exception as error:
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            notes.append(f"The page has no numbers of {spec.label} by case: {said.rstrip('.')}.")
            continue
        metrics[spec.label] = metric
        found |= {(spec.label, model): Narrow(rows) for model, rows in of_models.items()}
    return metrics, Statistics(found), notes


def _require_measurable(sealed: SealedRun, name: str, metric: Metric) -> None:
    """Raise ``UserError`` where statistics that are not at hand cannot be had as the run had them."""
    if asks(metric):
        raise UserError("its kept statistics do not fit, and a page asks no language model")
    if with_field(metric.signature(), "context", sealed.config.context) != sealed.record["signatures"].get(name):
        raise UserError("it was measured by another version of this program")
