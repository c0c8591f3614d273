"""Train the lesion classifier: BioViL-T from its published weights as in the paper, or the small network from nothing.

    python -m clala.train_classifier --index index.jsonl --out weights/classifier --preset paper --biovil biovil_t_image_model_proj_size_128.pt
    accelerate launch -m clala.train_classifier --index index.jsonl --out weights/classifier --preset paper --published --precision bf16

Binary cross-entropy with log-scaled weights on positives, as RaDialog's findings classifier has it, AdamW, and a rate that rises and falls once. The
epoch with the best macro F1 on the validation images stays, each lesion at its own best threshold; the folder is what ``--classifier`` takes. Killed,
the same command goes on where the last state was saved. Several processes share each step: it is drawn once and each is dealt ``classifier_batch``
images of it, so that the curve is that of one process with the whole batch, and another number of processes with the same product may go on.

At 448 px a batch of 64 does not fit 24 GB without ``--precision bf16``; ``--set classifier_batch=32 --set accumulate=2`` takes half the memory.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from clala import biovil_t, checkpoint
from clala.arguments import SHARED, as_typed, chosen_settings, said_in_a_line, training_arguments
from clala.classifier import BioViLTClassifier, new_classifier, positive_weights, predict, tune_thresholds
from clala.config import BadConfig, CLALAConfig, Recipe, to_json
from clala.crops import Gray, ReadImage, UnreadableImage, centre_crop, cut_all, read_image
from clala.data import BadIndex, IndexLine, read_index
from clala.held import FolderInUse, held
from clala.lesion_scores import auroc_by_lesion, f1_by_lesion
from clala.log import TrainingLog
from clala.norms import share_norms
from clala.parts import Progress, silent
from clala.processes import NotHere, ahead, new_accelerator
from clala.regions import LESIONS
from clala.state import DamagedState, NotFinite, OtherTraining, TrainingState

RISING = 0.2
"""Share of the training in which the rate rises; it begins at 1/25 of its highest and ends at nothing (Smith, Super-convergence, 2018)."""


class Diverged(RuntimeError):
    """The loss is no number any more; the message has the lesions, and the images of the batch. What comes after would be noise."""


class NoStart(ValueError):
    """It was not said where BioViL-T's weights are to come from; random ones would be trained for hours, to no use."""


REFUSALS = (BadConfig, BadIndex, NoStart, biovil_t.WrongWeights, biovil_t.NotFetched, NotHere, FolderInUse, OtherTraining)
"""what a training does not begin with; the message says what to do"""
FAILURES = (Diverged, NotFinite, DamagedState, UnreadableImage)
"""what one ends with that has begun"""


class Images(NamedTuple):
    """One split: what the classifier sees, and what it is to say."""

    squares: np.ndarray
    """(N, S, S) uint8, memory-mapped"""
    labels: np.ndarray
    """(N, 14) of 0 and 1"""
    ids: Sequence[str]
    """of the images, in the same order"""


@dataclass(frozen=True)
class CentreCropped:
    """A reader whose images are the middle of another's (``classifier_frame``)."""

    reader: ReadImage
    """path -> (H, W) uint8"""
    size_px: int
    """side of what is left"""

    def __call__(self, path: Path) -> Gray:
        """Read and crop."""
        return centre_crop(self.reader(path), self.size_px)


