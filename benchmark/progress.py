"""Progress bars with a rate and the time left, on stderr.

On a terminal a live bar; elsewhere (a CI log, a file) one plain line when a long task starts and one when it ends, so that logs stay readable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmark.screen import say, screen


@contextmanager
def progress(label: str, total: int | None, *, done: int = 0, unit: str = "cases") -> Iterator[Callable[[int], None]]:
    """A function to call with the number of things just finished.

        with progress("generate clala", len(cases)) as advance:
            for report in reports:
                advance(1)

    ``done`` of ``total`` were finished before (a resumed run); they do not enter the rate. None where nobody knows how many there will be.
    """
    if sys.stderr.isatty():
        yield from _live(label, total, done, unit)
    else:
        yield from _plain(label, total, done, unit)


def _live(label: str, total: int | None, done: int, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=done, rate="")
        start, fresh = time.monotonic(), 0

        def advance(count: int = 1) -> None:
            nonlocal fresh
            fresh += count
            bar.update(task, advance=count, rate=_rate(fresh, time.monotonic() - start, unit))

        yield advance


def _plain(label: str, total: int | None, done: int, unit: str) -> Iterator[Callable[[int], None]]:
    start, fresh = time.monotonic(), 0
    resumed = f", {done} done before" if done else ""
    say(f"{label}: {unit if total is None else f'{total} {unit}'}{resumed}", err=True)

    def advance(count: int = 1) -> None:
        nonlocal fresh
        fresh += count

    yield advance
    seconds = time.monotonic() - start
    of = "" if total is None else f"/{total}"
    say(f"{label}: {done + fresh}{of} {unit} in {seconds:.1f} s, {_rate(fresh, seconds, unit)}", err=True)


def _rate(count: int, seconds: float, unit: str) -> str:
    if seconds <= 0 or not count:
        return ""
    rate = count / seconds
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"
