"""What the scores of a case stand on, asked of metrics. A metric may be anybody's: an answer that is not what was asked for is left out, and said.

Answers of language models are kept by their questions, not by runs: another run may have asked again, and been told something else. So the evidence
of a metric that can tell what its kept answers come to (``kept_statistics``) is shown only where that is what the run counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from benchmark.hookspecs import Metric
from benchmark.records import Evidence
from benchmark.viewer.short import LONGEST_WORDS, cut

NOT_SCORED = {"about": "Not scored", "value": "", "words": "There was no answer for this case that could be used."}
NOT_KEPT = {"about": "Not kept", "value": "", "words": "What the language model answered is not kept on the machine that wrote this page."}
ANOTHER = {"about": "Not shown", "value": "", "words": "The kept answer is another than the one that was scored."}


def witnesses(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Those that can say what the scores of a case stand on."""
    return {name: metric for name, metric in metrics.items() if hasattr(metric, "evidence")}


class Witnesses:
    """Those of a run's metrics that can say what a case's scores stand on."""

    def __init__(self, metrics: Mapping[str, Metric], statistics: Mapping[tuple[str, str], np.ndarray]) -> None:
        """``statistics``  (metric, model) -> (n, k), a row for each case of the run."""
        self._metrics = witnesses(metrics)
        self._statistics = statistics
        self.notes: dict[str, str] = {}
        """metric -> why nothing more is shown of it"""

    def on(self, statistics: Mapping[tuple[str, str], np.ndarray]) -> Witnesses:
        """The same on other cases of the run, with the same notes: a metric that broke is not asked again."""
        others = copy(self)
        others._statistics = statistics
        return others

    def of(self, model: str, places: Sequence[int], hypotheses: Sequence[str], references: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Of each case, at its place among all of the run, what every metric says: metric, title and items."""
        found: list[list[dict[str, Any]]] = [[] for _ in places]
        for name, metric in self._metrics.items():
            if name in self.notes or not places:
                continue
            try:
                title = str(getattr(metric, "evidence_title", name))
                told = self._told(name, metric, model, places, hypotheses, references)
            # Guests raise whatever they like, and none of it may cost the page.
            except Exception as error:
                self.notes[name] = f"What {name} counted in single cases is not shown: {type(error).__name__}: {str(error).rstrip('.')}."
                continue
            for of_case, items in zip(found, told, strict=True):
                if items:
                    of_case.append({"metric": name, "title": cut(title), "items": items})
        return found

    def _told(
        self, name: str, metric: Any, model: str, places: Sequence[int], hypotheses: Sequence[str], references: Sequence[str]
    ) -> list[list[dict[str, str]]]:
        """The items of each case. Raises whatever the metric raises, and ``TypeError`` for an answer that is none."""
        told = _checked(metric.evidence(hypotheses, references), len(places))
        if getattr(metric, "asks", False):  # answers of a language model: kept, or lost
            told = [items or [NOT_KEPT] for items in told]
        if (name, model) not in self._statistics:
            return told
        rows = self._statistics[name, model][list(places)]
        is_scored = ~np.isnan(rows).any(axis=1)
        kept = getattr(metric, "kept_statistics", None)
        is_same = _agree(rows, kept(hypotheses, references)) if kept is not None else np.ones(len(places), dtype=bool)
        return [
            [NOT_SCORED] if not scored else items if same or items in ([], [NOT_KEPT]) else [ANOTHER]
            for items, scored, same in zip(told, is_scored, is_same, strict=True)
        ]


def _checked(answer: Any, count: int) -> list[list[dict[str, str]]]:
    """The answer as plain words. Raises ``TypeError``."""
    if isinstance(answer, str) or not isinstance(answer, Sequence) or len(answer) != count:
        raise TypeError(f"its evidence is to be a list of {count} lists, and is {_kind(answer)}")
    return [[_item(item) for item in _items(of_case)] for of_case in answer]


def _items(of_case: Any) -> Sequence[Any]:
    if isinstance(of_case, str) or not isinstance(of_case, Sequence):
        raise TypeError(f"its evidence of a case is to be a list, and is {_kind(of_case)}")
    return of_case


def _item(item: Any) -> dict[str, str]:
    if not isinstance(item, Evidence) or not all(isinstance(words, str) for words in (item.about, item.value, item.words)):
        raise TypeError(f"its evidence is to be of Evidence with three texts, and one is {_kind(item)}")
    return {"about": cut(item.about), "value": cut(item.value), "words": cut(item.words, 4 * LONGEST_WORDS)}


def _kind(value: Any) -> str:
    many = f" of {len(value):,}" if isinstance(value, Sequence | Mapping) else ""
    return f"a {type(value).__name__}{many}"


def _agree(rows: np.ndarray, kept: Any) -> np.ndarray:
    """(n,) whether each row is the same, but for the rounding of a sum. Raises ``TypeError``."""
    kept = np.asarray(kept, dtype=np.float64)
    if kept.shape != rows.shape:
        raise TypeError(f"its kept_statistics are to have the shape {rows.shape}, and have {kept.shape}")
    same: np.ndarray = np.isclose(kept, rows, rtol=1e-6, atol=1e-9).all(axis=1)
    return same
