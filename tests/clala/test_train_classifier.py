from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from biovil_t_reference import FIXTURE, random_weights
from safetensors.torch import load_file

from clala import checkpoint, train_classifier
from clala.biovil_t import FILE
from clala.checkpoint import load_part
from clala.classifier import LesionClassifier, new_classifier, predict, tune_thresholds
from clala.config import CLALAConfig, Recipe, preset, recipe, to_json
from clala.crops import centre_crop, pad_to_square, read_image
from clala.data import IndexLine
from clala.lesion_scores import f1_by_lesion
from clala.log import TrainingLog
from clala.parts import Progress
from clala.processes import new_accelerator
from clala.regions import LESIONS
from clala.state import OtherTraining, TrainingState
from clala.train_classifier import Diverged, Images, NoStart, Variation, cut_squares, fit, rate, train, varied, vary

SILENT: Progress = lambda label, total, unit: nullcontext(lambda count: None)  # noqa: E731


@pytest.fixture(scope="module")
def trained(lines: list[IndexLine], config: CLALAConfig, quick: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classifier")
    return train(lines, out, config, quick, device="cpu", workers=1, predictions=True, about={"command": "a test"})


def epochs(folder: Path) -> list[dict[str, Any]]:
    """What the log says of each epoch, but how long it took."""
    written = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in written if line["event"] == "classifier"]


