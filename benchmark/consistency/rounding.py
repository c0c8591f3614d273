"""What a printed number may have been before it was printed, and what follows for numbers that are made of it.

Two ways of printing are thought of, and a table is taken to keep to one of them: rounding (0.45 was anything from 0.445 to 0.455) and truncation
(from 0.45 to 0.46). Ends belong to both sides: ties are rounded up or to even, and 0.29 may have been 0.28999999999999998 in the author's program.
Bounds are fractions, not floats: the whole question is about the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from benchmark.consistency.printed import Cell

Way = Literal["rounded", "truncated"]
WAYS: tuple[Way, ...] = ("rounded", "truncated")

SIGMAS = 3
"""of the noise that printing leaves in a mean; beyond it one mean in 370 lies by chance"""


class Span(NamedTuple):
    """All values from ``low`` to ``high``, both included."""

    low: Fraction
    high: Fraction

    def meets(self, other: Span) -> bool:
        """Whether they have a value in common."""
        return self.low <= other.high and other.low <= self.high

    def plus(self, other: Span) -> Span:
        """Every sum of a value of one and a value of the other."""
        return Span(self.low + other.low, self.high + other.high)

    def over(self, count: int) -> Span:
        """Every value divided."""
        return Span(self.low / count, self.high / count)

    def wider(self, by: Fraction) -> Span:
        """With a margin on both sides."""
        return Span(self.low - by, self.high + by)


def before_print(cell: Cell, way: Way) -> Span:
    """What the number may have been; a number that is printed as not negative was not negative."""
    value, unit = Fraction(cell.value), Fraction(cell.unit)
    if way == "rounded":
        return Span(max(value - unit / 2, Fraction(0)) if value >= 0 else value - unit / 2, value + unit / 2)
    return Span(value, value + unit) if value >= 0 else Span(value - unit, value)


def f1_of(precision: Fraction, recall: Fraction) -> Fraction:
    """Their harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction(0)


def f1_span(precision: Cell, recall: Cell, way: Way) -> Span:
    """What F1 may have been: it rises with either, so the ends are reached at the ends."""
    p, r = before_print(precision, way), before_print(recall, way)
    return Span(f1_of(p.low, r.low), f1_of(p.high, r.high))


def sum_span(cells: Sequence[Cell], way: Way) -> Span:
    """What their sum may have been."""
    total = Span(Fraction(0), Fraction(0))
    for cell in cells:
        total = total.plus(before_print(cell, way))
    return total


def mean_span(cells: Sequence[Cell], way: Way) -> Span:
    """What their mean has very likely been.

    Each number is off by up to half a unit, evenly either way, so a mean of n is off by a unit over the root of 12 n (one sigma); three of them are
    allowed, and never more than all numbers together can be off.
    """
    widest = sum_span(cells, way).over(len(cells))
    unit = Fraction(max(cell.unit for cell in cells))
    centre = mean_of(cells) if way == "rounded" else (widest.low + widest.high) / 2
    noise = Fraction(f"{SIGMAS / math.sqrt(12 * len(cells)):.6f}") * unit
    likely = Span(centre - noise, centre + noise)
    return Span(max(widest.low, likely.low), min(widest.high, likely.high))


def mean_of(cells: Sequence[Cell]) -> Fraction:
    """Of the numbers as they are printed."""
    return sum((Fraction(cell.value) for cell in cells), Fraction(0)) / len(cells)


def agrees(printed: Cell, span: Callable[[Way], Span]) -> bool:
    """Whether the printed number may be one of the values, by one way of printing at least."""
    return any(before_print(printed, way).meets(span(way)) for way in WAYS)


def said(printed: Cell, span: Callable[[Way], Span]) -> str:
    """What could be printed, for people: ``0.24 to 0.25``."""
    unit = Fraction(printed.unit)
    ends = [end for way in WAYS for end in _could_print(span(way), unit, way)]
    low, high = (written(Fraction(end) * unit, printed.decimals) for end in (min(ends), max(ends)))
    return low if low == high else f"{low} to {high}"


def _could_print(span: Span, unit: Fraction, way: Way) -> tuple[int, int]:
    """The lowest and the highest print of values from ``span``, in units, ends included as in ``before_print``."""
    shift = Fraction(1, 2) if way == "rounded" else Fraction(1)
    return math.ceil(span.low / unit - shift), math.floor(span.high / unit + (shift if way == "rounded" else 0))


def written(value: Fraction, digits: int) -> str:
    """A bound for people, with so many decimals."""
    return f"{float(value):.{digits}f}"
