"""Cases are shared out and written about once, in order, whatever becomes of the workers. No Ray here: a crew that lives in a list."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.engine.blocks import Done, Event, Learnt, Lost, Placed, Raised, RaisedElsewhere, Ready, Silent, WorkersLost, Wrote
from benchmark.records import Case, Report

CASES = [Case(f"case-{number}", "p", "s", ()) for number in range(100)]
Fate = Callable[[str, Sequence[Case], int], Event | None]
"""(case, all that were given with it, how many workers were lost before) -> what happens in place of its report, or None"""


class Crew:
    """Workers that take turns by a dice; one writes a report per turn, whose text names the batch that it was written in."""

    def __init__(
        self, fate: Fate = lambda case, given, lost: None, *, ready: Ready | None = None, seed: int = 0, starts: Sequence[Event] = ()
    ) -> None:
        self.fate, self.ready, self.dice, self.starts = fate, ready or Ready("said"), Random(seed), deque(starts)
        self.count, self.lost, self.is_closed = 0, 0, False
        self.dismissed: list[Hashable] = []
        self.script: dict[Hashable, deque[Event]] = {}
        self.given: list[tuple[Hashable, list[str]]] = []

    def start(self) -> Hashable:
        self.count += 1
        self.script[self.count] = deque([self.starts.popleft() if self.starts else self.ready])
        return self.count

    def give(self, worker: Hashable, cases: Sequence[Case]) -> None:
        assert not self.script[worker], "a worker has one piece at a time"
        self.given.append((worker, [case.id for case in cases]))
        self.script[worker] = deque(self._play(cases))

    def wait(self) -> tuple[Hashable, Event]:
        worker = self.dice.choice([worker for worker, events in self.script.items() if events])
        event = self.script[worker].popleft()
        if isinstance(event, Lost | Silent):
            self.lost += isinstance(event, Lost)
            del self.script[worker]
        return worker, event

    def dismiss(self, worker: Hashable) -> None:
        assert not self.script[worker], "it is idle"
        self.dismissed.append(worker)

    def close(self) -> None:
        self.is_closed = True

    def _play(self, cases: Sequence[Case]) -> Iterator[Event]:
        size = self.ready.batch_size
        for place, case in enumerate(cases):
            start = place // size * size
            if event := self.fate(case.id, cases, self.lost):
                yield event
                return
            yield Wrote([Report(case.id, f"with {' '.join(other.id for other in cases[start : start + size])}")])
        yield Done()


def written(crew: Crew, cases: Sequence[Case] = CASES, workers: int = 4) -> list[Report]:
    said: list[str] = []
    return list(Placed(crew, "fake", workers, say=said.append).generate(cases))


def alone(size: int = 1, cases: Sequence[Case] = CASES) -> list[Report]:
    """What one worker writes about all cases at once: the truth for every other number."""
    crew = Crew(ready=Ready(None, size))
    return [report for event in crew._play(cases) if isinstance(event, Wrote) for report in event.reports]


def once(fate_of: str, event: Event) -> Fate:
    """The first worker that comes to a case meets its fate; the next does not."""
    return lambda case, given, lost: event if case == fate_of and not lost else None


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(1, 6), size=st.integers(1, 40), count=st.integers(0, 100), seed=st.integers(0, 99), killed=st.sets(st.integers(0, 99)))
def test_any_number_of_workers_writes_what_one_writes_whichever_are_lost(workers: int, size: int, count: int, seed: int, killed: set[int]) -> None:
    """Each case of ``killed`` ends the first worker that comes to it; a batch that two workers were lost in is written in parts, no other is."""
    killed = {number for number in sorted(killed)[:10] if number < count}
    left = {f"case-{number}" for number in killed}

    def fate(case: str, given: Sequence[Case], lost: int) -> Event | None:
        if case in left:
            left.discard(case)
            return Lost("killed")
        return None

    crew = Crew(fate, ready=Ready(None, size), seed=seed)
    found = written(crew, CASES[:count], workers)
    assert [report.case_id for report in found] == [case.id for case in CASES[:count]]
    assert not any(report.failure for report in found)
    if len({number // size for number in killed}) == len(killed):
        assert found == alone(size, CASES[:count])
    assert crew.count <= workers + crew.lost


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("at", [0, 17, 99])
def test_a_worker_that_is_killed_once_changes_nothing(workers: int, at: int) -> None:
    crew = Crew(once(f"case-{at}", Lost("killed")), ready=Ready(None, 8))
    assert written(crew, workers=workers) == alone(8)
    assert crew.lost == 1


def test_further_workers_come_when_the_first_has_written() -> None:
    """What the first keeps on disk, features of ten thousand images, the others shall find and not make again."""
    crew = Crew()
    reports = Placed(crew, "fake", 4).generate(CASES)
    assert crew.count == 1
    next(reports)
    assert crew.count == 1
    list(reports)
    assert crew.count == 4


def test_blocks_are_whole_batches_and_few_cases_are_shared_out_too() -> None:
    crew = Crew(ready=Ready(None, 8))
    written(crew, workers=2)
    assert {len(cases) for _, cases in crew.given} == {8, 4}
    assert all(int(cases[0].removeprefix("case-")) % 8 == 0 for _, cases in crew.given)
    assert len({worker for worker, _ in crew.given}) == 2


def test_a_case_that_ends_every_worker_fails_and_no_other() -> None:
    said: list[str] = []
    crew = Crew(lambda case, given, lost: Lost("its process ended") if case == "case-42" else None, ready=Ready(None, 8))
    found = list(Placed(crew, "fake", 2, say=said.append).generate(CASES))
    assert [report.case_id for report in found if report.failure] == ["case-42"]
    assert found[42].failure == "the worker that wrote it was lost, and so was the next: its process ended"
    assert "fake: a worker was lost again (its process ended); case 'case-42' has failed" in said
    assert "fake: a worker was lost (its process ended); its 8 cases are done again" in said[0]


def test_where_memory_was_short_the_next_piece_is_smaller_at_once() -> None:
    def fate(case: str, given: Sequence[Case], lost: int) -> Event | None:
        return Lost("its machine ran out of memory", lacked_memory=True) if len(given) > 2 else None

    crew = Crew(fate)
    assert [report.case_id for report in written(crew, workers=1)] == [case.id for case in CASES]
    assert not any(report.failure for report in written(Crew(fate), workers=1))
    assert [len(cases) for _, cases in crew.given[:4]] == [25, 13, 7, 4]


def test_a_model_that_raises_does_so_when_all_before_it_is_written() -> None:
    """As in one process: what stands in the folder are the cases before, and all of them."""
    crew = Crew(lambda case, given, lost: Raised("ValueError", "out of ideas") if case == "case-60" else None, seed=3)
    reports = Placed(crew, "fake", 4).generate(CASES)
    assert [next(reports).case_id for _ in range(60)] == [case.id for case in CASES[:60]]
    with pytest.raises(RaisedElsewhere, match="out of ideas"):
        next(reports)


def test_of_two_cases_that_raise_the_first_counts() -> None:
    crew = Crew(lambda case, given, lost: Raised("ValueError", f"at {case}") if case in ("case-3", "case-80") else None, seed=1)
    with pytest.raises(RaisedElsewhere, match="at case-3"):
        list(Placed(crew, "fake", 4).generate(CASES))


def test_a_model_whose_cases_depend_on_each_other_is_asked_for_all_of_them_in_one_worker() -> None:
    crew = Crew(once("case-60", Lost("killed")), ready=Ready(None, 1, is_independent=False))
    found = written(crew, workers=4)
    assert [worker for worker, _ in crew.given] == [1, 2], "the second begins with the first case again"
    assert all(len(cases) == 100 for _, cases in crew.given)
    assert found == alone()


def test_such_a_model_is_not_begun_again_for_ever() -> None:
    crew = Crew(lambda case, given, lost: Lost("killed") if case == "case-60" else None, ready=Ready(None, 1, is_independent=False))
    with pytest.raises(WorkersLost, match="4 workers were lost that were to write all cases, the last: killed"):
        written(crew)


def test_workers_that_end_whatever_they_are_given_are_given_up() -> None:
    with pytest.raises(WorkersLost, match="workers in a row were lost before they wrote a report, the last: no such instruction"):
        written(Crew(lambda case, given, lost: Lost("no such instruction")))


def test_workers_that_end_while_they_make_the_model_are_given_up() -> None:
    with pytest.raises(WorkersLost, match="3 workers in a row were lost while they made the model, the last: killed"):
        Placed(Crew(starts=[Lost("killed")] * 3), "fake", 4)


def test_one_start_that_fails_is_tried_again() -> None:
    assert written(Crew(starts=[Lost("killed")])) == alone()


def test_a_further_worker_that_cannot_make_the_model_leaves_the_work_to_the_others() -> None:
    said: list[str] = []
    crew = Crew(starts=[Ready("said"), *[Raised("OSError", "no weights here")] * 9])
    assert list(Placed(crew, "fake", 4, say=said.append).generate(CASES)) == alone()
    assert "a further worker could not make the model (OSError: no weights here); the others go on" in said[0]
    assert len(said) <= 6


def test_a_model_that_is_silent_for_too_long_is_stopped_when_all_before_it_is_written() -> None:
    """In the words of one that is silent in the command's own process; and its worker, which hangs, is given nothing more."""
    crew = Crew(lambda case, given, lost: Silent(5.0) if case == "case-60" else None, seed=4)
    reports = Placed(crew, "fake", 4).generate(CASES)
    assert [next(reports).case_id for _ in range(60)] == [case.id for case in CASES[:60]]
    with pytest.raises(RaisedElsewhere, match="gave no report for 5 s, and --patience is no longer") as raised:
        next(reports)
    assert raised.value.raised.kind == "ModelFailed"


