"""Questions in flight: each is asked once at a time, tried again for named causes, paid from the budget, and kept before anybody hears of the answer.

Everything here but ``start`` and ``abandon`` runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

from benchmark.llm.background import event_loop
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache, Kept
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.estimate import CHARACTERS_PER_TOKEN
from benchmark.llm.failures import EndpointDown, Refusals
from benchmark.llm.limits import FIRST_PAUSE_SECONDS, Gate
from benchmark.llm.prices import Price, most_tokens
from benchmark.llm.questions import Failed
from benchmark.llm.structured import WEAKER, response_format
from benchmark.llm.wire import Call, Manner, Reply, Trouble, Wire
from benchmark.records import UserError
from benchmark.screen import say

LONGEST_PAUSE_SECONDS = 30.0
IN_A_ROW = 30
"""so many questions without an answer, and no other one between them, are the endpoint's doing"""

Arrival = tuple[str, Kept | Failed] | tuple[None, BaseException]
"""key and outcome, or what ends it all"""
Arrivals = SimpleQueue[Arrival]


class Paid(NamedTuple):
    """What a call took."""

    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """dollars; None where nobody knows the price"""


class Asked(NamedTuple):
    """A question on its way."""

    key: str
    call: Call


@dataclass
class Tally:
    """What happened on the way, for the closing line and the record of a run."""

    sent: int = 0
    """questions, those to mend an answer included, each counted once however often it was tried"""
    retried: Counter[str] = field(default_factory=Counter)
    """further tries, by cause"""
    tokens_estimated: int = 0
    """answers whose endpoint did not count tokens"""
    prompt_tokens: int = 0
    """of answers, usable or not, and of calls that may have been answered unheard"""
    completion_tokens: int = 0
    """of answers, usable or not"""
    cost: float = 0.0
    """dollars, as far as prices are known"""
    unpriced: int = 0
    """answers whose price is not known"""


@dataclass
class _Attempt:
    """How one question stands."""

    manner: Manner = "json_schema"
    """how JSON was asked for at the last try"""
    own: Manner | None = None
    """another manner than all others use, to find out"""
    is_again: bool = False
    """True if it was sent before"""


@dataclass
class _Flight:
    arrivals: list[Arrivals]
    """who waits for it"""
    task: asyncio.Task[None] | None = None
    is_sent: bool = False
    """True while it is with the endpoint"""


