"""Work on this machine: in this process, or in a pool of processes. The number of processes never changes a number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from benchmark.engine.blocks import Held, Placed

T = TypeVar("T")


@dataclass
class Local:
    """This machine."""

    asked: int
    """processes for metrics, 0 = one per core"""
    lost: int = 0
    """processes that ended before they had done what they were given"""

    @property
    def workers(self) -> int:
        """At most so many at a time."""
        return cores(self.asked)

    @property
    def takes_small_pieces(self) -> bool:
        """A task measures all models: what a metric makes of the references is then made once."""
        return False

    def each(
        self,
        function: Callable[..., T],
        tasks: Sequence[tuple[Any, ...]],
        *,
        is_large: bool,
        on_device: Sequence[bool],
        shared: tuple[Any, ...],
        names: Sequence[str] = (),
    ) -> Iterator[tuple[int, T]]:
        """(index of the task, its result), as they are done."""
        return each(function, tasks, workers=self.workers if is_large else 1, shared=shared, names=names, lost=self._count)

    def place(self, make: Callable[[str], Held], label: str, *, takes_device: bool, patience: float = 0.0) -> Placed | None:
        """Nowhere else: a model has the whole machine, one after another."""
        return None

    def record(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {"name": "local", "workers": self.workers, "workers_lost": self.lost}

    def _count(self, lost: int) -> None:
        self.lost += lost


def cores(workers: int) -> int:
    """How many processes to use: as asked, or one per core that this process may use."""
    return workers if workers > 0 else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(
    function: Callable[..., T],
    tasks: Sequence[tuple[Any, ...]],
    *,
    workers: int,
    shared: tuple[Any, ...] = (),
    names: Sequence[str] = (),
    lost: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, T]]:
    """(index of the task, its result), as they are done. With one worker, or one task, everything happens in this process.

    ``shared`` are further arguments, the same for all tasks: each worker is handed them once, for a hundred thousand texts take a while.
    ``names`` of the tasks, for what is said of them; ``lost`` is told at the end how many workers were.
    Raises what a task raises, and ``TaskLost``.
    """
    if min(workers, len(tasks)) <= 1:
        for index, task in enumerate(tasks):
            yield index, function(*task, *shared)
        return
    from benchmark.engine.pool import Pool

    pool = Pool(function, tasks, workers, shared, names)
    try:
        yield from pool.results()
    finally:
        if lost is not None:
            lost(pool.lost)
