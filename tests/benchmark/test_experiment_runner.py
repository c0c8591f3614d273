"""Steps as processes: what is done, what is old news, how they are stopped, and what is said of those that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from benchmark.experiments.plan import Plan, Step
from benchmark.experiments.runner import OtherSteps, commits_of, done_steps, run_steps, seconds_of

# Answers eight cases: it may be told to fail the first or all of them, or to wait in the middle until it is told to go on.
MODEL = """
import json, pathlib, sys, time

for number, line in enumerate(sys.stdin):
    while number == 5 and pathlib.Path("slow").exists():
        time.sleep(0.05)
    with open("asked", "a") as asked:
        asked.write(".")
    fails = pathlib.Path("all_fail").exists() or (number == 0 and pathlib.Path("one_fails").exists())
    said = {"failure": "the image is upside down"} if fails else {"report": "The lungs are clear."}
    print(json.dumps({"id": json.loads(line)["id"], **said}), flush=True)
"""
RUNNER = """
from test_experiment_runner import writes
from benchmark.experiments.runner import run_steps
from pathlib import Path
run_steps(writes(), Path("out"), jobs=1, environment={}, say=print)
"""


def writes() -> Plan:
    """One step, of a model in another program."""
    out = Path("out/reports/mine-42")
    model = f"mine=command:'{sys.executable} model.py'"
    words = ("generate", "--models", model, "--dataset", "phantom:train=8,validate=4,test=8", "--seed", "42", "--device", "auto", "--out", str(out))
    return Plan((Step("reports-mine-42", words, out, kind="generate"),), {}, ())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the model in it."""
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(plan: Plan) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    return run_steps(plan, Path("out"), jobs=1, environment={}, say=said.append), said


def begun() -> subprocess.Popen[bytes]:
    """A runner in a process of its own, in the middle of its step."""
    quiet = subprocess.DEVNULL
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))}
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], stdout=quiet, stderr=quiet, env=where)
    until(lambda: asked() == 5)
    return runner


def asked() -> int:
    """For how many cases the model was asked."""
    return Path("asked").stat().st_size if Path("asked").exists() else 0


def test_what_a_scheduler_sends_stops_the_step_and_the_model_that_the_step_started(place: Path) -> None:
    (place / "slow").touch()
    runner = begun()
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) != 0
    (place / "slow").unlink()
    time.sleep(1)
    assert asked() == 5  # nobody goes on alone
    record = json.loads((place / "out/steps/reports-mine-42.json").read_text())
    assert record["spent"] > 0
    assert not done_steps(writes(), Path("out"))

    failed, _ = ran(writes())
    assert not failed
    assert 8 <= asked() <= 8 + 5
    assert seconds_of(writes(), Path("out"))["reports-mine-42"] > record["spent"]  # both attempts


def test_a_step_that_outlives_a_killed_runner_is_waited_for_and_not_begun_a_second_time(place: Path) -> None:
    (place / "slow").touch()
    runner = begun()
    runner.kill()
    runner.wait()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        (place / "slow").unlink(missing_ok=True)

    assert not run_steps(writes(), Path("out"), jobs=1, environment={}, say=say)
    assert said[0] == "reports-mine-42: an earlier command is still at it; waiting for it to end"
    assert asked() == 8  # for each case once


def test_a_model_that_fails_every_case_has_failed_and_is_asked_again(place: Path) -> None:
    (place / "all_fail").touch()
    failed, _ = ran(writes())
    assert "every case failed, all 8 of them, the first: the image is upside down" in failed["reports-mine-42"]
    (place / "all_fail").unlink()
    (place / "one_fails").touch()
    failed, said = ran(writes())
    assert not failed
    assert asked() == 16
    assert "begun, log in steps/reports-mine-42.log" in said[0]
    assert "1 of 8 cases failed, the first: the image is upside down" in said[-1]
    assert done_steps(writes(), Path("out")) == {"reports-mine-42"}
    commit = commits_of(writes(), Path("out"))["reports-mine-42"]
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_the_reason_is_of_this_attempt(place: Path) -> None:
    (place / "out/steps").mkdir(parents=True)
    (place / "out/steps/a.log").write_text("error: the disk of last week was full\n")
    failed, _ = ran(Plan((refused("a"),), {}, ()))
    assert failed["a"].startswith("ended with status 2: no model named 'nobody'")


def test_a_step_that_was_killed_is_said_to_be(place: Path) -> None:
    (place / "slow").touch()

    def say(line: str) -> None:
        if line.endswith("begun, log in steps/reports-mine-42.log"):
            until(lambda: asked() == 5)
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()  # whoever runs the tests may have others
            (step,) = [child for child in children if "\0generate\0" in Path(f"/proc/{child}/cmdline").read_text()]
            os.kill(int(step), signal.SIGKILL)

    failed = run_steps(writes(), Path("out"), jobs=1, environment={}, say=say)
    (place / "slow").unlink()
    assert failed["reports-mine-42"].startswith("was killed (SIGKILL, often for want of memory)")


