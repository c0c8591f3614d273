"""A pool of processes on this machine that outlives the loss of any of them.

Why not the standard library's: it breaks as a whole when one process is killed; it waits for ever for one that dies while it is handed what all
share, or while it hands back what it has found; and it does not end before what still runs is done, though the command is to stop.
Here each process has a pipe of its own, which ends with it, and nothing else in common with the others.

A task whose process was lost is done again. Lack of memory is the usual reason: from a task's second loss on one process works at a time, and the
others' memory is free for it. What was done before is handed on in any case.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmark.engine.signals import ctrl_c_waits
from benchmark.engine.tasks import TASK_LOSSES, Gave, Lacked, TaskLost, Threw, TraceOfWorker, carried_out, threw
from benchmark.records import UserError
from benchmark.screen import say

ALONE_FROM = 2  # losses of one task
STARTS_IN_A_ROW = 3  # that come to nothing
LOOK_SECONDS = 1.0  # for a process that ended while something that it started keeps its pipe open
LOOK_FOR_PARENT_SECONDS = 0.5
END_SECONDS = 5.0  # for a process that has nothing more to do


class NoFile(UserError):
    """The program that wants processes is in no file in which they could find it."""


class Pool:
    """Carries tasks out, each in one of several processes."""

    def __init__(
        self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int, shared: tuple[Any, ...], names: Sequence[str] = ()
    ) -> None:
        """``names`` of the tasks, for what is said of them; without them they are numbered. Raises ``NoFile``."""
        _check_is_in_a_file(workers)
        self._function, self._tasks, self._shared = function, tasks, shared
        self._names = names or [f"task {index + 1} of {len(tasks)}" for index in range(len(tasks))]
        self._most = min(workers, len(tasks))
        self._waiting = deque(range(len(tasks)))
        self._losses = Counter[int]()
        self._crew: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._fruitless_starts = 0
        self._failed: Exception | None = None
        self.lost = 0
        """processes"""

    def results(self) -> Iterator[tuple[int, Any]]:
        """(index of the task, its result), as they are done.

        Raises what a task raises, and ``TaskLost``, when what else was begun is done and handed on.
        """
        is_over = False
        try:
            while self._waiting or any(worker.task is not None for worker in self._crew):
                self._send_for()
                self._give_out()
                done = list(self._heard())
                self._give_out()  # before the caller looks at what there is
                yield from done
            if self._failed is not None:
                raise self._failed
            is_over = True
        finally:
            for worker in self._crew:
                worker.leave()  # all of them first: they end side by side too
            for worker in (*self._leaving, *self._crew):
                worker.end(at_once=not is_over)

    def _send_for(self) -> None:
        """As many processes as there is work for; they start side by side."""
        for gone in [worker for worker in self._leaving if worker.is_to_be_gone]:
            self._leaving.remove(gone)
            gone.end(at_once=True)
        busy = sum(worker.task is not None for worker in self._crew)
        wanted = min(self._most, busy + len(self._waiting))
        while len(self._crew) > wanted and (idle := next((worker for worker in self._crew if worker.task is None), None)):
            self._crew.remove(idle)
            idle.leave()
            self._leaving.append(idle)
        for _ in range(wanted - len(self._crew)):
            try:
                resource_tracker.ensure_running()  # in here it would be started by the first worker's start, and let Ctrl-C through again
                with ctrl_c_waits():
                    self._crew.append(_Worker())
            except OSError as error:  # no memory for another process, or too many of them
                self._start_failed(f"could not be started: {error.strerror or error}")
                return

    def _give_out(self) -> None:
        """To each process that is ready and idle the first task that waits."""
        for worker in self._crew:
            if self._waiting and worker.is_ready and worker.task is None and len(self._crew) + len(self._leaving) <= self._most:
                worker.give(self._waiting.popleft(), self._function, self._tasks)

    def _heard(self) -> Iterator[tuple[int, Any]]:
        """What is done, once something has happened."""
        ends = [worker.process.sentinel for worker in self._leaving]
        # Nobody is there where none could be started: then a while goes by before the next try.
        heard = set(wait([*(worker.pipe for worker in self._crew), *ends], LOOK_SECONDS)) if self._crew or self._waiting else set()
        for worker in list(self._crew):
            if worker.pipe not in heard and worker.process.exitcode is None:
                continue
            try:
                answer = pickle.loads(worker.pipe.recv_bytes()) if worker.pipe.poll() else None
            except (EOFError, OSError):
                answer = None
            match answer:
                case None:
                    self._lose(worker)
                case Gave(result) if worker.task is not None:
                    yield worker.task, result
                    worker.task = None
                case Gave() if worker.is_here:  # it has what all share
                    worker.is_ready, self._fruitless_starts = True, 0
                case Gave():
                    worker.is_here = True
                    worker.hand_over(self._shared)
                case Lacked():
                    self._lose(worker, answer)
                case Threw():
                    worker.task = None
                    self._stop(answer.with_cause())

    def _lose(self, worker: _Worker, lacked: Lacked | None = None) -> None:
        """A process that has ended, or does so here because it ``lacked`` memory: another one is to have it."""
        self._crew.remove(worker)
        worker.end(at_once=True)
        self.lost += 1
        why = lacked.why if lacked else _ended(worker.process.exitcode)
        if worker.task is None:
            if not worker.is_ready:
                self._start_failed(f"was lost to {why}")
            return
        if self._failed is not None:  # nothing more is begun, so it is not done again either
            return
        index, name = worker.task, self._names[worker.task]
        self._losses[index] += 1
        if self._losses[index] > TASK_LOSSES:
            message = (
                f"{name}: {self._losses[index]} processes were given it, the last ones with no other beside them, and all were lost, the last to "
                f"{why}; what was done is kept; run the same command again with more memory, or without this"
            )
            error = TaskLost(message)
            error.__cause__ = TraceOfWorker(lacked.trace) if lacked else None
            self._stop(error)
            return
        alone = ", with no other process beside it" if self._losses[index] >= ALONE_FROM and self._most > 1 else ""
        say(f"{name}: its process was lost to {why}; it is done again{alone}", err=True)
        if self._losses[index] >= ALONE_FROM:
            self._most = 1
        self._waiting.appendleft(index)

    def _start_failed(self, how: str) -> None:
        """A process came to nothing. Those that are there go on."""
        self._fruitless_starts += 1
        if self._fruitless_starts < STARTS_IN_A_ROW:
            return
        if self._crew:
            self._most = len(self._crew)
            return
        script = "; a script that calls this must do so under `if __name__ == '__main__':`" if how.startswith("was lost") else ""
        message = (
            f"{self._fruitless_starts} processes in a row came to nothing before they began to work; the last {how}; run the same command again with "
            f"fewer --workers (1 needs none beside the command's own) or with more memory{script}"
        )
        self._stop(TaskLost(message))

    def _stop(self, error: Exception) -> None:
        """Begin nothing more. What runs is nearly done, and would be lost."""
        self._failed = self._failed or error
        self._waiting.clear()


class _Worker:
    """A process: a fresh interpreter (spawn), for a fork would copy the threads' locks of torch and numba in whatever state they are."""

    def __init__(self) -> None:
        """Raises ``OSError`` if there can be none."""
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        try:
            # Little enough to be written whether or not somebody reads: what all share follows when it says that it does.
            self.process = context.Process(target=_work, args=(there, os.getpid()))
            self.process.start()
        finally:
            there.close()  # else the pipe would not end with the process
        self.task: int | None = None
        """the index of what it works at"""
        self.is_here = False
        """True once it reads: whoever wrote to one that is long in coming, or held, would be deaf meanwhile"""
        self.is_ready = False
        """True once it has what all tasks share"""
        self._leaves_until = 0.0

    def hand_over(self, shared: tuple[Any, ...]) -> None:
        """What all tasks share, written as it is pickled: a copy of a hundred thousand texts at a time is enough."""
        with suppress(BrokenPipeError, ConnectionResetError), os.fdopen(os.dup(self.pipe.fileno()), "wb") as file:
            pickle.dump(shared, file, pickle.HIGHEST_PROTOCOL)

    def give(self, index: int, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> None:
        """A task; if it is lost meanwhile, its pipe says so next."""
        self.task = index
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(pickle.dumps((function, tasks[index]), pickle.HIGHEST_PROTOCOL))

    def leave(self) -> None:
        """Let it go: it ends by itself when its pipe does, unless it works."""
        self.pipe.close()
        self._leaves_until = time.monotonic() + END_SECONDS

    @property
    def is_to_be_gone(self) -> bool:
        """True of one that was let go and has ended, or has had the time to."""
        return self.process.exitcode is not None or time.monotonic() > self._leaves_until

    def end(self, *, at_once: bool) -> None:
        """See that it is gone, after the time that it may take to leave or ``at_once``."""
        self.pipe.close()
        if not at_once:
            self.process.join(max(0.0, self._leaves_until - time.monotonic()))
        self.process.kill()
        self.process.join()


def _work(pipe: Connection, parent: int) -> None:
    """In a process of the pool: what is asked, until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the command's own ends the others
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # it was to wait until here
    end_with(parent)
    _answer(pipe, Gave(None))  # it is here
    with os.fdopen(os.dup(pipe.fileno()), "rb") as file:
        handed = carried_out(pickle.load, (file,), ())
    if not isinstance(handed, Gave):
        _answer(pipe, handed)
        return
    _answer(pipe, Gave(None))
    while True:
        try:
            asked = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        _answer(pipe, carried_out(_unpacked, (asked,), handed.result))


def _unpacked(asked: bytes, *shared: Any) -> Any:
    function, task = pickle.loads(asked)
    return function(*task, *shared)


def _answer(pipe: Connection, answer: Gave | Threw | Lacked) -> None:
    try:
        packed = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # a result that cannot travel
        packed = pickle.dumps(threw(error))
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.send_bytes(packed)


def end_with(parent: int) -> None:
    """From now on end this process with the command: were it killed, a worker would wait for work, or go on with a long task, for nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_FOR_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ended(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None or status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    return f"signal {-status}, {name}{', as where memory runs out' if -status == signal.SIGKILL else ''}"


def _check_is_in_a_file(workers: int) -> None:
    """Raise ``NoFile`` where the standard library would tell each process to run a program from a file that there is not."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and file is not None and not Path(file).exists():
        raise NoFile(
            f"{workers} processes were asked for, but the program that asks is read from {Path(file).name}, where they cannot find it; save it as a "
            "file and run that, or ask for one (workers=1)"
        )
