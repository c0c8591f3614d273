"""How the cases of a model are shared among workers, and what becomes of them when one is lost. Knows nothing of Ray: a ``Crew`` does the work.

Blocks are contiguous and made of whole batches of the model's own, counted from the first case: then each batch holds the same cases as in one
process, and the number of workers changes no digit. Reports are handed on in the order of the cases, whichever worker was first.

A worker that is lost (killed, out of memory, its machine gone) takes no report with it that has arrived. What it still owed is given out again:
once as it was; then, or at once if it lacked memory, in halves, down to single cases; a case that alone ends its worker has failed, with the reason.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmark.patience import silence
from benchmark.records import Case, Report, UserError
from benchmark.screen import say

BLOCK = 32  # cases: some seconds of the fast models, some minutes of the slow ones; what a lost worker costs is half of it
BLOCKS_PER_WORKER = 4  # at least, where there are few cases: then none waits long for the last
BLOCKS_AHEAD = 4  # per worker, beyond the oldest report that is missing: a slow block holds up the others, and a killed command loses no more
LOST_IN_A_ROW = 20  # without a report between them; one case that ends every worker it meets takes half of that to be found in a block
STARTS_IN_A_ROW = 3  # that come to nothing
LOSSES_OF_A_WHOLE = 3  # after which it is not begun again: a model whose cases depend on each other begins with the first


@dataclass(frozen=True)
class Held:
    """What a worker holds."""

    write: Callable[[Sequence[Case]], Iterator[Report]]
    """cases -> one checked report each, in order; raises what the model raises"""
    said: Any
    """what is known of the model, for the process that asked"""
    batch_size: int = 1
    """cases that it writes about together"""
    is_independent: bool = True
    """False if a report depends on the other cases that the model is asked about, or on their order: then one worker writes them all"""
    made_of: str = ""
    """what decides its reports, checksums of weights among it: models of one crew agree in it"""
    learnt: Callable[[], Sequence[str]] = tuple
    """what is to be said of the data that it has learnt from so far: while it was made, and while it wrote"""


@dataclass(frozen=True)
class Ready:
    """A worker holds its model."""

    said: Any
    batch_size: int = 1
    is_independent: bool = True
    made_of: str = ""


@dataclass(frozen=True)
class Wrote:
    """The next reports of the cases that a worker was given."""

    reports: list[Report]


@dataclass(frozen=True)
class Learnt:
    """What is to be said of the data that a worker's model has learnt from."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A worker has written about all that it was given."""


@dataclass(frozen=True)
class Raised:
    """The model raised something, while it was made or while it wrote; its worker lives."""

    kind: str
    """name of the exception"""
    message: str
    trace: str = ""
    is_users: bool = False
    """a ``UserError``"""


@dataclass(frozen=True)
class Lost:
    """A worker is gone."""

    why: str
    lacked_memory: bool = False


@dataclass(frozen=True)
class Silent:
    """The model gave no report for as long as it may think; its worker is no more."""

    seconds: float


Event = Ready | Wrote | Learnt | Done | Raised | Silent | Lost


