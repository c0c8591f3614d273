"""What vision-language guests share: vocabularies, names, LoRA, strict loading, memory said beforehand, and writing in batches."""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch
from safetensors.torch import save_file
from tiny_vicuna import llama_config, random_llama, vocabulary, write_vocabulary
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from adapters.llava_rad import model as llava_rad
from adapters.llava_rad import network as llava_rad_network
from adapters.maira2 import model as maira2
from adapters.maira2 import network as maira2_network
from adapters.pretrained import NoNetwork
from adapters.vision_language import lora, pixels
from adapters.vision_language.fitting import device_and_precision, fitted
from adapters.vision_language.loading import check_places, count_of, empty, load
from adapters.vision_language.memory import GIB, Sizes, TooLittleMemory, batch_that_fits, in_words, language_sizes
from adapters.vision_language.naming import renamed
from adapters.vision_language.pieces import around_images, check_rows, ids_of, number_of, read_pieces, signs_of, split_at, without_signs
from adapters.vision_language.published import Published
from adapters.vision_language.stored import Stored, WrongWeights, opened, whole
from adapters.vision_language.writing import Asked, Drawn, Rate, Writer, Written, reports
from benchmark.records import Case, Report, UserError

CPU = torch.device("cpu")
VICUNA = LlamaConfig(
    vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, max_position_embeddings=4096
)


@pytest.fixture(scope="module")
def vocabulary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_vocabulary(folder)
    return folder


# --- vocabularies -----------------------------------------------------------------------------------------------------------------------------------

IDS = {  # by sentencepiece 0.2.3 from the same tokenizer.model
    "A chat USER: ": [370, 283, 390, 392, 389, 369, 443, 388],
    "\nProvide a description of the findings": [388, 13, 407, 393, 400, 408, 399, 405, 391, 262, 341, 343, 261, 310],
    " ASSISTANT:": [388, 378, 443],
    "the  lungs\tare clear": [261, 388, 272, 12, 384, 391, 287],
    "ér 日": [388, 198, 172, 393, 388, 233, 154, 168],
    "x": [388, 439],
    "": [],
}


@pytest.mark.parametrize("text", IDS, ids=repr)
def test_a_sentencepiece_model_is_read_as_its_own_library_reads_it(vocabulary_folder: Path, text: str) -> None:
    """Blanks, runs of them, breaks, letters that the vocabulary lacks: ids and the way back."""
    pieces = read_pieces(vocabulary_folder, "test")
    assert ids_of(pieces, text) == IDS[text]
    assert pieces.decode(IDS[text]) == text


def test_each_text_between_images_is_cut_into_pieces_by_itself(vocabulary_folder: Path) -> None:
    """The library's ids of both texts, the second with a blank of its own and without a begin."""
    pieces = read_pieces(vocabulary_folder, "test")
    assert around_images(pieces, "A chat USER: <image>\nProvide a description of the findings", 1) == [
        [1, *IDS["A chat USER: "]],
        IDS["\nProvide a description of the findings"],
    ]
    assert around_images(pieces, "x", 1) == [[1, 388, 439]]
    assert split_at([1, 5, 9, 9, 6], 9) == [[1, 5], [], [6]]
    assert split_at([1, 5, 8, 6, 9], (8, 9)) == [[1, 5], [6], []]


