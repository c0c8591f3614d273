"""The hospital, and an interpreter that starts commands in no time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import Commands
from hospital import MEASURED, TRAIN, build, moved_into

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What goes on the path so that the ill models are found as any installed plugin is: by its entry point."""
    folder = tmp_path_factory.mktemp("plugins")
    about = folder / "faulty_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[clala_benchmark]\nfaulty_models = faulty_models\n")
    return [folder, HERE]


@pytest.fixture(scope="session")
def commands(hospital: Path, plugins: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Forks commands that have nothing left to import: a run was made in it once."""
    run = ("run", "--dataset", f"manifest:{hospital / 'cases.csv'}", "--models", "constant,steady", *MEASURED[:-1])
    warm = json.dumps([*run, str(tmp_path_factory.mktemp("warm") / "out")])
    with Commands(tmp_path_factory.mktemp("said"), path=plugins, warm=[warm]) as running:
        yield running


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Commands]:
    """As ``commands``, of an interpreter that has trained."""
    with Commands(tmp_path / "said", warm=[json.dumps([*TRAIN[:-1], str(tmp_path / "warm")])]) as running:
        yield running


@pytest.fixture
def place(hospital: Path, tmp_path: Path) -> Path:
    """A working folder with the hospital's files in it."""
    return moved_into(hospital, tmp_path)
