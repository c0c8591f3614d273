"""Stage 1 shared: what follows from it is what one training would have come to, and what would be another training is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clala import checkpoint
from clala.checkpoint import BadCheckpoint
from clala.config import CLALAConfig, Recipe
from clala.start import BadStart
from clala.state import OtherTraining
from clala.train import Job, train


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="module")
def job(index: Path, config: CLALAConfig, quick: Recipe, crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Both stages in one; stage 1 sees crops of 32 px, stage 2 of 48."""
    made = replace(quick, epochs_stage1=2, epochs_stage2=2)
    return Job(index, tmp_path_factory.mktemp("whole"), config, made, device="cpu", precision="no", workers=1, crops=crops, command="the whole")


@pytest.fixture(scope="module")
def stage_1(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = replace(job.recipe, epochs_stage2=0)
    return train(replace(job, out=tmp_path_factory.mktemp("stage1"), recipe=recipe, command="stage 1 alone"))


def going_on(job: Job, start: Path, out: Path) -> Job:
    return replace(job, out=out, recipe=replace(job.recipe, epochs_stage1=0), start=start)


def same_tensors(one: Path, other: Path) -> bool:
    """Bit by bit."""
    a, b = (load_file(folder / "weights.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("crop_px_stage2", [32, 48])
def test_stage_2_from_a_folder_is_bit_by_bit_that_of_one_training(job: Job, stage_1: Path, tmp_path: Path, crop_px_stage2: int) -> None:
    """The folder was made with 48 px in mind: stage 1 does not know what follows. Classifier, detector and thresholds are its own too."""
    wanted = replace(job, out=tmp_path / "whole", config=replace(job.config, crop_px_stage2=crop_px_stage2))
    train(wanted)
    train(going_on(wanted, stage_1, tmp_path / "on"))
    assert same_tensors(tmp_path / "whole", tmp_path / "on")
    assert not same_tensors(tmp_path / "on", stage_1), "stage 2 did learn"
    whole, on = (json.loads((tmp_path / name / "about.json").read_text()) for name in ("whole", "on"))
    for what in ("thresholds", "vocabulary", "crop_px", "config", "pixels"):
        assert whole[what] == on[what]
    assert whole["summary"]["stage1_ce_validate"] == on["summary"]["stage1_ce_validate"]


@pytest.mark.slow
def test_in_half_precision_too(job: Job, tmp_path: Path) -> None:
    """What is asked for holds in both stages, whether one process trains both or not."""
    wanted = replace(job, out=tmp_path / "whole", precision="bf16")
    train(wanted)
    start = train(replace(wanted, out=tmp_path / "start", recipe=replace(job.recipe, epochs_stage2=0)))
    train(going_on(wanted, start, tmp_path / "on"))
    assert same_tensors(tmp_path / "whole", tmp_path / "on")


def test_which_stage_1_it_was_stands_beside_the_weights(job: Job, stage_1: Path, tmp_path: Path) -> None:
    train(going_on(job, stage_1, tmp_path))
    start = json.loads((tmp_path / "about.json").read_text())["start"]
    assert start["sha256"] == checkpoint.sha256(stage_1)
    assert start["command"] == "stage 1 alone"
    assert (start["recipe"]["epochs_stage1"], start["seed"]) == (2, 42)


def test_a_training_does_not_go_on_where_one_from_another_start_stopped(job: Job, stage_1: Path, tmp_path: Path) -> None:
    other = train(replace(job, out=tmp_path / "other", recipe=replace(job.recipe, epochs_stage2=0), seed=7))
    parts = {"classifier": stage_1, "detector": stage_1}
    train(replace(going_on(job, stage_1, tmp_path / "out"), **parts))  # type: ignore[arg-type]
    with pytest.raises(OtherTraining, match="with other settings or another index"):
        train(replace(going_on(job, other, tmp_path / "out"), **parts))  # type: ignore[arg-type]


def test_a_classifier_that_is_named_comes_before_that_of_the_start(job: Job, stage_1: Path, tmp_path: Path) -> None:
    other = train(replace(job, out=tmp_path / "other", recipe=replace(job.recipe, epochs_stage1=0, epochs_stage2=0), seed=7))
    train(replace(going_on(job, stage_1, tmp_path / "out"), classifier=other))
    taken, named, start = (load_file(folder / "weights.safetensors") for folder in (tmp_path / "out", other, stage_1))
    of_both = [name for name in taken if name.startswith(("classifier.", "detector."))]
    assert any(not torch.equal(named[name], start[name]) for name in of_both)
    for name in of_both:
        assert torch.equal(taken[name], (named if name.startswith("classifier.") else start)[name])


def as_half(folder: Path) -> None:
    checkpoint.save(checkpoint.load(folder), folder, half=True)


def said(**changes: object) -> Callable[[Path], None]:
    """Changes what the JSON file of a folder says."""

    def change(folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text())
        (folder / "about.json").write_text(json.dumps(about | changes))

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (as_half, r"of its \d+ tensors are stored in half precision, so that .* train stage 1 with half=false \(--no-half\)"),
        (said(vocabulary={"kind": "words", "words": ["no"]}), "its vocabulary is not that of this index; train stage 1 on the same index"),
        (said(recipe={"epochs_stage1": 2, "epochs_stage2": 1}), "was trained for 2 epochs of stage 1 and 1 of stage 2; name a folder"),
        (said(recipe={"epochs_stage1": 0, "epochs_stage2": 0}), "was trained for 0 epochs of stage 1 and 0 of stage 2; name a folder"),
        (said(part="detector"), "holds a detector alone; name a folder that was trained with epochs_stage2=0"),
    ],
)
def test_a_folder_that_is_no_stage_1_in_full_precision_is_refused(
    job: Job, stage_1: Path, tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    folder = tmp_path / "start"
    folder.mkdir()
    for name in ("weights.safetensors", "about.json"):
        (folder / name).write_bytes((stage_1 / name).read_bytes())
    change(folder)
    with pytest.raises(BadStart, match=told):
        train(going_on(job, folder, tmp_path / "out"))


@pytest.mark.parametrize(("setting", "value"), [("lca", False), ("llcl_by_region", False), ("crop_px", 48), ("roi_set", "all"), ("temperature", 0.1)])
def test_a_start_of_another_configuration_is_refused(job: Job, stage_1: Path, tmp_path: Path, setting: str, value: object) -> None:
    other = replace(job, config=replace(job.config, **{setting: value}))  # type: ignore[arg-type]
    with pytest.raises(BadStart, match=rf"has {setting}=.* where {value!r} is asked for \(1 settings differ\); only crop_px_stage2 may"):
        train(going_on(other, stage_1, tmp_path))


def test_stage_1_is_not_trained_upon_another_stage_1(job: Job, stage_1: Path, tmp_path: Path) -> None:
    with pytest.raises(BadStart, match="yet epochs_stage1 is 2; make it 0, or leave the start out"):
        train(replace(job, out=tmp_path, start=stage_1))


def test_a_start_without_weights_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"no about\.json in"):
        train(going_on(job, tmp_path / "nowhere", tmp_path / "out"))
