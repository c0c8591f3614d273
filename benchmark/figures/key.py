"""What stands under a figure: the key to its signs, and the notes in small type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.figures.sheet import BLACK, BLUE, SMALL_PT, Sheet, line_mm, width_mm, wrapped

SIGN_MM, BETWEEN_MM = 7.0, 4.0
RING_PT = 7.5
"""around a marker that stands apart"""


@dataclass(frozen=True)
class Sign:
    """One sign and what it means."""

    meaning: str
    """in words"""
    marker: str = ""
    """as matplotlib names it; empty = none"""
    line: str = ""
    """its style; empty = none"""
    size: float = 3.6
    """of the marker, in points"""
    colour: str = BLUE
    """of both"""
    is_hollow: bool = False
    """the marker is an outline"""
    is_ringed: bool = False
    """the marker stands in a black ring"""


def write_key(sheet: Sheet | None, signs: Sequence[Sign], left: float, top: float, width: float) -> float:
    """Write the key, as many signs in a line as fit; how high it is. Without a sheet only that."""
    pitch = line_mm(SMALL_PT) + 0.6
    x, line = 0.0, 0
    board = sheet.drawing_board(left, top, width, pitch) if sheet and signs else None
    for sign in signs:
        needed = SIGN_MM + width_mm(sign.meaning, SMALL_PT)
        if x and x + needed > width:
            x, line = 0.0, line + 1
        y = (line + 0.5) * pitch
        if sheet and board:
            if sign.line:
                board.plot([x, x + SIGN_MM - 1.5], [y, y], color=sign.colour, linewidth=1.0, linestyle=sign.line, clip_on=False)
            if sign.marker:
                fill = "white" if sign.is_hollow else sign.colour
                look = {"markersize": sign.size, "markerfacecolor": fill, "markeredgecolor": sign.colour, "markeredgewidth": 0.7}
                board.plot([x + (SIGN_MM - 1.5) / 2], [y], marker=sign.marker, linestyle="none", clip_on=False, **look)  # type: ignore[arg-type]
            if sign.is_ringed:
                ring = {"markersize": RING_PT, "markerfacecolor": "none", "markeredgecolor": BLACK, "markeredgewidth": 0.7}
                board.plot([x + (SIGN_MM - 1.5) / 2], [y], marker="o", linestyle="none", clip_on=False, **ring)  # type: ignore[arg-type]
            sheet.write(left + x + SIGN_MM, top + y, sign.meaning, SMALL_PT)
        x += needed + BETWEEN_MM
    return (line + 1) * pitch + 0.8 if signs else 0.0


def write_notes(sheet: Sheet | None, notes: Sequence[str], left: float, top: float, width: float) -> float:
    """Write the notes; how high they are. Without a sheet only that."""
    lines = [line for note in notes for line in wrapped(note, width, SMALL_PT)]
    if sheet:
        sheet.write_lines(left, top, lines, SMALL_PT)
    return len(lines) * line_mm(SMALL_PT)
