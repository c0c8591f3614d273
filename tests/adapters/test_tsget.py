"""TSGET against its program: the same JPG and the same weights give the same tokens, and log-probabilities within 1e-4.

``fixtures/tsget.json`` is what SKD-HPC/TSGET at 4feeffb answered with a ResNet-101 and two layers, whose random weights follow the rule of
``seeded_weights``. The width is 512, for the program knows no other. What TSGET shares with R2Gen is tested there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from seeded_weights import Sees, listing, published

from adapters.beam_search import Kept
from adapters.chen_text import Manner
from adapters.r2gen.network import Backbone, Sizes
from adapters.r2gen.training import train_family
from adapters.r2gen.weights import Loaded, Manners, WrongWeights, load
from adapters.r2gen.writing import Writer, prepared
from adapters.tsget.model import TSGET
from adapters.tsget.network import Network
from adapters.tsget.weights import TSGET as FAMILY
from benchmark.records import Case, ImageFile, Reference

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = json.loads((FIXTURES / "tsget.json").read_text(encoding="utf-8"))
IMAGES = [FIXTURES / f"chest_{number}.jpg" for number in range(3)]
WORDS = ["<unk>", *(f"w{number:02d}" for number in range(1, 25))]
DATASETS: list[Manner] = ["mimic_cxr", "iu_xray"]
SEARCHES = {"beam_2": 2, "beam_3": 3, "beam_5": 5, "greedy": 1, "greedy_blocked": 1}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The fixture's weights, by way of a file as the program writes it."""
    folder = tmp_path_factory.mktemp("tsget")
    state = published("tsget", width=512)
    assert (len(state), listing(state)) == (GOLDEN["tensors"], GOLDEN["names"])  # the file has the program's names and shapes
    torch.save({"epoch": 7, "state_dict": state, "optimizer": {"state": {}}, "monitor_best": 0.1}, folder / "model.pth")
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return load(FAMILY, folder / "model.pth", vocab=folder / "words.txt")


