"""What the paper claims, and whether these numbers bear it out: one verdict for each claim, worked out and never stored.

A claim compares an arm with others, in some rows and numbers of one printed table (``consistency.claims``); what its digits say to it is the table
checker's to say (``consistency.told``). It is set beside the paired differences that were measured here, on other data and by other back ends, so
that a verdict here says nothing of the printed numbers, nor they of it.

One comparison is clear if the interval of its difference excludes zero and, where the claim makes several, if p by Holm's correction over those of
the claim is below the level too. With clear comparisons alone,

    holds            each is as claimed; of a claim on most of them, more than half
    does not hold    one is the other way; of a claim on most of them, at least half
    cannot be told   otherwise: an interval holds zero, or an arm was not measured

That something is not lower holds if its interval does not reach below zero; comparable, in the sense of ``consistency.claims``, if that is so against
at least half of the others, and does not hold if it is clearly lower than more than half. A lesion that does not occur here is left out.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal, get_args

from benchmark.consistency.check import CLAIMS_FILE
from benchmark.consistency.claims import Claim, Selector, read_claims
from benchmark.consistency.printed import read_table
from benchmark.consistency.told import Told, hold_against
from benchmark.experiments.definitions import Experiment
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.reported import ROW_KEYS, cell, in_words, nearest, rows_of, selectors
from benchmark.experiments.sheet import DIGITS, Sheet
from benchmark.records import Row
from benchmark.statistics import holm
from benchmark.tables.printed import SUMMARIES, Printed, printed_names, read_printed, reported_folder
from benchmark.tables.table import Block, Cell, Column, Line, Note, Number, Table

Here = Literal["holds", "does not hold", "cannot be told"]
InPrint = Literal["holds", "tie", "contradicted", "not printed"]
IN_PRINT: Mapping[str, InPrint] = {"holds": "holds", "tie": "tie", "fails": "contradicted", "not given": "not printed"}
"""what the table checker says -> what a sentence on the paper says"""
NAMED = 6
"""more lesions or numbers than that are counted, not named"""
COLUMNS = (
    "id",
    "table",
    "where",
    "says",
    "relation",
    "quantifier",
    "in_print",
    "here",
    "row",
    "number",
    "first",
    "second",
    "printed_first",
    "printed_second",
    "difference",
    "low",
    "high",
    "p_value",
    "p_holm",
    "seeds",
    "comparison",
)


@dataclass(frozen=True)
class Comparison:
    """One number of one row, of the first and of one that it is compared with."""

    row: str
    """a lesion, ``Average``, or empty"""
    number: str
    """column of the printed table"""
    title: str
    """row and number in words"""
    second: str
    """the one that it is compared with, in the words of print"""
    printed: tuple[str, str]
    """first and second as printed; empty where nothing is"""
    measured: Row | None = None
    """first minus second here; None where one of them was not measured"""
    seeds: str = ""
    """the difference of each seed"""
    p_holm: float = math.nan
    """corrected over the comparisons of the claim"""
    is_clear: bool = False
    """the interval excludes zero, and the corrected p-value says so too"""

    @property
    def is_defined(self) -> bool:
        """False where it was measured and there was nothing to count."""
        return self.measured is None or not math.isnan(self.measured.value)

    def sign(self, claim: Claim) -> int:
        """1 where the difference here goes the way of the claim, -1 the other way, 0 neither, or not known."""
        value = math.nan if self.measured is None else self.measured.value
        return 0 if math.isnan(value) or value == 0 else (1 if value > 0 else -1) * _way(claim)


@dataclass(frozen=True)
class Verdict:
    """A claim, in print and here."""

    claim: Claim
    in_print: InPrint
    """contradicted: a printed number goes the other way; tie: none does, and some are equal"""
    here: Here
    comparisons: tuple[Comparison, ...]
    """row by row, number by number"""
    said_in_print: str
    """with the printed numbers, or how many"""
    said_here: str
    """with the difference, or how many"""
    pair: str = ""
    """what stands here for the two that are compared, where they are two and both were measured: ``Full resolution − 64 px``"""

    @property
    def sentence(self) -> str:
        """Claim, print and measurement on one line."""
        words = {"holds": "it holds", "tie": "it is a tie", "contradicted": "it is contradicted", "not printed": "there is no number"}
        in_print = words[self.in_print] + (f" ({self.said_in_print})" if self.said_in_print else "")
        pair = f", {self.pair}," if self.pair else ""
        return f"{self.claim.says} In print {in_print}. Here{pair} it {self.here}: {self.said_here}."


def claims_in_print(path: Path | None = None) -> tuple[Told, ...]:
    """The claims of a file, the shipped one if none is given, each with what the printed tables say to it. Raises ``UnreadableClaims``."""
    folder = reported_folder()
    tables = [read_table(folder / f"{name}.csv", read_printed(name).keys) for name in printed_names()]
    return tuple(hold_against(read_claims(path or folder / CLAIMS_FILE), tables))


def verdicts(told: Iterable[Told], experiment: Experiment, numbers: Numbers, experiments: Sequence[Experiment] = ()) -> list[Verdict]:
    """One for each claim on the experiment's printed table; ``experiments`` name the arms of other tables that a claim compares with."""
    sheet = Sheet(experiment, numbers)
    return [_verdict(one, sheet, (experiment, *experiments)) for one in told if experiment.reported and one.claim.table == experiment.reported]


