from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clala import checkpoint
from clala.checkpoint import Bundle
from clala.config import CLALAConfig, Recipe, preset, recipe, to_json
from clala.crops import read_image
from clala.data import IndexLine, Samples, TooFewSamples, read_index
from clala.generate import write
from clala.parts import cut_parts, silent
from clala.state import OtherTraining, TrainingState
from clala.train import Job, NonFiniteLoss, Rate, _groups, _new_bundle, has_begun, key_of, main, prepare, stop_if_not_finite, train


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


def test_stage_2_keeps_the_epoch_that_states_the_lesions_best(trained: Path) -> None:
    """Stage 1 has no such measure; what was kept stands with the weights."""
    assert not any("lesion_f1_validate" in line for line in events(trained, "epoch") if line["stage"] == 1)
    best = max(line["lesion_f1_validate"] for line in events(trained, "epoch") if line["stage"] == 2)
    assert json.loads((trained / "about.json").read_text())["summary"]["stage2_lesion_f1_validate"] == pytest.approx(best, abs=1e-4)


def same_tensors(one: Path, other: Path) -> bool:
    """Bit by bit. The files as a whole may differ: safetensors writes its metadata in any order."""
    a, b = (load_file(folder / "weights.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killed(BaseException):
    """What stands for a kill within one process: nothing catches it."""


@pytest.mark.parametrize("save_number", [1, 2, 3, 4, 6, 8])
def test_a_training_killed_at_any_saved_state_ends_with_the_same_weights_and_losses(
    index: Path, config: CLALAConfig, quick: Recipe, trained: Path, tmp_path: Path, save_number: int
) -> None:
    """Saved after every step: killed within an epoch, at its end, between the stages; dropout and jitter are on."""
    job = Job(index, tmp_path, config, quick, device="cpu", workers=1, command="a test", save_every=1)
    original, saved = TrainingState.save, [0]

    def killed_after(self: TrainingState, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        saved[0] += 1
        if saved[0] == save_number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "save", killed_after)
        with pytest.raises(Killed):
            train(job)
    train(job)
    assert [line["ce_validate"] for line in events(tmp_path, "epoch")] == [line["ce_validate"] for line in events(trained, "epoch")]
    assert same_tensors(tmp_path, trained)


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_give_the_same_weights(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """The real thing: another process, SIGKILL in mid-epoch, the command typed again."""
    words = command_words(index, config, quick, "--save-every", "1", "--device", "cpu", "--workers", "1")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*words, "--out", str(whole)], check=True, env=environment)
    process = subprocess.Popen([*words, "--out", str(killed)], env=environment)
    note = killed / "work" / "stage1" / "state.json"
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["counters"]["step"] >= 2):
        time.sleep(0.005)
    assert process.poll() is None, "it was done before it could be killed"
    process.kill()
    process.wait()
    subprocess.run([*words, "--out", str(killed)], check=True, env=environment)
    assert same_tensors(killed, whole)