def refused(name: str, *needs: str) -> Step:
    """A step that ends at once, having made nothing."""
    out = Path("out/weights") / name
    return Step(name, ("generate", "--models", "nobody", "--out", str(out)), out, needs, kind="stage1")


def chain() -> Plan:
    """Three steps, each of the one before."""
    steps: list[Step] = []
    for name, kind in (("detector", "detector"), ("stage1-main-42", "stage1"), ("stage2-main-42", "stage2")):
        out = Path("out/weights") / name
        words = ("train", kind, "--dataset", "phantom", "--device", "auto", *(("--start", str(steps[-1].out)) if steps else ()), "--out", str(out))
        steps.append(Step(name, words, out, tuple(step.name for step in steps[-1:]), kind=kind))
    return Plan(tuple(steps), {}, ())


def recorded(step: Step, **more: Any) -> None:
    """As if the step was done."""
    step.out.mkdir(parents=True, exist_ok=True)
    Path("out/steps").mkdir(exist_ok=True)
    Path(f"out/steps/{step.name}.json").write_text(json.dumps({"command": list(step.words), "seconds": 1.5, **more}))


def test_records_of_before_there_were_ids_are_believed(place: Path) -> None:
    for step in chain().steps:
        recorded(step)
    assert done_steps(chain(), Path("out")) == {"detector", "stage1-main-42", "stage2-main-42"}


def test_what_rests_on_a_step_that_was_done_again_is_to_be_done_again(place: Path) -> None:
    first, second, third = chain().steps
    recorded(first, id="one")
    recorded(second, id="two", needs={"detector": "one"})
    recorded(third, id="three", needs={"stage1-main-42": "two"})
    assert len(done_steps(chain(), Path("out"))) == 3
    recorded(first, id="another")
    assert done_steps(chain(), Path("out")) == {"detector"}
    recorded(second, id="new", needs={"detector": "another"})
    assert done_steps(chain(), Path("out")) == {"detector", "stage1-main-42"}


@pytest.mark.parametrize("state", [{"seconds": 1.0}, {"spent": 1.0}], ids=["done", "interrupted"])
def test_what_was_made_of_older_weights_is_cleared_away_and_what_was_interrupted_is_not(place: Path, state: dict[str, float]) -> None:
    """Else the reports of old weights would refuse those of new ones for ever."""
    detector, step = chain().steps[0], refused("a", "detector")
    for need, is_kept in (("new", True), ("old", False)):
        recorded(detector, id="new")
        step.out.mkdir(parents=True, exist_ok=True)
        (step.out / "left").touch()
        Path("out/steps/a.json").write_text(json.dumps({"command": list(step.words), "needs": {"detector": need}, **state}))
        if is_kept and "seconds" in state:
            assert done_steps(Plan((detector, step), {}, ()), Path("out")) == {"detector", "a"}
            continue
        ran(Plan((detector, step), {}, ()))
        assert (step.out / "left").exists() is is_kept


def test_a_folder_that_was_moved_or_is_named_otherwise_is_taken_up(place: Path) -> None:
    for step in chain().steps:
        recorded(step)
    (place / "out").rename(place / "kept")
    here = place / "kept"
    steps = []
    for step in chain().steps:
        words = tuple(word.replace("out/", f"{here}/").replace("auto", "cuda:1") for word in step.words)
        steps.append(Step(step.name, words, here / step.out.relative_to("out"), step.needs))
    moved = Plan(tuple(steps), {}, ())
    assert len(done_steps(moved, here)) == 3


def test_other_data_in_the_same_folder_is_refused_but_not_data_that_was_moved(place: Path) -> None:
    def step(data: str) -> Plan:
        out = Path("out/weights/detector")
        return Plan((Step("detector", ("train", "detector", "--dataset", data, "--out", str(out)), out),), {}, ())

    (place / "first").mkdir()
    (place / "second").mkdir()
    recorded(step(f"chest_imagenome:{place}/first").steps[0])
    assert done_steps(step("chest_imagenome:first"), Path("out"))
    with pytest.raises(OtherSteps, match="first` there and not here"):
        done_steps(step(f"chest_imagenome:{place}/second"), Path("out"))
    (place / "first").rename(place / "third")
    assert done_steps(step(f"chest_imagenome:{place}/third"), Path("out"))
    with pytest.raises(OtherSteps):
        done_steps(step("phantom:small"), Path("out"))


NONSENSE = ["", "{", "[]", "3", "[" * 9999, '{"command": 3, "seconds": 1}']
NONSENSE += ['{"command": [], "seconds": "long"}', '{"command": [], "seconds": -1}', '{"command": [], "seconds": 1, "needs": 4}']


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_a_record_that_makes_no_sense_is_of_no_step(place: Path, text: str) -> None:
    recorded(chain().steps[0])
    Path("out/steps/detector.json").write_text(text)
    assert done_steps(chain(), Path("out")) == frozenset()
    assert seconds_of(chain(), Path("out")) == {}
