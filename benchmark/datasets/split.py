"""Patients into train, validate and test, so that each lesion and region is shared out as the images are.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011) with patients in place of samples and counts in place of labels: what the
paper's prose describes ("stratified patient-level sampling"). The counts that the paper prints fit the official split better (spec 1.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.records import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "validate", "test")
GOOD_ENOUGH = 0.001
"""a tenth of a point: errors of shares below it are left alone"""
MOST_MOVES = 500
"""of single patients; each takes milliseconds"""
PAPER_IMAGES = (111_326, 15_640, 31_255)  # CLALA-Net, Sect. 4.1


class UnknownSplit(UserError):
    """A split that the dataset does not have."""


class SharedPatient(UserError):
    """A patient whose images are in two splits: what is learned from one would be tested on the other."""


def stratify(
    label_counts: NDArray[np.int64], image_counts: NDArray[np.int64], *, shares: Sequence[float] = PAPER_IMAGES, seed: int = 42
) -> NDArray[np.int64]:
    """The fold of every patient.

    label_counts  (P, L)  images of the patient that carry the label
    image_counts  (P,)    images of the patient
    shares        (F,)    wished sizes of the folds, in any unit
    returns       (P,)    0 ... F-1

    The rarest label that is not shared out yet comes first; its patients, those with most of it first, each go to the fold that lacks most of it
    (then: that lacks most images; then: by lot). Patients without any label fill what images are lacking.
    The end of it is ours: what one label gained another lost, so single patients move, those first who mend most, until every share is within
    ``GOOD_ENOUGH`` or no move mends anything.
    """
    labels = np.asarray(label_counts, dtype=np.float64)
    images = np.asarray(image_counts, dtype=np.float64)
    wished = np.asarray(shares, dtype=np.float64) / np.sum(shares)
    rng = np.random.default_rng(seed)
    folds = np.full(len(images), -1, dtype=np.int64)
    lacking = np.outer(wished, labels.sum(axis=0))  # (F, L) images with the label that the fold still wants
    lacking_images = wished * images.sum()
    # Ties between patients are broken by lot too, or the order of the file would decide.
    order = rng.permutation(len(images))

    def give(patient: int, wants: NDArray[np.float64]) -> None:
        best = np.flatnonzero(wants == wants.max())
        if len(best) > 1:
            best = best[lacking_images[best] == lacking_images[best].max()]
        fold = int(best[0] if len(best) == 1 else rng.choice(best))
        folds[patient] = fold
        lacking[fold] -= labels[patient]
        lacking_images[fold] -= images[patient]

    while True:
        left = labels[folds < 0].sum(axis=0)
        if not left.any():
            break
        rarest = int(np.argmin(np.where(left > 0, left, np.inf)))
        with_it = order[(folds[order] < 0) & (labels[order, rarest] > 0)]
        for patient in with_it[np.argsort(-labels[with_it, rarest], kind="stable")]:
            give(int(patient), lacking[:, rarest])
    without = order[folds[order] < 0]
    for patient in without[np.argsort(-images[without], kind="stable")]:
        give(int(patient), lacking_images)
    return _mended(folds, np.column_stack([labels, images]), wished)


class ShareErrors(NamedTuple):
    """By how much folds differ from the wished shares, as parts of one: 0.006 is 0.6 points."""

    images: float
    """the worst fold's share of all images"""
    labels: float
    """the worst share of any label in any fold; labels that nobody carries do not count"""


def share_errors(
    folds: NDArray[np.int64], label_counts: NDArray[np.int64], image_counts: NDArray[np.int64], *, shares: Sequence[float] = PAPER_IMAGES
) -> ShareErrors:
    """How well patients were shared out; arguments as ``stratify`` takes and gives them. NaN where there is nothing to share out."""
    wished = np.asarray(shares, dtype=np.float64) / np.sum(shares)
    errors = np.abs(_errors(folds, np.column_stack([label_counts, image_counts]).astype(np.float64), wished))
    carried = np.flatnonzero(np.asarray(label_counts).sum(axis=0) > 0)
    return ShareErrors(
        float(errors[:, -1].max()) if np.sum(image_counts) else float("nan"), float(errors[:, carried].max()) if len(carried) else float("nan")
    )


def _errors(folds: NDArray[np.int64], counts: NDArray[np.float64], wished: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, C) share of each column's counts in each fold, less the wished one; 0 in empty columns."""
    found = np.stack([counts[folds == fold].sum(axis=0) for fold in range(len(wished))])
    total = counts.sum(axis=0)
    return np.where(total > 0, found / np.where(total > 0, total, 1) - wished[:, None], 0.0)


def _mended(folds: NDArray[np.int64], counts: NDArray[np.float64], wished: NDArray[np.float64]) -> NDArray[np.int64]:
    """The folds after moving single patients, each move the one that lowers the sum of squared errors most.

    counts  (P, C)  labels, and images as one more
    """
    folds = folds.copy()
    total = counts.sum(axis=0)
    weights = counts / np.where(total > 0, total, 1)  # what a patient moves of each share
    own = (weights**2).sum(axis=1)
    errors = _errors(folds, counts, wished)
    for _ in range(MOST_MOVES):
        if not len(folds) or np.abs(errors).max() <= GOOD_ENOUGH:
            break
        toward = weights @ errors.T  # (P, F): the squares grow by 2 w.(e_new - e_old) + 2 w.w
        change = toward - toward[np.arange(len(folds)), folds][:, None] + own[:, None]
        change[np.arange(len(folds)), folds] = 0.0
        patient, fold = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[patient, fold] >= -1e-12:
            break
        errors[folds[patient]] -= weights[patient]
        errors[fold] += weights[patient]
        folds[patient] = fold
    return folds


def check_split(dataset: str, split: str, more: str = "") -> None:
    """Nothing, if there is such a split. Raises UnknownSplit, with ``more`` of what there is."""
    if split not in SPLITS:
        raise UnknownSplit(f"{dataset} has no split {split!r}; it has {', '.join(SPLITS)}{more}")


def check_disjoint(patients_of: Mapping[str, Iterable[str]]) -> None:
    """Nothing, if no patient is in two splits. Raises SharedPatient with the first that is."""
    home: dict[str, str] = {}
    shared: dict[str, tuple[str, str]] = {}
    for split, patients in patients_of.items():
        for patient in patients:
            if home.setdefault(patient, split) != split:
                shared[patient] = (home[patient], split)
    if shared:
        first = min(shared)
        raise SharedPatient(
            f"the splits were to share no patient, but patient {first} is in {shared[first][0]} and in {shared[first][1]} "
            f"({len(shared)} such patients); use split files that were made by patient"
        )
