from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from adapters.clala_detector import train_detector
from benchmark.records import Case, ImageFile, Reference, UserError

BOXES = {"left lung": (42.0, 10.0, 76.0, 80.0), "right lung": (5.0, 10.0, 38.0, 80.0), "cardiac silhouette": (20.0, 40.0, 65.0, 80.0)}
needs_ultralytics = pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed (extra: detector)")


class FakeDataset:
    """Six images of three patients; ``has_boxes`` says whether anything is known about them."""

    def __init__(self, folder: Path, *, has_boxes: bool = True) -> None:
        self.folder, self.boxes = folder, BOXES if has_boxes else {}
        for number in range(6):
            Image.fromarray(np.random.default_rng(number).integers(0, 255, (90, 80)).astype(np.uint8)).save(folder / f"{number}.png")

    def numbers(self, split: str) -> list[int]:
        return {"train": [0, 1, 2, 3], "validate": [4, 5]}[split]

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{n}", f"p{n // 2}", f"s{n}", (ImageFile(self.folder / f"{n}.png", "AP"),)) for n in self.numbers(split)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(f"c{n}", "The lungs are clear.", {}, self.boxes, None) for n in self.numbers(split)]


@needs_ultralytics
def test_a_yolo_is_trained_and_is_what_clala_takes_up(tmp_path: Path) -> None:
    from clala.checkpoint import load_part
    from clala.config import preset

    out = tmp_path / "out"
    where = train_detector(
        FakeDataset(tmp_path), out=out, kind="yolov10", size="n", epochs=1, batch=2, image_px=64, device="cpu", workers=1, command="a test"
    )
    detector, about = load_part(where, "detector", preset("paper", yolo_size="n", yolo_px=64))
    assert len(detector.find([np.zeros((90, 80), np.uint8)])) == 1  # type: ignore[operator]
    assert about["command"] == "a test"
    assert about["recipe"] == {"epochs": 1, "learning_rate": 0.001, "batch": 2}
    assert about["summary"]["detector_found"].keys() == BOXES.keys()


def test_the_shape_detector_is_trained_from_the_same_words(tmp_path: Path) -> None:
    from clala.checkpoint import load_part
    from clala.config import preset

    out = train_detector(FakeDataset(tmp_path), out=tmp_path / "out", preset="demo", epochs=2, image_px=64, device="cpu", workers=1)
    detector, about = load_part(out, "detector", preset("demo", detector_px=64))
    assert detector.find([np.zeros((90, 80), np.uint8)])[0].keys() >= BOXES.keys()  # type: ignore[operator]
    assert about["summary"]["detector_found"] == dict.fromkeys(BOXES, 1.0)
    assert min(about["summary"]["detector_iou"].values()) > 0.5  # all images have the same boxes: the mean anatomy is nearly right
    assert [json.loads(line)["epoch"] for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()] == [0, 1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preset": "demo", "size": "n"}, "size and pretrained belong to yolov10"),
        ({"preset": "demo", "settings": "wings=2"}, "no setting named 'wings'"),
        ({"preset": "demo", "image_px": 64, "device": "cuda"}, "finds no CUDA device"),
        ({"preset": "demo", "image_px": 64, "device": "warp"}, "device 'warp' cannot be had here"),
        pytest.param({"kind": "yolov10", "size": "n", "image_px": 100}, "must be a multiple of 32", marks=needs_ultralytics),
        pytest.param({"kind": "yolov10", "size": "n", "epochs": 1, "device": "0,1"}, "finds no CUDA device", marks=needs_ultralytics),
        pytest.param({"kind": "yolov10", "size": "n", "pretrained": Path("yolov10n.pt")}, "set trust_pickle", marks=needs_ultralytics),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options: dict[str, object], told: str, tmp_path: Path) -> None:
    import torch

    if "CUDA" in told and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(UserError, match=told):
        train_detector(FakeDataset(tmp_path), out=tmp_path / "out", workers=1, **options)  # type: ignore[arg-type]


def test_a_dataset_without_boxes_teaches_no_detector(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training image with boxes"):
        train_detector(FakeDataset(tmp_path, has_boxes=False), out=tmp_path / "out", preset="demo", workers=1)
