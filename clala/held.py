"""A folder that belongs to one training alone while it runs: two would go on from each other's states, and neither would be what it says it is.

The lock is the kernel's, on a file within the folder, so that a training that was killed, or whose machine went down, leaves none behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

LOCK = ".lock"
"""the file; who holds it stands in it"""


class FolderInUse(ValueError):
    """Another training has the folder; the message says which process it is, and on which machine."""


@contextmanager
def held(folder: Path, accelerator: Any = None) -> Iterator[None]:
    """The folder, made if need be, for this training alone; with an ``accelerator`` all its processes enter, and the first one holds the lock.

    Where the file system knows no locks nobody is kept out, and a line on stderr says so. Raises FolderInUse, in every process.
    """
    lock, other = None, ""
    if accelerator is None or accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a+", encoding="utf-8")
        other = _taken_by(lock, folder)
    try:
        if accelerator is not None and accelerator.num_processes > 1:
            # All are told by the first, which looked: one that raised alone would leave the others waiting for it.
            from accelerate.utils import broadcast_object_list

            other = broadcast_object_list([other])[0]
        if other:
            raise FolderInUse(f"{folder} is being written by {other}; wait for it, or choose another folder with --out")
        yield
    finally:
        if lock is not None:
            if not other:
                lock.truncate(0)  # who trained here, and where, is nobody's business afterwards
            lock.close()


def _taken_by(lock: IO[str], folder: Path) -> str:
    """Take the lock; who holds it where it is taken already, in words, else nothing."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            # Lustre mounted without flock, say: most machines where hours of training are worth it have nothing better.
            print(f"{folder}: its file system knows no locks ({error.strerror}); see to it that nothing else trains into it", file=sys.stderr)
            return ""
        lock.seek(0)
        return f"process {lock.read().strip() or '?'}"
    with suppress(OSError):  # a full disk: it is held all the same
        lock.truncate(0)
        lock.write(f"{os.getpid()} on {socket.gethostname()}")
        lock.flush()
    return ""
