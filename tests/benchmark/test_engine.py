"""Where work runs, as far as it can be told without a cluster: what is refused, and in which words; what a worker makes of its model."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.engine import Held, Local, Placement, opened_engine
from benchmark.engine.blocks import Event, Learnt, Raised, Ready, Wrote
from benchmark.engine.ray import (
    Holder,
    NoCluster,
    OtherVersions,
    _check_answers,
    _lost,
    _run,
    _store_bytes,
    _without_secrets,
    check_same_versions,
    versions,
)
from benchmark.engine.tasks import Threw
from benchmark.making import AsksALanguageModel, NobodyElsewhere
from benchmark.records import Case, Report, UserError

CASES = [Case(f"case-{number}", "p", "s", ()) for number in range(5)]


def doubled(number: int, unit: str) -> str:
    return f"{2 * number} {unit}"


@pytest.mark.parametrize("is_large", [False, True])
def test_work_on_this_machine_gives_each_result_with_the_place_of_its_task(is_large: bool) -> None:
    done = dict(Local(2).each(doubled, [(1,), (2,), (3,)], is_large=is_large, on_device=[False] * 3, shared=("mm",)))
    assert done == {0: "2 mm", 1: "4 mm", 2: "6 mm"}


def test_without_a_word_work_runs_here() -> None:
    with opened_engine(Placement(), 3) as engine:
        assert engine.record() == {"name": "local", "workers": 3, "workers_lost": 0}
        assert engine.place(lambda device: pytest.fail("it is made here"), "fake", takes_device=False) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"engine": "spark"}, "no engine named 'spark'; there is: local, ray"),
        ({"address": "head:6379"}, "--ray-address head:6379 is for Ray, but the engine is local; add --engine ray, or leave it away"),
        ({"gpus_per_model": 0.5}, "--gpus-per-model 0.5 is for Ray, but the engine is local"),
        (
            {"engine": "ray", "gpus_per_model": 1.5},
            "--gpus-per-model 1.5: a worker has a share of one GPU (0.5), a whole number of them (2), or none (0)",
        ),
        ({"engine": "ray", "gpus_per_model": float("inf")}, "--gpus-per-model inf: a worker has a share"),
        ({"engine": "ray", "gpus_per_model": float("nan")}, "--gpus-per-model nan: a worker has a share"),
        ({"engine": "ray", "gpus_per_model": 1e-9}, "--gpus-per-model 1e-09: a worker has a share"),
        ({"engine": "ray", "device": "cuda:1"}, "--device cuda:1 names one GPU, but Ray hands them out; write --device cuda"),
    ],
)
def test_a_placement_that_means_nothing_is_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Placement(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize("gpus", [0.0, 0.0001, 0.5, 1.0, 2.0])
def test_shares_of_a_gpu_and_whole_ones_are_placements(gpus: float) -> None:
    assert Placement("ray", gpus_per_model=gpus).gpus_per_model == gpus


@pytest.mark.parametrize("said", ["much", "-200", "1e3", "74", "0.5"])
def test_memory_for_what_travels_that_is_none_is_refused_before_anything_is_started(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_RAY_STORE_MB", said)
    with pytest.raises(UserError, match=rf"CLALA_BENCHMARK_RAY_STORE_MB is '{said}'; it is a whole number of megabytes, 75 at least \(200 where"):
        _store_bytes()


@pytest.mark.parametrize(("said", "megabytes"), [(None, 200), ("", 200), ("75", 75), ("4000", 4000)])
def test_memory_for_what_travels_is_told_in_megabytes(said: str | None, megabytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLALA_BENCHMARK_RAY_STORE_MB", raising=False)
    if said is not None:
        monkeypatch.setenv("CLALA_BENCHMARK_RAY_STORE_MB", said)
    assert _store_bytes() == megabytes * 2**20


def test_an_address_that_nobody_answers_at_is_told_within_its_time() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(NoCluster, match=rf"--ray-address {address}: nobody answers there \(Connection refused.*is the head up"):
            _check_answers(address)


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:six", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(NoCluster, match=r"is no address; write host:port|nobody answers there"):
        _check_answers(address)


def test_a_client_outside_of_the_cluster_is_told_where_to_run() -> None:
    with pytest.raises(NoCluster, match="run the command on a machine of it, with --ray-address auto"):
        _check_answers("ray://head:10001")


def test_other_packages_are_named_with_both_versions() -> None:
    ours = versions()
    check_same_versions(ours, dict(ours), "far")
    with pytest.raises(
        OtherVersions, match=r"machine far of the cluster has numpy 0\.1 \(here [\d.]+\), made_up 3 \(here missing\); install the same"
    ):
        check_same_versions(ours, {**ours, "numpy": "0.1", "made_up": "3"}, "far")
    with pytest.raises(OtherVersions, match=r"has numpy missing \(here"):
        check_same_versions(ours, {name: version for name, version in ours.items() if name != "numpy"}, "far")


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    words = ["benchmark", "run", "--models", "constant", "--engine", "ray", "--out", str(tmp_path / "run")]
    code = f"import sys; sys.modules['ray'] = None; sys.argv = {words!r}; from benchmark.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "error: --engine ray needs the package ray, which is not installed: pip install 'clala-benchmark[ray]'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_secrets_are_hidden_from_what_is_started_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"OPENAI_API_KEY": "a", "db_password": "b", "GITHUB_TOKEN": "c", "HF_TOKEN": "d", "EDITOR": "e"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with _without_secrets():
        assert {name for name in given if name in os.environ} == {"HF_TOKEN", "EDITOR"}
    assert {name: os.environ[name] for name in given} == given


@pytest.mark.parametrize(
    ("text", "why", "lacked_memory"),
    [
        ("The actor died unexpectedly. Worker exit type: SYSTEM_ERROR Worker exit detail: ...", "its process ended, SYSTEM_ERROR", False),
        (
            "Worker exit type: NODE_OUT_OF_MEMORY Worker exit detail: Task was killed due to the node running low",
            "its machine ran out of memory",
            True,
        ),
        ("The actor died because its node has died. Node Id: 12", "its machine is gone", False),
    ],
)
def test_why_a_worker_was_lost_is_told_in_a_few_words(text: str, why: str, lacked_memory: bool) -> None:
    """The texts are those of Ray 2.60."""
    kind = type("ActorDiedError", (Exception,), {})
    lost = _lost(kind(text))
    assert (lost.why, lost.lacked_memory) == (why, lacked_memory)


def held(device: str) -> Held:
    def write(cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            if case.id == "case-3":
                raise ValueError("out of ideas")
            yield Report(case.id, f"on {device}")

    return Held(write, "said", 4)


def test_a_worker_hands_over_what_was_written_before_the_model_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    holder = Holder(held, "cpu", str(tmp_path))
    assert holder.ready() == Ready("said", 4)
    assert list(holder.write(CASES[:3])) == [Wrote([Report(case.id, "on cpu") for case in CASES[:3]])]
    events: list[Event] = list(holder.write(CASES))
    assert events[0] == Wrote([Report(case.id, "on cpu") for case in CASES[:3]])
    assert isinstance(events[1], Raised)
    assert (events[1].kind, events[1].message, len(events)) == ("ValueError", "out of ideas", 2)
    assert "in write" in events[1].trace


def test_a_worker_whose_model_cannot_be_made_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def unmade(device: str) -> Held:
        raise UserError("no weights: put them there")

    state = Holder(unmade, "cpu", "no such folder").ready()
    assert isinstance(state, Raised)
    assert (state.kind, state.message, state.is_users) == ("UserError", "no weights: put them there", True)


def test_a_worker_whose_model_would_end_it_lives_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Ray takes it for lost, and the next twenty that are sent for in its place."""
    monkeypatch.chdir(tmp_path)

    def leaving(device: str) -> Held:
        raise SystemExit(0)

    def leaves_later(device: str) -> Held:
        def write(cases: Sequence[Case]) -> Iterator[Report]:
            raise SystemExit(0)

        return Held(write, "said", learnt=lambda: ["Taken out: two."])

    state = Holder(leaving, "cpu", str(tmp_path)).ready()
    assert isinstance(state, Raised)
    assert (state.kind, state.message) == ("SystemExit", "0")
    learnt, raised = Holder(leaves_later, "cpu", str(tmp_path)).write(CASES)
    assert learnt == Learnt(("Taken out: two.",)), "what it read before is said in any case"
    assert isinstance(raised, Raised)
    assert raised.kind == "SystemExit"


class Shared:
    """A reference that Ray hands to a task, as far as one is asked here."""

    def hex(self) -> str:
        return "a reference"


def test_a_task_that_would_end_its_worker_comes_back_as_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda reference: ("shared",)))
    found = _run(lambda number, shared: sys.exit(f"{number} {shared}"), (7,), [Shared()], str(tmp_path))
    assert isinstance(found, Threw)
    assert str(found.error) == "SystemExit: 7 shared"


def test_elsewhere_nobody_is_asked() -> None:
    """One client and one budget: a model that asks language models runs in the command's own process."""
    with pytest.raises(AsksALanguageModel, match="aggregate by a language model"):
        NobodyElsewhere().asking("aggregate")
