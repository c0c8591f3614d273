"""What a person reads in the terminal of `reproduce`: what would be done, and what came of it."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.markup import escape

from benchmark.shows import console
from benchmark.tables.table import Note, Table

if TYPE_CHECKING:
    from benchmark.experiments.reproduce import Outline, Reproduced

KINDS = {
    "detector": ("region detector", "region detectors"),
    "classifier": ("lesion classifier", "lesion classifiers"),
    "stage1": ("training of stage 1", "trainings of stage 1"),
    "stage2": ("training of stage 2", "trainings of stage 2"),
    "generate": ("set of reports", "sets of reports"),
}
"""kind of step -> one of it, several of it"""
GUESSED = "paper"
"""the profile whose times nobody has taken"""
BESIDE_WORDS = 34
"""characters that the claims' table has beside the words of the claim and of the difference"""
IN_FILE_ONLY = ("Of", "Compared here")
"""columns of that table for which a window has no room"""


def show_outline(asked: Outline, *, is_all: bool = False) -> None:
    """What would be done, in what order of size; with ``is_all`` every command."""
    out = console()
    plan, done, profile = asked.plan, asked.done, asked.definitions.profile
    names = ", ".join(experiment.number for experiment in plan.experiments)
    out.print(f"[bold]{escape(names)}[/]: profile {profile.name}, {escape(profile.about)}")
    on = "a GPU" if asked.on_gpu else "one core"
    for kind, words in KINDS.items():
        steps = [step for step in plan.steps if step.kind == kind]
        if not steps:
            continue
        ready = sum(step.name in done for step in steps)
        before = f", {ready} of them done" if 0 < ready < len(steps) else ", done" if ready else ""
        left = sum(step.minutes for step in steps if step.name not in done)
        time = f", {_about(left)} of {on}" if left else ""
        out.print(f"  {len(steps):>4} {words[len(steps) > 1]}{before}{time}")
    out.print(f"       measuring and drawing, {_about(plan.measure_minutes)}")
    guess = " (a guess: nobody has timed this profile)" if profile.name == GUESSED else ""
    together = f"{asked.jobs} {'step' if asked.jobs == 1 else 'steps'} at a time"
    out.print(f"  {together}: {_about(asked.minutes)} left{guess}, in {escape(str(asked.folder))}; stopped, the same command goes on")
    if is_all:
        for step in plan.steps:
            out.print(f"{'done  ' if step.name in done else '      '}{escape(step.command)}", soft_wrap=True)


def show_reproduced(done: Reproduced) -> None:
    """What came of it: the claims one by one, what failed, where everything lies."""
    from benchmark.tables.terminal import show

    out = console()
    if done.aggregates.claims is not None:
        show(_in_short(done.aggregates.claims, out.width, done.numbers.note), out)
    out.print()
    for name, why in done.aggregates.left_out.items():
        out.print(f"[yellow]no {escape(name)}[/]: {escape(why)}")
    for name, why in done.failed.items():
        out.print(f"[red]{escape(name)}[/]: {escape(why)}")
    copied = f", copied to {escape(str(done.published))}" if done.published else ""
    out.print(f"{_duration(done.minutes)}; tables and figures: {escape(str(done.folder))}{copied}; begin with README.md", highlight=False)


def _in_short(claims: Table, width: int, note: str) -> Table:
    """The table of claims in as few words as will do, within a window; the whole of it is in claims.md."""
    (block,), room = claims.blocks, max(24, (width - BESIDE_WORDS) // 2)
    kept = [place for place, column in enumerate(block.columns) if column.title not in IN_FILE_ONLY]
    lines = []
    for line in block.lines:
        cells = [line.cells[place - 1] for place in kept[1:]]
        folded = tuple(textwrap.fill(cell, room) if isinstance(cell, str) else cell for cell in cells)
        lines.append(replace(line, label=textwrap.fill(line.label, room), cells=folded))
    notes = (*claims.notes[:1], *([Note(note)] if note else []))
    return replace(claims, blocks=(replace(block, columns=tuple(block.columns[place] for place in kept), lines=tuple(lines)),), notes=notes)


def _about(minutes: float) -> str:
    return "less than a minute" if minutes < 1 else f"about {_duration(minutes)}"


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} days"
