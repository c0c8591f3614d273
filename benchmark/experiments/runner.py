"""Runs the steps of a plan, several at a time, each as a process of its own; stopped however, the next run does what is not done.

A step is done when its record lies in ``steps``, written after the command came to its end, and names the same makings of what it needs as lie there
now: a detector that is trained again makes old news of whatever rests on it. Such a step begins from nothing; one that was merely interrupted goes on
from what it left. A record of another command is refused: what lies there was made otherwise.

    steps/NAME.json  a step that is done:    command, needs, seconds, id, commit
                     one that was only begun: command, needs, spent
    steps/NAME.log   what the command said, every attempt behind the one before
    steps/NAME.lock  held by the command's own process: where that outlives this one (which was killed), the next run waits for it to end, and then
                     lets the same command, which resumes by itself, find what it left
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmark import registry
from benchmark.experiments.plan import Plan, Step
from benchmark.progress import progress
from benchmark.provenance import git
from benchmark.records import STOPPING, UserError
from benchmark.runs import CannotWrite, take_lock, write_atomically, writing

LOOK_EVERY = 0.2  # seconds
GRACE = 10.0  # seconds between asking a step to stop and making it
LAST_WORDS = 400  # characters of a failed step's log that the message quotes
AT_RUN_TIME = {"generate": ("--retry-failed",)}
"""kind -> words that change no report and only ask anew for those that failed, so no part of what a step is known by"""


class OtherSteps(UserError):
    """The folder holds steps that were made by other commands."""


@dataclass
class Running:
    """A step whose command is at work."""

    step: Step
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_from: int
    """where in the log this attempt begins"""
    spent: float
    """seconds of earlier attempts"""
    needs: Mapping[str, str | None]
    """need -> the id of its record when this began"""
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Of all attempts."""
        return self.spent + time.monotonic() - self.began


def done_steps(plan: Plan, folder: Path) -> frozenset[str]:
    """The steps of the plan that are done. Raises ``OtherSteps``."""
    done: dict[str, str | None] = {}
    for step in plan.steps:
        record = read_record(folder, step.name)
        if record is None:
            continue
        _check_same(record["command"], step, folder)
        # What rests on a step that must be done again, or was since, must be done again, too. Records without ids are of before there were any.
        if step.out.is_dir() and all(need in done and record["needs"].get(need) == done[need] for need in step.needs):
            done[step.name] = record["id"]
    return frozenset(done)


def seconds_of(plan: Plan, folder: Path) -> dict[str, float]:
    """Step -> how long it took in all its attempts, of those that are done."""
    return {step.name: record["seconds"] for step in plan.steps if (record := read_record(folder, step.name))}


def commits_of(plan: Plan, folder: Path) -> dict[str, str | None]:
    """Step -> the commit of the code that did it, ``-dirty`` behind it if files were changed since; None where nobody wrote it down."""
    return {step.name: record["commit"] for step in plan.steps if (record := read_record(folder, step.name))}


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """What was written down when a step was done: command, needs, seconds, id, commit; None if it is not done, or no sense can be made of it."""
    found = _read(folder, name)
    seconds = found.get("seconds")
    if not found or not _is_number(seconds) or not all(found[key] is None or isinstance(found[key], str) for key in ("id", "commit")):
        return None
    return found


