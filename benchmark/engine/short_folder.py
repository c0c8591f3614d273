"""A temporary folder of the user's own, short enough for sockets, that goes with the command. What a killed one left goes with the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.engine.signals import held_back
from benchmark.records import UserError

PREFIX = "ray-"
LOCK = "clala-benchmark.lock"  # whose lock can be taken is gone; a folder of that prefix without this file is somebody else's
INNER = "r"  # Ray opens its folder to all; the one around it is closed
LONGEST = 40  # bytes: a socket's path has 103 at most on macOS, 107 on Linux, and Ray's part of it 63
OTHERS = ("/tmp", "/var/tmp")  # where TMPDIR is too long, as it always is on macOS


class NoShortFolder(UserError):
    """No temporary folder is short enough for the paths of sockets."""


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for Ray, not yet made, in one that nobody else can enter. Raises ``NoShortFolder``."""
    places = list(dict.fromkeys((tempfile.gettempdir(), *OTHERS)))
    for place in places:
        for old in Path(place).glob(f"{PREFIX}*"):
            _remove_left(old)
    folder, lock = _made(places)
    try:
        yield folder / INNER
    finally:
        with held_back():
            _remove(folder)
            os.close(lock)


def _made(places: list[str]) -> tuple[Path, int]:
    """A new folder and its lock, held."""
    longest = LONGEST - len(f"/{PREFIX}12345678/{INNER}")
    reasons = []
    for place in places:
        if len(os.fsencode(place)) > longest:
            reasons.append(f"{place} is too long")
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            lock = os.open(folder / f"{LOCK}.new", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
            continue
        with suppress(OSError):  # no locks on this file system: then nobody removes it but this command
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f"{LOCK}.new").rename(folder / LOCK)  # held before it has its name: another command may be looking
        return folder, lock
    raise NoShortFolder(
        f"--engine ray needs a temporary folder whose path has {longest} characters at most, for its sockets; found none ({'; '.join(reasons)}); "
        "set TMPDIR to a short folder that you may write to, or use --engine local"
    )


def _remove_left(folder: Path) -> None:
    if folder.is_symlink():
        return
    with suppress(OSError):  # another user's, or not one of ours: it is left alone; BlockingIOError: of a command that is at work
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder / INNER, ignore_errors=True)
    if not (folder / INNER).exists():  # else a process still writes: the lock stays, by which the next command knows the folder
        shutil.rmtree(folder, ignore_errors=True)
