"""The JSON beside our weights, and headers of safetensors and PyTorch files: damaged, or of a network that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from adapters.vision_language.stored import opened
from benchmark.records import UserError
from clala import checkpoint
from clala.config import BadConfig

DEMO = Path(checkpoint.__file__).with_name("weights") / "demo"


def folder_with(place: Path, about: bytes) -> Path:
    import torch

    (place / checkpoint.ABOUT).write_bytes(about)
    save_file({"model.x": torch.zeros(2)}, place / checkpoint.WEIGHTS)
    return place


@pytest.mark.parametrize(
    "about",
    [
        b"",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 5000,
        b"9" * 5000,
        b'{"format": 1}',
        b'{"format": 1, "config": 3}',
        b'{"format": 1, "config": {}}',
    ],
    ids=repr,
)
def test_a_checkpoint_whose_json_is_none_is_refused(tmp_path: Path, about: bytes) -> None:
    with pytest.raises((checkpoint.BadCheckpoint, BadConfig), match=r"about\.json|configuration"):
        checkpoint.load(folder_with(tmp_path, about))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocabulary", None),
        ("vocabulary", {"kind": "words", "words": 3}),
        ("pixels", "ab"),
        ("pixels", [1]),
        ("crop_px", "x"),
        ("thresholds", []),
        ("config", {"width": -4}),
        ("config", {"width": 10**13}),
        ("config", {"heads": 0}),
        ("config", {"width": "wide"}),
    ],
)
def test_a_checkpoint_of_a_network_that_cannot_be_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    """A width of ten thousand thousand million would be asked of the memory, and not be had."""
    about = json.loads((DEMO / checkpoint.ABOUT).read_text(encoding="utf-8"))
    about[key] = {**about[key], **value} if key == "config" else value
    with pytest.raises((checkpoint.BadCheckpoint, BadConfig)):
        checkpoint.load(folder_with(tmp_path, json.dumps(about).encode()))


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=60), st.integers(0, 2**64 - 1), st.booleans())
def test_a_header_of_any_length_and_content_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int, is_small: bool) -> None:
    """safetensors begins with the length of its header: one of 2^64 bytes is not to be believed."""
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    file.write_bytes((size % 64 if is_small else size).to_bytes(8, "little") + content)
    with pytest.raises(UserError):
        opened([file], "someone")
    other = file.with_suffix(".bin")
    other.write_bytes(content)
    with pytest.raises(UserError):
        opened([other], "someone")
