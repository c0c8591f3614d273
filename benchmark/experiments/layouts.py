"""What an experiment came to, laid out as the printed table that it stands beside.

Three kinds of block, never alike: what was measured here, mean over the seeds with its interval; the paired differences that the table is about, with
every seed's own; and the printed numbers, quoted. Columns, marks, cautions and signatures are those of every other table (``tables.material``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from benchmark.experiments.definitions import Experiment
from benchmark.experiments.definitions import Line as Arm
from benchmark.experiments.numbers import Key, Numbers
from benchmark.experiments.reported import AVERAGE, quoted_blocks, quoted_rows
from benchmark.records import Row
from benchmark.statistics import benjamini_hochberg, holm
from benchmark.tables.material import QUALITY, QUALITY_TITLES, Footnotes, Material, Wanted, as_run, common_notes, marked
from benchmark.tables.printed import read_printed
from benchmark.tables.table import NOT_RUN, UNDEFINED, Block, Cell, Column, Line, Note, Number, Table, written, written_p
from benchmark.vocabulary import LESIONS

One = TypeVar("One")

DIGITS = 3
"""of differences: with two, an interval that ends at 0.004 would seem to touch zero"""
LESION_NUMBERS = {"precision": "P", "recall": "R", "f1": "F1"}
AVERAGES = {"macro_precision": "Macro precision", "macro_recall": "Macro recall", "macro_f1": "Macro F1"}
ARMS_ABREAST = 3
"""of a table by lesion: nine columns with intervals are what a page holds"""
PAIRS_ABREAST = 2
"""of their differences: four columns each"""
NOT_MEASURED = "not measured"


def table_of(experiment: Experiment, numbers: Numbers, *, beside: bool = True) -> Table:
    """The table, without the printed numbers unless ``beside``. Raises ``UnlikeSignatures`` where arms were not measured alike."""
    sheet = Sheet(experiment, numbers)
    measured = {"lesions": _by_lesion, "quality": _by_arm, "factors": _by_factor, "axes": _by_factor, "curve": _by_label_f1}[experiment.layout](sheet)
    compared = _compared(sheet)
    differences = (_lesion_differences if experiment.layout == "lesions" else _differences)(sheet, compared)
    wanted = list(dict.fromkeys((*sheet.wanted, *(one for _, one in compared))))
    shown = tuple(row for arm in sheet.arms for one in wanted if (row := numbers.row(arm, one.metric, one.value_name)))
    rows = tuple(row for row, _ in compared)
    notes = [*_missing(sheet), *_said_of_layout(sheet), *(_said_of_differences(sheet, compared) if compared else [])]
    # Under their titles: the notes name arms as the table does.
    named = tuple(row for arm in sheet.arms for one in wanted if (row := sheet.given.row(sheet.names[arm], one.metric, one.value_name)))
    is_ranked = experiment.layout != "curve"
    notes += common_notes(sheet.given, (*named, *rows), sheet.footnotes, ranks=sheet.wanted if is_ranked else ())
    blocks, printed_rows = [*measured, *differences], []
    if beside and experiment.reported:
        printed = read_printed(experiment.reported)
        quoted, said = quoted_blocks(printed)
        blocks, notes, printed_rows = [*blocks, *quoted], [*notes, *said], quoted_rows(printed)
    adjusted, false_discovery = (_corrected(compared, correction) for correction in (holm, benjamini_hochberg))
    everything = (*shown, *rows, *printed_rows)
    return Table(experiment.name, experiment.title, experiment.number, tuple(blocks), tuple(notes), everything, adjusted, false_discovery)


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
            counts=numbers.counts,
            level=numbers.level,
            draws=numbers.draws,
            brackets=_said_of_intervals(self),
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

    def label(self, line: Arm) -> str:
        """A line as this table calls it."""
        return line.title or self.numbers.titles.get(line.arm, line.arm)

    def pair(self, first: str, second: str) -> str:
        """A pair as this table calls its arms; of an arm with several lines, the one in the group of the other."""
        lines = self.experiment.lines
        groups = [{line.group for line in lines if line.arm == arm} for arm in (first, second)]
        shared = groups[0] & groups[1]
        labels = []
        for arm in (first, second):
            own = [line for line in lines if line.arm == arm]
            chosen = next((line for line in own if line.group in shared), next(iter(own), Arm(arm)))
            labels.append(self.label(chosen))
        return " − ".join(labels)

    def seed_by_seed(self, first: str, second: str, one: Wanted, digits: int = DIGITS) -> str:
        """The difference of each seed, ``+0.041 −0.006``; nothing where there is but one."""
        values = self.numbers.of_seeds(f"{first} - {second}", one.metric, one.value_name)
        if not values:
            values = tuple(-value for value in self.numbers.of_seeds(f"{second} - {first}", one.metric, one.value_name))
        if len(values) < 2:
            return ""
        return UNDEFINED if all(map(math.isnan, values)) else " ".join(written(value, digits, is_signed=True) for value in values)


def _by_lesion(sheet: Sheet) -> list[Block]:
    """Lesions down, arms across, their average last."""
    lines_of = [line for line in sheet.experiment.lines if line.arm in sheet.measured]
    ranked = [marked(sheet.given, sheet.of_lesion(lesion)) for lesion in (*LESIONS, None)]
    positives = _positives(sheet)
    blocks = []
    parts = _parts(lines_of, ARMS_ABREAST)
    for part in parts:
        heads = [replace(sheet.footnotes.column(one), group=sheet.label(line)) for line in part for one in sheet.of_lesion(None)]
        columns = (Column("Lesion", is_words=True), *([Column("Positives")] if positives else []), *heads)
        lines = []
        for place, lesion in enumerate((*LESIONS, None)):
            cells: list[Cell] = [cell for line in part for cell in ranked[place][sheet.names[line.arm]]]
            support: list[Cell] = [positives[place]] if positives else []
            lines.append(Line(lesion.capitalize() if lesion else AVERAGE, (*support, *cells), is_summary=lesion is None))
        blocks.append(Block(columns, tuple(lines), "Measured" if len(parts) == 1 else f"Measured: {', '.join(map(sheet.label, part))}"))
    return blocks


def _by_arm(sheet: Sheet) -> list[Block]:
    """Arms down, numbers across."""
    ranked = marked(sheet.given, sheet.wanted)
    lines = tuple(_line(sheet, line, ranked) for line in sheet.experiment.lines)
    return [Block((Column(_head(sheet.experiment), is_words=True), *map(sheet.footnotes.column, sheet.wanted)), lines, "Measured")]


def _by_factor(sheet: Sheet) -> list[Block]:
    """Levels down under the factor that they are of; best among the levels of one factor alone."""
    lines: list[Line] = []
    for group in dict.fromkeys(line.group for line in sheet.experiment.lines):
        levels = [line for line in sheet.experiment.lines if line.group == group]
        ranked = marked(replace(sheet.given, models=tuple(dict.fromkeys(sheet.names[line.arm] for line in levels))), sheet.wanted)
        lines += [_line(sheet, line, ranked, before=(sheet.label(line),), label=group if line is levels[0] else "") for line in levels]
    columns = (Column("Factor", is_words=True), Column("Level", is_words=True), *map(sheet.footnotes.column, sheet.wanted))
    return [Block(columns, tuple(lines), "Measured")]


def _by_label_f1(sheet: Sheet) -> list[Block]:
    """The curve in two halves, the lesions and overlaps first, the judged axes after; no best, since more truth told is no merit of an arm's."""
    unmarked = {name: [_unranked(cell) for cell in cells] for name, cells in marked(sheet.given, sheet.wanted).items()}
    judged = [place for place, one in enumerate(sheet.wanted) if one.metric.partition(":")[0] == "consistency"]
    rest = [place for place in range(len(sheet.wanted)) if place not in judged]
    blocks = []
    for places, title in ((rest, "lesions and overlap"), (judged, "judged")):
        cells = {name: [values[place] for place in places] for name, values in unmarked.items()}
        lines = [_line(sheet, line, cells, before=_label_f1(sheet, line)) for line in sheet.experiment.lines]
        heads = [sheet.footnotes.column(sheet.wanted[place]) for place in places]
        columns = (Column("Reports", is_words=True), Column("Label F1 asked"), Column("reached"), *heads)
        blocks.append(Block(columns, tuple(lines), f"Measured: {title}"))
    return blocks


