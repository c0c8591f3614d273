"""Which patients are drawn or swapped: counts and coins of one seed, the same for every model and metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.statistics.products import products

BLOCK_ENTRIES = 1 << 25  # counts drawn at a time, one byte each: 32 MiB, so memory does not grow with the draws
COINS = 1 << 21  # tossed at a time; part of the stream, since each toss ends on a whole byte
KEPT_ENTRIES = 100_000_000  # counts kept between calls, one byte each; beyond, they are drawn again (same seed, same counts)


class PatientDraws:
    """The draws with replacement and the coins of one seed, the same for all that asks."""

    def __init__(self, patients: int, *, draws: int, flips: int, seed: int) -> None:
        self.patients, self.draws, self.flips, self.seed = patients, draws, flips, seed
        self._counts: np.ndarray | None = None

    def resampled(self, sums: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(R, k) column sums of every draw, for each of several (P, k) patient sums, in one pass over the draws."""
        return products(self._count_blocks(), self.draws, sums)

    def swapped(self, sums: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(B, k) column sums of the patients whose coin falls on 1, for each of several (P, k) patient sums."""
        return products(_gathered(flip_signs(self.patients, self.flips, self.seed), _block_rows(self.patients)), self.flips, sums)

    def _count_blocks(self) -> Iterator[np.ndarray]:
        if self.draws * self.patients > KEPT_ENTRIES:
            yield from count_blocks(self.patients, self.draws, self.seed)
            return
        if self._counts is None:
            self._counts = draw_counts(self.patients, self.draws, self.seed)
        step = _block_rows(self.patients)
        for start in range(0, self.draws, step):
            yield self._counts[start : start + step]


def patient_numbers(patients: Sequence[str]) -> tuple[np.ndarray, int]:
    """The number of each case's patient, 0 to P - 1 in the order of the names, and P."""
    names, number = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    return number.reshape(-1).astype(np.int64), len(names)


def scored_rows(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with every unscored one (any NaN) set to zeros, and (n,) True where a case was scored."""
    rows = np.asarray(statistics, dtype=np.float64)
    is_scored = np.asarray(~np.isnan(rows).any(axis=1))
    return (rows if is_scored.all() else np.where(is_scored[:, None], rows, 0.0)), is_scored


def patient_sums(statistics: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """(P, k) column sums of each patient's rows, patients in the order of their names; unscored rows add nothing."""
    number, count = patient_numbers(patients)
    return sums_by_patient(scored_rows(statistics)[0], number, count)


def sums_by_patient(rows: np.ndarray, patient_of_case: np.ndarray, patients: int) -> np.ndarray:
    """(P, k) sums of the rows (n, k) of each patient number."""
    order = np.argsort(patient_of_case, kind="stable")
    if not len(order):
        return np.zeros((patients, rows.shape[1]))
    if len(order) == patients:  # one case each: nothing to add
        return np.asarray(rows[order], dtype=np.float64)
    starts = np.searchsorted(patient_of_case[order], np.arange(patients))
    return np.add.reduceat(rows[order], starts, axis=0)


def draw_counts(patients: int, draws: int, seed: int) -> np.ndarray:
    """(R, P) uint8: how often each patient is drawn when P of P are drawn with replacement, R times."""
    counts = np.zeros((draws, patients), dtype=np.uint8)
    start = 0
    for block in count_blocks(patients, draws, seed):
        counts[start : start + len(block)] = block
        start += len(block)
    return counts


def count_blocks(patients: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of ``draw_counts``, a block at a time; the size of a block changes no count."""
    from benchmark.statistics.sfc64 import count_draws, state_of

    state = state_of(seed)
    step = _block_rows(patients)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        if patients < 2:  # nothing to choose from
            yield np.ones((rows, patients), dtype=np.uint8)
            continue
        block = np.zeros((rows, patients), dtype=np.uint8)  # a count over 255 has a chance below 1e-500
        count_draws(state, block)
        yield block


def flip_signs(patients: int, flips: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of rows (P,) of fair coins, 1 where a patient's two models stay as they are and 0 where they are swapped."""
    generator = np.random.Generator(np.random.SFC64([seed, 1]))  # a stream of its own: the coins say nothing about the draws
    step = max(1, COINS // max(1, patients))
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        coins = np.frombuffer(generator.bytes(rows * patients // 8 + 1), dtype=np.uint8)
        yield np.unpackbits(coins)[: rows * patients].reshape(rows, patients)


def _gathered(blocks: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """The same rows in fewer blocks, of about so many rows."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= rows:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _block_rows(patients: int) -> int:
    return max(1, BLOCK_ENTRIES // max(1, patients))
