"""Two trainings never share a folder: the second is told who is there, and a process that died keeps nobody out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clala.held import LOCK, FolderInUse, _taken_by, held
from clala.train import main

HOLDS = """
import sys
from pathlib import Path
from clala.held import held
with held(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One that is in the folder until its stdin is closed."""
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process


def test_the_second_is_told_which_process_is_there_and_enters_when_it_has_left(tmp_path: Path) -> None:
    with another_process(tmp_path / "out") as first:
        for _ in range(2):  # to be refused leaves the first where it is
            with (
                pytest.raises(FolderInUse, match=rf"out is being written by process {first.pid} on {socket.gethostname()}; wait for it, or choose"),
                held(tmp_path / "out"),
            ):
                pass
    with held(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK).read_text() == f"{os.getpid()} on {socket.gethostname()}"
    assert (tmp_path / "out" / LOCK).read_text() == "", "where it was trained is nobody's business"


def test_a_process_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    with another_process(tmp_path) as first:
        first.kill()
        first.wait()
        assert str(first.pid) in (tmp_path / LOCK).read_text(), "it could not clear up"
        with held(tmp_path):
            assert str(first.pid) not in (tmp_path / LOCK).read_text()


def test_where_there_are_no_locks_nobody_is_kept_out_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is opened as a place alone takes none, as none on a file system without."""
    (tmp_path / LOCK).touch()
    with os.fdopen(os.open(tmp_path / LOCK, os.O_PATH)) as lock:
        assert _taken_by(lock, tmp_path) == ""
    assert f"{tmp_path}: its file system knows no locks (Bad file descriptor); see to it that nothing else trains" in capsys.readouterr().err


def test_the_command_is_refused_in_one_line_and_touches_nothing(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with another_process(out) as first:
        with pytest.raises(SystemExit) as ended:
            main(["--index", str(index), "--out", str(out), "--device", "cpu"])
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m clala.train: {out} is being written by process {first.pid} on ")
