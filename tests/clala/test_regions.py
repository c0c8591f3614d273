from __future__ import annotations

import pytest

from benchmark import vocabulary
from clala import regions
from clala.regions import roi_lesions, side_of


def test_the_model_and_the_benchmark_speak_of_the_same_lesions_and_regions() -> None:
    assert regions.LESIONS == vocabulary.LESIONS
    assert regions.REGIONS == vocabulary.REGIONS
    assert regions.PAPER_REGIONS == vocabulary.PAPER_REGIONS


def test_every_lesion_has_its_place() -> None:
    assert set(regions.COMPAT) == set(regions.LESIONS)
    kinds = {regions.kind_of(region) for region in regions.REGIONS}
    assert all(places <= kinds for places in regions.COMPAT.values())


@pytest.mark.parametrize(
    ("region", "side"), [("left lung", "left"), ("right hilar structures", "right"), ("mediastinum", "mid"), ("cardiac silhouette", "mid")]
)
def test_a_regions_side_is_in_its_name(region: str, side: str) -> None:
    assert side_of(region) == side


@pytest.mark.parametrize(
    ("region", "positives", "carried"),
    [
        ("left lung", {"pleural effusion": "left"}, ("pleural effusion",)),
        ("right lung", {"pleural effusion": "left"}, ()),
        ("right costophrenic angle", {"pleural effusion": "bilateral"}, ("pleural effusion",)),
        ("left lung", {"pleural effusion": "not mentioned"}, ("pleural effusion",)),
        ("cardiac silhouette", {"cardiomegaly": "not mentioned", "pleural effusion": "not mentioned"}, ("cardiomegaly",)),
        ("mediastinum", {"mass": "left"}, ("mass",)),
        ("left hilar structures", {"pneumothorax": "left"}, ()),
        ("left lung", {"edema": "bilateral", "nodule": "left"}, ("nodule", "edema")),
    ],
)
def test_a_region_carries_what_agrees_in_side_and_can_be_there(region: str, positives: dict[str, str], carried: tuple[str, ...]) -> None:
    assert roi_lesions(region, positives) == carried


def test_without_the_table_the_side_alone_decides() -> None:
    assert roi_lesions("left hilar structures", {"pneumothorax": "left"}, "side_only") == ("pneumothorax",)
    assert roi_lesions("mediastinum", {"pneumothorax": "left"}, "side_only") == ()
