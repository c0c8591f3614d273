"""Which numbers stand in which table: the summary, Tables 1 and 2a in the manner of the paper, and the paired differences.

Two numbers stand in one column only if their signatures agree. Best and second are marked only among models that were scored on equally many
cases, by the digits that are printed: equal digits are a tie, and a tie is nobody's win.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from typing import Literal, NamedTuple

from benchmark.records import Row, UserError
from benchmark.statistics import holm
from benchmark.tables import quoted
from benchmark.tables.table import NOT_RUN, UNDEFINED, Block, Cell, Column, Line, Note, Number, Table, written_p
from benchmark.vocabulary import LESIONS


class Wanted(NamedTuple):
    """A number that a table has a column for."""

    metric: str
    value_name: str
    title: str


HEADLINES = (
    Wanted("lesions", "macro_f1", "Macro F1"),
    Wanted("lesions", "micro_f1", "Micro F1"),
    Wanted("meteor", "system", "METEOR"),
    Wanted("rouge_l", "f1", "ROUGE-L"),
    Wanted("bleu", "bleu_4", "BLEU-4"),
)
QUALITY_TITLES = (
    "Clinical accuracy",
    "Findings completeness",
    "Linguistic quality",
    "Report structure",
    "Total (20)",
    "METEOR",
    "ROUGE-L",
    "GREEN",
    "F1-RadGraph",
)
QUALITY = tuple(Wanted(*number, title) for number, title in zip(quoted.QUALITY.values(), QUALITY_TITLES, strict=True))
LESION_TITLES = {"precision": "P", "recall": "R", "f1": "F1"}

DECIMALS = {"lesions": 2, "consistency": 2}
"""As the paper prints; three for every other metric."""
MODELS_ABREAST = 3
"""of Table 1: nine columns with intervals are what a page holds"""
LABELLERS = {
    "rules": "by rules, not by a language model",
    "language_model": "by a language model",
    "chexbert": "by CheXbert",
}


class UnlikeSignatures(UserError):
    """Two numbers that were computed differently would stand in one column."""


@dataclass(frozen=True)
class Material:
    """Everything that tables are made of."""

    rows: tuple[Row, ...]
    """numbers of single models"""
    differences: tuple[Row, ...]
    """paired differences, model ``A - B``"""
    models: tuple[str, ...]
    """in the order of print, those without numbers included"""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """model -> why it has no numbers"""
    note: str = ""
    """of the dataset"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """what was measured: ``cases``, ``patients``"""
    level: float | None = None
    """of the intervals, if known"""
    draws: int | None = None
    """of the bootstrap, if known"""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """metric -> digits to print, where not as the paper"""

    def row(self, model: str, metric: str, value_name: str) -> Row | None:
        """The number of a model, if there is one."""
        return None if model in self.skipped else self._by_key.get((model, metric, value_name))

    def metrics(self) -> list[str]:
        """Names of the metrics that were run, in their order."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def named(self, metric: str) -> list[str]:
        """The metrics that were run under that registered name: itself, or with an argument (``rouge_l:stem``)."""
        return [run for run in self.metrics() if run.partition(":")[0] == metric]

    def digits(self, metric: str) -> int:
        """Digits to print of a metric's numbers."""
        name = metric.partition(":")[0]
        return self.decimals.get(metric, self.decimals.get(name, DECIMALS.get(name, 3)))

    def measured(self) -> list[str]:
        """Models that have numbers."""
        with_rows = {row.model for row in self.rows}
        return [model for model in self.models if model in with_rows and model not in self.skipped]

    def reason(self, model: str) -> str:
        """Why a model has no numbers."""
        return f"not scored: {self.skipped[model]}" if model in self.skipped else "not scored"

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], Row]:
        return {(row.model, row.metric, row.value_name): row for row in self.rows}


def material(
    rows: Sequence[Row],
    models: Sequence[str],
    skipped: Mapping[str, str],
    *,
    note: str,
    counts: Mapping[str, int],
    level: float | None,
    draws: int | None,
    decimals: Mapping[str, int],
) -> Material:
    """Rows sorted out: single models, differences, and every model that is named anywhere."""
    pairs = {f"{first} - {second}" for first, second in permutations(dict.fromkeys((*models, *(row.model for row in rows))), 2)}
    differences = tuple(row for row in rows if row.model in pairs)
    single = tuple(row for row in rows if row.model not in pairs)
    names = tuple(dict.fromkeys((*models, *(row.model for row in single), *skipped)))
    return Material(single, differences, names, skipped, note, counts, level, draws, decimals)


