"""Weights on disk: one safetensors file, and a JSON file beside it that says what they are.

    weights.safetensors   model.*, classifier.*, detector.*
    about.json            config, vocabulary, thresholds, the command that made them, what the training said

Never a pickle: a weights file from elsewhere must not be able to run code. Loading is strict; a missing or an unknown tensor is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clala import config as configs
from clala import tokens
from clala.classifier import LesionClassifier
from clala.config import CLALAConfig
from clala.detector import RegionDetector
from clala.model import CLALA
from clala.regions import LESIONS, REGIONS

FORMAT = 1
"""Raised when the files mean something else than before."""

WEIGHTS, ABOUT = "weights.safetensors", "about.json"


class BadCheckpoint(ValueError):
    """Weights that do not fit or cannot be read: names the file and what is wrong with it."""


@dataclass
class Bundle:
    """All that generation needs."""

    model: CLALA
    """the network"""
    classifier: LesionClassifier
    """lesions of the whole image"""
    detector: RegionDetector
    """boxes of the regions"""
    thresholds: Tensor
    """(14,) a lesion is present from this probability on"""
    about: dict[str, Any] = field(default_factory=dict)
    """whatever else the JSON file says (command, log)"""

    @property
    def config(self) -> CLALAConfig:
        """Sizes and switches."""
        return self.model.config

    def modules(self) -> dict[str, nn.Module]:
        """The three networks by the name that their tensors begin with."""
        return {"model": self.model, "classifier": self.classifier, "detector": self.detector}

    def to(self, device: torch.device | str) -> Bundle:
        """Move all of it."""
        for module in self.modules().values():
            module.to(device)
        self.thresholds = self.thresholds.to(device)
        return self

    def eval(self) -> Bundle:
        """No dropout, fixed norms."""
        for module in self.modules().values():
            module.eval()
        return self


def new_bundle(config: CLALAConfig, tokenizer: tokens.Tokenizer, *, pretrained: bool = False) -> Bundle:
    """Untrained networks of that configuration; ``pretrained`` starts ViT and BERT from the published weights, which are downloaded."""
    return Bundle(CLALA(config, tokenizer, pretrained=pretrained), LesionClassifier(config), RegionDetector(config), torch.full((len(LESIONS),), 0.5))


def save(bundle: Bundle, folder: Path, *, half: bool = False, **about: Any) -> None:
    """Write both files; ``half`` stores float16, at half the size."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {}
    for prefix, module in bundle.modules().items():
        for name, value in _distinct(module).items():
            stored = value.detach().cpu().contiguous()
            state[f"{prefix}.{name}"] = stored.half() if half and stored.is_floating_point() else stored
    save_file(state, folder / WEIGHTS, metadata={"format": "pt", "made_by": str(about.get("command", ""))})
    values = {
        "format": FORMAT,
        **bundle.about,
        **about,
        "config": configs.to_json(bundle.config),
        "crop_px": bundle.model.encoder.vit.patch_embed.img_size[0],
        "pixels": [bundle.model.encoder.mean, bundle.model.encoder.std],
        "thresholds": dict(zip(LESIONS, bundle.thresholds.tolist(), strict=True)),
        "regions": list(REGIONS),
        "vocabulary": bundle.model.tokenizer.to_json(),
    }
    (folder / ABOUT).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Bundle:
    """What ``save`` wrote, ready to generate.

    Raises BadCheckpoint when a file is missing or damaged, or its tensors are not those of its configuration.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (ABOUT, WEIGHTS):
        if not (folder / name).is_file():
            raise BadCheckpoint(f"no {name} in {folder}; CLALA-Net weights are {WEIGHTS} and {ABOUT}, as `python -m clala.train` writes them")
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BadCheckpoint(f"{folder / ABOUT}: not JSON ({error})") from error
    if about.get("format") != FORMAT:
        raise BadCheckpoint(f"{folder / ABOUT}: format {about.get('format')!r}; this version reads format {FORMAT}")
    bundle = new_bundle(configs.from_json(about["config"]), tokens.from_json(about["vocabulary"]))
    bundle.model.encoder.resize(int(about["crop_px"]))
    bundle.model.encoder.mean, bundle.model.encoder.std = about["pixels"]
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise BadCheckpoint(f"{folder / WEIGHTS}: cannot be read ({error})") from error
    load_state(bundle, state, str(folder / WEIGHTS))
    bundle.thresholds = torch.tensor([float(about["thresholds"][lesion]) for lesion in LESIONS])
    bundle.about = {
        name: value for name, value in about.items() if name not in ("config", "vocabulary", "thresholds", "regions", "pixels", "crop_px")
    }
    return bundle.eval()


def load_state(bundle: Bundle, state: Mapping[str, Tensor], where: str) -> None:
    """Fill the networks; every tensor must be there, none may be left over, all must have the right shape."""
    wanted = {f"{prefix}.{name}": value for prefix, module in bundle.modules().items() for name, value in _distinct(module).items()}
    if missing := sorted(wanted.keys() - state.keys()):
        raise BadCheckpoint(f"{where}: lacks {len(missing)} tensors, first {missing[0]}; they belong to another configuration")
    if left_over := sorted(state.keys() - wanted.keys()):
        raise BadCheckpoint(f"{where}: holds {len(left_over)} tensors that this configuration has no place for, first {left_over[0]}")
    for name, value in wanted.items():
        if value.shape != state[name].shape:
            raise BadCheckpoint(f"{where}: {name} is {tuple(state[name].shape)}, its place {tuple(value.shape)}")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(state[name])


def _distinct(module: nn.Module) -> dict[str, Tensor]:
    """Tensors by name, those that share memory (BERT's word table and its output layer) once."""
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if value.data_ptr() not in seen or value.numel() == 0:
            seen.add(value.data_ptr())
            kept[name] = value
    return kept


def sha256(folder: Path) -> str:
    """Checksum of the weights, for the record of a run."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