def test_a_vocabulary_that_is_damaged_or_lacks_a_sign_is_refused_by_name(vocabulary_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoNetwork, match=r"test: .* holds no vocabulary, tokenizer.json or tokenizer.model; take the folder whole"):
        read_pieces(tmp_path, "test")
    content = (vocabulary_folder / "tokenizer.model").read_bytes()
    for damaged in (content[: len(content) // 2], b"version https://git-lfs.github.com/spec/v1\n", b""):
        (tmp_path / "tokenizer.model").write_bytes(damaged)
        with pytest.raises(NoNetwork, match=r"test: tokenizer.model of .* cannot be read"):
            read_pieces(tmp_path, "test")
    with pytest.raises(NoNetwork, match="the vocabulary has no <image>, which the model was trained with"):
        number_of(read_pieces(vocabulary_folder, "test"), "<image>", "test")


def test_a_sign_that_stands_in_a_text_is_taken_out_and_leaves_none_behind(vocabulary_folder: Path) -> None:
    signs = signs_of(read_pieces(vocabulary_folder, "test"))
    assert sorted(signs) == ["</s>", "<s>", "<unk>"]
    assert without_signs("a</s>b <<s>s> c", signs).split() == ["a", "b", "<", "s>", "c"]
    assert without_signs("a <im<image>age> b", ["<image>"]) == "a <im age> b"
    assert without_signs("a<s>b", ["a b", "<s>"]) == " "  # a sign that comes about by it


def test_a_vocabulary_with_more_pieces_than_the_model_has_rows_is_refused(vocabulary_folder: Path) -> None:
    """Else the first report with that piece would end the run."""
    pieces = read_pieces(vocabulary_folder, "test")
    check_rows(pieces, len(vocabulary()), "test")
    with pytest.raises(
        NoNetwork, match=rf"test: the vocabulary goes up to the id {len(vocabulary()) - 1} .*, the model has rows for {len(vocabulary()) - 1};"
    ):
        check_rows(pieces, len(vocabulary()) - 1, "test")


# --- files and names --------------------------------------------------------------------------------------------------------------------------------


def test_tensors_are_found_in_safetensors_old_and_new_pytorch_files_and_inside_a_checkpoint(tmp_path: Path) -> None:
    one, two, three = torch.arange(6.0).reshape(2, 3), torch.ones(4), torch.tensor(3)
    save_file({"one": one}, tmp_path / "a.safetensors")
    torch.save({"two": two}, tmp_path / "b.bin")
    torch.save({"three": three}, tmp_path / "c.bin", _use_new_zipfile_serialization=False)
    found = opened([tmp_path / "a.safetensors", tmp_path / "b.bin", tmp_path / "c.bin"], "test")
    assert {name: one.shape for name, one in found.items()} == {"one": (2, 3), "two": (4,), "three": ()}
    assert all(torch.equal(found[name].read(), value) for name, value in (("one", one), ("two", two), ("three", three)))
    torch.save({"epoch": 3, "state_dict": {"two": two}}, tmp_path / "d.pt")
    assert opened([tmp_path / "d.pt"], "test", inside="state_dict")["two"].shape == (4,)
    with pytest.raises(WrongWeights, match=r"test: d.pt should be tensors by name, the file holds epoch, state_dict"):
        opened([tmp_path / "d.pt"], "test")
    with pytest.raises(WrongWeights, match=r"two is in b.bin and in another file"):
        opened([tmp_path / "b.bin", tmp_path / "b.bin"], "test")


class Harmful:
    """What a pickle could hold: something that runs when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('code of a file was run')",))


def test_no_file_runs_anything_and_damaged_files_are_told(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(1), "y": Harmful()}, tmp_path / "harm.bin")
    with pytest.raises(
        WrongWeights, match=r"harm.bin holds more than tensors .* is not opened, for it could run code; .*--set test.trust_pickle=yes"
    ):
        opened([tmp_path / "harm.bin"], "test")
    save_file({"x": torch.ones(100)}, tmp_path / "x.safetensors")
    torch.save({"x": torch.ones(100)}, tmp_path / "x.bin")
    for file in ("x.safetensors", "x.bin"):
        half = tmp_path / f"half_{file}"
        half.write_bytes((tmp_path / file).read_bytes()[:200])
        with pytest.raises(WrongWeights, match=f"{half.name} .*fetch it again"):
            opened([half], "test")


def test_names_go_through_all_rules_and_a_tensor_can_be_cut_or_left_out() -> None:
    qkv = torch.arange(12.0).reshape(6, 2)
    rules = [(r"^module\.", ""), (r"^text\.", None), (r"\.qkv\.", (".q.", ".k.", ".v.")), (r"\.q\.", ".query.")]
    found = renamed({"module.a.qkv.weight": whole(qkv), "module.text.b": whole(qkv), "c": whole(qkv)}, rules, "test")
    assert set(found) == {"a.query.weight", "a.k.weight", "a.v.weight", "c"}
    assert found["a.k.weight"].shape == (2, 2)
    assert torch.equal(found["a.k.weight"].read(), qkv[2:4])
    with pytest.raises(WrongWeights, match=r"two tensors of the file would become c, module.c is the second"):
        renamed({"c": whole(qkv), "module.c": whole(qkv)}, rules, "test")
    with pytest.raises(WrongWeights, match=r"a\.qkv\.weight is \(7, 2\), and should be cut into 3 equal parts"):
        renamed({"a.qkv.weight": whole(torch.ones(7, 2))}, rules, "test")


# --- LoRA -------------------------------------------------------------------------------------------------------------------------------------------


def test_a_lora_is_added_with_its_scale() -> None:
    """2 x B A by hand: [[1], [2]] x [[3, 4]] = [[3, 4], [6, 8]]; what the LoRA does not name stays as it is."""
    base = {"m.q.weight": whole(torch.ones(2, 2)), "m.k.weight": whole(torch.ones(2, 2))}
    add = {
        "base_model.model.m.q.lora_A.weight": whole(torch.tensor([[3.0, 4.0]])),
        "base_model.model.m.q.lora_B.weight": whole(torch.tensor([[1.0], [2.0]])),
    }
    found = lora.merged(base, add, lora.LoRA(1, 2.0), "test")
    assert found["m.q.weight"].read().tolist() == [[7, 9], [13, 17]]
    assert found["m.k.weight"].read().tolist() == [[1, 1], [1, 1]]
    assert base["m.q.weight"].read().tolist() == [[1, 1], [1, 1]]


def test_a_lora_that_does_not_fit_or_is_of_another_kind_is_refused(tmp_path: Path) -> None:
    base = {"m.q.weight": whole(torch.ones(2, 2))}
    a, b = whole(torch.ones(1, 2)), whole(torch.ones(2, 1))
    for add, said in (
        ({"m.x.lora_A.weight": a, "m.x.lora_B.weight": b}, "adds to m.x.weight, which the base model does not have"),
        ({"m.q.lora_A.weight": a}, "of m.q.weight the LoRA has lora_A alone"),
        ({"m.q.lora_A.weight": a, "m.q.lora_B.weight": whole(torch.ones(3, 1))}, r"adds \(3, 1\) by \(1, 2\) to m.q.weight, which is \(2, 2\)"),
        ({"m.q.bias": a}, "m.q.bias among the LoRA's tensors is none of lora_A and lora_B"),
    ):
        with pytest.raises(WrongWeights, match=said):
            lora.merged(base, add, lora.LoRA(1, 1.0), "test")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 128, "lora_alpha": 256}))
    assert lora.read_lora(tmp_path, "test").scale == 2.0
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 128, "lora_alpha": 256, "use_rslora": True}))
    with pytest.raises(WrongWeights, match="use_rslora=True, which is not merged here"):
        lora.read_lora(tmp_path, "test")


def test_half_a_lora_or_one_of_another_rank_than_it_says_is_refused(tmp_path: Path) -> None:
    """Each would load, and the reports would be those of half a training, or of one at another strength."""
    a, b = whole(torch.ones(1, 2)), whole(torch.ones(2, 1))
    names = [f"model.layers.{layer}.{part}.weight" for layer in (0, 1) for part in ("q_proj", "k_proj")]
    base = {name: whole(torch.ones(2, 2)) for name in [*names, "tower.layers.0.q_proj.weight"]}

    def added(*chosen: str) -> dict[str, Stored]:
        return {f"{name.removesuffix('.weight')}.lora_{half}.weight": one for name in chosen for half, one in (("A", a), ("B", b))}

    assert len(lora.merged(base, added(*names), lora.LoRA(1, 1.0, ("q_proj", "k_proj")), "test")) == 5
    assert len(lora.merged(base, added(*names[::2]), lora.LoRA(1, 1.0, ("q_proj",)), "test")) == 5
    with pytest.raises(WrongWeights, match=r"2 tensors have no addition \(model\.layers\.1\.k_proj\.weight first\)"):
        lora.merged(base, added(*names[:2]), lora.LoRA(1, 1.0), "test")
    with pytest.raises(WrongWeights, match=r"2 tensors have no addition \(model\.layers\.0\.k_proj\.weight first\)"):
        lora.merged(base, added(*names[::2]), lora.LoRA(1, 1.0, ("q_proj", "k_proj")), "test")
    with pytest.raises(WrongWeights, match=r"are of rank 1, adapter_config.json says r=64; take both of one release"):
        lora.merged(base, added(*names), lora.LoRA(64, 1.0), "test")
    for r, alpha in (("nan", 1), (float("nan"), 1), (0, 1), (True, 1), (4, float("inf")), (4, "8"), (4, 0)):
        (tmp_path / "adapter_config.json").write_text(json.dumps({"r": r, "lora_alpha": alpha}))
        with pytest.raises(WrongWeights, match="has no lora_alpha and r that can be read"):
            lora.read_lora(tmp_path, "test")


# --- loading ----------------------------------------------------------------------------------------------------------------------------------------


def tiny() -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**llama_config(len(vocabulary()))))


def tiny_state() -> dict[str, Stored]:
    return {name: whole(value) for name, value in random_llama(len(vocabulary()), 0).items()}


def test_an_empty_network_has_no_parameters_in_memory_and_a_filled_one_is_transformers_own() -> None:
    network = empty(tiny)
    assert all(value.is_meta for value in network.parameters())
    state = random_llama(len(vocabulary()), 0)
    loaded = load(network, tiny_state(), "test", precision="fp32", device=CPU)
    theirs = tiny().eval()
    theirs.load_state_dict(state, strict=True)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, theirs(ids).logits)
    assert not any(value.requires_grad for value in loaded.parameters())
    assert {value.dtype for value in load(empty(tiny), tiny_state(), "test", precision="bf16", device=CPU).parameters()} == {torch.bfloat16}


def test_a_tensor_is_gone_before_the_next_but_one_is_read() -> None:
    """Else 14 GB of weights would be 28 for a while; read in 32 bits and kept in 16, none may stay."""
    read: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def counted(value: torch.Tensor) -> Stored:
        def give() -> torch.Tensor:
            nonlocal most
            most = max(most, sum(one() is not None for one in read))
            found = value.clone()
            read.append(weakref.ref(found))
            return found

        return Stored(tuple(value.shape), give)

    load(empty(tiny), {name: counted(one.read()) for name, one in tiny_state().items()}, "test", precision="bf16", device=CPU)
    assert len(read) == len(tiny_state())
    assert most <= 1


def test_missing_left_over_and_misshapen_tensors_are_all_told_before_anything_is_read() -> None:
    state = {name: Stored(one.shape, lambda: pytest.fail("was read")) for name, one in tiny_state().items()}
    state["lm_head.weight2"] = state.pop("lm_head.weight")
    state["model.norm.weight"] = state["model.norm.weight"]._replace(shape=(3,))
    said = r"of the network's 21 tensors 1 are missing \(first lm_head.weight\), and 1 have no place \(first lm_head.weight2\), and 1 are of another "
    with pytest.raises(WrongWeights, match=said + r"shape \(first model.norm.weight, \(3,\) where \(64,\) is expected\)"):
        load(empty(tiny), state, "test", precision="fp32", device=CPU)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_tensor_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    state = random_llama(len(vocabulary()), 0)
    state["model.norm.weight"][3] = bad
    said = r"test: model\.norm\.weight holds numbers that are not finite in float32, 1 of 64; fetch the file again"
    with pytest.raises(WrongWeights, match=said):
        load(empty(tiny), {name: whole(value) for name, value in state.items()}, "test", precision="fp32", device=CPU)


def test_a_number_that_16_bits_cannot_hold_is_refused_with_the_precision_that_can() -> None:
    """70,000 is more than fp16 has, and would be infinite without a word."""
    state = random_llama(len(vocabulary()), 0)
    state["model.norm.weight"][3] = 70_000
    stored = {name: whole(value) for name, value in state.items()}
    with pytest.raises(WrongWeights, match=r"not finite in float16, 1 of 64; fetch the file again, or name precision=fp32"):
        load(empty(tiny), stored, "test", precision="fp16", device=CPU)
    assert float(load(empty(tiny), stored, "test", precision="fp32", device=CPU).model.norm.weight[3]) == 70_000


def test_a_tensor_that_is_read_in_another_shape_than_its_file_says_is_refused() -> None:
    state = tiny_state()
    state["model.norm.weight"] = Stored((64,), lambda: torch.ones(65))
    with pytest.raises(WrongWeights, match=r"model\.norm\.weight should be \(64,\), and was read as \(65,\)"):
        load(empty(tiny), state, "test", precision="fp32", device=CPU)


def test_precisions_that_cannot_be_had_are_refused_with_the_remedy() -> None:
    assert device_and_precision("test", "cpu", "auto", usual="fp16") == (CPU, "bf16")
    assert device_and_precision("test", "cpu", "fp32") == (CPU, "fp32")
    with pytest.raises(UserError, match="test has no precision='int8'; known: auto, bf16"):
        device_and_precision("test", "cpu", "int8")
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(UserError, match=r"test.precision=4bit needs bitsandbytes, not installed here; pip install .*quantised.*, or name bf16"):
            device_and_precision("test", "cpu", "4bit")


@pytest.mark.parametrize(("precision", "error"), [("8bit", 0.1), ("4bit", 0.5)])
def test_8_and_4_bits_are_near_to_32(precision: str, error: float) -> None:
    """Where bitsandbytes is: the head and the embeddings stay as they are, and the logits are not far off."""
    pytest.importorskip("bitsandbytes")
    ids = torch.arange(3, 40)[None]
    whole_, small = (load(empty(tiny), tiny_state(), "test", precision=one, device=CPU, small="model") for one in ("fp32", precision))
    assert small.lm_head.weight.dtype.is_floating_point
    assert not small.model.layers[0].mlp.up_proj.weight.dtype.is_floating_point
    with torch.no_grad():
        ours, theirs = small(ids).logits.float(), whole_(ids).logits
    assert (ours - theirs).norm() / theirs.norm() < error


def test_a_map_is_refused_where_memory_is_too_little_where_it_needs_the_disk_and_where_there_is_none_of_its_name() -> None:
    settings: dict[str, Any] = {"device": CPU, "precision": "bf16", "batch_size": 0, "at_most": 8}
    assert fitted(Sizes(10, 10, 1, 1), "m", device_map="auto", **settings).batch_size == 1
    with pytest.raises(TooLittleMemory, match=r"m at precision=bf16 and batch_size=1 needs [\d.]+ GiB, all devices together has [\d.]+ free"):
        fitted(Sizes(10**16, 10, 1, 1), "m", device_map="auto", **settings)
    with pytest.raises(UserError, match="m has no device_map='banana'; known: auto, balanced, balanced_low_0, sequential, or none"):
        fitted(Sizes(10, 10, 1, 1), "m", device_map="banana", **settings)
    check_places({"a": 0, "b": "cpu", "c": CPU}, "m")
    with pytest.raises(TooLittleMemory, match=r"m\.device_map leaves 1 of 2 parts of the network \(b first\) without a place on any device"):
        check_places({"a": 0, "b": "disk"}, "m")


def test_the_card_names_what_was_loaded(tmp_path: Path) -> None:
    known = Published("org/model", "a" * 40, "", 1.0)
    commit = tmp_path / ("b" * 40)
    assert known.loaded("", commit) == known.loaded("org/model", commit) == f"org/model@{'a' * 12}"
    assert known.loaded("org/other@0123456789abcdef", commit) == "org/other@0123456789ab"
    assert known.loaded("org/other", commit) == f"org/other@{'b' * 12}"  # the hub's cache names a folder by its revision
    (tmp_path / "mine").mkdir()
    assert known.loaded(str(tmp_path / "mine"), tmp_path / "mine") == "mine, a folder that the user named"


def test_a_network_that_is_spread_by_a_map_computes_the_same() -> None:
    ids = torch.arange(3, 40)[None]
    here, spread = (load(empty(tiny), tiny_state(), "test", precision="fp32", device=CPU, device_map=how) for how in ("", "auto"))
    with torch.no_grad():
        assert torch.equal(here(ids).logits, spread(ids).logits)


# --- memory -----------------------------------------------------------------------------------------------------------------------------------------


def test_published_sizes_are_those_of_the_published_files() -> None:
    """MAIRA-2's six shards hold 522 tensors, one of them the sign for hidden patches (768 numbers), in 27,520,8xx,xxx bytes with their headers."""
    network = empty(lambda: llava_rad_network.Network(llava_rad_network.Tower(768, 11, 14, 37, 3072), VICUNA))
    files = llava_rad_network.Files({}, llava_rad_network.Tower(768, 11, 14, 37, 3072), VICUNA)
    assert files.sizes(network, 256) == llava_rad.PUBLISHED_SIZES
    from transformers import Dinov2Config

    words = LlamaConfig(**{**VICUNA.to_dict(), "vocab_size": 32207})
    settings = maira2_network.Settings(Dinov2Config(hidden_size=768, image_size=518, patch_size=14, use_mask_token=False), words, 4)
    other = empty(lambda: maira2_network.Network(settings))
    assert maira2_network.sizes_of(settings, other, 300) == maira2.PUBLISHED_SIZES
    assert len(other.state_dict()) == 522 - 1
    shards = 4_955_289_768 + 4 * 4_857_207_700 + 3_136_688_192
    assert 0 <= shards - 4 * (sum(count_of(other)) + 768) < 100_000


def test_memory_is_weights_and_what_a_batch_needs() -> None:
    """By hand: 1000 numbers of 2 bytes and 100 of 2; two cases of 10 tokens, each 5 + 3 numbers of 2 bytes, and an image each of 7."""
    sizes = Sizes(matrices=1000, others=100, cache=5, work=3, eyes=7, tokens=10)
    assert sizes.bytes_at("bf16", 2) == 2200 + 2 * 2 * (10 * 8 + 7)
    assert sizes.bytes_at("8bit", 0) == 1000 + 200
    assert sizes.bytes_at("4bit", 0) == 1000 * (0.5 + 1 / 64) + 200
    assert sizes.bytes_at("fp32", 1) == 4400 + 4 * 87
    assert sizes.most("bf16", 2200 + 3 * 174, 8) == 3
    assert sizes.most("bf16", 2200, 8) == 0
    # Llama 2 7B: 2 x 32 layers x 4096 numbers for a token, half a megabyte in 16 bits.
    assert language_sizes(VICUNA)[0] * 2 == 524_288
    assert in_words(llava_rad.PUBLISHED_SIZES) == "fp32 28, bf16 14, 8bit 8, 4bit 5 GiB"


def test_too_little_memory_is_said_with_the_setting_that_fits() -> None:
    sizes = llava_rad.PUBLISHED_SIZES
    ask: dict[str, Any] = {"precision": "bf16", "batch_size": 0, "at_most": 8, "where": "cuda:0"}
    assert batch_that_fits(sizes, "m", free=80 * GIB, **ask) == 8
    assert 1 <= batch_that_fits(sizes, "m", free=16 * GIB, **ask) < 8
    fits = r"cuda:0 has 15.0 free; what fits: --set m.precision=bf16 --set m.batch_size=2 \(14.9 GiB\)"
    with pytest.raises(TooLittleMemory, match=rf"m at precision=bf16 and batch_size=8 needs \d+.\d GiB, {fits}"):
        batch_that_fits(sizes, "m", free=15 * GIB, **{**ask, "batch_size": 8})
    with pytest.raises(TooLittleMemory, match=r"has 9.0 free; what fits: --set m.precision=8bit \(\d\.\d GiB, with bitsandbytes\)"):
        batch_that_fits(sizes, "m", free=9 * GIB, **ask)
    with pytest.raises(TooLittleMemory, match=r"no setting fits, the smallest \(4bit, batch_size=1\) needs 4\.9 GiB; take another device"):
        batch_that_fits(sizes, "m", free=2 * GIB, **ask)
    with pytest.raises(UserError, match="batch_size is -1; it must be at least 1, or 0"):
        fitted(sizes, "m", device=CPU, precision="bf16", batch_size=-1, at_most=8)


# --- pixels -----------------------------------------------------------------------------------------------------------------------------------------


def test_the_middle_is_cut_out_as_either_library_has_it() -> None:
    """A rest of 3 and of 5 pixels: torchvision's int(round(1.5)) is 2 and of 2.5 it is 2; transformers' is 1 and 2."""
    grey = np.arange(13 * 15, dtype=np.uint8).reshape(13, 15)
    assert pixels.middle(grey, 10)[0, 0] == grey[2, 2]
    assert pixels.middle(grey, 10, odd="down")[0, 0] == grey[1, 2]


def test_an_image_is_spread_to_the_whole_range_without_rounding() -> None:
    grey = np.array([[10, 11], [13, 20]], np.uint8)
    assert pixels.spread_to_255(grey).tolist() == [[0, 25], [76, 255]]  # 25.5 and 76.5
    assert pixels.spread_to_255(np.full((2, 2), 7, np.uint8)).tolist() == [[0, 0], [0, 0]]


# --- writing ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def writer(vocabulary_folder: Path) -> Writer:
    """A tiny LLaMA, and eyes that make four tokens of an image of 8 x 8."""
    language = load(empty(tiny), tiny_state(), "test", precision="fp32", device=CPU)
    torch.manual_seed(1)
    eyes = nn.Conv2d(3, 64, 4, 4).requires_grad_(False)
    return Writer(
        language,
        lambda images: 3 * eyes(images).flatten(2).transpose(1, 2),
        read_pieces(vocabulary_folder, "test"),
        end=[2],
        most=8,
        batch_size=3,
        who="test",
    )


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 8, 8)).astype(np.float32)


