"""Numbers as CSV: one line per number, at full precision, with everything that is known of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping

from benchmark.records import Row

COLUMNS = (
    "model",
    "metric",
    "value_name",
    "value",
    "low",
    "high",
    "scored",
    "unscored",
    "p_value",
    "p_holm",
    "signature",
    "source",
    "citation",
    "title",
    "direction",
    "stratum",
    "p_bh",
    "detectable",
    "margin",
    "p_first_not_worse",
    "p_second_not_worse",
    "patients",
)


Corrected = Mapping[tuple[str, str, str], float]
"""model, metric, value name -> p-value"""


def long_form(rows: Iterable[Row], adjusted: Corrected | None = None, false_discovery: Corrected | None = None) -> str:
    """The whole file. What is not known is empty: an undefined number, the interval and counts of a quoted one, which keeps its digits of print."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        is_quoted = row.source == "quoted"
        counts = ("", "") if is_quoted else (row.scored, row.unscored)
        key = row.model, row.metric, row.value_name
        p_values = (row.p_value, (adjusted or {}).get(key))
        origin = ("", row.source, row.signature) if is_quoted else (row.signature, row.source, "")
        numbers = (row.printed or _exact(row.value), _exact(row.low), _exact(row.high))
        looks = (row.title, row.direction, row.stratum)
        compared = ((false_discovery or {}).get(key), row.detectable, row.margin, row.p_first_not_worse, row.p_second_not_worse)
        patients = "" if row.patients is None else row.patients
        writer.writerow([*key, *numbers, *counts, *map(_exact, p_values), *origin, *looks, *map(_exact, compared), patients])
    return out.getvalue()


def _exact(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else repr(float(number))