def test_a_further_worker_whose_model_is_another_writes_nothing() -> None:
    """A machine with other weights under the same path: half of the reports would be another model's."""
    said: list[str] = []
    other = Ready("said", made_of="weights 2")
    crew = Crew(ready=Ready("said", made_of="weights 1"), starts=[Ready("said", made_of="weights 1"), other, other, other])
    assert list(Placed(crew, "fake", 3, say=said.append).generate(CASES)) == alone()
    assert {worker for worker, _ in crew.given}.isdisjoint({2, 3, 4})
    assert crew.dismissed
    assert set(crew.dismissed) <= {2, 3, 4}
    assert (
        "a further worker could not make the model (OtherModel: a further worker's model is another than the first one's: its provenance" in said[0]
    )


def test_what_is_said_of_the_data_that_a_model_read_while_it_wrote_is_kept_once() -> None:
    crew = Crew()
    placed = Placed(crew, "fake", 1)
    assert placed.learnt == set()
    play = crew._play
    crew._play = lambda cases: iter([Learnt(("Taken out.",)), *play(cases)])  # type: ignore[method-assign]
    assert list(placed.generate(CASES)) == alone()
    assert placed.learnt == {"Taken out."}


def test_a_model_that_cannot_be_made_is_the_models_failure() -> None:
    with pytest.raises(RaisedElsewhere, match="no such layer"):
        Placed(Crew(starts=[Raised("RuntimeError", "no such layer")]), "fake", 4)


def test_a_slow_case_holds_up_no_more_than_a_window() -> None:
    """What is written ahead of it lies in memory and would be lost with the command."""
    crew = Crew(seed=5)
    reports = Placed(crew, "fake", 2).generate([Case(str(number), "p", "s", ()) for number in range(10_000)])
    next(reports)
    assert max(int(cases[-1]) for _, cases in crew.given) <= 4 * 2 * 32


def test_no_case_asks_nobody() -> None:
    crew = Crew()
    assert list(Placed(crew, "fake", 4).generate([])) == []
    assert crew.given == []
