"""The published file of CheXbert's weights -> the network, strictly.

``chexbert.pth`` is what the training program kept: a dictionary with ``model_state_dict`` (its names begin with ``module.``, for it was trained on
several GPUs), and beside it the epoch and the optimizer. The same tensors as safetensors, without ``module.`` or with nothing around them do as well.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from adapters.chexbert.files import FILE, HUB_NAME
from adapters.chexbert.network import Network, Sizes
from benchmark.records import UserError
from clala.misfit import misfit

HEAD_WIDTH = 64
"""numbers that each attention head of a BERT sees"""
UNUSED = re.compile(r"bert\.(pooler\..*|embeddings\.(position_ids|token_type_ids))")
"""what CheXbert does not look at: BERT's pooler, and counters that some versions of transformers store"""


class WrongWeights(UserError):
    """A file that is not CheXbert: names the file, what was found and what to do."""


class Loaded(NamedTuple):
    """A network that is ready, and which."""

    network: Network
    sha256: str
    """of the file's bytes"""
    said: dict[tuple[str, ...], dict[str, bytes]]
    """what it said of reports: vocabulary and manner of reading -> text -> a class for each observation"""


def load(path: Path, device: torch.device | str = "cpu", *, attention_heads: int | None = None, trust_pickle: bool = False) -> Loaded:
    """The network of a file on a device, ready to be asked; a file that was just loaded is not read again.

    attention_heads  None = one per 64 numbers of width, as BERT has them
    trust_pickle     open a file that holds more than tensors and plain values, and so could run code

    Raises WrongWeights for a file that is something else.
    """
    about = path.stat()
    return _load(path, (about.st_size, about.st_mtime_ns), torch.device(device), attention_heads, trust_pickle)


@lru_cache(maxsize=1)
def _load(path: Path, state_of_file: tuple[int, int], device: torch.device, attention_heads: int | None, trust_pickle: bool) -> Loaded:
    state = tensors_of(read(path, trust_pickle=trust_pickle), path)
    network = Network(sizes_of(state, path, attention_heads))
    fill(network, state, path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Loaded(network.eval().requires_grad_(False).to(device), sha256, {})


def read(path: Path, *, trust_pickle: bool = False) -> Any:
    """What the file holds; nothing in it is run unless ``trust_pickle`` says so."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WrongWeights(f"{path}: cannot be read ({error}); {REMEDY}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        if trust_pickle:
            raise WrongWeights(f"{path}: no PyTorch file ({_first_line(error)}); {REMEDY}") from error
        raise WrongWeights(
            f"{path}: holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; {REMEDY}; "
            "if you trust whoever made it: --set chexbert.trust_pickle=yes"
        ) from error
    except Exception as error:  # a text, a damaged pickle, or one of a program that is not here: the reader stumbles in a dozen ways
        raise WrongWeights(f"{path}: is no PyTorch file, or a damaged one ({_first_line(error)}); {REMEDY}") from error


def tensors_of(found: Any, path: Path) -> dict[str, Tensor]:
    """The tensors that are CheXbert's, by their names within it."""
    state = found.get("model_state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        what = f"{', '.join(map(str, list(state)[:3])) or 'nothing'}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise WrongWeights(f"{path}: holds {what}, expected are tensors by name, or a dictionary with them as model_state_dict; {REMEDY}")
    named = {str(name).removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in named.items() if not UNUSED.fullmatch(name)}


def sizes_of(state: Mapping[str, Tensor], path: Path, attention_heads: int | None = None) -> Sizes:
    """What the shapes say of the network. Raises WrongWeights where they are not a BERT's."""
    needed = {
        "words": "bert.embeddings.word_embeddings.weight",
        "places": "bert.embeddings.position_embeddings.weight",
        "inner": "bert.encoder.layer.0.intermediate.dense.weight",
    }
    for name in needed.values():
        if name not in state or state[name].dim() != 2:
            raise WrongWeights(f"{path}: has {len(state)} tensors, but no matrix {name}, and so is no CheXbert; {REMEDY}")
    rows = {size: len(state[name]) for size, name in needed.items()}
    width = state[needed["words"]].shape[1]
    heads = attention_heads or width // HEAD_WIDTH
    if not heads or width % heads or (attention_heads is None and width % HEAD_WIDTH):
        remedy = "say how many attention heads it has, a divisor of that: --set chexbert.attention_heads=N"
        raise WrongWeights(f"{path}: is {width} numbers wide, which {heads or 'no'} attention heads of {HEAD_WIDTH} do not share evenly; {remedy}")
    layers = {found[1] for name in state if (found := re.match(r"bert\.encoder\.layer\.(\d+)\.", name))}
    return Sizes(width=width, layers=len(layers), attention_heads=heads, **rows)


def fill(network: Network, state: Mapping[str, Tensor], path: Path) -> None:
    """Put the tensors into the network. Raises WrongWeights if one is missing, left over or of another shape."""
    if problem := misfit(network.state_dict(), state, "a CheXbert of this size"):
        raise WrongWeights(f"{path}: {problem}; {REMEDY}")
    network.load_state_dict(dict(state))


def _first_line(error: Exception) -> str:
    return ": ".join((type(error).__name__, *str(error).splitlines()[:1]))


REMEDY = f"take {FILE} of {HUB_NAME} on the Hugging Face hub"
