"""Tasks for a pool of processes, some of which end theirs. In a module of their own: a fresh process is to find them by name, and quickly."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmark.records import UserError


class NoSuchWord(UserError):
    """A user's mistake, found by a task."""


class Stubborn(Exception):
    """Goes into pickle and does not come out."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} for {why}")


class Deadly:
    """Ends the process that takes it out of pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


class Unknown:
    """Raises where it is taken out of pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


class Slow:
    """Takes a while to be taken out of pickle."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return slept, (self.seconds,)


def slept(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def slept_and_doubled(number: int, seconds: float) -> int:
    return 2 * number


def leaves_slowly(number: int, folder: str) -> float:
    """When it was done. The first task's process takes three seconds to end; the second task has a second to go when the first is done."""
    begun, ends = Path(folder) / "begun", time.monotonic() + 60
    if number == 0:
        atexit.register(time.sleep, 3)
        while not begun.exists():
            assert time.monotonic() < ends, "there is no other"
            time.sleep(0.01)
    else:
        begun.touch()
        time.sleep(1)
    return time.monotonic()


def lacks_memory_once(number: int, flag: str) -> int:
    """The first that comes to the third task finds none."""
    if number == 2 and is_first(Path(flag)):
        raise MemoryError("Unable to allocate 3.00 TiB")
    return number


def lacks_memory(number: int) -> int:
    if number == 0:
        raise MemoryError
    return number


def doubled(number: int, unit: str) -> str:
    return f"{2 * number} {unit}"


def process_of(number: int) -> int:
    time.sleep(0.3)
    return os.getpid()


def is_first(flag: Path) -> bool:
    """True once for each file, in whichever process."""
    try:
        flag.open("x").close()
    except FileExistsError:
        return False
    return True


def killed_once(number: int, flag: str, text: str) -> str:
    """The first that comes to the third task is ended as the kernel ends one that lacks memory."""
    if number == 2 and is_first(Path(flag)):
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{number} {text}"


def killed_always(number: int, folder: str) -> int:
    """The first task ends whoever comes to it, and leaves how many others were at work."""
    at_work = Path(folder) / f"at-work-{os.getpid()}"
    if number == 0:
        with (Path(folder) / "attempts").open("a") as attempts:
            attempts.write(f"{len(list(Path(folder).glob('at-work-*')))}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    at_work.touch()
    time.sleep(0.2)
    at_work.unlink()
    return number


def killed_while_it_answers(number: int, flag: str) -> bytes:
    """The first that has done the second task ends when half of its answer is written."""
    if number == 1 and is_first(Path(flag)):

        def half(self: Connection, answer: bytes) -> None:
            os.write(self.fileno(), len(answer).to_bytes(4, "big") + answer[: len(answer) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        Connection.send_bytes = half  # type: ignore[assignment, method-assign]
    return bytes([number]) * 300_000


def ill(kind: str, folder: str) -> Any:
    """Raises, or gives what cannot travel, while another process is at work."""
    begun, ends = Path(folder) / "begun", time.monotonic() + 60
    while kind != "well" and not begun.exists():
        assert time.monotonic() < ends, "there is no other"
        time.sleep(0.01)
    match kind:
        case "user":
            raise NoSuchWord("no such word; write another")
        case "file":
            raise FileNotFoundError(2, "No such file", "reports.csv")
        case "stubborn":
            raise Stubborn("no rhyme", "silver")
        case "exit":
            sys.exit(0)
        case "lambda":
            return lambda: None
        case _:
            begun.touch()
            time.sleep(0.5)
            return kind


def first_at_once(number: int) -> int:
    """All but the first take ten minutes."""
    time.sleep(600 if number else 0)
    return os.getpid()
