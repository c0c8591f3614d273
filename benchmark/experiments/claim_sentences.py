"""What is said of claims: a sentence for each below its table, one table of all, and a file with every comparison."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import get_args

from benchmark.consistency.claims import Claim
from benchmark.consistency.told import Told
from benchmark.experiments.claims import Comparison, Here, InPrint, Verdict, title_of
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.sheet import DIGITS
from benchmark.tables.printed import read_printed
from benchmark.tables.table import NOT_RUN, Block, Cell, Column, Line, Note, Number, Table

NAMED = 3
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
    "first_arm",
    "second_arm",
    "first_here",
    "second_here",
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


def sentence(verdict: Verdict) -> str:
    """Claim, print and measurement on one line."""
    words = {"holds": "it holds", "tie": "it is a tie", "contradicted": "it is contradicted", "not printed": "there is no number"}
    printed = said_in_print(verdict.told)
    in_print = words[verdict.in_print] + (f" ({printed})" if printed else "")
    pair = f", {compared}," if (compared := _compared(verdict)) and len(_pairs(verdict)) == 1 else ""
    return f"{verdict.claim.says} In print {in_print}. Here{pair} it {verdict.here}: {said_here(verdict)}."


def with_verdicts(table: Table, found: Sequence[Verdict], numbers: Numbers) -> Table:
    """The table with a sentence for each claim below it, and what the words mean."""
    if not found:
        return table
    notes = (*table.notes, Note(_meaning(found, numbers.level)), *(Note(sentence(verdict), label=f"Claim {verdict.claim.id}.") for verdict in found))
    return replace(table, notes=notes)


def claims_table(found: Sequence[Verdict], numbers: Numbers, tables: Mapping[str, str]) -> Table:
    """Every claim on one line, with counts of the verdicts below. ``tables``: the file of a printed table -> its number, ``Table 2b``."""
    columns = (
        Column("Claim", is_words=True),
        Column("Of", is_words=True),
        Column("In print", is_words=True),
        Column("Here", is_words=True),
        Column("Compared here", is_words=True),
        Column("Differences here", is_words=True),
    )
    lines = []
    for verdict in found:
        only = verdict.comparisons[0].measured if len(verdict.comparisons) == 1 else None
        difference: Cell = Number(only.value, only.low, only.high, DIGITS, is_signed=True) if only else said_here(verdict)
        where = tables.get(verdict.claim.table, verdict.claim.table)
        lines.append(Line(verdict.claim.says, (where, verdict.in_print, verdict.here, _compared(verdict) or NOT_RUN, difference)))
    notes = [
        Note(
            f"{len(found)} claims. In print: "
            + ", ".join(f"{said} {sum(verdict.in_print == said for verdict in found)}" for said in get_args(InPrint))
            + ". Here: "
            + ", ".join(f"{said} {sum(verdict.here == said for verdict in found)}" for said in get_args(Here))
            + "."
        ),
        Note(_meaning(found, numbers.level)),
        Note(_by_chance(len(found), numbers.level)),
        *([Note(brackets)] if (brackets := _brackets(found, numbers)) else []),
        *([Note(numbers.note, is_of_data=True)] if numbers.note else []),
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
            compared = (" ".join(claim.first.values()), one.second, *one.arms, *one.called, *one.printed)
            writer.writerow([*about, one.row, one.number, *compared, *map(_exact, measured), one.seeds, one.here(claim)])
    return out.getvalue()


def said_here(verdict: Verdict) -> str:
    """The difference itself where there is but one, else how many go which way, and which of them clearly."""
    claim, comparisons, units = verdict.claim, verdict.comparisons, verdict.counted
    if not any(one.measured for unit in units for one in unit):
        return _not_measured(comparisons) or "nothing to count"
    return "; ".join(filter(None, (*_counted(claim, comparisons, units), _left_out(comparisons), _not_measured(comparisons))))


def said_in_print(told: Told) -> str:
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
        if names := [title_of(claim, table, one.row, one.number) for one in found]:
            said.append(f"{words} {len(names)}" + (f": {', '.join(names)}" if len(names) <= NAMED else ""))
    return "; ".join(said)


def _counted(claim: Claim, comparisons: Sequence[Comparison], units: Sequence[Sequence[Comparison]]) -> list[str]:
    if len(comparisons) == 1 and (row := comparisons[0].measured):
        number = Number(row.value, row.low, row.high, DIGITS, is_signed=True)
        seeds = f", seeds {comparisons[0].seeds}" if comparisons[0].seeds else ""
        return [f"{number.text} {number.interval}".strip() + seeds]
    up, down = ("lower", "higher") if claim.relation == "lower" else ("higher", "lower")
    if len(units) == 1:  # one number against several others
        there = [one for one in units[0] if one.measured]
        ahead = [(one.second, one.is_clear) for one in there if one.sign(claim) > 0]
        behind = [(one.second, one.is_clear) for one in there if one.sign(claim) < 0]
        return _sides((f"{up} than", ahead), (f"{down} than", behind), equal=("equal to", len(there)))
    against = "" if all(len(unit) == 1 for unit in units) else " than all of the printed others that were run"
    run = [unit for unit in ([one for one in unit if one.measured] for unit in units) if unit]
    ahead = [(unit[0].title, all(one.is_clear for one in unit)) for unit in run if all(one.sign(claim) > 0 for one in unit)]
    behind = [(unit[0].title, any(one.is_clear and one.sign(claim) < 0 for one in unit)) for unit in run if any(one.sign(claim) < 0 for one in unit)]
    lower = f"{down} than one of them in" if against else f"{down} in"
    return _sides((f"{up}{against} in", ahead), (lower, behind), equal=("equal to the best of them in" if against else "equal in", len(run)))


def _sides(*sides: tuple[str, Sequence[tuple[str, bool]]], equal: tuple[str, int]) -> list[str]:
    """Those that occur; equal are two arms that wrote the same."""
    said, of = equal
    rest = of - sum(len(found) for _, found in sides)
    return [_side(words, found, of) for words, found in sides if found] + ([f"{said} {rest} of {of}"] if rest else [])


def _side(said: str, found: Sequence[tuple[str, bool]], of: int) -> str:
    """``higher in 9 of 13, clearly in 2 (Edema, Mass)``."""
    clear = [title for title, is_clear in found if is_clear]
    names = f" ({', '.join(clear)})" if 0 < len(clear) <= NAMED else ""
    return (
        f"{said} {len(found)} of {of}, {'none' if not clear else 'all' if len(clear) == len(found) and len(clear) > 1 else len(clear)} clearly{names}"
    )


def _left_out(comparisons: Sequence[Comparison]) -> str:
    gone = list(dict.fromkeys(one.title for one in comparisons if not one.is_defined))
    return f"nothing to count {'for ' + ', '.join(gone) if len(gone) <= NAMED else f'in {len(gone)}'}" if gone else ""


def _not_measured(comparisons: Sequence[Comparison]) -> str:
    """Which of the others, or which numbers, are not there."""
    seconds = list(dict.fromkeys(one.second for one in comparisons))
    gone = [second for second in seconds if not any(one.measured for one in comparisons if one.second == second)]
    if len(gone) == len(seconds):
        return "not measured"
    if gone:
        return f"not measured: {', '.join(gone)}" if len(gone) <= NAMED else f"{len(gone)} of {len(seconds)} others not measured"
    numbers = list(dict.fromkeys(one.title for one in comparisons if one.measured is None))
    return f"not measured: {', '.join(numbers) if len(numbers) <= NAMED else len(numbers)}" if numbers else ""


def _pairs(verdict: Verdict) -> list[tuple[str, str]]:
    """What is called how, of all that was measured."""
    return list(dict.fromkeys(one.called for one in verdict.comparisons if one.measured))


def _compared(verdict: Verdict) -> str:
    """``Labels by rules − Labels as CheXbert's``; of several others, how many there are."""
    pairs = _pairs(verdict)
    return "" if not pairs else " − ".join(pairs[0]) if len(pairs) == 1 else f"{pairs[0][0]} − each of {len(pairs)}"


