"""One small trainer for the baselines: whatever learns to write reports from images learns by the same loop, order, schedule and choice of the best.

Written so that a comparison of networks on one dataset compares networks: data, budget and rule of stopping are the same file for all. The published
weights were trained by their authors' programs and not by this one.

    learner = MyLearner(...)                               a network, its batches, its losses: see ``Learner``
    learn(learner, training, out, epochs=10, seed=42)      -> out/: what ``learner.save`` writes, log.jsonl, about.json, work/

Killed, the same call goes on where the last state was saved, to the same weights. ``work/`` holds the states and may be deleted afterwards.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from adapters.learning_state import TrainingState
from adapters.running import device_named
from benchmark.datasets.unreadable import UnreadableImage
from benchmark.progress import progress
from benchmark.provenance import provenance
from benchmark.records import Case, Reference, TrainingData, UserError
from benchmark.runs import write_atomically
from benchmark.screen import say

T = TypeVar("T")
Pair = tuple[Case, Reference]

FORMAT = 1
"""Raised when about.json means something else than before."""
ABOUT, LOG, WORK = "about.json", "log.jsonl", "work"
LOG_EVERY = 20
"""steps"""
AHEAD = 2
"""batches that are made while the network works on one"""
KEPT_BYTES = 4 * 2**30
"""of images in memory: 32,000 of 384 x 384; those beyond are decoded each time"""


class NonFiniteLoss(UserError):
    """The loss is no number any more; the message has its parts. Training stops: what comes after would be noise."""


class NothingToLearn(UserError):
    """The training split has no case that this learner can use, or none whose image can be read."""


class Learner(Protocol):
    """What is trained. It predicts and judges; the loop does the rest.

    Chance: weights are drawn before ``learn`` is called (seed them yourself), dropout and jitter in ``losses`` from torch's own generator, which is
    seeded here. ``batch`` must not draw from it, for it runs in another thread; nor does it need to, ``losses`` sees ``network.training``.
    """

    @property
    def network(self) -> nn.Module:
        """Its parameters with ``requires_grad`` are trained, buffers are kept with them."""

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> Any:
        """What ``losses`` needs of these cases: tensors on the CPU, also within tuples, lists and dicts. Built in a background thread.

        Raises UnreadableImage for an image that shows nothing: that case is then left out and counted, and the others are asked for again.
        """

    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """The parts of the loss by name, each one number, the batch being on the network's device. Their sum is what falls."""

    def save(self, folder: Path) -> None:
        """Write all that is needed to use the network into a folder that is there (``learning_state.write_tensors`` for the weights)."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    epochs: int = 10
    """0 = leave the network as it is, and save it"""
    batch_size: int = 16
    """cases"""
    learning_rate: float = 3e-4
    """the highest, after warm-up"""
    weight_decay: float = 0.01
    """AdamW's; never of biases and norms"""
    warmup: float = 0.05
    """share of all steps in which the rate rises in a straight line"""
    floor: float = 0.01
    """share of the highest rate at which the cosine ends"""
    clip: float = 1.0
    """longest gradient"""
    times: Mapping[str, float] = field(default_factory=dict)
    """beginning of a parameter's name -> by how much its rate is multiplied: a published encoder learns slower than a new decoder"""

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step of so many, counted from 0."""
        rise = max(1, round(self.warmup * steps))
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        done = (step - rise) / max(1, steps - rise)
        return self.learning_rate * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def learn(
    learner: Learner,
    training: TrainingData,
    out: Path,
    *,
    epochs: int = 10,
    batch_size: int = 16,
    learning_rate: float = 3e-4,
    weight_decay: float = 0.01,
    warmup: float = 0.05,
    clip: float = 1.0,
    times: Mapping[str, float] | None = None,
    seed: int = 42,
    device: str = "auto",
    command: str = "",
    name: str = "model",
    stage: str = "",
    usable: Callable[[Case, Reference], bool] | None = None,
    precision: Literal["auto", "no", "bf16"] = "auto",
    save_every: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Train on the split train, keep the epoch of the lowest loss on the split validate (the last one, where that has no case), return ``out``.

    times       beginning of a parameter's name -> by how much its learning rate is multiplied
    name        the model's, for messages, bars and ``about.json``
    stage       of a training in several: each has its own states, and its numbers stand under its name in the summary
    usable      which cases are learnt from; None = those with an image and a report
    precision   of products; auto = bf16 on a GPU where it is fast there. A CPU computes in full unless bf16 is asked for
    save_every  steps between two saved states within an epoch; 0 = after each epoch alone
    about       further JSON values for ``about.json``

    A case whose image cannot be read is left out; how many of each split is said at the end, and stands in ``about.json``.

    Raises NothingToLearn, NonFiniteLoss, OtherTraining, DamagedState; UserError for a setting that cannot be.
    """
    schedule = Schedule(epochs, batch_size, learning_rate, weight_decay, warmup, clip=clip, times=times or {})
    if epochs < 0 or batch_size < 1 or learning_rate <= 0 or not 0 <= warmup <= 1:
        raise UserError(
            f"train {name}: epochs={epochs}, batch_size={batch_size}, learning_rate={learning_rate}, warmup={warmup}; epochs cannot be below 0, "
            "batch_size below 1, learning_rate 0 or below, and warmup is a share of all steps"
        )
    where = device_named(device, f"train {name}")
    pairs = {split: pairs_of(training, split, usable or has_image_and_report) for split in ("train", "validate")}
    if not pairs["train"]:
        raise NothingToLearn(
            f"train {name}: none of the {len(training.cases('train'))} cases of the split train can be learnt from; give a dataset whose training "
            "cases have images and reports"
        )
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    fit = _Fit(learner, schedule, seed, where, name, stage, precision, save_every, out, pairs)
    summary = fit.run(data_of(training, pairs), about or {})
    before = _about_of(out) if stage else {}
    learner.network.eval()
    (out / ABOUT).unlink(missing_ok=True)  # that it is there says that all the rest is
    learner.save(out)
    values = {
        "format": FORMAT,
        "model": name,
        "command": command,
        "seed": seed,
        **(about or {}),
        "schedule": {**before.get("schedule", {}), stage: asdict(schedule)} if stage else asdict(schedule),
        "precision": fit.precision,
        "data": data_of(training, pairs),
        "left_out": {split: len(why) for split, why in fit.left_out.items()},
        "versions": provenance(),
        "summary": {**before.get("summary", {}), **summary},
        "seconds": round(time.monotonic() - began + before.get("seconds", 0)),
    }
    write_atomically(out / ABOUT, json.dumps(values, indent=1) + "\n")
    return out


