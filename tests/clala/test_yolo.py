"""YOLOv10 at a few pixels: what it reads, what it finds, what it refuses, and that it keeps to itself."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from clala import checkpoint
from clala.config import BadConfig, CLALAConfig, preset
from clala.crops import BoxXYXY, UnreadableImage, read_image
from clala.data import IndexLine, write_index
from clala.log import TrainingLog
from clala.regions import REGIONS
from clala.state import OtherTraining
from clala.yolo import (
    UltralyticsMissing,
    UntrustedPickle,
    UnusableWeights,
    YOLODetector,
    best_boxes,
    import_ultralytics,
    letterbox,
    take_pickle,
)
from clala.yolo_data import label_lines, write_dataset
from clala.yolo_train import devices, fit_yolo, train_yolo

ROOT = Path(__file__).resolve().parents[2]
needs_ultralytics = pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics is not installed (extra: detector)")
# Two epochs leave a network that is sure of nothing: whatever it is least unsure of is what it finds.
TINY = preset("paper", yolo_size="n", yolo_px=96, yolo_confidence=1e-7)


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> list[IndexLine]:
    """12 wide and high images with two bright lungs of different brightness."""
    folder, rng, lines = tmp_path_factory.mktemp("chests"), np.random.default_rng(0), []
    for number in range(12):
        height, width = (90, 70) if number % 2 else (70, 90)
        image = rng.integers(20, 60, (height, width)).astype(np.uint8)
        x, y = (int(value) for value in rng.integers(4, 14, 2))
        boxes: dict[str, BoxXYXY] = {"right lung": (x, y, x + 22, y + 46), "left lung": (x + 30, y, x + 52, y + 46)}
        for (x0, y0, x1, y1), brightness in zip(boxes.values(), (200, 140), strict=True):
            image[int(y0) : int(y1), int(x0) : int(x1)] = brightness
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        lines.append(IndexLine(f"i{number}", f"p{number}", "train" if number < 9 else "validate", path, boxes, {}, {}))
    return lines


@pytest.fixture(scope="module")
def trained(chests: list[IndexLine], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of two epochs."""
    index = tmp_path_factory.mktemp("index") / "index.jsonl"
    write_index(chests, index)
    return train_yolo(index, tmp_path_factory.mktemp("yolo"), TINY, command="a test", epochs=2, batch=4, device="cpu", workers=1)


@pytest.fixture(scope="module")
def detector(trained: Path) -> YOLODetector:
    loaded, _ = checkpoint.load_part(trained, "detector", TINY)
    assert isinstance(loaded, YOLODetector)
    return loaded


def pixels(lines: list[IndexLine]) -> list[np.ndarray]:
    return [np.asarray(Image.open(line.image)) for line in lines]


def test_label_lines_by_hand() -> None:
    """An image of 200 x 100: shares of its own width and height, number by the order of the 29, faulty boxes clipped or left out."""
    boxes = {
        "left lung": (100.0, 20.0, 180.0, 80.0),
        "right lung": (-20.0, 10.0, 40.0, 50.0),
        "carina": (50.0, 50.0, 50.0, 60.0),
        "abdomen": (10.0, 120.0, 60.0, 160.0),
    }
    assert label_lines(boxes, (100, 200)) == ["0 0.100000 0.300000 0.200000 0.400000", "8 0.700000 0.500000 0.400000 0.600000"]


def test_the_dataset_names_the_29_regions_in_our_order(chests: list[IndexLine], tmp_path: Path) -> None:
    about = yaml.safe_load(write_dataset(chests, tmp_path / 'a "folder": of #mine', size_px=96, workers=1).read_text(encoding="utf-8"))
    assert about["names"] == dict(enumerate(REGIONS))
    assert (about["train"], about["val"]) == ("images/train", "images/validate")
    for split, number in (("train", 9), ("validate", 3)):
        stems = [[file.stem for file in sorted((Path(about["path"]) / kind / split).iterdir())] for kind in ("images", "labels")]
        assert stems[0] == stems[1] == [f"{i:07d}" for i in range(number)]


def test_copies_are_as_large_as_yolo_sees_them_and_show_the_image(chests: list[IndexLine], tmp_path: Path) -> None:
    write_dataset(chests, tmp_path, size_px=180, workers=1)
    copy, original = np.asarray(Image.open(tmp_path / "images" / "train" / "0000001.jpg")), pixels(chests)[1]
    assert copy.shape == (180, 140)
    assert abs(copy[::2, ::2].astype(float) - original).mean() < 12