def asked(writer: Writer, number: int) -> Asked:
    """Questions of unlike lengths, with none, one or two images."""
    count = number % 3
    prompt = "the heart is normal <image>".replace("<image>", "<image> and " * count) + " lungs" * (number % 5)
    return Asked(around_images(writer.pieces, prompt, 1), lambda: [image(number + place) for place in range(count)], 4)


def with_settings(writer: Writer, **settings: Any) -> Writer:
    return Writer(
        **{
            **{
                name: getattr(writer, name) for name in ("language", "see", "pieces", "end", "most", "batch_size", "who", "stops", "drawn", "longest")
            },
            **settings,
        }
    )


def test_answers_come_in_the_order_of_the_questions_whatever_the_batch(writer: Writer) -> None:
    questions = [asked(writer, number) for number in range(29)]
    alone = list(with_settings(writer, batch_size=1).write(questions))
    assert list(writer.write(questions)) == alone
    assert len({one.text for one in alone if isinstance(one, Written)}) > 5


def test_a_question_that_cannot_be_asked_fails_alone_and_its_image_is_not_missed(writer: Writer) -> None:
    def broken() -> Sequence[np.ndarray]:
        raise UserError("that file is no image")

    questions = [asked(writer, 0), Asked([[1], [5]], broken, 4), asked(writer, 1), Asked([[1] * 2000], list), asked(writer, 2)]
    questions.append(Asked([[1], [5], [6]], lambda: [image(1)], 4))
    answers = list(writer.write(questions))
    assert answers[5] == "the case has 1 images, and its question places for 2"
    assert answers[1] == "that file is no image"
    assert answers[3] == "question (2000 tokens) and answer (up to 8) are more than the model's 1024"
    assert [answers[0], answers[2], answers[4]] == list(writer.write([questions[0], questions[2], questions[4]]))


