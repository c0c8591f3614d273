"""An OpenAI-compatible server on loopback, in a process of its own, that misbehaves on order and writes down every request.

    with serve(tmp_path, latency=0.2) as server:
        ...                             # ask server.url
        server.requests()               # what came in, in order

A prompt orders its own misfortune: ``{{429 times=2 retry-after=0.1}} Is the heart large?`` is answered with 429 twice, and then as any other
question. ``orders`` gives such orders to every request, counted over all of them. What can be ordered: ``Orders`` below. Standard library alone, so
that it costs little beside what is measured.

Alone: python tests/benchmark/llm_server.py --log requests.jsonl [--port 8000] [--latency 0.2]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IN_FLIGHT = "/v1/in_flight"
"""how many other requests are being answered; is not written down"""
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}
"""of an answer that tests ask for"""
ORDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


# ---- for tests


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str
    """base URL, with /v1"""
    log: Path
    process: subprocess.Popen[str]

    def requests(self, *, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """Requests to a path, in order of arrival: at, path, prompt, model, response_format, authorization (or x-api-key), body, in_flight, order."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [request for line in lines if (request := json.loads(line))["path"] == path]

    def in_flight(self) -> int:
        """Requests that came in and are not answered. What was sent before this is asked has been read and written down when the answer is there."""
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}{IN_FLIGHT}", timeout=60) as answer:
            return int(json.load(answer)["in_flight"])

    def asked(self) -> Counter[str]:
        """Prompt -> how often it was asked."""
        return Counter(request["prompt"] for request in self.requests())


@contextmanager
def serve(
    folder: Path,
    *,
    latency: float = 0.0,
    orders: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
    formats: str = "json_schema,json_object",
    models: str = "",
    key: str = "",
    port: int = 0,
) -> Iterator[Server]:
    """A server until the block ends.

    latency   seconds before every answer
    orders    misfortunes of all requests, in turn: ``("429 times=3", "500 times=1")``
    answers   part of a prompt -> the text it is answered with
    formats   response_format types that are taken; another one is answered with 400
    models    names that are served; empty = any
    key       the key that is asked for; empty = none
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"requests-{time.monotonic_ns()}.jsonl"
    texts = folder / f"answers-{time.monotonic_ns()}.json"
    texts.write_text(json.dumps(answers or {}), encoding="utf-8")
    command = [sys.executable, __file__, "--log", str(log), "--answers", str(texts), "--latency", str(latency), "--formats", formats]
    command += ["--models", models, "--key", key, "--port", str(port), *(f"--order={order}" for order in orders)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        listening = process.stdout.readline().strip()
        assert listening.isdigit(), "the server did not start"
        yield Server(f"http://127.0.0.1:{listening}/v1", log, process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


# ---- the server


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: bytes
    writer: asyncio.StreamWriter
    body: dict[str, Any] = field(default_factory=dict)
    """the content, where it is JSON"""
    order: str = ""
    """the misfortune that was ordered for it"""

    @property
    def prompt(self) -> str:
        """The text of the first message of the user."""
        return next((text_of(message["content"]) for message in self.body.get("messages", []) if message.get("role") == "user"), "")


class Cut(Exception):
    """The connection is to be closed without a further word."""


class Misbehaving:
    """The state of the server: who was asked how often."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.log = Path(options.log).open("a", encoding="utf-8")  # noqa: SIM115 - open as long as the process
        self.answers: dict[str, str] = json.loads(Path(options.answers).read_text(encoding="utf-8")) if options.answers else {}
        self.tries: Counter[str] = Counter()
        self.in_flight = 0
        """requests that are not answered, this one included"""
        self.routes: dict[str, Callable[[Request], Awaitable[None]]] = {
            "POST /v1/chat/completions": self.chat,
            "GET /v1/models": self.models,
            "POST /v1/messages": self.chat,  # Anthropic's path, for orders that come before any answer
        }
        from llm_server_batches import Batches  # which imports this file

        self.routes |= Batches(self).routes

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                path, _, query = target.partition("?")
                request = Request(method, path, query, headers, content, writer)
                if headers.get("content-type", "").startswith("application/json"):
                    request.body = json.loads(content)
                self.in_flight += 1
                try:
                    await self.answer(request)
                finally:
                    self.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError, Cut):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def answer(self, request: Request) -> None:
        """Write it down, then answer."""
        if request.path == IN_FLIGHT:
            await send_json(request, 200, {"in_flight": self.in_flight - 1})
            return
        request.order = self.ordered(request)
        entry = {
            "at": time.time(),
            "path": request.path,
            "prompt": request.prompt,
            "model": request.body.get("model"),
            "response_format": (request.body.get("response_format") or {}).get("type"),
            "authorization": request.headers.get("authorization") or request.headers.get("x-api-key", ""),
            "body": request.body,
            "in_flight": self.in_flight,
            "order": request.order,
        }
        self.log.write(json.dumps(entry) + "\n")
        self.log.flush()
        name = f"{request.method} {request.path}"
        handler = self.routes.get(name) or next((does for route, does in self.routes.items() if route.endswith("/") and name.startswith(route)), None)
        if handler is None:
            await send_json(request, 404, error(f"no such path: {request.path}", "invalid_request_error"))
        else:
            await handler(request)

    def ordered(self, request: Request) -> str:
        """The misfortune that this request is due, empty if none; counts it."""
        found = ORDER.search(request.prompt)
        for name, order in [("all requests", order) for order in self.options.order] + ([(request.prompt, found[1])] if found else []):
            words, given = parse(order)
            done = self.tries[name + order]
            if "times" not in given or done < int(given["times"]):
                self.tries[name + order] += 1
                return " ".join(words[:1]) and order
        return ""

    async def models(self, request: Request) -> None:
        """GET /v1/models."""
        names = self.options.models.split(",") if self.options.models else ["any"]
        await send_json(request, 200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def chat(self, request: Request) -> None:
        """POST /v1/chat/completions."""
        body, given = request.body, request.headers.get("authorization", "")
        if self.options.key and given != f"Bearer {self.options.key}":
            return await send_json(request, 401, error(f"Incorrect API key provided: {given}", "invalid_request_error", "invalid_api_key"))
        if self.options.models and body["model"] not in self.options.models.split(","):
            return await send_json(request, 404, error(f"The model {body['model']!r} does not exist", "invalid_request_error", "model_not_found"))
        kind = (body.get("response_format") or {}).get("type")
        if kind and kind not in self.options.formats.split(","):
            return await send_json(request, 400, error(f"'response_format' of type {kind} is not supported", "invalid_request_error"))
        if self.options.latency:
            await asyncio.sleep(self.options.latency)
        words, more = parse(request.order)
        does = getattr(Orders, words[0].replace("-", "_"), None) if words else None
        if words and words[0].isdigit():
            return await Orders.status(self, request, int(words[0]), more)
        if does is not None:
            return await does(self, request, words[1:], more)
        return await send_json(request, 200, self.completion(request))

    def text(self, request: Request) -> str:
        """What an ordinary question is answered with: the text that was given for it, or JSON that depends on the prompt alone."""
        for part, text in self.answers.items():
            if part in request.prompt:
                return text
        return json.dumps({"answer": hashlib.sha256(request.prompt.encode()).hexdigest()[:12]})

    def completion(self, request: Request, text: str | None = None, finish: str = "stop", **message: Any) -> dict[str, Any]:
        """The body of an answer."""
        content = self.text(request) if text is None else text
        asked = sum(len(str(part["content"])) for part in request.body["messages"])
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request.body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": asked // 4, "completion_tokens": len(content) // 4, "total_tokens": asked // 4 + len(content) // 4},
        }


