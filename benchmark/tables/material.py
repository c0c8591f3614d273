"""What every table is made of: the numbers sorted out, the heads of columns, the best of each, and the notes that stand under all.

Two numbers stand in one column only if their signatures agree. Best and second are marked only where it is known which way is better, among models
that were scored on equally many cases, by the digits that are printed: equal digits are a tie, and a tie is nobody's win.

A metric says itself how its columns are headed and which way is better (``hookspecs.Metric``); for one that does not, the titles are here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Literal, NamedTuple

from benchmark.records import ProtocolCard, Row
from benchmark.signatures import UnreadableSignature, parse, require_alike
from benchmark.tables import quoted
from benchmark.tables.cards import mark_notes, mark_of
from benchmark.tables.table import LOWER, NOT_RUN, UNDEFINED, Cell, Column, Note, Number


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
DECIMALS = {"lesions": 2, "consistency": 2}
"""As the paper prints; three for every other metric."""
BACK_ENDS = ("backend", "back_end", "judge", "annotator")
"""fields of a signature that name who stands in for a published model"""
LABELLERS = {
    "rules": "by rules, not by a language model",
    "language_model": "by a language model",
    "chexbert": "by CheXbert",
    "rules_as_chexbert": "by rules that stand in for CheXbert (its classes, no sides), not by CheXbert",
}


FEW_PATIENTS, FEW_POSITIVES = 30, 10
"""below which intervals hold clearly less than they say"""
INTERVALS = {"percentile": "percentile intervals", "bca": "BCa intervals (bias-corrected, accelerated)"}


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
    strata: tuple[Row, ...] = ()
    """numbers of parts of the cases, of single models and of pairs"""
    interval: str = ""
    """how intervals are made: percentile | bca, if known"""
    flips: int = 0
    """swaps of each paired test, 0 if it is not known"""
    cards: Mapping[str, ProtocolCard] = field(default_factory=dict)
    """model -> what it says of itself, where a model was run"""
    measured_on: str = ""
    """``dataset/split``"""
    brackets: str = ""
    """what intervals are over, in a whole sentence, where they are not of the bootstrap alone"""
    has_seeds: bool = False
    """intervals are over trainings too, and not those that were simulated for the bootstrap of patients"""

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

    def name(self, model: str) -> str:
        """The model, or the pair of models, as a table prints it: with the mark of one that has learnt from what is measured."""
        known = [model] if model in self.cards else model.split(" - ")
        return " - ".join(one + mark_of(self.cards.get(one), self.measured_on) for one in known)

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
    interval: str = "",
    flips: int = 0,
    cards: Mapping[str, ProtocolCard] | None = None,
    measured: str = "",
) -> Material:
    """Rows sorted out: single models, differences, and every model that is named anywhere."""
    pairs = {f"{first} - {second}" for first, second in permutations(dict.fromkeys((*models, *(row.model for row in rows))), 2)}
    whole = [row for row in rows if not row.stratum]
    differences = tuple(row for row in whole if row.model in pairs)
    single = tuple(row for row in whole if row.model not in pairs)
    names = tuple(dict.fromkeys((*models, *(row.model for row in single), *skipped)))
    strata = tuple(row for row in rows if row.stratum)
    return Material(single, differences, names, skipped, note, counts, level, draws, decimals, strata, interval, flips, cards or {}, measured)


def headlines(given: Material) -> list[Wanted]:
    """The numbers of each metric that it names itself, else the usual ones, else its first."""
    wanted = []
    for metric in given.metrics():
        rows = {row.value_name: row for row in given.rows if row.metric == metric}
        own = [Wanted(metric, row.value_name, titled(row)) for row in rows.values() if row.is_headline and row.title]
        name = metric.partition(":")[0]
        usual = [Wanted(metric, one.value_name, _with_argument(one.title, metric)) for one in HEADLINES if one.metric == name]
        usual = usual or [as_run(given, one) for one in QUALITY if one.metric == name and one.title in ("Total (20)", "GREEN")]
        first = next(iter(rows))
        wanted += own or usual or [Wanted(metric, first, f"{metric} {first}")]
    return wanted


def as_run(given: Material, one: Wanted) -> Wanted:
    """The number that fills a column of the paper here, under a title that says by whom: what rules say is not what a language model would."""
    metric = next(iter(given.named(one.metric)), one.metric)
    rows = {row.value_name: row for row in given.rows if row.metric == metric}
    headline = next((row.value_name for row in rows.values() if row.is_headline), one.value_name)
    value_name = next((name for name in (one.value_name, f"rules.{one.value_name}", headline) if name in rows), one.value_name)
    if value_name not in rows:
        return Wanted(metric, one.value_name, one.title)
    if rows[value_name].title:
        return Wanted(metric, value_name, titled(rows[value_name]))
    if value_name.startswith("rules."):
        return Wanted(metric, value_name, f"{one.title[:-1]}, rules)" if one.title.endswith(")") else f"{one.title} (rules)")
    if one.title == "GREEN" and (model := judge_of(rows[value_name].signature)):
        return Wanted(metric, value_name, f"GREEN({model})")
    return Wanted(metric, value_name, one.title)


def titled(row: Row) -> str:
    """The title of a number with its metric's argument, or its names where nobody gave it one."""
    return _with_argument(row.title, row.metric) if row.title else f"{row.metric} {row.value_name}"


