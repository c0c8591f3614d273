"""What is saved is what is taken up again, whenever the process died."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from clala.state import DamagedState, NotFinite, TrainingState, flush


def small() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)


def step(layer: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    layer(torch.rand(2, 3, 8, 8)).square().sum().backward()
    optimiser.step()


def test_nothing_saved_is_nothing_to_load(tmp_path: Path) -> None:
    layer, optimiser = small()
    assert TrainingState(tmp_path / "none", {"layer": layer}, optimiser).load() is None


def test_the_next_step_after_loading_is_the_one_there_would_have_been(tmp_path: Path) -> None:
    """Weights lie channel by channel here, moments come from the file row by row: a fused step that paired them so would be silently wrong."""
    layer, optimiser = small()
    step(layer, optimiser)
    TrainingState(tmp_path, {"layer": layer}, optimiser).save({"step": 1}, is_best=True)
    step(layer, optimiser)
    other, its_optimiser = small()
    assert TrainingState(tmp_path, {"layer": other}, its_optimiser).load() == {"step": 1}
    step(other, its_optimiser)  # the random image too is the same
    assert torch.equal(layer.weight, other.weight)
    assert its_optimiser.state[other.weight]["exp_avg"].stride() == other.weight.stride()


def test_a_state_that_was_not_finished_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    layer, optimiser = small()
    step(layer, optimiser)
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    state.save({"step": 1}, is_best=True)
    (tmp_path / "at-2").mkdir()
    (tmp_path / "at-2" / "modules.safetensors").write_bytes(b"half a fi")
    (tmp_path / "state.json.new").write_text("{")
    assert state.load() == {"step": 1}
    state.save({"step": 2}, is_best=False)
    assert state.load() == {"step": 2}


def test_the_best_stays_while_the_last_goes_on_and_older_ones_are_cleared_away(tmp_path: Path) -> None:
    layer, optimiser = small()
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    step(layer, optimiser)
    best = layer.weight.detach().clone()
    state.save({"step": 1}, is_best=True)
    for number in (2, 3):
        step(layer, optimiser)
        state.save({"step": number}, is_best=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at-3", "best-1", "state.json"]
    state.restore_best()
    assert torch.equal(layer.weight, best)


def test_the_state_of_other_networks_is_not_taken_up(tmp_path: Path) -> None:
    layer, optimiser = small()
    step(layer, optimiser)
    TrainingState(tmp_path, {"layer": layer}, optimiser).save({}, is_best=True)
    other = nn.Conv2d(3, 5, 3)
    with pytest.raises(DamagedState, match=r"of other networks than those being trained; delete .* to begin anew"):
        TrainingState(tmp_path, {"layer": other}, torch.optim.AdamW(other.parameters())).load()


@pytest.mark.parametrize("file", ["at-1/modules.safetensors", "at-1/moments.safetensors", "at-1/random-0.safetensors", "state.json"])
@pytest.mark.parametrize("left", [b"", b"half a fi"])
def test_a_state_that_a_disk_has_lost_is_named_with_what_to_delete(tmp_path: Path, file: str, left: bytes) -> None:
    layer, optimiser = small()
    step(layer, optimiser)
    state = TrainingState(tmp_path / "stage1", {"layer": layer}, optimiser)
    state.save({"step": 1}, is_best=True)
    (tmp_path / "stage1" / file).write_bytes(left)
    with pytest.raises(DamagedState, match=rf"{file.rpartition('/')[2]}: .*cannot be read.*; delete .*/stage1 to begin anew"):
        state.load()


@pytest.mark.parametrize("file", ["modules.safetensors", "moments.safetensors"])
def test_a_state_of_which_a_file_is_gone_is_named_too(tmp_path: Path, file: str) -> None:
    layer, optimiser = small()
    step(layer, optimiser)
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    state.save({"step": 1}, is_best=True)
    (tmp_path / "at-1" / file).unlink()
    with pytest.raises(DamagedState, match=rf"at-1/{file}: a part of the saved state that cannot be read .*; delete .* to begin anew"):
        state.load()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_never_take_the_place_of_those_that_are(tmp_path: Path, number: float) -> None:
    """The last step of an epoch may do it: its loss was still a number, and without validation images every epoch is the best so far."""
    layer, optimiser = small()
    step(layer, optimiser)
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    state.save({"step": 1}, is_best=True)
    good = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = number
    with pytest.raises(NotFinite, match=r"layer\.weight holds numbers that are not finite, 1 of 108; lower the learning rate"):
        state.save({"step": 2}, is_best=True)
    assert state.load() == {"step": 1}
    assert torch.equal(layer.weight, good)


def test_all_of_a_state_is_on_the_disk_before_the_note_that_names_it_and_the_old_one_stays_until_then(tmp_path: Path) -> None:
    """What a machine that goes down keeps is what was brought to the disk by then, files and the names of files alike."""
    layer, optimiser = small()
    step(layer, optimiser)
    state = TrainingState(tmp_path, {"layer": layer}, optimiser)
    state.save({"step": 1}, is_best=True)
    done: list[str] = []
    fsync, remove = os.fsync, shutil.rmtree

    def noted(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")
        fsync(descriptor)

    def removed(path: Path, **named: Any) -> None:
        done.append(f"remove {path.relative_to(tmp_path)}")
        remove(path, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted)
        patch.setattr(shutil, "rmtree", removed)
        state.save({"step": 2}, is_best=True)
    note = done.index("sync state.json.new")
    for name in ("at-2/modules.safetensors", "at-2/moments.safetensors", "at-2/random-0.safetensors", "best-2/modules.safetensors"):
        assert done.index(f"sync {name}") < done.index(f"sync {name.partition('/')[0]}") < note, name
    assert done.index("sync .") < note
    assert done[note + 1] == "sync .", "the name of the note"
    assert sorted(done[note + 2 :]) == ["remove at-1", "remove best-1"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the files of the processes are Linux's")
def test_a_file_system_that_brings_no_folder_to_the_disk_is_no_reason_to_stop_and_one_that_brings_no_file_is() -> None:
    """That of the processes answers both with what CIFS says of folders."""
    flush(Path("/proc/self"))
    with pytest.raises(OSError, match="Invalid argument"):
        flush(Path("/proc/self/status"))
