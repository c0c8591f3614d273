"""One number per report, of metrics that publish numbers of many: what a metric says of a collection of one.

Every published number is a function of column sums, so the number of a single report is that function of its own row. Of a mean over reports this is
the report's value; of a number of the whole corpus it is what the corpus would have if the report were all of it: BLEU is then BLEU of a sentence
without smoothing, micro F1 that of one report's lesions. NaN where the metric has nothing to say of a report by itself: F1 where neither text has a
lesion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.records import UserError

CHOSEN: Mapping[str, tuple[str, ...]] = {
    "lesions": ("micro_f1", "micro_f1_sided", "micro_hallucination"),
    "bleu": ("bleu_1", "bleu_4"),
}
"""metric -> numbers that are looked at unless others are named, where those that stand in its summary are not what one asks of a single report. F1
has no value for a report without a lesion in either text; hallucination has one (the share of false alarms among the lesions that the reference
lacks), and so a finding that is made up in a normal report is seen"""

WHOSE: Mapping[str, str] = {"lesions": "Lesion", "consistency": "Judge's"}
"""metric -> what is said before its titles: "Macro F1" and "Total" are enough in a table of models, and not beside other metrics"""


class CaseNumber(NamedTuple):
    """A number that is looked at report by report."""

    metric: str
    """as it was named"""
    name: str
    """which of its numbers"""
    title: str
    """head of its column"""
    is_lower_better: bool
    """it counts errors"""

    @property
    def key(self) -> str:
        """``rouge_l.f1``"""
        return f"{self.metric}.{self.name}"

    def better_higher(self, values: np.ndarray) -> np.ndarray:
        """The values, turned round where lower is better."""
        return -values if self.is_lower_better else values


def parse_numbers(wanted: Sequence[str], metrics: Sequence[str]) -> dict[str, list[str]]:
    """Metric -> numbers, of words like ``lesions.micro_f1``. Raises ``UserError`` for one that is of no metric of the run."""
    named: dict[str, list[str]] = {}
    for word in wanted:
        metric = next((label for label in metrics if word.startswith(f"{label}.")), None)
        if metric is None:
            raise UserError(f"no number {word!r} to look at; write METRIC.NUMBER, the metric one of: {', '.join(metrics)}")
        named.setdefault(metric, []).append(word[len(metric) + 1 :])
    return named


def case_numbers(label: str, metric: Metric, columns: int, wanted: Sequence[str] = ()) -> list[CaseNumber]:
    """The numbers of a metric that are looked at: the wanted ones or, if there are none, its headlines. Raises ``UserError`` for an unknown one.

    ``columns`` is how many its statistics have.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        known = list(metric.values(np.zeros(columns)))
    titles: Mapping[str, str] = getattr(metric, "titles", {})
    chosen = [name for name in CHOSEN.get(label.partition(":")[0], ()) if name in known]
    headlines = [name for name in (getattr(metric, "headlines", ()) or list(titles)[:1]) if name in known]
    undirected = getattr(metric, "undirected", ())
    found = []
    for name in wanted or [name for name in chosen or headlines or known[:1] if name not in undirected]:
        if name not in known:
            raise UserError(f"metric {label!r} has no number {name!r}; it has: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}")
        if name in undirected:
            raise UserError(f"{label}.{name} is neither better high nor low, and puts reports in no order; name another number, or leave the metric")
        title = titles.get(name) or f"{label} {name}"
        if metric.name in WHOSE and name in titles and (metric.name != "lesions" or name.startswith(("macro_", "micro_"))):
            title = f"{WHOSE[metric.name]} {title[:1].lower()}{title[1:]}"
        if metric.name == "lesions" and "|labeller:(rules" in metric.signature():
            title += " (rules)"  # a picture has no notes that could say it
        found.append(CaseNumber(label, name, title, name in getattr(metric, "lower_is_better", ())))
    if not found:
        raise UserError(f"metric {label!r} has no number that is better high or low, and puts reports in no order; leave it")
    return found


def per_case(metric: Metric, statistics: np.ndarray, name: str) -> np.ndarray:
    """(n,) the number of each report from (n, k) statistics; NaN where it was not scored, or has no value by itself."""
    return several_per_case(metric, statistics, (name,))[name]


def several_per_case(metric: Metric, statistics: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Name -> the same, of several numbers at once: a metric makes all of its numbers in any case."""
    is_scored = ~np.isnan(statistics).any(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # where there is nothing to count, which a corpus seldom has and a report often
        found = metric.values(np.where(is_scored[:, None], statistics, 0.0))
    return {name: np.where(is_scored, np.asarray(found[name], dtype=np.float64), math.nan) for name in names}
