from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from adapters.learning_eyes import EyesLearner, Signs, open_eyes
from benchmark.records import Case, ImageFile, Reference

LEFT, RIGHT = "Left pleural effusion.", "Right pleural effusion."
CLEAR = "No pleural effusion."


class Glow:
    """Images of two pixels; a glow on one side is an effusion of that side, as the reports say. Everything else in the reports is chance."""

    name = "glow"

    def cases(self, split: str) -> list[Case]:
        return [Case(f"{split}{n}", f"p{n}", "s", (ImageFile(Path(f"{n % 3}.png")),)) for n in range(24)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(f"{split}{n}", (LEFT, RIGHT, CLEAR)[n % 3]) for n in range(24)]


class Eyes:
    """A learner whose eyes are one convolution; which pixel is which, its second channel says."""

    def __init__(self) -> None:
        torch.manual_seed(5)
        self.eyes: nn.Module = nn.Sequential(nn.Linear(2, 8), nn.ReLU())

    def open(self, cases: Sequence[Case]) -> Tensor:
        glow = {"0": [255, 0], "1": [0, 255], "2": [0, 0]}
        return torch.tensor([[glow[case.images[0].path.stem]] for case in cases], dtype=torch.uint8)

    def see(self, images: Tensor) -> Tensor:
        grey = images[:, 0, :].float() / 255
        seen: Tensor = self.eyes(torch.stack([grey, torch.tensor([-1.0, 1.0]).expand_as(grey)], -1))
        return seen


def test_signs_are_lesions_with_their_side_and_words_that_are_neither_rare_nor_in_every_report() -> None:
    signs = Signs([f"{LEFT} Unfolded."] + [LEFT] * 60 + [RIGHT] * 60)
    assert signs.lesions == ["lesion pleural effusion, left", "lesion pleural effusion, right"]  # the lesion itself is in every report
    assert signs.words == ["left", "right"]  # and "unfolded" in less than 2 %
    assert signs.of([RIGHT, CLEAR, "Bilateral pleural effusions, left and right."]).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]


def test_a_lesion_that_is_denied_is_no_sign_but_its_words_are() -> None:
    signs = Signs([LEFT, CLEAR])
    assert "lesion pleural effusion" in signs.lesions
    assert dict(zip([*signs.lesions, *signs.words], signs.of([CLEAR])[0].tolist(), strict=True)) == {
        "lesion pleural effusion": 0.0, "lesion pleural effusion, left": 0.0, "left": 0.0, "no": 1.0,
    }  # fmt: skip


def test_one_loud_place_answers_for_the_image_and_silence_is_a_mean() -> None:
    learner = EyesLearner(Eyes(), Signs([LEFT, RIGHT, CLEAR]), 8, torch.full((6,), 0.5))
    head = learner.network["head"]
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:, 0] = 1.0
        places = torch.zeros(2, 50, 8)
        places[1, 7, 0] = 20.0
        quiet, loud = learner.scores(places)[:, 0].tolist()
    assert quiet == pytest.approx(0.0, abs=1e-5)
    assert loud == pytest.approx(20 - 0.978, abs=1e-3)  # less ln(50) / 4


def test_the_head_begins_with_how_often_each_sign_is() -> None:
    signs = Signs([LEFT, RIGHT, CLEAR, CLEAR])
    base = signs.of([LEFT, RIGHT, CLEAR, CLEAR]).mean(0)
    learner = EyesLearner(Eyes(), signs, 8, base)
    torch.testing.assert_close(learner.scores(torch.zeros(1, 9, 8)).sigmoid()[0], base)


def test_eyes_learn_from_the_reports_what_is_where(tmp_path: Path) -> None:
    """Nothing but eyes is trained, nothing but the stage's own numbers is left behind, and what they learnt can be read off a new image."""
    eyes = Eyes()
    before = [parameter.clone() for parameter in eyes.eyes.parameters()]
    open_eyes(eyes, Glow(), tmp_path, width=8, seed=1, epochs=20, batch_size=8, learning_rate=0.2, device="cpu", name="glow")
    assert all(not torch.equal(old, new) for old, new in zip(before, eyes.eyes.parameters(), strict=True))
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["schedule"]["eyes"]["epochs"] == 20
    assert about["summary"]["eyes_lesions_validate"] < 0.3  # 0.64 without looking: each is in one report of three, or in two
    assert not (tmp_path / "weights.safetensors").exists()


def test_without_epochs_or_without_signs_the_eyes_stay_as_they_are(tmp_path: Path) -> None:
    class Silent(Glow):
        def references(self, split: str) -> list[Reference]:
            return [Reference(f"{split}{n}", "Clear.") for n in range(24)]

    eyes = Eyes()
    before = [parameter.clone() for parameter in eyes.eyes.parameters()]
    for data, epochs in ((Glow(), 0), (Silent(), 3)):
        open_eyes(eyes, data, tmp_path, width=8, seed=1, epochs=epochs, batch_size=8, learning_rate=0.05, device="cpu", name="glow")
    assert all(torch.equal(old, new) for old, new in zip(before, eyes.eyes.parameters(), strict=True))
    assert list(tmp_path.iterdir()) == []
