"""Numbers that follow from others of the same table: F1 from P and R, averages from rows, totals from axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from benchmark.consistency.findings import Checked, CheckName, Finding
from benchmark.consistency.printed import AXES, TOTAL, Cell, PrintedTable, Row, is_average
from benchmark.consistency.rounding import Span, Way, agrees, f1_of, f1_span, mean_of, mean_span, said, sum_span, written

FEWEST_SIDES = 8  # totals off their re-sum; all on one side by chance: p = 2 / 2**8 < 0.01


class Averaged(NamedTuple):
    """A line that is the mean of others."""

    row: Row
    """it"""
    of: list[Row]
    """the others"""


def averaged(table: PrintedTable) -> Iterator[Averaged]:
    """The averages of a table, each with its rows: those that are the same but for the cell that says average. Of fewer than two there is none."""
    for row in table.rows:
        fixed = {key: cell for key, cell in row.keys.items() if not is_average(cell)}
        rows = [other for other in table.rows if not other.is_summary and fixed.items() <= other.keys.items()]
        if row.is_average and len(rows) > 1:
            yield Averaged(row, rows)


def check_f1(tables: Sequence[PrintedTable]) -> Checked:
    """Every F1 that has a P and an R beside it, but for averages, deviations and the like: only a micro average's F1 is that of its P and R."""
    findings, count = [], 0
    for table in tables:
        for row in table.rows:
            found = None if row.is_summary and not row.is_micro else _of_row(row, ("precision", "recall", "f1"))
            if found is None:
                continue
            count += 1
            p, r, f1 = found
            span = partial(f1_span, p, r)
            if not agrees(f1, span):
                could = said(f1, span)
                says = f"F1 is printed {f1.text}, but P {p.text} and R {r.text} make {could} by rounding or cutting off"
                findings.append(
                    _finding("f1", table, row, "f1", f1, could, says + "; if it is a mean of F1s, call the column macro_f1" * _may_be_mean(table))
                )
    return Checked(findings, count)


def check_averages(tables: Sequence[PrintedTable]) -> Checked:
    """Every average against the mean of its rows; F1 by the kind of mean that the table keeps to."""
    findings, count = [], 0
    for table in tables:
        is_harmonic = _kinds(table).is_harmonic
        for average, number, cells in _averages_of_cells(table):
            count += 1
            printed, span = average.row.cells[number], partial(mean_span, cells)
            if number == "f1" and is_harmonic and (parts := _of_row(average.row, ("precision", "recall"))):
                span = partial(f1_span, parts[0], parts[1])
            if not agrees(printed, span):
                could, mean = said(printed, span), written(mean_of(cells), printed.decimals + 1)
                says = f"the average is printed {printed.text}, but the {len(cells)} rows have a mean of {mean}, which prints as {could}"
                findings.append(_finding("averages", table, average.row, number, printed, could, says))
    return Checked(findings, count)


def check_kind_of_average(tables: Sequence[PrintedTable]) -> Checked:
    """Which mean the average F1 of each table is, where the two would print differently."""
    findings, count = [], 0
    for table in tables:
        kinds = _kinds(table)
        count += kinds.columns
        if not kinds.apart:
            continue
        row, (p, r, f1) = kinds.apart[0]
        kind, other = (
            ("the F1 of average P and R", "mean of the rows' F1") if kinds.is_harmonic else ("the mean of the rows' F1", "F1 of average P and R")
        )
        harmonic = written(f1_of(*(mean_of([cell]) for cell in (p, r))), f1.decimals + 1)
        says = (
            f"average F1 is {kind}: so it prints in {max(kinds.mean, kinds.harmonic)} of {kinds.columns} columns, and the {other} would print "
            f"otherwise in {len(kinds.apart)} (in line {row.line}, P {p.text} and R {r.text} make {harmonic}); other papers average the other way"
        )
        findings.append(Finding("kind_of_average", table.name, 0, "", "f1", f1.text, harmonic, says, is_note=True))
    return Checked(findings, count)


def check_totals(tables: Sequence[PrintedTable]) -> Checked:
    """Every total against its four axes: their sum, or their mean where the table's totals are that."""
    findings, count = [], 0
    for table in tables:
        rows = list(_totals([table]))
        count += len(rows)
        means, sums = (sum(agrees(total, partial(made, axes)) for _, _, axes, total in rows) for made in (_mean_of_axes, sum_span))
        made = _mean_of_axes if means > sums else sum_span
        for _, row, axes, total in rows:
            if not agrees(total, partial(made, axes)):
                could, what = said(total, partial(made, axes)), "mean" if means > sums else "sum"
                parts = " + ".join(axis.text for axis in axes)
                says = f"the total is printed {total.text}, but the axes {parts} have a {what} of {could} by rounding or cutting off"
                findings.append(_finding("totals", table, row, TOTAL, total, could, says))
    return Checked(findings, count)


