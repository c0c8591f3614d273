"""Files of weights -> the network, strictly.

The published file is what the training program kept: ``model`` by its names there, and beside it the optimiser's state, 1.7 of its 4.2 GB, which is
never read from the disk. The language model is in ``model`` four times, under the names of parts of itself; one is taken, and the others must say
the same. Nothing in a file is run.

Our own folders hold ``weights.safetensors`` by the network's own names, ``about.json`` with its sizes, and ``tokenizer.json``.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adapters.gpt2_pieces import FILE
from adapters.learning_state import write_tensors
from adapters.rgrg.files import REMEDY
from adapters.rgrg.network import Network
from adapters.rgrg.sizes import Sizes
from adapters.weights_file import NoTensors, first_line, shown, tensors_in
from benchmark.records import UserError
from clala.misfit import misfit
from clala.state import distinct

WEIGHTS, ABOUT = "weights.safetensors", "about.json"
_STAGES = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}
"""what the children of torchvision's ResNet are called where they are not counted"""
_LANGUAGE = "language_model."
_KEPT = f"{_LANGUAGE}gpt_with_lm_head."
_WHOLE = f"{_KEPT}transformer."
_ALIASES = (
    # name in the file -> the same tensor's name in what is kept
    (re.compile(r"language_model\.gpt\.(.+)"), rf"{_WHOLE}\1"),
    (re.compile(r"language_model\.(wte|wpe)\.(.+)"), rf"{_WHOLE}\1.\2"),
    (re.compile(r"language_model\.final_layernorm\.(.+)"), rf"{_WHOLE}ln_f.\1"),
    (re.compile(r"language_model\.lm_head\.(.+)"), rf"{_KEPT}lm_head.\1"),
    (re.compile(r"language_model\.gpt2_blocks\.(\d+)\.0\.(.+)"), rf"{_WHOLE}h.\1.ln_1.\2"),
    (re.compile(r"language_model\.gpt2_blocks\.(\d+)\.1\.(.+)"), rf"{_WHOLE}h.\1.attn.\2"),
    (re.compile(r"language_model\.gpt2_blocks\.(\d+)\.2\.(.+)"), rf"{_WHOLE}h.\1.ln_2.\2"),
    (re.compile(r"language_model\.gpt2_blocks\.(\d+)\.3\.(.+)"), rf"{_WHOLE}h.\1.mlp.\2"),
)
_UNUSED = re.compile(
    # Masks that are the same in every GPT-2, weights of losses, and the table of places that the authors' code never looks at.
    r".*\.attn\.(causal_mask|mask_out_value|bias|masked_bias)|binary_classifier_region_\w+\.loss_fn\.pos_weight|language_model\.(.*\.)?wpe\.weight"
)
_NAMES = (
    *((re.compile(rf"object_detector\.backbone\.{child}\.(.+)"), rf"detector.backbone.{stage}.\1") for child, stage in _STAGES.items()),
    (re.compile(r"object_detector\.rpn\.head\.conv\.(?:0\.0\.)?(weight|bias)"), r"detector.rpn.head.conv.0.0.\1"),
    (re.compile(r"object_detector\.rpn\.(.+)"), r"detector.rpn.\1"),
    (re.compile(r"object_detector\.roi_heads\.(.+)"), r"detector.\1"),
    (re.compile(r"binary_classifier_region_selection\.classifier\.(.+)"), r"selection.\1"),
    (re.compile(r"binary_classifier_region_abnormal\.classifier\.(.+)"), r"abnormality.\1"),
    (re.compile(r"language_model\.feature_space_transformation_nn\.(.+)"), r"language.transform.\1"),
    (re.compile(r"language_model\.gpt_with_lm_head\.transformer\.h\.(\d+)\.attn\.(uk|uv)\.(.+)"), r"language.\2.\1.\3"),
    (re.compile(r"language_model\.gpt_with_lm_head\.(.+)"), r"language.gpt.\1"),
)


