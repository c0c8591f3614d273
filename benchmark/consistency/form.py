"""What can be seen of a table without computing anything: values out of range, digits, holes, lines that stand there twice, bold print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from benchmark.consistency.arithmetic import averaged
from benchmark.consistency.claims import Bold
from benchmark.consistency.findings import Checked, CheckName, Finding
from benchmark.consistency.printed import AXES, SHARES, TOTAL, Cell, PrintedTable, Row

MOST_DECIMALS = 6  # beyond it a column is not rounded for print


def check_range(tables: Sequence[PrintedTable]) -> Checked:
    """Shares, axes and totals that no measurement can give; of other columns nothing is known."""
    findings, count = [], 0
    for table in tables:
        shares = [cell.value for row in table.rows for number, cell in row.cells.items() if number in SHARES]
        top = Decimal(100 if 2 * sum(value > 1 for value in shares) > len(shares) else 1)
        ends = {**dict.fromkeys(SHARES, (Decimal(0), top)), **dict.fromkeys(AXES, (Decimal(1), Decimal(5))), TOTAL: (Decimal(1), Decimal(20))}
        for row in table.rows:
            for number, cell in row.cells.items():
                if number not in ends:
                    continue
                count += 1
                low, high = ends[number]
                if not low <= cell.value <= high:
                    says = f"{number} is printed {cell.text}, and lies between {low} and {high} by definition"
                    findings.append(_of_cell("range", table, row, number, cell, f"{low} to {high}", says))
    return Checked(findings, count)


def check_decimals(tables: Sequence[PrintedTable]) -> Checked:
    """Columns in which some numbers have fewer or more digits than most."""
    findings, count = [], 0
    for table in tables:
        for number in table.numbers:
            cells = [(row, row.cells[number]) for row in table.rows if number in row.cells and not row.cells[number].is_derived]
            count += len(cells)
            digits = Counter(cell.decimals for _, cell in cells)
            if len(digits) < 2 or max(digits) > MOST_DECIMALS:
                continue
            usual = digits.most_common(1)[0][0]
            odd = [(row, cell) for row, cell in cells if cell.decimals != usual]
            row, cell = odd[0]
            others = f", and {len(odd) - 1} more like it" if len(odd) > 1 else ""
            says = f"{number} has {usual} decimals in {digits[usual]} of {len(cells)} cells, but here {cell.text}{others}"
            findings.append(_of_cell("decimals", table, row, number, cell, f"{usual} decimals", says))
    return Checked(findings, count)


def check_missing(tables: Sequence[PrintedTable]) -> Checked:
    """Empty cells, and averages of which a row is missing that others of the table have."""
    findings: list[Finding] = []
    count = 0
    for table in tables:
        count += sum(len(row.cells) + len(row.empty) for row in table.rows)
        for number in table.numbers:
            if empty := [row for row in table.rows if number in row.empty]:
                others = f", and {len(empty) - 1} more cells of that column are" if len(empty) > 1 else ""
                says = f"{number} is empty{others}; a number or a dash should stand there"
                findings.append(Finding("missing", table.name, empty[0].line, empty[0].name, number, "", "a number or -", says))
        findings += _holes(table)
    return Checked(findings, count)


def check_duplicates(tables: Sequence[PrintedTable]) -> Checked:
    """Lines that are about the same thing."""
    findings, count = [], 0
    for table in tables:
        first: dict[tuple[str, ...], Row] = {}
        for row in table.rows:
            count += 1
            before = first.setdefault(tuple(row.keys.values()), row)
            if before is not row:
                # In the long form only the numbers that are there twice are in the second row.
                alike = all(number in before.cells and before.cells[number].text == cell.text for number, cell in row.cells.items())
                numbers = "the same numbers" if alike else "other numbers"
                says = f"stands in line {before.line} already, with {numbers}; keep one of the two, or name another key column"
                findings.append(Finding("duplicates", table.name, row.line, row.name, "", row.name, "once", says))
    return Checked(findings, count)


def check_bold(tables: Sequence[PrintedTable], bold: Sequence[Bold], lower_is_better: frozenset[str] = frozenset()) -> Checked:
    """Where anything is bold: whether that is the best, and whether the best is bold."""
    findings, count = [], 0
    for table in tables:
        told = [one for one in bold if one.table == table.name]
        for number in table.numbers:
            for rows in _compared(table):
                cells = [(row, row.cells[number]) for row in rows if number in row.cells]
                is_bold = [cell.is_bold or any(number in one.numbers and _is_picked(row, one) for one in told) for row, cell in cells]
                if not any(is_bold):
                    continue
                count += len(cells)
                best = (min if number in lower_is_better else max)(cell.value for _, cell in cells)
                for (row, cell), marked in zip(cells, is_bold, strict=True):
                    if marked != (cell.value == best):
                        says = f"{number} {cell.text} is {'bold, but the best is' if marked else 'as good as any, but not bold: the best is'} {best}"
                        findings.append(_of_cell("bold", table, row, number, cell, f"bold {best}" if marked else "bold", says))
    return Checked(findings, count)


def _compared(table: PrintedTable) -> Iterator[list[Row]]:
    """Rows that are set against each other: alike in all key columns but the last."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        if len(table.keys) > 1 or not row.is_average:
            groups.setdefault(tuple(row.keys.values())[:-1], []).append(row)
    yield from groups.values()


def _is_picked(row: Row, bold: Bold) -> bool:
    return any(selector.items() <= row.keys.items() for selector in bold.lines)


def _holes(table: PrintedTable) -> Iterator[Finding]:
    """Averages with fewer rows than most averages of the table have."""
    rows_of = {id(average.row): (average.row, {_open(row, average.row) for row in average.of}) for average in averaged(table)}
    every = set().union(*(names for _, names in rows_of.values())) if rows_of else set()
    for row, names in rows_of.values():
        if missing := sorted(every - names):
            says = f"{', '.join(missing)} is not in the table for this average, and is for others"
            yield Finding("missing", table.name, row.line, row.name, "", "", ", ".join(missing), says)


def _open(row: Row, average: Row) -> str:
    """What the row is, where its average says average."""
    return ", ".join(cell for key, cell in row.keys.items() if average.keys[key] != cell)


def _of_cell(check: CheckName, table: PrintedTable, row: Row, number: str, cell: Cell, expected: str, says: str) -> Finding:
    return Finding(check, table.name, cell.line, row.name, number, cell.text, expected, says)
