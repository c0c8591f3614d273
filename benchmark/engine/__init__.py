"""Where the work runs: in this process with a pool of others beside it, or on a cluster of Ray's. It never changes a number.

    local   models write in this process, a batch at a time; metrics are measured in a pool of processes
    ray     each model lives in several workers, which share its cases in contiguous blocks; metrics are measured in tasks, one per metric and model

On both, what asks language models stays in this process: one client, one budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from benchmark.engine.blocks import Held, Placed
from benchmark.engine.local import Local, cores, each
from benchmark.records import UserError

__all__ = ["Engine", "Held", "Local", "Placed", "Placement", "cores", "each", "opened_engine"]

T = TypeVar("T")

SMALLEST_SHARE = 0.0001  # of a GPU: Ray's own limit


@dataclass(frozen=True)
class Placement:
    """Where a command's work shall run. No part of a run's identity: another engine goes on where this one stopped."""

    engine: Literal["local", "ray"] = "local"
    address: str = ""
    """of a cluster that runs, ``host:port`` or ``auto``; empty = Ray starts one on this machine, which goes with the command"""
    gpus_per_model: float | None = None
    """of each worker that holds a model, a share of one or several; None = one where the device asks for it or the cluster has any"""
    device: str = "auto"
    """as of the run"""

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray"):
            raise UserError(f"no engine named {self.engine!r}; there is: local, ray")
        if self.engine == "local" and (self.address or self.gpus_per_model is not None):
            asked = f"--ray-address {self.address}" if self.address else f"--gpus-per-model {self.gpus_per_model:g}"
            raise UserError(f"{asked} is for Ray, but the engine is local; add --engine ray, or leave it away")
        if self.gpus_per_model is not None and not _is_share(self.gpus_per_model):
            raise UserError(
                f"--gpus-per-model {self.gpus_per_model:g}: a worker has a share of one GPU (0.5), a whole number of them (2), or none (0)"
            )
        if self.engine == "ray" and self.device.startswith("cuda:"):
            raise UserError(f"--device {self.device} names one GPU, but Ray hands them out; write --device cuda")


def _is_share(gpus: float) -> bool:
    """True for what Ray can hand out: ten thousandths of one, or whole ones."""
    return gpus == 0 or SMALLEST_SHARE <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())


class Engine(Protocol):
    """What runs work."""

    @property
    def workers(self) -> int:
        """At most so many at a time."""

    @property
    def takes_small_pieces(self) -> bool:
        """True if work is better handed over in many small tasks than in a few large ones."""

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
        """(index of the task, its result), as they are done; ``shared`` are further arguments of all.

        ``is_large``: worth processes of its own. ``on_device``: of each task, whether it makes use of a GPU where there is one. ``names``: of each,
        for what is said of it. What a lost worker was given is done again, a few times; then ``TaskLost`` is raised. It is, as what a task raises,
        when what else was begun is done and handed on.
        """

    def place(self, make: Callable[[str], Held], label: str, *, takes_device: bool, patience: float = 0.0) -> Placed | None:
        """The model that ``make`` makes for a device, somewhere else; None if models live in this process.

        There one that gives no report for ``patience`` seconds, and does not notice that itself, is stopped; 0 = never. The time until another worker
        is ready is not the model's.
        """

    def record(self) -> dict[str, Any]:
        """For ``run.json``: which engine, how many workers, what was lost and done again."""


@contextmanager
def opened_engine(placement: Placement, workers: int) -> Iterator[Engine]:
    """The engine, ready; ``workers`` at most, 0 = as many as there is room for. Raises ``UserError`` if it cannot be had."""
    if placement.engine == "local":
        yield Local(workers)
        return
    from benchmark.engine.ray import connected

    with connected(placement, workers) as cluster:
        yield cluster
