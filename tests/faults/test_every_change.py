"""What befalls a command at one of the changes that it makes to its folder, by the number of the change: a full disk, no power, a signal.

A folder changes a hundred times in a run: settings, reports, statistics, each table, the seal, each part of the page. The quick tests draw one of
them, the slow ones half a dozen, ``FAULTS_SEED`` others. A kill at such moments is in ``test_killed.py``.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from folders import contents, seal_is_true
from forked import Commands, Ended
from hospital import TRAIN, moved_into
from own_experiment import write_own_experiment
from test_disks import refused
from test_killed import COMMANDS, REPRODUCE, SEED, aggregates, trained


def without_room(ended: Ended) -> None:
    refused(ended, "No space left on device")


def beyond_quota(ended: Ended) -> None:
    refused(ended, os.strerror(errno.EDQUOT))


def without_power(ended: Ended) -> None:
    assert ended.status == -signal.SIGKILL


def by_signal(number: signal.Signals) -> Callable[[int], dict[str, Any]]:
    return lambda change: {"kill_at": change, "by": number}


def stopped_by(number: signal.Signals) -> Callable[[Ended], None]:
    """One line, and the exit status that a shell gives to what a signal ended."""

    def stopped(ended: Ended) -> None:
        assert ended.status == 128 + number, ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("interrupted; ")]
        assert line == "interrupted; what was done is kept, the same command goes on from there"
        assert "Traceback" not in ended.stderr

    return stopped


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what a scheduler sends, what a terminal sends that is closed"""
FAULTS: dict[str, tuple[Callable[[int], dict[str, Any]], Callable[[Ended], None]]] = {
    "full": (lambda change: {"full_at": change}, without_room),
    "quota": (lambda change: {"quota_at": change}, beyond_quota),
    "no power": (lambda change: {"power_at": change}, without_power),
    **{number.name: (by_signal(number), stopped_by(number)) for number in STOPPING},
}
"""name -> how it is brought about at a change, and what is to become of the command"""


class Undisturbed(NamedTuple):
    """A command to which nothing happened."""

    words: Sequence[str]
    changes: int
    """how often it changed its folder"""
    look: Callable[[Path], Any]
    """what of two folders is to be the same"""
    whole: Any
    """that of its own"""


@pytest.fixture(scope="module")
def undisturbed(hospital: Path, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """Of a command by its name; each is run once."""

    @cache
    def of(name: str) -> Undisturbed:
        return run_alone(commands, COMMANDS[name], moved_into(hospital, tmp_path_factory.mktemp("undisturbed")))

    return of


def run_alone(commands: Commands, words: Sequence[str], folder: Path, look: Callable[[Path], Any] = contents) -> Undisturbed:
    ended = commands.run(*words, folder=folder, counted=str(folder / "count"))
    assert ended.status == 0, ended.stderr
    return Undisturbed(words, int((folder / "count").read_text()), look, look(folder / "out"))


def befallen(place: Path, commands: Commands, alone: Undisturbed, fault: str, draws: int, *others: int) -> None:
    """At each of the drawn changes of its own, and at these others, and then the same command undisturbed."""
    bring, expect = FAULTS[fault]
    draw = random.Random(f"{SEED} {alone.words[0]} {fault}")
    for change in [*draw.sample(range(1, alone.changes + 1), draws), *others]:
        print(f"seed {SEED}, {alone.words[0]}: {fault} at change {change} of {alone.changes}")  # shown where what follows fails
        expect(commands.run(*alone.words, folder=place, **bring(change)))
        seal_is_true(place / "out")
        ended = commands.run(*alone.words, folder=place)
        assert ended.status == 0, ended.stderr
        seal_is_true(place / "out")
        assert alone.look(place / "out") == alone.whole
        shutil.rmtree(place / "out")


@pytest.mark.parametrize("fault", ["full", "SIGTERM"])
def test_at_one_change_nothing_is_lost(place: Path, commands: Commands, undisturbed: Callable[[str], Undisturbed], fault: str) -> None:
    befallen(place, commands, undisturbed("run"), fault, 1)


def test_what_is_sealed_is_there_though_the_power_went(place: Path, commands: Commands, undisturbed: Callable[[str], Undisturbed]) -> None:
    """At the very last change of a run; any other is drawn in the slow tests."""
    alone = undisturbed("run")
    befallen(place, commands, alone, "no power", 0, alone.changes)


def test_a_quota_that_is_found_out_when_the_run_is_sealed_is_said(place: Path, commands: Commands, hospital: Path, tmp_path: Path) -> None:
    """Nobody waited before for what tables and statistics hold; without a page, the last four changes are those of ``run.json``, written twice."""
    (tmp_path / "alone").mkdir()
    alone = run_alone(commands, (*COMMANDS["score"], "--no-page"), moved_into(hospital, tmp_path / "alone"))
    beyond_quota(commands.run(*alone.words, folder=place, quota_at=alone.changes - 3))
    assert (place / "out/summary.md").exists()
    assert not (place / "out/run.json").exists()
    assert commands.run(*alone.words, folder=place).status == 0
    assert contents(place / "out") == alone.whole


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_at_many_changes_nothing_is_lost(place: Path, commands: Commands, undisturbed: Callable[[str], Undisturbed], fault: str, name: str) -> None:
    befallen(place, commands, undisturbed(name), fault, 6)


@pytest.mark.slow
def test_a_reproduction_loses_nothing_either(place: Path, commands: Commands) -> None:
    """Without a power cut: its steps are processes of their own, whose files that would not know."""
    write_own_experiment(place / "own.toml", "steady")
    alone = run_alone(commands, REPRODUCE, place, aggregates)
    shutil.rmtree(place / "out")
    for fault in ("full", "SIGINT", "SIGTERM"):
        befallen(place, commands, alone, fault, 2)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_loses_nothing_either(tmp_path: Path, trainings: Commands, fault: str) -> None:
    pytest.importorskip("torch")
    alone = run_alone(trainings, TRAIN, tmp_path, trained)
    shutil.rmtree(tmp_path / "out")
    befallen(tmp_path, trainings, alone, fault, 2)
