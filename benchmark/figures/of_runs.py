"""A run's headline numbers as forest plots: every model, and pairs of models."""

from __future__ import annotations

from benchmark.figures.forest import Entry, Estimate, Forest, Group, Panel
from benchmark.figures.said import notes_of
from benchmark.records import Row
from benchmark.tables.differences import DIGITS
from benchmark.tables.material import Footnotes, Material, headlines

MOST_PAIRS = 15
"""more do not fit a page: then those with the first model alone"""


def forests_of_run(given: Material) -> list[Forest]:
    """``summary``, and ``differences`` if there are pairs; none where nothing was measured. Raises ``UnlikeSignatures``."""
    models = given.measured()
    if not models:
        return []
    wanted = [one for one in headlines(given) if any(given.row(model, one.metric, one.value_name) for model in models)]
    footnotes = Footnotes(given)
    heads = [footnotes.column(one) for one in wanted]
    entries = tuple(Entry(given.name(model), tuple(_estimate(given.row(model, one.metric, one.value_name)) for one in wanted)) for model in models)
    panels = tuple(Panel(head.title, given.digits(one.metric), head.direction) for head, one in zip(heads, wanted, strict=True))
    shown = [row for model in models for one in wanted if (row := given.row(model, one.metric, one.value_name))]
    key = "number, with its interval"
    found = [Forest("summary", _titled("Summary", given), panels, (Group("", entries),), tuple(notes_of(given, shown, footnotes)), key)]
    by_key = {(row.model, row.metric, row.value_name): row for row in given.differences}
    pairs = list(dict.fromkeys(row.model for row in given.differences))
    notes = ["First model minus second, on the cases that both scored; an interval that holds zero leaves open which is better."]
    if len(pairs) > MOST_PAIRS:
        notes.append(f"Of {len(pairs)} pairs those with {given.name(models[0])}; the table of differences has all.")
        pairs = [pair for pair in pairs if models[0] in pair.split(" - ")]
    if pairs:
        entries = tuple(Entry(given.name(pair), tuple(_estimate(by_key.get((pair, one.metric, one.value_name))) for one in wanted)) for pair in pairs)
        panels = tuple(Panel(head.title, DIGITS, head.direction, is_difference=True) for head in heads)
        shown = [row for pair in pairs for one in wanted if (row := by_key.get((pair, one.metric, one.value_name)))]
        title = _titled("Paired differences between models", given)
        found.append(Forest("differences", title, panels, (Group("", entries),), (*notes, *notes_of(given, shown, footnotes)), key))
    return found


def _estimate(row: Row | None) -> Estimate | None:
    return Estimate(row.value, row.low, row.high) if row else None


def _titled(title: str, given: Material) -> str:
    return f"{title}, {given.measured_on.partition('@')[0]}" if given.measured_on else title