def summary(given: Material) -> Table:
    """Models by headline numbers, one of each further metric included, and how many cases were scored."""
    wanted = _headlines(given)
    footnotes = Footnotes(given)
    columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted), Column("Scored"), Column("Unscored"))
    ranked = _ranked(given, wanted)
    lines = []
    for model in given.models:
        found = [row for one in wanted if (row := given.row(model, one.metric, one.value_name))]
        if not found:
            lines.append(Line(model, reason=given.reason(model)))
            continue
        counts = (_span(row.scored for row in found), _span(row.unscored for row in found))
        lines.append(Line(model, (*ranked[model], *counts)))
    shown = tuple(row for model in given.models for one in wanted if (row := given.row(model, one.metric, one.value_name)))
    notes = _notes(given, shown, footnotes, ranks=wanted)
    return Table("summary", "Summary", "", (Block(columns, tuple(lines)),), notes, shown)


def table1(given: Material) -> Table:
    """Lesions by precision, recall and F1 of each model; the average is the mean of the rows above it."""
    metric = next(iter(given.named("lesions")), "lesions")
    footnotes = Footnotes(given)
    wanted = [[Wanted(metric, value, title) for value, title in _lesion_values(lesion)] for lesion in (*LESIONS, None)]
    ranked = [_ranked(given, line) for line in wanted]
    models = given.measured()
    positives = _positives(given, metric, models)
    blocks = []
    for part in (models[start : start + MODELS_ABREAST] for start in range(0, len(models), MODELS_ABREAST)):
        heads = [replace(footnotes.column(one), group=model) for model in part for one in wanted[0]]
        columns = (Column("Lesion", is_words=True), *([Column("Positives")] if positives else []), *heads)
        lines = []
        for place, lesion in enumerate((*LESIONS, None)):
            support = [positives[place]] if positives else []
            cells = [cell for model in part for cell in ranked[place][model]]
            lines.append(Line(lesion.capitalize() if lesion else "Average", (*support, *cells), is_summary=lesion is None))
        continued = "" if len(models) <= MODELS_ABREAST else f"Measured: {', '.join(part)}"
        blocks.append(Block(columns, tuple(lines), continued or "Measured"))
    shown = tuple(row for line in wanted for model in models for one in line if (row := given.row(model, one.metric, one.value_name)))
    notes = [*_notes(given, shown, footnotes, ranks=[one for line in wanted for one in line])]
    notes += [Note(f"{model} {given.reason(model)}") for model in given.models if model not in models]
    if models and not given.named("lesions"):
        notes.insert(0, Note(f"{NOT_RUN} not run: {metric}."))
    if positives:
        notes.insert(0, Note("Positives: cases whose reference report has the lesion. Average: mean over the lesions that occur."))
    quoted_block, quoted_note, quoted_numbers = _quoted_lesions()
    title = "Lesions: precision (P), recall (R) and F1"
    return Table("table1", title, "Table 1", (*blocks, quoted_block), (*notes, quoted_note), (*shown, *quoted_numbers))


def table2a(given: Material) -> Table:
    """Models by judged and computed quality of the report, in the columns of the paper."""
    wanted = [_as_run(given, one) for one in QUALITY]
    footnotes = Footnotes(given)
    columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted))
    ranked = _ranked(given, wanted)
    measured = set(given.measured())
    lines = tuple(Line(model, tuple(ranked[model])) if model in measured else Line(model, reason=given.reason(model)) for model in given.models)
    shown = tuple(row for model in given.models for one in wanted if (row := given.row(model, one.metric, one.value_name)))
    notes = [*_notes(given, shown, footnotes, ranks=wanted)]
    if missing := [one.title for one in wanted if not any(given.row(model, one.metric, one.value_name) for model in measured)]:
        notes.insert(0, Note(f"{NOT_RUN} not run: {', '.join(missing)}."))
    quoted_block, quoted_note, quoted_numbers = _quoted_quality()
    blocks = (Block(columns, lines, "Measured"), quoted_block)
    return Table("table2a", "Quality of the reports", "Table 2a", blocks, (*notes, quoted_note), (*shown, *quoted_numbers))


