"""numbers.csv alone makes the tables, figures and verdicts again that were made of the runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmark.experiments.aggregates import pairs_of
from benchmark.experiments.claims import claims_in_print, verdicts
from benchmark.experiments.definitions import Experiment, read_definitions
from benchmark.experiments.layouts import table_of
from benchmark.experiments.numbers import Numbers
from benchmark.experiments.numbers_csv import from_csv, to_csv
from benchmark.figures import figures_of
from benchmark.metrics.lesions import LesionScores
from benchmark.records import Row
from benchmark.tables.printed import read_printed
from benchmark.vocabulary import LESIONS

AXES = ("clinical_accuracy", "findings_completeness", "linguistic_quality", "report_structure")
SIGNATURES = {
    "lesions": "lesions|unit:case|labeller:(rules|v1)|v1",
    "consistency": "consistency|judge:rules|v1",
    "meteor": "meteor|variant:1.5|v1",
    "rouge_l": "rouge_l|variant:google|v1",
    "green": "green|judge:rules|v1",
    "radgraph": "radgraph|annotator:(rules|v1)|v1",
    "bleu": "bleu|v1",
}
HEADLINES = {("lesions", "macro_f1"), ("consistency", "rules.total"), ("radgraph", "rules.partial_lower"), ("bleu", "bleu_4")}
"""F1-RadGraph goes by another name here than in the paper's column, and is found by being the headline"""


def every_number() -> Iterator[tuple[str, str, str]]:
    """Metric, number and title, as by rules."""
    yield from (("lesions", name, title) for name, title in LesionScores.titles.items())
    yield from (("consistency", f"rules.{name}", f"{name} (rules)") for name in ("total", "mean", *AXES))
    yield from (("radgraph", f"rules.{name}_lower", f"F1-RadGraph ({name}, lower, rules)") for name in ("simple", "partial", "complete"))
    yield from (("green", "rules.green", "GREEN (rules)"), ("green", "rules.matched", ""), ("bleu", "bleu_4", "BLEU-4"))
    yield from (("meteor", "system", "METEOR 1.5"), ("meteor", "mean", "METEOR 1.5 (mean)"), ("rouge_l", "f1", "ROUGE-L (google, stem)"))


@pytest.fixture(scope="module")
def experiments() -> list[Experiment]:
    return list(read_definitions("demo").experiments.values())


@pytest.fixture(scope="module")
def numbers(experiments: list[Experiment]) -> Numbers:
    """All arms of the paper over two seeds, one arm with one; no number has more digits than the file."""
    arms = list(dict.fromkeys(arm for one in experiments for arm in one.arms))
    pairs = [f"{first} - {second}" for first, second in pairs_of(experiments)]
    seeds = {arm: (42,) if arm == "constant" else (42, 43) for arm in (*arms, *pairs)}
    rows, differences, by_seed = [], [], {}
    for place, model in enumerate((*arms, *pairs)):
        for turn, (metric, name, title) in enumerate(every_number()):
            value = float(7 + turn % 3) if name.endswith("support") else round(0.2 + (7 * place + 3 * turn) % 50 / 100, 6)
            ends = (math.nan, math.nan) if name.startswith("hernia.") else (round(value - 0.05, 6), round(value + 0.05, 6))
            row = Row(model, metric, name, value, *ends, 60, turn % 2, SIGNATURES[metric], title=title, patients=40)
            row = replace(row, direction="" if name.endswith("support") else "higher", is_headline=(metric, name) in HEADLINES)
            by_seed[model, metric, name] = tuple(round(value + 0.01 * number, 6) for number in range(len(seeds[model])))
            if model in pairs:
                differences.append(replace(row, p_value=0.01 * (1 + turn % 9), detectable=0.125))
            else:
                rows.append(row)
    facts = {arm: {"label_f1": int(arm[5:]) / 100} for arm in arms if arm.startswith("told_")}
    counts = {"cases": 60, "patients": 40}
    titles = {arm: f"Arm {arm}" for arm in arms}
    note = 'Drawn phantoms, "not patients".'
    return Numbers(tuple(rows), tuple(differences), by_seed, seeds, titles, counts, note, 0.9, 500, facts, "phantom")


def test_tables_figures_and_verdicts_of_the_file_are_those_of_the_runs(experiments: list[Experiment], numbers: Numbers) -> None:
    """Of the file as it is written, with what tables have alone. By ``repr``: NaN is not equal to NaN."""
    tables = [table_of(one, numbers) for one in experiments]
    text = to_csv(numbers, {(row.metric, row.value_name) for table in tables for row in table.numbers})
    assert "bleu_4" not in text
    back = from_csv(text)
    told = claims_in_print()
    for one, table in zip(experiments, tables, strict=True):
        printed = read_printed(one.reported) if one.reported else None
        assert repr(table_of(one, back)) == repr(table), one.name
        assert repr(figures_of(one, back, printed)) == repr(figures_of(one, numbers, printed)), one.name
        assert repr(verdicts(told, one, back, experiments)) == repr(verdicts(told, one, numbers, experiments)), one.name


def test_what_the_file_must_keep_is_in_those_tables(experiments: list[Experiment], numbers: Numbers) -> None:
    """Were one of these absent from the tables, that they come back the same would say nothing of it."""
    by_name = {one.name: repr(table_of(one, numbers)) for one in experiments}
    assert "F1-RadGraph (partial, lower, rules)" in by_name["table2b"]
    assert "Column(title='Positives'" in by_name["table3"]
    assert "fewer than 10 positive references: 14" in by_name["table5"]
    assert all("Arm main" in text and "90 % intervals over patients and seeds" in text for text in by_name.values())
    assert "'0.20'" in by_name["figure3"]
    assert len(LESIONS) == 14
