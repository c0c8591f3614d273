"""The weights that ship are what the command beside them makes: same configuration, same recipe as the demo preset."""

from __future__ import annotations

import json
from pathlib import Path

from clala.checkpoint import load
from clala.config import CONFIGS, RECIPES, to_json

DEMO = Path(__file__).resolve().parents[2] / "clala" / "weights" / "demo"
ABOUT = json.loads((DEMO / "about.json").read_text(encoding="utf-8"))
FROM_TEXT = {"vocabulary_size"}  # counted in the training text, not chosen


def test_the_demo_weights_were_made_by_the_demo_preset() -> None:
    assert ABOUT["command"] == "python -m benchmark train clala --preset demo --dataset phantom --out clala/weights/demo"
    preset = to_json(CONFIGS["demo"])
    assert {name: value for name, value in ABOUT["config"].items() if name not in FROM_TEXT} == {
        name: value for name, value in preset.items() if name not in FROM_TEXT
    }
    assert ABOUT["recipe"] == to_json(RECIPES["demo"])


def test_the_demo_weights_load_and_are_a_few_megabytes() -> None:
    bundle = load(DEMO)
    assert bundle.thresholds.shape == (14,)
    assert sum(file.stat().st_size for file in DEMO.iterdir()) < 8 * 2**20


def test_nothing_of_the_machine_that_trained_them_is_in_the_weights_folder() -> None:
    for name in ("about.json", "log.jsonl"):
        text = (DEMO / name).read_text(encoding="utf-8")
        assert "/root" not in text
        assert "/tmp" not in text
        assert "/home" not in text
