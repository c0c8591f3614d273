"""A network on no device, filled tensor by tensor where each shall lie: strictly, never twice in memory, in 8 or 4 bits if asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from adapters.vision_language.memory import TooLittleMemory
from adapters.vision_language.stored import Stored, WrongWeights
from benchmark.records import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Precision = Literal["auto", "bf16", "fp16", "fp32", "8bit", "4bit"]
DeviceMap = Literal["", "auto", "balanced", "balanced_low_0", "sequential"]
Network = TypeVar("Network", bound="nn.Module")


def check_precision(precision: str, device: torch.device, who: str) -> str:
    """The precision that ``auto`` means on a device, or the one that was asked for. Raises ``UserError`` for one that cannot be had.

    auto is bf16, or fp16 on a GPU that multiplies no bf16. In 8 and 4 bits only the language model's matrices are kept; what is computed is 16 bits.
    """
    import torch

    if precision not in get_args(Precision):
        raise UserError(f"{who} has no precision={precision!r}; known: {', '.join(get_args(Precision))}")
    if precision in ("8bit", "4bit") and importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(f"{who}.precision={precision} needs bitsandbytes, not installed here; pip install 'clala-benchmark[quantised]', or name bf16")
    if precision != "auto":
        return precision
    return "fp16" if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16"


def empty(build: Callable[[], Network]) -> Network:
    """The network without memory for its parameters; what it computes from its sizes alone (buffers) is there."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return build()


def load(
    network: Network,
    stored: Mapping[str, Stored],
    who: str,
    *,
    precision: str,
    device: torch.device,
    small: str = "",
    device_map: str = "",
    exact: Sequence[str] = (),
) -> Network:
    """Fill a network that ``empty`` made; it comes back ready to be asked, and not to be trained.

    precision   as ``check_precision`` gives it
    small       the part whose matrices 8 and 4 bits are for: ``language.model``
    exact       parts, and tensors, that keep 32 bits whatever the precision: ``vqgan``, whose codes would be others
    device_map  how accelerate shall spread it over devices (auto, balanced, ...) in place of ``device``; empty = all of it on ``device``

    Raises ``WrongWeights`` before anything is read if a tensor is missing, left over, or of another shape; and for one that is not finite once it has
    the precision that it is kept in.
    """
    import torch

    check_fit(network, stored, who)
    # What is not made small is in bf16, but for 8 bits: bitsandbytes computes those with fp16, and would turn every number around twice.
    number = {"fp32": torch.float32, "fp16": torch.float16, "8bit": torch.float16}.get(precision, torch.bfloat16)
    if precision == "4bit" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        number = torch.float16
    matrices = _matrices(network, small) if precision in ("8bit", "4bit") else {}
    places = _spread(network, device_map, number) if device_map else {}
    check_places(places, who)
    if matrices:
        _make_small(network, matrices, precision, number)
    for name, one in stored.items():
        owner, leaf = _owner(network, name)
        kept = torch.float32 if any(name == part or name.startswith(f"{part}.") for part in exact) else number
        where = _place_of(name, places, device)
        try:
            tensor = one.read()
        except Exception as error:  # a file that ends early is found out here, and each reader says so in its own way
            said = (str(error).splitlines() or [""])[0]
            raise WrongWeights(f"{who}: {name} cannot be read from its file ({type(error).__name__}: {said}); fetch the file again") from error
        if tuple(tensor.shape) != tuple(one.shape):
            raise WrongWeights(
                f"{who}: {name} should be {tuple(one.shape)}, and was read as {tuple(tensor.shape)}; take the file as it was published"
            )
        if name in matrices:
            tensor = tensor.to(number)
            check_finite(name, tensor, who)
            owner._parameters[leaf] = _small(tensor, precision).to(where)
            continue
        tensor = tensor.to(where, kept if leaf in owner._parameters or tensor.is_floating_point() else tensor.dtype, copy=True)
        check_finite(name, tensor, who)
        if leaf in owner._parameters:
            owner._parameters[leaf] = torch.nn.Parameter(tensor, requires_grad=False)
        else:
            owner._buffers[leaf] = tensor
    for name, buffer in list(network.named_buffers()):
        if name not in stored:  # what follows from the sizes keeps its 32 bits, as transformers has it
            owner, leaf = _owner(network, name)
            owner._buffers[leaf] = buffer.to(_place_of(name, places, device))
    network = network.eval().requires_grad_(False)
    if places:
        from accelerate import dispatch_model

        network = dispatch_model(network, places)
    return network


