"""How much is asked at once: as many questions as the endpoint bears, and no more a minute than the user allows.

The number in flight starts at 16 and doubles with every round of answers up to the user's limit. When the endpoint says that it is too much, it is
halved, once for all that were in flight together, and then grows by one a round, as senders of TCP do (additive increase, multiplicative decrease;
Chiu and Jain, 1989). What the endpoint asks to wait is waited by all alike:
a 429 is about the endpoint, not about the question that met it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque

FIRST = 16
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0

Waiting = tuple["asyncio.Future[int]", float]


class Bucket:
    """So much a minute, evenly: what is not used within a second is lost, and what was overdrawn is waited for."""

    def __init__(self, per_minute: float) -> None:
        self.rate = per_minute / 60
        self.most = max(1.0, self.rate)
        self.level = self.most
        self._at: float | None = None

    def wait(self, now: float, amount: float) -> float:
        """Seconds until so much may be taken; a larger amount than ever fits waits until the bucket is full."""
        if self._at is not None:
            self.level = min(self.most, self.level + (now - self._at) * self.rate)
        self._at = now
        return max(0.0, (min(amount, self.most) - self.level) / self.rate)

    def take(self, amount: float) -> None:
        """Take it, even if it overdraws; a negative amount gives back."""
        self.level -= amount


class Gate:
    """Lets questions in. To be used within one event loop."""

    def __init__(
        self, most: int, requests_per_minute: int | None = None, tokens_per_minute: int | None = None, *, first_pause: float = FIRST_PAUSE_SECONDS
    ) -> None:
        self.most = most
        self.limit = float(min(most, FIRST))
        self.inside = 0
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._again: deque[Waiting] = deque()
        self._fresh: deque[Waiting] = deque()
        self._closed_until = 0.0
        self._is_ramping = True
        self._era = 0
        self._strikes = 0
        self._first_pause = first_pause
        self._timer: asyncio.TimerHandle | None = None
        self._chance = random.Random()

    async def enter(self, tokens: float, *, again: bool = False) -> int:
        """Wait for one's turn; those who come again go first, or they might starve. Whoever entered must ``leave``.

        tokens   how many the call will take, as far as one can tell
        returns  the era, for ``went_well`` and ``too_much``
        """
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        (self._again if again else self._fresh).append((turn, tokens))
        self._let_in()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in, and called off before it could go
                self.leave()
            raise

    def leave(self) -> None:
        """The call is over, however it went."""
        self.inside -= 1
        self._let_in()

    def correct(self, tokens: float) -> None:
        """It took so many tokens more than was thought, or fewer if negative."""
        if self._tokens is not None:
            self._tokens.take(tokens)

    def went_well(self) -> None:
        """The endpoint answered."""
        self._strikes = 0
        self.limit = min(float(self.most), self.limit + (1.0 if self._is_ramping else 1.0 / self.limit))

    def too_much(self, era: int, wait: float | None) -> None:
        """The endpoint asks for fewer, and all to wait so many seconds; without a number a random while, twice as long at each time in a row."""
        now = asyncio.get_running_loop().time()
        if era == self._era:
            self._era += 1
            self._is_ramping = False
            self.limit = max(1.0, min(self.limit, self.inside) / 2)
            if wait is None:
                wait = self._chance.uniform(0, min(LONGEST_PAUSE_SECONDS, self._first_pause * 2**self._strikes))
            self._strikes += 1
        self._closed_until = max(self._closed_until, now + (wait or 0.0))

    def _let_in(self) -> None:
        now = asyncio.get_running_loop().time()
        while queue := self._again or self._fresh:
            turn, tokens = queue[0]
            if turn.done():  # called off
                queue.popleft()
                continue
            if self.inside >= int(self.limit):
                return  # whoever leaves calls again
            waits = [self._closed_until - now]
            waits += [self._requests.wait(now, 1)] if self._requests is not None else []
            waits += [self._tokens.wait(now, tokens)] if self._tokens is not None else []
            if (wait := max(waits)) > 0:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self._let_in)
                return
            queue.popleft()
            if self._requests is not None:
                self._requests.take(1)
            if self._tokens is not None:
                self._tokens.take(tokens)
            self.inside += 1
            turn.set_result(self._era)
