"""The blocks of a page, written by one process or by several: the same bytes, whatever metrics do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.labelling.rules import RuleLabeller
from benchmark.metrics.lesions import LesionScores
from benchmark.metrics.radgraph import RadGraph
from benchmark.narrow import Narrow, Statistics
from benchmark.records import Case, Evidence, Lesions, Reference, Report
from benchmark.viewer import write
from benchmark.viewer.case_record import Material
from benchmark.viewer.data_files import read_part
from benchmark.viewer.errors import masks
from benchmark.viewer.numbers import numbers_of

COUNT = write.BLOCKS_OF_PART * write.BLOCK_SIZE + 30
WORDS = ("Left pleural effusion.", "The heart is enlarged.", "No pneumothorax.", "Right rib fracture.", "The lungs are clear.")
BROKEN_AT = 520
"""a case of the second part"""


class Telling:
    """A metric of somebody else that tells what ``tell`` gives it of a report."""

    name = "telling"

    def __init__(self, tell: Callable[[str], str]) -> None:
        self._tell = tell

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        return np.ones((len(hypotheses), 1))

    def values(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"one": sums[..., 0]}

    def signature(self) -> str:
        return "telling|v1"

    def evidence(self, hypotheses: Sequence[str], references: Sequence[str]) -> list[list[Evidence]]:
        return [[Evidence("told", words=self._tell(text))] for text in hypotheses]


def who(text: str) -> str:
    return str(os.getpid())


def breaking(text: str) -> str:
    if text.startswith(f"{BROKEN_AT} "):
        raise RuntimeError("a bad report")
    return text[:20]


def killed_once(text: str) -> str:
    """The first process that comes to a case of the second part is ended as the kernel ends one that lacks memory."""
    if text.startswith(f"{BROKEN_AT} "):
        try:
            Path(os.environ["KILLED"]).open("x").close()
        except FileExistsError:
            return text[:20]
        os.kill(os.getpid(), signal.SIGKILL)
    return text[:20]


class Elsewhere(RuleLabeller):
    """A labeller that says now and then something else than was scored."""

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        return super().label(["Edema." if text.startswith("7") else text for text in reports])


def material(labels: Callable[[Sequence[str]], list[Lesions]], **further: Any) -> Material:
    rng = np.random.default_rng(5)
    references = [" ".join(rng.choice(WORDS, 3)) for _ in range(COUNT)]
    texts = {model: [f"{place} images. " + " ".join(rng.choice(WORDS, 2)) for place in range(COUNT)] for model in ("a", "b")}
    metrics: dict[str, Any] = {"lesions": LesionScores(RuleLabeller()), "radgraph": RadGraph(), **further}
    statistics = Statistics({(name, model): Narrow(one.statistics(texts[model], references)) for name, one in metrics.items() for model in texts})
    cases = [Case(f"c{place}", f"p{place}", "", ()) for place in range(COUNT)]
    reports = {model: [Report(f"c{place}", text) for place, text in enumerate(written)] for model, written in texts.items()}
    reports["b"][3] = Report("c3", failure="out of memory")
    return Material(
        ["a", "lost", "b"],
        cases,
        [Reference(f"c{place}", text) for place, text in enumerate(references)],
        reports,
        labels,
        {model: masks(statistics["lesions", model]) for model in texts},
        numbers_of(metrics, statistics, list(texts)),
        metrics,
        statistics,
    )


def written(folder: Path, made: Material, workers: int) -> dict[str, bytes]:
    folder.mkdir()
    write.write_blocks(folder, made, 0o600, workers)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few texts are enough for several processes, and there are cores for them."""
    monkeypatch.setattr(write, "POOL_FROM", 1)
    monkeypatch.setattr(write, "cores", lambda workers: workers or 2)


@pytest.mark.usefixtures("pooled")
def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    one, two = (material(Elsewhere().label) for _ in range(2))
    alone, together = written(tmp_path / "1", one, 1), written(tmp_path / "2", two, 2)
    assert len(alone) == -(-COUNT // write.BLOCK_SIZE)
    assert alone == together
    assert one.notes == two.notes
    assert "lesions are not marked" in one.notes[0]
    assert [record["place"] for record in read_part(tmp_path / "2" / "block-10.js")[1]] == list(range(500, COUNT))


@pytest.mark.usefixtures("pooled")
def test_a_metric_that_breaks_is_left_out_from_there_on_as_in_one_process(tmp_path: Path) -> None:
    one, two = (material(RuleLabeller().label, telling=Telling(breaking)) for _ in range(2))
    assert written(tmp_path / "1", one, 1) == written(tmp_path / "2", two, 2)
    assert one.notes == two.notes == ["What telling counted in single cases is not shown: RuntimeError: a bad report."]


@pytest.mark.usefixtures("pooled")
def test_of_a_process_that_is_lost_it_is_said_which_cases_it_was_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILLED", str(tmp_path / "killed"))
    two = written(tmp_path / "2", material(RuleLabeller().label, telling=Telling(killed_once)), 2)
    assert f"page, cases {COUNT - 29} to {COUNT}: its process was lost to signal 9, SIGKILL" in capsys.readouterr().err
    assert written(tmp_path / "1", material(RuleLabeller().label, telling=Telling(killed_once)), 1) == two


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize(("tell", "is_elsewhere"), [(who, True), (lambda text: str(os.getpid()), False)], ids=["can be sent", "cannot be sent"])
def test_what_cannot_be_sent_to_other_processes_is_asked_in_this_one(tmp_path: Path, tell: Callable[[str], str], is_elsewhere: bool) -> None:
    """A function without a name of its own cannot be pickled."""
    written(tmp_path / "page", material(RuleLabeller().label, telling=Telling(tell)), 2)
    _, block = read_part(tmp_path / "page" / "block-0.js")
    evidence = block[0]["reports"][0]["evidence"]
    assert [one["metric"] for one in evidence] == ["radgraph", "telling"]
    assert (evidence[1]["items"][0]["words"] != str(os.getpid())) is is_elsewhere


def test_a_network_stays_where_it_is(tmp_path: Path) -> None:
    """Nothing of more than 64 MB is handed to other processes, nor pickled to find out how large it is."""
    made = material(RuleLabeller().label, telling=Telling(who))
    assert write.can_travel(made)
    made.metrics["telling"].weights = np.zeros(write.MOST_BYTES)  # type: ignore[attr-defined]
    assert not write.can_travel(made)
