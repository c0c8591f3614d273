"""Files of weights -> their tensors by name, each read when it is asked for: 14 GB are never in memory twice."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.records import UserError

if TYPE_CHECKING:
    from torch import Tensor


class WrongWeights(UserError):
    """A file of weights cannot be read, or is not the network's; the message names the file and the first tensor that does not fit."""


class Stored(NamedTuple):
    """A tensor that lies in a file."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    """fetches it; each call reads anew"""


def opened(files: Sequence[Path], who: str, *, inside: str = "", trust_pickle: bool = False) -> dict[str, Stored]:
    """Name -> tensor of all files together, safetensors or PyTorch's.

    inside        name of the dictionary within a PyTorch file: ``state_dict`` of a training checkpoint
    trust_pickle  let a PyTorch file make other things than tensors and plain values, which can run code

    Raises ``WrongWeights`` for a file that cannot be read, and for a name that two files have.
    """
    found: dict[str, Stored] = {}
    for file in files:
        one = _safetensors(file, who) if file.suffix == ".safetensors" else _pytorch(file, who, inside, trust_pickle)
        if twice := sorted(found.keys() & one.keys()):
            raise WrongWeights(f"{who}: {twice[0]} is in {file.name} and in another file of {file.parent.name}; take the folder as it was published")
        found |= one
    return found


def _safetensors(file: Path, who: str) -> dict[str, Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        reader: Any = safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WrongWeights(f"{who}: {file.name} cannot be read ({error}); fetch it again, the file is damaged or not safetensors") from error

    def stored(name: str) -> Stored:
        return Stored(tuple(reader.get_slice(name).get_shape()), lambda: reader.get_tensor(name))

    return {name: stored(name) for name in reader.keys()}  # noqa: SIM118 - no mapping


def _pytorch(file: Path, who: str, inside: str, trust_pickle: bool) -> dict[str, Stored]:
    import torch

    try:
        with file.open("rb") as start:
            is_zip = start.read(2) == b"PK"  # what is older than PyTorch 1.6 cannot be read where it lies
        held = torch.load(file, map_location="cpu", weights_only=not trust_pickle, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise WrongWeights(
            f"{who}: {file.name} holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code; fetch it "
            f"again, or if you trust whoever made it: --set {who}.trust_pickle=yes"
        ) from error
    except Exception as error:  # half a file, a text: the reader stumbles in a dozen ways
        said = (str(error).splitlines() or [""])[0].partition(". ")[0]
        raise WrongWeights(f"{who}: {file.name} is no PyTorch file, or a damaged one ({type(error).__name__}: {said}); fetch it again") from error
    return {name: whole(tensor) for name, tensor in _tensors(held, file, who, inside).items()}


def whole(tensor: Tensor) -> Stored:
    """A tensor that is in memory already, or where PyTorch reads it from its file page by page."""
    return Stored(tuple(tensor.shape), lambda: tensor)


def _tensors(held: Any, file: Path, who: str, inside: str) -> dict[str, Tensor]:
    import torch

    within = held.get(inside) if inside and isinstance(held, Mapping) else held
    if not isinstance(within, Mapping) or not within or not all(isinstance(value, torch.Tensor) for value in within.values()):
        where = f"{inside!r} of {file.name}" if inside else file.name
        has = ", ".join(map(str, list(held)[:3])) if isinstance(held, Mapping) else f"a {type(held).__name__}"
        raise WrongWeights(f"{who}: {where} should be tensors by name, the file holds {has or 'nothing'}; take the file as it was published")
    return {str(name): value for name, value in within.items()}
