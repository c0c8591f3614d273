"""RaDialog from its published files: equal to what its authors' own program answers with the same random weights, from the image file to the tokens.

``fixtures/radialog.json`` was made with that program, ChantalMP/RaDialog_LLaVA at 72fa7ff, loading the files of ``tiny_radialog`` by its own loader.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tiny_radialog
import torch

from adapters.radialog.classifier import open_classifier, ready
from adapters.radialog.findings import NoFindings, in_words, read_findings
from adapters.radialog.model import RaDialog, prompt, read_ahead, shrunk
from adapters.radialog.network import Files, Network, forget_running, open_files
from adapters.vision_language.loading import empty, load
from adapters.vision_language.pixels import middle, normalised
from adapters.vision_language.stored import Stored, WrongWeights
from adapters.vision_language.writing import Asked, Writer
from benchmark.records import Case, ImageFile, UserError

FIXTURES = Path(__file__).parent / "fixtures"
THEIRS: dict[str, Any] = json.loads((FIXTURES / "radialog.json").read_text(encoding="utf-8"))
IMAGES: dict[str, dict[str, Any]] = THEIRS["images"]
CASES = [Case(name, name, name, (ImageFile(FIXTURES / name, "PA", id=f"d{number}"),)) for number, name in enumerate(IMAGES)]
TOLERANCE = 2e-3
"""their program and ours agree to 1e-5 on one processor; another one rounds fifty layers otherwise"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of RaDialog and of LLaVA-1.5."""
    folder = tmp_path_factory.mktemp("published")
    base = tiny_radialog.write_base(folder / "llava")
    tiny_radialog.write_radialog(folder / "radialog", base)
    return folder / "radialog", folder / "llava"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Findings of the images, as the authors published theirs."""
    file = tmp_path_factory.mktemp("told") / "preds.json"
    file.write_text(json.dumps({case.images[0].id: IMAGES[case.id]["labels"] for case in CASES}))
    return file


def loaded(published: tuple[Path, Path], **settings: Any) -> RaDialog:
    usual = {"precision": "fp32", "max_tokens": 8, "batch_size": 2}
    return RaDialog(device="cpu", weights=str(published[0]), base=str(published[1]), **{**usual, **settings})


@pytest.fixture(scope="module")
def model(published: tuple[Path, Path], told: Path) -> RaDialog:
    return loaded(published, findings=f"file:{told}")


@pytest.fixture(scope="module")
def opened(published: tuple[Path, Path]) -> Files:
    return open_files(*published)


def filled(files: Files, norms: str = "image", **other: Stored) -> Network:
    """The network of these tensors, or of others in their places."""
    network = load(empty(lambda: Network(files.language)), {**files.stored, **other}, "radialog", precision="fp32", device=torch.device("cpu"))
    if norms != "running":
        forget_running(network.tower)
    return network


def probed(found: torch.Tensor) -> torch.Tensor:
    """A dozen numbers, spread evenly."""
    flat = found.float().flatten()
    return flat[torch.linspace(0, len(flat) - 1, 12).long()]


def close(found: torch.Tensor, expected: dict[str, Any]) -> None:
    """Shape, mean and a dozen numbers are theirs."""
    assert list(found.shape) == expected["shape"]
    assert float(found.double().mean()) == pytest.approx(expected["mean"], abs=TOLERANCE)
    assert probed(found).tolist() == pytest.approx(expected["values"], abs=TOLERANCE)


def differs(found: torch.Tensor, expected: dict[str, Any]) -> bool:
    """By far more than rounding can."""
    return float((probed(found) - torch.tensor(expected["values"])).abs().max()) > 20 * TOLERANCE


def asked_of(model: RaDialog, case: Case) -> Asked:
    asked = model.ask(case)
    assert not isinstance(asked, str)
    return asked


def answered(network: Network, model: RaDialog, patches: torch.Tensor) -> tuple[torch.Tensor, list[list[int]]]:
    """Logits behind the questions of the cases, and what is written, of what the tower made of their images: all in one batch."""
    pieces = model.pieces
    writer = Writer(network.language, network.project, pieces, end=[2], most=8, batch_size=len(CASES), who="radialog")
    asked = [Asked(asked_of(model, case).chunks, partial(list, [own.numpy()])) for case, own in zip(CASES, patches, strict=True)]
    with torch.inference_mode():
        embeddings, seen = writer.embedded([one.chunks for one in asked], [one.images() for one in asked])
        places = (seen.cumsum(1) - 1).clamp(min=0)
        logits = network.language(inputs_embeds=embeddings, attention_mask=seen, position_ids=places).logits[:, -1]
    written = list(writer.write(asked))
    assert not any(isinstance(one, str) for one in written)
    return logits, [one.ids for one in written if not isinstance(one, str)]


@pytest.mark.parametrize(("labels", "expected"), THEIRS["prompts"])
def test_the_prompt_is_theirs_for_every_kind_of_findings(labels: list[str], expected: str) -> None:
    assert prompt(labels) == expected


def test_no_finding_stands_down_where_something_is_found_and_devices_are_no_finding() -> None:
    """By hand, from their test.py."""
    assert in_words([]) == "no common findings"
    assert in_words(["No Finding", "Support Devices"]) == "no finding, support devices"
    assert in_words(["No Finding", "Edema", "Support Devices"]) == "edema, support devices"


def test_picture_token_ids_features_logits_and_greedy_tokens_are_theirs(model: RaDialog) -> None:
    """From the JPG; theirs have -200 where the image goes. They answered one case at a time, ours are one batch, filled up on the left."""
    patches = []
    for case, theirs in zip(CASES, THEIRS["one by one"], strict=True):
        asked = asked_of(model, case)
        before, after = asked.chunks
        assert [*before, -200, *after] == IMAGES[case.id]["ids"]
        picture = torch.from_numpy(asked.images()[0])
        close(picture, IMAGES[case.id]["picture"])
        with torch.inference_mode():
            patches.append(model.network.look(picture[None])[0])
            close(patches[-1], theirs["patches"])
            close(model.network.project(patches[-1]), theirs["features"])
    logits, tokens = answered(model.network, model, torch.stack(patches))
    for own, theirs in zip(logits, THEIRS["one by one"], strict=True):
        close(own, theirs["logits"])
    assert tokens == [theirs["tokens"] for theirs in THEIRS["one by one"]]


@pytest.mark.parametrize("norms", ["image", "batch", "running"])
def test_whatever_the_batch_norms_use_it_is_as_theirs(norms: str, model: RaDialog, opened: Files) -> None:
    """In their program as it is, with one image and with two, and with its model put into evaluation mode: of every fourth pixel, for speed."""
    network = filled(opened, "running") if norms == "running" else model.network
    pictures = torch.stack([torch.from_numpy(asked_of(model, case).images()[0][:, ::4, ::4].copy()) for case in CASES])
    with torch.inference_mode():
        patches = torch.cat([network.look(one[None]) for one in pictures]) if norms == "image" else network.look(pictures)
    expected = THEIRS["every fourth pixel"][norms]
    logits, tokens = answered(network, model, patches)
    for own, logit, theirs in zip(patches, logits, expected, strict=True):
        close(own, theirs["patches"])
        close(logit, theirs["logits"])
    assert tokens == [theirs["tokens"] for theirs in expected]


def test_what_the_batch_norms_use_decides_what_is_written() -> None:
    """In the authors' program too, or the comparison above would tell nothing apart."""
    for ways in zip(*THEIRS["every fourth pixel"].values(), strict=True):
        assert len({tuple(one["tokens"]) for one in ways}) == 3


