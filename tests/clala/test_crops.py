from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clala.crops import UnreadableImage, centre_crop, cut, cut_all, from_unit, pad_to_square, read_image, squared, to_unit, usable_box
from clala.windows import window


def test_a_crop_shows_its_box() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[20:60, 30:50] = 200
    assert (cut(image, (30, 20, 50, 60), 32) == 200).all()


def test_a_margin_adds_what_is_around_and_the_window_takes_it_away_again() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[20:60, 30:50] = 200
    stored = cut(image, (30, 20, 50, 60), 40, margin=0.125)
    assert stored[0, 0] == 0
    seen = window(torch.from_numpy(stored).unsqueeze(0), 32, 0.125)[0, 0]
    assert seen.shape == (32, 32)
    assert float(seen[2:-2, 2:-2].min()) == pytest.approx(200 / 255, abs=0.02)


def test_a_box_at_the_edge_repeats_the_edge() -> None:
    image = np.full((50, 50), 90, np.uint8)
    assert (cut(image, (0, 0, 20, 20), 16, margin=0.2) == 90).all()


def test_jitter_is_the_same_for_the_same_seed_and_stays_in_range() -> None:
    stored = torch.randint(0, 255, (3, 40, 40), dtype=torch.uint8)
    one, same, other = (window(stored, 32, 0.125, jitter=0.1, brightness=0.2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-5.0, 2.0, 20.0, 30.0), (0.0, 2.0, 20.0, 30.0)),
        ((10.0, 10.0, 400.0, 400.0), (10.0, 10.0, 80.0, 60.0)),
        ((10.0, 10.0, 10.0, 30.0), None),
        ((90.0, 10.0, 120.0, 30.0), None),
        ((float("nan"), 0.0, 9.0, 9.0), None),
        (None, None),
    ],
)
def test_faulty_boxes_are_clipped_or_dropped(box: tuple[float, float, float, float] | None, expected: tuple[float, ...] | None) -> None:
    assert usable_box(box, (60, 80)) == expected


@pytest.mark.parametrize("shape", [(60, 80), (80, 60), (3, 500), (64, 64)])
def test_a_padded_square_keeps_the_aspect(shape: tuple[int, int]) -> None:
    square = pad_to_square(np.full(shape, 255, np.uint8), 64)
    assert square.shape == (64, 64)
    assert square.any(axis=1).sum() / square.any(axis=0).sum() == pytest.approx(shape[0] / shape[1], rel=0.2, abs=0.05)


def test_the_centre_crop_by_hand() -> None:
    """Short side 8, of which the middle 7 stay: of 8 x 16, nothing is scaled, half a row and four and a half columns go on each side."""
    image = np.arange(128, dtype=np.uint8).reshape(8, 16)
    np.testing.assert_array_equal(centre_crop(image, 7), image[0:7, 4:11])
    assert (centre_crop(image, 6, short_px=8) == image[1:7, 5:11]).all()
    with pytest.raises(ValueError, match="make short_px at least 9"):
        centre_crop(image, 9, short_px=8)


@pytest.mark.parametrize("shape", [(300, 431), (431, 300), (257, 257), (90, 700)])
@pytest.mark.parametrize(("size_px", "short_px"), [(112, None), (122, 128)])
def test_the_centre_crop_is_pixel_by_pixel_that_of_torchvision(shape: tuple[int, int], size_px: int, short_px: int | None) -> None:
    """BioViL-T's own transform: Resize(512), CenterCrop(448), here at a quarter; and RaDialog's 488."""
    from torchvision.transforms import CenterCrop, Compose, Resize

    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    expected = Compose([Resize(short_px or 128), CenterCrop(size_px)])(Image.fromarray(image))
    np.testing.assert_array_equal(centre_crop(image, size_px, short_px), np.asarray(expected))


def test_the_frame_is_chosen_by_its_name() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 90)).astype(np.uint8)
    assert (squared(image, 32, "pad") == pad_to_square(image, 32)).all()
    assert (squared(image, 32, "centre_crop") == centre_crop(image, 32)).all()


def test_boxes_go_to_the_square_and_back() -> None:
    box = (12.0, 7.0, 33.0, 50.0)
    assert from_unit(to_unit(box, (60, 81)), (60, 81)) == pytest.approx(box)
    assert to_unit((0, 0, 80, 60), (60, 80)) == pytest.approx((0, 0.125, 1, 0.875))


