"""What there is here: `list`, `doctor`, `answers`. They parse and print, and compute nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.records import UserError
from benchmark.screen import say

here = typer.Typer()
"""``cli`` takes its commands in at the top level"""


@here.command(name="list")
def list_things(
    kind: Annotated[str | None, typer.Argument(help="models, metrics, datasets, labellers, annotators or trainers; all if not given.")] = None,
) -> None:
    """List the models, metrics, datasets, labellers and annotators that are there, and what can be trained.

    python -m benchmark list

    python -m benchmark list metrics
    """
    from benchmark import registry

    known = registry.load()
    if kind is not None and kind not in registry.KINDS:
        raise UserError(f"there is no list of {kind!r}; there is: {', '.join(registry.KINDS)}")
    kinds = [kind] if kind else registry.KINDS
    width = max((len(name) for each in kinds for name in known.entries[each]), default=0)
    for each in kinds:
        say(f"{each}:")
        for entry in known.entries[each].values():
            foreign = "" if entry.plugin in registry.OURS else f"  [plugin {entry.plugin}]"
            trainable = "" if entry.trainer is None else f"; train {entry.name}"
            say(f"  {entry.name:<{width}}  {entry.summary}{trainable}{foreign}")
    for plugin, why in known.broken.items():
        say(f"plugin {plugin!r} could not be loaded: {why}", err=True)


@here.command()
def doctor() -> None:
    """Say what is installed, which weights and data are there, what is missing and how to get it.

    python -m benchmark doctor
    """
    from benchmark.doctor import examine
    from benchmark.shows import show_findings

    show_findings(examine())


@here.command()
def answers(
    forget: Annotated[bool, typer.Option("--forget", help="Throw away what the other options name; all of it if they name nothing.")] = False,
    task: Annotated[str, typer.Option(help="Of this task alone: label, judge, green, aggregate.")] = "",
    model: Annotated[str, typer.Option(help="Of this model alone, as it was named when it was asked.")] = "",
    before: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="From before this day alone.")] = "",
) -> None:
    """Say which answers of language models are kept, how large they are and what they cost; a kept answer is never paid for again.

    python -m benchmark answers

    python -m benchmark answers --forget --task judge --before 2026-01-01
    """
    from benchmark.llm.cache import AnswerCache, default_file
    from benchmark.shows import show_answers

    cache = AnswerCache(default_file())
    if forget:
        gone = cache.forget(task=task or None, model=model or None, before=_day(before) if before else None)
        say(f"{gone:,} answers thrown away")
    show_answers([size for size in cache.sizes() if (not task or size.task == task) and (not model or size.model == model)], default_file())


def _day(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UserError(f"--before {text!r} is no day; write it as 2026-01-31") from None
