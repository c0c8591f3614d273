"""Measured, printed and difference, three columns for each number: the tables of a run beside those of a paper.

What is printed stays visibly quoted, and every table says what keeps the two apart: other data, another labeller, a metric that print does not name
exactly. The difference has no interval, since the printed number has none: it says how far apart two numbers are, and nothing about models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records import Row, UserError
from benchmark.tables.apart import apart
from benchmark.tables.cards import card_notes
from benchmark.tables.layouts import LESION_TITLES
from benchmark.tables.material import Footnotes, Material, Wanted, as_run, common_notes, labeller_of
from benchmark.tables.printed import NOT_PRINTED, Printed
from benchmark.tables.quoted import QUALITY
from benchmark.tables.table import NOT_RUN, Block, Cell, Column, Line, Note, Number, Quoted, Table
from benchmark.vocabulary import LESIONS

NUMBERS_ABREAST = 3
"""each with three columns: what a page holds"""
THREE = ("measured", "printed†", "difference")


def beside_print(given: Material, tables: Sequence[Printed], registered: Mapping[str, str]) -> list[Table]:
    """Each printed table that has a line for a measured model, with both. Raises ``UserError`` where none has.

    registered   model -> its registered name, as far as it was run here
    """
    layouts = {("lesion", "model"): _lesions, ("model",): _quality}
    named = [(one, names_in_print(given, one, registered)) for one in tables if one.keys in layouts]
    found = [table for one, names in named if names and (table := layouts[one.keys](given, one, names))]
    if not found and any(names for _, names in named):
        ran = ", ".join(given.metrics())
        raise UserError(
            f"--beside sets measured numbers beside printed ones, and none of those is printed that were measured ({ran}); measure lesions"
        )
    if not found:
        known = dict.fromkeys(model for one in tables if "model" in one.keys for model in one.values("model"))
        measured = ", ".join(given.measured()) or "no model"
        raise UserError(
            f"--beside sets models beside their printed numbers, and of {measured} none is printed; printed are {', '.join(known) or 'no models'}"
        )
    return found


def names_in_print(given: Material, printed: Printed, registered: Mapping[str, str]) -> dict[str, str]:
    """Measured model -> its name in print, of the models that have a line there: by registered name, or by its own where it stands for another."""
    there = {name.casefold(): name for name in printed.values("model")}

    def in_print(name: str) -> str:
        return there.get(printed.models.get(name, name).casefold(), "")

    found = {model: in_print(registered.get(model, model)) or in_print(model) for model in given.measured()}
    return {model: name for model, name in found.items() if name}


def compared(measured: Row | None, digits: int, text: str) -> tuple[Cell, Cell, Cell]:
    """The three cells of a number; ``text`` is what is printed, empty if nothing is. The difference is of the measured number before rounding."""
    ours: Cell = NOT_RUN if measured is None else Number(measured.value, measured.low, measured.high, digits)
    if not text:
        return ours, NOT_PRINTED, ""
    decimals = len(text.partition(".")[2])
    difference = "" if measured is None else Number(measured.value - float(text), decimals=decimals, is_signed=True)
    return ours, Quoted(text), difference


def three_columns(column: Column) -> tuple[Column, Column, Column]:
    """The heads of a number's three columns, below its title."""
    title = column.title + column.arrow
    return Column(THREE[0], title, column.footnote), Column(THREE[1], title), Column(THREE[2], title)


def kept_apart(printed: Printed, measured_on: str, signatures: Sequence[str]) -> Note:
    """What keeps measured and printed numbers apart, in a note (``tables.apart``)."""
    if reasons := apart(printed, measured_on, signatures):
        said = "; ".join(one.said for one in reasons)
        return Note(f"Not comparable: {said}. A difference says how far apart two numbers are, and nothing about models.")
    who = " and lesions by a language model in both" if any(map(labeller_of, signatures)) else ""
    return Note(f"Same data by name{who}; whether split, labeller, judge and metrics are the same, print does not say.")


