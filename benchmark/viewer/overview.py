"""What of a run is small, for the page's first look: numbers with intervals, differences, counts, failures, and how all of it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmark.context import IN_WORDS
from benchmark.places import without_place
from benchmark.records import Row
from benchmark.strata import NORMAL
from benchmark.tables import ENDINGS
from benchmark.tables.cards import parts_of
from benchmark.tables.material import INTERVALS, Material
from benchmark.tables.strata import needs_lesions
from benchmark.tables.table import Table
from benchmark.viewer.data_files import number
from benchmark.viewer.numbers import CaseNumbers
from benchmark.viewer.short import reason
from benchmark.viewer.shown import Looked, Shown
from benchmark.vocabulary import LESIONS

FORMAT = 1
MOST_FAILED_CASES, MOST_FAILURE_KINDS = 1000, 200
CONFUSION = "side."
"""begins the names of numbers that are cells of a table of their own"""


CARD = {
    "writes": "Trained to write",
    "from": "Makes use of",
    "decoding": "Decoding",
    "learnt from": "Learnt from",
    "of which measured here": "Of that, measured here",
    "licence": "Licence",
    "weights": "Weights",
}
"""what a card says, as the page heads it"""


def run_part(shown: Shown, tables: Sequence[Table], given: Material, numbers: Sequence[CaseNumbers], block_size: int) -> dict[str, Any]:
    """The part ``run``."""
    record = shown.run.record
    dataset, models, count = record["dataset"], shown.models, len(shown.cases)
    return {
        "format": FORMAT,
        "title": title(shown),
        "note": dataset.get("note", ""),
        "dataset": {
            "name": without_place(shown.config.dataset) or dataset["name"],
            "split": shown.config.split if shown.config.dataset else "",
            "fingerprint": dataset["fingerprint"],
            "is_private": bool(dataset.get("is_private", True)),
            "cases": count,
            "patients": dataset.get("patients"),
        },
        "settings": settings(shown),
        "signatures": [list(one) for one in record["signatures"].items()],
        "notes": [*record.get("notes", ()), *shown.notes],
        "lacks": list(shown.notes),
        "is_without_dataset": shown.is_without_dataset,
        "problems": [list(one) for one in dataset.get("problems", {}).items()],
        "tables": [{"name": table.name, "title": table.heading, "files": [f"{table.name}.{ending}" for ending in ENDINGS]} for table in tables],
        "models": [_model(model, shown, given) for model in models],
        "lesions": list(LESIONS),
        "has_lesions": bool(shown.lesions_metric),
        "labelled_by": _labelled_by(shown),
        "numbers": [_number(one) for one in numbers],
        "rows": [_row(row) for row in given.rows if row.model in models and not row.value_name.startswith(CONFUSION)],
        "strata": [_of_part(row) for row in given.strata if row.model in models],
        "differences": _differences(given, tables, models),
        "failed_cases": _failed_cases(shown.looked, models),
        "failure_kinds": _failure_kinds(shown.looked, models),
        "empty_references": sum(not reference.report.strip() for reference in shown.references),
        "block_size": block_size,
        "blocks": -(-count // block_size),
        "cases": count,
        "made_by": str(record.get("provenance", {}).get("benchmark", "")),
    }


def title(shown: Shown) -> str:
    """What was measured, in a few words."""
    config = shown.config
    if not config.dataset:
        return f"{len(shown.cases):,} reports from files"
    part = f", first {config.limit:,} cases" if config.limit else f", sample of {config.sample:,} cases" if config.sample else ""
    return f"{without_place(config.dataset)}, {config.split} split{part}"


def settings(shown: Shown) -> list[list[str]]:
    """How the run was measured, name and words, in the order of reading. No option as typed: it may name places on this machine."""
    config, record = shown.config, shown.run.record
    draws = f"{config.level * 100:g} %, {INTERVALS[config.interval]}, {config.draws:,} draws of patients, seed {config.seed}"
    asked = "; ".join(dict.fromkeys(f"{one['task']}: {one['model']}" for one in record.get("language_models", ())))
    commit = record.get("provenance", {}).get("commit")
    said = {
        "Metrics": ", ".join(record["signatures"]),
        "Labeller": _labelled_by(shown),
        "Judge": config.judge.replace("_", " "),
        "Language models asked": asked,
        "What models saw": IN_WORDS[config.context].split(" (--")[0] + "." if config.context else "Not known: the reports were there before.",
        "What models were told": " and ".join(config.grant),
        "Intervals": draws,
        "Margins": ", ".join(f"{name} {margin:g}" for name, margin in config.margins.items()),
        "Program": f"benchmark {record.get('provenance', {}).get('benchmark', '')}".strip(),
        "Commit": f"{commit[:12]}{', with changes' if record['provenance'].get('dirty') else ''}" if commit else "",
        "Begun": str(record.get("started", "")).replace("T", " ").replace("Z", " UTC"),
    }
    return [[name, words] for name, words in said.items() if words]


def _labelled_by(shown: Shown) -> str:
    asked = [one["model"] for one in shown.run.record.get("language_models", ()) if one["task"] == "label"]
    return without_place(shown.config.labeller).replace("_", " ") + (f" ({', '.join(asked)})" if asked else "")


def _model(model: str, shown: Shown, given: Material) -> dict[str, Any]:
    about = shown.run.record["models"][model]
    card = given.cards.get(model)
    said = [[CARD[name], words] for name, words in parts_of(card, given.measured_on).items()] if card else []
    said += [["Remark", remark] for remark in card.remarks] if card else []
    counts = {name: int(about.get(name, 0)) for name in ("reports", "failures", "empty")}
    return {"label": model, "failed": reason(str(about.get("failed", ""))), **counts, "card": said}


def _number(one: CaseNumbers) -> dict[str, Any]:
    """A number of single cases, with its range: the metric's own where it says one, else what was found."""
    found = [values[np.isfinite(values)] for values in one.values.values()]
    all_found = np.concatenate(found) if found else np.array([])
    seen = (float(all_found.min()), float(all_found.max())) if len(all_found) else (None, None)
    least, most = (known if known is not None else found for known, found in zip((one.least, one.most), seen, strict=True))
    return {"key": one.key, "title": one.title, "lower_is_better": one.is_lower_better, "least": number(least), "most": number(most)}


