"""Figures for print, SVG and PNG with the same bytes for the same numbers: forest plots, and Figure 3.

``of_experiments`` and ``of_runs`` say which numbers stand in which figure, ``forest`` and ``curve`` draw them, ``key`` and ``said`` write what is
below, ``sheet`` is the paper that they are drawn on. ``lesion_heat`` and ``scatter`` are for notebooks, and so is ``picture``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.figures.curve import Curve, draw_curve
from benchmark.figures.forest import Forest, draw_forest
from benchmark.figures.of_experiments import figure3, figures_of, forests_of
from benchmark.figures.of_runs import forests_of_run
from benchmark.figures.sheet import ONE_COLUMN_MM, TWO_COLUMNS_MM, NoMatplotlib

__all__ = ["ONE_COLUMN_MM", "TWO_COLUMNS_MM", "Curve", "Forest", "NoMatplotlib", "draw", "figure3", "figures_of", "forests_of", "forests_of_run"]


def draw(figures: Iterable[Forest | Curve], folder: Path, *, width: float = TWO_COLUMNS_MM) -> list[Path]:
    """Draw each as ``<name>.png`` and ``<name>.svg``, ``width`` mm wide; the files, in the order of writing. Raises ``NoMatplotlib``."""
    return [
        file
        for figure in figures
        for file in (draw_curve(figure, folder, width=width) if isinstance(figure, Curve) else draw_forest(figure, folder, width=width))
    ]
