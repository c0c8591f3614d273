"""The labellers by name: those that read text. Labels of cases, by whatever way they are known, are ``sources``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark import registry
from benchmark.hookspecs import Labeller
from benchmark.records import Lesions, UserError


def known_labellers() -> tuple[str, ...]:
    """The names that plugins registered, sorted."""
    return tuple(registry.load().entries["labellers"])


def labeller_named(name: str, options: Mapping[str, str] | None = None, available: Mapping[str, Any] | None = None) -> Labeller:
    """The labeller of that name, with its settings.

    ``available`` is what it may ask for by parameter name (``device``, ``seed``, ``llm``, ...); a ``registry.Lazy`` is made only if it does.
    Raises ``UserError`` listing the known ones, and what ``Registry.build`` raises.
    """
    if name not in known_labellers() and (name == "truth" or name.startswith("file:")):
        raise UserError(
            f"no labeller named {name!r}; known: {', '.join(known_labellers())}; such labels are looked up by case and cannot read a text"
        )
    made: Labeller = registry.load().build("labellers", registry.Spec(name, name, ""), available=available or {}, options=options or {})
    return made


def kept_labels(labeller: Labeller, texts: Sequence[str]) -> list[Lesions]:
    """What the labeller says of texts, in order, and nobody is asked: one that asks says what it has ``kept``, () where that is nothing."""
    if not getattr(labeller, "asks", False):
        return labeller.label(texts)
    kept: Callable[[Sequence[str]], list[Lesions]] | None = getattr(labeller, "kept", None)
    return kept(texts) if kept is not None else [()] * len(texts)
