"""What a check found: one record for every inconsistency, and what each check takes for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

CheckName = Literal[
    "f1",
    "averages",
    "kind_of_average",
    "totals",
    "sides_of_totals",
    "definitions",
    "same",
    "claims",
    "bold",
    "range",
    "decimals",
    "missing",
    "duplicates",
]


class Check(NamedTuple):
    """One question that is asked of tables."""

    title: str
    """in words"""
    tolerance: str
    """how far numbers may be apart, and why"""


CHECKS: dict[CheckName, Check] = {
    "f1": Check(
        "F1 of precision and recall",
        "each of the three may be anything that prints as it does; impossible is only what is so whether all three were rounded or all three cut off",
    ),
    "averages": Check(
        "averages of rows",
        "half a unit for the print of the average, and three sigma of what printing leaves in the mean of n rows: 3 units over the root of 12 n",
    ),
    "kind_of_average": Check(
        "which mean an average F1 is",
        "told where the mean of the F1s and the F1 of the average P and R could not both print as it does; no fault by itself",
    ),
    "totals": Check(
        "totals of the axes", "2 units either way if numbers were rounded, up to 4 above the re-sum if they were cut off: so much four axes can hide"
    ),
    "sides_of_totals": Check(
        "sides of the totals",
        "rounding throws a total above its re-sum as often as below: told where, of 8 or more that differ, all lie on one side (p < 0.01)",
    ),
    "definitions": Check("numbers said to be made of others", "as for averages and totals, by rounding or cutting off"),
    "same": Check("one measurement printed more than once", "none: the same number has the same print"),
    "claims": Check("claims", "none: what is called higher must be higher in print, and an equal print is a tie"),
    "bold": Check("best in bold", "none: bold are all cells that hold the best print among those compared, and no other"),
    "range": Check("values in range", "0 to 1 (or to 100, where most shares of a table exceed 1), axes 1 to 5, a total up to 20"),
    "decimals": Check("decimals alike in a column", "none; columns at full precision, beyond 6 decimals, are left out"),
    "missing": Check("missing cells", "none: a dash says that there is no number, an empty cell says nothing"),
    "duplicates": Check("lines that stand there twice", "none"),
}


@dataclass(frozen=True)
class Finding:
    """One inconsistency, or one thing that a reader must know."""

    check: CheckName
    """which check found it"""
    table: str
    """the CSV without its ending; several, with commas, where it is about more than one"""
    line: int
    """of the file, from 1; 0 where it is about more than one line"""
    row: str
    """what the line is about: ``Mass, base``"""
    number: str
    """the column; empty where it is about several"""
    printed: str
    """what stands there"""
    expected: str
    """what should, or could"""
    says: str
    """all of it in one sentence"""
    is_note: bool = False
    """nothing contradicts, but who uses the table must know it"""
    id: str = ""
    """of the entry in the file of claims, if it comes from one"""

    @property
    def where(self) -> str:
        """``table3, line 9: Mass, base``."""
        place = f"{self.table}, line {self.line}" if self.line else self.table
        return f"{place}: {self.row}" if self.row else place


class Checked(NamedTuple):
    """What came of one check."""

    findings: Sequence[Finding]
    """in the order of the tables"""
    looked_at: int
    """so many things were looked at"""
