"""Time and memory of the index of Chest ImaGenome: python tests/benchmarks/indexing.py [studies ...]

Phantom trees of 2,000, 6,000 and 20,000 studies with flat images, reports and scene graphs in zip archives. Each is read by a process of its own with
a worker per core, and opened again by fresh ones; then the smallest with scene graphs of 0.3 MB, and an archive with as many members as the real one.
What is said of the real dataset is extrapolated, and says so. CPU seconds are of all processes together: other work on the machine moves them least.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, table

from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.gathering import IMAGES_PER_PART, load_parts
from benchmark.datasets.mimic_cases import case_of
from benchmark.datasets.split import SPLITS
from benchmark.datasets.stores import Store

STUDIES = (2_000, 6_000, 20_000)
IMAGES_PER_STUDY = 1.14
"""usable frontal images of the phantoms' studies"""
SHARES = {"train": 0.70, "validate": 0.10, "test": 0.20}
LISTED = {"train": 166_521, "validate": 23_953, "test": 47_393}
"""images of the real dataset"""
GRAPH_BYTES = 300_000
"""of a real scene graph"""
GRAPHS = 243_310
"""scene graphs in the real archive"""
TRIES = 3
MB = 2**20


def main(studies: tuple[int, ...] = STUDIES) -> None:
    """Print a line per tree (how long reading and opening take, and in how much memory), the growth, and what follows for the real dataset."""
    from benchmark.datasets.phantom import generate  # here: the processes that are measured read the script again and do without
    from benchmark.datasets.phantom.write import GRAPHS_ZIP

    print(facts(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        rows, found = [], []
        for count in studies:
            root = Path(scratch) / f"{count}"
            usable = {split: round(count * IMAGES_PER_STUDY * share) for split, share in SHARES.items()}
            generate(root, **usable, fast=True, archives=True, progress=False)
            found.append(measure(root))
            rows.append(line(f"{count:,} studies", found[-1]))
            print(rows[-1][0], "done", file=sys.stderr, flush=True)
        smallest = Path(scratch) / f"{studies[0]}"
        fatten(smallest / GRAPHS_ZIP)
        fat = measure(smallest)
        rows.append(line(f"{studies[0]:,} studies, graphs of {GRAPH_BYTES / 1e6:.1f} MB", fat))
        print(table(HEAD, rows), flush=True)
        if len(found) > 1:
            say_growth(found, fat)
        say_opening(Path(scratch) / f"{studies[-1]}", found)
        say_directory(Path(scratch) / "many.zip")


HEAD = (
    "",
    "images",
    "read s",
    "images/s",
    "CPU ms each",
    "parent MB",
    "worker MB",
    "test s",
    "stamp CPU s",
    "train s",
    "stamp CPU s",
    "MB",
)


def measure(root: Path) -> dict[str, Any]:
    """Read all splits in one process, then open test and train in fresh ones, the fastest of several tries."""
    cache = f"{root}-cache"
    shutil.rmtree(cache, ignore_errors=True)
    once = in_a_process("read", root, cache)
    opened = {split: min((in_a_process("open", root, cache, split) for _ in range(TRIES)), key=lambda one: one["seconds"]) for split in LISTED}
    return {**once, "open": opened}


def in_a_process(what: str, root: Path, cache: str, *words: str) -> dict[str, Any]:
    """What the process printed, and the wall seconds that it took with its start."""
    start = time.perf_counter()
    environment = {**os.environ, "CLALA_BENCHMARK_CACHE": cache}
    done = subprocess.run([sys.executable, __file__, what, str(root), *words], env=environment, check=True, capture_output=True, text=True)
    return {**json.loads(done.stdout), "seconds": time.perf_counter() - start}


def read(root: str) -> None:
    """In a process of its own: the first reading of all splits."""
    dataset = ChestImaGenome(root)
    images = sum(len(dataset._read(split)) for split in SPLITS)
    own, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
    print(json.dumps({"images": images, "cpu": cpu, "parent": peak(), "worker": workers.ru_maxrss * 1024 / MB}))


def open_again(root: str, split: str) -> None:
    """In a process of its own: a warm index to cases, as a run does."""
    dataset = ChestImaGenome(root)
    start = time.process_time()
    dataset.fingerprint(split)
    stamp = time.process_time() - start
    cases = len(dataset.cases(split))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cases": cases, "stamp": stamp, "cpu": used.ru_utime + used.ru_stime, "memory": peak()}))


def peak() -> float:
    """Most memory of this program so far (MB); what rusage says is at least that of the process which started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MB


def line(name: str, found: dict[str, Any]) -> list[str]:
    """A row of the table."""
    images, seconds, opened = found["images"], found["seconds"], found["open"]
    return [
        name,
        f"{images:,}",
        f"{seconds:.1f}",
        f"{images / seconds:,.0f}",
        f"{1000 * found['cpu'] / images:.2f}",
        f"{found['parent']:.0f}",
        f"{found['worker']:.0f}",
        *(f"{opened[split][what]:.2f}" for split in ("test", "train") for what in ("seconds", "stamp")),
        f"{opened['train']['memory']:.0f}",
    ]


def fatten(archive: Path) -> None:
    """Give every scene graph of an archive so many relationships that it is as long as a real one; a reader has to parse them and needs none."""
    fat = archive.with_suffix(".fat")
    with zipfile.ZipFile(archive) as thin, zipfile.ZipFile(fat, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for member in thin.infolist():
            graph = json.loads(thin.read(member))
            filler = {**graph["attributes"][0], "relationship_id": "0"} if graph["attributes"] else {"relationship_id": "0", "phrase": "x" * 500}
            graph["relationships"] += [filler] * math.ceil((GRAPH_BYTES - member.file_size) / len(json.dumps(filler)))
            packed.writestr(member.filename, json.dumps(graph))
    fat.replace(archive)


def say_growth(found: list[dict[str, Any]], fat: dict[str, Any]) -> None:
    """The exponent of time over images, and the real dataset at the rate of the largest tree."""
    images = np.log([one["images"] for one in found])
    for what, values in {
        "CPU of reading": [one["cpu"] for one in found],
        "CPU of opening train": [one["open"]["train"]["cpu"] for one in found],
    }.items():
        print(f"{what} ~ images^{np.polyfit(images, np.log(values), 1)[0]:.2f}")
    most, total, cores = found[-1], sum(LISTED.values()), len(os.sched_getaffinity(0))
    print(f"Extrapolated, not measured, to the {total:,} images of the real lists, on {cores} cores:")
    for name, one in (("scene graphs like these", most), (f"of {GRAPH_BYTES / 1e6:.1f} MB", fat)):
        print(f"  reading, {name}: {one['cpu'] / one['images'] * total / cores / 60:.1f} min")
    print(f"  memory of the parent, all splits read: {straight(found, 'images', 'parent', total):.0f} MB")


def straight(found: list[dict[str, Any]], along: str, what: str, at: int) -> float:
    """A line through the smallest and the largest tree: there is a constant part, the imports."""
    few, many = found[0], found[-1]
    return float(many[what] + (many[what] - few[what]) / (many[along] - few[along]) * (at - many[along]))


def say_opening(root: Path, found: list[dict[str, Any]]) -> None:
    """The real number of entries, by repeating the parts of a tree: measured but for the stamp, whose time follows the number of files."""
    stamp = found[-1]["open"]["train"]
    for split in ("test", "train"):
        parts = sorted(Path(f"{root}-cache").glob("chest_imagenome/train-*/*.parquet"))
        folder, count = Path(f"{root}-{split}"), math.ceil(LISTED[split] / IMAGES_PER_PART)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:05d}-of-{count:05d}-by-{IMAGES_PER_PART}.parquet").symlink_to(parts[number % max(1, len(parts) - 1)])
        opened = min((in_a_process("entries", folder, str(root)) for _ in range(TRIES)), key=lambda one: one["cpu"])
        print(
            f"{opened['entries']:,} entries, as many as in {split}: opened as cases in {opened['seconds']:.1f} s ({opened['cpu']:.1f} s of CPU) "
            f"and {opened['memory']:.0f} MB; the stamp beside it, extrapolated: {stamp['stamp'] / stamp['cases'] * LISTED[split]:.1f} s of CPU"
        )


def entries(folder: str) -> None:
    """In a process of its own: all parts of a folder to cases."""
    found = load_parts(Path(folder)) or []
    cases = [case_of(entry, Path("files"), "image") for entry in found if not entry.left_out]
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"entries": len(found), "cases": len(cases), "cpu": used.ru_utime + used.ru_stime, "memory": peak()}))


def say_directory(path: Path) -> None:
    """What each worker pays for the directory of the real archive."""
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(GRAPHS):
            packed.writestr(zipfile.ZipInfo(f"scene_graph/{number:08x}-{number:08x}-{number:08x}-{number:08x}-{number:08x}_SceneGraph.json"), b"{}")
    done = in_a_process("directory", path, str(path.parent))
    print(
        f"an archive of {GRAPHS:,} members: a worker opens it in {done['open']:.1f} s and {done['memory']:.0f} MB; its stamp: {done['stamp']:.2f} s"
    )


def directory(path: str) -> None:
    """In a process of its own: open an archive, and stamp it."""
    store = Store([Path(path)])
    before = peak()
    start = time.perf_counter()
    store.archive_stamp()
    stamp = time.perf_counter() - start
    start = time.perf_counter()
    store.has("nothing")
    print(json.dumps({"open": time.perf_counter() - start, "memory": peak() - before, "stamp": stamp}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", root]:
            read(root)
        case ["open", root, split]:
            open_again(root, split)
        case ["entries", folder]:
            entries(folder)
        case ["directory", path]:
            directory(path)
        case counts:
            main(tuple(map(int, counts)) or STUDIES)
