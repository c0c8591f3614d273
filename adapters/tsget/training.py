"""Training at demo size: a small TSGET, by the trainer and on the data that R2Gen's demo learns from.

python -m benchmark train tsget --preset demo --dataset phantom --out tsget-demo
python -m benchmark run --models tsget:tsget-demo
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from adapters.r2gen.training import EPOCHS, EYES_EPOCHS, PRESETS, RATE, THRESHOLD, train_family
from adapters.tsget.weights import TSGET
from benchmark.records import TrainingData


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
    """Train a TSGET from nothing on a dataset's train and validate splits and return the folder of the weights.

    preset      demo = a small network, minutes on one core; published = the sizes of its program, for a GPU and days
    eyes_epochs of the first stage, in which the image encoder alone learns what the reports have; 0 = leave it out
    precision   of products; auto = 16 bits where the processor is made for them
    threshold   how often a word must occur in the training reports; rarer ones are <unk>
    max_length  tokens of a report that are learnt from, and that are written
    save_every  steps between two saved states within an epoch; 0 = after each epoch alone

    Raises UserError for a setting that cannot be, and what the common trainer raises.
    """
    return train_family(
        TSGET,
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
