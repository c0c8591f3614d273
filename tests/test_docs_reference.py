"""The pages about metrics and data say what the files and the code say: figures, signatures, settings, counts."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from benchmark import registry
from benchmark.datasets import imagenome_account, mimic_account
from benchmark.datasets.split import PAPER_IMAGES
from benchmark.llm.endpoint import Endpoint
from benchmark.making import HANDED
from benchmark.metrics.green import Green
from benchmark.records import RunConfig
from benchmark.scoring import build_metric
from benchmark.signatures import parse

ROOT = Path(__file__).resolve().parents[1]
DOCS, PUBLISHED = ROOT / "docs", ROOT / "results" / "published"
METRICS = sorted((DOCS / "metrics").glob("*.md"))
ERRORS = ("negated", "affirmed", "side", "severity", "dropped", "inserted", "replaced", "measurement", "comparison", "all errors")
"""as the audit calls the columns of the pages' tables"""
BY_RULES = ("lesions", "meteor", "meteor_nltk", "rouge_l", "rouge_l_coco", "bleu", "sacrebleu", "cider_d", "degeneration", "consistency", "radgraph")


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@cache
def audited() -> dict[tuple[str, str, str], str]:
    """(title, kind of candidate, above | drop | reports) -> value."""
    with (PUBLISHED / "metric_audit.csv").open(encoding="utf-8", newline="") as file:
        return {(row["title"], row["model"], row["value_name"].rpartition(".")[2]): row["value"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("page", METRICS, ids=lambda page: page.stem)
def test_the_figures_of_the_audit_are_those_of_the_file(page: Path) -> None:
    titles = {title for title, _, _ in audited()}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(ERRORS) + 1 and cells[0] in titles:
            assert cells[1:] == [f"{float(audited()[cells[0], error, 'above']):.2f}" for error in ERRORS], cells[0]


def test_every_number_of_the_audit_stands_in_the_first_table() -> None:
    assert all(f"| {title} |" in read("metrics/index.md") for title, _, _ in audited())


@pytest.mark.parametrize(
    ("page", "title", "kind", "what", "shown"),
    [
        ("consistency.md", "Judge's total (20, rules)", "order", "drop", "costs 0.96 points"),
        ("consistency.md", "Judge's total (20, rules)", "severity", "drop", "a changed severity 0.00"),
        ("radgraph.md", "F1-RadGraph (partial, lower, rules)", "side", "drop", "by 0.05 in the audit"),
        ("radgraph.md", "F1-RadGraph (partial, lower, rules)", "paraphrase", "drop", "for the same by 0.06"),
        ("meteor.md", "METEOR 1.5", "headers", "drop", "falls by 0.31"),
        ("meteor.md", "METEOR 1.5", "side", "drop", "the side turned by 0.36"),
        ("rouge-bleu-cider.md", "BLEU-4 (COCO)", "casing", "drop", "costs BLEU-4 0.71"),
        ("rouge-bleu-cider.md", "BLEU-4 (COCO)", "side", "drop", "a wrong side 0.08"),
        ("index.md", "Lesion micro F1 (rules)", "affirmed", "reports", "rest on 597 and"),
        ("index.md", "Lesion micro F1 (rules)", "inserted", "reports", "and 824 reports"),
        ("index.md", "METEOR 1.5", "affirmed", "reports", "on 2,491 and"),
        ("index.md", "METEOR 1.5", "inserted", "reports", "and 3,425."),
    ],
)
def test_a_figure_in_the_text_is_that_of_the_file(page: str, title: str, kind: str, what: str, shown: str) -> None:
    value = float(audited()[title, kind, what])
    assert shown in read(f"metrics/{page}")
    assert (f"{value:,.0f}" if what == "reports" else f"{value:.2f}") in shown


def test_the_agreement_with_the_experts_is_that_of_the_file() -> None:
    with (PUBLISHED / "label_agreement.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == "iu_xray"]
    for hedges in ("d15", "gold_openi"):
        own = {row["value_name"]: row for row in rows if f"hedges:{hedges}" in row["first"]}
        for name in ("micro_f1", "micro_kappa", "macro_f1"):
            value, low, high = (f"{float(own[name][part]):.3f}" for part in ("value", "low", "high"))
            assert f"{value} [{low}, {high}]" in read("metrics/lesions.md")


@cache
def signatures() -> dict[str, str]:
    """Metric -> its signature as it is built by default, by rules."""
    config = RunConfig((), BY_RULES, "phantom")
    return {name: build_metric(registry.parse_spec(name), config, None).signature() for name in BY_RULES} | {
        "green": Green(judge="rules").signature()
    }


def test_the_signatures_shown_have_the_fields_of_today() -> None:
    """Hashes of word lists and tables may be others; every other value is the same."""
    hashed = re.compile(r"lexicon|synonyms|paraphrase|words_of_severity_and_change")
    shown = [line for page in METRICS for line in re.findall(r"^([a-z_]+\|\S.*\|v\d+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]
    assert len({line.partition("|")[0] for line in shown}) == len(signatures())
    for line in shown:
        today = signatures()[line.split("|")[0]]
        theirs, ours = ({key: value for key, value in parse(text).items() if not hashed.search(key)} for text in (line, today))
        assert theirs == ours, line


def test_every_setting_of_every_metric_is_named_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in METRICS)
    for name, entry in registry.load().entries["metrics"].items():
        if entry.plugin in registry.OURS:
            for setting in registry.settings_of(entry.factory, name, available=HANDED):
                assert setting.default == "required" or f"`{name}.{setting.name}" in text, f"{name}.{setting.name} is on no page"


def test_every_setting_that_a_table_or_a_command_names_is_one() -> None:
    known = registry.load()
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        tables = re.findall(r"^\| setting \|.*?(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
        named = [
            found for table in tables for row in table.strip().splitlines() for found in re.findall(r"`([a-z_0-9]+)\.([a-z_0-9]+)", row.split("|")[1])
        ]
        for name, setting in [*named, *re.findall(r"--set ([a-z_0-9]+)\.([a-z_0-9]+)=", text)]:
            for kind in ("metrics", "datasets", "labellers"):
                if entry := known.entries[kind].get(name):
                    settable = {one.name for one in registry.settings_of(entry.factory, name, available=HANDED)}
                    assert setting in settable, f"{page.name}: {name} has no setting {setting}"
                    break


def test_the_limits_of_language_models_are_those_of_the_code() -> None:
    defaults = Endpoint("any")
    for name in ("concurrency", "retries", "timeout", "max_tokens"):
        assert re.search(rf"\| `llm\.{name}` \|[^|]*\| {getattr(defaults, name):g} \|", read("costs.md")), name


def test_the_counts_of_mimic_are_those_that_data_check_expects() -> None:
    page = read("mimic.md")
    for title, counts in (
        ("images listed", imagenome_account.LISTED),
        ("scene graphs missing, in every copy", imagenome_account.NO_GRAPHS),
        ("images used, by the paper", PAPER_IMAGES),
    ):
        assert f"| {title} | {' | '.join(f'{count:,}' for count in counts)} |" in page
    assert f"{imagenome_account.TO_AVOID:,}" in page
    assert f"at least {imagenome_account.LEAKED:,}" in page
    assert ", ".join(f"{count:,}" for count in mimic_account.LISTED) in page
    assert f"{sum(imagenome_account.LISTED):,} listed images" in page
