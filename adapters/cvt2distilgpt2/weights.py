"""Weights of CvT2DistilGPT2 -> the network, strictly: the authors' checkpoint, or a folder as our training writes it.

The authors publish Lightning checkpoints: a dictionary with ``state_dict``, 857 tensors of the network, and beside them what other versions of their
program kept (masks of GPT-2, networks that measure). What of that is known is left out and named; anything else is an error.
"""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adapters.cvt2distilgpt2.files import DOI, HUB_NAMES
from adapters.cvt2distilgpt2.network import Network
from adapters.cvt2distilgpt2.pieces import Pieces
from adapters.cvt2distilgpt2.sizes import Sizes
from adapters.learning_state import WEIGHTS, write_tensors
from adapters.weights_file import NoTensors, first_line, shown, tensors_in
from benchmark.records import UserError
from benchmark.runs import sha256
from clala.misfit import misfit
from clala.state import distinct

CONFIG = "config.json"
FORMAT = 1
"""Raised when a folder's files mean something else than before."""
REMEDY = f"take a .ckpt of https://doi.org/{DOI} (files tab, cvt_21_to_distilgpt2), or a folder that `train cvt2distilgpt2` wrote"
CLASSES = 1_000
"""of ImageNet: the encoder's classifier is in the file, and is not looked at"""
DECODER = "decoder.encoder_decoder.decoder."
KNOWN_EXTRAS = {
    "masks of GPT-2": re.compile(rf"{re.escape(DECODER)}transformer\.h\.\d+\.(attn|crossattention)\.(bias|masked_bias)"),
    "networks that measure": re.compile(r"(val|test|train)_\w*(metrics|chexbert|coco|logger)\w*\..+"),
}
"""what older versions of transformers and of the authors' program keep beside the network"""


class WrongWeights(UserError):
    """A file that is no CvT2DistilGPT2: names the file, what was found and what to do."""


class Loaded(NamedTuple):
    """A network that is ready, with its vocabulary."""

    network: Network
    pieces: Pieces
    sha256: str
    """of the file's bytes"""
    dropped: dict[str, int]
    """what of the file was left out -> how many tensors"""
    about: dict[str, Any]
    """what our training says of it; empty for the authors' file"""


