"""Low-rank additions (LoRA; Hu et al., 2021) put into the weights while these are read: W + alpha / r * B A. No peft is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from adapters.vision_language.stored import Stored, WrongWeights

CONFIG = "adapter_config.json"
_NAME = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.default)?\.weight")
# Ways of peft that change what is added, each with the value at which it adds nothing of its own.
_PLAIN = {"use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}, "fan_in_fan_out": False, "bias": "none"}


def scale_of(folder: Path, who: str) -> float:
    """alpha / r, as ``adapter_config.json`` has them. Raises ``WrongWeights`` for what is no plain LoRA."""
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        scale = float(told["lora_alpha"]) / float(told["r"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise WrongWeights(
            f"{who}: {CONFIG} of {folder.name} has no lora_alpha and r that can be read ({error}); take the file as published"
        ) from error
    if strange := [name for name, plain in _PLAIN.items() if told.get(name, plain) not in (plain, None)]:
        raise WrongWeights(f"{who}: {CONFIG} of {folder.name} has {strange[0]}={told[strange[0]]!r}, which is not merged here; merge it with peft")
    return scale


def merged(stored: Mapping[str, Stored], additions: Mapping[str, Stored], scale: float, who: str) -> dict[str, Stored]:
    """``stored`` with what ``additions`` (peft's names) add to it, computed in 32 bits as each tensor is read.

    Raises ``WrongWeights`` for half a pair, a tensor that nothing is stored for, and shapes that do not fit.
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
        found[name] = _sum(base, pair["A"], pair["B"], scale)
    return found


def _sum(base: Stored, a: Stored, b: Stored, scale: float) -> Stored:
    return Stored(base.shape, lambda: base.read().float().addmm(b.read().float(), a.read().float(), alpha=scale))
