"""Which numbers stand in which table: the summary, and Tables 1 and 2a in the manner of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmark.records import Row
from benchmark.tables import quoted
from benchmark.tables.apart import differs
from benchmark.tables.cards import card_notes
from benchmark.tables.material import QUALITY, QUALITY_TITLES, Footnotes, Material, Wanted, as_run, common_notes, headlines, marked
from benchmark.tables.printed import read_printed
from benchmark.tables.table import NOT_RUN, Block, Column, Line, Note, Table
from benchmark.vocabulary import LESIONS

LESION_TITLES = {"precision": "P", "recall": "R", "f1": "F1"}
MODELS_ABREAST = 3
"""of Table 1: nine columns with intervals are what a page holds"""


def summary(given: Material) -> Table:
    """Models by headline numbers, one of each further metric included, and how many cases were scored."""
    wanted = headlines(given)
    footnotes = Footnotes(given)
    columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted), Column("Scored"), Column("Unscored"))
    ranked = marked(given, wanted)
    lines = []
    for model in given.models:
        found = [row for one in wanted if (row := given.row(model, one.metric, one.value_name))]
        if not found:
            lines.append(Line(given.name(model), reason=given.reason(model)))
            continue
        counts = (_span(row.scored for row in found), _span(row.unscored for row in found))
        lines.append(Line(given.name(model), (*ranked[model], *counts)))
    shown = tuple(row for model in given.models for one in wanted if (row := given.row(model, one.metric, one.value_name)))
    notes = (*common_notes(given, shown, footnotes, ranks=wanted), *_cards(given))
    return Table("summary", "Summary", "", (Block(columns, tuple(lines)),), notes, shown)


def table1(given: Material) -> Table:
    """Lesions by precision, recall and F1 of each model; the average is the mean of the rows above it."""
    metric = next(iter(given.named("lesions")), "lesions")
    footnotes = Footnotes(given)
    wanted = [[Wanted(metric, value, title) for value, title in _lesion_values(lesion)] for lesion in (*LESIONS, None)]
    ranked = [marked(given, line) for line in wanted]
    models = given.measured()
    positives = _positives(given, metric, models)
    blocks = []
    for part in (models[start : start + MODELS_ABREAST] for start in range(0, len(models), MODELS_ABREAST)):
        heads = [replace(footnotes.column(one), group=given.name(model)) for model in part for one in wanted[0]]
        columns = (Column("Lesion", is_words=True), *([Column("Positives")] if positives else []), *heads)
        lines = []
        for place, lesion in enumerate((*LESIONS, None)):
            support = [positives[place]] if positives else []
            cells = [cell for model in part for cell in ranked[place][model]]
            lines.append(Line(lesion.capitalize() if lesion else "Average", (*support, *cells), is_summary=lesion is None))
        continued = "" if len(models) <= MODELS_ABREAST else f"Measured: {', '.join(map(given.name, part))}"
        blocks.append(Block(columns, tuple(lines), continued or "Measured"))
    shown = tuple(row for line in wanted for model in models for one in line if (row := given.row(model, one.metric, one.value_name)))
    notes = [*common_notes(given, shown, footnotes, ranks=[one for line in wanted for one in line])]
    notes += [*_cards(given), *(Note(f"{model} {given.reason(model)}") for model in given.models if model not in models)]
    if models and not given.named("lesions"):
        notes.insert(0, Note(f"{NOT_RUN} not run: {metric}."))
    if positives:
        notes.insert(0, Note("Positives: cases whose reference report has the lesion. Average: mean over the lesions that occur."))
    quoted_block, quoted_note, quoted_numbers = _quoted_lesions(given, shown)
    title = "Lesions: precision (P), recall (R) and F1"
    return Table("table1", title, "Table 1", (*blocks, quoted_block), (*notes, quoted_note), (*shown, *quoted_numbers))


def table2a(given: Material) -> Table:
    """Models by judged and computed quality of the report, in the columns of the paper."""
    wanted = [as_run(given, one) for one in QUALITY]
    footnotes = Footnotes(given)
    columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted))
    ranked = marked(given, wanted)
    measured = set(given.measured())
    lines = tuple(
        Line(given.name(model), tuple(ranked[model])) if model in measured else Line(given.name(model), reason=given.reason(model))
        for model in given.models
    )
    shown = tuple(row for model in given.models for one in wanted if (row := given.row(model, one.metric, one.value_name)))
    notes = [*common_notes(given, shown, footnotes, ranks=wanted), *_cards(given)]
    if missing := [one.title for one in wanted if not any(given.row(model, one.metric, one.value_name) for model in measured)]:
        notes.insert(0, Note(f"{NOT_RUN} not run: {', '.join(missing)}."))
    quoted_block, quoted_note, quoted_numbers = _quoted_quality(given, shown)
    blocks = (Block(columns, lines, "Measured"), quoted_block)
    return Table("table2a", "Quality of the reports", "Table 2a", blocks, (*notes, quoted_note), (*shown, *quoted_numbers))


def _cards(given: Material) -> list[Note]:
    return card_notes(given.cards, given.measured(), given.measured_on)


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


def _quoted_lesions(given: Material, shown: Sequence[Row]) -> tuple[Block, Note, list[Row]]:
    rows = quoted.quoted_rows("table1")
    by_key = {(row.model, row.value_name): row.printed for row in rows}
    models = list(dict.fromkeys(row.model for row in rows))
    lines = [
        Line(
            lesion.capitalize() if lesion else "Average",
            tuple(" / ".join(by_key[model, value] for value, _ in _lesion_values(lesion)) for model in models),
            is_summary=lesion is None,
        )
        for lesion in (*LESIONS, None)
    ]
    title = _quoted_title("table1", given, shown)
    return _quoted_block(title, "Lesion", [f"{model}†" for model in models], lines), _quoted_note("table1", "Cells: P / R / F1."), rows


def _quoted_quality(given: Material, shown: Sequence[Row]) -> tuple[Block, Note, list[Row]]:
    rows = quoted.quoted_rows("table2a")
    models = dict.fromkeys(row.model for row in rows)
    lines = [Line(f"{model}†", tuple(row.printed for row in rows if row.model == model)) for model in models]
    said = "Which METEOR, ROUGE-L, GREEN and F1-RadGraph were used is not printed."
    title = _quoted_title("table2a", given, shown)
    return _quoted_block(title, "Model", QUALITY_TITLES, lines), _quoted_note("table2a", said), rows


def _quoted_title(table: str, given: Material, shown: Sequence[Row]) -> str:
    """With what keeps the printed numbers apart from those that are shown above them."""
    return quoted.block_title(differs(read_printed(table), given.measured_on, [row.signature for row in shown]))


def _quoted_block(title: str, label: str, heads: Iterable[str], lines: Iterable[Line]) -> Block:
    columns = (Column(label, is_words=True), *map(Column, heads))
    return Block(columns, tuple(lines), title, is_quoted=True)


def _quoted_note(table: str, said: str) -> Note:
    return Note(f"† {quoted.citation(table)}. {said}")


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}–{found[-1]:,}"


LAYOUTS: tuple[Callable[[Material], Table], ...] = (summary, table1, table2a)