@pytest.fixture(scope="module")
def seen(golden: Loaded) -> dict[str, Tensor]:
    """Patches of the three images, each alone, or with the next of them."""
    images = torch.stack([prepared(path, 224) for path in IMAGES])
    with torch.inference_mode():
        features = golden.network.reader.see(images[:, None])
        pairs = torch.cat([features, features[[1, 2, 0]]], 1)  # the extractor sees each view by itself
        return {"mimic_cxr": golden.network.reader.encode(features), "iu_xray": golden.network.reader.encode(pairs)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_log_probabilities_are_the_program_s(dataset: Manner, golden: Loaded, seen: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        scores = golden.network(seen[dataset], torch.tensor([GOLDEN["token_rows"]] * 3))
    expected = GOLDEN[dataset]["log_probs"]
    np.testing.assert_allclose(scores[:, -len(expected[0]) :], expected, atol=1e-4)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_tokens_are_the_program_s(dataset: Manner, search: str, golden: Loaded, seen: dict[str, Tensor]) -> None:
    loaded = golden._replace(network=Sees(golden.network, seen[dataset]), manners=Manners(dataset, 1, GOLDEN["sizes"]["steps"]))
    writer = Writer("tsget", loaded, device="cpu", beams=SEARCHES[search], block_trigrams=search != "greedy")
    found = writer.write(torch.zeros(3, 1, 3, 8, 8))
    assert [one.tokens for one in found] == GOLDEN[dataset][search]
    if f"{search}_score" in GOLDEN[dataset]:
        np.testing.assert_allclose([one.score for one in found], GOLDEN[dataset][f"{search}_score"], atol=5e-4)


def test_the_fixture_tells_images_and_searches_apart() -> None:
    found = GOLDEN["mimic_cxr"]
    assert len({tuple(tokens) for tokens in found["beam_3"]}) == 3
    assert len({len(tokens) for tokens in found["beam_3"]}) > 1
    assert found["beam_2"] != found["beam_3"] != found["greedy"] != found["greedy_blocked"]


@pytest.fixture
def exchanged(golden: Loaded) -> Iterator[Any]:
    """The network with what the first layer saw and the whole image gated by each other's weights: shapes alone would let it pass."""
    layer = golden.network.layers[0]
    layer.near, layer.whole = layer.whole, layer.near
    yield golden.network
    layer.near, layer.whole = layer.whole, layer.near


def test_gates_in_each_other_s_place_are_found_out(exchanged: Any, seen: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        scores = exchanged(seen["mimic_cxr"], torch.tensor([GOLDEN["token_rows"]] * 3))
    assert float((scores - torch.tensor(GOLDEN["mimic_cxr"]["log_probs"])).abs().max()) > 1e-2


def test_a_token_at_a_time_is_all_at_once() -> None:
    torch.manual_seed(0)
    network = Network(Sizes(words=26, width=32, inner=48, layers=2, backbone=Backbone("basic", (1, 1, 1, 1), (8, 8, 16, 16)))).eval()
    with torch.inference_mode():
        patches = network.read(torch.randn(2, 2, 3, 64, 64))
        tokens = torch.randint(1, 26, (2, 5))
        tokens[:, 0] = 0
        whole, written, kept = network(patches, tokens), network.begin(patches), None
        for place in range(5):
            step = network.step(written, tokens[:, place : place + 1], kept)
            torch.testing.assert_close(step[:, 0], whole[:, place], atol=1e-5, rtol=0)
            kept = Kept(torch.arange(2), torch.arange(2))


def test_backbone_and_sizes_are_read_from_the_file_and_an_r2gen_is_refused(tmp_path: Path) -> None:
    small: dict[str, Any] = {"width": 64, "layers": 3, "repeats": (1, 2, 1, 1), "channels": (8, 8, 16, 8)}
    (tmp_path / "words.txt").write_text("\n".join(WORDS), encoding="utf-8")
    torch.save({"state_dict": published("tsget", **small)}, tmp_path / "model.pth")
    sizes = load(FAMILY, tmp_path / "model.pth", vocab=tmp_path / "words.txt").network.sizes
    assert sizes == Sizes(words=26, width=64, inner=48, layers=3, backbone=Backbone("bottleneck", (1, 2, 1, 1), (8, 8, 16, 8)))
    torch.save({"state_dict": published("r2gen", **small)}, tmp_path / "model.pth")
    with pytest.raises(WrongWeights, match=r"of TSGET of this size .* are missing .* have no place .* no weights of TSGET are published"):
        load(FAMILY, tmp_path / "model.pth", vocab=tmp_path / "words.txt")


def test_weights_with_another_extractor_are_refused_by_its_name(tmp_path: Path) -> None:
    tensors = published("tsget", width=32, repeats=(1,) * 4, channels=(8,) * 4)
    state = {name.replace("visual_extractor.model", "visual_extractor.CNN"): value for name, value in tensors.items()}
    torch.save({"state_dict": state}, tmp_path / "swin.pth")
    with pytest.raises(WrongWeights, match=r"has no ResNet of four stages as its visual extractor.* and not with Swin or CRATE"):
        load(FAMILY, tmp_path / "swin.pth")


class Two:
    """A dataset of two images, each with a report of its own."""

    name = "two"

    def cases(self, split: str) -> list[Case]:
        return [Case(path.stem, "p", path.stem, (ImageFile(path),)) for path in IMAGES[:2]] if split == "train" else []

    def references(self, split: str) -> list[Reference]:
        texts = ("The lungs are clear.", "Large left effusion.")
        return [Reference(path.stem, text) for path, text in zip(IMAGES, texts, strict=False)] if split == "train" else []


def test_a_training_leaves_a_folder_that_is_a_model(tmp_path: Path) -> None:
    sizes = Sizes(
        words=0, width=32, inner=48, heads=4, layers=1, places=40, image_size_px=32,
        backbone=Backbone("basic", (1, 1, 1, 1), (8, 8, 16, 16), stride_px=16),
    )  # fmt: skip
    folder = train_family(
        FAMILY, {"demo": sizes}, Two(), out=tmp_path, preset="demo", seed=1, threshold=1, max_length=20,
        device="cpu", epochs=2, batch_size=2, learning_rate=3e-3,
    )  # fmt: skip
    losses = [json.loads(line)["loss_train"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert losses[1] < losses[0]
    model = TSGET(str(folder), device="cpu")
    assert [report.failure for report in model.generate(Two().cases("train"))] == ["", ""]
    assert model.card().weights == "trained here"
    assert model.provenance()["words"] == len((folder / "vocab.txt").read_text().split())


def test_doctor_is_told_that_no_weights_are_published() -> None:
    said = " ".join(what for _, what in TSGET.needs())
    assert "none are published (nor is a licence stated)" in said
    assert "--set tsget.vocab=PATH" in said
