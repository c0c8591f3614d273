"""A run's headline numbers as forest plots: every model, and pairs of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from benchmark.figures.forest import Entry, Estimate, Forest, Group, Panel
from benchmark.figures.said import notes_of
from benchmark.places import registered_name
from benchmark.records import Row
from benchmark.tables.differences import DIGITS
from benchmark.tables.material import Footnotes, Material, Wanted, headlines

KEY = "number, with its interval"
MOST_PAIRS = 15
"""more do not fit a page: then those with the first model alone"""


def forests_of_run(given: Material) -> list[Forest]:
    """``summary``, and ``differences`` if there are pairs; none where nothing was measured. Raises ``UnlikeSignatures``."""
    models = given.measured()
    wanted = [one for one in headlines(given) if any(given.row(model, one.metric, one.value_name) for model in models)]
    return [forest for forest in (levels(given, wanted), compared(given, wanted)) if forest]


def levels(given: Material, wanted: Sequence[Wanted]) -> Forest | None:
    """Every model by these numbers; None where nothing was measured. Raises ``UnlikeSignatures``."""
    models = given.measured()
    if not models:
        return None
    footnotes = Footnotes(given)
    heads = [footnotes.column(one) for one in wanted]
    entries = tuple(Entry(given.name(model), tuple(_estimate(given.row(model, one.metric, one.value_name)) for one in wanted)) for model in models)
    bounds = [_bounds([entry.estimates[column] for entry in entries]) for column in range(len(wanted))]
    panels = tuple(
        Panel(head.title, given.digits(one.metric), head.direction, bounds=bound) for head, one, bound in zip(heads, wanted, bounds, strict=True)
    )
    shown = [row for model in models for one in wanted if (row := given.row(model, one.metric, one.value_name))]
    return Forest("summary", _titled("Summary", given), panels, (Group("", entries),), tuple(notes_of(given, shown, footnotes)), KEY)


def compared(given: Material, wanted: Sequence[Wanted], pairs: Sequence[str] = ()) -> Forest | None:
    """Pairs of models, ``A - B``, by these numbers: all if none is named; None where there are none. Raises ``UnlikeSignatures``."""
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    every = list(dict.fromkeys(row.model for row in given.differences))
    chosen = list(pairs) or every
    notes = ["First model minus second, on the cases that both scored; an interval that holds zero leaves open which is better."]
    if not pairs and len(every) > MOST_PAIRS:
        first = given.measured()[0]
        notes.append(f"Of {len(every)} pairs those with {given.name(first)}; the table of differences has all.")
        chosen = [pair for pair in every if first in pair.split(" - ")]
    if not chosen:
        return None
    footnotes = Footnotes(given)
    heads = [footnotes.column(one) for one in wanted]
    entries = tuple(Entry(given.name(pair), tuple(_estimate(by_key.get((pair, one.metric, one.value_name))) for one in wanted)) for pair in chosen)
    panels = tuple(Panel(head.title, DIGITS, head.direction, is_difference=True) for head in heads)
    shown = [row for pair in chosen for one in wanted if (row := by_key.get((pair, one.metric, one.value_name)))]
    title = _titled("Paired differences between models", given)
    return Forest("differences", title, panels, (Group("", entries),), (*notes, *notes_of(given, shown, footnotes)), KEY)


def against(given: Material, model: str) -> Material:
    """The same with the pairs of one model alone, each as another minus it: whoever reads down the figure compares like with like."""
    found = []
    for row in given.differences:
        first, second = next((pair for pair in permutations(given.models, 2) if row.model == " - ".join(pair)), ("", ""))
        if second == model:
            found.append(row)
        elif first == model:
            turned = replace(row, model=f"{second} - {first}", value=-row.value, low=-row.high, high=-row.low)
            found.append(replace(turned, p_first_not_worse=row.p_second_not_worse, p_second_not_worse=row.p_first_not_worse))
    return replace(given, differences=tuple(found))


def _bounds(estimates: Sequence[Estimate | None]) -> tuple[float, float]:
    """What a scale need not go beyond: no share is below 0 or above 1, and where all numbers are shares nothing else is drawn."""
    drawn = [value for one in estimates if one for value in (one.value, one.low, one.high) if math.isfinite(value)]
    if not drawn or min(drawn) < 0:
        return -math.inf, math.inf
    return 0.0, 1.0 if max(drawn) <= 1 else math.inf


def _estimate(row: Row | None) -> Estimate | None:
    return Estimate(row.value, row.low, row.high) if row else None


def _titled(title: str, given: Material) -> str:
    where = said_data(given.measured_on)
    return f"{title}, {where}" if where else title


def said_data(measured_on: str) -> str:
    """``phantom/test`` of ``phantom:.../test@...``: a figure travels further than its run, and need not say where data lie. Empty for files."""
    dataset, _, rest = measured_on.rpartition("/")
    return f"{registered_name(dataset)}/{rest.partition('@')[0]}" if dataset else ""
