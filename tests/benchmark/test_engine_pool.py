"""The pool of this machine: the same results in any number of processes, whichever are lost; and nothing that it waits for in vain."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from pickle import PicklingError
from typing import Any

import numpy as np
import pool_tasks
import pytest
from engine_guests import write_plugin

from benchmark.engine import Local, pool
from benchmark.engine.local import each
from benchmark.engine.tasks import TASK_LOSSES, RaisedInATask, TaskLost

NUMBERS = [(number,) for number in range(5)]


def test_the_work_is_shared_out_and_not_done_here() -> None:
    processes = dict(each(pool_tasks.process_of, NUMBERS, workers=2))
    assert len(set(processes.values())) == 2
    assert os.getpid() not in processes.values()


def test_a_process_that_is_killed_changes_nothing_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine, flag = Local(2), tmp_path / "killed"
    names = [f"part {number}" for number in range(5)]
    how: dict[str, Any] = {"is_large": True, "on_device": [False] * 5, "names": names}
    found = dict(engine.each(pool_tasks.killed_once, NUMBERS, shared=(str(flag), "text"), **how))
    assert flag.exists()
    assert found == {number: f"{number} text" for number in range(5)}
    assert "part 2: its process was lost to signal 9, SIGKILL, as where memory runs out; it is done again" in capsys.readouterr().err
    assert engine.record() == {"name": "local", "workers": 2, "workers_lost": 1}


def test_what_ends_every_process_is_named_once_all_else_is_done(tmp_path: Path) -> None:
    """From its second loss on it has the machine to itself: of what the others would hold, memory is the usual lack."""
    found: dict[int, int] = {}
    names = [f"part {number}" for number in range(5)]
    with pytest.raises(TaskLost) as raised:
        gather(found, each(pool_tasks.killed_always, NUMBERS, workers=2, shared=(str(tmp_path),), names=names))
    said = str(raised.value)
    assert said.startswith(
        "part 0: 4 processes were given it, the last ones with no other beside them, and all were lost, the last to signal 9, SIGKILL"
    )
    assert said.endswith("what was done is kept; run the same command again with more memory, or without this")
    attempts = (tmp_path / "attempts").read_text().split()
    assert len(attempts) == TASK_LOSSES + 1
    assert attempts[2:] == ["0", "0"]
    assert set(found) <= {1, 2, 3, 4}


def test_what_kills_a_process_that_is_handed_it_is_an_error_and_not_a_wait_for_ever() -> None:
    """More than a pipe holds lies behind it: whoever writes that to a process that is no more would never come to an end."""
    began = time.monotonic()
    with pytest.raises(
        TaskLost, match=r"[34] processes in a row came to nothing before they began to work; the last was lost to status 3; run the same"
    ):
        list(each(lambda *_: None, NUMBERS, workers=2, shared=(pool_tasks.Deadly(), "text " * 1_000_000)))
    assert time.monotonic() - began < 120


def test_what_cannot_be_taken_out_of_pickle_there_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(each(pool_tasks.doubled, NUMBERS, workers=2, shared=(pool_tasks.Unknown(), "text " * 1_000_000)))


def test_a_process_that_is_killed_while_it_hands_over_its_result_is_missed(tmp_path: Path) -> None:
    flag = tmp_path / "killed"
    found = dict(each(pool_tasks.killed_while_it_answers, NUMBERS, workers=2, shared=(str(flag),)))
    assert flag.exists()
    assert found == {number: bytes([number]) * 300_000 for number in range(5)}


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("user", pool_tasks.NoSuchWord, "no such word; write another"),
        ("file", FileNotFoundError, "No such file: 'reports.csv'"),
        ("stubborn", RaisedInATask, "Stubborn: no rhyme for silver"),
        ("exit", RaisedInATask, "SystemExit: 0"),
        ("lambda", (AttributeError, PicklingError), "pickle|lambda"),
    ],
)
def test_what_a_task_raises_is_raised_here_and_what_was_begun_beside_it_is_kept(kind: str, error: Any, message: str, tmp_path: Path) -> None:
    found: dict[int, Any] = {}
    with pytest.raises(error, match=message) as raised:
        gather(found, each(pool_tasks.ill, [(kind,), ("well",), ("well",)], workers=2, shared=(str(tmp_path),)))
    assert found == {1: "well"}
    assert "pickle" in str(raised.value.__cause__) if kind == "lambda" else "pool_tasks.py" in str(raised.value.__cause__), (
        "where it was raised there"
    )
    if isinstance(raised.value, FileNotFoundError):
        assert raised.value.filename == "reports.csv"


def test_who_stops_early_waits_for_nobody() -> None:
    """As with Ctrl-C: a metric that has ten minutes to go does not keep the command from ending."""
    results = each(pool_tasks.first_at_once, NUMBERS, workers=2)
    first, process = next(results)
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert first == 0
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def gather(found: dict[int, Any], results: Iterator[tuple[int, Any]]) -> None:
    for index, result in results:
        found[index] = result


def test_no_task_starts_nobody() -> None:
    assert list(each(pool_tasks.doubled, [], workers=2, shared=("mm",))) == []


def test_one_that_takes_its_time_to_leave_keeps_nobody_waiting(tmp_path: Path) -> None:
    """With many processes each of them would hold up what the others have found."""
    pairs = each(pool_tasks.leaves_slowly, [(0,), (1,)], workers=2, shared=(str(tmp_path),))
    heard = {index: (done, time.monotonic()) for index, done in pairs}
    assert set(heard) == {0, 1}
    assert heard[1][1] - heard[1][0] < 1.5


class OneAlone(pool._Worker):
    """The first process there is room for; a second one is refused as by a machine that has no room."""

    room = 1

    def __init__(self) -> None:
        if type(self).room == 0:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        type(self).room -= 1
        super().__init__()


def test_where_there_is_room_for_one_process_that_one_does_the_work_however_long_it_takes_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_Worker", OneAlone)
    monkeypatch.setattr(OneAlone, "room", 1)
    found = dict(each(pool_tasks.slept_and_doubled, NUMBERS, workers=2, shared=(pool_tasks.Slow(3.5),)))
    assert found == {number: 2 * number for number in range(5)}


def test_where_there_is_room_for_none_it_is_said_that_none_could_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_Worker", OneAlone)
    monkeypatch.setattr(OneAlone, "room", 0)
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(TaskLost) as raised:
        list(each(pool_tasks.doubled, NUMBERS, workers=2, shared=("mm",)))
    assert str(raised.value) == (
        "3 processes in a row came to nothing before they began to work; the last could not be started: Resource temporarily unavailable; run the "
        "same command again with fewer --workers (1 needs none beside the command's own) or with more memory"
    )
    assert time.monotonic() - began >= 0.2, "a while goes by between the tries"


class SecondHeld(pool._Worker):
    """The second process is stopped as soon as it is there, and does not go on."""

    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        if type(self).count == 2:
            assert self.process.pid is not None
            os.kill(self.process.pid, signal.SIGSTOP)


def test_a_process_that_is_held_at_its_start_keeps_the_others_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds is to be handed to it."""
    monkeypatch.setattr(pool, "_Worker", SecondHeld)
    monkeypatch.setattr(SecondHeld, "count", 0)
    monkeypatch.setattr(pool, "END_SECONDS", 0.5)
    found = dict(each(pool_tasks.doubled, NUMBERS, workers=2, shared=("text " * 1_000_000,)))
    assert {number: text[:4] for number, text in found.items()} == {number: f"{2 * number} te" for number in range(5)}


