from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from adapters.cvt2distilgpt2 import encoder
from adapters.cvt2distilgpt2.model import DEMO_WEIGHTS, CvT2DistilGPT2
from adapters.cvt2distilgpt2.network import Network, normalised
from adapters.cvt2distilgpt2.pieces import BadVocabulary, Pieces
from adapters.cvt2distilgpt2.pixels import middle
from adapters.cvt2distilgpt2.sizes import Sizes
from adapters.cvt2distilgpt2.training import train, train_at
from adapters.cvt2distilgpt2.weights import DECODER, WrongWeights, fill, load_checkpoint, load_folder, published_names
from benchmark.datasets.images import read_radiograph
from benchmark.records import Case, ImageFile, Reference, UserError
from benchmark.training import summary_of

FIXTURES = Path(__file__).parent / "fixtures"
OFFICIAL: dict[str, Any] = json.loads((FIXTURES / "cvt2distilgpt2.json").read_text())
"""what the authors' program (aehrc/cvt2distilgpt2 at c9edfb5, transformers 4.35.2) answers at these sizes, with weights as ``drawn`` draws"""
TINY = Sizes(stage_widths=(16, 24, 32), stage_depths=(1, 1, 2), stage_heads=(1, 3, 4), words=62, places=160, width=32, layers=2, heads=4)
START, END = 60, 59


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(shape)


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor that its name decides, of such a size that what is seen decides what is said."""
    if name.endswith(("wte.weight", "lm_head.weight")):  # one table; the end lies where the last norm tends to, so that texts end
        rows = 0.5 * normal("words", shape)
        rows[-3] += 0.9 * normal("decoder.encoder_decoder.decoder.transformer.ln_f.bias", shape[1:])
        return torch.from_numpy(rows.astype(np.float32))
    x = normal(name, shape)
    if name.endswith("running_var"):
        x = 1 + 0.3 * np.abs(x)
    elif name.endswith("num_batches_tracked"):
        x = np.ones(shape)
    elif name.endswith(("running_mean", "bias")):
        x = 0.1 * x
    elif name.endswith("wpe.weight"):
        x = 0.3 * x
    elif len(shape) == 1:
        x = 1 + 0.2 * x
    elif not name.endswith("cls_token"):
        x = 1.6 * x / np.sqrt(shape[0] if ".h." in name else np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


def published_state(sizes: Sizes = TINY) -> dict[str, Tensor]:
    """The tensors of a file as the authors' program would keep them."""
    own = {name: tuple(value.shape) for name, value in Network(sizes).state_dict().items()}
    shapes = {name: place.shape or (own[place.name][::-1] if place.is_turned else own[place.name]) for name, place in published_names(sizes)}
    return {name: drawn(name, shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def network() -> Network:
    made = Network(TINY)
    fill(made, published_state(), Path("drawn.ckpt"))
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """(6, 384, 384) uint8: one radiograph and five that it was made into."""
    grey = read_radiograph(FIXTURES / "cvt2distilgpt2.jpg")
    height, width = grey.shape
    made = [grey, grey[:, ::-1], 255 - grey, grey[height // 3 :, : width // 2], np.rot90(grey)[:, 40:], grey[: height // 2]]
    return torch.from_numpy(np.stack([middle(np.ascontiguousarray(image), 448, 384) for image in made]))


def official(part: str) -> Tensor:
    return torch.tensor(OFFICIAL[part]["values"])


def at(values: Tensor, part: str) -> Tensor:
    return torch.stack([values[tuple(place)] for place in OFFICIAL[part]["at"]])


def test_an_image_is_seen_as_the_authors_program_sees_it(images: Tensor) -> None:
    """From the same JPG: resized, cut, and normalised for each colour."""
    pixels = normalised(images)
    assert torch.allclose(at(pixels[0], "pixels"), official("pixels"), atol=1e-6)
    assert torch.allclose(pixels.double().sum((1, 2, 3)), torch.tensor(OFFICIAL["pixels"]["sums"]).double(), rtol=1e-5)


def test_the_encoder_sees_what_the_authors_encoder_sees(network: Network, images: Tensor) -> None:
    found = network.encoder(normalised(images))
    assert found.std(0).mean() > 1  # what is seen differs from image to image
    assert torch.allclose(at(found, "features"), official("features"), atol=1e-4)


def scores(network: Network, images: Tensor) -> Tensor:
    return network(images[:, None], torch.tensor([OFFICIAL["tokens"]] * len(images)))[:, :, ::5].flatten()


def test_words_are_scored_as_the_authors_decoder_scores_them(network: Network, images: Tensor) -> None:
    found, expected = scores(network, images), torch.tensor(OFFICIAL["logits"])
    assert expected.std() > 2
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("beams", "part"), [(1, "greedy"), (4, "beam")])
def test_the_same_tokens_are_written(network: Network, images: Tensor, beams: int, part: str) -> None:
    found = [answer.tokens for answer in network.write(images[:, None], start=START, end=END, beams=beams)]
    assert found == OFFICIAL[part]
    assert len({len(tokens) for tokens in found}) > 3  # of a start that was known, texts of many lengths


def test_two_views_are_read_one_after_the_other(network: Network, images: Tensor) -> None:
    pairs = images.unflatten(0, (3, 2))
    assert network.see(pairs).shape == (3, 1_152, 32)
    assert [answer.tokens for answer in network.write(pairs, start=START, end=END)] == OFFICIAL["two_views"]


def test_another_gelu_would_be_found_out(network: Network, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the encoder's GELU the true one, as its paper has it, features would be off by far more than rounding: the comparison above can fail."""
    monkeypatch.setattr(encoder, "SHARPNESS", 1.6)
    assert (at(network.encoder(normalised(images)), "features") - official("features")).abs().max() > 0.01


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("encoder.cvt.stage1.blocks.0.attn.proj_k.weight", "encoder.cvt.stage1.blocks.0.attn.proj_v.weight"),
        (f"{DECODER}transformer.h.0.ln_2.weight", f"{DECODER}transformer.h.0.ln_cross_attn.weight"),
    ],
)
def test_a_tensor_in_another_ones_place_would_be_found_out(images: Tensor, one: str, other: str) -> None:
    made, state = Network(TINY).eval().requires_grad_(False), published_state()
    fill(made, {**state, one: state[other], other: state[one]}, Path("drawn.ckpt"))
    assert (scores(made, images) - torch.tensor(OFFICIAL["logits"])).abs().max() > 0.01


def test_step_by_step_is_all_at_once(network: Network, images: Tensor) -> None:
    """Keys that are kept, and beams that share their image's, change no score."""
    tokens, seen = torch.tensor([OFFICIAL["tokens"]] * 2), network.see(images[:2, None])
    at_once, memory = network.decoder(tokens, seen), network.decoder.look(seen)
    for place in range(4):
        found, memory = network.decoder.step(tokens[:, place : place + 1], memory)
        assert torch.allclose(found[:, 0], at_once[:, place], atol=1e-5)
    both = memory.kept(torch.tensor([1, 1, 1]), torch.tensor([1]))  # the second image alone goes on, by three beams
    found, _ = network.decoder.step(tokens[1:, 4:5].expand(1, 3), both)
    assert torch.allclose(found, at_once[1:, 4:5].expand(1, 3, -1), atol=1e-5)


# --- files ------------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as GPT-2's, of 60 pieces: the first a blank, the last the end."""
    folder = tmp_path_factory.mktemp("pieces")
    letters = ["\u0120", *(chr(65 + number) for number in range(58)), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


OLD_EXTRAS = {
    f"{DECODER}transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4),
    f"{DECODER}transformer.h.1.crossattention.masked_bias": torch.tensor(-1e4),
    "val_chexbert_metrics.bert.embeddings.weight": torch.zeros(3, 3),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as Lightning would have kept it in the days of older programs."""
    path = tmp_path_factory.mktemp("published") / "epoch=8.ckpt"
    torch.save({"epoch": 8, "global_step": 1, "hyper_parameters": {"lr": 5e-5}, "state_dict": {**published_state(), **OLD_EXTRAS}}, path)
    return path


def test_the_published_file_has_857_tensors_each_with_its_place() -> None:
    assert len(dict(published_names(Sizes()))) == 857
    names = dict(published_names(TINY))
    assert len(names) == OFFICIAL["keys"]
    assert {place.name for place in names.values() if place.name} == set(Network(TINY).state_dict())


def test_a_checkpoint_is_read_and_what_it_has_besides_is_left_out_by_name(checkpoint: Path, vocabulary: Path, images: Tensor) -> None:
    loaded = load_checkpoint(checkpoint, vocabulary, TINY)
    assert (loaded.pieces.start, loaded.pieces.filling, loaded.pieces.end) == (60, 61, 59)
    assert loaded.dropped == {"masks of GPT-2": 2, "networks that measure": 1, "the encoder's classifier": 4}
    assert loaded.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (scores(loaded.network, images) - torch.tensor(OFFICIAL["logits"])).abs().max() < 1e-4


def test_an_output_layer_that_is_no_longer_the_table_of_words_is_taken_by_its_word(images: Tensor) -> None:
    state = published_state()
    state[f"{DECODER}lm_head.weight"] = 2 * state[f"{DECODER}lm_head.weight"]
    made = Network(TINY).eval().requires_grad_(False)
    fill(made, state, Path("drawn.ckpt"))
    assert torch.allclose(scores(made, images), 2 * torch.tensor(OFFICIAL["logits"]), atol=1e-3)


def saved(folder: Path, state: Any) -> Path:
    torch.save(state, folder / "a.ckpt")
    return folder / "a.ckpt"


def test_files_that_are_something_else_are_refused_in_words(checkpoint: Path, vocabulary: Path, tmp_path: Path) -> None:
    state = published_state()
    lacking = {name: value for name, value in state.items() if name != "encoder.cvt.stage2.cls_token"}
    remedy = r"(; |, or )take a \.ckpt of https://doi\.org/10\.25919/ng3g-aj81"

    def refused(content: Any, why: str) -> None:
        with pytest.raises(WrongWeights, match=why + ".*" + remedy):
            load_checkpoint(content if isinstance(content, Path) else saved(tmp_path, content), vocabulary, TINY)

    refused({"state_dict": lacking}, r"a\.ckpt: of the 199 tensors of a CvT2DistilGPT2 of this size 1 are missing \(first .*stage2\.cls_token")
    refused({"state_dict": {**state, "optimizer.x": torch.zeros(1)}}, r"1 have no place \(first optimizer\.x\)")
    refused({"state_dict": {**state, "encoder.cvt.stage2.cls_token": torch.zeros(1, 1, 8)}}, r"cls_token is \(1, 1, 8\), expected is \(1, 1, 32\)")
    refused({"state_dict": {"visual_extractor.model.0.weight": torch.zeros(3)}}, "199 are missing .* and 1 have no place")  # R2Gen's
    refused({"epoch": 3}, "holds epoch, expected are tensors by name")
    refused(tmp_path / "none.ckpt", "there is no such file")
    (tmp_path / "half.ckpt").write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    refused(tmp_path / "half.ckpt", "half.ckpt: is no PyTorch file, or a damaged one")
    (tmp_path / "text.ckpt").write_text("<html>")
    refused(tmp_path / "text.ckpt", "text.ckpt: ")


def test_a_file_that_could_run_code_is_opened_only_if_it_is_trusted(vocabulary: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": published_state(), "callbacks": {"checkpoint": Sizes()}})
    with pytest.raises(WrongWeights, match=r"is not opened, for it could run code; .* --set cvt2distilgpt2\.trust_pickle=yes"):
        load_checkpoint(path, vocabulary, TINY)
    assert load_checkpoint(path, vocabulary, TINY, trust_pickle=True).network.sizes == TINY


def test_a_vocabulary_of_another_length_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    Pieces.learn(["the lungs are clear"], 300).save(tmp_path)
    with pytest.raises(WrongWeights, match=r"has \d+ pieces, the weights are for 62; take theirs"):
        load_checkpoint(checkpoint, tmp_path, TINY)
    with pytest.raises(BadVocabulary, match=r"no vocabulary can be read in .*; name a folder with tokenizer\.json, or with vocab\.json"):
        load_checkpoint(checkpoint, checkpoint.parent, TINY)


@pytest.mark.parametrize(
    ("said", "text"),
    [  # what GPT2TokenizerFast of transformers 4.35.2 decodes, with clean_up_tokenization_spaces
        ("the lungs are clear . no effusion or pneumothorax .", "the lungs are clear. no effusion or pneumothorax."),
        ("is it , or is n't it ? yes !", "is it, or isn't it? yes!"),
        ("the patient 's heart ' s size they 've we 're i 'm", "the patient's heart's size they've we're i'm"),
        ("naïve café 5 . 3 cm", "naïve café 5. 3 cm"),
        ("end  with  spaces .", "end  with  spaces."),
        ("", ""),
    ],
)
def test_a_text_comes_back_as_transformers_tidies_it(said: str, text: str, tmp_path: Path) -> None:
    pieces = Pieces.learn(["the lungs are clear . no effusion"] * 3, 300)
    pieces.save(tmp_path)
    for one in (pieces, Pieces.read(tmp_path, "a test")):
        assert one.text([one.start, *one.numbers(said), one.end, one.filling]) == text
    assert pieces.digest() == Pieces.read(tmp_path, "a test").digest()


# --- training, and the model ------------------------------------------------------------------------------------------------------------------------

TRAINABLE = Sizes(36, 32, (8, 12, 16), (1, 1, 1), (1, 2, 2), words=300, places=64, width=24, layers=1, heads=2)


class FakeDataset:
    """Images with a bright half, and reports that say which."""

    name = "phantom"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(28):
            grey = np.random.default_rng(number).integers(0, 60, (70, 60)).astype(np.uint8)
            grey[:, :30] += 150 * (number % 2)
            grey[:, 30:] += 150 * (1 - number % 2)
            Image.fromarray(grey).save(folder / f"{number}.png")

    def numbers(self, split: str) -> Sequence[int]:
        return range(24) if split == "train" else range(24, 28)

    def cases(self, split: str) -> list[Case]:
        return [Case(f"c{n}", f"p{n}", f"s{n}", (ImageFile(self.folder / f"{n}.png", "AP"),)) for n in self.numbers(split)]

    def references(self, split: str) -> list[Reference]:
        return [Reference(f"c{n}", "The left half is bright." if n % 2 else "The right half\nis bright.") for n in self.numbers(split)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return FakeDataset(tmp_path_factory.mktemp("halves"))


@pytest.fixture(scope="module")
def weights(dataset: FakeDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights")
    command = "python -m benchmark train cvt2distilgpt2 --dataset phantom"
    where: dict[str, Any] = {"out": out, "device": "cpu", "command": command}
    return train_at(TRAINABLE, dataset, **where, epochs=9, batch_size=4, learning_rate=1e-2, dropout=0.0, words=None, half=True, seed=42)


@pytest.fixture(scope="module")
def model(weights: Path) -> CvT2DistilGPT2:
    return CvT2DistilGPT2(str(weights), device="cpu", batch_size=2)


def test_what_is_trained_says_of_new_images_what_they_show(model: CvT2DistilGPT2, dataset: FakeDataset, weights: Path) -> None:
    cases = dataset.cases("validate")
    reports = list(model.generate(cases))
    assert [report.case_id for report in reports] == [case.id for case in cases]
    assert [report.text for report in reports] == ["The right half is bright.", "The left half is bright."] * 2
    assert reports[0].details == {"pieces": len(model.loaded.pieces.numbers(reports[0].text)), "stopped_at_max_length": False}
    assert summary_of(weights)["words_loss_validate"] < 0.3


def test_an_image_that_shows_nothing_does_not_stop_a_training(dataset: FakeDataset, tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")

    class OneMore(FakeDataset):
        def __init__(self) -> None:
            self.folder = dataset.folder

        def cases(self, split: str) -> list[Case]:
            return [*super().cases(split), Case("dot", "p", "s", (ImageFile(tmp_path / "dot.png", "AP"),))]

        def references(self, split: str) -> list[Reference]:
            return [*super().references(split), Reference("dot", "The left half is bright.")]

    where: dict[str, Any] = {"out": tmp_path / "out", "device": "cpu", "seed": 42, "dropout": 0.0, "words": None, "half": True}
    out = train_at(TRAINABLE, OneMore(), **where, epochs=1, eyes_epochs=1, batch_size=25, learning_rate=1e-3)
    assert json.loads((out / "about.json").read_text())["left_out"] == {"train": 1, "validate": 1}


def test_a_batch_answers_as_single_images_do(weights: Path, dataset: FakeDataset) -> None:
    texts = [
        [report.text for report in CvT2DistilGPT2(str(weights), device="cpu", batch_size=size, max_length=9).generate(dataset.cases("train"))]
        for size in (1, 3)
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 24


def test_what_cannot_be_read_fails_alone_and_says_why(model: CvT2DistilGPT2, dataset: FakeDataset, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "dot.png")

    def case(name: str, view: str = "PA") -> Case:
        return Case(name, "p", "s", (ImageFile(tmp_path / name, view),))

    good = dataset.cases("validate")[0]
    lateral = Case("lateral", "p", "s", (ImageFile(good.images[0].path, "LATERAL"),))
    reports = list(model.generate([case("broken.jpg"), case("dot.png"), lateral, Case("bare", "p", "s", ()), case("none.png"), good]))
    failures = [report.failure for report in reports]
    assert "broken.jpg: found text, not an image" in failures[0]
    assert failures[1].endswith("the image is 1 x 1 pixels, on which nothing can be seen; at least 16 x 16 are needed")
    assert failures[2].startswith("the case's first image is lateral (LATERAL), and frontal ones were learnt from; put a frontal one first")
    assert failures[3] == "the case has no image"
    assert "none.png: there is no such file" in failures[4]
    assert reports[5].text == "The right half is bright."


def test_a_lateral_image_is_read_if_asked_for_and_one_view_shown_twice_is_that_view(weights: Path, dataset: FakeDataset) -> None:
    good = dataset.cases("validate")[0]
    lateral = Case("lateral", "p", "s", (ImageFile(good.images[0].path, "LL"),))
    once = next(CvT2DistilGPT2(str(weights), device="cpu", lateral=True).generate([lateral]))
    twice = next(CvT2DistilGPT2(str(weights), device="cpu", views=2).generate([good]))
    assert once.text == twice.text == "The right half is bright."


@pytest.mark.parametrize("shape", [(40, 700), (700, 40), (16, 16)])
def test_an_image_of_any_shape_gets_a_report(model: CvT2DistilGPT2, tmp_path: Path, shape: tuple[int, int]) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)).save(tmp_path / "odd.png")
    assert not next(model.generate([Case("odd", "p", "s", (ImageFile(tmp_path / "odd.png"),))])).failure


def test_weights_say_where_they_come_from_and_their_card_what_they_learnt_from(model: CvT2DistilGPT2, weights: Path) -> None:
    about = model.provenance()
    assert about["weights_sha256"] == hashlib.sha256((weights / "weights.safetensors").read_bytes()).hexdigest()
    assert about["made_by"].startswith("python -m benchmark train")
    json.dumps(about)
    card = model.card()
    assert card.leak("phantom", "train")
    assert card.leak("phantom", "test") == ""
    assert (card.target, card.inputs, card.decoding) == ("any", ("frontal image",), "beam search, 4 beams, at most 63 pieces")


def test_a_folder_of_another_model_is_refused(weights: Path, tmp_path: Path) -> None:
    config = json.loads((weights / "config.json").read_text())
    (tmp_path / "weights.safetensors").write_bytes((weights / "weights.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"that folder holds no config\.json; take a \.ckpt"):
        CvT2DistilGPT2(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "model": "r2gen"}))
    with pytest.raises(UserError, match="is of model 'r2gen', format 1; asked for is 'cvt2distilgpt2', format 1"):
        CvT2DistilGPT2(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "sizes": {**config["sizes"], "width": 32}}))
    with pytest.raises(UserError, match=r"expected is \(.*32.*\); take"):
        load_folder(tmp_path)
    with pytest.raises(UserError, match=r"there is no .*nowhere; name the authors' \.ckpt"):
        CvT2DistilGPT2(str(tmp_path / "nowhere"))


def test_settings_that_cannot_be_are_refused(weights: Path, dataset: FakeDataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"beams is 0, .* at least 1, 1, 2 and 1 are needed"):
        CvT2DistilGPT2(str(weights), beams=0)
    with pytest.raises(UserError, match=r"beams is 9000; its search needs 18,000 pieces, and these weights have [\d,]+: take less"):
        CvT2DistilGPT2(str(weights), beams=9000)
    with pytest.raises(UserError, match="no preset 'huge'; known: demo, published"):
        train(dataset, out=tmp_path, preset="huge")


def test_what_is_needed_is_said() -> None:
    said = " ".join(text for _, text in CvT2DistilGPT2.needs())
    assert "GPL-3.0" in said
    assert "https://doi.org/10.25919/ng3g-aj81" in said
    assert "phantoms alone" in said


def test_everything_learns(weights: Path, dataset: FakeDataset) -> None:
    """No part of the network is cut off from the loss."""
    from adapters.cvt2distilgpt2.training import ReportLearner

    loaded = load_folder(weights)
    network: nn.Module = loaded.network.requires_grad_(True).train()
    learner = ReportLearner(loaded.network, loaded.pieces)
    learner.losses(learner.batch(dataset.cases("train"), dataset.references("train")))["words"].backward()  # type: ignore[no-untyped-call]
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.abs().sum()]
    assert without == []


@pytest.mark.skipif(not DEMO_WEIGHTS.is_dir(), reason="no demo weights in this checkout")
def test_the_demo_weights_are_small_and_say_that_they_know_phantoms_alone(images: Tensor, tmp_path: Path) -> None:
    demo = CvT2DistilGPT2(device="cpu")
    assert sum(file.stat().st_size for file in DEMO_WEIGHTS.iterdir()) < 4e6
    assert "train cvt2distilgpt2 --preset demo --dataset phantom" in demo.provenance()["made_by"]
    card = demo.card()
    assert "Trained on phantoms alone" in card.remarks[0]
    assert card.leak("phantom", "train")
    assert card.leak("phantom", "test") == ""
    for number, image in enumerate(images[:2]):
        Image.fromarray(image.numpy()).save(tmp_path / f"{number}.png")
    reports = list(demo.generate([Case(str(n), "p", "s", (ImageFile(tmp_path / f"{n}.png"),)) for n in range(2)]))
    assert all(report.text.endswith(".") and not report.details["stopped_at_max_length"] for report in reports)
