"""Statistics as a run holds them: each column in the narrowest kind of float that has all of its numbers, handed out as the float64 they were.

Most of what metrics count are small whole numbers. Of 31,255 cases and ten models they are held, and handed from process to process, at a quarter of
the size.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

KINDS = (np.float16, np.float32, np.float64)
K = TypeVar("K")


class _Part(NamedTuple):
    """The columns that one kind of float holds."""

    places: np.ndarray
    """(c,) int64, which columns they are"""
    columns: np.ndarray
    """(n, c)"""


class Narrow:
    """(n, k) rows of statistics, no digit of which is lost."""

    def __init__(self, rows: np.ndarray) -> None:
        self.shape: tuple[int, int] = rows.shape
        self._parts: list[_Part] = []
        left = np.arange(rows.shape[1])
        for kind in KINDS:
            wide = rows[:, left]
            with np.errstate(over="ignore"):
                narrow = wide.astype(kind)
            fits = ((narrow == wide) | np.isnan(wide)).all(axis=0)
            if fits.any():
                self._parts.append(_Part(left[fits], np.ascontiguousarray(narrow[:, fits])))
            left = left[~fits]

    def rows(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(stop - start, k) float64; all of them, unless it is said which."""
        if len(self._parts) == 1:  # as most are
            return self._parts[0].columns[start:stop].astype(np.float64)
        wide = np.empty((len(range(*slice(start, stop).indices(self.shape[0]))), self.shape[1]))
        for part in self._parts:
            wide[:, part.places] = part.columns[start:stop]
        return wide


class Made(Mapping[K, np.ndarray]):
    """Name -> an array that is made each time it is asked for: all of them at once would fill the memory."""

    def __init__(self, names: Iterable[K], make: Callable[[K], np.ndarray]) -> None:
        self._names, self._make = dict.fromkeys(names), make

    def __getitem__(self, name: K) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # a Mapping's own would make it to see

    def __iter__(self) -> Iterator[K]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Statistics(Mapping[tuple[str, str], np.ndarray]):
    """(metric, model) -> (n, k) float64, a copy each time; held narrow."""

    def __init__(self, held: Mapping[tuple[str, str], Narrow] | None = None) -> None:
        self._held = held or {}

    def __getitem__(self, key: tuple[str, str]) -> np.ndarray:
        return self._held[key].rows()

    def __contains__(self, key: object) -> bool:
        return key in self._held  # a Mapping's own would widen them to see

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def part(self, key: tuple[str, str], start: int, stop: int) -> np.ndarray:
        """(stop - start, k) the rows of the cases from ``start`` up to ``stop``."""
        return self._held[key].rows(start, stop)


def of_metric(statistics: Mapping[tuple[str, str], np.ndarray], name: str, models: Iterable[str]) -> Mapping[str, np.ndarray]:
    """Model -> (n, k) of one metric, made as it is asked for."""
    return Made(models, lambda model: statistics[name, model])


def part_of(statistics: Mapping[tuple[str, str], np.ndarray], names: Container[str], start: int, stop: int) -> dict[tuple[str, str], np.ndarray]:
    """Those of the metrics that are named, of the cases from ``start`` up to ``stop``."""
    keys = [key for key in statistics if key[0] in names]
    if isinstance(statistics, Statistics):
        return {key: statistics.part(key, start, stop) for key in keys}
    return {key: statistics[key][start:stop] for key in keys}
