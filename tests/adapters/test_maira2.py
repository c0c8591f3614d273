"""MAIRA-2 from its published files: equal to transformers' Dinov2 backbone and LLaMA with a projector by hand; prompts and boxes as its processor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tiny_maira2
import torch
from PIL import Image

from adapters.maira2.grounding import Phrase, Unread, on_image, read_phrases
from adapters.maira2.model import MAIRA2, prompt, views_of
from adapters.vision_language.stored import WrongWeights
from adapters.vision_language.writing import Written
from benchmark.context import reduced
from benchmark.records import Case, ImageFile, UserError

HEAD = "You are an expert radiology assistant tasked with interpreting a chest X-ray study.  USER:  "
ASKED = " Provide a structured description of the findings in the radiology study in comparison to the prior frontal image."


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "maira-2"
    tiny_maira2.write_maira2(folder)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case that has everything."""
    folder = tmp_path_factory.mktemp("images")
    for number, (name, width, height) in enumerate([("frontal", 61, 50), ("lateral", 42, 57), ("prior", 80, 44)]):
        Image.fromarray(np.random.default_rng(number).integers(30, 200, (height, width), np.uint8)).save(folder / f"{name}.png")
    images = (ImageFile(folder / "frontal.png", "PA", "f"), ImageFile(folder / "lateral.png", "LATERAL", "l"))
    return Case("c", "p", "s", images, "Cough,\n  fever", "PA and lateral", "None.", "The heart is normal.", folder / "prior.png")


def loaded(folder: Path, **settings: Any) -> MAIRA2:
    return MAIRA2(device="cpu", weights=str(folder), **{"precision": "fp32", "max_tokens": 8, **settings})


@pytest.fixture(scope="module")
def model(published: Path) -> MAIRA2:
    return loaded(published)


