"""Commands as processes of their own that are there at once: an interpreter that has imported everything forks one for each.

Fifty commands that are killed would else spend their lives on imports, and most kills would fall there. What a command does is its own: it has its
arguments, its folder, its output, and a real SIGKILL ends it. There are two ways to choose the moment: from outside, after so many seconds, and from
inside, just before it opens for writing, renames or removes something below its folder for the n-th time. The second kind can be repeated.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link", "os.chmod"}
"""audit events of what changes a folder, beside "open" (https://docs.python.org/3/library/audit_events.html)"""


class Ended(NamedTuple):
    """A command that came to an end."""

    status: int
    """exit status, or minus the signal that ended it"""
    stdout: str
    stderr: str


class Command:
    """One that is at work."""

    def __init__(self, commands: Commands, pid: int, said: Path) -> None:
        self.commands, self.pid, self.said = commands, pid, said
        self.status: int | None = None

    def kill(self) -> None:
        """kill -9."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        """Its status if it has ended."""
        if self.status is None:
            self.status = self.commands.ask({"of": self.pid})
        return self.status

    def wait(self, seconds: float = 120) -> Ended:
        """Until it has ended; killed, and an error, if that takes longer."""
        ends = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > ends:
                self.kill()
                raise AssertionError(f"process {self.pid} did not end within {seconds:g} s: {self.said.with_suffix('.err').read_text()[-2000:]}")
            time.sleep(0.01)
        assert self.status is not None
        return Ended(self.status, *(self.said.with_suffix(end).read_text(encoding="utf-8", errors="replace") for end in (".out", ".err")))


class Commands:
    """The interpreter that forks them. ``said`` is a folder for what they print; ``path`` are folders with plugins."""

    def __init__(self, said: Path, *, path: Sequence[Path] = (), warm: Sequence[str] = ()) -> None:
        self.folder, self.count = said, 0
        said.mkdir(parents=True, exist_ok=True)
        found = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
        where = {**os.environ, "PYTHONPATH": os.pathsep.join(found), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, __file__, *warm], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=where, cwd=said
        )
        assert self.ask({}) == "ready"

    def start(self, *words: str, folder: Path, **how: Any) -> Command:
        """``python -m benchmark WORDS`` in that folder.

        kill_at   kill it just before the so many-th change below ``folder``
        by        with this signal, SIGKILL if it is not said
        power_at  the same, and the machine goes down with it: of what it wrote stays what was brought to the disk (fsync), names and all
        full_at   from the so many-th change on the disk is full: nothing can be opened for writing, made or renamed
        quota_at  once it has made all changes before the so many-th, it is told that the disk is full, but only where it waits for what it wrote
                  (fsync): so do quotas, and disks of other machines
        counted   a file that gets the number of changes, when it has ended
        back_at   from the so many-th time that it looks at the clock on, this goes back by an hour at each look
        memory    bytes that it may have
        file_size the largest file that it may write, in bytes: what is more is refused as by a full disk
        no_power  take from root what lets it write where the permissions say no
        module    whose ``main`` is called, in place of the benchmark's
        """
        self.count += 1
        said = self.folder / str(self.count)
        return Command(self, self.ask({"words": words, "folder": str(folder), "said": str(said), **how}), said)

    def run(self, *words: str, folder: Path, **how: Any) -> Ended:
        """To its end."""
        return self.start(*words, folder=folder, **how).wait()

    def ask(self, order: Mapping[str, Any]) -> Any:
        """One line to the interpreter, one from it."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=60)


def serve(warm: Sequence[str]) -> None:
    """The interpreter's side: import, do each of ``warm`` once, then fork a process for each line of stdin."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for words in warm:
        _call("benchmark.cli", json.loads(words))
    for line in sys.stdin:
        order = json.loads(line)
        if "of" in order:
            pid, status = os.waitpid(order["of"], os.WNOHANG)
            answer: Any = os.waitstatus_to_exitcode(status) if pid else None
        elif "words" in order:
            answer = os.fork()
            if answer == 0:
                os._exit(_obey(order))
        else:
            answer = "ready"
        print(json.dumps(answer), file=answers, flush=True)


def _obey(order: Mapping[str, Any]) -> int:
    """In the forked process: do as ordered; the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, whose children are deaf to it
    os.chdir(order["folder"])
    os.environ.update(order.get("environment", {}))
    said = Path(order["said"])
    for number, file in enumerate((os.devnull, said.with_suffix(".out"), said.with_suffix(".err"))):
        os.dup2(os.open(str(file), os.O_RDWR | os.O_CREAT, 0o600), number)
    if "back_at" in order:
        _turn_clock_back(order["back_at"])
    if "memory" in order or "file_size" in order:
        import resource

        if "memory" in order:
            resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
        if "file_size" in order:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
    if order.get("no_power"):
        _drop_capabilities()
    changes = [0]
    _count_changes(order["folder"], changes, _faults(order, changes))
    status = _call(order.get("module", "benchmark.cli"), order["words"])
    if "counted" in order:
        count = changes[0]
        Path(order["counted"]).write_text(str(count))
    return status


def _call(module: str, words: Sequence[str]) -> int:
    from importlib import import_module

    sys.argv = ["benchmark", *words]
    try:
        status = import_module(module).main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # as the interpreter does with what nobody caught
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0)


