"""The commands on printed tables, the paper's and others': print them, check them, make them again. They parse and print, and compute nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.screen import say

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
            say(str(file))
    else:
        show_tables(found, named)


@paper.command()
def reproduce(
    what: Annotated[list[str], typer.Argument(help="table1, table2a, table2b, table2c, table3, table4, table5, figure3, s1 to s4, or all.")],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="What is learnt from and measured on: phantom, or chest_imagenome:/data/physionet")
    ] = "phantom",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network, from so many starts.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of everything; an unfinished one is resumed. Default: results/runs/reproduce-<dataset>."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Do nothing; print every command that would be run, and how long it would take.")] = False,
    profile: Annotated[
        str, typer.Option(help="How large: demo, paper, or tiny, to see it work. Default: demo for phantoms, paper for every other dataset.")
    ] = "",
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "-m",
            metavar="NAMES",
            help="Beside CLALA-Net in Tables 1 and 2a, in place of the profile's: NAME, NAME:ARG or LABEL=NAME:ARG. Comma list.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Steps at a time; 0 = one per core, or one on a GPU. Never changes a number.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    metrics: Annotated[str, typer.Option(help="Comma list of metrics; those of the paper's tables if not given.")] = "",
    labeller: Annotated[str, typer.Option(help="Who labels lesions: of training images and of reports. The tables name it.")] = "rules",
    judge: Annotated[str, typer.Option(help="Who judges reports: rules, or language_model. The tables name it.")] = "rules",
    llm: Annotated[str, typer.Option("--llm", metavar="MODEL", help="The language model that is asked, if one is.")] = "",
    llm_url: Annotated[str, typer.Option(metavar="URL", help="Where it is served, if not by its provider.")] = "",
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="Dollars that measuring may spend; it stops before, and the next command goes on from there. Steps do not count."),
    ] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="As for run; refused here, with what to ask instead.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME.OPTION=VALUE",
            help="Of the dataset, a metric, the labeller, llm, or an arm by the name that --plan shows: main.beams=3. May be repeated.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Bootstrap draws of patients.")] = 1000,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.")] = 0.95,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many cases.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many cases, alike in all lesions.")] = None,
    publish: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Copy tables and figures, which hold aggregates alone, to there.")] = None,
    definitions: Annotated[Path | None, typer.Option(metavar="FILE", help="Experiments of your own, as clala_net.toml has them.")] = None,
) -> None:
    """Make the paper's tables and figure again: train, generate, measure, tabulate, and set them beside the printed numbers.

    python -m benchmark reproduce table3 --dataset phantom --seeds 3

    python -m benchmark reproduce all --dataset chest_imagenome:/data/physionet --plan
    """
    from benchmark.cli_options import options_of
    from benchmark.experiments.definitions import PAPER
    from benchmark.experiments.reproduce import METRICS, Request, outline
    from benchmark.experiments.reproduce import reproduce as made_again
    from benchmark.llm.models import Manner
    from benchmark.records import UserError
    from benchmark.registry import split_names
    from benchmark.shows_paper import show_outline, show_reproduced

    if estimate:
        raise UserError(
            "reproduce --estimate: what would be asked depends on reports that are not written yet, so nobody can say; leave it and give --budget, "
            "or ask what labelling would take: python -m benchmark label --dataset ... --labeller language_model --estimate"
        )
    request = Request(
        tuple(what),
        dataset,
        out,
        seeds,
        profile,
        split_names(models or []),
        jobs,
        device,
        labeller,
        judge,
        split_names([metrics]) or METRICS,
        options_of(settings, llm, llm_url),
        draws,
        level,
        limit,
        sample,
        publish,
        definitions or PAPER,
    )
    manner = Manner(budget)
    asked = outline(request, manner)
    show_outline(asked, is_all=plan)
    if plan:
        return
    done = made_again(request, say=lambda line: say(line, err=True), manner=manner, asked=asked)
    show_reproduced(done)
    if done.failed:
        raise typer.Exit(1)


@paper.command(name="check-tables")
def check_tables(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]", help="CSV files of printed tables, or a folder of them. Default: the paper's tables.")
    ] = None,
    claims: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is said of the tables. Default: the claims.toml beside them, if there is one.")
    ] = None,
    keys: Annotated[
        str, typer.Option(metavar="NAMES", help="Comma list of the columns that say what a line is about, where they look like numbers.")
    ] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything that was found and looked at to this file, too.")
    ] = None,
) -> None:
    """Check whether printed tables agree with themselves, with each other and with what is said of them. Exit 1 if they do not.

    F1 from precision and recall, averages from their rows, totals from their axes, one number in two tables, ties called wins, the best in bold.

    python -m benchmark check-tables

    python -m benchmark check-tables my_table1.csv my_table2.csv --claims my_claims.toml --json found.json
    """
    from benchmark.consistency.check import as_json, check_files
    from benchmark.places import shipped
    from benchmark.registry import split_names
    from benchmark.runs import write_json, writing
    from benchmark.shows import show_table_check

    found = check_files(files or [shipped("results", "reported")], claims, split_names([keys]))
    if json_file:
        with writing(json_file):
            write_json(json_file, as_json(found))
    show_table_check(found)
    if found.faults:
        raise typer.Exit(1)
