from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from clala import checkpoint
from clala.checkpoint import BadCheckpoint, Bundle
from clala.generate import write


def test_saved_and_loaded_gives_the_same_output(bundle: Bundle, tmp_path: Path) -> None:
    bundle.thresholds = torch.linspace(0.1, 0.9, 14)
    checkpoint.save(bundle, tmp_path)
    again = checkpoint.load(tmp_path)
    crops, tokens = torch.rand(2, 1, 32, 32), torch.tensor([[2, 5, 6], [2, 7, 3]])
    one, other = (b.model.decoder(tokens, b.model.memory(b.model.encoder(crops), torch.ones(2, 14))) for b in (bundle, again))
    assert torch.equal(one, other)
    image = np.random.default_rng(0).integers(0, 255, (70, 60)).astype(np.uint8)
    assert write(bundle, [image]) == write(again, [image])


def test_an_encoder_that_was_resized_comes_back_at_its_size(bundle: Bundle, tmp_path: Path) -> None:
    bundle.model.encoder.resize(48)
    checkpoint.save(bundle, tmp_path)
    assert torch.equal(checkpoint.load(tmp_path).model.encoder.vit.pos_embed, bundle.model.encoder.vit.pos_embed)


def test_half_precision_is_half_the_size(bundle: Bundle, tmp_path: Path) -> None:
    checkpoint.save(bundle, tmp_path / "full")
    checkpoint.save(bundle, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / checkpoint.WEIGHTS).stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    checkpoint.load(tmp_path / "half")


def test_the_command_that_made_the_weights_stays_with_them(bundle: Bundle, tmp_path: Path) -> None:
    checkpoint.save(bundle, tmp_path, command="python -m clala.train --index x")
    assert checkpoint.load(tmp_path).about["command"] == "python -m clala.train --index x"


def test_a_missing_tensor_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(BadCheckpoint, match=r"somewhere: lacks \d+ tensors, first classifier\."):
        checkpoint.load_state(bundle.modules(), {"model.lca.blocks.0.q.weight": torch.zeros(32, 32)}, "somewhere")


def test_a_tensor_without_a_place_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    checkpoint.save(bundle, tmp_path)
    state = load_file(tmp_path / checkpoint.WEIGHTS)
    save_file(state | {"model.extra": torch.zeros(1)}, tmp_path / checkpoint.WEIGHTS)
    with pytest.raises(BadCheckpoint, match=r"holds 1 tensors that this configuration has no place for, first model\.extra"):
        checkpoint.load(tmp_path)


def test_a_tensor_of_another_shape_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    checkpoint.save(bundle, tmp_path)
    state = load_file(tmp_path / checkpoint.WEIGHTS)
    state["model.llcl_head.bias"] = torch.zeros(3)
    save_file(state, tmp_path / checkpoint.WEIGHTS)
    with pytest.raises(BadCheckpoint, match=r"model\.llcl_head\.bias is \(3,\), its place \(16,\)"):
        checkpoint.load(tmp_path)


def test_a_folder_without_weights_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"no about\.json in .*weights\.safetensors and about\.json"):
        checkpoint.load(tmp_path)


def test_a_damaged_file_is_named(bundle: Bundle, tmp_path: Path) -> None:
    checkpoint.save(bundle, tmp_path)
    (tmp_path / checkpoint.WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(BadCheckpoint, match=r"weights\.safetensors: cannot be read"):
        checkpoint.load(tmp_path)


def test_a_format_of_another_day_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    checkpoint.save(bundle, tmp_path)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text())
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(BadCheckpoint, match=r"format 99; this version reads format 1"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("change", [1, 2, 3])
def test_weights_saved_over_others_are_those_or_these_or_none_wherever_the_process_is_killed(bundle: Bundle, tmp_path: Path, change: int) -> None:
    """SIGKILL, just before the first, second, third time that a file is removed or renamed. Never new weights with what was said of the old."""
    checkpoint.save(bundle, tmp_path, named="old")
    old = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    with torch.no_grad():
        bundle.model.llcl_head.bias.fill_(7.0)

    def save_and_be_killed() -> None:
        seen = [0]

        def count(event: str, arguments: tuple[object, ...]) -> None:
            if event in ("os.rename", "os.remove"):
                seen[0] += 1
                if seen[0] == change:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        checkpoint.save(bundle, tmp_path, named="new")

    assert in_a_process_of_its_own(save_and_be_killed) == -signal.SIGKILL
    if change == 1:
        found = checkpoint.load(tmp_path)
        assert found.about["named"] == "old"
        assert torch.equal(found.model.llcl_head.bias, old["llcl_head.bias"])
    else:
        with pytest.raises(BadCheckpoint, match=r"no about\.json in"):
            checkpoint.load(tmp_path)
    checkpoint.save(bundle, tmp_path, named="new")
    found = checkpoint.load(tmp_path)
    assert found.about["named"] == "new"
    assert torch.equal(found.model.llcl_head.bias, bundle.model.llcl_head.bias)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["about.json", "weights.safetensors"]


def in_a_process_of_its_own(work: Callable[[], None]) -> int:
    """Its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_checksum_of_weights_that_are_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"no weights\.safetensors in .*; CLALA-Net weights are"):
        checkpoint.sha256(tmp_path / "nowhere")
