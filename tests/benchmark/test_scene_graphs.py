"""One scene graph: boxes, phrases and silver labels, from files in order and out of order."""

from __future__ import annotations

import json
import math

import pytest

from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.phantom.write import generate
from benchmark.datasets.scene_graphs import SILVER_LESIONS, UnreadableSceneGraph, parse
from benchmark.vocabulary import LESIONS, REGIONS


def graph(objects=(), attributes=()):
    return json.dumps({"objects": list(objects), "attributes": list(attributes)}).encode()


def thing(name, *box):
    return {"bbox_name": name, **dict(zip(("original_x1", "original_y1", "original_x2", "original_y2"), box, strict=False))}


def test_boxes_come_as_the_file_has_them():
    found = parse(graph([thing("spine", 1, 2, 3, 4), thing("spine", 5, 6, 7, 8), thing("svc", 1.5, "2", -3, 4)])).boxes_xyxy
    assert found == (("spine", (1, 2, 3, 4)), ("spine", (5, 6, 7, 8)), ("svc", (1.5, 2, -3, 4)))


def test_a_missing_coordinate_is_not_a_number_so_that_it_is_counted():
    ((_, box),) = parse(graph([thing("spine", 1, 2, 3)])).boxes_xyxy
    assert box[:3] == (1, 2, 3)
    assert math.isnan(box[3])


def test_phrases_of_a_region_that_comes_twice_are_all_kept():
    attributes = [{"bbox_name": "spine", "phrases": ["a"]}, {"bbox_name": "svc", "phrases": []}, {"bbox_name": "spine", "phrases": ["b", None]}]
    assert parse(graph(attributes=attributes)).phrases == {"spine": ("a", "b")}


def test_only_affirmed_labels_are_lesions():
    labels = [["disease|yes|copd/emphysema", "anatomicalfinding|no|pneumothorax"], ["anatomicalfinding|yes|mass/nodule (not otherwise specified)"]]
    found = parse(graph(attributes=[{"bbox_name": "left lung", "attributes": labels, "phrases": ["a", "b"]}]))
    assert found.lesions == {"emphysema", "mass", "nodule"}


def test_labels_that_are_no_labels_are_stepped_over():
    labels = [["disease|yes|copd/emphysema"], "broken", None, ["anatomicalfinding", 5]]
    assert parse(graph(attributes=[{"bbox_name": "spine", "attributes": labels}])).lesions == {"emphysema"}


@pytest.mark.parametrize(("said", "expected"), [('"a-b"', "a-b"), ('"a-b.dcm"', "a-b"), ("null", ""), ('""', "")])
def test_a_graph_says_of_which_image_it_is(said, expected):
    assert parse(f'{{"objects": [], "image_id": {said}}}'.encode()).dicom == expected
    assert parse(graph()).dicom == ""


def test_every_lesion_of_the_paper_has_a_silver_label():
    assert set(SILVER_LESIONS) == set(LESIONS)


def test_a_latin_1_file_is_read():
    content = json.dumps({"objects": [], "attributes": [{"bbox_name": "spine", "phrases": ["Größe"]}]}, ensure_ascii=False)
    assert parse(content.encode("latin-1")).phrases == {"spine": ("Größe",)}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "an empty file"), (b"{", "no JSON"), (b"[]", "without the list of objects"), (b'{"objects": 3}', "without the list of objects")],
)
def test_what_is_no_scene_graph_says_what_it_is(content, words):
    with pytest.raises(UnreadableSceneGraph, match=words):
        parse(content)


def test_phantoms_are_read_with_every_fault_that_was_drawn_in(tmp_path, monkeypatch):
    """The generator's promise and the reader's rules meet: exactly the usable images come out, and each fault is counted."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    generate(tmp_path / "phantoms", train=40, validate=10, test=20, fast=True, progress=False, workers=1)
    dataset = ChestImaGenome(str(tmp_path / "phantoms"))
    assert [len(dataset.cases(split)) for split in ("train", "validate", "test")] == [40, 10, 20]
    kinds = {problem.kind for problem in dataset.problems()}
    assert {"no findings", "missing scene graph", "image to avoid", "no valid box"} <= kinds
    truth = {row["dicom_id"]: row for row in map(json.loads, (tmp_path / "phantoms/truth.jsonl").read_text().splitlines())}
    for case, reference in zip(dataset.cases("test"), dataset.references("test"), strict=True):
        assert truth[case.id]["split"] == "test"
        assert reference.report
        assert list(reference.boxes) == [region for region in REGIONS if region in reference.boxes]
        assert any(reference.region_sentences.values())
