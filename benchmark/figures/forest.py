"""Forest plots: numbers with their intervals, one line each, several panels side by side over the same labels.

Each line has the number as a dot on its interval, the numbers of single seeds as small ticks above, what was printed elsewhere as a hollow diamond
below, and all of it in digits at the right: whoever reads the figure need not look the number up. Colour says nothing that a shape does not say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmark.figures.key import Sign, write_key, write_notes
from benchmark.figures.sheet import (
    BLACK,
    BLUE,
    FAINT,
    GREY,
    HEAD_PT,
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    TWO_COLUMNS_MM,
    Sheet,
    line_mm,
    plain,
    ready,
    type_of,
    width_mm,
    wrapped,
)
from benchmark.tables.table import NOT_RUN, Number, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Estimate:
    """One number of a line."""

    value: float
    """NaN is written as ``n/a`` and not drawn"""
    low: float = math.nan
    """lower end of its interval; NaN = none"""
    high: float = math.nan
    """upper end"""
    seeds: tuple[float, ...] = ()
    """the number of each seed"""
    quoted: float = math.nan
    """what was printed elsewhere of the same; NaN = nothing"""
    quoted_text: str = ""
    """the same with the digits of print"""


@dataclass(frozen=True)
class Entry:
    """One line."""

    label: str
    """at its left"""
    estimates: tuple[Estimate | None, ...]
    """one for each panel; None = not measured"""
    is_summary: bool = False
    """set in bold: an average of the lines above"""


@dataclass(frozen=True)
class Group:
    """Lines that belong together."""

    title: str
    """above them, or empty"""
    entries: tuple[Entry, ...]
    """from top to bottom"""


@dataclass(frozen=True)
class Panel:
    """One number, or one pair, over all lines."""

    title: str
    """above it, as the metric calls itself"""
    decimals: int = 3
    """to print"""
    direction: Literal["higher", "lower", ""] = "higher"
    """which way is better; empty if neither is"""
    is_difference: bool = False
    """has a line at zero, and signs in its digits"""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """what its number can be at least and at most: the scale ends there"""


@dataclass(frozen=True)
class Forest:
    """A whole figure."""

    name: str
    """of its files"""
    title: str
    """above it"""
    panels: tuple[Panel, ...]
    """from left to right"""
    groups: tuple[Group, ...]
    """from top to bottom"""
    notes: tuple[str, ...] = ()
    """in small type below"""
    key: str = "mean, with its interval"
    """what a dot on a line is"""
    has_one_scale: bool = False
    """all panels are drawn on the same scale"""


MARGIN, GAP = 1.5, 2.5
PITCH, QUOTED_PITCH, GROUP_GAP = 4.0, 5.6, 1.6
"""from one line to the next, without and with a printed number below the measured one"""
SEED_OFF, QUOTED_OFF = -1.25, 2.3
"""of seeds above, and of the printed number below, the measured one"""
LABELS_SHARE = 0.32
"""of the width, at most, for labels"""
NARROWEST_PLOT = 15.0
PANELS_ABREAST = 3


class _Place(NamedTuple):
    """Where a line stands, in millimetres below the top of the rows."""

    entry: Entry
    y: float
    lines: list[str]


def draw_forest(forest: Forest, folder: Path, *, width: float = TWO_COLUMNS_MM) -> list[Path]:
    """Draw ``<name>.png`` and ``<name>.svg``, ``width`` mm wide; the files. Raises ``NoMatplotlib``, ``ValueError`` for a line of too few."""
    with ready():
        return sheet_of(forest, width).save(folder, forest.name, title=forest.title, description=described(forest))


def sheet_of(forest: Forest, width: float) -> Sheet:
    """The drawing. To be called within ``ready``."""
    for entry in _entries(forest):
        if len(entry.estimates) != len(forest.panels):
            raise ValueError(
                f"the line {entry.label!r} of the figure {forest.name!r} has {len(entry.estimates)} numbers, but there are {len(forest.panels)} "
                "panels; give one for each, None where nothing was measured"
            )
    has_quoted = any(_is_drawn(estimate.quoted) for estimate in _estimates(forest))
    has_seeds = any(len(estimate.seeds) > 1 for estimate in _estimates(forest))
    inner = width - 2 * MARGIN
    labels = _labels_width(forest, inner)
    estimates = [[entry.estimates[column] for entry in _entries(forest)] for column in range(len(forest.panels))]
    numbers = [max((_text_width(panel, one) for one in column), default=0.0) for panel, column in zip(forest.panels, estimates, strict=True)]
    abreast = _abreast(inner - labels, numbers)
    bands = [range(start, min(start + abreast, len(forest.panels))) for start in range(0, len(forest.panels), abreast)]
    places, heads, rows_height = _rows(forest, labels, has_quoted)
    part, widest = (inner - labels) / abreast, max(numbers, default=0.0)
    titles = [wrapped(panel.title, part - GAP, HEAD_PT, is_bold=True) for panel in forest.panels]
    head_heights = [max((len(titles[column]) for column in band), default=0) * line_mm(HEAD_PT) + 1.0 for band in bands]
    foot = 4.0 + (line_mm(SMALL_PT) if any(panel.direction for panel in forest.panels) else 0) + 2.0
    title = wrapped(forest.title, inner, TITLE_PT, is_bold=True)
    signs = [Sign(forest.key, marker="o", line="-")]
    signs += [Sign("single seeds", marker="|", size=3.5, colour=GREY)] if has_seeds else []
    signs += [Sign("† printed, see below", marker="D", colour=GREY, is_hollow=True)] if has_quoted else []
    top = MARGIN + len(title) * line_mm(TITLE_PT) + 1.5
    below = top + sum(head_heights) + len(bands) * (rows_height + foot)
    key_height = write_key(None, signs, MARGIN, below, inner)
    notes_height = write_notes(None, forest.notes, MARGIN, below, inner)
    sheet = Sheet(width, below + key_height + notes_height + MARGIN)
    sheet.write_lines(MARGIN, MARGIN, title, TITLE_PT, is_bold=True)
    limits = [_limits(forest, range(len(forest.panels)) if forest.has_one_scale else [column]) for column in range(len(forest.panels))]
    for band, head_height in zip(bands, head_heights, strict=True):
        top += head_height
        for text, y in heads:
            sheet.write(MARGIN, top + y, text, TEXT_PT, is_bold=True)
        for place in places:
            for number, line in enumerate(place.lines):
                y = top + place.y + (number - (len(place.lines) - 1) / 2) * line_mm(TEXT_PT)
                sheet.write(MARGIN + (1.5 if _has_titles(forest) else 0), y, line, is_bold=place.entry.is_summary)
        for position, column in enumerate(band):
            left = MARGIN + labels + GAP + position * part
            plot = part - GAP - (widest + GAP if widest else 0)
            heading = titles[column]
            sheet.write_lines(left, top - 1.0 - len(heading) * line_mm(HEAD_PT), heading, HEAD_PT, is_bold=True)
            axes = sheet.axes(left, top, plot, rows_height)
            _draw_panel(axes, forest.panels[column], places, column, limits[column], rows_height, plot)
            _write_numbers(sheet, forest.panels[column], places, column, left + plot + GAP, top)
            _write_directions(sheet, forest.panels[column], left, top + rows_height + 4.0 + line_mm(SMALL_PT) / 2, plot)
        top += rows_height + foot
    top += write_key(sheet, signs, MARGIN, top, inner)
    write_notes(sheet, forest.notes, MARGIN, top, inner)
    return sheet


def described(forest: Forest) -> str:
    """Every number of the figure in words, for who cannot see it."""
    said = []
    for column, panel in enumerate(forest.panels):
        lines = [f"{entry.label} {text}" for entry in _entries(forest) for text in [" ".join(_texts(panel, entry.estimates[column]))] if text]
        said.append(f"{panel.title}: {'; '.join(lines)}.")
    return " ".join([*said, *forest.notes])


def _entries(forest: Forest) -> list[Entry]:
    return [entry for group in forest.groups for entry in group.entries]


def _estimates(forest: Forest) -> Iterator[Estimate]:
    return (estimate for entry in _entries(forest) for estimate in entry.estimates if estimate)


def _is_drawn(value: float) -> bool:
    return math.isfinite(value)


def _has_titles(forest: Forest) -> bool:
    return any(group.title for group in forest.groups)


def _labels_width(forest: Forest, inner: float) -> float:
    indent = 1.5 if _has_titles(forest) else 0
    widths = [indent + width_mm(entry.label, TEXT_PT, entry.is_summary) for entry in _entries(forest)]
    widths += [width_mm(group.title, TEXT_PT, is_bold=True) for group in forest.groups]
    return min(max(widths, default=0.0) + 0.5, LABELS_SHARE * inner)


def _abreast(room: float, numbers: Sequence[float]) -> int:
    """How many panels stand side by side: as many as leave each a plot to see something in, and rows of about as many each."""
    most = max(1, min(PANELS_ABREAST, len(numbers)))
    while most > 1 and room / most - 2 * GAP - max(numbers) < NARROWEST_PLOT:
        most -= 1
    return max(1, math.ceil(len(numbers) / math.ceil(len(numbers) / most))) if numbers else 1


def _rows(forest: Forest, labels: float, has_quoted: bool) -> tuple[list[_Place], list[tuple[str, float]], float]:
    """Where every line stands, and every title of a group, and how high all are together."""
    places: list[_Place] = []
    heads: list[tuple[str, float]] = []
    pitch, above = (QUOTED_PITCH, -0.9) if has_quoted else (PITCH, 0.0)
    y = 0.5
    for number, group in enumerate(forest.groups):
        y += GROUP_GAP if number else 0
        for line in wrapped(group.title, labels, TEXT_PT, is_bold=True) if group.title else []:
            heads.append((line, y + line_mm(TEXT_PT) / 2))
            y += line_mm(TEXT_PT)
        for entry in group.entries:
            lines = wrapped(entry.label, labels - (1.5 if _has_titles(forest) else 0), TEXT_PT, entry.is_summary)
            height = max(pitch, len(lines) * line_mm(TEXT_PT) + 1.0)
            places.append(_Place(entry, y + height / 2 + (above if len(lines) == 1 else 0), lines))
            y += height
    return places, heads, y + 0.5


def _texts(panel: Panel, estimate: Estimate | None) -> list[str]:
    """The measured number, and the printed one, as they stand at the right."""
    if estimate is None:
        return [NOT_RUN]
    number = Number(estimate.value, estimate.low, estimate.high, panel.decimals, is_signed=panel.is_difference)
    quoted = estimate.quoted_text or written(estimate.quoted, panel.decimals, is_signed=panel.is_difference)
    texts = [f"{number.text} {number.interval}".strip(), *([f"†{quoted}"] if _is_drawn(estimate.quoted) else [])]
    return [text.replace("-", "\N{MINUS SIGN}") for text in texts]


def _text_width(panel: Panel, estimate: Estimate | None) -> float:
    return max(width_mm(text, SMALL_PT) for text in _texts(panel, estimate))


def _limits(forest: Forest, columns: Sequence[int]) -> tuple[float, float]:
    """What the scale of a panel spans: everything that is drawn in it, and zero where that is what it is about."""
    drawn = [0.0] if any(forest.panels[column].is_difference for column in columns) else []
    for entry in _entries(forest):
        for estimate in (entry.estimates[column] for column in columns):
            if estimate:
                drawn += [estimate.value, estimate.low, estimate.high, estimate.quoted, *estimate.seeds]
    finite = [value for value in drawn if _is_drawn(value)]
    if not finite:
        return (0.0, 1.0)
    low, high = min(finite), max(finite)
    pad = 0.06 * (high - low) or max(0.05 * abs(low), 0.01)
    least = min(forest.panels[column].bounds[0] for column in columns)
    most = max(forest.panels[column].bounds[1] for column in columns)
    return max(low - pad, min(least, low)), min(high + pad, max(most, high))


def _draw_panel(axes: Axes, panel: Panel, places: Sequence[_Place], column: int, limits: tuple[float, float], height: float, width: float) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=limits, ylim=(height, 0))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, min(6, int(width / 8))), steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    for label in axes.get_xticklabels():
        label.set_fontproperties(type_of(SMALL_PT))
    if panel.is_difference:
        axes.axvline(0, color=BLACK, linewidth=0.6, label="zero")
    for place in places:
        estimate, y = place.entry.estimates[column], place.y
        axes.axhline(y, color=FAINT, linewidth=0.4, zorder=0)
        if estimate is None:
            continue
        if _is_drawn(estimate.low) and _is_drawn(estimate.high):
            axes.plot([estimate.low, estimate.high], [y, y], color=BLUE, linewidth=1.2, solid_capstyle="butt", clip_on=False, label="interval")
        if _is_drawn(estimate.value):
            # At the end of a scale half a dot stands beyond it.
            dot: dict[str, Any] = {"marker": "o", "markersize": 3.6, "markeredgewidth": 0, "linestyle": "none", "clip_on": False}
            axes.plot([estimate.value], [y], color=BLUE, label="measured", **dot)
        seeds = [seed for seed in estimate.seeds if _is_drawn(seed)] if len(estimate.seeds) > 1 else []
        if seeds:
            heights = [y + SEED_OFF] * len(seeds)
            axes.plot(seeds, heights, color=GREY, marker="|", markersize=2.6, markeredgewidth=0.6, linestyle="none", label="seeds")
        if _is_drawn(estimate.quoted):
            look = {"marker": "D", "markersize": 2.8, "markerfacecolor": "white", "markeredgecolor": GREY, "markeredgewidth": 0.7}
            axes.plot([estimate.quoted], [y + QUOTED_OFF], linestyle="none", label="quoted", **look)  # type: ignore[arg-type]


def _write_numbers(sheet: Sheet, panel: Panel, places: Sequence[_Place], column: int, left: float, top: float) -> None:
    for place in places:
        texts = _texts(panel, place.entry.estimates[column])
        for text, off, colour in zip(texts, (0.0, QUOTED_OFF), (BLACK, GREY), strict=False):
            sheet.write(left, top + place.y + off, text, SMALL_PT, color=colour)


def _write_directions(sheet: Sheet, panel: Panel, left: float, y: float, width: float) -> None:
    if not panel.direction:
        return
    left_word, right_word = ("← worse", "better →") if panel.direction == "higher" else ("← better", "worse →")
    fits = width_mm(f"{left_word}  {right_word}", SMALL_PT) < width
    if panel.direction == "higher" or (panel.is_difference and fits):
        sheet.write(left + width, y, right_word, SMALL_PT, ha="right", color=GREY)
    if panel.direction == "lower" or (panel.is_difference and fits):
        sheet.write(left, y, left_word, SMALL_PT, color=GREY)