def test_the_classifiers_logits_and_labels_are_theirs_and_go_into_the_prompt(published: tuple[Path, Path], model: RaDialog) -> None:
    """The whole way, from the JPG to a report."""
    own = loaded(published, max_tokens=2)
    case, theirs = CASES[1], IMAGES[CASES[1].id]
    assert own.classifier is not None
    with torch.inference_mode():
        picture = normalised(middle(shrunk(case.images[0]), 488), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        logits = own.classifier(torch.from_numpy(picture)[None])[0]
    assert logits.tolist() == pytest.approx(theirs["classifier_logits"], abs=TOLERANCE)
    (report,) = own.generate([case])
    assert report.details == {"told": theirs["classifier_labels"], "cut_at_tokens": 2}
    assert report.text
    assert "No Finding" in theirs["classifier_labels"]
    assert prompt(report.details["told"]).split("Findings: ")[1].startswith("enlarged cardiomediastinum, cardiomegaly, ")
    assert own.provenance()["files_sha256"].keys() >= {"ChexpertClassifier.ckpt", "non_lora_trainables.bin", "tokenizer.model"}
    assert "preds.json" in model.provenance()["files_sha256"]
    assert [one.provenance()["findings"] for one in (own, model)] == ["classifier", "file"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tower.encoder.encoder.layer1.1.bn1.weight", "tower.encoder.encoder.layer1.1.bn2.weight"),
        ("projector.2.bias", "projector.0.bias"),
        ("language.model.layers.0.self_attn.q_proj.weight", "language.model.layers.0.self_attn.k_proj.weight"),
    ],
)
def test_a_tensor_in_the_wrong_place_makes_the_comparison_fail(one: str, other: str, opened: Files, model: RaDialog) -> None:
    """The negative control: two of one shape change places, and the numbers of the authors' program are no longer met."""
    network = filled(opened, **{one: opened.stored[other], other: opened.stored[one]})
    pictures = torch.stack([torch.from_numpy(asked_of(model, case).images()[0][:, ::4, ::4].copy()) for case in CASES])
    with torch.inference_mode():
        patches = network.look(pictures)
    expected = THEIRS["every fourth pixel"]["batch"]
    assert differs(patches[0], expected[0]["patches"]) == one.startswith("tower")
    assert differs(answered(network, model, patches)[0][0], expected[0]["logits"])


