from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from clala.processes import ahead, new_accelerator


def test_items_come_out_in_order_and_all_of_them() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead([])) == []


def test_items_are_made_while_the_caller_works_and_no_further_ahead_than_asked() -> None:
    made: list[int] = []
    filled = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 3:
                filled.set()
            yield number

    rest = ahead(items(), depth=2)
    assert next(rest) == 0
    assert filled.wait(60)  # one in hand, two waiting, one being put
    assert made == [0, 1, 2, 3]
    assert list(rest) == list(range(1, 10))


def test_an_error_of_the_maker_reaches_the_caller_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more crops")

    rest = ahead(items())
    assert next(rest) == 1
    with pytest.raises(ValueError, match="no more crops"):
        next(rest)


def test_a_caller_that_stops_early_stops_the_maker() -> None:
    before = threading.active_count()
    rest = ahead(iter(int, 1))  # endless
    next(rest)
    rest.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without a CUDA device")
def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="torch finds no CUDA device here; use cpu, or auto"):
        new_accelerator("cuda")
    with pytest.raises(ValueError, match="fp16, which needs a CUDA device; a CPU can do bf16 or no"):
        new_accelerator("cpu", "fp16")


def test_one_process_may_train_twice_with_another_precision() -> None:
    assert new_accelerator("cpu", "bf16").mixed_precision == "bf16"
    assert new_accelerator("cpu", "no").mixed_precision == "no"
