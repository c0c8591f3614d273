"""Looks at a disk come in order whoever looks, and threads look where the disk lets them wait."""

from __future__ import annotations

import threading
import time

import pytest

from benchmark.datasets.slow_disks import THREADS, TRIED, look_at

NAMES = [str(number) for number in range(3 * TRIED)]


class Disk:
    """Answers after a while, and remembers who asked."""

    def __init__(self, seconds):
        self.seconds, self.asked, self.askers = seconds, [], set()

    def look(self, name):
        self.asked.append(name)
        self.askers.add(threading.get_ident())
        if self.seconds:
            time.sleep(self.seconds)
        return f"{name}!"


@pytest.mark.parametrize("seconds", [0, 0.002])
@pytest.mark.parametrize("count", [0, 1, TRIED, TRIED + 1, len(NAMES)])
def test_the_answers_are_the_same_and_in_order(seconds, count):
    disk = Disk(seconds)
    assert list(look_at(NAMES[:count], disk.look)) == [f"{name}!" for name in NAMES[:count]]
    assert sorted(disk.asked) == sorted(NAMES[:count]), "each once"


def test_a_disk_that_answers_at_once_is_asked_by_one():
    def is_asked_by_one() -> bool:
        disk = Disk(0)
        list(look_at(NAMES, disk.look))
        return disk.askers == {threading.get_ident()}

    assert any(is_asked_by_one() for _ in range(50)), "on a busy machine it may look slow once, when others had the processor"


def test_a_slow_disk_is_asked_by_many():
    disk = Disk(0.002)
    list(look_at(NAMES, disk.look))
    assert 2 < len(disk.askers) <= THREADS + 1


@pytest.mark.parametrize("seconds", [0, 0.002])
def test_a_fault_is_not_lost(seconds):
    disk = Disk(seconds)

    def look(name):
        if name == NAMES[-1]:
            raise OSError("gone")
        return disk.look(name)

    with pytest.raises(OSError, match="gone"):
        list(look_at(NAMES, look))