def test_an_unreadable_file_and_a_wrong_mode_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"a\.png"):
        read_image(tmp_path / "a.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(UnreadableImage, match=r"b\.png: pixels of mode I;16; 8-bit grey or colour is needed"):
        read_image(tmp_path / "b.png")


def test_crops_are_cut_once_and_again_only_when_a_box_moved(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8)).save(tmp_path / "a.png")
    reads = []

    def reader(path: Path) -> np.ndarray:
        reads.append(path)
        return read_image(path)

    def build(right: float) -> np.ndarray:
        boxes = [{"left lung": (10.0, 10.0, right, 50.0), "right lung": (70.0, 0.0, 80.0, 9.0)}]
        store = cut_all([tmp_path / "a.png"], boxes, tmp_path / "store", crop_px=16, margin=0.0, whole_px=32, reader=reader, workers=1)
        assert store.rows == [{"left lung": 0}]  # the other box lies beyond the image
        return store.read([0])

    first = build(40.0)
    assert np.array_equal(first, build(40.0))
    assert len(reads) == 1
    assert not np.array_equal(first, build(50.0))
    assert len(reads) == 2
    assert np.array_equal(first, build(40.0))
    assert len(reads) == 2, "both stay: trainings with other boxes share the folder"
    for times, damaged in enumerate(("", "[]", "{}"), start=3):  # as a machine may leave it whose power went
        for note in (tmp_path / "store").glob("*/store.json"):
            note.write_text(damaged)
        assert np.array_equal(first, build(40.0))
        assert len(reads) == times


def test_trainings_of_other_regions_and_sizes_share_a_folder_and_never_their_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8)).save(tmp_path / "a.png")
    regions = {"left lung": (10.0, 10.0, 40.0, 50.0), "trachea": (20.0, 0.0, 40.0, 20.0)}
    kinds = [(1, 16, 0.0, 32), (2, 16, 0.0, 32), (1, 28, 0.0, 32), (1, 16, 0.25, 32), (1, 16, 0.0, 48)]  # regions, crop, margin, whole image

    def build(folder: str, regions_number: int, crop_px: int, margin: float, whole_px: int) -> tuple[list[int], bytes, bytes]:
        boxes = [dict(list(regions.items())[:regions_number])]
        store = cut_all([tmp_path / "a.png"], boxes, tmp_path / folder, crop_px=crop_px, margin=margin, whole_px=whole_px, workers=1)
        return [*store.crops.shape, *store.whole.shape], store.crops.tobytes(), store.whole.tobytes()

    shared = [build("shared", *kind) for kind in kinds]
    assert len({str(shape) for shape, _, _ in shared}) == 5
    assert [build("shared", *kind) for kind in kinds] == shared  # the first are there still
    assert [build(f"own-{number}", *kind) for number, kind in enumerate(kinds)] == shared


def test_several_processes_cut_the_same_crops(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (60, 60)).astype(np.uint8)).save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    boxes = [{"left lung": (10.0, 10.0, 40.0, 50.0)}] * 3
    stores = [cut_all(paths, boxes, tmp_path / f"by{n}", crop_px=16, margin=0.1, whole_px=32, workers=n) for n in (1, 2)]
    assert np.array_equal(stores[0].crops, stores[1].crops)
    assert np.array_equal(stores[0].whole, stores[1].whole)


SLOWLY = """
import sys, time
from pathlib import Path
from clala.crops import cut_all, read_image

where = Path(sys.argv[1])

def reader(path):
    with (where / "reads.txt").open("a") as file:
        file.write(path.name + "\\n")
    time.sleep(0.1)
    return read_image(path)

boxes = [{"left lung": (10.0, 10.0, 40.0, 50.0)}] * 8
paths = [where / f"{number}.png" for number in range(8)]
store = cut_all(paths, boxes, where / "store", crop_px=16, margin=0.1, whole_px=32, reader=reader, workers=1)
print(int(store.crops.sum()), int(store.whole.sum()))
"""
"""cuts eight images, a tenth of a second each, and notes every image that it reads"""


def eight_images(folder: Path) -> str:
    """Writes them; returns what ``SLOWLY`` prints of their crops when nobody disturbs it."""
    for number in range(8):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (60, 60)).astype(np.uint8)).save(folder / f"{number}.png")
    paths, boxes = [folder / f"{number}.png" for number in range(8)], [{"left lung": (10.0, 10.0, 40.0, 50.0)}] * 8
    store = cut_all(paths, boxes, folder / "undisturbed", crop_px=16, margin=0.1, whole_px=32, workers=1)
    return f"{int(store.crops.sum())} {int(store.whole.sum())}"


def cutting(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(folder)], stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def reads(folder: Path) -> list[str]:
    return (folder / "reads.txt").read_text().split() if (folder / "reads.txt").exists() else []


def test_of_two_processes_that_start_together_one_cuts_and_both_read_the_same(tmp_path: Path) -> None:
    wanted = eight_images(tmp_path)
    both = [cutting(tmp_path) for _ in range(2)]
    assert [process.communicate(timeout=240)[0].strip() for process in both] == [wanted, wanted]
    assert sorted(reads(tmp_path)) == [f"{number}.png" for number in range(8)]


def test_after_one_that_was_killed_while_it_cut_the_next_cuts_anew(tmp_path: Path) -> None:
    wanted = eight_images(tmp_path)
    first = cutting(tmp_path)
    deadline = time.monotonic() + 240
    while len(reads(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    second = cutting(tmp_path)
    first.kill()
    first.communicate()
    had = len(reads(tmp_path))
    assert 2 <= had < 8, "it was killed in between"
    assert second.communicate(timeout=240)[0].strip() == wanted
    assert reads(tmp_path)[had:] == [f"{number}.png" for number in range(8)]
