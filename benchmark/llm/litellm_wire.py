"""Every provider with a protocol of its own (Azure, Anthropic, Bedrock, Vertex, Gemini, ...), through LiteLLM.

LiteLLM only carries: trying again, limits, prices and cache are ours, and its own are switched off, so that a question is asked as often as is
counted. It takes seconds to import and 5 ms of CPU a call, which is why servers that speak OpenAI's protocol are spoken to directly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

from benchmark.llm.data_use import is_this_machine
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.failures import EndpointRefuses, Refusals
from benchmark.llm.openai_wire import not_connected, read_reply
from benchmark.llm.routes import Route
from benchmark.llm.structured import response_format
from benchmark.llm.wire import Call, Manner, Reply, Trouble, too_late
from benchmark.records import UserError

ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches one while it is imported
    "LITELLM_MODE": "PRODUCTION",  # else it reads a .env that lies about, after it was decided where a question may go
    "USE_LITELLM_PROXY": "False",  # would send everything to another host
    "AIOHTTP_TRUST_ENV": "False",  # proxies are named by us, where one may stand between
    "DISABLE_AIOHTTP_TRANSPORT": "False",  # its other transport could not be held back from redirects
}
LISTENERS = (
    "input_callback",
    "success_callback",
    "failure_callback",
    "service_callback",
    "callbacks",
    "_async_input_callback",
    "_async_success_callback",
    "_async_failure_callback",
)
"""lists of LiteLLM's of those who are told of every question"""
TALKATIVE = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "anthropic", "botocore", "urllib3", "google", "azure")
"""logs that quote questions, answers or headers, at level debug at least"""


class NoLiteLLM(UserError):
    """The provider is reached through LiteLLM, which is not installed."""


class LiteLLMWire:
    """Asks through ``litellm.acompletion``."""

    def __init__(self, endpoint: Endpoint, route: Route, refusals: Refusals) -> None:
        self._endpoint, self._route, self._refusals = endpoint, route, refusals
        self._litellm = load_litellm()
        self._key = route.key or self._stand_in()
        import aiohttp
        import httpx

        self._unconnected = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
        self._cut = (httpx.TransportError, aiohttp.ClientError)

    async def send(self, call: Call, manner: Manner) -> Reply:
        """One try."""
        problem: Trouble | EndpointRefuses
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                response = await self._litellm.acompletion(**self._arguments(call, manner))
            return read_reply(response.model_dump())
        except Trouble:
            raise
        except TimeoutError:
            problem = self._late()
        except Exception as error:  # LiteLLM's own quote the question and sometimes the key: none of them goes any further
            problem = self._explained(error, call)
        raise problem

    def _arguments(self, call: Call, manner: Manner) -> dict[str, Any]:
        settings, route = self._endpoint, self._route
        given: dict[str, Any] = {"temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens}
        given["seed"] = settings.seed + call.sample if settings.seed is not None else None  # the same seed would give the same sample again
        given["response_format"] = response_format(manner, call.schema)
        given["api_base"] = route.url or None
        given["api_key"] = self._key
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"model": route.model, "messages": call.spoken(), "timeout": settings.timeout, "num_retries": 0, "max_retries": 0, **chosen}

    def _stand_in(self) -> str | None:
        """In place of a key where there is none and LiteLLM would take that of OpenAI for any server; None lets it look for the provider's own."""
        if self._route.provider not in ("openai", *self._litellm.openai_compatible_providers):
            return None
        if self._route.provider == "openai":
            return "none"
        try:
            own = self._litellm.get_llm_provider(self._route.model, api_base=self._route.url or None)[2]
        except Exception:  # it says so again when it is asked, where it is explained
            return None
        return None if own else "none"

    def _explained(self, error: Exception, call: Call) -> Trouble | EndpointRefuses:
        """What LiteLLM's exception means, by its status and by what the provider said."""
        litellm = self._litellm
        response = getattr(error, "response", None)
        headers = {name.lower(): value for name, value in dict(getattr(response, "headers", None) or {}).items()}
        headers |= {name.lower(): value for name, value in dict(getattr(error, "litellm_response_headers", None) or {}).items()}
        if (redirect := _behind(error, RefusedRedirect)) is not None:
            return self._refusals.redirect(redirect.location)
        if isinstance(error, litellm.exceptions.Timeout):
            return self._late()
        if (unconnected := _behind(error, self._unconnected)) is not None:
            return not_connected(unconnected, self._route, self._refusals)
        if _behind(error, self._cut) is not None:
            return Trouble("unreachable", "the connection was cut before the whole answer was there", may_be_billed=True)
        if isinstance(error, litellm.exceptions.ContentPolicyViolationError):
            return Trouble("refused", "the provider's filter would not let the question through", may_pass=False, is_about_question=True)
        status = getattr(error, "status_code", None)
        code = " ".join(filter(None, (str(getattr(error, name, None) or "") for name in ("code", "type"))))
        body = {"error": {"message": str(getattr(error, "message", error)), "code": code, "param": getattr(error, "param", None)}}
        if not isinstance(status, int) or status < 400:
            return Trouble("server error", self._refusals.told(f"{type(error).__name__}: {error}", call), may_be_billed=True)
        return self._refusals.of_status(status, headers, json.dumps(body), call)

    def _late(self) -> Trouble:
        return too_late(self._endpoint.timeout)

    async def close(self) -> None:
        """LiteLLM keeps its own connections, and closes them when the process ends."""


class RefusedRedirect(Exception):
    """A provider sent a question on to another address."""

    def __init__(self, location: str) -> None:
        super().__init__("redirect")
        self.location = location


def load_litellm() -> Any:
    """The package, silent, with nothing fetched, nothing told to others and no redirect followed. Raises ``NoLiteLLM``."""
    os.environ |= ENVIRONMENT
    try:
        import litellm
        from litellm.llms.custom_httpx import aiohttp_transport
    except ImportError as error:
        raise NoLiteLLM(
            f"this provider is reached through LiteLLM, which cannot be imported ({error.name}); pip install 'clala-benchmark[llm]'"
        ) from None
    if not hasattr(aiohttp_transport.LiteLLMAiohttpTransport, "is_careful"):
        aiohttp_transport.LiteLLMAiohttpTransport = _careful(aiohttp_transport.LiteLLMAiohttpTransport)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.turn_off_message_logging = True
    for name in LISTENERS:
        getattr(litellm, name).clear()
    litellm.cache = litellm.api_base = None
    litellm.use_litellm_proxy = litellm.aiohttp_trust_env = litellm.disable_aiohttp_transport = False
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def _careful(transport: Any) -> Any:
    """LiteLLM's transport, with which it opens every connection, made to refuse redirects and proxies to this machine.

    httpx, which stands above it, would follow a redirect with text and all.
    """

    class Careful(transport):  # type: ignore[misc]
        is_careful = True

        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            if 300 <= response.status_code < 400 and "location" in response.headers:
                raise RefusedRedirect(response.headers["location"])
            return response

        async def _get_proxy_settings(self, request: Any) -> Any:
            if request.url.scheme != "https" or is_this_machine(request.url.host):
                return None
            return await super()._get_proxy_settings(request)

    return Careful


def _behind(error: BaseException | None, kind: Any) -> Any:
    """The exception of that kind which the others were made of, None if there is none: LiteLLM calls most things an error of the server."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