class WrongWeights(UserError):
    """A file or folder that is not RGRG's: names it, what was found and what to do."""


class Loaded(NamedTuple):
    """A network that is ready, and what was said of it."""

    network: Network
    about: Mapping[str, Any]
    """of our own folders, what the training wrote beside them; empty for the published file"""


def load(path: Path) -> Loaded:
    """The network of a published file, or of a folder of our own. Raises WrongWeights for what is something else."""
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        raise WrongWeights(f"{shown(path)}: there is no such file or folder; {REMEDY}")
    return Loaded(_load_published(path), {})


def _load_published(path: Path) -> Network:
    state = renamed(tensors_of(_read(path), path), path)
    return filled(sizes_of(state, path), state, path)


def _read(path: Path) -> Any:
    try:
        # Mapped, a tensor is read from the disk when it is looked at: the optimiser's never are.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise WrongWeights(
            f"{path}: holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; {REMEDY}"
        ) from error
    except Exception as error:  # half a file, a text, a file of before PyTorch 1.6: the reader stumbles in a dozen ways
        raise WrongWeights(f"{path}: is no PyTorch file, or a damaged one ({first_line(error)}); fetch it again, all 4.2 GB; {REMEDY}") from error


def tensors_of(found: Any, path: Path) -> dict[str, Tensor]:
    """The network's tensors by their names in the file. Raises WrongWeights."""
    try:
        return tensors_in(found, "model")
    except NoTensors as error:
        raise WrongWeights(f"{path}: {error}; {REMEDY}") from error


