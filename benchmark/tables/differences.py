"""Pairs of models by headline numbers: what they differ by, how sure that is, and what such a comparison could have seen.

Where margins were given, of headlines or of other numbers, a second block says in both directions which model is not worse than the other by more
than its margin. The p-value decides, which is the interval turned round, as trials of non-inferiority are read: the whole interval lies within the
margin, or beyond it, or nothing is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.records import Row
from benchmark.statistics import benjamini_hochberg, holm
from benchmark.tables.material import Footnotes, Material, Wanted, common_notes, drawn_of, headlines, titled
from benchmark.tables.table import UNDEFINED, Block, Column, Line, Note, Number, Table, written, written_p

DIGITS = 3


class _Claim(NamedTuple):
    """That one model of a pair is not worse than the other by the margin or more."""

    gain: tuple[float, float]
    """by how much the model is better: both ends of the interval"""
    margin: float
    p_value: float


def differences(given: Material) -> Table:
    """The table; p-values corrected over all that it holds."""
    footnotes = Footnotes(given)
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    pairs = dict.fromkeys(row.model for row in given.differences)
    tested = [(row, one) for pair in pairs for one in headlines(given) if (row := by_key.get((pair, one.metric, one.value_name)))]
    p_values = [math.nan if row.p_value is None or _is_undirected(row) else row.p_value for row, _ in tested]
    p_holm, p_bh = holm(p_values), benjamini_hochberg(p_values)
    known = {(one.metric, one.value_name): one for _, one in tested}
    bounded = [
        (row, known.get((row.metric, row.value_name)) or Wanted(row.metric, row.value_name, titled(row)))
        for row in given.differences
        if row.margin is not None
    ]
    heads = {one: footnotes.column(one).head for _, one in (*tested, *bounded)}
    columns = (
        Column("Models", is_words=True),
        Column("Number", is_words=True),
        Column("Difference"),
        Column("p"),
        Column("p (Holm)"),
        Column("p (BH)"),
        Column("Detectable"),
        Column("Cases"),
    )
    lines, above = [], ""
    for (row, one), *corrected in zip(tested, p_holm, p_bh, strict=True):
        difference = Number(row.value, row.low, row.high, DIGITS, is_signed=True)
        label, above = ("" if row.model == above else given.name(row.model)), row.model
        detectable = UNDEFINED if row.detectable is None else written(row.detectable, DIGITS)
        lines.append(Line(label, (heads[one], difference, written_p(row.p_value), *map(written_p, corrected), detectable, str(row.scored))))
    family = sum(not math.isnan(p) for p in p_values)
    notes = [
        Note(f"Difference: first model minus second, on the cases that both scored, with the same resampled {drawn_of(given)} for both."),
        Note(
            f"p: two-sided, the two models' reports swapped at random by {drawn_of(given)[:-1]}{_times(given)}. Corrected over the {family} "
            "tests of this table: by Holm, the chance of any false alarm is held; by Benjamini and Hochberg (BH), the share of false alarms among "
            "those called."
        ),
        *(
            [Note("Numbers that are better neither high nor low are left out of the correction.")]
            if any(_is_undirected(row) for row, _ in tested)
            else []
        ),
        Note("Detectable: the smallest true difference that such a comparison would find in 80 % of repetitions, two-sided, uncorrected."),
        *(_margin_notes(given, [row for row, _ in bounded]) if bounded else []),
        *common_notes(given, tuple(dict.fromkeys(row for row, _ in (*tested, *bounded))), footnotes, ranks=()),
    ]
    keys = [(row.model, row.metric, row.value_name) for row, _ in tested]
    blocks = [Block(columns, tuple(lines), "Differences" if bounded else "")]
    blocks += [_non_inferiority(given, bounded, heads)] if bounded else []
    adjusted, false_discovery = (dict(zip(keys, corrected, strict=True)) for corrected in (p_holm, p_bh))
    title = "Paired differences between models"
    return Table("differences", title, "", tuple(blocks), tuple(notes), given.differences, adjusted, false_discovery)


def _is_undirected(row: Row) -> bool:
    """True where the metric names the number and says that neither way is better: that models differ in it is no finding."""
    return bool(row.title) and not row.direction


def _times(given: Material) -> str:
    return f", {given.flips:,} times, so that none is below {_smallest(given.flips)}" if given.flips else ""


def _smallest(count: int) -> str:
    """1 / (count + 1), as it is read."""
    return f"1/{count + 1:,}"


def _claims(row: Row) -> tuple[_Claim, _Claim]:
    """That the first is not worse, and that the second is not."""
    up, down = (row.low, row.high), (-row.high, -row.low)
    ours, theirs = (down, up) if row.direction == "lower" else (up, down)
    first, second = (math.nan if p is None else p for p in (row.p_first_not_worse, row.p_second_not_worse))
    return _Claim(ours, row.margin or 0.0, first), _Claim(theirs, row.margin or 0.0, second)


def _non_inferiority(given: Material, bounded: Sequence[tuple[Row, Wanted]], heads: dict[Wanted, str]) -> Block:
    """A line for each pair and number, both models' verdicts on it."""
    columns = (
        Column("Models", is_words=True),
        Column("Number", is_words=True),
        Column("Margin"),
        Column("Difference"),
        *(column for group in ("First", "Second") for column in (Column("is", group, is_words=True), Column("p", group), Column("p (Holm)", group))),
    )
    claims = [claim for row, _ in bounded for claim in _claims(row)]
    corrected = iter(zip(claims, holm([claim.p_value for claim in claims]), strict=True))
    lines, above = [], ""
    for row, one in bounded:
        both = [next(corrected), next(corrected)]
        label, above = ("" if row.model == above else given.name(row.model)), row.model
        said = [cell for claim, p_holm in both for cell in (_verdict(claim, given.level), written_p(claim.p_value), written_p(p_holm))]
        lines.append(Line(label, (heads[one], f"{row.margin:g}", Number(row.value, row.low, row.high, DIGITS, is_signed=True), *said)))
    return Block(columns, tuple(lines), "Not worse by the margin")


def _verdict(claim: _Claim, level: float | None) -> str:
    low, high = claim.gain
    if math.isnan(low) or math.isnan(high):
        return UNDEFINED
    is_small = low > -claim.margin if level is None or math.isnan(claim.p_value) else claim.p_value < (1 - level) / 2
    return "not worse" if is_small else "worse" if high < -claim.margin else "neither"


def _margin_notes(given: Material, rows: Sequence[Row]) -> list[Note]:
    tail = f", one-sided at {(1 - given.level) * 50:g} %" if given.level else ""
    family = sum(not math.isnan(claim.p_value) for row in rows for claim in _claims(row))
    smallest = f" None is below {_smallest(given.draws)}, with {given.draws:,} draws" if given.draws else ""
    if smallest and given.level and family > (given.draws or 0) * (1 - given.level) / 2:
        smallest += f": too few for Holm's correction of {family} to leave any below {(1 - given.level) / 2:g}, take more draws (--draws)"
    return [
        Note(
            f"First, second is not worse: the whole interval lies within the margin{tail}; worse: the whole of it lies beyond; else neither. Which "
            "way is better is the number's own."
        ),
        Note(
            "p of that block: against that model being worse by the margin or more; the interval turned round. "
            f"Holm over its {family} claims.{smallest}{'.' if smallest else ''}"
        ),
    ]
