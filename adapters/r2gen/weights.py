"""A file of weights -> the network and its vocabulary, strictly: R2Gen's own ``.pth``, or a folder as our trainer leaves it. TSGET's likewise.

A ``.pth`` is what the authors' program keeps: a dictionary with ``state_dict``, and beside it epoch and optimizer; the bare tensors do as well, with
or without ``module.`` before their names. It holds no vocabulary: that is another file, whose words must be one less than the embedding has rows.
Equal numbers are needed, and prove nothing: with another list of as many words the reports are nonsense.

A folder of ours:   config.json (sizes, and how it writes)   vocab.txt (a word a line)   weights.safetensors   about.json (how it was made)
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from adapters.beam_search import Kept
from adapters.chen_text import LONGEST, Manner, Vocabulary, WrongVocabulary, read_vocabulary
from adapters.learning_state import write_tensors
from adapters.r2gen.network import Backbone, Network, Sizes, Written
from adapters.weights_file import NoTensors, first_line, shown, tensors_in
from benchmark.records import UserError
from benchmark.runs import sha256
from clala.misfit import misfit

CONFIG, WORDS, WEIGHTS, ABOUT = "config.json", "vocab.txt", "weights.safetensors", "about.json"
IU_ROWS = 761
"""of the embedding of the published weights for IU X-Ray (those for MIMIC-CXR have 4,336): zhjohnchan/R2Gen, issues 3 and 5"""
VIEWS: dict[Manner, int] = {"mimic_cxr": 1, "iu_xray": 2}
"""images of a study that the authors' program reads"""

RENAMED: tuple[tuple[str, str], ...] = (
    (r"^visual_extractor\.model\.0\.", "reader.extractor.conv1."),
    (r"^visual_extractor\.model\.1\.", "reader.extractor.bn1."),
    (r"^visual_extractor\.model\.4\.", "reader.extractor.layer1."),
    (r"^visual_extractor\.model\.5\.", "reader.extractor.layer2."),
    (r"^visual_extractor\.model\.6\.", "reader.extractor.layer3."),
    (r"^visual_extractor\.model\.7\.", "reader.extractor.layer4."),
    (r"^encoder_decoder\.att_embed\.0\.", "reader.embed."),
    (r"^encoder_decoder\.model\.encoder\.", "reader."),
    (r"^encoder_decoder\.model\.decoder\.", ""),
    (r"^encoder_decoder\.model\.tgt_embed\.0\.lut\.", "embedding.words."),
    (r"^encoder_decoder\.model\.tgt_embed\.1\.pe$", "embedding.places"),
    (r"^encoder_decoder\.model\.rm\.", "memory."),
    (r"^encoder_decoder\.logit\.", "logit."),
    (r"\.sublayer\.(\d)\.norm\.", r".norms.\1."),
)
"""a tensor's name in a published file -> in our network, applied in turn"""


class WrongWeights(UserError):
    """A file or folder that is not what was asked for: names it, what was found and what to do."""


