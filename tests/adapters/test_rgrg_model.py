"""RGRG as a model of the benchmark: trained at the smallest size, asked for reports, given what it cannot read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")
pytest.importorskip("transformers")

from adapters.rgrg.model import DEMO_WEIGHTS, NO_SENTENCE, RGRG  # noqa: E402
from adapters.rgrg.network import Network  # noqa: E402
from adapters.rgrg.sizes import Sizes  # noqa: E402
from adapters.rgrg.training import NO_WORD, RegionLearner, train, train_sizes  # noqa: E402
from adapters.rgrg.weights import WrongWeights, load  # noqa: E402
from adapters.rgrg.words import Words, WrongWords  # noqa: E402
from benchmark.records import BoxXYXY, Case, ImageFile, Reference, Report, UserError  # noqa: E402
from benchmark.vocabulary import REGIONS  # noqa: E402

TINY = Sizes(
    image_px=64,
    depths=(1, 1, 1, 1),
    channels=(4, 6, 8, 10),
    is_bottleneck=False,
    stride=8,
    anchor_px=(8, 20, 40),
    anchor_ratios=(0.5, 1.0, 2.0),
    proposals=40,
    box_samples=32,
    bins=2,
    box_width=16,
    region_width=16,
    classifier_widths=(8, 8),
    words=300,
    end=299,
    width=16,
    layers=1,
    heads=2,
    places=40,
)
BOXES: dict[str, BoxXYXY] = {"right lung": (5.0, 10.0, 38.0, 80.0), "left lung": (42.0, 10.0, 76.0, 80.0), "spine": (36.0, 0.0, 44.0, 90.0)}


class Phantoms:
    """Six images of three patients; every second one has an effusion on the left."""

    name = "phantom"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(6):
            image = np.random.default_rng(number).integers(90, 160, (90, 80)).astype(np.uint8)
            for left, top, right, bottom in ((5, 10, 38, 80), (42, 10, 76, 60 if number % 2 else 80)):
                image[top:bottom, left:right] //= 4
            Image.fromarray(image).save(folder / f"{number}.png")

    def numbers(self, split: str) -> range:
        return {"train": range(4), "validate": range(4, 6)}[split]

    def cases(self, split: str) -> list[Case]:
        return [self.case(number) for number in self.numbers(split)]

    def case(self, number: int, **more: Any) -> Case:
        return Case(f"c{number}", f"p{number // 2}", f"s{number}", (ImageFile(self.folder / f"{number}.png", "AP"),), **more)

    def references(self, split: str) -> list[Reference]:
        return [self.reference(number) for number in self.numbers(split)]

    def reference(self, number: int) -> Reference:
        left = "There is a left pleural effusion." if number % 2 else "The lungs are clear."
        return Reference(f"c{number}", left, {"right lung": "The lungs are clear.", "left lung": left}, BOXES)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Phantoms:
    return Phantoms(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def folder(phantoms: Phantoms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = "python -m benchmark train rgrg --dataset phantom"
    return train_sizes(phantoms, TINY, out=tmp_path_factory.mktemp("weights"), epochs=1, batch=2, device="cpu", command=command)


@pytest.fixture(scope="module")
def model(folder: Path) -> RGRG:
    return RGRG(str(folder), device="cpu", dedup="exact", max_tokens=12)


def test_a_training_leaves_a_folder_that_says_what_it_is(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    assert about["sizes"]["image_px"] == 64
    assert about["sizes"]["words"] == about["sizes"]["end"] + 1 < 300
    assert 0 <= about["summary"]["box_overlap_validate"] <= 1
    assert {"regions_validate", "selection_validate", "abnormality_validate", "words_validate"} <= about["summary"].keys()


def test_the_weights_of_a_folder_are_those_that_were_trained(folder: Path, tmp_path: Path) -> None:
    """Stored in 16 bits, read as 32; stored again they are the same."""
    network = load(folder).network
    from adapters.rgrg.weights import save

    save(network, tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()
    assert network.detector.box_head.fc6.weight.dtype == torch.float32


def test_what_cannot_be_learnt_from_is_refused(phantoms: Phantoms, tmp_path: Path) -> None:
    class Mute(Phantoms):
        def reference(self, number: int) -> Reference:
            return Reference(f"c{number}", "The lungs are clear.", {}, BOXES)

    with pytest.raises(UserError, match="no preset 'large'; known: demo"):
        train(phantoms, out=tmp_path, preset="large")
    with pytest.raises(UserError, match="no training image with boxes and sentences of regions"):
        train(Mute(tmp_path), out=tmp_path)


def test_a_batch_holds_what_is_to_be_learnt(phantoms: Phantoms, folder: Path) -> None:
    network = Network(TINY)
    words = Words.of_folder(folder, load(folder).network.sizes.words)
    batch = RegionLearner(network, words).batch(phantoms.cases("train")[:2], phantoms.references("train")[:2])
    assert batch["labels"][1].tolist() == [REGIONS.index(name) + 1 for name in REGIONS if name in BOXES]
    assert batch["said"][1].tolist() == [True, True, False]
    assert batch["abnormal"][0].tolist() == [False, False, False]
    assert batch["abnormal"][1].tolist() == [False, True, False]
    sentence = [token for token in batch["tokens"][1][1].tolist() if token != NO_WORD]
    assert sentence[0] == sentence[-1] == TINY.end
    assert words.text(sentence[1:-1]) == "There is a left pleural effusion."
    # 90 pixels of height become 64, and the 57 of width stand in the middle.
    assert batch["boxes"][1][0].tolist() == pytest.approx([5 * 57 / 80 + 3, 10 * 64 / 90, 38 * 57 / 80 + 3, 80 * 64 / 90], abs=1e-4)


def test_all_parts_of_the_network_learn(phantoms: Phantoms, folder: Path) -> None:
    torch.manual_seed(0)
    network = Network(load(folder).network.sizes).train()
    learner = RegionLearner(network, Words.of_folder(folder, network.sizes.words))
    batch = learner.batch(phantoms.cases("train"), phantoms.references("train"))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    first: dict[str, float] = {}
    for _ in range(25):
        losses = learner.losses(batch)
        first = first or {name: float(value.detach()) for name, value in losses.items()}
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert losses.keys() == {"objectness", "proposals", "regions", "boxes", "selection", "abnormality", "words"}
    for name in ("regions", "selection", "abnormality", "words"):
        assert float(losses[name].detach()) < 0.8 * first[name], name


def answers(model: RGRG, cases: list[Case]) -> list[Report]:
    return list(model.generate(cases))


def test_reports_come_in_order_and_a_batch_says_what_single_images_say(model: RGRG, phantoms: Phantoms) -> None:
    cases = phantoms.cases("train")
    together = answers(model, cases)
    assert [report.case_id for report in together] == [case.id for case in cases]
    for case, report in zip(cases, together, strict=True):
        assert answers(model, [case]) == [report]


def test_granted_boxes_are_taken_as_they_are(folder: Path, phantoms: Phantoms) -> None:
    model = RGRG(str(folder), device="cpu", dedup="off", boxes="truth", max_tokens=12)
    report, refused = answers(model, [phantoms.case(1, boxes={**BOXES, "no region": (0, 0, 1, 1)}), phantoms.case(2)])
    assert list(report.regions) == [name for name in REGIONS if name in BOXES]
    assert {name: tuple(box) for name, box in report.details["boxes"].items()} == BOXES
    assert report.details["missing_regions"] == [name for name in REGIONS if name not in BOXES]
    assert refused.failure == "boxes=truth was asked for, but this case grants no boxes"
    assert model.card().inputs == ("frontal image", "boxes")


def test_where_nothing_is_chosen_the_report_is_empty_and_says_why(folder: Path, phantoms: Phantoms) -> None:
    model = RGRG(str(folder), device="cpu", dedup="exact")
    model.network.selection[-1].weight.data.zero_()
    model.network.selection[-1].bias.data.fill_(-2.0)  # below the threshold of -1, whatever the image
    (report,) = answers(model, [phantoms.case(0)])
    assert (report.text, report.failure, dict(report.regions)) == ("", "", {})
    assert report.details["empty"] == NO_SENTENCE


@pytest.mark.parametrize("proposals", [0, 1])
def test_an_image_without_proposals_or_with_one_is_answered(proposals: int, folder: Path) -> None:
    """The authors' code stops at both: ``squeeze`` takes away the axis of one, and nothing has no highest score."""
    detector = load(folder).network.detector
    map_ = torch.randn(TINY.map_channels, 8, 8)
    found = detector._best(map_, torch.tensor([[3.0, 3.0, 40.0, 50.0]])[:proposals], 64)
    assert int(found.is_found.sum()) == proposals
    assert found.features.shape == (29, 16)


