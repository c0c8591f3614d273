"""The processes that train together: one, or as many as ``accelerate launch`` started, on whatever devices they have."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from queue import Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long the others wait for the first process, which alone cuts crops: torch's own ten minutes are too short for 200,000 images."""


def new_accelerator(device: str = "auto", precision: str = "no", accumulate: int = 1) -> Any:
    """An ``accelerate.Accelerator`` for that device (auto, cpu, cuda) and precision (auto, no, bf16, fp16).

    auto = bf16 where the machine multiplies faster in it (a GPU from Ampere on, a CPU with AMX), else no.

    Raises ValueError for a device or precision that is not to be had here.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {device}, but torch finds no CUDA device here; use cpu, or auto")
    if precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise ValueError("precision is fp16, which needs a CUDA device; a CPU can do bf16 or no")
    if precision == "auto":
        precision = "bf16" if _is_fast_in_bf16(is_cpu=device == "cpu" or not torch.cuda.is_available()) else "no"
    # A second training in one process (a test, a notebook) may have another precision; accelerate keeps the first one's unless told.
    AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        cpu=device == "cpu" or not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True), InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def _is_fast_in_bf16(*, is_cpu: bool) -> bool:
    import torch

    if is_cpu:
        return bool(torch.cpu._is_amx_tile_supported())
    return torch.cuda.get_device_capability() >= (8, 0)


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items, up to ``depth`` of them made beforehand by a thread, while the caller works on the one it has.

    An exception of the maker comes out where its item would have. Stopping early stops the maker.
    """
    queue: Queue[tuple[str, Any]] = Queue(maxsize=depth)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stopped.is_set():
            with suppress(Full):  # then ask again whether anybody still wants it
                queue.put((kind, value), timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if stopped.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while True:
            kind, value = queue.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        maker.join()
