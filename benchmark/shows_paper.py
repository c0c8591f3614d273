"""What a person reads in the terminal of `reproduce`: what would be done, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape

from benchmark.shows import console

if TYPE_CHECKING:
    from benchmark.experiments.reproduce import Outline, Reproduced

KINDS = {
    "detector": "region detector",
    "classifier": "lesion classifiers",
    "stage1": "trainings of stage 1",
    "stage2": "trainings of stage 2",
    "generate": "sets of reports",
}


def show_outline(asked: Outline, *, is_all: bool = False) -> None:
    """What would be done, in what order of size; with ``is_all`` every command."""
    out = console()
    plan, done = asked.plan, asked.done
    names = ", ".join(experiment.number for experiment in plan.experiments)
    out.print(f"[bold]{escape(names)}[/]: profile {asked.definitions.profile.name}, {escape(asked.definitions.profile.about)}")
    counts, ready = Counter(step.kind for step in plan.steps), Counter(step.kind for step in plan.steps if step.name in done)
    minutes = Counter[str]()
    for step in plan.steps:
        minutes[step.kind] += 0 if step.name in done else step.minutes  # type: ignore[assignment]  # a Counter adds up floats just as well
    for kind, word in KINDS.items():
        if counts[kind]:
            before = f", {ready[kind]} of them done" if ready[kind] else ""
            out.print(f"  {counts[kind]:>4} {word}{before}, about {minutes[kind]:,.0f} min of one core")
    out.print(f"  {asked.jobs} at a time: about {_duration(asked.minutes)} left, in {escape(str(asked.folder))}; stopped, the same command goes on")
    if is_all:
        for step in plan.steps:
            out.print(f"{'done  ' if step.name in done else '      '}{escape(step.command)}", soft_wrap=True)


def show_reproduced(done: Reproduced) -> None:
    """What came of it: the claims one by one, what failed, where everything lies."""
    out = console()
    summary = done.folder / "claims.txt"
    if summary.exists():
        out.print(escape(summary.read_text(encoding="utf-8").rstrip()))
    for name, why in done.left_out.items():
        out.print(f"[yellow]no {escape(name)}[/]: {escape(why)}")
    for name, why in done.failed.items():
        out.print(f"[red]{escape(name)}[/]: {escape(why)}")
    out.print(f"{_duration(done.minutes)}; tables and figures: {escape(str(done.folder))}, begin with README.md", highlight=False)


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} days"
