"""Where a figure was measured, and how: python tests/benchmarks/machine.py prints the machine alone."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Seconds(NamedTuple):
    """Of one piece of work, the least of several tries."""

    wall: float
    cpu: float


def facts() -> str:
    """CPU, cores and what else keeps them busy, torch, GPU."""
    import torch  # here: the processes that cut crops read the script again and do without

    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        flags = next((line.split() for line in info.read_text().splitlines() if line.startswith("flags")), [])
        wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        model = f"{named[0] if named else model} ({', '.join(wide)})"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, torch {torch.__version__}; {gpu}"


def least(work: Callable[[], object], tries: int) -> Seconds:
    """Wall and CPU seconds of this process."""
    walls, cpus = [], []
    for _ in range(tries):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Seconds(min(walls), min(cpus))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left and numbers to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(line, widths, strict=True))) for line in lines
    )


if __name__ == "__main__":
    print(facts())