class Flights:
    """All questions of one client that are under way."""

    def __init__(
        self,
        endpoint: Endpoint,
        wire: Wire,
        refusals: Refusals,
        *,
        cache: AnswerCache,
        budget: Budget,
        price: Price | None,
        tally: Tally,
        is_refresh: bool,
        first_pause: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        """Without ``is_refresh`` the cache is looked at once more before a question leaves: someone else may have asked meanwhile."""
        self.tally = tally
        self._endpoint, self._wire, self._refusals = endpoint, wire, refusals
        self._cache, self._budget, self._price, self._is_refresh = cache, budget, price, is_refresh
        self._gate = Gate(endpoint.concurrency, endpoint.requests_per_minute, endpoint.tokens_per_minute, first_pause=first_pause)
        self._first_pause = first_pause
        self._flying: dict[str, _Flight] = {}
        self._end: BaseException | None = None
        """why nothing more is sent; told once what was sent is back"""
        self._to_tell: dict[int, Arrivals] = {}
        """by id"""
        self._reserved = 0
        self._settled = asyncio.Event()
        self._manner: Manner = "json_schema" if endpoint.structured == "auto" else endpoint.structured
        self._is_manner_certain = False
        self._answer_tokens = 0.0  # a running mean
        self._in_a_row = 0
        self._chance = random.Random()

    # ---- from the caller's thread

    def start(self, asked: Sequence[Asked], arrivals: Arrivals) -> None:
        """Send these; their outcomes come in ``arrivals``, in the order in which they are there."""
        event_loop().call_soon_threadsafe(self._take_off, asked, arrivals)

    def abandon(self, arrivals: Arrivals) -> None:
        """Nobody listens there any more: call off what nobody else waits for. Does not wait for it: a generator may be closed in any thread."""
        event_loop().call_soon_threadsafe(self._call_off, arrivals)

    # ---- in the event loop

    def _take_off(self, asked: Sequence[Asked], arrivals: Arrivals) -> None:
        if self._end is not None:
            self._to_tell[id(arrivals)] = arrivals
            return
        try:
            fresh = [one.key for one in asked if one.key not in self._flying]
            known = {} if self._is_refresh else self._cache.get_many(fresh)
        except Exception as error:
            arrivals.put((None, error))
            return
        for one in asked:
            if (flight := self._flying.get(one.key)) is not None:
                flight.arrivals.append(arrivals)
            elif one.key in known:
                arrivals.put((one.key, known[one.key]))
            else:
                self.tally.sent += 1
                flight = self._flying[one.key] = _Flight([arrivals])
                flight.task = asyncio.get_running_loop().create_task(self._fly(one, flight))

    def _call_off(self, arrivals: Arrivals) -> None:
        self._to_tell.pop(id(arrivals), None)
        for key, flight in list(self._flying.items()):
            if arrivals in flight.arrivals:
                flight.arrivals.remove(arrivals)
                if not flight.arrivals:
                    self._cancel(key)
        self._tell_if_over()

    def _cancel(self, key: str) -> None:
        """Off the list at once: who asks the same in the next moment must not wait for a flight that is being called off."""
        flight = self._flying.pop(key)
        if flight.task is not None:
            flight.task.cancel()

    async def _fly(self, asked: Asked, flight: _Flight) -> None:
        outcome: Kept | Failed | None = None
        try:
            outcome = await self._outcome(asked.call, flight)
            if isinstance(outcome, Kept):
                self._cache.put(asked.key, outcome)
        except Exception as error:  # asking on is pointless, or we have a fault: either is for the callers, all of them
            outcome = None
            self._begin_to_end(error, flight)
        if self._flying.get(asked.key) is flight:
            del self._flying[asked.key]
        if outcome is not None:
            for arrivals in flight.arrivals:
                arrivals.put((asked.key, outcome))
        self._tell_if_over()

    def _begin_to_end(self, error: Exception, cause: _Flight) -> None:
        """Call off what was not sent. What was is paid for: it comes back, or is too late, and is kept before anybody hears of the error."""
        self._end = self._end or error
        self._to_tell |= {id(arrivals): arrivals for flight in self._flying.values() for arrivals in flight.arrivals}
        for key, flight in list(self._flying.items()):
            if flight is not cause and not flight.is_sent:
                self._cancel(key)

    def _tell_if_over(self) -> None:
        if self._end is None or self._flying:
            return
        for arrivals in self._to_tell.values():
            arrivals.put((None, self._end))
        self._end, self._to_tell = None, {}

    async def _outcome(self, call: Call, flight: _Flight) -> Kept | Failed | None:
        """Try until there is an answer, or a failure that is final; None where nothing more is sent."""
        attempt, tries = _Attempt(), 0
        while True:
            try:
                reply, paid = await self._try(call, attempt, flight)
            except Trouble as caught:
                if self._end is not None:
                    return None
                trouble = caught
            else:
                self._in_a_row = 0
                if call.schema is not None and not self._is_manner_certain:
                    self._manner, self._is_manner_certain = attempt.manner, True
                return self._kept(call, reply, paid)
            if (weaker := self._weaker(attempt.manner, call, trouble)) is not None:
                attempt.own = weaker
                attempt.is_again = True
                continue
            if not trouble.may_pass or tries >= self._endpoint.retries:
                return self._failed(trouble, tries)
            tries += 1
            attempt.is_again = True
            self.tally.retried[trouble.kind] += 1
            self._say_if_late(trouble)
            if not trouble.too_much:  # else the gate makes everybody wait
                await asyncio.sleep(self._chance.uniform(0, min(LONGEST_PAUSE_SECONDS, self._first_pause * 2 ** (tries - 1))))

    async def _try(self, call: Call, attempt: _Attempt, flight: _Flight) -> tuple[Reply, Paid]:
        """One call, when its turn comes. Raises ``Trouble``, ``EndpointRefuses``, ``BudgetReached``."""
        ins = int(characters_of(call) / CHARACTERS_PER_TOKEN)
        expected = ins + (self._answer_tokens or self._endpoint.max_tokens)
        era = await self._gate.enter(expected, again=attempt.is_again)
        try:
            reserved = await self._reserve(call)
            attempt.manner = attempt.own or self._manner  # now: others may have found out while this one waited for its turn
            # Whatever ends the call, the answer may have been written, to its full length: better to count it than to cross a limit.
            paid: Paid | None = Paid(ins, 0, reserved if self._price else None)
            flight.is_sent = True
            try:
                reply = await self._wire.send(call, attempt.manner)
                paid = self._paid(ins, reply)
            except Trouble as trouble:
                if not trouble.may_be_billed:
                    paid = None
                if trouble.too_much:
                    self._gate.too_much(era, trouble.wait)
                raise
            except UserError:
                paid = None
                raise
            finally:
                flight.is_sent = False
                self._settle(call, reserved, paid)
            self._gate.correct(paid.prompt_tokens + paid.completion_tokens - expected)
            self._gate.went_well()
        finally:
            self._gate.leave()
        if (failed := failure_of(reply, self._endpoint.max_tokens)) is not None and failed.kind == "empty":
            raise Trouble(failed.kind, failed.what)
        return reply, paid

    async def _reserve(self, call: Call) -> float:
        """The most that the call can cost, put aside. Raises ``BudgetReached`` where nothing under way could make room for it."""
        amount = 0.0
        if self._price is not None:
            amount = most_of(call, self._price, self._endpoint.max_tokens)
        while not self._budget.try_reserve(amount):
            if not self._reserved:
                raise self._budget.reached(len(self._flying), is_refresh=self._is_refresh)
            self._settled.clear()
            await self._settled.wait()
        self._reserved += 1
        return amount

    def _settle(self, call: Call, reserved: float, paid: Paid | None) -> None:
        if paid is None:
            self._budget.release(reserved)
        else:
            self._budget.settle(reserved, call.task, self._endpoint.model, *paid)
            self.tally.prompt_tokens += paid.prompt_tokens
            self.tally.completion_tokens += paid.completion_tokens
            self.tally.cost += paid.cost or 0.0
            self.tally.unpriced += paid.cost is None
        self._reserved -= 1
        self._settled.set()

    def _paid(self, ins_guessed: int, reply: Reply) -> Paid:
        ins, outs = reply.prompt_tokens, reply.completion_tokens
        self.tally.tokens_estimated += ins is None or outs is None
        ins = ins_guessed if ins is None else ins
        outs = int(len(reply.text) / CHARACTERS_PER_TOKEN) if outs is None else outs
        self._answer_tokens = 0.9 * (self._answer_tokens or outs) + 0.1 * outs
        return Paid(ins, outs, self._price.of(ins, outs) if self._price else None)

    def _kept(self, call: Call, reply: Reply, paid: Paid) -> Kept | Failed:
        """The answer for the cache. One that is cut short or refused is not kept: a failure is asked again by the next run."""
        return failure_of(reply, self._endpoint.max_tokens) or Kept(
            reply.text, reply.served_by, *paid, call.task, self._endpoint.model, characters_of(call)
        )

    def _weaker(self, manner: Manner, call: Call, trouble: Trouble) -> Manner | None:
        """The next manner of asking for JSON to try, where this one may be what the endpoint does not take."""
        weaker = WEAKER.get(manner)
        if self._endpoint.structured != "auto" or weaker is None or call.schema is None or not trouble.may_be_format:
            return None
        if trouble.is_format:
            if self._manner == manner:
                self._manner = weaker
            return weaker
        return None if self._is_manner_certain else weaker

    def _say_if_late(self, trouble: Trouble) -> None:
        """Once: who waits for a slow server of his own would otherwise see nothing happen, try after try."""
        if trouble.kind == "timeout" and self.tally.retried["timeout"] == 1:
            more = f"a slow server is given more by --set llm.timeout={10 * self._endpoint.timeout:g}"
            say(f"{self._endpoint.model}: {trouble.what}, asked again; {more}, or fewer questions at once: llm.concurrency", err=True)

    def _failed(self, trouble: Trouble, tries: int) -> Failed:
        """The final failure of one question. Raises ``EndpointDown`` after too many in a row."""
        self._in_a_row += not trouble.is_about_question
        what = trouble.what if not tries else f"{trouble.what}; tried {tries + 1} times"
        if self._in_a_row >= IN_A_ROW:
            raise EndpointDown(
                f"asked {self._refusals.where}: {IN_A_ROW} questions in a row have no answer, the last because: {what}; see to the endpoint, "
                f"{self._refusals.again}"
            )
        return Failed(trouble.kind, what)

    async def close(self) -> None:
        """Let go of connections."""
        await self._wire.close()


def failure_of(reply: Reply, max_tokens: int) -> Failed | None:
    """Why a reply holds no answer; None if it does."""
    if reply.finish == "filter":
        return Failed("refused", "the model, or its provider's filter, would not answer")
    if reply.finish == "length":
        return Failed("cut short", f"the answer was not finished after {max_tokens:,} tokens; raise llm.max_tokens")
    return None if reply.text.strip() else Failed("empty", "an answer without text")


def most_of(call: Call, price: Price, max_tokens: int) -> float:
    """Dollars that a call can cost at most."""
    written = sum(len(text.encode("utf-8", "surrogatepass")) for text in call.texts) + len(str(call.schema or ""))
    return price.of(most_tokens(written, len(call.messages), len(call.images)), max_tokens)


def characters_of(call: Call) -> int:
    """Of everything that is sent and counted: messages and schema. What images come to in tokens, their endpoint alone knows."""
    return sum(map(len, call.texts)) + (len(str(response_format("json_schema", call.schema))) if call.schema is not None else 0)
