"""Figure 3: the reports' numbers over the F1 of the lesion labels that the model is told, in panels.

A line joins the points whose labels were spoiled on purpose, and those alone: what the model's own classifier tells it errs in a way of its own, so
its point stands apart, in a ring. At the left edge, before the axis begins, is what is written without any label; a dashed line carries its level
across, so that it can be read where wrong labels are worse than none. What was printed elsewhere is hollow and pale, without a line; its dagger is in
the key alone, since two of them side by side would read as another sign.

The vertical axes are given whole, from the least to the most that a number can be or from zero: a small gain shall look small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.figures.key import RING_PT, Sign, write_key, write_notes
from benchmark.figures.sheet import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HEAD_PT,
    SMALL_PT,
    TITLE_PT,
    TWO_COLUMNS_MM,
    VERMILLION,
    Sheet,
    line_mm,
    plain,
    ready,
    type_of,
    width_mm,
    wrapped,
)
from benchmark.tables.table import Number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """One number of a series."""

    x: float
    """where on the axis; NaN where there is no such place"""
    value: float
    """NaN is not drawn"""
    low: float = math.nan
    """lower end of its interval; NaN = none"""
    high: float = math.nan
    """upper end"""


@dataclass(frozen=True)
class Series:
    """One number of the reports."""

    title: str
    """beside its end, as the metric calls itself"""
    points: tuple[Point, ...] = ()
    """joined by a line"""
    own: Point | None = None
    """told by the model's own classifier"""
    without: Point | None = None
    """told nothing; its x is not looked at"""
    quoted: tuple[tuple[float, float], ...] = ()
    """x and value, printed elsewhere"""
    decimals: int = 3
    """to say"""


@dataclass(frozen=True)
class CurvePanel:
    """Series of one kind."""

    title: str
    """above it"""
    series: tuple[Series, ...]
    """four at most: so many are told apart"""
    lowest: float = 0.0
    """where its axis begins: the least that the numbers can be"""
    highest: float | None = None
    """where its axis ends; None = at a round number above what is drawn"""


@dataclass(frozen=True)
class Curve:
    """A whole figure."""

    name: str
    """of its files"""
    title: str
    """above it"""
    x_title: str
    """below every panel"""
    panels: tuple[CurvePanel, ...]
    """line by line; lettered a, b, c ..."""
    own_title: str = "told by its own classifier"
    """what ``own`` is, for the key"""
    without_title: str = "no labels"
    """what ``without`` is, below the left edge"""
    notes: tuple[str, ...] = ()
    """in small type below"""


LOOKS = (("o", BLUE), ("s", VERMILLION), ("^", GREEN), ("v", BLACK))
"""marker and colour of the series of a panel"""
MARGIN = 1.5
AXIS_MM, LABEL_GAP, PANEL_GAP = 8.0, 6.0, 4.0
"""left of a plot for the numbers of its axis; between it and the labels; between panels"""
PLOT_HEIGHT = 42.0
LABELS_SHARE = 0.3
"""of a panel's width, at most, for the titles of series"""
GUTTER, LEFT_EDGE, RIGHT_EDGE = -0.11, -0.19, 1.04
"""where what is told nothing stands, and what the axis spans"""
APART = 0.018
"""between series in the gutter, where x says nothing"""


class _Label(NamedTuple):
    """A series' title beside the plot."""

    lines: list[str]
    marker: str
    colour: str
    y: float


def draw_curve(curve: Curve, folder: Path, *, width: float = TWO_COLUMNS_MM) -> list[Path]:
    """Draw ``<name>.png`` and ``<name>.svg``, ``width`` mm wide; the files. Raises ``NoMatplotlib``, ``ValueError`` for too many series."""
    with ready():
        return sheet_of(curve, width).save(folder, curve.name, title=curve.title, description=described(curve))


