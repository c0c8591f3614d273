"""What CLALA-Net's lesion cross-attention is told where it is not told what its classifier sees: labels, made wrong to a chosen F1 if asked.

The study of Figure 3 asks how good labels must be. The corruption (``clala.corrupt``, D13) is drawn over all images of a split at once, so that a
run that is resumed, or that looks at the first twenty cases only, is told the same of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from benchmark.records import Lesions, UserError
from benchmark.vocabulary import LESIONS


class ToldLesions(NamedTuple):
    """One row per image, and how wrong the rows are."""

    rows: np.ndarray
    """(N, 14) float32 of 0 and 1"""
    f1: dict[str, float]
    """lesion -> F1 against the labels before the corruption, of those that at least one image has"""

    @property
    def macro_f1(self) -> float:
        """Mean over those lesions; NaN if no image has any."""
        return float(np.mean(list(self.f1.values()))) if self.f1 else float("nan")

    def record(self) -> dict[str, object]:
        """For the record of a run or of weights: what was reached, beside what was asked for."""
        return {"macro_f1": round(self.macro_f1, 4), "f1": {lesion: round(f1, 4) for lesion, f1 in self.f1.items()}}


def rows_of(labels: Iterable[Lesions]) -> np.ndarray:
    """(N, 14) float32, 1 where the labels state the lesion."""
    rows = [[lesion.status == "positive" for lesion in lesions] for lesions in labels]
    return np.array(rows, dtype=np.float32).reshape(-1, len(LESIONS))


def told_lesions(rows: np.ndarray, f1: float | None, *, seed: int) -> ToldLesions:
    """The labels of all images, (N, 14), made wrong to that F1 per lesion if one is given. Raises UserError for an F1 that is no share."""
    from clala.corrupt import corrupt

    if f1 is not None and not 0 <= f1 <= 1:
        raise UserError(f"label_f1 is {f1}; it must be a share between 0 and 1: 0.70")
    made = corrupt(rows, 1.0 if f1 is None else f1, seed=seed)
    return ToldLesions(made.labels, {lesion: float(reached) for lesion, reached in zip(LESIONS, made.f1, strict=True) if np.isfinite(reached)})


def names_of(row: np.ndarray) -> tuple[str, ...]:
    """The lesions that a row says are there."""
    return tuple(lesion for lesion, value in zip(LESIONS, row, strict=True) if value > 0.5)
