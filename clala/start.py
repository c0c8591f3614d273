"""Stage 1 that another training has done, checked and taken up, so that variants which differ in stage 2 alone share it.

    train clala ... --epochs-stage2 0 --no-half --out A         stage 1, stored in full
    train clala ... --epochs 0 --start A --out B                stage 2; other sizes of crops may follow from the same A

B's weights are those of one training that was never interrupted, bit by bit on one thread: every epoch draws from its own seed, and nothing but the
weights goes from one stage to the next. What would make B another training is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clala import checkpoint
from clala.checkpoint import Bundle
from clala.config import Recipe, to_json

MAY_DIFFER = ("crop_px_stage2",)
"""settings of the network that stage 1 does not know"""


class BadStart(ValueError):
    """A folder from whose weights this training cannot go on to stage 2; the message says what it holds, and what to do."""


def take_start(bundle: Bundle, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Fill the network with stage 1 as it lies in the folder; returns what the JSON file there says.

    Raises BadStart for weights of another configuration or vocabulary, before stage 1 or after stage 2, or stored in half; BadCheckpoint.
    """
    if recipe.epochs_stage1:
        raise BadStart(
            f"{folder} is where stage 1 is taken from, yet epochs_stage1 is {recipe.epochs_stage1}; make it 0, or leave the start out and train both"
        )
    about, state = checkpoint.read(folder)
    if part := about.get("part"):
        raise BadStart(f"{folder} is to be started from, but holds a {part} alone; name a folder that was trained with epochs_stage2=0")
    done = about.get("recipe", {})
    first, second = done.get("epochs_stage1", "unknown"), done.get("epochs_stage2", "unknown")
    if first in (0, "unknown") or second != 0:
        raise BadStart(
            f"{folder} is to be started from, but was trained for {first} epochs of stage 1 and {second} of stage 2; "
            "name a folder that was trained with stage 1 and epochs_stage2=0"
        )
    if about["vocabulary"] != bundle.model.tokenizer.to_json():
        raise BadStart(f"{folder} is to be started from, but its vocabulary is not that of this index; train stage 1 on the same index")
    asked, theirs = to_json(bundle.config), about["config"]
    if other := [name for name in asked if name not in MAY_DIFFER and theirs.get(name) != asked[name]]:
        name = other[0]
        raise BadStart(
            f"{folder} is to be started from, but has {name}={theirs.get(name)!r} where {asked[name]!r} is asked for "
            f"({len(other)} settings differ); only {', '.join(MAY_DIFFER)} may: change the settings, or train stage 1 with these"
        )
    own = {name: value for name, value in state.items() if name.startswith("model.")}
    if halved := [name for name, value in own.items() if value.is_floating_point() and value.element_size() < 4]:
        raise BadStart(
            f"{folder} is to be started from, but {len(halved)} of its {len(own)} tensors are stored in half precision, so that stage 2 would not "
            "go on where stage 1 stopped; train stage 1 with half=false (--no-half)"
        )
    checkpoint.load_state({"model": bundle.model}, own, str(folder / checkpoint.WEIGHTS))
    bundle.model.encoder.mean, bundle.model.encoder.std = about["pixels"]
    return about


def record_of(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a start beside the weights that came of it: which weights, and how they were made."""
    kept: dict[str, Any] = {name: about[name] for name in ("command", "seed", "recipe", "labels", "precision", "processes") if name in about}
    return {"sha256": checkpoint.sha256(folder), **kept}
