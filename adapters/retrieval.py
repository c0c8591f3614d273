"""The report of the most similar training image: the floor that most papers leave out.

Two radiographs are as similar as the cosine between their features (``radiograph_features``), whitened on the training images: what all chests
share counts little, what sets them apart counts much. No weights, no download, no network; a model that cannot beat it has learnt to look things up.

What may not be looked up: training images of the query's own patient, or of the same name or file, are passed over, so that no report leaks across.
With more than one neighbour the report among theirs is returned that the others agree with most: words shared (Dice), weighted by similarity.
On phantoms that reads smoother and agrees no better in lesions (micro F1 0.34 for one neighbour, 0.36, 0.32 and 0.33 for 3, 5 and 9; 300 images).

The features of the training images are kept in the cache in parts, each saved when whole, so that an interrupted first pass goes on where it was.
A part's name is a key of the path, size and time of change of each of its files and of the code that made the features.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adapters import radiograph_features
from adapters.protocol import OURS
from adapters.radiograph_features import BLOCKS, WIDTH, describe_radiograph
from benchmark.engine import cores, each
from benchmark.places import cache_folder
from benchmark.progress import progress
from benchmark.records import Case, Problem, ProtocolCard, Report, TrainingData, UserError
from benchmark.screen import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    """(n, d), one row per image"""

DIMENSIONS = 256  # of the whitened space
SHRINKAGE = 3e-4  # of the largest variance, added to all: less of it follows noise, more of it sees exposure and posture only
QUERIES_AT_ONCE = 64
IMAGES_PER_TASK = 32
IMAGES_PER_PART = 64 * IMAGES_PER_TASK  # 5 MB; minutes of work are the most that an interruption loses
IN_THIS_PROCESS = 128  # so few images are described before a second interpreter has started


class NothingToRetrieve(UserError):
    """There is no training image with a report."""


class Retrieval:
    """Answers each case with the report of its nearest neighbour among the training cases."""

    cases_together = QUERIES_AT_ONCE
    """a matrix product of as many rows"""

    def __init__(self, training: TrainingData, *, neighbours: int = 1, cache: Path | None = None) -> None:
        """``neighbours`` to choose a report from; ``cache`` is a folder. Raises ``NothingToRetrieve``."""
        if neighbours < 1:
            raise UserError(f"retrieval: neighbours is {neighbours}; it takes at least 1")
        self.neighbours = neighbours
        self.cache = (cache or cache_folder()) / "retrieval"
        cases, references = training.cases("train"), training.references("train")
        pairs = [(case, ref) for case, ref in zip(cases, references, strict=True) if case.images and ref.report.strip()]
        if mismatch := next((case.id for case, ref in pairs if case.id != ref.case_id), None):
            raise ValueError(f"the training references are not in the order of the training cases, first at {mismatch!r}")
        if not pairs:
            raise NothingToRetrieve(
                f"retrieval: none of the {len(cases)} training cases has an image and a report; it needs a dataset with a train split, "
                "or another one to learn from, named with --training"
            )
        self.cases = [case for case, _ in pairs]
        self.reports = [ref.report for _, ref in pairs]
        self.without_report = len(cases) - len(pairs)
        self.skipped: list[Problem] = []
        self._index: _Index | None = None

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order; a case whose image cannot be read has failed. Raises ``NothingToRetrieve``."""
        index = self._fitted() if cases else None
        with ThreadPoolExecutor(cores(0)) as threads:
            for start in range(0, len(cases), QUERIES_AT_ONCE):
                batch = cases[start : start + QUERIES_AT_ONCE]
                described = list(threads.map(_describe_case, batch))
                assert index is not None
                yield from self._answer(index, batch, described)

    def provenance(self) -> dict[str, Any]:
        """What it looks up, by checksum, and how."""
        texts = hashlib.sha256()
        for case, report in zip(self.cases, self.reports, strict=True):
            texts.update(f"{case.id}\0{report}\0".encode())
        return {
            "training_cases": len(self.cases),
            "training_cases_left_out": self.without_report,
            "training_reports_sha256": texts.hexdigest(),
            "neighbours": self.neighbours,
            "features_sha256": _code_digest(),
            "dimensions": DIMENSIONS,
            "shrinkage": SHRINKAGE,
        }

    def card(self) -> ProtocolCard:
        """What stands under its numbers."""
        return ProtocolCard(
            "any",
            ("frontal image",),
            f"none: the report of {'the nearest' if self.neighbours == 1 else f'one of the {self.neighbours} nearest'} training image, word for word",
            f"looks up {len(self.cases):,} cases of the training split",
            {},
            OURS,
            "none",
            ("Cases of the query's own patient, and of the same image, are passed over.",),
        )

    def _answer(self, index: _Index, batch: Sequence[Case], described: Sequence[Rows | str]) -> Iterator[Report]:
        readable = [features for features in described if not isinstance(features, str)]
        similarities = iter(index.similarities(np.stack(readable)) if readable else ())
        for case, features in zip(batch, described, strict=True):
            if isinstance(features, str):
                yield Report(case.id, failure=features)
                continue
            similarity: Rows = next(similarities)
            similarity[index.leaks(case)] = -np.inf
            # a stable sort: of equals the first in the order of the dataset
            nearest = [row for row in np.argsort(-similarity, kind="stable")[: self.neighbours] if np.isfinite(similarity[row])]
            if not nearest:
                yield Report(case.id, failure="no training case of another patient")
                continue
            reports = [self.reports[index.rows[row]] for row in nearest]
            chosen = nearest[_most_agreed(reports, [float(similarity[row]) for row in nearest])]
            found = [{"neighbour": self.cases[index.rows[row]].id, "similarity": float(similarity[row])} for row in nearest]
            details = {"neighbour": self.cases[index.rows[chosen]].id, "similarity": float(similarity[chosen])}
            yield Report(case.id, self.reports[index.rows[chosen]], details=details if len(found) == 1 else {**details, "neighbours": found})

    def _fitted(self) -> _Index:
        """The index over the training images that can be read, made once."""
        if self._index is None:
            features = self._training_features()
            is_readable = np.isfinite(features).all(axis=1)
            self.skipped = [
                Problem("unreadable training image", str(self.cases[row].images[0].path), "left out") for row in np.flatnonzero(~is_readable)
            ]
            if not is_readable.any():
                raise NothingToRetrieve(
                    f"retrieval: none of the {len(self.cases)} training images can be read, the first is {self.skipped[0].where}; "
                    "run doctor, or check the dataset's folder"
                )
            if self.skipped:
                first = self.skipped[0].where
                say(f"retrieval: {len(self.skipped)} of {len(self.cases)} training images cannot be read, first {first}; left out", err=True)
            self._index = _Index(features[is_readable], np.flatnonzero(is_readable), self.cases)
        return self._index

    def _training_features(self) -> Rows:
        """(n, 640), a row of NaN where an image cannot be read; from the cache as far as it was made before."""
        paths = [case.images[0].path for case in self.cases]
        features = np.full((len(paths), WIDTH), np.nan, np.float32)
        parts = [slice(start, min(start + IMAGES_PER_PART, len(paths))) for start in range(0, len(paths), IMAGES_PER_PART)]
        files = [self.cache / f"{_key(paths[part])}.npy" for part in parts]
        tasks: list[slice] = []
        left: list[int] = []  # images of each part that are still to be described
        for part, file in zip(parts, files, strict=True):
            kept = _load(file, part.stop - part.start)
            left.append(0 if kept is not None else part.stop - part.start)
            if kept is not None:
                features[part] = kept
            else:
                tasks += [slice(start, min(start + IMAGES_PER_TASK, part.stop)) for start in range(part.start, part.stop, IMAGES_PER_TASK)]
        if not tasks:
            return features
        workers = cores(0) if sum(left) > IN_THIS_PROCESS else 1
        with progress("retrieval: training images", len(paths), unit="images", done=len(paths) - sum(left)) as advance:
            for index, rows in each(describe_images, [(paths[task],) for task in tasks], workers=workers):
                features[tasks[index]] = rows
                advance(len(rows))
                number = tasks[index].start // IMAGES_PER_PART
                left[number] -= len(rows)
                if not left[number]:
                    _save(files[number], features[parts[number]])
        return features