def check_fit(network: nn.Module, stored: Mapping[str, Stored], who: str) -> None:
    """Raise ``WrongWeights`` unless just the network's tensors are there, each in its shape; the first that is not is named."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    missing, left_over = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & stored.keys() if wanted[name] != tuple(stored[name].shape))
    found = [f"{len(names)} {what} (first {names[0]})" for names, what in ((missing, "are missing"), (left_over, "have no place")) if names]
    if other:
        name = other[0]
        found.append(f"{len(other)} are of another shape (first {name}, {tuple(stored[name].shape)} where {wanted[name]} is expected)")
    if found:
        raise WrongWeights(f"{who}: of the network's {len(wanted)} tensors {', and '.join(found)}; take the files that were published, whole")


def check_places(places: Mapping[str, Any], who: str) -> None:
    """Raise ``TooLittleMemory`` for a map that leaves a part to the disk: each token would read it anew."""
    if parts := [name for name, place in places.items() if str(place) == "disk"]:
        raise TooLittleMemory(
            f"{who}.device_map leaves {len(parts)} of {len(places)} parts of the network ({parts[0]} first) without a place on any device; "
            f"end what else uses them, or name --set {who}.precision=4bit"
        )


def check_finite(name: str, tensor: Tensor, who: str) -> None:
    """Raise ``WrongWeights`` for NaN and infinities: the reports would be words all the same, and scored."""
    import torch

    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return
    count = int((~torch.isfinite(tensor)).sum())
    said = f"{name} holds numbers that are not finite in {str(tensor.dtype).removeprefix('torch.')}, {count:,} of {tensor.numel():,}"
    wider = "" if tensor.dtype == torch.float32 else ", or name precision=fp32"
    raise WrongWeights(f"{who}: {said}; fetch the file again{wider}")


def count_of(network: nn.Module, small: str = "") -> tuple[int, int]:
    """Numbers of all parameters and buffers: those in the matrices that 8 and 4 bits make smaller, and the others."""
    matrices = sum(parameter.numel() for parameter in _matrices(network, small).values())
    return matrices, sum(value.numel() for value in network.state_dict().values()) - matrices


def _matrices(network: nn.Module, small: str) -> dict[str, Tensor]:
    import torch

    if not small:
        return {}
    part = network.get_submodule(small)
    return {f"{small}.{name}.weight": module.weight for name, module in part.named_modules() if isinstance(module, torch.nn.Linear)}


def _make_small(network: nn.Module, matrices: Mapping[str, Any], precision: str, number: torch.dtype) -> None:
    """Put bitsandbytes' layers in the place of those whose matrices will be kept in 8 or 4 bits."""
    import bitsandbytes  # type: ignore[import-not-found,unused-ignore]

    for name in matrices:
        at = name.removesuffix(".weight")
        old = network.get_submodule(at)
        sizes = (old.in_features, old.out_features, old.bias is not None)
        layer = (
            bitsandbytes.nn.Linear8bitLt(*sizes, has_fp16_weights=False, threshold=6.0, device="meta")  # threshold: LLM.int8(), Dettmers et al., 2022
            if precision == "8bit"
            else bitsandbytes.nn.Linear4bit(*sizes, compute_dtype=number, compress_statistics=True, quant_type="nf4", device="meta")
        )
        parent, _, leaf = at.rpartition(".")
        setattr(network.get_submodule(parent), leaf, layer)


def _small(tensor: Tensor, precision: str) -> Any:
    """The matrix as bitsandbytes keeps it; it is made small where it is moved to."""
    import bitsandbytes

    if precision == "8bit":
        return bitsandbytes.nn.Int8Params(tensor, requires_grad=False, has_fp16_weights=False)
    return bitsandbytes.nn.Params4bit(tensor, requires_grad=False, compress_statistics=True, quant_type="nf4")


def _owner(network: nn.Module, name: str) -> tuple[Any, str]:
    at, _, leaf = name.rpartition(".")
    return network.get_submodule(at), leaf


def _spread(network: nn.Module, how: str, number: torch.dtype) -> dict[str, Any]:
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole = sorted({name for module in network.modules() for name in getattr(module, "_no_split_modules", None) or ()})
    most = (
        get_balanced_memory(network, dtype=number, no_split_module_classes=whole, low_zero=how == "balanced_low_0") if how != "sequential" else None
    )
    return dict(infer_auto_device_map(network, max_memory=most, dtype=number, no_split_module_classes=whole))


def _place_of(name: str, places: Mapping[str, Any], device: torch.device) -> Any:
    """Where a tensor shall lie: as its nearest part that the map names."""
    at = name
    while places:
        if at in places:
            return places[at]
        if not at:
            break
        at = at.rpartition(".")[0]
    return device
