"""What may leave the folder of a reproduction: tables in four formats, figures, claims, and a page that says what they are. No text of any case.

README.md     what was done, every claim with its verdict, every figure        claims.md .csv .tex .html   the claims, side by side
index.html    leads to the tables as pages                                      numbers.csv   what a table has, of every arm, seed by seed
table2b.md .csv .tex .html   table2b.svg .png   table2b_differences.svg .png    figure3.svg .png
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.experiments.claim_sentences import claims_csv, claims_table, sentence, with_verdicts
from benchmark.experiments.claims import Verdict, claims_in_print, pairs_of_claims, verdicts
from benchmark.experiments.definitions import Experiment
from benchmark.experiments.layouts import table_of
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.numbers_csv import to_csv
from benchmark.figures import draw, figures_of
from benchmark.progress import progress
from benchmark.tables import ENDINGS, as_text
from benchmark.tables.html import html_index
from benchmark.tables.markdown import markdown
from benchmark.tables.printed import read_printed
from benchmark.tables.table import Table


def pairs_of(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    """Every pair of arms that a table or a claim is about, each once, one way round."""
    told = [pair for experiment in experiments for pair in experiment.pairs]
    told += pairs_of_claims([one.claim for one in claims_in_print()], experiments)
    return list({frozenset(pair): pair for pair in reversed(told)}.values())[::-1]


def write_aggregates(experiments: Sequence[Experiment], numbers: Numbers, folder: Path, *, said: str, title: str) -> dict[str, str]:
    """Write everything into ``folder``; experiment -> why there is no table of it, of those that no arm is there for.

    said   what was done, on what, by whom it was measured: stands at the head of the page
    title  of the page
    """
    measured = {row.model for row in numbers.rows}
    left_out = {one.name: "none of its arms was measured" for one in experiments if not measured & set(one.arms)}
    there = [one for one in experiments if one.name not in left_out]
    told = claims_in_print()
    found = {one.name: verdicts(told, one, numbers, there) for one in there}
    tables = [with_verdicts(table_of(one, numbers), found[one.name], numbers) for one in there]
    every = [verdict for one in there for verdict in found[one.name]]
    if every:
        tables.append(claims_table(every, numbers, {one.reported: one.number for one in there if one.reported}))
    texts = {f"{table.name}.{ending}": as_text(table, ending) for table in tables for ending in ENDINGS}
    in_tables = {(row.metric, row.value_name) for table in tables for row in table.numbers}
    texts |= {"numbers.csv": to_csv(numbers, in_tables), "index.html": html_index(tables, title)}
    if every:
        texts["claims.csv"] = claims_csv(every)
    pictures: dict[str, list[Path]] = {}
    with progress("draw", len(there), unit="figures") as advance:
        for one in there:
            printed = read_printed(one.reported) if one.reported else None
            pictures[one.name] = [file for file in draw(figures_of(one, numbers, printed), folder) if file.suffix == ".png"]
            advance(1)
    texts["README.md"] = "\n".join(_page(title, said, there, found, pictures, tables[-1] if every else None))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return left_out


def _page(
    title: str,
    said: str,
    experiments: Sequence[Experiment],
    found: Mapping[str, Sequence[Verdict]],
    pictures: Mapping[str, Sequence[Path]],
    claims: Table | None,
) -> Iterator[str]:
    """The page, line by line."""
    yield f"# {title}"
    yield ""
    yield said
    yield ""
    if claims is not None:
        yield markdown(claims).rstrip()
        yield ""
    for one in experiments:
        yield f"## {one.number}. {one.title}"
        yield ""
        files = ", ".join(f"[{ending}]({one.name}.{ending})" for ending in ENDINGS)
        yield f"The table: {files}."
        yield ""
        for verdict in found[one.name]:
            yield f"- {sentence(verdict)}"
        if found[one.name]:
            yield ""
        for file in pictures[one.name]:
            yield f"![{one.number}]({file.name})"
            yield ""
