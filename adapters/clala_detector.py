"""The region detector of CLALA-Net alone: YOLOv10 as in the paper, or the embedded shape model, from a dataset's boxes.

python -m benchmark train detector --dataset chest_imagenome:/data/physionet --out weights/detector
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adapters.clala import index_lines, needs_torch
from adapters.running import device_named
from benchmark.datasets.images import read_radiograph
from benchmark.progress import progress
from benchmark.records import TrainingData, UserError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

    from clala.config import CLALAConfig, Recipe
    from clala.data import IndexLine
    from clala.log import TrainingLog


def train_detector(
    training: TrainingData,
    *,
    out: Path,
    preset: str = "paper",
    kind: Literal["yolov10", "shape"] | None = None,
    size: Literal["n", "s", "m", "b", "l", "x"] | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    image_px: int | None = None,
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    workers: int = 0,
    pretrained: Path | None = None,
    trust_pickle: bool = False,
    settings: str = "",
) -> Path:
    """Train on a dataset's train and validate splits and return the folder of the weights, which ``train clala`` takes as its detector.

    kind          None = the preset's: yolov10 for paper, shape for demo
    size          of YOLOv10; None = the preset's, m
    epochs        None = the recipe's; 0 only takes up ``pretrained`` and measures it
    batch         images per step; None = 16 for yolov10, over all devices together, 32 for shape
    image_px      side of the square that the detector sees; None = the preset's
    device        auto, cpu, cuda, or numbers of GPUs for yolov10: 0,1,2,3
    pretrained    yolov10 starts from it: a folder of ours, or a .pt of ultralytics, which is a pickle and needs ``trust_pickle``
    settings      anything else of CLALAConfig and Recipe: NAME=VALUE;NAME=VALUE

    Raises UserError for a setting that does not exist, weights that do not fit, a split that is empty, a package that is missing.
    """
    needs_torch()
    import torch

    from clala.checkpoint import BadCheckpoint, save_part
    from clala.config import BadConfig, read_settings, with_settings
    from clala.detector import new_detector
    from clala.held import held
    from clala.log import TrainingLog
    from clala.yolo import UltralyticsMissing

    began = time.monotonic()
    named = {"detector": kind, "yolo_size": size, "detector_epochs": epochs}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    try:
        changes |= read_settings(settings)
        config, recipe = with_settings(preset, changes)
        is_yolo = config.detector == "yolov10"
        if image_px is not None:
            config, recipe = with_settings(preset, changes | {"yolo_px" if is_yolo else "detector_px": image_px})
        torch.manual_seed(seed)
        detector = new_detector(config)
    except (BadConfig, UltralyticsMissing) as error:
        raise UserError(f"train detector: {error}") from error
    if not is_yolo and (size is not None or pretrained is not None):
        raise UserError("train detector: size and pretrained belong to yolov10; the shape detector has neither")
    lines = [line for split in ("train", "validate") for line in index_lines(training.cases(split), training.references(split), split, None)]
    if not any(line.split == "train" for line in lines):
        raise UserError("train detector: the dataset has no training image with boxes; a detector learns from them")
    try:
        with held(out):
            log = TrainingLog(out / "log.jsonl")
            if is_yolo:
                from clala.yolo_train import fit_yolo

                fit_yolo(
                    detector,  # type: ignore[arg-type]
                    lines,
                    out / "work",
                    epochs=recipe.detector_epochs,
                    log=log,
                    progress=_progress,
                    batch=batch or 16,
                    learning_rate=recipe.detector_learning_rate,
                    seed=seed,
                    device=device,
                    workers=workers,
                    reader=read_radiograph,
                    pretrained=pretrained,
                    trust_pickle=trust_pickle,
                )
            else:
                _fit_shape(detector, lines, out / "work", config, recipe, log, batch=batch or 32, seed=seed, device=device, workers=workers)
            used = {"epochs": recipe.detector_epochs, "learning_rate": recipe.detector_learning_rate, "batch": batch or (16 if is_yolo else 32)}
            about = {"command": command, "seed": seed, "recipe": used, "summary": log.summary, "seconds": round(time.monotonic() - began)}
            save_part(out, "detector", detector.cpu(), config, **about)
    except (BadCheckpoint, FileNotFoundError, ValueError) as error:
        raise UserError(f"train detector: {error}") from error
    return out


def _fit_shape(
    detector: nn.Module,
    lines: Sequence[IndexLine],
    work: Path,
    config: CLALAConfig,
    recipe: Recipe,
    log: TrainingLog,
    *,
    batch: int,
    seed: int,
    device: str,
    workers: int,
) -> None:
    """The shape detector on the whole images, and what it finds in those of validation."""
    from clala import detector as shape
    from clala.crops import cut_all
    from clala.detector_scores import score_detector
    from clala.parts import Part
    from clala.processes import check_cuda

    assert isinstance(detector, shape.RegionDetector)
    check_cuda(device)
    detector.to(device_named(device, "train detector"))
    learnt = [line for line in lines if line.split == "train"]
    px = config.detector_px
    if recipe.detector_epochs:
        with progress("shrink images", len(learnt), unit="images") as advance:
            images, none = [line.image for line in learnt], [dict[str, Any]() for _ in learnt]
            store = cut_all(images, none, work, crop_px=px, margin=0, whole_px=px, reader=read_radiograph, workers=workers, advance=advance)
        part = Part(learnt, store)
        with progress("train shape detector", recipe.detector_epochs, unit="epochs") as advance:

            def after(epoch: int, loss: float) -> None:
                log.write(event="detector", epoch=epoch, loss=loss)
                advance(1)

            how = {"epochs": recipe.detector_epochs, "learning_rate": recipe.detector_learning_rate, "batch": batch, "seed": seed}
            shape.train_detector(detector, part.squares(px), part.boxes(), on_epoch=after, **how)  # type: ignore[arg-type]
    if validation := [line for line in lines if line.split == "validate"]:
        with progress("measure detector", len(validation), unit="images") as advance:
            log.summary.update(score_detector(detector.eval(), validation, reader=read_radiograph, advance=advance).summary())


def _progress(label: str, total: int, unit: str) -> AbstractContextManager[Any]:
    return progress(label, total, unit=unit)
