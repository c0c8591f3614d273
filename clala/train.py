"""Train CLALA-Net from an index file: detector, classifier, then the network in two stages (spec 2.6).

    python -m clala.train --index index.jsonl --out weights/ --preset demo
    accelerate launch -m clala.train --index index.jsonl --out weights/ --preset paper --pretrained

Stage 1 trains all modules on L = L_CE + L_ITCL + L_LLCL; stage 2 trains LCA and decoder alone, on larger crops, on L_CE. ``log.jsonl`` in the
folder has one JSON object per step that was logged and one per epoch. Killed, the same command goes on where the last state was saved, with the
loss curve that it would have had.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clala import checkpoint
from clala.checkpoint import Bundle
from clala.classifier import predict, train_classifier, tune_thresholds
from clala.config import CLALAConfig, Recipe, to_json, with_settings
from clala.crops import CropStore, ReadImage, cut_all, pad_to_square, read_image, to_unit
from clala.data import IndexLine, Samples, read_index
from clala.detector import detect, overlap, train_detector
from clala.regions import LESIONS, REGIONS, regions_of
from clala.tokens import BertTokenizer, Tokenizer, WordTokenizer

Progress = Callable[[str, int, str], AbstractContextManager[Callable[[int], None]]]
"""label, how many, of what -> a context with a function that is called with the number just done"""
LOG_EVERY = 20


class NonFiniteLoss(RuntimeError):
    """The loss is no number any more; the message has its parts. Training stops: what comes after would be noise."""


class OtherTraining(ValueError):
    """The folder belongs to another training; going on from its states would mix two."""


@dataclass(frozen=True)
class Job:
    """One training: from what, to where, how."""

    index: Path
    """JSON lines, see ``data``"""
    out: Path
    """folder of the weights; ``work`` within it holds crops and states and may be deleted afterwards"""
    config: CLALAConfig
    """the network"""
    recipe: Recipe
    """the training"""
    seed: int = 42
    """of weights, order, partners, jitter (D21)"""
    device: str = "auto"
    """auto | cpu | cuda"""
    pretrained: bool = False
    """start ViT and BERT from the published weights"""
    precision: str = "no"
    """no | bf16 | fp16, as Accelerate calls them"""
    workers: int = 0
    """processes that cut crops; 0 = one per core"""
    tensorboard: bool = False
    """write curves for TensorBoard too, into ``tensorboard`` within the folder"""
    command: str = ""
    """kept with the weights"""
    reader: ReadImage = read_image
    """path -> (H, W) uint8"""


def train(job: Job, *, progress: Progress = lambda label, total, unit: nullcontext(lambda count: None)) -> Path:
    """Everything from the index to a folder of weights that ``checkpoint.load`` reads; returns that folder."""
    began = time.monotonic()
    torch.manual_seed(job.seed)
    lines = read_index(job.index, compat=job.config.compat)
    splits = {split: of_split for split in ("train", "validate") if (of_split := [line for line in lines if line.split == split])}
    if "train" not in splits:
        raise ValueError(f"{job.index.name}: no line with split train; training needs some")
    tokenizer, config = vocabulary(job.config, splits["train"])
    log = Log(job.out / "log.jsonl", job.out / "tensorboard" if job.tensorboard else None)
    parts = _cut(job, config, splits, config.crop_px, progress)
    log.write(event="data", images={k: len(v) for k, v in splits.items()}, vocabulary=len(tokenizer), seconds=time.monotonic() - began)

    bundle = checkpoint.new_bundle(config, tokenizer, pretrained=job.pretrained)
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if job.device == "auto" else job.device)
    bundle.to(device)
    if not _take_up(bundle, job, log):
        fit_detector(bundle, job, parts, log, progress)
        fit_classifier(bundle, job, parts, log, progress)
        checkpoint.save(bundle, job.out / "work" / "before", key=_key(job), summary=log.summary)
    for stage in (1, 2):
        if stage == 2 and config.crop_px_stage2 != config.crop_px:
            parts = _cut(job, config, splits, config.crop_px_stage2, progress)
        samples = {split: Samples(part.lines, part.store, config, tokenizer) for split, part in parts.items()}
        fit_stage(bundle, job, stage, samples, log, progress)
    bundle.about = {
        "command": job.command,
        "seed": job.seed,
        "recipe": to_json(job.recipe),
        "summary": log.summary,
        "seconds": round(time.monotonic() - began),
    }
    checkpoint.save(bundle.eval(), job.out)
    return job.out


def vocabulary(config: CLALAConfig, lines: Sequence[IndexLine]) -> tuple[Tokenizer, CLALAConfig]:
    """The tokenizer, and the configuration with its size."""
    tokenizer: Tokenizer
    if config.bert:
        tokenizer = BertTokenizer(config.bert)
    else:
        names = regions_of(config.roi_set)
        tokenizer = WordTokenizer.learn((text for line in lines for name, text in line.sentences.items() if name in names), always=LESIONS)
    return tokenizer, replace(config, vocabulary_size=len(tokenizer))


def _key(job: Job) -> dict[str, Any]:
    """What must agree for a training to go on where another one stopped."""
    index = hashlib.sha256(job.index.read_bytes()).hexdigest()
    return {"index": index, "config": to_json(job.config), "recipe": to_json(job.recipe), "seed": job.seed}


def _take_up(bundle: Bundle, job: Job, log: Log) -> bool:
    """Detector and classifier as an earlier, interrupted run of the same training left them. States of any other training are refused."""
    folder = job.out / "work" / "before"
    if not (folder / checkpoint.ABOUT).exists():
        return False
    about = json.loads((folder / checkpoint.ABOUT).read_text(encoding="utf-8"))
    if about["key"] != json.loads(json.dumps(_key(job))):
        raise OtherTraining(
            f"{job.out}: holds the states of a training with other settings or another index; give another folder, or delete work/ in it"
        )
    from safetensors.torch import load_file

    checkpoint.load_state(bundle, load_file(folder / checkpoint.WEIGHTS), str(folder))
    bundle.thresholds = torch.tensor([about["thresholds"][lesion] for lesion in LESIONS]).to(bundle.thresholds.device)
    log.summary.update(about["summary"])
    return True


class Part(NamedTuple):
    """One split of the index, and its pixels."""

    lines: Sequence[IndexLine]
    store: CropStore

    def labels(self) -> np.ndarray:
        """(N, 14) of 0 and 1."""
        return np.array([line.lesion_row() for line in self.lines]).reshape(-1, len(LESIONS))

    def boxes(self) -> np.ndarray:
        """(N, 29, 4) shares of the padded square; NaN where a region has no box."""
        found = np.full((len(self.lines), len(REGIONS), 4), np.nan)
        for i, line in enumerate(self.lines):
            for name, box in line.boxes.items():
                found[i, REGIONS.index(name)] = to_unit(box, self.store.shapes[i])
        return found

    def squares(self, size_px: int) -> np.ndarray:
        """(N, S, S) uint8: the whole images, smaller."""
        return np.stack([pad_to_square(whole, size_px) for whole in self.store.whole])


def _cut(job: Job, config: CLALAConfig, splits: Mapping[str, Sequence[IndexLine]], crop_px: int, progress: Progress) -> dict[str, Part]:
    names = regions_of(config.roi_set)
    parts = {}
    for split, lines in splits.items():
        with progress(f"cut crops ({split}, {crop_px} px)", len(lines), "images") as advance:
            store = cut_all(
                [line.image for line in lines],
                [{name: line.boxes[name] for name in names if name in line.boxes} for line in lines],
                job.out / "work" / f"{split}-{crop_px}",
                crop_px=crop_px,
                margin=config.crop_margin,
                whole_px=config.classifier_px,
                reader=job.reader,
                workers=job.workers,
                advance=advance,
            )
        parts[split] = Part(lines, store)
    return parts


def fit_detector(bundle: Bundle, job: Job, parts: Mapping[str, Part], log: Log, progress: Progress) -> None:
    """Train the region detector and note its overlap with the true boxes of the validation images."""
    r, px = job.recipe, bundle.config.detector_px
    if r.detector_epochs == 0:
        return
    with progress("train detector", r.detector_epochs, "epochs") as advance:

        def after(epoch: int, loss: float) -> None:
            log.write(event="detector", epoch=epoch, loss=loss)
            advance(1)

        squares, boxes = parts["train"].squares(px), parts["train"].boxes()
        rate = r.detector_learning_rate
        train_detector(bundle.detector, squares, boxes, epochs=r.detector_epochs, learning_rate=rate, seed=job.seed, on_epoch=after)
    if "validate" in parts:
        squares = parts["validate"].squares(px)
        found = detect(bundle.detector, torch.from_numpy(squares).float().to(bundle.thresholds.device) / 255)
        iou = overlap(np.array([[each[name] for name in REGIONS] for each in found]), parts["validate"].boxes())
        log.summary["detector_iou"] = {name: round(float(np.nanmean(iou[:, i])), 3) for i, name in enumerate(REGIONS) if np.isfinite(iou[:, i]).any()}
        log.write(event="detector", iou_validate=float(np.nanmean(iou)))


def fit_classifier(bundle: Bundle, job: Job, parts: Mapping[str, Part], log: Log, progress: Progress) -> None:
    """Train the lesion classifier and tune its thresholds on the validation images."""
    r = job.recipe
    if r.classifier_epochs == 0:
        return
    with progress("train classifier", r.classifier_epochs, "epochs") as advance:

        def after(epoch: int, loss: float) -> None:
            log.write(event="classifier", epoch=epoch, loss=loss)
            advance(1)

        train_classifier(
            bundle.classifier,
            parts["train"].store.whole,
            parts["train"].labels(),
            epochs=r.classifier_epochs,
            batch=r.classifier_batch,
            learning_rate=r.classifier_learning_rate,
            seed=job.seed,
            on_epoch=after,
        )
    if "validate" in parts:
        probabilities, labels = predict(bundle.classifier, parts["validate"].store.whole), parts["validate"].labels()
        thresholds = tune_thresholds(probabilities, labels)
        bundle.thresholds = torch.from_numpy(thresholds).float().to(bundle.thresholds.device)
        scores = f1_by_lesion(probabilities >= thresholds, labels > 0.5)
        log.summary["classifier_f1"] = {name: round(float(f1), 3) for name, f1 in zip(LESIONS, scores, strict=True) if np.isfinite(f1)}
        log.write(event="classifier", macro_f1_validate=float(np.nanmean(scores)), f1=log.summary["classifier_f1"])


def f1_by_lesion(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(C,) from two (N, C) of bool; NaN where the lesion neither is there nor was predicted."""
    both = (predicted & truth).sum(0)
    either = predicted.sum(0) + truth.sum(0)
    return np.where(either > 0, 2 * both / np.maximum(either, 1), np.nan)


