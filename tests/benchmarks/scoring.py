"""Time and memory of scoring the paper's test split: 31,255 pairs, lesions by rules, all lexical metrics, 1,000 draws, the whole ``score`` command.

    python tests/benchmarks/scoring.py [--pairs 31255] [--workers 0]

References are written by the phantoms' report writer; a prediction is the report of another examination with some of the same findings. The command
runs as its own process, so that what is measured is what a user waits for: reading, measuring, resampling, tables, checksums.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmark.datasets.phantom import anatomy, lesions, reports

METRICS = (
    "lesions", "meteor", "meteor_nltk", "rouge_1", "rouge_2", "rouge_l", "rouge_l_coco", "bleu", "sacrebleu", "cider_d", "degeneration",
)  # fmt: skip


def corpus(pairs: int, seed: int = 7) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """References, predictions and patients of so many cases, about three cases a patient."""
    rng = np.random.default_rng(seed)
    references, predictions, patients = {}, {}, {}
    for number in range(pairs):
        person = anatomy.sample_patient(rng)
        findings = lesions.sample(rng)
        seen = [finding for finding in findings if rng.random() < 0.7]
        case = f"c{number:06d}"
        references[case] = written(rng, person, findings)
        predictions[case] = written(rng, person, seen)
        patients[case] = f"p{number // 3}"
    return references, predictions, patients


def written(rng: np.random.Generator, person: anatomy.Patient, findings: list[lesions.Finding]) -> str:
    """The FINDINGS of an examination with these findings."""
    study = reports.Study(person, "AP", False, findings, None, ())
    return " ".join(sentence.text for sentence in reports.findings_section(rng, study))


def main() -> None:
    """Write the files, run the command, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=31_255)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--metrics", default=",".join(METRICS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        references, predictions, patients = corpus(given.pairs)
        words = sum(len(text.split()) for text in references.values()) / given.pairs
        print(f"{given.pairs:,} pairs written in {time.perf_counter() - start:.0f} s (not counted); {words:.0f} words a reference")
        lines = (json.dumps({"id": case, "report": text, "patient": patients[case]}) + "\n" for case, text in references.items())
        (folder / "references.jsonl").write_text("".join(lines))
        (folder / "predictions.jsonl").write_text("".join(json.dumps({"id": case, "report": text}) + "\n" for case, text in predictions.items()))
        command = [sys.executable, "-m", "benchmark", "score", "-r", "references.jsonl", "--text-column", "report", "--patient-column", "patient"]
        command += ["-p", "predictions.jsonl", "--workers", str(given.workers), "--metrics", given.metrics]
        for run in ("first (compiles what is not compiled yet)", "second, in a new folder"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.perf_counter()
            with subprocess.Popen([*command, "--out", f"out-{run[:5]}"], cwd=folder, stdout=subprocess.DEVNULL) as process:
                peak = peak_gib(process)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command)
            wall = time.perf_counter() - start
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            load = os.getloadavg()[0]
            print(f"{run}: {wall:.1f} s wall, {cpu:.1f} s CPU, peak of all its processes together {peak:.2f} GiB; load of the machine {load:.1f}")


def peak_gib(process: subprocess.Popen[bytes]) -> float:
    """The most memory that a process and all that it started held at one time, until it ends; shared pages count once. Linux."""
    most = 0
    while process.poll() is None:
        most = max(most, sum(held_kib(pid) for pid in family(process.pid)))
        time.sleep(0.1)
    return most / 2**20


def family(root: int) -> list[int]:
    """Process ids of a process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it may just have ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def held_kib(pid: int) -> int:
    """KiB of memory that belong to a process, its share of what is shared."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return 0


if __name__ == "__main__":
    main()