class _Index:
    """Whitened training images to search in."""

    def __init__(self, features: Rows, rows: NDArray[np.intp], cases: Sequence[Case]) -> None:
        self.rows = rows  # row here -> place among the training cases
        self._whitening = _fit(features)
        self._vectors = self._whitening.apply(features)
        self._by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
        for here, row in enumerate(rows):
            for name in _names(cases[row]):
                self._by_name[name].append(here)

    def similarities(self, features: Rows) -> Rows:
        """(q, 640) -> (q, n) cosines."""
        product: Rows = self._whitening.apply(features) @ self._vectors.T
        return product

    def leaks(self, case: Case) -> list[int]:
        """Rows that this case may not be answered from."""
        return [row for name in _names(case) for row in self._by_name.get(name, ())]


def _names(case: Case) -> list[tuple[str, str]]:
    """What two cases must not share; a patient or an image without a name shares nothing."""
    names = [("patient", case.patient), *(("image", image.id) for image in case.images)]
    return [*((kind, name) for kind, name in names if name), *(("file", str(image.path.absolute())) for image in case.images)]


class _Whitening(NamedTuple):
    """features -> unit vectors in which every direction varies about as much."""

    mean: NDArray[np.float64]
    """(640,)"""
    scale: NDArray[np.float64]
    """(640,), so that each block of features varies as much as the others"""
    axes: NDArray[np.float64]
    """(640, d)"""

    def apply(self, features: Rows) -> Rows:
        """(n, 640) -> (n, d), rows of length 1 (0 for the mean chest itself)."""
        vectors = (features - self.mean) * self.scale @ self.axes
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Rows = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
        return unit