def test_an_answer_ends_at_an_end_or_a_run_of_tokens_and_says_if_neither_came(writer: Writer) -> None:
    (first,) = writer.write([asked(writer, 1)])
    assert isinstance(first, Written)
    assert first.is_cut
    assert len(first.ids) == 8
    at = next(place for place in range(2, 8) if first.ids[place] not in first.ids[:place])
    (by_end,) = with_settings(writer, end=[first.ids[at], 2]).write([asked(writer, 1)])
    (by_run,) = with_settings(writer, stops=[first.ids[at : at + 1], [400, 401]]).write([asked(writer, 1)])
    assert by_end == by_run == Written(writer.pieces.decode(first.ids[:at]), first.ids[:at], False)


def test_drawn_answers_are_a_cases_own_whatever_is_beside_it(writer: Writer) -> None:
    """Each case draws by its own seed: alone or in a batch, today or tomorrow; another seed draws another answer."""
    questions = [asked(writer, number)._replace(seed=number) for number in range(5)]
    drawing = with_settings(writer, drawn=Drawn(0.9))
    together, alone = list(drawing.write(questions)), [next(drawing.write([one])) for one in questions]
    assert together == alone
    assert together != list(drawing.write([one._replace(seed=9) for one in questions]))
    assert together != list(writer.write(questions))
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    list(drawing.write(questions))
    assert torch.equal(torch.rand(1), before)  # nobody else's chance is touched


