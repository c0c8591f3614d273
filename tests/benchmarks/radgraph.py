"""Speed of F1-RadGraph beside the package radgraph 0.1.18: its reward, and its annotation at the size of BERT-base; one core, CPU seconds.

    OMP_NUM_THREADS=1 python tests/benchmarks/radgraph.py --package VENV/bin/python [--pairs 5000] [--reports 120]

VENV holds radgraph==0.1.18, transformers==4.57.6 and torch. The archive has the published layout and random weights, so the annotations mean nothing,
and where the two differ by a rounding their labels differ sooner than trained ones would. Both programs take turns, part by part, so that what else
the machine does burdens both. Without --package only ours is measured.

Reward: annotations (by rules, of phantoms' reports) to F1 at three levels. The package's loop takes every pair apart anew; ours takes every distinct
report apart once, then lays sets side by side. No text of the ten models is another's, which no ten models would do: it is the worst case.

Measured with torch 2.15 and onnxruntime 1.32 on two cores of a Xeon with AVX-512, others at work on them (load 3 to 5): the reward is 5.9 times as
fast with ten models, all in, and 120 times once the sets are there; annotation 1.7 times by either runtime, 120 of 120 reports identical. What is
left of the reward is taking dicts apart, in Python, once a report. What is left of annotation is nine tenths BERT in float32, and MKL brings a Xeon
to 100 GFLOP/s in the package too: 60 word pieces are 10.5 GFLOP, of which the heads, the tokenizer and the reading of spans, a third of the
package's time, are what can be saved. Where MKL is slow (AMD) onnxruntime adds a factor of two. bfloat16 is faster, and changes annotations.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from machine import facts, table
from metrics import further_models
from scoring import corpus

from adapters.radgraph.annotator import RadGraphXL
from benchmark.annotating.rules import annotate
from benchmark.metrics.radgraph_levels import Levels, joined, matches

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "adapters" / "radgraph_reference.py"
PARTS = 4
"""turns that the two programs take"""
TARGETS = {"reward": 10.0, "annotation": 2.5}


class Package:
    """The package in an environment of its own, asked over pipes."""

    def __init__(self, python: Path, folder: Path | None = None) -> None:
        command = [str(python), str(REFERENCE), "serve", *([str(folder)] if folder else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._answer()

    def ask(self, **asked: Any) -> tuple[list[Any], float]:
        """What it found, and the CPU seconds that took."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer["found"], answer["seconds"]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the package ended with {self._process.wait()}: is it radgraph 0.1.18 beside transformers 4.57 and torch?")
        return json.loads(line)


