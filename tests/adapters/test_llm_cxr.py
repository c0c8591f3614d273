"""LLM-CXR from its published files: equal to the authors' program and taming-transformers on the same weights and JPGs (fixtures/llm_cxr.json)."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tiny_llm_cxr  # noqa: E402
from tiny_llm_cxr import LANGUAGE, VQGAN  # noqa: E402

from adapters.llm_cxr.model import INSTRUCTIONS, LLMCXR  # noqa: E402
from adapters.vision_language.stored import WrongWeights  # noqa: E402
from benchmark.datasets.images import read_radiograph  # noqa: E402
from benchmark.records import Case, ImageFile, UserError  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures"
THEIRS = json.loads((FIXTURES / "llm_cxr.json").read_text())
CKPT = "2023-09-05T13-56-50_mimic-cxr-256-txvloss-4e-compat.ckpt"


def case_of(name: str) -> Case:
    return Case(name, "p", "s", (ImageFile(FIXTURES / name, "PA"),))


CASES = [case_of(name) for name in THEIRS["images"]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both archives."""
    folder = tmp_path_factory.mktemp("published")
    tiny_llm_cxr.write_llm_cxr(folder)
    return folder


def loaded(published: Path, **settings: Any) -> LLMCXR:
    return LLMCXR(str(published), device="cpu", **{"precision": "fp32", "max_tokens": 24, **settings})


@pytest.fixture(scope="module")
def model(published: Path) -> LLMCXR:
    return loaded(published)


def seen(model: LLMCXR, case: Case) -> Any:
    return torch.from_numpy(model.picture(read_radiograph(case.images[0].path)))[None]


