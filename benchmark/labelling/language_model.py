"""Label reports by a language model: 14 lesions with status, side and the words that decided, as the paper does it (Noh et al. 2026, Sect. 4.2).

Which model the paper asked, and with which words, is not printed; the prompt is ours (``prompts/label.md``) and follows what is: the 14 lesions,
expressions for and against each, step by step, JSON. It states the conventions of the labeller by rules: hedged but affirmed is positive;
what only cannot be excluded, is past, or is not mentioned is negative; left and right make bilateral; negatives carry no side.

The words that decide are written before the decision, the other way round than the paper lists them: a model writes from left to right, and a
reason that follows a status can only defend it. How sure a report is, the model is not asked: certainty is ``stated`` throughout, but for a text
without words, which mentions nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.llm import prompts
from benchmark.llm.json_answers import plain, read_object, shown
from benchmark.llm.questions import Failed, Kind, LanguageModels, Question, Unusable, ask_for, kept_answers
from benchmark.progress import progress
from benchmark.records import Lesion, Lesions
from benchmark.vocabulary import LESIONS, SIDES, STATUSES

VERSION = 1
REMEMBERED = 50_000
"""texts whose lesions are kept between calls; the answers themselves are kept by who asks"""

# One key for each lesion, not a list of them: an endpoint that holds to a schema can then neither leave one out nor name one twice, which a small
# model does with a list, and no endpoint refuses it. Keys without blanks, since some take no others.
KEYS: dict[str, str] = {name.replace(" ", "_"): name for name in LESIONS}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        key: {
            "type": "object",
            "properties": {
                "rationale": {"type": "string"},
                "status": {"type": "string", "enum": list(STATUSES)},
                "location": {"type": "string", "enum": list(SIDES)},
            },
            "required": ["rationale", "status", "location"],
            "additionalProperties": False,
        }
        for key in KEYS
    },
    "required": list(KEYS),
    "additionalProperties": False,
}
_UNMENTIONED: Lesions = tuple(Lesion(name, "negative", certainty="not mentioned") for name in LESIONS)
_NEGATIVE = {name: Lesion(name, "negative") for name in LESIONS}  # shared: most lesions of most reports are this


class LanguageModelLabeller:
    """Turns reports into lesions by asking a language model. Raises ``UserError`` if none can be had, or the prompt cannot be used."""

    asks = True
    """sends questions: is measured in one process, and what it could not say is asked again"""

    def __init__(self, llm: LanguageModels | None, *, prompt: Path | None = None) -> None:
        """``prompt`` is a text in place of ``prompts/label.md``."""
        self._prompt = prompts.load("label", prompt)
        self._ask = ask_for("label", llm)
        self._known: dict[str, Lesions] = {}
        self.failed: dict[str, Kind] = {}
        """text -> why there is no answer about it"""

    @property
    def failures(self) -> Counter[Kind]:
        """Why how many texts, each counted once, have no answer so far."""
        return Counter(self.failed.values())

    def label(self, reports: Sequence[str]) -> list[Lesions]:
        """14 lesions for each report, in order; none (an empty tuple) where there is no answer. Equal reports are asked about once.

        A report without words mentions nothing, and nobody is asked.
        """
        texts = dict.fromkeys(text for text in reports if text.strip())
        new = [text for text in texts if text not in self._known]
        if len(self._known) + len(new) > REMEMBERED:
            self._known = {text: self._known[text] for text in texts if text in self._known}
        if new:
            self._label(new)
        return [self._known.get(text, ()) if text.strip() else _UNMENTIONED for text in reports]

    def kept(self, reports: Sequence[str]) -> list[Lesions]:
        """The same as far as answers are kept, () where none is: nobody is asked, and nothing is counted."""
        new = [text for text in dict.fromkeys(reports) if text.strip() and text not in self._known]
        outcomes = zip(new, kept_answers(self._ask, self._questions(new), read_lesions), strict=True)
        found = {text: outcome.value for text, outcome in outcomes if not isinstance(outcome, Failed)}
        return [self._known.get(text, found.get(text, ())) if text.strip() else _UNMENTIONED for text in reports]

    def signature(self) -> str:
        """Back end, model, and prompt."""
        return f"language_model|{self._ask.signature()}|prompt:{self._prompt.digest}|v{VERSION}"

    def _questions(self, texts: Sequence[str]) -> Iterator[Question]:
        return (Question("label", self._prompt.fill(report=text), SCHEMA) for text in texts)

    def _label(self, texts: Sequence[str]) -> None:
        with progress("label by language model", len(texts), unit="reports") as advance:
            for text, outcome in zip(texts, self._ask(self._questions(texts), read_lesions), strict=True):
                if isinstance(outcome, Failed):
                    self.failed[text] = outcome.kind
                else:
                    self._known[text] = outcome.value
                    self.failed.pop(text, None)
                advance(1)


def read_lesions(answer: str) -> Lesions:
    """The 14 lesions of an answer, in the order of the vocabulary. Raises ``Unusable`` unless each is there once, with a known status and location.

    Case, and an underscore or a hyphen for a blank, make no difference; another word for a lesion or a status does. The side of a negative lesion
    is left out: where something is absent is no place of it.
    """
    found: dict[str, Lesion] = {}
    for key, said in read_object(answer).items():
        name = plain(key)
        if name not in LESIONS:
            raise Unusable(f"{shown(key)} is none of the 14 lesions: {', '.join(KEYS)}")
        if name in found:
            raise Unusable(f"{name}: there more than once; write each of the 14 lesions once")
        if not isinstance(said, Mapping):
            raise Unusable(f"{shown(said)} under {shown(key)} is no object with the keys rationale, status and location")
        found[name] = _read_lesion(name, said)
    if missing := [key for key, name in KEYS.items() if name not in found]:
        raise Unusable(f"{', '.join(missing)}: not there; write all 14 lesions, also those that the report does not mention")
    return tuple(found[name] for name in LESIONS)


def _read_lesion(name: str, said: Mapping[str, Any]) -> Lesion:
    status, side = (_choice(said, key, known, name) for key, known in (("status", STATUSES), ("location", SIDES)))
    rationale = said.get("rationale")
    if not isinstance(rationale, str):
        raise Unusable(f"the rationale of {name} is {shown(rationale)}; it must be a text, an empty one where the report does not mention it")
    rationale = rationale.strip()
    if status == "negative":
        return Lesion(name, status, rationale=rationale) if rationale else _NEGATIVE[name]
    return Lesion(name, status, side, rationale=rationale)


def _choice(said: Mapping[str, Any], key: str, known: Sequence[str], name: str) -> str:
    value = plain(said.get(key))
    if value not in known:
        raise Unusable(f"the {key} of {name} is {shown(said.get(key))}; it must be one of: {', '.join(known)}")
    return value