def _lesions(given: Material, printed: Printed, names: Mapping[str, str]) -> Table | None:
    """A block for each model: lesions by precision, recall and F1, three columns each; nothing where lesions were not measured."""
    metric = next(iter(given.named("lesions")), "lesions")
    lesions = [(lesion.capitalize(), lesion) for lesion in LESIONS]
    wanted = {
        label: [Wanted(metric, f"{lesion}.{name}" if lesion else f"macro_{name}", title) for name, title in LESION_TITLES.items()]
        for label, lesion in (*lesions, ("Average", ""))
    }
    footnotes = Footnotes(given)
    columns = [column for one in wanted["Average"] for column in three_columns(footnotes.column(one))]
    blocks, shown = [], []
    for model, in_print in names.items():
        lines = []
        for label, numbers in wanted.items():
            rows = [given.row(model, one.metric, one.value_name) for one in numbers]
            texts = [printed.cell(name, lesion=label, model=in_print) for name in LESION_TITLES]
            cells = [cell for row, text in zip(rows, texts, strict=True) for cell in compared(row, given.digits(metric), text)]
            lines.append(Line(label, tuple(cells), is_summary=label == "Average"))
            shown += [row for row in rows if row]
        blocks.append(Block((Column("Lesion", is_words=True), *columns), tuple(lines), f"{given.name(model)} beside {in_print}†", model=model))
    if not shown:
        return None
    more = [Note("Average, measured: mean over the lesions that occur.")]
    return _table(given, printed, names, blocks, shown, footnotes, more)


def _quality(given: Material, printed: Printed, names: Mapping[str, str]) -> Table | None:
    """Models down, the numbers that were measured across, three columns each; nothing where none was."""
    known = {column: as_run(given, Wanted(*QUALITY[column], printed.word(column))) for column in printed.numbers if column in QUALITY}
    columns = {column: one for column, one in known.items() if any(given.row(model, one.metric, one.value_name) for model in names)}
    if not columns:
        return None
    footnotes = Footnotes(given)
    heads = {column: three_columns(footnotes.column(one)) for column, one in columns.items()}
    blocks, shown = [], []
    for start in range(0, len(columns), NUMBERS_ABREAST):
        part = list(columns)[start : start + NUMBERS_ABREAST]
        lines = []
        for model, in_print in names.items():
            rows = {column: given.row(model, columns[column].metric, columns[column].value_name) for column in part}
            cells = [
                cell
                for column, row in rows.items()
                for cell in compared(row, given.digits(columns[column].metric), printed.cell(column, model=in_print))
            ]
            lines.append(Line(f"{given.name(model)} ({in_print}†)" if model != in_print else f"{given.name(model)}†", tuple(cells)))
            shown += [row for row in rows.values() if row]
        blocks.append(Block((Column("Model", is_words=True), *(head for column in part for head in heads[column])), tuple(lines)))
    missing = [one.title for column, one in known.items() if column not in columns]
    more = [Note(f"Printed, and not measured: {', '.join(missing)}.")] if missing else []
    return _table(given, printed, names, blocks, shown, footnotes, more)


def _table(
    given: Material,
    printed: Printed,
    names: Mapping[str, str],
    blocks: Sequence[Block],
    shown: Sequence[Row],
    footnotes: Footnotes,
    more: Sequence[Note],
) -> Table:
    notes = [kept_apart(printed, given.measured_on, [row.signature for row in shown]), Note(f"† {printed.reference}. {printed.what}".strip()), *more]
    if alone := [model for model in given.measured() if model not in names]:
        notes.append(Note(f"Nothing is printed of {', '.join(alone)}."))
    notes += common_notes(given, shown, footnotes, ranks=())
    notes += card_notes(given.cards, [model for model in given.measured() if model in names], given.measured_on)
    title = f"{printed.title}, measured beside print"
    return Table(
        f"{printed.name}_beside", title, printed.number, tuple(blocks), tuple(notes), (), is_laid_out_as_csv=True, citation=printed.reference
    )