def _head(experiment: Experiment) -> str:
    """What the lines are, in the word of the printed table where there is one: models, variants, labels."""
    if not experiment.reported:
        return "Variant"
    printed = read_printed(experiment.reported)
    return printed.word(printed.keys[-1])


def _line(sheet: Sheet, line: Arm, cells: Mapping[str, Sequence[Cell]], *, before: Iterable[Cell] = (), label: str | None = None) -> Line:
    text = sheet.label(line) if label is None else label
    if line.arm not in sheet.measured:
        said = f"{sheet.label(line)}: {NOT_MEASURED}" if label is not None else NOT_MEASURED
        return Line(text, reason=said)
    return Line(text, (*before, *cells[sheet.names[line.arm]]))


def _unranked(cell: Cell) -> Cell:
    return replace(cell, rank=0) if isinstance(cell, Number) else cell


def _label_f1(sheet: Sheet, line: Arm) -> tuple[str, str]:
    """What the labels that an arm is told were to be worth, and what they were."""
    reached = sheet.numbers.facts.get(line.arm, {}).get("label_f1", math.nan)
    return line.printed.get("label_f1", NOT_RUN), NOT_RUN if math.isnan(reached) else written(reached, 2)


def _positives(sheet: Sheet) -> list[str]:
    """Reference positives of each lesion and, for the average row, nothing; empty if the arms were not scored on the same cases."""
    found = []
    for lesion in LESIONS:
        rows = [sheet.given.row(sheet.names[arm], *sheet.lesions(f"{lesion}.support", "")[:2]) for arm in sheet.measured]
        values = {row.value if row else None for row in rows}
        if len(values) != 1 or None in values:
            return []
        found.append(f"{rows[0].value:.0f}" if rows[0] else "")
    return [*found, ""]


