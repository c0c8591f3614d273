"""What an experiment came to, laid out as the printed table that it stands beside.

Three kinds of block, never alike: what was measured here, mean over the seeds with its interval; the paired differences that the table is about, with
every seed's own; and the printed numbers, quoted. Columns, marks, cautions and signatures are those of every other table (``tables.material``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmark.experiments.definitions import Experiment
from benchmark.experiments.definitions import Line as Arm
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.paired import NOT_MEASURED, Paired, parts
from benchmark.experiments.reported import AVERAGE, quoted_blocks, quoted_rows
from benchmark.experiments.sheet import Sheet
from benchmark.tables.apart import differs
from benchmark.tables.material import common_notes, marked
from benchmark.tables.printed import read_printed
from benchmark.tables.table import NOT_RUN, Block, Cell, Column, Line, Note, Number, Table, written
from benchmark.vocabulary import LESIONS

ARMS_ABREAST = 3
"""of a table by lesion: nine columns with intervals are what a page holds"""


def table_of(experiment: Experiment, numbers: Numbers, *, beside: bool = True) -> Table:
    """The table, without the printed numbers unless ``beside``. Raises ``UnlikeSignatures`` where arms were not measured alike."""
    sheet = Sheet(experiment, numbers)
    measured = {"lesions": _by_lesion, "quality": _by_arm, "factors": _by_factor, "axes": _by_factor, "curve": _by_label_f1}[experiment.layout](sheet)
    paired = Paired(sheet)
    wanted = list(dict.fromkeys((*sheet.wanted, *(one for _, one in paired.found))))
    shown = tuple(row for arm in sheet.arms for one in wanted if (row := numbers.row(arm, one.metric, one.value_name)))
    rows = tuple(row for row, _ in paired.found)
    notes = [*([Note(experiment.note)] if experiment.note else []), *_missing(sheet, paired), *_said_of_layout(sheet), *paired.notes()]
    # Under their titles: the notes name arms as the table does.
    named = tuple(row for arm in sheet.arms for one in wanted if (row := sheet.given.row(sheet.names[arm], one.metric, one.value_name)))
    is_ranked = experiment.layout != "curve"
    notes += common_notes(sheet.given, named or rows, sheet.footnotes, ranks=sheet.wanted if is_ranked else ())
    blocks, printed_rows = [*measured, *paired.blocks()], []
    if beside and experiment.reported:
        printed = read_printed(experiment.reported)
        quoted, said = quoted_blocks(printed, differs(printed, numbers.measured_on, [row.signature for row in shown]))
        blocks, notes, printed_rows = [*blocks, *quoted], [*notes, *said], quoted_rows(printed)
    everything = (*shown, *rows, *printed_rows)
    return Table(experiment.name, experiment.title, experiment.number, tuple(blocks), tuple(notes), everything, paired.p_holm, paired.p_bh)


def _by_lesion(sheet: Sheet) -> list[Block]:
    """Lesions down, arms across, their average last."""
    lines_of = [line for line in sheet.experiment.lines if line.arm in sheet.measured]
    ranked = [marked(sheet.given, sheet.of_lesion(lesion)) for lesion in (*LESIONS, None)]
    positives = _positives(sheet)
    blocks = []
    pages = parts(lines_of, ARMS_ABREAST)
    for part in pages:
        heads = [replace(sheet.footnotes.column(one), group=sheet.label(line)) for line in part for one in sheet.of_lesion(None)]
        columns = (Column("Lesion", is_words=True), *([Column("Positives")] if positives else []), *heads)
        lines = []
        for place, lesion in enumerate((*LESIONS, None)):
            cells: list[Cell] = [cell for line in part for cell in ranked[place][sheet.names[line.arm]]]
            support: list[Cell] = [positives[place]] if positives else []
            lines.append(Line(lesion.capitalize() if lesion else AVERAGE, (*support, *cells), is_summary=lesion is None))
        blocks.append(Block(columns, tuple(lines), "Measured" if len(pages) == 1 else f"Measured: {', '.join(map(sheet.label, part))}"))
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


def _missing(sheet: Sheet, paired: Paired) -> list[Note]:
    """Arms, pairs and numbers that the table would have a place for."""
    notes = []
    columns = [
        one.title for one in sheet.wanted if sheet.measured and not any(sheet.numbers.row(arm, one.metric, one.value_name) for arm in sheet.measured)
    ]
    if sheet.experiment.layout == "lesions":
        if missing := [sheet.label(line) for line in sheet.experiment.lines if line.arm not in sheet.measured]:
            notes.append(Note(f"{NOT_MEASURED.capitalize()}: {', '.join(missing)}."))
        if paired.gone:
            notes.append(Note(f"Differences {NOT_MEASURED}: {'; '.join(sheet.pair(*pair) for pair in paired.gone)}."))
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