def test_an_image_without_a_usable_box_is_left_out(chests: list[IndexLine], tmp_path: Path) -> None:
    """Else it would teach that there is nothing to be found in it."""
    bare = IndexLine("bare", "p", "train", chests[0].image, {"carina": (500.0, 500.0, 600.0, 600.0)}, {}, {})
    write_dataset([bare, *chests], tmp_path, size_px=96, workers=1)
    for kind in ("images", "labels"):
        assert [file.stem for file in sorted((tmp_path / kind / "train").iterdir())] == [f"{i:07d}" for i in range(1, 10)]


def test_a_dataset_is_written_once_and_again_when_a_box_has_moved(chests: list[IndexLine], tmp_path: Path) -> None:
    write_dataset(chests, tmp_path, size_px=96, workers=1)
    first = (tmp_path / "labels" / "train" / "0000000.txt").read_text(encoding="utf-8")
    (tmp_path / "labels" / "train.cache").write_text("ultralytics knows labels by name and size", encoding="utf-8")
    (tmp_path / "images" / "train" / "0000000.jpg").unlink()
    write_dataset(chests, tmp_path, size_px=96, workers=1)
    assert not (tmp_path / "images" / "train" / "0000000.jpg").exists()
    moved = [IndexLine(line.id, line.patient, line.split, line.image, {"right lung": (1.0, 1.0, 20.0, 40.0)}, {}, {}) for line in chests]
    write_dataset(moved, tmp_path, size_px=96, workers=1)
    assert (tmp_path / "images" / "train" / "0000000.jpg").exists()
    assert (tmp_path / "labels" / "train" / "0000000.txt").read_text(encoding="utf-8") != first
    assert not (tmp_path / "labels" / "train.cache").exists()


def test_an_interrupted_dataset_goes_on(chests: list[IndexLine], tmp_path: Path) -> None:
    write_dataset(chests, tmp_path, size_px=96, workers=1)
    note = tmp_path / "dataset.json"
    note.write_text(json.dumps(json.loads(note.read_text(encoding="utf-8")) | {"is_finished": False}), encoding="utf-8")
    (tmp_path / "labels" / "train" / "0000003.txt").unlink()
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "images" / "train").iterdir()}
    write_dataset(chests, tmp_path, size_px=96, workers=1)
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "images" / "train").iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["0000003.jpg"]


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 64), (50, 331)])
def test_a_box_comes_back_through_the_letterbox(shape: tuple[int, int]) -> None:
    image = np.zeros(shape, np.uint8)
    box = (10, 14, 40, 44)
    image[box[1] : box[3], box[0] : box[2]] = 255
    square, place = letterbox(image, 160)
    assert square.shape == (160, 160)
    rows, columns = np.nonzero(square > 150)
    seen = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    assert place.undo(seen) == pytest.approx(box, abs=1.2 * max(shape) / 160)
    assert set(np.unique(square[0] if shape[0] < shape[1] else square[:, 0])) == ({114} if shape[0] != shape[1] else {0})


def test_of_each_region_the_surest_box_is_taken_and_a_region_without_any_is_absent() -> None:
    rows = np.array(
        [
            [1, 1, 9, 9, 0.30, 8],
            [2, 2, 8, 8, 0.90, 0],
            [3, 3, 7, 7, 0.60, 8],
            [4, 4, 6, 6, 0.009, 24],
            [5, 5, 9, 9, 0.01, 27],
        ]
    )
    assert best_boxes(rows, 0.01) == {"right lung": (2, 2, 8, 8), "left lung": (3, 3, 7, 7), "carina": (5, 5, 9, 9)}
    assert list(best_boxes(rows, 0.01)) == ["right lung", "left lung", "carina"]
    assert best_boxes(np.zeros((0, 6)), 0.01) == {}


@pytest.mark.parametrize(("asked", "expected"), [("cpu", "cpu"), ("auto", "0" if torch.cuda.is_available() else "cpu")])
def test_devices_are_named_as_ultralytics_names_them(asked: str, expected: str) -> None:
    assert devices(asked) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(("asked", "told"), [("cuda", "finds no CUDA device"), ("0,1", "finds no CUDA device"), ("gpu", "must be auto, cpu, cuda")])
