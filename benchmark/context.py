"""How much of a case models see: ``--context none|indication|full``. The one place where that is decided.

Published numbers differ by it: a model that reads the indication is told half of the findings by the ward. So the context is part of what a run is,
and of the signature of each of its numbers; what models learn from is reduced in the same way as what they are measured on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

from benchmark.records import Case, Context, UserError

IN_WORDS: dict[Context, str] = {
    "none": "Models were shown one frontal image of each case and no text (--context none).",
    "indication": "Models were shown one frontal image of each case and its indication (--context indication).",
    "full": "Models were shown all that the dataset has: further views, indication, technique, comparison, prior report and image (--context full).",
}
"""as it stands under every table"""


def check_context(context: str) -> None:
    """Raise ``UserError`` for a word that names none."""
    if context not in get_args(Context):
        raise UserError(f"no context {context!r}; name one of: {', '.join(get_args(Context))}")


def reduced(cases: Iterable[Case], context: Context) -> list[Case]:
    """The cases as a model may see them; boxes stay, since only the experiment grants them."""
    return list(cases) if context == "full" else [_reduced(case, keeps_indication=context == "indication") for case in cases]


def _reduced(case: Case, *, keeps_indication: bool) -> Case:
    return replace(
        case,
        images=case.images[:1],  # the image that the report is asked for comes first
        indication=case.indication if keeps_indication else "",
        technique="",
        comparison="",
        prior_report="",
        prior_image=None,
    )
