"""Between what decides when to ask and what carries a question: the record that goes, the one that comes back, and what went wrong."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from benchmark.llm.questions import Kind, Picture

Manner = Literal["json_schema", "json_object", "text"]
"""how JSON is asked for"""


class Call(NamedTuple):
    """One call of an endpoint: a question, or the request to mend its answer."""

    task: str
    """on whose behalf"""
    messages: tuple[Mapping[str, str], ...]
    """role and content of each"""
    schema: Mapping[str, Any] | None
    """JSON schema of the answer; None asks for plain text"""
    sample: int
    """which of several answers to the same messages"""
    images: tuple[Picture, ...] = ()
    """shown with the first message"""

    @property
    def texts(self) -> list[str]:
        """Everything that was written, for what must not be repeated."""
        return [message["content"] for message in self.messages]

    def spoken(self) -> list[Mapping[str, Any]]:
        """The messages as OpenAI's protocol has them: images stand before the text of the first one, each as a data URL."""
        if not self.images:
            return list(self.messages)
        first, *others = self.messages
        shown = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in self.images]
        return [{**first, "content": [*shown, {"type": "text", "text": first["content"]}]}, *others]


class Reply(NamedTuple):
    """What came back, usable or not."""

    text: str
    """of the first choice; empty if there is none"""
    finish: Literal["stop", "length", "filter"]
    """why it ends: it was said, it was as long as it may be, a filter or the model itself stood in the way"""
    served_by: str
    """the model as the endpoint names it"""
    prompt_tokens: int | None
    """None where the endpoint does not count"""
    completion_tokens: int | None
    """reasoning included; None likewise"""


class Wire(Protocol):
    """A transport."""

    async def send(self, call: Call, manner: Manner) -> Reply:
        """One try. Raises ``Trouble``, and ``EndpointRefuses`` where no question will fare better."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(eq=False)
class Trouble(Exception):
    """One try came to nothing."""

    kind: Kind
    """what it would be called if it were the last"""
    what: str
    """for people; nothing of the key or of the prompt"""
    may_pass: bool = True
    """True if another try may fare better"""
    too_much: bool = False
    """True if the endpoint asks for fewer questions"""
    wait: float | None = None
    """seconds that it asks to wait"""
    may_be_format: bool = False
    """True if the manner of asking for JSON may be what it does not take"""
    is_format: bool = False
    """True if it says so"""
    may_be_billed: bool = False
    """True if the question had arrived"""
    is_about_question: bool = False
    """True if other questions may fare better"""


def data_url(image: Picture) -> str:
    """The image within a text (RFC 2397)."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.content).decode()}"


def too_late(seconds: float) -> Trouble:
    """A question whose answer did not come in time."""
    return Trouble("timeout", f"no whole answer within {seconds:g} s (llm.timeout)", may_be_billed=True)