def renamed(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors that are needed, once each, by the network's own names.

    Raises WrongWeights if two that should be the same tensor are not, or if the file is none of RGRG.
    """
    if not any(name.startswith("object_detector.") for name in state) or not any(name.startswith(_LANGUAGE) for name in state):
        whose = ", ".join(sorted({name.partition(".")[0] for name in state})[:4])
        raise WrongWeights(f"{path}: its {len(state)} tensors are of {whose}, RGRG's are of object_detector and language_model; {REMEDY}")
    kept: dict[str, Tensor] = {}
    for name, value in state.items():
        whole = _whole_name(name)
        if whole is not None:
            if whole in state and not same(value, state[whole]):
                raise WrongWeights(f"{path}: {name} and {whole} should be one tensor, and differ; {REMEDY}")
            name = whole
        if not _UNUSED.fullmatch(name):
            kept[_own_name(name)] = value
    if (fc6 := kept.get("detector.box_head.fc6.weight")) is not None:
        kept["detector.box_head.fc6.weight"] = _by_bin(fc6, kept.get("detector.dim_reduction.weight"), path)
    return kept


def _whole_name(name: str) -> str | None:
    for pattern, whole in _ALIASES:
        if found := pattern.fullmatch(name):
            return found.expand(whole)
    return None


def _own_name(name: str) -> str:
    for pattern, own in _NAMES:
        if found := pattern.fullmatch(name):
            return found.expand(own)
    return name


def same(ours: Tensor, theirs: Tensor) -> bool:
    """True if both hold the same numbers; what lies at the same place need not be compared."""
    return ours.shape == theirs.shape and (ours.data_ptr() == theirs.data_ptr() or torch.equal(ours, theirs))


def _by_bin(weight: Tensor, reduction: Tensor | None, path: Path) -> Tensor:
    """(R, C * bins * bins) -> (bins * bins, R, C)."""
    channels = reduction.shape[1] if reduction is not None and reduction.dim() == 2 else 0
    if weight.dim() != 2 or not channels or weight.shape[1] % channels:
        raise WrongWeights(f"{path}: object_detector.roi_heads.box_head.fc6.weight is {tuple(weight.shape)}, which fits no map of regions; {REMEDY}")
    return weight.reshape(len(weight), channels, -1).permute(2, 0, 1)


def sizes_of(state: Mapping[str, Tensor], path: Path) -> Sizes:
    """What the shapes say of the network; what they do not say is as published. Raises WrongWeights where they are not RGRG's."""
    first, head = "detector.box_head.fc6.weight", "language.gpt.transformer.wte.weight"
    for name, dimensions in ((first, 3), (head, 2), ("detector.dim_reduction.weight", 2), ("selection.0.weight", 2), ("selection.2.weight", 2)):
        if name not in state or state[name].dim() != dimensions:
            raise WrongWeights(f"{path}: of its {len(state)} tensors none is what is {name} here, of {dimensions} dimensions; {REMEDY}")
    bins, box_width, _ = state[first].shape
    words, width = state[head].shape
    stages = [_blocks(state, rf"detector\.backbone\.layer{stage}") for stage in (1, 2, 3, 4)]
    first_block = [state.get(f"detector.backbone.layer{stage}.0.conv1.weight") for stage in (1, 2, 3, 4)]
    return Sizes(
        depths=tuple(stages),
        channels=tuple(len(value) for value in first_block if value is not None),
        is_bottleneck="detector.backbone.layer1.0.conv3.weight" in state,
        bins=round(bins**0.5),
        box_width=box_width,
        region_width=len(state["detector.dim_reduction.weight"]),
        classifier_widths=(len(state["selection.0.weight"]), len(state["selection.2.weight"])),
        words=words,
        end=words - 1,
        width=width,
        layers=_blocks(state, r"language\.gpt\.transformer\.h"),
        places=min(words, Sizes.places),
    )


def _blocks(state: Mapping[str, Tensor], beginning: str) -> int:
    """How many are counted behind a beginning of names."""
    return len({found[1] for name in state if (found := re.match(rf"{beginning}\.(\d+)\.", name))})


def filled(sizes: Sizes, state: Mapping[str, Tensor], path: Path, remedy: str = REMEDY) -> Network:
    """The network with those tensors. Raises WrongWeights if one is missing, left over or of another shape."""
    if len(sizes.depths) != len(sizes.channels) or not all(sizes.depths) or not sizes.layers:
        raise WrongWeights(f"{path}: has {len(sizes.channels)} stages of a ResNet and {sizes.layers} layers of a GPT-2, not an RGRG's; {remedy}")
    with torch.device("meta"):  # no memory and no random numbers for what is replaced at once
        network = Network(sizes)
    wanted = network.state_dict()
    if problem := misfit(wanted, state, "an RGRG of this size"):
        raise WrongWeights(f"{shown(path)}: {problem}; {remedy}")
    network.load_state_dict({name: value.to(wanted[name].dtype).contiguous() for name, value in state.items()}, assign=True)
    network.language.gpt.tie_weights()
    return network.eval().requires_grad_(False)


def save(network: Network, folder: Path, *, half: bool = True) -> None:
    """Write ``weights.safetensors``; ``half`` stores float16, at half the size."""
    write_tensors(distinct(network), folder / WEIGHTS, half=half)


def _load_folder(folder: Path) -> Loaded:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if lacking := [name for name in (WEIGHTS, ABOUT, FILE) if not (folder / name).is_file()]:
        raise WrongWeights(
            f"{shown(folder)}: holds no {lacking[0]}; name a folder as `python -m benchmark train rgrg` writes it, or the published file"
        )
    remedy = "take a folder as `python -m benchmark train rgrg` writes it"
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        sizes = Sizes.from_json(about["sizes"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongWeights(f"{shown(folder / ABOUT)}: does not say the sizes of an RGRG ({error!r}); {remedy}") from error
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise WrongWeights(f"{shown(folder / WEIGHTS)}: cannot be read ({error}); {remedy}") from error
    tied = {"language.gpt.lm_head.weight": state["language.gpt.transformer.wte.weight"]} if "language.gpt.transformer.wte.weight" in state else {}
    return Loaded(filled(sizes, {**tied, **state}, folder / WEIGHTS, remedy), about)
