"""The 14 lesions from the columns of a table of labels, as NIH, NegBio and ourselves name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from benchmark.records import Lesion, Lesions, UserError
from benchmark.vocabulary import LESIONS

OTHER_NAMES = {"effusion": "pleural effusion", "pleural thickening": "pleural thickening", "hiatal hernia": "hernia"}
NO_LESION = {"no finding", "normal"}


class BadLabel(UserError):
    """A cell of a label column that is no label."""


def lesion_columns(header: Iterable[str]) -> dict[str, str]:
    """lesion -> its column, if the header has all 14 (in any case, with _ or spaces); else nothing: half a set would read as negatives."""
    found: dict[str, str] = {}
    for column in header:
        name = _plain(column)
        if name in LESIONS:
            found.setdefault(name, column)
    return found if len(found) == len(LESIONS) else {}


def lesions_of(row: Mapping[str, str], columns: Mapping[str, str], where: str) -> Lesions | None:
    """The 14 lesions of one row: 1 positive, 0 or blank negative, -1 positive and hedged. A row without any label gives None. Raises BadLabel."""
    cells = {lesion: row[columns[lesion]].strip() for lesion in LESIONS}
    if not any(cells.values()):
        return None
    return tuple(_lesion(lesion, cell, f"{where}, column {columns[lesion]!r}") for lesion, cell in cells.items())


def lesions_named(cell: str, where: str) -> Lesions | None:
    """The 14 lesions of a cell that names those present, as NIH has it: ``Effusion|Mass``, ``No Finding``; the others are negative.

    A blank cell gives None. Raises BadLabel.
    """
    if not cell.strip():
        return None
    named = {_plain(part) for part in re.split(r"[|;,]", cell) if part.strip()} - NO_LESION
    if unknown := sorted(named - set(LESIONS)):
        raise BadLabel(f"{where}: {unknown[0]!r} is none of the 14 lesions; known: {', '.join(LESIONS)}, No Finding")
    return tuple(_lesion(lesion, "1" if lesion in named else "", where) for lesion in LESIONS)


def _plain(name: str) -> str:
    """A lesion's name as ``vocabulary.LESIONS`` has it, if it is one."""
    name = " ".join(name.lower().replace("_", " ").split())
    return OTHER_NAMES.get(name, name)


def _lesion(name: str, cell: str, where: str) -> Lesion:
    try:
        value = float(cell or 0)
    except ValueError:
        value = float("nan")
    if value not in (1.0, 0.0, -1.0):
        raise BadLabel(f"{where}: a label was to be 1, 0, -1 (uncertain) or blank, found {cell!r}; mend the cell")
    if value == 0:
        return Lesion(name, "negative", certainty="not mentioned")
    return Lesion(name, "positive", certainty="stated" if value > 0 else "hedged")
