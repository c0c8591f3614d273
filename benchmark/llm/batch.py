"""Questions handed in as batches: half the price, a day's latency, the same cache.

A batch is written down before it is submitted, so that a command that was killed at any moment finds it again. What is never done twice is to
submit (which is what is paid for): where it cannot be told whether a batch was taken, the endpoint's own list decides. Requests quote reports, so
they lie in a file without a name, that a killed process leaves nothing of, and are taken away from the endpoint once answered.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import tempfile
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from benchmark.llm.batch_wire import TRIES, BatchServer, Gone, NoBatches, Unanswered, errors_of
from benchmark.llm.budget import Budget, dollars
from benchmark.llm.cache import AnswerCache, Kept
from benchmark.llm.openai_wire import tokens_of
from benchmark.llm.prices import Price
from benchmark.llm.questions import Failed
from benchmark.progress import progress
from benchmark.records import UserError
from benchmark.runs import writing
from benchmark.screen import say

MOST_REQUESTS = 50_000  # of one file; platform.openai.com/docs/guides/batch
MOST_BYTES = 190_000_000  # likewise 200 MB
KEPT_AT_ONCE = 1_000
FULL_QUEUE = "token_limit_exceeded"  # the endpoint holds as many waiting tokens of this model as the account may have
QUEUE_TRIES = 24  # with the pauses that grow, some hours
OVER = frozenset(("completed", "failed", "expired", "cancelled", "lost"))

State = Literal["written", "uploaded", "submitted", "collected"]


class BatchesInUse(UserError):
    """Another command is at the batches of this model."""


class Asked(NamedTuple):
    """One question as it is handed in."""

    key: str
    """of the cache"""
    task: str
    body: Mapping[str, Any]
    """of OpenAI's chat completions"""
    prompt_characters: int
    """see ``Kept``"""
    most: float = 0.0
    """dollars that it can cost at most, in a batch"""


@dataclass(frozen=True)
class Pauses:
    """How often to look whether a batch is done, in seconds."""

    first: float = 10.0
    longest: float = 600.0
    growth: float = 1.5


@dataclass
class Pending:
    """A batch that has been written down."""

    tag: str
    """how it is known again"""
    keys: dict[str, tuple[str, int]]
    """key -> task and characters"""
    state: State = "written"
    file_id: str = ""
    batch_id: str = ""
    reserved: dict[str, float] = field(default_factory=dict)
    """key -> dollars; empty for a batch of an earlier command, whose budget had to bear it"""
    counted: set[str] = field(default_factory=set)
    """keys of answers that were paid for: where a file of answers breaks off, its lines are read once more"""
    done: int = 0
    """requests of which the endpoint says that they are done"""
    turned_away: int = 0
    """how often the endpoint's queue was full while nothing else of ours was in it"""


async def fill(
    asked: Iterable[Asked],
    server: BatchServer,
    model: str,
    cache: AnswerCache,
    budget: Budget,
    *,
    price: Price | None,
    read: Callable[[Mapping[str, Any]], Kept | Failed],
    pauses: Pauses | None = None,
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
    is_refresh: bool = False,
) -> dict[str, Failed]:
    """Hand the questions in, wait, and put the answers into the cache; key -> failure of those that have none.

    asked  questions without an answer in the cache, taken as files are written; one that an earlier command handed in is only waited for
    price  of a token in a batch
    read   makes an answer of the body of one chat completion; task, model, cost and characters are filled in here
    is_refresh  see ``Budget.reached``

    Raises ``BudgetReached`` after everything that was handed in is in the cache, if more was asked than the budget bears; ``BatchesInUse``,
    ``NoBatches``, ``Unanswered``, ``CannotWrite``.
    """
    desk = _Desk(server, model, cache, budget, price, read, pauses or Pauses())
    with _alone(cache.file, server.url, model):
        pending = await desk.found_again()
        questions = _Affordable(asked, budget, {key for batch in pending for key in batch.keys})
        while batch := await desk.hand_in(questions, most_requests, most_bytes):
            pending.append(batch)
        _tell(model, pending)
        failures = await desk.collect(pending)
    if questions.refused:
        raise budget.reached(questions.refused + sum(1 for _ in questions.rest), is_refresh=is_refresh)
    return failures


