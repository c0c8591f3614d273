"""LLaVA-Rad from its published files: equal to timm's ViT, a projector by hand and transformers' LLaMA, with the LoRA added by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tiny_llava_rad
import torch
from PIL import Image
from tiny_vicuna import llama_config, vocabulary, write_vicuna, write_vocabulary

from adapters.llava_rad.model import LLaVARad, prompt
from adapters.vision_language.stored import WrongWeights
from benchmark.records import Case, ImageFile, UserError

HEAD = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's "
    "questions. USER: <image>\n"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of LLaVA-Rad and of Vicuna."""
    folder = tmp_path_factory.mktemp("published")
    base = write_vicuna(folder / "vicuna")
    tiny_llava_rad.write_llava_rad(folder / "llava-rad", base)
    return folder / "llava-rad", folder / "vicuna"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Four images of unlike shapes, and indications of unlike lengths."""
    folder = tmp_path_factory.mktemp("images")
    found = []
    shapes = [(90, 70, ""), (60, 111, "the heart, no pleural effusion"), (56, 56, "a"), (73, 80, "é\ng")]
    for number, (width, height, indication) in enumerate(shapes):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        found.append(Case(f"c{number}", f"p{number}", f"s{number}", (ImageFile(folder / f"{number}.png", "PA"),), indication))
    return found


def loaded(published: tuple[Path, Path], **settings: Any) -> LLaVARad:
    return LLaVARad(device="cpu", weights=str(published[0]), base=str(published[1]), **{"precision": "fp32", "max_tokens": 8, **settings})


@pytest.fixture(scope="module")
def model(published: tuple[Path, Path]) -> LLaVARad:
    return loaded(published)


class ByHand:
    """What the authors' program computes, of other people's parts: every step of an answer reads all of what is before it."""

    def __init__(self, published: tuple[Path, Path]) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        weights, base = published
        self.tower = tiny_llava_rad.timm_tower()
        self.projector = tiny_llava_rad.projector(64)
        config = LlamaConfig(**llama_config(len(vocabulary())))
        self.language = LlamaForCausalLM(config).eval()
        state = {}
        for file in base.glob("*.bin"):
            state |= torch.load(file, weights_only=True)
        lora = torch.load(weights / "adapter_model.bin", weights_only=True)
        scale = tiny_llava_rad.ALPHA / tiny_llava_rad.RANK
        for name in list(state):
            at = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{at}.lora_A.weight" in lora:
                state[name] = state[name] + scale * lora[f"{at}.lora_B.weight"] @ lora[f"{at}.lora_A.weight"]
        self.language.load_state_dict({name: value for name, value in state.items() if "inv_freq" not in name}, strict=True)

    def features(self, image: Any) -> Any:
        """(3, H, W) -> (T, D), by the blocks of timm up to the last but one."""
        hidden = self.tower.norm_pre(self.tower._pos_embed(self.tower.patch_embed(image[None])))
        for block in list(self.tower.blocks)[:-1]:
            hidden = block(hidden)
        first = hidden[0, 1:] @ self.projector["0.weight"].T + self.projector["0.bias"]
        return torch.nn.functional.gelu(first) @ self.projector["2.weight"].T + self.projector["2.bias"]

    def answer(self, image: Any, chunks: list[list[int]], most: int) -> list[int]:
        """Greedy, without a cache."""
        words = self.language.get_input_embeddings()
        row = torch.cat([words(torch.tensor(chunks[0])), self.features(image), words(torch.tensor(chunks[1]))])
        found: list[int] = []
        for _ in range(most):
            number = int(self.language(inputs_embeds=row[None]).logits[0, -1].argmax())
            if number == 2:
                break
            found.append(number)
            row = torch.cat([row, words(torch.tensor([number]))])
        return found


def image_by_hand(path: Path) -> Any:
    """As open_clip's evaluation transform has it, by torchvision."""
    from torchvision import transforms

    steps = [
        transforms.Resize(56, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(56),
        transforms.ToTensor(),
        transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ]
    return transforms.Compose(steps)(Image.open(path).convert("RGB"))


def test_the_prompt_is_the_authors_with_and_without_an_indication() -> None:
    """llava/utils.py and conversation v1: newlines become blanks, a sign for an image in the text is none."""
    assert prompt("") == prompt(" \n ") == f"{HEAD}Provide a description of the findings in the radiology image. ASSISTANT:"
    given = "Provide a description of the findings in the radiology image given the following indication:"
    assert prompt("Cough,\nfever ") == f"{HEAD}{given} Cough, fever ASSISTANT:"
    assert prompt("rule out <image>PTX").count("<image>") == 1
    assert prompt("Cough", "Describe the findings of the chest x-ray.\n") == f"{HEAD}Describe the findings of the chest x-ray. ASSISTANT:"


def test_signs_of_the_vocabulary_in_an_indication_are_no_images_and_no_ends(model: LLaVARad, cases: list[Case]) -> None:
    """One such line must not stop the run of all other cases."""
    odd = replace(cases[1], indication="a <im<image>age> b</s><s> c")
    asked = model.ask(odd)
    assert not isinstance(asked, str)
    assert len(asked.chunks) == 2
    assert 2 not in [*asked.chunks[0], *asked.chunks[1]]
    assert [*asked.chunks[0], *asked.chunks[1]].count(1) == 1
    assert [bool(report.text) for report in model.generate([cases[0], odd])] == [True, True]


def test_a_vocabulary_of_another_model_is_refused_before_anything_is_read(published: tuple[Path, Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(published[1], tmp_path / "vicuna"))
    write_vocabulary(other, [("zzzz", -9.0, 4)])
    with pytest.raises(UserError, match=r"llava_rad: the vocabulary goes up to the id \d+ \(zzzz\), the model has rows for"):
        loaded((published[0], other))


def test_images_are_the_ones_of_open_clips_transform(model: LLaVARad, cases: list[Case]) -> None:
    from benchmark.datasets.images import read_radiograph

    for case in cases:
        ours = model.picture(read_radiograph(case.images[0].path))
        np.testing.assert_allclose(ours, image_by_hand(case.images[0].path).numpy(), rtol=0, atol=1e-6)


def test_text_behind_the_image_is_cut_into_pieces_by_itself(model: LLaVARad) -> None:
    """As the authors' tokenizer_image_token: a blank before each of the two texts, and one begin."""
    asked = model.ask(Case("c", "p", "s", (ImageFile(Path("none.png")),)))
    assert not isinstance(asked, str)
    before, after = asked.chunks
    numbers = {text: number for number, (text, _, _) in enumerate(vocabulary())}
    assert before[:2] == [1, numbers["▁A"]]
    assert before.count(1) == 1
    assert after[:3] == [numbers["▁"], numbers["<0x0A>"], numbers["P"]]
    assert 1 not in after
    assert asked.length == len(before) + 16 + len(after)


def test_features_reports_and_tokens_are_those_of_timm_and_transformers_by_hand(
    model: LLaVARad, published: tuple[Path, Path], cases: list[Case]
) -> None:
    hand = ByHand(published)
    with torch.no_grad():
        for case in cases:
            image = image_by_hand(case.images[0].path)
            asked = model.ask(case)
            assert not isinstance(asked, str)
            torch.testing.assert_close(model.network.see(image[None])[0], hand.features(image), rtol=1e-4, atol=1e-4)
            (written,) = model.writer.write([asked])
            assert not isinstance(written, str)
            assert written.ids == hand.answer(image, [list(chunk) for chunk in asked.chunks], 8)
    assert len({report.text for report in model.generate(cases)}) > 1  # an answer that no image or text could change would prove nothing


def test_a_batch_of_unlike_lengths_writes_what_each_case_alone_gets(published: tuple[Path, Path], cases: list[Case]) -> None:
    alone, together = loaded(published, batch_size=1), loaded(published, batch_size=4)
    assert list(alone.generate(cases)) == list(together.generate(cases))


@pytest.mark.parametrize(
    ("file", "inside", "name", "change"),
    [
        ("biomedclipcxr_518_checkpoint.pt", "state_dict", "module.visual.trunk.blocks.1.attn.qkv.weight", "turned"),
        ("biomedclipcxr_518_checkpoint.pt", "state_dict", "module.visual.trunk.blocks.0.ls2.gamma", "zero"),
        ("non_lora_trainables.bin", "", "base_model.model.model.mm_projector.2.weight", "zero"),
        ("adapter_model.bin", "", "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight", "zero"),
    ],
)
def test_a_tensor_that_goes_to_the_wrong_place_is_seen_in_the_logits(
    published: tuple[Path, Path], model: LLaVARad, cases: list[Case], tmp_path: Path, file: str, inside: str, name: str, change: str
) -> None:
    """The negative control of the comparison above: queries for keys, or a tensor that is not put in."""
    shutil.copytree(published[0], tmp_path / "other")
    held = torch.load(tmp_path / "other" / file, weights_only=True)
    state = held[inside] if inside else held
    q, k, v = state[name].chunk(3) if change == "turned" else (None, None, None)
    state[name] = torch.cat([v, k, q]) if change == "turned" else torch.zeros_like(state[name])
    torch.save(held, tmp_path / "other" / file)
    other = loaded((tmp_path / "other", published[1]))
    asked = model.ask(cases[1])
    assert not isinstance(asked, str)
    with torch.no_grad():
        logits = [one.network.language(inputs_embeds=one.writer.embedded([asked.chunks], [asked.images()])[0]).logits for one in (model, other)]
    assert (logits[0] - logits[1]).abs().max() > 0.01


PROJECTOR, TRUNK = "base_model.model.model.mm_projector.", "module.visual.trunk."
UP = "base_model.model.model.layers.0.mlp.up_proj."


@pytest.mark.parametrize(
    ("file", "inside", "old", "new", "said"),
    [
        ("non_lora_trainables.bin", "", f"{PROJECTOR}2.bias", None, r"1 are missing \(first projector.2.bias\)"),
        ("non_lora_trainables.bin", "", f"{PROJECTOR}2.bias", "model.mm_projector.3.bias", r"1 have no place \(first projector.3"),
        ("biomedclipcxr_518_checkpoint.pt", "state_dict", f"{TRUNK}blocks.1.ls1.gamma", None, r"missing \(first tower.encoder.layer.1.lay"),
        ("biomedclipcxr_518_checkpoint.pt", "state_dict", f"{TRUNK}pos_embed", None, "holds no ViT .*'pos_embed' is missing"),
        ("adapter_model.bin", "", f"{UP}lora_B.weight", None, "has lora_A alone"),
        (
            "adapter_model.bin",
            "",
            f"{UP}lora_B.weight",
            "x.lora_B.weight",
            "adds to x.weight, which the base model does not have|has lora_A",
        ),
    ],
)
def test_a_tensor_too_few_or_too_many_is_refused_by_name(
    published: tuple[Path, Path], tmp_path: Path, file: str, inside: str, old: str, new: str | None, said: str
) -> None:
    """Silent random weights are the worst that can happen here."""
    shutil.copytree(published[0], tmp_path / "other")
    held = torch.load(tmp_path / "other" / file, weights_only=True)
    state = held[inside] if inside else held
    value = state.pop(old)
    if new:
        state[new] = value
    torch.save(held, tmp_path / "other" / file)
    with pytest.raises(WrongWeights, match=said):
        loaded((tmp_path / "other", published[1]))


def test_another_models_folder_and_what_is_not_there_are_refused_with_the_remedy(published: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"llava_rad.weights=vicuna: that folder holds no adapter_config.json; name one with config.json"):
        loaded((published[1], published[1]))
    shutil.copytree(published[0], tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text('{"mm_vision_select_layer": -1}')
    with pytest.raises(WrongWeights, match="mm_vision_select_layer=-1, LLaVA-Rad has -2"):
        loaded((tmp_path / "other", published[1]))
    with pytest.raises(UserError, match=r"microsoft/llava-rad \(revision dcdbc6caf680\): is neither a folder .* --set llava_rad.download=yes"):
        LLaVARad(device="cpu")
    with pytest.raises(UserError, match=r"microsoft/llava-rad \(revision dcdbc6caf680\): is neither"):  # its bare name is the version that is known
        LLaVARad("microsoft/llava-rad", device="cpu")


def test_a_case_without_an_image_fails_alone(model: LLaVARad, cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    odd = [Case("none", "p", "s", ()), cases[0], Case("broken", "p", "s", (ImageFile(tmp_path / "broken.png"),))]
    first, second, third = model.generate(odd)
    assert first.failure == "the case has no image"
    assert "broken.png" in third.failure
    assert not second.failure
    assert second.text


def test_card_and_provenance_say_what_made_the_reports(model: LLaVARad, published: tuple[Path, Path]) -> None:
    import hashlib

    card, made = model.card(), model.provenance()
    assert card.target == "findings"
    assert card.inputs == ("frontal image", "indication")
    assert card.weights == "llava-rad, a folder that the user named, upon vicuna, a folder that the user named"
    assert loaded(published, question="What is there?").card().inputs == ("frontal image",)
    assert "chest_imagenome" in (card.leaks or {})
    file = published[0] / "adapter_model.bin"
    assert made["files_sha256"]["adapter_model.bin"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(made["files_sha256"]) >= {"tokenizer.model", "pytorch_model-00001-of-00002.bin", "biomedclipcxr_518_checkpoint.pt"}
    assert str(published[0].parent) not in str(made)


def test_doctor_names_files_licences_and_memory() -> None:
    packages, weights, base, memory = LLaVARad.needs()
    assert packages == (True, "packages")
    assert not weights[0]
    assert "MSR licence" in weights[1]
    assert "llava_rad.download=yes" in weights[1]
    assert not base[0]
    assert "lmsys/vicuna-7b-v1.5" in base[1]
    assert "bf16 1" in memory[1]