def check_sides_of_totals(tables: Sequence[PrintedTable]) -> Checked:
    """Whether the totals of all tables together lie on one side of their re-sums; a line that is printed in several tables counts once."""
    distinct: dict[tuple[str, ...], tuple[PrintedTable, list[Cell], Cell]] = {}
    for table, _, axes, total in _totals(tables):
        distinct.setdefault((*(axis.text for axis in axes), total.text), (table, axes, total))
    summed = [
        (table, total.value - sum(axis.value for axis in axes), total)
        for table, axes, total in distinct.values()
        if agrees(total, partial(sum_span, axes))
    ]
    apart = [(table, by, total) for table, by, total in summed if by]
    if len(apart) < FEWEST_SIDES or not (all(by > 0 for _, by, _ in apart) or all(by < 0 for _, by, _ in apart)):
        return Checked([], len(summed))
    steps = sorted({by for _, by, _ in apart})
    by_step = ", ".join(f"{step:+} in {sum(by == step for _, by, _ in apart)}" for step in steps)
    way, look = ("upwards", "the axes look cut off, not rounded") if apart[0][1] > 0 else ("downwards", "the totals look cut off, the axes rounded")
    says = (
        f"{len(apart)} of {len(summed)} distinct totals differ from the sum of their axes, all of them {way} ({by_step}): by rounding they would lie "
        f"on either side; {look}"
    )
    names = ", ".join(dict.fromkeys(table.name for table, _, _ in apart))
    return Checked([Finding("sides_of_totals", names, 0, "", TOTAL, by_step, "both sides", says, is_note=True)], len(summed))


def _totals(tables: Sequence[PrintedTable]) -> Iterator[tuple[PrintedTable, Row, list[Cell], Cell]]:
    for table in tables:
        for row in table.rows:
            if found := _of_row(row, (*AXES, TOTAL)):
                yield table, row, found[:-1], found[-1]


def _mean_of_axes(cells: Sequence[Cell], way: Way) -> Span:
    return sum_span(cells, way).over(len(cells))


class _Kinds(NamedTuple):
    """How many average F1s of a table print as one mean or as the other."""

    mean: int
    harmonic: int
    columns: int
    apart: list[tuple[Row, list[Cell]]]
    """lines that tell the two means apart, with P, R and F1"""

    @property
    def is_harmonic(self) -> bool:
        return self.harmonic > self.mean


def _kinds(table: PrintedTable) -> _Kinds:
    fits: list[tuple[bool, bool, Row, list[Cell]]] = []
    for average, number, cells in _averages_of_cells(table):
        if number == "f1" and (found := _of_row(average.row, ("precision", "recall", "f1"))):
            p, r, f1 = found
            fits.append((agrees(f1, partial(mean_span, cells)), agrees(f1, partial(f1_span, p, r)), average.row, found))
    apart = [(row, cells) for is_mean, is_harmonic, row, cells in fits if is_mean != is_harmonic]
    return _Kinds(sum(one[0] for one in fits), sum(one[1] for one in fits), len(fits), apart)


def _averages_of_cells(table: PrintedTable) -> Iterator[tuple[Averaged, str, list[Cell]]]:
    """Each average and number of which all rows are printed."""
    for average in averaged(table):
        for number, printed in average.row.cells.items():
            cells = [row.cells[number] for row in average.of if number in row.cells and not row.cells[number].is_derived]
            if len(cells) == len(average.of) and not printed.is_derived:
                yield average, number, cells


def _of_row(row: Row, numbers: Sequence[str]) -> list[Cell] | None:
    """The cells of these columns, or None where one of them was not printed."""
    cells = [row.cells[number] for number in numbers if number in row.cells and not row.cells[number].is_derived]
    return cells if len(cells) == len(numbers) else None


def _may_be_mean(table: PrintedTable) -> bool:
    """A table without rows to average may print averages throughout, and not say so."""
    return not any(True for _ in averaged(table))


def _finding(check: CheckName, table: PrintedTable, row: Row, number: str, printed: Cell, expected: str, says: str) -> Finding:
    return Finding(check, table.name, printed.line, row.name, number, printed.text, expected, says)
