"""Runs the steps of a plan, several at a time, each as a process of its own; stopped however, the next run does what is not done.

A step is done when its record lies in ``steps``, written after the command came to its end. A record of another command is refused: what lies
there was made otherwise. A process that outlives this one (it was killed, the step was not) holds the lock of its step until it ends; the next run
waits for it and then lets the same command, which resumes by itself, find what it left.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmark.experiments.plan import Plan, Step
from benchmark.progress import progress
from benchmark.records import UserError
from benchmark.runs import write_atomically, writing

LOOK_EVERY = 0.2  # seconds
LAST_WORDS = 400  # characters of a failed step's log that the message quotes


class OtherSteps(UserError):
    """The folder holds steps that were made by other commands."""


@dataclass
class Running:
    """A step whose command is at work."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float = field(default_factory=time.monotonic)


def done_steps(plan: Plan, folder: Path) -> frozenset[str]:
    """The steps of the plan that are done. Raises ``OtherSteps``."""
    done = set()
    for step in plan.steps:
        record = read_record(folder, step.name)
        if record is None:
            continue
        if record["command"] != list(step.words):
            raise OtherSteps(
                f"{folder}: the step {step.name} was made by another command, `{_differs(record['command'], step.words)}` there and not here; "
                f"choose another folder with --out, or delete steps/{step.name}.json and what it made in {step.out.name}"
            )
        if step.out.is_dir():
            done.add(step.name)
    # What rests on a step that must be done again must be done again, too.
    for step in plan.steps:
        if step.name in done and not set(step.needs) <= done:
            done.discard(step.name)
    return frozenset(done)


def seconds_of(plan: Plan, folder: Path) -> dict[str, float]:
    """Step -> how long it took, of those that are done."""
    return {step.name: record["seconds"] for step in plan.steps if (record := read_record(folder, step.name))}


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """What was written down when a step was done; None if it was not, or only half of it was."""
    try:
        found = json.loads((folder / "steps" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"command", "seconds"} <= found.keys() else None


def run_steps(plan: Plan, folder: Path, *, jobs: int, environment: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """Do what is not done; the steps that failed, with the reason, or that could not begin because of one that did.

    jobs         steps at a time
    environment  variables of every step beside those of this process
    say          is told of each step that ends

    Whatever fails, all that does not rest on it is done.
    """
    done = set(done_steps(plan, folder))
    waiting = {step.name: step for step in plan.steps if step.name not in done}
    running: dict[str, Running] = {}
    failed: dict[str, str] = {}
    spent, estimated = 0.0, 0.0
    told_of = set[str]()
    with writing(folder):
        (folder / "steps").mkdir(parents=True, exist_ok=True)
    urgency = _urgency(plan)
    with progress("reproduce", len(plan.steps), done=len(done), unit="steps") as advance:
        try:
            while waiting or running:
                for name in [name for name, step in waiting.items() if set(step.needs) & failed.keys()]:
                    because = next(need for need in waiting[name].needs if need in failed)
                    failed[name] = f"not begun: {because} failed"
                    del waiting[name]
                ready = sorted((name for name, step in waiting.items() if set(step.needs) <= done), key=lambda name: -urgency[name])
                for name in ready[: jobs - len(running)]:
                    started = _start(waiting[name], folder, environment)
                    if started is None:
                        if name not in told_of:
                            told_of.add(name)
                            say(f"{name}: an earlier command is still at it; waiting for it to end")
                        continue
                    running[name] = started
                    del waiting[name]
                for name in [name for name, one in running.items() if one.process.poll() is not None]:
                    one = running.pop(name)
                    one.log.close()
                    step, seconds = next(step for step in plan.steps if step.name == name), time.monotonic() - one.began
                    if one.process.returncode:
                        failed[name] = _why(folder, name, one.process.returncode)
                        say(f"{name}: {failed[name]}")
                        continue
                    _record(step, folder, seconds)
                    done.add(name)
                    spent, estimated = spent + seconds / 60, estimated + step.minutes
                    advance(1)
                    left = plan.minutes(jobs, frozenset(done)) * spent / estimated
                    say(f"{name}: {seconds / 60:.1f} min; {len(done)} of {len(plan.steps)} steps done, about {left:.0f} min left")
                time.sleep(LOOK_EVERY)
        finally:
            for one in running.values():
                one.process.terminate()
            for one in running.values():
                one.process.wait()
                one.log.close()
    return failed


def _urgency(plan: Plan) -> dict[str, float]:
    """Step -> minutes of the longest chain that begins with it: who has most behind it goes first."""
    behind: dict[str, float] = {}
    for step in reversed(plan.steps):
        behind[step.name] = step.minutes + max((behind[later.name] for later in plan.steps if step.name in later.needs), default=0.0)
    return behind


def _start(step: Step, folder: Path, environment: Mapping[str, str]) -> Running | None:
    """The step's process, or None if another one holds its lock. The lock is the process's own: it goes when that ends, however it does."""
    with writing(folder):
        lock = (folder / "steps" / f"{step.name}.lock").open("a")
        log = (folder / "steps" / f"{step.name}.log").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        log.close()
        return None
    command = [sys.executable, "-m", "benchmark", *step.words]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}, pass_fds=(lock.fileno(),)
    )
    lock.close()
    return Running(process, log)


def _record(step: Step, folder: Path, seconds: float) -> None:
    """Write down that the step is done, and drop the states that it would have gone on from."""
    with writing(folder):
        write_atomically(folder / "steps" / f"{step.name}.json", json.dumps({"command": list(step.words), "seconds": round(seconds, 1)}))
    shutil.rmtree(step.out / "work", ignore_errors=True)


def _why(folder: Path, name: str, status: int) -> str:
    """Why a step failed: the last line of its log that says so, and where the rest lies."""
    lines = (folder / "steps" / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no word"]
    said = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])
    return f"ended with status {status}: {said.removeprefix('error: ')[:LAST_WORDS]} (the rest in steps/{name}.log)"


def _differs(there: list[str], here: tuple[str, ...]) -> str:
    """The first word that only the earlier command has, or its length where it is but the start of this one."""
    for before, now in zip(there, here, strict=False):
        if before != now:
            return before
    return " ".join(there[len(here) :]) or "(fewer words)"
