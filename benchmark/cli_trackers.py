"""The command for experiment trackers: `log`. It parses and prints, and computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

trackers = typer.Typer()
"""``cli`` takes its command in at the top level"""


@trackers.command()
def log(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, as `run` or `score` left it.")],
    to: Annotated[Literal["mlflow", "wandb"], typer.Option(help="Which tracker: mlflow or wandb.")],
    models: Annotated[list[str] | None, typer.Option("--models", "-m", metavar="NAMES", help="Comma list of models; all if not given.")] = None,
    uri: Annotated[
        str,
        typer.Option(metavar="STORE", envvar="MLFLOW_TRACKING_URI", help="MLflow: a folder, sqlite:///FILE or http://..."),
    ] = "mlruns",
    experiment: Annotated[str, typer.Option(metavar="NAME", help="MLflow: the experiment; made if it is not there.")] = "clala-benchmark",
    project: Annotated[str, typer.Option(metavar="NAME", help="W&B: the project.")] = "clala-benchmark",
    entity: Annotated[str, typer.Option(metavar="NAME", help="W&B: the team or user; your own if not given.")] = "",
    mode: Annotated[
        Literal["offline", "online"], typer.Option(help="W&B: offline writes a folder to be sent later; online sends it now.")
    ] = "offline",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="W&B: its folder wandb is made here.")] = Path(),
    with_text: Annotated[bool, typer.Option("--with-text", help="Reports and references too; credentialed ones only to approved hosts.")] = False,
) -> None:
    """Log a run to an experiment tracker: settings, numbers with intervals, tables and figures of each model. Logged twice, it is there once.

    python -m benchmark log results/runs/demo --to mlflow

    python -m benchmark log results/runs/demo --to mlflow --uri http://127.0.0.1:5000 --experiment reports --models clala,retrieval

    python -m benchmark log results/runs/demo --to wandb --project reports

    python -m benchmark log results/runs/demo --to wandb --project reports --entity my-team --mode online
    """
    from benchmark.loaded_run import load_run
    from benchmark.registry import split_names

    loaded, chosen = load_run(run), split_names(models or [])
    if to == "mlflow":
        from benchmark.trackers import mlflow

        found = mlflow.log_run(loaded, uri, experiment, models=chosen, with_text=with_text)
    else:
        from benchmark.trackers import wandb

        found = wandb.log_run(loaded, project, out, entity=entity, mode=mode, models=chosen, with_text=with_text)
    for one in found:
        typer.echo(f"{one.model}: {'logged as' if one.is_new else 'is there already,'} {one.where}")
    if to == "wandb" and mode == "offline" and any(one.is_new for one in found):
        typer.echo("nothing was sent; wandb sync FOLDER sends one of them")
