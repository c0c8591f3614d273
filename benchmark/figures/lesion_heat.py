"""Lesions down, models across, a number of each in its cell: where a mean hides that one lesion is never found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.figures.key import write_notes
from benchmark.figures.sheet import BLACK, FAINT, GREY, SMALL_PT, TEXT_PT, TITLE_PT, Sheet, line_mm, plain, width_mm, wrapped
from benchmark.tables.table import UNDEFINED, written


@dataclass(frozen=True)
class LesionHeat:
    """A whole figure."""

    title: str
    """above it"""
    models: tuple[str, ...]
    """from left to right"""
    lesions: tuple[str, ...]
    """from top to bottom"""
    values: tuple[tuple[float, ...], ...]
    """of each lesion, each model's; a share in [0, 1], NaN where it is not defined; the colours span what there is"""
    support: tuple[float, ...] = ()
    """how many references the number of each lesion is of; empty if nobody says"""
    is_lower_better: bool = False
    """dark is then bad, and the scale says so"""
    notes: tuple[str, ...] = ()
    """in small type below"""


MARGIN, ROW_MM, GAP = 1.5, 5.0, 2.5
LABELS_SHARE, SUPPORT_MM = 0.3, 12.0
WIDEST_CELL, NARROWEST_CELL = 26.0, 8.0
LIGHT, DARK = (0.965, 0.975, 0.985), (0.0, 0.2, 0.4)
"""of the scale, from its one end to the other; one hue, so that nobody needs to tell red from green"""
WHITE_FROM = 0.55
"""of the scale; above it digits are white: on both sides of it they stand out by 4.5 to 1 at least"""
NARROWEST_SCALE = 0.01
"""numbers that are nearer to one another have nearly one colour"""


def sheet_of(heat: LesionHeat, width: float) -> Sheet:
    """The drawing. To be called within ``ready``."""
    inner = width - 2 * MARGIN
    labels = min(max((width_mm(lesion.capitalize(), TEXT_PT) for lesion in heat.lesions), default=0.0) + GAP, LABELS_SHARE * inner)
    support = SUPPORT_MM if heat.support else 0.0
    cell = min(WIDEST_CELL, max(NARROWEST_CELL, (inner - labels - support) / max(1, len(heat.models))))
    heads = [wrapped(model, cell - 1.0, SMALL_PT) for model in heat.models]
    title = wrapped(heat.title, inner, TITLE_PT, is_bold=True)
    head_height = max((len(lines) for lines in heads), default=1) * line_mm(SMALL_PT) + 1.5
    top = MARGIN + len(title) * line_mm(TITLE_PT) + 2.0 + head_height
    rows = ROW_MM * len(heat.lesions)
    below = top + rows + 2.0
    scale_height = 6.5
    sheet = Sheet(width, below + scale_height + write_notes(None, heat.notes, MARGIN, below, inner) + MARGIN)
    sheet.write_lines(MARGIN, MARGIN, title, TITLE_PT, is_bold=True)
    left = MARGIN + labels + support
    scale = scale_of(heat.values)
    if heat.support:
        sheet.write(left - GAP, top - 1.5 - line_mm(SMALL_PT) / 2, "cases", SMALL_PT, ha="right", color=GREY)
    for column, lines in enumerate(heads):
        first = top - 1.5 - len(lines) * line_mm(SMALL_PT)
        sheet.write_lines(left + (column + 0.5) * cell, first, lines, SMALL_PT, ha="center")
    board = sheet.drawing_board(left, top, cell * len(heat.models), rows)
    for row, (lesion, values) in enumerate(zip(heat.lesions, heat.values, strict=True)):
        y = top + (row + 0.5) * ROW_MM
        sheet.write(MARGIN, y, lesion.capitalize(), TEXT_PT)
        if heat.support:
            sheet.write(left - GAP, y, _count(heat.support[row]), SMALL_PT, ha="right", color=GREY)
        for column, value in enumerate(values):
            shade = place_on(scale, value)
            _draw_cell(board, column * cell, row * ROW_MM, cell, shade)
            look = "white" if shade > WHITE_FROM else GREY if math.isnan(value) else BLACK
            sheet.write(left + (column + 0.5) * cell, y, written(value, 2), SMALL_PT, ha="center", color=look)
    _draw_scale(sheet, heat, scale, left, below + 1.0)
    write_notes(sheet, heat.notes, MARGIN, below + scale_height, inner)
    return sheet


def scale_of(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """What the colours span: all numbers, with round ends. Shares of a few in a hundred would else all look like nothing."""
    found = [value for line in values for value in line if not math.isnan(value)]
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    step = 10.0 ** math.floor(math.log10(max(high - low, NARROWEST_SCALE)))
    least, most = max(0.0, math.floor(low / step + 1e-9) * step), min(1.0, math.ceil(high / step - 1e-9) * step)
    return (least, most) if most > least else (least, least + step) if least + step <= 1 else (1 - step, 1.0)


def place_on(scale: tuple[float, float], value: float) -> float:
    """Where a number stands on the scale, from 0 to 1; NaN stays."""
    return (value - scale[0]) / (scale[1] - scale[0])


def colour_of(place: float) -> tuple[float, float, float]:
    """Red, green and blue of a place on the scale; beyond [0, 1] it is as at the end."""
    share = min(1.0, max(0.0, place))
    red, green, blue = (light + share * (dark - light) for light, dark in zip(LIGHT, DARK, strict=True))
    return red, green, blue


def _draw_cell(board: object, x: float, y: float, width: float, place: float) -> None:
    """A filled cell, or an empty one with a frame where the number is not defined."""
    from matplotlib.patches import Rectangle

    if math.isnan(place):
        patch = Rectangle((x + 0.3, y + 0.3), width - 0.6, ROW_MM - 0.6, facecolor="none", edgecolor=FAINT, linewidth=0.5)
    else:
        patch = Rectangle((x + 0.15, y + 0.15), width - 0.3, ROW_MM - 0.3, facecolor=colour_of(place), edgecolor="none")
    board.add_patch(patch)  # type: ignore[attr-defined]


def _draw_scale(sheet: Sheet, heat: LesionHeat, scale: tuple[float, float], left: float, top: float) -> None:
    """What the colours mean, from one end to the other, and which is better."""
    from matplotlib.patches import Rectangle

    board, steps, wide = sheet.drawing_board(left, top, 40.0, 2.2), 40, 1.0
    for step in range(steps):
        board.add_patch(Rectangle((step * wide, 0), wide, 2.2, facecolor=colour_of((step + 0.5) / steps), edgecolor="none"))
    low, high = (plain(round(end, 6)) for end in scale)
    low, high = (f"{low} better", high) if heat.is_lower_better else (low, f"{high} better")
    sheet.write(left, top + 4.0, low, SMALL_PT, color=GREY)
    sheet.write(left + 40.0, top + 4.0, high, SMALL_PT, ha="right", color=GREY)
    if any(math.isnan(value) for values in heat.values for value in values):
        sheet.write(left + 43.0, top + 1.1, f"{UNDEFINED}: not defined, nothing to count", SMALL_PT, color=GREY)


def _count(support: float) -> str:
    return "" if math.isnan(support) else f"{support:.0f}"
