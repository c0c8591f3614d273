"""``answers``: what is kept of language models, and how to throw it away."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.llm.cache import AnswerCache, Kept, default_file
from benchmark.records import UserError


@pytest.fixture(autouse=True)
def three_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path))
    cache = AnswerCache(default_file())
    for number, task in enumerate(("label", "label", "judge")):
        cache.put(f"{number:064d}", Kept("yes", "qwen", 1000, 100, 0.25, task, "qwen", 4000))
    cache.close()


def test_what_is_kept_is_told_by_task_and_model() -> None:
    answer = CliRunner().invoke(app, ["answers"])
    assert answer.exit_code == 0
    row = next(line for line in answer.output.splitlines() if "label" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == ["label", "qwen", "2", "2,000", "200", "0.50", "0.0"]


def test_what_is_named_is_thrown_away_and_nothing_else() -> None:
    assert "2 answers thrown away" in CliRunner().invoke(app, ["answers", "--forget", "--task", "label"]).output
    assert [(size.task, size.answers) for size in AnswerCache(default_file()).sizes()] == [("judge", 1)]


def test_answers_of_today_are_not_from_before_a_day_long_past() -> None:
    assert "0 answers thrown away" in CliRunner().invoke(app, ["answers", "--forget", "--before", "2020-01-31"]).output


def test_a_day_that_is_none_throws_nothing_away() -> None:
    answer = CliRunner().invoke(app, ["answers", "--forget", "--before", "soon"])
    assert isinstance(answer.exception, UserError)
    assert sum(size.answers for size in AnswerCache(default_file()).sizes()) == 3
