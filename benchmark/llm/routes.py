"""From an endpoint as a user names it to the host that would be asked, by which protocol, with which key: decided before anything is sent."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from benchmark.llm.data_use import host_of, is_this_machine
from benchmark.llm.endpoint import Endpoint
from benchmark.records import UserError


class Provider(NamedTuple):
    """A provider that speaks OpenAI's protocol."""

    url: str
    """where it listens unless told otherwise; empty if that must be said"""
    url_env: tuple[str, ...]
    """environment variables that say otherwise, the first that is set"""
    key_env: str
    """environment variable with its key"""


# Names and variables as LiteLLM has them (docs.litellm.ai/docs/providers), so that a machine that is set up for it is set up for us.
OPENAI_PROTOCOL = {
    "openai": Provider("https://api.openai.com/v1", ("OPENAI_BASE_URL", "OPENAI_API_BASE"), "OPENAI_API_KEY"),
    "hosted_vllm": Provider("", ("HOSTED_VLLM_API_BASE",), "HOSTED_VLLM_API_KEY"),
    "ollama": Provider("http://localhost:11434/v1", ("OLLAMA_API_BASE",), "OLLAMA_API_KEY"),
    "lm_studio": Provider("", ("LM_STUDIO_API_BASE",), "LM_STUDIO_API_KEY"),
    "llamafile": Provider("http://127.0.0.1:8080/v1", ("LLAMAFILE_API_BASE",), "LLAMAFILE_API_KEY"),
    "litellm_proxy": Provider("", ("LITELLM_PROXY_API_BASE",), "LITELLM_PROXY_API_KEY"),
}
_OF_OPENAI = re.compile(r"(gpt|chatgpt|o\d)[\w.:-]*")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SECRET_FROM = 8  # shorter values are words such as "true", and taking those out would spoil every message


class NoEndpoint(UserError):
    """No model is named, or it cannot be told where it is."""


@dataclass(frozen=True)
class Route:
    """Where a question would go."""

    transport: Literal["direct", "litellm"]
    """by whom it is sent"""
    provider: str
    """openai, anthropic, ...; empty for an unnamed server at ``url``"""
    url: str
    """base URL; empty if only LiteLLM knows it"""
    host: str
    """of that URL, in lower case; empty likewise"""
    model: str
    """as it is sent: without the provider where the server is spoken to directly"""
    key_env: str
    """environment variable that holds the key; empty if only LiteLLM knows it"""
    key: str = field(repr=False, default="")
    """empty if there is none"""

    @property
    def needs_key(self) -> bool:
        """True where a call without a key can only fail."""
        return self.transport == "direct" and not self.key and self.provider == "openai" and self.url == OPENAI_PROTOCOL["openai"].url

    @property
    def is_here(self) -> bool:
        """True if the endpoint is on this machine."""
        return bool(self.host) and is_this_machine(self.host)


def route_of(endpoint: Endpoint) -> Route:
    """Where the endpoint's questions would go; looks at names and environment, and sends nothing. Raises ``NoEndpoint``."""
    prefix, slash, rest = endpoint.model.partition("/")
    if endpoint.api_base:
        url = _checked(endpoint.api_base)
        known = OPENAI_PROTOCOL.get(prefix) if slash else None
        if endpoint.transport == "litellm" or (slash and known is None and endpoint.transport == "auto" and prefix in _ELSEWHERE):
            key_env = endpoint.key_env or (known.key_env if known else "" if slash else "OPENAI_API_KEY")
            model = endpoint.model if slash and (known or prefix in _ELSEWHERE) else f"openai/{endpoint.model}"
            return Route("litellm", model.partition("/")[0], url, host_of(url), model, key_env, os.environ.get(key_env, ""))
        key_env = endpoint.key_env or (known.key_env if known else "OPENAI_API_KEY")
        # OpenAI's key is not for whoever listens at a URL: a server of one's own gets it only by name.
        gets_key = bool(endpoint.key_env) or known is not None
        return Route(
            "direct",
            prefix if known else "",
            url,
            host_of(url),
            rest if known else endpoint.model,
            key_env if gets_key else "",
            os.environ.get(key_env, "") if gets_key else "",
        )
    if not slash and not _OF_OPENAI.fullmatch(endpoint.model):
        raise NoEndpoint(
            f"cannot tell where the model {endpoint.model!r} is; write provider/name (openai/gpt-4o-mini, anthropic/..., ollama/...), "
            "or say where it is served: --llm-url http://127.0.0.1:8000/v1"
        )
    provider = prefix if slash else "openai"
    known = OPENAI_PROTOCOL.get(provider)
    if known is None or endpoint.transport == "litellm":
        return Route("litellm", provider, "", "", endpoint.model, endpoint.key_env, os.environ.get(endpoint.key_env, "") if endpoint.key_env else "")
    url = next((value for name in known.url_env if (value := os.environ.get(name))), known.url)
    if not url:
        raise NoEndpoint(f"{endpoint.model} is served by a server of your own: say where, --llm-url http://127.0.0.1:8000/v1 or {known.url_env[0]}")
    url = _checked(url if provider != "ollama" or url.rstrip("/").endswith("/v1") else f"{url.rstrip('/')}/v1")
    key_env = endpoint.key_env or known.key_env
    return Route("direct", provider, url, host_of(url), rest if slash else endpoint.model, key_env, os.environ.get(key_env, ""))


def secrets() -> list[str]:
    """Values of the environment that are keys by their name: what no message may contain."""
    return [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= SECRET_FROM]


def _checked(url: str) -> str:
    """The URL without a slash at its end. Raises ``NoEndpoint`` for what is none, or holds a password."""
    host = host_of(url)
    if not re.fullmatch(r"https?://[^\s\\]+", url) or not host:
        raise NoEndpoint(f"{_without_user(url)!r} is no URL of a server; write http://host:port/v1 or https://...")
    if "@" in url.split("://", 1)[1].partition("/")[0]:
        raise NoEndpoint(f"the URL of {host} holds a name or password; keys come from the environment alone: name the variable with llm.key_env")
    return url.rstrip("/")


def _without_user(url: str) -> str:
    return url.rpartition("@")[2]


# Providers with a protocol of their own: a URL beside one of these names is the provider's, and LiteLLM speaks to it. Of all others at a URL
# (Qwen/Qwen2.5-7B-Instruct) the whole is the name of a model.
_ELSEWHERE = frozenset(
    (
        "azure",
        "azure_ai",
        "anthropic",
        "bedrock",
        "bedrock_converse",
        "vertex_ai",
        "gemini",
        "cohere",
        "cohere_chat",
        "mistral",
        "groq",
        "deepseek",
        "together_ai",
        "fireworks_ai",
        "openrouter",
        "replicate",
        "huggingface",
        "databricks",
        "watsonx",
        "sagemaker",
        "sagemaker_chat",
        "ollama_chat",
        "xai",
        "perplexity",
        "nvidia_nim",
        "cerebras",
        "sambanova",
    )
)
