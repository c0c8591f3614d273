"""Whoever wants the command to end is answered when the compiled code of others has returned, and not in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from benchmark.engine.signals import ended_in_order, held_back
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
