"""From an endpoint as a user names it to the host that would be asked, by which protocol, with which key: decided before anything is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
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
    "ollama": Provider("http://localhost:11434", ("OLLAMA_API_BASE",), "OLLAMA_API_KEY"),  # and /v1 by OpenAI's protocol
    "lm_studio": Provider("", ("LM_STUDIO_API_BASE",), "LM_STUDIO_API_KEY"),
    "llamafile": Provider("http://127.0.0.1:8080/v1", ("LLAMAFILE_API_BASE",), "LLAMAFILE_API_KEY"),
    "litellm_proxy": Provider("", ("LITELLM_PROXY_API_BASE",), "LITELLM_PROXY_API_KEY"),
}
# Likewise where LiteLLM lets the environment lead a provider elsewhere, beside PROVIDER_API_BASE and PROVIDER_BASE_URL.
URL_VARIABLES = {
    "anthropic_text": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "azure_text": ("AZURE_API_BASE",),
    "bedrock": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
    "bedrock_converse": ("AWS_BEDROCK_RUNTIME_ENDPOINT",),
    "cohere_chat": ("COHERE_API_BASE",),
    "custom_openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "friendliai": ("FRIENDLI_API_BASE",),
    "huggingface": ("HF_API_BASE",),
    "meta_llama": ("LLAMA_API_BASE",),
    "mistral": ("MISTRAL_AZURE_API_BASE",),
    "ollama_chat": ("OLLAMA_API_BASE",),
    "text-completion-openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "vertex_ai": ("VERTEXAI_API_BASE", "VERTEX_API_BASE"),
    "watsonx": ("WATSONX_URL", "WX_URL", "WML_URL"),
}
OLLAMA_CLOUD = re.compile(r"[-:]cloud\Z", re.IGNORECASE)
"""names of models that an Ollama on this machine asks of ollama.com: docs.ollama.com/cloud"""
_OF_OPENAI = re.compile(r"(gpt|chatgpt|o\d)[\w.:-]*")
_BY_OPENAI = re.compile(r"(.+\.)?api\.openai\.com")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
LONGEST_NAME = 60
_KEY_ITSELF = re.compile(r"(?:sk|pk|rk|gsk|hf|xai)_[A-Za-z0-9]{16,}|(?=.*\d)[A-Za-z0-9]{20,}")  # keys that could be names
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
    """environment variable that holds the key; empty if there is none, or only LiteLLM knows it"""
    key: str = field(repr=False, default="")
    """empty if there is none"""

    @property
    def needs_key(self) -> bool:
        """True where a call without a key can only fail."""
        return not self.key and self.provider == "openai" and self.url == OPENAI_PROTOCOL["openai"].url

    @property
    def forwards_to(self) -> str:
        """Under which name ``[data_use]`` approves those to whom the host hands the text on; empty where the host itself answers."""
        if self.provider == "litellm_proxy":
            return "litellm_proxy"
        return "ollama_cloud" if self.host and OLLAMA_CLOUD.search(self.model) else ""

    @property
    def is_here(self) -> bool:
        """True if the text stays on this machine."""
        return bool(self.host) and is_this_machine(self.host) and not self.forwards_to


def route_of(endpoint: Endpoint) -> Route:
    """Where the endpoint's questions would go; looks at names and environment, and sends nothing. Raises ``NoEndpoint``."""
    if endpoint.api_base:
        return _at_url(endpoint, _checked(endpoint.api_base))
    prefix, slash, rest = endpoint.model.partition("/")
    if not slash and not _OF_OPENAI.fullmatch(endpoint.model):
        raise NoEndpoint(
            f"cannot tell where the model {endpoint.model!r} is; write provider/name (openai/gpt-4o-mini, anthropic/..., ollama/...), "
            "or say where it is served: --llm-url http://127.0.0.1:8000/v1"
        )
    provider = prefix if slash else "openai"
    known = OPENAI_PROTOCOL.get(provider)
    is_direct = known is not None and endpoint.transport != "litellm"
    usual = known.url if known else OPENAI_PROTOCOL["ollama"].url if provider == "ollama_chat" else ""
    url = _of_environment(known.url_env if known else _url_variables(provider, rest)) or usual
    if known and not url:
        raise NoEndpoint(f"{endpoint.model} is served by a server of your own: say where, --llm-url http://127.0.0.1:8000/v1 or {known.url_env[0]}")
    url = _checked(url) if url else ""
    if provider == "ollama":
        url = url.removesuffix("/v1") + ("/v1" if is_direct else "")
    key_env = endpoint.key_env or (known.key_env if known else "")
    name = rest if slash else endpoint.model
    if is_direct:
        return Route("direct", provider, url, host_of(url), name, key_env, _key_in(key_env))
    return Route("litellm", provider, url, host_of(url), f"{provider}/{name}", key_env, _key_in(key_env))


