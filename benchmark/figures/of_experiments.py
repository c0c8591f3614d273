"""What an experiment came to, as figures: forest plots of its table, or Figure 3.

Which numbers stand in it, what they are called and whether they compare is the table's business (``experiments.sheet``, ``tables.material``): a
number by rules has the same title here as there, and its note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from benchmark.experiments.definitions import Experiment, Line
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.reported import AVERAGE, cell
from benchmark.experiments.sheet import AVERAGES, DIGITS, Sheet
from benchmark.figures.curve import Curve, CurvePanel, Point, Series
from benchmark.figures.forest import Entry, Estimate, Forest, Group, Panel
from benchmark.figures.said import notes_of
from benchmark.records import Row
from benchmark.tables import quoted
from benchmark.tables.material import Wanted
from benchmark.tables.printed import Printed
from benchmark.tables.table import NOT_RUN
from benchmark.vocabulary import LESIONS

BASE = "base"
"""the arm of Figure 3 that is told nothing: it has neither LCA nor LLCL"""
LABEL_F1 = "label_f1"
PRINTED_OWN = "0.43"
"""where print has its main model, which is told by its own classifier; here labels spoiled to that F1 stand for it, and the classifier apart"""
PANELS = (
    ("Lesions named in the reports", ("precision", "recall", "f1"), 0.0, 1.0),
    ("Judged axes, from 1 to 5", ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure"), 1.0, 5.0),
    ("Entities in common; findings and errors", ("f1_radgraph", "green"), 0.0, None),
    ("Words in common", ("meteor", "rouge_l"), 0.0, None),
)
"""of Figure 3: title, numbers by their printed names, and what they can be at least and at most"""


def figures_of(experiment: Experiment, numbers: Numbers, printed: Printed | None = None) -> list[Forest | Curve]:
    """Every figure of a table, or Figure 3 with its differences. Raises ``UnlikeSignatures`` where arms were not measured alike."""
    curve: list[Forest | Curve] = [figure3(experiment, numbers, printed)] if experiment.layout == "curve" else []
    return [*(one for one in curve if isinstance(one, Curve) and one.panels), *forests_of(experiment, numbers, printed)]


def forests_of(experiment: Experiment, numbers: Numbers, printed: Printed | None = None) -> list[Forest]:
    """The numbers of every arm, and the differences that the table is about; none where nothing was measured.

    Of Figure 3 only the differences: its numbers are ``figure3``. Raises ``UnlikeSignatures`` where arms were not measured alike.
    """
    laid = Sheet(experiment, numbers)
    found = [] if experiment.layout == "curve" else [_levels(laid, printed)]
    found.append((_lesion_differences if experiment.layout == "lesions" else _differences)(laid, printed))
    return [forest for forest in found if forest]


def figure3(experiment: Experiment, numbers: Numbers, printed: Printed | None = None) -> Curve:
    """The reports over the F1 of the labels that the model is told, as reached. Raises ``UnlikeSignatures``."""
    laid = Sheet(experiment, numbers)
    names = _named(laid)
    own = next((line for line in experiment.lines if line.arm != BASE and LABEL_F1 not in line.printed), None)
    panels = []
    for title, columns, lowest, highest in PANELS:
        wanted = [(column, names[column]) for column in columns if _was_run(laid, names[column])]
        series = tuple(_series(laid, printed, column, one, own) for column, one in wanted)
        if series:
            panels.append(CurvePanel(title, series, lowest, highest))
    shown = _shown(laid, names.values())
    notes = notes_of(laid.given, shown, laid.footnotes)
    unplaced = [
        laid.label(line) for line in experiment.lines if line.arm != BASE and line.arm in laid.measured and math.isnan(_label_f1(laid, line.arm))
    ]
    if unplaced:
        notes.insert(0, f"Not drawn, since the F1 of what they were told is not known: {', '.join(unplaced)}.")
    if printed and any(line.printed.get(LABEL_F1) == PRINTED_OWN for line in experiment.lines):
        notes.append(f"What is printed at {PRINTED_OWN} is of the model told by its own classifier.")
    if BASE in laid.measured:
        notes.append("No hint: the variant with neither LCA nor LLCL, which is told nothing.")
    notes += _quoted_note(printed)
    title = f"{experiment.number}. {experiment.title}"
    own_title = laid.label(own)[:1].lower() + laid.label(own)[1:] if own else ""
    return Curve(experiment.name, title, "F1 of the lesion labels told, as reached", tuple(panels), own_title, "no hint", tuple(notes))


def _levels(laid: Sheet, printed: Printed | None) -> Forest | None:
    """Every arm by its headline numbers."""
    named = [(column, one) for column, one in _headlines(laid) if _was_run(laid, one)]
    panels = [Panel(head.title, laid.given.digits(one.metric), head.direction) for _, one in named for head in [laid.footnotes.column(one)]]
    groups = []
    for group in dict.fromkeys(line.group for line in laid.experiment.lines):
        lines = [line for line in laid.experiment.lines if line.group == group]
        groups.append(Group(group, tuple(Entry(laid.label(line), tuple(_level(laid, printed, line, *one) for one in named)) for line in lines)))
    shown = _shown(laid, [one for _, one in named])
    if not shown:
        return None
    notes = [*_missing(laid, named), *notes_of(laid.given, shown, laid.footnotes), *_quoted_note(printed)]
    title = f"{laid.experiment.number}. {laid.experiment.title}"
    return Forest(laid.experiment.name, title, tuple(panels), tuple(groups), tuple(notes), _key(laid))


def _differences(laid: Sheet, printed: Printed | None) -> Forest | None:
    """Every pair by the same numbers."""
    pairs = laid.experiment.pairs
    named = [(column, one) for column, one in _headlines(laid) if any(laid.numbers.difference(*pair, one.metric, one.value_name) for pair in pairs)]
    panels = [Panel(head.title, DIGITS, head.direction, is_difference=True) for _, one in named for head in [laid.footnotes.column(one)]]
    row = _row_of(printed)
    entries = tuple(Entry(laid.pair(*pair), tuple(_difference(laid, printed, pair, one, row, column) for column, one in named)) for pair in pairs)
    return _compared(laid, printed, panels, entries, [one for _, one in named], laid.experiment.title)


def _lesion_differences(laid: Sheet, printed: Printed | None) -> Forest | None:
    """Lesions down, pairs side by side on one scale: F1 of each, and the averages below."""
    lines = [(lesion.capitalize(), laid.of_lesion(lesion)[-1], lesion.capitalize(), "f1") for lesion in LESIONS]
    lines += [
        (AVERAGES[f"macro_{name}"], laid.lesions(f"macro_{name}", AVERAGES[f"macro_{name}"]), AVERAGE, name) for name in ("f1", "precision", "recall")
    ]
    wanted = [one for _, one, _, _ in lines]
    pairs = [pair for pair in laid.experiment.pairs if any(laid.numbers.difference(*pair, one.metric, one.value_name) for one in wanted)]
    for one in wanted:
        laid.footnotes.column(one)
    panels = [Panel(laid.pair(*pair), DIGITS, "higher", is_difference=True) for pair in pairs]
    entries = tuple(
        Entry(label, tuple(_difference(laid, printed, pair, one, row, column) for pair in pairs), is_summary=row == AVERAGE)
        for label, one, row, column in lines
    )
    return _compared(laid, printed, panels, entries, wanted, f"{laid.experiment.title}: differences in F1")


def _compared(
    laid: Sheet, printed: Printed | None, panels: Sequence[Panel], entries: tuple[Entry, ...], wanted: Sequence[Wanted], title: str
) -> Forest | None:
    """The figure of differences, if there are any."""
    shown = [
        replace(row, model=laid.pair(*pair))
        for pair in laid.experiment.pairs
        for one in wanted
        if (row := laid.numbers.difference(*pair, one.metric, one.value_name))
    ]
    if not shown or not panels:
        return None
    is_by_lesion = laid.experiment.layout == "lesions"
    title = f"{laid.experiment.number}. {title}" if is_by_lesion else f"{laid.experiment.number}. {title}: differences"
    notes = ["First minus second, on the same cases, seed by seed; an interval that holds zero leaves open which is better."]
    notes += [*notes_of(laid.given, shown, laid.footnotes), *_quoted_note(printed, "differences of numbers printed in")]
    name = f"{laid.experiment.name}_differences"
    return Forest(name, title, tuple(panels), (Group("", entries),), tuple(notes), _key(laid), has_one_scale=is_by_lesion)


def _named(laid: Sheet) -> dict[str, Wanted]:
    """Every printed number -> the number of ours in its place."""
    averages = {name.removeprefix("macro_"): laid.lesions(name, title) for name, title in AVERAGES.items()}
    return averages | {column: laid.as_run(*number) for column, number in quoted.QUALITY.items()}


def _headlines(laid: Sheet) -> list[tuple[str, Wanted]]:
    """The numbers that stand for an arm: the averages of a table by lesion, one of each kind for Figure 3, else the table's own columns."""
    named = _named(laid)
    few = {"lesions": ("f1", "precision", "recall"), "curve": ("f1", "total", "f1_radgraph", "green", "meteor", "rouge_l")}
    if laid.experiment.layout in few:
        return [(name, named[name]) for name in few[laid.experiment.layout]]
    return [(column, one) for one in laid.wanted for column, known in named.items() if known == one]


