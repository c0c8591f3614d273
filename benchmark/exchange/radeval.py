"""RadEval (jbdel/RadEval, ``docs/file_formats.md`` read at 6d2cc58): one JSON object with ``references`` and ``hypotheses``, paired by position.

Three fields are ours, and RadEval passes over them: ``ids``, one per position, ``order``, of all cases, and ``failed``, the cases without a report.
Those stand in neither list, so that nothing scores them as empty: what RadEval then says is of the answered cases alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.exchange.contents import Contents, Gathered, parsed, text_or_none, wrong_shape

ENDING = ".json"
SHAPE = "RadEval"


def written(contents: Contents) -> str:
    """The text of the file."""
    answered = [case_id for case_id in contents.order if case_id in contents.texts]
    failed = {
        case_id: {"failure": contents.failures[case_id], "reference": contents.references[case_id]}
        for case_id in contents.order
        if case_id in contents.failures
    }
    value: dict[str, Any] = {
        "references": [contents.references[case_id] for case_id in answered],
        "hypotheses": [contents.texts[case_id] for case_id in answered],
        "ids": answered,
        "order": list(contents.order),
        "failed": failed,
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def read(text: str, path: Path) -> Contents:
    """What a file holds. Raises ``UnreadableExchange``."""
    value = parsed(text, path)
    references, hypotheses = (value.get("references"), value.get("hypotheses")) if isinstance(value, dict) else (None, None)
    if not isinstance(references, list) or not isinstance(hypotheses, list):
        raise wrong_shape(path, SHAPE, "has no lists 'references' and 'hypotheses'", "both, side by side")
    ids = value.get("ids", [str(number) for number in range(1, len(hypotheses) + 1)])
    if not isinstance(ids, list) or not len(references) == len(hypotheses) == len(ids):
        counts = f"{len(references)} references, {len(hypotheses)} hypotheses and {len(ids) if isinstance(ids, list) else 'no list of'} ids"
        raise wrong_shape(path, SHAPE, f"holds {counts}", "as many of each, as they are paired by position")
    cases: dict[str, tuple[Any, Any, Any]] = {}
    for case_id, reference, hypothesis in zip(map(str, ids), references, hypotheses, strict=True):
        if case_id in cases:
            raise wrong_shape(path, SHAPE, f"has the id {case_id!r} more than once", "an id of its own for each")
        cases[case_id] = (hypothesis, None, reference)
    failed = value.get("failed", {})
    if not isinstance(failed, dict) or not all(isinstance(about, dict) for about in failed.values()) or failed.keys() & cases.keys():
        raise wrong_shape(path, SHAPE, "its 'failed' is no object of cases that have no report", "id -> failure and reference")
    cases |= {case_id: (None, about.get("failure"), about.get("reference")) for case_id, about in failed.items()}
    gathered = Gathered(path)
    order = value.get("order", list(cases))
    for case_id in map(str, order) if isinstance(order, list) and sorted(map(str, order)) == sorted(cases) else cases:
        hypothesis, failure, reference = cases[case_id]
        what = f"of case {case_id!r}"
        gathered.add(
            case_id,
            text_or_none(hypothesis, path, f"the hypothesis {what}"),
            text_or_none(failure, path, f"the failure {what}"),
            text_or_none(reference, path, f"the reference {what}"),
        )
    return gathered.contents(*(() if "ids" in value else ("the file has no ids: cases are called 1, 2, ... by their position",)))
