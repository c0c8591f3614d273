"""The annotators by name, as they are typed: ``rules``, ``radgraph-xl``, ``file:annotations.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmark import registry
from benchmark.hookspecs import Annotator


def known_annotators() -> tuple[str, ...]:
    """The names that plugins registered, sorted."""
    return tuple(registry.load().entries["annotators"])


def annotator_named(word: str, options: Mapping[str, str | Path | bool] | None = None, *, device: str = "auto") -> Annotator:
    """The annotator, with its settings; a hyphen in its name is as good as an underscore.

    Raises ``UnknownName`` listing the known ones, and what ``Registry.build`` raises.
    """
    spec = registry.parse_spec(word)
    typed = {name: ("no", "yes")[value] if isinstance(value, bool) else str(value) for name, value in (options or {}).items()}
    spec = registry.Spec(word, spec.name.replace("-", "_"), spec.argument)
    made: Annotator = registry.load().build("annotators", spec, available={"device": device}, options=typed)
    return made
