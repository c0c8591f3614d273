"""How much memory a network takes at work, from its sizes alone; and a refusal, before anything is read, that names the setting that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.records import UserError

if TYPE_CHECKING:
    import torch

GIB = 2**30
BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "8bit": 1.0, "4bit": 0.5 + 1 / 64}
"""of a number in a matrix; of 4 bits there is a scale of 8 bits to 64 of them"""
BESIDE = {"cuda": 0.7 * GIB, "cpu": 0.5 * GIB}
"""what the libraries take for themselves"""


class TooLittleMemory(UserError):
    """A network would not fit; the message says what it needs, what is free, and which setting fits."""


@dataclass(frozen=True)
class Sizes:
    """What decides how much memory a network needs."""

    matrices: int
    """numbers in the language model's matrices, which 8 and 4 bits make smaller"""
    others: int
    """all other numbers"""
    cache: int
    """numbers kept for each token of each case: keys and values of all layers"""
    work: int
    """numbers that are computed with at once for each token while a question is read: the widest layer's"""
    eyes: int = 0
    """likewise for each image"""
    tokens: int = 2_048
    """of a case: question, images and the longest answer"""
    images: int = 1
    """of a case"""

    def bytes_at(self, precision: str, batch: int) -> float:
        """Weights, and what a batch of so many cases takes at work."""
        wide = 4.0 if precision == "fp32" else 2.0
        weights = self.matrices * BYTES[precision] + self.others * wide
        return weights + batch * wide * (self.tokens * (self.cache + self.work) + self.images * self.eyes)

    def most(self, precision: str, free: float, at_most: int) -> int:
        """The largest batch up to ``at_most`` that fits; 0 if not even one does."""
        return next((batch for batch in range(at_most, 0, -1) if self.bytes_at(precision, batch) <= free), 0)


def language_sizes(config: object) -> tuple[int, int]:
    """``cache`` and ``work`` of a language model, from its transformers configuration."""
    width, layers, heads = (getattr(config, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    kept = getattr(config, "num_key_value_heads", None) or heads
    # At once there are: what goes through, its norm, queries, keys, values and their sum; or the feed-forward part's two halves and their product.
    return 2 * layers * kept * (getattr(config, "head_dim", None) or width // heads), 6 * width + 3 * int(
        getattr(config, "intermediate_size", 4 * width)
    )


def free_bytes(device: torch.device) -> float:
    """What a device has left, without what the libraries take for themselves."""
    if device.type == "cuda":
        import torch

        is_begun: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call,unused-ignore]
        return torch.cuda.mem_get_info(device)[0] - (0.2 * GIB if is_begun else BESIDE["cuda"])
    return _free_ram() - BESIDE["cpu"]


def free_everywhere() -> float:
    """What all devices together have left, this machine's memory among them: accelerate spreads a network over all."""
    import torch

    return sum(free_bytes(torch.device("cuda", number)) for number in range(torch.cuda.device_count())) + free_bytes(torch.device("cpu"))


def _free_ram() -> float:
    """What processes can still have; a container's limit counts too."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        try:
            free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        except (AttributeError, ValueError, OSError):
            return float("inf")
    try:
        group = Path("/sys/fs/cgroup")
        return min(free, float((group / "memory.max").read_text()) - float((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no such group, or "max"
        return free


def batch_that_fits(sizes: Sizes, who: str, *, precision: str, batch_size: int, at_most: int, free: float, where: str) -> int:
    """Cases at once: ``batch_size``, or if that is 0 as many up to ``at_most`` as fit. Raises ``TooLittleMemory``."""
    batch = batch_size or sizes.most(precision, free, at_most)
    needed = sizes.bytes_at(precision, max(batch, 1))
    if batch and needed <= free:
        return batch
    wanted = (
        f"{who} at precision={precision} and batch_size={max(batch, 1)} needs {needed / GIB:.1f} GiB, {where} has {max(free, 0.0) / GIB:.1f} free"
    )
    wider = [one for one in ("fp32", "bf16", "8bit", "4bit") if BYTES[one] <= BYTES[precision]]
    for other in dict.fromkeys([precision, *wider]):
        if fits := sizes.most(other, free, batch_size or at_most):
            told = f"--set {who}.precision={other}" + (f" --set {who}.batch_size={fits}" if batch_size else "")
            beside = ", with bitsandbytes" if other in ("8bit", "4bit") else ""
            raise TooLittleMemory(f"{wanted}; what fits: {told} ({sizes.bytes_at(other, fits) / GIB:.1f} GiB{beside})")
    smallest = sizes.bytes_at("4bit", 1)
    raise TooLittleMemory(f"{wanted}; no setting fits, the smallest (4bit, batch_size=1) needs {smallest / GIB:.1f} GiB; take another device")


def in_words(sizes: Sizes, batch: int = 1) -> str:
    """For ``doctor``: what each precision needs."""
    return ", ".join(f"{precision} {sizes.bytes_at(precision, batch) / GIB:.0f}" for precision in ("fp32", "bf16", "8bit", "4bit")) + " GiB"
