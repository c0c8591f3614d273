"""What the paper claims, and whether these numbers bear it out: one verdict for each claim, worked out and never stored.

A claim compares an arm with others, in some rows and numbers of one printed table (``consistency.claims``); what its digits say to it is the table
checker's to say (``consistency.told``). It is set beside the paired differences that were measured here, on other data and by other back ends, so
that a verdict here says nothing of the printed numbers, nor they of it.

One comparison is clear if the interval of its difference excludes zero and its p-value, by Holm over the comparisons of the claim, is below what the
level leaves. That is another family than a table's, and claims are not corrected across one another. With clear comparisons alone,

    holds            each is as claimed; of a claim on most of them, more than half
    does not hold    one is the other way; of a claim on most of them, at least half
    cannot be told   otherwise: an interval holds zero, or an arm was not measured

That something is not lower asks for no difference, so p has no say in it: it holds if no interval reaches below zero, in a tie too, however many are
compared. Comparable is as in print, not below the median of the others: the median of the differences is the difference from the median, so that it
holds if the median of the lower ends is not below zero, and does not hold if that of the upper ends is, of clear differences alone. A lesion that
does not occur here is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from benchmark.consistency.check import CLAIMS_FILE
from benchmark.consistency.claims import Claim, Selector, read_claims
from benchmark.consistency.printed import is_summary, read_table
from benchmark.consistency.told import Told, hold_against
from benchmark.experiments.definitions import Experiment
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.reported import ROW_KEYS, cell, in_words, nearest, rows_of, selectors
from benchmark.experiments.sheet import Sheet
from benchmark.records import Row
from benchmark.statistics import holm
from benchmark.tables.printed import Printed, printed_names, read_printed, reported_folder

Here = Literal["holds", "does not hold", "cannot be told"]
InPrint = Literal["holds", "tie", "contradicted", "not printed"]
IN_PRINT: Mapping[str, InPrint] = {"holds": "holds", "tie": "tie", "fails": "contradicted", "not given": "not printed"}
"""what the table checker says -> what a sentence on the paper says"""


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
    arms: tuple[str, str] = ("", "")
    """that stand for the two here; empty where none does"""
    called: tuple[str, str] = ("", "")
    """what these arms are called here: labels that were told by rules are not those of a language model"""
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
        return 0 if math.isnan(value) or value == 0 else (1 if value > 0 else -1) * (-1 if claim.relation == "lower" else 1)

    def here(self, claim: Claim) -> str:
        """What this one alone says to the claim."""
        if self.measured is None:
            return "not measured"
        if not self.is_defined:
            return "nothing to count"
        if self.is_clear and self.sign(claim) < 0:
            return "does not hold"
        is_enough = self.measured.low >= 0 if claim.relation in ("not_lower", "comparable") else self.is_clear
        return "holds" if is_enough else "cannot be told"


@dataclass(frozen=True)
class Verdict:
    """A claim, in print and here."""

    told: Told
    """the claim, and the printed numbers held against it"""
    here: Here
    comparisons: tuple[Comparison, ...]
    """row by row, number by number"""

    @property
    def claim(self) -> Claim:
        """What is claimed."""
        return self.told.claim

    @property
    def in_print(self) -> InPrint:
        """Contradicted: a printed number goes the other way; tie: none does, and some are equal."""
        return IN_PRINT[self.told.verdict]

    @property
    def counted(self) -> list[list[Comparison]]:
        """By row and number, against all that the first is compared with; without what there was nothing to count of."""
        return [unit for unit in _units(self.comparisons) if all(one.is_defined for one in unit)]


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


def _verdict(told: Told, sheet: Sheet, experiments: Sequence[Experiment]) -> Verdict:
    comparisons = _judged(_comparisons(told.claim, sheet, experiments), sheet.numbers.level)
    verdict = Verdict(told, "cannot be told", tuple(comparisons))
    return replace(verdict, here=_here(told.claim, verdict.counted))


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
    rows = claim.rows or tuple(row for row in rows_of(table) if not is_summary(row))
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
                        title_of(claim, table, row, number),
                        in_words(other, _keys(selector)),
                        (cell(table, _keys(claim.first), row, number), cell(other, _keys(selector), selector.get("lesion", row), number)),
                        (first, second),
                        sheet.called(first, second) if first and second else ("", ""),
                        measured,
                        sheet.seed_by_seed(first, second, one) if measured else "",
                    )
                )
    return found


def title_of(claim: Claim, table: Printed, row: str, number: str) -> str:
    """What tells a comparison from the others of its claim."""
    if not row or len(claim.rows) == 1:
        return table.word(number)
    return row if len(claim.numbers) == 1 else f"{row} {table.word(number)}"


def _judged(comparisons: Sequence[Comparison], level: float) -> list[Comparison]:
    """With corrected p-values, and whether each is clear."""
    p_values = [math.nan if one.measured is None or one.measured.p_value is None else one.measured.p_value for one in comparisons]
    judged = []
    for one, p in zip(comparisons, holm(p_values), strict=True):
        row = one.measured
        judged.append(replace(one, p_holm=p, is_clear=row is not None and (row.low > 0 or row.high < 0) and p < 1 - level))
    return judged


def _units(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """By row and number: against all that the first is compared with."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for one in comparisons:
        found.setdefault((one.row, one.number), []).append(one)
    return list(found.values())


def _here(claim: Claim, units: Sequence[Sequence[Comparison]]) -> Here:
    if not any(one.measured for unit in units for one in unit):
        return "cannot be told"
    states = [_unit_here(claim, unit) for unit in units]
    borne, refuted = states.count("holds"), states.count("does not hold")
    if claim.quantifier == "most":
        return "holds" if 2 * borne > len(states) else "does not hold" if 2 * refuted >= len(states) else "cannot be told"
    return "does not hold" if refuted else "holds" if borne == len(states) else "cannot be told"


def _unit_here(claim: Claim, unit: Sequence[Comparison]) -> Here:
    """One number against all the others."""
    if claim.relation == "comparable":
        lows = [-math.inf if one.measured is None or math.isnan(one.measured.low) else one.measured.low for one in unit]
        highs = [one.measured.high if one.measured and one.is_clear else math.inf for one in unit]
        return "holds" if median(lows) >= 0 else "does not hold" if median(highs) < 0 else "cannot be told"
    found = {one.here(claim) for one in unit}
    return "does not hold" if "does not hold" in found else "holds" if found == {"holds"} else "cannot be told"
