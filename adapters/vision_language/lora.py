"""Low-rank additions (LoRA; Hu et al., 2021) put into the weights while these are read: W + alpha / r * B A. No peft is needed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from adapters.vision_language.stored import Stored, WrongWeights

CONFIG = "adapter_config.json"
_NAME = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.default)?\.weight")
_LAYER = re.compile(r"(.*?)layers\.\d+\.(.+)")
# Ways of peft that change what is added, each with the value at which it adds nothing of its own.
_PLAIN = {
    "use_rslora": False,
    "use_dora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "fan_in_fan_out": False,
    "bias": "none",
    "layers_to_transform": None,
}


class LoRA(NamedTuple):
    """What ``adapter_config.json`` says of the additions."""

    rank: int
    alpha: float
    targets: tuple[str, ...] = ()
    """names of what is added to in every layer (``q_proj``), where it lists them"""

    @property
    def scale(self) -> float:
        """Of what is added."""
        return self.alpha / self.rank


def read_lora(folder: Path, who: str) -> LoRA:
    """The settings of a LoRA. Raises ``WrongWeights`` for what is no plain one."""
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank, alpha = told["r"], told["lora_alpha"]
        if type(rank) is not int or type(alpha) not in (int, float) or rank < 1 or not 0 < alpha < math.inf:
            raise ValueError(f"r={rank!r} and lora_alpha={alpha!r}, a whole and a finite number above 0 are needed")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongWeights(
            f"{who}: {CONFIG} of {folder.name} has no lora_alpha and r that can be read ({error}); take the file as published"
        ) from error
    if strange := [name for name, plain in _PLAIN.items() if told.get(name, plain) not in (plain, None)]:
        raise WrongWeights(f"{who}: {CONFIG} of {folder.name} has {strange[0]}={told[strange[0]]!r}, which is not merged here; merge it with peft")
    targets = told.get("target_modules")
    return LoRA(rank, float(alpha), tuple(map(str, targets)) if isinstance(targets, list) else ())


def merged(stored: Mapping[str, Stored], additions: Mapping[str, Stored], told: LoRA, who: str) -> dict[str, Stored]:
    """``stored`` with what ``additions`` (peft's names) add to it, computed in 32 bits as each tensor is read.

    Raises ``WrongWeights`` for half a pair, a tensor that nothing is stored for, shapes that do not fit, and layers that are left out.
    """
    pairs: dict[str, dict[str, Stored]] = {}
    for name, one in additions.items():
        if not (match := _NAME.fullmatch(name)):
            raise WrongWeights(f"{who}: {name} among the LoRA's tensors is none of lora_A and lora_B; take the file as it was published")
        pairs.setdefault(f"{match[1]}.weight", {})[match[2]] = one
    found = dict(stored)
    for name, pair in pairs.items():
        if name not in stored:
            raise WrongWeights(f"{who}: the LoRA adds to {name}, which the base model does not have; take the base model that it was trained on")
        if set(pair) != {"A", "B"}:
            raise WrongWeights(f"{who}: of {name} the LoRA has lora_{next(iter(pair))} alone; take the file as it was published")
        shapes, base = (pair["B"].shape, pair["A"].shape), stored[name]
        if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][0] or (shapes[0][0], shapes[1][1]) != base.shape:
            raise WrongWeights(f"{who}: the LoRA adds {shapes[0]} by {shapes[1]} to {name}, which is {base.shape}; take its own base model")
        if shapes[1][0] != told.rank:
            raise WrongWeights(
                f"{who}: the LoRA's tensors for {name} are of rank {shapes[1][0]}, {CONFIG} says r={told.rank}; take both of one release"
            )
        found[name] = _sum(base, pair["A"], pair["B"], told.scale)
    if lacking := _left_out(stored, pairs, told.targets):
        raise WrongWeights(
            f"{who}: of what the LoRA should add to, {len(lacking)} tensors have no addition ({lacking[0]} first); take the file as it was published"
        )
    return found


def _left_out(stored: Mapping[str, Stored], pairs: Mapping[str, object], targets: tuple[str, ...]) -> list[str]:
    """Matrices that are named as targets, or added to in another layer, and are not added to: of half a file."""
    alike = {match.groups() for match in map(_LAYER.fullmatch, pairs) if match}
    stacks = {stack for stack, _ in alike}
    lacking = []
    for name in stored.keys() - pairs.keys():
        if not (match := _LAYER.fullmatch(name)) or (stacks and match[1] not in stacks):  # a tower's layers may have the same names
            continue
        at = match[2].removesuffix(".weight")
        is_target = match[2] != at and any(at == target or at.endswith(f".{target}") for target in targets)
        if is_target or match.groups() in alike:
            lacking.append(name)
    return sorted(lacking)


def _sum(base: Stored, a: Stored, b: Stored, scale: float) -> Stored:
    return Stored(base.shape, lambda: base.read().float().addmm(b.read().float(), a.read().float(), alpha=scale))
