from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clala import checkpoint
from clala.checkpoint import Bundle
from clala.config import CLALAConfig, Recipe
from clala.crops import read_image
from clala.data import IndexLine, Samples
from clala.generate import write
from clala.train import Job, NonFiniteLoss, Rate, stop_if_not_finite, train


@pytest.fixture(scope="module")
def trained(index: Path, config: CLALAConfig, quick: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(Job(index, tmp_path_factory.mktemp("out"), config, quick, device="cpu", workers=1, command="a test"))


def events(folder: Path, kind: str) -> list[dict[str, float]]:
    return [line for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if line["event"] == kind]


def test_training_leaves_weights_that_load_and_write_a_sentence_per_region(trained: Path, lines: list[IndexLine]) -> None:
    written = write(checkpoint.load(trained), [read_image(lines[0].image)], boxes=[dict(lines[0].boxes)])
    assert list(written[0].sentences) == ["left lung", "right lung", "cardiac silhouette"]


def test_the_command_and_the_recipe_stand_beside_the_weights(trained: Path) -> None:
    about = json.loads((trained / "about.json").read_text())
    assert about["command"] == "a test"
    assert about["recipe"]["batch"] == 6
    assert about["config"]["crop_px_stage2"] == 48


def test_both_stages_are_in_the_log(trained: Path) -> None:
    assert [(line["stage"], line["epoch"]) for line in events(trained, "epoch")] == [(1, 0), (1, 1), (2, 0)]


def test_a_killed_training_goes_on_with_the_losses_it_would_have_had(
    index: Path, config: CLALAConfig, quick: Recipe, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(index, tmp_path, config, quick, device="cpu", workers=1, command="a test")
    saved = []

    def killed_after_one_epoch(self: object, **values: object) -> None:
        original(self, **values)  # type: ignore[arg-type]
        saved.append(values)
        if len(saved) == 1:
            raise KeyboardInterrupt

    from clala.train import TrainingState

    original = TrainingState.save
    monkeypatch.setattr(TrainingState, "save", killed_after_one_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    train(job)
    whole = [line["ce_validate"] for line in events(trained, "epoch")]
    pieces = [line["ce_validate"] for line in events(tmp_path, "epoch")]
    assert pieces == whole


def test_everything_but_lca_and_decoder_stays_bit_equal_through_stage_2(bundle: Bundle, samples: Samples, quick: Recipe) -> None:
    model = bundle.model
    model.enter_stage(2)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.05)
    for batch in samples.batches(quick, seed=0, epoch=0, crop_px=32, llcl=False):
        model(batch)["loss"].backward()
        optimiser.step()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"lca", "decoder"}


def test_one_batch_can_be_learnt_by_heart(bundle: Bundle, samples: Samples) -> None:
    rows = samples.with_sentence()[:6]
    batch = samples.batch(rows, crop_px=32)
    model = bundle.model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimiser.zero_grad()
        losses = model(batch)
        losses["loss"].backward()
        optimiser.step()
    assert float(losses["ce"].detach()) < 0.1


def test_a_loss_that_is_no_number_stops_the_run_and_names_its_parts() -> None:
    losses = {"loss": torch.tensor(float("nan")), "ce": torch.tensor(1.5), "llcl": torch.tensor(float("nan"))}
    with pytest.raises(NonFiniteLoss, match=r"step 7 is not finite: loss nan, ce 1\.5, llcl nan"):
        stop_if_not_finite(losses, 7)


def test_the_paper_rate_warms_up_then_falls_by_a_tenth_each_epoch_to_a_floor() -> None:
    rate = Rate(Recipe(warmup_steps=10), 1, steps_per_epoch=100)
    assert np.allclose([rate(0), rate(10), rate(150), rate(250)], [1e-6, 1e-4, 0.9e-4, 0.81e-4])
    assert rate(10**6) == 1e-6


def test_the_second_stage_falls_by_a_cosine_from_its_own_rate_to_nothing() -> None:
    rate = Rate(Recipe(), 2, steps_per_epoch=100)
    assert rate(0) == pytest.approx(1e-5)
    assert rate(500) == pytest.approx(0)


def test_a_switch_turns_a_loss_off(bundle: Bundle, samples: Samples) -> None:
    model = bundle.model
    model.config = replace(model.config, llcl=False)
    losses = model(samples.batch(samples.with_sentence()[:6], crop_px=32))
    assert float(losses["llcl"]) == 0
    assert float(losses["loss"].detach()) == pytest.approx(float((losses["ce"] + losses["itcl"]).detach()))


def test_the_command_trains_and_draws_curves(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    from clala.train import main

    settings = {**{name: getattr(config, name) for name in ("crop_px", "crop_px_stage2", "patch_px", "width", "encoder_layers", "decoder_layers")}}
    settings |= {"classifier_px": 64, "classifier_width": 8, "detector_px": 64, "detector_width": 8, "detector_modes": 4}
    settings |= {"batch": 6, "epochs_stage1": 1, "epochs_stage2": 0, "classifier_epochs": 1, "detector_epochs": 1}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    assert main(["--index", str(index), "--out", str(tmp_path), "--device", "cpu", "--tensorboard", *words]) == 0
    assert list((tmp_path / "tensorboard").iterdir())
    assert checkpoint.load(tmp_path).about["command"].startswith("python -m clala.train --index")
