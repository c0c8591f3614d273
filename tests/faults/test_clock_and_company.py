"""A clock that goes back, and a second process: neither loses anything, and the second is told who is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders import contents
from forked import Commands
from hospital import RUN, SCORE

WORDS = (*RUN, "--models", "constant,steady")


def test_a_clock_that_goes_back_changes_no_table_and_no_time_is_negative(place: Path, commands: Commands) -> None:
    """By an hour at each look, from the third on, in the one that writes and in the one that finds what was written in the future."""
    assert commands.run(*WORDS, folder=place).status == 0
    (place / "out").rename(place / "undisturbed")
    for _ in range(2):
        assert commands.run(*WORDS, folder=place, back_at=3).status == 0
        assert contents(place / "out") == contents(place / "undisturbed")
        record = json.loads((place / "out/run.json").read_text())
        assert record["seconds"] >= 0
        assert all(stage["seconds"] >= 0 for stage in record["stages"].values())


def test_files_of_the_future_are_as_good_as_others(place: Path, commands: Commands) -> None:
    """As a clock leaves them that was set right meanwhile."""
    assert commands.run(*WORDS, folder=place).status == 0
    before = contents(place / "out")
    later = time.time() + 400 * 24 * 3600
    for file in (place / "out").rglob("*"):
        os.utime(file, (later, later))
    reports = place / "out/steady/reports.jsonl"
    reports.write_bytes(b"".join(reports.read_bytes().splitlines(keepends=True)[:5]))
    assert commands.run(*WORDS, folder=place).status == 0
    assert contents(place / "out") == before


@pytest.mark.parametrize("second", [WORDS, ("generate", *RUN[1:3], "--models", "steady", "--out", "out"), SCORE], ids=["run", "generate", "score"])
def test_the_second_in_a_folder_is_told_who_is_there_and_disturbs_nothing(place: Path, commands: Commands, second: tuple[str, ...]) -> None:
    first = commands.start(*WORDS, "--set", "steady.seconds=0.2", folder=place)
    reports, ends = place / "out/steady/reports.jsonl", time.monotonic() + 240
    while not (reports.exists() and reports.stat().st_size):
        assert time.monotonic() < ends, "it did not begin"
        time.sleep(0.01)
    refused = commands.run(*second, folder=place)
    assert first.poll() is None
    assert refused.status == 2
    assert f"out is being written by process {first.pid}; wait for it, or choose another folder with --out" in refused.stderr
    assert first.wait().status == 0
    assert len(reports.read_bytes().splitlines()) == 24


TRAINER = """
import sys, time
from pathlib import Path
from benchmark import hookimpl

def fit_nothing(training, *, out: Path, seconds: float = 0.0) -> Path:
    out.mkdir()
    time.sleep(seconds)
    return out

@hookimpl
def register_trainers(register):
    register("nothing", fit_nothing)
"""


def test_the_second_training_in_a_folder_is_told_who_is_there(place: Path) -> None:
    about = place / "nothing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[clala_benchmark]\nnothing = nothing\n")
    (place / "nothing.py").write_text(TRAINER)
    train = ["train", "nothing", "--dataset", "manifest:cases.csv", "--out", "out"]
    with Commands(place / "said", path=[place]) as commands:
        first, ends = commands.start(*train, "--seconds", "600", folder=place), time.monotonic() + 240
        while not (place / "out").exists():
            assert time.monotonic() < ends, "it did not begin"
            time.sleep(0.01)
        refused = commands.run(*train, folder=place)
        first.kill()
        first.wait()
    assert refused.status == 2
    assert f"out is being written by process {first.pid}; wait for it, or choose another folder with --out" in refused.stderr


POOL = """
import os, sys, time
from benchmark.engine.local import each

def slow(number):
    open(f"worker-{os.getpid()}", "w").close()
    time.sleep(0.2)

if __name__ == "__main__":
    list(each(slow, [(number,) for number in range(1000)], workers=2))
"""


def test_workers_do_not_outlive_a_command_that_was_killed(tmp_path: Path) -> None:
    """They would wait for work for ever, with the texts of a run in their memory."""
    (tmp_path / "pool.py").write_text(POOL)
    parent = subprocess.Popen([sys.executable, "pool.py"], cwd=tmp_path)
    ends = time.monotonic() + 120
    while len(workers := [int(file.name.partition("-")[2]) for file in tmp_path.glob("worker-*")]) < 2:
        assert time.monotonic() < ends, "no workers"
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while alive := [worker for worker in workers if is_alive(worker)]:
        assert time.monotonic() < ends, f"{alive} go on"
        time.sleep(0.1)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
