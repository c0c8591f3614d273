"""CheXbert on tiny random weights of the published layout: what it reads, what it says, which files it takes and which it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import BertConfig, BertModel, BertTokenizer  # noqa: E402

from adapters.chexbert.files import NotFetched, NotThere, find_vocabulary, find_weights, vocabulary_file, weights_file  # noqa: E402
from adapters.chexbert.labeller import Chexbert  # noqa: E402
from adapters.chexbert.network import HEADS, Network, Sizes  # noqa: E402
from adapters.chexbert.observations import MAPPINGS  # noqa: E402
from adapters.chexbert.vocabulary import Vocabulary, WrongVocabulary, one_line  # noqa: E402
from adapters.chexbert.weights import WrongWeights, load  # noqa: E402
from benchmark.labelling.choose import labeller_named  # noqa: E402
from benchmark.labelling.label_file import read_labels, write_labels  # noqa: E402
from benchmark.metrics.chexbert import OBSERVATIONS  # noqa: E402
from benchmark.records import UserError  # noqa: E402
from benchmark.vocabulary import LESIONS  # noqa: E402

WORDS = "the lungs are clear there is no left right small effusion pleural heart size enlarged large pneumo ##thorax ##graph chest \x85 \u2028"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), *"0123456789.,;:-()/"]
PIECES += WORDS.split(" ")
SIZES = Sizes(words=len(PIECES), places=512, width=32, inner=48, layers=3, attention_heads=2)

REPORTS = [
    "The lungs are clear.",
    "There is a small left pleural effusion; no pneumothorax.",
    "the lungs  are\nclear.\n\n",
    "",
    " \n\t ",
    "HEART SIZE IS ENLARGED (12/3).",
    "Épanchement à gauche, naïve – “quoted” text",
    "左胸水 chest",
    "a" * 150 + " clear",
    "left and right " * 300,
    "x",
    "no [SEP] left [CLS]",
    "half a sign: \ud83d, a whole one: \U0001fac1",
    "tab\tand\x0bother\xa0blanks\u2003here",
    "The lungs are clear.",
]


def tensors(seed: int = 0, sizes: Sizes = SIZES) -> dict[str, Tensor]:
    """Random weights, wide enough that reports differ in what is said of them."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, value in Network(sizes).state_dict().items():
        drawn = torch.randn(value.shape, generator=generator) * (0.35 if value.dim() > 1 else 0.2)
        found[name] = drawn + 1 if name.endswith("LayerNorm.weight") else drawn
    return found


def saying(**classes: int) -> dict[str, Tensor]:
    """Weights of a network that says the same of every report: of an observation its class by number, of all others blank."""
    found = tensors()
    for place, name in enumerate(OBSERVATIONS):
        found[f"linear_heads.{place}.weight"] = torch.zeros(HEADS[place], SIZES.width)
        found[f"linear_heads.{place}.bias"] = torch.eye(HEADS[place])[classes.get(name.replace(" ", "_"), 0)]
    return found


def published(state: dict[str, Tensor]) -> dict[str, Any]:
    """As the training program of CheXbert keeps it: trained on several GPUs, with BERT's pooler, beside the optimizer."""
    pooler = {"bert.pooler.dense.weight": torch.zeros(32, 32), "bert.pooler.dense.bias": torch.zeros(32)}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-5, "betas": (0.9, 0.999), "params": [0]}]}
    return {"epoch": 6, "model_state_dict": {f"module.{name}": value for name, value in (state | pooler).items()}, "optimizer_state_dict": optimizer}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file, tiny, and its vocabulary beside it."""
    made = tmp_path_factory.mktemp("chexbert")
    (made / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    torch.save(published(tensors()), made / "chexbert.pth")
    return made


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nobody ever had CheXbert."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def chexbert(weights: Path, **settings: Any) -> Chexbert:
    return Chexbert(weights=weights, attention_heads=2, device="cpu", **settings)


def said_by_the_book(reports: Sequence[str], folder: Path, state: dict[str, Tensor]) -> np.ndarray:
    """CheXbert as its authors run it, one report at a time: transformers' BERT with its own mask, the class token, one head after the other."""
    config = BertConfig(vocab_size=len(PIECES), hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2)
    bert = BertModel(config, add_pooling_layer=False).eval()
    bert.load_state_dict({name.removeprefix("bert."): value for name, value in state.items() if name.startswith("bert.")})
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"))
    rows = []
    for report in reports:
        text = re.sub(r"\s+", " ", report.strip().replace("\n", " ")).strip()
        tokens = tokenizer.convert_tokens_to_ids(["[CLS]", *tokenizer.tokenize(text), "[SEP]"])
        if len(tokens) > 512:
            tokens = [*tokens[:511], tokenizer.sep_token_id]
        with torch.no_grad():
            read = bert(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens))).last_hidden_state[0, 0]
            rows.append([int((state[f"linear_heads.{n}.weight"] @ read + state[f"linear_heads.{n}.bias"]).argmax()) for n in range(14)])
    return np.array(rows)


