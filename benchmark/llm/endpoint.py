"""Where a question goes, and how: one model at one endpoint, with everything that a user may set of it.

Settings are written ``--set llm.NAME=VALUE`` for every task, ``--set llm.judge.NAME=VALUE`` for one, or stand under ``[llm]`` and ``[llm.judge]``
in ``benchmark.toml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Endpoint:
    """One model and its manner of being asked."""

    model: str
    """as LiteLLM names it, ``provider/name``: ``openai/gpt-4o-mini``, ``anthropic/claude-sonnet-4-5``, ``hosted_vllm/Qwen2.5-7B``; with
    ``api_base`` the name alone will do"""
    api_base: str = ""
    """URL of an OpenAI-compatible server up to and with ``/v1``, or of the provider where it is not the usual one"""
    key_env: str = ""
    """environment variable that holds the key, where it is not the provider's usual one; keys themselves are never a setting"""
    temperature: float | None = 0.0
    """None leaves it out, for models that refuse it"""
    top_p: float | None = None
    """None leaves it out"""
    seed: int | None = None
    """None leaves it out"""
    max_tokens: int = 2048
    """of one answer"""
    structured: Literal["auto", "json_schema", "json_object", "text"] = "auto"
    """how JSON is asked for: by schema where the endpoint takes one, as an object, or in the prompt alone; auto finds out and remembers"""
    concurrency: int = 16
    """questions in flight at most; fewer while the endpoint says that it is too many"""
    requests_per_minute: int | None = None
    """None = as many as go"""
    tokens_per_minute: int | None = None
    """of questions and answers together; None = as many as go"""
    timeout: float = 120.0
    """seconds for one try, from the first byte sent to the last received"""
    retries: int = 5
    """further tries after a failure that may pass"""
    input_price: float | None = None
    """dollars per million tokens of questions, where LiteLLM's price map does not know or has it wrong"""
    output_price: float | None = None
    """dollars per million tokens of answers"""
    transport: Literal["auto", "direct", "litellm"] = "auto"
    """direct = OpenAI's protocol spoken by ourselves, to OpenAI and to every ``api_base``; litellm = through LiteLLM, for all other providers"""

    def decides(self) -> dict[str, object]:
        """What of it may change an answer, and so enters the cache's key and the signature."""
        chosen = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed, "max_tokens": self.max_tokens}
        return {name: value for name, value in chosen.items() if value is not None}
