"""One normal report for everyone: the floor that every model must beat.

Most studies of a chest ward are mostly normal, and word-overlap metrics reward the words that every report shares; so this model scores better than
one would like. It sees nothing: what a model scores above it is what it saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.protocol import OURS
from benchmark.records import Case, ProtocolCard, Report

NORMAL_REPORT = (
    "The heart size is normal. The mediastinal and hilar contours are within normal limits. The lungs are clear without focal consolidation. "
    "There is no pleural effusion or pneumothorax. No acute osseous abnormality is identified."
)


class Constant:
    """Writes the same ``text`` about every case."""

    def __init__(self, text: str = NORMAL_REPORT) -> None:
        self.text = text

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order."""
        for case in cases:
            yield Report(case.id, self.text)

    def provenance(self) -> dict[str, str]:
        """The text, which is all there is to know."""
        return {"text": self.text}

    def card(self) -> ProtocolCard:
        """What stands under its numbers."""
        return ProtocolCard("findings", (), "none", "none", {}, OURS, "none", ("The same text about every case.",))
