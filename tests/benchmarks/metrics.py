"""Speed of the lexical metrics beside their reference programs and other toolkits: one run, one core each, CPU seconds, the same texts.

    NLTK_DATA=... python tests/benchmarks/metrics.py [--pairs 31255] [--reference-pairs 4000] [--peers VENV/bin/python]

Ours read all pairs, from nothing but compiled code and a loaded WordNet: no text, stem or synonym is remembered from before. Reference programs and
toolkits are slow: they read the first ``--reference-pairs`` (0: all) and their seconds are scaled up. Of METEOR 1.5 both starts and tables count.
What is not installed is left out, with the reason. First compilation is measured in fresh processes with an empty cache, and shown.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from machine import table
from scoring import corpus

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmark"))

from reference_programs import REFERENCES, Missing, Reference

from benchmark.hookspecs import Metric
from benchmark.metrics.degeneration import Degeneration
from benchmark.metrics.tokens import Remembered

MODELS = 10
SWAPPED = 0.2
"""of the sentences of a report, in each further model, come from another case's"""
TARGETS = {"rouge_l, stemmed": 200, "meteor_nltk": 80, "meteor": 6, "bleu": 30}
LOADED = ("_wordnet", "_names", "table_digest")
"""what is loaded before the seconds are counted, as the program's WordNet is; but of these both starts count:"""
ALL_IN = ("meteor",)
PEER_OF = {
    "RadEval BLEU-1 to 4": ("bleu",),
    "RadEval ROUGE-1, 2, L": ("rouge_1, stemmed", "rouge_2, stemmed", "rouge_l, stemmed"),
    "torchmetrics ROUGE-L": ("rouge_l, stemmed",),
    "torchmetrics BLEU": ("bleu",),
    "torchmetrics sacreBLEU": ("sacrebleu",),
}
FACTORIES = (
    "rouge_n:rouge_1", "rouge:RougeL", "rouge_coco:RougeLCoco", "bleu:Bleu", "sacrebleu:SacreBleu", "cider:CiderD", "degeneration:Degeneration",
    "meteor_nltk:MeteorNltk", "meteor:Meteor",
)  # fmt: skip


def further_models(reports: list[str], count: int) -> list[list[str]]:
    """The reports of so many models more, as long and as near to the references as the first one's, but other ones."""
    sentences = [report.split(". ") for report in reports]
    models = []
    for number in range(1, count + 1):
        draw = random.Random(number)
        others = sentences[number:] + sentences[:number]
        mixed = (
            [draw.choice(other) if draw.random() < SWAPPED else sentence for sentence in own] for own, other in zip(sentences, others, strict=True)
        )
        models.append([". ".join(one) for one in mixed])
    return models


def forget(kept: Sequence[str] = ()) -> None:
    """Empty every memory of our metrics, but for those of these names, so that what is measured is a first use."""
    for name, module in list(sys.modules.items()):
        if name.startswith("benchmark.metrics."):
            for called, thing in vars(module).items():
                if isinstance(thing, functools._lru_cache_wrapper) and called not in kept:
                    thing.cache_clear()
                elif isinstance(thing, Remembered):
                    thing._last = None


def cpu_seconds(work: Callable[[], object], kept: Sequence[str]) -> float:
    """CPU seconds of one call that finds nothing remembered."""
    forget(kept)
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(make: Callable[[], Metric], texts: tuple[list[str], list[list[str]]], tries: int, kept: Sequence[str] = LOADED) -> tuple[float, float]:
    """CPU seconds for one model, the least of several tries, and for ten."""
    references, models = texts
    make().statistics(models[0][:10], references[:10])
    one = min(cpu_seconds(lambda: make().statistics(models[0], references), kept) for _ in range(tries))
    shared = make()
    ten = cpu_seconds(lambda: [shared.statistics(reports, references) for reports in models], kept)
    return one, ten


