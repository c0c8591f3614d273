"""OpenAI's batch protocol: files in, a batch of them, its state, files out. platform.openai.com/docs/guides/batch

Failures that may pass are tried again here, except where a second try could be paid twice: the caller of ``create`` looks first.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from benchmark.llm.data_use import host_of
from benchmark.llm.failures import may_pass, read_failure
from benchmark.records import UserError

if TYPE_CHECKING:
    import aiohttp

TAG = "clala-benchmark"
"""under which name a batch carries our tag: by it we know our own again"""
TRIES = 8
LONGEST_PAUSE = 60.0  # seconds
READ = 1 << 16  # bytes of an error
SILENCE = 300.0  # seconds without a byte after which a try is given up


class NoBatches(UserError):
    """The endpoint does not take batches, or not with this key."""


class Unanswered(UserError):
    """The endpoint could not be reached, or did not answer, at every try."""


class Gone(Exception):
    """The endpoint does not know the file or batch."""


@dataclass(frozen=True)
class BatchServer:
    """One endpoint that takes batches."""

    session: aiohttp.ClientSession
    url: str
    """base, up to and with ``/v1``"""
    key: str = field(repr=False, default="")
    pause: float = 1.0
    """seconds before the second try; doubled at each further one"""
    more: Mapping[str, Any] = field(default_factory=dict)
    """further options of every request: a proxy"""

    async def upload(self, file: IO[bytes], name: str) -> str:
        """Hand in a file of requests; its id. May leave a second one of that name behind, which costs nothing."""
        import aiohttp

        def form() -> Any:
            file.seek(0)
            data = aiohttp.FormData()
            data.add_field("purpose", "batch")
            # A duplicate of the descriptor: aiohttp closes what it was given, and a second try needs it once more.
            data.add_field("file", os.fdopen(os.dup(file.fileno()), "rb"), filename=name, content_type="application/jsonl")
            return data

        return str((await self._json("POST", "/files", form=form))["id"])

    async def create(self, file_id: str, tag: str) -> dict[str, Any] | None:
        """Submit the file, which is what is paid for; the batch, or None where it cannot be told whether it was taken."""
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {TAG: tag}}
        try:
            return await self._json("POST", "/batches", body=body, tries=1)
        except Unanswered:
            return None

    async def find(self, tag: str, file_id: str) -> dict[str, Any] | None:
        """The batch that carries the tag or was made of the file, unless it failed before it began. Raises ``NoBatches``, ``Unanswered``."""
        after = ""
        while True:
            try:
                page = await self._json("GET", "/batches", query={"limit": "100", **({"after": after} if after else {})})
            except Gone:
                raise NoBatches(
                    f"{host_of(self.url)} does not list its batches, and so cannot say whether one that was handed in is there; ask without --batch"
                ) from None
            for batch in page.get("data", []):
                is_ours = (batch.get("metadata") or {}).get(TAG) == tag or (file_id and batch.get("input_file_id") == file_id)
                if is_ours and batch.get("status") != "failed":
                    return dict(batch)
            if not page.get("has_more") or not page.get("data"):
                return None
            after = str(page["data"][-1]["id"])

    async def state(self, batch_id: str) -> dict[str, Any]:
        """The batch as it is now. Raises ``Gone``."""
        return await self._json("GET", f"/batches/{batch_id}")

    async def lines(self, file_id: str) -> AsyncIterator[dict[str, Any]]:
        """The lines of a file of answers; an empty one for each that is no JSON object. Raises ``Gone``, ``Unanswered``.

        Half a line at the end (a connection that was cut) begins the file again.
        """
        import aiohttp

        for number in range(TRIES):
            try:
                async with await self._answer("GET", f"/files/{file_id}/content") as answer:
                    async for line in _split(answer.content.iter_chunked(1 << 16)):
                        yield line
                return
            except (aiohttp.ClientError, TimeoutError, ValueError):
                await self._wait(number)
        raise Unanswered(
            f"{host_of(self.url)} did not hand over all the answers of a batch at {TRIES} tries; run the same command again to fetch the rest, "
            "or without --batch to ask it anew"
        )

    async def delete(self, file_id: str) -> None:
        """Take a file away from the endpoint: it quotes reports."""
        try:
            await self._json("DELETE", f"/files/{file_id}", tries=2)
        except (Gone, UserError):
            return  # gone already, or kept by an endpoint that deletes nothing

    async def files(self, name: str) -> list[str]:
        """Ids of the files of that name; none where the endpoint lists no files."""
        try:
            page = await self._json("GET", "/files", query={"purpose": "batch"}, tries=2)
        except (Gone, UserError):
            return []
        return [str(file["id"]) for file in page.get("data", []) if file.get("filename") == name]

    async def _json(
        self, method: str, path: str, *, body: object = None, form: Any = None, query: Mapping[str, str] | None = None, tries: int = TRIES
    ) -> dict[str, Any]:
        import aiohttp

        for number in range(tries):
            try:
                async with await self._answer(method, path, body=body, form=form, query=query) as answer:
                    found = await answer.json(content_type=None)
                if isinstance(found, dict):
                    return found
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass
            if number + 1 < tries:
                await self._wait(number)
        raise Unanswered(
            f"{host_of(self.url)} did not answer {method} {path.split('/')[1]} at {tries} tries; what was handed in is kept there: run again"
        )

    async def _answer(self, method: str, path: str, *, body: object = None, form: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """An answer with status 2xx. Raises ``Gone``, ``NoBatches``; ``aiohttp.ClientError`` for what may pass."""
        import aiohttp

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        answer = await self.session.request(
            method,
            self.url + path,
            json=body,
            data=form() if form else None,
            params=query,
            headers=headers,
            allow_redirects=False,  # where to may not be where text and key may go
            **self.more,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=SILENCE),
        )
        if 200 <= answer.status < 300:
            return answer
        async with answer:
            status, code = answer.status, read_failure(await answer.content.read(READ)).code[:60]  # messages may quote what was sent
        if may_pass(status):
            raise aiohttp.ClientError(f"status {status}")
        if status == 404 and method != "POST":
            raise Gone(path)
        told = f"status {status}{f' ({code})' if code else ''}"
        if status in (401, 403):
            raise NoBatches(f"{host_of(self.url)} does not let this key hand in batches: {told}; give another key, or ask without --batch")
        raise NoBatches(f"{host_of(self.url)} takes no batches at {path}: {told}; ask without --batch, it costs twice as much and needs no day")

    async def _wait(self, number: int) -> None:
        await asyncio.sleep(min(self.pause * 2**number, LONGEST_PAUSE))


def errors_of(batch: Mapping[str, Any]) -> Sequence[str]:
    """The codes of what is wrong with a batch; not the messages, which may quote what was sent."""
    found = batch.get("errors") or {}
    return [str(error.get("code") or "unknown error") for error in (found.get("data") or [] if isinstance(found, dict) else [])]


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Raises ``ValueError`` for half a line at the end."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield _result(line) or {}  # one question has no answer, and those behind it have theirs
    if rest.strip():
        last = _result(rest)
        if last is None:
            raise ValueError("the file breaks off in a line")
        yield last


def _result(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
