"""Boxes: the fault rule of Chest ImaGenome, and downscaled copies."""

from __future__ import annotations

import math

import pytest

from benchmark.datasets.boxes import clip_box, fault_of, mend_boxes, scale_box


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((10, 10, 50, 50), ""),
        ((-5, -5, 50, 50), ""),  # reaches over the border: clipped, not dropped
        ((10, 10, 10, 50), "no area"),
        ((10, 50, 50, 50), "no area"),
        ((50, 10, 10, 50), "no area"),  # corners swapped
        ((-20, 10, 0, 50), "outside the image"),
        ((10, -20, 50, 0), "outside the image"),
        ((100, 10, 120, 50), "outside the image"),
        ((10, 80, 50, 90), "outside the image"),
        ((math.nan, 10, 50, 50), "not a number"),
        ((10, 10, math.inf, 50), "not a number"),
    ],
)
def test_a_box_is_faulty_by_the_stated_rule(box, fault):
    assert fault_of(box, (100, 80)) == fault


def test_a_box_over_the_border_is_cut_at_the_border():
    assert clip_box((-5, 10, 130, 95), (100, 80)) == (0, 10, 100, 80)


def test_a_box_moves_with_a_downscaled_copy():
    assert scale_box((395, 532, 1255, 1268), (2500, 3056), (250, 1528)) == (39.5, 266.0, 125.5, 634.0)


def test_dropped_and_clipped_boxes_are_named_with_their_reason():
    mended = mend_boxes({"spine": (10, 10, 50, 50), "svc": (5, 5, 5, 9), "abdomen": (0, 60, 100, 120)}, (100, 80))
    assert mended.boxes == {"spine": (10, 10, 50, 50), "abdomen": (0, 60, 100, 80)}
    assert mended.dropped == {"svc": "no area: 5, 5, 5, 9 on 100 x 80"}
    assert mended.clipped == ("abdomen",)


def test_the_rule_is_applied_after_scaling():
    """The file's coordinates belong to the full-resolution image, the border to the copy that is on disk."""
    mended = mend_boxes({"spine": (100, 100, 190, 150)}, (100, 80), drawn_on_px=(200, 160))
    assert mended.boxes == {"spine": (50, 50, 95, 75)}
    assert not mended.clipped


def test_a_region_that_comes_twice_keeps_its_first_usable_box():
    mended = mend_boxes([("svc", (5, 5, 5, 9)), ("svc", (1, 1, 4, 4)), ("svc", (2, 2, 4, 4))], (100, 80))
    assert mended.boxes == {"svc": (1, 1, 4, 4)}
    assert mended.dropped == {}


def test_no_boxes_are_no_boxes():
    assert mend_boxes({}, (100, 80)).boxes == {}
