"""A program spoken to in lines: started without a shell, watched, and ended with everything that it started.

Three threads do the waiting, so that no full pipe can hold up both sides at once: one feeds stdin, one takes lines from stdout, one keeps stderr.
The program gets a process group (POSIX) of its own: ``close`` ends its children too, and a Ctrl-C at the terminal reaches us first.

Who is killed cannot close anything, and a program that never reads its stdin would go on with a GPU in its hands: a watcher, a line of shell, waits
for our end of a pipe to go and then ends the group. Linux can do that by itself (PR_SET_PDEATHSIG), but to the program alone and not to what it
started, when the thread that started it ends and not the process, and nowhere else. A program that leaves its group is on its own.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from benchmark.records import UserError

MAX_LINE_BYTES = 16 * 1024 * 1024  # a longer line of stdout is thrown away unread
MAX_LOG_BYTES = 64 * 1024 * 1024  # of one program's stderr; the end is kept in any case
TAIL_LINES = 5  # of stderr, quoted in messages
TOO_LONG = b"(a line of more than 16 MiB)"
_GRACE_SECONDS = 2.0  # between the polite signal and the other one
_WATCH = f'read group && {{ read end; kill -s TERM -- "-$group"; sleep {_GRACE_SECONDS:g}; kill -s KILL -- "-$group"; }}'
"""of a shell: told which group, it waits until nobody can tell it any more"""


class ProgramNotFound(UserError):
    """The program cannot be started: not there, not executable, or not a program."""


def locate(program: str) -> Path:
    """The file that would be started. Raises ``ProgramNotFound``."""
    if found := shutil.which(program):
        return Path(found)
    if os.sep in program and Path(program).is_file():
        raise ProgramNotFound(f"cannot start {program!r}: the file is there but is not executable; chmod +x it, or name its interpreter before it")
    where = "no such file" if os.sep in program else "it is not on PATH (a program of this folder is written ./name)"
    raise ProgramNotFound(f"cannot start {program!r}: {where}")


class LineProgram:
    """A running program. Lines go in by ``send``; what it writes comes out of ``receive``."""

    def __init__(self, argv: Sequence[str], log: Path | None) -> None:
        """Start it. ``log`` is a file to which its stderr is added. Raises ``ProgramNotFound``."""
        self._watcher = _watcher()
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                # Python holds back what it prints into a pipe; a program that waits for the next case would never be heard
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        except OSError as error:
            self._stop_watching()
            raise ProgramNotFound(
                f"cannot start {argv[0]!r}: {error.strerror}; is it a program, with a first line that names its interpreter?"
            ) from None
        self._watch()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._is_closed = threading.Event()
        self._to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._received: queue.Queue[bytes | None] = queue.Queue(maxsize=256)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._threads = [
            threading.Thread(target=self._feed, args=(self._process.stdin,), daemon=True),
            threading.Thread(target=self._take, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._keep, args=(self._process.stderr, log), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, line: bytes) -> None:
        """Hand over a line; returns at once. A program that no longer reads is noticed by ``receive``."""
        self._to_send.put(line)

    def end_input(self) -> None:
        """Close its stdin after what was sent."""
        self._to_send.put(None)

    def receive(self, seconds: float) -> bytes | None:
        """The next line of stdout, None if it will write no more. Raises ``TimeoutError`` after so many seconds."""
        try:
            line = self._received.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            self._received.put(None)  # the end stays the end
        return line

    def describe_end(self) -> str:
        """How it ended, for a message; waits a moment for it to be over."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self._threads[2].join(_GRACE_SECONDS)  # its last words may still be on their way
        code = self._process.returncode
        if code is None:
            return "closed its output but runs on"
        if code < 0:
            return f"was ended by signal {-code} ({_signal_name(-code)})"
        return f"ended with exit code {code}"

    def last_words(self) -> str:
        """The last lines of stderr on one line, empty if there were none."""
        return " / ".join(self._tail)

    def close(self) -> None:
        """End it and its children; returns when they are gone. May be called twice."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        self._signal(signal.SIGKILL)  # also what it left behind in its group, which may hold our pipes open
        self._stop_watching()  # before the number of the group can be another's
        self._process.wait()
        self._to_send.put(None)
        for thread in self._threads:
            thread.join(_GRACE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # gone already; macOS says EPERM for a group of zombies
            os.killpg(self._process.pid, number)

    def _watch(self) -> None:
        """Tell the watcher which group is to go with us."""
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            with suppress(OSError):  # somebody ended it: then nobody watches
                self._watcher.stdin.write(b"%d\n" % self._process.pid)
                self._watcher.stdin.flush()

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()

    def _feed(self, stdin: IO[bytes]) -> None:
        with suppress(OSError):  # it died or closed its input: told by the end of its stdout
            while (line := self._to_send.get()) is not None:
                stdin.write(line)
                stdin.flush()
        with suppress(OSError):
            stdin.close()

    def _take(self, stdout: IO[bytes]) -> None:
        with stdout:
            while line := stdout.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES:
                    line = TOO_LONG
                    while (rest := stdout.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                if not self._offer(line):
                    return
        self._offer(None)

    def _offer(self, line: bytes | None) -> bool:
        """Put a line where ``receive`` finds it; False if nobody will come for it."""
        while not self._is_closed.is_set():
            try:
                self._received.put(line, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _keep(self, stderr: IO[bytes], log: Path | None) -> None:
        written = 0
        with stderr, open(log or os.devnull, "ab") as file:  # noqa: PTH123  (devnull is no Path everywhere)
            while line := stderr.readline(65536):
                if text := " ".join(line.decode("utf-8", errors="replace").split())[:300]:
                    self._tail.append(text)
                if written < MAX_LOG_BYTES:
                    with suppress(OSError):  # a full disk must not stop the model
                        written += file.write(line)
                        file.flush()


def _watcher() -> subprocess.Popen[bytes] | None:
    """The watcher, which knows of no group yet; None where there is no shell, as in some containers: then a program may outlive us."""
    try:
        # A session of its own: what ends us at the terminal is not to end it before its work.
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
    except OSError:
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
