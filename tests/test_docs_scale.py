"""docs/scale.md: its tables are worked out from the measurement in results/published/capacity.csv and from the figures that the page names.

python tests/test_docs_scale.py     # prints the tables, to be put into the page after a new measurement
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from benchmark.statistics import flips_for
from benchmark.statistics.bootstrap import TOGETHER_ENTRIES

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
COSTS = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")

IMAGES, MODELS, PATIENTS = 377_110, 50, 65_379
"""of MIMIC-CXR: Johnson et al., Scientific Data 6:317 (2019)"""
REPORTS = IMAGES * MODELS
PAPER = 31_255 * 10
"""reports of the paper's test set"""
HEADLINES, METRICS, COLUMNS, DRAWS, LEVEL = 6, 5, 104, 1000, 0.95
"""tests of a pair and metrics in the measured run; columns of the widest metric, the lesions"""
OF_PAIRS = ("tables", "differences")
"""stages that go with pairs of models, not with cases x models"""
GPUS = (("one GPU", 1), ("one node", 8), ("100 nodes", 800))
PEAK, USED, BANDWIDTH = 989e12, 0.4, 3.35e12
"""of an H100 SXM by its data sheet: dense bfloat16 operations and bytes of memory per second; the share of the first that is reached (assumed)"""
ONE_MACHINE = 96
"""cores of a node"""
PARAMETERS = 7e9
DOLLARS_IN, DOLLARS_OUT = 0.15e-6, 0.60e-6
"""a token of gpt-4o-mini, in LiteLLM's price map 1.97.0"""


class Run(NamedTuple):
    """A size of the measurement."""

    cases: int
    models: int
    stages: dict[str, dict[str, float]]
    """stage -> seconds, cpu_seconds, peak_mib; of the whole run under ``all``"""
    load: float
    page_mib: float

    def cpu(self, stage: str) -> float:
        return self.stages[stage]["cpu_seconds"]


def runs() -> list[Run]:
    """The measurement, the smallest size first."""
    found: dict[tuple[int, int], Run] = {}
    with (ROOT / "results" / "published" / "capacity.csv").open(newline="") as lines:
        for line in csv.DictReader(lines):
            size = int(line["cases"]), int(line["models"])
            run = found.setdefault(size, Run(*size, {}, float(line["load"]), float(line["page_mib"])))
            run.stages[line["stage"]] = {name: float(line[name] or "nan") for name in ("seconds", "cpu_seconds", "peak_mib")}
    return [found[size] for size in sorted(found)]


def questions() -> dict[str, tuple[int, int, int]]:
    """task -> (questions, tokens in, tokens out of each), from the table of docs/costs.md."""
    found = {}
    for task, tokens_in, tokens_out in re.findall(r"^\| (label|judge|green), .*?\| ([\d,]+), ([\d,]+) \|", COSTS, re.MULTILINE):
        count = IMAGES * (MODELS + 1) if task == "label" else REPORTS
        found[task] = (count, int(tokens_in.replace(",", "")), int(tokens_out.replace(",", "")))
    return found


def seconds_of_report(prompt: int, words: int, together: int) -> float:
    """Of a model of 7 billion parameters on one GPU: the prompt by operations, each token by reading the weights once for all that are written."""
    return 2 * PARAMETERS * prompt / (USED * PEAK) + words * 2 * PARAMETERS / BANDWIDTH / together


