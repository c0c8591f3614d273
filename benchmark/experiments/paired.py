"""The paired differences that an experiment is about, as blocks of its table: every pair and number with interval, p and each seed's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from benchmark.experiments.numbers import Key
from benchmark.experiments.reported import AVERAGE
from benchmark.experiments.sheet import AVERAGES, DIGITS, LESION_NUMBERS, Sheet
from benchmark.records import Row
from benchmark.statistics import benjamini_hochberg, holm
from benchmark.tables.material import Wanted
from benchmark.tables.table import NOT_RUN, Block, Cell, Column, Line, Note, Number, written_p
from benchmark.vocabulary import LESIONS

One = TypeVar("One")
Pair = tuple[str, str]

PAIRS_ABREAST = 2
"""of a table by lesion: four columns each"""
NOT_MEASURED = "not measured"
SEEDS = "Seed by seed"
BELOW_LESIONS = ("f1", "precision", "recall")
"""averages below the lesions, F1 first: it is what the rows above are of"""


@dataclass(frozen=True)
class Paired:
    """The differences of an experiment's pairs."""

    sheet: Sheet

    @cached_property
    def found(self) -> list[tuple[Row, Wanted]]:
        """Those that its table shows, pair by pair; a table by lesion shows F1 of each, and the three averages."""
        sheet, wanted = self.sheet, self.sheet.wanted
        if sheet.experiment.layout == "lesions":
            wanted = [sheet.of_lesion(lesion)[-1] for lesion in LESIONS]
            wanted += [sheet.lesions(f"macro_{name}", AVERAGES[f"macro_{name}"]) for name in BELOW_LESIONS]
        return [
            (row, one) for pair in sheet.experiment.pairs for one in wanted if (row := sheet.numbers.difference(*pair, one.metric, one.value_name))
        ]

    @cached_property
    def p_holm(self) -> dict[Key, float]:
        """Corrected over the table by Holm."""
        return self._corrected(holm)

    @cached_property
    def p_bh(self) -> dict[Key, float]:
        """By Benjamini and Hochberg."""
        return self._corrected(benjamini_hochberg)

    @property
    def gone(self) -> list[Pair]:
        """Pairs without a number."""
        there = {row.model for row, _ in self.found}
        return [pair for pair in self.sheet.experiment.pairs if _minus(pair) not in there]

    def blocks(self) -> list[Block]:
        """A line for each pair and number; of lesions, a line for each and pairs across."""
        return self._by_lesion() if self.sheet.experiment.layout == "lesions" else self._by_number()

    def notes(self) -> list[Note]:
        """What a difference is, how p comes about and over what it is corrected."""
        if not self.found:
            return []
        family = sum(not math.isnan(p) for p in self.p_holm.values())
        by_seed = ", seed by seed, then the mean" if self._has_seeds else ""
        notes = [
            Note(
                f"Differences: first minus second on the same cases{by_seed}; one whose interval holds zero is no finding. "
                f"p: two-sided, {self._tested()}; by Holm, corrected over the {family} tests of this table."
            )
        ]
        counts = [[len(self.sheet.numbers.seeds.get(arm, ())) for arm in pair] for pair in self.sheet.experiment.pairs]
        if any(1 in pair and max(pair) > 1 and self._count(*of) > 1 for of, pair in zip(self.sheet.experiment.pairs, counts, strict=True)):
            notes.append(Note("Where one of a pair was run once, each seed of the other is set against that one run: the difference is to it alone."))
        return notes

    def _by_number(self) -> list[Block]:
        lines = []
        for pair in self.sheet.experiment.pairs:
            own = [(row, one) for row, one in self.found if row.model == _minus(pair)]
            label = self.sheet.pair(*pair)
            if not own:
                lines.append(Line(label, reason=NOT_MEASURED))
            for place, (row, one) in enumerate(own):
                lines.append(Line("" if place else label, (one.title, *self._cells(pair, row, one))))
        columns = (Column("Pair", is_words=True), Column("Number", is_words=True), *self._heads())
        return [Block(columns, tuple(lines), "Paired differences")] if lines else []

    def _by_lesion(self) -> list[Block]:
        by_key = {_key(row): (row, one) for row, one in self.found}
        lines_of = [(lesion.capitalize(), f"{lesion}.f1") for lesion in LESIONS]
        lines_of += [(f"{AVERAGE} {LESION_NUMBERS[name]}", f"macro_{name}") for name in BELOW_LESIONS]
        metric = self.sheet.lesions("", "").metric
        blocks = []
        for part in parts([pair for pair in self.sheet.experiment.pairs if pair not in self.gone], PAIRS_ABREAST):
            heads = [head for pair in part for head in self._heads(self.sheet.pair(*pair))]
            lines = []
            for place, (label, value_name) in enumerate(lines_of):
                found = [by_key.get((_minus(pair), metric, value_name)) for pair in part]
                cells = [self._cells(pair, *one) if one else [NOT_RUN] * len(self._heads()) for pair, one in zip(part, found, strict=True)]
                lines.append(Line(label, tuple(cell for own in cells for cell in own), is_summary=place == len(LESIONS)))
            title = f"Paired differences, of F1 for each lesion: {'; '.join(self.sheet.pair(*pair) for pair in part)}"
            blocks.append(Block((Column("Lesion", is_words=True), *heads), tuple(lines), title))
        return blocks

    def _heads(self, group: str = "") -> list[Column]:
        """The seeds' only where something has several."""
        titles = ["Difference", "p", "p (Holm)", *([SEEDS] if self._has_seeds else [])]
        return [Column(title, group, is_words=title == SEEDS) for title in titles]

    def _cells(self, pair: Pair, row: Row, one: Wanted) -> list[Cell]:
        difference = Number(row.value, row.low, row.high, DIGITS, is_signed=True)
        seeds = [self.sheet.seed_by_seed(*pair, one) or NOT_RUN] if self._has_seeds else []
        return [difference, written_p(row.p_value), written_p(self.p_holm[_key(row)]), *seeds]

    @cached_property
    def _has_seeds(self) -> bool:
        pairs = {row.model: pair for pair in self.sheet.experiment.pairs for row, _ in self.found if row.model == _minus(pair)}
        return any(self.sheet.seed_by_seed(*pairs[row.model], one) for row, one in self.found)

    def _tested(self) -> str:
        """How p-values come about: of the interval's own distribution over seeds, by swapping reports where there is one run of each."""
        pairs = [pair for pair in self.sheet.experiment.pairs if pair not in self.gone]
        several = {self._count(*pair) > 1 for pair in pairs}
        by_seeds, by_swaps = "of the same distribution as the interval", "reports swapped at random by patients"
        return by_seeds if several == {True} else by_swaps if several == {False} else f"{by_seeds}, or {by_swaps} where each of a pair was run once"

    def _count(self, first: str, second: str) -> int:
        """How many differences a pair's is the mean of: as many as its arms have seeds in common, which may be fewer than either has."""
        seeds = self.sheet.numbers.seeds
        known = [seeds[name] for name in (_minus((first, second)), _minus((second, first))) if name in seeds]
        return len(known[0]) if known else max(len(seeds.get(arm, ())) for arm in (first, second))

    def _corrected(self, correction: Callable[[Sequence[float]], list[float]]) -> dict[Key, float]:
        p_values = correction([math.nan if row.p_value is None else row.p_value for row, _ in self.found])
        return {_key(row): p for (row, _), p in zip(self.found, p_values, strict=True)}


def parts(everything: Sequence[One], abreast: int) -> list[Sequence[One]]:
    """Cut into as few parts as hold so many abreast, as even as they come: four are two and two."""
    count = math.ceil(len(everything) / abreast)
    ends = [round(len(everything) * place / count) for place in range(count + 1)] if count else []
    return [everything[start:end] for start, end in pairwise(ends)]


def _minus(pair: Pair) -> str:
    return " - ".join(pair)


def _key(row: Row) -> Key:
    return row.model, row.metric, row.value_name
