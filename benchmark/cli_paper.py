"""The commands on printed tables, the paper's and others': print them, check them, make them again. They parse and print, and compute nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

paper = typer.Typer()
"""``cli`` takes its commands in at the top level"""


@paper.command()
def tables(
    reported: Annotated[bool, typer.Option("--reported", help="The tables of the paper, in the digits of print.")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Printed tables of another paper in place of ours: CSV files and the sources.json of them."),
    ] = None,
    run: Annotated[list[Path] | None, typer.Option("--run", metavar="FOLDER", help="The tables of a finished run. May be repeated.")] = None,
    beside: Annotated[bool, typer.Option("--beside", help="Of runs: measured, quoted and difference, three columns for each number.")] = False,
    only: Annotated[str, typer.Option(metavar="NAMES", help="Comma list of tables: table1,table2a. All if not given.")] = "",
    formats: Annotated[
        str, typer.Option("--format", metavar="NAMES", help="Comma list of md, csv, tex, html. With --out all of them; without, the terminal.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write the tables to.")] = None,
) -> None:
    """Print the paper's tables, those of finished runs, or both side by side; nothing is measured anew.

    python -m benchmark tables --reported --only table1,table2a

    python -m benchmark tables --run results/runs/phantom-test --beside --format html --out beside
    """
    from benchmark.registry import split_names
    from benchmark.shows import show_tables
    from benchmark.tables.asked import asked_tables, checked_formats, write_formats

    named = checked_formats(split_names([formats]), out)
    found = asked_tables(reported=reported, source=source, runs=run or [], beside=beside, only=split_names([only]))
    if out:
        for file in write_formats(found, out, named):
            typer.echo(file)
    else:
        show_tables(found, named)
