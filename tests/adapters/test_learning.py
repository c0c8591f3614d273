from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from adapters.learning import KeptImages, NonFiniteLoss, NothingToLearn, Schedule, ahead, learn, moved
from adapters.learning_state import DamagedState, NotFinite, OtherTraining, TrainingState, write_tensors
from benchmark.datasets.images import UnreadableImage
from benchmark.records import Case, ImageFile, Reference
from benchmark.training import summary_of
from clala.state import flush


class Lines:
    """Points of the line y = 3 x - 1 as cases: what a network with one weight and one bias must find."""

    name = "lines"

    def __init__(self, counts: Mapping[str, int] | None = None, reports: str = "{}") -> None:
        self.counts, self.reports = counts or {"train": 33, "validate": 25}, reports

    def cases(self, split: str) -> list[Case]:
        return [Case(f"{split}{n}", f"p{n}", "s", (ImageFile(Path(f"{n}.png")),)) for n in range(self.counts[split])]

    def references(self, split: str) -> list[Reference]:
        return [Reference(f"{split}{n}", self.reports.format(n / 16)) for n in range(self.counts[split])]


class Line:
    """The learner of that line; with dropout, so that chance matters, and a buffer, so that buffers do."""

    def __init__(self, *, stop_after: int | None = None, spoil_at: int | None = None) -> None:
        torch.manual_seed(3)
        self.network: nn.Module = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1), nn.Dropout(0.02))
        self.batches: list[list[str]] = []
        self.steps, self.stop_after, self.spoil_at = 0, stop_after, spoil_at

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> dict[str, Any]:
        self.batches.append([case.id for case in cases])
        x = torch.tensor([[float(reference.report)] for reference in references])
        return {"x": x, "y": 3 * x - 1}

    def losses(self, batch: dict[str, Any]) -> Mapping[str, Tensor]:
        self.steps += self.network.training
        if self.stop_after is not None and self.steps > self.stop_after:
            raise KeyboardInterrupt
        error = ((self.network(batch["x"]) - batch["y"]) ** 2).mean()
        if self.steps == self.spoil_at:
            error = error * float("inf")
        return {"square": error, "size": 0.0 * error.detach()}

    def save(self, folder: Path) -> None:
        write_tensors(self.network.state_dict(), folder / "weights.safetensors")