def _fit(features: Rows) -> _Whitening:
    """Principal components of the training images, each divided by its standard deviation (see ``SHRINKAGE``)."""
    mean = features.mean(axis=0, dtype=np.float64)
    variance = features.var(axis=0, dtype=np.float64)
    blocks = np.repeat(np.arange(len(BLOCKS)), BLOCKS)
    scale = (1 / np.sqrt(np.maximum(np.bincount(blocks, variance), 1e-12)))[blocks]
    centred = (features - mean) * scale
    variances, axes = np.linalg.eigh(centred.T @ centred / len(features))
    variances, axes = np.maximum(variances[::-1][:DIMENSIONS], 0), axes[:, ::-1][:, :DIMENSIONS]
    return _Whitening(mean, scale, axes / np.sqrt(variances + SHRINKAGE * max(float(variances[0]), 1e-12)))


def describe_images(paths: Sequence[Path]) -> Rows:
    """(n, 640), a row of NaN for a file that cannot be read. At module level, for other processes."""
    rows = np.full((len(paths), WIDTH), np.nan, np.float32)
    for row, path in zip(rows, paths, strict=True):
        features = _describe(path)
        if not isinstance(features, str):
            row[:] = features
    return rows


def _describe_case(case: Case) -> Rows | str:
    return _describe(case.images[0].path) if case.images else "the case has no image"


def _describe(path: Path) -> Rows | str:
    """The features of an image, or why there are none."""
    from benchmark.datasets.images import UnreadableImage, read_radiograph

    try:
        return describe_radiograph(read_radiograph(path))
    except UnreadableImage as error:
        return str(error)


def _most_agreed(reports: Sequence[str], weights: Sequence[float]) -> int:
    """Which report shares most words with all, by Dice; of equals the first."""
    words = [set(report.lower().split()) for report in reports]
    agreement = [
        sum(weight * 2 * len(mine & theirs) / max(1, len(mine) + len(theirs)) for theirs, weight in zip(words, weights, strict=True))
        for mine in words
    ]
    return agreement.index(max(agreement))


def _key(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256(_code_digest().encode())
    for path in paths:
        try:
            status = path.stat()
            digest.update(f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        except OSError:
            digest.update(f"{path.absolute()}\0missing\0".encode())
    return digest.hexdigest()[:32]


def _code_digest() -> str:
    return hashlib.sha256(Path(radiograph_features.__file__).read_bytes()).hexdigest()


def _load(file: Path, count: int) -> Rows | None:
    """The features that a file keeps, None if it does not: no file, or one that was cut off."""
    try:
        features: Rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == (count, WIDTH) and features.dtype == np.float32 else None


def _save(file: Path, features: Rows) -> None:
    with suppress(OSError):  # a full disk costs time at the next run, not this one
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            with part.open("wb") as out:
                np.save(out, features)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
