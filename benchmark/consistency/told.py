"""What is said of tables, held against what they print."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal

from benchmark.consistency.arithmetic import averaged
from benchmark.consistency.claims import Claim, Claims, Definition, Same, Selector, UnreadableClaims
from benchmark.consistency.findings import Checked, Finding
from benchmark.consistency.printed import Cell, PrintedTable, Row, is_average
from benchmark.consistency.rounding import WAYS, Span, Way, agrees, before_print, mean_of, said, sum_span, written

Outcome = Literal["holds", "tie", "fails"]
Verdict = Literal["holds", "tie", "fails", "not given"]
"""not given = a table or all numbers of it are not there"""

Keys = tuple[tuple[str, str], ...]
"""key columns that a selector leaves open, with their cells"""


@dataclass(frozen=True)
class Comparison:
    """One number of the line that is praised, and that number of the lines beside it."""

    row: str
    """on what: ``Mass``; empty where a table has but one line for each"""
    number: str
    """the column"""
    first: Cell
    """of the line that is praised"""
    others: tuple[tuple[str, Cell], ...]
    """name and number of each that it is compared with"""
    outcome: Outcome
    """whether the relation holds between them; tie = it would if equal were enough"""
    beside: str = ""
    """what else the table tells of a tie"""
    is_lower: bool = False
    """the first is said to be lower: who is lowest stands against it, not who is highest"""

    @property
    def by(self) -> Decimal:
        """First minus the highest of the others, or minus the lowest where it is said to be lower."""
        values = [cell.value for _, cell in self.others]
        return self.first.value - (min(values) if self.is_lower else max(values))

    @property
    def text(self) -> str:
        """``Mass f1 0.02 against 0.23 (base)``: with every other that is as high, or the highest; as low, or the lowest, where that is said."""
        sign = -1 if self.is_lower else 1
        others = sorted(((sign * cell.value, cell.text, name) for name, cell in self.others), key=lambda one: -one[0])
        mine = sign * self.first.value
        level = min(mine, others[0][0])
        named = ", ".join(f"{text} ({name})" for value, text, name in others if value >= level)
        place = 1 + sum(value > mine for value, _, _ in others)
        rank = f", rank {place} of {1 + len(others)}" if place > 1 and len(others) > 1 else ""
        rank += " from below" if rank and self.is_lower else ""
        return " ".join(filter(None, (self.row, self.number, self.first.text, "against", named))) + rank + self.beside


@dataclass(frozen=True)
class Told:
    """One claim and what the tables say to it."""

    claim: Claim
    """it"""
    comparisons: tuple[Comparison, ...]
    """one for each row and number; empty where a table is not there"""
    missing: tuple[str, ...] = ()
    """rows and numbers that could not be compared, since one of them is not printed"""

    @property
    def verdict(self) -> Verdict:
        """Holds if all comparisons do (or more than half, where that is the claim); a tie if nothing worse than ties stands against it."""
        if not self.comparisons:
            return "not given"
        if self.claim.quantifier == "most" and 2 * len(self.of("holds")) > len(self.comparisons):
            return "holds"
        return "fails" if self.of("fails") else "tie" if self.of("tie") else "holds"

    def of(self, outcome: Outcome) -> list[Comparison]:
        """The comparisons that came out so."""
        return [one for one in self.comparisons if one.outcome == outcome]


def hold_against(claims: Claims, tables: Sequence[PrintedTable]) -> list[Told]:
    """Every claim, in file order. Raises ``UnreadableClaims`` where one speaks of what a table that is there does not have."""
    by_name = {table.name: table for table in tables}
    return [_hold(claims, claim, by_name) for claim in claims.claims]


def check_claims(told: Sequence[Told]) -> Checked:
    """The claims that do not hold, or with exceptions."""
    findings = []
    for one in told:
        exceptions = [*one.of("fails"), *one.of("tie")]
        if not exceptions:
            continue
        fails, ties = one.of("fails"), one.of("tie")
        parts = [f"In print it holds in {len(one.of('holds'))} of {len(one.comparisons)}."]
        parts += [f"Not in {len(fails)}: " + "; ".join(comparison.text for comparison in fails) + "."] if fails else []
        parts += [f"A tie, no win, in {len(ties)}: " + "; ".join(comparison.text for comparison in ties) + "."] if ties else []
        ahead = sorted({comparison.by for comparison in one.of("holds")})
        if ahead and one.claim.relation in ("higher", "lower") and len(one.claim.numbers) == 1:
            parts.append(f"Where it holds, it is by {ahead[0]:+}{f' to {ahead[-1]:+}' if len(ahead) > 1 else ''}.")
        claim, rows = one.claim, list(dict.fromkeys(comparison.row for comparison in exceptions if comparison.row))
        names = ", ".join(dict.fromkeys(claim.table_of(selector) for selector in (claim.first, *claim.second)))
        is_note = one.verdict == "holds"
        numbers = ", ".join(dict.fromkeys(comparison.number for comparison in exceptions))
        found = f"{len(ties)} tied, {len(fails)} not" if ties and fails else f"{len(ties)} tied" if ties else f"{len(fails)} not"
        says = " ".join([f"{claim.where}: {claim.says}", *parts])
        findings.append(Finding("claims", names, 0, ", ".join(rows), numbers, found, _expected(claim), says, is_note, claim.id))
    return Checked(findings, sum(len(one.comparisons) for one in told))


def check_same(claims: Claims, tables: Sequence[PrintedTable]) -> Checked:
    """Lines of one measurement that print different numbers."""
    by_name = {table.name: table for table in tables}
    findings: list[Finding] = []
    count = 0
    for same in claims.same:
        seen: dict[tuple[Keys, str], tuple[str, Cell]] = {}
        for keys, number, table, row, cell in _printed_of(claims, same, by_name):
            other, before = seen.setdefault((keys, number), (table, cell))
            count += before is not cell
            if not _may_be_same(before, cell):
                says = f"{same.says}: {number} is printed {cell.text} here, and {before.text} in {other}, line {before.line}"
                findings.append(Finding("same", table, cell.line, row.name, number, cell.text, before.text, says, id=same.id))
    return Checked(findings, count)


def check_definitions(claims: Claims, tables: Sequence[PrintedTable]) -> Checked:
    """Numbers that are not made as the text says, one finding for each definition."""
    findings, count = [], 0
    for definition in claims.definitions:
        lines = list(_lines_of(definition, tables))
        count += len(lines)
        wrong = [(table, cell, parts) for table, cell, parts in lines if not agrees(cell, partial(_made, parts, definition.made_as))]
        if not wrong:
            continue
        _, cell, parts = wrong[0]
        other: Literal["mean", "sum"] = "sum" if definition.made_as == "mean" else "mean"
        is_other = sum(agrees(cell, partial(_made, parts, other)) for _, cell, parts in wrong)
        could = said(cell, partial(_made, parts, definition.made_as))
        says = (
            f"{definition.where}: {definition.says} In print, {definition.number} is not the {definition.made_as} in {len(wrong)} of {len(lines)} "
            f"lines, and is the {other} in {is_other} of those; the first has {cell.text}, and a {definition.made_as} of {could}"
        )
        names = ", ".join(dict.fromkeys(table.name for table, _, _ in wrong))
        expected = f"the {definition.made_as} of {len(parts)} columns"
        findings.append(Finding("definitions", names, 0, "", definition.number, f"{cell.text}, ...", expected, says, id=definition.id))
    return Checked(findings, count)


def _hold(claims: Claims, claim: Claim, tables: Mapping[str, PrintedTable]) -> Told:
    if not {claim.table_of(selector) for selector in (claim.first, *claim.second)} <= set(tables):
        return Told(claim, ())
    where = f"{claims.path}, [[claim]] {claim.id}"
    for table in (tables[claim.table_of(selector)] for selector in (claim.first, *claim.second)):
        if unknown := [number for number in claim.numbers if number not in table.numbers]:
            raise UnreadableClaims(f"{where}: {table.path} has no number {unknown[0]!r}; its numbers are {', '.join(table.numbers)}")
    firsts = _picked(where, tables[claim.table_of(claim.first)], claim.first)
    seconds = [_picked(where, tables[claim.table_of(selector)], selector) for selector in claim.second]
    others = [(row, keys) for found in seconds for keys, row in found.items()]
    if claim.is_against_all:
        table, mine = tables[claim.table_of(claim.first)], {id(row) for row in firsts.values()}
        others = [(row, _open(row, claim.first)) for row in table.rows if id(row) not in mine]
    comparisons, missing = [], []
    for keys, first in _chosen(where, claim, firsts):
        for number in claim.numbers:
            beside = [(_difference(row, keys), row.cells[number]) for row, others_keys in others if others_keys == keys and number in row.cells]
            name = ", ".join(cell for _, cell in keys)
            if number not in first.cells or not beside:
                missing.append(f"{name} {number}".strip())
                continue
            outcome = _outcome(claim, first.cells[number].value, [cell.value for _, cell in beside])
            tie = _of_rows(tables[claim.table_of(claim.first)], first, others, keys, number) if outcome == "tie" else ""
            comparisons.append(Comparison(name, number, first.cells[number], tuple(beside), outcome, tie, claim.relation == "lower"))
    return Told(claim, tuple(comparisons), tuple(missing))


def _outcome(claim: Claim, first: Decimal, others: Sequence[Decimal]) -> Outcome:
    match claim.relation:
        case "higher":
            return "holds" if first > max(others) else "tie" if first == max(others) else "fails"
        case "lower":
            return "holds" if first < min(others) else "tie" if first == min(others) else "fails"
        case "not_lower":
            return "holds" if first >= max(others) else "fails"
        case "comparable":
            return "holds" if first >= statistics.median(others) else "fails"


def _expected(claim: Claim) -> str:
    beside = "all others" if claim.is_against_all else " or ".join(", ".join(selector.values()) for selector in claim.second)
    words = {"higher": "higher than", "lower": "lower than", "not_lower": "not lower than", "comparable": "not below the middle one of"}
    return f"{words[claim.relation]} {beside}" + (", mostly" if claim.quantifier == "most" else "")


def _picked(where: str, table: PrintedTable, selector: Selector) -> dict[Keys, Row]:
    """The rows that a selector picks, by what it leaves open."""
    wanted = {column: cell for column, cell in selector.items() if column != "table"}
    if unknown := [column for column in wanted if column not in table.keys]:
        raise UnreadableClaims(f"{where}: {table.path} has no key column {unknown[0]!r}; its key columns are {', '.join(table.keys)}")
    found = {_open(row, wanted): row for row in reversed(table.rows) if wanted.items() <= row.keys.items()}  # of two of a kind, the first
    if not found:
        asked = ", ".join(f"{column} = {cell!r}" for column, cell in wanted.items())
        known = "; ".join(f"{column}: {', '.join(dict.fromkeys(row.keys[column] for row in table.rows))}" for column in wanted)
        raise UnreadableClaims(f"{where}: {table.path} has no line with {asked}; there is {known}")
    return dict(reversed(found.items()))


def _open(row: Row, selector: Selector) -> Keys:
    return tuple((key, cell) for key, cell in row.keys.items() if key not in selector)


def _chosen(where: str, claim: Claim, found: Mapping[Keys, Row]) -> list[tuple[Keys, Row]]:
    """The rows that the claim is about."""
    if not claim.rows:
        return [(keys, row) for keys, row in found.items() if not any(is_average(cell) for _, cell in keys)]
    there = {cell for keys in found for _, cell in keys}
    if unknown := [name for name in claim.rows if name not in there]:
        raise UnreadableClaims(f"{where}: there is no row {unknown[0]!r}; there is {', '.join(sorted(there)) or 'one row alone'}")
    return [(keys, row) for keys, row in found.items() if any(cell in claim.rows for _, cell in keys)]


def _difference(row: Row, keys: Keys) -> str:
    """What sets a line apart from those of the same keys: the model, the variant."""
    return ", ".join(cell for key, cell in row.keys.items() if (key, cell) not in keys) or row.name


def _of_rows(table: PrintedTable, first: Row, others: Sequence[tuple[Row, Keys]], keys: Keys, number: str) -> str:
    """Of two averages that print alike, what their rows tell: one digit more."""
    means = {
        id(average.row): mean_of([row.cells[number] for row in average.of])
        for average in averaged(table)
        if all(number in row.cells for row in average.of)
    }
    tied = [
        row for row, others_keys in others if others_keys == keys and number in row.cells and row.cells[number].value == first.cells[number].value
    ]
    if id(first) not in means or len(tied) != 1 or id(tied[0]) not in means:
        return ""
    digits = first.cells[number].decimals + 1
    return f", where the rows have a mean of {written(means[id(first)], digits)} against {written(means[id(tied[0])], digits)}"


def _printed_of(claims: Claims, same: Same, tables: Mapping[str, PrintedTable]) -> Iterator[tuple[Keys, str, str, Row, Cell]]:
    for selector in same.lines:
        if selector["table"] not in tables:
            continue
        for keys, row in _picked(f"{claims.path}, [[same]] {same.id}", tables[selector["table"]], selector).items():
            for number, cell in row.cells.items():
                if not cell.is_derived:
                    yield tuple(sorted(keys)), number, selector["table"], row, cell


def _may_be_same(first: Cell, second: Cell) -> bool:
    """The same print; with unlike digits, a value that prints as both."""
    if first.unit == second.unit:
        return first.value == second.value
    return any(before_print(first, way).meets(before_print(second, way)) for way in WAYS)


def _lines_of(definition: Definition, tables: Sequence[PrintedTable]) -> Iterator[tuple[PrintedTable, Cell, list[Cell]]]:
    for table in tables:
        for row in table.rows:
            cells = [row.cells[number] for number in (definition.number, *definition.parts) if number in row.cells]
            if len(cells) == 1 + len(definition.parts) and not any(cell.is_derived for cell in cells):
                yield table, cells[0], cells[1:]


def _made(parts: Sequence[Cell], made_as: Literal["mean", "sum"], way: Way) -> Span:
    total = sum_span(parts, way)
    return total.over(len(parts)) if made_as == "mean" else total
