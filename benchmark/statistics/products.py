"""Counts times columns, for whatever stands side by side: exact in float32 where the columns are whole numbers, several to a float.

A float32 holds every whole number below 2^24, so sums of whole numbers that stay below are exact, whatever the order of summation, at twice the
speed of float64. And most sums of a benchmark are small (misses of a rare lesion): two of 12 bits fit into one float, the one counted in ones, the
other in 4096ths of the way up. Nothing is taken on trust: of numbers that are not negative, a sum that passed 2^24 anywhere on its way cannot come
out below it; and a part that outgrew its bits runs over into its neighbour, which lowers the total of all parts, and that is multiplied too. Where
either happens, the block is multiplied again in float64, as are all columns that are not whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SLICE_ENTRIES = 1 << 20  # counts turned to floats at a time: what a processor's cache holds; a block as a whole is twice as slow
BITS = 24  # of a float32
CHECKED_TOGETHER = 1 << 22  # expected total of the parts that one further column checks: it stays below 2^24
MOST_SPREADS = 8  # standard deviations above its expected sum that a column has room for; beyond, the block is multiplied again


def products(blocks: Iterator[np.ndarray], rows: int, sums: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(rows, k) float64 products of a matrix of small counts, given as blocks of rows (r, P) uint8, with each of several (P, k)."""
    if not sums:
        return []
    bits = np.concatenate([_bits(columns) for columns in sums])
    is_whole = bits < BITS
    whole, real = _Whole.packed(_chosen(sums, is_whole, np.float32), bits[is_whole]), _chosen(sums, ~is_whole, np.float64)
    result = np.zeros((rows, len(bits)))
    start = 0
    for block in blocks:
        part = result[start : start + len(block)]
        part[:, is_whole], part[:, ~is_whole] = whole.product(block), product(block, real)
        start += len(block)
    return np.split(result, np.cumsum([columns.shape[1] for columns in sums])[:-1], axis=1)


def product(block: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(r, k) of counts (r, P) and columns (P, k), in the columns' type, a slice of the patients at a time."""
    result = np.zeros((len(block), columns.shape[1]), columns.dtype)
    step = max(1, SLICE_ENTRIES // max(1, len(block)))
    for start in range(0, len(columns) if columns.size else 0, step):
        result += block[:, start : start + step].astype(columns.dtype) @ columns[start : start + step]
    return result


@dataclass(frozen=True)
class _Whole:
    """Whole columns, several to a float."""

    columns: np.ndarray
    """(P, k) float32, as they are"""
    floats: np.ndarray
    """(P, f + g) float32: the parts of each float added up; and the totals of the parts, a group of floats each"""
    float_of: np.ndarray
    """(k,) in which float a column is"""
    group_of: np.ndarray
    """(k,) in which group that is"""
    lowest_bit: np.ndarray
    """(k,) int32, where a column is in its float"""
    highest: np.ndarray
    """(k,) int32, the largest number that its bits hold"""

    @classmethod
    def packed(cls, columns: np.ndarray, bits: np.ndarray) -> _Whole:
        """The columns, the widest first, each into the fullest float that has room."""
        used: list[int] = []
        by_room: list[list[int]] = [[] for _ in range(BITS + 1)]
        float_of, lowest_bit = np.zeros(len(bits), dtype=np.int64), np.zeros(len(bits), dtype=np.int32)
        for place in np.argsort(-bits, kind="stable"):
            needed = int(bits[place])
            room = next((room for room in range(needed, BITS + 1) if by_room[room]), None)
            if room is None:
                used.append(0)
                by_room[BITS].append(len(used) - 1)
            chosen = by_room[BITS if room is None else room].pop()
            float_of[place], lowest_bit[place] = chosen, used[chosen]
            used[chosen] += needed
            by_room[BITS - used[chosen]].append(chosen)
        expected = np.bincount(float_of, weights=columns.sum(axis=0, dtype=np.float64), minlength=len(used))
        groups = (np.cumsum(expected) // CHECKED_TOGETHER).astype(np.int64)
        group_of = np.unique(groups, return_inverse=True)[1].reshape(-1)[float_of]
        groups_at = len(used)
        floats = np.zeros((groups_at + int(group_of.max(initial=-1)) + 1, len(columns)), dtype=np.float32)
        for column, number, group, bit in zip(columns.T, float_of, group_of, lowest_bit, strict=True):
            floats[number] += column * np.float32(1 << int(bit))
            floats[groups_at + group] += column
        return cls(columns, np.ascontiguousarray(floats.T), float_of, group_of, lowest_bit, ((1 << bits) - 1).astype(np.int32))

    def product(self, block: np.ndarray) -> np.ndarray:
        """(r, k) of counts (r, P), exactly."""
        found = product(block, self.floats)
        if found.max(initial=0.0) < 1 << BITS:
            whole = found.astype(np.int32)
            parts = (whole[:, self.float_of] >> self.lowest_bit) & self.highest
            groups = int(self.group_of.max(initial=-1)) + 1
            totals = np.stack([parts[:, self.group_of == group].sum(axis=1) for group in range(groups)], axis=1) if groups else whole[:, :0]
            if (totals == whole[:, whole.shape[1] - groups :]).all():
                return np.asarray(parts)
        return product(block, self.columns.astype(np.float64))


def _bits(columns: np.ndarray) -> np.ndarray:
    """(k,) how many bits the sums of each column need, with room for draws that come out larger; ``BITS`` where it is not whole or negative."""
    with np.errstate(over="ignore"):
        total, largest = columns.sum(axis=0), columns.max(axis=0, initial=0.0)
        most = total + MOST_SPREADS * (np.sqrt(np.maximum(largest * total, 0.0)) + largest)  # the sum of squares is at most largest * total
    is_whole = (columns >= 0).all(axis=0) & (columns == np.floor(columns)).all(axis=0) & (most < (1 << (BITS - 1)))
    return np.where(is_whole, np.maximum(np.ceil(np.log2(np.where(is_whole, most, 0.0) + 1)), 1), BITS).astype(np.int64)


def _chosen(sums: Sequence[np.ndarray], chosen: np.ndarray, kind: type[np.floating]) -> np.ndarray:
    """(P, k) the chosen of all columns side by side."""
    places = np.cumsum([0, *(columns.shape[1] for columns in sums)])
    return np.concatenate(
        [columns[:, chosen[start : start + columns.shape[1]]].astype(kind) for columns, start in zip(sums, places, strict=False)], axis=1
    )