def _at_url(endpoint: Endpoint, url: str) -> Route:
    """The same where the user says at which URL."""
    prefix, slash, rest = endpoint.model.partition("/")
    known = OPENAI_PROTOCOL.get(prefix) if slash else None
    is_elsewhere = bool(slash) and known is None and prefix in _ELSEWHERE
    if endpoint.transport == "litellm" or (is_elsewhere and endpoint.transport == "auto"):
        transport: Literal["direct", "litellm"] = "litellm"
        model = endpoint.model if known or is_elsewhere else f"openai/{endpoint.model}"
        provider = model.partition("/")[0]
    else:
        transport, provider, model = "direct", prefix if known else "", rest if known else endpoint.model
    host = host_of(url)
    if transport == "litellm" and provider.startswith("sagemaker"):
        raise NoEndpoint(f"{endpoint.model} was to be asked at {host}, which LiteLLM passes over: it asks Amazon all the same; leave the URL out")
    if transport == "litellm" and provider.startswith("bedrock") and _of_environment(_url_variables("bedrock", rest)).rstrip("/") not in ("", url):
        leads = next(name for name in _url_variables("bedrock", rest) if os.environ.get(name, "").strip())
        raise NoEndpoint(f"{endpoint.model} was to be asked at {host}, and {leads} leads elsewhere; unset that variable")
    # OpenAI's key is not for whoever listens at a URL: another server gets it only by name. The other variables are for servers of one's own.
    own = known.key_env if known and provider != "openai" else OPENAI_PROTOCOL["openai"].key_env if _BY_OPENAI.fullmatch(host) else ""
    key_env = endpoint.key_env or ("" if is_elsewhere else own)
    return Route(transport, provider, url, host, model, key_env, _key_in(key_env))


def _url_variables(provider: str, model: str = "") -> tuple[str, ...]:
    """Environment variables that lead a provider elsewhere; of SageMaker none does, and Anthropic's own platform at Amazon has its own."""
    if provider.startswith("sagemaker"):
        return ()
    if provider == "bedrock" and model.startswith("claude_platform/"):
        return ("ANTHROPIC_AWS_BASE_URL", "ANTHROPIC_AWS_API_BASE")
    name = provider.upper().replace("-", "_")
    return (f"{name}_API_BASE", f"{name}_BASE_URL", *URL_VARIABLES.get(provider, ()))


def _of_environment(variables: Sequence[str]) -> str:
    """The value of the first that is set."""
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), "")


def _key_in(variable: str) -> str:
    """The key that an environment variable holds, empty if none. Raises ``NoEndpoint`` for what no header can carry."""
    key = os.environ.get(variable, "").strip() if variable else ""  # a file that was read into it ends in a line break
    if not (key.isascii() and key.isprintable()):
        raise NoEndpoint(f"the environment variable {variable} holds a sign that no key has, such as a line break; set it to the key alone")
    return key


def secrets() -> list[str]:
    """Values of the environment that are keys by their name: what no message may contain."""
    return [value.strip() for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value.strip()) >= SECRET_FROM]


def _checked(url: str) -> str:
    """The URL without a slash at its end. Raises ``NoEndpoint`` for what is none, or may hold a password."""
    if problem := url_problem(url):
        raise NoEndpoint(problem)
    return url.rstrip("/")


def url_problem(url: str) -> str:
    """Why this is not the URL of an endpoint, in words that do not repeat it, as it may hold a key; empty if it is."""
    host = host_of(url)
    if not re.fullmatch(r"https?://[^\s\\]+", url) or not host:
        return "what was given as URL is no URL of a server; write http://host:port/v1 or https://..."
    if re.fullmatch(r"[^@?#]+\?api-version=[\w.-]*", url):
        return f"the URL of {host} ends in an api-version; leave out what begins at the question mark and put the version into AZURE_API_VERSION"
    if "@" in url.split("://", 1)[1].partition("/")[0] or "?" in url or "#" in url:
        return (
            f"the URL of {host} holds a name or password, or something behind a question mark; "
            "keys come from the environment alone: name the variable with llm.key_env"
        )
    return ""


def key_env_problem(name: str) -> str:
    """Why this is not the name of an environment variable, likewise; empty if it is."""
    if len(name) <= LONGEST_NAME and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not _KEY_ITSELF.fullmatch(name):
        return ""
    return "what was given is not the name of an environment variable; keys are never a setting: put the key into a variable and name that"


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
