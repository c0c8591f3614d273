"""The agreement of labellers, laid out: each pair's statuses and sides, lesion by lesion; of more than two labellers first what sums them up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmark.records import Row
from benchmark.tables.table import UNDEFINED, Block, Cell, Column, Line, Note, Number, Table, written_p
from benchmark.vocabulary import LESIONS

METRIC = "agreement"
LABEL = Column("Lesion", is_words=True)
TITLES = {
    "kappa": "Kappa",
    "pabak": "PABAK",
    "raw_agreement": "Raw agreement",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "side_agreement": "Same side",
    "side_kappa": "Kappa of the side",
    "fleiss_kappa": "Fleiss' kappa",
    "krippendorff_alpha": "Krippendorff's alpha",
}
AVERAGES = (("macro", "Macro"), ("micro", "Micro"))
LEFT_TO_FILES = ("Raw agreement", "p")
"""columns for which a terminal has no room: one is PABAK on another scale, the other stands there corrected"""


class Pair(NamedTuple):
    """Two labellers."""

    first: str
    second: str
    has_truth: bool
    """the second's labels count as true"""

    @property
    def model(self) -> str:
        """The name under which their numbers stand."""
        return f"{self.first} {'against' if self.has_truth else 'and'} {self.second}"


def agreement_table(
    rows: Sequence[Row],
    adjusted: Mapping[tuple[str, str, str], float],
    pairs: Sequence[Pair],
    names: Sequence[str],
    together: str = "",
    *,
    counts: Mapping[str, int],
    level: float,
    draws: int,
) -> Table:
    """Everything on one page; see ``for_terminal``.

    rows       of every pair under ``Pair.model``, and of all labellers under ``together`` where there are more than two
    adjusted   p-values after Holm's correction
    names      of the labellers
    counts     what was labelled: ``{"cases": 300, "patients": 176}``
    """
    given = _Given({(row.model, row.value_name): row for row in rows}, adjusted)
    blocks = [_overview(given, pairs), _everyone(given, together)] if together else []
    for pair in pairs:
        blocks += [_status(given, pair), *([_side(given, pair)] if given.has_sides(pair) else [])]
    title = f"Agreement of {pairs[0].model} on 14 lesions" if not together else f"Agreement of {', '.join(names[:-1])} and {names[-1]} on 14 lesions"
    without = [pair.model for pair in pairs if not given.has_sides(pair)]
    notes = _notes(rows, pairs, without, together, counts, level, draws)
    return Table("agreement", title, "", tuple(blocks), notes, tuple(rows), adjusted)


def for_terminal(table: Table) -> Table:
    """What a window has room for: of two labellers status and side, of more what sums them up; fewer columns, shorter cells."""
    blocks = []
    for block in table.blocks[:2]:
        kept = [place for place, column in enumerate(block.columns) if place == 0 or column.title not in LEFT_TO_FILES]
        columns = tuple(block.columns[place] for place in kept)
        lines = tuple(replace(line, cells=tuple(_short(line.cells[place - 1], block.columns[place]) for place in kept[1:])) for line in block.lines)
        blocks.append(replace(block, columns=columns, lines=lines))
    return replace(table, blocks=tuple(blocks))


def _short(cell: Cell, column: Column) -> Cell:
    """A count without its share, PABAK without its interval: both follow from what stands beside them."""
    if isinstance(cell, str):
        return cell.partition(" (")[0]
    return Number(cell.value, decimals=cell.decimals) if isinstance(cell, Number) and column.title == TITLES["pabak"] else cell


class _Given(NamedTuple):
    rows: Mapping[tuple[str, str], Row]
    """by model and name of the number"""
    adjusted: Mapping[tuple[str, str, str], float]

    def has_sides(self, pair: Pair) -> bool:
        return self.rows[pair.model, "micro_side_stated_by_both"].value > 0

    def number(self, model: str, value_name: str) -> Cell:
        row = self.rows[model, value_name]
        return Number(row.value, row.low, row.high)

    def counted(self, model: str, value_name: str) -> str:
        return f"{self.rows[model, value_name].value:,.0f}"

    def share(self, model: str, what: str, who: str) -> str:
        """How many positives, and of how many in a hundred."""
        prevalence = self.rows[model, f"{what}prevalence_{who}"].value
        return f"{self.counted(model, f'{what}positives_{who}')} ({prevalence:.1%})" if not math.isnan(prevalence) else UNDEFINED


def _status(given: _Given, pair: Pair) -> Block:
    shown = ("kappa", "pabak", "raw_agreement", *(("precision", "recall") if pair.has_truth else ()), "f1")
    columns = (
        LABEL,
        *(Column(f"{name} +") for name in (pair.first, pair.second, "both")),
        *(Column(TITLES[name]) for name in shown),
        *(Column("p"), Column("p (Holm)")),
    )
    lines = []
    for lesion in LESIONS:
        tested = given.rows[pair.model, f"{lesion}.prevalence_difference"]
        p_values = (tested.p_value, given.adjusted[pair.model, METRIC, tested.value_name])
        numbers = (given.number(pair.model, f"{lesion}.{name}") for name in shown)
        lines.append(Line(lesion.capitalize(), (*_positives(given, pair, f"{lesion}."), *numbers, *map(written_p, p_values))))
    for average, label in AVERAGES:
        positives = _positives(given, pair, "micro_") if average == "micro" else ("", "", "")
        numbers = (given.number(pair.model, f"{average}_{name}") for name in shown)
        lines.append(Line(label, (*positives, *numbers, "", ""), is_summary=True))
    return Block(columns, tuple(lines), f"Positive or negative: {pair.model}")


