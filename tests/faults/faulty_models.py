"""A plugin of models that do what models do when they are ill: each fault by its name, ``faulty:raises``, at the case that it is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import Case, Report, hookimpl
from benchmark.hookspecs import Register

TEXT = "The heart is enlarged. There is a small left pleural effusion."


class OutOfMemoryError(RuntimeError):
    """Bears the name of torch's, and is as here a RuntimeError."""


class PanicException(BaseException):
    """What a Rust extension (tokenizers, safetensors) raises for a panic: no Exception."""


def steady(number: int) -> str:
    """A report that tells its case by its words; most hold something to find."""
    return f"{TEXT if number % 3 else 'The lungs are clear.'} Study {number}. {'Mild pulmonary edema.' if number % 2 else ''}"


def _raise(error: BaseException) -> Any:
    raise error


def _exhaust() -> Any:
    return np.empty(16 * 2**30, dtype=np.uint8)  # the limit of this process says no


FAULTS: dict[str, Callable[[Case], Any]] = {
    "raises": lambda case: _raise(RuntimeError("no such layer")),
    "exits": lambda case: sys.exit(0),
    "panics": lambda case: _raise(PanicException("index out of bounds")),
    "memory": lambda case: _exhaust(),
    "cuda_memory": lambda case: _raise(OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")),
    "other_id": lambda case: Report("somebody else", TEXT),
    "no_report": lambda case: TEXT,
    "nothing": lambda case: None,
    "number": lambda case: Report(case.id, 17),  # type: ignore[arg-type]
    "bytes": lambda case: Report(case.id, TEXT.encode()),  # type: ignore[arg-type]
    "failure_number": lambda case: Report(case.id, "", failure=17),  # type: ignore[arg-type]
    "nul": lambda case: Report(case.id, "clear\0lungs"),
    "long": lambda case: Report(case.id, "clear lungs " * 900_000),
    "surrogate": lambda case: Report(case.id, "clear \ud800 lungs"),
    "regions_list": lambda case: Report(case.id, TEXT, regions=["left lung"]),  # type: ignore[arg-type]
    "regions_number": lambda case: Report(case.id, TEXT, regions={"left lung": 3}),  # type: ignore[dict-item]
    "details_text": lambda case: Report(case.id, TEXT, details="sure"),  # type: ignore[arg-type]
    "details_object": lambda case: Report(case.id, TEXT, details={"score": object()}),
    "details_loop": lambda case: Report(case.id, TEXT, details=_loop()),
    "long_failure": lambda case: Report(case.id, failure="out of luck " * 900_000),
    "nul_failure": lambda case: Report(case.id, failure="out\0of\nluck"),
    "long_details": lambda case: Report(case.id, TEXT, details={"log": "word " * 2_000_000}),
    "hangs": lambda case: time.sleep(3600),
}


def _loop() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    return loop


class Steady:
    """Answers every case, a moment each. Where a file ``asked`` lies in the working folder, it writes down which."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for case in cases:
            time.sleep(self.seconds)
            if Path("asked").exists():
                with Path("asked").open("a") as asked:
                    asked.write(f"{case.id}\n")
            yield Report(case.id, steady(int(case.id.lstrip("c"))), regions={"left lung": "Clear."}, details={"tokens": [1, 2.5], "seen": True})


class Together:
    """Writes about eight cases at a time, and about each in words that depend on the company, as the last digits of a network do."""

    batch_size = 8

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        for start in range(0, len(cases), self.batch_size):
            batch = cases[start : start + self.batch_size]
            for case in batch:
                time.sleep(self.seconds)
                yield Report(case.id, f"{TEXT} Read with {', '.join(other.id for other in batch)}.")


class Faulty(Steady):
    """Answers as ``Steady`` but for one case, while a file ``ill`` lies in the working folder."""

    def __init__(self, argument: str, *, case: str = "c17") -> None:
        super().__init__()
        self.fault, self.case = argument, case

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        is_ill = Path("ill").exists()
        for case, report in zip(cases, super().generate(cases), strict=True):
            if is_ill and self.fault == "too_few" and case.id == self.case:
                return
            yield FAULTS[self.fault](case) if is_ill and self.fault in FAULTS and case.id == self.case else report
        if is_ill and self.fault == "too_many":
            yield Report("c99", TEXT)
        if is_ill and self.fault == "ends_badly":
            raise RuntimeError("cannot close the session")


@hookimpl
def register_models(register: Register) -> None:
    """All of them."""
    register("steady", Steady, summary="answers")
    register("together", Together, summary="answers eight at a time")
    register("faulty", Faulty, summary="answers but once")
