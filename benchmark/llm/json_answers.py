"""The JSON object in an answer, however the model wrapped it; what is wrong with one is said in words that help the model to mend it."""

from __future__ import annotations

import json
import re
from typing import Any

from benchmark.llm.questions import Unusable

_THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)
_SHOWN = 60  # characters of an answer in a message to the model that wrote it


def read_object(text: str) -> dict[str, Any]:
    """The one JSON object of the answer: alone, in a code fence, behind thoughts or between sentences. Raises ``Unusable``."""
    body = without_thoughts(text)
    start, end = body.find("{"), body.rfind("}")
    if start < 0 or end < start:
        raise Unusable("the answer holds no JSON object; answer with the JSON object alone")
    try:
        value: dict[str, Any] = json.loads(body[start : end + 1], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"the answer is not one valid JSON object ({str(error)[:_SHOWN]}); answer with the JSON object alone") from None
    return value


def without_thoughts(text: str) -> str:
    """The answer behind what a model that thinks aloud wrote first."""
    return _THOUGHTS.sub("", text)


def plain(name: object) -> str:
    """A name or a choice as it is compared: without case, with a blank where a model may write an underscore or a hyphen."""
    return " ".join(re.split(r"[\s_-]+", name.strip().lower())) if isinstance(name, str) else ""


def shown(value: object) -> str:
    """A value as a message quotes it."""
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Unusable(f"the key {shown(key)} stands twice in one object; write each key once")
        found[key] = value
    return found