def train(
    lines: Sequence[IndexLine],
    out: Path,
    config: CLALAConfig,
    recipe: Recipe,
    *,
    weights: Path | None = None,
    is_random: bool = False,
    seed: int = 42,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    save_every: int = 0,
    tensorboard: bool = False,
    predictions: bool = False,
    reader: ReadImage = read_image,
    about: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Path:
    """From the index to a folder that ``checkpoint.load_part`` reads; returns the folder.

    weights      BioViL-T's published file; needed for ``biovil_t`` unless ``is_random``
    workers      processes that shrink images; 0 = one per core
    save_every   steps between two saved states within an epoch; 0 = after each epoch alone
    predictions  write ``predictions.csv``: each lesion of each validation image, stated and predicted
    about        JSON values to be kept with the weights, the command say

    Raises NoStart, FolderInUse, OtherTraining, Diverged, biovil_t.WrongWeights, UnreadableImage.
    """
    began = time.monotonic()
    splits = {split: of_split for split in ("train", "validate") if (of_split := [line for line in lines if line.split == split])}
    if "train" not in splits:
        raise BadIndex("the index has no line with split train; training needs some")
    accelerator = new_accelerator(device, precision, recipe.accumulate)
    is_main = accelerator.is_main_process
    shown: Progress = progress if is_main else silent
    torch.manual_seed(seed)
    classifier = new_classifier(config)
    start = start_from(classifier, weights, is_random=is_random)
    with held(out, accelerator):
        log = TrainingLog(out / "log.jsonl", out / "tensorboard" if tensorboard else None, is_silent=not is_main)
        with accelerator.main_process_first():
            parts = cut_squares(splits, out / "work", config, reader=reader, workers=workers, progress=shown)
        log.write(event="data", images={split: len(part.ids) for split, part in parts.items()}, start=start, seconds=time.monotonic() - began)
        state = out / "work" / "classifier"
        thresholds = fit(classifier, parts, recipe, state, accelerator=accelerator, log=log, progress=shown, seed=seed, save_every=save_every)
        if predictions and "validate" in parts:
            found = shared_predict(classifier, parts["validate"].squares, accelerator, recipe.classifier_batch)
            if is_main:
                write_predictions(out / "predictions.csv", parts["validate"], found, thresholds)
        if is_main:
            used = {name: value for name, value in to_json(recipe).items() if name.startswith("classifier") or name in ("weight_decay", "accumulate")}
            how = {"seed": seed, "recipe": used, "start": start, "precision": accelerator.mixed_precision, "processes": accelerator.num_processes}
            named = {lesion: float(value) for lesion, value in zip(LESIONS, thresholds, strict=True)}
            seconds = round(time.monotonic() - began)
            checkpoint.save_part(
                out, "classifier", classifier, config, thresholds=named, summary=log.summary, seconds=seconds, **how, **(about or {})
            )
        accelerator.wait_for_everyone()
    return out


def start_from(classifier: nn.Module, weights: Path | None, *, is_random: bool = False) -> str:
    """Fill BioViL-T's encoder from the published file; returns in words what the classifier starts from. Raises NoStart."""
    if not isinstance(classifier, BioViLTClassifier):
        if weights is not None:
            raise NoStart(f"{weights.name} was given to start from, but the classifier is the small one, which starts from nothing; leave it out")
        return "random weights"
    if weights is not None:
        md5 = biovil_t.load_published(classifier.image, weights)
        return f"BioViL-T, {'as published' if md5 == biovil_t.FILE_MD5 else f'{weights.name}, md5 {md5}'}"
    if not is_random:
        raise NoStart(
            f"the classifier is biovil_t, but nothing says where it starts: give the path of {biovil_t.FILE}, or have it downloaded "
            "(published), or ask for random weights, or train the small classifier (classifier=small)"
        )
    return "random weights"


def cut_squares(
    splits: Mapping[str, Sequence[IndexLine]], folder: Path, config: CLALAConfig, *, reader: ReadImage, workers: int, progress: Progress
) -> dict[str, Images]:
    """Every split with its images as the classifier sees them, shrunk into ``folder`` unless they lie there already."""
    px, frame = config.classifier_px, config.classifier_frame
    framed = CentreCropped(reader, px) if frame == "centre_crop" else reader
    parts = {}
    for split, lines in splits.items():
        with progress(f"shrink images ({split}, {px} px)", len(lines), "images") as advance:
            paths, none = [line.image for line in lines], [dict[str, Any]() for _ in lines]
            where = folder / f"{split}-{px}-{frame}"
            store = cut_all(paths, none, where, crop_px=px, margin=0, whole_px=px, reader=framed, workers=workers, advance=advance)
        parts[split] = Images(store.whole, labels_of(lines), [line.id for line in lines])
    return parts


def labels_of(lines: Sequence[IndexLine]) -> np.ndarray:
    """(N, 14) of 0 and 1."""
    return np.array([line.lesion_row() for line in lines]).reshape(-1, len(LESIONS))


def fit(
    classifier: nn.Module,
    parts: Mapping[str, Images],
    r: Recipe,
    folder: Path,
    *,
    accelerator: Any,
    log: TrainingLog,
    progress: Progress,
    seed: int,
    save_every: int = 0,
) -> np.ndarray:
    """Train the classifier in place and return the (14,) thresholds; every process calls it.

    ``folder`` is for the states. ``r.classifier_epochs`` = 0 leaves all as it is. The best epoch by macro F1 on ``parts["validate"]`` stays; without
    that split the last one, with thresholds of 0.5.
    ``log.summary`` gets F1 and AUROC per lesion. Raises OtherTraining, Diverged.
    """
    if r.classifier_epochs == 0:
        return np.full(len(LESIONS), 0.5)
    rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU, the same numbers
    key = _key(classifier, parts, r, seed, world)
    learning = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    inner = torch.optim.AdamW(learning, lr=r.classifier_learning_rate, weight_decay=r.weight_decay, fused=True)
    share_norms(classifier, accelerator)
    state = TrainingState(folder, {"classifier": classifier}, inner)
    at = state.load(rank) or {"key": key, "epoch": 0, "images": 0, "loss": 0.0, "best": -math.inf, "best_epoch": 0, "scaler": None}
    if at["key"] != key:
        there, here = at["key"].get("batch"), key["batch"]
        told = "" if there == here else f". A step there sees {there} images, and here {r.classifier_batch} x {world} processes = {here}"
        raise OtherTraining(
            f"{folder}: holds the states of a training with other images, settings or weights; give another folder, or delete it{told}"
        )
    wrapped, optimiser = accelerator.prepare(classifier, inner)
    if at["scaler"] and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(at["scaler"])
    train_on = parts["train"]
    weights = torch.from_numpy(positive_weights(train_on.labels)).to(device)
    per_step, accumulate = r.classifier_batch * world, accelerator.gradient_accumulation_steps
    steps = -(-len(train_on.ids) // (per_step * accumulate)) * accumulate
    best, best_epoch, first = at["best"], at["best_epoch"], at["images"] // per_step
    # A sum of this process' steps; what an interrupted epoch had summed before counts once.
    total = torch.tensor(at["loss"] if rank == 0 else 0.0, dtype=torch.float64, device="cpu")

    def save(epoch: int, images: int, loss: float, *, is_best: bool) -> None:
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        counters = {"key": key, "epoch": epoch, "images": images, "loss": loss, "best": best, "best_epoch": best_epoch, "scaler": scaler}
        state.save(counters, is_best=is_best, is_main=accelerator.is_main_process, rank=rank)

    for epoch in range(at["epoch"], r.classifier_epochs):
        began = time.monotonic()
        if first == 0:
            torch.manual_seed(hash((seed, epoch, rank)) % 2**31)  # dropout: an epoch is the same wherever the last one stopped
        classifier.train()
        batches = ahead(_batches(train_on, r.classifier_batch, steps, first, seed=seed, epoch=epoch, shard=(rank, world), pin=device.type == "cuda"))
        with progress(f"train classifier, epoch {epoch + 1}/{r.classifier_epochs}", steps, "steps") as advance:
            advance(first)
            for number, batch in enumerate(batches, first):
                for group in inner.param_groups:
                    group["lr"] = rate((epoch + number / steps) / r.classifier_epochs, r.classifier_learning_rate)
                pixels = batch.pixels(device).contiguous(memory_format=torch.channels_last)
                with accelerator.accumulate(wrapped):
                    logits = wrapped(pixels).float()
                    loss = functional.binary_cross_entropy_with_logits(logits, batch.truth.to(device), pos_weight=weights)
                    value = float(loss.detach())
                    if not math.isfinite(value):
                        raise Diverged(_why(logits, [train_on.ids[row] for row in batch.rows], epoch, number, value))
                    accelerator.backward(loss)
                    optimiser.step()
                    optimiser.zero_grad()
                total += value / world
                done = number + 1
                if save_every and done % (save_every * accumulate) == 0 and done < steps:
                    save(epoch, done * per_step, _sum(total, accelerator), is_best=False)
                advance(1)
        loss_mean = _sum(total, accelerator) / steps
        seconds = time.monotonic() - began
        first = 0
        total.zero_()
        found = _measured(classifier, parts, accelerator, r.classifier_batch)
        macro = found.get("macro_f1_validate", math.nan)
        is_best = not macro <= best  # without validation images every epoch is the best so far
        if is_best:
            best, best_epoch = macro, epoch
        speed = {"seconds": seconds, "images_per_second": steps * per_step / seconds}
        log.write(event="classifier", epoch=epoch, loss=loss_mean, **found, **speed)
        save(epoch + 1, 0, 0.0, is_best=is_best)
    state.restore_best()
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # else every later call would go on in half precision
    accelerator.free_memory()
    classifier.eval()
    if "validate" not in parts:
        return np.full(len(LESIONS), 0.5)
    # Once more, in the precision in which it will be used: thresholds are cut finely.
    probabilities, truth = shared_predict(classifier, parts["validate"].squares, accelerator, r.classifier_batch), parts["validate"].labels > 0.5
    thresholds = tune_thresholds(probabilities, truth)
    scores, areas = f1_by_lesion(probabilities >= thresholds, truth), auroc_by_lesion(probabilities, truth)
    log.summary["classifier_f1"] = _named(scores)
    log.summary["classifier_auroc"] = _named(areas)
    log.summary["classifier_macro_f1"] = round(float(np.nanmean(scores)), 4)
    log.summary["classifier_epoch"] = best_epoch
    return thresholds


def rate(done: float, highest: float) -> float:
    """The learning rate when that share of the training is done: a rise by half a cosine wave, and a fall by another."""
    low = highest / 25
    if done < RISING:
        return low + (highest - low) * 0.5 * (1 - math.cos(math.pi * done / RISING))
    return highest * 0.5 * (1 + math.cos(math.pi * min((done - RISING) / (1 - RISING), 1.0)))


class Variation(NamedTuple):
    """How the images of a batch are moved and lit; never flipped: left and right are what the reports speak of."""

    window: Tensor
    """(B, 2, 3) which part of the square is seen, as ``affine_grid`` has it"""
    exponent: Tensor
    """(B,) of the brightness"""


def vary(number: int, generator: torch.Generator) -> Variation:
    """Draw for so many images: turned by up to 0.08 rad, stretched by a tenth, moved by 3 %, brightness to the power of 0.74 to 1.35."""

    def draw(spread: float) -> Tensor:
        return (torch.rand(number, generator=generator) * 2 - 1) * spread

    angle, sx, sy = draw(0.08), 1 + draw(0.1), 1 + draw(0.1)
    across, down = torch.stack([sx * angle.cos(), -angle.sin(), draw(0.06)], 1), torch.stack([angle.sin(), sy * angle.cos(), draw(0.06)], 1)
    return Variation(torch.stack([across, down], dim=1), torch.exp(draw(0.3)))


def varied(pixels: Tensor, how: Variation) -> Tensor:
    """(B, 1, S, S) in [0, 1] -> the same, moved and lit; black where the image ends."""
    grid = functional.affine_grid(how.window.to(pixels), list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.clamp(0, 1) ** how.exponent.to(pixels).view(-1, 1, 1, 1)


class Batch(NamedTuple):
    """Images of one step, read beforehand; moved and lit on the device."""

    rows: list[int]
    squares: Tensor
    """(B, S, S) uint8"""
    truth: Tensor
    """(B, 14)"""
    how: Variation

    def pixels(self, device: torch.device) -> Tensor:
        """(B, 1, S, S) in [0, 1]."""
        return varied(self.squares.to(device, non_blocking=True).unsqueeze(1).float() / 255, self.how)


def _batches(images: Images, batch: int, steps: int, first: int, *, seed: int, epoch: int, shard: tuple[int, int], pin: bool) -> Iterator[Batch]:
    """The batches of one epoch from number ``first`` on. What they are follows from seed and epoch alone; the first fills up the last."""
    rank, world = shard
    order = np.resize(np.random.default_rng((seed, epoch)).permutation(len(images.ids)), steps * batch * world)
    for number in range(first, steps):
        rows = order[number * batch * world : (number + 1) * batch * world][rank::world]
        # Drawn for all images of the step in every process: an image is moved and lit alike whoever is dealt it.
        noise = torch.Generator().manual_seed(int(np.random.default_rng((seed, epoch, number, 0)).integers(2**31)))
        how = Variation(*(drawn[rank::world] for drawn in vary(batch * world, noise)))
        squares, truth = torch.from_numpy(np.array(images.squares[rows])), torch.from_numpy(images.labels[rows].astype(np.float32))
        yield Batch(rows.tolist(), squares.pin_memory() if pin else squares, truth, how)


def shared_predict(classifier: nn.Module, squares: np.ndarray, accelerator: Any, batch: int) -> np.ndarray:
    """(N, 14) probabilities, each process having looked at its share."""
    rank, world = accelerator.process_index, accelerator.num_processes
    found = np.zeros((len(squares), len(LESIONS)), np.float32)
    found[rank::world] = predict(classifier.eval(), squares[rank::world], batch=batch)
    if world == 1:
        return found
    together: np.ndarray = accelerator.reduce(torch.from_numpy(found).to(accelerator.device)).cpu().numpy()
    return together


def write_predictions(path: Path, images: Images, probabilities: np.ndarray, thresholds: np.ndarray) -> None:
    """A line per image and lesion: what the report states (0 or 1), the probability, whether it reaches the lesion's threshold."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lesion", "stated", "probability", "predicted"])
        for id_, stated, found in zip(images.ids, images.labels, probabilities, strict=True):
            for lesion, is_stated, probability, threshold in zip(LESIONS, stated, found, thresholds, strict=True):
                writer.writerow([id_, lesion, int(is_stated), f"{probability:.6f}", int(probability >= threshold)])


def _measured(classifier: nn.Module, parts: Mapping[str, Images], accelerator: Any, batch: int) -> dict[str, Any]:
    """What one epoch achieves on the validation images: F1 at the best thresholds and at 0.5, and AUROC, which depends on none."""
    if "validate" not in parts:
        return {}
    probabilities, truth = shared_predict(classifier, parts["validate"].squares, accelerator, batch), parts["validate"].labels > 0.5
    scores, areas = f1_by_lesion(probabilities >= tune_thresholds(probabilities, truth), truth), auroc_by_lesion(probabilities, truth)
    half = f1_by_lesion(probabilities >= 0.5, truth)
    macro = {"macro_f1_validate": _mean(scores), "macro_f1_at_half": _mean(half), "macro_auroc_validate": _mean(areas)}
    return {**macro, "f1": _named(scores), "auroc": _named(areas)}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _named(values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(LESIONS, values, strict=True) if np.isfinite(value)}


def _sum(total: Tensor, accelerator: Any) -> float:
    return float(accelerator.reduce(total.to(accelerator.device)) if accelerator.num_processes > 1 else total)


def _key(classifier: nn.Module, parts: Mapping[str, Images], r: Recipe, seed: int, processes: int) -> dict[str, Any]:
    """What must agree for a training to go on where another one stopped: of the batch, what it is over all processes."""
    start = hashlib.sha256()
    for value in classifier.state_dict().values():
        start.update(value.detach().cpu().contiguous().numpy())
    data = {split: hashlib.sha256("\n".join(part.ids).encode() + part.labels.astype(np.uint8).tobytes()).hexdigest() for split, part in parts.items()}
    sizes = {"px": int(parts["train"].squares.shape[1]), "batch": r.classifier_batch * processes, "accumulate": r.accumulate}
    how = {"epochs": r.classifier_epochs, "learning_rate": r.classifier_learning_rate, "weight_decay": r.weight_decay}
    return {"start": start.hexdigest(), "data": data, "seed": seed, **sizes, **how}


def _why(logits: Tensor, ids: Sequence[str], epoch: int, step: int, loss: float) -> str:
    """Whether the weights have run away, or some images of this batch are to blame."""
    where, logits = f"epoch {epoch + 1}, step {step + 1}: the loss of the classifier is {loss}", logits.detach().cpu()
    bad = ~torch.isfinite(logits)
    if bad.all():
        return f"{where}: no number comes out for any image, so the weights have run away; lower classifier_learning_rate"
    if not bad.any():
        return f"{where}: its answers reach {float(logits.abs().max()):.3g}; lower classifier_learning_rate"
    lesions = [LESIONS[i] for i in range(len(LESIONS)) if bad[:, i].any()]
    images = [ids[i] for i in range(len(ids)) if bad[i].any()]
    return (
        f"{where}: no number comes out for {', '.join(lesions)} in {', '.join(images[:5])}; look at these images, or lower classifier_learning_rate"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m clala.train_classifier``."""
    parser = training_arguments("clala.train_classifier", __doc__, preset="paper")
    parser.add_argument("--biovil", type=Path, help=f"{biovil_t.FILE}, to start from")
    parser.add_argument("--published", action="store_true", help=f"have that file downloaded from {biovil_t.HUB_NAME}")
    parser.add_argument("--random-start", action="store_true", help="train BioViL-T from random weights all the same")
    parser.add_argument("--predictions", action="store_true", help="write predictions.csv for the validation images")
    options = parser.parse_args(arguments)
    with said_in_a_line("clala.train_classifier", *REFUSALS, *FAILURES):
        config, recipe = chosen_settings(options)
        weights = biovil_t.published_weights(options.biovil) if options.biovil or options.published else None
        taken = {name: getattr(options, name) for name in (*SHARED, "predictions")}
        about = {"command": as_typed("clala.train_classifier", arguments)}
        lines = read_index(options.index, compat=config.compat)
        out = train(lines, options.out, config, recipe, weights=weights, is_random=options.random_start, about=about, **taken)
    print(json.dumps(json.loads((out / checkpoint.ABOUT).read_text(encoding="utf-8"))["summary"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