def differences(given: Material) -> Table:
    """Pairs of models by headline numbers: difference on the cases that both scored, interval, p-value, and Holm's over the table."""
    wanted = _headlines(given)
    footnotes = Footnotes(given)
    heads = {one: footnotes.column(one) for one in wanted}
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    pairs = dict.fromkeys(row.model for row in given.differences)
    tested = [(row, one) for pair in pairs for one in wanted if (row := by_key.get((pair, one.metric, one.value_name)))]
    adjusted = holm([math.nan if row.p_value is None else row.p_value for row, _ in tested])
    columns = (
        Column("Models", is_words=True),
        Column("Number", is_words=True),
        Column("Difference"),
        Column("p"),
        Column("p (Holm)"),
        Column("Cases"),
    )
    lines, above = [], ""
    for (row, one), p_holm in zip(tested, adjusted, strict=True):
        difference = Number(row.value, row.low, row.high, 3, is_signed=True)
        label, above = ("" if row.model == above else row.model), row.model
        lines.append(Line(label, (one.title + heads[one].mark, difference, written_p(row.p_value), written_p(p_holm), str(row.scored))))
    family = sum(not math.isnan(p) for p in adjusted)
    notes = [
        Note("Difference: first model minus second, on the cases that both scored, with the same resampled patients for both."),
        Note(
            f"p: two-sided, the two models' reports swapped at random by patient; Holm's correction is over the {family} differences of this table."
        ),
        *_notes(given, tuple(row for row, _ in tested), footnotes, ranks=()),
    ]
    keys = [(row.model, row.metric, row.value_name) for row, _ in tested]
    return Table(
        "differences",
        "Paired differences between models",
        "",
        (Block(columns, tuple(lines)),),
        tuple(notes),
        given.differences,
        dict(zip(keys, adjusted, strict=True)),
    )


class Footnotes:
    """Numbers the signatures of a table in the order in which its columns ask for them, and refuses a column with two."""

    def __init__(self, given: Material) -> None:
        self._given = given
        self._columns: dict[str, list[str]] = {}  # signature -> titles of its columns

    def column(self, one: Wanted) -> Column:
        """The head of the column, with the footnote of its signature if it was run. Raises ``UnlikeSignatures``."""
        rows = [row for row in (*self._given.rows, *self._given.differences) if (row.metric, row.value_name) == (one.metric, one.value_name)]
        rows = [row for row in rows if row.model not in self._given.skipped]
        for row in rows[1:]:
            if row.signature != rows[0].signature:
                raise UnlikeSignatures(_refusal(one, rows[0], row))
        if not rows:
            return Column(one.title)
        titles = self._columns.setdefault(rows[0].signature, [])
        if one.title not in titles:
            titles.append(one.title)
        return Column(one.title, footnote=list(self._columns).index(rows[0].signature) + 1)

    def notes(self) -> list[Note]:
        """One per signature: in words who labelled or judged, then the signature itself."""
        return [Note(in_words(signature, titles), number, signature) for number, (signature, titles) in enumerate(self._columns.items(), start=1)]


def in_words(signature: str, titles: Sequence[str]) -> str:
    """What a reader must know of a signature before its numbers: the columns it is of, and which back end stood in for a model or a person."""
    said = ", ".join(titles)
    if labeller := labeller_of(signature):
        name, *rest = labeller.split("|")
        if name == "language_model" and rest:
            return f"{said}: lesions labelled by the language model {rest[0].rpartition('/')[2]}."
        return f"{said}: lesions labelled {LABELLERS.get(name, f'by {name}')}."
    fields = dict(field.split(":", 1) for field in signature.split("|") if ":" in field)
    if any(fields.get(name) == "rules" for name in ("backend", "back_end", "judge", "annotator")):
        return f"{said}: by embedded rules, which are not the published model."
    if model := judge_of(signature):
        return f"{said}: judged by {model}."
    return f"{said}:"


