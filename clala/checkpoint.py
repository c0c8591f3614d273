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
from clala.classifier import new_classifier
from clala.config import CLALAConfig
from clala.detector import new_detector
from clala.model import CLALA
from clala.regions import LESIONS, REGIONS
from clala.state import distinct, flush

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
    classifier: nn.Module
    """lesions of the whole image, see ``classifier.new_classifier``"""
    detector: Any
    """boxes of the regions: a module with ``find``, see ``detector.new_detector``"""
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
    return Bundle(CLALA(config, tokenizer, pretrained=pretrained), new_classifier(config), new_detector(config), torch.full((len(LESIONS),), 0.5))


def save(bundle: Bundle, folder: Path, *, half: bool = False, **about: Any) -> None:
    """Write both files, ``half`` as float16, at half the size. Killed in between, it leaves what was there before, or no JSON file: unfinished."""
    _write_weights(folder, _tensors(bundle.modules(), half=half), {"format": "pt", "made_by": str(about.get("command", ""))})
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
    write_whole(folder / ABOUT, json.dumps(values, indent=1) + "\n")


def _write_weights(folder: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Whole, in the place of those that were there; what was said of these goes first, or it would be said of the new ones."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{WEIGHTS}.new"
    save_file(dict(state), part, metadata=metadata)
    flush(part)
    (folder / ABOUT).unlink(missing_ok=True)
    part.replace(folder / WEIGHTS)
    flush(folder)


def write_whole(file: Path, text: str) -> None:
    """All of the text or none of it, whenever the process is killed: that the file is there is what says that the rest is done."""
    part = file.with_name(f"{file.name}.new")
    part.write_text(text, encoding="utf-8")
    flush(part)
    part.replace(file)


def load(folder: Path) -> Bundle:
    """What ``save`` wrote, ready to generate.

    Raises BadCheckpoint when a file is missing or damaged, or its tensors are not those of its configuration.
    """
    about, state = read(folder)
    if part := about.get("part"):
        raise BadCheckpoint(f"{folder}: holds a {part} alone; the whole of CLALA-Net is asked for here (train it with --{part} {folder.name})")
    try:
        bundle = new_bundle(configs.from_json(about["config"]), tokens.from_json(about["vocabulary"]))
        bundle.model.encoder.resize(int(about["crop_px"]))
        bundle.model.encoder.mean, bundle.model.encoder.std = map(float, about["pixels"])
        bundle.thresholds = torch.tensor([float(about["thresholds"][lesion]) for lesion in LESIONS])
    except (BadCheckpoint, configs.BadConfig):
        raise
    except Exception as error:  # sizes that do not go together fail in many ways, those of thousands of gigabytes too
        what = f"{error} is missing" if isinstance(error, KeyError) else f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise BadCheckpoint(
            f"{folder / ABOUT}: does not say how to make the network ({what}); take the file that was written with the weights"
        ) from error
    load_state(bundle.modules(), state, str(folder / WEIGHTS))
    bundle.about = {
        name: value for name, value in about.items() if name not in ("config", "vocabulary", "thresholds", "regions", "pixels", "crop_px")
    }
    return bundle.eval()


def save_part(folder: Path, part: str, module: nn.Module, config: CLALAConfig, **about: Any) -> None:
    """Write the classifier or the detector alone, for trainings that take it up; ``about`` are JSON values (thresholds, command, summary)."""
    _write_weights(folder, _tensors({part: module}), {"format": "pt"})
    values = {"format": FORMAT, "part": part, **about, "config": configs.to_json(config)}
    write_whole(folder / ABOUT, json.dumps(values, indent=1) + "\n")


def load_part(folder: Path, part: str, config: CLALAConfig) -> tuple[nn.Module, dict[str, Any]]:
    """The classifier or the detector of a folder, which may hold it alone or with all else, and what its JSON file says.

    Raises BadCheckpoint when it is not there, or is of other sizes than ``config`` says.
    """
    about, state = read(folder)
    if about.get("part", part) != part:
        raise BadCheckpoint(f"{folder}: holds a {about['part']}, asked for is a {part}")
    own = {name: value for name, value in about["config"].items() if name.startswith(_SETTINGS[part])}
    asked = configs.to_json(config)
    if other := [name for name in own if own[name] != asked[name]]:
        name = other[0]
        raise BadCheckpoint(f"{folder}: a {part} with {name}={own[name]!r}, asked for is {name}={asked[name]!r}; train with --set {name}={own[name]}")
    module = new_classifier(config) if part == "classifier" else new_detector(config)
    load_state({part: module}, {name: value for name, value in state.items() if name.startswith(f"{part}.")}, str(folder / WEIGHTS))
    return module.eval(), about


_SETTINGS = {"classifier": ("classifier",), "detector": ("detector", "yolo")}
"""Which settings of CLALAConfig belong to which part, by the beginning of their names."""


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the JSON file says, and the tensors by name, of a folder of any kind. Raises BadCheckpoint when a file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (ABOUT, WEIGHTS):
        _must_be_there(folder, name)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number of thousands of digits
        raise BadCheckpoint(f"{folder / ABOUT}: not JSON ({error})") from error
    found = about.get("format") if isinstance(about, dict) else f"of a {type(about).__name__}"
    if found != FORMAT:
        raise BadCheckpoint(f"{folder / ABOUT}: format {found!r}; this version reads format {FORMAT}")
    try:
        return about, load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise BadCheckpoint(f"{folder / WEIGHTS}: cannot be read ({error})") from error


def _must_be_there(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise BadCheckpoint(f"no {name} in {folder}; CLALA-Net weights are {WEIGHTS} and {ABOUT}, as `python -m clala.train` writes them")


def _tensors(modules: Mapping[str, nn.Module], *, half: bool = False) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        for name, value in distinct(module).items():
            stored = value.detach().cpu().contiguous()
            state[f"{prefix}.{name}"] = stored.half() if half and stored.is_floating_point() else stored
    return state


def load_state(modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], where: str) -> None:
    """Fill the networks; every tensor must be there, none may be left over, all must have the right shape."""
    wanted = {f"{prefix}.{name}": value for prefix, module in modules.items() for name, value in distinct(module).items()}
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


def sha256(folder: Path) -> str:
    """Checksum of the weights, for the record of a run. Raises BadCheckpoint where there are none."""
    _must_be_there(folder, WEIGHTS)
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
