"""RGRG: the same boxes, choices, words and reports as the authors' code, from the same image files; and what it says to files that are not its own.

``fixtures/rgrg/official.json`` was recorded by their code (ttanida/rgrg at 9520b6d, under torch 2.15, transformers 4.35.2, OpenCV 4.5.5) with
the weights of ``rgrg_weights``, its sizes made small in a copy of its source: four blocks, two layers of 64 numbers, 300 word pieces.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rgrg_weights import weight_of

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")
pytest.importorskip("transformers")

from adapters.rgrg import report as reports  # noqa: E402
from adapters.rgrg import weights  # noqa: E402
from adapters.rgrg.image import fit_of, normalised, resize_area, square  # noqa: E402
from adapters.rgrg.language import Language, TokensAsPlaces  # noqa: E402
from adapters.rgrg.network import Network  # noqa: E402
from adapters.rgrg.pooling import pool_and_project, pool_mean  # noqa: E402
from adapters.rgrg.weights import WrongWeights  # noqa: E402
from adapters.rgrg.writing import write  # noqa: E402
from benchmark.datasets.images import read_radiograph  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures" / "rgrg"
OFFICIAL = json.loads((FIXTURES / "official.json").read_text())
END = 299


def published(**changes: Any) -> dict[str, Any]:
    """What the published file holds, with the small weights."""
    state: dict[str, Any] = {}
    for name, shape in OFFICIAL["shapes"].items():
        whole = weights._whole_name(name) or name
        if whole.endswith("lm_head.weight"):
            whole = "language_model.gpt_with_lm_head.transformer.wte.weight"
        if name.endswith("causal_mask"):
            state[name] = torch.tril(torch.ones(shape, dtype=torch.uint8))
        elif name.endswith(("mask_out_value", "pos_weight")):
            state[name] = torch.full(shape, 1.0)
        else:
            state[name] = torch.from_numpy(weight_of(whole, tuple(shape)))
    return {"model": state | changes, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "current_epoch": 3, "lowest_val_loss": 1.5}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rgrg") / "full_model.pt"
    torch.save(published(), path)
    return path


@pytest.fixture(scope="module")
def network(file: Path) -> Network:
    return weights.load(file).network


def image_of(name: str, network: Network) -> Any:
    sizes = network.sizes
    return torch.from_numpy(normalised(square(read_radiograph(FIXTURES / name), sizes.image_px), sizes.mean, sizes.deviation))[None, None]


@pytest.fixture(scope="module")
def seen(network: Network) -> dict[str, Any]:
    """What the network makes of both images at once, where the authors' program takes one after the other."""
    with torch.inference_mode():
        return {"of": network(torch.cat([image_of(name, network) for name in OFFICIAL["images"]])), "row": list(OFFICIAL["images"]).index}


IMAGES = list(OFFICIAL["images"])


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_file_becomes_the_same_input(name: str, network: Network) -> None:
    """One of them grows to 512 pixels, the other shrinks."""
    image, official = image_of(name, network), OFFICIAL["images"][name]
    assert float(image.double().sum()) == pytest.approx(official["image_sum"], rel=1e-7)
    np.testing.assert_allclose(image[0, 0, 200, ::37], official["image_row"], atol=1e-6)


@pytest.mark.parametrize("name", IMAGES)
def test_the_29_boxes_their_scores_and_which_are_found_are_the_authors(name: str, seen: dict[str, Any]) -> None:
    found, row, official = seen["of"].found, seen["row"](name), OFFICIAL["images"][name]
    assert found.is_found[row].tolist() == official["detected"]
    there = found.is_found[row]
    np.testing.assert_allclose(found.scores[row], official["scores"], atol=1e-4)
    np.testing.assert_allclose(found.boxes[row][there], np.array(official["boxes"])[there], atol=2e-2)


@pytest.mark.parametrize("name", IMAGES)
def test_features_and_logits_of_regions_are_the_authors(name: str, seen: dict[str, Any]) -> None:
    of, row, official = seen["of"], seen["row"](name), OFFICIAL["images"][name]
    there = of.found.is_found[row]
    np.testing.assert_allclose(of.found.features[row][there][:, :3], np.array(official["features"])[there], atol=1e-4)
    np.testing.assert_allclose(of.found.features[row][there].sum(-1), np.array(official["feature_sum"])[there], atol=1e-3)
    np.testing.assert_allclose(of.selection[row][there], np.array(official["selection"])[there], atol=1e-3)
    np.testing.assert_allclose(of.abnormal[row][there], np.array(official["abnormal"])[there], atol=1e-3)


