"""Any image-text-to-text model of transformers: asked as its template says, alike in batches and alone, and never with a tensor made up."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parent))

from tiny_vlm import TEMPLATE, write_tiny_vlm

from adapters.hf_model.asking import Asked, NoTemplate
from adapters.hf_model.model import HFModel
from adapters.hf_model.network import UnknownKind
from adapters.pretrained import NoNetwork
from adapters.vision_language.memory import TooLittleMemory
from adapters.vision_language.stored import WrongWeights
from benchmark.records import Case, ImageFile, UserError

PROMPT = "Write the FINDINGS .\n{images}\nWhy: {indication}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prompt") / "mine.md"
    file.write_text(PROMPT)
    return file


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Four examinations of noise, the second with a longer question."""
    films = tmp_path_factory.mktemp("films")
    found = []
    for number, why in enumerate(["", "Fever, no effusion, heart large.", "", "Fever."]):
        paths = [films / f"{number}-{view}.png" for view in ("pa", "lateral", "before")]
        for place, path in enumerate(paths):
            Image.fromarray(np.random.default_rng(10 * number + place).integers(0, 255, (50, 40)).astype(np.uint8)).save(path)
        images = (ImageFile(paths[0], "PA"), ImageFile(paths[1], "LATERAL"))
        found.append(Case(f"c{number}", "p", "s", images, indication=why, prior_image=paths[2]))
    return found


@pytest.fixture(scope="module")
def make(folder: Path, prompt: Path) -> Callable[..., HFModel]:
    def made(where: Path = folder, **settings: Any) -> HFModel:
        return HFModel(str(where), **{"device": "cpu", "precision": "fp32", "prompt": prompt, "max_new_tokens": 8, **settings})

    return made


@pytest.fixture(scope="module")
def model(make: Callable[..., HFModel]) -> HFModel:
    return make()