def judge_of(signature: str) -> str:
    """The language model that judged, without its settings; several with commas; or nothing."""
    found = re.search(r"\|models?:(\(.*?\))\|prompt:", signature)
    return ", ".join(name.rpartition("/")[2] for name in re.findall(r"\(([^|)]+)", found[1])) if found else ""


def labeller_of(signature: str) -> str:
    """The labeller's own signature within a metric's, or nothing."""
    _, found, rest = signature.partition("labeller:(")
    return rest[: rest.rfind(")")] if found and ")" in rest else ""


def _refusal(one: Wanted, first: Row, second: Row) -> str:
    ours, theirs = (dict.fromkeys(row.signature.replace("(", "|").replace(")", "|").split("|")) for row in (first, second))
    only_ours, only_theirs = ([part for part in side if part and part not in other] for side, other in ((ours, theirs), (theirs, ours)))
    return (
        f"{one.title} ({one.metric}.{one.value_name}) of {first.model} and of {second.model} would stand in one column, "
        f"but were computed differently: {'|'.join(only_ours) or '(nothing more)'} against {'|'.join(only_theirs) or '(nothing more)'}; "
        "score both with the same settings"
    )


def _headlines(given: Material) -> list[Wanted]:
    """The usual numbers of the metrics that were run, and the first number of every metric that has no usual one."""
    wanted = [
        Wanted(metric, one.value_name, one.title if ":" not in metric else f"{one.title} ({metric.partition(':')[2]})")
        for one in HEADLINES
        for metric in given.named(one.metric)
    ]
    wanted += [_as_run(given, one) for one in QUALITY if one.title in ("Total (20)", "GREEN") and given.named(one.metric)]
    known = {one.metric for one in wanted}
    for row in given.rows:
        if row.metric not in known:
            known.add(row.metric)
            wanted.append(Wanted(row.metric, row.value_name, f"{row.metric} {row.value_name}"))
    return wanted


def _as_run(given: Material, one: Wanted) -> Wanted:
    """The number that fills a column of the paper here, under a title that says by whom: what rules say is not what a language model would."""
    metric = next(iter(given.named(one.metric)), one.metric)
    rows = [row for row in given.rows if row.metric == metric]
    if any(row.value_name == f"rules.{one.value_name}" for row in rows):
        return Wanted(metric, f"rules.{one.value_name}", f"{one.title[:-1]}, rules)" if one.title.endswith(")") else f"{one.title} (rules)")
    if rows and one.title == "GREEN" and (model := judge_of(rows[0].signature)):
        return Wanted(metric, one.value_name, f"GREEN({model})")
    return Wanted(metric, one.value_name, one.title)


def _lesion_values(lesion: str | None) -> list[tuple[str, str]]:
    return [(f"{lesion}.{name}" if lesion else f"macro_{name}", title) for name, title in LESION_TITLES.items()]


def _positives(given: Material, metric: str, models: Sequence[str]) -> list[str]:
    """Reference positives of each lesion and, for the average row, nothing; empty if the models were not scored on the same cases."""
    found = []
    for lesion in LESIONS:
        values = {row.value if (row := given.row(model, metric, f"{lesion}.support")) else None for model in models}
        if len(values) != 1 or None in values:
            return []
        (value,) = values
        found.append(f"{value:.0f}")
    return [*found, ""]


def _ranked(given: Material, wanted: Sequence[Wanted]) -> dict[str, list[Cell]]:
    """model -> its cells, best and second of each column marked where that can be said."""
    cells: dict[str, list[Cell]] = {model: [] for model in given.models}
    for one in wanted:
        rows = {model: given.row(model, one.metric, one.value_name) for model in given.models}
        digits = given.digits(one.metric)
        ranks = _ranks(one, [row for row in rows.values() if row], digits)
        for model, row in rows.items():
            cells[model].append(NOT_RUN if row is None else Number(row.value, row.low, row.high, digits, rank=ranks.get(model, 0)))
    return cells


def _ranks(one: Wanted, rows: Sequence[Row], digits: int) -> dict[str, Literal[1, 2]]:
    """model -> 1 or 2, by printed digits. Nobody is best alone, of zeros, in a tie of all, or among unlike numbers of cases."""
    defined = [row for row in rows if not math.isnan(row.value)]
    if not _is_known(one) or len(defined) < 2 or len({row.scored for row in rows}) > 1:
        return {}
    values = {row.model: round(row.value, digits) for row in defined}
    order = sorted(set(values.values()), reverse=True)
    if len(order) < 2 or order[0] <= 0:
        return {}
    return {model: 1 if value == order[0] else 2 for model, value in values.items() if value in order[:2] and value > 0}


