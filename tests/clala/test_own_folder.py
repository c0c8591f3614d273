"""A temporary folder goes with its process, and where that was killed, with the next of its kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WITH_ONE = """
import os, signal, sys
from clala.own_folder import own_folder
print(own_folder("ours-"), flush=True)
if sys.argv[1] == "waits":
    sys.stdin.read()
if sys.argv[1] == "is killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(folder: Path, then: str) -> tuple[subprocess.Popen[str], Path]:
    words = [sys.executable, "-c", WITH_ONE, then]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_goes_with_the_next_and_what_others_have_stays(tmp_path: Path) -> None:
    for name in ("ours-of-an-older-version", "theirs-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "ours-elsewhere").symlink_to(tmp_path / "theirs-1")
    (tmp_path / "theirs-1" / "lock").touch()
    living, its = start(tmp_path, "waits")
    killed, left = start(tmp_path, "is killed")
    killed.communicate()
    assert left.parent == tmp_path
    assert left.is_dir(), "nobody was there to clear up"
    last, own = start(tmp_path, "ends")
    last.communicate()
    assert last.returncode == 0
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"ours-of-an-older-version", "theirs-1", "ours-elsewhere", its.name}, "neither what was left nor its own"
    assert own.name not in found
    living.communicate()
    assert living.returncode == 0
    assert not its.exists()