def _faults(order: Mapping[str, Any], changes: list[int]) -> Callable[[int, str, Any], None]:
    """What befalls the process just before its so many-th change, of this kind, of this file; ``changes`` has the number of those made."""
    process, folder = os.getpid(), Path(order["folder"])
    power = _Power(folder) if "power_at" in order else None
    if "quota_at" in order:
        _limit(lambda: changes[0] >= order["quota_at"] - 1)

    def befall(number: int, event: str, name: Any) -> None:
        if number == order.get("kill_at"):
            os.kill(process, order.get("by", signal.SIGKILL))
        if power and number == order["power_at"]:
            power.goes()
        if number >= order.get("full_at", number + 1) and event not in ("os.remove", "os.rmdir", "os.truncate"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    return befall


class _Power:
    """Of a machine: when it goes, files lose what was written since they were last brought to the disk.

    It is the worst that file systems do: a name is there at once (they may write names before what they name), and nothing else is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.began, self.synced = folder, time.time_ns(), dict[tuple[int, int], int]()
        true = os.fsync

        def fsync(descriptor: Any) -> None:
            true(descriptor)
            about = os.fstat(descriptor)
            self.synced[about.st_dev, about.st_ino] = about.st_size

        os.fsync = fsync

    def goes(self) -> None:
        for file in self.folder.rglob("*"):
            about = file.lstat()
            if file.is_file() and not file.is_symlink() and about.st_mtime_ns >= self.began:
                kept = self.synced.get((about.st_dev, about.st_ino), 0)
                if about.st_size > kept:
                    os.truncate(file, kept)
        os.kill(os.getpid(), signal.SIGKILL)


def _limit(is_reached: Callable[[], bool]) -> None:
    """A quota: the operating system takes what is written, and says afterwards that there was no room for it."""
    true = os.fsync

    def fsync(descriptor: Any) -> None:
        if is_reached():
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        true(descriptor)

    os.fsync = fsync


def _count_changes(folder: str, counter: list[int], befall: Callable[[int, str, Any], None]) -> None:
    """Count the changes below the folder, in the one element of a list; ``befall`` is told of each before it is made."""
    process = os.getpid()

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" and event not in CHANGES:
            return
        if os.getpid() != process or (event == "open" and not _writes(arguments)):
            return
        if any(_is_below(argument, folder) for argument in arguments[:2]):
            counter[0] += 1
            befall(counter[0], event, arguments[0])

    sys.addaudithook(see)


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _is_below(argument: object, folder: str) -> bool:
    if not isinstance(argument, str | os.PathLike):
        return False
    name = os.fspath(argument)
    return isinstance(name, str) and (not name.startswith("/") or name.startswith(folder + "/"))


def _drop_capabilities() -> None:
    """capset(2) with nothing in it; who is not root has none."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, of this process
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _turn_clock_back(first: int) -> None:
    """The clock of this process alone; no other program is told."""
    true, looks = time.time, [0]

    def told() -> float:
        looks[0] += 1
        return true() - 3600.0 * max(0, looks[0] - first + 1)

    time.time = told


if __name__ == "__main__":
    serve(sys.argv[1:])
