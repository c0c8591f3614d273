"""All candidates of a set of reference reports: one per report and kind, where the kind applies."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.audit.errors import ERRORS, Edit
from benchmark.audit.rewrites import REWRITES
from benchmark.audit.text import generator
from benchmark.progress import progress

VERSION = 1
"""of the candidates: changed whenever a report could give another one"""
IDENTICAL = "identical"
"""the reference itself: where a score falls from"""
TITLES: Mapping[str, str] = {
    "negated": "Present finding denied",
    "affirmed": "Absent finding affirmed",
    "side": "Side swapped",
    "severity": "Severity changed",
    "dropped": "Finding left out",
    "inserted": "Finding made up",
    "replaced": "Finding replaced",
    "measurement": "Measurement changed",
    "comparison": "False comparison",
    "paraphrase": "Paraphrase",
    "order": "Sentence order",
    "casing": "Casing",
    "headers": "Section headers",
    "punctuation": "Punctuation, line breaks",
}
SHORT: Mapping[str, str] = {
    "negated": "Denied",
    "affirmed": "Affirmed",
    "side": "Side",
    "severity": "Severity",
    "dropped": "Left out",
    "inserted": "Made up",
    "replaced": "Replaced",
    "measurement": "Length",
    "comparison": "Prior",
    "paraphrase": "Paraphrase",
    "order": "Order",
    "casing": "Casing",
    "headers": "Headers",
    "punctuation": "Punctuation",
}
"""heads of columns"""


def make_candidates(references: Mapping[str, str], seed: int) -> dict[str, dict[str, Edit]]:
    """Kind -> id -> what was made of the reference; ids to which the kind does not apply are not in it.

    What becomes of a report depends on its text, its id and the seed, and on no other report.
    """
    makers = {**ERRORS, **REWRITES}
    made: dict[str, dict[str, Edit]] = {kind: {} for kind in makers}
    with progress("make candidates", len(references), unit="reports") as advance:
        for case_id, report in references.items():
            for kind, maker in makers.items():
                edit = maker(report, generator(seed, case_id, kind))
                if edit is not None and edit.text != report:
                    made[kind][case_id] = edit
            advance(1)
    return made
