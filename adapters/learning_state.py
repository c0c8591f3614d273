"""Where a training stands, on disk, so that a killed one goes on with the numbers that it would have had; and weights as safetensors.

    state.json    which folder holds the last state and which the best weights; written last, by renaming, so that it never names half a state
    at-<number>/  weights, AdamW's moments, the state of chance
    best-<number>/

Safetensors and JSON alone: nothing that is read here can run code. A new state has a folder of its own, and the old one goes afterwards. All of it is
on the disk before the note is, so that a machine that goes down leaves a whole one too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.records import UserError
from benchmark.runs import write_atomically
from clala.state import distinct, flush

NOTE = "state.json"
WEIGHTS, MOMENTS, CHANCE = "weights.safetensors", "moments.safetensors", "chance.safetensors"


class OtherTraining(UserError):
    """The folder holds the states of another training; going on from them would mix two."""


class DamagedState(UserError):
    """A state on disk that cannot be read, or does not fit the network that is being trained; the message says what to delete."""


class NotFinite(UserError):
    """Weights that are no numbers any more. They are not saved: the state before them stays."""


class TrainingState:
    """Network, optimiser, counters and chance of one training."""

    def __init__(self, folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, key: Mapping[str, Any]) -> None:
        """``key`` are JSON values that must agree for a training to go on where another stopped. Raises OtherTraining, DamagedState."""
        self.folder, self.network, self.optimiser, self.key = folder, network, optimiser, json.loads(json.dumps(key))
        learning = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
        self._learning = [(name, parameter) for name, parameter in network.named_parameters() if id(parameter) in learning]
        self._note: dict[str, Any] = _note_of(folder)
        if self._note and (other := sorted(name for name in self._note["key"].keys() | self.key.keys() if self._differs(name))):
            raise OtherTraining(
                f"{folder}: holds the states of a training with another {', '.join(other)}; train into another folder, or delete this one"
            )

    def _differs(self, name: str) -> bool:
        return bool(self._note["key"].get(name) != self.key.get(name))

    def save(self, counters: Mapping[str, Any], *, is_best: bool) -> None:
        """Write the state; keep its weights as the best too if they are. ``counters`` are JSON values. Raises NotFinite."""
        weights = distinct(self.network)
        if bad := next((name for name, value in weights.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())), ""):
            raise NotFinite(f"after the last step {bad} holds numbers that are not finite; lower the learning rate, or look at the last cases")
        number = int(self._note.get("number", 0)) + 1
        new, best = self.folder / f"at-{number}", self._note.get("best", "")
        for folder in (new, self.folder / f"best-{number}"):
            shutil.rmtree(folder, ignore_errors=True)  # half a state, of a training that was killed while it wrote
        new.mkdir(parents=True)
        write_tensors(weights, new / WEIGHTS)
        write_tensors({f"{kind}:{name}": value for name, p in self._learning for kind, value in self.optimiser.state[p].items()}, new / MOMENTS)
        write_tensors({"cpu": torch.get_rng_state(), **({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})}, new / CHANCE)
        if is_best:
            best = f"best-{number}"
            (self.folder / best).mkdir()
            write_tensors(weights, self.folder / best / WEIGHTS)
            flush(self.folder / best)
        flush(new)
        flush(self.folder)
        self._note = {"number": number, "best": best, "counters": dict(counters), "key": self.key}
        write_atomically(self.folder / NOTE, json.dumps(self._note))
        flush(self.folder)  # before what the old note names goes
        for old in self.folder.iterdir():
            if old.is_dir() and old.name not in (new.name, best):
                shutil.rmtree(old, ignore_errors=True)

    @torch.no_grad()
    def load(self) -> dict[str, Any] | None:
        """Take up the last state and return its counters; None if there is none. Raises DamagedState."""
        if not self._note:
            return None
        at = self.folder / f"at-{self._note['number']}"
        self._fill(at)
        moments = self._read(at / MOMENTS)
        for name, p in self._learning:
            found = {key.partition(":")[0]: value for key, value in moments.items() if key.partition(":")[2] == name}
            # AdamW counts its steps where it was made to; the moments take the layout of their weights, for the fused step walks both as they lie.
            self.optimiser.state[p] = {key: value if key == "step" else torch.empty_like(p).copy_(value) for key, value in found.items()}
        chance = self._read(at / CHANCE)
        torch.set_rng_state(chance["cpu"])
        if torch.cuda.is_available() and "cuda" in chance:
            torch.cuda.set_rng_state(chance["cuda"])
        counters: dict[str, Any] = self._note["counters"]
        return counters

    def restore_best(self) -> None:
        """Put the best weights back, if any were saved."""
        if best := self._note.get("best"):
            self._fill(self.folder / best)

    def _read(self, file: Path) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (FileNotFoundError, SafetensorError) as error:
            raise DamagedState(f"{file}: a part of the saved state that cannot be read ({error}); delete {self.folder} to begin anew") from error

    def _fill(self, folder: Path) -> None:
        stored, wanted = self._read(folder / WEIGHTS), distinct(self.network)
        if stored.keys() != wanted.keys() or any(stored[name].shape != value.shape for name, value in wanted.items()):
            raise DamagedState(f"{folder}: the state there is of another network than the one being trained; delete {self.folder} to begin anew")
        with torch.no_grad():
            for name, value in wanted.items():
                value.copy_(stored[name])


def _note_of(folder: Path) -> dict[str, Any]:
    """What the folder's note says; empty if there is none. Raises DamagedState for half a note, of a disk that was full or a copy that broke off."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        note = None
    if not isinstance(note, dict) or not {"number", "best", "counters", "key"} <= note.keys():
        raise DamagedState(f"{folder / NOTE}: should say where a training stands, and cannot be read; delete {folder} to begin anew")
    return note


def write_tensors(tensors: Mapping[str, Tensor], file: Path, *, half: bool = False) -> None:
    """One safetensors file, on the disk when this returns; ``half`` stores float16, at half the size."""
    from safetensors.torch import save_file

    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file({name: value.half() if half and value.is_floating_point() else value for name, value in stored.items()}, file, {"format": "pt"})
    flush(file)
