"""``benchmark.toml``: what is true of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.machine import BadConfigFile, config_files, machine_table


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The working folder and the user's configuration folder, both empty."""
    near, far = tmp_path / "work", tmp_path / "config" / "clala-benchmark"
    near.mkdir()
    far.mkdir(parents=True)
    monkeypatch.delenv("CLALA_BENCHMARK_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(near)
    return near, far


def test_without_a_file_nothing_is_set(places: tuple[Path, Path]) -> None:
    assert machine_table("llm") == {}


def test_the_nearer_file_holds_entry_by_entry(places: tuple[Path, Path]) -> None:
    near, far = places
    (far / "benchmark.toml").write_text('[llm]\nmodel = "far"\nconcurrency = 4\n[llm.judge]\nmodel = "judge"\nseed = 1\n')
    (near / "benchmark.toml").write_text('[llm]\nmodel = "near"\n[llm.judge]\nseed = 2\n')
    assert machine_table("llm") == {"model": "near", "concurrency": 4, "judge": {"model": "judge", "seed": 2}}


def test_a_named_file_holds_in_place_of_both(places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (places[0] / "benchmark.toml").write_text('[llm]\nmodel = "near"\n')
    named = tmp_path / "other.toml"
    named.write_text('[llm]\nmodel = "named"\n')
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(named))
    assert config_files() == [named]
    assert machine_table("llm") == {"model": "named"}


def test_a_named_file_that_is_not_there_is_an_error(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Passing it over would drop the user's approved hosts, or his model, in silence."""
    monkeypatch.setenv("CLALA_BENCHMARK_CONFIG", str(places[0] / "none.toml"))
    with pytest.raises(BadConfigFile, match="no file"):
        machine_table("llm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[llm\n", "cannot be read"),
        ("[llmm]\nmodel = 1\n", r"no table \[llmm\]"),
        ("llm = 3\n", r"write a table \[llm\]"),
        ('[llm]\napi_key = "sk-123"\n', "keys come from the environment alone"),
        ('[llm.judge]\nkey = "sk-123"\n', "llm.judge.key"),
    ],
)
def test_a_file_that_cannot_be_meant_so_is_refused(text: str, said: str, places: tuple[Path, Path]) -> None:
    (places[0] / "benchmark.toml").write_text(text)
    with pytest.raises(BadConfigFile, match=said) as refused:
        machine_table("llm")
    assert "sk-123" not in str(refused.value)