SETTINGS: dict[str, Any] = {"epochs": 4, "batch_size": 8, "learning_rate": 0.1, "device": "cpu", "seed": 1, "name": "line"}


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_what_is_learnt_fits_and_the_folder_says_what_it_is(tmp_path: Path) -> None:
    learner = Line()
    out = learn(learner, Lines(), tmp_path, command="train line", **{**SETTINGS, "epochs": 30})
    about = json.loads((out / "about.json").read_text())
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [event["loss_validate"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < 0.1 < 1 < losses[0]
    assert about["summary"]["loss_validate"] == pytest.approx(min(losses), abs=1e-5)  # the best epoch stays, not the last
    assert summary_of(out)["best_epoch"] == 1 + losses.index(min(losses))
    assert (about["command"], about["seed"], about["data"]["cases"]) == ("train line", 1, {"train": 33, "validate": 25})
    assert about["versions"]["packages"]["torch"]
    assert len(about["data"]["fingerprint"]["train"]) == 64
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [20, 40, 60, 80, 100, 120]
    assert {"epoch", "rate", "loss", "square", "size"} <= steps[0].keys()


def test_the_order_is_shuffled_by_the_seed_and_each_epoch_another(tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((1, 1, 2)):
        learner = Line()
        learn(learner, Lines({"train": 33, "validate": 0}), tmp_path / str(number), **{**SETTINGS, "epochs": 2, "seed": seed})
        runs.append(learner.batches)
    assert runs[0] == runs[1] != runs[2]
    assert len(runs[0]) == 8  # 33 cases make 4 whole batches of 8; the one left over has its turn in another epoch
    first, second = (list(chain(*epoch)) for epoch in (runs[0][:4], runs[0][4:]))
    assert len(set(first)) == 32
    assert first != second
    assert weights(tmp_path / "0") == weights(tmp_path / "1") != weights(tmp_path / "2")


@pytest.mark.parametrize(("stop_after", "save_every"), [(9, 0), (9, 1), (4, 3), (1, 0)])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, stop_after: int, save_every: int) -> None:
    """Within an epoch, at its end, before any state: dropout, moments, rate, running means and best epoch must all be where they were."""
    learn(Line(), Lines(), tmp_path / "whole", **SETTINGS, save_every=save_every)
    with pytest.raises(KeyboardInterrupt):
        learn(Line(stop_after=stop_after), Lines(), tmp_path / "killed", **SETTINGS, save_every=save_every)
    assert not (tmp_path / "killed" / "about.json").exists()
    learn(Line(), Lines(), tmp_path / "killed", **SETTINGS, save_every=save_every)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    summaries = [json.loads((tmp_path / name / "about.json").read_text())["summary"] for name in ("killed", "whole")]
    assert summaries[0] == summaries[1]


def test_a_state_that_was_being_written_when_the_power_went_is_passed_over(tmp_path: Path) -> None:
    learn(Line(), Lines(), tmp_path / "whole", **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        learn(Line(stop_after=9), Lines(), tmp_path / "killed", **SETTINGS)
    half = tmp_path / "killed" / "work" / "state" / "at-3"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    learn(Line(), Lines(), tmp_path / "killed", **SETTINGS)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    learn(Line(), Lines(), tmp_path, **SETTINGS)
    before, again = weights(tmp_path), Line()
    learn(again, Lines(), tmp_path, **SETTINGS)
    assert weights(tmp_path) == before
    assert again.batches == []


def test_the_states_of_another_training_are_refused(tmp_path: Path) -> None:
    learn(Line(), Lines(), tmp_path, **SETTINGS)
    with pytest.raises(OtherTraining, match=r"holds the states of a training with another schedule, seed; train into another folder"):
        learn(Line(), Lines(), tmp_path, **{**SETTINGS, "seed": 2, "learning_rate": 0.2})
    with pytest.raises(OtherTraining, match="another data;"):
        learn(Line(), Lines({"train": 32, "validate": 25}), tmp_path, **SETTINGS)


def test_settings_that_no_shape_tells_belong_to_what_must_agree(tmp_path: Path) -> None:
    """Gone on with another dropout, the weights would be of neither training while about.json names the second."""
    learn(Line(), Lines(), tmp_path, **SETTINGS, about={"dropout": 0.1})
    learn(Line(), Lines(), tmp_path, **SETTINGS, about={"dropout": 0.1})
    with pytest.raises(OtherTraining, match="another settings;"):
        learn(Line(), Lines(), tmp_path, **SETTINGS, about={"dropout": 0.2})


@pytest.mark.parametrize("half", ['{"number": 3, "be', "[]", '{"number": 3}', ""])
def test_half_a_note_of_where_a_training_stands_is_said_with_the_way_on(tmp_path: Path, half: str) -> None:
    learn(Line(), Lines(), tmp_path, **SETTINGS)
    note = tmp_path / "work" / "state" / "state.json"
    note.write_text(half)
    with pytest.raises(DamagedState, match=r"state\.json: should say where a training stands, and cannot be read; delete .*state to begin anew"):
        learn(Line(), Lines(), tmp_path, **SETTINGS)


@pytest.mark.parametrize("file", ["weights.safetensors", "moments.safetensors", "chance.safetensors"])
def test_a_state_that_a_disk_has_lost_is_said_with_the_way_on(tmp_path: Path, file: str) -> None:
    learn(Line(), Lines(), tmp_path, **SETTINGS)
    (damaged,) = (tmp_path / "work" / "state").glob(f"at-*/{file}")
    damaged.write_bytes(damaged.read_bytes()[:9])
    with pytest.raises(DamagedState, match=rf"at-\d+/{file}: a part of the saved state that cannot be read .*; delete .*state to begin anew"):
        learn(Line(), Lines(), tmp_path, **SETTINGS)
    damaged.unlink()
    with pytest.raises(DamagedState, match=rf"at-\d+/{file}: a part of the saved state that cannot be read .*; delete .*state to begin anew"):
        learn(Line(), Lines(), tmp_path, **SETTINGS)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the files of the processes are Linux's")
def test_a_file_system_that_brings_no_folder_to_the_disk_is_no_reason_to_stop_and_one_that_brings_no_file_is() -> None:
    """That of the processes answers both with what CIFS says of folders."""
    flush(Path("/proc/self"))
    with pytest.raises(OSError, match="Invalid argument"):
        flush(Path("/proc/self/status"))


def test_weights_that_are_no_numbers_never_take_the_place_of_those_that_are(tmp_path: Path) -> None:
    """The last step of an epoch may do it: its loss was still a number, and without validation cases every epoch is the best so far."""
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    state = TrainingState(tmp_path, layer, optimiser, {})
    state.save({"step": 1}, is_best=True)
    good = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight[0, 0] = float("inf")
    with pytest.raises(NotFinite, match=r"weight holds numbers that are not finite; lower the learning rate"):
        state.save({"step": 2}, is_best=True)
    assert state.load() == {"step": 1}
    assert torch.equal(layer.weight, good)


def test_a_loss_that_is_no_number_stops_and_says_its_parts(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match=r"train line: the loss of step 6 is not finite: square inf, size \S+; lower the learning rate"):
        learn(Line(spoil_at=7), Lines(), tmp_path, **SETTINGS)


def test_two_stages_share_a_folder_and_its_summary(tmp_path: Path) -> None:
    learner = Line()
    for stage in ("first", "second"):
        learn(learner, Lines(), tmp_path, **SETTINGS, stage=stage)
    summary = summary_of(tmp_path)
    assert summary["second_loss_validate"] < summary["first_loss_validate"]
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"first", "second"}


def test_without_validation_cases_the_last_epoch_stays(tmp_path: Path) -> None:
    learn(Line(), Lines({"train": 16, "validate": 0}), tmp_path, **SETTINGS)
    assert summary_of(tmp_path) == {"best_epoch": 4}


def test_fewer_cases_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    learner = Line()
    learn(learner, Lines({"train": 3, "validate": 0}), tmp_path, **SETTINGS)
    assert [len(batch) for batch in learner.batches] == [3] * 4


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToLearn, match=r"train line: none of the 33 cases of the split train can be learnt from; give a dataset"):
        learn(Line(), Lines(reports=" "), tmp_path, **SETTINGS)


class Torn(Line):
    """Some of whose images cannot be read; asked for together, nobody says which."""

    def __init__(self, torn: set[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.torn = torn

    def batch(self, cases: Sequence[Case], references: Sequence[Reference]) -> dict[str, Any]:
        if self.torn & {case.id for case in cases}:
            raise UnreadableImage("radiograph x.png: the file is truncated or damaged; fetch it again")
        return super().batch(cases, references)


def test_cases_whose_images_cannot_be_read_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole batch of them too; and a training that was killed in between goes on without them, to the same weights."""
    torn = {"train3", "train7", *(f"validate{number}" for number in range(8))}
    learner = Torn(torn)
    out = learn(learner, Lines(), tmp_path / "whole", **SETTINGS)
    seen = set(chain(*learner.batches))
    assert seen.isdisjoint(torn)
    assert len(seen) == 33 + 25 - 10
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert said == [
        f"train line: {count} cases of the split {split} were left out, for their images cannot be read; first {case}: radiograph x.png: the file is "
        "truncated or damaged; fetch it again"
        for count, split, case in (("2 of 33", "train", "train3"), ("8 of 25", "validate", "validate0"))
    ]
    assert json.loads((out / "about.json").read_text())["left_out"] == {"train": 2, "validate": 8}
    assert summary_of(out)["loss_validate"] < 10
    with pytest.raises(KeyboardInterrupt):
        learn(Torn(torn, stop_after=9), Lines(), tmp_path / "killed", **SETTINGS)
    again = learn(Torn(torn), Lines(), tmp_path / "killed", **SETTINGS)
    assert weights(again) == weights(out)
    assert json.loads((again / "about.json").read_text())["left_out"] == {"train": 2, "validate": 8}


def test_where_no_image_can_be_read_nothing_is_learnt_and_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToLearn, match=r"train line: no image of the split train can be read; first train0: radiograph x\.png: .* fetch it"):
        learn(Torn({f"train{number}" for number in range(33)}), Lines(), tmp_path, **SETTINGS)


def test_what_is_frozen_stays_and_what_has_a_factor_learns_by_it(tmp_path: Path) -> None:
    learner = Line()
    norm, line, _ = learner.network
    norm.weight.requires_grad_(False)
    before = norm.weight.clone(), line.weight.clone()
    learn(learner, Lines({"train": 33, "validate": 0}), tmp_path, **SETTINGS, times={"1.": 1e-9})
    assert torch.equal(norm.weight, before[0])
    assert torch.allclose(line.weight, before[1], atol=1e-6)
    assert norm.bias.abs().sum() > 0.01


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    schedule = Schedule(learning_rate=1.0, warmup=0.1, floor=0.1)
    assert [schedule.rate(step, 100) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert schedule.rate(55, 100) == pytest.approx(0.55)  # half of the way between 1 and 0.1
    assert schedule.rate(100, 100) == pytest.approx(0.1)


def test_an_image_is_decoded_once_while_there_is_room(tmp_path: Path) -> None:
    decoded: list[Path] = []
    for number in range(3):
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(tmp_path / f"{number}.png")

    def read(path: Path) -> np.ndarray:
        decoded.append(path)
        return np.asarray(Image.open(path))

    paths = [tmp_path / f"{number}.png" for number in range(3)]
    kept = KeptImages(read, most_bytes=8)
    assert kept.stack(paths)[:, 0, 0].tolist() == kept.stack(paths)[:, 0, 0].tolist() == [0, 1, 2]
    assert decoded == [*paths, paths[2]]  # the third did not fit


def test_what_a_maker_raises_comes_out_where_its_batch_would_have() -> None:
    def fail() -> int:
        raise ValueError("third")

    made = ahead([lambda: 1, lambda: 2, fail, lambda: 4])
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(made)


def test_tensors_are_moved_from_wherever_they_are() -> None:
    found = moved({"a": torch.zeros(2), "b": [(torch.zeros(1), "text")]}, torch.device("meta"))
    assert found["a"].is_meta
    assert found["b"][0][0].is_meta
    assert found["b"][0][1] == "text"
