"""OpenAI's chat completions, spoken by ourselves: to OpenAI, and to every server that speaks as it does (vLLM, Ollama's /v1, LM Studio, ...).

Over aiohttp and not through LiteLLM, because that takes longer: 0.4 ms of CPU a call here, 5 ms there (on two cores that were busy, with
python tests/benchmarks/language_models.py). And because here it is plain what may happen to a text that may not travel: no redirect is followed, and
no proxy stands between, but for HTTPS to another machine, where it sees nothing of what passes.
Protocol: platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.llm.data_use import is_this_machine
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.failures import EndpointRefuses, Refusals
from benchmark.llm.routes import OPENAI_PROTOCOL, Route
from benchmark.llm.structured import response_format
from benchmark.llm.wire import Call, Manner, Reply, Trouble, too_late

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 15.0
BODY_OF_FAILURE = 1 << 16
"""bytes of an error that are read"""
JSON = {"Content-Type": "application/json"}
UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
FINISH = {"length": "length", "max_tokens": "length", "content_filter": "filter"}


class OpenAIWire:
    """Posts to ``URL/chat/completions``."""

    def __init__(self, endpoint: Endpoint, route: Route, refusals: Refusals) -> None:
        self._endpoint, self._route, self._refusals = endpoint, route, refusals
        self._url = f"{route.url}/chat/completions"
        # OpenAI renamed it, and its newer models take the new name alone; other servers may know the old one alone.
        self._limit_name = "max_completion_tokens" if route.url == OPENAI_PROTOCOL["openai"].url else "max_tokens"
        self._session: aiohttp.ClientSession | None = None
        self._more: dict[str, Any] = {}

    async def send(self, call: Call, manner: Manner) -> Reply:
        """One try."""
        limit_name = self._limit_name
        body = json.dumps(self.body(call, manner)).encode()
        status, headers, content = await self._post(body, call)
        if status == 200:
            return self._reply(content, call)
        if status == 400 and limit_name == "max_tokens" and b"max_completion_tokens" in content:
            self._limit_name = "max_completion_tokens"
            return await self.send(call, manner)
        raise self._refusals.of_status(status, headers, content, call)

    def body(self, call: Call, manner: Manner) -> dict[str, Any]:
        """What is posted."""
        settings = self._endpoint
        body: dict[str, Any] = {"model": self._route.model, "messages": call.spoken(), self._limit_name: settings.max_tokens}
        body.update({name: value for name in ("temperature", "top_p") if (value := getattr(settings, name)) is not None})
        if settings.seed is not None:
            body["seed"] = settings.seed + call.sample  # the same seed would give the same sample again
        if (form := response_format(manner, call.schema)) is not None:
            body["response_format"] = form
        return body

    async def _post(self, body: bytes, call: Call) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content. Raises ``Trouble``, ``EndpointRefuses``: without aiohttp's own exceptions, which quote headers."""
        import aiohttp

        problem: Trouble | EndpointRefuses
        try:
            async with self._opened().post(self._url, data=body, headers=JSON, allow_redirects=False, **self._more) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                content = await response.read() if response.status == 200 else await response.content.read(BODY_OF_FAILURE)
                return response.status, headers, content
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            problem = not_connected(error, self._route, self._refusals)
        except TimeoutError:
            problem = too_late(self._endpoint.timeout)
        except aiohttp.ClientPayloadError:
            problem = Trouble("unreachable", "the connection was cut in the middle of the answer", may_be_billed=True)
        except (aiohttp.ClientError, OSError) as error:
            problem = Trouble("unreachable", f"the connection was cut before the answer ({type(error).__name__})", may_be_billed=True)
        raise problem

    def _reply(self, content: bytes, call: Call) -> Reply:
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):  # the last of lists within lists within lists
            body = None
        if not isinstance(body, dict):
            raise Trouble("server error", "the answer is not the JSON of a completion, or half of it", may_be_billed=True)
        if body.get("error"):  # OpenRouter and others, with status 200
            code = str(body["error"].get("code", "")) if isinstance(body["error"], dict) else ""
            raise self._refusals.of_status(int(code) if code.isdigit() and 400 <= int(code) < 600 else 502, {}, content, call)
        return read_reply(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            headers = {"User-Agent": "clala-benchmark", **({"Authorization": f"Bearer {self._route.key}"} if self._route.key else {})}
            self._more = proxy_of(self._route)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # how many there may be is decided elsewhere
                timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout, sock_connect=min(CONNECT_SECONDS, self._endpoint.timeout)),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def read_reply(body: dict[str, Any]) -> Reply:
    """The first choice of a completion. Raises ``Trouble`` where there is nothing to be read."""
    ins, outs = tokens_of(body)
    served_by = str(body.get("model") or "")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    found = choice.get("message")
    message: dict[str, Any] = found if isinstance(found, dict) else {}
    text = message.get("content") or ""
    if isinstance(text, list):  # in parts
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
    more = message.get("provider_specific_fields")  # LiteLLM's place for it
    refusal = message.get("refusal") or (more.get("refusal") if isinstance(more, dict) else None)
    finish: Any = FINISH.get(str(choice.get("finish_reason")), "stop")
    return Reply(str(text), "filter" if refusal else finish, served_by, ins, outs)


def tokens_of(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens of the question and of the answer, as a completion counts them; None where it does not."""
    usage = body.get("usage")
    ins, outs = (usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens"))
    return ins if isinstance(ins, int) else None, outs if isinstance(outs, int) else None


def not_connected(error: Exception, route: Route, refusals: Refusals) -> Trouble | EndpointRefuses:
    """What it means that aiohttp got no connection."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError) and getattr(error.os_error, "errno", None) in UNKNOWN_HOST:
        return refusals.refuses(f"there is no host {route.host or 'of that name'!r}", "mind the URL")
    if isinstance(error, aiohttp.ClientSSLError):
        return refusals.refuses(
            f"no safe connection ({type(error).__name__})", "mind http or https in the URL, or name its certificate with SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Trouble("unreachable", f"no connection ({error.os_error.strerror or 'refused'})")
    return Trouble("unreachable", "no connection in time")


def proxy_of(route: Route) -> dict[str, Any]:
    """The proxy of the environment, for HTTPS to another machine alone: it carries what it cannot read. Of plain HTTP it would see every word."""
    if is_this_machine(route.host) or not route.url.startswith("https:") or urllib.request.proxy_bypass(route.host):
        return {}
    named = urllib.request.getproxies().get("https") or urllib.request.getproxies().get("all")
    if not named or not named.startswith("http"):
        return {}
    import aiohttp
    from yarl import URL

    proxy = URL(named)
    login = {"proxy_auth": aiohttp.BasicAuth(proxy.user, proxy.password or "")} if proxy.user else {}
    return {"proxy": proxy.with_user(None), **login}
