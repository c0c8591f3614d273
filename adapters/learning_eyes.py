"""The first stage of training a baseline from nothing: its eyes, before it writes a word.

The originals begin with an encoder that ImageNet taught to see. A network that begins with nothing learns the language first, which lowers the loss
faster, and then writes one report for all images. What stands in for ImageNet here is the dataset itself: the image encoder alone learns, under a
head that is thrown away afterwards, which signs the report of an image has. Signs are the lesions that the rules find in it, with their side, and the
words that are neither rare nor in every report. No label is used that is not in the training reports.

Each place of the encoder's map is asked by itself, and the loudest places answer for the image: so what a decoder attends to later lies where it is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from adapters.learning import has_image_and_report, learn, pairs_of
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Case, Reference, TrainingData

STAGE = "eyes"
"""its name in log.jsonl and about.json"""
REMARK = "Its image encoder began not with ImageNet but with a first stage on the same data: lesions and words of the training reports."
RARE, COMMON = 0.02, 0.98
"""shares of the training reports; a sign of fewer or of more of them is not asked for: there is little to learn it from, or nothing"""
LOUD = 4.0
"""between the mean over all places (0) and the loudest place alone (infinity)"""


class Sees(Protocol):
    """A learner of reports, as far as this stage needs it."""

    @property
    def eyes(self) -> nn.Module:
        """What is trained: the part that the original takes from ImageNet."""

    def open(self, cases: Sequence[Case]) -> Tensor:
        """(B, S, S) uint8, first images."""

    def see(self, images: Tensor) -> Tensor:
        """(B, S, S) uint8 -> (B, P, D) what the eyes make of each place, of images that are jittered while the eyes are in training."""


class Signs:
    """What a report may have: lesions, right or left or anywhere, and words."""

    def __init__(self, reports: Sequence[str]) -> None:
        """Those that are neither rare nor common in these reports."""
        self._rules = RuleLabeller()
        counts = Counter(sign for signs in self._all(reports) for sign in signs)
        usual = sorted(sign for sign, count in counts.items() if RARE <= count / len(reports) <= COMMON)
        self.lesions = [sign for sign in usual if sign.startswith("lesion ")]
        self.words = [sign for sign in usual if not sign.startswith("lesion ")]

    def __len__(self) -> int:
        return len(self.lesions) + len(self.words)

    def of(self, reports: Sequence[str]) -> Tensor:
        """(B, len) 1 where a report has the sign, 0 elsewhere; lesions first."""
        return torch.tensor([[float(sign in signs) for sign in (*self.lesions, *self.words)] for signs in self._all(reports)])

    def _all(self, reports: Sequence[str]) -> list[set[str]]:
        return [lesions | set(re.findall(r"[a-z]+", report.lower())) for report, lesions in zip(reports, self._lesions(reports), strict=True)]

    def _lesions(self, reports: Sequence[str]) -> list[set[str]]:
        found: list[set[str]] = []
        for lesions in self._rules.label(list(reports)):
            there = [lesion for lesion in lesions if lesion.status == "positive"]
            sides = {f"lesion {lesion.name}, {side}" for lesion in there for side in ("left", "right") if lesion.side in (side, "bilateral")}
            found.append({f"lesion {lesion.name}" for lesion in there} | sides)
        return found


class Batch(NamedTuple):
    """Cases as this stage learns from them."""

    images: Tensor
    """(B, S, S) uint8"""
    signs: Tensor
    """(B, K) 0 or 1"""


class EyesLearner:
    """Eyes under a head, for ``learning.learn``. Draws the head from torch's generator."""

    def __init__(self, learner: Sees, signs: Signs, width: int, base: Tensor) -> None:
        """``width``: numbers of a place; ``base``: (K,) shares of the training reports that have each sign, with which the head begins."""
        self.learner, self.signs = learner, signs
        head = nn.Linear(width, len(signs))
        with torch.no_grad():
            head.bias.copy_(base.logit())
        self.network = nn.ModuleDict({"eyes": learner.eyes, "head": head})

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> Batch:
        """First images, and what their reports have."""
        return Batch(self.learner.open(cases), self.signs.of([reference.report for reference in references]))

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Binary cross-entropy of lesions and of words, each the mean over all."""
        scores, split = self.scores(self.learner.see(batch.images)), len(self.signs.lesions)
        parts = {"lesions": slice(0, split), "words": slice(split, None)}
        asked = {name: part for name, part in parts.items() if scores[:, part].numel()}
        return {name: binary_cross_entropy_with_logits(scores[:, part], batch.signs[:, part]) for name, part in asked.items()}

    def scores(self, places: Tensor) -> Tensor:
        """(B, P, D) places -> (B, K) logits: a mean over places in which the loud ones count most."""
        heard: Tensor = self.network["head"](places).float()
        return ((LOUD * heard).logsumexp(1) - math.log(heard.shape[1])) / LOUD

    def save(self, folder: Path) -> None:
        """Nothing: the eyes are kept with the network that they are part of, and the head is not."""


def open_eyes(learner: Sees, training: TrainingData, out: Path, *, width: int, seed: int, **settings: Any) -> None:
    """Train the eyes of a learner as the first of two stages; ``settings`` go to the common trainer. With 0 epochs they stay as they are.

    Where no sign is neither rare nor common (a handful of reports), there is nothing to see, and the stage is left out.
    """
    reports = [reference.report for _, reference in pairs_of(training, "train", has_image_and_report)]
    signs = Signs(reports) if reports else None
    if settings["epochs"] == 0 or signs is None or not len(signs):
        return
    learn(EyesLearner(learner, signs, width, signs.of(reports).mean(0)), training, out, seed=seed, stage=STAGE, **settings)
