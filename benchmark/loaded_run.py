"""``benchmark.load_run`` for notebooks: a finished run as DataFrames and pictures.

The folder is read and left as it is. What is shown is what was sealed: a run that was edited since, that is not finished or that a newer version
wrote is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from benchmark import registry
from benchmark.gate.sealed import EditedRun, SealedRun, read_sealed
from benchmark.hookspecs import Metric
from benchmark.per_case import CaseNumber, case_numbers, parse_numbers, per_case
from benchmark.records import Row, RunConfig, UserError
from benchmark.registry import UnknownName
from benchmark.runs import sha256
from benchmark.scoring import asks, build_metric, digest_of, made_of, measure_all
from benchmark.tables.differences import differences
from benchmark.tables.finished import as_material, read_finished
from benchmark.tables.material import Material, Wanted, headlines, said_count, titled
from benchmark.tables.table import Number
from benchmark.vocabulary import LESIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NUMBERS_FILES = ("rows.csv", "strata.csv", "summary.csv")
"""what numbers are read from"""
OfLesion = Literal["f1", "precision", "recall", "specificity", "f1_sided", "omission", "hallucination"]
"""what is drawn of each lesion"""
OF_LESION = (*get_args(OfLesion), "support")
"""what is looked at of each lesion"""
SHOWN_MODELS = 20
"""lines that a notebook shows of itself; the frames have all"""


def load_run(folder: str | Path) -> LoadedRun:
    """The run of a folder. Raises ``NoFinishedRun`` for one that is unfinished or of another version, ``EditedRun`` for one that was edited."""
    path = Path(folder)
    sealed = read_sealed(path)
    digests: Mapping[str, str] = sealed.record["files"]
    for name in NUMBERS_FILES:
        if name not in digests:
            continue
        if not (path / name).is_file():
            raise EditedRun(f"{path} is to be loaded, and {name} is gone since it was sealed; run the command that made it again")
        if sha256(path / name) != digests[name]:
            raise EditedRun(f"{path} is to be loaded, and {name} was edited since it was sealed (another checksum); measure it anew")
    return LoadedRun(sealed, as_material(read_finished(path)))


class LoadedRun:
    """A finished run. Frames are made when they are first asked for and kept; each has the note of the run in ``attrs["note"]``."""

    def __init__(self, sealed: SealedRun, given: Material) -> None:
        self._sealed, self._given = sealed, given
        self.path = sealed.path
        """its folder"""

    @property
    def config(self) -> RunConfig:
        """Everything that decided the numbers."""
        return self._sealed.config

    @property
    def signatures(self) -> dict[str, str]:
        """Metric -> how it was computed; two numbers compare only if these agree."""
        return dict(self._sealed.record["signatures"])

    @property
    def note(self) -> str:
        """What must be known of the data before a number is believed: that phantoms are no patients, that rules stood in for a language model."""
        return self._given.note

    @property
    def models(self) -> list[str]:
        """Those that came to the end."""
        return self._sealed.models

    @property
    def failed(self) -> dict[str, str]:
        """Those that did not, and why."""
        return self._sealed.failed

    @property
    def record(self) -> dict[str, Any]:
        """The whole of ``run.json``: dataset, provenance, protocol cards."""
        return dict(self._sealed.record)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """A line for every number of every model over all cases, with its interval."""
        return self._frame([_said(row) for row in self._given.rows], "numbers")

    @cached_property
    def strata(self) -> pd.DataFrame:
        """The same of parts of the cases, by ``part``; headlines alone."""
        pairs = self._pairs()
        return self._frame([{"part": row.stratum, **_said(row)} for row in self._given.strata if row.model not in pairs], "strata")

    @cached_property
    def differences(self) -> pd.DataFrame:
        """A line for every pair and number: first minus second on the cases that both scored.

        ``p_holm`` is that of the run's table of differences, corrected over the headlines that it holds; NaN for every other number.
        """
        return self._differences(self._given.differences)

    @cached_property
    def strata_differences(self) -> pd.DataFrame:
        """The same of parts of the cases, by ``part``; nothing of it is corrected."""
        pairs = self._pairs()
        return self._differences([row for row in self._given.strata if row.model in pairs])

    @cached_property
    def lesions(self) -> pd.DataFrame:
        """A line for every lesion and model: F1, precision, recall ..., the ends of the interval of F1, and in how many references it is."""
        by_key = {(row.model, row.metric, row.value_name): row for row in self._given.rows}
        lines = []
        for metric in self._of_lesions():
            for lesion in LESIONS:
                for model in self.models:
                    rows = {name: by_key.get((model, metric, f"{lesion}.{name}")) for name in OF_LESION}
                    line: dict[str, Any] = {"lesion": lesion, "model": model, "metric": metric}
                    for name, row in rows.items():
                        line[name] = row.value if row else math.nan
                        if name == "f1":
                            line |= {"f1_low": row.low if row else math.nan, "f1_high": row.high if row else math.nan}
                    lines.append(line)
        return self._frame(lines, "lesions")

    @cached_property
    def reports(self) -> pd.DataFrame:
        """A line for every case and model: the text, or why there is none."""
        lines = [
            {"case": report.case_id, "patient": self._sealed.cases[report.case_id], "model": model, "text": report.text, "failure": report.failure}
            for model in self.models
            for report in self._sealed.reports(model)
        ]
        return self._frame(lines, "reports")

    @cached_property
    def references(self) -> pd.DataFrame:
        """A line for every case: what reports are measured against."""
        lines = [{"case": case, "patient": self._sealed.cases[case], "text": text} for case, text in self._sealed.references.items()]
        return self._frame(lines, "references")

    @cached_property
    def cases(self) -> pd.DataFrame:
        """A line for every case: whose it is, its study, the view and the file of its image, and how many images there are."""
        lines = []
        with (self.path / "cases.jsonl").open(encoding="utf-8", errors="surrogatepass") as file:
            for case in map(json.loads, file):
                images = case.get("images") or []
                first = images[0] if images else {}
                line = {"case": case["id"], "patient": case.get("patient", ""), "study": case.get("study", "")}
                lines.append({**line, "view": first.get("view", ""), "images": len(images), "image": first.get("path", "")})
        return self._frame(lines, "cases")

    def per_case(self, numbers: Sequence[str] | str = ()) -> pd.DataFrame:
        """A line for every case and model with the numbers of that case: those that metrics have of a single report, or the named ones.

        numbers   ``rouge_l.f1`` or several of that kind; not named, of each metric those that say something of one report

        Of statistics that the run kept. Where they are gone a metric measures again, here and now; one that would ask a language model for it is
        left out. ``attrs["left_out"]`` has the reasons, ``attrs["measured_again"]`` what was not taken from the run, ``attrs["titles"]`` the
        columns in words. Raises ``UserError`` for a number that there is not.
        """
        import pandas as pd

        names = [word.strip() for word in numbers.split(",")] if isinstance(numbers, str) else list(numbers)
        named = parse_numbers(names, list(self.config.metrics))
        frame = self.reports[["case", "patient", "model", "failure"]].copy()
        left_out, again, titles = dict[str, str](), list[str](), dict[str, str]()
        for spec in registry.parse_specs(self.config.metrics):
            label = spec.label
            if named and label not in named:
                continue
            try:
                metric = build_metric(spec, self.config)
                statistics, was_kept = self._statistics(label, metric)
            except UserError as error:
                if named:
                    raise
                left_out[label] = str(error)
                continue
            again += [] if was_kept else [label]
            try:
                chosen = self._chosen(label, metric, statistics, named.get(label, ()))
            except UserError as error:
                if named:
                    raise
                left_out[label] = str(error)
                continue
            for one in chosen:
                columns = [per_case(metric, statistics[model], one.name) for model in self.models]
                frame[one.key] = np.concatenate(columns) if columns else pd.Series(dtype=np.float64)
                titles[one.key] = one.title
        frame.attrs = {"note": self.note, "left_out": left_out, "measured_again": again, "titles": titles}
        return frame

    def plot_forest(self, number: str = "", *, width: float = 183.0) -> Figure:
        """Every model with its interval, ``width`` mm wide.

        number   ``lesions.macro_f1``, or a metric, ``rouge_l``, for its headlines; the headlines of all metrics if none is named

        Raises ``NoMatplotlib``, ``UnknownName``.
        """
        from benchmark.figures.forest import sheet_of
        from benchmark.figures.of_runs import levels
        from benchmark.figures.sheet import ready

        with ready():
            forest = levels(self._given, self._wanted(number))
            if forest is None:
                raise UserError(f"{self.path} has no model that was measured, and so nothing to draw; see .failed for the reasons")
            return sheet_of(forest, width).figure

    def plot_differences(self, number: str = "", *, against: str = "", width: float = 183.0) -> Figure:
        """Pairs of models by a number as in ``plot_forest``; if ``against`` names a model, each other one minus it.

        Raises ``NoMatplotlib``, ``UnknownName``.
        """
        from benchmark.figures.forest import sheet_of
        from benchmark.figures.of_runs import against as turned
        from benchmark.figures.of_runs import compared
        from benchmark.figures.sheet import ready

        given = self._given
        if against:
            self._check_models([against])
            given = turned(given, against)
        pairs = list(dict.fromkeys(row.model for row in given.differences))
        with ready():
            forest = compared(given, self._wanted(number), pairs if against else ())
            if forest is None or not pairs:
                raise UserError(f"{self.path} has no pair of models {f'with {against} ' if against else ''}to draw; a run of two models has one")
            return sheet_of(forest, width).figure

    def plot_lesions(self, value: OfLesion = "f1", *, width: float = 183.0) -> Figure:
        """Lesions down, models across, the darker the higher, on a scale as wide as the numbers.

        Raises ``NoMatplotlib``, ``UserError`` where lesions were not measured.
        """
        from benchmark.figures.lesion_heat import LesionHeat, sheet_of
        from benchmark.figures.sheet import ready

        if value not in get_args(OfLesion):
            raise UnknownName(f"no number {value!r} of a lesion to draw; known: {', '.join(get_args(OfLesion))}")
        frame = self.lesions
        if frame.empty:
            raise UserError(f"{self.path} was measured without lesions; run it with --metrics lesions,... to draw them")
        frame = frame[frame["metric"] == frame["metric"].iloc[0]]
        values = frame.pivot(index="lesion", columns="model", values=value).reindex(index=list(LESIONS), columns=self.models)
        is_of_absent = value in ("hallucination", "specificity")
        support = [self._references_of(lesion, frame["metric"].iloc[0], is_absent=is_of_absent) for lesion in LESIONS]
        words = {"f1": "F1", "f1_sided": "F1 with side"}.get(value, value.capitalize())
        where = f", {self._measured_on}" if self._measured_on else ""
        with ready():
            return sheet_of(
                LesionHeat(
                    f"{words} of each lesion{where}",
                    tuple(self.models),
                    LESIONS,
                    tuple(tuple(map(float, line)) for line in values.to_numpy()),
                    () if all(map(math.isnan, support)) else tuple(support),
                    value in ("omission", "hallucination"),
                    notes=tuple(filter(None, (f"Cases: references that {'lack' if is_of_absent else 'affirm'} the lesion.", self.note))),
                ),
                width,
            ).figure

    def plot_per_case(self, x: str, y: str, *, models: Sequence[str] = (), width: float = 183.0) -> Figure:
        """One number of each case against another, ``rouge_l.f1`` against ``lesions.micro_f1``: where they part, look at the report.

        Raises ``NoMatplotlib``, ``UserError`` for a number or a model that there is not.
        """
        from benchmark.figures.scatter import MOST_MODELS, Cloud, Scatter, sheet_of
        from benchmark.figures.sheet import ready

        chosen = [models] if isinstance(models, str) else list(models) or self.models
        self._check_models(chosen)
        if len(chosen) > MOST_MODELS:
            raise UserError(f"{len(chosen)} models do not fit one picture; name at most {MOST_MODELS}: plot_per_case(x, y, models=[...])")
        frame = self.per_case(list(dict.fromkeys((x, y))))
        titles = frame.attrs["titles"]
        clouds = tuple(Cloud(model, *(frame.loc[frame["model"] == model, number].to_numpy() for number in (x, y))) for model in chosen)
        where = f", {self._measured_on}" if self._measured_on else ""
        notes = ["One dot for each case that has both numbers."]
        notes += [said for model in chosen if (said := _not_drawn(frame[frame["model"] == model], titles))]
        if any(number.startswith("lesions") for number in (x, y)) and len(notes) > 1:
            notes.append("F1 of lesions is not defined where neither text has one.")
        notes += [self.note] if self.note else []
        scatter = Scatter(f"{titles[y]} and {titles[x]}, case by case{where}", titles[x], titles[y], clouds, tuple(notes))
        with ready():
            return sheet_of(scatter, width).figure

    def __repr__(self) -> str:
        lines = [f"Run of {self._said_of_data()}", f"models: {', '.join(self.models) or 'none'}", f"metrics: {', '.join(self.signatures)}"]
        lines += [f"failed: {model}: {why}" for model, why in self.failed.items()]
        return "\n".join([*lines, *([f"note: {self.note}"] if self.note else [])])

    def _repr_html_(self) -> str:
        """What was measured on what, and the headline numbers. Every text is escaped."""
        shown = self.models[:SHOWN_MODELS]
        wanted = headlines(self._given)
        heads = "".join(f'<th scope="col">{escape(one.title)}</th>' for one in wanted)
        body = "".join(
            f'<tr><th scope="row">{escape(model)}</th>{"".join(f"<td>{self._cell(model, one)}</td>" for one in wanted)}</tr>' for model in shown
        )
        failed = "".join(
            f'<tr><th scope="row">{escape(model)}</th><td colspan="{max(1, len(wanted))}">failed: {escape(why)}</td></tr>'
            for model, why in self.failed.items()
        )
        rest = f"<p>{len(self.models) - len(shown)} more models in <code>.numbers</code>.</p>" if len(self.models) > len(shown) else ""
        note = f"<p><em>{escape(self.note)}</em></p>" if self.note else ""
        return (
            f"<div><p><strong>Run of {escape(self._said_of_data())}</strong></p>{note}<table><thead><tr><th>Model</th>{heads}</tr></thead>"
            f"<tbody>{body}{failed}</tbody></table>{rest}</div>"
        )

    @property
    def _measured_on(self) -> str:
        from benchmark.figures.of_runs import said_data

        return said_data(self._given.measured_on)

    def _said_of_data(self) -> str:
        """``phantom/test, 300 cases of 176 patients``."""
        counts = " of ".join(said_count(count, name) for name, count in self._given.counts.items() if count)
        return ", ".join(filter(None, (self._measured_on or "reports from files", counts)))

    def _cell(self, model: str, one: Wanted) -> str:
        row = self._given.row(model, one.metric, one.value_name)
        if row is None:
            return "–"
        number = Number(row.value, row.low, row.high, self._given.digits(one.metric))
        return escape(f"{number.text} {number.interval}".strip())

    def _pairs(self) -> dict[str, tuple[str, str]]:
        """``A - B`` -> A and B; a name may hold the dash too."""
        return {f"{first} - {second}": (first, second) for first in self._given.models for second in self._given.models if first != second}

    def _differences(self, rows: Iterable[Row]) -> pd.DataFrame:
        pairs, corrected = self._pairs(), differences(self._given).adjusted
        lines = []
        for row in rows:
            first, second = pairs[row.model]
            said = {name: value for name, value in _said(row).items() if name != "model"}
            nothing = math.nan
            p_values = {
                "p": nothing if row.p_value is None else row.p_value,
                "p_holm": nothing if row.stratum else corrected.get((row.model, row.metric, row.value_name), nothing),
                "detectable": nothing if row.detectable is None else row.detectable,
                "margin": nothing if row.margin is None else row.margin,
                "p_first_not_worse": nothing if row.p_first_not_worse is None else row.p_first_not_worse,
                "p_second_not_worse": nothing if row.p_second_not_worse is None else row.p_second_not_worse,
            }
            place = {"part": row.stratum} if row.stratum else {}
            lines.append({**place, "first": first, "second": second, **said, **p_values})
        return self._frame(lines, "differences")

    def _frame(self, lines: Sequence[Mapping[str, Any]], what: str) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(lines) if lines else pd.DataFrame(columns=list(EMPTY[what]))
        frame.attrs["note"] = self.note
        return frame

    def _of_lesions(self) -> list[str]:
        """The metrics that count lesions."""
        return [metric for metric in self._given.metrics() if metric.partition(":")[0] == "lesions"]

    def _references_of(self, lesion: str, metric: str, *, is_absent: bool) -> float:
        """How many references affirm a lesion, or lack it; of the model with the most scored reports."""
        rows = [row for model in self.models if (row := self._given.row(model, metric, f"{lesion}.support"))]
        return max((row.scored - row.value if is_absent else row.value for row in rows), default=math.nan)

    def _statistics(self, label: str, metric: Metric) -> tuple[dict[str, np.ndarray], bool]:
        """Of a metric, model -> (n, k), and whether the run had kept all of them. Raises ``UserError`` where a language model would be asked."""
        references = [self._sealed.references[case] for case in self._sealed.cases]
        reports = {model: self._sealed.reports(model) for model in self.models}
        folders = {model: self._sealed.folder(model) for model in self.models}
        missing = [
            model for model in self.models if folders[model].read_statistics(label, made_of(metric, digest_of(reports[model], references))) is None
        ]
        if missing and asks(metric):
            raise UserError(f"{label} has no statistics of {', '.join(missing)} any more, and would ask a language model; measure the run again")
        # One process: a notebook has no guarded start, and a pool would run it once more in every worker.
        config = replace(self.config, metrics=(label,), strata=False, workers=1)
        found = measure_all({label: metric}, references, reports, config, folders, is_anew=False)
        return {model: rows for (_, model), rows in found.items()}, not missing

    def _chosen(self, label: str, metric: Metric, statistics: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[CaseNumber]:
        columns = next((rows.shape[1] for rows in statistics.values()), 0)
        return case_numbers(label, metric, columns, wanted) if columns else []

    def _wanted(self, number: str) -> list[Wanted]:
        """The numbers to draw. Raises ``UnknownName``."""
        every = headlines(self._given)
        if not number:
            return every
        if of_metric := [one for one in every if one.metric == number]:
            return of_metric
        rows = {f"{row.metric}.{row.value_name}": row for row in self._given.rows}
        if row := rows.get(number):
            return [Wanted(row.metric, row.value_name, titled(row))]
        known = ", ".join([*dict.fromkeys(one.metric for one in every), *(f"{one.metric}.{one.value_name}" for one in every)])
        raise UnknownName(f"no number {number!r} in {self.path}; its headlines: {known}; .numbers has all")

    def _check_models(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.models:
                raise UnknownName(f"no model {name!r} came to the end in {self.path}; known: {', '.join(self.models) or 'none'}")


def _not_drawn(frame: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """How many cases of a model have not all numbers, and why; empty if all have."""
    is_failed = frame["failure"] != ""
    missing = {title: (frame[number].isna() & ~is_failed).sum() for number, title in titles.items()}
    why = [f"{is_failed.sum()} without a report", *(f"{count} where {title} is not defined" for title, count in missing.items() if count)]
    why = why[0 if is_failed.any() else 1 :]
    count = int((frame[list(titles)].isna().any(axis=1) | is_failed).sum())
    return f"Not drawn of {frame['model'].iloc[0]}: {count} of {len(frame)} cases, {', '.join(why)}." if count and why else ""


def _said(row: Row) -> dict[str, Any]:
    """A number as a line of a frame."""
    return {
        "model": row.model,
        "metric": row.metric,
        "name": row.value_name,
        "title": titled(row),
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "scored": row.scored,
        "unscored": row.unscored,
        "patients": math.nan if row.patients is None else row.patients,
        "better": row.direction,
        "is_headline": row.is_headline,
        "signature": row.signature,
    }


_NUMBER = ["metric", "name", "title", "value", "low", "high", "scored", "unscored", "patients", "better", "is_headline", "signature"]
EMPTY: Mapping[str, Sequence[str]] = {
    "numbers": ["model", *_NUMBER],
    "strata": ["part", "model", *_NUMBER],
    "differences": ["first", "second", *_NUMBER, "p", "p_holm", "detectable", "margin", "p_first_not_worse", "p_second_not_worse"],
    "lesions": ["lesion", "model", "metric", "f1", "f1_low", "f1_high", *OF_LESION[1:]],
    "reports": ["case", "patient", "model", "text", "failure"],
    "references": ["case", "patient", "text"],
    "cases": ["case", "patient", "study", "view", "images", "image"],
}
"""the columns of a frame without a line"""
