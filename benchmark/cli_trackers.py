"""The command for experiment trackers: `log`. It parses and prints, and computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.screen import say

trackers = typer.Typer()
"""``cli`` takes its command in at the top level"""


@trackers.command()
def log(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, as `run` or `score` left it.")],
    to: Annotated[Literal["mlflow", "wandb"], typer.Option(help="Which tracker: mlflow or wandb.")],
    models: Annotated[list[str] | None, typer.Option("--models", "-m", metavar="NAMES", help="Comma list of models; all if not given.")] = None,
    uri: Annotated[
        str, typer.Option(metavar="STORE", help="MLflow: a folder, sqlite:///FILE or http://...; MLFLOW_TRACKING_URI is not asked.")
    ] = "mlruns",
    experiment: Annotated[str, typer.Option(metavar="NAME", help="MLflow: the experiment; made if it is not there.")] = "clala-benchmark",
    project: Annotated[str, typer.Option(metavar="NAME", help="W&B: the project.")] = "clala-benchmark",
    entity: Annotated[str, typer.Option(metavar="NAME", help="W&B: the team or user; your own if not given.")] = "",
    mode: Annotated[
        Literal["offline", "online"], typer.Option(help="W&B: offline writes a folder to be sent later; online sends it now.")
    ] = "offline",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="W&B: its folder wandb is made here.")] = Path(),
    with_text: Annotated[bool, typer.Option("--with-text", help="Reports and references too.")] = False,
) -> None:
    """Log a run to an experiment tracker: settings, numbers with intervals, tables and figures of each model. Logged twice, it is there once.

    Without --uri http://... or --mode online all of it stays on this machine. A run on credentialed data goes to approved hosts alone.

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
        say(f"{one.model}: {'logged as' if one.is_new else 'is there already,'} {one.where}")
    if left_out := sorted({name for one in found for name in one.left_out}):
        say(
            f"left out: {', '.join(left_out)}, which hold a place on this machine or a command line; give models and metrics a name of their own to "
            "have them logged: --models ours=command:..."
        )
    if to == "wandb" and mode == "offline" and any(one.is_new for one in found):
        is_private = loaded.record["dataset"].get("is_private", True)
        say(f"nothing was sent; wandb sync FOLDER sends one of them{', which your data use agreement may forbid' if is_private else ''}")
