"""A cluster of Ray's, several machines on this one: the same bytes with any number of workers, and whatever becomes of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from engine_guests import write_plugin

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

pytestmark = pytest.mark.slow

STORE = 80 * 2**20


class Bench(NamedTuple):
    """What a test types commands with."""

    folder: Path
    env: dict[str, str]
    cluster: Any

    def words(self, out: Path, *words: str, ray: bool = True) -> list[str]:
        engine = ["--engine", "ray", "--ray-address", self.cluster.address] if ray else []
        command = [sys.executable, "-m", "benchmark", "run", "--dataset", "sixty", "--metrics", "rouge_l,fragile", "--draws", "50", "--no-page"]
        return [*command, "--out", str(out), *engine, *words]

    def run(self, out: Path, *words: str, ray: bool = True, status: int = 0) -> str:
        """What the command says on stderr."""
        done = subprocess.run(self.words(out, *words, ray=ray), env=self.env, capture_output=True, text=True, timeout=400)
        assert done.returncode == status, done.stderr
        assert "raylet" not in done.stdout, "Ray's own words are not among ours"
        return done.stderr


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("guests")
    with pytest.MonkeyPatch.context() as patch:
        env = write_plugin(folder)
        for name in ("PYTHONPATH", "RAY_USAGE_STATS_ENABLED"):
            patch.setenv(name, env[name])
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": STORE, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=STORE)
        yield Bench(folder, env, cluster)
        cluster.shutdown()


def content(run: Path) -> dict[str, Any]:
    """All that a run is judged by: reports and tables by their bytes, statistics by their numbers; ``run.json`` tells when and where it ran."""
    found: dict[str, Any] = {}
    for file in sorted(run.rglob("*")):
        name = str(file.relative_to(run))
        if file.suffix == ".npz":
            found[name] = np.load(file)["statistics"].tobytes()
        elif file.is_file() and file.name not in ("run.json", ".lock"):
            found[name] = file.read_bytes()
    return found


def test_any_number_of_workers_ends_in_the_bytes_of_one_process(bench: Bench, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    words = ("--models", "steady,learner", "--set", f"steady.seen={seen}")
    bench.run(tmp_path / "local", *words, ray=False)
    expected = content(tmp_path / "local")
    assert "Taken out of the split train of sixty before models learnt from it: 10 of 30 cases" in (tmp_path / "local" / "summary.md").read_text()
    assert len(list(seen.iterdir())) == 1
    for workers in (1, 2, 4):
        for process in seen.iterdir():
            process.unlink()
        if workers > 1:
            (seen / "wait").touch()
        bench.run(tmp_path / f"ray{workers}", *words, "--workers", str(workers))
        assert content(tmp_path / f"ray{workers}") == expected
        engine = json.loads((tmp_path / f"ray{workers}" / "run.json").read_text())["provenance"]["engine"]
        assert engine["name"] == "ray"
        assert engine["machines"] == 3
        assert engine["workers"] <= workers
        assert (1 if workers == 1 else 2) <= len([trace for trace in seen.iterdir() if trace.name != "wait"]) <= workers


def test_workers_that_are_killed_in_the_middle_change_nothing_and_it_is_said(bench: Bench, tmp_path: Path) -> None:
    flags = [tmp_path / "of model", tmp_path / "of whole", tmp_path / "of metric"]
    words = ["--models", "steady,whole=steady"]
    for setting in (f"steady.flag={flags[0]}", "steady.at=case-29", f"whole.flag={flags[1]}", "whole.at=case-50", "whole.independent=no"):
        words += ["--set", setting]
    words += ["--set", f"fragile.flag={flags[2]}"]
    for flag in flags:
        flag.touch()
    bench.run(tmp_path / "undisturbed", *words, ray=False)
    for flag in flags:
        flag.unlink()
    said = bench.run(tmp_path / "killed", *words, "--workers", "2")
    assert all(flag.exists() for flag in flags), "each was killed once"
    assert content(tmp_path / "killed") == content(tmp_path / "undisturbed")
    assert "steady: a worker was lost (its process ended, SYSTEM_ERROR); its" in said
    assert "whole: a worker was lost (its process ended, SYSTEM_ERROR); its 60 cases are done again" in said
    assert re.search(r"metric fragile of (steady|whole): its worker was lost \(its process ended", said.partition("measure:")[2])
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["provenance"]["engine"]["workers_lost"] == 3


def test_a_machine_that_goes_and_a_command_that_is_killed_cost_nothing_that_was_written(bench: Bench, tmp_path: Path) -> None:
    words = ("--models", "steady", "--set", "steady.seconds=0.1")
    bench.run(tmp_path / "undisturbed", *words, ray=False)
    out, reports = tmp_path / "disturbed", tmp_path / "disturbed" / "steady" / "reports.jsonl"
    extra = bench.cluster.add_node(num_cpus=1, object_store_memory=STORE)
    command = subprocess.Popen(bench.words(out, *words, "--workers", "3"), env=bench.env, stderr=subprocess.DEVNULL)
    await_lines(reports, 5)
    bench.cluster.remove_node(extra, allow_graceful=False)
    await_lines(reports, 20)
    command.send_signal(signal.SIGKILL)
    command.wait()
    before = reports.read_bytes()
    assert before.count(b"\n") < 60
    bench.run(out, *words, "--workers", "2")
    assert reports.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert content(out) == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_blames_no_model_and_goes_on_from_there(number: signal.Signals, bench: Bench, tmp_path: Path) -> None:
    """Ray's compiled code makes an error of its own of what a handler raises in it: taken for the model's, the run went on without it."""
    out, words = tmp_path / "run", ("--models", "steady", "--set", "steady.seconds=0.3")
    command = subprocess.Popen(bench.words(out, *words, "--workers", "2"), env=bench.env, stderr=subprocess.PIPE, text=True)
    await_lines(out / "steady" / "reports.jsonl", 2)
    command.send_signal(number)
    _, said = command.communicate(timeout=120)
    assert command.returncode == 128 + number, said
    assert said.splitlines()[-1] == "interrupted; what was done is kept, the same command goes on from there"
    assert not (out / "run.json").exists()
    assert not (out / "steady" / "failure.txt").exists()
    before = (out / "steady" / "reports.jsonl").read_bytes()
    assert 2 <= before.count(b"\n") < 60
    bench.run(out, *words, "--workers", "2")
    assert (out / "steady" / "reports.jsonl").read_bytes().startswith(before)


def test_a_guest_keeps_its_fault_to_itself(bench: Bench, tmp_path: Path) -> None:
    words = ("--models", "unmade,raises,leaves,poison,hangs,asker,steady", "--set", "poison.at=case-21", "--patience", "8")
    said = bench.run(tmp_path / "run", *words, "--workers", "2", status=1)
    record = json.loads((tmp_path / "run" / "run.json").read_text())["models"]
    assert record["unmade"]["failed"] == "could not be made: RuntimeError: no such layer (traceback in failure.txt)"
    assert record["raises"]["failed"] == "stopped at case 18 of 60: ValueError: out of ideas (traceback in failure.txt)"
    assert "engine_test_guests.py" in (tmp_path / "run" / "raises" / "failure.txt").read_text()
    assert len((tmp_path / "run" / "raises" / "reports.jsonl").read_text().splitlines()) == 17
    assert (record["poison"]["reports"], record["poison"]["failures"]) == (60, 1)
    failures = [report for report in lines(tmp_path / "run" / "poison" / "reports.jsonl") if report["failure"]]
    assert [report["case_id"] for report in failures] == ["case-21"]
    assert "the worker that wrote it was lost, and so was the next" in failures[0]["failure"]
    assert record["leaves"]["failed"] == "stopped at case 1 of 60: WouldEndAll: SystemExit: 0 (traceback in failure.txt)"
    assert record["hangs"]["failed"] == "stopped at case 18 of 60: gave no report for 8 s, and --patience is no longer"
    assert record["steady"]["failures"] == 0
    assert "asker asks a language model, so it runs in this process" in said
    assert record["asker"]["failures"] == 0


def test_a_cluster_of_its_own_listens_on_this_machine_alone_and_gets_no_keys(tmp_path: Path) -> None:
    folder = tmp_path / "guests"
    folder.mkdir()
    env = {**write_plugin(folder), "SOME_API_KEY": "sk-secret"}
    out = tmp_path / "run"
    words = ["-m", "benchmark", "generate", "--models", "around", "--dataset", "sixty", "--limit", "3", "--engine", "ray", "--out", str(out)]
    done = subprocess.run([sys.executable, *words], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert {report["text"] for report in lines(out / "around" / "reports.jsonl")} == {f"no key 127.0.0.1 {tmp_path} 0"}


def test_a_machine_with_other_packages_is_named(bench: Bench, tmp_path: Path) -> None:
    about = tmp_path / "numpy-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{bench.env['PYTHONPATH']}"}
    odd = bench.cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars=env)
    try:
        said = bench.run(tmp_path / "run", "--models", "steady", status=2)
    finally:
        bench.cluster.remove_node(odd, allow_graceful=False)
    assert f"of the cluster has numpy 0.1 (here {np.__version__}); install the same there" in said
    assert not (tmp_path / "run").exists(), "nothing was begun"


def await_lines(file: Path, count: int) -> None:
    end = time.monotonic() + 240
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, f"{file.name} did not come to {count} lines"
        time.sleep(0.05)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
