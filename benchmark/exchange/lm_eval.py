"""lm-evaluation-harness 0.4.13 (``lm_eval/evaluator.py``, ``loggers/evaluation_tracker.py``): ``samples_TASK_DATE.jsonl``, one sample a line.

The answer is ``filtered_resps[0]``. What a model was given, an image, is no text: the case's id stands in its place among ``arguments``. The harness
knows no failed sample; ours has empty lists of answers and a field ``failure``. Its numbers do not travel: ``metrics`` is empty.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.exchange.contents import Contents, Gathered, parsed, text_or_none, wrong_shape
from benchmark.report_files import ID_COLUMNS
from benchmark.runs import json_line

ENDING = ".jsonl"
SHAPE = "lm-eval"


def written(contents: Contents) -> str:
    """The text of the file."""
    return "".join(json_line(_sample(number, case_id, contents)) for number, case_id in enumerate(contents.order))


def _sample(number: int, case_id: str, contents: Contents) -> dict[str, Any]:
    doc = {"id": case_id, "study": contents.studies.get(case_id, case_id)}
    answers = [contents.texts[case_id]] if case_id in contents.texts else []
    target = contents.references[case_id]
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": case_id, "arg_1": {}}},
        "resps": [answers],
        "filtered_resps": answers,
        "filter": "none",
        "metrics": [],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(case_id),
        "target_hash": _hash(target),
        **({"failure": contents.failures[case_id]} if case_id in contents.failures else {}),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read(text: str, path: Path) -> Contents:
    """What a file holds. Raises ``UnreadableExchange``."""
    gathered, by_number = Gathered(path), False
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        sample, where = parsed(line, path, f", line {number},"), f"line {number}"
        if not isinstance(sample, dict) or "doc_id" not in sample or not isinstance(sample.get("filtered_resps"), list):
            raise wrong_shape(path, SHAPE, f"{where} has no doc_id with filtered_resps", "samples as --log_samples writes them")
        doc = sample.get("doc")
        named = [doc[name] for name in ID_COLUMNS if doc.get(name) not in (None, "")] if isinstance(doc, dict) else []
        by_number |= not named
        case_id = str(named[0]) if named else str(sample["doc_id"])
        answers = sample["filtered_resps"]
        while len(answers) == 1 and isinstance(answers[0], list):  # a filter that keeps all of a sample's answers
            answers = answers[0]
        if len(answers) > 1:
            raise wrong_shape(path, SHAPE, f"{where} has {len(answers)} answers", "one report for each case")
        gathered.add(
            case_id,
            text_or_none(answers[0], path, f"the answer in {where}") if answers else None,
            text_or_none(sample.get("failure"), path, f"the failure in {where}"),
            text_or_none(sample.get("target"), path, f"the target in {where}"),
            "keep the lines of one filter",
        )
    return gathered.contents(*(("samples without an id of their own are called by their doc_id",) if by_number else ()))