def test_images_that_are_odd_or_not_there_are_answered_or_named(model: RGRG, phantoms: Phantoms, tmp_path: Path) -> None:
    Image.fromarray(np.full((1, 1), 90, np.uint8)).save(tmp_path / "dot.png")
    Image.fromarray(np.full((3, 900), 90, np.uint8)).save(tmp_path / "line.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "line.png").read_bytes()[:40])
    cases = [Case(name, "p", "s", (ImageFile(tmp_path / f"{name}.png"),)) for name in ("dot", "line", "half", "none")]
    dot, line, half, none, without, good = answers(model, [*cases, Case("without", "p", "s", ()), phantoms.case(0)])
    assert not dot.failure
    assert not line.failure
    assert "truncated or damaged" in half.failure
    assert "no such file" in none.failure
    assert without.failure == "the case has no image"
    assert good == answers(model, [phantoms.case(0)])[0]


def test_more_beams_than_words_are_refused_before_the_first_case(folder: Path) -> None:
    with pytest.raises(UserError, match=r"beams is 90000; its search needs 180,000 words, and these weights have [\d,]+: take less"):
        RGRG(str(folder), device="cpu", beams=90000)


def test_settings_that_cannot_be_are_refused(folder: Path) -> None:
    for settings, said in (
        ({"beams": 0}, "beams is 0, batch_size 4, max_tokens 300"),
        ({"boxes": "some"}, "boxes is 'some'; it must be predicted or truth"),
        ({"dedup": "some"}, "dedup is 'some'; it must be auto, bertscore, exact or off"),
        ({"dedup": "bertscore", "dedup_model": "nowhere/no-such-bert"}, "rgrg.dedup_model=nowhere/no-such-bert"),
    ):
        with pytest.raises(UserError, match=said):
            RGRG(str(folder), device="cpu", **settings)


def test_a_folder_that_is_not_whole_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongWeights, match=r"holds no weights\.safetensors"):
        RGRG(str(tmp_path))
    part = tmp_path / "part"
    shutil.copytree(folder, part, ignore=shutil.ignore_patterns("work"))
    (part / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:1000])
    with pytest.raises(WrongWeights, match=r"weights\.safetensors: cannot be read"):
        RGRG(str(part))
    (part / "about.json").write_text('{"sizes": {"layers": 2, "colour": "red"}}')
    with pytest.raises(WrongWeights, match="does not say the sizes of an RGRG"):
        RGRG(str(part))


