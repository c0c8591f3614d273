"""One task in a process that is not the command's: what it gave, or what it raised, in a form that can travel back.

An exception travels as itself where it can: one whose class does not come out of pickle again, or that would end a program, travels as its words.
Sent as it is, such a one breaks the standard library's pools, and makes Ray take a worker for lost that is well.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmark.records import UserError

T = TypeVar("T")

TASK_LOSSES = 3  # of one task's workers, after which it is not tried again


class TaskLost(UserError):
    """Every worker that was given a task ended before it had done it."""


class RaisedInATask(Exception):
    """What a task raised, in words."""


class TraceOfWorker(Exception):
    """The traceback of another process, as the cause of what was raised there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Gave:
    """A task's result."""

    result: Any


@dataclass(frozen=True)
class Threw:
    """What a task raised."""

    error: Exception
    trace: str

    def with_cause(self) -> Exception:
        """The exception, to be raised here."""
        self.error.__cause__ = TraceOfWorker(self.trace)
        return self.error


@dataclass(frozen=True)
class Lacked:
    """A task found no memory. It is as good as lost: where memory is not limited, the kernel ends the process instead."""

    why: str
    """in words"""
    trace: str


def carried_out(function: Callable[..., Any], task: tuple[Any, ...], shared: tuple[Any, ...]) -> Gave | Threw | Lacked:
    """What became of one task."""
    try:
        return Gave(function(*task, *shared))
    # SystemExit among them: a library that gives up must not end a worker, which would then be thought lost, and its task done again.
    except BaseException as error:
        return threw(error)


def threw(error: BaseException) -> Threw | Lacked:
    """An exception that is being handled, as it can travel."""
    trace = traceback.format_exc()
    if isinstance(error, MemoryError):
        return Lacked(f"lack of memory ({error})" if str(error) else "lack of memory", trace)
    if isinstance(error, Exception):
        try:
            if type(pickle.loads(pickle.dumps(error))) is type(error):
                return Threw(error, trace)
        except Exception:  # its own way to be pickled may raise anything
            pass
    return Threw(RaisedInATask(f"{type(error).__name__}: {error}"), trace)
