"""What a run says of the time that it took."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pluggy
import pytest

from benchmark import hookspecs, registry
from benchmark.evaluator import score_reports
from benchmark.hookspecs import hookimpl
from benchmark.records import Report, RunConfig
from benchmark.scoring import Texts, measure
from benchmark.stages import Stages

REFERENCES = {"1": "Small left pleural effusion.", "2": "The lungs are clear.", "3": "Mild cardiomegaly."}


def test_what_is_done_in_two_goes_is_added_up() -> None:
    stages = Stages(started=1000.0, clock=time.monotonic() - 100)
    stages.add("read", 1001.0, 2.0, 0.5)
    stages.add("read", 1010.0, 3.0, 1.25)
    assert stages.record() == {"read": {"began": 1.0, "ended": 13.0, "seconds": 5.0, "cpu_seconds": 1.75}}


def test_a_stage_takes_as_long_as_the_clock_says_and_sleeps_without_a_processor() -> None:
    stages = Stages()
    with stages.stage("read"):
        time.sleep(0.05)
    read = stages.found["read"]
    assert read.seconds >= 0.05
    assert read.cpu_seconds < 0.05
    assert read.ended - read.began == pytest.approx(read.seconds)


def test_a_process_that_ends_within_a_stage_has_worked_for_it() -> None:
    stages = Stages()
    with stages.stage("page"):
        subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert stages.found["page"].cpu_seconds >= 0.25


class Plugin:
    """A metric that has its work done by a program."""

    name = "by_program"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
        return np.ones((len(hypotheses), 1))

    @hookimpl
    def register_metrics(self, register: hookspecs.Register) -> None:
        register(self.name, lambda: self)


def test_what_a_metric_has_done_by_a_program_is_work_of_the_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin())
    known = registry.collect(manager)
    monkeypatch.setattr(registry, "load", lambda: known)
    config = RunConfig(models=(), dataset="", split="", metrics=(Plugin.name,))
    given = Texts.of({"one": [Report("1", "Clear.")]}, ["Clear."])
    assert measure(registry.parse_spec(Plugin.name), config, ["one"], given).cpu_seconds >= 0.25


def test_a_stage_within_a_stage_counts_to_the_outer_one() -> None:
    stages = Stages()
    with stages.stage("strata"), stages.stage("resample"):
        time.sleep(0.02)
    assert list(stages.found) == ["strata"]
    assert stages.found["strata"].seconds >= 0.02


def test_a_stage_that_fails_is_timed_and_the_next_one_too() -> None:
    stages = Stages()
    with pytest.raises(ZeroDivisionError), stages.stage("page"):
        _ = 1 / 0
    with stages.stage("seal"):
        pass
    assert list(stages.found) == ["page", "seal"]


def test_stages_add_up_to_no_more_than_the_run_took_and_each_metric_is_named(tmp_path: Path) -> None:
    """In one process nothing runs beside anything else."""
    config = RunConfig(models=(), dataset="", split="", metrics=("lesions", "rouge_l"), draws=20, workers=1)
    score_reports(REFERENCES, {"one": REFERENCES, "two": dict.fromkeys(REFERENCES, "No effusion.")}, config, tmp_path / "run", page="none")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    stages = record["stages"]
    assert {"measure lesions", "measure rouge_l", "resample", "differences", "strata", "tables", "page", "seal"} <= stages.keys()
    assert sum(stage["seconds"] for stage in stages.values()) <= record["seconds"] + 0.1
    assert all(0 <= stage["began"] <= stage["ended"] for stage in stages.values())