def test_other_settings_do_not_go_on_from_the_states_of_these(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    train(Job(index, tmp_path, config, quick, device="cpu", workers=1))
    with pytest.raises(OtherTraining, match=r"with other settings or another index; give another folder, or delete work/ in it$"):
        train(Job(index, tmp_path, config, replace(quick, clip=0.5), device="cpu", workers=1))
    with pytest.raises(OtherTraining, match=r"delete work/ in it. A step there sees 6 regions, and here 5 x 1 processes = 5; --set batch=6 goes on$"):
        train(Job(index, tmp_path, config, replace(quick, batch=5), device="cpu", workers=1))


def test_what_was_never_begun_is_in_nobodys_way(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """A batch that is too large is said before anything is trained, and another batch in the same folder is no other training."""
    job = Job(index, tmp_path, config, replace(quick, batch=36, accumulate=2), device="cpu", workers=1)
    with pytest.raises(TooFewSamples, match=r"2 x 36 region samples for each of 1 processes make one step, but an epoch has 27 of them in all"):
        train(job)
    assert not has_begun(tmp_path)
    train(replace(job, recipe=replace(quick, epochs_stage1=0, epochs_stage2=0, classifier_epochs=0, detector_epochs=0)))
    assert has_begun(tmp_path)


@pytest.mark.parametrize(
    ("seed", "stage1", "stage2", "too_few"), [(2, 1, 1, True), (2, 0, 1, True), (2, 1, 0, False), (9, 1, 0, True), (9, 0, 1, False)]
)
def test_each_stage_that_is_to_be_trained_is_looked_at_beforehand_with_its_own_draw(
    index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, seed: int, stage1: int, stage2: int, too_few: bool
) -> None:
    """Of thinned regions the two stages of seed 2 draw 19 and 14, of seed 9 14 and 16. Two batches of 15 to a step need 16."""
    still = {"classifier_epochs": 0, "detector_epochs": 0}
    how = replace(quick, batch=15, accumulate=2, normal_share=0.5, epochs_stage1=stage1, epochs_stage2=stage2, **still)
    job = Job(index, tmp_path, config, how, seed=seed, device="cpu", workers=1)
    if too_few:
        with pytest.raises(TooFewSamples, match="an epoch has 14 of them in all"):
            train(job)
        assert not has_begun(tmp_path)
    else:
        train(job)
        assert [line["stage"] for line in events(tmp_path, "epoch")] == [1] * stage1 + [2] * stage2


def test_of_a_training_that_is_refused_nothing_is_written_down(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """Nor is a crop cut for it, which may take hours."""
    still = replace(quick, epochs_stage1=0, epochs_stage2=0, classifier_epochs=0, detector_epochs=0)
    train(Job(index, tmp_path, config, still, device="cpu", workers=1))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OtherTraining):
        train(Job(index, tmp_path, replace(config, crop_px=40), still, device="cpu", workers=1))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_was_prepared_is_not_cut_again(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """Of both stages' sizes; nothing of a training is there yet, so that any may begin."""
    job = Job(index, tmp_path, config, quick, device="cpu", workers=1)
    prepare(job)
    assert not has_begun(tmp_path)
    cut = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")}
    assert {path.parts[-3] for path in cut} == {f"{split}-{px}" for split in ("train", "validate") for px in (32, 48)}
    still = replace(quick, epochs_stage1=0, epochs_stage2=1, classifier_epochs=0, detector_epochs=0)
    train(replace(job, recipe=still, reader=unreadable))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")} == cut


def unreadable(path: Path) -> np.ndarray:
    raise AssertionError(f"{path} was to be read once")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--index", "nowhere.jsonl"], "no index at nowhere.jsonl; name a file of JSON lines with --index"),
        (["--set", "batsh=3"], "no setting named 'batsh'; known: accumulate, batch"),
        (["--device", "mps"], "device is mps, but CLALA-Net is trained on a CPU or on CUDA devices; use auto, cpu, cuda, or one of several: cuda:1"),
        (["--device", "gpu"], "device is gpu, but CLALA-Net is trained on"),
        (["--device", "cuda:x"], "device is cuda:x, but CLALA-Net is trained on"),
        (["--classifier", "nowhere"], "no weights.safetensors in nowhere; CLALA-Net weights are"),
        (["--start", "nowhere", "--set", "epochs_stage1=0"], "no about.json in nowhere; CLALA-Net weights are"),
        (["--preset", "paper"], "the configuration's detector is yolov10, which is trained apart"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_command_cannot_do_is_said_in_one_line(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--index", str(index), "--out", str(tmp_path), "--workers", "1", "--device", "cpu", *words])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m clala.train: {told}")


def test_a_training_is_known_by_what_a_step_sees_over_all_processes(index: Path, config: CLALAConfig, quick: Recipe, trained: Path) -> None:
    """Of a classifier that is given, the batch does not matter."""
    one, half = (Job(index, trained, config, replace(quick, batch=batch, classifier_batch=batch)) for batch in (6, 3))
    assert key_of(one, 1) == key_of(half, 2)
    assert key_of(one, 1) != key_of(one, 2)
    given = replace(one, classifier=trained)
    assert key_of(given, 1) == key_of(replace(given, recipe=replace(quick, batch=3)), 2)


def test_parts_trained_apart_are_taken_up(index: Path, config: CLALAConfig, quick: Recipe, trained: Path, tmp_path: Path) -> None:
    job = Job(index, tmp_path, config, quick, device="cpu", workers=1, classifier=trained, detector=trained, crops=trained / "work")
    train(job)
    one, other = checkpoint.load(trained), checkpoint.load(tmp_path)
    for part in ("classifier", "detector"):
        for name, value in one.modules()[part].state_dict().items():
            assert torch.equal(value, other.modules()[part].state_dict()[name])
    assert torch.equal(one.thresholds, other.thresholds)
    assert not events(tmp_path, "classifier")


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {}])
def test_bf16_and_accumulated_steps_train_on_a_cpu(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, changes: dict[str, int]) -> None:
    train(Job(index, tmp_path, config, replace(quick, batch=3, **changes), device="cpu", workers=1, precision="bf16"))
    losses = [line["ce_validate"] for line in events(tmp_path, "epoch")]
    assert losses[-1] < losses[0]


def test_two_accumulated_batches_are_one_step_along_the_mean_of_their_gradients(
    index: Path, config: CLALAConfig, quick: Recipe, samples: Samples, tmp_path: Path
) -> None:
    """27 regions, 13 to a batch: one gradient step is the epoch, and what it does is done here by hand."""
    changes = {"epochs_stage1": 1, "epochs_stage2": 0, "warmup_steps": 0, "classifier_epochs": 0, "detector_epochs": 0}
    how = replace(quick, batch=13, accumulate=2, **changes)
    still = replace(config, dropout=0.0)
    job = Job(index, tmp_path, still, how, device="cpu", precision="no", workers=1, log_every=1)
    train(job)
    assert [line["step"] for line in events(tmp_path, "step")] == [1]
    lines = read_index(index)
    splits = {"train": [line for line in lines if line.split == "train"]}
    model, told = _new_bundle(job, splits).model, np.isin(samples.images, [i for i, line in enumerate(samples.lines) if line.split == "train"])
    assert told.sum() == 27
    model.enter_stage(1)
    model.train()
    parts = cut_parts(splits, tmp_path / "work", still, still.crop_px, reader=read_image, workers=1, progress=silent)
    learnt = Samples(parts["train"].lines, parts["train"].store, still, model.tokenizer)
    batches = list(learnt.batches(how, seed=job.seed + 1, epoch=0, crop_px=still.crop_px, llcl=True))
    assert [len(batch.crops) for batch in batches] == [13, 13]
    for batch in batches:
        (model(batch)["loss"] / 2).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), how.clip)
    torch.optim.AdamW(_groups(model, how, 1), lr=how.learning_rate_stage1, weight_decay=how.weight_decay).step()
    trained = checkpoint.load(tmp_path).model.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def command_words(index: Path, config: CLALAConfig, quick: Recipe, *more: str) -> list[str]:
    """``python -m clala.train`` with the sizes of the tiny configuration."""
    settings = {name: value for name, value in to_json(config).items() if value != getattr(preset("demo"), name)}
    settings |= {name: value for name, value in to_json(quick).items() if value != getattr(recipe("demo"), name)}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "clala.train", "--index", str(index), *sets, *more]


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
    settings = {**{name: getattr(config, name) for name in ("crop_px", "crop_px_stage2", "patch_px", "width", "encoder_layers", "decoder_layers")}}
    settings |= {"classifier_px": 64, "classifier_width": 8, "detector_px": 64, "detector_width": 8, "detector_modes": 4}
    settings |= {"batch": 6, "epochs_stage1": 1, "epochs_stage2": 0, "classifier_epochs": 1, "detector_epochs": 1}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    assert main(["--index", str(index), "--out", str(tmp_path), "--device", "cpu", "--tensorboard", *words]) == 0
    assert list((tmp_path / "tensorboard").iterdir())
    assert checkpoint.load(tmp_path).about["command"].startswith("python -m clala.train --index")
