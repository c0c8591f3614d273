"""Can two cores score the whole paper? 31,255 cases x 10 models, through the ``score`` command as a user types it.

    python tests/benchmarks/capacity.py [--cases 2000,8000,31255] [--models 2,5,10] [--quick] [--csv capacity.csv]

Labelling by rules, METEOR, ROUGE-L, BLEU, RadGraph F1 of stored annotations, 1,000 draws of patients, all paired differences, parts of the cases, all
tables, the page, the seal. Every number of cases is run with the most models, and every number of models with the middle number of cases; a straight
line is fitted to the growth of both: what is paid once, what a further case or model costs, and whether the last ones cost more than the first. The
whole takes some ten minutes, and 5 GB of disk for as long as it runs; ``--quick`` takes one minute.

The reports are of phantoms, with as much variety as a model's have: three in five of a model are its own and the rest are stock reports of which it
has 300, the commonest far more often than the rarest. Its own ones take sentences of the reference, sentences of another case, and leave some out.
How many reports and sentences are distinct is printed: what is read once is remembered, so it decides what labelling costs.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import table
from scoring import family, held_kib

from benchmark.annotating.annotations import Annotation, Entity
from benchmark.annotating.choose import annotator_named
from benchmark.datasets.phantom import anatomy, lesions, reports

METRICS = "lesions,meteor,rouge_l,bleu,radgraph"
STOCK, OWN = 300, 0.6
"""reports that a model has by heart, and the share of those that it writes anew"""
CASES_OF_PATIENT = 3.5
"""in the mean; from one to dozens, as in MIMIC-CXR"""
Text = tuple[str, ...]
"""sentences"""


class Corpus(NamedTuple):
    """References and reports of several models, one per case."""

    references: list[Text]
    models: list[list[Text]]
    patients: list[str]


class StageTook(NamedTuple):
    """One stage of one run; a line of the CSV."""

    cases: int
    models: int
    stage: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Took(NamedTuple):
    """One run."""

    cases: int
    models: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    load: float
    stages: list[StageTook]
    page_mib: float
    rows_sha256: str


def main() -> None:
    """Run every size, print what each stage took and how it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="2000,8000,31255")
    parser.add_argument("--models", default="2,5,10")
    parser.add_argument("--quick", action="store_true", help="500, 1,000 and 2,000 cases, one to three models")
    parser.add_argument("--largest", action="store_true", help="the largest size alone: no growth is fitted")
    parser.add_argument("--metrics", default=METRICS)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="where the table is written, too")
    parser.add_argument("--keep", type=Path, help="folder in which the files are made and left, in place of a temporary one")
    given = parser.parse_args()
    cases, models = ([int(word) for word in words.split(",")] for words in (given.cases, given.models))
    if given.quick:
        cases, models = [500, 1000, 2000], [2, 3, 4]
    sizes = [(cases[-1], models[-1])]
    if not given.largest:
        sizes = sorted({*((count, models[-1]) for count in cases), *((cases[len(cases) // 2], count) for count in models)})
    with tempfile.TemporaryDirectory() as name:
        place = given.keep or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        corpus = written(max(cases), max(models))
        print(f"{said_of(corpus)}\n")
        run(corpus, 40, 2, place, given.metrics, given.workers)  # compiles what is not compiled yet
        took = []
        for size in sizes:
            took.append(run(corpus, *size, place, given.metrics, given.workers))
            print(f"{of_run(took[-1])}\n", flush=True)
            if given.csv:
                write_csv(given.csv, took)  # after each: the last one takes longest
    if not given.largest:
        print(growth(took, cases[len(cases) // 2], models[-1]))


def written(cases: int, models: int, seed: int = 11) -> Corpus:
    """So many cases, and what so many models wrote about them; of fewer of either the first ones."""
    rng = np.random.default_rng(seed)
    references = [examination(rng) for _ in range(cases)]
    patients: list[str] = []
    while len(patients) < cases:
        patients += [f"p{len(patients):06d}"] * int(rng.geometric(1 / CASES_OF_PATIENT))
    return Corpus(references, [_model(references, 0.3 + 0.04 * number, seed + 1 + number) for number in range(models)], patients[:cases])


def examination(rng: np.random.Generator) -> Text:
    """The FINDINGS of a phantom."""
    study = reports.Study(anatomy.sample_patient(rng), "AP", False, lesions.sample(rng), None, ())
    return tuple(sentence.text for sentence in reports.findings_section(rng, study))


def _model(references: Sequence[Text], skill: float, seed: int) -> list[Text]:
    """A model that says a share ``skill`` of the reference's sentences; the draws of a case do not depend on how many come after it."""
    rng = np.random.default_rng(seed)
    stock = [references[place] for place in rng.integers(0, min(len(references), 40), STOCK)]  # the same ones whatever the number of cases
    stock = [text[: 2 + number % 9] for number, text in enumerate(stock)]
    weights = 1 / np.arange(1, STOCK + 1)
    found = []
    for place, reference in enumerate(references):
        draws = np.random.default_rng((seed, place)).random(3 + 2 * len(reference))
        if draws[0] >= OWN:
            found.append(stock[int(np.searchsorted(np.cumsum(weights) / weights.sum(), draws[1]))])
            continue
        other = references[int(draws[2] * min(place + 1, len(references)))]
        own = [
            sentence if draws[3 + 2 * i] < skill else other[i]
            for i, sentence in enumerate(reference)
            if draws[3 + 2 * i] < skill or (draws[4 + 2 * i] < 0.7 and i < len(other))
        ]
        found.append(tuple(own) or reference[:1])
    return found


def said_of(corpus: Corpus) -> str:
    """How much of it there is, and how much of that only once."""
    texts = [*corpus.references, *(text for model in corpus.models for text in model)]
    sentences = {sentence for text in texts for sentence in text}
    words = np.mean([sum(len(sentence.split()) for sentence in text) for text in texts])
    own = np.mean([len(set(model)) / len(model) for model in corpus.models])
    return (
        f"{len(corpus.references):,} cases of {len(set(corpus.patients)):,} patients x {len(corpus.models)} models, {words:.0f} words a report; "
        f"{100 * own:.0f} % of a model's reports are distinct, {len(set(texts)):,} of all {len(texts):,} texts, and {len(sentences):,} of their "
        f"{sum(map(len, texts)):,} sentences"
    )


def run(corpus: Corpus, cases: int, models: int, place: Path, metrics: str, workers: int) -> Took:
    """Write the files of the first so many cases and models, and run the command on them in a process of its own."""
    folder = place / f"{cases}x{models}"
    folder.mkdir()
    ids = [f"c{number:06d}" for number in range(cases)]
    with (folder / "references.jsonl").open("w") as out:
        for case, text, patient in zip(ids, corpus.references, corpus.patients, strict=False):
            out.write(json.dumps({"id": case, "report": " ".join(text), "patient": patient}) + "\n")
    command = [sys.executable, "-m", "benchmark", "score", "-r", "references.jsonl", "--text-column", "report", "--patient-column", "patient"]
    for number, model in enumerate(corpus.models[:models]):
        with (folder / f"model-{number}.jsonl").open("w") as out:
            out.writelines(json.dumps({"id": case, "report": " ".join(text)}) + "\n" for case, text in zip(ids, model, strict=False))
        command += ["-p", f"model-{number}.jsonl"]
    if "radgraph" in metrics:
        texts = dict.fromkeys(text for model in (corpus.references, *corpus.models[:models]) for text in model[:cases])
        with (folder / "annotations.jsonl").open("w") as out:
            out.writelines(line + "\n" for line in annotated(texts))
        command += ["--set", "radgraph.annotator=file:annotations.jsonl"]
    command += ["--metrics", metrics, "--workers", str(workers), "--out", "run"]
    # A cache of its own, so that nothing of a file is known from an earlier run: the first and smallest run makes what METEOR reads.
    environment = {**os.environ, "CLALA_BENCHMARK_CACHE": str(place.absolute() / "cache")}
    before, load, start = resource.getrusage(resource.RUSAGE_CHILDREN), os.getloadavg()[0], time.time()
    samples: list[tuple[float, float]] = []
    with (folder / "log.txt").open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment) as process:
        watcher = threading.Thread(target=watch, args=(process, samples))
        watcher.start()
        process.wait()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"score ended with {process.returncode}: {(folder / 'log.txt').read_text()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.time() - start
    record = json.loads((folder / "run" / "run.json").read_text())
    origin = (folder / "run" / "run.json").stat().st_mtime - record["seconds"]  # when the command began to count
    stages = []
    for stage, said in record["stages"].items():
        within = [mib for at, mib in samples if said["began"] - 0.3 <= at - origin <= said["ended"] + 0.3]
        stages.append(StageTook(cases, models, stage, said["seconds"], said["cpu_seconds"], max(within, default=math.nan)))
    elsewhere = cpu - sum(stage.cpu_seconds for stage in stages)
    stages.append(StageTook(cases, models, "elsewhere", math.nan, elsewhere, math.nan))
    peak = max(mib for _, mib in samples)
    stages.append(StageTook(cases, models, "all", wall, cpu, peak))
    page = sum(size for name in record["files"] if name.startswith(("page/", "index.html")) for size in [(folder / "run" / name).stat().st_size])
    return Took(cases, models, wall, cpu, peak, load, stages, page / 2**20, record["files"]["rows.csv"])


def annotated(texts: Iterator[Text] | dict[Text, None]) -> Iterator[str]:
    """A line of JSON for each text, in the form of the package radgraph: the annotations of its sentences, by rules, one after the other."""
    annotator = annotator_named("rules")
    known: dict[str, Annotation] = {}
    for text in texts:
        entities: dict[str, Entity] = {}
        tokens = 0
        for sentence in text:
            if sentence not in known:
                (known[sentence],) = annotator.annotate([sentence])
            before = len(entities)
            for entity in known[sentence]["entities"].values():
                moved = {"start_ix": entity["start_ix"] + tokens, "end_ix": entity["end_ix"] + tokens}
                relations = [[kind, str(int(other) + before)] for kind, other in entity["relations"]]
                entities[str(len(entities) + 1)] = {"tokens": entity["tokens"], "label": entity["label"], **moved, "relations": relations}  # type: ignore[typeddict-item]
            tokens += len(known[sentence]["text"].split(" "))
        words = " ".join(known[sentence]["text"] for sentence in text)
        yield json.dumps({"report": " ".join(text), "text": words, "entities": entities})


def watch(process: subprocess.Popen[bytes], samples: list[tuple[float, float]]) -> None:
    """Note (when, MiB of a process and all that it started; shared pages count once), until it ends."""
    while process.poll() is None:
        samples.append((time.time(), sum(map(held_kib, family(process.pid))) / 1024))
        time.sleep(0.25)


def of_run(took: Took) -> str:
    """What a run took, a line for each stage."""
    head = (
        f"{took.cases:,} cases x {took.models} models: {took.seconds:.0f} s wall, {took.cpu_seconds:.0f} s CPU, peak {took.peak_mib / 1024:.2f} GiB, "
        f"page {took.page_mib:,.0f} MiB; load of the machine at its start {took.load:.1f}; rows.csv {took.rows_sha256[:12]}"
    )
    lines = [[one.stage, *(f"{number:.1f}" for number in one[3:5]), f"{one.peak_mib:.0f}"] for one in took.stages]
    return f"{head}\n{table(('stage', 'seconds', 'CPU seconds', 'peak MiB'), lines)}"


def growth(took: Sequence[Took], middle: int, most: int) -> str:
    """How CPU seconds, of all and of each stage that takes a second, and memory go with cases and with models."""
    by_cases, by_models = [one for one in took if one.models == most], [one for one in took if one.cases == middle]
    lines = []
    for stage in [one.stage for one in took[-1].stages if one.cpu_seconds >= 1 or one.stage == "all"]:
        of_cases = line([(one.cases / 1000, cpu_of(one, stage)) for one in by_cases])
        of_models = line([(one.models, cpu_of(one, stage)) for one in by_models])
        lines.append([stage, *map(said_of_number, (*of_cases, *of_models))])
    memory = line([(one.cases / 1000, one.peak_mib) for one in by_cases]), line([(one.models, one.peak_mib) for one in by_models])
    lines.append(["peak MiB", *map(said_of_number, (*memory[0], *memory[1]))])
    head = ("CPU seconds", "once", "1,000 cases", "bend", "once", "a model", "bend")
    return f"growth: straight lines (least squares of the relative errors); bend: the last slope over the first, 1 is straight\n{table(head, lines)}"


class Line(NamedTuple):
    """Of what something costs at several sizes."""

    once: float
    """what it costs whatever the size, by the line; below 0 where the cost grows faster than a line"""
    each: float
    """what it costs for each one more"""
    bend: float
    """the slope between the two largest sizes over that between the two smallest: 1 is straight"""


def line(points: Sequence[tuple[float, float]]) -> Line:
    """The straight line through (size, cost) with the least squares of relative errors; NaN of fewer than two sizes."""
    x, y = np.array(sorted((x, y) for x, y in points if y > 0)).reshape(-1, 2).T
    if len(set(x)) < 2:
        return Line(math.nan, math.nan, math.nan)
    once, each = np.linalg.lstsq(np.stack([np.ones(len(x)), x], axis=1) / y[:, None], np.ones(len(x)), rcond=None)[0]
    slopes = np.diff(y) / np.diff(x)
    return Line(float(once), float(each), float(slopes[-1] / slopes[0]))


def said_of_number(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cpu_of(took: Took, stage: str) -> float:
    """CPU seconds of a stage, 0 where a run had none such."""
    return sum(one.cpu_seconds for one in took.stages if one.stage == stage)


def write_csv(file: Path, took: Sequence[Took]) -> None:
    """Every stage of every run, and where it was."""
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow((*StageTook._fields, "load", "page_mib", "machine"))
        where = f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}"
        for run_ in took:
            for one in run_.stages:
                numbers = ["" if math.isnan(number) else f"{number:.2f}" for number in one[3:]]
                writer.writerow((*one[:3], *numbers, f"{run_.load:.1f}", f"{run_.page_mib:.1f}", where))


if __name__ == "__main__":
    main()
