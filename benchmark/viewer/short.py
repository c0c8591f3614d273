"""Words of other programs, cut to what a page has room for."""

from __future__ import annotations

from benchmark.places import without_places

LONGEST_WORDS = 300
"""characters of a detail or of a reason; the rest is cut, and said to be"""


def cut(text: str, longest: int = LONGEST_WORDS) -> str:
    """Its beginning, with a mark where something is cut."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}\u2026"


def reason(text: str) -> str:
    """Why something failed, for people elsewhere: short, and without the places of this machine."""
    return cut(without_places(text[: 20 * LONGEST_WORDS]))