def weights_of(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def same_tensors(one: Path, other: Path) -> bool:
    a, b = weights_of(one), weights_of(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def spots(number: int, size_px: int = 64) -> Images:
    """Every other image has a bright spot on the right, and a nodule in its label."""
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 60, (number, size_px, size_px)).astype(np.uint8)
    labels = np.zeros((number, len(LESIONS)))
    labels[::2, LESIONS.index("nodule")] = 1
    squares[::2, size_px * 7 // 16 : size_px * 9 // 16, size_px * 10 // 16 : size_px * 12 // 16] = 250
    return Images(squares, labels, [f"i{i}" for i in range(number)])


def fitted(classifier: torch.nn.Module, parts: Mapping[str, Images], how: Recipe, folder: Path, **changed: Any) -> tuple[np.ndarray, TrainingLog]:
    log = TrainingLog(folder / "log.jsonl")
    accelerator = new_accelerator("cpu", changed.pop("precision", "no"), how.accumulate)
    thresholds = fit(classifier, parts, how, folder / "state", accelerator=accelerator, log=log, progress=SILENT, seed=0, **changed)
    return thresholds, log


def test_the_folder_is_what_the_whole_training_takes_up(trained: Path, config: CLALAConfig) -> None:
    classifier, about = load_part(trained, "classifier", config)
    assert isinstance(classifier, LesionClassifier)
    assert list(about["thresholds"]) == list(LESIONS)
    assert about["command"] == "a test"
    assert about["start"] == "random weights"
    assert about["recipe"]["classifier_batch"] == 6
    assert about["summary"].keys() == {"classifier_f1", "classifier_auroc", "classifier_macro_f1", "classifier_epoch"}


def test_the_log_has_a_line_per_epoch_with_all_scores(trained: Path) -> None:
    lines = epochs(trained)
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        assert line["f1"].keys() >= {"pleural effusion", "cardiomegaly"} == line["auroc"].keys()  # what the three validation images show
        assert line["macro_f1_validate"] == pytest.approx(np.mean(list(line["f1"].values())), abs=1e-3)
        assert 0 <= line["macro_f1_at_half"] <= line["macro_f1_validate"]  # no threshold is better than the best
        assert line["macro_auroc_validate"] == pytest.approx(np.mean(list(line["auroc"].values())), abs=1e-3)


def test_predictions_can_be_read_as_a_table_and_thresholds_fit_them(trained: Path, lines: list[IndexLine]) -> None:
    with (trained / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    validation = [line for line in lines if line.split == "validate"]
    assert [(row["id"], row["lesion"]) for row in rows] == [(line.id, lesion) for line in validation for lesion in LESIONS]
    assert [row["stated"] == "1" for row in rows] == [lesion in line.lesions for line in validation for lesion in LESIONS]
    predicted = np.array([int(row["predicted"]) for row in rows]).reshape(-1, 14).astype(bool)
    stated = np.array([int(row["stated"]) for row in rows]).reshape(-1, 14).astype(bool)
    summary = json.loads((trained / "about.json").read_text(encoding="utf-8"))["summary"]
    assert np.nanmean(f1_by_lesion(predicted, stated)) == pytest.approx(summary["classifier_macro_f1"], abs=1e-4)


def test_a_bright_spot_is_learnt_and_found_in_other_images(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier, how = LesionClassifier(config), replace(quick, classifier_epochs=12, classifier_batch=12, classifier_learning_rate=5e-3)
    parts = {"train": spots(24), "validate": spots(10)}
    thresholds, log = fitted(classifier, parts, how, tmp_path)
    assert log.summary["classifier_f1"] == {"nodule": 1.0}
    assert log.summary["classifier_auroc"] == {"nodule": 1.0}
    found = predict(classifier, parts["train"].squares)[:, LESIONS.index("nodule")]
    assert found[::2].min() > thresholds[LESIONS.index("nodule")] > found[1::2].max()


def test_biovil_t_learns_from_a_file_in_the_published_layout(lines: list[IndexLine], config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """All 27 million weights, on images of 64 px; what has no part in the answer stays as it was published."""
    given = random_weights({name: tuple(shape) for name, shape in json.loads(FIXTURE.read_text(encoding="utf-8"))["shapes"].items()}, 7)
    torch.save(given, tmp_path / FILE)
    big, how = replace(config, classifier="biovil_t", classifier_hidden=16), replace(quick, classifier_epochs=1, classifier_learning_rate=1e-3)
    out = train(lines, tmp_path / "out", big, how, weights=tmp_path / FILE, device="cpu", workers=1)
    classifier, about = load_part(out, "classifier", big)
    assert about["start"].startswith(f"BioViL-T, {FILE}, md5 ")
    learnt = {name.removeprefix("classifier.image."): value for name, value in weights_of(out).items()}
    same = {name for name in given if torch.equal(given[name], learnt[name])}
    assert same == {name for name in given if name.startswith(("encoder.vit_pooler", "encoder.encoder.fc"))}
    assert predict(classifier, np.zeros((1, 64, 64), np.uint8)).shape == (1, 14)


class Killed(BaseException):
    """What stands for a kill within one process: nothing catches it."""


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2}])
@pytest.mark.parametrize("save_number", [1, 2, 3, 4])
def test_a_training_killed_at_any_saved_state_ends_with_the_same_weights_and_losses(
    lines: list[IndexLine], config: CLALAConfig, quick: Recipe, tmp_path: Path, save_number: int, changes: dict[str, int]
) -> None:
    """Three epochs of two or four steps, saved within each and at its end; dropout and moved images are on."""
    how = replace(quick, classifier_epochs=3, classifier_batch=6 // changes.get("accumulate", 1), **changes)
    whole = train(lines, tmp_path / "whole", config, how, device="cpu", workers=1)
    original, saved = TrainingState.save, [0]

    def killed_after(self: TrainingState, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        saved[0] += 1
        if saved[0] == save_number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "save", killed_after)
        with pytest.raises(Killed):
            train(lines, tmp_path / "killed", config, how, device="cpu", workers=1, save_every=1)
    again = train(lines, tmp_path / "killed", config, how, device="cpu", workers=1, save_every=1)
    assert epochs(again) == epochs(whole)
    assert same_tensors(again, whole)


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_give_the_same_weights(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """The real thing: another process, SIGKILL in mid-training, the command typed again."""
    words = command_words(index, config, quick, "--save-every", "1", "--device", "cpu", "--workers", "1", "--set", "classifier_epochs=6")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*words, "--out", str(whole)], check=True, env=environment, stdout=subprocess.DEVNULL)
    process = subprocess.Popen([*words, "--out", str(killed)], env=environment, stdout=subprocess.DEVNULL)
    note = killed / "work" / "classifier" / "state.json"
    while process.poll() is None and not (note.exists() and json.loads(note.read_text())["counters"]["epoch"] >= 1):
        time.sleep(0.005)
    assert process.poll() is None, "it was done before it could be killed"
    process.kill()
    process.wait()
    subprocess.run([*words, "--out", str(killed)], check=True, env=environment, stdout=subprocess.DEVNULL)
    assert same_tensors(killed, whole)


@pytest.mark.slow
def test_two_processes_train_together_and_validate_all_images(index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    # The same curve as one process with the doubled batch: test_processes_together.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = command_words(index, config, quick, "--workers", "1", "--out", str(tmp_path), "--predictions", "--set", "classifier_batch=3")
    done = subprocess.run([*launch, *words[1:]], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line["epoch"] for line in epochs(tmp_path)] == [0, 1]  # once, not once per process
    classifier, about = load_part(tmp_path, "classifier", config)
    assert about["processes"] == 2
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        shared = np.array([float(row["probability"]) for row in csv.DictReader(file)]).reshape(-1, 14)
    alone = predict(classifier, np.load(next((tmp_path / "work" / "validate-64-pad").glob("*/whole.npy"))))
    np.testing.assert_allclose(shared, alone, atol=1e-5)


def command_words(index: Path, config: CLALAConfig, quick: Recipe, *more: str) -> list[str]:
    """``python -m clala.train_classifier`` with the sizes of the tiny configuration."""
    settings = {name: value for name, value in to_json(config).items() if value != getattr(preset("demo"), name)}
    settings |= {name: value for name, value in to_json(quick).items() if value != getattr(recipe("demo"), name)}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "clala.train_classifier", "--preset", "demo", "--index", str(index), *sets, *more]


def test_the_command_trains_and_prints_the_scores(
    index: Path, config: CLALAConfig, quick: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command_words(index, config, quick, "--device", "cpu", "--workers", "1", "--out", str(tmp_path))[3:]
    assert train_classifier.main(words) == 0
    assert json.loads(capsys.readouterr().out).keys() >= {"classifier_f1", "classifier_macro_f1"}
    assert load_part(tmp_path, "classifier", config)[1]["command"].startswith("python -m clala.train_classifier --preset demo")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_bf16_trains_on_a_cpu_and_leaves_whole_numbers_of_32_bits(config: CLALAConfig, quick: Recipe, tmp_path: Path, accumulate: int) -> None:
    torch.manual_seed(0)
    classifier = LesionClassifier(config)
    how = replace(quick, classifier_epochs=6, classifier_batch=12 // accumulate, classifier_learning_rate=5e-3, accumulate=accumulate)
    fitted(classifier, {"train": spots(24), "validate": spots(10)}, how, tmp_path, precision="bf16")
    losses = [line["loss"] for line in epochs(tmp_path)]
    assert losses[-1] < losses[0]
    assert classifier(torch.rand(1, 1, 64, 64)).dtype == torch.float32
    assert classifier.forward.__qualname__ == "LesionClassifier.forward"  # no longer wrapped for half precision


def test_the_best_epoch_stays_not_the_last(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    """With a rate far too high some epoch is worse than one before it; thresholds belong to the weights that are kept."""
    torch.manual_seed(0)
    classifier, validation = LesionClassifier(config), spots(10)
    rng = np.random.default_rng(1)
    noisy = Images(rng.integers(0, 255, (24, 64, 64)).astype(np.uint8), rng.integers(0, 2, (24, 14)).astype(float), [str(i) for i in range(24)])
    how = replace(quick, classifier_epochs=5, classifier_batch=12, classifier_learning_rate=0.05)
    thresholds, log = fitted(classifier, {"train": noisy, "validate": validation}, how, tmp_path)
    scores = [line["macro_f1_validate"] for line in epochs(tmp_path)]
    best = log.summary["classifier_epoch"]
    assert best != 4, "the test needs a training whose last epoch is not its best"
    assert scores[best] == max(scores)
    assert log.summary["classifier_macro_f1"] == pytest.approx(max(scores), abs=1e-4)
    np.testing.assert_allclose(thresholds, tune_thresholds(predict(classifier, validation.squares), validation.labels > 0.5), atol=1e-6)


def test_without_validation_images_the_last_epoch_stays_with_plain_thresholds(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    thresholds, log = fitted(LesionClassifier(config), {"train": spots(8)}, quick, tmp_path)
    assert thresholds.tolist() == [0.5] * 14
    assert log.summary == {}
    last = load_file(next((tmp_path / "state").glob("best-*")) / "modules.safetensors")
    assert json.loads((tmp_path / "state" / "state.json").read_text())["counters"]["best_epoch"] == 1
    assert last.keys() >= {"classifier.places.weight"}


def test_no_epoch_changes_nothing(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    classifier = LesionClassifier(config)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    thresholds, _ = fitted(classifier, {"train": spots(8), "validate": spots(4)}, replace(quick, classifier_epochs=0), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert thresholds.tolist() == [0.5] * 14


def test_other_settings_do_not_go_on_from_the_states_of_these(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    fitted(LesionClassifier(config), {"train": spots(8)}, quick, tmp_path)
    for parts, how in (({"train": spots(9)}, quick), ({"train": spots(8)}, replace(quick, classifier_learning_rate=1e-3))):
        torch.manual_seed(0)
        with pytest.raises(OtherTraining, match="with other images, settings or weights; give another folder, or delete it"):
            fitted(LesionClassifier(config), parts, how, tmp_path)
    torch.manual_seed(1)
    with pytest.raises(OtherTraining):
        fitted(LesionClassifier(config), {"train": spots(8)}, quick, tmp_path)


def test_a_rate_far_too_high_is_told(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"epoch 1, step 2: the loss .* is nan: no number comes out for any image, .*; lower classifier_learning_rate"):
        fitted(LesionClassifier(config), {"train": spots(24)}, replace(quick, classifier_learning_rate=1e38), tmp_path)


def test_answers_too_large_to_sum_are_told(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    classifier = LesionClassifier(config)
    with torch.no_grad():
        classifier.overall.bias[:] = 3e38
    with pytest.raises(Diverged, match=r"the loss of the classifier is inf: its answers reach 3e\+38; lower"):
        fitted(classifier, {"train": spots(6)}, quick, tmp_path)


def test_an_answer_that_is_no_number_is_told_by_lesion_and_image(config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    classifier = LesionClassifier(config)
    with torch.no_grad():
        classifier.places.bias[LESIONS.index("mass")] = 3e38  # finite, but four times it is not
    with pytest.raises(Diverged, match=r"no number comes out for mass in i\d, i\d, i\d, i\d, i\d; look at these images"):
        fitted(classifier, {"train": spots(6)}, quick, tmp_path)


def test_the_rate_by_hand_and_as_torch_has_it() -> None:
    assert rate(0.0, 1.0) == pytest.approx(0.04)
    assert rate(0.1, 1.0) == pytest.approx(0.52)
    assert rate(0.2, 1.0) == pytest.approx(1.0)
    assert rate(0.6, 1.0) == pytest.approx(0.5)
    assert rate(1.0, 1.0) == pytest.approx(0.0)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=1000, pct_start=0.2)
    for step in range(1000):
        assert rate(step / 1000, 1.0) == pytest.approx(schedule.get_last_lr()[0], abs=0.01)
        optimiser.step()
        schedule.step()


def test_an_image_that_is_not_moved_stays_as_it_is() -> None:
    pixels = torch.rand(2, 1, 32, 32)
    still = Variation(torch.tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(2, 1, 1), torch.ones(2))
    torch.testing.assert_close(varied(pixels, still), pixels)


def test_left_stays_left() -> None:
    """100 draws: a spot in the upper left quarter never leaves it."""
    pixels = torch.zeros(100, 1, 64, 64)
    pixels[:, :, 14:18, 14:18] = 1
    moved = varied(pixels, vary(100, torch.Generator().manual_seed(0)))
    rows, columns = moved.sum(dim=3).argmax(dim=2), moved.sum(dim=2).argmax(dim=2)
    assert int(rows.max()) < 32
    assert int(columns.max()) < 32
    assert len(set(columns.flatten().tolist())) > 3  # but moved it is


@pytest.mark.parametrize(("frame", "expected"), [("pad", pad_to_square), ("centre_crop", centre_crop)])
def test_images_are_framed_as_the_configuration_says(lines: list[IndexLine], config: CLALAConfig, tmp_path: Path, frame: str, expected: Any) -> None:
    parts = cut_squares({"train": lines[:3]}, tmp_path, replace(config, classifier_frame=frame), reader=read_image, workers=1, progress=SILENT)
    for line, square in zip(lines, parts["train"].squares, strict=False):
        np.testing.assert_array_equal(square, expected(read_image(line.image), 64))
    assert parts["train"].ids == ["i0", "i1", "i2"]
    assert parts["train"].labels[1].tolist() == lines[1].lesion_row()


def test_where_biovil_t_starts_must_be_said(lines: list[IndexLine], config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    with pytest.raises(NoStart, match=r"give the path of biovil_t_image_model_proj_size_128.pt, or have it downloaded \(published\)"):
        train(lines, tmp_path, replace(config, classifier="biovil_t"), quick, device="cpu", workers=1)
    with pytest.raises(NoStart, match=r"some\.pt was given to start from, but the classifier is the small one"):
        train(lines, tmp_path, config, quick, weights=Path("some.pt"), device="cpu", workers=1)
    assert not (tmp_path / "about.json").exists()


def test_an_index_without_training_images_is_refused(lines: list[IndexLine], config: CLALAConfig, quick: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no line with split train"):
        train(lines[9:], tmp_path, config, quick, device="cpu", workers=1)


def test_the_whole_is_still_refused_as_a_part_of_another_size(trained: Path, config: CLALAConfig) -> None:
    with pytest.raises(checkpoint.BadCheckpoint, match="classifier_width"):
        load_part(trained, "classifier", replace(config, classifier_width=16))
    assert new_classifier(config).size_px == 64