def _meaning(found: Sequence[Verdict], level: float) -> str:
    """What verdicts mean, of the relations that occur."""
    relations = {verdict.claim.relation for verdict in found}
    others = [
        *(["not lower: no interval reaches below zero"] if "not_lower" in relations else []),
        *(["comparable: not below the median of the others, in print and here"] if "comparable" in relations else []),
    ]
    said = f" {'; '.join(others).capitalize()}." if others else ""
    return (
        "Claims: in print by the digits alone; here by paired differences that are clear (an interval that excludes zero, and p by Holm over the "
        f"claim below {1 - level:.2g}).{said} What is measured here neither confirms nor refutes the printed numbers: other data, other labellers."
    )


def _by_chance(claims: int, level: float) -> str:
    return (
        f"p is corrected within a claim, not across claims: of {claims} where nothing differs about {claims * (1 - level):.1f} would be clear by "
        "chance. A table's Holm is over its own tests, another family."
    )


def _brackets(found: Sequence[Verdict], numbers: Numbers) -> str:
    """What the intervals of the differences are over."""
    measured = [one for verdict in found for one in verdict.comparisons if one.measured and one.is_defined]
    if not measured:
        return ""
    over = {bool(one.seeds) for one in measured}
    alone = "over patients alone: what another start of the training would give is not in them"
    several = "over patients and seeds" + (f"; of what was run once {alone}" if False in over else "")
    said = several if True in over else alone
    return f"In brackets: {numbers.level * 100:g} % intervals of the difference, from {numbers.draws:,} bootstrap draws, {said}."


def _exact(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else repr(float(number))
