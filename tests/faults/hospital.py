"""A small hospital for all of these tests: 24 cases, predictions for them, the commands that measure them, and one that trains on phantoms."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
from faulty_models import steady
from PIL import Image

CASES = 24
MEASURED = ("--draws", "20", "--metrics", "lesions,rouge_l", "--out", "out")
RUN = ("run", "--dataset", "manifest:cases.csv", *MEASURED)
SCORE = ("score", "--references", "references.csv", "--predictions", "ours=ours.csv", "--predictions", "theirs=theirs.csv", *MEASURED)

SIZES = "crop_px=32;crop_px_stage2=48;patch_px=8;width=32;heads=4;encoder_layers=1;text_layers=1;decoder_layers=1;max_tokens=16;projection=16"
SIZES += ";classifier_px=64;classifier_width=8;detector_px=64;detector_width=8;detector_modes=4;epochs_stage1=2;epochs_stage2=1"
SIZES += ";classifier_epochs=2;classifier_batch=6;detector_epochs=1;warmup_steps=2"
SMALL = ("--batch", "12", "--workers", "1", "--save-every", "1", "--precision", "no", "--settings", SIZES, "--out", "out")
TRAIN = ("train", "clala", "--dataset", "phantom:train=6,validate=3,test=1", "--seed", "1", "--device", "cpu", *SMALL)


def build(folder: Path) -> None:
    """``cases.csv`` with images, ``references.csv``, and predictions by two."""
    generator = np.random.default_rng(11)
    names = [f"c{number}" for number in range(CASES)]
    truth = {name: steady(number // 2) for number, name in enumerate(names)}
    for name in names:
        Image.fromarray(generator.integers(0, 255, (20, 16), dtype=np.uint8)).save(folder / f"{name}.png")
    rows = [(f"{name}.png", name, truth[name], f"p{number // 2}", "test") for number, name in enumerate(names)]
    _write(folder / "cases.csv", [("image", "id", "report", "patient", "split"), *rows])
    _write(folder / "references.csv", [("id", "report"), *truth.items()])
    _write(folder / "ours.csv", [("id", "report"), *((name, steady(number)) for number, name in enumerate(names))])
    _write(folder / "theirs.csv", [("id", "report"), *((name, "Clear lungs. No effusion.") for name in names)])


def moved_into(hospital: Path, folder: Path) -> Path:
    """A working folder with a copy of its files."""
    for file in hospital.iterdir():
        shutil.copy(file, folder / file.name)
    return folder


def _write(file: Path, rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
