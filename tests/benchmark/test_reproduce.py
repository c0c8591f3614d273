"""`reproduce` as a person runs it: steps as processes, stopped and gone on with, failed and mended, and the aggregates that it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from own_experiment import write_own_experiment
from waiting import until

from benchmark.runs import sha256

OTHER = """
import json, pathlib, sys, time

for number, line in enumerate(sys.stdin):
    if pathlib.Path("broken").exists():
        sys.exit("it is broken")
    while number == 5 and pathlib.Path("slow").exists():  # in the middle, until it is told to go on
        time.sleep(0.05)
    with open("asked", "a") as asked:
        asked.write(".")
    print(json.dumps({"id": json.loads(line)["id"], "report": "The lungs are clear. There is a small left pleural effusion."}), flush=True)
"""
REPRODUCE = [
    sys.executable,
    "-m",
    "benchmark",
    "reproduce",
    "all",
    "--dataset",
    "phantom:train=8,validate=4,test=12",
    "--seeds",
    "2",
    "--metrics",
    "rouge_l",
]
REPRODUCE += ["--draws", "50", "--profile", "demo", "--definitions", "own.toml", "--out", "out"]


def begun(folder: Path) -> subprocess.Popen[str]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(REPRODUCE, cwd=folder, stdout=quiet, stderr=quiet, text=True)


def done(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REPRODUCE, *more], cwd=folder, capture_output=True, text=True, timeout=280, check=False)


def asked(folder: Path) -> int:
    """How many cases the other model was asked for."""
    return (folder / "asked").stat().st_size if (folder / "asked").exists() else 0


def tables(folder: Path) -> dict[str, str]:
    """Every aggregate but the record, which has times in it, by content."""
    return {file.name: sha256(file) for file in sorted((folder / "out/tables").iterdir()) if file.name != "run.json"}


def experiments(folder: Path) -> Path:
    write_own_experiment(folder / "own.toml", f"other=command:'{sys.executable} other.py'")
    (folder / "other.py").write_text(OTHER)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with experiments of one's own: a constant, and a model in another program that can be stopped and broken."""
    return experiments(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, reproduced without a fault and published."""
    folder = experiments(tmp_path_factory.mktemp("undisturbed"))
    found = done(folder, "--publish", "published")
    assert found.returncode == 0, found.stderr
    return folder


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of it to do something to."""
    return Path(shutil.copytree(undisturbed, tmp_path / "copy"))


def test_killed_in_the_middle_it_goes_on_and_comes_to_the_same_bytes(own: Path, undisturbed: Path) -> None:
    (own / "slow").touch()
    stopped = begun(own)
    until(lambda: asked(own) == 5)
    steps = Path(f"/proc/{stopped.pid}/task/{stopped.pid}/children").read_text().split()
    stopped.kill()
    for step in steps:
        os.kill(int(step), signal.SIGKILL)
    stopped.wait()
    (own / "slow").unlink()
    again = done(own)

    assert again.returncode == 0, again.stderr
    assert tables(own) == tables(undisturbed)
    reports = (own / "out/reports/other-42/other/reports.jsonl").read_text().splitlines()
    assert len({json.loads(line)["case_id"] for line in reports}) == len(reports) == 12


def test_two_at_a_time_in_one_folder_are_refused(own: Path) -> None:
    (own / "slow").touch()
    first = begun(own)
    until(lambda: asked(own) == 5)
    second = done(own)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 128 + signal.SIGTERM
    assert second.returncode == 2
    assert "is being written by process" in second.stderr


def test_typed_again_it_does_no_step_again_and_what_it_published_is_replaced(finished: Path) -> None:
    first = tables(finished)
    (finished / "published/mine.md").write_text("of an earlier set")
    again = done(finished, "--publish", "published")
    assert "2 done before" in again.stderr
    assert asked(finished) == 12
    assert tables(finished) == first
    assert (finished / "published/mine.md").read_bytes() == (finished / "out/tables/mine.md").read_bytes()


def test_other_settings_in_the_same_folder_are_refused_by_the_step(finished: Path) -> None:
    refused = done(finished, "--limit", "5")
    assert refused.returncode == 2
    assert "was made by another command" in refused.stderr
    assert "choose another folder with --out" in refused.stderr


def test_a_step_that_fails_takes_its_own_arm_with_it_and_the_same_command_mends_it(own: Path, undisturbed: Path) -> None:
    (own / "broken").touch()
    failed = done(own)
    assert failed.returncode == 1
    assert "reports-other-42" in failed.stdout
    table = (own / "out/tables/mine.md").read_text()
    assert "not measured" in table
    assert "reports-other-42" in json.loads((own / "out/tables/run.json").read_text())["failed"]

    (own / "broken").unlink()
    assert done(own).returncode == 0
    assert tables(own) == tables(undisturbed)


def test_the_plan_prints_each_command_as_a_person_could_type_it_and_does_nothing(own: Path) -> None:
    shown = done(own, "--plan")
    assert shown.returncode == 0
    assert "python -m benchmark generate --models constant=constant --dataset phantom:train=8" in shown.stdout
    assert not (own / "out").exists()


def test_what_is_published_has_no_text_of_a_case_and_no_path_of_this_machine(undisturbed: Path) -> None:
    files = sorted(file.name for file in (undisturbed / "published").iterdir())
    assert {"README.md", "run.json", "numbers.csv", "mine.md", "mine.csv", "mine.tex", "mine.html", "mine.svg", "mine.png"} <= set(files)
    for file in (undisturbed / "published").iterdir():
        if file.suffix != ".png":
            text = file.read_text()
            assert str(undisturbed) not in text, file.name
            assert "small left pleural effusion" not in text, file.name
    record = json.loads((undisturbed / "published/run.json").read_text())
    assert set(record["files"]) == set(files) - {"run.json"}


def test_a_folder_of_something_else_is_published_to_by_nobody(finished: Path) -> None:
    (finished / "theirs").mkdir()
    (finished / "theirs/thesis.txt").write_text("dear to somebody")
    refused = done(finished, "--publish", "theirs")
    assert refused.returncode == 2
    assert "holds no earlier set" in refused.stderr
    assert [file.name for file in (finished / "theirs").iterdir()] == ["thesis.txt"]
