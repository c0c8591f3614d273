"""How much worse a model may be than another and still count as not worse: ``lesions.macro_f1=0.01``, checked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.hookspecs import Metric
from benchmark.records import UserError


class BadMargin(UserError):
    """A margin that is not a positive number, or is of no number whose better side is known."""


def parse_margins(words: Sequence[str]) -> dict[str, float]:
    """``["rouge_l=0.01"]`` -> ``{"rouge_l": 0.01}``. Raises ``BadMargin``."""
    margins: dict[str, float] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        try:
            margin = float(text)
        except ValueError:
            margin = 0.0
        if not name or not 0 < margin < float("inf"):
            raise BadMargin(f"cannot read the margin {word!r}; write a metric or one of its numbers, and a number above 0: rouge_l=0.01")
        if margins.setdefault(name, margin) != margin:
            raise BadMargin(f"two margins for {name}, {margins[name]:g} and {margin:g}; give one")
    return margins


def margins_of(margins: Mapping[str, float], name: str, metric: Metric) -> dict[str, float]:
    """The margins of one metric's numbers; one that names the metric alone is of its headlines, unless a number has one of its own."""
    headlines: Sequence[str] = getattr(metric, "headlines", list(getattr(metric, "titles", {}))[:1])
    found = dict.fromkeys(headlines, margins[name]) if name in margins else {}
    return found | {key[len(name) + 1 :]: margin for key, margin in margins.items() if key.startswith(f"{name}.")}


def check_margins(margins: Mapping[str, float], metrics: Mapping[str, Metric]) -> None:
    """Raise ``BadMargin`` for one that is of nothing that is measured, or of a number of which nobody says which way is better."""
    for key in margins:
        owners = [name for name in metrics if key == name or key.startswith(f"{name}.")]
        if not owners:
            raise BadMargin(f"a margin for {key!r}, but no such metric is measured; measured are {', '.join(metrics)}")
        for name in owners:
            directed = _directed(metrics[name])
            if unknown := [number for number in margins_of({key: 1.0}, name, metrics[name]) or [key] if number not in directed]:
                known = ", ".join(f"{name}.{number}" for number in directed[:12]) or "none"
                raise BadMargin(f"a margin for {key!r}: of {name}.{unknown[0]} nobody says which way is better; margins can have: {known}")


def without_pair(margins: Mapping[str, float], models: int) -> list[str]:
    """A sentence where margins were given and there is no pair of models to compare: nothing else would speak of them."""
    if not margins or models > 1:
        return []
    found = "no model was" if models == 0 else "just one model was"
    return [f"the margin for {', '.join(margins)} is of two models, and {found} measured: compare two for it to say anything"]


def _directed(metric: Metric) -> list[str]:
    """The numbers of which it is known which way is better."""
    named = dict.fromkeys((*getattr(metric, "titles", {}), *getattr(metric, "lower_is_better", ())))
    return [number for number in named if number not in getattr(metric, "undirected", ())]