def said(seconds: float) -> str:
    """Seconds for people."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _cpu_of(stage: str, run: Run) -> float:
    return run.cpu(stage)


class Line(NamedTuple):
    """What something costs at several sizes: once, for each one more, and the slope between the two largest sizes over that between the smallest."""

    once: float
    each: float
    bend: float


def line(points: Sequence[tuple[float, float]]) -> Line:
    """The straight line through (size, cost) with the least squares of relative errors: a hundred seconds do not outweigh ten."""
    x, y = np.array(sorted(points)).T
    once, each = np.linalg.lstsq(np.stack([np.ones_like(x), x], axis=1) / y[:, None], np.ones_like(y), rcond=None)[0]
    slopes = np.diff(y) / np.diff(x)
    return Line(float(once), float(each), float(slopes[-1] / slopes[0]))


def growth(measured: Sequence[Run]) -> list[tuple[str, ...]]:
    """How CPU seconds and memory go with cases (of the most models) and with models (of the number of cases that has most of them)."""
    most = max(run.models for run in measured)
    often = max({run.cases for run in measured}, key=lambda cases: sum(run.cases == cases for run in measured))
    by_cases, by_models = [run for run in measured if run.models == most], [run for run in measured if run.cases == often]
    parts: dict[str, Callable[[Run], float]] = {
        "CPU seconds of metrics": lambda run: sum(run.cpu(name) for name in run.stages if name.startswith("measure")),
        "CPU seconds of the page": lambda run: run.cpu("page"),
        "CPU seconds of differences": lambda run: run.cpu("differences"),
        "CPU seconds of all": lambda run: run.cpu("all"),
        "peak MiB": lambda run: run.stages["all"]["peak_mib"],
        "MiB of the page": lambda run: run.page_mib,
    }
    found: list[tuple[str, ...]] = []
    for name, of in parts.items():
        of_cases, of_models = line([(run.cases / 1000, of(run)) for run in by_cases]), line([(run.models, of(run)) for run in by_models])
        found.append((name, *map(digits, (*of_cases, *of_models))))
    return found


def digits(value: float) -> str:
    """Three of them, and a hundredth at the least."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    return "\n".join(["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0]), *("| " + " | ".join(line) + " |" for line in lines[1:])])


