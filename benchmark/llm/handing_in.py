"""A client's questions handed in as batches: all of them at once, then those that are to mend an answer, then the outcomes in order.

Batches take up to a day, so the questions cannot be taken as they are needed: every one of them is handed in before the first outcome. They wait on
disk, in files without a name beside the cache, that a killed process leaves nothing of.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar

from benchmark.llm.background import event_loop
from benchmark.llm.batch import Asked, fill
from benchmark.llm.batch_wire import BatchServer, NoBatches
from benchmark.llm.cache import Kept
from benchmark.llm.client import CHUNK, Client, Entry
from benchmark.llm.flights import characters_of, failure_of, most_of
from benchmark.llm.openai_wire import OpenAIWire, proxy_of, read_reply
from benchmark.llm.questions import Answered, Failed, Question
from benchmark.llm.wire import Call, Manner
from benchmark.runs import writing

T = TypeVar("T")


def in_batches(client: Client, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
    """One outcome per question, in order, once all of them are there."""
    fresh: set[int] = set()
    with _spool(client) as calls:
        with _spool(client) as missing:
            for entries in _chunks(map(client.keyed, ([question] for question in questions))):
                known = client.known(entries)
                for entry in entries:
                    calls.add(entry.call)
                    if entry.key not in known:
                        _wanted(entry, missing, fresh)
            failures = _handed_in(client, missing)
        with _spool(client) as mendings:
            for entry in _read(client, calls, read):
                if entry.outcome is None and entry.key not in failures and entry.is_mending:
                    _wanted(entry, mendings, fresh)
            failures |= _handed_in(client, mendings)
        for entry in _read(client, calls, read):
            if entry.outcome is None:
                entry.outcome = failures.get(entry.key) or Failed("server error", "the batch came back without an answer")
            entry.is_fresh = _short(entry.key) in fresh or _short(entry.first_key) in fresh
            yield client.counted(entry)


class _Spool:
    """Calls that wait on disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.count = file, 0

    def add(self, call: Call) -> None:
        """Put one more behind the others."""
        pickle.dump(tuple(call), self._file)
        self.count += 1

    def __iter__(self) -> Iterator[Call]:
        """From the first to the last; one walk at a time, and nothing is added meanwhile."""
        self._file.seek(0)
        for _ in range(self.count):
            yield Call(*pickle.load(self._file))


@contextmanager
def _spool(client: Client) -> Iterator[_Spool]:
    folder = client.cache.file.parent
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below; its folder is the owner's alone
    with file:
        yield _Spool(file)


def _wanted(entry: Entry[Any], spool: _Spool, fresh: set[int]) -> None:
    if _short(entry.key) not in fresh:
        fresh.add(_short(entry.key))
        spool.add(entry.call)


def _read(client: Client, calls: _Spool, read: Callable[[str], T]) -> Iterator[Entry[T]]:
    """Every question with its outcome, as far as the cache knows it."""
    for entries in _chunks([Entry[T](call, client.key_of(call))] for call in calls):
        known = client.known(entries)
        for entry in entries:
            if (kept := known.get(entry.key)) is not None:
                client.use(entry, kept, read)
            yield entry


def _handed_in(client: Client, calls: _Spool) -> dict[str, Failed]:
    """The answers are in the cache; key -> failure of those that have none."""
    if not calls.count:
        return {}
    if client.route.transport != "direct":
        raise NoBatches(
            f"{client.endpoint.model} is reached through LiteLLM, and batches are handed in by OpenAI's protocol alone; ask without --batch"
        )
    client.check_sending()
    before = _spent(client)
    running = asyncio.run_coroutine_threadsafe(_fill(client, calls), event_loop())
    try:
        failures = running.result()
    except BaseException:
        running.cancel()
        raise
    client.tally.sent += calls.count
    cost, ins, outs = (now - then for now, then in zip(_spent(client), before, strict=True))
    client.tally.cost += cost
    client.tally.prompt_tokens += round(ins)
    client.tally.completion_tokens += round(outs)
    client.tally.unpriced += calls.count if client.price(is_batch=True) is None else 0
    client.note_renewed(key for call in calls if (key := client.key_of(call)) not in failures)  # else an old answer would pass for a new one
    return failures


def _spent(client: Client) -> tuple[float, float, float]:
    """Dollars and tokens, of questions and answers, that the client's model took so far."""
    rows = [row for row in client.budget.rows() if row.model == client.endpoint.model]
    return sum(row.cost for row in rows), sum(row.prompt_tokens for row in rows), sum(row.completion_tokens for row in rows)


async def _fill(client: Client, calls: Iterable[Call]) -> dict[str, Failed]:
    import aiohttp

    endpoint, route, price = client.endpoint, client.route, client.price(is_batch=True)
    wire = client.wire()
    assert isinstance(wire, OpenAIWire)
    manner: Manner = "json_schema" if endpoint.structured == "auto" else endpoint.structured
    asked = (
        Asked(
            client.key_of(call),
            call.task,
            wire.body(call, manner),
            characters_of(call),
            most_of(call, price, endpoint.max_tokens) if price is not None else 0.0,
        )
        for call in calls
    )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session:
        server = BatchServer(session, route.url, route.key, more=proxy_of(route))
        return await fill(
            asked,
            server,
            endpoint.model,
            client.cache,
            client.budget,
            price=price,
            read=lambda body: _answer(body, endpoint.max_tokens),
            pauses=client.pauses,
            is_refresh=client.is_refresh,
        )


def _answer(body: Mapping[str, Any], max_tokens: int) -> Kept | Failed:
    reply = read_reply(dict(body))
    failed = failure_of(reply, max_tokens)
    return failed or Kept(reply.text, reply.served_by, reply.prompt_tokens or 0, reply.completion_tokens or 0, None, "", "")


def _chunks(entries: Iterable[list[Entry[T]]]) -> Iterator[list[Entry[T]]]:
    flat = itertools.chain.from_iterable(entries)
    while some := list(itertools.islice(flat, CHUNK)):
        yield some


def _short(key: str) -> int:
    return int(key[:16], 16)  # enough to tell a million apart, in a third of the room