def test_the_labels_are_those_that_transformers_bert_and_the_heads_by_hand_give(folder: Path) -> None:
    whole = [report for report in REPORTS if "\ud83d" not in report]
    wanted = said_by_the_book(whole, folder, tensors())
    assert len({tuple(row) for row in wanted}) > 8, "the reports must differ for this to say something"
    found = chexbert(folder).raw(whole)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, wanted)


def test_scores_are_transformers_to_rounding_with_filling_and_without() -> None:
    network, state = Network(SIZES).eval(), tensors()
    network.load_state_dict(state)
    tokens = torch.randint(6, len(PIECES), (3, 9), generator=torch.Generator().manual_seed(1))
    padding = torch.arange(9) >= torch.tensor([9, 4, 7])[:, None]
    for mask in (None, padding):
        with torch.no_grad():
            read = network.bert(tokens, attention_mask=None if mask is None else (~mask).long()).last_hidden_state[:, 0]
            found = network(tokens, mask)
        assert read.std() > 0.5
        torch.testing.assert_close(network.read(tokens, mask), read, rtol=1e-4, atol=1e-5)
        for place, head in enumerate(network.linear_heads):
            torch.testing.assert_close(found[:, place, : HEADS[place]], head(read), rtol=1e-4, atol=1e-4)
        assert found[:, 13, 2:].isinf().all(), "No Finding is blank or positive, nothing else"


@pytest.mark.parametrize("batch_tokens", [1, 40, 700, 100_000])
def test_batches_of_any_size_say_the_same_in_the_order_asked(folder: Path, batch_tokens: int) -> None:
    alone = np.concatenate([chexbert(folder).raw([report]) for report in REPORTS])
    together = chexbert(folder, batch_tokens=batch_tokens)
    np.testing.assert_array_equal(together.raw(REPORTS), alone)
    np.testing.assert_array_equal(together.raw(REPORTS[::-1]), alone[::-1])


def test_a_report_is_read_once_however_often_it_comes_and_in_batches_of_at_most_so_many_tokens(folder: Path) -> None:
    labeller = chexbert(folder, batch_tokens=64, runtime="torch")
    shapes: list[tuple[int, int]] = []
    hook = labeller.network.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    try:
        reports = [*("heart " * number for number in range(1, 30)), "heart  heart", "\nheart heart\n"] * 3
        labeller.raw(reports)
        assert sum(rows for rows, _ in shapes) == 29
        assert max(rows * tokens for rows, tokens in shapes) <= 64
        assert [tokens for _, tokens in shapes] == sorted((tokens for _, tokens in shapes), reverse=True)
        shapes.clear()
        labeller.label(reports)
        assert shapes == []
    finally:
        hook.remove()


def test_two_labellers_of_one_network_ask_it_once(folder: Path) -> None:
    """The lesion table has one and CheXbert F1 another."""
    first, second = chexbert(folder), chexbert(folder, mapping="exact7")
    wanted = first.raw(["heart heart heart lungs"])
    shapes: list[int] = []
    hook = second.network.bert.embeddings.word_embeddings.register_forward_pre_hook(lambda _, given: shapes.append(len(given[0])))
    try:
        np.testing.assert_array_equal(second.raw(["heart heart heart lungs"]), wanted)
        assert shapes == []
    finally:
        hook.remove()
    assert first.raw_signature() == second.raw_signature(), "what CheXbert says is not of how lesions are made of it"
    assert first.signature() != second.signature()


