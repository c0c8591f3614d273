from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from adapters.clala_classifier import train_classifier
from benchmark.records import Case, ImageFile, Lesion, Reference, UserError
from benchmark.vocabulary import LESIONS

BOXES = {"left lung": (42.0, 10.0, 76.0, 80.0), "right lung": (5.0, 10.0, 38.0, 80.0)}
TINY = "classifier_px=64;classifier_width=8"


class FakeDataset:
    """Eight images of four patients; every other one has a bright spot, and its report a mass."""

    def __init__(self, folder: Path, *, has_boxes: bool = True) -> None:
        self.folder, self.boxes = folder, BOXES if has_boxes else {}
        for number in range(8):
            image = np.random.default_rng(number).integers(0, 60, (90, 80)).astype(np.uint8)
            if number % 2:
                image[30:40, 20:30] = 250
            Image.fromarray(image).save(folder / f"{number}.png")

    def numbers(self, split: str) -> list[int]:
        return {"train": [0, 1, 2, 3, 4, 5], "validate": [6, 7]}[split]

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{n}", f"p{n // 2}", f"s{n}", (ImageFile(self.folder / f"{n}.png", "AP"),)) for n in self.numbers(split)]

    def references(self, split: str) -> list[Reference]:
        said = ("The lungs are clear.", "There is a mass in the right lung.")
        truth = [tuple(Lesion(name, "positive" if n % 2 and name == "edema" else "negative") for name in LESIONS) for n in range(8)]
        return [Reference(f"c{n}", said[n % 2], {}, self.boxes, truth[n]) for n in self.numbers(split)]


def test_a_small_classifier_is_trained_and_is_what_clala_takes_up(tmp_path: Path) -> None:
    from clala.checkpoint import load_part
    from clala.config import preset

    data, out = FakeDataset(tmp_path), tmp_path / "out"
    where = train_classifier(
        data, out=out, preset="demo", epochs=1, batch=3, device="cpu", workers=1, settings=TINY, predictions=True, command="a test"
    )
    classifier, about = load_part(where, "classifier", preset("demo", classifier_px=64, classifier_width=8))
    assert classifier.size_px == 64
    assert about["command"] == "a test"
    assert about["labels"]["source"] == "rules"
    assert about["labels"]["signature"]
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        stated = {(row["id"], row["lesion"]) for row in csv.DictReader(file) if row["stated"] == "1"}
    assert stated == {("c7", "mass")}  # what the rules read in the reports


def test_the_truth_of_the_dataset_can_be_learnt_instead_of_the_reports(tmp_path: Path) -> None:
    out = train_classifier(
        FakeDataset(tmp_path), out=tmp_path / "out", preset="demo", labels="truth", epochs=1, batch=3, device="cpu", workers=1, settings=TINY
    )
    assert json.loads((out / "about.json").read_text(encoding="utf-8"))["summary"]["classifier_auroc"].keys() == {"edema"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preset": "demo", "settings": "wings=2"}, "no setting named 'wings'"),
        ({"preset": "paper"}, "the classifier is biovil_t, but nothing says where it starts"),
        ({"preset": "paper", "biovil": Path("nowhere.pt")}, "no BioViL-T weights at nowhere.pt"),
        ({"preset": "demo", "biovil": Path(__file__)}, "the classifier is the small one, which starts from nothing; leave it out"),
        ({"preset": "paper", "biovil": Path(__file__)}, "is not opened, for it could run code; its md5 is"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train_classifier(FakeDataset(tmp_path), out=tmp_path / "out", device="cpu", workers=1, **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith("train classifier: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dataset_without_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training image with boxes"):
        train_classifier(FakeDataset(tmp_path, has_boxes=False), out=tmp_path / "out", preset="demo", device="cpu")
