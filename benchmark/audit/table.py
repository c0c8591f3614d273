"""The stress test laid out: which of two candidates a metric prefers, by error; how often it cannot tell; how far each kind makes it fall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmark.audit.candidates import SHORT, TITLES
from benchmark.audit.ranking import ALL
from benchmark.per_case import CaseNumber
from benchmark.records import Row
from benchmark.tables.table import UNDEFINED, Block, Cell, Column, Line, Note, Number, Table

FEWER = "  on reports"
"""label of the line that says on how many reports the line above rests, where it does not rest on all"""


class Given(NamedTuple):
    """What there is to lay out."""

    rows: Mapping[tuple[str, str, str], Row]
    """by kind, metric and name of the number"""
    numbers: Sequence[CaseNumber]
    made: Mapping[str, int]
    """kind -> reports to which it applies"""
    errors: Sequence[str]
    rewrites: Sequence[str]

    def row(self, kind: str, number: CaseNumber, what: str) -> Row:
        """``what`` is ``above``, ``ties``, ``drop``, ``above.<rewrite>``."""
        return self.rows[kind, number.metric, f"{number.name}.{what}"]

    def reports(self, kind: str, number: CaseNumber, what: str) -> int:
        """How many reports ``what`` of that kind rests on."""
        return self.row(kind, number, "drop" if what == "drop" else "reports").scored

    def cell(self, kind: str, number: CaseNumber, what: str, decimals: int = 2) -> Cell:
        """The number with its interval."""
        row = self.row(kind, number, what)
        return Number(row.value, row.low, row.high, decimals, is_signed=what == "drop")


def audit_table(
    rows: Sequence[Row],
    numbers: Sequence[CaseNumber],
    made: Mapping[str, int],
    errors: Sequence[str],
    rewrites: Sequence[str],
    *,
    note: str,
    counts: Mapping[str, int],
    signatures: Mapping[str, str],
    level: float,
    draws: int,
) -> Table:
    """Everything on one page; see ``for_terminal``. ``signatures`` are the metrics' own."""
    given = Given({(row.model, row.metric, row.value_name): row for row in rows}, numbers, made, errors, rewrites)
    blocks = [
        _block(given, "above", errors, "Rewrite preferred", "How often a rewrite without error scores higher than the error", with_mean=True),
        _block(given, "ties", errors, "Both the same", "How often both score the same", with_mean=True),
        _block(given, "drop", errors, "Fall by an error", "How far an error makes the score fall below the reference's own"),
        _block(given, "drop", rewrites, "Fall by a rewrite", "How far a rewrite without error makes it fall"),
        *(_of_number(given, number) for number in numbers),
    ]
    title = "Metrics under test: an error against a rewrite of the same report"
    return Table("audit", title, "", tuple(blocks), _notes(given, note, counts, signatures, level, draws), tuple(rows))


def for_terminal(table: Table) -> Table:
    """What a window has room for: intervals beside the first block alone, and none of the blocks of single metrics."""
    above, *others = table.blocks[:4]
    return replace(table, blocks=(above, *map(_bare, others)))


def _bare(block: Block) -> Block:
    lines = tuple(
        replace(line, cells=tuple(replace(cell, low=math.nan, high=math.nan) if isinstance(cell, Number) else cell for cell in line.cells))
        for line in block.lines
    )
    return replace(block, lines=lines)


def _block(given: Given, what: str, kinds: Sequence[str], head: str, title: str, *, with_mean: bool = False) -> Block:
    """Metrics by kinds of candidates."""
    shown = (*kinds, *((ALL,) if with_mean else ()))
    columns = (Column(head, is_words=True), *(Column(SHORT.get(kind, "Mean")) for kind in shown))
    made = tuple(f"{given.made[kind]:,}" if kind in given.made else "" for kind in shown)
    decimals = 3 if what == "drop" else 2
    lines = []
    for number in given.numbers:
        lines.append(Line(number.title, tuple(given.cell(kind, number, what, decimals) for kind in shown)))
        own = tuple(f"{given.reports(kind, number, what):,}" if kind in given.made else "" for kind in shown)
        if own != made:
            lines.append(Line(FEWER, tuple("" if same == count else same for same, count in zip(own, made, strict=True))))
    return Block(columns, (*lines, Line("Reports", made, is_summary=True)), title)