def _compared(sheet: Sheet) -> list[tuple[Row, Wanted]]:
    """The differences that the table shows, pair by pair; a table by lesion shows F1 of each, and the three averages."""
    wanted = sheet.wanted
    if sheet.experiment.layout == "lesions":
        wanted = [sheet.of_lesion(lesion)[-1] for lesion in LESIONS] + [
            sheet.lesions(f"macro_{name}", AVERAGES[f"macro_{name}"]) for name in _order()
        ]
    return [
        (row, one)
        for first, second in sheet.experiment.pairs
        for one in wanted
        if (row := sheet.numbers.difference(first, second, one.metric, one.value_name))
    ]


def _order() -> tuple[str, ...]:
    """F1 first: it is what the rows above are of."""
    return ("f1", "precision", "recall")


def _corrected(compared: Sequence[tuple[Row, Wanted]], correction: Callable[[Sequence[float]], list[float]]) -> dict[Key, float]:
    p_values = correction([math.nan if row.p_value is None else row.p_value for row, _ in compared])
    return {_key(row): p for (row, _), p in zip(compared, p_values, strict=True)}


def _key(row: Row) -> Key:
    return row.model, row.metric, row.value_name


def _difference_cells(sheet: Sheet, pair: tuple[str, str], row: Row, one: Wanted, adjusted: Mapping[Key, float]) -> tuple[Cell, ...]:
    difference = Number(row.value, row.low, row.high, DIGITS, is_signed=True)
    return difference, written_p(row.p_value), written_p(adjusted[_key(row)]), sheet.seed_by_seed(*pair, one) or NOT_RUN


def _differences(sheet: Sheet, compared: Sequence[tuple[Row, Wanted]]) -> list[Block]:
    """A line for each pair and number."""
    adjusted = _corrected(compared, holm)
    lines = []
    for pair in sheet.experiment.pairs:
        own = [(row, one) for row, one in compared if row.model == " - ".join(pair)]
        label = sheet.pair(*pair)
        if not own:
            lines.append(Line(label, reason=NOT_MEASURED))
        for place, (row, one) in enumerate(own):
            lines.append(Line("" if place else label, (one.title, *_difference_cells(sheet, pair, row, one, adjusted))))
    columns = (
        Column("Pair", is_words=True),
        Column("Number", is_words=True),
        Column("Difference"),
        Column("p"),
        Column("p (Holm)"),
        Column("Seed by seed", is_words=True),
    )
    return [Block(columns, tuple(lines), "Paired differences")] if lines else []


