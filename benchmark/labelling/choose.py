"""The labellers by name: those that read text. Labels of cases, by whatever way they are known, are ``sources``."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.hookspecs import Labeller
from benchmark.records import UserError
from benchmark.registry import call

LABELLERS = {"rules": "benchmark.labelling.rules:RuleLabeller"}


def labeller_named(name: str, options: Mapping[str, str] | None = None) -> Labeller:
    """The labeller of that name, with its settings. Raises ``UserError`` listing the known ones."""
    if name not in LABELLERS:
        by_case = name == "truth" or name.startswith("file:")
        hint = "; such labels are looked up by case and cannot read a text" if by_case else ""
        raise UserError(f"no labeller named {name!r}; known: {', '.join(LABELLERS)}{hint}")
    made: Labeller = call(LABELLERS[name], f"labeller {name!r}", argument="", available={}, options=options or {})
    return made
