"""What phantoms have and how it looks: prevalence, company, sides, and that every lesion can be seen where its box says."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from benchmark.datasets.phantom import anatomy, lesions
from benchmark.datasets.phantom.devices import Device
from benchmark.datasets.phantom.draw import radiograph
from benchmark.vocabulary import LESIONS


@pytest.fixture(scope="module")
def population():
    rng = np.random.default_rng(0)
    return [lesions.sample(rng) for _ in range(4000)]


def shares(population) -> dict[str, float]:
    count = Counter(finding.name for findings in population for finding in findings)
    return {name: count[name] / len(population) for name in LESIONS}


def test_common_lesions_are_common_and_rare_ones_rare(population):
    share = shares(population)
    for name in ("pleural effusion", "atelectasis", "cardiomegaly", "edema"):
        assert 0.13 < share[name] < 0.30, name
    for name in ("pneumothorax", "nodule", "mass", "emphysema", "fibrosis", "pleural thickening", "consolidation", "pneumonia", "infiltration"):
        assert 0.04 < share[name] < 0.12, name
    assert 0.02 < share["hernia"] < 0.045
    assert 0.25 < sum(not findings for findings in population) / len(population) < 0.36


@pytest.mark.parametrize(
    ("one", "other"), [("edema", "cardiomegaly"), ("edema", "pleural effusion"), ("pneumothorax", "atelectasis"), ("fibrosis", "pleural thickening")]
)
def test_lesions_keep_company_as_in_hospitals(population, one, other):
    names = [{finding.name for finding in findings} for findings in population]
    together = sum({one, other} <= n for n in names) / sum(one in n for n in names)
    assert together > 1.8 * shares(population)[other]


def test_lesions_without_a_side_have_none_and_others_have_one(population):
    for finding in (f for findings in population for f in findings):
        if finding.name in lesions.DIFFUSE:
            assert finding.side == "not mentioned"
        else:
            assert {site.side for site in finding.sites} == ({"left", "right"} if finding.side == "bilateral" else {finding.side})
        for site in finding.sites:
            assert finding.name != "nodule" or 2 * site.size_cm < 3.0
            assert finding.name != "mass" or 2 * site.size_cm > 3.0


def test_follow_ups_say_what_became_of_every_finding():
    rng = np.random.default_rng(1)
    fates = Counter()
    for _ in range(1500):
        before = lesions.sample(rng)
        after = lesions.sample(rng, previous=before, first=False)
        old = {f.name: f for f in before}
        for finding in after:
            fates[finding.change] += 1
            assert (finding.change == "new") == (finding.name not in old)
            if finding.change == "increased":
                assert finding.severity > old[finding.name].severity
            if finding.change == "unchanged":
                assert replace(finding, change="") == replace(old[finding.name], change="")
        fates["resolved"] += len(set(old) - {f.name for f in after})
    assert set(fates) == {"new", "unchanged", "increased", "decreased", "resolved"}
    assert min(fates.values()) > 20


def chest(seed: int, findings=(), view: str = "PA"):
    """An image of the same patient in the same pose with and without findings."""
    rng = np.random.default_rng(seed)
    patient = replace(anatomy.sample_patient(rng), breast=0.0, wall=2.0)
    pose = replace(anatomy.sample_pose(rng, patient, view, 256), width_px=256, height_px=256, noise=0.0, angle=0.01)
    body = anatomy.build(patient, pose, lesions.changes(findings, np.random.default_rng(3)))
    pixels, boxes = radiograph(body, findings, [], np.random.default_rng(9))
    return body, pixels.astype(float), boxes


def a_finding(name: str, seed: int, side: str, severity: int) -> lesions.Finding:
    rng = np.random.default_rng([seed, 77])
    sides = ("left", "right") if name in lesions.DIFFUSE else (side,)
    sites = () if name == "cardiomegaly" else lesions._sites(rng, name, severity, sides)
    return lesions.Finding(name, severity, "not mentioned" if name in lesions.DIFFUSE else side, sites)


@pytest.mark.parametrize("severity", [1, 3])
@pytest.mark.parametrize("name", LESIONS)
def test_every_lesion_changes_the_image_where_its_box_says(name, severity):
    inside, outside = [], []
    for seed, side in ((1, "left"), (2, "right"), (3, "left")):
        finding = a_finding(name, seed, side, severity)
        _, plain, _ = chest(seed)
        _, ill, boxes = chest(seed, [finding])
        assert boxes[name], "it was drawn"
        here = np.zeros(plain.shape, bool)
        for x1, y1, x2, y2 in boxes[name]:
            here[y1:y2, x1:x2] = True
        change = np.abs(ill - plain)
        inside.append(change[here].mean())
        outside.append(change[~here].mean())
    assert np.mean(inside) > 3.0, "a difference of three grey levels on average is visible over an area"
    assert np.mean(inside) > 1.5 * np.mean(outside)


@pytest.mark.parametrize(
    "name", ["nodule", "mass", "pneumothorax", "pleural effusion", "consolidation", "pneumonia", "infiltration", "pleural thickening"]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_patients_left_is_drawn_on_the_right_of_the_image(name, side):
    for seed in range(4):
        body, _, boxes = chest(seed, [a_finding(name, seed, side, 2)])
        spine = body.to_px([(body.midline, 0.0)])[0][0]
        for x1, _, x2, _ in boxes[name]:
            assert ((x1 + x2) / 2 > spine) == (side == "left")


def test_an_enlarged_heart_is_wider_than_half_of_the_chest_and_a_healthy_one_is_not():
    for seed in range(6):
        for severity in (0, 1, 2, 3):
            body, _, _ = chest(seed, [a_finding("cardiomegaly", seed, "left", severity)] if severity else [])
            boxes = anatomy.boxes(body)
            heart = boxes["cardiac silhouette"][2] - boxes["cardiac silhouette"][0]
            ratio = heart / (boxes["left lung"][2] - boxes["right lung"][0])
            assert (ratio > 0.5) == (severity > 0), (seed, severity, ratio)


def test_emphysema_darkens_the_lungs_and_effusion_whitens_the_angle():
    for seed in range(4):
        body, plain, _ = chest(seed)
        x1, y1, x2, y2 = anatomy.boxes(body)["right upper lung zone"]
        middle = np.s_[(y1 + y2) // 2 : y2, (2 * x1 + x2) // 3 : (x1 + 2 * x2) // 3]
        _, ill, _ = chest(seed, [a_finding("emphysema", seed, "left", 3)])
        assert ill[middle].mean() < plain[middle].mean()
        x1, y1, x2, y2 = anatomy.boxes(body)["left costophrenic angle"]
        _, ill, _ = chest(seed, [a_finding("pleural effusion", seed, "left", 2)])
        assert ill[y1:y2, x1:x2].mean() > plain[y1:y2, x1:x2].mean() + 10


def test_the_rim_of_a_pneumothorax_is_darker_than_the_lung_was():
    for seed in range(4):
        _, plain, _ = chest(seed)
        _, ill, boxes = chest(seed, [a_finding("pneumothorax", seed, "left", 2)])
        _, y1, x2, _ = boxes["pneumothorax"][0]
        rim = np.s_[y1 + 12 : y1 + 26, x2 - 26 : x2 - 14]
        assert ill[rim].mean() < plain[rim].mean()


def test_boxes_follow_the_anatomy():
    for seed in range(8):
        body, _, _ = chest(seed)
        boxes = anatomy.boxes(body)
        assert len(boxes) == 36
        for side in ("left", "right"):
            lung = boxes[f"{side} lung"]
            for zone in ("apical zone", "upper lung zone", "mid lung zone", "lower lung zone"):
                x1, y1, x2, y2 = boxes[f"{side} {zone}"]
                assert lung[0] - 12 <= x1 < x2 <= lung[2] + 12
                assert lung[1] - 3 <= y1 < y2 <= lung[3] + 8
            assert abs(boxes[f"{side} upper lung zone"][3] - boxes[f"{side} mid lung zone"][1]) <= 1
        assert boxes["left lung"][0] > boxes["right lung"][0]
        assert boxes["carina"][1] < boxes["cardiac silhouette"][3]


def test_devices_are_distractors_that_can_be_seen_and_change_no_lesion():
    body, plain, _ = chest(5)
    kinds = ("endotracheal tube", "central line", "picc", "pacemaker", "ecg leads", "sternal wires", "nasogastric tube", "chest tube")
    for kind in kinds:
        pixels, boxes = radiograph(body, [], [Device(kind, "left", 3.0 if kind == "endotracheal tube" else 0.5)], np.random.default_rng(9))
        assert (pixels.astype(float) - plain).max() > 25, kind
        assert boxes == {}