BESIDE = "base_model.model.model."


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "non_lora_trainables.bin",
            f"{BESIDE}vision_tower.encoder.encoder.bn1.running_mean",
            None,
            r"1 are missing \(first tower.encoder.encoder.bn1",
        ),
        ("non_lora_trainables.bin", f"{BESIDE}mm_projector.2.bias", f"{BESIDE}mm_projector.4.bias", r"1 have no place \(first projector.4.bias\)"),
        ("non_lora_trainables.bin", None, f"{BESIDE}image_pooler.bert.weight", r"1 have no place \(first image_pooler.bert.weight\)"),
        ("non_lora_trainables.bin", None, f"{BESIDE}mm_projector.0.bias", r"1 are of another shape \(first projector.0.bias, \(3,\)"),
        ("adapter_model.bin", f"{BESIDE}layers.0.mlp.up_proj.lora_B.weight", None, "has lora_A alone"),
    ],
)
def test_a_tensor_too_few_too_many_or_of_another_shape_is_refused_by_name(
    file: str, old: str | None, new: str | None, said: str, published: tuple[Path, Path], tmp_path: Path
) -> None:
    """Silent random weights are the worst that can happen here."""
    folder = tmp_path / "other"
    shutil.copytree(published[0], folder, ignore=shutil.ignore_patterns("findings_classifier", file), copy_function=os.link)
    held = torch.load(published[0] / file, weights_only=True, mmap=True)
    value = held.pop(old) if old else torch.zeros(3)
    if new:
        held[new] = value
    # The tower's large tensors are told by their shapes, which is all that is looked at before there is something to read.
    torch.save({name: one if one.numel() < 10_000 else one.flatten()[:1].clone().expand(one.shape) for name, one in held.items()}, folder / file)
    with pytest.raises(WrongWeights, match=said):
        filled(open_files(folder, published[1]))


def test_the_classifiers_checkpoint_is_as_strict_and_is_not_opened_if_it_could_run_code(tmp_path: Path) -> None:
    file = tmp_path / "ChexpertClassifier.ckpt"
    torch.save(
        {"state_dict": {"model.fc1.weight": torch.zeros(512, 2048), "model.fc3.bias": torch.zeros(3), "criterion.pos_weight": torch.ones(14)}}, file
    )
    with pytest.raises(WrongWeights, match=r"radialog's classifier: .* 375 are missing \(first fc1.bias\), and 1 have no place \(first fc3.bias\)"):
        ready(file, precision="fp32", device=torch.device("cpu"))
    torch.save({"state_dict": {"model.fc1.bias": torch.zeros(512)}, "callbacks": {"by": Path("somewhere")}}, file)
    with pytest.raises(WrongWeights, match=r"is not opened, for it could run code; .* --set radialog.trust_pickle=yes"):
        open_classifier(file)
    assert open_classifier(file, trust_pickle=True).keys() == {"fc1.bias"}


