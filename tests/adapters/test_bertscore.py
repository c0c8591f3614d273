"""BERTScore on tiny random weights: the package's numbers, each text read once, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_bert import PIECES, tiny_bert, tiny_roberta  # noqa: E402

from adapters.bertscore.kept import KeptVectors  # noqa: E402
from adapters.bertscore.metric import BertScore  # noqa: E402
from adapters.bertscore.scorer import BASELINES, BadBaseline, Pair, baseline_of, match  # noqa: E402
from adapters.pretrained import NoNetwork, network_folder, reading_digest, weights_digest  # noqa: E402
from benchmark.records import UserError  # noqa: E402

GOLDEN = json.loads((Path(__file__).parent / "bertscore_golden.json").read_text(encoding="utf-8"))
HYPOTHESES, REFERENCES = map(list, zip(*GOLDEN["pairs"], strict=True))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two whose numbers by the package are in bertscore_golden.json."""
    folder = tmp_path_factory.mktemp("networks")
    tiny_bert(folder / "bert")
    tiny_roberta(folder / "roberta")
    return folder


def bertscore(folder: Path, **settings: Any) -> BertScore:
    return BertScore(**{"model": str(folder), "layer": 2, "device": "cpu", **settings})


@pytest.mark.parametrize("which", GOLDEN["scores"])
def test_the_numbers_are_those_of_bert_score(networks: Path, which: str) -> None:
    """Of the package 0.3.13 on the same weights, see bertscore_reference.py; empty, foreign, too long and equal texts are among the pairs."""
    family, idf, scale = which.split("|")
    metric = bertscore(networks / family, idf=idf == "idf", baseline="/".join(map(str, GOLDEN["baseline"])) if scale == "rescaled" else "")
    rows = metric.statistics(HYPOTHESES, REFERENCES)
    wanted = np.array(GOLDEN["scores"][which])
    assert np.ptp(wanted) > 0.5, "the pairs must differ for this to say something"
    np.testing.assert_allclose(rows[:, 1:], wanted, atol=1e-5)
    assert metric.values(rows.sum(axis=0))["f1"] == pytest.approx(wanted[:, 2].mean(), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_word_pieces_are_those_that_the_package_reads(networks: Path, family: str) -> None:
    """A RoBERTa's first word with a blank before it, and the last piece of a text that is too long is its end."""
    encoder = bertscore(networks / family)._scorer.encoder
    assert encoder.tokens(HYPOTHESES) == GOLDEN["tokens"][family]
    assert max(map(len, GOLDEN["tokens"][family])) == encoder.places
    assert encoder.tokens([]) == []


def test_batches_of_any_size_score_the_same_in_the_order_asked(networks: Path) -> None:
    whole = bertscore(networks / "bert").statistics(HYPOTHESES, REFERENCES)
    for batch_tokens in (1, 100):
        found = bertscore(networks / "bert", batch_tokens=batch_tokens).statistics(HYPOTHESES[::-1], REFERENCES[::-1])
        np.testing.assert_allclose(found[::-1], whole, atol=1e-5)


def test_references_are_read_once_for_all_models_and_equal_texts_once(networks: Path) -> None:
    metric = bertscore(networks / "bert")
    metric.statistics(["x", "x", "no"], ["heart", "heart size", "x"])
    shapes: list[int] = []
    hook = metric._scorer.encoder._network.register_forward_pre_hook(
        lambda _, given, named: shapes.append(len(given[0] if given else named["input_ids"])), with_kwargs=True
    )
    try:
        metric.statistics(["lungs", "lungs", "heart"], ["heart", "heart size", "x"])
        assert sum(shapes) == 1, "lungs alone is new"
    finally:
        hook.remove()


def test_where_there_is_no_room_the_numbers_are_the_same(networks: Path) -> None:
    whole = bertscore(networks / "bert").statistics(HYPOTHESES, REFERENCES)
    some = bertscore(networks / "bert", keep_gb=3e-6)
    np.testing.assert_allclose(some.statistics(HYPOTHESES, REFERENCES), whole, atol=1e-5)
    assert 0 < sum(reference in some._scorer._vectors for reference in set(REFERENCES)) < len(set(REFERENCES))


def test_vectors_come_back_as_they_were_put() -> None:
    kept = KeptVectors(1000)
    first, second = np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((2, 4), dtype=np.float32)
    assert kept.put("a", first)
    assert kept.put("b", second)
    assert not kept.put("c", np.ones((100, 4), dtype=np.float32))
    np.testing.assert_array_equal(kept.get("a"), first)
    np.testing.assert_array_equal(kept.get("b"), second)
    assert kept.get("c") is None
    assert "c" not in kept


def test_a_match_by_hand() -> None:
    """Two dimensions: the candidate says one thing of two, and begin and end count nothing."""
    east, north = [1.0, 0.0], [0.0, 1.0]
    ours, theirs = np.array([east, east, east], dtype=np.float32), np.array([east, east, north, east], dtype=np.float32)
    found = match(ours, theirs, np.array([0, 1, 0], dtype=np.float32), np.array([0, 1, 1, 0], dtype=np.float32))
    assert found == Pair(1.0, 0.5, pytest.approx(2 / 3))
    weighted = match(ours, theirs, np.array([0, 1, 0], dtype=np.float32), np.array([0, 3, 1, 0], dtype=np.float32))
    assert weighted.recall == pytest.approx(0.75)
    assert math.isnan(match(ours, theirs, np.zeros(3, dtype=np.float32), np.ones(4, dtype=np.float32)).f1)


def test_one_reference_alone_weighs_nothing_by_rarity_and_is_unscored(networks: Path) -> None:
    rows = bertscore(networks / "bert", idf=True).statistics(["the heart"], ["the lungs"])
    assert np.isnan(rows).all()


def test_no_case_at_all_is_an_empty_table(networks: Path) -> None:
    metric = bertscore(networks / "bert")
    assert metric.statistics([], []).shape == (0, 4)
    assert np.isnan(metric.values(np.zeros(4))["f1"])


def test_the_signature_says_which_network_and_how(networks: Path) -> None:
    metric = bertscore(networks / "bert", baseline="0.1/0.2/0.3")
    digest = weights_digest(networks / "bert")
    reading = reading_digest(networks / "bert")
    assert metric.signature() == (
        f"bertscore|as:bert-score-0.3.13|model:bert|weights:{digest}|reading:{reading}|layer:2|idf:no|baseline:0.1/0.2/0.3|tokens:64|precision:fp32|"
        "unit:mean_of_cases|v1"
    )
    assert metric.titles["f1"] == "BERTScore F1 (bert, layer 2, rescaled)"
    assert digest != weights_digest(networks / "roberta")


def set_in(name: str, **settings: Any) -> Callable[[Path], object]:
    """Put settings into a JSON file of a folder."""

    def put(folder: Path) -> None:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**found, **settings}), encoding="utf-8")

    return put


