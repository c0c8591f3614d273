"""What an experiment came to: every arm's numbers over its seeds, and the differences between arms, before they are laid out.

An arm is one way in which reports were written (a variant, a model, a level of a factor); a seed is one training of it from another start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.records import Row

Key = tuple[str, str, str]
"""model, metric, value name: of a ``Row``"""


@dataclass(frozen=True)
class Numbers:
    """Aggregates of some arms on the same cases."""

    rows: tuple[Row, ...]
    """of single arms (``model`` is the arm's name): the mean over its seeds, with the interval that ``statistics.seeds`` makes"""
    differences: tuple[Row, ...]
    """paired, ``model`` is ``A - B``, of the pairs that an experiment is about; with p-value"""
    by_seed: Mapping[Key, tuple[float, ...]]
    """of rows and of differences: the number of each seed, in the order of ``seeds``; NaN where nothing could be counted"""
    seeds: Mapping[str, tuple[int, ...]]
    """arm, or ``A - B`` -> the seeds that its numbers are the mean of"""
    titles: Mapping[str, str] = field(default_factory=dict)
    """arm -> its name in print"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """what was measured: ``cases``, ``patients``"""
    note: str = ""
    """of the dataset; stands under every table"""
    level: float = 0.95
    """of the intervals"""
    draws: int = 1000
    """of the bootstrap"""
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """arm -> what is known of it beside the metrics: ``label_f1``, the F1 of the labels that it was told, reached and not asked for"""
    measured_on: str = ""
    """the dataset's registered name alone, since where it lies on a machine is nobody's business; empty if it is not known"""

    def row(self, arm: str, metric: str, value_name: str) -> Row | None:
        """The number, or None if it was not measured."""
        return self._by_key.get((arm, metric, value_name))

    def difference(self, first: str, second: str, metric: str, value_name: str) -> Row | None:
        """First minus second, or None if that was not measured; the same pair the other way round serves with its sign turned."""
        if (found := self._by_key.get((f"{first} - {second}", metric, value_name))) is not None:
            return found
        turned = self._by_key.get((f"{second} - {first}", metric, value_name))
        return None if turned is None else turned_round(turned, f"{first} - {second}")

    def of_seeds(self, model: str, metric: str, value_name: str) -> tuple[float, ...]:
        """The number of each seed; empty if it was not measured."""
        return self.by_seed.get((model, metric, value_name), ())

    @cached_property
    def _by_key(self) -> dict[Key, Row]:
        return {(row.model, row.metric, row.value_name): row for row in (*self.rows, *self.differences)}


def turned_round(row: Row, model: str) -> Row:
    """A difference as the second minus the first."""
    from dataclasses import replace

    return replace(row, model=model, value=-row.value, low=-row.high, high=-row.low)
