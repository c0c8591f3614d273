"""What is asked of a language model, and what comes back: an answer that could be used, or a failure by its kind. A failure is never an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from benchmark.records import UserError

T = TypeVar("T")

Kind = Literal["refused", "unusable", "cut short", "empty", "timeout", "unreachable", "rate limit", "server error", "rejected", "not asked"]
"""Why there is no answer.

refused        the model, or its provider's filter, would not answer
unusable       the answer is not what was asked for, nor was it after one question to mend it
cut short      the answer ended at ``max_tokens``
empty          an answer without a choice or without text, at every try
timeout, unreachable, rate limit, server error    at every try
rejected       the endpoint says that this one question is wrong (too long, say)
not asked      an estimate asks nothing; nor does who looks at kept answers alone
"""


@dataclass(frozen=True)
class Picture:
    """An image that is shown with a question, as it is sent."""

    content: bytes = field(repr=False)
    """the file"""
    media_type: str
    """image/jpeg | image/png"""
    sha256: str = field(init=False)
    """of the content: another image, size or quality is another question"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", hashlib.sha256(self.content).hexdigest())


@dataclass(frozen=True)
class Question:
    """One question, with all that decides its answer but the endpoint."""

    task: str
    """label | judge | green | aggregate | report: whose settings hold, and under which name it is counted"""
    prompt: str
    """the whole text, as the one message of the user"""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the answer; None asks for plain text"""
    sample: int = 0
    """which of several answers to the same question"""
    images: tuple[Picture, ...] = ()
    """shown before the text, in this order"""


class Unusable(ValueError):
    """An answer is not what was asked for; the message says what is wrong in words that help the model to mend it."""


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer that could be used."""

    value: T
    """what the task made of the text"""
    text: str
    """as the model wrote it"""
    served_by: str = ""
    """the model as the endpoint names it, often with a date"""
    is_cached: bool = False
    """True if it was answered before"""


@dataclass(frozen=True)
class Failed:
    """Why a question has no answer. It is counted and shown, never scored, and asked again by the next run, but for what was
    ``unusable``: that answer is kept and paid for, and ``--refresh`` asks for another."""

    kind: Kind
    what: str
    """for people; without keys and without the text of a report"""


class Ask(Protocol):
    """Asks one model on behalf of one task. What needs a language model is handed one of these."""

    def __call__(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        """One outcome per question, in order, as soon as it and those before it are there.

        ``read`` makes the value of the text, or raises ``Unusable``. Questions are taken as they are needed, never all at once.
        Raises ``UserError`` where asking on is pointless: a wrong key, an unknown model, a budget that is reached, text that may not travel.
        """

    def signature(self) -> str:
        """The model and what else decides its answers: ``gpt-4o-mini|temperature:0|max_tokens:2048``."""


class LanguageModels(Protocol):
    """Makes what asks. A factory that asks for ``llm`` by name is handed one of these."""

    def asking(self, task: str, model: str | None = None) -> Ask:
        """What asks on behalf of a task; ``model`` in place of the one that the user chose for it. Raises ``UserError`` if none can be had."""


class NobodyToAsk(UserError):
    """Something needs a language model, and was handed nothing that could make one."""


def ask_for(task: str, llm: LanguageModels | None, model: str | None = None) -> Ask:
    """What asks on behalf of a task. Raises ``NobodyToAsk`` without ``llm``, and what ``asking`` raises."""
    if llm is None:
        raise NobodyToAsk(f"{task} by a language model needs one to ask, and got none; give llm, an object with asking(task)")
    return llm.asking(task, model)


def kept_answers(ask: Ask, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
    """One outcome per question, in order, of what ``ask`` has kept; of what it has not, ``not asked``. Nobody is asked, and nothing is sent.

    One that keeps nothing to look at (it has no ``kept``, with the parameters of a call) has no answer.
    """
    look: Callable[..., Iterator[Answered[T] | Failed]] | None = getattr(ask, "kept", None)
    if look is not None:
        return look(questions, read)
    return (Failed("not asked", "what asks keeps no answers to look at") for _ in questions)
