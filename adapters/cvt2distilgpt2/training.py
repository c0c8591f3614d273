"""Training a CvT2DistilGPT2 from nothing, at a size at which it learns on one core, by the trainer that all baselines share.

python -m benchmark train cvt2distilgpt2 --preset demo --dataset phantom --out path/to/weights

The authors start from a CvT-21 that knows ImageNet and a DistilGPT2 that knows English, and cut every report at 60 of Chen et al.'s tokens. Here
nothing is known before: in a first stage the encoder alone learns from the same images and reports (``learning_eyes``), the vocabulary is learnt from
the training reports, and reports are learnt whole unless ``words`` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adapters.cvt2distilgpt2.network import Network, normalised
from adapters.cvt2distilgpt2.pieces import Pieces
from adapters.cvt2distilgpt2.pixels import TooSmall, middle
from adapters.cvt2distilgpt2.sizes import Sizes
from adapters.cvt2distilgpt2.weights import save
from adapters.learning import KeptImages, has_image_and_report, learn, pairs_of
from adapters.learning_eyes import REMARK, open_eyes
from benchmark.datasets.images import UnreadableImage, read_radiograph
from benchmark.records import Case, Reference, TrainingData, UserError

DEMO = Sizes(
    resize_px=140,
    image_px=128,
    stage_widths=(16, 48, 96),
    stage_depths=(1, 1, 2),
    stage_heads=(1, 2, 3),
    words=512,
    places=192,
    width=96,
    layers=2,
    heads=3,
)
"""so small that it learns in minutes, and travels in a repository"""
PRESETS = {"demo": DEMO, "published": Sizes()}
EYES_EPOCHS = {"demo": 20, "published": 10}
EPOCHS = {"demo": 14, "published": 10}
RATES = {"demo": 2e-3, "published": 5e-4}
EYES_RATE = 2e-3
"""highest learning rate of the first stage"""
SLOWER: dict[str, dict[str, float]] = {"demo": {"encoder.": 0.2}, "published": {"encoder.": 0.1}}
"""in the second stage the encoder learns slower; published are 5e-5 for it and 5e-4 for the rest (the authors' configuration, train_*.yaml)"""
SPREAD = 0.02
"""standard deviation of first weights, GPT-2's and CvT's"""
BRIGHTENED = 0.1
"""how far brightness and contrast of a training image may be off, as a share"""
NO_PIECE = -100
"""in place of a piece that is not to be learnt"""


class Batch(NamedTuple):
    """Cases as the network learns from them."""

    images: Tensor
    """(B, R, R) uint8, before the middle is cut out"""
    tokens: Tensor
    """(B, T + 1), with the start before the report and the end after it unless it was cut; filled up with ``NO_PIECE``"""


class ReportLearner:
    """The network, its batches and its loss, for ``learning.learn``."""

    def __init__(self, network: Network, pieces: Pieces, *, words: int | None = None, half: bool = True) -> None:
        """``words`` are the most that a report is learnt to, ``half`` stores float16."""
        self.network, self.pieces, self.words, self.half = network, pieces, words, half
        self._images = KeptImages(self._square)

    def _square(self, path: Path) -> np.ndarray:
        try:
            return middle(read_radiograph(path), self.network.sizes.resize_px, self.network.sizes.resize_px)
        except TooSmall as error:
            raise UnreadableImage(f"radiograph {path}: {error}") from error

    @property
    def eyes(self) -> torch.nn.Module:
        """The encoder, without what hands its map to the decoder."""
        return self.network.encoder

    def open(self, cases: Sequence[Case]) -> Tensor:
        """(B, R, R) uint8, first images."""
        return self._images.stack([case.images[0].path for case in cases])

    def see(self, images: Tensor) -> Tensor:
        """(B, R, R) uint8 -> (B, P, E) what the encoder makes of it, cut from anywhere and brightened while it is in training."""
        pixels = self.network.sizes.image_px
        seen: Tensor = self.network.encoder(normalised(jittered(images, pixels) if self.eyes.training else cut(images, pixels)))
        return seen

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> Batch:
        """First images, and reports as pieces."""
        rows = [self._row(reference.report) for reference in references]
        tokens = torch.full((len(rows), max(map(len, rows))), NO_PIECE)
        for place, row in zip(tokens, rows, strict=True):
            place[: len(row)] = torch.tensor(row)
        return Batch(self.open(cases), tokens)

    def _row(self, report: str) -> list[int]:
        text = said(report, self.words)
        return [self.pieces.start, *self.pieces.numbers(text), self.pieces.end][: self.network.sizes.places]

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """Mean over all pieces of minus the log-probability that each had."""
        before, after = batch.tokens[:, :-1], batch.tokens[:, 1:]
        scores = self.network.decoder(before.masked_fill(before == NO_PIECE, self.pieces.filling), self.network.projection(self.see(batch.images)))
        return {"words": functional.cross_entropy(scores.flatten(0, 1).float(), after.flatten(), ignore_index=NO_PIECE)}

    def save(self, folder: Path) -> None:
        """Weights, sizes and vocabulary."""
        save(self.network, self.pieces, folder, half=self.half, words=self.words)


def train(
    training: TrainingData,
    *,
    out: Path,
    preset: Literal["demo", "published"] = "demo",
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    eyes_epochs: int | None = None,
    epochs: int | None = None,
    batch_size: int = 16,
    learning_rate: float | None = None,
    precision: Literal["auto", "no", "bf16"] = "no",
    dropout: float = 0.1,
    words: int | None = None,
    save_every: int = 0,
    half: bool = True,
) -> Path:
    """Train from nothing on a dataset's train split, keep the best epoch by its validate split, and return the folder of the weights.

    preset         demo = a small network, minutes on one core; published = the sizes of the paper, for a GPU, and without its warm start
    eyes_epochs    of the first stage, in which the image encoder alone learns what the reports have; 0 = leave it out, None = the preset's
    epochs         None = the preset's, as of learning_rate
    precision      of products; bf16 is slower on a core, for convolutions of single channels are; auto = the common trainer's
    dropout        of the decoder
    words          a longer report is cut to so many; the authors have 60 of Chen et al.'s tokens
    save_every     steps between two saved states within an epoch; 0 = after each epoch alone
    half           store float16

    Raises UserError for a preset that does not exist, and what the common trainer raises.
    """
    if preset not in PRESETS:
        raise UserError(f"train cvt2distilgpt2: no preset {preset!r}; known: {', '.join(PRESETS)}")
    if words is not None and words < 1:
        raise UserError(f"train cvt2distilgpt2: words is {words}; a report is cut to 1 at least, or leave it out")
    return train_at(
        PRESETS[preset],
        training,
        out=out,
        eyes_epochs=EYES_EPOCHS[preset] if eyes_epochs is None else eyes_epochs,
        epochs=EPOCHS[preset] if epochs is None else epochs,
        batch_size=batch_size,
        learning_rate=RATES[preset] if learning_rate is None else learning_rate,
        times=SLOWER[preset],
        precision=precision,
        dropout=dropout,
        words=words,
        half=half,
        seed=seed,
        device=device,
        command=command,
        save_every=save_every,
        preset=preset,
    )


def train_at(
    sizes: Sizes,
    training: TrainingData,
    *,
    out: Path,
    dropout: float,
    words: int | None,
    half: bool,
    seed: int,
    epochs: int,
    learning_rate: float,
    eyes_epochs: int = 0,
    times: Mapping[str, float] | None = None,
    preset: str = "",
    **settings: Any,
) -> Path:
    """``train`` for a network of any sizes; ``settings`` go to the common trainer."""
    pieces = Pieces.learn((said(reference.report, words) for _, reference in pairs_of(training, "train", has_image_and_report)), sizes.words)
    torch.manual_seed(seed)
    network = Network(replace(sizes, words=len(pieces)), dropout=dropout)
    begin(network)
    weights = sum(parameter.numel() for parameter in network.parameters())
    about = {"preset": preset, "dropout": dropout, "words": words, "weights": weights, **({"eyes": REMARK} if eyes_epochs else {})}
    learner = ReportLearner(network, pieces, words=words, half=half)
    settings = {**settings, "seed": seed, "name": "cvt2distilgpt2", "about": about}
    open_eyes(learner, training, out, width=network.sizes.stage_widths[-1], epochs=eyes_epochs, learning_rate=EYES_RATE, **settings)
    return learn(learner, training, out, stage="words", epochs=epochs, learning_rate=learning_rate, times=times, **settings)


def said(report: str, words: int | None) -> str:
    """The report on one line, cut to so many words."""
    return " ".join(report.split()[:words])


def begin(network: Network) -> None:
    """Small first weights, as both halves were published with: 0.02 in tables and linear layers, more in those of a narrower network, which add up
    fewer numbers; nothing in their biases."""
    std = SPREAD * math.sqrt(Sizes().width / network.sizes.width)
    for module in network.modules():
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=SPREAD)
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    torch.nn.init.xavier_uniform_(network.projection.weight)  # nothing normalises what the encoder hands over


def cut(images: Tensor, image_px: int) -> Tensor:
    """(B, R, R) -> (B, S, S), the middle."""
    edge = round((images.shape[-1] - image_px) / 2)
    return images[:, edge : edge + image_px, edge : edge + image_px]


def jittered(images: Tensor, image_px: int) -> Tensor:
    """(B, R, R) uint8 -> (B, S, S) uint8: a square from anywhere, a little brighter or darker, of a little more or less contrast."""
    count, room = len(images), images.shape[-1] - image_px
    corners = torch.randint(0, room + 1, (2, count, 1), device=images.device)
    rows, columns = corners + torch.arange(image_px, device=images.device)
    square = images[torch.arange(count, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]].float()
    gain, shift = 1 + BRIGHTENED * (2 * torch.rand(2, count, 1, 1, device=images.device) - 1)
    jittered: Tensor = (square * gain + 255 * (shift - 1)).clamp(0, 255).round().byte()
    return jittered
