"""The lesion classifier of CLALA-Net alone: BioViL-T as in the paper, or the small network, from a dataset's images and labels.

python -m benchmark train classifier --dataset chest_imagenome:/data/physionet --biovil biovil_t_image_model_proj_size_128.pt --out weights/classifier
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from adapters.clala import index_lines, needs_torch
from benchmark.datasets.images import read_radiograph
from benchmark.labelling.sources import label_source, short_name
from benchmark.progress import progress
from benchmark.records import TrainingData, UserError
from benchmark.registry import options_of


def train_classifier(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "paper",
    labels: str = "rules",
    kind: Literal["biovil_t", "small"] | None = None,
    biovil: Path | None = None,
    published: bool = False,
    random_start: bool = False,
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    epochs: int | None = None,
    batch: int | None = None,
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto",
    workers: int = 0,
    save_every: int = 0,
    predictions: bool = False,
    tensorboard: bool = False,
    settings: str = "",
    llm: Any = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Train on a dataset's train and validate splits and return the folder of the weights, which ``train clala`` takes as its classifier.

    labels        who says which lesions a training report states: truth, where the dataset knows; file:PATH, labels by id; rules and other labellers
    kind          None = the preset's: biovil_t for paper, small for demo
    biovil        BioViL-T starts from this file, biovil_t_image_model_proj_size_128.pt of microsoft/BiomedVLP-BioViL-T
    published     have that file downloaded from the Hugging Face hub
    random_start  train BioViL-T from random weights all the same
    batch         images per step and process; None = the recipe's 64, which at 448 px wants bf16 on a GPU of 24 GB
    workers       processes that shrink images; 0 = one per core
    save_every    steps between two saved states within an epoch; 0 = after each epoch alone
    predictions   write predictions.csv: each lesion of each validation image, stated and predicted
    settings      anything else of CLALAConfig and Recipe: NAME=VALUE;NAME=VALUE
    options       of whoever labels, by name: {"rules.hedges": "d15"}

    Raises UserError for a setting that does not exist, weights that do not fit, a split that is empty, labels that are not there.
    """
    needs_torch()
    from clala.biovil_t import NotFetched, published_weights
    from clala.config import BadConfig, read_settings, with_settings
    from clala.train_classifier import FAILURES, train

    named = {"classifier": kind, "classifier_epochs": epochs, "classifier_batch": batch}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    try:
        changes |= read_settings(settings)
        config, recipe = with_settings(preset, changes)
        weights = published_weights(biovil) if biovil is not None or published else None
    except (BadConfig, FileNotFoundError, NotFetched) as error:
        raise UserError(f"train classifier: {error}") from error
    source = label_source(labels, options_of(options or {}, labels), {"device": device, "seed": seed, "llm": llm})
    splits = ("train", "validate")
    lines = [line for split in splits for line in index_lines(training.cases(split), training.references(split), split, source, config.compat)]
    if not any(line.split == "train" for line in lines):
        raise UserError("train classifier: the dataset has no training image with boxes; CLALA-Net's parts learn from the same images")
    try:
        return train(
            lines,
            out,
            config,
            recipe,
            weights=weights,
            is_random=random_start,
            seed=seed,
            device=device,
            precision=precision,
            workers=workers,
            save_every=save_every,
            tensorboard=tensorboard,
            predictions=predictions,
            reader=read_radiograph,
            about={"command": command, "labels": {"source": short_name(labels), "signature": source.signature()}},
            progress=lambda label, total, unit: progress(label, total, unit=unit),
        )
    except (ValueError, *FAILURES) as error:
        raise UserError(f"train classifier: {error}") from error
