"""Pairs of models lesion by lesion: on how many cases just one of them has the status right, and whether that falls evenly."""

from __future__ import annotations

import math

from benchmark.records import Row
from benchmark.statistics import benjamini_hochberg, holm
from benchmark.tables.material import Footnotes, Material, Wanted, common_notes
from benchmark.tables.table import Block, Column, Line, Note, Number, Table, written_p

RIGHT, ONLY_FIRST, ONLY_SECOND = ".right", ".only_first_right", ".only_second_right"
"""Endings of a pair's value names: the share right, first minus second; the cases on which just one is"""


def tested(given: Material) -> list[Row]:
    """The differences that McNemar's test is of."""
    counted = {(row.model, row.metric, row.value_name.removesuffix(ONLY_FIRST)) for row in given.differences if row.value_name.endswith(ONLY_FIRST)}
    return [row for row in given.differences if (row.model, row.metric, row.value_name.removesuffix(RIGHT)) in counted]


def mcnemar(given: Material) -> Table:
    """The table; p-values corrected over all lesions of all pairs."""
    rows = tested(given)
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    footnotes = Footnotes(given)
    p_values = [math.nan if row.p_value is None else row.p_value for row in rows]
    p_holm, p_bh = holm(p_values), benjamini_hochberg(p_values)
    columns = (
        Column("Models", is_words=True),
        Column("Right", is_words=True),
        Column("Only first"),
        Column("Only second"),
        Column("Difference"),
        Column("p"),
        Column("p (Holm)"),
        Column("p (BH)"),
        Column("Cases"),
    )
    lines, shown, above, alike = [], [], "", dict[str, list[str]]()
    for row, *corrected in zip(rows, p_holm, p_bh, strict=True):
        what = row.value_name.removesuffix(RIGHT)
        alone = [by_key[row.model, row.metric, what + ending] for ending in (ONLY_FIRST, ONLY_SECOND)]
        shown += [row, *alone]
        if row.p_value is None or math.isnan(row.p_value):
            alike.setdefault(row.model, []).append(what)
            continue
        label, above = ("" if row.model == above else given.name(row.model)), row.model
        mark = footnotes.column(Wanted(row.metric, row.value_name, f"{row.metric} right")).mark
        difference = Number(row.value, row.low, row.high, 3, is_signed=True)
        counts = (f"{one.value:.0f}" for one in alone)
        p = map(written_p, (row.p_value, *corrected))
        lines.append(Line(label, (what.capitalize() + mark, *counts, difference, *p, str(row.scored))))
    family = sum(not math.isnan(p) for p in p_values)
    notes = (
        Note(
            "Right: the report gives the lesion the status that the reference has. Only first, only second: cases on which just that model is right; "
            "difference: of the shares right."
        ),
        Note(
            "p: McNemar's exact test by patient, two-sided: were the models alike, either could have been right where just one is, all cases of a "
            "patient together. With one case per patient it is the usual exact test, which takes each case for a witness of its own."
        ),
        Note(f"Corrected over the {family} tests of this table, by Holm and by Benjamini and Hochberg (BH)."),
        *([Note(f"Without a line, since on no case just one is right: {_without_line(alike)}.")] if alike else []),
        *common_notes(given, rows, footnotes, ranks=()),
    )
    keys = [(row.model, row.metric, row.value_name) for row in rows]
    adjusted, false_discovery = (dict(zip(keys, corrected, strict=True)) for corrected in (p_holm, p_bh))
    return Table(
        "mcnemar", "Lesions right or wrong, models in pairs", "", (Block(columns, tuple(lines)),), notes, tuple(shown), adjusted, false_discovery
    )


def _without_line(alike: dict[str, list[str]]) -> str:
    """What pairs do not differ in, pairs with the same together."""
    pairs: dict[tuple[str, ...], list[str]] = {}
    for pair, what in alike.items():
        pairs.setdefault(tuple(what), []).append(pair)
    return "; ".join(f"{', '.join(of)}: {', '.join(what)}" for what, of in pairs.items())