def written(name: str, data: str | bytes) -> Callable[[Path], object]:
    """Write a file of a folder anew."""
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def without(*names: str) -> Callable[[Path], object]:
    """Take files out of a folder."""
    return lambda folder: [(folder / name).unlink() for name in names]


@pytest.fixture
def copied(networks: Path, tmp_path: Path) -> Path:
    """A copy of the BERT, to be changed."""
    return Path(shutil.copytree(networks / "bert", tmp_path / "bert"))


@pytest.mark.parametrize(
    "change",
    [
        set_in("tokenizer_config.json", do_lower_case=False),
        set_in("config.json", num_attention_heads=4),
        set_in("config.json", hidden_act="relu"),
        set_in("config.json", layer_norm_eps=0.1),
        written("vocab.txt", "\n".join([*PIECES[:-2], PIECES[-1], PIECES[-2]])),
    ],
)
def test_the_same_weights_used_otherwise_have_other_numbers_and_another_signature(
    networks: Path, copied: Path, change: Callable[[Path], object]
) -> None:
    change(copied)
    texts = ["The heart of normal size"], ["chest"]
    as_they_were, changed = bertscore(networks / "bert"), bertscore(copied)
    assert weights_digest(copied) == weights_digest(networks / "bert")
    assert not np.array_equal(as_they_were.statistics(*texts), changed.statistics(*texts)), "the change must change something"
    assert as_they_were.signature() != changed.signature()