def tables() -> Mapping[str, str]:
    """Every table of the page."""
    measured = runs()
    largest = measured[-1]
    pieces = largest.cases * largest.models
    sizes = [
        (f"{run.cases:,}", str(run.models), f"{run.cpu('all'):.0f}", f"{run.stages['all']['seconds']:.0f}", f"{run.load:.1f}",
         f"{run.stages['all']['peak_mib'] / 1024:.2f}", f"{run.page_mib:,.0f}")
        for run in measured
    ]  # fmt: skip
    smaller, larger = sorted((run for run in measured if run.models == largest.models), key=lambda run: run.cases)[-2:]

    def slope(of: Callable[[Run], float]) -> float:
        """Of the straight line through the two largest runs with the most models: what a further case costs."""
        return (of(larger) - of(smaller)) / (larger.cases - smaller.cases)

    def marginal(stage: str) -> float:
        """CPU seconds of a further report."""
        return max(0.0, slope(partial(_cpu_of, stage))) / largest.models

    stages = [
        (name, f"{took['cpu_seconds']:.1f}", "-" if name in OF_PAIRS else f"{1e6 * marginal(name):.0f}")
        for name, took in largest.stages.items()
        if took["cpu_seconds"] >= 0.2 and name != "all"
    ]
    linear = [name for name in largest.stages if name not in (*OF_PAIRS, "all")]
    per_report = sum(map(marginal, linear))
    of_metrics, of_page = sum(marginal(name) for name in linear if name.startswith("measure")), marginal("page")
    further = PAPER / largest.models - larger.cases
    paper = {name: larger.cpu(name) + max(0.0, slope(partial(_cpu_of, name))) * further for name in (*linear, "differences")}
    paper["tables"] = larger.cpu("tables")  # of numbers, not of cases
    side_by_side = sum(cpu for name, cpu in paper.items() if name.startswith("measure") or name == "page")
    memory = larger.stages["all"]["peak_mib"] + slope(lambda run: run.stages["all"]["peak_mib"]) * further
    expected = [
        ("CPU seconds", f"{sum(paper.values()):.0f}"),
        ("wall seconds, two free cores", f"{sum(paper.values()) - side_by_side / 2:.0f}"),
        ("peak GiB", f"{memory / 1024:.1f}"),
        ("page MiB", f"{largest.page_mib / pieces * PAPER:,.0f}"),
    ]
    pairs, pairs_then = (count * (count - 1) // 2 for count in (largest.models, MODELS))
    flips, flips_then = (flips_for(HEADLINES * count, DRAWS, LEVEL) for count in (pairs, pairs_then))
    differences = largest.cpu("differences") * (pairs_then / pairs) * (flips_then / flips)
    sums_gb = COLUMNS * MODELS * (DRAWS + flips_then) * 8 / 1e9
    page_gib = largest.page_mib / pieces * REPORTS / 1024
    beyond = [
        ("every stage that goes with cases x models", f"{1000 * per_report:.2f} ms x {REPORTS:,}", said(per_report * REPORTS) + " on one core"),
        ("differences", f"x {pairs_then / pairs:.1f} pairs x {flips_then / flips:.1f} swaps", said(differences) + " on one core"),
        ("memory of the lesions' sums", f"{COLUMNS} x {MODELS} columns x {DRAWS + flips_then:,} draws and swaps x 8 bytes", f"{sums_gb:.0f} GB"),
        ("page", f"{1024 * largest.page_mib / pieces:.1f} KiB x {REPORTS:,}", f"{page_gib:.0f} GiB"),
    ]
    report = seconds_of_report(1_500, 120, 32)
    asked = questions()
    tokens_in, tokens_out = (sum(one[0] * one[place] for one in asked.values()) for place in (1, 2))
    judging = 2 * PARAMETERS * tokens_in / (USED * PEAK) + tokens_out * 2 * PARAMETERS / BANDWIDTH / 256
    network = 0.0876 * 0.6 * IMAGES * (MODELS + 1)
    cores = (("one GPU", 16), ("one node", 96), ("100 nodes", 9_600))
    machines = [
        ("generation, a model of 7 billion parameters", *(said(report * REPORTS / count) for _, count in GPUS)),
        ("labels, judge and GREEN by a model of that size", *(said(judging / count) for _, count in GPUS)),
        ("RadGraph's network on the CPU cores", *(said(network / count) for _, count in cores)),
        ("metrics, side by side", *(said(of_metrics * REPORTS / min(count, METRICS * MODELS)) for _, count in cores)),
        ("page, on the cores of one machine", *(said(of_page * REPORTS / min(count, ONE_MACHINE)) for _, count in cores)),
        ("reading, parts of the cases: one process", *[said((per_report - of_metrics - of_page) * REPORTS)] * 3),
        ("differences: one process", *[said(differences)] * 3),
    ]
    money = []
    for task, (count, ins, outs) in asked.items():
        dollars = count * (ins * DOLLARS_IN + outs * DOLLARS_OUT)
        money.append((task, f"{count:,}", f"{count * ins / 1e9:.1f}", f"{count * outs / 1e9:.1f}", f"{dollars:,.0f}", f"{dollars / 2:,.0f}"))
    return {
        "sizes": table(("cases", "models", "CPU seconds", "wall seconds", "load before", "peak GiB", "page MiB"), sizes),
        "paper": table(("31,255 cases x 10 models", "comes to"), expected),
        "growth": table(("", "once", "1,000 cases more", "bend", "once", "a model more", "bend"), growth(measured)),
        "stages": table((f"stage, {largest.cases:,} cases x {largest.models} models", "CPU seconds", "µs of a further report"), stages),
        "beyond": table(("what", "how", "comes to"), beyond),
        "machines": table(("", *(name for name, _ in GPUS)), machines),
        "money": table(("task", "questions", "billion tokens in", "out", "dollars", "as a batch"), money),
    }


@pytest.mark.parametrize("name", ["sizes", "growth", "stages", "paper", "beyond", "machines", "money"])
def test_a_table_of_the_page_is_what_the_measurement_comes_to(name: str) -> None:
    assert tables()[name] in PAGE, f"docs/scale.md, the table {name}: python tests/test_docs_scale.py prints it as it should be"


def test_every_figure_says_whether_it_was_measured_or_computed() -> None:
    """A section has one of the words in the line that introduces its table."""
    for block in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        if "\n|" in block:
            before = block.partition("\n|")[0]
            assert re.search(r"\*\*(Measured|Computed)\*\*", before), f"the section {block.splitlines()[0]!r} does not say where its figures are from"


def test_one_metric_of_so_many_models_outgrows_what_is_resampled_together() -> None:
    """What the page calls the first limit: a metric's sums are held whole, however many others wait."""
    flips = flips_for(HEADLINES * MODELS * (MODELS - 1) // 2, DRAWS, LEVEL)
    assert COLUMNS * MODELS * (DRAWS + flips) > 10 * TOGETHER_ENTRIES


if __name__ == "__main__":
    for title, text in tables().items():
        print(f"\n{title}\n\n{text}")
