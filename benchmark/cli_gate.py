"""The command for a CI job: `compare`. It parses and prints, and computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

gate = typer.Typer()
"""``cli`` takes its command in at the top level"""


@gate.command()
def compare(
    base: Annotated[Path, typer.Argument(help="Folder of the run before the change, as `run` or `score` left it.")],
    head: Annotated[Path, typer.Argument(help="Folder of the run after it.")],
    models: Annotated[
        list[str] | None, typer.Option("--models", "-m", metavar="NAMES", help="Comma list of model, or before=after where the names differ.")
    ] = None,
    metrics: Annotated[str, typer.Option(help="Comma list of metrics; all that both runs have if not given.")] = "",
    margin: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER=MARGIN", help="The head must be shown to be worse by less than that: lesions.macro_f1=0.01. May be repeated."),
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="The chance of a false alarm, over all numbers without a margin.")] = 0.05,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws of patients.")] = 1000,
    lesions: Annotated[bool, typer.Option(help="Compare the F1 of each lesion too.")] = True,
    shared: Annotated[bool, typer.Option("--shared", help="Compare the cases that both runs have, where one has others too.")] = False,
    more_failures: Annotated[int, typer.Option(min=0, help="So many cases that had a report may be left without one.")] = 0,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write Markdown for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for a CI server.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything, for programs.")] = None,
) -> None:
    """Say whether a run is worse than one before it. Exit status: 0 no regression, 1 a regression, 2 the two do not compare.

    python -m benchmark compare results/runs/main results/runs/branch --markdown comment.md --junit gate.xml

    python -m benchmark compare base/ head/ --models clala=clala-new --margin lesions.macro_f1=0.01 --alpha 0.01
    """
    from benchmark import gate as gates
    from benchmark.gate import outputs
    from benchmark.margins import parse_margins
    from benchmark.registry import split_names
    from benchmark.runs import writing
    from benchmark.shows_gate import show_gate

    named = (word.partition("=") for word in split_names(models or []))
    found = gates.compare(
        base,
        head,
        models={before: after or before for before, _, after in named},
        metrics=split_names([metrics]),
        margins=parse_margins(margin or []),
        alpha=alpha,
        draws=draws,
        shared=shared,
        lesions=lesions,
        more_failures=more_failures,
    )
    for file, text in ((markdown, outputs.markdown), (junit, outputs.junit), (json, outputs.as_json)):
        if file:
            with writing(file):
                file.write_text(text(found), encoding="utf-8")
    show_gate(found)
    if not found.passes:
        raise typer.Exit(1)