def test_who_wrote_the_sizes_and_in_what_order_is_no_part_of_the_signature(networks: Path, copied: Path) -> None:
    found = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    found = dict(reversed({**found, "transformers_version": "4.0.0", "_name_or_path": "elsewhere"}.items()))
    (copied / "config.json").write_text(json.dumps(found, indent=4), encoding="utf-8")
    assert bertscore(copied).signature() == bertscore(networks / "bert").signature()


def test_a_baseline_is_known_given_in_numbers_or_read_from_a_file(tmp_path: Path) -> None:
    assert baseline_of("", "m", 1) is None
    assert baseline_of("yes", "distilroberta-base", 5) == BASELINES["distilroberta-base", 5]
    (tmp_path / "own.tsv").write_text("LAYER,P,R,F\n0,0.1,0.2,0.3\n1,0.4,0.5,0.6\n", encoding="utf-8")
    assert baseline_of(str(tmp_path / "own.tsv"), "m", 1) == (0.4, 0.5, 0.6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("yes", "no baseline of m, layer 1 is known .*give its file or its numbers"),
        ("0.5/0.5/x", "is neither a file nor three numbers; write 0.83/0.83/0.83"),
        ("0.5/0.5/1", "is no baseline; each number must be below 1"),
        ("0.5/0.5/nan", "is no baseline; each number must be below 1"),
        ("nowhere.tsv", "cannot be read .*; give yes, a file, or three numbers"),
    ],
)
def test_a_baseline_that_is_none_is_refused(words: str, message: str) -> None:
    with pytest.raises(BadBaseline, match=message):
        baseline_of(words, "m", 1)


