"""Train YOLOv10 on the regions of an index, through ultralytics' own trainer.

    python -m clala.yolo_train --index index.jsonl --out weights/detector --size m --epochs 20 --device 0,1

The folder is then what `--detector` takes. Killed, the same command goes on after the last whole epoch. ultralytics resumes from the running average
of the weights (its EMA, stored in half precision), so that a resumed training is a continuation, not a repetition to the last digit.

Its states are pickles. They are this training's own, lie in ``work``, and are read with torch.load(weights_only=True) and ultralytics' list of its
own classes, so that a file that was exchanged could not run code. What leaves the folder is safetensors.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from clala import checkpoint
from clala.arguments import as_typed, said_in_a_line
from clala.config import BadConfig, CLALAConfig, preset
from clala.crops import ReadImage, UnreadableImage, read_image
from clala.data import BadIndex, IndexLine, read_index
from clala.detector_scores import score_detector
from clala.held import FolderInUse, held
from clala.log import TrainingLog
from clala.parts import Progress, silent
from clala.processes import NotHere
from clala.state import OtherTraining
from clala.yolo import UltralyticsMissing, UntrustedPickle, UnusableWeights, YOLODetector, import_ultralytics, take_pickle
from clala.yolo_data import write_dataset

REFUSALS = (
    BadConfig,
    BadIndex,
    checkpoint.BadCheckpoint,
    FolderInUse,
    NotHere,
    OtherTraining,
    UltralyticsMissing,
    UntrustedPickle,
    UnusableWeights,
)
"""what a training does not begin with; the message says what to do"""

# What ultralytics would do to the images by itself, and what we let it do.
AUGMENTATION: dict[str, Any] = {
    # A mirrored chest has its heart on the right: "left lung" would be taught on right lungs.
    "fliplr": 0.0,
    "flipud": 0.0,
    # Four quarters of chests in one image, or two chests laid over each other: a region is known by where it lies in the one chest.
    "mosaic": 0.0,
    "close_mosaic": 0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "copy_paste": 0.0,
    # Colours that a radiograph does not have; and of the value channel 0.4, which would drown the mediastinum.
    "hsv_h": 0.0,
    "hsv_s": 0.0,
    "hsv_v": 0.0,
    "bgr": 0.0,
    # ultralytics turns the corners of a box and draws the upright box around them: at 5 degrees a lung's box becomes a sixth wider than the lung.
    "degrees": 0.0,
    "shear": 0.0,
    "perspective": 0.0,
    # Patients do stand a little aside and differ in size.
    "translate": 0.05,
    "scale": 0.15,
    "multi_scale": 0.0,
}


def fit_yolo(
    detector: YOLODetector,
    lines: Sequence[IndexLine],
    work: Path,
    *,
    epochs: int,
    log: TrainingLog,
    progress: Progress = silent,
    batch: int = 16,
    learning_rate: float = 1e-3,
    seed: int = 42,
    device: str = "auto",
    workers: int = 0,
    reader: ReadImage = read_image,
    pretrained: Path | None = None,
    trust_pickle: bool = False,
) -> None:
    """Train the detector on the lines of split train; it holds the epoch with the best validation mAP afterwards.

    epochs        0 = none: the detector is what ``pretrained`` holds, which then must be a detector of our regions
    batch         images per step, over all devices together
    device        auto, cpu, cuda, or numbers of GPUs: 0,1,2,3
    workers       processes that shrink images, and that load them in training; 0 = one per core
    pretrained    a folder of ours, or a .pt of ultralytics (COCO's yolov10m.pt), which needs ``trust_pickle``; None = random weights

    ``log.summary`` gets mAP, and per region overlap and detection rate, all on the validation lines; nothing if there are none.

    Raises OtherTraining, UntrustedPickle, UnusableWeights, UnreadableImage.
    """
    where = devices(device)
    is_whole = _start_from(detector, pretrained, trust_pickle)
    if epochs == 0 and not is_whole:
        raise UnusableWeights("no epoch was asked for, and the weights given are no detector of our 29 regions; train some epochs, or give others")
    if epochs:
        import_ultralytics()
        with progress("shrink images", len(lines), "images") as advance:
            size_px = detector.config.yolo_px
            dataset = write_dataset(lines, work / "dataset", size_px=size_px, reader=reader, workers=workers, advance=advance)
        notes = Notes(work, images=len(list((dataset.parent / "labels" / "train").glob("*.txt"))))
        key = {
            "dataset": json.loads((dataset.parent / "dataset.json").read_text(encoding="utf-8"))["key"],
            "size": detector.config.yolo_size,
            "epochs": epochs,
            "batch": batch,
            "learning_rate": learning_rate,
            "seed": seed,
            "start": hashlib.sha256(b"".join(value.numpy().tobytes() for value in detector.state_dict().values())).hexdigest() if pretrained else "",
        }
        notes.claim(key)
        has_validation = any(line.split == "validate" for line in lines)
        if notes.epochs_done() < epochs:
            settings = {
                "data": str(dataset),
                "epochs": epochs,
                "batch": batch,
                "imgsz": size_px,
                "seed": seed,
                "device": where,
                "workers": workers or os.cpu_count() or 1,
                "val": has_validation,
                **_recipe(epochs, batch, learning_rate, where),
            }
            with progress("train YOLOv10", epochs * notes.images, "images") as advance, notes.followed(log, advance):
                _run_trainer(detector, settings, notes)
        best = notes.take_best(detector)
        log.summary.update({f"detector_{name}": value for name, value in best.items()})
    if validation := [line for line in lines if line.split == "validate"]:
        detector.to(torch_device(where)).eval()
        with progress("measure detector", len(validation), "images") as advance:
            scores = score_detector(detector, validation, reader=reader, advance=advance)
        log.summary.update(scores.summary())
        log.write(event="detector", iou_validate=scores.mean_iou() if scores.iou else None, found_validate=scores.mean_found())


def devices(asked: str) -> str:
    """The device as ultralytics names it: cpu, or numbers of GPUs.

    Raises NotHere.
    """
    has_cuda = torch.cuda.is_available()
    if asked == "auto":
        return "0" if has_cuda else "cpu"
    if asked == "cpu":
        return asked
    numbers = re.sub(r"^cuda:?", "", asked) or "0"
    if not re.fullmatch(r"\d+(,\d+)*", numbers):
        raise NotHere(f"device is {asked!r}; it must be auto, cpu, cuda, or numbers of GPUs such as 0,1")
    if not has_cuda:
        raise NotHere(f"device is {asked}, but torch finds no CUDA device here; use cpu, or auto")
    if "," in numbers and importlib.util.find_spec("cloudpickle") is None:
        raise NotHere(f"device is {asked}: for several GPUs ultralytics needs cloudpickle, which is not installed: pip install cloudpickle")
    return numbers


def torch_device(where: str) -> torch.device:
    """The first of the devices that ``devices`` named."""
    return torch.device("cpu" if where == "cpu" else f"cuda:{where.split(',')[0]}")


def _start_from(detector: YOLODetector, pretrained: Path | None, trust_pickle: bool) -> bool:
    """Fill the detector with what training starts from; whether that is a whole detector of our regions."""
    if pretrained is None:
        return False
    if pretrained.is_dir():
        given, _ = checkpoint.load_part(pretrained, "detector", detector.config)
        detector.load_state_dict(given.state_dict())
        return True
    return take_pickle(detector, pretrained, trust_pickle=trust_pickle) == len(detector.network.state_dict())


def _recipe(epochs: int, batch: int, learning_rate: float, where: str) -> dict[str, Any]:
    """What is the same in every training of ours."""
    return {
        **AUGMENTATION,
        # By name: "auto" chooses by the number of steps, and chooses differently from version to version.
        "optimizer": "AdamW",
        "lr0": learning_rate,
        "momentum": 0.9,
        "warmup_epochs": min(3.0, 0.1 * epochs),
        "warmup_bias_lr": 0.0,
        "nbs": batch,  # a step per batch; by default gradients are summed over 64 images
        "patience": 0,  # all epochs; the best one is kept anyway
        "nms": False,  # validate with the head that we predict with
        # fp16 would first be tried on a network that is downloaded for it.
        "amp": "bf16" if where != "cpu" and torch.cuda.is_bf16_supported() else False,
        "plots": False,
        "verbose": False,
        "exist_ok": True,
        "deterministic": True,
    }


def _run_trainer(detector: YOLODetector, settings: dict[str, Any], notes: Notes) -> None:
    """Let ultralytics train, from the start or from the last state."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    run = notes.folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    description = detector.network.yaml["yaml_file"]  # type: ignore[index]
    # No ``project``: with one, and a key in the environment, ultralytics would send the training to its platform.
    settings = {**settings, "task": "detect", "mode": "train", "save_dir": str(run), "model": description}
    if (state := notes.state()) is not None:
        settings["resume"] = str(state)
    trainer = DetectionTrainer(overrides=settings)
    if state is None:
        trainer.model = copy.deepcopy(detector.network)
    trainer.add_callback("on_train_epoch_start", notes.on_train_epoch_start)
    trainer.add_callback("on_train_batch_end", notes.on_train_batch_end)
    trainer.add_callback("on_model_save", notes.on_model_save)
    trainer.train()


class Notes:
    """What is written down during a training, by files alone: with several GPUs ultralytics trains in processes of its own, which get a copy of this.

    key.json              which training it is
    state-<epochs>.pt     ultralytics' state after so many epochs, copied whole and renamed; its own file may be half written when it is killed
    best.safetensors      weights of the best epoch, with its number and its mAP
    epochs.jsonl          a line per epoch
    seen                  images seen so far, for the progress bar
    """

    def __init__(self, folder: Path, *, images: int) -> None:
        self.folder, self.named, self.images = folder.absolute(), folder, images  # named by the user, who is told so
        self._batches, self._last, self._began = 0, 0.0, 0.0

    def claim(self, key: dict[str, Any]) -> None:
        """Make the folder that of this training. Raises OtherTraining if it is that of another one."""
        path = self.folder / "key.json"
        if path.exists() and json.loads(path.read_text(encoding="utf-8")) != key:
            raise OtherTraining(
                f"{self.named}: holds the states of a training with other settings or another index; give another folder, or delete it"
            )
        checkpoint.write_whole(path, json.dumps(key))

    def state(self) -> Path | None:
        """The last state, if there is any."""
        return max(self.folder.glob("state-*.pt"), key=_number, default=None)

    def epochs_done(self) -> int:
        """How many epochs are behind the last state."""
        state = self.state()
        return _number(state) if state else 0

    def on_train_epoch_start(self, trainer: Any) -> None:
        """Count the batches of this epoch anew."""
        self._batches, self._began = 0, time.monotonic()

    def on_train_batch_end(self, trainer: Any) -> None:
        """Note now and then how far it is."""
        self._batches += 1
        if time.monotonic() - self._last > 1 and os.environ.get("RANK", "0") in ("0", "-1"):
            self._last = time.monotonic()
            self._see(trainer.epoch * self.images + min(self._batches * trainer.batch_size, self.images))

    def on_model_save(self, trainer: Any) -> None:
        """Keep state, weights and numbers of the epoch that has ended. ultralytics calls it in the first process alone."""
        from safetensors.torch import save_file

        done = trainer.epoch + 1
        # Without validation lines its last epoch measures on the training images; that is no number to keep.
        named = (("map50", "mAP50"), ("map50_95", "mAP50-95")) if trainer.args.val else ()
        metrics = {name: float(trainer.metrics[f"metrics/{theirs}(B)"]) for name, theirs in named}
        if trainer.fitness == trainer.best_fitness:
            weights = {f"network.{name}": value.detach().cpu() for name, value in trainer.ema.ema.state_dict().items()}
            weights = {name: (value.float() if value.is_floating_point() else value).contiguous() for name, value in weights.items()}
            about = {"format": "pt", "epoch": str(done), **{name: json.dumps(round(value, 4)) for name, value in metrics.items()}}
            save_file(weights, self.folder / "best.new", metadata=about)
            (self.folder / "best.new").replace(self.folder / "best.safetensors")
        parts = {name: float(value) for name, value in trainer.tloss.items()}
        line = {"epoch": done, **parts, **metrics, "seconds": round(time.monotonic() - self._began, 2)}
        with (self.folder / "epochs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._see(done * self.images)
        (self.folder / "state.new").write_bytes(trainer.last.read_bytes())
        (self.folder / "state.new").replace(self.folder / f"state-{done}.pt")
        for old in self.folder.glob("state-*.pt"):
            if _number(old) != done:
                old.unlink()

    def take_best(self, detector: YOLODetector) -> dict[str, float]:
        """Put the weights of the best epoch into the detector; returns its number and, if it was validated, its mAP."""
        from safetensors import safe_open

        with safe_open(self.folder / "best.safetensors", framework="pt") as file:
            about = file.metadata()
            detector.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  (no mapping)
        detector.eval()
        return {name: json.loads(value) for name, value in about.items() if name != "format"}

    @contextmanager
    def followed(self, log: TrainingLog, advance: Callable[[int], None]) -> Iterator[None]:
        """While it lasts, epochs go into the log and images into the progress bar as they are written down."""
        lines, seen = len(self._lines()), self.epochs_done() * self.images
        advance(seen)
        ended = threading.Event()

        def look() -> None:
            nonlocal lines, seen
            for line in self._lines()[lines:]:
                log.write(event="detector", **line)
                lines += 1
            now = self._seen()
            if now > seen:
                advance(now - seen)
                seen = now

        def follow() -> None:
            while not ended.wait(0.5):
                look()

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()
            look()

    def _lines(self) -> list[dict[str, Any]]:
        path = self.folder / "epochs.jsonl"
        whole = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in whole]

    def _see(self, images: int) -> None:
        (self.folder / "seen.new").write_text(str(images), encoding="utf-8")
        (self.folder / "seen.new").replace(self.folder / "seen")

    def _seen(self) -> int:
        path = self.folder / "seen"
        return int(path.read_text(encoding="utf-8")) if path.exists() else 0


def _number(state: Path) -> int:
    return int(state.stem.rpartition("-")[2])


def train_yolo(
    index: Path,
    out: Path,
    config: CLALAConfig,
    *,
    command: str = "",
    progress: Progress = silent,
    **options: Any,
) -> Path:
    """From the index to a folder that ``checkpoint.load_part`` reads; ``options`` are those of ``fit_yolo``. Returns the folder."""
    began = time.monotonic()
    lines = read_index(index, compat=config.compat)
    if not any(line.split == "train" for line in lines):
        raise BadIndex(f"{index.name}: no line with split train; training needs some")
    torch.manual_seed(options.get("seed", 42))
    detector = YOLODetector(config)
    with held(out):
        log = TrainingLog(out / "log.jsonl")
        fit_yolo(detector, lines, out / "work", log=log, progress=progress, **options)
        recipe = {name: str(value) if isinstance(value, Path) else value for name, value in options.items() if name != "reader"}
        seconds = round(time.monotonic() - began)
        checkpoint.save_part(out, "detector", detector.cpu(), config, command=command, recipe=recipe, summary=log.summary, seconds=seconds)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m clala.yolo_train``."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m clala.yolo_train", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--index", type=Path, required=True, help="JSON lines, one image each (clala/data.py says what is in a line)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights; its work/ may be deleted afterwards")
    parser.add_argument("--size", default="m", choices=("n", "s", "m", "b", "l", "x"))
    parser.add_argument("--image-px", type=int, default=640, help="side of the square that YOLO sees")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16, help="images per step, over all GPUs together")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, or numbers of GPUs: 0,1,2,3")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images; 0 = one per core")
    parser.add_argument("--pretrained", type=Path, help="folder of a detector, or a .pt of ultralytics, to start from")
    parser.add_argument("--trust-pickle", action="store_true", help="open that .pt, which is a pickle")
    options = vars(parser.parse_args(arguments))
    command = as_typed("clala.yolo_train", arguments)
    with said_in_a_line("clala.yolo_train", *REFUSALS, UnreadableImage):
        config = preset("paper", detector="yolov10", yolo_size=options.pop("size"), yolo_px=options.pop("image_px"))
        out = train_yolo(options.pop("index"), options.pop("out"), config, command=command, **options)
    print(json.dumps(json.loads((out / checkpoint.ABOUT).read_text(encoding="utf-8"))["summary"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