class _Affordable:
    """The questions that are not under way yet, until the budget bears no more."""

    def __init__(self, asked: Iterable[Asked], budget: Budget, known: set[str]) -> None:
        self.rest = (one for one in asked if one.key not in known)
        self._budget, self._known = budget, known
        self._put_back: Asked | None = None
        self.refused = 0
        """1 once a question had to be left out"""

    def __iter__(self) -> Iterator[Asked]:
        while not self.refused and (one := self._put_back or next(self.rest, None)):
            if self._put_back is None and not self._budget.try_reserve(one.most):
                self.refused = 1
                return
            self._put_back = None
            self._known.add(one.key)
            yield one

    def put_back(self, one: Asked) -> None:
        """It did not fit into this batch, and is the first of the next one."""
        self._put_back = one


@dataclass
class _Desk:
    """Hands in and fetches, for one model at one endpoint."""

    server: BatchServer
    model: str
    cache: AnswerCache
    budget: Budget
    price: Price | None
    read: Callable[[Mapping[str, Any]], Kept | Failed]
    pauses: Pauses
    failures: dict[str, Failed] = field(default_factory=dict)
    earlier: float = 0.0
    """dollars for answers that an earlier command paid for"""

    async def found_again(self) -> list[Pending]:
        """The batches of earlier commands that were submitted; what was not is taken away, and asked anew if it is still wanted."""
        pending = []
        for batch in self._recorded():
            if batch.state == "uploaded" and (found := await self.server.find(batch.tag, batch.file_id)):
                self._record(batch, "submitted", batch_id=str(found["id"]))
            if batch.state == "submitted":
                pending.append(batch)
            else:
                await self._tidy(batch)
        return pending

    async def hand_in(self, questions: _Affordable, most_requests: int, most_bytes: int) -> Pending | None:
        """Write one file of requests and submit it; None if there is nothing left to ask."""
        batch = Pending(uuid.uuid4().hex, {})
        with writing(self.cache.file):
            file = tempfile.TemporaryFile(dir=self.cache.file.parent)  # noqa: SIM115 - without a name; its folder is the owner's alone
        with file:
            with writing(self.cache.file):
                _write(batch, file, questions, most_requests, most_bytes)
            if not batch.keys:
                return None
            self._record(batch, "written")
            self._record(batch, "uploaded", file_id=await self.server.upload(file, f"{batch.tag}.jsonl"))
        await self._submit(batch)
        return batch

    async def collect(self, pending: list[Pending]) -> dict[str, Failed]:
        """Wait for the batches and keep their answers; key -> failure of the questions that have none."""
        pause = self.pauses.first
        with progress(f"batch {self.model}", sum(len(batch.keys) for batch in pending), unit="questions") as advance:
            while pending:
                for batch in list(pending):
                    if await self._look(batch, advance, is_alone=len(pending) == 1):
                        pending.remove(batch)
                if pending:
                    await asyncio.sleep(pause)
                    pause = min(pause * self.pauses.growth, self.pauses.longest)
        if self.earlier:
            say(f"batch {self.model}: {dollars(self.earlier)} of it were spent by an earlier command, and not by this budget", err=True)
        return self.failures

    async def _submit(self, batch: Pending) -> None:
        for _ in range(TRIES):
            try:
                created = await self.server.create(batch.file_id, batch.tag)
            except NoBatches:
                await self._tidy(batch)
                raise
            if created := created or await self.server.find(batch.tag, batch.file_id):
                self._record(batch, "submitted", batch_id=str(created["id"]))
                return
            await asyncio.sleep(self.pauses.first)
        raise Unanswered(
            f"a batch for {self.model} was handed in {TRIES} times and the endpoint does not say that it has it; run the same command again: "
            "if it is there after all, it is found and not paid for twice"
        )

    async def _look(self, batch: Pending, advance: Callable[[int], None], *, is_alone: bool) -> bool:
        """See how far the batch is, and fetch its answers if it is over; True if it needs no further look."""
        try:
            found = await self.server.state(batch.batch_id)
        except Gone:
            found = {"status": "lost"}
        status, counts = found.get("status"), found.get("request_counts") or {}
        done = len(batch.keys) if status in OVER else int(counts.get("completed") or 0) + int(counts.get("failed") or 0)
        if status == "failed" and FULL_QUEUE in errors_of(found) and batch.turned_away < QUEUE_TRIES:
            batch.turned_away += is_alone
            self._record(batch, "uploaded", batch_id="")
            await asyncio.sleep(self.pauses.first)
            await self._submit(batch)
            return False
        advance(done - batch.done)
        batch.done = done
        if status not in OVER:
            return False
        await self._fetch(batch, found)
        return True

    async def _fetch(self, batch: Pending, found: Mapping[str, Any]) -> None:
        missing, has_unreadable = set(batch.keys), False
        for file_id in (found.get("output_file_id"), found.get("error_file_id")):
            kept: dict[str, Kept] = {}
            try:
                with suppress(Gone):
                    async for line in self.server.lines(file_id) if file_id else _nothing():
                        has_unreadable |= not line
                        key = str(line.get("custom_id"))
                        if key in batch.keys:
                            missing.discard(key)
                            self._take(batch, key, line, kept)
                        if len(kept) >= KEPT_AT_ONCE:
                            self.cache.put_many(kept.items())
                            kept.clear()
            finally:  # what was paid for is kept, also of a file that breaks off at every try
                self.cache.put_many(kept.items())
        for key in missing:
            self.failures[key] = Failed("server error", "in a batch: a line of its answers is no JSON object") if has_unreadable else _left_out(found)
        for amount in batch.reserved.values():
            self.budget.release(amount)
        batch.reserved.clear()
        self._record(batch, "collected")
        await self._tidy(batch, found)

    def _take(self, batch: Pending, key: str, line: Mapping[str, Any], kept: dict[str, Kept]) -> None:
        """One line of a file of answers: into ``kept``, or among the failures."""
        response = line.get("response")
        response = response if isinstance(response, dict) else {}
        body = response.get("body")
        if line.get("error") or response.get("status_code") != 200 or not isinstance(body, dict):
            self.failures[key] = _failure(line, response)
            return
        (task, characters), outcome = batch.keys[key], self.read(body)
        ins, outs = (tokens or 0 for tokens in tokens_of(body))
        cost = self.price.of(ins, outs) if self.price else None
        if (reserved := batch.reserved.pop(key, None)) is not None:
            self.budget.settle(reserved, task, self.model, ins, outs, cost)
        elif key not in batch.counted:
            self.earlier += cost or 0.0
        batch.counted.add(key)
        if isinstance(outcome, Failed):
            self.failures[key] = outcome
        else:
            self.failures.pop(key, None)
            kept[key] = outcome._replace(task=task, model=self.model, prompt_characters=characters, cost=cost)

    async def _tidy(self, batch: Pending, found: Mapping[str, Any] | None = None) -> None:
        """Take the batch's files away from the endpoint, then strike it off the list."""
        if found is None and batch.batch_id:
            with suppress(Gone):
                found = await self.server.state(batch.batch_id)
        ids = [batch.file_id, *((found or {}).get(name) for name in ("output_file_id", "error_file_id"))]
        for file_id in dict.fromkeys([*filter(None, ids), *await self.server.files(f"{batch.tag}.jsonl")]):
            await self.server.delete(file_id)
        self.cache.use(lambda database: database.execute("DELETE FROM batches WHERE tag = ?", (batch.tag,)))

    def _record(self, batch: Pending, state: State, *, file_id: str | None = None, batch_id: str | None = None) -> None:
        batch.state = state
        batch.file_id = batch.file_id if file_id is None else file_id
        batch.batch_id = batch.batch_id if batch_id is None else batch_id
        keys = zlib.compress(json.dumps(batch.keys).encode())
        row = (batch.tag, self.server.url, self.model, state, batch.file_id, batch.batch_id, keys)
        self.cache.use(lambda database: database.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)", row))

    def _recorded(self) -> list[Pending]:
        rows = self.cache.use(
            lambda database: database.execute(
                "SELECT tag, keys, state, file_id, batch_id FROM batches WHERE endpoint = ? AND model = ? ORDER BY rowid",
                (self.server.url, self.model),
            ).fetchall()
        )
        return [Pending(tag, {key: (task, n) for key, (task, n) in json.loads(zlib.decompress(keys)).items()}, *more) for tag, keys, *more in rows]