def _shown(laid: Sheet, wanted: Iterable[Wanted]) -> list[Row]:
    """The rows of the arms under the arms' titles: the notes name arms as the figure does."""
    return [row for one in wanted for arm in laid.measured if (row := laid.given.row(laid.names[arm], one.metric, one.value_name))]


def _was_run(laid: Sheet, one: Wanted) -> bool:
    return any(laid.numbers.row(arm, one.metric, one.value_name) for arm in laid.measured)


def _level(laid: Sheet, printed: Printed | None, line: Line, column: str, one: Wanted) -> Estimate | None:
    row = laid.numbers.row(line.arm, one.metric, one.value_name)
    text = _cell(printed, line.printed, _row_of(printed), column)
    return _estimate(row, laid.numbers.of_seeds(line.arm, one.metric, one.value_name), text) if row or text else None


def _difference(laid: Sheet, printed: Printed | None, pair: tuple[str, str], one: Wanted, row: str, column: str) -> Estimate | None:
    found = laid.numbers.difference(*pair, one.metric, one.value_name)
    first, second = (_cell(printed, _selector(laid, arm, other), row, column) for arm, other in (pair, pair[::-1]))
    gain = Decimal(first) - Decimal(second) if first and second else None
    text = "" if gain is None else f"{gain:+}" if gain else f"{gain}"
    seeds = laid.numbers.of_seeds(f"{pair[0]} - {pair[1]}", one.metric, one.value_name)
    if not seeds:
        seeds = tuple(-value for value in laid.numbers.of_seeds(f"{pair[1]} - {pair[0]}", one.metric, one.value_name))
    return _estimate(found, seeds, text) if found or text else None


