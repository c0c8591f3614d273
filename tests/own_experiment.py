"""An experiment of one's own for `reproduce`: a constant beside one other model, and nothing is trained."""

from __future__ import annotations

from pathlib import Path

TOML = """
[profile.demo]
about = "nothing is trained"
detector = {}
classifier = {}
train = {}
models = ["constant", "MODEL"]

[[experiment]]
name = "mine"
number = "Table A"
title = "Two that learn nothing"
layout = "quality"
lines = ["$models"]
pairs = ["LABEL - constant"]
"""


def write_own_experiment(file: Path, model: str) -> None:
    """The file for ``--definitions``, of the profile demo; ``model`` is said as ``--models`` takes it."""
    file.write_text(TOML.replace("MODEL", model).replace("LABEL", model.partition("=")[0]), encoding="utf-8")