def reward(package: Package | None, references: Sequence[str], models: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of the table: sets and pairs, of one model and of all; and whether the numbers are the package's."""
    texts = [annotate(text) for text in references]
    guesses = [[annotate(text) for text in model] for model in models]
    count = len(texts)
    pairs = np.stack([np.arange(count), np.arange(count)], axis=1)
    warm = Levels("cased")
    matches(*[warm.sets(texts[:2])[0]] * 2, pairs[:2])

    def ours(some: Sequence[Sequence[Any]]) -> tuple[np.ndarray, float, float]:
        levels = Levels("cased")
        start = time.process_time()
        sets = [levels.sets(part) for part in (texts, *some)]
        middle = time.process_time()
        found = [np.stack([matches(one, other, pairs)[:, 0] for one, other in zip(model, sets[0], strict=True)], axis=1) for model in sets[1:]]
        joined([one[0] for one in sets])
        return np.stack(found), middle - start, time.process_time() - middle

    theirs, seconds = [], 0.0
    if package:
        for model in guesses:
            found, taken = package.ask(pairs=list(zip(model, texts, strict=True)))
            theirs.append(found)
            seconds += taken
        difference = float(np.abs(ours(guesses)[0] - np.array(theirs)).max())
        print(f"reward: {count * len(models):,} pairs, greatest difference from the package {difference:.1e}")
        assert difference < 1e-9
    rows = []
    for some in (guesses[:1], guesses):
        _, sets_seconds, pair_seconds = min((ours(some) for _ in range(3)), key=lambda one: one[1] + one[2])
        name = f"reward, {len(some)} model{'s' * (len(some) > 1)}"
        their_seconds = seconds / len(guesses) * len(some)
        for what, taken in (("all in", sets_seconds + pair_seconds), ("sets there", pair_seconds)):
            rows.append(_row(f"{name}, {what}", their_seconds, taken, count * len(some), "us", 1e6))
    return rows


def annotation(package: Package | None, folder: Path, reports: Sequence[str]) -> list[list[str]]:
    """Rows of the table: the network by each runtime."""
    parts = [list(reports[part::PARTS]) for part in range(PARTS)]
    networks = {}
    for runtime in ("onnx", "torch"):
        try:
            networks[runtime] = RadGraphXL(weights=folder / "radgraph-xl", device="cpu", runtime=runtime, download=False)  # type: ignore[arg-type]
        except Exception as error:
            print(f"annotation by {runtime} left out: {error}")
    seconds = dict.fromkeys((*networks, "package"), 0.0)
    same = dict.fromkeys(networks, 0)
    entities = relations = 0
    for network in networks.values():
        network.annotate(parts[0][:2])
    for part in parts:
        theirs: list[Any] = []
        if package:
            theirs, taken = package.ask(reports=part)
            seconds["package"] += taken
            entities += sum(len(one["entities"]) for one in theirs)
            relations += sum(len(entity["relations"]) for one in theirs for entity in one["entities"].values())
        for runtime, network in networks.items():
            start = time.process_time()
            found = network.annotate(part)
            seconds[runtime] += time.process_time() - start
            same[runtime] += sum(one == other for one, other in zip(found, theirs, strict=False))
    if package:
        alike = ", ".join(f"{count} by {runtime}" for runtime, count in same.items())
        print(f"annotation: of {len(reports)} reports with {entities:,} entities and {relations:,} relations identical: {alike}")
    return [_row(f"annotation, {runtime}", seconds["package"], seconds[runtime], len(reports), "ms", 1e3) for runtime in networks]


def _row(name: str, theirs: float, ours: float, count: int, unit: str, scale: float) -> list[str]:
    target = TARGETS[name.partition(",")[0]]
    package, ratio = (f"{scale * theirs / count:.1f}", f"{theirs / ours:.2f}") if theirs else ("-", "-")
    return [name, unit, package, f"{scale * ours / count:.2f}", ratio, f"{target:g}"]


def main() -> None:
    """See the head of the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", type=Path, default=os.environ.get("RADGRAPH_PYTHON"), help="python of an environment with the package")
    parser.add_argument("--pairs", type=int, default=5_000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--reports", type=int, default=120)
    given = parser.parse_args()
    package = Path(given.package) if given.package else None
    print(facts())
    if package is None:
        print("the package is left out: name an environment, --package VENV/bin/python; annotation is left out too")
    references, hypotheses = (list(texts.values()) for texts in corpus(given.pairs)[:2])
    models = [hypotheses, *further_models(references, given.models - 1)]
    if package:
        with closing(Package(package)) as running:
            rows = reward(running, references, models)
        with tempfile.TemporaryDirectory() as name:
            folder, reports = Path(name), list(dict.fromkeys(references))[: given.reports]
            (folder / "reports.json").write_text(json.dumps(reports))
            made = [str(package), str(REFERENCE), "archive", name, str(folder / "reports.json"), "--size", "base", "--pieces", "5000"]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with closing(Package(package, folder)) as running:
                rows += annotation(running, folder, reports)
    else:
        rows = reward(None, references, models)
    print(table(["", "unit", "package", "ours", "ratio", "target"], rows))


if __name__ == "__main__":
    sys.exit(main())
