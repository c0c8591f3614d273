"""Statistics that are held narrow come back as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.narrow import Made, Narrow, Statistics, of_metric, part_of


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), elements=st.floats()), st.data())
def test_no_digit_is_lost_of_any_rows_nor_of_a_part_of_them(rows: np.ndarray, data: st.DataObject) -> None:
    narrow = pickle.loads(pickle.dumps(Narrow(rows)))
    found = narrow.rows()
    assert found.dtype == np.float64
    assert narrow.shape == rows.shape
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(np.signbit(found[~np.isnan(rows)]), np.signbit(rows[~np.isnan(rows)]))
    start, stop = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))
    np.testing.assert_array_equal(narrow.rows(start, stop), rows[start:stop])


@pytest.mark.parametrize(
    ("rows", "size"),
    [([0.0, 2048.0, np.nan], 2), ([2049.0], 4), ([70_000.0, -3.0], 4), ([0.1, 1.0], 8)],
)
def test_a_column_takes_the_narrowest_numbers_that_hold_it(rows: list[float], size: int) -> None:
    """Half precision has 11 bits of whole numbers and ends at 65,504, single precision has 24. Beside it stands a column that needs 53."""
    count = 100_000
    table = np.stack([np.resize(rows, count), np.full(count, 0.1)], axis=1)
    assert len(pickle.dumps(Narrow(table))) == pytest.approx(count * (size + 8), rel=0.01)


def test_statistics_are_handed_out_as_copies_one_at_a_time() -> None:
    held = Statistics({("m", "a"): Narrow(np.ones((3, 2))), ("m", "b"): Narrow(np.zeros((3, 2)))})
    held["m", "a"][0, 0] = 7
    assert held["m", "a"].tolist() == [[1, 1]] * 3
    assert list(held) == [("m", "a"), ("m", "b")]
    assert ("m", "c") not in held
    assert {key: rows.tolist() for key, rows in part_of(held, {"m"}, 1, 2).items()} == {("m", "a"): [[1, 1]], ("m", "b"): [[0, 0]]}
    assert {key: rows.tolist() for key, rows in part_of(dict(held), {"m"}, 1, 2).items()} == {("m", "a"): [[1, 1]], ("m", "b"): [[0, 0]]}
    assert part_of(held, {"n"}, 1, 2) == {}
    assert list(of_metric(held, "m", ["b", "a"])) == ["b", "a"]


def test_an_array_is_made_when_it_is_asked_for_and_no_sooner() -> None:
    asked: list[str] = []

    def make(name: str) -> np.ndarray:
        asked.append(name)
        return np.array([len(asked)])

    made = Made(["a", "b"], make)
    assert (len(made), "a" in made, "c" in made, asked) == (2, True, False, [])
    with pytest.raises(KeyError):
        made["c"]
    assert asked == []
    assert made["b"].tolist() == [1]
    assert asked == ["b"]
