"""The processes that train together: one, or as many as ``accelerate launch`` started, on whatever devices they have."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from queue import Full, Queue
from typing import Any, TypeVar

from clala.parent import end_with

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long the others wait for the first process, which alone cuts crops: torch's own ten minutes are too short for 200,000 images."""


class NotHere(ValueError):
    """A device or a precision that is not to be had on this machine."""


def new_accelerator(device: str = "auto", precision: str = "no", accumulate: int = 1) -> Any:
    """An ``accelerate.Accelerator`` for that device (auto, cpu, cuda, cuda:1) and precision (auto, no, bf16, fp16).

    auto = bf16 where the machine multiplies faster in it (a GPU from Ampere on, a CPU with AMX), else no. One of several processes ends with the
    launcher that started it, where one did.

    Raises NotHere.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise NotHere(f"device is {device}, but CLALA-Net is trained on a CPU or on CUDA devices; use auto, cpu, cuda, or one of several: cuda:1")
    check_cuda(device)
    if precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise NotHere("precision is fp16, which needs a CUDA device; a CPU can do bf16 or no")
    if precision == "auto":
        precision = "bf16" if _is_fast_in_bf16(is_cpu=device == "cpu" or not torch.cuda.is_available()) else "no"
    # A second training in one process (a test, a notebook) may have another precision; accelerate keeps the first one's unless told.
    AcceleratorState._reset_state()
    _, _, index = device.partition("cuda:")
    if index:
        # accelerate itself trains on "cuda", which is whichever GPU is the current one.
        torch.cuda.set_device(int(index))
    accelerator = Accelerator(
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        cpu=device == "cpu" or not torch.cuda.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True), InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    if index and accelerator.num_processes > 1:
        raise NotHere(f"device is {device}, but {accelerator.num_processes} processes train together, each on a GPU of its own; use cuda")
    if accelerator.num_processes > 1 and _has_launcher():
        # One that is killed outright, by hand or for want of memory, tells nobody.
        end_with(os.getppid(), f"process {accelerator.process_index} of the training ends: its launcher is gone; run the same command again to go on")
    return accelerator


def _has_launcher() -> bool:
    """True where what started this process stays as long as it does: accelerate, torchrun, a notebook's launcher. Where RANK was set by hand it is a
    shell, which goes.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ or multiprocessing.parent_process() is not None


def check_cuda(device: str) -> None:
    """Raise NotHere for a GPU that torch does not find; of another device nothing is asked."""
    import torch

    kind, _, index = device.partition(":")
    if kind != "cuda":
        return
    if not torch.cuda.is_available():
        raise NotHere(f"device is {device}, but torch finds no CUDA device here; use cpu, or auto")
    if index and int(index) >= (count := torch.cuda.device_count()):
        raise NotHere(f"device is {device}, but torch finds {count} here, of which the last is cuda:{count - 1}; name one of those")


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