class Together:
    """A network that keeps which pictures it was shown together."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def look(self, pictures: torch.Tensor) -> torch.Tensor:
        """The number of pictures, for each of them."""
        self.shown.append(len(pictures))
        return torch.full((len(pictures), 1, 1), float(len(pictures)))


def test_twelve_cases_of_the_order_in_which_they_come_are_seen_together_and_a_broken_image_alone_fails(model: RaDialog, tmp_path: Path) -> None:
    own = RaDialog.__new__(RaDialog)
    network = Together()
    own.__dict__ |= {**model.__dict__, "network": network}
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    cases = [Case(f"c{number}", "p", "s", (CASES[0].images[0],)) for number in range(13)]
    cases[3] = Case("c3", "p", "s", (ImageFile(tmp_path / "broken.png"),))
    patches = own._together(cases)
    assert patches(cases[0]).item() == patches(cases[11]).item() == 11
    assert patches(cases[12]).item() == 1
    assert network.shown == [11, 1]
    with pytest.raises(UserError, match=r"broken\.png"):
        patches(cases[3])


def test_images_are_read_ahead_in_order_and_never_more_than_so_many(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    images = [CASES[0].images, (), (ImageFile(tmp_path / "broken.png"),), CASES[1].images, CASES[0].images]
    cases = [Case(f"c{number}", "p", "s", own) for number, own in enumerate(images)]
    with ThreadPoolExecutor(2) as pool:
        read = read_ahead(cases, 2, pool)
        assert np.array_equal(read(cases[0]), shrunk(CASES[0].images[0]))
        with pytest.raises(UserError, match=r"broken\.png"):
            read(cases[2])
        assert [read(case).shape for case in cases[3:]] == [shrunk(case.images[0]).shape for case in cases[3:]]


def test_a_case_without_an_image_or_findings_fails_alone(model: RaDialog) -> None:
    first, second = model.generate([Case("none", "p", "s", ()), Case("c", "p", "s", (ImageFile(Path("x/abc.png")),))])
    assert first.failure == "the case has no image"
    assert second.failure == "no findings are stored of image 'abc'; add them to the file, or have the classifier asked"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "should be an object of dicom ids with a list of labels each"),
        ('{"d": "Edema"}', "should be an object of dicom ids"),
        ('{"d": ["edema"]}', "d has the label 'edema', which the model was not trained with; known: No Finding, Enl"),
        ("{", "cannot be read"),
    ],
)
def test_a_file_of_findings_that_is_none_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "preds.json").write_text(content)
    with pytest.raises(NoFindings, match=said):
        read_findings(tmp_path / "preds.json")


def test_lists_within_lists_are_refused_in_words_and_a_label_given_twice_is_said_once(tmp_path: Path) -> None:
    file = tmp_path / "preds.json"
    file.write_text("[" * 100_000)
    with pytest.raises(NoFindings, match=r"radialog\.findings=file:preds\.json: cannot be read"):
        read_findings(file)
    file.write_text('{"a": ["Edema", "Fracture", "Edema"]}')
    assert in_words(read_findings(file)["a"]) == "edema, fracture"


def test_settings_and_folders_that_cannot_be_are_refused_with_the_remedy(published: tuple[Path, Path], told: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"radialog has no findings='chexbert'; known: classifier, or file:PATH"):
        loaded(published, findings="chexbert")
    with pytest.raises(UserError, match="radialog has no norms='layer'; known: image, batch, running"):
        loaded(published, norms="layer")
    with pytest.raises(UserError, match=r"radialog.findings=file:none.json: cannot be read \(No such file"):
        loaded(published, findings="file:none.json")
    with pytest.raises(UserError, match=r"radialog.weights=llava: that folder holds no adapter_config.json"):
        loaded((published[1], published[1]))
    folder = tmp_path / "other"
    shutil.copytree(published[0], folder, ignore=shutil.ignore_patterns("findings_classifier", "config.json"), copy_function=os.link)
    (folder / "config.json").write_text('{"mm_vision_tower": "openai/clip-vit-large-patch14-336"}')
    with pytest.raises(UserError, match=r"radialog.weights=other: that folder holds no findings_classifier/checkpoints"):
        loaded((folder, published[1]))
    with pytest.raises(WrongWeights, match="mm_vision_tower='openai/clip-vit-large-patch14-336', RaDialog has 'biovil'"):
        loaded((folder, published[1]), findings=f"file:{told}")
    with pytest.raises(UserError, match=r"revision 14b6bf53a410\): is neither a folder .* --set radialog.download=yes"):
        RaDialog(device="cpu")


def test_the_card_says_what_it_was_told_and_what_its_norms_used(model: RaDialog) -> None:
    card = model.card()
    assert card.weights == "radialog, a folder that the user named, upon llava, a folder that the user named"
    assert card.target == "findings"
    assert card.inputs == ("frontal image",)
    assert card.decoding == "greedy, at most 8 tokens"
    assert "chest_imagenome" in (card.leaks or {})
    assert [remark[:35] for remark in card.remarks] == ["It is told findings of a file, and ", "The batch norms of its image encode"]
    assert "/" not in "".join(model.provenance()["files_sha256"])


def test_doctor_names_files_licences_and_memory() -> None:
    packages, weights, base, memory = RaDialog.needs()
    assert packages == (True, "packages")
    assert not weights[0]
    assert "Apache-2.0; 1.2 GB" in weights[1]
    assert "radialog.download=yes" in weights[1]
    assert "liuhaotian/llava-v1.5-7b at 4481d270cc22 (Llama 2 licence; 13.5 GB) is not here" in base[1]
    assert "bf16 1" in memory[1]
