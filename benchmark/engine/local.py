"""Work on this machine: in this process, or in a pool of processes. The number of processes never changes a number."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from benchmark.engine.blocks import Held, Placed

T = TypeVar("T")
LOOK_FOR_PARENT_SECONDS = 0.5


@dataclass(frozen=True)
class Local:
    """This machine."""

    asked: int
    """processes for metrics, 0 = one per core"""

    @property
    def workers(self) -> int:
        """At most so many at a time."""
        return cores(self.asked)

    @property
    def takes_small_pieces(self) -> bool:
        """A task measures all models: what a metric makes of the references is then made once."""
        return False

    def each(
        self, function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], *, is_large: bool, on_device: Sequence[bool], shared: tuple[Any, ...]
    ) -> Iterator[tuple[int, T]]:
        """(index of the task, its result), as they are done."""
        return each(function, tasks, workers=self.workers if is_large else 1, shared=shared)

    def place(self, make: Callable[[str], Held], label: str, *, takes_device: bool) -> Placed | None:
        """Nowhere else: a model has the whole machine, one after another."""
        return None

    def record(self) -> dict[str, Any]:
        """For ``run.json``."""
        return {"name": "local", "workers": self.workers}


def cores(workers: int) -> int:
    """How many processes to use: as asked, or one per core that this process may use."""
    return workers if workers > 0 else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], *, workers: int, shared: tuple[Any, ...] = ()) -> Iterator[tuple[int, T]]:
    """(index of the task, its result), as they are done. With one worker, or one task, everything happens in this process.

    ``shared`` are further arguments, the same for all tasks: each worker is handed them once, for a hundred thousand texts take a while.
    A fresh interpreter per worker (spawn): a fork would copy the threads' locks of torch and numba in whatever state they are.
    """
    if min(workers, len(tasks)) <= 1:
        for index, task in enumerate(tasks):
            yield index, function(*task, *shared)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_hold, initargs=(os.getpid(), *shared)) as pool:
        futures = {pool.submit(_with_what_is_held, function, task): index for index, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_held: tuple[Any, ...] = ()


def _hold(parent: int, *shared: Any) -> None:
    """In a worker, when it starts. One whose parent was killed would wait for work for ever, with all that it holds."""
    global _held
    _held = shared
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_FOR_PARENT_SECONDS)
    os._exit(1)


def _with_what_is_held(function: Callable[..., T], task: tuple[Any, ...]) -> T:
    return function(*task, *_held)
