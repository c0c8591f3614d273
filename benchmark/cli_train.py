"""The command that trains: `train`. It parses and prints, and computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from benchmark.cli_options import DatasetName, Device, Seed, Settings, command_line, options_of
from benchmark.records import UserError

trainer = typer.Typer()
"""``cli`` takes its command in at the top level"""


class TrainCommand(TyperCommand):  # contexts are typer's own or click's, by its version
    """Its help knows the settings of the trainer that is named: ``train clala --help``."""

    def parse_args(self, context: Any, words: list[str]) -> list[str]:
        """Keep the words as typed: help is printed before they are sorted."""
        context.meta["words"] = list(words)
        return super().parse_args(context, words)

    def format_epilog(self, context: Any, formatter: Any) -> None:
        """The settings and the words of the trainer that is named, or the names that there are."""
        from benchmark import registry
        from benchmark.training import describe

        known = registry.load().entries["trainers"]
        name = next((word for word in context.meta["words"] if word in known), None)
        if name is None:
            formatter.write_paragraph()
            formatter.write_text(f"`train NAME --help` shows the settings of one of them: {', '.join(known)}.")
            return
        trainer = describe(name)
        with formatter.section(f"Settings of {name}, written --name value"):
            formatter.write_dl([(f"--{s.name.replace('_', '-')}", s.takes + (f"  [{s.default}]" if s.default else "")) for s in trainer.settings])
        formatter.write_paragraph()
        formatter.write_text("\n\n".join(f"\b\n{paragraph}" for paragraph in trainer.text.split("\n\n")))


@trainer.command(cls=TrainCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to train, see `list trainers`.")],
    dataset: DatasetName = "phantom",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for weights, log and configuration.")] = None,
    settings: Settings = None,
    seed: Seed = 42,
    device: Device = "auto",
) -> None:
    """Train a model, or a part of one, on a dataset's training split. Its own settings follow as --name value.

    python -m benchmark train clala --preset demo --dataset phantom

    python -m benchmark train clala --help
    """
    from benchmark.shows import show_trained
    from benchmark.training import train as train_named

    words = _extra_settings(context.args)
    show_trained(train_named(name, dataset, out, words, options_of(settings), seed=seed, device=device, command=command_line()))


def _extra_settings(words: list[str]) -> dict[str, str]:
    """``--epochs 3 --no-lca`` -> ``{"epochs": "3", "lca": "no"}``."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UserError(f"cannot read {word!r}; settings are written --name value")
        name, sign, value = word[2:].partition("=")
        if not sign and rest and not rest[0].startswith("--"):
            value, sign = rest.pop(0), "="
        if not sign:
            name, value = (name[3:], "no") if name.startswith("no-") else (name, "yes")
        found[name.replace("-", "_")] = value
    return found
