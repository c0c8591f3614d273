"""Speed of the phantom generator: python tests/benchmarks/phantom.py [images]

CPU milliseconds of one process for a frontal image with all its files (512 px, laterals included), and for a study without pixels (``fast``).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmark.datasets.phantom import generate


def main(images: int = 100) -> None:
    """Print a line for each of the two."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch) / "warm", train=2, validate=0, test=0, workers=1, progress=False)  # the textures are made once per process
        for name, count, fast in (("512 px", images, False), ("fast", 10 * images, True)):
            start, clock = time.process_time(), time.perf_counter()
            generate(Path(scratch) / name, train=count, validate=0, test=0, workers=1, progress=False, fast=fast)
            cpu, wall = time.process_time() - start, time.perf_counter() - clock
            made = len((Path(scratch) / name / "truth.jsonl").read_text().splitlines())
            print(f"{name:8} {made} images   {1000 * cpu / made:.1f} ms CPU   {1000 * wall / made:.1f} ms wall each")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