def altered(folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the folder with other tensors."""
    from safetensors.torch import load_file, save_file

    other = Path(shutil.copytree(folder, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    change(tensors)
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    return other


def test_the_text_sent_is_what_the_models_own_template_makes_of_the_prompt(model: HFModel, cases: list[Case]) -> None:
    asked = model._ask(cases[1])
    assert isinstance(asked, Asked)
    sent = model.asking.in_template(asked.text, len(asked.images))
    assert sent == ("USER: <image> Write the FINDINGS .\nImage 1: this examination, PA view.\nWhy: Fever, no effusion, heart large. ASSISTANT:")
    ids = model.asking.tensors([asked])["input_ids"][0].tolist()
    assert ids.count(model.network.config.image_token_id) == 4  # (28 / 14) squared, of the one image


def test_a_batch_writes_what_each_case_alone_writes(make: Callable[..., HFModel], model: HFModel, cases: list[Case]) -> None:
    """Filled up on the left, and not seen: else the shorter question would be answered otherwise."""
    together = [report.text for report in make(batch_size=4).generate(cases)]
    model.batch_size = 1
    assert together == [report.text for report in model.generate(cases)]
    assert len(set(together)) > 1  # the image and the words do decide what is written


def test_it_writes_what_transformers_own_generation_finds_likeliest(model: HFModel, folder: Path, cases: list[Case]) -> None:
    """Against the processor and the network by hand: one case, no cache of keys and values, the largest of the logits eight times."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, network = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    asked = model._ask(cases[1])
    assert isinstance(asked, Asked)
    text = "USER: <image> Write the FINDINGS .\nImage 1: this examination, PA view.\nWhy: Fever, no effusion, heart large. ASSISTANT:"
    film = Image.open(cases[1].images[0].path).convert("RGB")
    read = processor(text=text, images=film, return_tensors="pt")
    ids, written = read["input_ids"], []
    for _ in range(8):
        with torch.no_grad():
            best = network(input_ids=ids, pixel_values=read["pixel_values"], use_cache=False).logits[0, -1].argmax()
        if int(best) == processor.tokenizer.eos_token_id:
            break
        written.append(int(best))
        ids = torch.cat([ids, best.reshape(1, 1)], dim=1)
    (report,) = model.generate(cases[1:2])
    assert report.text == processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    assert report.details["tokens"] == len(written)


def test_all_images_of_a_case_are_shown_where_asked_for(make: Callable[..., HFModel], cases: list[Case]) -> None:
    every = make(images="all", max_side_px=20)
    asked = every._ask(cases[0])
    assert isinstance(asked, Asked)
    assert [image.size for image in asked.images] == [(16, 20)] * 3
    assert every.asking.in_template(asked.text, 3).count("<image>") == 3
    assert [bool(report.failure) for report in every.generate(cases[:2])] == [False, False]
    assert every.card().inputs == ("frontal image", "other views", "prior image", "indication")


def test_a_sign_of_the_vocabulary_in_a_report_is_no_image(model: HFModel) -> None:
    assert model.asking.in_template("Before: <image> </s>", 1).count("<image>") == 1


def test_a_special_sign_that_transformers_has_no_name_for_is_taken_out_too(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    """As Gemma's <start_of_turn>: a report that holds one could speak for the model."""
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    told = json.loads((other / "tokenizer.json").read_text())
    told["added_tokens"].append({**told["added_tokens"][0], "id": told["model"]["vocab"]["word0"], "content": "word0"})
    (other / "tokenizer.json").write_text(json.dumps(told))
    found = make(other)
    assert "word0" not in found.asking.pieces.all_special_tokens
    assert "word0" not in found.asking.in_template("Before word0 <im<image>age> behind", 1)
    assert found.asking.in_template("Before <im<image>age> behind", 1).count("<image>") == 1


def test_half_a_sign_in_a_text_is_one_that_is_not_known(model: HFModel, cases: list[Case]) -> None:
    (report,) = model.generate([replace(cases[1], indication="Fever \ud83d effusion")])
    assert not report.failure


def test_what_cannot_be_read_or_asked_fails_its_own_case_alone(make: Callable[..., HFModel], cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    broken, bare = Case("x", "p", "s", (ImageFile(tmp_path / "bad.png"),)), Case("y", "p", "s", ())
    endless = Case("z", "p", "s", cases[0].images, indication="Fever " * 300)
    reports = list(make(batch_size=5).generate([broken, cases[0], bare, endless, cases[1]]))
    assert [report.case_id for report in reports] == ["x", "c0", "y", "z", "c1"]
    assert "bad.png" in reports[0].failure
    assert reports[2].failure == "the case has no image"
    assert reports[3].failure.endswith("tokens) and answer (up to 8) are more than the model's 256")
    assert not reports[1].failure
    assert not reports[4].failure


def test_an_image_that_the_processor_refuses_fails_its_own_case_alone(make: Callable[..., HFModel], cases: list[Case]) -> None:
    """As Qwen's does with one that is 200 times as wide as high."""
    small = make(batch_size=2)
    inner = small.asking.processor

    def picky(images: Any, **given: Any) -> Any:
        if any(image.size == (1, 1) for one in images for image in one):
            raise ValueError("absolute aspect ratio must be smaller than 200")
        return inner(images=images, **given)

    speck = Asked("Write .", [Image.new("RGB", (1, 1))])
    good = small._ask(cases[0])
    assert isinstance(good, Asked)
    picky.apply_chat_template = inner.apply_chat_template  # type: ignore[attr-defined]
    small.asking.processor = picky
    refused, written = small._write([speck, good])
    assert refused == "the model's processor will not take the case (ValueError: absolute aspect ratio must be smaller than 200)"
    assert not isinstance(written, str)


def test_a_tensor_that_is_missing_or_misshapen_is_an_error_and_never_random(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    def without(tensors: dict[str, Any]) -> None:
        tensors.pop(next(name for name in sorted(tensors) if "linear_1.weight" in name))

    with pytest.raises(WrongWeights, match=r"of the tensors of other 1 are missing \(.*linear_1\.weight first\) and would be random"):
        make(altered(folder, tmp_path / "a", without))

    def shorter(tensors: dict[str, Any]) -> None:
        name = next(name for name in sorted(tensors) if "linear_1.weight" in name)
        tensors[name] = tensors[name][:, :8].contiguous()

    with pytest.raises(WrongWeights, match=r"1 are of another shape \(.*linear_1\.weight first\) and would be random"):
        make(altered(folder, tmp_path / "b", shorter))


def test_a_tensor_that_is_not_finite_is_an_error(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    def broken(tensors: dict[str, Any]) -> None:
        next(value for name, value in sorted(tensors.items()) if "linear_1.weight" in name)[0, 0] = float("nan")

    with pytest.raises(WrongWeights, match=r"hf: .*linear_1\.weight holds numbers that are not finite in float32, 1 of"):
        make(altered(folder, tmp_path, broken))


def test_a_tensor_without_a_place_is_on_the_card(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    def more(tensors: dict[str, Any]) -> None:
        tensors["a.head.of.its.own"] = next(iter(tensors.values())).clone()

    found = make(altered(folder, tmp_path, more))
    assert found.provenance()["left_out"] == 1
    assert "1 tensors of its files have no place in the network, a.head.of.its.own first." in found.card().remarks


def test_a_template_that_has_no_place_for_an_image_is_refused(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "blind.jinja").write_text("{{ messages[0]['content'][-1]['text'] }}")
    with pytest.raises(NoTemplate, match="was to be shown an image, and its chat template has no place for one; name a model whose template has"):
        make(template=tmp_path / "blind.jinja")
    (tmp_path / "strict.jinja").write_text("{{ raise_exception('Only one image is supported') }}")
    with pytest.raises(NoTemplate, match=r"its chat template will not \(Only one image is supported\); name another template"):
        make(template=tmp_path / "strict.jinja")
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(NoTemplate, match="bare has no chat template, so nobody says how it is asked"):
        make(bare)
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    assert make(bare, template=tmp_path / "own.jinja").asking.digest == make().asking.digest


def test_a_model_of_another_kind_or_that_is_not_here_is_refused_in_words(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(folder, tmp_path / "odd"))
    (odd / "config.json").write_text('{"model_type": "maira2", "auto_map": {"AutoConfig": "configuration.Config"}}')
    with pytest.raises(UnknownKind, match=r"is of the kind 'maira2', which transformers [\d.]+ does not know; the program .* is never run"):
        make(odd)
    (odd / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UnknownKind, match="is of the kind 'llama', which reads no images with text"):
        make(odd)
    with pytest.raises(NoNetwork, match=r"hf\.weights=Qwen/Nowhere \(revision 0123abc\): is neither a folder nor .* --set hf\.download=yes"):
        HFModel("Qwen/Nowhere", revision="0123abc", device="cpu")
    with pytest.raises(UserError, match="images is 'both'; it must be frontal or all"):
        make(images="both")
    for setting, known in (
        ("attention", "auto, sdpa, eager, flash_attention_2"),
        ("device_map", "auto, balanced, balanced_low_0, sequential, or none"),
        ("section", "findings, whole"),
        ("refusals", "fail, keep"),
    ):
        with pytest.raises(UserError, match=f"^hf has no {setting}='banana'; known: {known}$"):
            make(**{setting: "banana"})


class Harmful:
    """What a pickle could hold: something that runs when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('code of a file was run')",))


def test_weights_that_could_run_code_are_refused_in_plain_words(make: Callable[..., HFModel], folder: Path, tmp_path: Path) -> None:
    """And not with PyTorch's advice to open them all the same."""
    import torch

    evil = Path(shutil.copytree(folder, tmp_path / "evil"))
    (evil / "model.safetensors").unlink()
    torch.save({"x": Harmful()}, evil / "pytorch_model.bin")
    with pytest.raises(
        WrongWeights, match=r"^hf: the weights of evil hold more than tensors .* take the model as safetensors, or fetch the files again$"
    ):
        make(evil)


def test_the_card_and_the_signature_say_how_it_was_asked_and_that_nobody_knows_what_it_learnt(model: HFModel) -> None:
    card, says = model.card(), model.provenance()
    assert (card.leaks, card.training, card.target, card.decoding) == (None, "", "unknown", "greedy, at most 8 tokens")
    assert says["end"] == [2]  # of generation_config.json: where an answer is cut
    assert (says["prompt"], says["template"], says["precision"]) == (model.prompt.digest, model.asking.digest, "fp32")
    assert str(model.folder.parent) not in f"{says}{card}"


def test_too_little_memory_is_said_before_anything_is_read_with_what_fits(make: Callable[..., HFModel]) -> None:
    with pytest.raises(TooLittleMemory, match=r"hf at precision=fp32 and batch_size=200000 needs [\d.]+ GiB, .* what fits: --set hf\.precision="):
        make(batch_size=200_000)
