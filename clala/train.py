"""Train CLALA-Net from an index file: detector, classifier, and the network in two stages (spec 2.6).

    python -m clala.train --index index.jsonl --out weights/ --preset demo
    python -m clala.train --index index.jsonl --out weights/ --preset paper --pretrained --classifier classifier/ --detector detector/
    accelerate launch -m clala.train --index index.jsonl --out weights/ --preset paper --pretrained --precision bf16 ...

Stage 1 trains all modules on L = L_CE + L_ITCL + L_LLCL; stage 2 trains LCA and decoder alone, on larger crops, on L_CE. ``log.jsonl`` in the
folder has one JSON object per step that was logged and one per epoch. Killed, the same command goes on where the last state was saved, with the
loss curve that it would have had. Several processes share each step: it is drawn once, each is dealt ``batch`` regions of it, and the losses go over
all of them, so that the curve is that of one process with the whole batch, and another number of processes with the same product goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clala import beside, checkpoint
from clala.arguments import SHARED, as_typed, chosen_settings, said_in_a_line, training_arguments
from clala.checkpoint import BadCheckpoint, Bundle
from clala.config import BadConfig, CLALAConfig, Recipe, to_json
from clala.crops import ReadImage, UnreadableImage, read_image
from clala.data import BadIndex, IndexLine, Samples, TooFewSamples, read_index
from clala.held import FolderInUse, held
from clala.log import TrainingLog
from clala.model import WRITES
from clala.norms import share_norms
from clala.parts import Part, Progress, cut_parts, fit_detector, silent
from clala.processes import NotHere, ahead, new_accelerator
from clala.regions import LESIONS, regions_of
from clala.start import BadStart, record_of, take_start
from clala.state import DamagedState, NotFinite, OtherTraining, TrainingState
from clala.tokens import BertTokenizer, Tokenizer, WordTokenizer
from clala.train_classifier import Diverged, Images, cut_squares, fit, labels_of
from clala.validation import validation_ce, validation_lesion_f1

LOG_EVERY = 20
PARTS = ("classifier", "detector")
STATES = ("classifier/state.json", "before/about.json", "stage1/state.json", "stage2/state.json")
"""one of these is in ``work`` as soon as something of a training is"""


class BadJob(ValueError):
    """A training that cannot begin: something that it needs is missing; the message says what, and what to do."""


class NonFiniteLoss(RuntimeError):
    """The loss is no number any more; the message has its parts. Training stops: what comes after would be noise."""


REFUSALS = (BadConfig, BadIndex, BadJob, BadStart, BadCheckpoint, NotHere, FolderInUse, OtherTraining, TooFewSamples)
"""what a training does not begin with; the message says what to do"""
FAILURES = (NonFiniteLoss, NotFinite, Diverged, DamagedState, UnreadableImage, beside.PartsFailed)
"""what one ends with that has begun"""


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
    precision: str = "auto"
    """no | bf16 | fp16, as Accelerate calls them; auto = bf16 where the machine multiplies faster in it, else no"""
    workers: int = 0
    """processes that cut crops; 0 = one per core"""
    tensorboard: bool = False
    """write curves for TensorBoard too, into ``tensorboard`` within the folder"""
    command: str = ""
    """kept with the weights"""
    reader: ReadImage = read_image
    """path -> (H, W) uint8"""
    classifier: Path | None = None
    """folder of a trained classifier; None = that of ``start``, or train one first"""
    detector: Path | None = None
    """folder of a trained detector; None = that of ``start``, or train one first"""
    crops: Path | None = None
    """where crops are cut to, so that several trainings share them; None = ``work`` of this one"""
    save_every: int = 0
    """steps between two saved states within an epoch; 0 = after each epoch alone"""
    log_every: int = LOG_EVERY
    """steps between two that are written to ``log.jsonl``"""
    start: Path | None = None
    """folder of weights of this same configuration with stage 1 done, stored in full precision; None = begin with stage 1"""


def train(job: Job, *, progress: Progress = silent, is_held: bool = False) -> Path:
    """Everything from the index to a folder of weights that ``checkpoint.load`` reads; returns that folder. No other training may be in it.

    ``is_held`` says that the caller, who wrote the index there, holds the folder already.
    """
    began = time.monotonic()
    job = _with_parts(job)
    accelerator = new_accelerator(job.device, job.precision, job.recipe.accumulate)
    with nullcontext() if is_held else held(job.out, accelerator):
        return _train_alone(job, _splits(job), accelerator, progress, began)


def prepare(job: Job, *, progress: Progress = silent, is_held: bool = False) -> None:
    """Cut all that the job will read, and stop: so that many processes do not wait while the first of them cuts. No part need be there yet."""
    folder, c = job.crops or job.out / "work", job.config
    with nullcontext() if is_held else held(job.out):
        splits = _splits(job)
        for crop_px in sorted({c.crop_px, c.crop_px_stage2}):
            cut_parts(splits, folder, c, crop_px, reader=job.reader, workers=job.workers, progress=progress)
        if job.classifier is None and c.classifier == "small" and c.classifier_frame != "pad":
            cut_squares(splits, folder, c, reader=job.reader, workers=job.workers, progress=progress)


def _with_parts(job: Job) -> Job:
    """The job with all its parts named. Raises BadJob."""
    if job.start is not None:  # a folder of weights holds all three networks
        job = replace(job, classifier=job.classifier or job.start, detector=job.detector or job.start)
    if job.config.detector == "yolov10" and job.detector is None:
        raise BadJob("the configuration's detector is yolov10, which is trained apart: `train detector`, then name its folder with --detector")
    if job.config.classifier == "biovil_t" and job.classifier is None:
        raise BadJob("the configuration's classifier is biovil_t, which is trained apart: `train classifier`, then name its folder with --classifier")
    return job


def _train_alone(job: Job, splits: Mapping[str, Sequence[IndexLine]], accelerator: Any, progress: Progress, began: float) -> Path:
    """The same in a folder that is held."""
    log = TrainingLog(job.out / "log.jsonl", job.out / "tensorboard" if job.tensorboard else None, is_silent=not accelerator.is_main_process)
    shown: Progress = progress if accelerator.is_main_process else silent
    bundle = _new_bundle(job, splits)
    config, tokenizer = bundle.config, bundle.model.tokenizer
    started = None if job.start is None else take_start(bundle, job.start, job.recipe)
    _claim(job, accelerator)

    def cut(crop_px: int) -> dict[str, Part]:
        with accelerator.main_process_first():
            folder = job.crops or job.out / "work"
            return cut_parts(splits, folder, config, crop_px, reader=job.reader, workers=job.workers, progress=shown)

    def sampled(parts: Mapping[str, Part]) -> dict[str, Samples]:
        return {split: Samples(part.lines, part.store, config, tokenizer) for split, part in parts.items()}

    parts = cut(config.crop_px)
    samples = sampled(parts)
    for stage, epochs in ((1, job.recipe.epochs_stage1), (2, job.recipe.epochs_stage2)):
        if epochs:  # before hours of classifier and detector
            samples["train"].check(job.recipe, seed=job.seed + stage, epoch=0, world=accelerator.num_processes)
    how = {"processes": accelerator.num_processes, "precision": accelerator.mixed_precision}
    log.write(event="data", images={k: len(v) for k, v in splits.items()}, vocabulary=len(tokenizer), **how, seconds=time.monotonic() - began)
    bundle.to(accelerator.device)
    threads = torch.get_num_threads()
    other = None
    if _learns_beside(job, len(splits["train"]), accelerator):
        # One thread less also where the parts are there already: a training that was killed goes on with the sums that it had.
        torch.set_num_threads(threads - 1)
        other = _start_beside(job)
    try:
        if other is None:
            _train_parts(bundle, job, parts, log, shown, accelerator)
        if started is not None:
            log.summary.update({name: value for name, value in started.get("summary", {}).items() if name.startswith("stage1")})
        for stage in (1, 2):
            if stage == 2 and config.crop_px_stage2 != config.crop_px:
                samples = sampled(cut(config.crop_px_stage2))
            fit_stage(bundle, job, stage, samples, log, shown if other is None else other.watched(shown), accelerator)
            if other is not None and stage == 1:
                with shown("wait for classifier and detector", 1, "parts") as advance:
                    other.wait()
                    advance(1)
                _take_parts(bundle, job, log, accelerator)
    finally:
        torch.set_num_threads(threads)
        if other is not None:
            other.stop()
    bundle.about = {
        "command": job.command,
        "seed": job.seed,
        "recipe": to_json(job.recipe),
        **how,
        "summary": log.summary,
        "seconds": round(time.monotonic() - began),
    }
    if job.start is not None and started is not None:
        bundle.about["start"] = record_of(job.start, started)
    if accelerator.is_main_process:
        checkpoint.save(bundle.eval(), job.out)
    accelerator.wait_for_everyone()
    return job.out


def _splits(job: Job) -> dict[str, list[IndexLine]]:
    """The index by split; those that it has. Raises BadIndex."""
    lines = read_index(job.index, compat=job.config.compat)
    splits = {split: of_split for split in ("train", "validate") if (of_split := [line for line in lines if line.split == split])}
    if "train" not in splits:
        raise BadIndex(f"{job.index.name}: no line with split train; training needs some")
    return splits


def _new_bundle(job: Job, splits: Mapping[str, Sequence[IndexLine]]) -> Bundle:
    """All networks as they are before the first step: the same in every process of a job."""
    torch.manual_seed(job.seed)
    tokenizer, config = vocabulary(job.config, splits["train"])
    return checkpoint.new_bundle(config, tokenizer, pretrained=job.pretrained and job.start is None)


def vocabulary(config: CLALAConfig, lines: Sequence[IndexLine]) -> tuple[Tokenizer, CLALAConfig]:
    """The tokenizer, and the configuration with its size."""
    tokenizer: Tokenizer
    if config.bert:
        tokenizer = BertTokenizer(config.bert)
    else:
        names = regions_of(config.roi_set)
        tokenizer = WordTokenizer.learn((text for line in lines for name, text in line.sentences.items() if name in names), always=LESIONS)
    return tokenizer, replace(config, vocabulary_size=len(tokenizer))


def _claim(job: Job, accelerator: Any) -> None:
    """Make ``work/`` that of this training, unless a state of another one is in it already: then raise OtherTraining."""
    path, key = job.out / "work" / "key.json", json.loads(json.dumps(key_of(job, accelerator.num_processes)))
    if accelerator.is_main_process and not (path.exists() and has_begun(job.out)):
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_whole(path, json.dumps(key))
    accelerator.wait_for_everyone()
    if (theirs := json.loads(path.read_text(encoding="utf-8"))) != key:
        raise OtherTraining(another(job.out) + _batches_told(job, theirs, key, accelerator.num_processes))


def has_begun(out: Path) -> bool:
    """True where something of a training is saved in that folder, so that another one has no place there."""
    return any((out / "work" / name).exists() for name in STATES)


def another(out: Path) -> str:
    """The words for such a folder."""
    return f"{out}: holds the states of a training with other settings or another index; give another folder, or delete work/ in it"


def _batches_told(job: Job, theirs: Mapping[str, Any], ours: Mapping[str, Any], processes: int) -> str:
    """What is to be done where it is the number of processes that makes another training of it; else nothing."""
    told, learnt = "", {"batch": "regions"} | ({"classifier_batch": "images"} if job.classifier is None else {})
    for name, noun in learnt.items():
        there, here = theirs["recipe"][name], ours["recipe"][name]
        if there != here:
            share = f"--set {name}={there // processes} goes on" if there % processes == 0 else f"{processes} processes cannot share it equally"
            told += f". A step there sees {there} {noun}, and here {here // processes} x {processes} processes = {here}; {share}"
    return told


def _learns_beside(job: Job, images: int, accelerator: Any) -> bool:
    """True where classifier and detector are worth a process of their own: enough of them to learn, a CPU with a core to spare."""
    is_worth_it = images * job.recipe.classifier_epochs >= beside.WORK_FROM and torch.get_num_threads() > 1
    is_alone = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
    return is_worth_it and is_alone and job.classifier is None and job.detector is None


def _start_beside(job: Job) -> beside.Beside | None:
    """That process; None if there is nothing left to train, or the job cannot be handed over."""
    if (job.out / "work" / "before" / checkpoint.ABOUT).exists():
        return None
    try:
        return beside.Beside(train_parts, job, job.out / "work" / "beside")
    except (pickle.PicklingError, AttributeError, TypeError):  # a reader that is defined in a notebook
        return None


def train_parts(job: Job) -> None:
    """Classifier and detector of a job alone, in a process of their own: the crops are cut already."""
    splits = _splits(job)
    accelerator = new_accelerator(job.device, job.precision, job.recipe.accumulate)
    bundle = _new_bundle(job, splits)
    folder = job.crops or job.out / "work"
    parts = cut_parts(splits, folder, bundle.config, bundle.config.crop_px, reader=job.reader, workers=job.workers, progress=silent)
    log = TrainingLog(job.out / "log.jsonl", job.out / "tensorboard" if job.tensorboard else None)
    _train_parts(bundle.to(accelerator.device), job, parts, log, silent, accelerator)


def _train_parts(bundle: Bundle, job: Job, parts: Mapping[str, Part], log: TrainingLog, progress: Progress, accelerator: Any) -> None:
    """Classifier and detector: from the folders that are named, from an interrupted run of the same training, or trained now: the detector by the
    first process, the classifier by all together.
    """
    before = job.out / "work" / "before"
    is_done = (before / checkpoint.ABOUT).exists()
    accelerator.wait_for_everyone()  # until all have looked
    if not is_done:
        if accelerator.is_main_process:
            if job.detector is not None:
                bundle.detector = checkpoint.load_part(job.detector, "detector", bundle.config)[0].to(accelerator.device)
            else:
                fit_detector(bundle, job.recipe, parts, log, progress, seed=job.seed)
        if job.classifier is not None:
            bundle.classifier, about = checkpoint.load_part(job.classifier, "classifier", bundle.config)
            bundle.classifier.to(accelerator.device)
            bundle.thresholds = _thresholds(about).to(accelerator.device)
            log.summary.update({name: value for name, value in about.get("summary", {}).items() if name.startswith("classifier")})
        else:
            _fit_classifier(bundle, job, parts, log, progress, accelerator)
        # Apart, and the whole only afterwards: the note is what says that both are done.
        if accelerator.is_main_process:
            checkpoint.save(bundle, before, summary=log.summary)
    accelerator.wait_for_everyone()
    _take_parts(bundle, job, log, accelerator)


def _take_parts(bundle: Bundle, job: Job, log: TrainingLog, accelerator: Any) -> None:
    """Classifier and detector as they were stored."""
    before = job.out / "work" / "before"
    about, tensors = checkpoint.read(before)
    state = {name: value for name, value in tensors.items() if name.partition(".")[0] in PARTS}
    checkpoint.load_state({name: module for name, module in bundle.modules().items() if name in PARTS}, state, str(before))
    bundle.thresholds = _thresholds(about).to(accelerator.device)
    log.summary.update(about["summary"])


def _fit_classifier(bundle: Bundle, job: Job, parts: Mapping[str, Part], log: TrainingLog, progress: Progress, accelerator: Any) -> None:
    folder, lines = job.out / "work", {split: part.lines for split, part in parts.items()}
    if bundle.config.classifier_frame == "pad":
        images = {split: Images(part.store.whole, labels_of(part.lines), [line.id for line in part.lines]) for split, part in parts.items()}
    else:
        with accelerator.main_process_first():
            images = cut_squares(lines, job.crops or folder, bundle.config, reader=job.reader, workers=job.workers, progress=progress)
    context = {"accelerator": accelerator, "log": log, "progress": progress, "seed": job.seed, "save_every": job.save_every}
    thresholds = fit(bundle.classifier, images, job.recipe, folder / "classifier", **context)
    bundle.thresholds = torch.from_numpy(thresholds).float().to(accelerator.device)


def _thresholds(about: Mapping[str, Any]) -> Tensor:
    return torch.tensor([float(about["thresholds"][lesion]) for lesion in LESIONS])


def key_of(job: Job, processes: int) -> dict[str, Any]:
    """What must agree for a training to go on where another one stopped: of the batch, what it is over all processes."""
    index = hashlib.sha256(job.index.read_bytes()).hexdigest()
    given = {part: checkpoint.sha256(folder) for part, folder in (("classifier", job.classifier), ("detector", job.detector)) if folder is not None}
    start = {} if job.start is None else {"start": checkpoint.sha256(job.start)}
    r = job.recipe
    images = r.classifier_batch * (processes if job.classifier is None else 1)  # of no consequence where none is trained
    shared = replace(r, batch=r.batch * processes, classifier_batch=images)
    return {"index": index, "config": to_json(job.config), "recipe": to_json(shared), "seed": job.seed, "given": given, **start}


def fit_stage(bundle: Bundle, job: Job, stage: int, samples: Mapping[str, Samples], log: TrainingLog, progress: Progress, accelerator: Any) -> None:
    """One stage of the network's training: batch, losses, backward, clip, step, log, save. The best epoch stays (``validation``)."""
    r, model, is_main = job.recipe, bundle.model, accelerator.is_main_process
    epochs = r.epochs_stage1 if stage == 1 else r.epochs_stage2
    if epochs == 0:
        return
    crop_px = job.config.crop_px if stage == 1 else job.config.crop_px_stage2
    if model.encoder.vit.patch_embed.img_size[0] != crop_px:
        model.encoder.resize(crop_px)
    model.enter_stage(stage)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rank, world = accelerator.process_index, accelerator.num_processes
    draw = partial(samples["train"].batches, r, seed=job.seed + stage, crop_px=crop_px, llcl=stage == 1, shard=(rank, world))
    rate = Rate(r, stage, samples["train"].steps(r, seed=job.seed + stage, epoch=0, world=world) // r.accumulate)
    inner = torch.optim.AdamW(_groups(model, r, stage), lr=rate(0), weight_decay=r.weight_decay, fused=True)
    share_norms(model, accelerator)
    state = TrainingState(job.out / "work" / f"stage{stage}", {"model": model}, inner)
    at = state.load(rank) or {"step": 0, "epoch": 0, "batch": 0, "best": math.inf, "at_best": {}, "scaler": None}
    shared_by = shared_since(at, world, r.batch)
    model.hold_lesion_vectors()
    wrapped, optimiser = accelerator.prepare(model, inner)
    if at["scaler"] and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(at["scaler"])
    step, best, at_best, first = at["step"], at["best"], at["at_best"], at["batch"]

    def save(epoch: int, batch: int, *, is_best: bool) -> None:
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
        counters = {"step": step, "epoch": epoch, "batch": batch, "best": best, "at_best": at_best, "scaler": scaler, "shared_by": shared_by}
        state.save(counters, is_best=is_best, is_main=is_main, rank=rank)

    def measured(stage: int) -> dict[str, float]:
        if "validate" not in samples:
            return {}
        where = (model, samples["validate"], r, crop_px, accelerator)
        found = {"ce_validate": validation_ce(*where)}
        return found | {"lesion_f1_validate": validation_lesion_f1(*where)} if stage == 2 and r.best_stage2 == "lesion_f1" else found

    for epoch in range(at["epoch"], epochs):
        total = samples["train"].steps(r, seed=job.seed + stage, epoch=epoch, world=world)
        if first == 0:
            torch.manual_seed(hash((job.seed, stage, epoch, rank)) % 2**31)  # dropout: an epoch is the same wherever the last one stopped
        model.train()
        began = time.monotonic()
        batches = draw(epoch=epoch, start=first)
        if accelerator.device.type == "cuda":
            batches = ahead(batch.pin_memory() for batch in batches)
        with progress(f"stage {stage}, epoch {epoch + 1}/{epochs}", total, "steps") as advance:
            advance(first)
            for number, batch in enumerate(batches, first + 1):
                for group in inner.param_groups:
                    group["lr"] = rate(step) * group["times"]
                with accelerator.accumulate(wrapped):
                    losses = wrapped(batch.to(accelerator.device))
                    stop_if_not_finite(losses, step)
                    accelerator.backward(losses["loss"])
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(learning, r.clip)
                    optimiser.step()
                    optimiser.zero_grad()
                if accelerator.sync_gradients:
                    step += 1
                    if step % job.log_every == 0:
                        parts = {name: float(x.detach()) for name, x in losses.items()}
                        log.write(event="step", stage=stage, epoch=epoch, step=step, rate=rate(step), **parts)
                    if job.save_every and step % job.save_every == 0 and number < total:
                        save(epoch, number, is_best=False)
                advance(1)
        first = 0
        found = measured(stage)
        loss = -found["lesion_f1_validate"] if "lesion_f1_validate" in found else found.get("ce_validate", math.nan)
        is_best = not loss >= best  # without validation images every epoch is the best so far
        best, at_best = (loss, found) if is_best else (best, at_best)
        log.write(event="epoch", stage=stage, epoch=epoch, **found, seconds=time.monotonic() - began)
        save(epoch + 1, 0, is_best=is_best)
    state.restore_best()
    log.summary.update({f"stage{stage}_{name}": round(value, 4) for name, value in at_best.items()})
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # else every later call would go on in half precision
    model.__dict__.pop("_is_accelerate_prepared", None)  # else stage 2 would be taken for prepared, and run in full precision whatever was asked for
    accelerator.free_memory()


def shared_since(at: Mapping[str, Any], processes: int, batch: int) -> list[dict[str, int]]:
    """Who shared the steps so far: from which step on how many processes with which batch each. One line more where it is others now."""
    before: list[dict[str, int]] = at.get("shared_by", [])
    now = {"processes": processes, "batch": batch}
    is_same = bool(before) and all(before[-1][name] == value for name, value in now.items())
    return before if is_same else [*before, {"from_step": at["step"], **now}]


def _groups(model: Any, r: Recipe, stage: int) -> list[dict[str, Any]]:
    """What learns, in two groups: LCA and decoder have a rate of their own in stage 1."""
    writes = [p for name, p in model.named_parameters() if p.requires_grad and name.startswith(WRITES)]
    reads = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith(WRITES)]
    groups = [{"params": reads, "times": 1.0}, {"params": writes, "times": r.decoder_rate if stage == 1 else 1.0}]
    return [group for group in groups if group["params"]]


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


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m clala.train``."""
    parser = training_arguments("clala.train", __doc__, preset="demo")
    parser.add_argument(
        "--classifier", type=Path, help="folder of a trained classifier (`train classifier`); else that of --start, or one is trained too"
    )
    parser.add_argument("--detector", type=Path, help="folder of a trained detector (`train detector`); else that of --start, or one is trained too")
    parser.add_argument("--crops", type=Path, help="folder for the crops, to be shared by several trainings")
    parser.add_argument("--log-every", type=int, default=LOG_EVERY, help="steps between two that are written to log.jsonl")
    parser.add_argument("--start", type=Path, help="folder of weights with stage 1 done (trained with epochs_stage2=0); needs epochs_stage1=0")
    parser.add_argument("--pretrained", action="store_true", help="start ViT and BERT from published weights (downloads)")
    options = parser.parse_args(arguments)
    with said_in_a_line("clala.train", *REFUSALS, *FAILURES):
        config, how = chosen_settings(options)
        taken = {name: getattr(options, name) for name in (*SHARED, "pretrained", "classifier", "detector", "crops", "log_every", "start")}
        train(Job(options.index, options.out, config, how, command=as_typed("clala.train", arguments), **taken))
    return 0


if __name__ == "__main__":
    from clala.train import main as run  # by the module's own name: what is handed to another process is found by it

    raise SystemExit(run())
