"""XrayGPT from its published files: equal to the authors' program on the same weights and JPGs (fixtures/xraygpt.json)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tiny_xraygpt  # noqa: E402
from tiny_xraygpt import BASE  # noqa: E402

from adapters.vision_language.pieces import around_images  # noqa: E402
from adapters.vision_language.stored import WrongWeights, whole  # noqa: E402
from adapters.vision_language.writing import Written  # noqa: E402
from adapters.xraygpt.model import IMAGE, PROMPTS, QUESTION, QUESTIONS, XrayGPT  # noqa: E402
from adapters.xraygpt.network import open_files, with_whole_biases  # noqa: E402
from benchmark.datasets.images import read_radiograph  # noqa: E402
from benchmark.records import Case, ImageFile, UserError  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures"
THEIRS = json.loads((FIXTURES / "xraygpt.json").read_text())


def case_of(name: str) -> Case:
    return Case(name, "p", "s", (ImageFile(FIXTURES / name, "PA"),))


CASES = [case_of(name) for name in THEIRS["images"]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all four."""
    folder = tmp_path_factory.mktemp("published") / "files"
    tiny_xraygpt.write_xraygpt(folder)
    return folder


def loaded(published: Path, **settings: Any) -> XrayGPT:
    return XrayGPT(str(published), device="cpu", **{"precision": "fp32", "max_tokens": 24, "sampling": False, **settings})


@pytest.fixture(scope="module")
def model(published: Path) -> XrayGPT:
    return loaded(published)


@pytest.fixture(scope="module")
def drawing(published: Path) -> XrayGPT:
    """As it is without a setting: tokens are drawn; and questions too."""
    return XrayGPT(str(published), device="cpu", precision="fp32", max_tokens=8, batch_size=3, seed=3, question="random", style="demo")


def seen(model: XrayGPT, case: Case) -> Any:
    """The features of its image."""
    with torch.no_grad():
        return model.network.see(torch.from_numpy(model.picture(read_radiograph(case.images[0].path)))[None])[0]