def test_a_task_that_finds_no_memory_is_done_again_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where a batch system limits memory: there the kernel ends nobody."""
    engine, flag = Local(2), tmp_path / "lacked"
    how: dict[str, Any] = {"is_large": True, "on_device": [False] * 5, "names": [f"part {number}" for number in range(5)]}
    found = dict(engine.each(pool_tasks.lacks_memory_once, NUMBERS, shared=(str(flag),), **how))
    assert found == {number: number for number in range(5)}
    assert capsys.readouterr().err == "part 2: its process was lost to lack of memory (Unable to allocate 3.00 TiB); it is done again\n"
    assert engine.record()["workers_lost"] == 1


def test_one_that_never_finds_memory_is_named_with_where_it_asked_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskLost, match=r"task 1 of 2: 4 processes were given it, .* and all were lost, the last to lack of memory; what") as raised:
        list(each(pool_tasks.lacks_memory, [(0,), (1,)], workers=2))
    assert "in lacks_memory" in str(raised.value.__cause__)
    assert capsys.readouterr().err.count("it is done again") == TASK_LOSSES


SCRIPT = """
import time
from pool_tasks import process_of
from benchmark.engine.local import each
if __name__ == "__main__":
    try:
        print(len(list(each(process_of, [(0,), (1,), (2,)], workers=3))))
    except KeyboardInterrupt:
        print("stopped")
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
else:
    print("begins\\n", end="", flush=True)  # in one piece: three processes write at once
    time.sleep(1)
