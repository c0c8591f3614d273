"""Where a training stands, on disk, so that a killed one goes on with the numbers that it would have had.

    state.json              which folder holds the last state and which the best; written last, by renaming, so that it never names half a state
    at-<number>/            module weights, AdamW's moments, the random states of each process
    best-<number>/          the weights alone, of the state that was the best so far

Safetensors and JSON alone. A new state gets a folder of its own and the old one goes afterwards: a kill between leaves the old one whole. All of
it is on the disk before the note is, so that a machine that goes down does too.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clala.misfit import not_finite

NOTE = "state.json"
MODULES, MOMENTS = "modules.safetensors", "moments.safetensors"
NOT_OF_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""what file systems say (CIFS, some of FUSE) that bring the names in a folder to the disk in their own time, and know no other"""


class OtherTraining(ValueError):
    """The folder holds the states of another training; going on from them would mix two."""


class DamagedState(RuntimeError):
    """A state on disk that cannot be read, or does not fit the networks that are being trained; the message says what to delete."""


class NotFinite(RuntimeError):
    """Weights that are no numbers any more. They are not saved: the state before them stays."""


class TrainingState:
    """Networks, optimiser, counters and random states of one training."""

    def __init__(self, folder: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
        """``modules`` are those that change, by name; parameters of the optimiser belong to them."""
        self.folder, self.modules, self.optimiser = folder, modules, optimiser
        learning = {id(p) for group in optimiser.param_groups for p in group["params"]}
        self._named = [(f"{prefix}.{name}", p) for prefix, module in modules.items() for name, p in module.named_parameters() if id(p) in learning]

    def save(self, counters: Mapping[str, Any], *, is_best: bool, is_main: bool = True, rank: int = 0) -> None:
        """Write the state; keep its weights as the best too if they are. Every process calls it, with its ``rank``; the main one writes the weights.

        ``counters`` are JSON values: whatever the caller needs to go on (step, epoch, best score so far). Raises NotFinite, in every process.
        """
        weights = self._weights()
        if bad := not_finite(weights):
            raise NotFinite(f"after the last step {bad}; lower the learning rate, or look at the images and sentences of the last steps")
        before = self._note()
        number = int(before.get("number", 0)) + 1
        new = self.folder / f"at-{number}"
        if is_main:
            shutil.rmtree(new, ignore_errors=True)
        _barrier()
        new.mkdir(parents=True, exist_ok=True)
        _save({"cpu": torch.get_rng_state(), **_cuda_states()}, new / f"random-{rank}.safetensors")
        _barrier()
        if is_main:
            _save(weights, new / MODULES)
            _save({f"{key}:{name}": value for name, p in self._named for key, value in self.optimiser.state[p].items()}, new / MOMENTS)
            best = before.get("best", "")
            if is_best:
                best = f"best-{number}"
                (self.folder / best).mkdir(exist_ok=True)
                _save(weights, self.folder / best / MODULES)
                flush(self.folder / best)
            flush(new)
            flush(self.folder)
            self._write_note({"number": number, "best": best, "counters": dict(counters)})
            flush(self.folder)  # before what the old note names goes
            for old in self.folder.iterdir():
                if old.is_dir() and old.name not in (new.name, best):
                    shutil.rmtree(old, ignore_errors=True)
        _barrier()

    @torch.no_grad()
    def load(self, rank: int = 0) -> dict[str, Any] | None:
        """Take up the last state and return its counters; None if there is none. Raises DamagedState."""
        note = self._note()
        if not note:
            return None
        at = self.folder / f"at-{note['number']}"
        self._fill(at)
        moments = self._read(at / MOMENTS)
        for name, p in self._named:
            found = {key.partition(":")[0]: value for key, value in moments.items() if key.partition(":")[2] == name}
            # AdamW counts its steps on the CPU, wherever the weights are. The others take the memory layout of their weights: the fused step walks
            # both in the order in which they lie.
            self.optimiser.state[p] = {key: value if key == "step" else torch.empty_like(p).copy_(value) for key, value in found.items()}
        states = at / f"random-{rank}.safetensors"
        if not states.exists():  # more processes than before: each of the new ones draws dropout of its own
            torch.manual_seed(hash((torch.initial_seed(), int(note["number"]), rank)) % 2**31)
        else:
            random = self._read(states)
            torch.set_rng_state(random["cpu"])
            if torch.cuda.is_available() and "cuda" in random:
                torch.cuda.set_rng_state(random["cuda"])
        counters: dict[str, Any] = note["counters"]
        return counters

    def restore_best(self) -> None:
        """Put the best weights back."""
        if best := self._note().get("best"):
            self._fill(self.folder / best)

    def _note(self) -> dict[str, Any]:
        path = self.folder / NOTE
        if not path.exists():
            return {}
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            note = None
        if not isinstance(note, dict) or not {"number", "best", "counters"} <= note.keys():
            raise DamagedState(f"{path}: should say where a training stands, and cannot be read; delete {self.folder} to begin anew")
        return note

    def _write_note(self, values: Mapping[str, Any]) -> None:
        new = self.folder / f"{NOTE}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(values))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / NOTE)

    def _weights(self) -> dict[str, Tensor]:
        return {f"{prefix}.{name}": value for prefix, module in self.modules.items() for name, value in distinct(module).items()}

    def _read(self, file: Path) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (FileNotFoundError, SafetensorError) as error:
            raise DamagedState(f"{file}: a part of the saved state that cannot be read ({error}); delete {self.folder} to begin anew") from error

    def _fill(self, folder: Path) -> None:
        stored, wanted = self._read(folder / MODULES), self._weights()
        if stored.keys() != wanted.keys() or any(stored[name].shape != value.shape for name, value in wanted.items()):
            raise DamagedState(f"{folder}: the state there is of other networks than those being trained; delete {self.folder} to begin anew")
        with torch.no_grad():
            for name, value in wanted.items():
                value.copy_(stored[name])


def distinct(module: nn.Module) -> dict[str, Tensor]:
    """Tensors by name, those that share memory (a word table and the output layer tied to it) once, under the first of their names."""
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if value.data_ptr() not in seen or value.numel() == 0:
            seen.add(value.data_ptr())
            kept[name] = value
    return kept


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, path)
    flush(path)


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk; without it a note that is there could name what is not."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in NOT_OF_FOLDERS or not path.is_dir():
            raise
    finally:
        os.close(opened)


def _cuda_states() -> dict[str, Tensor]:
    return {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}


def _barrier() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
