"""Where a network runs, in which precision and how many cases at once: asked for or worked out, and refused in words before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from adapters.needed import missing_packages
from adapters.running import device_named
from adapters.vision_language.loading import DeviceMap, check_precision
from adapters.vision_language.memory import Sizes, batch_that_fits, free_bytes, free_everywhere
from adapters.vision_language.published import PACKAGES
from benchmark.records import UserError

if TYPE_CHECKING:
    import torch


class Fitted(NamedTuple):
    """What was settled."""

    device: torch.device
    precision: str
    batch_size: int


def check_packages(who: str) -> None:
    """Raise ``UserError`` with the remedy unless what the networks stand on is installed."""
    if lacking := missing_packages(PACKAGES):
        raise UserError(f"{who} needs {', '.join(lacking)}, not installed here; install the extra: pip install 'clala-benchmark[models]'")


def device_and_precision(who: str, device: str, precision: str, usual: str = "bf16") -> tuple[torch.device, str]:
    """Both, with ``auto`` replaced: a GPU if there is one; ``usual`` there (what the authors ran), bf16 on a CPU. Raises ``UserError``."""
    found = device_named(device, who)
    if precision == "auto" and found.type != "cpu":
        precision = usual
    return found, check_precision(precision, found, who)


def fitted(sizes: Sizes, who: str, *, device: torch.device, precision: str, batch_size: int, at_most: int, device_map: str = "") -> Fitted:
    """With a batch that fits: ``batch_size``, or as many up to ``at_most`` if that is 0. Raises ``UserError``.

    device_map  how the network is spread over devices: nobody can say beforehand what each has to hold, so all together must have the memory, and
                a batch is one case if none is named
    """
    if device_map not in get_args(DeviceMap):
        raise UserError(f"{who} has no device_map={device_map!r}; known: {', '.join(filter(None, get_args(DeviceMap)))}, or none")
    if batch_size < 0:
        raise UserError(f"{who}: batch_size is {batch_size}; it must be at least 1, or 0 for as many as fit")
    if device_map:
        free, where, at_most = free_everywhere(), "all devices together", 1
    else:
        free, where = free_bytes(device), str(device) if device.type != "cpu" else "this machine"
    fits = batch_that_fits(sizes, who, precision=precision, batch_size=batch_size, at_most=at_most, free=free, where=where)
    return Fitted(device, precision, fits)
