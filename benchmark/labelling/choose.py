"""The labellers by name."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.hookspecs import Labeller
from benchmark.records import UserError
from benchmark.registry import call

LABELLERS = {"rules": "benchmark.labelling.rules:RuleLabeller"}


def labeller_named(name: str, options: Mapping[str, str] | None = None) -> Labeller:
    """The labeller of that name, with its settings. Raises ``UserError`` listing the known ones."""
    if name not in LABELLERS:
        raise UserError(f"no labeller named {name!r}; known: {', '.join(LABELLERS)}")
    made: Labeller = call(LABELLERS[name], f"labeller {name!r}", argument="", available={}, options=options or {})
    return made