def row_of(one: Reference, texts: tuple[list[str], list[list[str]]], few: int, ours: dict[str, float]) -> tuple[str, ...]:
    """A line of the table; puts our seconds into ``ours``."""
    references, models = texts
    seconds, ten = measure(one.make, texts, 2, () if one.title in ALL_IN else LOADED)
    ours[one.title] = seconds
    head = (one.title, f"{len(references) / seconds:,.0f}", f"{seconds:.3f}", f"{ten / seconds:.1f} x")
    try:
        start = one.run(["a"], ["a"]).seconds if one.title in ALL_IN else 0.0
        apart, found = one.compare(models[0][:few], references[:few])
        whole = start + (found.seconds - start) * len(references) / few
        target = TARGETS.get(one.title)
        held = "" if target is None else f"{target} x: {'held' if whole / seconds >= target else 'missed'}"
        return (*head, f"{one.package} {one.version()}", f"{whole:.1f}", f"{whole / seconds:.0f} x", held, f"{apart.max():.0e}")
    except Missing as missing:
        print(f"{one.title}: the program is left out: {missing}")
        return (*head, "left out", "", "", "", "")


def peer_rows(python: Path | None, hypotheses: Sequence[str], references: Sequence[str], pairs: int, ours: dict[str, float]) -> list[tuple[str, ...]]:
    """The toolkits, each beside the metrics of ours that give the same numbers."""
    if python is None:
        print(f"{', '.join(PEER_OF)}: not installed here; name a Python that has them with --peers")
        return []
    said = subprocess.run(
        [str(python), str(Path(__file__).with_name("peers.py"))],
        input=json.dumps({"hypotheses": hypotheses, "references": references}),
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if said.returncode:
        print(f"{python} did not run: {(said.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return []
    rows = []
    for name, found in json.loads(said.stdout[said.stdout.index("{") :]).items():
        if "reason" in found:
            print(f"{name}: not installed there: {found['reason']}")
            continue
        whole, mine = found["seconds"] * pairs / len(references), sum(ours[title] for title in PEER_OF[name])
        rows.append(
            (" + ".join(PEER_OF[name]), "", f"{mine:.3f}", "", f"{name} ({found['version']})", f"{whole:.1f}", f"{whole / mine:.0f} x", "", "")
        )
    return rows


def compile_seconds(factory: str) -> tuple[float, float]:
    """Wall seconds from nothing to a first score in a fresh process: with an empty cache of compiled code, then with a full one."""
    module, name = factory.split(":")
    program = f"from benchmark.metrics.{module} import {name}; {name}().statistics(['a b'], ['a c'])"
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
            seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def main() -> None:
    """Write the texts, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31_255)
    parser.add_argument("--reference-pairs", type=int, default=4_000, help="0: all")
    parser.add_argument("--peers", type=Path, help="a Python with RadEval, torchmetrics")
    parser.add_argument("--only", default="", help="titles that contain this")
    parser.add_argument("--skip-compile", action="store_true")
    given = parser.parse_args()
    written, predictions, _ = corpus(given.pairs)
    references, first = list(written.values()), list(predictions.values())
    texts = references, [first, *further_models(first, MODELS - 1)]
    few = min(given.reference_pairs or given.pairs, given.pairs)
    words = sum(len(text.split()) for text in references) / len(references)
    print(f"{given.pairs:,} pairs of phantom reports, {words:.0f} words a reference; CPU seconds of one core each, tokenising included")
    print(f"programs and toolkits read {few:,} of them and are scaled up; load of the machine {os.getloadavg()[0]:.1f}")
    ours: dict[str, float] = {}
    rows = [row_of(one, texts, few, ours) for one in REFERENCES if given.only in one.title]
    seconds, ten = measure(Degeneration, texts, 2)
    rows.append(("degeneration", f"{len(references) / seconds:,.0f}", f"{seconds:.3f}", f"{ten / seconds:.1f} x", "(of no other program)", *[""] * 4))
    if not given.only:
        rows += peer_rows(given.peers, first[:few], references[:few], given.pairs, ours)
    head = ("metric", "pairs/s", "s", f"{MODELS} models", "program", "its s", "ratio", "target", "apart")
    print(table(head, rows))
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if not given.skip_compile:
        rows = [(factory, *(f"{seconds:.1f}" for seconds in compile_seconds(factory))) for factory in FACTORIES]
        print(table(("first score in a fresh process, wall seconds", "compiling", "compiled before"), rows))


if __name__ == "__main__":
    main()