def _of_number(given: Given, number: CaseNumber) -> Block:
    """One metric: each error by each rewrite."""
    columns = (Column("Error", is_words=True), *(Column(TITLES[rewrite]) for rewrite in given.rewrites))
    lines = []
    for error in given.errors:
        rows = [given.row(error, number, f"above.{rewrite}") for rewrite in given.rewrites]
        lines.append(Line(TITLES[error], tuple(given.cell(error, number, f"above.{rewrite}") for rewrite in given.rewrites)))
        if any(row.unscored for row in rows):
            lines.append(Line(FEWER, tuple(f"{row.scored:,} of {row.scored + row.unscored:,}" if row.unscored else "" for row in rows)))
    return Block(columns, tuple(lines), f"{number.title}: each rewrite against each error")


def _notes(given: Given, note: str, counts: Mapping[str, int], signatures: Mapping[str, str], level: float, draws: int) -> tuple[Note, ...]:
    counted = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    drawn = "patients" if "patients" in counts else "reports (whose they are was not said)"
    found = [
        note,
        f"{counted}. In brackets: {level * 100:g} % intervals from {draws:,} bootstrap draws of {drawn}. Reports: to how many the kind applies; "
        f"{FEWER.strip()}, under a number that has no value for all of them: on how many its cells rest.",
        "Errors: " + ", ".join(f"{SHORT[kind]} ({TITLES[kind].lower()})" for kind in given.errors) + ".",
        "A pair is one report with exactly one known error and the same report with none, in other words, another order or another look; both "
        "are scored against the report itself. Equal scores count half: 0.50 is a metric that cannot tell, 0.00 one that always prefers the error.",
        "Errors are made in plain sentences about 14 lesions alone, so that what is wrong is known: a metric by rules, which reads such sentences, "
        "is seen here at its best.",
        "Scores are of single reports: a number of the whole corpus (BLEU, micro F1) is what it would be if the one report were all of it.",
    ]
    turned = [number.title for number in given.numbers if number.is_lower_better]
    if turned:
        found.append(f"Turned round, since lower is better: {', '.join(turned)}.")
    found += _unlike_means(given)
    missing = []
    for number in given.numbers:
        row = given.row(ALL, number, "above")
        if row.unscored:
            missing.append(f"{number.title} {row.unscored:,} of {row.scored + row.unscored:,}")
    if missing:
        found.append(f"Left out, since the metric has no value for one of the two or for the reference itself: pairs of {'; '.join(missing)}.")
    if any(row.low == row.high for row in given.rows.values()):
        found.append("An interval without width, as [1.00, 1.00], means that every draw agreed: too few exceptions to tell, not certainty.")
    if any(math.isnan(row.value) for row in given.rows.values()):
        found.append(f"{UNDEFINED}: no such pair.")
    return (*(Note(text) for text in found if text), *(Note(f"{name}:", signature=signature) for name, signature in signatures.items()))


def _unlike_means(given: Given) -> list[str]:
    """What the means are not of: errors that nobody could make here, and those of which one number has no value."""
    errors = {number: [error for error in given.errors if not given.reports(error, number, "above")] for number in given.numbers}
    nowhere = [error for error in given.errors if all(error in lacking for lacking in errors.values())]
    found = [f"Mean: without {', '.join(SHORT[error] for error in nowhere)}, of which there is no pair here."] if nowhere else []
    lacking = {number: [SHORT[error] for error in own if error not in nowhere] for number, own in errors.items()}
    listed = "; ".join(f"{number.title} ({', '.join(own)})" for number, own in lacking.items() if own)
    return [*found, f"No mean of numbers that have no value for an error that others are tested by: {listed}."] if listed else found
