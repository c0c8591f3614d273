"""How JSON is asked for, and how an answer that is not what was asked for is asked to be mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.llm.wire import Call, Manner

WEAKER: dict[Manner, Manner] = {"json_schema": "json_object", "json_object": "text"}
"""what is left where an endpoint does not take a manner"""


def response_format(manner: Manner, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's field of that name; None leaves it out, and the prompt alone says what is wanted."""
    if schema is None or manner == "text":
        return None
    if manner == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}


def mending(call: Call, answer: str, problem: str) -> Call:
    """The one further question that an unusable answer is worth. It depends on what was asked and answered alone, so it has a key of its own."""
    form = "the corrected JSON alone" if call.schema is not None else "the corrected answer alone, in the form that was asked for"
    words = f"That answer cannot be used: {problem}. Answer the same question once more with {form}."
    return call._replace(messages=(*call.messages, {"role": "assistant", "content": answer}, {"role": "user", "content": words}))