def test_the_same_regions_are_chosen_and_where_theirs_gives_up_none_is(seen: dict[str, Any]) -> None:
    of = seen["of"]
    assert of.is_chosen[seen["row"]("tall.jpg")].tolist() == OFFICIAL["images"]["tall.jpg"]["selected"]
    assert "selected" not in OFFICIAL["images"]["wide.jpg"]  # generate gave -1
    assert not of.is_chosen[seen["row"]("wide.jpg")].any()


@pytest.fixture(scope="module")
def features(seen: dict[str, Any]) -> Any:
    row = seen["row"]("tall.jpg")
    return seen["of"].found.features[row][seen["of"].is_chosen[row]]


@pytest.mark.parametrize(("beams", "which"), [(1, "greedy"), (4, "beam")])
def test_sentences_are_the_authors_word_for_word(beams: int, which: str, network: Network, features: Any) -> None:
    """Some end after a word, some never do."""
    official = [row[1:] for row in OFFICIAL["images"]["tall.jpg"][which]]
    expected = [row[: row.index(END)] if END in row else row for row in official]
    assert {len(row) for row in expected} >= {1, 39}
    assert len(set(map(tuple, expected))) == 8
    assert write(network.language, features, beams=beams, most_tokens=40) == expected


def logits_of(language: Language, features: Any) -> Any:
    tokens = torch.tensor([OFFICIAL["images"]["tall.jpg"]["tokens"]] * 2)
    with torch.inference_mode():
        return language(features[:2], tokens)[..., ::29].numpy()


def test_scores_of_words_are_the_authors(network: Network, features: Any) -> None:
    np.testing.assert_allclose(logits_of(network.language, features), OFFICIAL["images"]["tall.jpg"]["logits"], atol=1e-4)


def test_a_table_of_places_as_gpt2_has_it_would_be_another_model(file: Path, features: Any) -> None:
    """That the comparison sees what it should: with the places that the file holds too, and that the authors' code never looks at, it fails."""
    language = weights.load(file).network.language
    places = torch.from_numpy(weight_of("language_model.gpt_with_lm_head.transformer.wpe.weight", (128, 64)))
    language.gpt.transformer.wpe = torch.nn.Embedding.from_pretrained(places)
    difference = np.abs(logits_of(language, features) - OFFICIAL["images"]["tall.jpg"]["logits"]).max()
    assert difference > 1.0


def test_words_given_at_once_and_one_by_one_score_alike(network: Network, features: Any) -> None:
    tokens = torch.tensor([[END, 5, 17, 200, 3]] * len(features))
    with torch.inference_mode():
        at_once = network.language(features, tokens)
        cache = network.language.begin(features)
        one_by_one = torch.cat([network.language.step(tokens[:, place : place + 1], cache, place) for place in range(5)], dim=1)
    torch.testing.assert_close(at_once, one_by_one, atol=1e-4, rtol=0)


def test_the_table_of_places_follows_the_words(network: Network) -> None:
    table = network.language.gpt.transformer.wpe
    assert isinstance(table, TokensAsPlaces)
    torch.testing.assert_close(table(torch.tensor([[0, 7]]))[0], network.language.gpt.transformer.wte.weight[[0, 7]])


@pytest.mark.parametrize("row", OFFICIAL["reports"], ids=lambda row: f"{len(row['sentences'])} sentences")
def test_a_report_is_put_together_as_theirs(row: dict[str, Any]) -> None:
    """Recorded with the same stand-in for BERTScore; the sentences are cut alike by any rule."""

    def likeness(first: Any, second: Any) -> list[float]:
        return [difflib.SequenceMatcher(None, one, other).ratio() for one, other in zip(first, second, strict=True)]

    assert reports.assemble([sentence.replace("!.", ".") for sentence in row["sentences"]], likeness) == row["report"]


def test_without_a_bert_only_equal_sentences_go() -> None:
    said = ["Lungs are clear.", "Lungs are clear. No effusion.", "The lungs are clear."]
    assert reports.assemble(said, None) == "Lungs are clear. No effusion. The lungs are clear."
    assert reports.assemble(said, None, drops_equal=False) == " ".join(said)


# --- boxes cut by matrices --------------------------------------------------------------------------------------------------------------------------


