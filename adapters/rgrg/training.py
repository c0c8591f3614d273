"""Training RGRG on a dataset with boxes and sentences of regions, at a size at which it learns on one core.

python -m benchmark train rgrg --preset demo --dataset phantom --out path/to/weights

The authors train in three stages, detector, then classifiers, then all of it with a GPT-2 that was pretrained and stays as it was. Here all parts
learn at once and from nothing, the classifiers and the language model from what lies in the true boxes. Losses and their weights are the authors'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from adapters.learning import ABOUT, KeptImages, learn, pairs_of
from adapters.rgrg.image import fit_of, normalised, square
from adapters.rgrg.network import Network
from adapters.rgrg.sizes import Sizes
from adapters.rgrg.weights import save
from adapters.rgrg.words import Words
from adapters.running import device_named
from benchmark.datasets.images import UnreadableImage, image_size_px, read_radiograph
from benchmark.labelling.rules import RuleLabeller
from benchmark.records import Case, Reference, TrainingData, UserError
from benchmark.vocabulary import REGIONS

DEMO = Sizes(
    image_px=128,
    depths=(1, 1, 2, 2),
    channels=(24, 40, 64, 96),
    is_bottleneck=False,
    stride=8,
    anchor_px=(7, 13, 22, 36, 56),
    anchor_ratios=(0.3, 0.6, 1.0, 1.6, 2.6, 5.0),
    proposals=128,
    box_samples=96,
    bins=4,
    box_width=160,
    region_width=160,
    classifier_widths=(64, 32),
    words=512,
    end=511,
    width=128,
    layers=3,
    heads=4,
    places=128,
)
"""so small that it learns in minutes, and travels in a repository"""
PRESETS = {"demo": DEMO}
EPOCHS = {"demo": 7}
WEIGHTS_OF_LOSSES = {"selection": 5.0, "abnormality": 5.0, "words": 2.0}  # train_full_model.py; the detector's count once
WITH_SENTENCE, WITH_FINDING = 2.2, 6.0
"""how much more a region counts that has a sentence, or a finding: there are so many fewer of them"""
SENTENCES = 3
"""of an image that the language model learns in one step; all 29 regions of an image share a few sentences"""
NO_WORD = -100
"""in place of a word that is not to be learnt"""


class RegionLearner:
    """A network, batches of images with their boxes and sentences, and losses of all its parts."""

    def __init__(self, network: Network, words: Words) -> None:
        self.network, self.words = network, words
        sizes = network.sizes
        self._images = KeptImages(lambda path: square(read_radiograph(path), sizes.image_px))
        self._rules = RuleLabeller()

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> dict[str, Any]:
        """What the losses need.

        images    (B, P, P)  uint8
        boxes     B times (N, 4), in pixels of the square
        labels    B times (N,), regions counted from 1
        said      B times (N,), True where the region has a sentence
        abnormal  B times (N,), True where that sentence states a lesion
        tokens    B times (N, T), begin and end among them, filled up with ``NO_WORD``
        """
        sizes = self.network.sizes
        found: dict[str, Any] = {"images": self._images.stack([case.images[0].path for case in cases])}
        rows: dict[str, list[Tensor]] = {name: [] for name in ("boxes", "labels", "said", "abnormal", "tokens")}
        for case, reference in zip(cases, references, strict=True):
            size_px = image_size_px(case.images[0].path)
            fit = fit_of(*size_px, sizes.image_px)
            named = {name: fit.to_square(reference.boxes[name], size_px) for name in REGIONS if name in reference.boxes}
            named = {name: box for name, box in named.items() if box[2] > box[0] and box[3] > box[1]}
            sentences = [reference.region_sentences.get(name, "") for name in named]
            rows["boxes"].append(torch.tensor(list(named.values())).reshape(-1, 4))
            rows["labels"].append(torch.tensor([REGIONS.index(name) + 1 for name in named]))
            rows["said"].append(torch.tensor([bool(sentence) for sentence in sentences]))
            rows["abnormal"].append(torch.tensor(self._state_lesions(sentences)))
            rows["tokens"].append(self._tokens(sentences))
        return {**found, **rows}

    def _state_lesions(self, sentences: Sequence[str]) -> list[bool]:
        return [any(lesion.status == "positive" for lesion in lesions) for lesions in self._rules.label(sentences)]

    def _tokens(self, sentences: Sequence[str]) -> Tensor:
        sizes = self.network.sizes
        rows = [[sizes.end, *self.words.tokens(sentence)[: sizes.places - 2], sizes.end] if sentence else [] for sentence in sentences]
        longest = max(map(len, rows), default=0)
        return torch.tensor([row + [NO_WORD] * (longest - len(row)) for row in rows]).reshape(len(rows), longest)

    def losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """By name, weighed: of the detector four, of the classifiers one each, of the language model one."""
        sizes = self.network.sizes
        images = _normalised(batch["images"], sizes)
        targets = [{"boxes": boxes, "labels": labels} for boxes, labels in zip(batch["boxes"], batch["labels"], strict=True)]
        losses, features = self.network.detector.losses(images, targets)
        seen, said, abnormal = torch.cat(features), torch.cat(batch["said"]), torch.cat(batch["abnormal"])
        losses["selection"] = _binary(self.network.selection(seen)[:, 0], said, WITH_SENTENCE)
        losses["abnormality"] = _binary(self.network.abnormality(seen)[:, 0], abnormal, WITH_FINDING)
        losses["words"] = self._words(features, batch["tokens"], batch["said"])
        return {name: value * WEIGHTS_OF_LOSSES.get(name, 1.0) for name, value in losses.items()}

    def _words(self, features: Sequence[Tensor], tokens: Sequence[Tensor], said: Sequence[Tensor]) -> Tensor:
        """Cross-entropy of the words of some sentences of each image, of all of them where nothing is learnt."""
        chosen = [there.nonzero()[:, 0] for there in said]
        if self.network.training:
            chosen = [rows[torch.randperm(len(rows))[:SENTENCES].to(rows.device)] for rows in chosen]
        seen = torch.cat([of_image[rows] for of_image, rows in zip(features, chosen, strict=True)])
        if not len(seen):
            return seen.sum()  # zero, and of the same kind as any other
        longest = max(rows.shape[1] for rows in tokens)
        words = torch.cat(
            [functional.pad(of_image[rows], (0, longest - of_image.shape[1]), value=NO_WORD) for of_image, rows in zip(tokens, chosen, strict=True)]
        )
        words = words[:, : int((words != NO_WORD).sum(1).max())]
        scores = self.network.language(seen, words[:, :-1].clamp(min=0))
        return functional.cross_entropy(scores.flatten(0, 1), words[:, 1:].flatten(), ignore_index=NO_WORD)

    def save(self, folder: Path) -> None:
        """Weights and word pieces; the sizes stand in ``about.json``."""
        save(self.network, folder)
        self.words.save(folder)


def has_regions(case: Case, reference: Reference) -> bool:
    """True if there is an image with boxes to learn from."""
    return bool(case.images) and any(name in REGIONS for name in reference.boxes)


def train(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "demo",
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    epochs: int | None = None,
    batch: int = 8,
    learning_rate: float = 1.5e-3,
) -> Path:
    """Train on a dataset's train split, keep the best epoch by its validate split, and return the folder of the weights.

    preset  demo: 128 pixels, 1.7 million weights, ten minutes of one core. The published network is not trained here: it needs a pretrained GPT-2
    batch   images

    Raises UserError for a preset that does not exist, or a dataset without boxes and sentences of regions.
    """
    if preset not in PRESETS:
        raise UserError(f"train rgrg: no preset {preset!r}; known: {', '.join(PRESETS)}")
    return train_sizes(
        training,
        PRESETS[preset],
        out=out,
        seed=seed,
        device=device,
        command=command,
        epochs=EPOCHS[preset] if epochs is None else epochs,
        batch=batch,
        learning_rate=learning_rate,
    )


def train_sizes(
    training: TrainingData,
    sizes: Sizes,
    *,
    out: Path,
    epochs: int,
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    batch: int = 8,
    learning_rate: float = 1.5e-3,
) -> Path:
    """The same for a network of any size; of words it has as many as the sentences have pieces, at most as many as it says."""
    pairs = pairs_of(training, "train", has_regions)
    sentences = [text for _, reference in pairs for name, text in reference.region_sentences.items() if name in REGIONS and text]
    if not sentences:
        raise UserError("train rgrg: the dataset has no training image with boxes and sentences of regions; RGRG learns from both")
    words = Words.learn(sentences, sizes.words)
    if len(words) < sizes.words:
        sizes = replace(sizes, words=len(words), end=len(words) - 1, places=min(sizes.places, len(words)))
    torch.manual_seed(seed)
    learner = RegionLearner(Network(sizes), words)
    learn(
        learner,
        training,
        out,
        epochs=epochs,
        batch_size=batch,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
        command=command,
        name="rgrg",
        usable=has_regions,
        about={"sizes": sizes.to_json()},
    )
    overlap = mean_overlap(learner.network.eval(), pairs_of(training, "validate", has_regions), device_named(device, "train rgrg"))
    about = json.loads((out / ABOUT).read_text(encoding="utf-8"))
    about["summary"]["box_overlap_validate"] = overlap
    (out / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return out


@torch.inference_mode()
def mean_overlap(network: Network, pairs: Sequence[tuple[Case, Reference]], device: torch.device) -> float | None:
    """Mean IoU of true boxes with the predicted ones, one not found counting 0, an image that cannot be read not at all; None without any."""
    found: list[float] = []
    for case, reference in pairs:
        try:
            grey, size_px = read_radiograph(case.images[0].path), image_size_px(case.images[0].path)
        except UnreadableImage:
            continue
        fit = fit_of(*size_px, network.sizes.image_px)
        images = _normalised(torch.from_numpy(square(grey, network.sizes.image_px))[None].to(device), network.sizes)
        seen = network.detector(images)
        for name, box in reference.boxes.items():
            region = REGIONS.index(name) if name in REGIONS else None
            if region is not None:
                true = torch.tensor([fit.to_square(box, size_px)], device=device)
                found.append(float(box_iou(true, seen.boxes[0, region][None])) if seen.is_found[0, region] else 0.0)
    return round(float(np.mean(found)), 4) if found else None


def _normalised(squares: Tensor, sizes: Sizes) -> Tensor:
    """(B, P, P) uint8 -> (B, 1, P, P), on the same device."""
    return torch.from_numpy(normalised(squares.cpu().numpy(), sizes.mean, sizes.deviation))[:, None].to(squares.device)


def _binary(scores: Tensor, is_true: Tensor, weight: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(scores, is_true.to(scores.dtype), pos_weight=scores.new_tensor(weight))
