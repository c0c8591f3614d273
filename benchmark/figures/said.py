"""What stands in words under a figure of measured numbers: the same as under the table, but for signatures, which the table has."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records import Row
from benchmark.tables.material import Footnotes, Material, common_notes


def notes_of(given: Material, shown: Sequence[Row], footnotes: Footnotes) -> list[str]:
    """The data, the intervals, what is undefined or unscored, and who labelled or judged."""
    notes = common_notes(given, shown, footnotes, ranks=())
    return [" ".join(filter(None, (note.label, note.text))) for note in notes if not (note.signature and note.text.endswith(":"))]
