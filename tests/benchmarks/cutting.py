"""Speed of cutting crops, with one process and with two: python tests/benchmarks/cutting.py [images] [--quick]

Phantoms of 512 px (drawn on first use), the eleven regions of each at the demo's size, read from their files, cut and written to the store that
training maps into memory; starting the processes is counted, so that few images gain nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from machine import facts, table

from benchmark.datasets.images import read_radiograph
from benchmark.datasets.phantom import Phantom
from clala.config import preset
from clala.crops import cut_all
from clala.regions import regions_of


def main() -> None:
    """Print a line for each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0] if __doc__ else None)
    parser.add_argument("images", type=int, nargs="?", default=800, help="images; those of phantom:small come again and again")
    parser.add_argument("--quick", action="store_true", help="160 images")
    options = parser.parse_args()
    data, config = Phantom("small"), preset("demo")
    pairs = list(zip(data.cases("train"), data.references("train"), strict=True))
    names = regions_of(config.roi_set)
    number = 160 if options.quick else options.images
    chosen = [pairs[i % len(pairs)] for i in range(number)]
    boxes = [{name: reference.boxes[name] for name in names if name in reference.boxes} for _, reference in chosen]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for workers in (1, 2)[: os.cpu_count()]:
            start = time.perf_counter()
            store = cut_all(
                [case.images[0].path for case, _ in chosen],
                boxes,
                Path(scratch) / str(workers),
                crop_px=config.crop_px,
                margin=config.crop_margin,
                whole_px=config.classifier_px,
                reader=read_radiograph,
                workers=workers,
            )
            wall = time.perf_counter() - start
            rows.append([f"{workers} process{'es' if workers > 1 else ''}", f"{wall:.1f}", f"{number / wall:.0f}", f"{len(store.crops) / wall:.0f}"])
    print(facts())
    print(f"{number} images, {config.crop_px} px")
    print(table(["", "wall s", "images/s", "crops/s"], rows))


if __name__ == "__main__":
    main()