def _estimate(row: Row | None, seeds: tuple[float, ...], text: str) -> Estimate:
    quoted_value = float(text) if text else math.nan
    if row is None:
        return Estimate(math.nan, quoted=quoted_value, quoted_text=text)
    return Estimate(row.value, row.low, row.high, seeds, quoted_value, text)


def _cell(printed: Printed | None, selector: Mapping[str, str], row: str, column: str) -> str:
    return cell(printed, selector, row, column) if printed and selector else ""


def _row_of(printed: Printed | None) -> str:
    """Where a printed table has its averages."""
    return AVERAGE if printed and "lesion" in printed.keys else ""


def _selector(laid: Sheet, arm: str, other: str) -> Mapping[str, str]:
    """What picks an arm's printed numbers; of several lines of it, that of the factor in which the other is a level."""
    groups = {line.group for line in laid.experiment.lines if line.arm == other}
    lines = [line for line in laid.experiment.lines if line.arm == arm and line.printed]
    return next((line.printed for line in sorted(lines, key=lambda line: line.group not in groups)), {})


def _series(laid: Sheet, printed: Printed | None, column: str, one: Wanted, own: Line | None) -> Series:
    head = laid.footnotes.column(one)
    told = tuple(point for line in laid.experiment.lines if LABEL_F1 in line.printed and (point := _point(laid, line.arm, one)))
    texts = [(line.printed[LABEL_F1], _cell(printed, line.printed, "", column)) for line in laid.experiment.lines if LABEL_F1 in line.printed]
    quoted_points = tuple((float(label_f1), float(text)) for label_f1, text in texts if text)
    own_point = _point(laid, own.arm, one) if own else None
    return Series(head.title, told, own_point, _point(laid, BASE, one), quoted_points, laid.given.digits(one.metric))


def _point(laid: Sheet, arm: str, one: Wanted) -> Point | None:
    row = laid.numbers.row(arm, one.metric, one.value_name)
    return Point(_label_f1(laid, arm), row.value, row.low, row.high) if row else None


def _label_f1(laid: Sheet, arm: str) -> float:
    return laid.numbers.facts.get(arm, {}).get(LABEL_F1, math.nan)


def _key(laid: Sheet) -> str:
    """What a dot and its line are."""
    several = any(len(seeds) > 1 for seeds in laid.numbers.seeds.values())
    return f"{'mean over seeds' if several else 'number'}, {laid.numbers.level * 100:g} % interval"


def _missing(laid: Sheet, named: Sequence[tuple[str, Wanted]]) -> list[str]:
    gone = [one.title for column, one in _headlines(laid) if (column, one) not in named]
    arms = [laid.label(line) for line in laid.experiment.lines if line.arm not in laid.measured]
    said = [f"Not run: {', '.join(gone)}."] if gone else []
    return [*said, *([f"{NOT_RUN} not measured: {', '.join(arms)}."] if arms else [])]


def _quoted_note(printed: Printed | None, what: str = "printed in") -> list[str]:
    if printed is None:
        return []
    where = f"; measured there on {printed.data}, with another labeller" if printed.data else ""
    return [f"† {what[:1].upper()}{what[1:]} {printed.reference}{where}: set beside, not to be compared digit by digit."]
