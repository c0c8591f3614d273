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

from benchmark.records import STOPPING, interrupt

NOTED = (*STOPPING, signal.SIGALRM)
"""in the order in which they are answered"""


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that come in here are answered at the end. Only Python's own handlers, and only the main thread, have them answered at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noting = _Noting()
    try:
        for number in NOTED:
            handler = signal.getsignal(number)
            if callable(handler):
                noting.before[number] = handler
                signal.signal(number, noting)
        yield
    finally:
        noting.is_over = True
        # What a handler raises in these lines takes the rest of them with it: a signal that did not have its turn is still handed on.
        for name, handler in noting.before.items():
            signal.signal(name, handler)
        for number in NOTED:
            if number in noting.came:
                noting.before[number](number, noting.came[number])


class _Noting:
    """Notes what comes; once that is over, hands it to whom it was for.

    To block signals while handlers are exchanged would not do: the kernel then gives them to another thread, of Ray's, and Python answers them here.
    """

    def __init__(self) -> None:
        self.before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        """signal -> its own handler"""
        self.came: dict[int, FrameType | None] = {}
        self.is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.is_over:
            self.before[number](number, frame)
        else:
            self.came[number] = frame


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """For a process that is started in here Ctrl-C waits until that lets it in. Here it is answered at the end, or, with other threads, at once."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # raises what came a moment ago, and blocks all the same
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """A scheduler's word (SIGTERM) ends what is done in here in order, as that of a command does: Ray's own answer to it is a crash."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None):
        yield
        return
    try:
        signal.signal(signal.SIGTERM, interrupt)
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
