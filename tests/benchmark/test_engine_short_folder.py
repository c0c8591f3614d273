"""A folder for sockets and logs: short, closed to others, gone at the end, and cleared away by the next command after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.engine import short_folder as module
from benchmark.engine.short_folder import NoShortFolder, short_folder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary folder of this test alone, short enough."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="t"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_what_is_put_there_is_nobody_elses_and_gone_at_the_end(short: Path) -> None:
    with short_folder() as folder:
        assert folder.parent.parent == short
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        folder.mkdir(mode=0o777)
        (folder / "worker.log").write_text("text of a patient")
    assert not list(short.iterdir())


def test_where_the_systems_folder_is_too_long_another_is_taken_and_gone_at_the_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with short_folder() as folder:
        folder.mkdir()
        assert folder.parent.parent == Path("/tmp")
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        # The longest name that Ray gives a socket below its folder.
        deep = folder / "session_2026-11-27_21-48-38_123456_1234567/sockets"
        deep.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(deep / "plasma_store"))
    assert not folder.parent.exists()
    assert not list(long.iterdir())


def test_without_any_it_is_said_what_was_found_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/none-such")
    monkeypatch.setattr(module, "OTHERS", (str(tmp_path / ("long" * 20)),))
    with pytest.raises(NoShortFolder) as raised, short_folder():
        pass
    said = str(raised.value)
    assert said.startswith("--engine ray needs a temporary folder whose path has 25 characters at most")
    assert "/none-such: No such file or directory" in said
    assert "longlong is too long" in said
    assert said.endswith("set TMPDIR to a short folder that you may write to, or use --engine local")


CODE = """
import os, signal
from benchmark.engine.short_folder import short_folder
with short_folder() as folder:
    folder.mkdir()
    (folder / "worker.log").write_text("text of a patient")
    print(folder, flush=True)
    input()
"""


def test_what_a_killed_command_left_goes_with_the_next_and_that_of_one_at_work_stays(short: Path) -> None:
    env = {**os.environ, "TMPDIR": str(short)}
    for name in ("ray-of-another-program", "ray-with-a-lock-of-its-own"):
        (short / name).mkdir()
    (short / "ray-with-a-lock-of-its-own" / "lock").touch()
    command = subprocess.Popen([sys.executable, "-c", CODE], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    left = Path(command.stdout.readline().strip()).parent
    assert left.parent == short
    with short_folder():
        assert (left / "r" / "worker.log").exists(), "its command is at work"
    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert (left / "r" / "worker.log").exists()
    with short_folder():
        assert not left.exists()
    assert {folder.name for folder in short.iterdir()} == {"ray-of-another-program", "ray-with-a-lock-of-its-own"}
