"""The commands for files of other harnesses: `export`, `import`. They parse and print, and compute nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.screen import say

exchange = typer.Typer()
"""``cli`` takes its commands in at the top level"""

NAMES = "radeval, rexrank, lm-eval or inspect"


@exchange.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, as `run` or `score` left it.")],
    to: Annotated[str, typer.Option(metavar="SHAPE", help=f"Whose files: {NAMES}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for a file per model; or a file, for one model.")],
    models: Annotated[list[str] | None, typer.Option("--models", "-m", metavar="NAMES", help="Comma list of models; all if not given.")] = None,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Write texts that may not travel; the files are kept from git, the rest is your agreement's.")
    ] = False,
) -> None:
    """Write the reports of a run as files of another harness, with references and failed cases.

    python -m benchmark export results/runs/demo --to rexrank --out exported/

    python -m benchmark export results/runs/mimic --to inspect --models clala --out clala.json --with-text
    """
    from benchmark.exchange import export_run
    from benchmark.registry import split_names

    for one in export_run(run, to, out, models=split_names(models or []), with_text=with_text):
        say(f"{one.model}: {one.reports} reports and {one.failures} failed cases in {one.file}")


@exchange.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of one model's reports.")],
    shape: Annotated[str, typer.Option("--from", metavar="SHAPE", help=f"Whose file it is: {NAMES}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Reports for `score --predictions`: .csv or .jsonl.")],
    references: Annotated[Path | None, typer.Option("--references", "-r", help="References for `score --references`: .csv or .jsonl.")] = None,
) -> None:
    """Make of a file of another harness the files that `score` reads. A case without an answer stays a failed one.

    python -m benchmark import exported/clala.json --from rexrank --out reports.csv --references references.csv

    python -m benchmark score --references references.csv --predictions clala=reports.csv
    """
    from benchmark.exchange import import_file, write_reports

    contents = import_file(file, shape)
    write_reports(contents, out, references)
    for note in contents.notes:
        say(f"note: {note}", err=True)
    kept = f", {len(contents.references)} references in {references}" if references else ""
    say(f"{len(contents.texts)} reports and {len(contents.failures)} failed cases in {out}{kept}")
