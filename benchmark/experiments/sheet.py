"""An experiment with its numbers, as layouts, figures and claims read them: who was measured, what things are called, which numbers there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from benchmark.experiments.definitions import Experiment, Line
from benchmark.experiments.numbers import Numbers
from benchmark.tables.material import QUALITY, QUALITY_TITLES, Footnotes, Material, Wanted, as_run
from benchmark.tables.table import UNDEFINED, written
from benchmark.vocabulary import LESIONS

DIGITS = 3
"""of differences: with two, an interval that ends at 0.004 would seem to touch zero"""
LESION_NUMBERS = {"precision": "P", "recall": "R", "f1": "F1"}
AVERAGES = {"macro_precision": "Macro precision", "macro_recall": "Macro recall", "macro_f1": "Macro F1"}


@dataclass(frozen=True)
class Sheet:
    """An experiment with its numbers, as layouts and claims read them."""

    experiment: Experiment
    numbers: Numbers

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, each once, in the order of print; measured or not."""
        return self.experiment.arms

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Those of them that have numbers."""
        with_rows = {row.model for row in self.numbers.rows}
        return tuple(arm for arm in self.arms if arm in with_rows)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Arm -> what notes call it: its title, or its own name where two titles are one."""
        wanted = [arm for pair in self.experiment.pairs for arm in pair]
        titles = {arm: self.numbers.titles.get(arm, arm) for arm in dict.fromkeys((*self.arms, *wanted))}
        return {arm: title if list(titles.values()).count(title) == 1 else arm for arm, title in titles.items()}

    @cached_property
    def given(self) -> Material:
        """The numbers of these arms and pairs under the arms' titles, as tables take them."""
        pairs = {f"{first} - {second}": f"{self.names[first]} - {self.names[second]}" for first, second in self.experiment.pairs}
        numbers = self.numbers
        return Material(
            rows=tuple(replace(row, model=self.names[row.model]) for row in numbers.rows if row.model in self.arms),
            differences=tuple(replace(row, model=pairs[row.model]) for row in numbers.differences if row.model in pairs),
            models=tuple(self.names[arm] for arm in self.arms),
            note=numbers.note,
            measured_on=numbers.measured_on,
            counts=numbers.counts,
            level=numbers.level,
            draws=numbers.draws,
            brackets=_said_of_intervals(self),
            has_seeds=any(len(numbers.seeds.get(arm, ())) > 1 for arm in self.measured),
        )

    @cached_property
    def footnotes(self) -> Footnotes:
        """Counts the signatures as columns ask for them."""
        return Footnotes(self.given)

    @cached_property
    def wanted(self) -> list[Wanted]:
        """The measured numbers of the layout, as they were run here, in the order of print."""
        averages = [self.lesions(name, title) for name, title in AVERAGES.items()]
        quality = {one.title: as_run(self.given, one) for one in QUALITY}
        of_quality = list(quality.values())
        if self.experiment.layout == "lesions":
            return [one for lesion in (*LESIONS, None) for one in self.of_lesion(lesion)]
        if self.experiment.layout == "factors":
            return averages + of_quality[QUALITY_TITLES.index("Total (20)") :]
        if self.experiment.layout == "axes":
            return of_quality[: QUALITY_TITLES.index("Total (20)") + 1]
        if self.experiment.layout == "curve":
            return [*averages, *(quality[title] for title in ("F1-RadGraph", "GREEN", "METEOR", "ROUGE-L")), *of_quality[:5]]
        return of_quality

    def lesions(self, value_name: str, title: str) -> Wanted:
        """A number of the lesions' metric."""
        return Wanted(next(iter(self.given.named("lesions")), "lesions"), value_name, title)

    def of_lesion(self, lesion: str | None) -> list[Wanted]:
        """P, R and F1 of a lesion, or of their average."""
        return [self.lesions(f"{lesion}.{name}" if lesion else f"macro_{name}", title) for name, title in LESION_NUMBERS.items()]

    def as_run(self, metric: str, value_name: str) -> Wanted:
        """The number that was run here of a metric and a value named in print."""
        if metric == "lesions":
            return self.lesions(value_name, value_name)
        return next(as_run(self.given, one) for one in QUALITY if (one.metric, one.value_name) == (metric, value_name))

    def label(self, line: Line) -> str:
        """A line as this table calls it."""
        return line.title or self.numbers.titles.get(line.arm, line.arm)

    def pair(self, first: str, second: str) -> str:
        """A pair as this table calls its arms: ``Full resolution − 64 px``."""
        return " − ".join(self.called(first, second))

    def called(self, first: str, second: str) -> tuple[str, str]:
        """Two arms as this table calls them; of an arm with several lines, the one in the group of the other."""
        lines = self.experiment.lines
        groups = [{line.group for line in lines if line.arm == arm} for arm in (first, second)]
        shared = groups[0] & groups[1]
        of_arms = ([line for line in lines if line.arm == arm] or [Line(arm)] for arm in (first, second))
        one, other = (self.label(next((line for line in own if line.group in shared), own[0])) for own in of_arms)
        return one, other

    def seed_by_seed(self, first: str, second: str, one: Wanted, digits: int = DIGITS) -> str:
        """The difference of each seed, ``+0.041 −0.006``; nothing where there is but one."""
        values = self.numbers.of_seeds(f"{first} - {second}", one.metric, one.value_name)
        if not values:
            values = tuple(-value for value in self.numbers.of_seeds(f"{second} - {first}", one.metric, one.value_name))
        if len(values) < 2:
            return ""
        return UNDEFINED if all(map(math.isnan, values)) else " ".join(written(value, digits, is_signed=True) for value in values)


def _said_of_intervals(sheet: Sheet) -> str:
    """What intervals are over: patients and trainings, or patients alone where there was but one."""
    numbers = sheet.numbers
    level = f"{numbers.level * 100:g} % intervals"
    draws = f"{numbers.draws:,} bootstrap draws"
    counts = {arm: len(numbers.seeds.get(arm, ())) for arm in sheet.measured}
    several = {arm: count for arm, count in counts.items() if count > 1}
    if not several:
        return (
            f"Of one training each. In brackets: {level} over patients alone, from {draws} of them; what another start of the training would give is "
            "not in them."
        )
    seeds = list(dict.fromkeys(numbers.seeds[arm] for arm in several))
    which = "; ".join(", ".join(map(str, one)) for one in seeds)
    said = (
        f"Means over {_span(several.values())} trainings (seeds {which}). In brackets: {level} over patients and seeds: for other patients and for "
        f"another start of the training (Student's t of the patients' part, from {draws}, and of the seeds' part). They are symmetric, and "
        "end where the number itself must, if that is known."
    )
    alone = [sheet.names[arm] for arm in counts if arm not in several]
    return f"{said} One run, hence over patients alone: {', '.join(alone)}." if alone else said


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
