"""How long each part of a run took: what ``run.json`` says under ``stages``, so that whoever waits for a run knows what for.

CPU seconds are of this process with all its threads, and of processes that ended within the part; of metrics that were measured in other processes,
what those said they took. The clock on the wall may be set while a run is at work, so it only says when the run began: how long anything took is told
by one that cannot go back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stage:
    """One part of a run; what is done in several goes is added up."""

    began: float
    """seconds since the run began"""
    ended: float
    """of the last go, likewise"""
    seconds: float
    """that a clock on the wall showed; parts that ran beside each other add up to more than the run took"""
    cpu_seconds: float
    """that processors worked"""


@dataclass
class Stages:
    """The parts of one run, in the order in which they began."""

    started: float = field(default_factory=time.time)
    """seconds since 1970"""
    clock: float = field(default_factory=time.monotonic)
    """the same moment by a clock that cannot go back"""
    found: dict[str, Stage] = field(default_factory=dict)
    """name -> how long"""
    _is_open: bool = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within. A stage within a stage counts to the outer one, which is what a reader waits for."""
        if self._is_open:
            yield
            return
        self._is_open = True
        start, cpu = self.elapsed(), processor_seconds()
        try:
            yield
        finally:
            self._is_open = False
            self._count_in(name, start, self.elapsed() - start, processor_seconds() - cpu)

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.clock

    def add(self, name: str, began: float, seconds: float, cpu_seconds: float) -> None:
        """Count in what was timed elsewhere; ``began`` in seconds since 1970, by a clock that may be another machine's."""
        self._count_in(name, min(max(0.0, began - self.started), max(0.0, self.elapsed() - seconds)), seconds, cpu_seconds)

    def _count_in(self, name: str, start: float, seconds: float, cpu_seconds: float) -> None:
        stage = self.found.setdefault(name, Stage(start, start, 0.0, 0.0))
        stage.ended = max(stage.ended, start + seconds)
        stage.seconds += seconds
        stage.cpu_seconds += cpu_seconds

    def record(self) -> dict[str, dict[str, float]]:
        """For ``run.json``: hundredths of a second."""
        return {name: {key: round(value, 2) for key, value in vars(stage).items()} for name, stage in self.found.items()}


def processor_seconds() -> float:
    """That this process has worked, and those that it started and that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system
