"""How good the labels were that a model says it was told, by the lesions that a labeller reads in the references: the horizontal axis of Figure 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.records import Lesions, Report
from benchmark.vocabulary import LESIONS


def told_f1(reports: Sequence[Report], lesions: Sequence[Lesions]) -> float:
    """Macro F1 of what the reports' ``details`` name under ``told``: the mean over the lesions that at least one reference has.

    ``lesions`` are the references', one for each report; an empty tuple = the labeller had no answer, left out as is a report that failed. NaN if
    no report says what it was told, or no reference has a lesion.
    """
    pairs = [(report.details["told"], known) for report, known in zip(reports, lesions, strict=True) if known and "told" in report.details]
    told = np.array([[lesion in names for lesion in LESIONS] for names, _ in pairs], dtype=bool).reshape(-1, len(LESIONS))
    true = np.array([[lesion.status == "positive" for lesion in known] for _, known in pairs], dtype=bool).reshape(-1, len(LESIONS))
    occurs = true.any(axis=0)
    if not occurs.any():
        return math.nan
    hits, sizes = (true & told).sum(axis=0), true.sum(axis=0) + told.sum(axis=0)
    return float((2 * hits[occurs] / sizes[occurs]).mean())


def is_told(about: Mapping[str, object]) -> bool:
    """Whether a model's record leaves room for it: of weights without a way of being told, what ``details`` name has reached nothing."""
    provenance = about.get("provenance")
    config = provenance.get("config") if isinstance(provenance, Mapping) else None
    return not (isinstance(config, Mapping) and config.get("lca") is False)
