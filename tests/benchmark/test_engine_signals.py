"""Whoever wants the command to end is answered when the compiled code of others has returned, and not in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from benchmark.engine.signals import ctrl_c_waits, ended_in_order, held_back
from benchmark.patience import NoAnswer, at_most


class Stopped(BaseException):
    """By Ctrl-C."""


def stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


@pytest.fixture
def stoppable() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, stop)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("stoppable")
def test_a_signal_waits_for_the_end_and_its_handler_is_back() -> None:
    done = []

    def work() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    with pytest.raises(Stopped):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is stop


@pytest.fixture
def stoppable_by_both(stoppable: None) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stoppable_by_both")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_wherever_a_handler_raises_while_handlers_are_exchanged_no_signal_goes_unanswered_afterwards(number: signal.Signals) -> None:
    """Before each instruction of it in turn, until there are no more."""
    steps, in_the_middle = 0, 0
    while True:
        come = iter(range(steps, -1, -1))

        def trace(frame: FrameType, event: str, argument: object, come: Iterator[int] = come) -> Callable[..., Any]:
            frame.f_trace_opcodes = frame.f_code.co_filename.endswith("signals.py")
            if event == "opcode" and next(come, None) == 0:
                signal.raise_signal(number)
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            with held_back():
                pass
        except Stopped:
            in_the_middle += 1
        finally:
            sys.settrace(before)
        for other in (signal.SIGINT, signal.SIGTERM):
            with pytest.raises(Stopped):
                signal.raise_signal(other)
            signal.signal(other, stop)  # one that was interrupted may have left another in its place, that hands on
        if next(come, None) is not None:
            break
        steps += 1
    assert steps > 50
    assert in_the_middle > 50


@pytest.mark.usefixtures("stoppable")
def test_ctrl_c_waits_for_a_process_to_be_started_and_for_it_to_let_it_in() -> None:
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    done = []

    def work() -> None:
        with ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)  # to this thread: one of a library's would have it answered at once
            done.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout)

    with pytest.raises(Stopped):
        work()
    assert done == ["True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.usefixtures("stoppable")
def test_who_stops_the_command_comes_before_the_alarm_and_before_what_was_raised_meanwhile() -> None:
    def work() -> None:
        with at_most(60), held_back():
            os.kill(os.getpid(), signal.SIGALRM)
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("lost on the way")

    with pytest.raises(Stopped):
        work()


def test_the_alarm_of_a_model_that_hangs_rings_afterwards() -> None:
    def work() -> None:
        with at_most(60), held_back():
            os.kill(os.getpid(), signal.SIGALRM)

    with pytest.raises(NoAnswer):
        work()


def test_what_nobody_handles_stays_as_it_is_and_other_threads_are_let_be() -> None:
    with held_back():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    found: list[str] = []

    def work() -> None:
        with held_back():
            found.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["done"]


CODE = """
import os, signal
from benchmark.engine.signals import ended_in_order
from benchmark.records import Interrupted

try:
    with ended_in_order():
        os.kill(os.getpid(), signal.SIGTERM)
except Interrupted as error:
    print("put away", error.signal)
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def test_a_schedulers_word_ends_in_order_also_where_no_command_listens_for_it() -> None:
    """In a process of its own: this one's may be listening."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["put away 15", "True"]


@pytest.mark.usefixtures("stoppable")
def test_a_command_that_listens_for_it_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with ended_in_order():
            assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