def logits(model: LLMCXR, case: Case) -> Any:
    """Behind the question."""
    asked = model.ask(case)
    assert not isinstance(asked, str)
    with torch.no_grad():
        return model.network.language(inputs_embeds=model.writer.embedded([asked.chunks], [asked.images()])[0]).logits[0, -1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_image_codes_prompt_logits_tokens_and_text_are_those_of_the_authors_program(model: LLMCXR, case: Case) -> None:
    theirs = THEIRS["images"][case.id]
    image = seen(model, case)
    np.testing.assert_allclose(image[0, 0].flatten()[::37].numpy(), theirs["pixels"], rtol=0, atol=1e-6)
    with torch.no_grad():
        codes = model.network.codes(image)[0].tolist()
    assert codes == theirs["codes"]
    assert len(set(codes)) > 10
    asked = model.ask(case)
    assert not isinstance(asked, str)
    first = tiny_llm_cxr.words()
    assert [*asked.chunks[0], *(code + first for code in codes), *asked.chunks[1]] == theirs["prompt"]
    np.testing.assert_allclose(logits(model, case)[::5].numpy(), theirs["logits"], rtol=1e-4, atol=1e-4)
    (written,) = model.writer.write([asked])
    assert not isinstance(written, str)
    assert written.ids == [number for number in theirs["tokens"] if number != model.end]
    assert model.finish(case, written).text == theirs["text"]


def test_answers_become_the_text_that_the_authors_program_makes_of_them(model: LLMCXR) -> None:
    """Blanks before signs go, special signs stay, as transformers 4.28 has it."""
    for one in THEIRS["texts"]:
        assert model.said(one["ids"]) == one["text"]
    assert model.said([]) == ""


def test_the_ten_instructions_are_the_authors() -> None:
    assert hashlib.sha256("\n".join(INSTRUCTIONS).encode()).hexdigest() == THEIRS["instructions_sha256"]


@pytest.mark.parametrize("sampling", [False, True])
def test_a_batch_writes_what_each_case_alone_gets(published: Path, sampling: bool) -> None:
    """Drawn tokens too: each case has a seed of its own. One image is missing, and fails alone."""
    settings: dict[str, Any] = {"sampling": sampling, "instruction": "random", "seed": 3, "max_tokens": 8}
    cases = [*CASES, Case("none", "p", "s", ())]
    alone, together = (list(loaded(published, batch_size=size, **settings).generate(cases)) for size in (1, 3))
    assert alone == together
    assert alone[-1].failure == "the case has no image"
    assert len({report.text for report in alone}) > 2


def test_another_seed_draws_another_instruction_and_other_tokens(published: Path, model: LLMCXR) -> None:
    first, second = (loaded(published, sampling=True, instruction="random", seed=seed, max_tokens=8) for seed in (0, 1))
    drawn = [[one.asked_of(Case(str(number), "p", "s", ())) for number in range(40)] for one in (first, second)]
    assert drawn[0] != drawn[1]
    assert set(drawn[0]) == set(INSTRUCTIONS)
    assert [report.text for report in first.generate(CASES)] != [report.text for report in second.generate(CASES)]
    assert model.asked_of(CASES[0]) == INSTRUCTIONS[0]


def test_words_of_an_image_in_an_answer_are_kept_and_counted(published: Path) -> None:
    fresh = loaded(published)
    reports = {report.case_id: report for report in fresh.generate(CASES)}
    odd = reports["chest_1.jpg"]
    assert odd.details["ids_with_words_of_an_image"] == THEIRS["images"]["chest_1.jpg"]["tokens"]
    assert odd.text
    assert sum(fresh.writer.rate.unread.values()) == 2
    assert not reports["chest_0.jpg"].details


def test_the_vqgan_keeps_32_bits_where_the_language_model_has_16(published: Path) -> None:
    """In bf16 half of the codes would be others."""
    half = loaded(published, precision="bf16")
    assert half.network.language.dtype == torch.bfloat16
    with torch.no_grad():
        assert half.network.codes(seen(half, CASES[1]))[0].tolist() == THEIRS["images"]["chest_1.jpg"]["codes"]
    assert all(not report.failure for report in half.generate(CASES))


def rewritten(published: Path, folder: Path, file: str, inside: str, change: Any) -> Path:
    """A copy in which ``change`` was done to the tensors of a file."""
    shutil.copytree(published, folder)
    held = torch.load(folder / file, weights_only=True)
    change(held[inside] if inside else held)
    torch.save(held, folder / file)
    return folder


def swap(first: str, second: str) -> Any:
    def change(state: dict[str, Any]) -> None:
        state[first], state[second] = state[second], state[first]

    return change


@pytest.mark.parametrize(
    ("file", "inside", "first", "second"),
    [
        (f"{LANGUAGE}/pytorch_model.bin", "", "gpt_neox.embed_in.weight", "embed_out.weight"),
        (f"{LANGUAGE}/pytorch_model.bin", "", "gpt_neox.layers.0.attention.dense.weight", "gpt_neox.layers.1.attention.dense.weight"),
        (f"{VQGAN}/{CKPT}", "state_dict", "encoder.mid.attn_1.k.weight", "encoder.mid.attn_1.v.weight"),
    ],
)
def test_a_tensor_under_anothers_name_is_seen_in_the_logits(published: Path, tmp_path: Path, file: str, inside: str, first: str, second: str) -> None:
    """The negative control of the comparison above: the shapes are the same, so only the numbers can tell."""
    other = loaded(rewritten(published, tmp_path / "other", file, inside, swap(first, second)))
    difference = np.abs(logits(other, CASES[1])[::5].numpy() - THEIRS["images"]["chest_1.jpg"]["logits"]).max()
    assert difference > 0.01


@pytest.mark.parametrize(
    ("file", "inside", "old", "new", "said"),
    [
        (f"{LANGUAGE}/pytorch_model.bin", "", "embed_out.weight", "", r"1 are missing \(first language.lm_head.weight\)"),
        (
            f"{LANGUAGE}/pytorch_model.bin",
            "",
            "gpt_neox.final_layer_norm.bias",
            "gpt_neox.norm.bias",
            r"1 have no place \(first language.gpt_neox.norm",
        ),
        (f"{VQGAN}/{CKPT}", "state_dict", "quantize.embedding.weight", "", r"1 are missing \(first vqgan.quantize.embedding.weight\)"),
        (f"{VQGAN}/{CKPT}", "state_dict", "quant_conv.bias", "encoder.conv_in.bias", r"1 are of another shape \(first vqgan.encoder.conv_in.bias"),
    ],
)
def test_a_tensor_too_few_too_many_or_of_another_shape_is_refused_by_name(
    published: Path, tmp_path: Path, file: str, inside: str, old: str, new: str, said: str
) -> None:
    def change(state: dict[str, Any]) -> None:
        value = state.pop(old)
        if new:
            state[new] = value

    with pytest.raises(WrongWeights, match=said):
        loaded(rewritten(published, tmp_path / "other", file, inside, change))


def test_files_of_other_models_are_refused_with_the_remedy(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"llm_cxr: no weights are named, .* name it: llm_cxr:FOLDER"):
        LLMCXR(device="cpu")
    with pytest.raises(UserError, match=rf"llm_cxr.weights={VQGAN}: holds neither config.json nor the folder {LANGUAGE}"):
        LLMCXR(str(published / VQGAN), device="cpu")
    with pytest.raises(UserError, match=r"llm_cxr.vqgan=nowhere: is no folder; unpack"):
        LLMCXR(str(published), device="cpu", vqgan=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="the instruction has an <image> of its own"):
        loaded(published, instruction="Describe <image>.")
    other = tmp_path / "other"
    shutil.copytree(published, other)
    (yaml,) = (other / VQGAN).glob("*.yaml")
    yaml.write_text(yaml.read_text().replace("n_embed: 48", "n_embed: 47"))
    with pytest.raises(WrongWeights, match="the model has rows for 413 words, the vocabulary has 365 and the VQ-GAN 47"):
        loaded(other)
    yaml.write_text(yaml.read_text().replace("ch_mult", "ch_times"))
    with pytest.raises(WrongWeights, match=r"project-compat.yaml does not tell the sizes of a VQ-GAN \('ch_mult'\)"):
        loaded(other)
    yaml.rename(yaml.with_suffix(".txt"))
    with pytest.raises(WrongWeights, match=rf"{VQGAN} holds no \*.yaml, one is expected"):
        loaded(other)


def test_a_checkpoint_that_holds_more_than_tensors_is_opened_only_if_trusted(published: Path, tmp_path: Path) -> None:
    """A training checkpoint of Lightning keeps its callbacks by their class."""
    shutil.copytree(published, tmp_path / "other")
    file = tmp_path / "other" / VQGAN / CKPT
    torch.save({**torch.load(file, weights_only=True), "callbacks": {Path: {}}}, file)
    with pytest.raises(WrongWeights, match=r"holds more than tensors .* --set llm_cxr.trust_pickle=yes"):
        loaded(tmp_path / "other")
    assert loaded(tmp_path / "other", trust_pickle=True).image_tokens == 256


def test_card_provenance_and_doctor_say_what_made_the_reports(published: Path, model: LLMCXR) -> None:
    card, made = model.card(), model.provenance()
    assert card.target == "impression"
    assert card.inputs == ("frontal image",)
    assert card.decoding == "greedy, at most 24 tokens"
    assert "chest_imagenome" in (card.leaks or {})
    assert "mimic_cxr/validate" not in (card.leaks or {})
    assert "seed" not in made
    assert made["instruction"] == INSTRUCTIONS[0]
    file = published / VQGAN / CKPT
    assert made["files_sha256"][CKPT] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(made["files_sha256"]) == 5
    assert str(published) not in str(made)
    drawn = loaded(published / LANGUAGE, sampling=True, instruction="random", seed=5)  # the other archive lies beside it
    assert drawn.card().decoding.startswith("tokens drawn, top-p 0.92, seed 5")
    assert drawn.provenance()["seed"] == 5
    assert any("drawn by seed 5" in remark for remark in drawn.card().remarks)
    packages, files, memory = LLMCXR.needs()
    assert packages == (True, "packages")
    assert not files[0]
    assert "llm_cxr:FOLDER" in files[1]
    assert "bf16 " in memory[1]
