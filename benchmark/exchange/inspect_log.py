"""Inspect (inspect_ai 0.3.285, ``log/_log.py``, log version 2): a log as JSON. The ``.eval`` archive is read after ``inspect log convert --to json``.

A report is the assistant's message of the one choice, a reference the target. A case that failed is a sample with an ``error`` and no choice. The
image that a model was given is not in the file: the case's id stands as the input. Numbers do not travel: samples have no scores.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.exchange.contents import Contents, Gathered, parsed, text_or_none, wrong_shape

ENDING = ".json"
SHAPE = "an Inspect log"
ATTACHMENT = "attachment://"  # Inspect keeps long texts once, in a sample's attachments, and points to them


def written(contents: Contents) -> str:
    """The text of the file."""
    short = hashlib.sha256(f"{contents.model}{contents.dataset}{contents.started}".encode()).hexdigest()[:22]
    dataset = {"name": contents.dataset, "samples": len(contents.order), "sample_ids": list(contents.order)}
    log = {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": short,
            "run_id": short,
            "created": contents.started,
            "task": "chest_xray_reports",
            "task_id": short,
            "dataset": dataset,
            "model": contents.model,
            "config": {},
        },
        "results": {"total_samples": len(contents.order), "completed_samples": len(contents.texts), "scores": []},
        "stats": {"started_at": contents.started, "completed_at": contents.started},
        "samples": [_sample(case_id, contents) for case_id in contents.order],
    }
    return json.dumps(log, ensure_ascii=False, indent=1) + "\n"


def _sample(case_id: str, contents: Contents) -> dict[str, Any]:
    asked = {"role": "user", "content": case_id}
    sample: dict[str, Any] = {"id": case_id, "epoch": 1, "input": case_id, "target": contents.references[case_id]}
    if case_id in contents.failures:
        failure = contents.failures[case_id]
        error = {"message": failure, "traceback": failure, "traceback_ansi": failure}
        return {**sample, "messages": [asked], "output": {"model": contents.model, "choices": []}, "error": error}
    answer = {"role": "assistant", "content": contents.texts[case_id], "source": "generate", "model": contents.model}
    output = {"model": contents.model, "choices": [{"message": answer, "stop_reason": "stop"}], "completion": contents.texts[case_id]}
    return {**sample, "messages": [asked, answer], "output": output}


def read(text: str, path: Path) -> Contents:
    """What a file holds. Raises ``UnreadableExchange``."""
    log = parsed(text, path)
    samples = log.get("samples") if isinstance(log, dict) and "eval" in log else None
    if not isinstance(samples, list) or not all(isinstance(sample, dict) and "id" in sample for sample in samples):
        raise wrong_shape(path, SHAPE, "has no samples with an id beside its 'eval'", "a log that was written with its samples")
    gathered = Gathered(path)
    for sample in samples:
        case_id = str(sample["id"])
        error, target = sample.get("error"), sample.get("target")
        if isinstance(target, list):
            if len(target) > 1:
                raise wrong_shape(path, SHAPE, f"sample {case_id!r} has {len(target)} targets", "one reference for each case")
            target = target[0] if target else None
        failure = (
            text_or_none(error.get("message"), path, f"the error of {case_id!r}") or "an error without words" if isinstance(error, dict) else None
        )
        gathered.add(
            case_id, None if failure else _answer(sample, path), failure, _whole(target, sample, path), "keep one epoch, the file holds several"
        )
    return gathered.contents()


def _answer(sample: dict[str, Any], path: Path) -> str | None:
    """The text of the first choice; None where there is no choice."""
    output = sample.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    if not choices:
        return None
    try:
        content = choices[0]["message"]["content"]
        if isinstance(content, list):  # parts: reasoning and text apart
            content = "".join(_whole(part["text"], sample, path) or "" for part in content if part.get("type") == "text")
    except (KeyError, TypeError, AttributeError, IndexError):
        raise wrong_shape(
            path, SHAPE, f"the choice of sample {sample['id']!r} has no message with content", "one, as the assistant wrote it"
        ) from None
    return _whole(content, sample, path)


def _whole(value: Any, sample: dict[str, Any], path: Path) -> str | None:
    """A text, fetched from the sample's attachments where it lies there."""
    text = text_or_none(value, path, f"a text of sample {sample['id']!r}")
    if text is not None and text.startswith(ATTACHMENT):
        attachments = sample.get("attachments")
        attached = attachments.get(text.removeprefix(ATTACHMENT)) if isinstance(attachments, dict) else None
        if attached is None:
            raise wrong_shape(path, SHAPE, f"sample {sample['id']!r} points to {text}, which is not among its attachments", "a whole log")
        return text_or_none(attached, path, f"an attachment of sample {sample['id']!r}")
    return text