"""


def test_ctrl_c_while_processes_begin_is_answered_by_the_command_alone(tmp_path: Path) -> None:
    """A terminal sends it to all of them."""
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    command = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "begins\n"
    os.killpg(command.pid, signal.SIGINT)
    out, said = command.communicate(timeout=60)
    assert said == ""
    assert out.splitlines()[-1] == "stopped"


def test_a_program_that_is_in_no_file_is_told_so_before_anything_is_started() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-"], input=SCRIPT, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == (
        "NoFile: 3 processes were asked for, but the program that asks is read from <stdin>, where they cannot find it; save it as a file and run "
        "that, or ask for one (workers=1)\n"
    )
    assert done.stderr == ""


@pytest.mark.slow
def test_a_score_ends_in_the_same_bytes_in_any_number_of_processes_and_when_one_is_killed(tmp_path: Path) -> None:
    """So many reports that the command itself takes to a pool."""
    folder = tmp_path / "guests"
    folder.mkdir()
    env, flag, count = write_plugin(folder), tmp_path / "flag", 10_500
    for file, text in (("references", "Clear lungs {}."), ("predictions", "No clear lungs {} today.")):
        with (tmp_path / f"{file}.csv").open("w", newline="") as table:
            csv.writer(table).writerows([("id", "report"), *((f"case-{number}", text.format(number % 97)) for number in range(count))])

    def scored(name: str, *words: str) -> dict[str, bytes]:
        command = [sys.executable, "-m", "benchmark", "score", "--references", "references.csv", "--predictions", "predictions.csv"]
        more = ["--metrics", "rouge_l,fragile", "--draws", "50", "--no-page", "--out", name, *words]
        done = subprocess.run([*command, *more], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        files = [file for file in sorted((tmp_path / name).rglob("*")) if file.is_file() and file.name not in ("run.json", ".lock")]
        return {
            str(file.relative_to(tmp_path / name)): np.load(file)["statistics"].tobytes() if file.suffix == ".npz" else file.read_bytes()
            for file in files
        }

    flag.touch()
    words = ("--set", f"fragile.flag={flag}")
    alone = scored("alone", *words, "--workers", "1")
    assert len([name for name in alone if name.endswith(".npz")]) == 2
    assert scored("two", *words, "--workers", "2") == alone
    assert scored("four", *words, "--workers", "4") == alone
    flag.unlink()
    assert scored("killed", *words, "--workers", "2") == alone
    assert flag.exists()
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["provenance"]["engine"]["workers_lost"] == 1