def pictures_by_hand(case: Case) -> list[Any]:
    """Frontal, lateral, prior: grey, spread to 0..255, short side to 42 by Pillow, middle cut out, shifted and scaled."""
    found = []
    for path in (case.images[0].path, case.images[1].path, case.prior_image):
        assert path is not None
        grey = np.array(Image.open(path).convert("L")).astype(float)
        grey -= grey.min()
        picture = Image.fromarray((grey / grey.max() * 255).astype(np.uint8))
        width, height = picture.size
        picture = picture.resize((42, height * 42 // width) if width < height else (width * 42 // height, 42), Image.Resampling.BICUBIC)
        left, top = (picture.width - 42) // 2, (picture.height - 42) // 2
        share = np.asarray(picture.crop((left, top, left + 42, top + 42)), dtype=np.float64) / 255
        found.append(torch.tensor((share - 0.5307) / 0.2583, dtype=torch.float32).expand(3, 42, 42))
    return found


class ByHand:
    """transformers' own loading of each part from a folder of its own, old names and all."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import save_file
        from transformers import Dinov2Backbone, LlamaForCausalLM

        for name, config, state in (
            ("eyes", tiny_maira2.dinov2_config(), tiny_maira2.dinov2()),
            ("words", tiny_maira2.language_config(), tiny_maira2.random_llama(len(tiny_maira2.vocabulary()) + len(tiny_maira2.SIGNS), 7)),
        ):
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps(config))
            save_file(state, folder / name / "model.safetensors", {"format": "pt"})
        self.tower, told = Dinov2Backbone.from_pretrained(folder / "eyes", output_loading_info=True)
        self.language, said = LlamaForCausalLM.from_pretrained(folder / "words", output_loading_info=True)
        assert not any(set(told[kind]) | set(said[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        self.layers = tiny_maira2.projector(64)

    def features(self, images: Any) -> Any:
        hidden = self.tower(images).feature_maps[-1][:, 1:]
        for place in (0, 2, 4, 6):
            hidden = hidden @ self.layers[f"{place}.weight"].T + self.layers[f"{place}.bias"]
            hidden = torch.nn.functional.gelu(hidden) if place < 6 else hidden
        return hidden

    def answer(self, images: Any, ids: list[int], image: int, most: int) -> list[int]:
        """Greedy, without a cache; every image stands where its sign is."""
        words = self.language.get_input_embeddings()
        features = iter(self.features(images))
        row = torch.cat([next(features) if number == image else words(torch.tensor([number])) for number in ids])
        found: list[int] = []
        for _ in range(most):
            number = int(self.language(inputs_embeds=row[None]).logits[0, -1].argmax())
            if number == 2:
                break
            found.append(number)
            row = torch.cat([row, words(torch.tensor([number]))])
        return found


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    return ByHand(tmp_path_factory.mktemp("parts"))


def test_prompts_are_those_of_the_published_processor(full: Case) -> None:
    """Every blank counts; the four ways in which images may be there, and the sign for a section that is not."""
    sections = " INDICATION: Cough, fever TECHNIQUE: PA and lateral COMPARISON: None.  ASSISTANT: "
    prior = "PRIOR_REPORT: The heart is normal."
    assert prompt(full, has_lateral=True, grounding=False) == (
        f"{HEAD}Given the current frontal image<image> the current lateral image<image> and the prior frontal image<image> {prior}{ASKED}{sections}"
    )
    assert prompt(full, has_lateral=False, grounding=False) == (
        f"{HEAD}Given the current frontal image<image> and the prior frontal image<image> {prior}{ASKED}{sections}"
    )
    (alone,) = reduced([full], "none")
    nothing = " INDICATION: N/A TECHNIQUE: N/A COMPARISON: N/A  ASSISTANT: "
    assert prompt(alone, has_lateral=False, grounding=False) == f"{HEAD}Given the current frontal image only<image>{ASKED}{nothing}"
    assert prompt(alone, has_lateral=True, grounding=False) == (
        f"{HEAD}Given the current frontal image<image> and the current lateral image<image>{ASKED}{nothing}"
    )
    grounded = prompt(alone, has_lateral=False, grounding=True)
    assert grounded.startswith(f"{HEAD}Given the current frontal image only<image>{ASKED} Each finding should be described as a self-contained")
    assert grounded.endswith(f"generate just the ungrounded finding without bounding boxes.{nothing}")


def test_signs_of_the_vocabulary_in_any_text_of_a_case_are_taken_out(model: MAIRA2, full: Case) -> None:
    """In each of the four texts: an image, an end, a box; and the sign that would come about where another is taken out."""
    from dataclasses import replace

    said = "a <im<image>age> b</s> <obj>c<box><x1>"
    odd = replace(full, indication=said, technique=said, comparison=said, prior_report=said)
    asked = model.ask(odd)
    assert not isinstance(asked, str)
    assert len(asked.chunks) == len(list(asked.images())) + 1 == 4
    signs = {number for number, sign in model.pieces.get_added_tokens_decoder().items() if sign.content != "<s>"}
    assert not signs & {number for chunk in asked.chunks for number in chunk}


def test_a_lateral_image_that_comes_first_gives_way_to_the_frontal_one() -> None:
    frontal, lateral = ImageFile(Path("f.jpg"), "AP"), ImageFile(Path("l.jpg"), "LL")
    assert views_of(Case("c", "p", "s", (lateral, frontal))) == (frontal, lateral)
    assert views_of(Case("c", "p", "s", (lateral,))) == (lateral, None)
    assert views_of(Case("c", "p", "s", (frontal, ImageFile(Path("x.jpg"), "PA")))) == (frontal, None)


def test_images_features_and_greedy_tokens_are_those_of_transformers_by_hand(model: MAIRA2, by_hand: ByHand, full: Case) -> None:
    pictures = pictures_by_hand(full)
    asked = model.ask(full)
    assert not isinstance(asked, str)
    for ours, theirs in zip(asked.images(), pictures, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(model.network.see(torch.stack(pictures)), by_hand.features(torch.stack(pictures)), rtol=1e-4, atol=1e-4)
        ids = [1, *model.pieces.encode(prompt(full, has_lateral=True, grounding=False), add_special_tokens=False).ids]
        assert ids.count(model.image) == 3
        (written,) = model.writer.write([asked])
        assert not isinstance(written, str)
        assert written.ids == by_hand.answer(torch.stack(pictures), ids, model.image, 8)


def test_each_image_and_text_changes_the_answer_and_the_context_takes_them_away(model: MAIRA2, full: Case) -> None:
    """If a lateral image, or a prior, went unseen, nobody would notice otherwise."""

    def logits(case: Case) -> Any:
        asked = model.ask(case)
        assert not isinstance(asked, str)
        with torch.no_grad():
            return model.network.language(inputs_embeds=model.writer.embedded([asked.chunks], [asked.images()])[0]).logits[0, -1]

    whole = logits(full)
    from dataclasses import replace

    others = [
        replace(full, images=full.images[:1]),
        replace(full, images=(full.images[0], replace(full.images[1], path=full.images[0].path))),
        replace(full, prior_image=full.images[0].path),
        replace(full, prior_report="a"),
        replace(full, indication="a"),
        replace(full, technique="a"),
        replace(full, comparison="a"),
        *reduced([full], "indication"),
    ]
    assert all((logits(other) - whole).abs().max() > 1e-3 for other in others)


def test_a_batch_of_unlike_cases_writes_what_each_alone_gets(published: Path, full: Case) -> None:
    cases = [full, *reduced([full], "none"), *reduced([full], "indication")]
    assert list(loaded(published, batch_size=3).generate(cases)) == list(loaded(published, batch_size=1).generate(cases))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("multi_modal_projector.layers.6.bias", None, r"1 are missing \(first projector.6.bias\)"),
        ("vision_tower.encoder.layer.0.attention.attention.query.weight", None, r"missing \(first tower.encoder.layer.0.attention.q_proj.weight"),
        ("language_model.lm_head.weight", "lm_head.weight", r"missing \(first language.lm_head.weight\), and 1 have no place \(first lm_head.weight"),
    ],
)
def test_a_tensor_too_few_or_under_another_name_is_refused(published: Path, tmp_path: Path, old: str, new: str | None, said: str) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(published, tmp_path / "other")
    for file in (tmp_path / "other").glob("*.safetensors"):
        state = load_file(file)
        if old in state:
            value = state.pop(old)
            save_file(state | ({new: value} if new else {}), file)
    with pytest.raises(WrongWeights, match=said):
        loaded(tmp_path / "other")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("vision_tower.encoder.layer.1.attention.attention.query.weight", "vision_tower.encoder.layer.1.attention.attention.key.weight"),
        ("vision_tower.encoder.layer.0.layer_scale1.lambda1", "vision_tower.encoder.layer.0.layer_scale2.lambda1"),
        ("multi_modal_projector.layers.2.weight", "multi_modal_projector.layers.4.weight"),
        ("language_model.model.layers.0.self_attn.k_proj.weight", "language_model.model.layers.0.self_attn.v_proj.weight"),
    ],
)
def test_two_tensors_in_each_others_place_are_seen_in_the_features_or_logits(
    published: Path, model: MAIRA2, by_hand: ByHand, full: Case, tmp_path: Path, first: str, second: str
) -> None:
    """The negative control: shapes agree, so only the comparison by hand can tell."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(published, tmp_path / "other")
    files = {file: load_file(file) for file in (tmp_path / "other").glob("*.safetensors")}
    place = {name: state for state in files.values() for name in state}
    place[first][first], place[second][second] = place[second][second], place[first][first]
    for file, state in files.items():
        save_file(state, file)
    other = loaded(tmp_path / "other")
    asked = model.ask(full)
    assert not isinstance(asked, str)
    with torch.no_grad():
        logits = [one.network.language(inputs_embeds=one.writer.embedded([asked.chunks], [asked.images()])[0]).logits for one in (model, other)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_grounded_output_is_read_into_phrases_and_boxes() -> None:
    """Examples of the form that its processor documents; the middle of a bin is (bin + 0.5) / 100."""
    text = "<obj>There is an effusion.<box><x55><y45><x70><y56></box><box><x0><y1><x2><y99></box></obj><obj> No pneumothorax.</obj>"
    assert read_phrases(f" {text}\n") == [
        Phrase("There is an effusion.", ((0.555, 0.455, 0.705, 0.565), (0.005, 0.015, 0.025, 0.995))),
        Phrase("No pneumothorax.", None),
    ]
    assert read_phrases("The heart is normal.") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<obj>a</obj> and more", "there is more than phrases: ' and more'"),
        ("<obj>a<box><x1><y2><x3></box></obj>", "a box without four edges"),
        ("<obj>a<box><x1><y2><x3><y4></obj>", "more than boxes behind 'a'"),
        ("<obj>a<box><x1><y2><x3><y400></box></obj>", "a box beyond the image"),
        (f"<obj>a<box><x{'9' * 320}><y2><x3><y4></box></obj>", "a box without four edges"),
        ("<obj>a", "more than phrases"),
        ("a</box>", "more than phrases"),
    ],
)
def test_output_that_its_own_reader_would_stop_at_is_told_apart(text: str, why: str) -> None:
    with pytest.raises(Unread, match=why):
        read_phrases(text)


def test_a_box_whose_edges_are_the_wrong_way_round_is_kept_and_counted(model: MAIRA2, full: Case) -> None:
    before = sum(model.writer.rate.unread.values())
    text = "<obj>Effusion.<box><x70><y10><x20><y30></box><box><x1><y1><x2><y2></box></obj><obj>Mass.<box><x1><y9><x2><y3></box></obj>"
    seen = model.finish(full, Written(text, [], False))
    assert (seen.text, seen.details["boxes_turned"]) == ("Effusion. Mass.", 2)
    assert seen.details["phrases"][0]["boxes"][0][0] > seen.details["phrases"][0]["boxes"][0][2]
    assert sum(model.writer.rate.unread.values()) == before + 1
    assert "boxes_turned" not in model.finish(full, Written("<obj>A.<box><x1><y1><x1><y2></box></obj>", [], False)).details


def test_a_report_on_a_lateral_image_in_the_words_for_a_frontal_one_says_so(model: MAIRA2, full: Case) -> None:
    from dataclasses import replace

    side = replace(full, images=full.images[1:])
    assert model.finish(side, Written("Clear.", [], False)).details == {"asked_as_frontal": "a lateral view (LATERAL), for the case has no other"}
    assert model.finish(full, Written("Clear.", [], False)).details == {}


def test_boxes_are_in_pixels_of_the_image_file() -> None:
    """Of 200 x 100 the middle 100 x 100 was seen, so shares begin 50 pixels from the left."""
    assert on_image((0.0, 0.25, 1.0, 0.5), (200, 100)) == (50.0, 25.0, 150.0, 50.0)
    assert on_image((0.5, 0.5, 1.0, 1.0), (101, 301)) == (50.5, 150.5, 101.0, 201.0)


def test_phrases_become_a_report_with_boxes_and_what_cannot_be_read_is_kept_and_counted(model: MAIRA2, full: Case) -> None:
    seen = model.finish(full, Written("<obj>Effusion.<box><x0><y0><x99><y99></box></obj><obj>No mass.</obj>", [], False))
    assert (seen.text, seen.failure) == ("Effusion. No mass.", "")
    assert seen.details["phrases"] == [{"text": "Effusion.", "boxes": [[5.2, 0.2, 54.8, 49.8]]}, {"text": "No mass.", "boxes": None}]
    before = sum(model.writer.rate.unread.values())
    unread = model.finish(full, Written("<obj>Effusion.<box><x0></box>", [1] * 8, True))
    assert unread.text == "<obj>Effusion.<box><x0></box>"
    assert "phrases" in unread.details["unread"]
    assert unread.details["cut_at_tokens"] == 8
    assert sum(model.writer.rate.unread.values()) == before + 1
    assert "kept as they came" in model.writer.rate.in_words()


def test_no_program_of_the_folder_runs_and_another_models_folder_is_refused(published: Path, tmp_path: Path) -> None:
    assert "SystemExit" in (published / "configuration_maira2.py").read_text()  # every test above has loaded beside it
    shutil.copytree(published, tmp_path / "other")
    told = json.loads((published / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**told, "model_type": "llava"}))
    with pytest.raises(WrongWeights, match="is of a 'llava'; name the folder of maira2"):
        loaded(tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps({**told, "vision_feature_select_strategy": "full"}))
    with pytest.raises(WrongWeights, match="vision_feature_select_strategy='full', MAIRA-2 has 'default'"):
        loaded(tmp_path / "other")