def _positives(given: _Given, pair: Pair, what: str) -> tuple[str, str, str]:
    first, second = (given.share(pair.model, what, who) for who in ("first", "second"))
    return first, second, given.counted(pair.model, f"{what}positives_both")


def _side(given: _Given, pair: Pair) -> Block:
    shown = ("side_agreement", "side_kappa")
    columns = (LABEL, Column("Both positive"), Column("Side stated by both"), *(Column(TITLES[name]) for name in shown))

    def line(label: str, what: str, *, is_summary: bool = False) -> Line:
        has_counts = what != "macro_"
        counted = [given.counted(pair.model, f"{what}{name}") if has_counts else "" for name in ("positives_both", "side_stated_by_both")]
        return Line(label, (*counted, *(given.number(pair.model, f"{what}{name}") for name in shown)), is_summary=is_summary)

    lines = [line(lesion.capitalize(), f"{lesion}.") for lesion in LESIONS]
    lines += [line(label, f"{average}_", is_summary=True) for average, label in AVERAGES]
    return Block(columns, tuple(lines), f"Left, right or bilateral, where both affirm: {pair.model}")


def _overview(given: _Given, pairs: Sequence[Pair]) -> Block:
    shown = [(average, name) for name in ("kappa", "f1") for average, _ in AVERAGES] + [("micro", "pabak"), ("micro", "side_agreement")]
    columns = (Column("Labellers", is_words=True), *(Column(TITLES[name], group=average.capitalize()) for average, name in shown), Column("Scored"))
    lines = [
        Line(
            pair.model,
            (
                *(given.number(pair.model, f"{average}_{name}") for average, name in shown),
                f"{given.rows[pair.model, 'micro_kappa'].scored:,}",
            ),
        )
        for pair in pairs
    ]
    return Block(columns, tuple(lines), "Every pair")


def _everyone(given: _Given, together: str) -> Block:
    shown = ("fleiss_kappa", "krippendorff_alpha")
    lines = [Line(lesion.capitalize(), tuple(given.number(together, f"{lesion}.{name}") for name in shown)) for lesion in LESIONS]
    lines += [Line(label, tuple(given.number(together, f"{average}_{name}") for name in shown), is_summary=True) for average, label in AVERAGES]
    return Block((LABEL, *(Column(TITLES[name]) for name in shown)), tuple(lines), f"All together: {together}")


def _notes(
    rows: Sequence[Row], pairs: Sequence[Pair], without_sides: Sequence[str], together: str, counts: Mapping[str, int], level: float, draws: int
) -> tuple[Note, ...]:
    counted = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    drawn = "patients" if "patients" in counts else "cases (whose they are was not said)"
    tests = sum(row.p_value is not None and not math.isnan(row.p_value) for row in rows)
    truth = next((pair.second for pair in pairs if pair.has_truth), "")
    notes = [
        f"{counted}. In brackets: {level * 100:g} % intervals from {draws:,} bootstrap draws of {drawn}.",
        "+: how many of the reports that both labelled affirm the lesion, by each of the two and by both at once.",
        "Kappa is the agreement beyond chance. Where a lesion is rare it collapses: chance alone would agree on nearly every report, and a few "
        "disagreements halve it. PABAK (2 x raw agreement - 1) takes prevalence and bias out, and flatters where nearly all is negative. "
        "Read both beside the counts, and F1, which looks at the positives alone.",
        f"Precision, recall: with {truth} for the truth." if truth else "Nobody's labels count as the truth; F1 is the same both ways.",
        "p: McNemar's exact test, whether one of the two affirms the lesion more often than the other. It takes cases for independent, those of "
        f"one patient too. Holm's correction: over all lesions of all pairs that show a difference ({tests}).",
        "Macro: mean over the lesions that one of the two affirms at least once. Micro: the decisions on all 14 lesions pooled.",
    ]
    if len(without_sides) < len(pairs):
        notes.append(
            "Same side: share of the reports in which both state a side (left, right, bilateral). Kappa of the side: where both affirm the lesion, "
            "with 'not mentioned' as a fourth side."
        )
    if without_sides:
        notes.append(f"Side is left out: of no lesion that both affirm do both state one ({'; '.join(without_sides)}).")
    if together:
        notes.append("Fleiss' kappa is over the cases that all labellers answered, Krippendorff's alpha over those that at least two did.")
    unscored = {row.model: (row.unscored, row.scored) for row in rows if row.unscored and row.model != together}
    if unscored:
        listed = "; ".join(f"{model} {out:,}, leaving {left:,}" for model, (out, left) in unscored.items())
        notes.append(f"Left out, since one of the two has no answer for them (that is not a negative): {listed}.")
    if any(row.low == row.high for row in rows):
        notes.append("An interval without width, as [1.00, 1.00], means that every draw agreed: too few disagreements to tell, not certainty.")
    if any(math.isnan(row.value) for row in rows):
        notes.append(f"{UNDEFINED}: nothing to count, or kappa of labellers that say one and the same of every case.")
    signatures = dict.fromkeys(row.signature for row in rows)
    return (*map(Note, notes), *(Note("Computed as", signature=signature) for signature in signatures))