def _with_argument(title: str, metric: str) -> str:
    """The title of one of several settings of a metric, told apart by what stands behind its colon."""
    argument = metric.partition(":")[2]
    return f"{title} ({argument})" if argument else title


class Footnotes:
    """Numbers the signatures of a table in the order in which its columns ask for them, and refuses a column with two."""

    def __init__(self, given: Material) -> None:
        self._given = given
        self._columns: dict[str, list[str]] = {}  # signature -> titles of its columns
        self._heads: dict[Wanted, Column] = {}  # a line of each pair asks for the same few
        self.has_lower = False
        """True once a column is better the lower it is"""

    def column(self, one: Wanted) -> Column:
        """The head of the column, with its direction, and the footnote of its signature if it was run. Raises ``UnlikeSignatures``."""
        if one not in self._heads:
            self._heads[one] = self._head(one)
        return self._heads[one]

    def _head(self, one: Wanted) -> Column:
        rows = [row for row in (*self._given.rows, *self._given.differences) if (row.metric, row.value_name) == (one.metric, one.value_name)]
        rows = [row for row in rows if row.model not in self._given.skipped]
        for row in rows[1:]:
            require_alike(f"{one.title} ({one.metric}.{one.value_name})", (rows[0].model, rows[0].signature), (row.model, row.signature))
        if not rows:
            return Column(one.title)
        titles = self._columns.setdefault(rows[0].signature, [])
        if one.title not in titles:
            titles.append(one.title)
        direction = direction_of(one, rows)
        self.has_lower |= direction == "lower"
        return Column(one.title, footnote=list(self._columns).index(rows[0].signature) + 1, direction=direction)

    def notes(self) -> list[Note]:
        """One per signature: in words who labelled or judged, then the signature itself."""
        return [Note(in_words(signature, titles), number, signature) for number, (signature, titles) in enumerate(self._columns.items(), start=1)]


def in_words(signature: str, titles: Sequence[str]) -> str:
    """What a reader must know of a signature before its numbers: the columns it is of, and which back end stood in for a model or a person."""
    said = ", ".join(titles)
    if any(value == "rules" and field.rpartition(".")[2] in BACK_ENDS for field, value in _fields(signature).items()):
        return f"{said}: by embedded rules, which are not the published model."
    if labeller := labeller_of(signature):
        name, *rest = labeller.split("|")
        if name == "language_model" and rest:
            return f"{said}: lesions labelled by the language model {rest[0].rpartition('/')[2]}."
        return f"{said}: lesions labelled {LABELLERS.get(name, f'by {name}')}."
    if model := judge_of(signature):
        return f"{said}: judged by {model}."
    if "fixed_in_resampling" in signature:
        return f"{said}: what it takes from the whole set of cases stays the same in every draw."
    return f"{said}:"


def _fields(signature: str) -> dict[str, str]:
    """What can be read of a signature; a foreign metric may write something else, and is still printed."""
    try:
        return parse(signature)
    except UnreadableSignature:
        return {}


def judge_of(signature: str) -> str:
    """The language model that judged, without its settings; several with commas; or nothing."""
    found = re.search(r"\|models?:(\(.*?\))\|prompt:", signature)
    return ", ".join(name.rpartition("/")[2] for name in re.findall(r"\(([^|)]+)", found[1])) if found else ""


def labeller_of(signature: str) -> str:
    """The labeller's own signature within a metric's, or nothing."""
    _, found, rest = signature.partition("labeller:(")
    return rest[: rest.rfind(")")] if found and ")" in rest else ""


def direction_of(one: Wanted, rows: Sequence[Row]) -> Literal["higher", "lower", ""]:
    """Which way a number is better: as its metric says, and where it says nothing of its looks at all, as is known of the usual numbers."""
    if any(row.title or row.direction for row in rows):
        return rows[0].direction
    return "higher" if one.metric.partition(":")[0] in {known.metric for known in (*HEADLINES, *QUALITY)} else ""