def test_doctor_says_that_it_is_gated_and_how_to_get_access() -> None:
    packages, weights, memory = MAIRA2.needs()
    assert packages == (True, "packages")
    assert not weights[0]
    assert "gated" in weights[1]
    assert "accept its licence on its page of the hub and log in" in weights[1]
    assert "4bit" in memory[1]
    with pytest.raises(UserError, match=r"microsoft/maira-2 \(revision 795a2b1cd4a3\): is neither a folder"):
        MAIRA2(device="cpu")


def test_positions_are_stretched_as_it_was_trained(model: MAIRA2) -> None:
    """Question and answer may be half as long again as the LLaMA's positions."""
    assert model.writer.longest == 1536
    assert torch.allclose(
        model.network.language.model.rotary_emb.inv_freq, 1 / 1.5 / 10000 ** (torch.arange(0, 32, 2).float() / 32)
    )  # linear: each position counts two thirds


def test_card_and_provenance(model: MAIRA2) -> None:
    assert model.card().weights == "maira-2, a folder that the user named"
    assert set(model.card().inputs or ()) >= {"other views", "prior image", "prior report", "technique", "comparison"}
    made = model.provenance()
    assert made["grounding"] is False
    assert set(made["files_sha256"]) >= {"config.json", "tokenizer.json", "model-00001-of-00002.safetensors"}