class Writes(Protocol):
    """A network that reads images and writes words: R2Gen's or TSGET's."""

    sizes: Sizes

    def read(self, images: Tensor) -> Tensor:
        """(I, N, 3, H, W) -> (I, N * P, D) patches."""

    def forward(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Patches and (I, T) tokens -> (I, T, V) log-probabilities of the next."""

    def begin(self, patches: Tensor) -> Written:
        """What is kept before the first token."""

    def step(self, written: Written, tokens: Tensor, kept: Kept | None) -> Tensor:
        """(I, b) last tokens -> (I, b, V) log-probabilities of the next."""


@dataclass(frozen=True)
class Family:
    """What sets the files of one model apart from those of the other."""

    name: str
    """as registered"""
    title: str
    build: Callable[[Sizes], Any]
    """sizes -> the network, of random weights"""
    renamed: tuple[tuple[str, str], ...]
    """what is called differently in published files, see ``RENAMED``"""
    remedy: str
    """what to do about a file that is no such model's"""


@dataclass(frozen=True)
class Manners:
    """How the weights were trained to write."""

    text: Manner = "mimic_cxr"
    """whose cleaning the training reports went through"""
    views: int = 1
    """images of a study"""
    longest: int = 100
    """tokens"""


class Loaded(NamedTuple):
    """A network that is ready, and what it writes with."""

    network: Any
    """a ``Writes``, in evaluation mode"""
    vocabulary: Vocabulary
    manners: Manners
    sha256: str
    """of the bytes of the weights"""
    about: dict[str, Any]
    """how it was made, as its folder says it; empty for a published file"""


R2GEN = Family(
    "r2gen",
    "R2Gen",
    Network,
    RENAMED,
    "take model_mimic_cxr.pth or model_iu_xray.pth, which the authors' page names (cuhksz-nlp/R2Gen, data/r2gen.md), or a folder of train r2gen",
)


def load(family: Family, path: Path, *, vocab: Path | None = None, trained_on: Manner | None = None, heads: int | None = None) -> Loaded:
    """The network of a file or folder, on the CPU and ready to be asked, and its vocabulary.

    vocab       file of words, or the authors' annotation.json; a folder has its own
    trained_on  whose reports a published file learnt from; None = IU X-Ray for an embedding of 761 rows, MIMIC-CXR for any other
    heads       attention heads of a published file, which no shape tells; None = 8

    Raises WrongWeights, WrongVocabulary.
    """
    if path.is_dir():
        if given := [name for name, value in (("trained_on", trained_on), ("heads", heads)) if value is not None]:
            raise WrongWeights(f"{path}: {' and '.join(given)} was given, but a folder says that of itself in its {CONFIG}; leave it away")
        return _load_folder(family, path, vocab)
    if not path.is_file():
        raise WrongWeights(f"{family.name}: there is no {shown(path)}; {family.remedy}")
    state = renamed(tensors_of(read(path, family), path, family), family)
    sizes = sizes_of(state, path, family, heads)
    network = fill(family, sizes, state, path)
    text: Manner = trained_on or ("iu_xray" if sizes.words == IU_ROWS else "mimic_cxr")
    if vocab is None:
        raise WrongVocabulary(
            f"{family.name}: {path.name} holds no vocabulary, as no file of {family.title} does; name it, --set {family.name}.vocab=PATH: a file "
            f"with {sizes.words - 1:,} words, one a line, or the annotation.json that the weights were trained with"
        )
    vocabulary = read_vocabulary(vocab, text)
    check_rows(vocabulary, sizes.words, vocab, path, family)
    return Loaded(network, vocabulary, Manners(text, VIEWS[text], LONGEST[text]), sha256(path), {})


def _load_folder(family: Family, folder: Path, vocab: Path | None) -> Loaded:
    remedy = f"name a folder that was made by: python -m benchmark train {family.name}"
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["model"] != family.name:
            raise WrongWeights(f"{shown(folder)}: holds weights of {config['model']}, asked for are those of {family.name}; {remedy}")
        about: Any = config["sizes"].pop("backbone")
        backbone = Backbone(about["block"], tuple(about["repeats"]), tuple(about["channels"]), about["stride_px"])
        sizes, manners = Sizes(**config["sizes"], backbone=backbone), Manners(**config["manners"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongWeights(f"{shown(folder)}: {CONFIG} is not there or cannot be read ({first_line(error)}); {remedy}") from error
    path = folder / WEIGHTS
    if not path.is_file():
        raise WrongWeights(f"{shown(folder)}: holds no {WEIGHTS}; {remedy}")
    network = fill(family, sizes, read(path, family), path)
    words = vocab or folder / WORDS
    vocabulary = read_vocabulary(words, manners.text)
    check_rows(vocabulary, sizes.words, words, path, family)
    return Loaded(network, vocabulary, manners, sha256(path), _about(folder))


def save(family: Family, network: Writes, vocabulary: Vocabulary, manners: Manners, folder: Path, *, half: bool = True) -> None:
    """Write a folder of ours, without its about.json. ``half``: weights as float16, at half the size; they are computed with in float32."""
    config = {"model": family.name, "sizes": asdict(network.sizes), "manners": asdict(manners)}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    vocabulary.write(folder / WORDS)
    assert isinstance(network, nn.Module)
    # The places are sines of their number, and made anew.
    write_tensors({name: value for name, value in network.state_dict().items() if name != "embedding.places"}, folder / WEIGHTS, half=half)


def read(path: Path, family: Family) -> Any:
    """What a file holds; nothing in it is run. Raises WrongWeights."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WrongWeights(f"{shown(path)}: cannot be read ({first_line(error)}); {family.remedy}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WrongWeights(
            f"{path}: holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; {family.remedy}"
        ) from error
    except Exception as error:  # half a file, a text, another archive: the reader stumbles in a dozen ways
        raise WrongWeights(f"{path}: is no PyTorch file, or a damaged one ({first_line(error)}); {family.remedy}") from error


def tensors_of(found: Any, path: Path, family: Family) -> dict[str, Tensor]:
    """The tensors of a published file, by their published names. Raises WrongWeights."""
    try:
        return tensors_in(found, "state_dict")
    except NoTensors as error:
        raise WrongWeights(f"{path}: {error}; {family.remedy}") from error


def renamed(state: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """The tensors by their names in our network; a name that the model does not have stays as it is, and is found to have no place."""
    ours = {}
    for name, value in state.items():
        new = name
        for published, own in family.renamed:
            new = re.sub(published, own, new)
        ours[new] = value
    return ours


def sizes_of(state: Mapping[str, Tensor], path: Path, family: Family, heads: int | None = None) -> Sizes:
    """What the shapes say. Raises WrongWeights where they are not such a network's."""
    needed = ("embedding.words.weight", "layers.0.feed_forward.w_1.weight", "reader.embed.weight", "embedding.places")
    if missing := next((name for name in needed if name not in state), None):
        first = ", ".join(sorted(state)[:2])
        raise WrongWeights(f"{path}: has {len(state)} tensors (first {first}), but no {missing}, and so is no {family.title}; {family.remedy}")
    words, width = state["embedding.words.weight"].shape
    steered = state.get("layers.0.norms.0.mlp_gamma.0.weight")
    sizes = Sizes(
        words=words,
        width=width,
        inner=len(state["layers.0.feed_forward.w_1.weight"]),
        layers=_count(state, r"layers\.(\d+)\."),
        slots=steered.shape[1] // width if steered is not None else Sizes.slots,
        places=state["embedding.places"].shape[1],
        backbone=_backbone_of(state, path, family),
    )
    if heads is not None:
        sizes = replace(sizes, heads=heads, memory_heads=heads)
    if width % sizes.heads:
        raise WrongWeights(
            f"{path}: is {width} numbers wide, which {sizes.heads} attention heads do not share evenly; say how many it has: "
            f"--set {family.name}.heads=N"
        )
    return sizes


def _backbone_of(state: Mapping[str, Tensor], path: Path, family: Family) -> Backbone:
    """The ResNet that the names and shapes tell of."""
    stages = [f"reader.extractor.layer{number}." for number in (1, 2, 3, 4)]
    if not all(f"{stage}0.conv1.weight" in state for stage in stages):
        raise WrongWeights(
            f"{path}: has no ResNet of four stages as its visual extractor; {family.title} is read here with a ResNet as its program trains it, and "
            "not with Swin or CRATE"
        )
    is_deep = f"{stages[0]}0.conv3.weight" in state
    return Backbone(
        "bottleneck" if is_deep else "basic",
        tuple(_count(state, re.escape(stage) + r"(\d+)\.") for stage in stages),
        tuple(len(state[f"{stage}0.conv1.weight"]) for stage in stages),
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[1] for name in state if (found := re.match(pattern, name))})


def fill(family: Family, sizes: Sizes, state: Mapping[str, Tensor], path: Path) -> Any:
    """A network of these tensors. Raises WrongWeights if one is missing, left over or of another shape."""
    try:
        network = family.build(sizes)
    except (ValueError, RuntimeError, AssertionError, IndexError) as error:  # sizes of a config.json that no network has
        raise WrongWeights(f"{path}: no {family.title} has such sizes ({first_line(error)}); {family.remedy}") from error
    wanted = network.state_dict()
    made_anew = {"embedding.places": wanted["embedding.places"]} if path.suffix == ".safetensors" else {}
    state = {**made_anew, **state}
    if problem := misfit(wanted, state, f"{family.title} of this size"):
        raise WrongWeights(f"{shown(path)}: {problem}; {family.remedy}")
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def check_rows(vocabulary: Vocabulary, rows: int, words: Path, weights: Path, family: Family) -> None:
    """Raise WrongVocabulary unless the embedding has a row for each word and one for 0."""
    if vocabulary.rows != rows:
        raise WrongVocabulary(
            f"{family.name}: {words} has {len(vocabulary):,} words, so the embedding would have {vocabulary.rows:,} rows, but that of {weights.name} "
            f"has {rows:,}; name the vocabulary that the weights were trained with, --set {family.name}.vocab=PATH"
        )


def _about(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
