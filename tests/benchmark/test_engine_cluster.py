"""What becomes of tasks and of models in a cluster whose answers are written down: what real machines do only by chance, and after half a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.engine import Held, Placement
from benchmark.engine import ray as module
from benchmark.engine.blocks import Lost, Ready, Silent
from benchmark.engine.ray import Cluster, _Actors
from benchmark.engine.tasks import Gave, Lacked, TaskLost, Threw
from benchmark.records import Case


class RayError(Exception):
    """Of which Ray's are."""


class RayTaskError(RayError):
    """Not raised here."""


class WorkerCrashedError(RayError):
    """As Ray has it for a task whose process ended."""


class Answers:
    """Ray, as far as it is asked here. What it is asked to do has a number, and ``fates`` say what comes of it, or that nothing does (None)."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    util = SimpleNamespace(scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft)))

    def __init__(self, fates: Sequence[Any]) -> None:
        self.fates = list(fates)
        self.asked: list[str] = []
        self.killed = 0

    def remote(self, **how: Any) -> Callable[[Any], Any]:
        return lambda what: SimpleNamespace(
            options=lambda **more: SimpleNamespace(remote=lambda *words: self.ask(what.__name__)),
            remote=lambda *words: SimpleNamespace(
                came=SimpleNamespace(remote=lambda: self.ask("came")),
                write=SimpleNamespace(options=lambda num_returns: SimpleNamespace(remote=lambda cases: self.ask("write"))),
            ),
        )

    def ask(self, what: str) -> int:
        self.asked.append(what)
        return len(self.asked) - 1

    def put(self, value: Any) -> Any:
        return value

    def wait(self, running: list[int], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[int], list[int]]:
        there = [place for place in running if self.fates[place] is not None][:num_returns]
        return there, [place for place in running if place not in there]

    def get(self, place: int) -> Any:
        if isinstance(self.fates[place], Exception):
            raise self.fates[place]
        return self.fates[place]

    def kill(self, actor: Any) -> None:
        self.killed += 1

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]


def measured(answers: Answers, count: int) -> dict[int, Any]:
    """What the tasks of a cluster of two processes come to, as far as that is handed on before something is raised."""
    cluster = Cluster(answers, Placement("ray"), 2)
    return dict(cluster.each(len, [([],)] * count, is_large=True, on_device=[False] * count, shared=()))


def test_of_a_task_that_is_lost_after_another_has_failed_it_is_not_said_that_it_is_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers([Threw(ValueError("no such word"), "trace"), WorkerCrashedError("it ended")])
    with pytest.raises(ValueError, match="no such word"):
        measured(answers, 3)
    assert answers.asked == ["_run", "_run"], "nothing was begun after it"
    assert capsys.readouterr().err == ""


def test_a_task_that_is_lost_or_finds_no_memory_is_done_again_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers([WorkerCrashedError("it ended"), Gave("two"), Lacked("lack of memory (Unable to allocate 3.00 TiB)", "trace"), Gave("one")])
    assert measured(answers, 2) == {0: "one", 1: "two"}
    assert capsys.readouterr().err.splitlines() == [
        "task 1 of 2: its worker was lost (its process ended); it is done again",
        "task 1 of 2: its worker was lost (lack of memory (Unable to allocate 3.00 TiB)); it is done again",
    ]


def test_one_that_is_lost_each_time_ends_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        TaskLost, match=r"task 1 of 1: 4 workers were given it, and all were lost, the last: its process ended; what was done is kept"
    ):
        measured(Answers([WorkerCrashedError("it ended")] * 4), 1)
    assert capsys.readouterr().err.count("it is done again") == 3


def unmade(device: str) -> Held:
    raise AssertionError("it is made elsewhere")


@pytest.mark.parametrize(
    ("machine", "event"),
    [
        ({"numpy": "2"}, Silent(0.05)),
        (RayError("The node is dead"), Lost("its machine does not answer")),
        (None, Lost("its machine does not answer")),
    ],
)
def test_a_worker_that_is_silent_hangs_if_its_machine_answers_and_is_lost_if_not(machine: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a model would be blamed for a machine that went, wherever the cluster takes longer to miss it than the model may think."""
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.1)
    answers = Answers([(Ready("said"), "node 7"), None, machine])
    crew = _Actors(answers, unmade, "cpu", 0.0, "model", 0.05)
    worker = crew.start()
    assert crew.wait() == (worker, Ready("said"))
    crew.give(worker, [Case("case", "p", "s", ())])
    time.sleep(0.06)
    assert crew.wait() == (worker, event)
    assert answers.asked == ["came", "write", "versions"]
    assert answers.killed == 1