def load_folder(folder: Path) -> Loaded:
    """What ``save`` wrote. Raises WrongWeights."""
    if lacking := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise WrongWeights(f"{shown(folder)}: that folder holds no {lacking[0]}; {REMEDY}")
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if values.get("model") != "cvt2distilgpt2" or values.get("format") != FORMAT:
            raise WrongWeights(
                f"{shown(folder)}: {CONFIG} is of model {values.get('model')!r}, format {values.get('format')!r}; asked for is 'cvt2distilgpt2', "
                f"format {FORMAT}; {REMEDY}"
            )
        sizes = Sizes.from_json(values["sizes"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WrongWeights(f"{shown(folder / CONFIG)}: cannot be read ({error}); {REMEDY}") from error
    network = Network(sizes)
    state = read(folder / WEIGHTS)
    wanted = distinct(network)
    _check(wanted, state, folder / WEIGHTS)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(state[name])
    pieces = Pieces.read(folder, "cvt2distilgpt2")
    _check_words(pieces, sizes, folder)
    about = folder / "about.json"
    try:
        said = dict(json.loads(about.read_text(encoding="utf-8"))) if about.is_file() else {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WrongWeights(f"{shown(about)}: cannot be read ({error}); {REMEDY}") from error
    return Loaded(network.eval().requires_grad_(False), pieces, sha256(folder / WEIGHTS), {}, said)


def load_checkpoint(path: Path, vocabulary: Path, sizes: Sizes | None = None, *, trust_pickle: bool = False) -> Loaded:
    """The network of the authors' file. ``vocabulary`` is a folder with GPT-2's pieces; ``sizes`` are the published ones unless given.

    Raises WrongWeights, BadVocabulary.
    """
    network = Network(sizes or Sizes())
    dropped = fill(network, tensors_of(read(path, trust_pickle=trust_pickle), path), path)
    pieces = Pieces.read(vocabulary, "cvt2distilgpt2")
    _check_words(pieces, network.sizes, vocabulary)
    return Loaded(network.eval().requires_grad_(False), pieces, sha256(path), dropped, {})


def save(network: Network, pieces: Pieces, folder: Path, *, half: bool = False, **said: Any) -> None:
    """Write a folder that ``load_folder`` reads; ``half`` stores float16, ``said`` are further values for its configuration."""
    write_tensors(distinct(network), folder / WEIGHTS, half=half)
    pieces.save(folder)
    values = {"model": "cvt2distilgpt2", "format": FORMAT, "sizes": network.sizes.to_json(), **said}
    (folder / CONFIG).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read(path: Path, *, trust_pickle: bool = False) -> Any:
    """What a file holds; nothing in it is run unless ``trust_pickle`` says so. Raises WrongWeights."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WrongWeights(f"{shown(path)}: cannot be read ({error}); {REMEDY}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_pickle, mmap=_is_zip(path))
    except FileNotFoundError as error:
        raise WrongWeights(f"{path}: there is no such file; {REMEDY}") from error
    except pickle.UnpicklingError as error:
        if trust_pickle:
            raise WrongWeights(f"{path}: no PyTorch file ({first_line(error)}); {REMEDY}") from error
        raise WrongWeights(
            f"{path}: holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; {REMEDY}; "
            "if you trust whoever made it: --set cvt2distilgpt2.trust_pickle=yes"
        ) from error
    except Exception as error:  # a text, half a file, or one of a program that is not here: the reader stumbles in a dozen ways
        raise WrongWeights(f"{path}: is no PyTorch file, or a damaged one ({first_line(error)}); fetch it again, or {REMEDY}") from error


def tensors_of(found: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a Lightning checkpoint, by their names there. Raises WrongWeights."""
    try:
        return tensors_in(found, "state_dict")
    except NoTensors as error:
        raise WrongWeights(f"{path}: {error}; {REMEDY}") from error


def fill(network: Network, state: Mapping[str, Tensor], path: Path) -> dict[str, int]:
    """Put the tensors of the authors' file into the network; what was left out, by kind. Raises WrongWeights for whatever does not fit."""
    places = dict(published_names(network.sizes))
    own = network.state_dict()
    wanted = {name: own[place.name].T if place.is_turned else own[place.name] for name, place in places.items() if place.name}
    wanted |= {name: torch.empty(place.shape) for name, place in places.items() if not place.name}
    extras = {name: next((kind for kind, known in KNOWN_EXTRAS.items() if known.fullmatch(name)), "") for name in state.keys() - wanted.keys()}
    _check(wanted, {name: value for name, value in state.items() if not extras.get(name)}, path)
    head, words = f"{DECODER}lm_head.weight", f"{DECODER}transformer.wte.weight"
    if not torch.equal(state[head], state[words]):  # in training they were one; a file in which they have come apart is taken by its word
        network.decoder.head.weight = torch.nn.Parameter(torch.empty_like(network.decoder.words.weight))
        own = network.state_dict()
    with torch.no_grad():
        for name, place in places.items():
            if place.name:
                own[place.name].copy_(state[name].T if place.is_turned else state[name])
    return dict(Counter(kind for kind in extras.values() if kind)) | {"the encoder's classifier": sum(not place.name for place in places.values())}


class Place(NamedTuple):
    """Where a tensor of the authors' file goes."""

    name: str
    """in our network; empty for what nobody looks at"""
    is_turned: bool = False
    """GPT-2 keeps its matrices the other way round"""
    shape: tuple[int, ...] = ()
    """of what nobody looks at"""


def published_names(sizes: Sizes) -> Iterator[tuple[str, Place]]:
    """Each name of the authors' file, 857 of them at the published sizes, and its place."""
    for number, depth in enumerate(sizes.stage_depths):
        theirs, ours = f"encoder.cvt.stage{number}.", f"encoder.stages.{number}."
        yield from _pairs(f"{theirs}patch_embed.proj", f"{ours}patches")
        yield from _pairs(f"{theirs}patch_embed.norm", f"{ours}norm")
        if number == len(sizes.stage_depths) - 1:
            yield f"{theirs}cls_token", Place(f"{ours}class_token")
        for block in range(depth):
            yield from _encoder_block(f"{theirs}blocks.{block}.", f"{ours}blocks.{block}.")
    last = sizes.stage_widths[-1]
    for name, shape in (("norm.weight", (last,)), ("norm.bias", (last,)), ("head.weight", (CLASSES, last)), ("head.bias", (CLASSES,))):
        yield f"encoder.cvt.{name}", Place("", shape=shape)
    yield "encoder_projection.projection.weight", Place("projection.weight")
    yield f"{DECODER}transformer.wte.weight", Place("decoder.words.weight")
    yield f"{DECODER}transformer.wpe.weight", Place("decoder.places.weight")
    yield from _pairs(f"{DECODER}transformer.ln_f", "decoder.norm")
    yield f"{DECODER}lm_head.weight", Place("decoder.head.weight")
    for layer in range(sizes.layers):
        yield from _decoder_layer(f"{DECODER}transformer.h.{layer}.", f"decoder.layers.{layer}.")


def _encoder_block(theirs: str, ours: str) -> Iterator[tuple[str, Place]]:
    for their, our in (("norm1", "norm_1"), ("norm2", "norm_2"), ("attn.proj", "attention.out"), ("mlp.fc1", "up"), ("mlp.fc2", "down")):
        yield from _pairs(theirs + their, ours + our)
    for letter, part in (("q", "query"), ("k", "key"), ("v", "value")):
        yield f"{theirs}attn.conv_proj_{letter}.conv.weight", Place(f"{ours}attention.{part}.conv.weight")
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            yield f"{theirs}attn.conv_proj_{letter}.bn.{kind}", Place(f"{ours}attention.{part}.norm.{kind}")
        yield from _pairs(f"{theirs}attn.proj_{letter}", f"{ours}attention.{part}.linear")


def _decoder_layer(theirs: str, ours: str) -> Iterator[tuple[str, Place]]:
    for their, our in (("ln_1", "norm_words"), ("ln_cross_attn", "norm_image"), ("ln_2", "norm_inner")):
        yield from _pairs(theirs + their, ours + our)
    for their, our in (
        ("attn.c_attn", "own.all"),
        ("attn.c_proj", "own.out"),
        ("crossattention.q_attn", "cross.query"),
        ("crossattention.c_attn", "cross.both"),
        ("crossattention.c_proj", "cross.out"),
        ("mlp.c_fc", "up"),
        ("mlp.c_proj", "down"),
    ):
        yield f"{theirs}{their}.weight", Place(f"{ours}{our}.weight", is_turned=True)
        yield f"{theirs}{their}.bias", Place(f"{ours}{our}.bias")


def _pairs(theirs: str, ours: str) -> Iterator[tuple[str, Place]]:
    for kind in ("weight", "bias"):
        yield f"{theirs}.{kind}", Place(f"{ours}.{kind}")


def _check(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Raise WrongWeights for the first of what is missing, left over, of another shape or no number."""
    if problem := misfit(wanted, state, "a CvT2DistilGPT2 of this size"):
        raise WrongWeights(f"{shown(path)}: {problem}; {REMEDY}")


def _check_words(pieces: Pieces, sizes: Sizes, folder: Path) -> None:
    if len(pieces) != sizes.words:
        raise WrongWeights(
            f"the vocabulary in {folder.name} has {len(pieces):,} pieces, the weights are for {sizes.words:,}; take theirs "
            f"(of the published weights that of {HUB_NAMES[0]}: 50,257, and two that are added here)"
        )


def _is_zip(path: Path) -> bool:
    """True if the file can be read where it lies; older files of PyTorch cannot."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
