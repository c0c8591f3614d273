"""One number of each case against another, a plot for each model: where two metrics part, a case stands off the crowd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmark.figures.key import write_notes
from benchmark.figures.sheet import BLUE, SMALL_PT, TITLE_PT, Sheet, line_mm, plain, type_of, wrapped


@dataclass(frozen=True)
class Cloud:
    """The cases of one model."""

    title: str
    """above its plot"""
    x: np.ndarray
    """(n,); NaN is not drawn"""
    y: np.ndarray
    """(n,)"""


@dataclass(frozen=True)
class Scatter:
    """A whole figure."""

    title: str
    """above it"""
    x_title: str
    y_title: str
    clouds: tuple[Cloud, ...]
    """each in a plot of its own, all on the same axes"""
    notes: tuple[str, ...] = ()
    """in small type below"""


MOST_MODELS = 9
PANELS_ABREAST = 3
MARGIN, AXIS_MM, GAP = 1.5, 10.0, 5.0
ONE_MM, SMALL_MM = 70.0, 42.0
"""how high a plot is that stands alone, and one of several"""
JITTER = 0.012
"""of an axis, to each side, at most"""
SEED = 0
MOVED = "Where cases lie in one place, dots are moved at random by up to 1.2 % of an axis, the same at every drawing, so that each is seen."


def sheet_of(scatter: Scatter, width: float) -> Sheet:
    """The drawing, a plot for each model. To be called within ``ready``. Raises ``ValueError`` for more models than a sheet holds."""
    from matplotlib.ticker import MaxNLocator

    if len(scatter.clouds) > MOST_MODELS:
        raise ValueError(f"{len(scatter.clouds)} models do not fit one picture; choose {MOST_MODELS} of them at most")
    inner = width - 2 * MARGIN
    abreast = min(PANELS_ABREAST, len(scatter.clouds)) or 1
    part = inner / abreast
    plot, high = part - AXIS_MM - GAP, ONE_MM if len(scatter.clouds) < 2 else SMALL_MM
    title = wrapped(scatter.title, inner, TITLE_PT, is_bold=True)
    heads = [[line for text in _counted(cloud) for line in wrapped(text, part - GAP, SMALL_PT)] for cloud in scatter.clouds]
    head = max((len(lines) for lines in heads), default=0) * line_mm(SMALL_PT) + 1.5
    top = MARGIN + len(title) * line_mm(TITLE_PT) + 1.5 + line_mm(SMALL_PT) + 1.0
    rows = -(-len(scatter.clouds) // abreast)
    below = top + rows * (head + high + 6.0) + line_mm(SMALL_PT) + 1.5
    draw = np.random.default_rng(SEED)
    drawn = [~np.isnan(cloud.x + cloud.y) for cloud in scatter.clouds]
    columns = ([cloud.x for cloud in scatter.clouds], [cloud.y for cloud in scatter.clouds])
    limits = [_limits([values[both] for values, both in zip(column, drawn, strict=True)]) for column in columns]
    moved = [_apart(cloud, limits, draw) for cloud in scatter.clouds]
    notes = [*scatter.notes, *([MOVED] if any(one.is_moved for one in moved) else [])]
    sheet = Sheet(width, below + write_notes(None, notes, MARGIN, below, inner) + MARGIN)
    sheet.write_lines(MARGIN, MARGIN, title, TITLE_PT, is_bold=True)
    sheet.write(MARGIN, top - 1.0 - line_mm(SMALL_PT) / 2, f"↑ {scatter.y_title}", SMALL_PT)
    for place, (cloud, lines) in enumerate(zip(moved, heads, strict=True)):
        left, upper = MARGIN + AXIS_MM + (place % abreast) * part, top + (place // abreast) * (head + high + 6.0)
        sheet.write_lines(left, upper, lines, SMALL_PT)
        axes = sheet.axes(left, upper + head, plot, high)
        axes.spines["left"].set(visible=True, linewidth=0.6)
        axes.set(xlim=limits[0], ylim=limits[1])
        look: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3.0, "markeredgewidth": 0, "clip_on": False}
        axes.plot(cloud.x, cloud.y, color=BLUE, alpha=0.4, label=scatter.clouds[place].title, **look)
        for axis, room in ((axes.xaxis, plot), (axes.yaxis, high)):
            axis.set_major_locator(MaxNLocator(nbins=max(2, min(6, int(room / 9))), steps=[1, 2, 5, 10]))
            axis.set_major_formatter(lambda value, _: plain(round(value, 9)))
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_fontproperties(type_of(SMALL_PT))
    sheet.write(MARGIN + inner - GAP, below - 1.5 - line_mm(SMALL_PT) / 2, f"{scatter.x_title} →", SMALL_PT, ha="right")
    write_notes(sheet, notes, MARGIN, below, inner)
    return sheet


class _Moved(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    is_moved: bool


def _apart(cloud: Cloud, limits: Sequence[tuple[float, float]], draw: np.random.Generator) -> _Moved:
    """The cases with both numbers; if several are in one place, all are moved a little, so that each is seen."""
    both = ~np.isnan(cloud.x) & ~np.isnan(cloud.y)
    points = np.stack([cloud.x[both], cloud.y[both]])
    if len(np.unique(points, axis=1).T) == points.shape[1]:
        return _Moved(points[0], points[1], False)
    x, y = (values + draw.uniform(-JITTER, JITTER, len(values)) * (high - low) for values, (low, high) in zip(points, limits, strict=True))
    return _Moved(x, y, True)


def _limits(columns: Sequence[np.ndarray]) -> tuple[float, float]:
    """What an axis spans: every number, and room for what is moved."""
    values = np.concatenate(columns) if columns else np.array([])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = 0.03 * (high - low) or 0.05
    return low - pad, high + pad


def rank_correlation(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation of the cases that have both numbers; NaN where fewer than three have, or one of them does not vary."""
    from scipy.stats import spearmanr

    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    both = ~np.isnan(first) & ~np.isnan(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    return float(spearmanr(first[both], second[both]).statistic)


def _counted(cloud: Cloud) -> tuple[str, str]:
    """The title, and how many cases are drawn and how the numbers agree."""
    count = int((~np.isnan(cloud.x) & ~np.isnan(cloud.y)).sum())
    rho = rank_correlation(cloud.x, cloud.y)
    return cloud.title, f"n = {count}{'' if np.isnan(rho) else f', rank correlation {plain(round(rho, 2))}'}"
