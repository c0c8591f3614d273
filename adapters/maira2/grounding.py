"""What MAIRA-2 writes when it is asked for places: phrases with boxes, read back into phrases and pixels of the image file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from benchmark.records import BoxXYXY

BINS = 100  # num_box_coord_bins of its processor
SIGNS = ("<obj>", "</obj>", "<box>", "</box>")
_PHRASE = re.compile(r"<obj>((?:(?!</?obj>).)*)</obj>", re.DOTALL)
_BOX = re.compile(r"<box>((?:(?!</?box>).)*)</box>", re.DOTALL)
_EDGES = re.compile(r"<x([0-9]{1,3})><y([0-9]{1,3})><x([0-9]{1,3})><y([0-9]{1,3})>")


class Unread(Exception):
    """An output is not of the form that was asked for; the message says where."""


class Phrase(NamedTuple):
    """A finding, and where it is seen."""

    text: str
    shares: tuple[BoxXYXY, ...] | None
    """boxes in shares of the middle square's side, edges as they were written; None for a finding that has no place"""

    @property
    def turned(self) -> int:
        """Boxes whose left edge lies right of the other, or the top below."""
        return sum(left > right or top > bottom for left, top, right, bottom in self.shares or ())


def read_phrases(text: str) -> list[Phrase] | None:
    """The phrases of an output, in order; None if it is plain text. Raises ``Unread`` where MAIRA-2's own reader stops."""
    text = text.strip()
    if not any(sign in text for sign in SIGNS):
        return None
    if rest := _PHRASE.sub("", text):
        raise Unread(f"there is more than phrases: {rest[:40]!r}")
    return [_phrase(match[1]) for match in _PHRASE.finditer(text)]


def _phrase(inside: str) -> Phrase:
    if "<box>" not in inside and "</box>" not in inside:
        return Phrase(inside.strip(), None)
    begin = inside.find("<box>")
    words, boxes = (inside[:begin], inside[begin:]) if begin >= 0 else ("", inside)
    if rest := _BOX.sub("", boxes):
        raise Unread(f"there is more than boxes behind {words.strip()[:40]!r}: {rest[:40]!r}")
    return Phrase(words.strip(), tuple(_boxes(boxes)))


def _boxes(text: str) -> Iterator[BoxXYXY]:
    for match in _BOX.finditer(text):
        if not (edges := _EDGES.search(match[1])):
            raise Unread(f"a box without four edges: {match[1][:40]!r}")
        left, top, right, bottom = ((int(edge) + 0.5) / BINS for edge in edges.groups())  # the middle of a bin
        if max(left, top, right, bottom) > 1:
            raise Unread(f"a box beyond the image: {match[1][:40]!r}")
        yield left, top, right, bottom


def on_image(shares: BoxXYXY, size_px: tuple[int, int]) -> BoxXYXY:
    """A box in pixels of the image file, of which the model saw the middle square."""
    width, height = size_px
    side = min(width, height)
    beside, above = (width - side) // 2, (height - side) // 2
    left, top, right, bottom = shares
    return left * side + beside, top * side + above, right * side + beside, bottom * side + above
