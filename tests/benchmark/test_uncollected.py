"""The collector of cycles stands aside, and comes back whatever happens."""

from __future__ import annotations

import gc

import pytest

from benchmark.uncollected import uncollected


class Knot:
    """Points to itself: only the collector finds it."""

    def __init__(self) -> None:
        self.me = self


def alive() -> int:
    return sum(isinstance(one, Knot) for one in gc.get_objects())


def test_cycles_wait_until_the_work_is_done() -> None:
    gc.collect()
    with uncollected():
        for _ in range(10_000):
            Knot()
        assert alive() == 10_000
    gc.collect()
    assert alive() == 0


def test_the_collector_is_as_it_was_after_a_failure_and_within_another_such_work() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        _ = 1 / 0
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
