"""Rows -> tables: Markdown, CSV, LaTeX, HTML and the terminal, measured numbers beside quoted ones that never look alike.

``layouts`` says which numbers stand in which table, ``markdown``, ``latex``, ``html``, ``long_form`` (CSV) and ``terminal`` how they are set,
``printed`` reads and lays out what was printed elsewhere, ``quoted`` hands it to the tables of a run. Same rows, same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.records import ProtocolCard, Row
from benchmark.signatures import UnlikeSignatures
from benchmark.tables.cards import cards_csv
from benchmark.tables.differences import differences
from benchmark.tables.grid import grid
from benchmark.tables.html import html
from benchmark.tables.latex import latex
from benchmark.tables.layouts import LAYOUTS, summary
from benchmark.tables.lesion_errors import for_terminal, lesion_errors
from benchmark.tables.long_form import long_form
from benchmark.tables.markdown import markdown
from benchmark.tables.material import Material, material
from benchmark.tables.mcnemar import mcnemar, tested
from benchmark.tables.quoted import quoted_rows
from benchmark.tables.strata import strata
from benchmark.tables.table import Table
from benchmark.tables.terminal import show

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ENDINGS", "UnlikeSignatures", "as_text", "print_summary", "quoted_rows", "tables_of", "write_tables"]

PRINTED_DIFFERENCES = 15  # more than a screen of them is read in the file
OPTIONAL = ("lesions", "strata", "differences", "mcnemar")
"""tables that need what not every run has: the lesions, parts of the cases, two models"""
ENDINGS = ("md", "csv", "tex", "html")
"""of the files of a table"""


def tables_of(given: Material) -> list[Table]:
    """Every table that the numbers are enough for, in the order of print. Raises ``UnlikeSignatures``."""
    layouts = {"lesions": lesion_errors, "strata": strata, "differences": differences, "mcnemar": mcnemar}
    needed = (given.named("lesions"), given.strata, given.differences, tested(given))
    optional = [layouts[name] for name, numbers in zip(OPTIONAL, needed, strict=True) if numbers]
    return [layout(given) for layout in (*LAYOUTS, *optional)]


def as_text(table: Table, ending: str) -> str:
    """The table as a file with that ending, one of ``ENDINGS``."""
    if ending == "csv":
        return grid(table) if table.is_laid_out_as_csv else long_form(table.numbers, table.adjusted, table.false_discovery)
    return {"md": markdown, "tex": latex, "html": html}[ending](table)


def write_tables(
    rows: Sequence[Row],
    folder: Path,
    *,
    models: Sequence[str],
    note: str = "",
    skipped: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
    level: float | None = None,
    draws: int | None = None,
    decimals: Mapping[str, int] | None = None,
    interval: str = "",
    flips: int = 0,
    cards: Mapping[str, ProtocolCard] | None = None,
    measured: str = "",
) -> list[Path]:
    """Write every table as .md, .csv, .tex and .html, and all numbers as ``rows.csv``; the files, in the order of writing.

    rows       numbers of single models, differences whose model is ``A - B``, and both of parts of the cases
    models     in the order of print
    note       the dataset's, stands under every table
    skipped    model -> why it has no numbers
    counts     what was measured, as the tables say it: ``{"cases": 300, "patients": 210}``
    level      of the intervals; draws: of the bootstrap; interval: percentile or bca; flips: of the paired tests; all for the notes under the tables
    decimals   metric -> digits to print
    cards      model -> what it says of itself; a model without one, as of reports that already exist, has no mark and no block
    measured   ``dataset/split``, or ``dataset:argument/split@fingerprint``, for what models learnt of it; cards.csv is written if there are cards

    Raises ``UnlikeSignatures`` before anything is written. A table that needs what is not there (two models, the lesions, parts of the cases) is
    not written, and one that an earlier run left is removed: it would speak of numbers that are gone.
    """
    given = material(
        rows,
        models,
        skipped or {},
        note=note,
        counts=counts or {},
        level=level,
        draws=draws,
        decimals=decimals or {},
        interval=interval,
        flips=flips,
        cards=cards or {},
        measured=measured,
    )
    tables = tables_of(given)
    texts = {"rows.csv": long_form([row for row in rows if not row.stratum])}
    for table in tables:
        texts |= {f"{table.name}.{ending}": as_text(table, ending) for ending in ENDINGS}
    if cards:
        texts["cards.csv"] = cards_csv(cards, measured)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cards.csv").unlink(missing_ok=True)
    for name in set(OPTIONAL) - {table.name for table in tables}:
        for ending in ENDINGS:
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def print_summary(
    rows: Sequence[Row],
    console: Console,
    *,
    models: Sequence[str],
    note: str = "",
    skipped: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
    level: float | None = None,
    draws: int | None = None,
    decimals: Mapping[str, int] | None = None,
    interval: str = "",
    flips: int = 0,
    cards: Mapping[str, ProtocolCard] | None = None,
    measured: str = "",
) -> None:
    """Print the summary, what is wrong with lesions in all, and the paired differences where they fit a screen. Raises ``UnlikeSignatures``."""
    given = material(
        rows,
        models,
        skipped or {},
        note=note,
        counts=counts or {},
        level=level,
        draws=draws,
        decimals=decimals or {},
        interval=interval,
        flips=flips,
        cards=cards or {},
        measured=measured,
    )
    headlines = summary(given)
    show(headlines, console)
    if any(row.value_name == "micro_hallucination" for row in given.rows):
        show(for_terminal(lesion_errors(given)), console)
    if not given.differences:
        return
    if pairs := tested(given):
        found = sum(p < 1 - (level or 0.95) for p in mcnemar(given).adjusted.values())
        family = sum(not math.isnan(math.nan if row.p_value is None else row.p_value) for row in pairs)
        console.print(f"McNemar's test of each lesion: {found} of {family} tests find a difference (Holm), see mcnemar.md", markup=False)
    compared = differences(given)
    if (count := len(compared.blocks[0].lines)) > PRINTED_DIFFERENCES:
        console.print(f"Paired differences: {count} of them, see differences.md", markup=False)
        return
    own = tuple(note for note in compared.notes if note not in headlines.notes)  # the rest stands just above
    show(replace(compared, notes=own), console)
