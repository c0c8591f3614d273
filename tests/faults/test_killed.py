"""kill -9 at fifty drawn moments of five commands: the same command typed again ends in the bytes of one that nobody disturbed.

A moment is either a change of the folder (just before a file is opened for writing, renamed or removed, by its number), or a time. Some kills take
the machine with them, and what was not brought to the disk; some are followed by the loss of the end of the reports, in the middle of a line.
Whatever happened, a seal vouches for nothing that is not there, and no model is asked for what is. ``FAULTS_SEED`` draws other moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from folders import contents, seal_is_true
from forked import Commands, Ended
from hospital import RUN, SCORE, TRAIN
from own_experiment import write_own_experiment

SEED = int(os.environ.get("FAULTS_SEED", "11"))
MODELS = ("--models", "constant,steady,together", "--set", "steady.seconds=0.01", "--set", "together.seconds=0.01")
COMMANDS = {
    "run": (*RUN, *MODELS),
    "generate": ("generate", "--dataset", "manifest:cases.csv", *MODELS, "--out", "out"),
    "score": SCORE,
}
FINISHED = 0.3  # of the kills are followed by the same command without one
TORN = 0.3  # by a file that lost its end
POWER = 0.25  # take the machine with them


def killed(
    commands: Commands,
    words: Sequence[str],
    folder: Path,
    kills: int,
    look: Callable[[Path], Any] = contents,
    whole: Callable[[Path], None] | None = None,
) -> None:
    """Kill the command so many times; between, and at last, let it come to its end and compare with one that was not disturbed.

    look   what is to be the same of two folders
    whole  holds of a folder whatever happened to it; without it, nor can the power go: the command has other processes write, or other languages
    """
    draw = random.Random(f"{SEED} {words[0]}")
    (folder / "asked").touch()
    began = time.monotonic()
    ended = commands.run(*words, folder=folder, counted=str(folder / "count"))
    seconds, changes = time.monotonic() - began, int((folder / "count").read_text())
    assert ended.status == 0, ended.stderr
    undisturbed = look(folder / "out")
    shutil.rmtree(folder / "out")
    done, history = 0, list[str]()
    while done < kills:
        with asked_for_what_is_missing(folder):
            moment = _killed_at(commands, words, folder, draw, changes, seconds, POWER if whole else 0)
        if moment:
            done += 1
            history.append(moment)
            print(f"seed {SEED}, {words[0]}: {', '.join(history)}")  # shown where what follows fails
            if whole:
                whole(folder / "out")
            if draw.random() < TORN and _torn(folder / "out", draw):
                history.append("and the end of the reports is lost")
            if draw.random() >= FINISHED and done < kills:
                continue
        with asked_for_what_is_missing(folder):
            ended = commands.run(*words, folder=folder)
        assert ended.status == 0, ended.stderr
        if whole:
            whole(folder / "out")
        assert look(folder / "out") == undisturbed
        shutil.rmtree(folder / "out")
        history = []


@contextmanager
def asked_for_what_is_missing(folder: Path) -> Iterator[None]:
    """The command that is run meanwhile asks ``steady`` once for each case of which there is no report, and for no other."""
    reports = folder / "out/steady/reports.jsonl"
    lines = reports.read_bytes().splitlines(keepends=True) if reports.exists() else []
    kept = {json.loads(line)["case_id"] for line in lines if line.endswith(b"\n")}
    (folder / "asked").write_text("")
    yield
    asked = (folder / "asked").read_text().split()
    assert len(asked) == len({*asked} - kept), f"asked for {asked}, and {sorted(kept)} were there"


def _killed_at(commands: Commands, words: Sequence[str], folder: Path, draw: random.Random, changes: int, seconds: float, power: float) -> str:
    """Start it, and kill it at a moment that is drawn; empty if it came to its end before."""
    if draw.random() < 0.5:
        at = draw.randint(1, changes)
        if draw.random() < power:
            return _status(commands.run(*words, folder=folder, power_at=at), f"without power before change {at} of {changes}")
        return _status(commands.run(*words, folder=folder, kill_at=at), f"killed before change {at} of {changes}")
    after = draw.uniform(0, seconds)
    command = commands.start(*words, folder=folder)
    time.sleep(after)
    command.kill()
    return _status(command.wait(), f"killed after {after:.2f} of {seconds:.2f} s")


def _status(ended: Ended, moment: str) -> str:
    assert ended.status in (0, -signal.SIGKILL), ended.stderr
    return moment if ended.status else ""


def _torn(out: Path, draw: random.Random) -> bool:
    """Take the end off a file of reports that is still being written."""
    files = [file for file in sorted(out.glob("*/reports.jsonl")) if file.stat().st_size] if out.exists() else []
    if not files or (out / "run.json").exists():
        return False
    file = draw.choice(files)
    os.truncate(file, file.stat().st_size - draw.randint(1, min(200, file.stat().st_size)))
    return True


def no_case_twice(out: Path) -> None:
    """Each case has one line at most, and each line is whole but the last; the seal is true."""
    seal_is_true(out)
    for file in out.glob("*/reports.jsonl"):
        lines = file.read_bytes().split(b"\n")[:-1]
        cases = [json.loads(line)["case_id"] for line in lines]
        assert len(cases) == len(set(cases)), file


@pytest.mark.parametrize(("name", "kills"), [("run", 3), ("generate", 1), ("score", 2)])
def test_a_few_kills_change_nothing(place: Path, commands: Commands, name: str, kills: int) -> None:
    killed(commands, COMMANDS[name], place, kills, whole=no_case_twice)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kills"), [("run", 14), ("generate", 9), ("score", 10)])
def test_many_kills_change_nothing(place: Path, commands: Commands, name: str, kills: int) -> None:
    killed(commands, COMMANDS[name], place, kills, whole=no_case_twice)


def trained(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[float]]]:
    """Weights, what stands beside them, and the curve, of which an epoch may have been written down twice."""
    from safetensors.numpy import load_file

    about = json.loads((out / "about.json").read_text())
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    curve = {f"{line['event']} {line.get('stage')} {line['epoch']}": line for line in log if "epoch" in line}
    same = [{name: value for name, value in line.items() if "second" not in name} for _, line in sorted(curve.items())]
    weights = {name: value.tolist() for name, value in load_file(out / "weights.safetensors").items()}
    return {name: value for name, value in about.items() if name not in ("seconds", "command")}, same, weights


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_in_the_same_weights_and_curve(tmp_path: Path, trainings: Commands) -> None:
    """Quick twins of it are in tests/clala/test_train.py."""
    pytest.importorskip("torch")
    killed(trainings, TRAIN, tmp_path, 9, trained)


DEMO = ("--seeds", "1", "--metrics", "rouge_l", "--draws", "20", "--profile", "demo", "--definitions", "own.toml", "--out", "out")
REPRODUCE = ("reproduce", "all", "--dataset", "manifest:cases.csv", *DEMO)


def aggregates(out: Path) -> dict[str, bytes]:
    """Every table and figure, and what each step wrote."""
    return {
        **contents(out / "tables"),
        **{name: data for name, data in contents(out / "reports").items() if name.endswith("reports.jsonl")},
    }


@pytest.mark.slow
def test_a_reproduction_that_is_killed_again_and_again_ends_in_the_same_tables(place: Path, commands: Commands) -> None:
    """Its steps are processes of their own, which go on; the next command waits for them. Quick twins: tests/benchmark/test_reproduce.py."""
    write_own_experiment(place / "own.toml", "steady")
    killed(commands, REPRODUCE, place, 8, aggregates)
