"""Training at demo size: a small network of R2Gen's kind on whatever a dataset's reports say, by the trainer that all baselines share.

    python -m benchmark train r2gen --preset demo --dataset phantom --out r2gen-demo
    python -m benchmark run --models r2gen:r2gen-demo

It learns what the original learns, the next word of the cleaned report, and is a demonstration: no step of it reproduces the published weights, whose
program begins with a ResNet trained on ImageNet. What stands in for that is a first stage in which the ResNet alone learns from the same images and
reports (``learning_eyes``). One more thing is done otherwise: the original mirrors half of its training images left to right, which teaches that
sides do not matter; here images are moved and brightened a little, and left stays left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from adapters.chen_text import END, Vocabulary, vocabulary_of
from adapters.learning import KeptImages, has_image_and_report, learn, pairs_of
from adapters.learning_eyes import REMARK, open_eyes
from adapters.r2gen.network import Backbone, Sizes
from adapters.r2gen.weights import R2GEN, Family, Manners, save
from adapters.r2gen.writing import normalised, squared
from adapters.running import device_named
from benchmark.records import Case, Reference, TrainingData, UserError

DEMO = Sizes(
    words=0,
    width=96,
    inner=192,
    heads=4,
    layers=2,
    memory_heads=4,
    places=200,
    patch_dropout=0.1,
    image_size_px=128,
    backbone=Backbone("basic", (1, 1, 1, 1), (24, 48, 96, 128), stride_px=16),
)
PRESETS = {"demo": DEMO, "published": Sizes(words=0)}
THRESHOLD = 3
"""times that a word must occur in the training reports; R2Gen's 10 is for a quarter of a million reports"""
EYES_EPOCHS, EPOCHS = 15, 7
EYES_RATE, RATE = 3e-3, 1.5e-3
"""highest learning rates of the first stage, in which the ResNet alone learns, and of the second"""
SLOWER = {"reader.extractor.": 0.2}
"""in the second stage the ResNet learns at a share of the rate; R2Gen has 5e-5 for it and 1e-4 for the rest"""
MOVED = 0.04
"""most that a training image is moved, as a share of its side"""
BRIGHTENED = 0.1
"""most that its brightness and its contrast are changed, as a share"""


def train(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "demo",
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    eyes_epochs: int = EYES_EPOCHS,
    epochs: int = EPOCHS,
    batch_size: int = 16,
    learning_rate: float = RATE,
    precision: Literal["auto", "no", "bf16"] = "auto",
    threshold: int = THRESHOLD,
    max_length: int = 100,
    save_every: int = 0,
) -> Path:
    """Train an R2Gen from nothing on a dataset's train and validate splits and return the folder of the weights.

    preset      demo = a small network, minutes on one core; published = the sizes of the paper, for a GPU and days
    eyes_epochs of the first stage, in which the image encoder alone learns what the reports have; 0 = leave it out
    precision   of products; auto = 16 bits where the processor is made for them
    threshold   how often a word must occur in the training reports; rarer ones are <unk>
    max_length  tokens of a report that are learnt from, and that are written
    save_every  steps between two saved states within an epoch; 0 = after each epoch alone

    Raises UserError for a setting that cannot be, and what the common trainer raises.
    """
    return train_family(
        R2GEN,
        PRESETS,
        training,
        out=out,
        preset=preset,
        seed=seed,
        device=device,
        command=command,
        eyes_epochs=eyes_epochs,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        threshold=threshold,
        max_length=max_length,
        save_every=save_every,
    )