def _read(folder: Path, name: str) -> dict[str, Any]:
    """A record of a step that is done or begun; empty if there is none that makes sense."""
    try:
        found = json.loads((folder / "steps" / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    found = {"needs": {}, "id": None, "commit": None, **found}
    command, needs = found.get("command"), found["needs"]
    is_sound = isinstance(command, list) and all(isinstance(word, str) for word in command) and isinstance(needs, dict)
    return found if is_sound else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def run_steps(plan: Plan, folder: Path, *, jobs: int, environment: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """Do what is not done; the steps that failed, with the reason, or that could not begin because of one that did.

    jobs         steps at a time
    environment  variables of every step beside those of this process
    say          is told of each step that begins and ends

    Whatever fails, all that does not rest on it is done. Stopped (Ctrl-C, or what a scheduler sends), it stops its steps first.
    """
    done = set(done_steps(plan, folder))
    waiting = {step.name: step for step in plan.steps if step.name not in done}
    running: dict[str, Running] = {}
    failed: dict[str, str] = {}
    told_of = set[str]()
    commit = _commit()
    with writing(folder):
        (folder / "steps").mkdir(parents=True, exist_ok=True)
    urgency = _urgency(plan)
    with _stoppable() as stop_if_asked, progress("reproduce", len(plan.steps), done=len(done), unit="steps") as advance:
        try:
            while waiting or running:
                stop_if_asked()
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
                    say(f"{name}: begun, log in steps/{name}.log")
                for name in [name for name, one in running.items() if one.process.poll() is not None]:
                    one = running.pop(name)
                    one.log.close()
                    seconds = one.seconds
                    why, note = _outcome(one, folder)
                    if why:
                        failed[name] = why
                        _write(folder, name, _begun(one.step, one.needs, seconds))
                        say(f"{name}: {why}")
                        continue
                    _write(folder, name, _done(one.step, one.needs, seconds, commit))
                    shutil.rmtree(one.step.out / "work", ignore_errors=True)  # the states that it would have gone on from
                    done.add(name)
                    advance(1)
                    at_work = {other: two.seconds / 60 for other, two in running.items()}
                    left = plan.minutes(jobs, frozenset(done | failed.keys()), took=seconds_of(plan, folder), begun=at_work)
                    say(f"{name}: {seconds / 60:.1f} min; {len(done)} of {len(plan.steps)} steps done, about {left:.0f} min left{note}")
                if running or waiting:
                    time.sleep(LOOK_EVERY)
        finally:
            _stop_all(running, folder)
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
    with lock:
        if not take_lock(lock, folder / "steps"):
            return None
        needs = {need: record["id"] if (record := read_record(folder, need)) else None for need in step.needs}
        spent = _clear(step, folder, needs)
        _write(folder, step.name, _begun(step, needs, spent))
        with writing(folder):
            log = (folder / "steps" / f"{step.name}.log").open("ab")
        command = [sys.executable, "-m", "benchmark", *step.words, *AT_RUN_TIME.get(step.kind, ())]
        # A group of its own: what becomes of it, and of the processes that help it, when this one is told to stop is for this one to say.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            pass_fds=(lock.fileno(),),
            process_group=0,
        )
    return Running(step, process, log, log.tell(), spent, needs)


def _clear(step: Step, folder: Path, needs: Mapping[str, str | None]) -> float:
    """Seconds that earlier attempts spent on what lies there; what was made of other makings of its needs goes, and counts as nothing.

    The record goes last: killed between the two, the next run still knows that what is left is old.
    """
    before = _read(folder, step.name)
    if before and any(before["needs"].get(need) != now for need, now in needs.items()):
        with writing(step.out), suppress(FileNotFoundError):
            shutil.rmtree(step.out)
        return 0.0
    spent = before.get("spent")
    return float(spent) if spent is not None and _is_number(spent) else 0.0


def _begun(step: Step, needs: Mapping[str, str | None], spent: float) -> dict[str, Any]:
    return {"command": list(step.words), "needs": dict(needs), "spent": round(spent, 1)}


def _done(step: Step, needs: Mapping[str, str | None], seconds: float, commit: str | None) -> dict[str, Any]:
    """The id is drawn: two trainings of one command are two, whether or not they came to the same bytes."""
    return {"command": list(step.words), "needs": dict(needs), "seconds": round(seconds, 1), "id": secrets.token_hex(8), "commit": commit}


def _write(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    with writing(folder):
        write_atomically(folder / "steps" / f"{name}.json", json.dumps(record))


def _commit() -> str | None:
    """Of the code that runs the steps; asked once, since a run of days outlives many a commit."""
    commit = git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and git("status", "--porcelain", "--untracked-files=no") else commit


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
    """A function to call where stopping harms nothing: it raises what Ctrl-C raises if that, or what a scheduler sends, has come meanwhile.

    A second one does not wait for it. Only the first thread may say what a signal does; in another one, signals stay what they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOPPING}
    came: list[int] = []

    def stop() -> None:
        handler = before[came[0]]
        if callable(handler):
            handler(came[0], None)
        raise KeyboardInterrupt

    def take(number: int, _frame: object) -> None:
        came.append(number)
        if len(came) > 1:
            stop()

    def check() -> None:
        if came:
            stop()

    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup: a closed terminal is to stop nothing
                signal.signal(number, take)
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _stop_all(running: Mapping[str, Running], folder: Path) -> None:
    """Ask every step to stop, as Ctrl-C would: it then stops what it started itself. After a while, make it; a second interrupt makes it at once."""
    try:
        for one in running.values():
            _send(one, signal.SIGINT)
        ends = time.monotonic() + GRACE
        for one in running.values():
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(max(0.0, ends - time.monotonic()))
    finally:
        for one in running.values():
            _send(one, signal.SIGKILL)
        for name, one in running.items():
            one.process.wait()
            one.log.close()
            with suppress(CannotWrite):  # how long it took is not worth another error
                _write(folder, name, _begun(one.step, one.needs, one.seconds))


def _send(one: Running, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(one.process.pid, number)


def _outcome(one: Running, folder: Path) -> tuple[str, str]:
    """Of a command that ended: why it failed, empty if it did not; and what is to be said of it besides."""
    if one.process.returncode:
        return _why(one, folder), ""
    if one.step.kind != "generate":
        return "", ""
    count, failures = 0, list[str]()
    for file in sorted(one.step.out.glob("*/reports.jsonl")):
        with file.open("rb") as lines:
            for line in lines:
                count += 1
                if failure := json.loads(line).get("failure"):
                    failures.append(str(failure))
    if count == len(failures):
        first = f"every case failed, all {count:,} of them, the first: {failures[0][:LAST_WORDS]}" if failures else "it wrote no report"
        return f"{first} (the rest in steps/{one.step.name}.log)", ""
    return "", f"; {len(failures):,} of {count:,} cases failed, the first: {failures[0][:LAST_WORDS]}" if failures else ""


def _why(one: Running, folder: Path) -> str:
    """Why a step failed: the last line that this attempt wrote which says so, and where the rest lies."""
    name, status = one.step.name, one.process.returncode
    with (folder / "steps" / f"{name}.log").open("rb") as log:
        log.seek(one.log_from)
        lines = log.read().decode("utf-8", "replace").strip().splitlines() or ["no word"]
    said = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])
    return f"{_ended(status)}: {said.removeprefix('error: ')[:LAST_WORDS]} (the rest in steps/{name}.log)"


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed ({name}{', often for want of memory' if -status == signal.SIGKILL else ''})"


def _check_same(before: Sequence[str], step: Step, folder: Path) -> None:
    """Raise ``OtherSteps`` if what is done was done by another command.

    Wherever the folder of everything was and however it was named, it is the same; so is data that lay in a place which is no more. On which device
    is no matter once it is done.
    """
    there, here = list(before), list(step.words)
    place_there, place_here = _word_after(there, "--dataset"), _word_after(here, "--dataset")
    if place_there and place_here and _is_same_data(place_there, place_here):
        there[there.index("--dataset") + 1] = place_here
    there, here = _masked(there, step), _masked(here, step)
    if there != here:
        raise OtherSteps(
            f"{folder}: the step {step.name} was made by another command, `{_differs(there, here)}` there and not here; "
            f"choose another folder with --out, or delete steps/{step.name}.json and what it made in {step.out.name}"
        )


def _masked(words: list[str], step: Step) -> list[str]:
    """The words without the device, and with the folder of everything called OUT."""
    words = list(words)
    if _word_after(words, "--device"):
        at = words.index("--device")
        del words[at : at + 2]
    own = "/".join(step.out.parts[-2:])  # weights/stage1-main-42
    out = _word_after(words, "--out")
    if not out.endswith(own):
        return words
    root = re.compile(rf"(^|[=:]){re.escape(out.removesuffix(own))}(?=(?:weights|reports|crops)(?:/|$))")
    return [root.sub(r"\1OUT/", word) for word in words]


def _is_same_data(there: str, here: str) -> bool:
    """Whether two names of a dataset are of the same place, or the first of one that is no more."""
    before, now = registry.parse_spec(there), registry.parse_spec(here)
    if before.name != now.name or not before.argument or not now.argument:
        return there == here
    old, new = Path(before.argument).expanduser(), Path(now.argument).expanduser()
    if old.exists():
        return old.resolve() == new.resolve()
    return there == here or (os.sep in before.argument and os.sep in now.argument)


def _word_after(words: Sequence[str], flag: str) -> str:
    """The value of a flag; empty if the words do not have it."""
    at = words.index(flag) + 1 if flag in words else len(words)
    return words[at] if at < len(words) else ""


def _differs(there: Sequence[str], here: Sequence[str]) -> str:
    """The first word that only the earlier command has, or its length where it is but the start of this one."""
    for before, now in zip(there, here, strict=False):
        if before != now:
            return before
    return " ".join(there[len(here) :]) or "(fewer words)"
