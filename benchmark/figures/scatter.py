"""One number of each case against another: where two metrics part, a case stands off the crowd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.figures.key import Sign, write_key, write_notes
from benchmark.figures.sheet import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    SMALL_PT,
    TITLE_PT,
    VERMILLION,
    Sheet,
    line_mm,
    plain,
    type_of,
    wrapped,
)


@dataclass(frozen=True)
class Cloud:
    """The cases of one model."""

    title: str
    """in the key"""
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
    """each with a sign of its own, as far as there are signs"""
    notes: tuple[str, ...] = ()
    """in small type below"""


LOOKS = (("o", BLUE), ("s", VERMILLION), ("^", GREEN), ("v", BLACK), ("D", "#CC79A7"), ("P", "#E69F00"), ("X", GREY))
"""marker and colour of each model; the palette of Okabe and Ito (2008)"""
MARGIN, AXIS_MM, PLOT_MM = 1.5, 13.0, 70.0


def sheet_of(scatter: Scatter, width: float) -> Sheet:
    """The drawing. To be called within ``ready``. Raises ``ValueError`` for more models than there are signs."""
    if len(scatter.clouds) > len(LOOKS):
        raise ValueError(f"{len(scatter.clouds)} models in one picture cannot be told apart; choose {len(LOOKS)} of them at most")
    inner = width - 2 * MARGIN
    title = wrapped(scatter.title, inner, TITLE_PT, is_bold=True)
    signs = [Sign(_counted(cloud), marker=marker, colour=colour) for cloud, (marker, colour) in zip(scatter.clouds, LOOKS, strict=False)]
    top = MARGIN + len(title) * line_mm(TITLE_PT) + 2.0 + line_mm(SMALL_PT)
    below = top + PLOT_MM + 5.0 + line_mm(SMALL_PT) + 2.0
    sheet = Sheet(width, below + write_key(None, signs, MARGIN, below, inner) + write_notes(None, scatter.notes, MARGIN, below, inner) + MARGIN)
    sheet.write_lines(MARGIN, MARGIN, title, TITLE_PT, is_bold=True)
    sheet.write(MARGIN, top - 1.0 - line_mm(SMALL_PT) / 2, f"↑ {scatter.y_title}", SMALL_PT)
    axes = sheet.axes(MARGIN + AXIS_MM, top, inner - AXIS_MM - 1.0, PLOT_MM)
    axes.spines["left"].set(visible=True, linewidth=0.6)
    for cloud, (marker, colour) in zip(scatter.clouds, LOOKS, strict=False):
        axes.plot(cloud.x, cloud.y, marker=marker, color=colour, linestyle="none", markersize=3.0, markeredgewidth=0, alpha=0.55, label=cloud.title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: plain(value))
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(type_of(SMALL_PT))
    sheet.write(MARGIN + inner - 1.0, below - 2.0 - line_mm(SMALL_PT) / 2, f"{scatter.x_title} →", SMALL_PT, ha="right")
    below += write_key(sheet, signs, MARGIN, below, inner)
    write_notes(sheet, scatter.notes, MARGIN, below, inner)
    return sheet


def rank_correlation(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation of the cases that have both numbers; NaN where fewer than three have, or one of them does not vary."""
    from scipy.stats import spearmanr

    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    both = ~np.isnan(first) & ~np.isnan(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    return float(spearmanr(first[both], second[both]).statistic)


def _counted(cloud: Cloud) -> str:
    """The title with how many are drawn, and how they agree."""
    count = int((~np.isnan(cloud.x) & ~np.isnan(cloud.y)).sum())
    rho = rank_correlation(cloud.x, cloud.y)
    return f"{cloud.title} (n = {count}{'' if np.isnan(rho) else f', rank correlation {plain(round(rho, 2))}'})"
