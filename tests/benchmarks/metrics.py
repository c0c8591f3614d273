"""Speed of the lexical metrics beside their reference programs: one run, one core each, CPU seconds, the same texts.

    python tests/benchmarks/metrics.py [--pairs 31255] [--reference-pairs 4000]

The reference programs are slow, so they read the first ``--reference-pairs`` only and the ratio is of pairs per second; give both the same number
for the whole comparison. The jar's CPU seconds are those of its process; what it takes to start and to load its table is told apart. A reference
program that is not installed is left out, with the reason. First compilation is measured in fresh processes with an empty cache, and shown.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scoring import corpus

from benchmark.metrics.bleu import Bleu
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.meteor_nltk import MeteorNltk
from benchmark.metrics.paraphrases import installed_table
from benchmark.metrics.rouge import RougeL

MODELS = 10


class Missing(Exception):
    """A reference program is not here; says what is missing."""


def rouge_score(hypotheses: Sequence[str], references: Sequence[str], stem: bool) -> tuple[float, np.ndarray]:
    """Google's rouge-score: CPU seconds and F1 of every case."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=stem)
    start = time.process_time()
    scores = [scorer.score(reference, hypothesis)["rougeL"].fmeasure for hypothesis, reference in zip(hypotheses, references, strict=True)]
    return time.process_time() - start, np.array(scores)


def coco_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, np.ndarray]:
    """pycocoevalcap's BLEU: CPU seconds and BLEU-1 to 4 of the corpus."""
    from pycocoevalcap.bleu.bleu import Bleu as CocoBleu

    start = time.process_time()
    corpus_scores, _ = CocoBleu(4).compute_score(dict(enumerate([r] for r in references)), dict(enumerate([h] for h in hypotheses)), verbose=0)
    return time.process_time() - start, np.array(corpus_scores)


def nltk_meteor(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, np.ndarray]:
    """nltk's METEOR: CPU seconds, WordNet's loading left out, and the score of every case."""
    try:
        from nltk.translate.meteor_score import single_meteor_score

        single_meteor_score(["chest"], ["thorax"])
    except (ImportError, LookupError) as error:
        raise Missing(f"nltk with WordNet 3.0 under NLTK_DATA ({type(error).__name__})") from None
    start = time.process_time()
    scores = [single_meteor_score(reference.split(), hypothesis.split()) for hypothesis, reference in zip(hypotheses, references, strict=True)]
    return time.process_time() - start, np.array(scores)


def jar_meteor(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, np.ndarray]:
    """METEOR's jar through its ``-stdio`` door: CPU seconds of its process, start left out, and the score of every case."""
    table = installed_table()
    if table is None:
        raise Missing("pycocoevalcap")
    idle = _jar(table, ["a"], ["a"])[0]
    seconds, scores = _jar(table, hypotheses, references)
    print(f"    (the jar's start and table: {idle:.1f} CPU s, left out)")
    return seconds - idle, scores


def _jar(table: Path, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, np.ndarray]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["java", "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        jar = subprocess.Popen(
            command, cwd=table.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
    except FileNotFoundError:
        raise Missing("java") from None
    assert jar.stdin is not None
    assert jar.stdout is not None
    counts = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        jar.stdin.write(f"SCORE ||| {' '.join(reference.split())} ||| {' '.join(hypothesis.split())}\n")
        jar.stdin.flush()
        counts.append(jar.stdout.readline().strip())
    jar.stdin.write(" ||| ".join(["EVAL", *counts]) + "\n")
    jar.stdin.flush()
    scores = np.array([float(jar.stdout.readline()) for _ in counts])
    jar.stdin.close()
    jar.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, scores


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compile_seconds(factory: str) -> tuple[float, float]:
    """Wall seconds from nothing to a first score in a fresh process: with an empty cache of compiled code, then with a full one."""
    module, name = factory.split(":")
    program = f"from {module} import {name}; {name}().statistics(['a b'], ['a c'])"
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
            seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def compare(
    name: str,
    make: Callable[[], RougeL | Bleu | Meteor | MeteorNltk],
    reference: Callable[[Sequence[str], Sequence[str]], tuple[float, np.ndarray]],
    ours_of: Callable[[RougeL | Bleu | Meteor | MeteorNltk, np.ndarray], np.ndarray],
    texts: tuple[list[str], list[list[str]]],
    few: int,
) -> None:
    """One line: ours, theirs, the ratio, the largest difference, and ten models at once."""
    references, models = texts
    make().statistics(models[0][:10], references[:10])
    ours = min(cpu_seconds(lambda: make().statistics(models[0], references)) for _ in range(2))
    shared = make()
    ten = cpu_seconds(lambda: [shared.statistics(hypotheses, references) for hypotheses in models])
    line = f"{name:16} {len(references) / ours:>11,.0f} pairs/s {ours:8.3f} s | {MODELS} models {ten:7.2f} s = {ten / ours:4.1f} x one"
    try:
        seconds, expected = reference(models[0][:few], references[:few])
    except (Missing, ImportError) as missing:
        print(f"{line} | reference program left out: {missing}")
        return
    metric = make()
    difference = np.abs(ours_of(metric, metric.statistics(models[0][:few], references[:few])) - expected).max()
    ratio = (seconds / few) / (ours / len(references))
    print(f"{line} | theirs {few / seconds:>7,.0f} pairs/s | {ratio:6.1f} x | largest difference {difference:.1e} on {few:,}")


def main() -> None:
    """Write the texts, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=31_255)
    parser.add_argument("--reference-pairs", type=int, default=4_000)
    parser.add_argument("--skip-compile", action="store_true")
    given = parser.parse_args()
    references, predictions, _ = corpus(given.pairs)
    texts = list(references.values())
    models = [list(predictions.values())]
    models += [[*models[0][shift:], *models[0][:shift]] for shift in range(1, MODELS)]  # nine more models, that answer beside the point
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"{given.pairs:,} pairs of phantom reports, {words:.0f} words a reference; CPU seconds, tokenising included, one core each")
    few, both = min(given.reference_pairs, given.pairs), (texts, models)

    def first(_: object, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0]

    def corpus_bleu(metric: RougeL | Bleu | Meteor | MeteorNltk, rows: np.ndarray) -> np.ndarray:
        return np.array([*metric.values(rows.sum(axis=0)).values()])

    compare("rouge_l stemmed", RougeL, lambda h, r: rouge_score(h, r, True), first, both, few)
    compare("rouge_l", lambda: RougeL(stem=False), lambda h, r: rouge_score(h, r, False), first, both, few)
    compare("bleu", Bleu, coco_bleu, corpus_bleu, both, few)
    compare("meteor_nltk", MeteorNltk, nltk_meteor, first, both, few)
    compare("meteor", Meteor, jar_meteor, lambda _, rows: rows[:, 23], both, few)
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    if not given.skip_compile:
        for factory in ("rouge:RougeL", "bleu:Bleu", "meteor_nltk:MeteorNltk", "meteor:Meteor"):
            cold, warm = compile_seconds(f"benchmark.metrics.{factory}")
            print(
                f"{factory:24} first score in a fresh process: {cold:5.1f} s with compilation, {warm:4.1f} s from the cache of compiled code (wall)"
            )


if __name__ == "__main__":
    main()
