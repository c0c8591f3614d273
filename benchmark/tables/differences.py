"""Pairs of models by headline numbers: what they differ by, how sure that is, and what such a comparison could have seen.

Where margins were given, a second block says in both directions which model is not worse than the other by more than its margin. The end of the
interval decides, as trials of non-inferiority are read: the whole interval lies within the margin, or beyond it, or nothing is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.records import Row
from benchmark.statistics import benjamini_hochberg, holm
from benchmark.tables.material import Footnotes, Material, Wanted, common_notes, headlines
from benchmark.tables.table import UNDEFINED, Block, Column, Line, Note, Number, Table, written, written_p

DIGITS = 3


class _Claim(NamedTuple):
    """That one model is not worse than another by the margin or more."""

    row: Row
    one: Wanted
    model: str
    other: str
    gain: tuple[float, float, float]
    """by how much the model is better: value, low, high"""
    p_value: float


def differences(given: Material) -> Table:
    """The table; p-values corrected over all that it holds."""
    footnotes = Footnotes(given)
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    pairs = dict.fromkeys(row.model for row in given.differences)
    tested = [(row, one) for pair in pairs for one in headlines(given) if (row := by_key.get((pair, one.metric, one.value_name)))]
    p_values = [math.nan if row.p_value is None else row.p_value for row, _ in tested]
    p_holm, p_bh = holm(p_values), benjamini_hochberg(p_values)
    heads = {one: footnotes.column(one).head for _, one in tested}
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
        label, above = ("" if row.model == above else row.model), row.model
        detectable = UNDEFINED if row.detectable is None else written(row.detectable, DIGITS)
        lines.append(Line(label, (heads[one], difference, written_p(row.p_value), *map(written_p, corrected), detectable, str(row.scored))))
    claims = [claim for row, one in tested if row.margin is not None for claim in _claims(row, one)]
    family = sum(not math.isnan(p) for p in p_values)
    notes = [
        Note("Difference: first model minus second, on the cases that both scored, with the same resampled patients for both."),
        Note(
            f"p: two-sided, the two models' reports swapped at random by patient. Corrected over the {family} differences of this table: by Holm, "
            "the chance of any false alarm is held; by Benjamini and Hochberg (BH), the share of false alarms among those called."
        ),
        Note("Detectable: the smallest true difference that such a comparison would find in 80 % of repetitions, two-sided, uncorrected."),
        *(_margin_notes(given, claims) if claims else []),
        *common_notes(given, tuple(row for row, _ in tested), footnotes, ranks=()),
    ]
    keys = [(row.model, row.metric, row.value_name) for row, _ in tested]
    blocks = [Block(columns, tuple(lines), "Differences" if claims else "")]
    blocks += [_non_inferiority(claims, heads)] if claims else []
    adjusted, false_discovery = (dict(zip(keys, corrected, strict=True)) for corrected in (p_holm, p_bh))
    title = "Paired differences between models"
    return Table("differences", title, "", tuple(blocks), tuple(notes), given.differences, adjusted, false_discovery)


def _claims(row: Row, one: Wanted) -> list[_Claim]:
    """Both directions of a pair, each with by how much its model is better."""
    first, second = row.model.split(" - ", 1) if row.model.count(" - ") == 1 else (row.model, "the other of the pair")
    up, down = (row.value, row.low, row.high), (-row.value, -row.high, -row.low)
    ours, theirs = (down, up) if row.direction == "lower" else (up, down)
    p_values = [math.nan if p is None else p for p in (row.p_first_not_worse, row.p_second_not_worse)]
    return [_Claim(row, one, first, second, ours, p_values[0]), _Claim(row, one, second, first, theirs, p_values[1])]


def _non_inferiority(claims: Sequence[_Claim], heads: dict[Wanted, str]) -> Block:
    columns = (
        Column("Model", is_words=True),
        Column("not worse than", is_words=True),
        Column("Number", is_words=True),
        Column("Margin"),
        Column("Better by"),
        Column("p"),
        Column("p (Holm)"),
        Column("Shown", is_words=True),
    )
    lines = []
    for claim, p_holm in zip(claims, holm([claim.p_value for claim in claims]), strict=True):
        gain = Number(*claim.gain, DIGITS, is_signed=True)
        p_values = written_p(claim.p_value), written_p(p_holm)
        margin = claim.row.margin or 0.0
        lines.append(Line(claim.model, (claim.other, heads[claim.one], f"{margin:g}", gain, *p_values, _verdict(claim.gain, margin))))
    return Block(columns, tuple(lines), "Not worse by the margin")


def _verdict(gain: tuple[float, float, float], margin: float) -> str:
    _, low, high = gain
    if math.isnan(low) or math.isnan(high):
        return UNDEFINED
    return "not worse" if low > -margin else "worse" if high < -margin else "neither"


def _margin_notes(given: Material, claims: Sequence[_Claim]) -> list[Note]:
    tail = f", one-sided at {(1 - given.level) * 50:g} %" if given.level else ""
    family = sum(not math.isnan(claim.p_value) for claim in claims)
    return [
        Note(f"Shown: not worse if the whole interval lies above minus the margin{tail}, worse if the whole of it lies below, else neither."),
        Note(f"p of that block: against being worse by the margin or more; the interval turned round. Holm over its {family} claims."),
    ]