def _write(batch: Pending, file: IO[bytes], questions: _Affordable, most_requests: int, most_bytes: int) -> None:
    """Requests until there are no more, or no more are allowed in one file."""
    for one in questions:
        line = json.dumps({"custom_id": one.key, "method": "POST", "url": "/v1/chat/completions", "body": one.body}).encode() + b"\n"
        if batch.keys and (len(batch.keys) == most_requests or file.tell() + len(line) > most_bytes):
            questions.put_back(one)
            break
        file.write(line)
        batch.keys[one.key], batch.reserved[one.key] = (one.task, one.prompt_characters), one.most
    file.flush()


def _failure(line: Mapping[str, Any], response: Mapping[str, Any]) -> Failed:
    """Why one question of a batch has no answer. Codes alone: messages may quote what was asked."""
    body, status = response.get("body"), int(response.get("status_code") or 0)
    error = line.get("error") or (body.get("error") if isinstance(body, dict) else None) or {}
    code = str(error.get("code") or error.get("type") or "")[:60] if isinstance(error, dict) else ""
    told = f"in a batch: {' '.join(filter(None, (f'status {status}' if status else '', code))) or 'no reason given'}"
    if code == "batch_expired" or status == 408:
        return Failed("timeout", told)
    if status == 429:
        return Failed("rate limit", told)
    return Failed("rejected" if 400 <= status < 500 else "server error", told)


