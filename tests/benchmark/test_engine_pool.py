"""The pool of this machine: the same results in any number of processes, whichever are lost; and nothing that it waits for in vain."""

from __future__ import annotations

import csv
import json
import os
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

from benchmark.engine import Local
from benchmark.engine.local import each
from benchmark.engine.pool import STARTS_IN_A_ROW
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
        TaskLost, match=rf"{STARTS_IN_A_ROW} processes in a row were lost before they began to work, the last to status 3; run the same"
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
    assert not Path(f"/proc/{process}").exists()


def gather(found: dict[int, Any], results: Iterator[tuple[int, Any]]) -> None:
    for index, result in results:
        found[index] = result


def test_no_task_starts_nobody() -> None:
    assert list(each(pool_tasks.doubled, [], workers=2, shared=("mm",))) == []


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