def _lesion_differences(sheet: Sheet, compared: Sequence[tuple[Row, Wanted]]) -> list[Block]:
    """Lesions down, pairs across: F1 of each, and below them the averages."""
    adjusted = _corrected(compared, holm)
    by_key = {_key(row): (row, one) for row, one in compared}
    measured = {row.model for row, _ in compared}
    lines_of = [(lesion.capitalize(), f"{lesion}.f1") for lesion in LESIONS]
    lines_of += [(f"{AVERAGE} {LESION_NUMBERS[name]}", f"macro_{name}") for name in _order()]
    metric = sheet.lesions("", "").metric
    pairs = [pair for pair in sheet.experiment.pairs if " - ".join(pair) in measured]
    blocks = []
    for part in _parts(pairs, PAIRS_ABREAST):
        heads = [
            Column(title, sheet.pair(*pair), is_words=title == "Seed by seed")
            for pair in part
            for title in ("Difference", "p", "p (Holm)", "Seed by seed")
        ]
        lines = []
        for place, (label, value_name) in enumerate(lines_of):
            found = [by_key.get((" - ".join(pair), metric, value_name)) for pair in part]
            cells = [_difference_cells(sheet, pair, *one, adjusted) if one else (NOT_RUN,) * 4 for pair, one in zip(part, found, strict=True)]
            lines.append(Line(label, tuple(cell for four in cells for cell in four), is_summary=place == len(LESIONS)))
        blocks.append(
            Block(
                (Column("Lesion", is_words=True), *heads), tuple(lines), f"Paired differences of F1: {'; '.join(sheet.pair(*pair) for pair in part)}"
            )
        )
    return blocks


def _parts(everything: Sequence[One], abreast: int) -> list[Sequence[One]]:
    """Cut into as few parts as hold so many abreast, as even as they come: four are two and two."""
    count = math.ceil(len(everything) / abreast)
    ends = [round(len(everything) * place / count) for place in range(count + 1)] if count else []
    return [everything[start:end] for start, end in pairwise(ends)]


def _missing(sheet: Sheet) -> list[Note]:
    """Arms, pairs and numbers that the table would have a place for."""
    notes = []
    columns = [
        one.title for one in sheet.wanted if sheet.measured and not any(sheet.numbers.row(arm, one.metric, one.value_name) for arm in sheet.measured)
    ]
    if sheet.experiment.layout == "lesions":
        if missing := [sheet.label(line) for line in sheet.experiment.lines if line.arm not in sheet.measured]:
            notes.append(Note(f"{NOT_MEASURED.capitalize()}: {', '.join(missing)}."))
        gone = [pair for pair in sheet.experiment.pairs if not any(row.model == " - ".join(pair) for row, _ in _compared(sheet))]
        if gone:
            notes.append(Note(f"Differences {NOT_MEASURED}: {'; '.join(sheet.pair(*pair) for pair in gone)}."))
    elif columns:
        notes.append(Note(f"{NOT_RUN} not run: {', '.join(columns)}."))
    return notes


def _said_of_layout(sheet: Sheet) -> list[Note]:
    if sheet.experiment.layout == "lesions" and _positives(sheet):
        return [Note("Positives: cases whose reference report has the lesion. Average: mean over the lesions that occur.")]
    if sheet.experiment.layout == "curve":
        return [
            Note(
                "Label F1: of the lesion labels that the model is told while it writes, true ones spoiled on purpose down to what was asked, against "
                f"the labels that reports are measured by; reached, macro over the lesions. {NOT_RUN}: nothing is told, or nothing was asked."
            )
        ]
    return []


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
        f"another start of the training (Student's t, degrees of freedom by Satterthwaite; the patients' part from {draws}). They are symmetric, and "
        "may leave what a number can be."
    )
    alone = [sheet.names[arm] for arm in counts if arm not in several]
    return f"{said} One run, hence over patients alone: {', '.join(alone)}." if alone else said


def _said_of_differences(sheet: Sheet, compared: Sequence[tuple[Row, Wanted]]) -> list[Note]:
    family = sum(not math.isnan(math.nan if row.p_value is None else row.p_value) for row, _ in compared)
    notes = [
        Note(
            "Differences: first minus second on the same cases, seed by seed, then the mean; one whose interval holds zero is no finding. "
            f"p: two-sided; by Holm, corrected over the {family} tests of this table."
        )
    ]
    counts = [[len(sheet.numbers.seeds.get(arm, ())) for arm in pair] for pair in sheet.experiment.pairs]
    if any(1 in pair and max(pair) > 1 for pair in counts):
        notes.append(Note("Where one of a pair was run once, each seed of the other is set against that one run: the difference is to it alone."))
    return notes


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