def _row(row: Row) -> dict[str, Any]:
    return {
        "model": row.model,
        "metric": row.metric,
        "name": row.value_name,
        "title": row.title or f"{row.metric} {row.value_name}",
        "value": number(row.value),
        "low": number(row.low),
        "high": number(row.high),
        "scored": row.scored,
        "unscored": row.unscored,
        "better": row.direction,
        "headline": row.is_headline,
    }


def _of_part(row: Row) -> dict[str, Any]:
    """A number of a part of the cases; what the table calls n/a is none."""
    is_none = row.stratum == NORMAL and needs_lesions(row)
    return {**_row(row), **({"value": None, "low": None, "high": None} if is_none else {}), "part": row.stratum}


def _differences(given: Material, tables: Sequence[Table], models: Sequence[str]) -> list[dict[str, Any]]:
    """Headlines and the F1 of each lesion, with the p-value that the table of differences prints."""
    adjusted = next((table.adjusted for table in tables if table.name == "differences"), {})
    pairs = {f"{first} - {second}": (first, second) for first in models for second in models}
    found = []
    for row in given.differences:
        is_lesion = row.metric.partition(":")[0] == "lesions" and row.value_name.endswith(".f1") and row.value_name[:-3] in LESIONS
        if row.model not in pairs or not (row.is_headline or is_lesion):
            continue
        first, second = pairs[row.model]
        p_holm = number(adjusted.get((row.model, row.metric, row.value_name)))
        said = {name: value for name, value in _row(row).items() if name not in ("model", "scored", "unscored", "headline")}
        found.append({"first": first, "second": second, **said, "p": number(row.p_value), "p_holm": p_holm})
    return found


def _failed_cases(looked: Mapping[str, Looked], models: Sequence[str]) -> list[dict[str, Any]]:
    failures = ((place, case, why) for place, model in enumerate(models) if model in looked for case, why in looked[model].failures.items())
    return [{"model": place, "case": case, "why": reason(why)} for place, case, why in islice(failures, MOST_FAILED_CASES)]


def _failure_kinds(looked: Mapping[str, Looked], models: Sequence[str]) -> list[dict[str, Any]]:
    counts = Counter((models.index(model), reason(why)) for model, found in looked.items() for why in found.failures.values())
    return [{"model": place, "why": why, "count": count} for (place, why), count in counts.most_common(MOST_FAILURE_KINDS)]