def logits(model: XrayGPT, case: Case) -> Any:
    """Behind the question."""
    asked = model.ask(case)
    assert not isinstance(asked, str)
    with torch.no_grad():
        return model.network.language(inputs_embeds=model.writer.embedded([asked.chunks], [asked.images()])[0]).logits[0, -1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_image_features_logits_and_tokens_are_those_of_the_authors_program(model: XrayGPT, case: Case) -> None:
    theirs = THEIRS["images"][case.id]
    picture = model.picture(read_radiograph(case.images[0].path))
    np.testing.assert_allclose(picture.flatten()[::211], theirs["pixels"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(seen(model, case).flatten()[::7].numpy(), theirs["features"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits(model, case)[::7].numpy(), theirs["logits"], rtol=1e-4, atol=5e-4)
    asked = model.ask(case)
    assert not isinstance(asked, str)
    (written,) = model.writer.write([asked])
    assert not isinstance(written, str)
    assert [model.begin, *written.ids] == theirs["tokens"]  # transformers 4.28 begins what is written to embeddings with a sign of its own
    assert written.is_cut


def test_the_demos_words_get_the_demos_answer(model: XrayGPT) -> None:
    model.style, model.question = "demo", "Describe the lungs."
    theirs = THEIRS["images"]["chest_2.jpg"]
    asked = model.ask(CASES[2])
    assert not isinstance(asked, str)
    (written,) = model.writer.write([asked])
    assert not isinstance(written, str)
    model.style, model.question = "evaluation", ""
    assert asked.length == theirs["demo_length"]
    assert [model.begin, *written.ids] == theirs["demo_tokens"]
    # Its text is bytes that are no signs for the most part: of such a run SentencePiece keeps the letters, tokenizers none.
    assert model.said(written.ids).split()[-1] == theirs["demo_text"].split()[-1]


def test_prompts_and_their_token_ids_are_the_authors(model: XrayGPT) -> None:
    """All fifteen of the evaluation, and the demo's with who is speaking before it; each text beside the image is cut into pieces by itself."""
    assert [PROMPTS["evaluation"].format(question=question) for question in QUESTIONS] == THEIRS["prompts"]
    for prompt, ids in zip(THEIRS["prompts"], THEIRS["prompt_ids"], strict=True):
        assert around_images(model.pieces, prompt, model.begin, image=IMAGE) == ids
    demo = PROMPTS["demo"].format(question="Describe the lungs.")
    assert demo == THEIRS["demo_prompt"]
    assert around_images(model.pieces, demo, model.begin, image=IMAGE) == THEIRS["demo_ids"]
    asked = model.ask(CASES[0])
    assert not isinstance(asked, str)
    assert list(asked.chunks) == THEIRS["prompt_ids"][QUESTIONS.index(QUESTION)]


def test_answers_become_the_text_that_the_authors_program_makes_of_them(model: XrayGPT, drawing: XrayGPT) -> None:
    """First signs, what is behind ###, what is before the last Doctor:, and in the demo another's name."""
    assert len(THEIRS["texts"]) > 8
    for one in THEIRS["texts"]:
        assert (model.said(one["ids"]), drawing.said(one["ids"])) == (one["evaluation"], one["demo"])


def test_an_answer_of_which_nothing_is_left_stays_as_it_came_and_is_counted(model: XrayGPT) -> None:
    ids = list(model.pieces.encode("Doctor:", add_special_tokens=False).ids)
    before = model.writer.rate.unread.total()
    report = model.finish(CASES[0], Written("Doctor:", ids, is_cut=False))
    assert (report.text, report.details) == ("Doctor:", {"is_raw": True})
    assert model.writer.rate.unread.total() == before + 1
    assert model.finish(CASES[0], Written("", [], is_cut=False)).text == ""
    assert model.writer.rate.unread.total() == before + 1


def test_a_batch_draws_what_each_case_alone_draws(drawing: XrayGPT) -> None:
    """Each case has a seed of its own. One image is missing, and fails alone."""
    together = list(drawing.generate([*CASES, Case("none", "p", "s", ())]))
    alone = [next(drawing.generate([case])) for case in CASES]
    assert together[:3] == alone
    assert together[3].failure == "the case has no image"
    assert len({report.text for report in alone}) == 3
    assert {drawing.asked_of(Case(str(number), "p", "s", ())) for number in range(99)} == set(QUESTIONS)
    drawing.seed = 4
    assert [next(drawing.generate([case])) for case in CASES] != alone
    drawing.seed = 3


def test_a_greedy_batch_writes_what_each_case_alone_gets(model: XrayGPT) -> None:
    """Questions of unlike lengths are filled up on the left."""
    model.question = "random"
    chunks = [asked.chunks for asked in map(model.ask, CASES) if not isinstance(asked, str)]
    assert len({len(after) for _, after in chunks}) > 1
    together = list(model.generate(CASES))
    alone = [next(model.generate([case])) for case in CASES]
    model.question = ""
    assert together == alone


@contextmanager
def swapped(model: XrayGPT, first: str, second: str) -> Iterator[None]:
    """Two tensors of one shape, each in the other's place."""
    one, other = model.network.get_parameter(first), model.network.get_parameter(second)
    one.data, other.data = other.data, one.data
    yield
    one.data, other.data = other.data, one.data


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("eyes.encoder.layers.0.layer_norm1.weight", "eyes.encoder.layers.0.layer_norm2.weight"),
        ("eyes.encoder.layers.37.self_attn.projection.weight", "eyes.encoder.layers.38.self_attn.projection.weight"),
        ("qformer.encoder.layer.0.attention.attention.query.weight", "qformer.encoder.layer.0.attention.attention.key.weight"),
        ("qformer.encoder.layer.2.crossattention.attention.key.weight", "qformer.encoder.layer.2.crossattention.attention.value.weight"),
        ("qformer.encoder.layer.3.attention.output.LayerNorm.weight", "qformer.encoder.layer.3.output_query.LayerNorm.weight"),
        ("language.lm_head.weight", "language.model.embed_tokens.weight"),
    ],
)
def test_a_tensor_in_anothers_place_is_seen(model: XrayGPT, first: str, second: str) -> None:
    """The negative control of the comparison above: the shapes are the same, so only the numbers can tell."""
    with swapped(model, first, second):
        features, said = seen(model, CASES[1]).flatten()[::7].numpy(), logits(model, CASES[1])[::7].numpy()
    theirs = THEIRS["images"]["chest_1.jpg"]
    assert max(np.abs(features - theirs["features"]).max(), np.abs(said - theirs["logits"]).max() / 5) > 1e-3


def test_biases_of_queries_and_values_stand_before_and_behind_zeros() -> None:
    q, v = whole(torch.tensor([1.0, 2.0])), whole(torch.tensor([3.0, 4.0]))
    pair = {"blocks.0.attn.q_bias": q, "blocks.0.attn.v_bias": v, "x": q}
    joined = with_whole_biases(pair)
    assert sorted(joined) == ["blocks.0.attn.qkv.bias", "x"]
    assert joined["blocks.0.attn.qkv.bias"].shape == (6,)
    assert joined["blocks.0.attn.qkv.bias"].read().tolist() == [1, 2, 0, 0, 3, 4]
    del pair["blocks.0.attn.v_bias"]
    with pytest.raises(WrongWeights, match=r"eva_vit_g.pth has blocks.0.attn.q_bias without the other of the pair"):
        with_whole_biases(pair)


@pytest.mark.parametrize(
    ("file", "inside", "old", "new", "said"),
    [
        ("eva_vit_g.pth", "", "blocks.38.mlp.fc2.bias", "", r"1 are missing \(first eyes.encoder.layers.38.mlp.fc2.bias\)"),
        ("eva_vit_g.pth", "", "blocks.3.norm1.bias", "blocks.3.gamma_1", r"1 have no place \(first eyes.blocks.3.gamma_1\)"),
        ("blip2_pretrained_flant5xxl.pth", "model", "ln_vision.weight", "", r"1 are missing \(first eyes.post_layernorm.weight\)"),
        ("blip2_pretrained_flant5xxl.pth", "model", "query_tokens", "", r"hold no ViT and no Q-Former \('queries' is missing\)"),
        ("xraygpt_pretrained1.pth", "model", "llama_proj.bias", "", r"1 are missing \(first projection.bias\)"),
        ("xraygpt_pretrained1.pth", "model", "llama_proj.bias", "query_tokens", r"1 have no place \(first query_tokens\)"),
    ],
)
def test_a_tensor_too_few_or_too_many_is_refused_by_name(
    published: Path, model: XrayGPT, tmp_path: Path, file: str, inside: str, old: str, new: str, said: str
) -> None:
    """Checked as loading does it, against the network that is there."""
    from adapters.vision_language.loading import check_fit

    for name in ("eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth", "xraygpt_pretrained1.pth"):
        if name != file:
            (tmp_path / name).symlink_to(published / name)
    held = torch.load(published / file, weights_only=True)
    state = held[inside] if inside else held
    value = state.pop(old)
    if new:
        state[new] = value
    torch.save(held, tmp_path / file)
    with pytest.raises(WrongWeights, match=said):
        check_fit(model.network, open_files(tmp_path, published / BASE).stored, "xraygpt")


def test_files_that_are_not_there_and_settings_that_are_none_are_refused_with_the_remedy(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"xraygpt: no weights are named, .* name their folder: xraygpt:FOLDER"):
        XrayGPT(device="cpu")
    with pytest.raises(UserError, match=rf"xraygpt.weights={BASE}: holds no eva_vit_g.pth, no blip2_pretrained_flant5xxl.pth, no xraygpt_pre"):
        XrayGPT(str(published / BASE), device="cpu")
    with pytest.raises(UserError, match=r"xraygpt.base=nowhere: holds no config.json; unpack"):
        XrayGPT(str(published), device="cpu", base=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"xraygpt has no style='chat'; known: evaluation, demo"):
        loaded(published, style="chat")
    with pytest.raises(UserError, match="the question has an <ImageHere> of its own"):
        loaded(published, question="Describe <ImageHere>.")
    (tmp_path / "other").mkdir()
    for name in ("eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth"):
        shutil.copy(published / name, tmp_path / "other" / name)
    torch.save({"model": {}, "config": Path("x")}, tmp_path / "other" / "xraygpt_pretrained1.pth")
    with pytest.raises(WrongWeights, match=r"holds more than tensors .* --set xraygpt.trust_pickle=yes"):
        loaded(tmp_path / "other", base=str(published / BASE))


def test_card_provenance_and_doctor_say_what_made_the_reports(published: Path, model: XrayGPT, drawing: XrayGPT) -> None:
    card, made = model.card(), model.provenance()
    assert card.target == "findings and impression"
    assert (card.inputs, card.decoding) == (("frontal image",), "greedy, at most 24 tokens")
    assert {"iu_xray", "chest_imagenome", "mimic_cxr/train"} <= set(card.leaks or {})
    assert made["question"] == QUESTION
    assert "seed" not in made
    file = published / "xraygpt_pretrained1.pth"
    assert made["files_sha256"][file.name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(made["files_sha256"]) == 6
    assert str(published) not in str(made)
    assert drawing.card().decoding == "tokens drawn, top-p 0.9, top-k 50, seed 3, at most 8 tokens"
    assert drawing.provenance()["seed"] == 3
    packages, files, memory = XrayGPT.needs()
    assert packages == (True, "packages")
    assert not files[0]
    assert "xraygpt:FOLDER" in files[1]
    assert "bf16 1" in memory[1]


def test_the_qformer_keeps_32_bits_where_the_others_have_16(published: Path, model: XrayGPT) -> None:
    half = loaded(published, precision="bf16")
    kinds = {name: half.network.get_parameter(name).dtype for name in ("queries", "qformer.layernorm.weight", "projection.weight")}
    assert list(kinds.values()) == [torch.float32, torch.float32, torch.bfloat16]
    (report,) = half.generate(CASES[:1])
    assert not report.failure
    assert (seen(half, CASES[0]).float() - seen(model, CASES[0])).abs().max() < 0.3
