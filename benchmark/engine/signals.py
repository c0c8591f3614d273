"""Who wants the command to end, while another's compiled code is at work.

Ray's waits in C++. What a Python handler raises in there (Ctrl-C, the alarm of ``--patience``) comes out as a ``SystemError``, which looks like a
fault of the model that was waited for; so signals are noted meanwhile, and answered when Ray has returned.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from benchmark.records import Interrupted

NOTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
"""in the order in which they are answered"""


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that come in here are answered at the end. Only Python's own handlers, and only the main thread, have them answered at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: dict[int, FrameType | None] = {}
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}
    for number in NOTED:
        handler = signal.getsignal(number)
        if callable(handler):
            before[number] = handler
            signal.signal(number, came.__setitem__)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        for number in NOTED:
            if number in came:
                before[number](number, came[number])


@contextmanager
def ended_in_order() -> Iterator[None]:
    """A scheduler's word (SIGTERM) ends what is done in here in order, as that of a command does: Ray's own answer to it is a crash."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None):
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