def fit_stage(bundle: Bundle, job: Job, stage: int, samples: Mapping[str, Samples], log: Log, progress: Progress) -> None:
    """One stage of the network's training: batch, losses, backward, clip, step, log, save. The best epoch by validation CE stays."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    r, model = job.recipe, bundle.model
    epochs = r.epochs_stage1 if stage == 1 else r.epochs_stage2
    if epochs == 0:
        return
    crop_px = job.config.crop_px if stage == 1 else job.config.crop_px_stage2
    if model.encoder.vit.patch_embed.img_size[0] != crop_px:
        model.encoder.resize(crop_px)
    model.enter_stage(stage)
    accelerator: Any = Accelerator(
        mixed_precision=job.precision,
        gradient_accumulation_steps=r.accumulate,
        cpu=bundle.thresholds.device.type == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    rate = Rate(r, stage, samples["train"].steps(r, seed=job.seed, epoch=0, world=accelerator.num_processes))
    optimiser = torch.optim.AdamW([parameter for _, parameter in named], lr=rate(0), weight_decay=r.weight_decay)
    wrapped, optimiser_ = accelerator.prepare(model, optimiser)
    state = TrainingState(job.out / "work" / f"stage{stage}", bundle, named, optimiser)
    at = state.load()
    step, best = at["step"], at["best"]
    shard = (accelerator.process_index, accelerator.num_processes)
    for epoch in range(at["epoch"], epochs):
        total = samples["train"].steps(r, seed=job.seed, epoch=epoch, world=shard[1])
        torch.manual_seed(hash((job.seed, stage, epoch)) % 2**31)  # dropout: an epoch is the same however often it was interrupted before
        model.train()
        began = time.monotonic()
        with progress(f"stage {stage}, epoch {epoch + 1}/{epochs}", total, "steps") as advance:
            for batch in samples["train"].batches(r, seed=job.seed + stage, epoch=epoch, crop_px=crop_px, llcl=stage == 1, shard=shard):
                for group in optimiser.param_groups:
                    group["lr"] = rate(step)
                with accelerator.accumulate(wrapped):
                    losses = wrapped(batch.to(accelerator.device))
                    stop_if_not_finite(losses, step)
                    accelerator.backward(losses["loss"])
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(model.parameters(), r.clip)
                    optimiser_.step()
                    optimiser_.zero_grad()
                step += 1
                if step % LOG_EVERY == 0 and accelerator.is_main_process:
                    log.write(
                        event="step", stage=stage, epoch=epoch, step=step, rate=rate(step), **{name: float(x.detach()) for name, x in losses.items()}
                    )
                advance(1)
        ce = validation_ce(model, samples["validate"], r, crop_px) if "validate" in samples else math.nan
        is_best = not ce >= best  # without validation images every epoch is the best so far
        best = ce if is_best else best
        if accelerator.is_main_process:
            log.write(event="epoch", stage=stage, epoch=epoch, ce_validate=ce, seconds=time.monotonic() - began)
            state.save(step=step, epoch=epoch + 1, best=best, is_best=is_best)
        accelerator.wait_for_everyone()
    state.restore_best()
    log.summary[f"stage{stage}_ce_validate"] = round(best, 4)
    accelerator.free_memory()


def stop_if_not_finite(losses: Mapping[str, Tensor], step: int) -> None:
    """Raise NonFiniteLoss with the parts of the loss if it is no number."""
    if not bool(torch.isfinite(losses["loss"])):
        parts = ", ".join(f"{name} {float(value.detach())}" for name, value in losses.items())
        raise NonFiniteLoss(f"loss at step {step} is not finite: {parts}; lower the learning rate, or look at the images and sentences of that batch")


class Rate:
    """Learning rate by step (D10): stage 1 warms up, then falls; stage 2 is a cosine to 0."""

    def __init__(self, r: Recipe, stage: int, steps_per_epoch: int) -> None:
        self.r, self.stage, self.per_epoch = r, stage, steps_per_epoch

    def __call__(self, step: int) -> float:
        """The rate of that step, counted from 0 within the stage."""
        r = self.r
        if self.stage == 2:
            done = (step // self.per_epoch) / r.epochs_stage2 if r.schedule_stage1 == "decay" else step / (r.epochs_stage2 * self.per_epoch)
            return r.learning_rate_stage2 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        high, floor = r.learning_rate_stage1, r.learning_rate_floor
        if step < r.warmup_steps:
            return floor + (high - floor) * step / r.warmup_steps
        if r.schedule_stage1 == "decay":
            return max(floor, high * 0.9 ** (step // self.per_epoch))
        done = (step - r.warmup_steps) / max(1, r.epochs_stage1 * self.per_epoch - r.warmup_steps)
        return floor + (high - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def validation_ce(model: Any, samples: Samples, r: Recipe, crop_px: int) -> float:
    """Mean cross-entropy per token over the validation sentences, with true labels at the LCA, in eval mode."""
    rows = samples.with_sentence()
    device = model.name_tokens.device
    total, tokens = 0.0, 0
    stage, training = model.stage, model.training
    model.eval()
    model.stage = 2  # CE alone
    with torch.inference_mode():
        for start in range(0, len(rows), 4 * r.batch):
            batch = samples.batch(rows[start : start + 4 * r.batch], crop_px=crop_px, llcl=False).to(device)
            number = int((~batch.padding[:, 1:]).sum())
            total += float(model(batch)["ce"]) * number
            tokens += number
    model.stage = stage
    model.train(training)
    return total / tokens if tokens else math.nan


class TrainingState:
    """Where a stage stands, on disk: weights, AdamW's moments, counters. Safetensors and JSON, the JSON last."""

    def __init__(self, folder: Path, bundle: Bundle, named: Sequence[tuple[str, Tensor]], optimiser: torch.optim.Optimizer) -> None:
        self.folder, self.bundle, self.named, self.optimiser = folder, bundle, named, optimiser

    def save(self, *, step: int, epoch: int, best: float, is_best: bool) -> None:
        """Write the state after an epoch; keep a copy of the weights if they are the best so far."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        moments = {f"{key}.{name}": value for name, p in self.named for key, value in self.optimiser.state[p].items()}
        (self.folder / "state.json").unlink(missing_ok=True)
        checkpoint.save(self.bundle, self.folder / "last")
        save_file({name: value.detach().cpu().clone() for name, value in moments.items()}, self.folder / "moments.safetensors")
        if is_best:
            checkpoint.save(self.bundle, self.folder / "best")
        (self.folder / "state.json").write_text(json.dumps({"step": step, "epoch": epoch, "best": best}), encoding="utf-8")

    def load(self) -> dict[str, Any]:
        """Take up the state that is there; counters at the beginning if there is none."""
        note = self.folder / "state.json"
        if not note.exists():
            return {"step": 0, "epoch": 0, "best": math.inf}
        from safetensors.torch import load_file

        self._fill("last")
        moments = load_file(self.folder / "moments.safetensors")
        for name, p in self.named:
            # AdamW counts its steps on the CPU, wherever the weights are.
            stored = {key: moments[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in moments}
            self.optimiser.state[p] = {key: value.to(p.device if key != "step" else "cpu") for key, value in stored.items()}
        values: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        return values

    def restore_best(self) -> None:
        """Put the best weights back."""
        self._fill("best")

    def _fill(self, which: str) -> None:
        from safetensors.torch import load_file

        path = self.folder / which / checkpoint.WEIGHTS
        checkpoint.load_state(self.bundle, load_file(path), str(path))


class Log:
    """JSON lines, appended; and the few numbers that go with the weights."""

    def __init__(self, path: Path, curves: Path | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.summary: dict[str, Any] = {}
        self.curves: Any = None
        if curves is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.curves = SummaryWriter(str(curves))  # type: ignore[no-untyped-call]

    def write(self, **values: Any) -> None:
        """One object, numbers to six digits; those of a step or an epoch also as a point of a curve."""
        if self.curves is not None:
            at = values.get("step", values.get("epoch"))
            stage = f"{values['event']}{values.get('stage', '')}"
            for name, value in values.items():
                if at is not None and isinstance(value, float):
                    self.curves.add_scalar(f"{stage}/{name}", value, at)
            self.curves.flush()
        rounded = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m clala.train``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m clala.train", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--index", type=Path, required=True, help="JSON lines, one image each (clala/data.py says what is in a line)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--preset", default="demo", help="demo or paper")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="no", choices=("no", "bf16", "fp16"))
    parser.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard too")
    parser.add_argument("--pretrained", action="store_true", help="start ViT and BERT from published weights (downloads)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of configuration or recipe, e.g. lca=false"
    )
    options = parser.parse_args(arguments)
    config, how = with_settings(options.preset, dict(item.split("=", 1) for item in options.set))
    command = " ".join(["python -m clala.train", *(arguments if arguments is not None else sys.argv[1:])])
    job = Job(options.index, options.out, config, how, options.seed, options.device, options.pretrained, options.precision)
    train(replace(job, tensorboard=options.tensorboard, command=command))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
