"""The table ``lesions``, which the paper has not: what is invented, what is left out, and what is right but on the wrong side, lesion by lesion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from benchmark.records import Row
from benchmark.tables.material import Footnotes, Material, Wanted, common_notes, marked
from benchmark.tables.table import LOWER, NOT_RUN, Block, Cell, Column, Line, Note, Number, Table
from benchmark.vocabulary import LESIONS

OVERALL = {
    "micro_f1": "F1",
    "micro_f1_sided": "F1 with side",
    "micro_hallucination": "Hallucination",
    "micro_omission": "Omission",
    "wrong_side": "Wrong side",
    "side_omitted": "Side omitted",
    "reports_with_false_alarm": "Reports with a false alarm",
    "reports_with_miss": "Reports with a miss",
    "reports_with_wrong_side": "Reports with a wrong side",
}
"""number -> its head, of all lesions in one"""
PER_LESION = {
    "f1": "F1",
    "f1_sided": "F1 with side",
    "hallucination": "Hallucination",
    "omission": "Omission",
    "wrong_side": "Wrong side",
    "side_omitted": "Side omitted",
}
AVERAGES = {"macro_": "Average", "micro_": "All"}
WITHOUT_AVERAGE = ("wrong_side", "side_omitted")
"""numbers of hits with a side, which most lesions have too few of to be averaged"""
PRINTED = ("F1 with side", "Hallucination", "Omission", "Wrong side")
"""columns for which a terminal has room"""
SIDES = ("left", "right", "bilateral", "unstated")


def lesion_errors(given: Material) -> Table:
    """All models by what goes wrong, then each model lesion by lesion, and the sides of its hits."""
    metric = next(iter(given.named("lesions")), "lesions")
    footnotes = Footnotes(given)
    wanted = [Wanted(metric, name, title) for name, title in OVERALL.items()]
    shown = [row for model in given.models for one in wanted if (row := given.row(model, one.metric, one.value_name))]
    blocks = [_overall(given, footnotes, wanted)]
    absent: dict[tuple[str, ...], list[str]] = {}
    for model in given.measured():
        of_lesions, rows, without = _by_lesion(given, footnotes, metric, model)
        if without:
            absent.setdefault(without, []).append(model)
        sides, counts = _sides(given, metric, model)
        blocks += [of_lesions, *([sides] if sides else [])]
        shown += [*rows, *counts]
    notes = [
        Note("Hallucination: false alarms, of the references without the lesion. Omission: misses, of the references with it (positives)."),
        Note(
            "Wrong side, side omitted: of the hits whose reference states a side (left, right, bilateral; left for bilateral is wrong); how many "
            "those are stands beside them. F1 with side: a hit on a wrong side, or without the side that the reference states, is a miss and a "
            "false alarm."
        ),
        Note("Average: mean over the lesions that have the number. All: the 14 lesions pooled, as in the first block."),
        *(Note(f"Without a line, since neither references nor reports have it ({', '.join(of)}): {', '.join(what)}.") for what, of in absent.items()),
        *common_notes(given, [row for row in shown if row.direction], footnotes, ranks=wanted),  # counts are no scores: theirs is no interval
    ]
    notes += [Note(f"{model} {given.reason(model)}") for model in given.models if model not in given.measured()]
    return Table("lesions", "Lesions: what is invented, left out, or on the wrong side", "", tuple(blocks), tuple(notes), tuple(shown))


def for_terminal(table: Table) -> Table:
    """What a window has room for: all lesions in one, by four numbers; who labelled stands under the summary, just above."""
    block = table.blocks[0]
    kept = [place for place, column in enumerate(block.columns) if place == 0 or column.title in PRINTED]
    columns = tuple(replace(block.columns[place], footnote=0) for place in kept)
    lines = tuple(replace(line, cells=tuple(line.cells[place - 1] for place in kept[1:])) for line in block.lines if not line.reason)
    return replace(table, blocks=(Block(columns, lines),), notes=(Note(f"{LOWER}: the lower the better. Lesion by lesion: {table.name}.md"),))


def _overall(given: Material, footnotes: Footnotes, wanted: Sequence[Wanted]) -> Block:
    columns = (Column("Model", is_words=True), *(footnotes.column(one) for one in wanted))
    cells, measured = marked(given, wanted), set(given.measured())
    lines = (
        Line(given.name(model), tuple(cells[model])) if model in measured else Line(given.name(model), reason=given.reason(model))
        for model in given.models
    )
    return Block(columns, tuple(lines), "All lesions")


def _by_lesion(given: Material, footnotes: Footnotes, metric: str, model: str) -> tuple[Block, list[Row], tuple[str, ...]]:
    """Counts stand before the shares of them; then the numbers that are shown, and the lesions that there is nothing to say of."""
    heads = [footnotes.column(Wanted(metric, f"micro_{name}" if f"micro_{name}" in OVERALL else name, title)) for name, title in PER_LESION.items()]
    place = list(PER_LESION).index("wrong_side")
    columns = (Column("Lesion", is_words=True), Column("Positives"), *heads[:place], Column("Hits with a side"), *heads[place:])
    digits, shown = given.digits(metric), []

    def cell(value_name: str, *, is_count: bool = False) -> Cell:
        row = given.row(model, metric, value_name)
        if row is None:
            return NOT_RUN
        shown.append(row)
        return f"{row.value:,.0f}" if is_count and not math.isnan(row.value) else Number(row.value, row.low, row.high, digits)

    def line(label: str, prefix: str, *, is_summary: bool) -> Line:
        support, sides = (cell(f"{prefix}{name}", is_count=True) if prefix not in AVERAGES else "" for name in ("support", "side_support"))
        numbers: list[Cell] = []
        for name in PER_LESION:
            if prefix == "macro_" and name in WITHOUT_AVERAGE:
                numbers.append("")
            else:
                numbers.append(cell(name if prefix == "micro_" and name in WITHOUT_AVERAGE else f"{prefix}{name}"))
        return Line(label, (support, *numbers[:place], sides, *numbers[place:]), is_summary=is_summary)

    without = tuple(lesion for lesion in LESIONS if (row := given.row(model, metric, f"{lesion}.f1")) and math.isnan(row.value))
    lines = [line(lesion.capitalize(), f"{lesion}.", is_summary=False) for lesion in LESIONS if lesion not in without]
    lines += [line(label, prefix, is_summary=True) for prefix, label in AVERAGES.items()]
    return Block(columns, tuple(lines), f"{given.name(model)}, lesion by lesion"), shown, without


def _sides(given: Material, metric: str, model: str) -> tuple[Block | None, list[Row]]:
    """Hits by the side in the reference (down) and in the report (across)."""
    rows = {(true, said): given.row(model, metric, f"side.{true}_as_{said}") for true in SIDES for said in SIDES}
    found = [row for row in rows.values() if row is not None]
    if len(found) < len(rows) or not any(row.value for row in found):
        return None, found
    lines = []
    for true in SIDES:
        lines.append(Line(true.capitalize(), tuple(f"{row.value:,.0f}" for said in SIDES if (row := rows[true, said]))))
    columns = (Column("Side in the reference", is_words=True), *(Column(said.capitalize(), group="Report:") for said in SIDES))
    return Block(columns, tuple(lines), f"{given.name(model)}, hits of all lesions by side"), found