def train_family(
    family: Family,
    presets: Mapping[str, Sizes],
    training: TrainingData,
    *,
    out: Path,
    preset: str,
    seed: int,
    threshold: int,
    max_length: int,
    eyes_epochs: int = 0,
    epochs: int = EPOCHS,
    learning_rate: float = RATE,
    device: str = "auto",
    precision: Literal["auto", "no", "bf16"] = "auto",
    **settings: Any,
) -> Path:
    """``train`` for R2Gen and TSGET alike; ``settings`` go to the common trainer."""
    if preset not in presets:
        raise UserError(f"train {family.name}: preset is {preset!r}; it must be one of {', '.join(presets)}")
    if threshold < 1 or not 2 <= max_length <= presets[preset].places:
        raise UserError(
            f"train {family.name}: threshold is {threshold} and max_length {max_length}; threshold must be at least 1, max_length 2 to "
            f"{presets[preset].places}"
        )
    reports = [reference.report for _, reference in pairs_of(training, "train", has_image_and_report)]
    vocabulary = vocabulary_of(reports, "mimic_cxr", threshold)
    torch.manual_seed(seed)
    network = family.build(replace(presets[preset], words=vocabulary.rows))
    network.reader.extractor.to(memory_format=torch.channels_last)  # the same numbers, in the order in which a core convolves them fastest
    learner = Learner(family, network, vocabulary, Manners("mimic_cxr", 1, max_length))
    about: dict[str, Any] = {"preset": preset, "words": len(vocabulary), "weights": sum(parameter.numel() for parameter in network.parameters())}
    about |= {"threshold": threshold, "max_length": max_length, **({"eyes": REMARK} if eyes_epochs else {})}
    if precision == "auto" and device_named(device, f"train {family.name}").type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16"):
        precision = "bf16"  # a ResNet learns about twice as fast so
    settings = {**settings, "seed": seed, "device": device, "precision": precision, "name": family.name, "about": about}
    open_eyes(learner, training, out, width=network.sizes.backbone.features, epochs=eyes_epochs, learning_rate=EYES_RATE, **settings)
    return learn(learner, training, out, stage="words", epochs=epochs, learning_rate=learning_rate, times=SLOWER, **settings)


class Batch(NamedTuple):
    """Cases as the network learns from them."""

    images: Tensor
    """(B, S, S) uint8"""
    tokens: Tensor
    """(B, T + 1), with 0 before the report, after it, and as filling"""
    lengths: Tensor
    """(B,) tokens to be predicted: of the report, and the 0 after it unless it was cut"""


class Learner:
    """A network of R2Gen's kind, for the common trainer."""

    def __init__(self, family: Family, network: nn.Module, vocabulary: Vocabulary, manners: Manners) -> None:
        self.family, self.network, self.vocabulary, self.manners = family, network, vocabulary, manners
        size_px: int = network.sizes.image_size_px  # type: ignore[union-attr, assignment]
        self._images = KeptImages(partial(squared, size_px=size_px))

    @property
    def eyes(self) -> nn.Module:
        """The ResNet."""
        network: Any = self.network
        eyes: nn.Module = network.reader.extractor
        return eyes

    def open(self, cases: Sequence[Case]) -> Tensor:
        """(B, S, S) uint8, first images."""
        return self._images.stack([case.images[0].path for case in cases])

    def see(self, images: Tensor) -> Tensor:
        """(B, S, S) uint8 -> (B, P, F), what the ResNet makes of them, jittered while it is in training."""
        network: Any = self.network
        grey = jittered(images.float()) if self.eyes.training else images.float()
        seen: Tensor = network.reader.see(normalised(grey)[:, None])
        return seen

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> Batch:
        """First images, and reports cleaned and cut."""
        reports = [self.vocabulary.encode(reference.report, self.manners.text, longest=self.manners.longest) for reference in references]
        tokens = torch.full((len(reports), max(map(len, reports))), END)
        for row, report in zip(tokens, reports, strict=True):
            row[: len(report)] = torch.tensor(report)
        return Batch(self.open(cases), tokens, torch.tensor([len(report) - 1 for report in reports]))

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Mean over all tokens of minus the log-probability that each had."""
        network: Any = self.network
        scores = network(network.reader.encode(self.see(batch.images)), batch.tokens[:, :-1])
        is_predicted = torch.arange(scores.shape[1], device=scores.device) < batch.lengths[:, None]
        return {"words": nll_loss(scores[is_predicted].float(), batch.tokens[:, 1:][is_predicted])}

    def save(self, folder: Path) -> None:
        """A folder as ``weights.load`` takes it."""
        network: Any = self.network
        save(self.family, network, self.vocabulary, self.manners, folder)


def jittered(grey: Tensor) -> Tensor:
    """(B, S, S) 0 to 255, each image moved by a few pixels (its edge repeated), brightened and flattened a little, from torch's own generator."""
    count, side = grey.shape[0], grey.shape[-1]
    most = round(MOVED * side)
    by = torch.randint(-most, most + 1, (2, count, 1), device=grey.device)
    rows, columns = ((torch.arange(side, device=grey.device) + by).clamp(0, side - 1)).unbind(0)
    moved = grey[torch.arange(count, device=grey.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    gain, shift = (1 + BRIGHTENED * (2 * torch.rand(2, count, 1, 1, device=grey.device) - 1)).unbind(0)
    return (moved * gain + 255 * (shift - 1)).clamp(0, 255)