def test_class_tokens_are_what_the_heads_look_at_in_the_order_asked(folder: Path) -> None:
    labeller = chexbert(folder, batch_tokens=40)
    reports = ["The lungs are clear.", "x", "left and right " * 20, "x"]
    found = labeller.class_tokens(reports)
    assert (found.shape, found.dtype) == ((4, 32), np.float32)
    for report, row in zip(reports, found, strict=True):
        with torch.no_grad():
            np.testing.assert_allclose(row, labeller.network.read(torch.tensor(labeller.vocabulary.numbers([report.strip()])))[0], atol=1e-5)
    assert labeller.class_tokens([]).shape == (0, 32)


def test_onnxruntime_says_the_same(folder: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    by_torch, by_onnx = chexbert(folder, runtime="torch"), chexbert(folder, runtime="onnx")
    wanted, tokens = by_torch.raw(REPORTS), by_torch.class_tokens(REPORTS)
    np.testing.assert_array_equal(by_onnx.raw(REPORTS), wanted)
    np.testing.assert_allclose(by_onnx.class_tokens(REPORTS), tokens, atol=1e-4)


def test_onnxruntime_is_refused_where_it_would_change_what_was_asked_for(folder: Path) -> None:
    with pytest.raises(UserError, match=r"chexbert.runtime=onnx cannot be had \(.*\); or take --set chexbert.runtime=torch"):
        chexbert(folder, runtime="onnx", precision="bf16")
    with pytest.raises(UserError, match="chexbert has no runtime='tensorrt'; known: auto, torch, onnx"):
        chexbert(folder, runtime="tensorrt")
    assert chexbert(folder, precision="bf16")._encoder is None


def test_no_report_at_all_is_an_empty_table(folder: Path) -> None:
    assert chexbert(folder).raw([]).shape == (0, 14)
    assert chexbert(folder).label([]) == []


def test_what_does_not_fit_into_512_tokens_changes_nothing_and_the_last_token_is_the_end(folder: Path) -> None:
    vocabulary = Vocabulary(folder / "vocab.txt", words=len(PIECES), places=512)
    long, longer = "left " * 510, "left " * 511
    [whole], [cut] = vocabulary.numbers([one_line(long)]), vocabulary.numbers([one_line(longer)])
    assert len(whole) == len(cut) == 512
    assert whole == cut
    assert (cut[0], cut[-1]) == (PIECES.index("[CLS]"), PIECES.index("[SEP]"))
    rows = chexbert(folder).raw([longer, longer + "effusion", "left " * 400])
    assert (rows[0] == rows[1]).all()


def test_tokens_are_those_of_transformers_tokenizer(folder: Path) -> None:
    vocabulary, theirs = Vocabulary(folder / "vocab.txt", words=len(PIECES), places=512), BertTokenizer(vocab=str(folder / "vocab.txt"))
    texts = [one_line(report) for report in REPORTS]
    assert vocabulary.numbers(texts) == [theirs(text)["input_ids"][:511] + theirs(text)["input_ids"][511:][-1:] for text in texts]
    assert one_line(" a\r\n b\t\x0b c ") == "a b c"


def test_each_lesion_is_said_by_its_observation_and_three_are_never_found(tmp_path: Path, folder: Path) -> None:
    state = saying(Lung_Lesion=3, Pleural_Other=1, Lung_Opacity=1, Edema=2, Cardiomegaly=1, Fracture=1, No_Finding=1, Atelectasis=3)
    torch.save(published(state), tmp_path / "chexbert.pth")
    settings: dict[str, Any] = {"vocab": folder / "vocab.txt"}
    [row] = chexbert(tmp_path, **settings).raw(["Anything."])
    assert {name: value for name, value in zip(Chexbert.observations, row.tolist(), strict=True) if value} == {
        "Cardiomegaly": 1,
        "Lung Opacity": 1,
        "Lung Lesion": 3,
        "Edema": 2,
        "Atelectasis": 3,
        "Pleural Other": 1,
        "Fracture": 1,
        "No Finding": 1,
    }
    said: dict[str, dict[str, tuple[str, str]]] = {}
    for name, more in (("d14", {}), ("exact7", {"mapping": "exact7"}), ("no", {"uncertain": "negative"})):
        [lesions] = chexbert(tmp_path, **settings, **more).label(["Anything."])
        assert tuple(lesion.name for lesion in lesions) == LESIONS
        assert {lesion.side for lesion in lesions} == {"not mentioned"}
        said[name] = {lesion.name: (lesion.status, lesion.certainty) for lesion in lesions if lesion.certainty != "not mentioned"}
        assert all(lesion.status == "negative" for lesion in lesions if lesion.name not in said[name])
    assert said["d14"] == {
        "cardiomegaly": ("positive", "stated"),
        "nodule": ("positive", "hedged"),
        "mass": ("positive", "hedged"),
        "pleural thickening": ("positive", "stated"),
        "infiltration": ("positive", "stated"),
        "edema": ("negative", "stated"),
        "atelectasis": ("positive", "hedged"),
    }
    assert said["exact7"] == {name: said["d14"][name] for name in ("cardiomegaly", "edema", "atelectasis")}
    assert said["no"] == said["d14"] | dict.fromkeys(("nodule", "mass", "atelectasis"), ("negative", "hedged"))
    for mapping in MAPPINGS.values():
        assert set(mapping) <= set(LESIONS) - {"emphysema", "hernia", "fibrosis"}
        assert set(mapping.values()) <= set(OBSERVATIONS)


def _as_trained(state: dict[str, Tensor], path: Path) -> None:
    torch.save(published(state), path)


def _of_2020(state: dict[str, Tensor], path: Path) -> None:
    torch.save(published(state), path, _use_new_zipfile_serialization=False)


def _bare(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state | {"bert.embeddings.position_ids": torch.arange(512)[None]}, path)


def _safe(state: dict[str, Tensor], path: Path) -> None:
    save_file({f"module.{name}": value for name, value in state.items()}, path)


@pytest.mark.parametrize(
    ("name", "write"), [("chexbert.pth", _as_trained), ("old.pth", _of_2020), ("bare.pt", _bare), ("chexbert.safetensors", _safe)]
)
def test_the_same_tensors_say_the_same_however_they_are_kept(
    tmp_path: Path, folder: Path, name: str, write: Callable[[dict[str, Tensor], Path], None]
) -> None:
    write(tensors(), tmp_path / name)
    found = chexbert(tmp_path / name, vocab=folder).raw(REPORTS)
    np.testing.assert_array_equal(found, chexbert(folder).raw(REPORTS))


class Trap:
    """Opened, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_file_that_could_run_code_is_opened_only_if_the_user_says_so(tmp_path: Path, folder: Path) -> None:
    torch.save({**published(tensors()), "metrics": Trap(tmp_path / "mark")}, tmp_path / "chexbert.pth")
    message = r"chexbert\.pth: holds more than tensors .*could run code; take chexbert\.pth of StanfordAIMI/RRG_scorers .*chexbert\.trust_pickle=yes"
    with pytest.raises(WrongWeights, match=message):
        chexbert(tmp_path, vocab=folder)
    assert not (tmp_path / "mark").exists()
    np.testing.assert_array_equal(chexbert(tmp_path, vocab=folder, trust_pickle=True).raw(REPORTS), chexbert(folder).raw(REPORTS))
    assert (tmp_path / "mark").exists()


def _without(*names: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors().items() if name not in names}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (_without("linear_heads.13.bias", "linear_heads.2.weight"), r"of the 81 tensors .* 2 are missing \(first linear_heads\.13\.bias\); take"),
        (tensors() | {"linear_heads.14.bias": torch.zeros(4)}, r"1 have no place \(first linear_heads\.14\.bias\)"),
        (tensors() | {"linear_heads.13.bias": torch.zeros(4)}, r"linear_heads\.13\.bias is \(4,\), expected is \(2,\)"),
        (_without("bert.embeddings.word_embeddings.weight"), r"has 80 tensors, but no matrix bert\.embeddings\.word_embeddings\.weight"),
        (
            {f"encoder.{name}": value for name, value in tensors().items()},
            r"no matrix bert\.embeddings\.word_embeddings\.weight, and so is no CheXbert",
        ),
        ({"state_dict": {}, "epoch": 3}, "holds state_dict, epoch, expected are tensors by name"),
        ({"model_state_dict": {}}, "holds nothing, expected are tensors by name"),
        (torch.zeros(3), "holds a Tensor, expected"),
    ],
)
def test_a_file_of_something_else_is_refused_with_what_it_holds(tmp_path: Path, found: Any, message: str) -> None:
    torch.save(found, tmp_path / "chexbert.pth")
    with pytest.raises(WrongWeights, match=rf"chexbert\.pth: .*{message}"):
        load(tmp_path / "chexbert.pth", attention_heads=2)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", b"<html>"),
        ("b.pth", b""),
        ("c.safetensors", b"<html>"),
        ("d.pth", b"PK\x03\x04 cut"),
        ("e.pth", b"hello"),
        ("f.pth", b"id,report\na,b\n"),
        ("g.pth", b"\x80"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for trust in (False, True):
        with pytest.raises(WrongWeights, match=rf"{re.escape(name)}: .*; take chexbert\.pth of StanfordAIMI/RRG_scorers on the Hugging Face hub"):
            load(tmp_path / name, attention_heads=2, trust_pickle=trust)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_refused_however_the_reader_stumbles(tmp_path: Path) -> None:
    """A byte here and there of the oldest form, which is a bare pickle, and of the newest; what is still whole is loaded."""
    sizes = Sizes(words=20, places=8, width=8, inner=8, layers=1, attention_heads=2)
    outcomes = set()
    for is_new in (False, True):
        torch.save(tensors(sizes=sizes), tmp_path / "whole.pth", _use_new_zipfile_serialization=is_new)
        whole = (tmp_path / "whole.pth").read_bytes()
        generator = np.random.default_rng(0)
        for number in range(60):
            damaged = bytearray(whole)
            damaged[int(generator.integers(min(len(whole), 2000)))] = int(generator.integers(256))
            (tmp_path / "chexbert.pth").write_bytes(damaged[: None if number % 4 else int(generator.integers(1, len(whole)))])
            try:
                load(tmp_path / "chexbert.pth", attention_heads=2)
                outcomes.add("loaded")
            except WrongWeights as error:
                outcomes.add(str(error).rpartition("; take ")[2][:12])
    assert outcomes == {"loaded", "chexbert.pth"}


def test_the_number_of_attention_heads_is_asked_for_where_the_width_does_not_tell(folder: Path, tmp_path: Path) -> None:
    for heads in (None, 3):
        with pytest.raises(WrongWeights, match=r"is 32 numbers wide, which .*attention heads .*--set chexbert\.attention_heads=N"):
            load(folder / "chexbert.pth", attention_heads=heads)
    wide = Sizes(words=len(PIECES), places=16, width=128, inner=8, layers=1)
    torch.save(tensors(sizes=Sizes(**{**vars(wide), "attention_heads": 2})), tmp_path / "wide.pth")
    assert load(tmp_path / "wide.pth").network.sizes == Sizes(**{**vars(wide), "attention_heads": 2})


def test_another_file_of_the_same_name_is_read_anew(tmp_path: Path, folder: Path) -> None:
    """What was loaded is kept, for a run makes its labeller more than once; a file that was replaced must not be taken for the old one."""
    first, again = load(folder / "chexbert.pth", attention_heads=2), load(folder / "chexbert.pth", attention_heads=2)
    assert first is again
    torch.save(tensors(0), tmp_path / "chexbert.pth")
    old = load(tmp_path / "chexbert.pth", attention_heads=2)
    torch.save(tensors(1), tmp_path / "chexbert.pth")
    new = load(tmp_path / "chexbert.pth", attention_heads=2)
    assert old.sha256 != new.sha256
    assert not torch.equal(old.network.linear_heads[0].weight, new.network.linear_heads[0].weight)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (PIECES[:-1], rf"has {len(PIECES) - 1} different word pieces in {len(PIECES) - 1} lines, the network has places for {len(PIECES)}"),
        ([*PIECES[:-1], "the"], rf"has {len(PIECES) - 1} different word pieces in {len(PIECES)} lines"),
        (
            ["[MASK]" if piece == "[SEP]" else piece for piece in PIECES],
            rf"has {len(PIECES)} lines, but no \[SEP\]; take vocab\.txt of bert-base-uncased",
        ),
    ],
)
def test_a_vocabulary_of_another_network_is_refused(tmp_path: Path, folder: Path, pieces: list[str], message: str) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    with pytest.raises(WrongVocabulary, match=rf"vocab\.txt: {message}"):
        chexbert(folder, vocab=tmp_path)


def test_a_vocabulary_with_line_ends_of_windows_is_the_same(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes().replace(b"\n", b"\r\n"))
    there, here = chexbert(folder), chexbert(folder, vocab=tmp_path)
    assert there.signature() == here.signature()
    np.testing.assert_array_equal(there.raw(REPORTS), here.raw(REPORTS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mapping": "d15"}, "no mapping='d15'; known: d14, exact7"),
        ({"uncertain": "blank"}, "no uncertain='blank'; known: positive, negative"),
        ({"precision": "int8"}, "no precision='int8'; known: fp32, bf16"),
        ({"batch_tokens": 0}, "batch_tokens is 0; it must be at least 1"),
        ({"device": "tpu9"}, "device 'tpu9' cannot be had here .*; name auto, cpu"),
        ({"weights": Path("nowhere.pth")}, r"chexbert\.weights=nowhere\.pth: there is no such file; name a file, or a folder that holds chexbert\."),
        ({"vocab": Path("nowhere")}, r"chexbert\.vocab=nowhere: there is no such file; name a file, or a folder that holds vocab\.txt"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_what_would(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Chexbert(**{"weights": folder, "attention_heads": 2, **settings})


def test_a_machine_without_the_files_is_told_how_to_get_them(elsewhere: Path, folder: Path) -> None:
    with pytest.raises(
        NotThere, match=r"no CheXbert weights on this machine .*get chexbert\.pth of StanfordAIMI/RRG_scorers .*chexbert\.download=yes"
    ):
        weights_file()
    with pytest.raises(NotThere, match=r"chexbert\.weights=.*: that folder holds no chexbert\.safetensors or chexbert\.pth"):
        weights_file(elsewhere)
    with pytest.raises(NotThere, match=r"no vocabulary for CheXbert .*vocab\.txt of google-bert/bert-base-uncased .*--set chexbert\.vocab=PATH"):
        vocabulary_file(beside=elsewhere / "chexbert.pth")
    for fetch, setting in ((weights_file, "weights"), (vocabulary_file, "vocab")):
        with pytest.raises(
            NotFetched, match=rf"could not be fetched from .*; get it where there is a network and name it, --set chexbert\.{setting}="
        ):
            fetch(download=True)
    states = {what.split()[0]: is_there for is_there, what in Chexbert.needs()}
    assert states == {"packages": True, "weights": False, "vocabulary": False}


@pytest.mark.parametrize(
    "place", ["ours/models/chexbert", "theirs/chexbert", "hub/models--StanfordAIMI--RRG_scorers/snapshots/0123456789012345678901234567890123456789"]
)
def test_weights_that_another_program_keeps_are_found(elsewhere: Path, folder: Path, place: str) -> None:
    (elsewhere / place).mkdir(parents=True)
    (elsewhere / place / "chexbert.pth").write_bytes((folder / "chexbert.pth").read_bytes())
    refs = elsewhere / "hub" / "models--StanfordAIMI--RRG_scorers" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("0123456789012345678901234567890123456789")
    assert weights_file() == find_weights() == elsewhere / place / "chexbert.pth"
    assert find_vocabulary(find_weights()) is None
    (elsewhere / place / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    assert find_vocabulary(find_weights()) == elsewhere / place / "vocab.txt"
    assert all(is_there for is_there, _ in Chexbert.needs())
    assert len(Chexbert(attention_heads=2, device="cpu").label(["The lungs are clear."])) == 1


def test_the_signature_says_which_weights_and_what_is_never_found_and_names_no_folder(tmp_path: Path, folder: Path) -> None:
    signature = chexbert(folder).signature()
    assert re.fullmatch(
        r"chexbert\|weights:\w{12}\|heads:2\|vocab:sha256:\w{12}\|mapping:d14\|uncertain:positive\|always_negative:emphysema\+hernia\+fibrosis\|"
        r"precision:fp32\|v1",
        signature,
    )
    torch.save(published(tensors(1)), tmp_path / "chexbert.pth")
    others = [
        chexbert(folder, mapping="exact7").signature(),
        chexbert(folder, uncertain="negative").signature(),
        chexbert(folder, precision="bf16").signature(),
        chexbert(tmp_path, vocab=folder).signature(),
    ]
    assert len({signature, *others}) == 5
    # No weight tells the number of heads, and labels depend on it.
    few, many = (Chexbert(weights=folder, attention_heads=heads, device="cpu") for heads in (2, 8))
    assert (few.raw(REPORTS) != many.raw(REPORTS)).any()
    assert few.signature() != many.signature()
    assert few.raw_signature() != many.raw_signature()
    assert "always_negative:emphysema+hernia+nodule+pleural thickening+mass+infiltration+fibrosis" in others[0], (
        "what exact7 leaves out is negative too"
    )
    assert chexbert(folder, batch_tokens=7).signature() == signature
    assert chexbert(folder).batch_tokens == 1024


def test_16_bits_change_scores_by_little(folder: Path) -> None:
    labeller = chexbert(folder, precision="bf16")
    tokens = torch.tensor(labeller.vocabulary.numbers(["there is no effusion"]))
    with torch.inference_mode():
        exact = labeller.network.linear_heads[0](labeller.network.read(tokens))
        with torch.autocast("cpu", torch.bfloat16):
            near = labeller.network(tokens)[:, 0]
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 0.1 * exact.abs().max()
    assert labeller.raw(REPORTS).shape == (len(REPORTS), 14)


def test_it_is_made_by_name_with_its_settings_and_its_labels_make_a_file(tmp_path: Path, folder: Path) -> None:
    options = {"weights": str(folder), "attention_heads": "2", "mapping": "exact7", "batch_tokens": "100"}
    labeller = labeller_named("chexbert", options, {"device": "cpu", "seed": 1})
    assert isinstance(labeller, Chexbert)
    assert (labeller.mapping, labeller.batch_tokens, labeller.device.type, labeller.asks) == ("exact7", 100, "cpu", False)
    labels = labeller.label(REPORTS)
    write_labels(tmp_path / "labels.jsonl", ((str(number), lesions) for number, lesions in enumerate(labels)))
    assert list(read_labels(tmp_path / "labels.jsonl").lesions.values()) == labels
    with pytest.raises(UserError, match="labeller 'chexbert' has no setting 'weight'; it has: weights, vocab, mapping, "):
        labeller_named("chexbert", {"weight": str(folder)}, {"device": "cpu"})


def test_from_the_command_line_a_file_is_labelled_and_a_machine_without_weights_is_told(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "reports.csv").write_text("id,report\na,The lungs are clear.\nb,There is a left pleural effusion.\n")
    environment = {**os.environ, "CLALA_BENCHMARK_CACHE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    words = [sys.executable, "-m", "benchmark", "label", "reports.csv", "--labeller", "chexbert", "--out", "labels.jsonl"]
    asked: dict[str, Any] = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 300, "check": False}
    refused = subprocess.run(words, **asked)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no CheXbert weights on this machine")
    done = subprocess.run([*words, "--set", f"chexbert.weights={folder}", "--set", "chexbert.attention_heads=2"], **asked)
    assert done.returncode == 0, done.stderr
    assert "labelled by chexbert|weights:" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert all([lesion["name"] for lesion in line["lesions"]] == list(LESIONS) for line in lines)


@pytest.mark.weights
def test_the_published_network_knows_a_lesion_from_its_denial() -> None:
    weights = find_weights()
    if weights is None or find_vocabulary(weights) is None:
        pytest.skip("needs chexbert.pth of StanfordAIMI/RRG_scorers and the vocabulary of bert-base-uncased on this machine")
    labeller = Chexbert()
    assert sum(parameter.numel() for parameter in labeller.network.parameters()) == 108_933_174
    assert "vocab:bert-base-uncased" in labeller.signature()
    row = dict(zip(OBSERVATIONS, labeller.raw(["There is a large left pleural effusion. No pneumothorax."])[0].tolist(), strict=True))
    assert (row["Pleural Effusion"], row["Pneumothorax"], row["Fracture"]) == (1, 2, 0)


def test_the_published_sizes_make_a_bert_base_with_54_scores() -> None:
    with torch.device("meta"):
        network = Network(Sizes())
    # 30,522 + 512 + 2 embeddings and their norm, 12 layers of 7,087,872, and 13 x 4 + 2 scores; the pooler is left out.
    bert = (30_522 + 512 + 2) * 768 + 2 * 768 + 12 * 7_087_872
    assert sum(parameter.numel() for parameter in network.parameters()) == bert + 54 * 769
    assert [head.out_features for head in network.linear_heads if isinstance(head, nn.Linear)] == [4] * 13 + [2]
