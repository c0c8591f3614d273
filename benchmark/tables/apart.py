"""What keeps measured and printed numbers apart, as far as it is known: data, who labelled lesions, who judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmark.signatures import UnreadableSignature, parse
from benchmark.tables.material import labeller_of
from benchmark.tables.printed import Printed

JUDGE = "consistency"
"""the metric whose numbers depend on who judges"""


class Apart(NamedTuple):
    """One thing that differs, or that nobody can say not to differ."""

    short: str
    """in two words, above quoted numbers"""
    said: str
    """whole, in a note"""


def apart(printed: Printed, measured_on: str, signatures: Sequence[str]) -> list[Apart]:
    """Everything that is known; what print does not say, it cannot tell apart.

    measured_on   ``phantom/test@...``, empty for reports that already existed
    signatures    of the measured numbers that stand beside or above the printed ones
    """
    dataset = measured_on.partition("/")[0].partition("@")[0]
    name = dataset.partition(":")[0]
    found = []
    if name not in printed.datasets:
        on = f"on {name}" if name else "on reports of which nobody said where they are from"
        theirs = f"on {printed.data}" if printed.data else "on data that the source does not name"
        found.append(Apart("other data" if name else "data here not named", f"measured {on}, printed {theirs}"))
    labellers = dict.fromkeys(labeller_of(signature).partition("|")[0] for signature in signatures)
    if others := [labeller for labeller in labellers if labeller and not labeller.startswith("language_model")]:
        theirs = f"by {printed.labeller} in print" if printed.labeller else "in print by whom the source does not say"
        found.append(Apart("other labeller", f"lesions labelled by {' and '.join(others)} here, {theirs}"))
    judges = dict.fromkeys(_judge(signature) for signature in signatures)
    if others := [judge for judge in judges if judge and judge != "language_model"]:
        found.append(Apart("other judge", f"reports judged by {' and '.join(others)} here, by a language model in print"))
    return found


def differs(printed: Printed, measured_on: str, signatures: Sequence[str]) -> tuple[str, ...]:
    """The same, each in two words."""
    return tuple(one.short for one in apart(printed, measured_on, signatures))


def _judge(signature: str) -> str:
    """Who judged, of the metric that has a judge; nothing for any other, and for what cannot be read."""
    try:
        fields = parse(signature)
    except UnreadableSignature:
        return ""
    return fields.get("judge", "") if fields.get("name", "").partition(":")[0] == JUDGE else ""