def test_a_device_that_is_not_there_is_refused(asked: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        devices(asked)


def test_without_ultralytics_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(UltralyticsMissing, match="pip install ultralytics; or choose shape"):
        YOLODetector(TINY)


def test_a_side_that_yolo_cannot_see_is_refused() -> None:
    with pytest.raises(BadConfig, match="yolo_px is 100; it must be a multiple of 32"):
        YOLODetector(preset("paper", yolo_px=100))


@needs_ultralytics
def test_two_images_give_what_each_gives_alone() -> None:
    torch.manual_seed(0)
    detector = YOLODetector(TINY)
    images = [np.random.default_rng(number).integers(0, 255, shape).astype(np.uint8) for number, shape in enumerate(((120, 80), (70, 110)))]
    both, singles = detector.find(images), [detector.find([image])[0] for image in images]
    assert both[0]
    assert both[0] != both[1]
    for one, other in zip(both, singles, strict=True):
        assert one.keys() == other.keys()
        assert np.allclose(list(one.values()), list(other.values()), atol=1e-2)
    assert detector.training  # as it was before
    assert detector.find([]) == []


@needs_ultralytics
def test_two_epochs_leave_weights_that_load_and_find_boxes_within_the_image(trained: Path, detector: YOLODetector, chests: list[IndexLine]) -> None:
    images = pixels(chests)
    for image, found in zip(images, detector.find(images), strict=True):
        assert found
        for x0, y0, x1, y1 in found.values():
            assert 0 <= x0 < x1 <= image.shape[1]
            assert 0 <= y0 < y1 <= image.shape[0]
    summary = json.loads((trained / "about.json").read_text(encoding="utf-8"))["summary"]
    assert summary.keys() == {"detector_map50", "detector_map50_95", "detector_epoch", "detector_iou", "detector_found"}
    assert summary["detector_found"].keys() == {"right lung", "left lung"}
    log = [json.loads(text) for text in (trained / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in log[:2]] == [1, 2]
    assert log[0].keys() >= {"box_loss", "map50", "map50_95", "seconds"}


@needs_ultralytics
def test_training_changes_the_weights(trained: Path, detector: YOLODetector) -> None:
    torch.manual_seed(42)
    fresh, learnt = YOLODetector(TINY).state_dict(), detector.state_dict()
    assert not torch.equal(fresh["network.model.0.conv.weight"], learnt["network.model.0.conv.weight"])


@needs_ultralytics
def test_saved_and_loaded_finds_the_same(chests: list[IndexLine], tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = YOLODetector(TINY)
    checkpoint.save_part(tmp_path, "detector", before, TINY)
    after, _ = checkpoint.load_part(tmp_path, "detector", TINY)
    assert isinstance(after, YOLODetector)
    assert after.find(pixels(chests)) == before.find(pixels(chests))


@needs_ultralytics
def test_what_reaches_ultralytics_keeps_left_left(trained: Path) -> None:
    """The file is ultralytics' own account of what it was told. Its defaults mirror every second image and lay four into one."""
    told: dict[str, Any] = yaml.safe_load((trained / "work" / "run" / "args.yaml").read_text(encoding="utf-8"))
    off = ("fliplr", "flipud", "mosaic", "mixup", "cutmix", "copy_paste", "hsv_h", "hsv_s", "hsv_v", "degrees", "shear", "perspective", "bgr")
    assert {name: told[name] for name in off} == dict.fromkeys(off, 0.0)
    assert (told["nms"], told["plots"], told["project"], told["pretrained"]) == (False, False, None, True)
    assert (told["seed"], told["imgsz"], told["batch"], told["epochs"]) == (42, 96, 4, 2)


@needs_ultralytics
def test_our_choice_is_that_of_ultralytics_own_predictor(trained: Path) -> None:
    """On a square of the network's own size neither resizes, so that both see the same pixels."""
    from ultralytics import YOLO

    pickle = trained / "work" / "run" / "weights" / "best.pt"
    ours = YOLODetector(TINY)
    assert take_pickle(ours, pickle, trust_pickle=True) == len(ours.network.state_dict())
    image = np.full((96, 96), 30, np.uint8)
    image[20:70, 15:40], image[20:70, 50:75] = 200, 140
    theirs = YOLO(pickle).predict(np.stack([image] * 3, axis=2), imgsz=96, conf=1e-7, nms=False, verbose=False)[0].boxes
    wanted = best_boxes(theirs.data.numpy(), 1e-7)
    found = ours.find([image])[0]
    assert found.keys() == wanted.keys()
    assert found
    for name, box in found.items():
        assert box == pytest.approx(np.clip(wanted[name], 0, 96), abs=0.05)


@needs_ultralytics
def test_a_pickle_is_refused_unless_it_is_trusted(trained: Path) -> None:
    pickle = trained / "work" / "run" / "weights" / "best.pt"
    with pytest.raises(UntrustedPickle, match=r"best\.pt: a \.pt of ultralytics is a pickle.*set trust_pickle"):
        take_pickle(YOLODetector(TINY), pickle, trust_pickle=False)
    with pytest.raises(FileNotFoundError, match="nothing is downloaded"):
        take_pickle(YOLODetector(TINY), trained / "yolov10n.pt", trust_pickle=True)


class Mischief:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@needs_ultralytics
def test_even_a_trusted_pickle_runs_no_code(tmp_path: Path) -> None:
    torch.save({"model": Mischief(tmp_path / "done")}, tmp_path / "mischief.pt")
    with pytest.raises(UnusableWeights, match="cannot be read safely"):
        take_pickle(YOLODetector(TINY), tmp_path / "mischief.pt", trust_pickle=True)
    assert not (tmp_path / "done").exists()


@needs_ultralytics
def test_weights_of_other_classes_give_all_but_the_scores_and_swapped_regions_are_refused(tmp_path: Path) -> None:
    detector = YOLODetector(TINY)
    other = YOLODetector(TINY).network
    other.names = {number: f"thing {number}" for number in range(29)}  # type: ignore[assignment]
    torch.save({"model": other}, tmp_path / "things.pt")
    before = detector.state_dict()["network.model.23.one2one_cv3.0.2.weight"].clone()
    taken = take_pickle(detector, tmp_path / "things.pt", trust_pickle=True)
    assert taken == len(other.state_dict()) - 12  # two heads, three scales, weight and bias
    after = detector.state_dict()
    assert torch.equal(after["network.model.0.conv.weight"], other.state_dict()["model.0.conv.weight"])
    assert torch.equal(after["network.model.23.one2one_cv3.0.2.weight"], before)
    other.names = dict(enumerate((*REGIONS[8:], *REGIONS[:8])))  # type: ignore[assignment]
    torch.save({"model": other}, tmp_path / "swapped.pt")
    with pytest.raises(UnusableWeights, match="in another order, first 'left lung'"):
        take_pickle(detector, tmp_path / "swapped.pt", trust_pickle=True)


@needs_ultralytics
def test_no_epoch_takes_up_given_weights_and_measures_them(trained: Path, detector: YOLODetector, chests: list[IndexLine], tmp_path: Path) -> None:
    torch.manual_seed(5)
    other, log = YOLODetector(TINY), TrainingLog(tmp_path / "log.jsonl")
    fit_yolo(other, chests, tmp_path, epochs=0, log=log, device="cpu", pretrained=trained)
    assert other.find(pixels(chests[:2])) == detector.find(pixels(chests[:2]))
    assert log.summary["detector_found"].keys() == {"right lung", "left lung"}
    with pytest.raises(UnusableWeights, match="no epoch was asked for"):
        fit_yolo(other, chests, tmp_path, epochs=0, log=log, device="cpu")


@needs_ultralytics
def test_states_of_another_training_are_refused_and_a_finished_one_is_taken_up(
    trained: Path, detector: YOLODetector, chests: list[IndexLine], tmp_path: Path
) -> None:
    shutil.copytree(trained / "work", tmp_path / "work")
    torch.manual_seed(9)
    again, log = YOLODetector(TINY), TrainingLog(tmp_path / "log.jsonl")
    epochs = (tmp_path / "work/epochs.jsonl").read_bytes()
    fit_yolo(again, chests, tmp_path / "work", epochs=2, batch=4, log=log, device="cpu", workers=1)
    assert (tmp_path / "work/epochs.jsonl").read_bytes() == epochs, "nothing was trained"
    assert again.find(pixels(chests[:2])) == detector.find(pixels(chests[:2]))
    with pytest.raises(OtherTraining, match="other settings or another index"):
        fit_yolo(again, chests, tmp_path / "work", epochs=3, batch=4, log=log, device="cpu", workers=1)


@pytest.mark.slow
@needs_ultralytics
def test_a_killed_training_goes_on_after_its_last_whole_epoch(trained: Path, chests: list[IndexLine], tmp_path: Path) -> None:
    index, out = tmp_path / "index.jsonl", tmp_path / "out"
    write_index(chests, index)
    options = ["--size", "n", "--image-px", "96", "--epochs", "4", "--batch", "4", "--device", "cpu", "--workers", "1"]
    command = [sys.executable, "-m", "clala.yolo_train", "--index", str(index), "--out", str(out), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((out / "work").glob("state-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = max(int(state.stem[6:]) for state in (out / "work").glob("state-*.pt"))
    assert 1 <= reached < 4
    config = preset("paper", yolo_size="n", yolo_px=96)
    train_yolo(index, out, config, epochs=4, batch=4, device="cpu", workers=1)
    epochs = [json.loads(text)["epoch"] for text in (out / "work" / "epochs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert epochs[-(4 - reached) :] == list(range(reached + 1, 5))
    assert set(epochs) == {1, 2, 3, 4}
    assert [state.name for state in (out / "work").glob("state-*.pt")] == ["state-4.pt"]
    checkpoint.load_part(out, "detector", config)


ALONE = """
import json, os, socket, sys
from pathlib import Path

asked = []

def refuse(*given, **named):
    asked.append(repr(given))
    raise OSError("no network in this test")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse

from clala.yolo import YOLODetector
assert "ultralytics" not in sys.modules and "cv2" not in sys.modules
from clala.config import preset
from clala.crops import read_image
from clala.data import read_index
from clala.log import TrainingLog
from clala.yolo_train import fit_yolo

lines, work, config = read_index(Path(sys.argv[1])), Path(sys.argv[2]), preset("paper", yolo_size="n", yolo_px=64, yolo_confidence=1e-7)
detector = YOLODetector(config)
detector.find([read_image(lines[0].image)])
left = sorted(str(path) for path in Path.home().rglob("*"))
assert not left, left
fit_yolo(detector, lines, work, epochs=1, batch=4, log=TrainingLog(work / "log.jsonl"), device="cpu", workers=1)
assert detector.find([read_image(lines[0].image)])[0]

from ultralytics.utils import ONLINE, SETTINGS, TESTS_RUNNING
assert not TESTS_RUNNING, "under its own test mode ultralytics sends nothing anyway"
assert not ONLINE and not SETTINGS["sync"]
print(json.dumps(asked))
"""


@pytest.mark.slow
@needs_ultralytics
def test_nothing_asks_the_network_and_nothing_is_left_in_the_users_folders(chests: list[IndexLine], tmp_path: Path) -> None:
    """In a process of its own, because ultralytics behaves otherwise where it sees pytest; with a key that it would stream a training for."""
    home = tmp_path / "home"
    home.mkdir()
    write_index(chests, tmp_path / "index.jsonl")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("YOLO_", "ULTRALYTICS_", "XDG_", "PYTEST_"))}
    environment |= {"HOME": str(home), "ULTRALYTICS_API_KEY": "ul_" + "0" * 40, "OMP_NUM_THREADS": "1"}
    script = [sys.executable, "-c", ALONE, str(tmp_path / "index.jsonl"), str(tmp_path / "work")]
    answer = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "[]\n"  # and ultralytics has said nothing either
    assert answer.stderr == ""
    # matplotlib, which ultralytics imports in training, keeps its list of fonts as it always does.
    assert {path.name for folder in (".config", ".cache") if (home / folder).exists() for path in (home / folder).iterdir()} <= {"matplotlib"}
    assert {path.name for path in home.iterdir()} <= {".config", ".cache"}


@needs_ultralytics
def test_what_is_written_down_in_training_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    """With several GPUs ultralytics pickles the callbacks for the processes that it starts."""
    import pickle

    from clala.yolo_train import Notes

    sent = pickle.loads(pickle.dumps(Notes(tmp_path, images=7).on_model_save))
    assert (sent.__self__.folder, sent.__self__.images) == (tmp_path, 7)


@needs_ultralytics
def test_a_configuration_of_the_paper_makes_a_yolo_of_its_size() -> None:
    """Parameters as ultralytics prints them for its yolov10n with 29 classes; both heads, as in training."""
    from clala.detector import new_detector

    made = new_detector(CLALAConfig(detector="yolov10", yolo_size="n"))
    assert isinstance(made, YOLODetector)
    assert sum(value.numel() for value in made.parameters()) == 2_718_350


def test_an_image_that_cannot_be_read_is_told_as_ever_after_ultralytics_was_imported(tmp_path: Path) -> None:
    """Its import replaces Pillow's ``Image.open`` for the whole process, by one that wants another package for what it cannot read."""
    import_ultralytics()
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"broken\.png: cannot identify image file"):
        read_image(tmp_path / "broken.png")
