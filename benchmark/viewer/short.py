"""Words for people elsewhere: short, and without the places of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from benchmark.places import without_places

LONGEST_WORDS = 300
"""characters of a detail or of a reason; the rest is cut, and said to be"""


def cut(text: str, longest: int = LONGEST_WORDS) -> str:
    """Its beginning, with a mark where something is cut."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}\u2026"


def reason(text: str) -> str:
    """Why something failed, for people elsewhere: short, and without the places of this machine."""
    return cut(without_places(text[: 20 * LONGEST_WORDS]))


def labels_elsewhere(models: Sequence[str]) -> dict[str, str]:
    """Model -> its name without places: ``command:/home/ada/run --fast`` is ``command:run --fast``; two that would be one are numbered."""
    found: dict[str, str] = {}
    for model in models:
        name = without_places(model)
        same = sum(other == name or other.startswith(f"{name} (") for other in found.values())
        found[model] = f"{name} ({same + 1})" if same and name != model else name
    return found


def elsewhere(value: Any, named: Mapping[str, str]) -> Any:
    """The same value, every text in it without places; a model, or a pair of them, is called as ``named`` says."""
    if isinstance(value, str):
        first, minus, second = value.partition(" - ")
        if minus and first in named and second in named:
            return f"{named[first]} - {named[second]}"
        return named[value] if value in named else without_places(value)
    if isinstance(value, Mapping):
        return {key: elsewhere(one, named) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(elsewhere(one, named) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: elsewhere(getattr(value, one.name), named) for one in fields(value) if one.init})
    return value