class Crowded:
    """A language model that has memory for so many cases at once, and writes how long their texts are."""

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, list[int]()
        self.config, self.dtype = SimpleNamespace(max_position_embeddings=100), torch.float32
        self.table = nn.Embedding(445, 4)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def generate(self, *, inputs_embeds: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> torch.Tensor:
        self.sizes.append(len(inputs_embeds))
        if len(inputs_embeds) > self.room:
            raise torch.OutOfMemoryError("no room")
        return torch.stack([attention_mask.sum(1), torch.full((len(inputs_embeds),), 2)], dim=1)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(vocabulary_folder: Path) -> None:
    pieces = read_pieces(vocabulary_folder, "test")
    questions = [Asked([[5] * length], list) for length in (3, 9, 4, 8, 5)]
    language = Crowded(room=2)
    answers = list(Writer(language, None, pieces, end=[2], most=8, batch_size=5, who="test").write(questions))
    assert [one.ids for one in answers if isinstance(one, Written)] == [[3], [9], [4], [8], [5]]
    assert language.sizes == [5, 3, 2, 1, 2]
    with pytest.raises(TooLittleMemory, match=r"test: one case alone did not fit into memory; .* --set test.precision=4bit"):
        list(Writer(Crowded(room=0), None, pieces, end=[2], most=8, batch_size=5, who="test").write(questions))


def test_reports_are_one_per_case_and_their_pace_is_told(vocabulary_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = read_pieces(vocabulary_folder, "test")
    language = Crowded(room=9)
    writer = Writer(language, None, pieces, end=[2], most=8, batch_size=2, who="test")
    cases = [Case(f"c{number}", "p", "s", (), indication="a" * number) for number in range(20)]
    found = reports(
        writer,
        cases,
        lambda case: Asked([[5] * (10 + len(case.indication))], list) if case.id != "c3" else "no image",
        lambda case, written: Report(case.id, text=str(written.ids[0])),
    )
    said = [(report.case_id, report.text or report.failure) for report in found]
    assert said == [(f"c{number}", str(number + 10) if number != 3 else "no image") for number in range(20)]
    assert capsys.readouterr().err.startswith("test: 19 reports, ")
    rate = Rate(reports=30, tokens=600, seconds=60.0, cut=1)
    rate.unread["nobody could read it"] = 2
    assert rate.in_words() == (
        "30 reports, 30.0 reports a minute, 10.0 tokens a second; 1 cut at the most tokens that a report may have; "
        "2 kept as they came: nobody could read it"
    )


def test_images_stand_between_the_texts_and_the_filling_on_the_left(writer: Writer) -> None:
    one, two = asked(writer, 1), asked(writer, 0)
    embeddings, seen = writer.embedded([one.chunks, two.chunks], [one.images(), two.images()])
    words = writer.language.get_input_embeddings()
    assert writer.see is not None
    features = writer.see(torch.from_numpy(image(1))[None])[0]
    before, after = (words(torch.tensor(list(chunk))) for chunk in one.chunks)
    longest = max(one.length, two.length)
    assert torch.equal(embeddings[0, longest - one.length :], torch.cat([before, features, after]))
    assert seen.sum(1).tolist() == [one.length, two.length]
    assert torch.all(seen[:, -1] == 1)
    with pytest.raises(ValueError, match="0 images for 2 texts"):
        writer.embedded([one.chunks], [[]])


def test_a_case_is_a_case_of_its_own(writer: Writer) -> None:
    """What stands beside it in a batch changes no logit that matters: the same embeddings, masked, give the same next token."""
    long, short = asked(writer, 4), replace_text(asked(writer, 1))
    embeddings, seen = writer.embedded([long.chunks, short.chunks], [long.images(), short.images()])
    alone, mask = writer.embedded([short.chunks], [short.images()])
    with torch.no_grad():
        together = writer.language(inputs_embeds=embeddings, attention_mask=seen, position_ids=(seen.cumsum(1) - 1).clamp(min=0)).logits[1, -1]
        single = writer.language(inputs_embeds=alone, attention_mask=mask).logits[0, -1]
    torch.testing.assert_close(together, single, rtol=1e-4, atol=1e-4)


def replace_text(one: Asked) -> Asked:
    return one._replace(chunks=[[1, 5], [7]])


def test_the_records_that_are_shared_do_not_change() -> None:
    with pytest.raises(AttributeError):
        llava_rad.PUBLISHED_SIZES.tokens = 3  # type: ignore[misc]
    assert replace(llava_rad.PUBLISHED_SIZES, tokens=3).tokens == 3