def pairs_of_claims(claims: Iterable[Claim], experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """The arms whose differences the claims need, each pair once and one way round; those alone that an experiment has."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    for claim in claims:
        first = _arm(claim, claim.first, experiments)
        for selector in _seconds(claim):
            second = _arm(claim, selector, experiments)
            if first and second and first != second:
                found.setdefault(frozenset((first, second)), (first, second))
    return list(found.values())


def with_verdicts(table: Table, found: Sequence[Verdict], numbers: Numbers) -> Table:
    """The table with a sentence for each claim below it, and what the words mean."""
    if not found:
        return table
    notes = (*table.notes, Note(_meaning(numbers.level)), *(Note(verdict.sentence, label=f"Claim {verdict.claim.id}.") for verdict in found))
    return replace(table, notes=notes)


def claims_table(found: Sequence[Verdict], numbers: Numbers, tables: Mapping[str, str]) -> Table:
    """Every claim on one line, with counts of the verdicts below. ``tables``: the file of a printed table -> its number, ``Table 2b``."""
    columns = (
        Column("Claim", is_words=True),
        Column("Of", is_words=True),
        Column("In print", is_words=True),
        Column("Here", is_words=True),
        Column("Differences here", is_words=True),
    )
    lines = []
    for verdict in found:
        only = verdict.comparisons[0].measured if len(verdict.comparisons) == 1 else None
        difference: Cell = Number(only.value, only.low, only.high, DIGITS, is_signed=True) if only else verdict.said_here
        where = tables.get(verdict.claim.table, verdict.claim.table)
        lines.append(Line(verdict.claim.says, (where, verdict.in_print, verdict.here, difference)))
    notes = [
        Note(
            f"{len(found)} claims. In print: "
            + ", ".join(f"{said} {sum(verdict.in_print == said for verdict in found)}" for said in get_args(InPrint))
            + ". Here: "
            + ", ".join(f"{said} {sum(verdict.here == said for verdict in found)}" for said in get_args(Here))
            + "."
        ),
        Note(_meaning(numbers.level)),
        *([Note(numbers.note)] if numbers.note else []),
    ]
    return Table("claims", "What is claimed, in print and here", "", (Block(columns, tuple(lines)),), tuple(notes), ())


def claims_csv(found: Iterable[Verdict]) -> str:
    """One line for each comparison of each claim, at full precision; verdicts of the whole claim on each of them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for verdict in found:
        claim = verdict.claim
        about = (claim.id, claim.table, claim.where, claim.says, claim.relation, claim.quantifier, verdict.in_print, verdict.here)
        for one in verdict.comparisons:
            row = one.measured
            measured = (row.value, row.low, row.high, row.p_value, one.p_holm) if row else (math.nan,) * 5
            first = " ".join(claim.first.values())
            writer.writerow(
                [*about, one.row, one.number, first, one.second, *one.printed, *map(_exact, measured), one.seeds, _of_comparison(claim, one)]
            )
    return out.getvalue()


def _verdict(told: Told, sheet: Sheet, experiments: Sequence[Experiment]) -> Verdict:
    claim = told.claim
    comparisons = _judged(_comparisons(claim, sheet, experiments), claim, sheet.numbers.level)
    here, said_here = _here(claim, comparisons)
    arms = [_arm(claim, selector, experiments) for selector in (claim.first, *claim.second)]
    pair = sheet.pair(*arms) if len(arms) == 2 and any(one.measured for one in comparisons) else ""
    return Verdict(claim, IN_PRINT[told.verdict], here, tuple(comparisons), _printed_numbers(told), said_here, pair)


def _seconds(claim: Claim) -> list[Selector]:
    """Those that the first is compared with, all others of its table spelled out."""
    if not claim.is_against_all:
        return list(claim.second)
    return [arm for arm in selectors(read_printed(claim.table)) if not set(claim.first.items()) <= set(arm.items())]


def _arm(claim: Claim, selector: Selector, experiments: Sequence[Experiment]) -> str:
    """The arm that stands for a printed line here; empty if none does."""
    table = claim.table_of(selector)
    wanted = _keys(selector)
    lines = (line for experiment in experiments if experiment.reported == table for line in experiment.lines)
    return next((line.arm for line in lines if line.printed and wanted.items() <= line.printed.items()), "")


def _keys(selector: Selector) -> dict[str, str]:
    """What of a selector names an arm."""
    return {key: value for key, value in selector.items() if key not in ("table", *ROW_KEYS)}


def _comparisons(claim: Claim, sheet: Sheet, experiments: Sequence[Experiment]) -> list[Comparison]:
    table = read_printed(claim.table)
    rows = claim.rows or tuple(row for row in rows_of(table) if row.casefold() not in SUMMARIES)
    first = _arm(claim, claim.first, experiments)
    seconds = [(read_printed(claim.table_of(selector)), selector, _arm(claim, selector, experiments)) for selector in _seconds(claim)]
    found = []
    for row in rows:
        for number in claim.numbers:
            one = sheet.as_run(*nearest(row, number))
            for other, selector, second in seconds:
                measured = sheet.numbers.difference(first, second, one.metric, one.value_name) if first and second else None
                found.append(
                    Comparison(
                        row,
                        number,
                        _title(claim, table, row, number),
                        in_words(other, _keys(selector)),
                        (cell(table, _keys(claim.first), row, number), cell(other, _keys(selector), selector.get("lesion", row), number)),
                        measured,
                        sheet.seed_by_seed(first, second, one) if measured else "",
                    )
                )
    return found


def _title(claim: Claim, table: Printed, row: str, number: str) -> str:
    """What tells a comparison from the others of its claim."""
    if not row or len(claim.rows) == 1:
        return table.word(number)
    return row if len(claim.numbers) == 1 else f"{row} {table.word(number)}"


def _way(claim: Claim) -> int:
    return -1 if claim.relation == "lower" else 1


def _judged(comparisons: Sequence[Comparison], claim: Claim, level: float) -> list[Comparison]:
    """With corrected p-values, and whether each is clear."""
    p_values = [math.nan if one.measured is None or one.measured.p_value is None else one.measured.p_value for one in comparisons]
    several = sum(one.measured is not None and one.is_defined for one in comparisons) > 1
    judged = []
    for one, p in zip(comparisons, holm(p_values), strict=True):
        row = one.measured
        excludes = row is not None and (row.low > 0 or row.high < 0 or (claim.relation in ("not_lower", "comparable") and row.low >= 0))
        judged.append(replace(one, p_holm=p, is_clear=excludes and (not several or p < 1 - level)))
    return judged


def _of_comparison(claim: Claim, one: Comparison) -> str:
    """One comparison, here."""
    if one.measured is None:
        return "not measured"
    if not one.is_defined:
        return "nothing to count"
    if not one.is_clear:
        return "cannot be told"
    return "does not hold" if one.sign(claim) < 0 else "holds"


def _units(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    """By row and number: against all that the first is compared with."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for one in comparisons:
        found.setdefault((one.row, one.number), []).append(one)
    return found


def _here(claim: Claim, comparisons: Sequence[Comparison]) -> tuple[Here, str]:
    units = {key: unit for key, unit in _units(comparisons).items() if all(one.is_defined for one in unit)}
    if not any(one.measured for unit in units.values() for one in unit):
        return "cannot be told", _not_measured(comparisons) or "nothing to count"
    states = [_unit_here(claim, unit) for unit in units.values()]
    borne, refuted = states.count("holds"), states.count("does not hold")
    if claim.quantifier == "most":
        here: Here = "holds" if 2 * borne > len(states) else "does not hold" if 2 * refuted >= len(states) else "cannot be told"
    else:
        here = "does not hold" if refuted else "holds" if borne == len(states) else "cannot be told"
    return here, "; ".join(filter(None, (_counted(claim, comparisons, list(units.values())), _left_out(comparisons), _not_measured(comparisons))))


def _unit_here(claim: Claim, unit: Sequence[Comparison]) -> str:
    """One number against all the others."""
    found = [_of_comparison(claim, one) for one in unit]
    if claim.relation == "comparable":
        if 2 * found.count("holds") >= len(found):
            return "holds"
        return "does not hold" if 2 * found.count("does not hold") > len(found) else "cannot be told"
    return "does not hold" if "does not hold" in found else "holds" if set(found) == {"holds"} else "cannot be told"


def _counted(claim: Claim, comparisons: Sequence[Comparison], units: Sequence[Sequence[Comparison]]) -> str:
    """The difference itself where there is but one, else how many go which way, and which of them clearly."""
    if len(comparisons) == 1 and (row := comparisons[0].measured):
        number = Number(row.value, row.low, row.high, DIGITS, is_signed=True)
        seeds = f", seeds {comparisons[0].seeds}" if comparisons[0].seeds else ""
        return f"{number.text} {number.interval}".strip() + seeds
    up, down = ("lower", "higher") if claim.relation == "lower" else ("higher", "lower")
    if len(units) == 1:  # one number against several others
        there = [one for one in units[0] if one.measured]
        ahead = [(one.second, one.is_clear) for one in there if one.sign(claim) > 0]
        behind = [(one.second, one.is_clear) for one in there if one.sign(claim) < 0]
        return "; ".join((_side(f"{up} than", ahead, len(there)), _side(f"{down} than", behind, len(there)), *_equal(len(there), ahead, behind)))
    against = "" if all(len(unit) == 1 for unit in units) else " than all others that were run"
    run = [unit for unit in ([one for one in unit if one.measured] for unit in units) if unit]
    ahead = [(unit[0].title, all(one.is_clear for one in unit)) for unit in run if all(one.sign(claim) > 0 for one in unit)]
    behind = [(unit[0].title, any(one.is_clear and one.sign(claim) < 0 for one in unit)) for unit in run if any(one.sign(claim) < 0 for one in unit)]
    lower = f"{down} than one of them in" if against else f"{down} in"
    return "; ".join((_side(f"{up}{against} in", ahead, len(run)), _side(lower, behind, len(run)), *_equal(len(run), ahead, behind)))


def _side(said: str, found: Sequence[tuple[str, bool]], of: int) -> str:
    """``higher in 9 of 13, clearly in 2 (Edema, Mass)``."""
    if not found:
        return f"{said} none of {of}"
    clear = [title for title, is_clear in found if is_clear]
    names = f" ({', '.join(clear)})" if 0 < len(clear) <= NAMED else ""
    return (
        f"{said} {len(found)} of {of}, {'none' if not clear else 'all' if len(clear) == len(found) and len(clear) > 1 else len(clear)} clearly{names}"
    )


def _equal(of: int, *sides: Sequence[object]) -> list[str]:
    """How many differences are exactly zero, if any is: two arms that wrote the same."""
    rest = of - sum(map(len, sides))
    return [f"equal in {rest}"] if rest else []


def _left_out(comparisons: Sequence[Comparison]) -> str:
    gone = list(dict.fromkeys(one.title for one in comparisons if not one.is_defined))
    return f"nothing to count for {', '.join(gone)}" if gone else ""


def _not_measured(comparisons: Sequence[Comparison]) -> str:
    """Which of the others, or which numbers, are not there."""
    seconds = list(dict.fromkeys(one.second for one in comparisons))
    gone = [second for second in seconds if not any(one.measured for one in comparisons if one.second == second)]
    if len(gone) == len(seconds):
        return "not measured"
    if gone:
        return f"not measured: {', '.join(gone)}" if len(gone) <= NAMED else f"{len(gone)} of {len(seconds)} others not measured"
    numbers = list(dict.fromkeys(one.title for one in comparisons if one.measured is None))
    return f"not measured: {', '.join(numbers)}" if numbers else ""


def _printed_numbers(told: Told) -> str:
    """The two numbers of one comparison, the nearest of several others, or in how many rows and numbers the claim is borne out."""
    claim = told.claim
    if not told.comparisons:
        return ""
    first, others = told.comparisons[0].first, [cell for _, cell in told.comparisons[0].others]
    if len(told.comparisons) == 1 and claim.relation == "comparable":
        values = sorted(cell.value for cell in others)
        return f"{first.text} against {values[0]} to {values[-1]}, {median(values)} in the middle"
    if len(told.comparisons) == 1:
        nearest_one = (min if claim.relation == "lower" else max)(others, key=lambda cell: cell.value)
        bound = "" if len(others) == 1 else "at least " if claim.relation == "lower" else "at most "
        return f"{first.text} against {bound}{nearest_one.text}"
    table = read_printed(claim.table)
    said = [f"as claimed in {len(told.of('holds'))} of {len(told.comparisons)}"]
    for found, words in ((told.of("tie"), "tied in"), (told.of("fails"), "the other way in")):
        if names := [_title(claim, table, one.row, one.number) for one in found]:
            said.append(f"{words} {len(names)}" + (f": {', '.join(names)}" if len(names) <= NAMED else ""))
    return "; ".join(said)


def _meaning(level: float) -> str:
    return (
        "Claims. In print, by the printed digits alone: a tie where one is to be ahead and is equal, contradicted where one goes the other way. "
        "Here, by the paired differences: a claim holds or does not hold only where they are clear, which is an interval that excludes zero and, "
        f"of a claim with several comparisons, p by Holm over them below {1 - level:.2g}. What holds here holds of these data and these back ends: "
        "it neither confirms nor refutes the printed numbers, which are of other data and another labeller."
    )


def _exact(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else repr(float(number))
