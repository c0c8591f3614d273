"""The weights that ship with the native baselines: small, from the command that they name, and not one report for all images."""

from __future__ import annotations

import importlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import adapters
from benchmark.datasets.phantom import Phantom
from benchmark.records import Case

FOLDER = Path(adapters.__file__).parent
CLASSES = {"r2gen": "R2Gen", "tsget": "TSGET", "cvt2distilgpt2": "CvT2DistilGPT2", "rgrg": "RGRG"}
WITH_EYES = ["r2gen", "tsget", "cvt2distilgpt2"]
IMAGES = 6


def about(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name / "weights" / "demo" / "about.json").read_text())
    return found


@pytest.fixture(scope="module")
def patients() -> list[Case]:
    """Phantoms of another seed than the demo's: nobody whom the weights have learnt from."""
    return Phantom(f"train=1,validate=1,test={IMAGES},seed=77").cases("test")


@pytest.mark.parametrize("name", CLASSES)
def test_demo_weights_are_small_and_name_the_command_that_made_them(name: str) -> None:
    folder = FOLDER / name / "weights" / "demo"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    words = shlex.split(about(name)["command"])
    assert words[:5] == ["python", "-m", "benchmark", "train", name]
    assert words[words.index("--out") + 1] == f"adapters/{name}/weights/demo"
    assert about(name)["data"]["cases"] == {"train": 1200, "validate": 150}


@pytest.mark.parametrize("name", WITH_EYES)
def test_those_that_began_with_their_eyes_say_so(name: str) -> None:
    made = about(name)
    assert list(made["schedule"]) == ["eyes", "words"]
    model = getattr(importlib.import_module(f"adapters.{name}.model"), CLASSES[name])(device="cpu")
    assert any("not with ImageNet" in remark for remark in model.card().remarks)


@pytest.mark.parametrize("name", WITH_EYES)
def test_their_reports_are_not_one_for_all(name: str, patients: list[Case]) -> None:
    """A model that does not look has one. Of lesions R2Gen's and TSGET's demo write too seldom for so few images to show more."""
    model = getattr(importlib.import_module(f"adapters.{name}.model"), CLASSES[name])(device="cpu")
    assert len({report.text for report in model.generate(patients)}) >= 3