def sheet_of(curve: Curve, width: float) -> Sheet:
    """The drawing. To be called within ``ready``."""
    for panel in curve.panels:
        if len(panel.series) > len(LOOKS):
            raise ValueError(
                f"the panel {panel.title!r} of the figure {curve.name!r} has {len(panel.series)} series; more than {len(LOOKS)} cannot be told "
                "apart: make two panels of it"
            )
    inner = width - 2 * MARGIN
    abreast = 2 if inner > 140 and len(curve.panels) > 1 else 1
    part = (inner - (abreast - 1) * PANEL_GAP) / abreast
    labels = min(max((width_mm(series.title, SMALL_PT) for panel in curve.panels for series in panel.series), default=0.0), LABELS_SHARE * part)
    plot = part - AXIS_MM - LABEL_GAP - labels
    title = wrapped(curve.title, inner, TITLE_PT, is_bold=True)
    x_title = wrapped(curve.x_title, plot + LABEL_GAP, SMALL_PT)
    heads = [wrapped(f"{chr(97 + place)}   {panel.title}", part, HEAD_PT, is_bold=True) for place, panel in enumerate(curve.panels)]
    signs = _signs(curve)
    bands = math.ceil(len(curve.panels) / abreast)
    head_height = max((len(lines) for lines in heads), default=0) * line_mm(HEAD_PT) + 2.0
    foot = 3.0 + max(2, len(curve.without_title.split())) * line_mm(SMALL_PT) + len(x_title) * line_mm(SMALL_PT)
    first = MARGIN + len(title) * line_mm(TITLE_PT) + 1.5
    below = first + bands * (head_height + PLOT_HEIGHT + foot + 2.0)
    height = below + write_key(None, signs, MARGIN, below, inner) + write_notes(None, curve.notes, MARGIN, below, inner) + MARGIN
    sheet = Sheet(width, height)
    sheet.write_lines(MARGIN, MARGIN, title, TITLE_PT, is_bold=True)
    for place, panel in enumerate(curve.panels):
        left = MARGIN + (place % abreast) * (part + PANEL_GAP)
        top = first + (place // abreast) * (head_height + PLOT_HEIGHT + foot + 2.0)
        sheet.write_lines(left, top, heads[place], HEAD_PT, is_bold=True)
        top += head_height
        axes = sheet.axes(left + AXIS_MM, top, plot, PLOT_HEIGHT)
        _draw_panel(axes, panel, curve.without_title)
        _write_labels(sheet, panel, left + AXIS_MM + plot, top, labels)
        sheet.write_lines(left + AXIS_MM + plot / 2, top + PLOT_HEIGHT + foot - len(x_title) * line_mm(SMALL_PT), x_title, SMALL_PT, ha="center")
    below += write_key(sheet, signs, MARGIN, below, inner)
    write_notes(sheet, curve.notes, MARGIN, below, inner)
    return sheet


def described(curve: Curve) -> str:
    """Every number of the figure in words, for who cannot see it."""
    said = []
    for panel in curve.panels:
        for series in panel.series:
            named = [(f"at {plain(round(point.x, 2))}", point) for point in series.points]
            named += [(title, point) for title, point in ((curve.own_title, series.own), (curve.without_title, series.without)) if point]
            numbers = [(where, Number(point.value, point.low, point.high, series.decimals)) for where, point in named]
            texts = [f"{where} {number.text} {number.interval}".strip() for where, number in numbers]
            texts += [f"printed at {plain(x)} †{plain(value)}" for x, value in series.quoted]
            said.append(f"{panel.title}, {series.title}: {'; '.join(texts)}.")
    return " ".join([*said, *curve.notes])


def _signs(curve: Curve) -> list[Sign]:
    """The key: of what occurs."""
    every = [series for panel in curve.panels for series in panel.series]
    signs = [Sign("told labels spoiled on purpose", marker="o", line="-", colour=GREY)]
    signs += [Sign(curve.own_title, marker="o", colour=GREY, is_ringed=True)] if any(series.own for series in every) else []
    signs += [Sign(f"level with {curve.without_title}", line="--", colour=GREY)] if any(series.without for series in every) else []
    signs += [Sign("† printed, see below", marker="o", colour=GREY, is_hollow=True)] if any(series.quoted for series in every) else []
    return signs


def _draw_panel(axes: Axes, panel: CurvePanel, without_title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    has_without = any(series.without for series in panel.series)
    lowest, highest = _span(panel)
    axes.set(xlim=(LEFT_EDGE if has_without else -0.02, RIGHT_EDGE), ylim=(lowest, highest))
    axes.spines["left"].set(visible=True, linewidth=0.6)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: plain(value))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    words = [plain(tick) for tick in ticks]
    if has_without:
        ticks, words = [GUTTER, *ticks], ["\n".join(without_title.split()), *words]
    axes.set_xticks(ticks, words)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(type_of(SMALL_PT))
        label.set_parse_math(False)
    for place, (series, (marker, colour)) in enumerate(zip(panel.series, LOOKS, strict=False)):
        off = (place - (len(panel.series) - 1) / 2) * APART
        _draw_series(axes, series, marker, colour, GUTTER + off)


def _draw_series(axes: Axes, series: Series, marker: str, colour: str, gutter: float) -> None:
    drawn = [point for point in sorted(series.points, key=lambda point: point.x) if _is_drawn(point.x) and _is_drawn(point.value)]
    look = {"color": colour, "marker": marker, "markeredgewidth": 0.0}
    axes.plot([point.x for point in drawn], [point.value for point in drawn], linewidth=1.0, markersize=3.6, label="told", **look)  # type: ignore[arg-type]
    for point in drawn:
        _draw_interval(axes, point, point.x, colour)
    if series.without and _is_drawn(series.without.value):
        level = series.without.value
        axes.plot([gutter, RIGHT_EDGE], [level, level], color=colour, linewidth=0.7, linestyle=(0, (4, 2.5)), label="without", zorder=1)
        axes.plot([gutter], [level], markersize=3.6, linestyle="none", label="without", **look)  # type: ignore[arg-type]
        _draw_interval(axes, series.without, gutter, colour)
    if series.own and _is_drawn(series.own.x) and _is_drawn(series.own.value):
        _draw_interval(axes, series.own, series.own.x, colour)
        axes.plot([series.own.x], [series.own.value], markersize=3.6, linestyle="none", label="own", zorder=4, **look)  # type: ignore[arg-type]
        ring = {"marker": "o", "markersize": RING_PT, "markerfacecolor": "none", "markeredgecolor": BLACK, "markeredgewidth": 0.7}
        axes.plot([series.own.x], [series.own.value], linestyle="none", label="ring", zorder=4, **ring)  # type: ignore[arg-type]
    for x, value in series.quoted:
        hollow = {"marker": marker, "markersize": 3.4, "markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 0.6, "alpha": 0.65}
        axes.plot([x], [value], linestyle="none", label="quoted", zorder=3, **hollow)  # type: ignore[arg-type]


def _draw_interval(axes: Axes, point: Point, x: float, colour: str) -> None:
    if _is_drawn(point.low) and _is_drawn(point.high):
        axes.plot([x, x], [point.low, point.high], color=colour, linewidth=0.8, solid_capstyle="butt", label="interval", zorder=2)


def _span(panel: CurvePanel) -> tuple[float, float]:
    """What the vertical axis spans; intervals may leave what a number can be, and are then seen to."""
    points = [point for series in panel.series for point in (*series.points, series.own, series.without) if point]
    values = [value for point in points for value in (point.value, point.low, point.high)]
    values += [value for series in panel.series for _, value in series.quoted]
    finite = [value for value in values if _is_drawn(value)]
    highest = panel.highest
    if highest is None:
        most = max(finite, default=1.0) - panel.lowest
        step = 10 ** math.floor(math.log10(most)) / 2 if most > 0 else 1.0
        highest = panel.lowest + math.ceil(1.04 * most / step) * step if most > 0 else panel.lowest + 1.0
    return min(panel.lowest, min(finite, default=panel.lowest)), max(highest, max(finite, default=highest))


def _write_labels(sheet: Sheet, panel: CurvePanel, left: float, top: float, width: float) -> None:
    """The titles of the series beside where they end, moved apart where they would touch."""
    lowest, highest = _span(panel)
    labels = []
    for series, (marker, colour) in zip(panel.series, LOOKS, strict=False):
        value = _end(series)
        share = (value - lowest) / (highest - lowest) if _is_drawn(value) else 0.0
        labels.append(_Label(wrapped(series.title, width, SMALL_PT), marker, colour, PLOT_HEIGHT * (1 - share)))
    board = sheet.drawing_board(left, top, LABEL_GAP, PLOT_HEIGHT)
    middles = spread([label.y for label in labels], [len(label.lines) * line_mm(SMALL_PT) + 0.6 for label in labels], PLOT_HEIGHT)
    for label, y in zip(labels, middles, strict=True):
        board.plot([LABEL_GAP / 2], [y], marker=label.marker, markersize=3.6, color=label.colour, markeredgewidth=0, linestyle="none", clip_on=False)
        top_line = top + y - len(label.lines) * line_mm(SMALL_PT) / 2
        sheet.write_lines(left + LABEL_GAP - 1.5, top_line, label.lines, SMALL_PT, color=label.colour)


def _end(series: Series) -> float:
    """The value at which a series leaves the plot."""
    told = [point for point in sorted(series.points, key=lambda point: point.x) if _is_drawn(point.x) and _is_drawn(point.value)]
    others = [point for point in (series.own, series.without) if point and _is_drawn(point.value)]
    quoted = [value for _, value in series.quoted]
    return next(iter([*(point.value for point in (*told[-1:], *others)), *quoted[-1:]]), math.nan)


def spread(wanted: Sequence[float], heights: Sequence[float], room: float) -> list[float]:
    """Middles as near to the wanted ones as things of these heights can stand between 0 and ``room`` without touching, in their order.

    Those that touch form a block around the mean of what they want, and blocks that touch join: what is least squares for such a row.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    blocks: list[tuple[float, list[int]]] = []  # upper edge, members
    for place in order:
        block = (_within(wanted[place] - heights[place] / 2, heights[place], room), [place])
        while blocks and blocks[-1][0] + sum(heights[member] for member in blocks[-1][1]) > block[0]:
            members = blocks.pop()[1] + block[1]
            offsets = [sum(heights[member] for member in members[:rank]) + heights[one] / 2 for rank, one in enumerate(members)]
            edge = sum(wanted[one] - offset for one, offset in zip(members, offsets, strict=True)) / len(members)
            block = (_within(edge, sum(heights[member] for member in members), room), members)
        blocks.append(block)
    middles = [0.0] * len(wanted)
    for edge, members in blocks:
        for one in members:
            middles[one] = edge + heights[one] / 2
            edge += heights[one]
    return middles


def _within(edge: float, height: float, room: float) -> float:
    return max(0.0, min(edge, room - height))


def _is_drawn(value: float) -> bool:
    return math.isfinite(value)
