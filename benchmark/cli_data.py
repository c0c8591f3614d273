"""The commands that look a dataset over: `data check`, `data show`. They parse and print, and compute nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_examples import Commands
from benchmark.cli_options import DatasetName, Settings, options_of
from benchmark.screen import say

Root = Annotated[Path | None, typer.Option(help="Folder or file of the dataset, in place of --dataset name:PATH.")]

data = typer.Typer(
    cls=Commands,
    help="""Look a dataset over, and look at its cases, before trusting a number that is made of it.

    python -m benchmark data check --dataset phantom

    python -m benchmark data show --dataset phantom --count 3 --out look.png
    """,
    no_args_is_help=True,
)


@data.command(name="check")
def data_check(
    dataset: DatasetName = "phantom",
    root: Root = None,
    splits: Annotated[str, typer.Option(metavar="NAMES", help="Comma list of train, validate, test; all if not given.")] = "",
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for counts.json and problems.csv.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a file is faulty; what the dataset's rules leave out is no fault.")
    ] = False,
) -> None:
    """Say what of a dataset is there, what is missing, what was left out and why, and how its counts compare with published ones.

    python -m benchmark data check --dataset chest_imagenome --root /data/physionet --out checked
    """
    from benchmark.data_check import check_data, write_check
    from benchmark.registry import split_names
    from benchmark.shows import show_data_check

    found = check_data(dataset, split_names([splits]), options_of(settings), root=root)
    if out:
        write_check(found, out)
    show_data_check(found, out)
    if strict and found.faults:
        raise typer.Exit(1)


@data.command(name="show")
def data_show(
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture: a PNG, JPG or WebP file.")],
    dataset: DatasetName = "phantom",
    root: Root = None,
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    case: Annotated[list[str] | None, typer.Option("--case", metavar="ID", help="Which case, or a comma list of them. May be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=12, help="Without --case: so many cases, spread over the split.")] = 1,
    settings: Settings = None,
) -> None:
    """Draw a case, or a few side by side: the radiograph with its boxes, the other views, the sentences by region and the report.

    python -m benchmark data show --dataset chest_imagenome --root /data/physionet --count 3 --out look.png
    """
    from benchmark.case_picture import draw_cases
    from benchmark.registry import split_names

    drawn = draw_cases(dataset, out, split_names(case or []), split=split, count=count, options=options_of(settings), root=root)
    for fault in drawn.faults:
        say(f"not drawn: {fault}", err=True)
    say(f"{', '.join(drawn.ids)}: {out}")