class RaisedElsewhere(Exception):
    """What a model raised in another process, as it was there."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(raised.message)
        self.raised = raised


class WorkersLost(Exception):
    """Workers end again and again; the message says why."""


class Crew(Protocol):
    """Workers that hold one model each."""

    def start(self) -> Hashable:
        """Send for a worker; ``wait`` says when it is ready."""

    def give(self, worker: Hashable, cases: Sequence[Case]) -> None:
        """Let a worker that is idle write about these."""

    def wait(self) -> tuple[Hashable, Event]:
        """The next thing that happens, and to which worker; one that raised while it was made, was silent, or was lost, is no more.

        Raises ``UserError``.
        """

    def dismiss(self, worker: Hashable) -> None:
        """End one that is idle."""

    def close(self) -> None:
        """End them all."""


@dataclass(order=True)
class _Piece:
    """Contiguous cases that are to be written about."""

    start: int
    stop: int
    losses: int = field(default=0, compare=False)
    """of workers that came to its first batch, and no further"""
    got: int = field(default=0, compare=False)
    """reports of it that the present worker has given"""


class Placed:
    """A model that lives in a crew of workers; the first is there, the others follow once it has written something.

    They follow late on purpose: what the first keeps (features of training images, compiled code), the others find.
    """

    def __init__(self, crew: Crew, label: str, most_workers: int, *, say: Callable[[str], None] | None = None) -> None:
        """Wait for the first worker. Raises ``UserError``, ``RaisedElsewhere``, ``WorkersLost``."""
        self._crew, self._label, self._most, self._say = crew, label, most_workers, say or _on_stderr
        self._idle: list[Hashable] = []
        self._starting: set[Hashable] = set()
        self._busy: dict[Hashable, _Piece] = {}
        self._fruitless_starts = 0
        self.lost = 0
        """workers"""
        self.most_at_once = 0
        """workers that were ready at the same time"""
        self.learnt: set[str] = set()
        """what is to be said of the data that the model has learnt from, as far as it came while it wrote"""
        self.ready = Ready(None)
        self._starting.add(crew.start())
        while not self._idle:
            worker, event = crew.wait()
            self._started(worker, event)
            if not self._starting and not self._idle:
                self._starting.add(crew.start())

    @property
    def said(self) -> Any:
        """What the first worker said of its model."""
        return self.ready.said

    @property
    def batch_size(self) -> int:
        """Cases that the model writes about together."""
        return self.ready.batch_size

    @property
    def is_independent_by_case(self) -> bool:
        """False if a report depends on more than its case."""
        return self.ready.is_independent

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, as soon as it and those before it are there.

        Raises what ``__init__`` raises; a model that raised about a case raises it when all cases before it are reported, as in one process.
        """
        if not cases:
            return
        unit = self.batch_size if self.ready.is_independent else len(cases)
        most = self._most if self.ready.is_independent else 1
        length = unit * max(1, min(math.ceil(BLOCK / unit), len(cases) // (BLOCKS_PER_WORKER * most * unit)))
        waiting = [_Piece(start, min(start + length, len(cases))) for start in range(0, len(cases), length)]
        there: dict[int, Report] = {}  # place -> report that was not handed on yet
        fatal: dict[int, Raised] = {}
        following, lost_in_a_row, has_written = 0, 0, False
        while following < len(cases):
            if following in fatal:
                raise RaisedElsewhere(fatal[following])
            self._give_out(waiting, cases, following + BLOCKS_AHEAD * most * length)
            if has_written or (not self._idle and not self._busy):
                self._send_for(min(most, len(waiting) + len(self._busy)))
            worker, event = self._crew.wait()
            if worker in self._starting:
                self._started(worker, event)
                continue
            piece = self._busy[worker]
            match event:
                case Wrote(reports):
                    for place, report in enumerate(reports, piece.start + piece.got):
                        if place >= following:
                            there.setdefault(place, report)
                    piece.got += len(reports)
                    lost_in_a_row, has_written = 0, True
                case Learnt(words):
                    self.learnt.update(words)
                case Done():
                    self._idle.append(worker)
                    del self._busy[worker]
                case Raised() | Silent():
                    del self._busy[worker]
                    if isinstance(event, Raised):
                        self._idle.append(worker)
                    else:
                        event = Raised("ModelFailed", silence(event.seconds))
                    fatal[piece.start + piece.got] = event
                    waiting = [other for other in waiting if other.start < piece.start]  # a part of the sorted heap's list is made a heap again
                    heapq.heapify(waiting)
                case Lost(why):
                    del self._busy[worker]
                    self.lost, lost_in_a_row = self.lost + 1, lost_in_a_row + 1
                    if lost_in_a_row > LOST_IN_A_ROW:
                        raise WorkersLost(f"{lost_in_a_row} workers in a row were lost before they wrote a report, the last: {why}")
                    if not self.ready.is_independent and piece.losses == LOSSES_OF_A_WHOLE:
                        raise WorkersLost(f"{piece.losses + 1} workers were lost that were to write all cases, the last: {why}")
                    for part in self._again(piece, event, unit, cases, there):
                        heapq.heappush(waiting, part)
            while following in there:
                yield there.pop(following)
                following += 1

    def close(self) -> None:
        """End the workers."""
        self._crew.close()

    def _give_out(self, waiting: list[_Piece], cases: Sequence[Case], end: int) -> None:
        """To each idle worker the first piece that waits, if it is not too far ahead."""
        while self._idle and waiting and waiting[0].start < end:
            worker, piece = self._idle.pop(), heapq.heappop(waiting)
            piece.got = 0
            self._busy[worker] = piece
            self._crew.give(worker, cases[piece.start : piece.stop])

    def _send_for(self, wanted: int) -> None:
        """Further workers, up to so many."""
        if self._fruitless_starts >= STARTS_IN_A_ROW and (self._idle or self._busy):
            return  # there is no room or no luck; those that are there go on
        for _ in range(wanted - len(self._idle) - len(self._busy) - len(self._starting)):
            self._starting.add(self._crew.start())

    def _started(self, worker: Hashable, event: Event) -> None:
        """A worker that was sent for is there, or not. Raises what the model raised if there is no other."""
        self._starting.discard(worker)
        match event:
            case Ready() if self.most_at_once and _is_other(event, self.ready):
                self._crew.dismiss(worker)
                what = (
                    "a further worker's model is another than the first one's: its provenance differs, as where machines have other weights or data"
                )
                self._started(worker, Raised("OtherModel", f"{what}; put the same files on every machine", is_users=True))
            case Ready():
                if not self.most_at_once:
                    self.ready = event
                self._idle.append(worker)
                self._fruitless_starts = 0
                self.most_at_once = max(self.most_at_once, len(self._idle) + len(self._busy))
            case Raised():
                self._fruitless_starts += 1
                if not self._idle and not self._busy:
                    raise RaisedElsewhere(event)
                self._say(f"{self._label}: a further worker could not make the model ({event.kind}: {event.message}); the others go on")
            case Lost(why):
                self.lost, self._fruitless_starts = self.lost + 1, self._fruitless_starts + 1
                if self._fruitless_starts >= STARTS_IN_A_ROW and not self._idle and not self._busy:
                    raise WorkersLost(f"{self._fruitless_starts} workers in a row were lost while they made the model, the last: {why}")
                self._say(f"{self._label}: a worker was lost while it made the model ({why}); another is sent for")

    def _again(self, piece: _Piece, lost: Lost, unit: int, cases: Sequence[Case], there: dict[int, Report]) -> list[_Piece]:
        """The pieces in which what a lost worker owed is given out again; a case that nobody can write about has its failure in ``there``."""
        start = piece.start + (piece.got // unit * unit if self.ready.is_independent else 0)  # batches stay the same
        left, losses = piece.stop - start, 1 if start > piece.start else piece.losses + 1  # whoever got further met another batch
        said = f"{self._label}: a worker was lost ({lost.why}); {'its case is' if left == 1 else f'its {left} cases are'} done again"
        if not left:  # it was lost between its last report and its word that this was all
            self._say(f"{self._label}: a worker was lost ({lost.why}); its cases were done")
            return []
        if not self.ready.is_independent or (losses == 1 and not (lost.lacked_memory and left > 1)):
            self._say(said)
            return [_Piece(start, piece.stop, losses)]
        if left == 1:
            self._say(f"{self._label}: a worker was lost again ({lost.why}); case {cases[start].id!r} has failed")
            there.setdefault(start, Report(cases[start].id, failure=f"the worker that wrote it was lost, and so was the next: {lost.why}"))
            return []
        half = left // 2 if left <= unit else math.ceil(left / unit / 2) * unit
        self._say(f"{said}, in two parts")
        # To the second part nobody has come yet; and a case is to be alone when it is blamed, twice.
        return [_Piece(start, start + half, losses if half > 1 else 0), _Piece(start + half, piece.stop)]


def _is_other(one: Ready, first: Ready) -> bool:
    return (one.made_of, one.batch_size, one.is_independent) != (first.made_of, first.batch_size, first.is_independent)


def _on_stderr(words: str) -> None:
    say(words, err=True)


def raised(error: BaseException, trace: str) -> Raised:
    """An exception as it can travel: its own class may exist there alone, or refuse to be sent."""
    return Raised(type(error).__name__, str(error), trace, isinstance(error, UserError))
