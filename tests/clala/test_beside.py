"""Classifier and detector in a process of their own, while stage 1 runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clala import beside
from clala.beside import Beside, PartsFailed
from clala.config import CLALAConfig, Recipe
from clala.train import Job, train


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_parts_come_out_as_they_do_in_turn(
    index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    """Their random numbers are their own. The tolerance is for sums that two threads take in another order."""
    in_turn, apart = (Job(index, tmp_path / name, config, replace(quick, epochs_stage1=1), device="cpu", workers=1) for name in ("in_turn", "apart"))
    torch.set_num_threads(1)
    train(in_turn)
    torch.set_num_threads(2)
    monkeypatch.setattr(beside, "WORK_FROM", 0)
    train(apart)
    assert (apart.out / "work" / "beside" / "said.txt").exists(), "it did run apart"
    one, other = (load_file(job.out / "weights.safetensors") for job in (in_turn, apart))
    assert one.keys() == other.keys()
    for name, values in one.items():
        torch.testing.assert_close(values, other[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_small_training_starts_no_process(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, two_threads: None) -> None:
    train(Job(index, tmp_path, config, replace(quick, epochs_stage1=0, epochs_stage2=0), device="cpu", workers=1))
    assert not (tmp_path / "work" / "beside").exists()


def test_what_goes_wrong_in_it_is_said_with_the_place_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(PartsFailed, match=r"FileNotFoundError: .*nothing-here.*said\.txt"):
        Beside(os.listdir, str(tmp_path / "nothing-here"), tmp_path / "beside").wait()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed by SIGKILL, a training would else leave one behind that writes into the folder of the next."""
    code = "import sys, time, pathlib\nfrom clala.beside import Beside\nfound = Beside(time.sleep, 60, pathlib.Path(sys.argv[1]))\n"
    code += "print(found.process.pid, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "beside")], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(2)
        assert is_running(child)
        parent.kill()
        deadline = time.monotonic() + 20
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not is_running(child)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