def marked(given: Material, wanted: Sequence[Wanted]) -> dict[str, list[Cell]]:
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
    """model -> 1 or 2, by printed digits. Nobody is best alone, of scores of zero, in a tie of all, or among unlike numbers of cases."""
    defined = [row for row in rows if not math.isnan(row.value)]
    direction = direction_of(one, rows)
    if not direction or len(defined) < 2 or len({row.scored for row in rows}) > 1:
        return {}
    values = {row.model: round(row.value, digits) for row in defined if direction == "lower" or round(row.value, digits) > 0}
    order = sorted(set(values.values()), reverse=direction == "higher")
    if len({round(row.value, digits) for row in defined}) < 2 or not order:
        return {}
    return {model: 1 if value == order[0] else 2 for model, value in values.items() if value in order[:2]}


def common_notes(given: Material, shown: Sequence[Row], footnotes: Footnotes, ranks: Iterable[Wanted]) -> tuple[Note, ...]:
    """What stands under every table: the data, the intervals, the marks, what is undefined or unscored, and every signature."""
    notes = [*mark_notes(given.cards, given.measured(), given.measured_on), *([Note(given.note, is_of_data=True)] if given.note else [])]
    counted = ", ".join(said_count(count, name) for name, count in given.counts.items())
    kind = INTERVALS.get(given.interval, "intervals")
    level = f"{given.level * 100:g} % {kind}" if given.level else kind
    who = drawn_of(given)
    draws = f" from {given.draws:,} bootstrap draws of {who}" if given.draws else f" by bootstrap of {who}"
    has_interval = any(not math.isnan(row.low) for row in shown)
    if shown and (counted or has_interval):
        brackets = given.brackets or f"In brackets: {level}{draws}."
        notes.append(Note(" ".join(filter(None, (f"{counted}." if counted else "", brackets if has_interval else "")))))
    if shown:
        notes += _cautions(given, shown)
    by_column = [[row for row in shown if (row.metric, row.value_name) == (one.metric, one.value_name)] for one in ranks]
    if any(_ranks(one, rows, given.digits(one.metric)) for one, rows in zip(ranks, by_column, strict=True)):
        best = f"best as printed (highest; lowest under {LOWER})" if footnotes.has_lower else "highest as printed"
        notes.append(Note(f"Bold: {best}; underlined, where the format can: second. Whether a difference is real, the paired differences say."))
    elif footnotes.has_lower:
        notes.append(Note(f"{LOWER}: the lower the better."))
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


def said_count(count: int, name: str) -> str:
    """``300 cases``, ``1 patient``."""
    return f"{count:,} {name.removesuffix('s') if count == 1 else name}"


def drawn_of(given: Material) -> str:
    """What the bootstrap draws: patients, or cases where nobody said whose they are."""
    return "cases" if given.counts and "patients" not in given.counts else "patients"


def _cautions(given: Material, shown: Sequence[Row]) -> list[Note]:
    """Where intervals hold less than they say, as simulated data show (``tests/benchmarks/interval_coverage.py``)."""
    notes = []
    who = drawn_of(given)
    scored = {row.patients for row in shown if row.patients is not None and not math.isnan(row.low)}
    few = min(scored or {given.counts.get(who, FEW_PATIENTS)})
    if 0 < few < FEW_PATIENTS:
        only = f"Only {said_count(few, who)}" if len(scored) < 2 else f"Some numbers here are of {said_count(few, who)} only"
        coverage = "" if given.has_seeds else ": of 95 % intervals, 92 in 100 hold the truth for 20 patients, 89 for 10 (simulated)"
        notes.append(Note(f"{only}{coverage}."))
    metrics = {row.metric for row in shown if row.value_name.endswith(("f1", "precision", "recall")) and row.metric.partition(":")[0] == "lesions"}
    models = set(given.measured())
    lowest: dict[str, float] = {}  # of whichever model was scored on the fewest: the order of models changes no note
    for row in given.rows:
        if row.metric in metrics and row.model in models and row.value_name.endswith(".support") and row.value > 0:
            lowest[row.value_name] = min(row.value, lowest.get(row.value_name, row.value))
    if rare := sum(support < FEW_POSITIVES for support in lowest.values()):
        notes.append(Note(f"Lesions with fewer than {FEW_POSITIVES} positive references: {rare}.{'' if given.has_seeds else _coverage(given)}"))
    return notes


def _coverage(given: Material) -> str:
    """How often intervals of rare lesions hold the truth; another kind is advised only where there is a choice."""
    alone, averaged, otherwise = (96, 93, "") if given.interval == "bca" else (92, 89, "; --interval bca: 96 and 93")
    return (
        f" Of 95 % intervals, {alone} in 100 hold the truth for the F1 of a lesion with 5, {averaged} for a macro F1 over several such lesions "
        f"(simulated{'' if given.brackets else otherwise})."
    )
