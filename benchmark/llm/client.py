"""The client: questions in, outcomes out, in order; what was answered before comes from the cache, the rest is asked many at a time.

Callers need to know nothing of event loops: questions are taken as they are needed, so many that the endpoint is kept busy and no more, and their
texts are read (by the task's ``read``) in the caller's own thread. A run that is answered from the cache starts no thread, needs no key and imports
nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from benchmark.llm.background import event_loop
from benchmark.llm.budget import Budget, dollars
from benchmark.llm.cache import AnswerCache, Kept, key_of
from benchmark.llm.discretion import told_of_answer
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.estimate import Estimate, Expected
from benchmark.llm.failures import AGAIN, AGAIN_REFRESHED, Refusals
from benchmark.llm.flights import Arrival, Arrivals, Asked, Flights, Tally, characters_of
from benchmark.llm.limits import FIRST_PAUSE_SECONDS
from benchmark.llm.prices import Price, price_for_budget, price_of
from benchmark.llm.questions import Answered, Failed, Question, Unusable
from benchmark.llm.routes import Route
from benchmark.llm.served import is_the_model
from benchmark.llm.structured import mending
from benchmark.llm.wire import Call, Wire

if TYPE_CHECKING:
    from benchmark.llm.batch import Pauses

T = TypeVar("T")

FIRST_CHUNK = 16
CHUNK = 256
"""questions that are looked up at once; fewer at first, so that the first ones leave early"""
WINDOW = 512
"""questions under way or waiting for those before them, at least"""
WINDOW_OF_IMAGES = 64
"""likewise where they show images: of these each may be a megabyte, and they are in memory until their turn has come"""


@dataclass
class Counts:
    """What became of the questions of a client."""

    asked: int = 0
    """sent, or joined to an identical one that was"""
    cached: int = 0
    """answered before"""
    mended: int = 0
    """answered usably at the second time of asking"""
    failed: Counter[str] = field(default_factory=Counter)
    """by kind"""
    served: Counter[str] = field(default_factory=Counter)
    """other models than the one that was asked for, as the endpoint names them"""


class Entry(Generic[T]):
    """A question that has no outcome yet."""

    __slots__ = ("call", "first_key", "is_fresh", "is_mending", "key", "outcome")

    def __init__(self, call: Call, key: str) -> None:
        self.call, self.key, self.first_key = call, key, key
        self.outcome: Answered[T] | Failed | None = None
        self.is_mending = False
        self.is_fresh = False
        """True once it had to be sent"""


class Client:
    """Asks one model; fulfils ``Ask``. One may be used by several threads, and its questions then share one limit."""

    def __init__(
        self,
        endpoint: Endpoint,
        route: Route,
        *,
        cache: AnswerCache,
        budget: Budget,
        mode: Literal["ask", "estimate", "batch"] = "ask",
        refresh: bool = False,
        secrets: Sequence[str] = (),
        may_send: Callable[[], None] | None = None,
        first_pause: float = FIRST_PAUSE_SECONDS,
        pauses: Pauses | None = None,
    ) -> None:
        """Nothing is opened and nothing sent.

        mode         estimate asks nothing and counts; batch hands everything in at half price and waits
        refresh      ask anew what was answered before
        secrets      what no message may contain, beside the route's key
        may_send     called before anything is sent; raises ``UserError`` where the text may not travel or a key is missing
        first_pause  seconds before the second try, at most; the longest pause doubles with every try
        pauses       between looks at a batch
        """
        self.endpoint, self.route, self.mode, self.pauses = endpoint, route, mode, pauses
        self.counts = Counts()
        self.tally = Tally()
        self.cache, self.budget = cache, budget
        self.is_refresh, self._may_send, self._first_pause = refresh, may_send, first_pause
        self._refusals = Refusals(endpoint, route, secrets, again=AGAIN_REFRESHED if refresh else AGAIN)
        self._parameters = endpoint.decides()
        self._renewed: set[int] = set()
        """with ``refresh``, what was asked anew and so is fresh in the cache; a part of each key, which takes a third of the room"""
        self._estimate: Estimate | None = None
        self._flights: tuple[int, Flights] | None = None
        self._lock = threading.Lock()

    def __call__(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        """One outcome per question, in order. Closing the iterator calls off what is under way; answers that came are in the cache by then."""
        if self.mode == "batch":
            from benchmark.llm.handing_in import in_batches

            return in_batches(self, questions, read)
        return self._in_order(questions, read)

    def kept(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        """One outcome per question, in order, from the cache alone; without a kept answer, ``not asked``. Nothing is sent or counted."""
        source = iter(questions)
        while entries := self.keyed(itertools.islice(source, CHUNK)):
            known = self.known(entries)
            for entry in entries:
                found = known.get(entry.key)
                is_used = found is not None and self.use(entry, found, read)
                yield entry.outcome if is_used and entry.outcome else Failed("not asked", "no answer is kept, and nobody is asked")

    def signature(self) -> str:
        """The model and what else decides its answers."""
        settings = (f"{name}:{value:g}" if isinstance(value, float) else f"{name}:{value}" for name, value in self._parameters.items())
        return "|".join([self.endpoint.model, *settings])

    def expected(self) -> list[Expected]:
        """What asking would take, after a run in mode ``estimate``."""
        return self._estimate.rows() if self._estimate is not None else []

    def line(self) -> str:
        """What happened, on one line: ``1,200 asked, 800 from cache, 12 retried (timeout 12), 812,345 tokens in, 92,345 out, $0.42``."""
        counts, tally = self.counts, self.tally
        parts = [f"{counts.asked:,} asked", f"{counts.cached:,} from cache"]
        parts += [f"{counts.mended:,} mended"] if counts.mended else []
        parts += [
            f"{counter.total():,} {name} ({_listed(counter)})" for name, counter in (("retried", tally.retried), ("failed", counts.failed)) if counter
        ]
        parts += [f"answered by another model than was asked ({_listed(counts.served)})"] if counts.served else []
        parts += [f"{tally.prompt_tokens:,} tokens in, {tally.completion_tokens:,} out"] if tally.prompt_tokens or tally.completion_tokens else []
        if counts.asked:
            parts.append("price unknown" if tally.unpriced else dollars(tally.cost))
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """The same as JSON values."""
        counts, tally = self.counts, self.tally
        return {
            "asked": counts.asked,
            "from_cache": counts.cached,
            "mended": counts.mended,
            "calls": tally.sent + tally.retried.total(),
            "retried": dict(tally.retried),
            "failed": dict(counts.failed),
            "served_by": dict(counts.served),
            "tokens": {"prompt": tally.prompt_tokens, "completion": tally.completion_tokens},
            "tokens_estimated": tally.tokens_estimated,
            "dollars": None if tally.unpriced else tally.cost,
        }

    # ---- what ``handing_in`` needs too

    def keyed(self, questions: Iterable[Question]) -> list[Entry[Any]]:
        """The questions with their keys."""
        entries: list[Entry[Any]] = []
        for question in questions:
            call = Call(question.task, ({"role": "user", "content": question.prompt},), question.schema, question.sample, question.images)
            entries.append(Entry(call, self.key_of(call)))
        return entries

    def known(self, entries: Sequence[Entry[Any]]) -> dict[str, Kept]:
        """key -> answer, of those that need not be asked."""
        if self.is_refresh:
            return self.cache.get_many([entry.key for entry in entries if int(entry.key[:16], 16) in self._renewed])
        return self.cache.get_many([entry.key for entry in entries])

    def use(self, entry: Entry[T], kept: Kept, read: Callable[[str], T]) -> bool:
        """Read the answer and set the entry's outcome; False if it needs one to mend it, which the entry then asks for."""
        while True:
            try:
                value = read(kept.text)
            except Unusable as problem:
                if entry.is_mending:
                    entry.outcome = Failed("unusable", told_of_answer(str(problem), self._refusals.secrets, entry.call.texts[:1]))
                    return True
                entry.call, entry.is_mending = mending(entry.call, kept.text, str(problem)), True
                entry.key = self.key_of(entry.call)
                if (found := self.known([entry]).get(entry.key)) is None:
                    return False
                kept = found
            else:
                entry.outcome = Answered(value, kept.text, kept.served_by, not entry.is_fresh)
                return True

    def counted(self, entry: Entry[T]) -> Answered[T] | Failed:
        """The outcome, on its way to the caller."""
        outcome, counts = entry.outcome, self.counts
        assert outcome is not None
        if entry.is_fresh:
            counts.asked += 1
        elif not isinstance(outcome, Failed) or outcome.kind != "not asked":
            counts.cached += 1
        if isinstance(outcome, Failed):
            counts.failed[outcome.kind] += 1
        else:
            counts.mended += entry.is_mending
            if outcome.served_by and not is_the_model(outcome.served_by, self.endpoint.model):
                counts.served[outcome.served_by] += 1
        return outcome

    def check_sending(self) -> None:
        """Raise ``UserError`` where nothing may be sent."""
        if self._may_send is not None:
            self._may_send()

    def note_renewed(self, keys: Iterable[str]) -> None:
        """These were asked anew, and what the cache has of them is fresh."""
        if self.is_refresh:
            self._renewed.update(int(key[:16], 16) for key in keys)

    def price(self, *, is_batch: bool = False) -> Price | None:
        """Of a token. Raises ``UnknownPrice`` where a budget must be kept and nobody says."""
        return price_of(self.endpoint, is_batch=is_batch) if self.budget.limit is None else price_for_budget(self.endpoint, is_batch=is_batch)

    # ---- one after the other

    def _in_order(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        source, is_over, chunk = iter(questions), False, FIRST_CHUNK
        most = max(WINDOW, 4 * self.endpoint.concurrency)
        window: deque[Entry[T]] = deque()
        waiting: dict[str, list[Entry[T]]] = {}
        arrivals: Arrivals = SimpleQueue()
        end: BaseException | None = None
        try:
            while True:
                has_room = end is None and not is_over and len(window) + chunk <= most
                if has_room:
                    taken = self.keyed(itertools.islice(source, chunk))
                    is_over = len(taken) < chunk
                    if any(entry.call.images for entry in taken):
                        chunk, most = FIRST_CHUNK, max(WINDOW_OF_IMAGES, 2 * self.endpoint.concurrency)
                    else:
                        chunk = min(2 * chunk, CHUNK)
                    window.extend(taken)
                    self._look_up(taken, read, waiting, arrivals)
                while end is None and not arrivals.empty():
                    end = self._arrive(arrivals.get(), read, waiting, arrivals)
                if is_over and not window:
                    return
                if window and window[0].outcome is not None:  # what came before the end is told before it
                    yield self.counted(window.popleft())
                elif end is not None:
                    raise end
                elif window and not has_room:
                    end = self._arrive(arrivals.get(), read, waiting, arrivals)
        finally:
            if waiting and self._flights is not None:
                self._flights[1].abandon(arrivals)

    def _look_up(self, entries: Sequence[Entry[T]], read: Callable[[str], T], waiting: dict[str, list[Entry[T]]], arrivals: Arrivals) -> None:
        """Outcomes for those that are in the cache; the others are sent."""
        known = self.known(entries)
        missing = [entry for entry in entries if (kept := known.get(entry.key)) is None or not self.use(entry, kept, read)]
        if self.mode == "estimate":
            self._count(entries, {id(entry) for entry in missing})
        elif missing:
            self._send(missing, waiting, arrivals)

    def _send(self, entries: Iterable[Entry[T]], waiting: dict[str, list[Entry[T]]], arrivals: Arrivals) -> None:
        flights = self._sender()
        fresh = []
        for entry in entries:
            entry.is_fresh = True
            if entry.key in waiting:
                waiting[entry.key].append(entry)
            else:
                waiting[entry.key] = [entry]
                fresh.append(Asked(entry.key, entry.call))
        if fresh:
            self.check_sending()
            flights.start(fresh, arrivals)

    def _arrive(self, arrival: Arrival, read: Callable[[str], T], waiting: dict[str, list[Entry[T]]], arrivals: Arrivals) -> BaseException | None:
        """Take the outcome in; what is to be raised if that is what arrived."""
        key, outcome = arrival
        if key is None or isinstance(outcome, BaseException):
            assert isinstance(outcome, BaseException)
            return outcome
        unusable = []
        for entry in waiting.pop(key):
            if isinstance(outcome, Failed):
                entry.outcome = outcome
            else:
                self.note_renewed([key])
                unusable += [] if self.use(entry, outcome, read) else [entry]
        if unusable:
            self._send(unusable, waiting, arrivals)
        return None

    def _count(self, entries: Sequence[Entry[T]], missing: set[int]) -> None:
        if self._estimate is None:
            prices = (price_of(self.endpoint), price_of(self.endpoint, is_batch=True))
            self._estimate = Estimate(
                self.endpoint.model, self.cache.sizes(), price=prices[0], batch_price=prices[1], max_tokens=self.endpoint.max_tokens
            )
        for entry in entries:
            self._estimate.add(
                entry.key, entry.call.task, characters_of(entry.call), is_cached=id(entry) not in missing, images=len(entry.call.images)
            )
            if id(entry) in missing:
                entry.outcome = Failed("not asked", "an estimate asks nothing")

    def key_of(self, call: Call) -> str:
        """Under which the answer is kept."""
        return key_of(self.endpoint.model, self._parameters, call.messages, call.schema, call.sample, [image.sha256 for image in call.images])

    def _sender(self) -> Flights:
        """What sends, made when there is something to send, and made again in a process that was forked off."""
        with self._lock:
            if self._flights is None or self._flights[0] != os.getpid():
                wire = self.wire()
                flights = Flights(
                    self.endpoint,
                    wire,
                    self._refusals,
                    cache=self.cache,
                    budget=self.budget,
                    price=self.price(),
                    tally=self.tally,
                    is_refresh=self.is_refresh,
                    first_pause=self._first_pause,
                )
                weakref.finalize(self, _close, wire)
                self._flights = os.getpid(), flights
            return self._flights[1]

    def wire(self) -> Wire:
        """A transport for the route."""
        if self.route.transport == "direct":
            from benchmark.llm.openai_wire import OpenAIWire

            return OpenAIWire(self.endpoint, self.route, self._refusals)
        from benchmark.llm.litellm_wire import LiteLLMWire

        return LiteLLMWire(self.endpoint, self.route, self._refusals)


def _close(wire: Wire) -> None:
    """Let go of connections, also when the program ends; wait for it a moment, unless this is the event loop's own thread."""
    closing = asyncio.run_coroutine_threadsafe(wire.close(), event_loop())
    if asyncio._get_running_loop() is None:
        with suppress(TooLate):
            closing.result(timeout=2)


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common())