class _Fit:
    """One training, while it runs."""

    def __init__(
        self,
        learner: Learner,
        schedule: Schedule,
        seed: int,
        device: torch.device,
        name: str,
        stage: str,
        precision: str,
        save_every: int,
        out: Path,
        pairs: Mapping[str, Sequence[Pair]],
    ) -> None:
        self.learner, self.schedule, self.seed, self.device = learner, schedule, seed, device
        self.name, self.stage, self.save_every, self.out, self.pairs = name, stage, save_every, out, pairs
        self.label = f"train {name}, {stage}" if stage else f"train {name}"
        is_fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        self.precision = "bf16" if precision == "bf16" or (precision == "auto" and is_fast) else "fp32"
        self.per_epoch = max(1, len(pairs["train"]) // schedule.batch_size)
        self.left_out: dict[str, dict[str, str]] = {split: {} for split in pairs}
        """of each split the cases whose image cannot be read, and why"""

    def run(self, data: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, float]:
        """All epochs, from where the last state stands; the best weights are in the network afterwards. Returns numbers for the summary."""
        network, schedule = self.learner.network.to(self.device), self.schedule
        if schedule.epochs == 0 or not any(parameter.requires_grad for parameter in network.parameters()):
            return {}
        optimiser = torch.optim.AdamW(groups_of(network, schedule), lr=schedule.learning_rate, fused=True)
        shapes = hashlib.sha256(repr([(n, tuple(p.shape), p.requires_grad) for n, p in network.named_parameters()]).encode()).hexdigest()[:12]
        key = {"model": self.name, "network": shapes, "schedule": asdict(schedule), "seed": self.seed, "data": dict(data)}
        key |= {"settings": dict(about)} if about else {}  # dropout, the words that count, where reports are cut: no shape tells them
        state = TrainingState(self.out / WORK / (self.stage or "state"), network, optimiser, key)
        at = state.load() or {"step": 0, "epoch": 0, "batch": 0, "best": None, "at_best": {}}
        self.left_out |= at.get("left_out", {})
        for epoch in range(at["epoch"], schedule.epochs):
            at = self._epoch(epoch, at, optimiser, state)
        state.restore_best()
        self._say_left_out()
        prefix = f"{self.stage}_" if self.stage else ""
        return {f"{prefix}{name}": value for name, value in at["at_best"].items()}

    def _epoch(self, epoch: int, at: dict[str, Any], optimiser: torch.optim.Optimizer, state: TrainingState) -> dict[str, Any]:
        """One epoch from batch ``at["batch"]`` on: batch, losses, backward, clip, step, log, save."""
        network, schedule, step, first = self.learner.network, self.schedule, at["step"], at["batch"]
        learning = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        if first == 0:
            torch.manual_seed(_seed_of(self.seed, self.stage, epoch))  # an epoch's dropout is the same wherever the last one stopped
        network.train()
        began, before, total = time.monotonic(), step, 0.0
        with progress(f"{self.label}, epoch {epoch + 1}/{schedule.epochs}", self.per_epoch, done=first, unit="steps") as advance:
            for number, (batch, _) in enumerate(self._batches("train", self._order(epoch)[first:]), first + 1):
                if batch is None:
                    advance(1)
                    continue
                for group in optimiser.param_groups:
                    group["lr"] = schedule.rate(step, schedule.epochs * self.per_epoch) * group["times"]
                losses = self._losses(batch)
                loss = sum_of(losses)
                if not bool(torch.isfinite(loss)):
                    raise NonFiniteLoss(_not_finite(self.label, step, losses))
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(learning, schedule.clip)
                optimiser.step()
                optimiser.zero_grad()
                step, total = step + 1, total + float(loss.detach())
                if step % LOG_EVERY == 0:
                    parts = {part: float(value.detach()) for part, value in losses.items()}
                    self._log(event="step", epoch=epoch, step=step, rate=optimiser.param_groups[0]["lr"], loss=float(loss.detach()), **parts)
                if self.save_every and step % self.save_every == 0 and number < self.per_epoch:
                    state.save({**at, "step": step, "batch": number, "left_out": self._left_out_now()}, is_best=False)
                advance(1)
        if step == 0:
            raise NothingToLearn(f"{self.label}: no image of the split train can be read; first {self._first_left_out('train')}")
        found = self._validate()
        loss_now = found.get("loss_validate")
        is_best = loss_now is None or at["best"] is None or loss_now < at["best"]
        self._log(event="epoch", epoch=epoch, step=step, loss_train=total / max(1, step - before), **found, seconds=time.monotonic() - began)
        if is_best:
            at = {**at, "best": loss_now, "at_best": {**found, "best_epoch": epoch + 1}}
        at = {**at, "step": step, "epoch": epoch + 1, "batch": 0, "left_out": self._left_out_now()}
        state.save(at, is_best=is_best)
        return at

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean of the losses over the cases of the split validate; empty if there are none."""
        pairs, size = self.pairs["validate"], self.schedule.batch_size
        self.learner.network.eval()
        sums: dict[str, float] = {}
        cases = 0
        for batch, count in self._batches("validate", [list(pairs[start : start + size]) for start in range(0, len(pairs), size)]):
            if batch is None:
                continue
            cases += count
            losses = self._losses(batch)
            for part, value in {"loss": sum_of(losses), **losses}.items():
                sums[part] = sums.get(part, 0.0) + float(value) * count
        return {f"{part}_validate": round(value / cases, 6) for part, value in sums.items()}

    def _order(self, epoch: int) -> list[list[Pair]]:
        """The batches of an epoch, whole ones; what is left over has its turn in another epoch."""
        pairs, size = self.pairs["train"], self.schedule.batch_size
        order = np.random.default_rng((self.seed, epoch)).permutation(len(pairs))
        return [[pairs[row] for row in order[number * size : (number + 1) * size]] for number in range(self.per_epoch)]

    def _batches(self, split: str, runs: Iterable[Sequence[Pair]]) -> Iterator[tuple[Any, int]]:
        """Batches on the device and how many cases each has; None and 0 where no image of a run can be read."""
        for batch, count in ahead(partial(self._batch, split, run) for run in runs):
            yield moved(batch, self.device), count

    def _batch(self, split: str, run: Sequence[Pair]) -> tuple[Any, int]:
        lost = self.left_out[split]
        left = [pair for pair in run if pair[0].id not in lost]
        try:
            return (self._of_learner(left), len(left)) if left else (None, 0)
        except UnreadableImage:
            for pair in left:  # whose image it was, each says when it is asked for alone
                try:
                    self._of_learner([pair])
                except UnreadableImage as error:
                    lost[pair[0].id] = str(error)
        left = [pair for pair in left if pair[0].id not in lost]
        return (self._of_learner(left), len(left)) if left else (None, 0)

    def _of_learner(self, run: Sequence[Pair]) -> Any:
        return self.learner.batch([case for case, _ in run], [reference for _, reference in run])

    def _left_out_now(self) -> dict[str, dict[str, str]]:
        """A copy: the thread that makes batches may add to it."""
        return {split: dict(why) for split, why in self.left_out.items()}

    def _say_left_out(self) -> None:
        """One line for each split of which images could not be read."""
        for split, why in self.left_out.items():
            if why:
                say(
                    f"{self.label}: {len(why)} of {len(self.pairs[split])} cases of the split {split} were left out, for their images cannot be "
                    f"read; first {self._first_left_out(split)}",
                    err=True,
                )

    def _first_left_out(self, split: str) -> str:
        return next(f"{case}: {why}" for case, why in sorted(self.left_out[split].items()))

    def _losses(self, batch: Any) -> Mapping[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.learner.losses(batch)

    def _log(self, **values: Any) -> None:
        """One JSON object, numbers to six digits."""
        rounded = {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**({"stage": self.stage} if self.stage else {}), **rounded}) + "\n")
            file.flush()
            os.fsync(file.fileno())  # a training that goes on from a state does not write again what was written before it


class KeptImages:
    """Images as a network wants them, decoded once and kept as bytes.

    kept = KeptImages(lambda path: square(read_radiograph(path), 224))
    kept.stack([case.images[0].path for case in cases])         (N, 224, 224) uint8
    """

    def __init__(self, fit: Callable[[Path], np.ndarray], *, most_bytes: int = KEPT_BYTES) -> None:
        """``fit`` makes a uint8 array of one shape of every file; what does not go into ``most_bytes`` is made anew each time."""
        self._fit, self._left, self._kept = fit, most_bytes, dict[Path, np.ndarray]()

    def of(self, path: Path) -> np.ndarray:
        """One image. Raises what ``fit`` raises."""
        if path in self._kept:
            return self._kept[path]
        image = self._fit(path)
        if image.dtype != np.uint8:
            raise TypeError(f"an image is kept as bytes, but what was made of {path} is {image.dtype}")
        if image.nbytes <= self._left:
            self._kept[path], self._left = image, self._left - image.nbytes
        return image

    def stack(self, paths: Sequence[Path]) -> Tensor:
        """(N, ...) uint8 of several."""
        return torch.from_numpy(np.stack([self.of(path) for path in paths]))


def sum_of(losses: Mapping[str, Tensor]) -> Tensor:
    """What falls."""
    return torch.stack(list(losses.values())).sum()


def has_image_and_report(case: Case, reference: Reference) -> bool:
    """True if there is something to look at and something to write."""
    return bool(case.images) and bool(reference.report.strip())


def pairs_of(training: TrainingData, split: str, usable: Callable[[Case, Reference], bool]) -> list[Pair]:
    """The cases of a split that can be learnt from, with their references, in the dataset's order."""
    pairs = list(zip(training.cases(split), training.references(split), strict=True))
    if mismatch := next((case.id for case, reference in pairs if case.id != reference.case_id), None):
        raise ValueError(f"the references of {split} are not in the order of its cases, first at {mismatch!r}")
    return [pair for pair in pairs if usable(*pair)]


def data_of(training: TrainingData, pairs: Mapping[str, Sequence[Pair]]) -> dict[str, Any]:
    """What was learnt from: name, number of cases and digest of each split."""
    return {
        "dataset": str(getattr(training, "name", "")),
        "cases": {split: len(of_split) for split, of_split in pairs.items()},
        "fingerprint": {split: _fingerprint(training, split, of_split) for split, of_split in pairs.items()},
    }


def groups_of(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Trained parameters by how fast they learn and whether they decay: biases, norms and other vectors do not."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            times = next((factor for beginning, factor in schedule.times.items() if name.startswith(beginning)), 1.0)
            groups.setdefault((times, schedule.weight_decay if parameter.dim() > 1 else 0.0), []).append(parameter)
    return [{"params": parameters, "times": times, "weight_decay": decay} for (times, decay), parameters in groups.items()]


def ahead(makers: Iterable[Callable[[], T]], depth: int = AHEAD) -> Iterator[T]:
    """What the makers make, in order, up to ``depth`` of it beforehand by a thread. What one raises comes out where its thing would have."""
    waiting: deque[Future[T]] = deque()
    thread = ThreadPoolExecutor(1)
    try:
        for make in makers:
            waiting.append(thread.submit(make))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def moved(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device, whatever tuples, lists and dicts they are in."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(value, device) for value in batch)
    return batch


def _seed_of(*parts: object) -> int:
    """A seed that is the same in every process; ``hash`` of a text is not."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "little") % 2**31


def _not_finite(label: str, step: int, losses: Mapping[str, Tensor]) -> str:
    parts = ", ".join(f"{name} {float(value.detach())}" for name, value in losses.items())
    return f"{label}: the loss of step {step} is not finite: {parts}; lower the learning rate, or look at the images and reports of that batch"


def _fingerprint(training: TrainingData, split: str, pairs: Sequence[Pair]) -> str:
    """The dataset's own digest; of one that has none, a digest of ids and reports."""
    own = getattr(training, "fingerprint", None)
    if own is not None:
        return str(own(split))
    return hashlib.sha256(json.dumps([(case.id, reference.report) for case, reference in pairs]).encode()).hexdigest()


def _about_of(folder: Path) -> dict[str, Any]:
    """What an earlier stage left there."""
    return dict(json.loads((folder / ABOUT).read_text(encoding="utf-8"))) if (folder / ABOUT).exists() else {}
