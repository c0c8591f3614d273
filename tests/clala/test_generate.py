"""What is written about images: every region, whatever stands beside it."""

from __future__ import annotations

import numpy as np

from clala.checkpoint import Bundle
from clala.generate import write
from clala.regions import PAPER_REGIONS


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width)).astype(np.uint8)


def test_every_region_of_every_image_is_written_about(bundle: Bundle) -> None:
    written = write(bundle, [image(90, 80), image(300, 411)])
    assert [list(one.sentences) for one in written] == [list(PAPER_REGIONS)] * 2
    assert len(written[0].boxes) == 29


def test_two_images_together_are_two_images_alone(bundle: Bundle) -> None:
    images = [image(90, 80), image(120, 77, 1)]
    together, alone = write(bundle, images), [write(bundle, [one])[0] for one in images]
    assert [one.sentences for one in together] == [one.sentences for one in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(list(one.boxes.values()), list(other.boxes.values()), rtol=1e-5)


def test_how_many_crops_are_taken_at_once_changes_nothing(bundle: Bundle) -> None:
    images = [image(90, 80), image(120, 77, 1)]
    assert [one.sentences for one in write(bundle, images, at_once=5)] == [one.sentences for one in write(bundle, images)]


def test_granted_boxes_are_used_and_an_absent_region_has_no_sentence(bundle: Bundle) -> None:
    boxes = {"left lung": (40.0, 10.0, 75.0, 80.0), "right lung": (90.0, 10.0, 120.0, 80.0)}  # the second lies beyond the image
    written = write(bundle, [image(90, 80)], boxes=[boxes])[0]
    assert list(written.sentences) == ["left lung"]
    assert written.boxes == {"left lung": boxes["left lung"]}


def test_an_absent_region_changes_nothing_for_the_others(bundle: Bundle) -> None:
    both = {"left lung": (40.0, 10.0, 75.0, 80.0), "right lung": (5.0, 10.0, 38.0, 80.0)}
    one, other = (write(bundle, [image(90, 80)], boxes=[boxes])[0] for boxes in (both, {"left lung": both["left lung"]}))
    assert one.sentences["left lung"] == other.sentences["left lung"]


def test_labels_that_are_handed_in_take_the_classifiers_place(bundle: Bundle) -> None:
    labels = np.zeros((1, 14), np.float32)
    labels[0, 3] = 1
    written = write(bundle, [image(90, 80)], lesions=labels)[0]
    assert [name for name, present in written.present.items() if present] == ["hernia"]


def test_no_image_gives_nothing(bundle: Bundle) -> None:
    assert write(bundle, []) == []