def test_word_pieces_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    Words.learn(["Lungs are clear."], 40).save(tmp_path)
    with pytest.raises(WrongWords, match="take those that it was trained with"):
        Words.of_folder(tmp_path, 300)


def test_words_come_back_and_are_cleaned_up(tmp_path: Path) -> None:
    words = Words.learn(["There is a 5 mm nodule, which wasn't seen before ."] * 3, 200)
    assert (
        words.text([*words.tokens("There is a 5 mm nodule , which was n't seen ."), len(words) - 1]) == "There is a 5 mm nodule, which wasn't seen."
    )


def test_what_decides_the_reports_is_on_record(model: RGRG) -> None:
    record = model.provenance()
    assert len(record["weights_sha256"]) == 64
    assert (record["beams"], record["dedup"], record["boxes"]) == (4, "exact", "predicted")
    card = model.card()
    assert (card.target, card.decoding) == ("sentences of regions", "beam search, 4 beams, at most 12 tokens a sentence")
    assert "phantom, train split" in card.training
    assert card.leak("phantom", "test") == ""
    assert any("leave out alike ones too" in remark for remark in card.remarks)


def test_doctor_is_told_what_is_needed() -> None:
    rows = RGRG.needs()
    assert any("published weights (MIT, 4.2 GB" in text for _, text in rows)
    assert any("vocab.json, merges.txt" in text for _, text in rows)


def test_the_demo_has_learnt_to_find_regions_and_is_small() -> None:
    if not (DEMO_WEIGHTS / "weights.safetensors").is_file():
        pytest.skip("the demo weights are not here: python -m benchmark train rgrg --out adapters/rgrg/weights/demo")
    about = json.loads((DEMO_WEIGHTS / "about.json").read_text())
    assert about["summary"]["box_overlap_validate"] > 0.5
    assert (DEMO_WEIGHTS / "weights.safetensors").stat().st_size < 4.5 * 2**20
