"""What is saved is what is taken up again, whenever the process died."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from clala.state import DamagedState, TrainingState


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
