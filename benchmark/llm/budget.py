"""What one command may spend on language models, and what it has spent.

The most that a question can cost is reserved before it is asked, so that the limit is never crossed, however many are in flight.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from benchmark.records import UserError

SLACK = 1e-9
"""relative: what a thousand sums of dollars as floats may be off"""


class BudgetReached(UserError):
    """Asking on might cost more than the command may spend."""


class Spent(NamedTuple):
    """What one task took of one model, in this command."""

    task: str
    model: str
    calls: int
    """answers that were asked for and came, usable or not"""
    prompt_tokens: int
    completion_tokens: int
    cost: float
    """dollars, of the calls whose price was known"""
    unpriced: int
    """calls whose price was not"""


class Budget:
    """A limit in dollars, None for none, and the ledger of a command. Threads may share it."""

    def __init__(self, limit: float | None) -> None:
        if limit is not None and not limit >= 0:  # nor NaN
            raise UserError(f"--budget {limit} is no amount of money; give dollars, e.g. --budget 5.00")
        self.limit = limit
        self._rows: dict[tuple[str, str], list[float]] = {}
        self._cost = 0.0
        self._reserved = 0.0
        self._open = 0
        self._refused = 0.0
        self._lock = threading.Lock()

    def try_reserve(self, amount: float) -> bool:
        """Put the most that a question can cost aside, unless the limit might be crossed by it.

        After False, wait until a question in flight is settled, which often costs less than its share, and try again; with none in flight,
        ``reached`` says why to stop.
        """
        with self._lock:
            if self.limit is not None and self._cost + self._reserved + amount > self.limit * (1 + SLACK):
                self._refused = amount
                return False
            self._reserved += amount
            self._open += 1
            return True

    def settle(self, reserved: float, task: str, model: str, prompt_tokens: int, completion_tokens: int, cost: float | None) -> None:
        """Count a call that came back in place of what was reserved for it; ``cost`` None where the price is unknown."""
        with self._lock:
            self._give_back(reserved)
            self._cost += cost or 0.0
            row = self._rows.setdefault((task, model), [0, 0, 0, 0.0, 0])
            for column, more in enumerate((1, prompt_tokens, completion_tokens, cost or 0.0, cost is None)):
                row[column] += more

    def release(self, reserved: float) -> None:
        """Take a reservation back: the question was not asked, or was turned down unpaid."""
        with self._lock:
            self._give_back(reserved)

    def _give_back(self, reserved: float) -> None:
        self._open -= 1
        self._reserved = self._reserved - reserved if self._open else 0.0  # nothing is left of sums that were rounded

    @property
    def in_flight(self) -> int:
        """Reservations that are neither settled nor released."""
        return self._open

    def spent(self) -> float:
        """Dollars, as far as prices are known."""
        return self._cost

    def rows(self) -> list[Spent]:
        """What was spent, by task and model in the order in which they came."""
        with self._lock:
            return [
                Spent(task, model, int(calls), int(ins), int(outs), cost, int(unpriced))
                for (task, model), (calls, ins, outs, cost, unpriced) in self._rows.items()
            ]

    def reached(self, waiting: int = 1, *, is_refresh: bool = False) -> BudgetReached:
        """What to raise where nothing more can be reserved; ``waiting`` questions, at least, have no answer yet.

        ``is_refresh``: the same command would ask all of them once more.
        """
        calls = sum(row.calls for row in self.rows())
        limit = f"--budget {self.limit:g}" if self.limit is not None else "the budget"
        if not calls:
            return BudgetReached(
                f"{limit} is too little: one question alone may cost {dollars(self._refused)}, so none was asked; "
                "give more, or see what all of them may cost with --estimate"
            )
        wait = "question waits" if waiting == 1 else "questions wait"
        how = " and without --refresh, which asks everything anew: so" if is_refresh else ":"
        return BudgetReached(
            f"{limit} is reached: {dollars(self.spent())} were spent on {calls:,} calls, the next may cost {dollars(self._refused)}, and at least "
            f"{waiting:,} {wait}; run the same command again with a larger --budget{how} nothing that was answered is asked again"
        )


def dollars(amount: float) -> str:
    """As many digits as say something: ``$12.35``, ``$0.0021``."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}" if amount >= 0.0001 else f"${amount:.1g}"