def test_a_file_without_the_layer_or_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.tsv").write_text("LAYER,P,R,F\n0,0.1,0.2,0.3\n", encoding="utf-8")
    with pytest.raises(BadBaseline, match="has no line of layer 1"):
        baseline_of(str(tmp_path / "short.tsv"), "m", 1)
    (tmp_path / "wrong.tsv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(BadBaseline, match="has not the columns LAYER,P,R,F"):
        baseline_of(str(tmp_path / "wrong.tsv"), "m", 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": 4}, "bert has 3 layers, asked for is layer 4; name one from 0 to 3"),
        ({"layer": None}, "which layer of .* shall be looked at is not known; say so, --set bertscore.layer=N"),
        ({"precision": "int8"}, "known: fp32, bf16"),
        ({"batch_tokens": 0}, "batch_tokens is 0; it must be at least 1"),
        ({"keep_gb": math.nan}, "keep_gb is nan; it must be a number of gigabytes"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be had here"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_what_would(networks: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        bertscore(networks / "bert", **settings)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a network on which no model ever was."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def test_a_machine_without_the_network_is_told_how_to_get_it(elsewhere: Path) -> None:
    with pytest.raises(NoNetwork, match=r"distilroberta-base: is neither a folder nor in the .*cache; .*--set bertscore.download=yes"):
        BertScore()
    with pytest.raises(NoNetwork, match=r"could not be fetched from the hub .*; get it where there is a network and name its folder"):
        BertScore(download=True)


def test_a_folder_without_a_network_is_refused(tmp_path: Path, networks: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoNetwork, match=r"empty: that folder holds no config.json"):
        network_folder(str(tmp_path / "empty"), "bertscore.model")
    (tmp_path / "empty" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(NoNetwork, match=r"empty: that folder holds no weights"):
        network_folder(str(tmp_path / "empty"), "bertscore.model")
    with pytest.raises(NoNetwork, match="is no folder, nor the name of a model"):
        network_folder("no such/name at all", "bertscore.model")
    for name in ("foo--bar", "a..b"):  # which the hub's client refuses
        with pytest.raises(NoNetwork, match="is no folder, nor the name of a model"):
            network_folder(name, "bertscore.model")


def test_a_network_of_another_kind_or_with_a_tensor_missing_is_refused(tmp_path: Path, networks: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "gpt"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="gpt is a 'gpt2'; layers can be looked into of: bert, roberta"):
        bertscore(folder)
    short = tmp_path / "short"
    short.mkdir()
    for file in (networks / "bert").iterdir():
        (short / file.name).write_bytes(file.read_bytes())
    tensors = load_file(short / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, short / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NoNetwork, match=r"short lacks 1 of the network's tensors, encoder.layer.1.output.dense.weight first"):
        bertscore(short).statistics(["x"], ["y"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("vocab.txt"), "bert holds no vocabulary, vocab.txt, tokenizer.json or the like; take the folder whole"),
        (without("vocab.txt", "tokenizer_config.json"), "bert holds no vocabulary"),
        (written("vocab.txt", ""), r"the vocabulary of bert has \d word pieces, the network has places for 97|cannot be read"),
        (written("vocab.txt", "\n".join(PIECES[:-1])), "the vocabulary of bert has 96 word pieces, the network has places for 97"),
        (written("vocab.txt", "\n".join([*PIECES, "spleen"])), "the vocabulary of bert has 98 word pieces, the network has places for 97"),
        (written("vocab.txt", "\n".join([*PIECES[:5], *map(str, range(1000, 1092))])), "the vocabulary of bert knows nothing of 'no effusion'"),
        (written("tokenizer.json", "{}"), "the vocabulary of bert cannot be read"),
        (written("tokenizer_config.json", "{"), "the vocabulary of bert cannot be read"),
        (written("config.json", "{"), "config.json of bert cannot be read"),
        (written("config.json", "{}"), "config.json of bert cannot be read"),
        (set_in("config.json", model_type="strange"), "config.json of bert cannot be read"),
        (set_in("config.json", num_attention_heads="two"), "config.json of bert cannot be read"),
        (set_in("config.json", num_attention_heads=5), "the weights of bert cannot be read"),
        (set_in("config.json", hidden_act="nope"), "the weights of bert cannot be read"),
        (written("model.safetensors", b"no weights"), "the weights of bert cannot be read"),
    ],
)
def test_a_damaged_folder_is_refused_with_what_to_do(copied: Path, spoil: Callable[[Path], object], message: str) -> None:
    """Without a vocabulary transformers 5 makes up one that knows no word, and all reports are alike."""
    spoil(copied)
    with pytest.raises(NoNetwork, match=f"bertscore: ({message})"):
        bertscore(copied).statistics(["x"], ["y"])


def test_rows_that_make_up_a_round_number_need_no_word_pieces(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copied / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    tensors[name] = torch.cat([tensors[name], torch.zeros(128 - len(PIECES), 32)])
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    set_in("config.json", vocab_size=128)(copied)
    assert bertscore(copied).statistics(["heart"], ["heart"])[0, 3] == pytest.approx(1)


def test_no_program_of_a_folder_is_run(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a config that names one, of a tokenizer's, and of pickled weights; whoever would say yes is not asked."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    ran = copied / "ran"
    written("own.py", f"open({str(ran)!r}, 'w')")(copied)
    set_in("tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})(copied)
    with pytest.raises(NoNetwork, match="the vocabulary of bert cannot be read"):
        bertscore(copied)
    set_in("config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"})(copied)
    with pytest.raises(NoNetwork, match=r"config.json of bert cannot be read"):
        bertscore(copied)
    assert not ran.exists()


class Program:
    """What a pickle can ask for."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('ran')",))


def test_pickled_weights_that_hold_a_program_are_refused(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Program()}, protocol=2))
    with pytest.raises(NoNetwork, match="the weights of bert cannot be read"):
        bertscore(copied).statistics(["x"], ["y"])