def _is_known(one: Wanted) -> bool:
    """Whether higher is known to be better."""
    return one.metric.partition(":")[0] in {known.metric for known in (*HEADLINES, *QUALITY)}


def _notes(given: Material, shown: Sequence[Row], footnotes: Footnotes, ranks: Iterable[Wanted]) -> tuple[Note, ...]:
    """What stands under every table: the data, the intervals, the marks, what is undefined or unscored, and every signature."""
    notes = [Note(given.note)] if given.note else []
    counted = ", ".join(f"{count:,} {name}" for name, count in given.counts.items())
    level = f"{given.level * 100:g} % intervals" if given.level else "intervals"
    draws = f" from {given.draws:,} bootstrap draws of patients" if given.draws else " by bootstrap of patients"
    if shown:
        notes.append(Note((f"{counted}. " if counted else "") + f"In brackets: {level}{draws}."))
    by_column = [[row for row in shown if (row.metric, row.value_name) == (one.metric, one.value_name)] for one in ranks]
    if any(_ranks(one, rows, given.digits(one.metric)) for one, rows in zip(ranks, by_column, strict=True)):
        notes.append(
            Note("Bold: highest as printed; underlined, where the format can: second. Whether a difference is real, the paired differences say.")
        )
    if any(len({row.scored for row in rows}) > 1 for rows in by_column):
        notes.append(
            Note("No best is marked where models were scored on unlike numbers of cases; the paired differences are over those that both scored.")
        )
    if any(row.low == row.high and row.p_value is None for row in shown):
        notes.append(Note("An interval without width, as [1.00, 1.00], means that every draw agreed: too few errors or hits to tell, not certainty."))
    unscored = {row.model: row.unscored for row in sorted(shown, key=lambda row: row.unscored) if row.unscored}
    if unscored:
        notes.append(
            Note(
                "Unscored cases (no report, or no answer by the metric): "
                + ", ".join(f"{model} {count:,}" for model, count in unscored.items())
                + "."
            )
        )
    if any(math.isnan(row.value) for row in shown):
        notes.append(Note(f"{UNDEFINED}: nothing to count (a lesion that neither references nor reports have, or no case scored)."))
    return (*notes, *footnotes.notes())


def _quoted_lesions() -> tuple[Block, Note, list[Row]]:
    rows = quoted.quoted_rows("table1")
    by_key = {(row.model, row.value_name): quoted.printed(row) for row in rows}
    models = list(dict.fromkeys(row.model for row in rows))
    lines = [
        Line(
            lesion.capitalize() if lesion else "Average",
            tuple(" / ".join(by_key[model, value] for value, _ in _lesion_values(lesion)) for model in models),
            is_summary=lesion is None,
        )
        for lesion in (*LESIONS, None)
    ]
    return _quoted_block("Lesion", [f"{model}†" for model in models], lines), _quoted_note("table1", "Cells: P / R / F1."), rows


def _quoted_quality() -> tuple[Block, Note, list[Row]]:
    rows = quoted.quoted_rows("table2a")
    models = dict.fromkeys(row.model for row in rows)
    lines = [Line(f"{model}†", tuple(quoted.printed(row) for row in rows if row.model == model)) for model in models]
    said = "Which METEOR, ROUGE-L, GREEN and F1-RadGraph were used is not printed."
    return _quoted_block("Model", QUALITY_TITLES, lines), _quoted_note("table2a", said), rows


def _quoted_block(label: str, titles: Iterable[str], lines: Iterable[Line]) -> Block:
    columns = (Column(label, is_words=True), *(Column(title) for title in titles))
    return Block(columns, tuple(lines), quoted.block_title(), is_quoted=True)


def _quoted_note(table: str, said: str) -> Note:
    return Note(f"† {quoted.citation(table)}. {said}")


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}–{found[-1]:,}"


LAYOUTS: tuple[Callable[[Material], Table], ...] = (summary, table1, table2a)
