"""Classifier and detector in a process of their own, while stage 1 runs."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clala import beside
from clala.beside import Beside, PartsFailed
from clala.config import CLALAConfig, Recipe
from clala.state import OtherTraining
from clala.train import Job, train


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_parts_come_out_as_they_do_in_turn_and_threads_are_then_as_before(
    index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    """Their random numbers are their own. The tolerance is for sums that two threads take in another order."""
    short = replace(quick, epochs_stage1=1, classifier_epochs=1, detector_epochs=1)
    in_turn, apart = (Job(index, tmp_path / name, config, short, device="cpu", workers=1) for name in ("in_turn", "apart"))
    torch.set_num_threads(1)
    train(in_turn)
    torch.set_num_threads(2)
    monkeypatch.setattr(beside, "WORK_FROM", 0)
    train(apart)
    assert torch.get_num_threads() == 2
    assert (apart.out / "work" / "beside" / "said.txt").exists(), "it did run apart"
    one, other = (load_file(job.out / "weights.safetensors") for job in (in_turn, apart))
    assert one.keys() == other.keys()
    for name, values in one.items():
        torch.testing.assert_close(values, other[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_small_training_starts_no_process(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, two_threads: None) -> None:
    nothing = replace(quick, epochs_stage1=0, epochs_stage2=0, classifier_epochs=1, detector_epochs=1)
    train(Job(index, tmp_path, config, nothing, device="cpu", workers=1))
    assert not (tmp_path / "work" / "beside").exists()


def test_what_goes_wrong_in_it_is_said_with_the_place_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(PartsFailed, match=r"exit status 1: FileNotFoundError: .*nothing-here.*said\.txt"):
        Beside(os.listdir, str(tmp_path / "nothing-here"), tmp_path / "beside").wait()


def test_its_failure_ends_the_stage_at_the_next_step(tmp_path: Path) -> None:
    other = Beside(os.listdir, str(tmp_path / "nothing-here"), tmp_path / "beside")
    other.process.wait()
    done: list[int] = []
    with pytest.raises(PartsFailed), other.watched(lambda label, total, unit: nullcontext(done.append))("stage 1", 3, "steps") as advance:
        advance(1)
    assert done == []


def of_a_program(path: object) -> None:
    """Stands for a function of a script or a notebook."""


def test_what_only_the_program_itself_knows_is_not_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be pickled here, by its name, and not be found there."""
    monkeypatch.setattr(of_a_program, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "of_a_program", of_a_program, raising=False)
    with pytest.raises(pickle.PicklingError):
        Beside(of_a_program, None, tmp_path)


def test_another_training_does_not_go_on_from_a_stage_1_that_was_killed_before_the_parts_were_done(
    index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path
) -> None:
    """Else an ablation would start from the weights of what it leaves out."""
    job = Job(index, tmp_path, config, quick, device="cpu", workers=1)
    train(job)
    shutil.rmtree(tmp_path / "work" / "before")
    for other in (replace(job, recipe=replace(quick, batch=5)), replace(job, config=replace(config, llcl=False)), replace(job, seed=7)):
        with pytest.raises(OtherTraining, match="delete work/ in it"):
            train(other)


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed by SIGKILL, a training would else leave one behind that writes into the folder of the next."""
    code = "import sys, time, pathlib\nfrom clala.beside import Beside\nfound = Beside(time.sleep, 60, pathlib.Path(sys.argv[1]))\n"
    code += "print(found.process.pid, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "beside")], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(1)
        assert is_running(child)
        parent.kill()
        deadline = time.monotonic() + 55
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not is_running(child)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