def _left_out(found: Mapping[str, Any]) -> Failed:
    """Why a question of a batch that is over stands in neither of its files."""
    status = found.get("status")
    if status == "failed":
        codes = ", ".join(dict.fromkeys(errors_of(found))) or "no reason given"
        return Failed("rate limit" if FULL_QUEUE in codes else "rejected", f"the endpoint turned the whole batch down: {codes}")
    if status == "expired":
        return Failed("timeout", "the batch was not done within its 24 hours")
    if status == "completed":
        return Failed("empty", "the batch came back without an answer to it")
    return Failed("server error", f"the batch was {status}")


def _tell(model: str, pending: list[Pending]) -> None:
    if pending:
        count = sum(len(batch.keys) for batch in pending)
        batches = f"in {len(pending)} batch{'es' if len(pending) > 1 else ''}"
        say(
            f"batch {model}: {count:,} question{'s are' if count > 1 else ' is'} handed in, {batches}, which may take a day; "
            "this command may be ended meanwhile: run again, it fetches the answers",
            err=True,
        )


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    return
    yield


@contextmanager
def _alone(cache: Path, url: str, model: str) -> Iterator[None]:
    """The only command at the batches of this model at this endpoint: two would hand the same questions in. Raises ``BatchesInUse``."""
    name = hashlib.sha256(f"{url}\n{model}".encode()).hexdigest()[:16]
    with writing(cache):
        cache.parent.parent.mkdir(parents=True, exist_ok=True)
        cache.parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(cache.with_name(f"{cache.name}.batch-{name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BatchesInUse(f"another command waits for the batches of {model}; let it end, or end it and run this one: it takes over") from None
        yield
    finally:
        os.close(lock)
