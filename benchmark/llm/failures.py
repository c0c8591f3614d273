"""What an endpoint's refusal means: try again, this one question is wrong, or no question will ever be answered."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmark.llm.discretion import told
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.routes import Route
from benchmark.llm.wire import Call, Trouble
from benchmark.records import UserError

LONGEST_WAIT_SECONDS = 120.0
"""an endpoint that asks to wait longer (a quota of the day is used up) is not waited for"""
OVERLOADED = 529
"""as Anthropic says that it has too much to do: docs.anthropic.com/en/api/errors"""
MAY_PASS = frozenset((408, 409, 425, 429))
"""beside everything from 500 on, where proxies have numbers of their own: Cloudflare's are 520 to 526"""
MAY_BE_FORMAT = (400, 422)

# Words of servers: OpenAI, Azure, vLLM, llama.cpp, Ollama, text-generation-inference, Anthropic, OpenRouter.
TOO_LONG = (
    "context length",
    "context_length",
    "maximum context",
    "context window",
    "too long",
    "too many tokens",
    "max_model_len",
    "string_above_max",
)
FILTERED = ("content_filter", "content_policy", "content management policy", "moderation", "flagged", "safety")
NO_CREDIT = ("insufficient_quota", "billing_hard_limit", "credit balance", "insufficient credits", "exceeded your current quota")
FORMAT = ("response_format", "json_schema", "json_object", "structured output", "guided_json", "grammar", "output_config")
PARAMETERS = ("temperature", "top_p", "seed")
AGAIN = "then run the same command again: nothing that was answered is asked again"
AGAIN_REFRESHED = "then run the same command again without --refresh, which asks everything anew: so nothing that was answered is asked again"


class EndpointRefuses(UserError):
    """No question will be answered: a wrong key, an unknown model, no credit, a redirect, a host that does not exist."""


class EndpointDown(UserError):
    """Many questions in a row came to nothing, though each was tried often."""


class Failure(NamedTuple):
    """What the body of a refusal says."""

    message: str
    code: str
    """code and type"""
    param: str


class Refusals:
    """Explains what one endpoint says, with nothing in it of keys and prompts."""

    def __init__(self, endpoint: Endpoint, route: Route, secrets: Sequence[str], *, again: str = AGAIN) -> None:
        """``again``: what a refusal says of the next command."""
        self._endpoint, self._route, self.again = endpoint, route, again
        self.secrets = [*secrets, route.key]
        self.where = f"{endpoint.model} at {urlsplit(route.url).netloc or route.provider}"

    def told(self, text: str, call: Call) -> str:
        """What may be told of a message from outside."""
        return told(text, self.secrets, call.texts)

    def of_status(self, status: int, headers: Mapping[str, str], body: bytes | str, call: Call) -> Trouble | EndpointRefuses:
        """What an answer with this status means. ``headers`` are found by names in lower case."""
        failure = read_failure(body)
        said = self.told(": ".join(filter(None, (failure.code, failure.message))), call)
        what = f"{status}{f' ({said})' if said else ''}"
        words = f"{failure.code} {failure.message}".lower()
        if 300 <= status < 400:
            return self.redirect(headers.get("location", ""))
        if status == 402 or any(sign in words for sign in NO_CREDIT):
            return self.refuses(what, "the account has no credit left; add some")
        if may_pass(status):
            return self._passing(status, headers, what)
        if any(sign in words for sign in FILTERED):
            return Trouble("refused", f"the provider's filter: {what}", may_pass=False, is_about_question=True)
        if status in (401, 403):
            nameless = "one and name its variable with llm.key_env" if self._route.url else "the variable that the provider's key is read from"
            variable = self._route.key_env or nameless
            return self.refuses(
                what, f"the key is wrong, or may not use this model; set {variable}" if self._has_key else f"it wants a key; set {variable}"
            )
        if status == 404:
            return self.refuses(
                what, f"there is no model {self._route.model!r}, or nothing that answers questions; mind the name, and /v1 in the URL"
            )
        if failure.param in PARAMETERS or (status == 400 and "unsupported" in words and any(name in words for name in PARAMETERS)):
            name = failure.param if failure.param in PARAMETERS else next(name for name in PARAMETERS if name in words)
            return self.refuses(what, f"it does not take {name} as it is set; leave it out with --set llm.{name}=none")
        if status == 405:
            return self.refuses(what, "nothing there answers questions; mind the URL, it mostly ends in /v1")
        is_too_long = status == 413 or any(sign in words for sign in TOO_LONG)
        return Trouble(
            "rejected",
            f"it says that the question is too long: {what}" if is_too_long else what,
            may_pass=False,
            may_be_format=not is_too_long and status in MAY_BE_FORMAT,
            is_format=any(sign in f"{words} {failure.param}" for sign in FORMAT),
            is_about_question=is_too_long,
        )

    def _passing(self, status: int, headers: Mapping[str, str], what: str) -> Trouble:
        wait = seconds_to_wait(headers, time.time())
        kind = "rate limit" if status == 429 else "timeout" if status == 408 else "server error"
        too_much = status in (429, OVERLOADED, 503)
        if wait is not None and wait > LONGEST_WAIT_SECONDS:
            return Trouble(kind, f"it asks to wait {wait:,.0f} s, which is not waited for: {what}", may_pass=False, too_much=too_much)  # type: ignore[arg-type]
        return Trouble(kind, what, too_much=too_much, wait=wait)  # type: ignore[arg-type]

    def redirect(self, location: str) -> EndpointRefuses:
        """It sends the question on. Not followed: what may go to one host may not go to another."""
        target = urlsplit(location)
        there = f"{target.scheme}://{target.hostname}" if target.hostname else "another address"
        return self.refuses(f"it sends questions on to {there}, which is not followed", "if they may go there, name that URL (--llm-url)")

    def refuses(self, found: str, do: str) -> EndpointRefuses:
        """In three parts: what was asked, what was found, what to do."""
        return EndpointRefuses(f"asked {self.where}: {found}; {do}, {self.again}")

    @property
    def _has_key(self) -> bool:
        return bool(self._route.key) or self._route.transport == "litellm"


def may_pass(status: int) -> bool:
    """True where another try may fare better."""
    return status in MAY_PASS or status >= 500


def read_failure(body: bytes | str) -> Failure:
    """Message, code and parameter of an error, in any of the shapes that servers have for it; a body of another kind is the message."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return Failure("" if "<html" in text[:500].lower() else text, "", "")
    if isinstance(found, list) and found:  # Gemini
        found = found[0]
    error: Any = (found.get("error") or found) if isinstance(found, dict) else found
    if not isinstance(error, dict):
        return Failure(str(error), str(found.get("error_type", "")) if isinstance(found, dict) else "", "")
    message = error.get("message") or error.get("detail") or ""
    codes = dict.fromkeys(str(error[name]) for name in ("code", "type", "status") if error.get(name))
    return Failure(message if isinstance(message, str) else json.dumps(message), " ".join(codes), str(error.get("param") or ""))


def seconds_to_wait(headers: Mapping[str, str], now: float) -> float | None:
    """``retry-after-ms``, or ``retry-after`` in seconds or as a date (RFC 9110, 10.2.3), from ``now`` on; None if neither is there or to be read."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if after := headers.get("retry-after"):
            try:
                return max(0.0, float(after))
            except ValueError:
                return max(0.0, parsedate_to_datetime(after).timestamp() - now)
    except (ValueError, TypeError):
        pass
    return None
