"""What is measured is never what is learnt from, and a reader's mistakes are found at the door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.inputs import HeldBack, learning_side, read
from benchmark.records import Case, Problem, Reference, RunConfig, UserError


class Fake:
    """A dataset of three cases a split."""

    name, is_credentialed, note = "fake", False, ""

    def __init__(self, ids: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.ids = ids

    def cases(self, split: str) -> list[Case]:
        return [Case(f"{split} {case_id}", f"p {split}", "s", ()) for case_id in self.ids]

    def references(self, split: str) -> list[Reference]:
        return [Reference(f"{split} {case_id}", f"{split} {case_id}") for case_id in self.ids]

    def fingerprint(self, split: str) -> str:
        return split

    def problems(self) -> list[Problem]:
        return []


CONFIG = RunConfig(("m",), ("rouge_l",), "phantom")


@pytest.mark.parametrize("measured", ["test", "validate", "train"])
def test_the_split_that_is_measured_is_held_back_and_test_always_is(measured: str) -> None:
    held = learning_side(Fake(), replace(CONFIG, split=measured), "")
    for split in ("train", "validate", "test", "all"):
        if split in ("train", "validate") and split != measured:
            assert held.references(split)
        else:
            with pytest.raises(UserError, match=f"asked for the split '{split}'"):
                held.references(split)


def test_another_dataset_lends_its_train_and_validate_splits_alone() -> None:
    held = HeldBack(Fake())
    assert held.cases("train")
    assert held.fingerprint("validate") == "validate"
    with pytest.raises(UserError, match="it may learn from train and validate alone"):
        held.cases("test")


def test_cases_keep_their_order_and_the_limit_takes_the_first() -> None:
    data = read(Fake(), replace(CONFIG, limit=2))
    assert [case.id for case in data.cases] == [reference.case_id for reference in data.references] == ["test a", "test b"]
    assert data.counts == {"cases": 2, "patients": 1}


def test_repeated_ids_are_refused_because_they_would_pair_the_wrong_report() -> None:
    with pytest.raises(UserError, match="1 repeated case ids, the first 'test a'"):
        read(Fake(("a", "b", "a")), CONFIG)


def test_a_reader_that_shifts_its_references_is_refused() -> None:
    class Shifted(Fake):
        def references(self, split: str) -> list[Reference]:
            return super().references(split)[::-1]

    with pytest.raises(UserError, match="pairs case 'test a' with the reference of 'test c'"):
        read(Shifted(), CONFIG)


def test_a_split_without_cases_is_refused() -> None:
    with pytest.raises(UserError, match="no case in split 'test' of phantom"):
        read(Fake(()), CONFIG)