def test_bins_by_matrices_are_roi_align_with_a_layer_behind_it() -> None:
    from torchvision.ops import roi_align

    generator = torch.Generator().manual_seed(3)
    map_ = torch.randn(5, 9, 7, generator=generator)
    corners = torch.rand(40, 2, 2, generator=generator) * 400 - 60
    boxes = torch.cat([corners.min(1).values, corners.max(1).values], dim=1)
    boxes[0] = torch.tensor([3.0, 3.0, 3.0, 3.0])  # without area
    weight, bias = torch.randn(6, 5 * 16, generator=generator), torch.randn(6, generator=generator)
    cut = roi_align(map_[None], [boxes], 4, spatial_scale=1 / 32, sampling_ratio=2, aligned=False)
    by_bin = weight.unflatten(1, (5, 16)).permute(2, 0, 1)
    torch.testing.assert_close(pool_and_project(map_, boxes / 32, by_bin, bias), cut.flatten(1) @ weight.T + bias, atol=1e-4, rtol=0)
    torch.testing.assert_close(pool_mean(map_, boxes / 32, 4), cut.mean((2, 3)), atol=1e-5, rtol=0)


# --- images -----------------------------------------------------------------------------------------------------------------------------------------

SHAPES = [(301, 199), (199, 301), (64, 64), (128, 128), (97, 40), (40, 97), (33, 1), (1, 1), (1, 700), (1024, 512), (63, 62)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pixels_are_opencvs(shape: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    grey = np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)
    fit = fit_of(shape[1], shape[0], 64)
    np.testing.assert_array_equal(resize_area(grey, fit.width, fit.height), cv2.resize(grey, (fit.width, fit.height), interpolation=cv2.INTER_AREA))


def test_the_image_stands_in_the_middle_and_boxes_come_back() -> None:
    grey = np.full((50, 100), 255, np.uint8)
    fitted = square(grey, 64)
    assert fitted[[15, 48]].sum() == 0
    assert fitted[16:48].min() == 255
    fit = fit_of(100, 50, 64)
    box = (10.0, 5.0, 90.0, 45.0)
    assert fit.to_image(fit.to_square(box, (100, 50)), (100, 50)) == pytest.approx(box)
    assert fit.to_image((-9.0, 0.0, 70.0, 64.0), (100, 50)) == (0.0, 0.0, 100.0, 50.0)


# --- files ------------------------------------------------------------------------------------------------------------------------------------------


def refused(content: Any, folder: Path) -> str:
    path = folder / "model.pt"
    torch.save(content, path)
    with pytest.raises(WrongWeights) as error:
        weights.load(path)
    return str(error.value)


def test_names_of_several_gpus_and_of_older_torchvision_are_read_too(tmp_path: Path, network: Network) -> None:
    state = {f"module.{name.replace('conv.0.0.', 'conv.')}": value for name, value in published()["model"].items()}
    state["module.language_model.gpt.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save({"model": state}, tmp_path / "old.pt")
    other = weights.load(tmp_path / "old.pt").network
    for (name, ours), theirs in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_two_names_of_one_tensor_that_differ_are_refused(tmp_path: Path) -> None:
    said = refused(published(**{"language_model.gpt2_blocks.1.0.weight": torch.zeros(64)}), tmp_path)
    assert "language_model.gpt2_blocks.1.0.weight and language_model.gpt_with_lm_head.transformer.h.1.ln_1.weight should be one tensor" in said


def test_a_missing_and_a_foreign_tensor_are_named(tmp_path: Path) -> None:
    content = published(**{"language_model.adapter.weight": torch.zeros(2)})
    del content["model"]["object_detector.roi_heads.box_head.fc7.bias"]
    said = refused(content, tmp_path)
    assert "1 are missing (first detector.box_head.fc7.bias), and 1 have no place (first language_model.adapter.weight)" in said
    assert "4.2 GB" in said


def test_another_models_file_is_told_from_a_damaged_one(tmp_path: Path, file: Path) -> None:
    assert "its 1 tensors are of encoder, RGRG's are of object_detector" in refused({"model": {"encoder.weight": torch.zeros(2)}}, tmp_path)
    assert "holds state_dict, expected are tensors by name, or a dictionary with them as model" in refused({"state_dict": {}}, tmp_path)
    half = tmp_path / "half.pt"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(WrongWeights, match="is no PyTorch file, or a damaged one"):
        weights.load(half)
    with pytest.raises(WrongWeights, match="there is no such file"):
        weights.load(tmp_path / "nowhere.pt")


def test_a_file_that_could_run_code_is_not_opened(tmp_path: Path) -> None:
    assert "it could run code" in refused({"model": Path("x")}, tmp_path)
