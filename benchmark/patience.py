"""How long a model may think: an alarm that ends the waiting, for a model in this process that hangs.

A program that is spoken to in lines can be killed and started again, and ``command`` does; what runs in this very process can only be interrupted.
The alarm of the operating system does that for Python code and for whatever waits (a lock, a queue, a socket, a sleep); a computation within a
library is interrupted when it returns to Python. There is no limit unless one is given: a model that first describes a hundred thousand training
images, or whose questions were handed in as a batch of a day, gives no report for hours and is well.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.records import UserError

AGAIN_SECONDS = 1.0  # after an alarm that the model's own code has swallowed (a bare except around what hung)


class NoAnswer(BaseException):
    """It took too long. No ``Exception``: a model that tries again whatever fails would try for ever."""


def silence(seconds: float) -> str:
    """What is said of a model that took too long."""
    return f"gave no report for {seconds:g} s, and --patience is no longer"


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise ``NoAnswer`` in here after so many seconds; 0 = never. Raises ``UserError`` where no alarm can be set."""
    if not seconds:
        yield
        return
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        raise UserError(
            f"a model was to be stopped after {seconds:g} s, but only the first thread of a process can be, on Linux and macOS; give no limit"
        )
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(number: int, frame: object) -> None:
    raise NoAnswer
