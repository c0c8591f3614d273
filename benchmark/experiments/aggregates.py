"""What may leave the folder of a reproduction: tables in four formats, figures, claims, and a page that says what they are. No text of any case.

README.md     what was done, every claim with its verdict, every figure        claims.md .csv .tex .html   the claims, side by side
index.html    leads to the tables as pages                                      numbers.csv   what a table has, of every arm, seed by seed
table2b.md .csv .tex .html   table2b.svg .png   table2b_differences.svg .png    figure3.svg .png
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.experiments.claim_sentences import claims_csv, claims_table, sentence, with_verdicts
from benchmark.experiments.claims import Verdict, claims_in_print, pairs_of_claims, verdicts
from benchmark.experiments.definitions import Experiment
from benchmark.experiments.layouts import table_of
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.numbers_csv import to_csv
from benchmark.figures import Curve, Forest, draw, figures_of
from benchmark.progress import progress
from benchmark.tables import ENDINGS, as_text
from benchmark.tables.html import html_index
from benchmark.tables.markdown import markdown
from benchmark.tables.printed import read_printed
from benchmark.tables.table import Note, Table


def pairs_of(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """Every pair of arms that a table or a claim is about, each once, one way round."""
    told = [pair for experiment in experiments for pair in experiment.pairs]
    told += pairs_of_claims([one.claim for one in claims_in_print()], experiments)
    return list({frozenset(pair): pair for pair in reversed(told)}.values())[::-1]


@dataclass(frozen=True)
class Head:
    """What stands above everything else."""

    title: str
    """of the page"""
    lead: str
    """what a reader must know before the first number: of whom the cases are, what brackets are"""
    said: str
    """what was done, on what, by whom it was measured"""


@dataclass(frozen=True)
class Aggregates:
    """What was written."""

    left_out: Mapping[str, str]
    """experiment -> why there is no table of it, of those that no arm is there for"""
    claims: Table | None
    """on the tables that there are, None where nothing is claimed of them"""


@dataclass(frozen=True)
class Picture:
    """A figure on the page."""

    file: str
    shows: str
    """for who cannot see it"""


def write_aggregates(experiments: Sequence[Experiment], numbers: Numbers, folder: Path, head: Head) -> Aggregates:
    """Write everything into ``folder``."""
    measured = {row.model for row in numbers.rows}
    left_out = {one.name: "none of its arms was measured" for one in experiments if not measured & set(one.arms)}
    there = [one for one in experiments if one.name not in left_out]
    told = claims_in_print()
    found = {one.name: verdicts(told, one, numbers, there) for one in there}
    tables = [with_verdicts(table_of(one, numbers), found[one.name], numbers) for one in there]
    every = [verdict for one in there for verdict in found[one.name]]
    if every:
        claims = claims_table(every, numbers, {one.reported: one.number for one in there if one.reported})
        said = tuple(Note(text) for text in dict.fromkeys(one.note for one in there if one.note))
        tables.append(replace(claims, notes=(*said, *claims.notes)))
    texts = {f"{table.name}.{ending}": as_text(table, ending) for table in tables for ending in ENDINGS}
    in_tables = {(row.metric, row.value_name) for table in tables for row in table.numbers}
    texts |= {"numbers.csv": to_csv(numbers, in_tables), "index.html": html_index(tables, head.title, head.lead)}
    if every:
        texts["claims.csv"] = claims_csv(every)
    pictures: dict[str, list[Picture]] = {}
    with progress("draw", len(there), unit="figures") as advance:
        for one in there:
            figures = figures_of(one, numbers, read_printed(one.reported) if one.reported else None)
            draw(figures, folder)
            pictures[one.name] = [Picture(f"{figure.name}.png", _shows(figure)) for figure in figures]
            advance(1)
    texts["README.md"] = "\n".join(_page(head, there, found, pictures, tables[-1] if every else None))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return Aggregates(left_out, tables[-1] if every else None)


def _shows(figure: Forest | Curve) -> str:
    """What is to be seen; the numbers themselves are in the table, and in the SVG of the figure."""
    if isinstance(figure, Curve):
        panels = "; ".join(panel.title[:1].lower() + panel.title[1:] for panel in figure.panels)
        return _in_brackets(f"Curves, {figure.title}: {panels}, each over the {figure.x_title}")
    is_difference = any(panel.is_difference for panel in figure.panels)
    what = "paired differences with their intervals, against zero" if is_difference else "each number with its interval, beside the printed one"
    return _in_brackets(f"Forest plot, {figure.title}: {what}")


def _in_brackets(text: str) -> str:
    """As it can stand between the brackets of a picture in Markdown."""
    return " ".join(text.replace("[", "(").replace("]", ")").split())


def _page(
    head: Head,
    experiments: Sequence[Experiment],
    found: Mapping[str, Sequence[Verdict]],
    pictures: Mapping[str, Sequence[Picture]],
    claims: Table | None,
) -> Iterator[str]:
    """The page, line by line."""
    for part in (f"# {head.title}", f"**{head.lead}**", head.said):
        yield part
        yield ""
    if claims is not None:
        yield f"#{markdown(claims).strip()}"  # a part of this page, not a page
        yield ""
    for one in experiments:
        yield f"## {one.number}. {one.title}"
        yield ""
        if one.note:
            yield one.note
            yield ""
        files = ", ".join(f"[{ending}]({one.name}.{ending})" for ending in ENDINGS)
        yield f"The table: {files}."
        yield ""
        for verdict in found[one.name]:
            yield f"- {sentence(verdict)}"
        if found[one.name]:
            yield ""
        for picture in pictures[one.name]:
            yield f"![{picture.shows}]({picture.file})"
            yield ""
