"""The stress test as a picture: a heat map of error by metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.audit.candidates import TITLES
from benchmark.audit.ranking import ALL
from benchmark.figures.sheet import NoMatplotlib, ready, save
from benchmark.per_case import CaseNumber
from benchmark.records import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NoMatplotlib", "heat_map"]

WRONG, CANNOT_TELL, RIGHT = "#b2182b", "#f7f7f7", "#2166ac"
"""red, white and blue: told apart without seeing green"""
NONE = "#d9d9d9"


def heat_map(rows: Sequence[Row], numbers: Sequence[CaseNumber], errors: Sequence[str], folder: Path, *, title: str) -> list[Path]:
    """Draw ``audit.png`` and ``audit.svg``. Raises ``NoMatplotlib``."""
    with ready():
        figure = _drawn(rows, numbers, errors, title)
        return save(figure, folder, "audit", title=title, description=_described(rows, numbers, errors), dpi=150)


def _drawn(rows: Sequence[Row], numbers: Sequence[CaseNumber], errors: Sequence[str], title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    by_key = {(row.model, row.metric, row.value_name): row for row in rows}
    kinds = [*errors, ALL]
    labels = [*(TITLES[error] for error in errors), "Mean of the errors"]
    width, height = 3.1 + 1.12 * len(numbers), 1.9 + 0.46 * len(kinds)
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("audit", [WRONG, CANNOT_TELL, RIGHT]).with_extremes(bad=NONE)
    shares = [[by_key[kind, number.metric, f"{number.name}.above"].value for number in numbers] for kind in kinds]
    image = axes.imshow(shares, vmin=0, vmax=1, cmap=colours, aspect="auto")
    for line, kind in enumerate(kinds):
        for column, number in enumerate(numbers):
            _write(axes, by_key, kind, number, line, column)
    axes.set_xticks(range(len(numbers)), [_broken(number.title) for number in numbers])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(kinds)), labels)
    axes.tick_params(length=0)
    axes.axhline(len(errors) - 0.5, color="black", linewidth=1)
    for edge in range(1, len(numbers)):
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, len(errors)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", aspect=40, shrink=0.9, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0\nalways prefers the error", "0.25", "0.5\ncannot tell", "0.75", "1\nnever prefers it"])
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _described(rows: Sequence[Row], numbers: Sequence[CaseNumber], errors: Sequence[str]) -> str:
    """Every share of the picture in words, for who cannot see it."""
    by_key = {(row.model, row.metric, row.value_name): row for row in rows}
    said = ["How often the rewrite without error is preferred: 0 always prefers the error, 0.5 cannot tell, 1 never prefers it."]
    for number in numbers:
        shares = [(TITLES.get(kind, "Mean of the errors"), by_key[kind, number.metric, f"{number.name}.above"].value) for kind in (*errors, ALL)]
        said.append(f"{number.title}: {', '.join(f'{label} {_share(share)}' for label, share in shares)}.")
    return " ".join(said)


def _share(share: float) -> str:
    return "n/a" if math.isnan(share) else f"{share:.2f}"


def _write(axes: object, by_key: Mapping[tuple[str, str, str], Row], kind: str, number: CaseNumber, line: int, column: int) -> None:
    """The share, and how many of the pairs are ties where there are some."""
    share = by_key[kind, number.metric, f"{number.name}.above"].value
    ties = by_key[kind, number.metric, f"{number.name}.ties"].value
    is_dark = not math.isnan(share) and abs(share - 0.5) > 0.3
    colour = "white" if is_dark else "black"
    has_ties = not math.isnan(ties) and ties >= 0.005
    text = axes.text  # type: ignore[attr-defined]
    text(column, line - (0.13 if has_ties else 0), _share(share), ha="center", va="center", color=colour, fontsize=9.5)
    if has_ties:
        text(column, line + 0.26, f"{ties:.0%} ties", ha="center", va="center", color=colour, fontsize=6.5)


def _broken(title: str) -> str:
    """A title on as many lines as it needs to stand above a column."""
    lines = [""]
    for word in title.replace("(", "\n(", 1).replace(" \n", "\n").split(" "):
        if len(lines[-1].rpartition("\n")[2]) + len(word) < 14:
            lines[-1] = f"{lines[-1]} {word}".strip(" ")
        else:
            lines.append(word)
    return "\n".join(line for line in lines if line)
