from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from clala.processes import _has_launcher, ahead, new_accelerator


def test_items_come_out_in_order_and_all_of_them() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead([])) == []


def test_items_are_made_while_the_caller_works_and_no_further_ahead_than_asked() -> None:
    made: list[int] = []
    filled = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 3:
                filled.set()
            yield number

    rest = ahead(items(), depth=2)
    assert next(rest) == 0
    assert filled.wait(60)  # one in hand, two waiting, one being put
    assert made == [0, 1, 2, 3]
    assert list(rest) == list(range(1, 10))


def test_an_error_of_the_maker_reaches_the_caller_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more crops")

    rest = ahead(items())
    assert next(rest) == 1
    with pytest.raises(ValueError, match="no more crops"):
        next(rest)


def test_a_caller_that_stops_early_stops_the_maker() -> None:
    before = threading.active_count()
    rest = ahead(iter(int, 1))  # endless
    next(rest)
    rest.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without a CUDA device")
def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="torch finds no CUDA device here; use cpu, or auto"):
        new_accelerator("cuda")
    with pytest.raises(ValueError, match="fp16, which needs a CUDA device; a CPU can do bf16 or no"):
        new_accelerator("cpu", "fp16")


def test_one_process_may_train_twice_with_another_precision() -> None:
    assert new_accelerator("cpu", "bf16").mixed_precision == "bf16"
    assert new_accelerator("cpu", "no").mixed_precision == "no"


def test_a_launcher_is_one_that_says_so_or_that_multiprocessing_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """RANK and WORLD_SIZE alone may come from a hand; that torchrun sets its own is tested with real processes."""
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not _has_launcher()
    with get_context("spawn").Pool(1) as pool:  # as a notebook's launcher does it
        assert pool.apply(_has_launcher)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert _has_launcher()


STARTS_ANOTHER = """
import subprocess
import sys
subprocess.Popen([sys.executable, "-c", "import os, sys, time; from clala.parent import end_with; end_with(os.getppid(), 'its launcher is gone')\\n"
                  "print(os.getpid(), flush=True); time.sleep(60)"])
sys.stdin.read()
"""


def test_a_process_whose_parent_was_killed_ends_with_a_word(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as said:
        parent = subprocess.Popen([sys.executable, "-c", STARTS_ANOTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.communicate(timeout=30)  # until the child, which has the same stdout, is gone too
    assert (tmp_path / "said").read_text() == "its launcher is gone\n"
    assert not is_running(child)


def is_running(process: int) -> bool:
    """Among processes that nobody has waited for, those that have ended aside."""
    import psutil

    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


TRAINS = """
import sys
import time
from pathlib import Path
from clala.processes import new_accelerator
accelerator = new_accelerator("cpu", "no")
Path(sys.argv[1], f"began-{accelerator.process_index}").touch()
time.sleep(2)
Path(sys.argv[1], str(accelerator.process_index)).write_text(str(accelerator.num_processes))
"""


@pytest.mark.slow
def test_processes_that_a_shell_started_and_left_train_on(tmp_path: Path) -> None:
    """``ssh node 'RANK=1 WORLD_SIZE=2 ... nohup python -m clala.train ... &'``: the shell goes when they have begun."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
    environment |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    (tmp_path / "trains.py").write_text(TRAINS)
    shell = 'for RANK in 0 1; do RANK=$RANK LOCAL_RANK=$RANK "$0" "$1" "$2" & done; until [ -e "$2/began-0" -a -e "$2/began-1" ]; do sleep 0.1; done'
    subprocess.run(["/bin/sh", "-c", shell, sys.executable, str(tmp_path / "trains.py"), str(tmp_path)], env=environment, check=True, timeout=60)
    until = time.monotonic() + 120
    while time.monotonic() < until and not all((tmp_path / rank).exists() and (tmp_path / rank).read_text() for rank in "01"):
        time.sleep(0.2)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2", "2"]


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
