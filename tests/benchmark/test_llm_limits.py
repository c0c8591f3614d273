"""How many questions are let in at once, and how long is waited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from benchmark.llm.failures import seconds_to_wait
from benchmark.llm.limits import FIRST, Bucket, Gate


def test_the_number_in_flight_doubles_with_every_round_up_to_the_limit() -> None:
    gate, rounds = Gate(64), []
    for _ in range(4):
        rounds.append(int(gate.limit))
        for _ in range(rounds[-1]):
            gate.went_well()
    assert rounds == [16, 32, 64, 64]


def test_fewer_than_the_first_number_are_allowed_from_the_start() -> None:
    assert Gate(3).limit == 3


def test_too_much_halves_once_for_all_that_were_in_flight_and_then_grows_by_one_a_round() -> None:
    async def work() -> list[float]:
        gate, limits = Gate(FIRST), []
        eras = [await gate.enter(1) for _ in range(16)]
        for era in eras:
            gate.too_much(era, 0.0)
        limits.append(gate.limit)
        for _ in range(16):
            gate.leave()
        for _ in range(8):
            gate.went_well()
        limits.append(gate.limit)
        gate.too_much(await gate.enter(1), 0.0)
        limits.append(gate.limit)
        return limits

    halved, grown, halved_again = asyncio.run(work())
    assert halved == 8
    assert 8.9 < grown <= 9
    assert halved_again == 1  # only one was in flight, and it was too much


def test_a_pause_is_waited_by_all_and_who_comes_again_goes_first() -> None:
    async def work() -> tuple[list[str], float]:
        gate, order, loop = Gate(1), [], asyncio.get_running_loop()
        start = loop.time()
        gate.too_much(await gate.enter(1), 0.1)

        async def one(name: str, again: bool) -> None:
            await gate.enter(1, again=again)
            order.append(name)
            gate.leave()

        tasks = [asyncio.create_task(one(name, name == "again")) for name in ("first", "second", "again")]
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.gather(*tasks)
        return order, loop.time() - start

    order, seconds = asyncio.run(work())
    assert order == ["again", "first", "second"]
    assert seconds >= 0.1


@pytest.mark.parametrize("has_entered", [False, True])
def test_who_is_called_off_at_the_gate_leaves_no_gap(has_entered: bool) -> None:
    async def work() -> int:
        gate = Gate(1)
        await gate.enter(1)
        waiting = asyncio.create_task(gate.enter(1))
        await asyncio.sleep(0)
        if has_entered:  # let in, and called off before it could go
            gate.leave()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not has_entered:
            gate.leave()
        await asyncio.wait_for(gate.enter(1), 1)
        return gate.inside

    assert asyncio.run(work()) == 1


def test_a_bucket_fills_evenly_and_overdrafts_are_waited_for() -> None:
    bucket = Bucket(600)  # ten a second
    assert bucket.wait(0.0, 10) == 0
    bucket.take(10)
    assert bucket.wait(0.0, 1) == pytest.approx(0.1)
    assert bucket.wait(0.1, 1) == pytest.approx(0.0, abs=1e-9)
    bucket.take(25)  # more than was thought
    assert bucket.wait(0.1, 1) == pytest.approx(2.5)
    assert bucket.wait(100.0, 10) == 0
    assert bucket.wait(100.0, 11) == 0  # more than ever fits waits until it is full, and no longer


NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": format_datetime(NOON.replace(second=30), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(NOON.replace(hour=11), usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_how_long_an_endpoint_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """RFC 9110, 10.2.3: a number of seconds or a date; milliseconds are OpenAI's and Azure's."""
    assert seconds_to_wait(headers, NOON.timestamp()) == seconds
