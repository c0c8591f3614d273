"""A temporary folder that is one process' own, and goes with it. A process that is killed cannot clear up: the next one of its kind does."""

from __future__ import annotations

import atexit
import fcntl
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []
"""open as long as the process is: who can take the lock on such a file knows that it is gone"""


def own_folder(prefix: str) -> Path:
    """A new folder in the system's temporary folder whose name begins so. Those that processes left there which are gone are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_left(old)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Held before it has its name, for another process may be looking.
    lock = (folder / "lock.new").open("w", encoding="utf-8")
    _held.append(lock)
    with suppress(OSError):  # no locks on this file system: then nobody removes it but this process
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "lock.new").rename(folder / "lock")
    return folder


def _remove_left(folder: Path) -> None:
    if folder.is_symlink():
        return
    with suppress(OSError), (folder / "lock").open("r+", encoding="utf-8") as lock:  # another's, or one without a lock, is left alone
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