class Orders:
    """What can be ordered, by its name in braces; ``times=2`` limits it to the first two requests with that prompt.

    {{429 retry-after=0.2}} {{500}} {{401 echo=1}} ...   any status; echo=1 repeats the key and the prompt in the message, as some servers do
    """

    @staticmethod
    async def status(server: Misbehaving, request: Request, status: int, given: Mapping[str, str]) -> None:
        """An error; ``retry-after`` and ``retry-after-ms`` become headers, ``code``, ``param`` and ``message`` stand in the body."""
        headers = {name: given[name] for name in ("retry-after", "retry-after-ms") if name in given}
        message = given.get("message", f"error {status}")
        if "echo" in given:
            message = f"{message}: request with {request.headers.get('authorization')} was: {request.prompt}"
        await send_json(request, status, error(message, given.get("type", "some_error"), given.get("code"), given.get("param")), headers)

    @staticmethod
    async def slow(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{slow 2}}: the first byte comes after so many seconds."""
        await asyncio.sleep(float(words[0]))
        await send_json(request, 200, server.completion(request))

    @staticmethod
    async def drip(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{drip 2}}: the answer comes a byte at a time, the last after so many seconds."""
        content = json.dumps(server.completion(request)).encode()
        request.writer.write(head(200, len(content)))
        for byte in content:
            request.writer.write(bytes([byte]))
            await request.writer.drain()
            await asyncio.sleep(float(words[0]) / len(content))

    @staticmethod
    async def cut(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{cut}}: the connection is closed in the middle of the answer; {{cut before}}: ahead of it."""
        content = json.dumps(server.completion(request)).encode()
        if words != ["before"]:
            request.writer.write(head(200, len(content)) + content[: len(content) // 2])
            await request.writer.drain()
        raise Cut

    @staticmethod
    async def half(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{half}}: half of the JSON, as if it were all."""
        content = json.dumps(server.completion(request)).encode()
        await send(request, 200, content[: len(content) // 2])

    @staticmethod
    async def html(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{html}}: a page instead of an answer, as a gateway sends it."""
        await send(request, 200, b"<html>Welcome</html>", kind="text/html")

    @staticmethod
    async def say(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{say "a text"}}: this text."""
        await send_json(request, 200, server.completion(request, words[0]))

    @staticmethod
    async def wrong_schema(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{wrong-schema}}: JSON of other names."""
        await send_json(request, 200, server.completion(request, '{"something": "else"}'))

    @staticmethod
    async def prose(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{prose}}: the JSON with words round it."""
        await send_json(request, 200, server.completion(request, f"Sure! Here is what you asked for:\n{server.text(request)}\nI hope this helps."))

    @staticmethod
    async def fenced(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{fenced}}: the JSON between fences."""
        await send_json(request, 200, server.completion(request, f"```json\n{server.text(request)}\n```"))

    @staticmethod
    async def refusal(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{refusal}}: in the field that OpenAI has for it; {{refusal text}}: as an ordinary answer."""
        words_of_it = "I am sorry, but I cannot help with that."
        if words == ["text"]:
            return await send_json(request, 200, server.completion(request, words_of_it))
        body = server.completion(request, words_of_it, refusal=words_of_it)
        body["choices"][0]["message"]["content"] = None
        return await send_json(request, 200, body)

    @staticmethod
    async def filter(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{filter}}: the provider's filter took the answer away."""
        await send_json(request, 200, server.completion(request, "", finish="content_filter"))

    @staticmethod
    async def length(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{length}}: the answer ends at max_tokens."""
        await send_json(request, 200, server.completion(request, server.text(request)[:9], finish="length"))

    @staticmethod
    async def empty(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{empty choices}}: no choice; {{empty text}}: a choice without text."""
        body = server.completion(request, "")
        await send_json(request, 200, {**body, "choices": []} if words == ["choices"] else body)

    @staticmethod
    async def served(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{served gpt-3}}: another model than was asked answers."""
        await send_json(request, 200, {**server.completion(request), "model": words[0]})

    @staticmethod
    async def redirect(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{redirect http://host/}}: go and ask there."""
        await send(request, 307, b"", {"location": words[0]})

    @staticmethod
    async def no_usage(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{no-usage}}: an answer that does not count its tokens."""
        body = server.completion(request)
        del body["usage"]
        await send_json(request, 200, body)

    @staticmethod
    async def usage(server: Misbehaving, request: Request, words: list[str], given: Mapping[str, str]) -> None:
        """{{usage '[1]'}}: an answer that counts its tokens in this form."""
        await send_json(request, 200, {**server.completion(request), "usage": json.loads(words[0])})


def text_of(content: object) -> str:
    """The words of a message: all of it, or of its parts those that are text."""
    parts = content if isinstance(content, list) else [{"text": str(content)}]
    return "".join(part.get("text", "") for part in parts)


def parse(order: str) -> tuple[list[str], dict[str, str]]:
    """The words and the name=value of an order."""
    parts = shlex.split(order)
    given = dict(part.split("=", 1) for part in parts[1:] if re.match(r"[a-z-]+=", part))
    return [part for part in parts if not re.match(r"[a-z-]+=", part)], given


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def head(status: int, length: int, headers: Mapping[str, str] | None = None, kind: str = "application/json") -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in (headers or {}).items()), "", ""]).encode()


async def send(request: Request, status: int, content: bytes, headers: Mapping[str, str] | None = None, kind: str = "application/json") -> None:
    """One answer."""
    request.writer.write(head(status, len(content), headers, kind) + content)
    await request.writer.drain()


async def send_json(request: Request, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
    """One answer in JSON."""
    await send(request, status, json.dumps(body).encode(), headers)


async def main() -> None:
    """Listen until killed; the port is the first line printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True)
    parser.add_argument("--answers", default="")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--order", action="append", default=[])
    parser.add_argument("--formats", default="json_schema,json_object")
    parser.add_argument("--models", default="")
    parser.add_argument("--key", default="")
    parser.add_argument("--port", type=int, default=0)
    state = Misbehaving(parser.parse_args())
    server = await asyncio.start_server(state.connection, "127.0.0.1", parser.parse_args().port, limit=1 << 26, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
