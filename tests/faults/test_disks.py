"""Disks that are full, read-only or closed: one line that says so, exit 2, nothing lost; with room again, the same command ends as if undisturbed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from folders import contents
from forked import Commands, Ended
from hospital import RUN, SCORE, TRAIN

RUNS = {"run": (*RUN, "--models", "constant,steady"), "score": SCORE}


@pytest.fixture(scope="module", params=RUNS)
def undisturbed(request: pytest.FixtureRequest, hospital: Path, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A command, and its folder where nothing happened."""
    folder = Path(shutil.copytree(hospital, tmp_path_factory.mktemp("undisturbed") / "place"))
    ended = commands.run(*RUNS[request.param], folder=folder)
    assert ended.status == 0, ended.stderr
    return request.param, folder / "out"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small disk of the memory's, or changes how it is mounted."""
    where = tmp_path / "disk"
    where.mkdir()

    def mounted(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return where

    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root alone")
    yield mounted
    subprocess.run(["umount", "--lazy", str(where)], check=False, capture_output=True)


def refused(ended: Ended, why: str) -> None:
    """One line that says what cannot be written, why, and what to do."""
    assert ended.status == 2, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(r"^error: cannot write .*to \S+: ", line), line
    assert why in line
    assert "make room or give the right to write, then run the same command again" in line
    assert "Traceback" not in ended.stderr


def test_however_early_the_disk_is_full_it_is_said_and_with_room_nothing_is_lost(
    place: Path, commands: Commands, disk: Callable[[str], Path], undisturbed: tuple[str, Path]
) -> None:
    """The disk grows by a little each time: it is full at another file each time."""
    name, whole = undisturbed
    small = disk("size=4k")
    (place / "out").symlink_to(small)
    reports, full = 0, 0
    for size in (4, 8, 12, 16, 24, 48, 120, 300, 4096):
        disk(f"remount,size={size}k")
        ended = commands.run(*RUNS[name], folder=place)
        if ended.status == 0:
            break
        refused(ended, "No space left on device")
        full += 1
        found = sum(1 for file in small.glob("*/reports.jsonl") for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n"))
        assert found >= reports, "what was written before is kept"
        reports = found
    assert ended.status == 0, ended.stderr
    assert full >= 5
    assert contents(small) == contents(whole)


def test_a_file_that_may_not_grow_is_said_too(place: Path, commands: Commands, undisturbed: tuple[str, Path]) -> None:
    """By the limit of a user, which stands for a full disk where none can be mounted."""
    name, whole = undisturbed
    for size in (300, 2_000, 20_000):
        refused(commands.run(*RUNS[name], folder=place, file_size=size), "File too large")
    assert commands.run(*RUNS[name], folder=place).status == 0
    assert contents(place / "out") == contents(whole)


def test_a_disk_that_became_read_only_is_said_and_its_run_stays(
    place: Path, commands: Commands, disk: Callable[[str], Path], undisturbed: tuple[str, Path]
) -> None:
    name, whole = undisturbed
    small = disk("size=16m")
    (place / "out").symlink_to(small)
    assert commands.run(*RUNS[name], folder=place).status == 0
    before = (small / "run.json").read_bytes()
    disk("remount,ro")
    refused(commands.run(*RUNS[name], folder=place), "Read-only file system")
    assert (small / "run.json").read_bytes() == before
    assert contents(small) == contents(whole)


@pytest.mark.parametrize("closed", ["the folder above", "a model's folder", "a model's reports"])
def test_where_there_is_no_right_to_write_it_is_said_and_given_it_the_run_goes_on(place: Path, commands: Commands, closed: str) -> None:
    """The run folder itself is made one's own again: its text may not travel, and nobody else is to read it."""
    above, steady = place / "above", place / "above/out/steady"
    above.mkdir()
    words = (*RUN[1:-1], "above/out", "--models", "constant,steady")
    if closed != "the folder above":
        assert commands.run("run", *words, folder=place).status == 0
        reports = steady / "reports.jsonl"
        reports.write_bytes(b"".join(reports.read_bytes().splitlines(keepends=True)[:9]))
        (steady / "rouge_l.npz").unlink()
    where = {"the folder above": above, "a model's folder": steady, "a model's reports": steady / "reports.jsonl"}[closed]
    mode = where.stat().st_mode
    where.chmod(0o555 if where.is_dir() else 0o444)
    refused(commands.run("run", *words, folder=place, no_power=True), "Permission denied")
    where.chmod(mode)
    assert commands.run("run", *words, folder=place, no_power=True).status == 0
    record = json.loads((above / "out/run.json").read_text())
    assert {name: model["reports"] for name, model in record["models"].items()} == {"constant": 24, "steady": 24}


@pytest.mark.parametrize(
    "words", [("view", "out", "--no-browser"), ("compare", "out", "out"), ("tables", "--run", "out")], ids=lambda words: words[0]
)
def test_a_finished_run_that_nobody_may_write_is_read_as_any_other(
    place: Path, commands: Commands, undisturbed: tuple[str, Path], words: tuple[str, ...]
) -> None:
    """Kept in an archive, or made by somebody else."""
    shutil.copytree(undisturbed[1], place / "out")
    said = [commands.run(*words, folder=place)]
    everything = [place / "out", *(place / "out").rglob("*")]
    for file in everything:
        file.chmod(0o555 if file.is_dir() else 0o444)
    said.append(commands.run(*words, folder=place, no_power=True))
    for file in everything:
        file.chmod(0o755)
    assert said[0].status == 0, said[0].stderr
    assert said[1] == said[0]


@pytest.mark.slow
def test_a_training_on_a_full_disk_is_stopped_in_one_line_and_goes_on_with_room(tmp_path: Path, disk: Callable[[str], Path]) -> None:
    """With the smallest disk it is the crops that have no room, a mapped file; then states, written by a library of another language."""
    pytest.importorskip("torch")
    from test_killed import trained

    small = disk("size=64k")
    train = [sys.executable, "-m", "benchmark", *TRAIN[:-1]]
    (tmp_path / "out").symlink_to(small)
    for size in (64, 120, 700, 2_000):
        disk(f"remount,size={size}k")
        ended = subprocess.run([*train, "out"], cwd=tmp_path, capture_output=True, text=True, check=False)
        refused(Ended(ended.returncode, ended.stdout, ended.stderr), "No space left on device")
    disk("remount,size=64m")
    for out in ("out", "undisturbed"):
        assert subprocess.run([*train, out], cwd=tmp_path, capture_output=True, text=True, check=False).returncode == 0
    assert trained(small) == trained(tmp_path / "undisturbed")
