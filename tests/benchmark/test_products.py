"""Counts times columns: exact where the columns are whole, whatever shares a float with what, and whatever outgrows it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.statistics.products import products
from benchmark.statistics.sfc64 import count_draws, state_of


def multiplied(counts: np.ndarray, sums: list[np.ndarray], rows: int = 7) -> list[np.ndarray]:
    return products(iter([counts[start : start + rows] for start in range(0, len(counts), rows)]), len(counts), sums)


def exactly(counts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """By Python's integers of any size, as numpy objects."""
    return (counts.astype(object) @ columns.astype(int).astype(object)).astype(float)


@pytest.mark.parametrize("largest", [1, 3, 40, 4000, 400_000])
def test_whole_columns_are_exact_however_many_share_a_float(largest):
    generator = np.random.default_rng(largest)
    counts = generator.poisson(1, size=(40, 300)).astype(np.uint8)
    sums = [np.floor(generator.random((300, width)) ** 4 * (largest + 1)) for width in (5, 1, 30)]
    for found, columns in zip(multiplied(counts, sums), sums, strict=True):
        np.testing.assert_array_equal(found, exactly(counts, columns))


def test_a_sum_that_outgrows_its_bits_is_noticed():
    """One patient drawn 200 times: no bound from the column's own sum would have foreseen it."""
    counts = np.ones((9, 50), dtype=np.uint8)
    counts[4] = 0
    counts[4, 3] = 200
    sums = np.zeros((50, 4))
    sums[3] = [100, 7, 1, 3]
    sums[10] = [1, 1, 0, 2]
    np.testing.assert_array_equal(multiplied(counts, [sums])[0], exactly(counts, sums))


def test_a_sum_beyond_what_float32_holds_is_noticed():
    counts = np.ones((3, 60), dtype=np.uint8)
    counts[1] = 255
    sums = np.full((60, 2), 120_001.0)
    np.testing.assert_array_equal(multiplied(counts, [sums])[0], exactly(counts, sums))


def test_columns_that_are_not_whole_or_negative_keep_full_precision():
    generator = np.random.default_rng(1)
    counts = generator.poisson(1, size=(30, 200)).astype(np.uint8)
    sums = np.column_stack([generator.random(200), -np.ones(200), np.ones(200), np.full(200, 0.1), np.full(200, 1e9)])
    (found,) = multiplied(counts, [sums])
    np.testing.assert_allclose(found, counts.astype(np.longdouble) @ sums.astype(np.longdouble), rtol=1e-14)
    np.testing.assert_array_equal(found[:, 2], counts.sum(axis=1))


def test_no_column_no_row_and_no_patient_give_what_there_is():
    counts = np.ones((4, 6), dtype=np.uint8)
    assert [part.shape for part in multiplied(counts, [np.zeros((6, 0)), np.ones((6, 2)), np.zeros((6, 1))])] == [(4, 0), (4, 2), (4, 1)]
    assert products(iter([]), 0, [np.ones((6, 2))])[0].shape == (0, 2)
    assert multiplied(np.zeros((4, 0), dtype=np.uint8), [np.zeros((0, 2))])[0].tolist() == [[0, 0]] * 4


@pytest.mark.parametrize(("patients", "rows"), [(2, 90), (3, 300), (7, 41), (176, 20), (31_255, 6), (2**20 + 7, 1)])
def test_the_compiled_draws_are_numpys(patients, rows):
    """numpy's own stream, row by row; and in two parts, since a half word may be left over between them."""
    generator = np.random.Generator(np.random.SFC64(patients))
    theirs = np.stack([np.bincount(generator.integers(0, patients, size=patients, dtype=np.int32), minlength=patients) for _ in range(rows)])
    state, ours = state_of(patients), np.zeros((rows, patients), dtype=np.uint8)
    count_draws(state, ours[: rows // 2])
    count_draws(state, ours[rows // 2 :])
    np.testing.assert_array_equal(ours, theirs)
