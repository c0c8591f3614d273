"""R2Gen against its program: the same JPG and the same weights give the same tokens, and log-probabilities within 1e-4.

``fixtures/r2gen.json`` is what cuhksz-nlp/R2Gen at 5a2e63f answered with a ResNet-101 and a small transformer, whose random weights follow the rule
of ``seeded_weights``: features, log-probabilities with the tokens before given, the memory after them, what greedy and beam search write.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from seeded_weights import Sees, listing, published

from adapters.beam_search import Kept
from adapters.chen_text import Manner, Vocabulary, WrongVocabulary, vocabulary_of
from adapters.r2gen.model import R2Gen
from adapters.r2gen.network import Backbone, Network, Norm, Sizes
from adapters.r2gen.training import Learner, train_family
from adapters.r2gen.weights import R2GEN, Loaded, Manners, WrongWeights, load, save
from adapters.r2gen.writing import Writer, less_repeated, prepared, squared
from benchmark.records import Case, ImageFile, Reference, UserError

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = json.loads((FIXTURES / "r2gen.json").read_text(encoding="utf-8"))
IMAGES = [FIXTURES / f"chest_{number}.jpg" for number in range(3)]
WORDS = ["<unk>", *(f"w{number:02d}" for number in range(1, 25))]
TINY = {"repeats": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}
DATASETS: list[Manner] = ["mimic_cxr", "iu_xray"]
SEARCHES = {"beam_2": 2, "beam_3": 3, "beam_5": 5, "greedy": 1, "greedy_blocked": 1}


def case(*paths: Path, name: str = "one", view: str = "PA") -> Case:
    return Case(name, patient="p", study="s", images=tuple(ImageFile(path, view) for path in paths))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The fixture's weights, by way of a file as the program writes it."""
    folder = tmp_path_factory.mktemp("r2gen")
    state = published("r2gen", width=32)
    assert (len(state), listing(state)) == (GOLDEN["tensors"], GOLDEN["names"])  # the file has the program's names and shapes
    torch.save({"epoch": 7, "state_dict": state, "optimizer": {"state": {}}, "monitor_best": 0.1}, folder / "model.pth")
    (folder / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return load(R2GEN, folder / "model.pth", vocab=folder / "words.txt")


@pytest.fixture(scope="module")
def features(golden: Loaded) -> dict[str, Tensor]:
    """What the ResNet sees of the three images, each alone, or with the next of them: it looks at each view by itself."""
    images = torch.stack([prepared(path, 224) for path in IMAGES])
    with torch.inference_mode():
        seen = golden.network.reader.see(images[:, None])
        pairs = golden.network.reader.see(torch.stack([images[:1], images[1:2]], 1))
        assert torch.allclose(pairs[0], torch.cat([seen[0], seen[1]]), atol=1e-3)
    return {"mimic_cxr": seen, "iu_xray": torch.cat([seen, seen[[1, 2, 0]]], 1)}


def writer(loaded: Loaded, dataset: Manner = "mimic_cxr", **settings: Any) -> Writer:
    return Writer("r2gen", loaded._replace(manners=Manners(dataset, 1, GOLDEN["sizes"]["steps"])), device="cpu", **settings)


def furthest(network: Network, features: dict[str, Tensor]) -> float:
    """The largest difference of a log-probability from the program's."""
    with torch.inference_mode():
        scores = network(network.reader.encode(features["mimic_cxr"]), torch.tensor([GOLDEN["token_rows"]] * 3))
    return float((scores - torch.tensor(GOLDEN["mimic_cxr"]["log_probs"])).abs().max())


@pytest.mark.parametrize("dataset", DATASETS)
def test_features_and_log_probabilities_are_the_program_s(dataset: Manner, golden: Loaded, features: dict[str, Tensor]) -> None:
    network, expected, seen = golden.network, GOLDEN[dataset], features[dataset]
    with torch.inference_mode():
        scores = network(network.reader.encode(seen), torch.tensor([GOLDEN["token_rows"]] * 3))
    assert float(seen.mean()) == pytest.approx(expected["features"]["mean"], rel=1e-5)
    assert float(seen.std()) == pytest.approx(expected["features"]["std"], rel=1e-5)
    np.testing.assert_allclose(seen[:, 0, :4], expected["features"]["first"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(seen[:, -1, -4:], expected["features"]["last"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores[:, -len(expected["log_probs"][0]) :], expected["log_probs"], atol=1e-4)


def test_the_memory_after_a_report_is_the_program_s(golden: Loaded) -> None:
    network = golden.network
    embedded = network.embedding(torch.tensor([GOLDEN["token_rows"]]))
    memory = network.memory.begin(1, embedded)
    for place in range(embedded.shape[1]):
        memory = network.memory(memory, embedded[:, place])
    np.testing.assert_allclose(memory[0].detach(), GOLDEN["mimic_cxr"]["memory"], atol=1e-5)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_tokens_are_the_program_s(dataset: Manner, search: str, golden: Loaded, features: dict[str, Tensor]) -> None:
    """Beam search with its trigrams unblocked, whatever is asked for; greedy with and without."""
    expected = GOLDEN[dataset]
    shown = golden._replace(network=Sees(golden.network, golden.network.reader.encode(features[dataset])))
    found = writer(shown, dataset, beams=SEARCHES[search], block_trigrams=search != "greedy").write(torch.zeros(3, 1, 3, 8, 8))
    assert [one.tokens for one in found] == expected[search]
    if f"{search}_score" in expected:
        np.testing.assert_allclose([one.score for one in found], expected[f"{search}_score"], atol=2e-4)


def test_the_fixture_tells_images_and_searches_apart() -> None:
    """Else all the above would say little."""
    found = GOLDEN["mimic_cxr"]
    assert len({tuple(tokens) for tokens in found["beam_2"]}) == 3
    assert len({len(tokens) for tokens in found["beam_2"]}) == 3
    assert found["beam_2"] != found["beam_3"] != found["greedy"] != found["greedy_blocked"]


def test_a_file_of_the_program_is_read_from_jpg_to_words(golden: Loaded) -> None:
    reports = list(writer(golden, beams=2).generate([case(path, name=path.stem) for path in IMAGES]))
    assert [report.text for report in reports] == [" ".join(WORDS[number - 1] for number in tokens) for tokens in GOLDEN["mimic_cxr"]["beam_2"]]


class TorchNorm(nn.Module):
    """What R2Gen's norm is taken for."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:], self.norm.gamma, self.norm.beta, 1e-6)


def test_torch_s_norm_in_place_of_r2gen_s_is_found_out(golden: Loaded, features: dict[str, Tensor]) -> None:
    """The control: the tolerance is small enough to see a standard deviation of n in place of n - 1."""
    last = golden.network.reader.norm
    assert furthest(golden.network, features) < 1e-4
    golden.network.reader.norm = TorchNorm(last)
    try:
        assert furthest(golden.network, features) > 1e-3
    finally:
        golden.network.reader.norm = last


def test_two_tensors_in_each_other_s_place_are_found_out(golden: Loaded, features: dict[str, Tensor]) -> None:
    """The control of the names: shapes alone would let this pass."""
    norm = golden.network.layers[1].norms[1]
    norm.mlp_gamma, norm.mlp_beta = norm.mlp_beta, norm.mlp_gamma
    try:
        assert furthest(golden.network, features) > 1e-3
    finally:
        norm.mlp_gamma, norm.mlp_beta = norm.mlp_beta, norm.mlp_gamma


@pytest.fixture(scope="module")
def small() -> Network:
    torch.manual_seed(0)
    backbone = Backbone("basic", (1, 1, 1, 1), (8, 8, 16, 16))
    return Network(Sizes(words=26, width=32, inner=48, layers=2, image_size_px=64, backbone=backbone)).eval()


def test_a_token_at_a_time_is_all_at_once(small: Network) -> None:
    """What is kept between steps stands for the whole prefix, also when rows change places and images leave."""
    torch.manual_seed(1)
    with torch.inference_mode():
        patches = small.read(torch.randn(3, 2, 3, 64, 64))
        tokens = torch.randint(1, 26, (3, 6))
        tokens[:, 0] = 0
        whole = small(patches, tokens)
        written, kept, order = small.begin(patches), None, [0, 1, 2]
        for place in range(6):
            step = small.step(written, tokens[order][:, place : place + 1], kept)
            torch.testing.assert_close(step[:, 0], whole[order][:, place], atol=1e-5, rtol=0)
            goes_on = {1: [2, 0, 1], 3: [0, 2]}.get(place, list(range(len(order))))
            order = [order[row] for row in goes_on]
            kept = Kept(torch.tensor(goes_on), torch.tensor(goes_on))
            if place == 1:  # only what leaves changes images: here none does, so rows must keep to theirs
                order, kept = [0, 1, 2], Kept(torch.arange(3), torch.arange(3))


def test_one_view_is_that_view_twice(small: Network) -> None:
    """So weights of two views may read one without a stand-in for the other."""
    torch.manual_seed(2)
    with torch.inference_mode():
        image = torch.randn(1, 1, 3, 64, 64)
        tokens = torch.tensor([[0, 3, 4]])
        torch.testing.assert_close(small(small.read(image), tokens), small(small.read(image.repeat(1, 2, 1, 1, 1)), tokens), atol=1e-5, rtol=0)


def loaded_small(small: Network, manners: Manners) -> Loaded:
    return Loaded(small, Vocabulary(WORDS), manners, "0" * 64, {})


def test_cases_that_cannot_be_read_fail_and_the_others_are_answered(small: Network, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "text.jpg").write_text("no image", encoding="utf-8")
    half = tmp_path / "half.jpg"
    half.write_bytes(IMAGES[0].read_bytes()[:700])
    cases = [
        case(IMAGES[0], IMAGES[1], name="two"),
        case(name="none"),
        case(tmp_path / "dot.png", name="dot"),
        case(tmp_path / "text.jpg", name="text"),
        case(half, name="half"),
        case(tmp_path / "gone.jpg", name="gone"),
        case(IMAGES[2], name="lateral", view="LATERAL"),
    ]
    reports = {report.case_id: report for report in Writer("r2gen", loaded_small(small, Manners("iu_xray", 2, 9)), device="cpu").generate(cases)}
    assert list(reports) == [one.id for one in cases]
    assert reports["none"].failure == "the case has no image"
    assert "is 1 x 1 pixels, which shows nothing; give an image of 8 on a side at least" in reports["dot"].failure
    assert "text.jpg" in reports["text"].failure
    assert "half.jpg" in reports["half"].failure
    assert "there is no such file" in reports["gone"].failure
    assert [reports[name].failure for name in ("two", "lateral")] == ["", ""]
    assert reports["two"].details["views"] == ["PA", "PA"]
    assert reports["lateral"].details["views"] == ["LATERAL"]  # read like any other, as the program does


def test_a_batch_is_answered_as_its_cases_alone(small: Network) -> None:
    cases = [case(path, name=path.stem) for path in IMAGES]
    loaded = loaded_small(small, Manners("mimic_cxr", 1, 12))
    together = list(Writer("r2gen", loaded, device="cpu").generate(cases))
    alone = list(Writer("r2gen", loaded, device="cpu", batch_size=1).generate(cases))
    assert [report.text for report in together] == [report.text for report in alone]
    assert all(report.text for report in together)
    assert list(Writer("r2gen", loaded, device="cpu").generate([])) == []


def test_repeated_trigrams_are_a_quarter_as_probable_for_each_time() -> None:
    scores = less_repeated(torch.zeros(2, 5), [[1, 2, 3, 1, 2, 3, 1, 2], [1, 2]])
    assert scores.tolist() == [[0, 0, 0, pytest.approx(-4 * 0.693), 0], [0] * 5]


def test_an_image_is_stretched_to_a_square() -> None:
    """Grey, by Pillow's bilinear filter, as the program's transforms do with an RGB of it."""
    from PIL import Image

    by_rgb = np.asarray(Image.open(IMAGES[0]).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
    assert (by_rgb == squared(IMAGES[0], 224)[..., None]).all()


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    torch.save({"state_dict": published("r2gen", width=32, **TINY)}, tmp_path / "tiny.pth")  # type: ignore[arg-type]
    return tmp_path / "tiny.pth"


def read_tiny(path: Path, **settings: Any) -> Loaded:
    return load(R2GEN, path, vocab=settings.pop("vocab", path.parent / "words.txt"), **settings)


def test_sizes_are_read_from_the_file(tiny_file: Path) -> None:
    loaded = read_tiny(tiny_file)
    backbone = Backbone("bottleneck", (1, 1, 1, 1), (8, 8, 8, 8))
    assert loaded.network.sizes == Sizes(words=26, width=32, inner=48, layers=2, backbone=backbone)
    assert loaded.manners == Manners("mimic_cxr", 1, 100)
    assert read_tiny(tiny_file, trained_on="iu_xray").manners == Manners("iu_xray", 2, 60)
    assert read_tiny(tiny_file, heads=4).network.sizes.heads == 4


def test_a_file_of_several_gpus_and_one_of_bare_tensors_are_read_too(tiny_file: Path) -> None:
    state = torch.load(tiny_file, weights_only=True)["state_dict"]
    torch.save({f"module.{name}": value for name, value in state.items()}, tiny_file.with_name("bare.pth"))
    bare, whole = read_tiny(tiny_file.with_name("bare.pth")).network.state_dict(), read_tiny(tiny_file).network.state_dict()
    assert all(torch.equal(bare[name], value) for name, value in whole.items())


Change = Callable[[dict[str, Tensor]], Any]


def without(name: str) -> Change:
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("encoder_decoder.model.rm.W.bias"), "1 are missing (first memory.W.bias)"),
        (lambda state: {**state, "encoder_decoder.ctx2att.weight": torch.zeros(2)}, "1 have no place (first encoder_decoder.ctx2att.weight)"),
        (lambda state: {**state, "encoder_decoder.logit.bias": torch.zeros(7)}, "logit.bias is (7,), expected is (26,)"),
        (lambda state: published("tsget", width=32, **TINY), "have no place (first layers.0.MLP.0.bias)"),  # type: ignore[arg-type]
        (lambda state: {"bert.embeddings.word_embeddings.weight": torch.zeros(3, 3)}, "has 1 tensors (first bert"),
        (without("visual_extractor.model.5.0.conv1.weight"), "has no ResNet of four stages as its visual extractor"),
        (lambda state: {}, "holds nothing, expected are tensors by name"),
        (lambda state: [1, 2], "holds a list, expected are tensors by name"),
        (lambda state: {"epoch": 3}, "holds epoch, expected are tensors by name"),
    ],
)
def test_a_file_of_something_else_is_refused_with_what_to_do(change: Change, said: str, tiny_file: Path) -> None:
    torch.save(change(torch.load(tiny_file, weights_only=True)["state_dict"]), tiny_file)
    with pytest.raises(WrongWeights) as error:
        read_tiny(tiny_file)
    assert said in str(error.value)
    assert "tiny.pth" in str(error.value)


class Harmful:
    """Runs a program if a pickle of it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("opened",))


def test_half_a_file_and_one_that_could_run_code_are_not_opened(tiny_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = tiny_file.read_bytes()
    tiny_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(WrongWeights, match="is no PyTorch file, or a damaged one"):
        read_tiny(tiny_file)
    tiny_file.write_bytes(pickle.dumps({"state_dict": Harmful()}))
    with pytest.raises(WrongWeights, match="is not opened, for it could run code"):
        read_tiny(tiny_file)
    assert "opened" not in capsys.readouterr().out
    with pytest.raises(WrongWeights, match=r"there is no .*gone\.pth; take model_mimic_cxr\.pth"):
        read_tiny(tiny_file.with_name("gone.pth"))


def test_a_vocabulary_is_asked_for_and_counted(tiny_file: Path) -> None:
    with pytest.raises(WrongVocabulary, match=r"holds no vocabulary.*--set r2gen.vocab=PATH: a file with 25 words"):
        load(R2GEN, tiny_file)
    short = tiny_file.with_name("short.txt")
    short.write_text("\n".join(WORDS[:-1]), encoding="utf-8")
    with pytest.raises(WrongVocabulary, match=r"24 words, so the embedding would have 25 rows, but that of tiny\.pth has 26"):
        read_tiny(tiny_file, vocab=short)


def test_heads_that_do_not_share_the_width_are_refused(tiny_file: Path) -> None:
    with pytest.raises(WrongWeights, match=r"is 32 numbers wide, which 5 attention heads do not share evenly.*--set r2gen.heads=N"):
        read_tiny(tiny_file, heads=5)


def test_settings_that_cannot_be_are_refused(small: Network) -> None:
    loaded = loaded_small(small, Manners())
    with pytest.raises(UserError, match="beams is 0, batch_size 16, max_length 0; each must be at least 1"):
        Writer("r2gen", loaded, device="cpu", beams=0)
    with pytest.raises(UserError, match="max_length is 5001 and beams 3; these weights have 5000 places and 26 words: take less"):
        Writer("r2gen", loaded, device="cpu", max_length=5001)


def test_a_folder_of_ours_writes_what_the_network_in_memory_writes(small: Network, tmp_path: Path) -> None:
    save(R2GEN, small, Vocabulary(WORDS), Manners("mimic_cxr", 1, 12), tmp_path, half=False)
    cases = [case(path) for path in IMAGES]
    kept = [report.text for report in Writer("r2gen", loaded_small(small, Manners("mimic_cxr", 1, 12)), device="cpu").generate(cases)]
    assert [report.text for report in R2Gen(str(tmp_path), device="cpu").generate(cases)] == kept


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", None, "config.json is not there or cannot be read"),
        ("config.json", '{"model": "tsget"}', "holds weights of tsget, asked for are those of r2gen"),
        ("config.json", '{"model": "r2gen", "sizes": {}}', "config.json is not there or cannot be read (KeyError"),
        ("weights.safetensors", None, "holds no weights.safetensors"),
        ("weights.safetensors", "half", "cannot be read (SafetensorError"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(file: str, content: str | None, said: str, small: Network, tmp_path: Path) -> None:
    save(R2GEN, small, Vocabulary(WORDS), Manners(), tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(WrongWeights) as error:
        load(R2GEN, tmp_path)
    assert said in str(error.value)
    assert "train r2gen" in str(error.value)


class Three:
    """A dataset of three images, each with a report of its own."""

    name = "phantom"

    def cases(self, split: str) -> list[Case]:
        return [case(path, name=path.stem) for path in IMAGES] if split == "train" else []

    def references(self, split: str) -> list[Reference]:
        texts = ("The lungs are clear.", "Large left effusion. No edema.", "Mild edema is seen.")
        return [Reference(path.stem, text) for path, text in zip(IMAGES, texts, strict=True)] if split == "train" else []


TRAINED = Sizes(
    words=0, width=32, inner=48, heads=4, layers=1, memory_heads=4, places=40, image_size_px=32,
    backbone=Backbone("basic", (1, 1, 1, 1), (8, 8, 16, 16), stride_px=16),
)  # fmt: skip


def test_three_reports_are_learnt_by_heart() -> None:
    """One batch can be overfitted, and each image then brings back its own report."""
    data, manners = Three(), Manners("mimic_cxr", 1, 20)
    vocabulary = vocabulary_of([reference.report for reference in data.references("train")], "mimic_cxr", 1)
    torch.manual_seed(1)
    network = Network(replace(TRAINED, words=vocabulary.rows)).eval()  # without jitter and dropout, as it is asked afterwards
    learner = Learner(R2GEN, network, vocabulary, manners)
    batch = learner.batch(data.cases("train"), data.references("train"))
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3, fused=True)
    losses = [float("inf")]
    while losses[-1] > 0.03 and len(losses) < 150:
        loss = learner.losses(batch)["words"]
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 < 2 < losses[1]
    writes = Writer("r2gen", Loaded(network, vocabulary, manners, "", {}), device="cpu")
    assert [report.text for report in writes.generate(data.cases("train"))] == [
        "the lungs are clear .",
        "large left effusion . no edema .",
        "mild edema is seen .",
    ]


def test_a_training_leaves_a_folder_that_is_a_model_with_its_card(tmp_path: Path) -> None:
    folder = train_family(
        R2GEN, {"demo": TRAINED}, Three(), out=tmp_path, preset="demo", seed=1, threshold=1, max_length=20,
        device="cpu", epochs=1, batch_size=3, learning_rate=1e-3, command="python -m benchmark train r2gen --dataset phantom",
    )  # fmt: skip
    model = R2Gen(str(folder), device="cpu")
    assert [report.failure for report in model.generate(Three().cases("train"))] == ["", "", ""]
    card = model.card()
    assert (card.target, card.inputs, card.weights, card.licence) == ("findings", ("frontal image",), "trained here", "Apache-2.0 (code)")
    assert card.training.startswith("phantom, train split")
    assert any("phantoms alone" in remark for remark in card.remarks)
    assert any("Cuts every report at 20 tokens" in remark for remark in card.remarks)


def test_an_image_that_shows_nothing_does_not_stop_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the first stage nor in the second, whether it is a dot or no image at all."""
    from PIL import Image

    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "text.jpg").write_text("no image", encoding="utf-8")

    class Five(Three):
        def cases(self, split: str) -> list[Case]:
            bad = [case(tmp_path / name, name=name) for name in ("dot.png", "text.jpg")]
            return [*super().cases(split), *bad] if split == "train" else []

        def references(self, split: str) -> list[Reference]:
            bad = [Reference(name, "Mild edema is seen.") for name in ("dot.png", "text.jpg")]
            return [*super().references(split), *bad] if split == "train" else []

    folder = train_family(
        R2GEN, {"demo": TRAINED}, Five(), out=tmp_path / "out", preset="demo", seed=1, threshold=1, max_length=20,
        device="cpu", epochs=1, eyes_epochs=1, batch_size=5, learning_rate=1e-3,
    )  # fmt: skip
    assert json.loads((folder / "about.json").read_text())["left_out"] == {"train": 2, "validate": 0}
    said = capsys.readouterr().err
    for stage in ("eyes", "words"):
        assert f"train r2gen, {stage}: 2 of 5 cases of the split train were left out, for their images cannot be read; first dot.png: " in said


def test_what_is_not_predicted_does_not_count(small: Network) -> None:
    """Filling behind a report, and the 0 that a cut report has not."""
    network = Network(replace(small.sizes, dropout=0.0, patch_dropout=0.0)).eval()
    learner = Learner(R2GEN, network, Vocabulary(WORDS), Manners("mimic_cxr", 1, 6))
    cases = [case(path) for path in IMAGES[:2]]
    texts = [Reference("one", "w01 w02"), Reference("one", "w03 w04 w05 w06 w07 w08")]
    together = learner.batch(cases, texts)
    assert together.tokens.tolist() == [[0, 2, 3, 1, 0, 0], [0, 4, 5, 6, 7, 8]]  # 1: the full stop is no word of this list
    assert together.lengths.tolist() == [4, 5]
    with torch.no_grad():
        loss = float(learner.losses(together)["words"])
        alone = [float(learner.losses(learner.batch(cases[i : i + 1], texts[i : i + 1]))["words"]) for i in range(2)]
    assert loss == pytest.approx((4 * alone[0] + 5 * alone[1]) / 9, abs=1e-5)


@pytest.mark.parametrize(("settings", "said"), [({"heads": 4}, "heads was"), ({"trained_on": "iu_xray", "heads": 4}, "trained_on and heads was")])
def test_what_a_folder_says_of_itself_is_not_taken_from_a_setting(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"{said} given, but a folder says that of itself in its config\.json; leave it away"):
        R2Gen(str(tmp_path), device="cpu", **settings)


def test_a_preset_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="preset is 'large'; it must be one of demo"):
        train_family(R2GEN, {"demo": TRAINED}, Three(), out=tmp_path, preset="large", seed=1, threshold=1, max_length=20)
    with pytest.raises(UserError, match="threshold is 0 and max_length 20; threshold must be at least 1, max_length 2 to 40"):
        train_family(R2GEN, {"demo": TRAINED}, Three(), out=tmp_path, preset="demo", seed=1, threshold=0, max_length=20)


def test_the_published_file_has_a_card_of_its_own(golden: Loaded) -> None:
    from adapters.r2gen.card import card_of

    card = card_of(writer(golden, beams=2), True, "none stated", "their page")
    assert card.training == "mimic_cxr, train split (validate split to choose by)"
    assert card.leaks is not None
    assert "chest_imagenome" in card.leaks
    assert card.decoding == "beam search, 2 beams, sum of log-probabilities, at most 20 tokens"
    assert card_of(writer(golden, beams=1), False, "none stated", "somebody").leaks is None


def test_doctor_is_told_what_is_needed() -> None:
    said = " ".join(what for _, what in R2Gen.needs())
    for part in ("no licence stated", "GB", "data/r2gen.md", "--set r2gen.vocab=PATH", "trained on phantoms alone"):
        assert part in said
