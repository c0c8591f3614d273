"""RadGraph's networks annotate as the package radgraph 0.1.18 does, on random weights of the published layout; archives, good and bad."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import radgraph_reference as reference

from adapters.radgraph.annotator import ModernRadGraphXL, RadGraphV1, RadGraphXL
from adapters.radgraph.archive import NotThere, WrongArchive, archive_path, find_archive, lines_of, read_archive
from adapters.radgraph.network import Heads, Sizes
from adapters.radgraph.package import CannotRun, PackageAnnotator
from adapters.radgraph.pieces import WrongTokenizer
from adapters.radgraph.words import words_v1, words_xl
from benchmark.metrics.radgraph import RadGraph
from benchmark.records import UserError

FIXTURE = json.loads(reference.FIXTURE.read_text(encoding="utf-8"))
REPORTS: list[str] = FIXTURE["reports"]
MODELS = {"radgraph": RadGraphV1, "radgraph-xl": RadGraphXL, "modern-radgraph-xl": ModernRadGraphXL}
XL = "radgraph-xl"
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
RUNTIMES = ["torch", pytest.param("onnx", marks=pytest.mark.skipif(not HAS_ONNX, reason="onnx and onnxruntime are not installed"))]


def expected(model: str) -> list[dict[str, Any]]:
    return [reference.expanded(*row) for row in FIXTURE["models"][model]["annotations"]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives as on the hub, each in a folder of its own, the tokenizer of its BERT beside it."""
    folder = tmp_path_factory.mktemp("published")
    for model in MODELS:
        reference.write_backbone(folder / model / reference.BACKBONE, "tiny", FIXTURE["words"], model)
        reference.write_archive(folder / model, model, "tiny", FIXTURE["models"][model]["shapes"])
    return folder


@pytest.fixture
def unpacked(published: Path, tmp_path: Path) -> Path:
    """A copy of the unpacked XL archive, to be spoilt."""
    shutil.copytree(published / XL / XL, tmp_path / XL)
    shutil.copytree(published / XL / reference.BACKBONE, tmp_path / reference.BACKBONE)
    return tmp_path / XL


@pytest.fixture(autouse=True)
def _one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "their_cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def made(published: Path, model: str = "radgraph-xl", **settings: Any) -> Any:
    return MODELS[model](weights=published / model / f"{model}.tar.gz", device="cpu", **{"runtime": "torch", "download": False, **settings})


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("model", MODELS)
def test_annotations_are_those_of_the_package(published: Path, model: str, runtime: str) -> None:
    """Entities, relations and their order, of phantoms' reports and of nasty ones; most are longer than this BERT has places."""
    if (model, runtime) == ("modern-radgraph-xl", "onnx"):
        with pytest.raises(UserError, match=r"radgraph.runtime=onnx cannot be had: the network is a modernbert, and only a BERT is translated"):
            made(published, model, runtime=runtime)
        return
    found = made(published, model, runtime=runtime).annotate(REPORTS)
    assert sum(len(annotation["entities"]) for annotation in found) > 100
    assert sum(len(entity["relations"]) for annotation in found for entity in annotation["entities"].values()) > 50
    for ours, theirs in zip(found, expected(model), strict=True):
        assert ours == theirs


@pytest.mark.parametrize("model", [XL, "modern-radgraph-xl"])
def test_batches_change_nothing(published: Path, model: str) -> None:
    """Filling, neighbours and order are no part of an annotation."""
    alone, together = made(published, model, batch_tokens=1), made(published, model, batch_tokens=100_000)
    assert alone.annotate(REPORTS[::-1])[::-1] == together.annotate(REPORTS) == expected(model)


def test_a_report_of_blanks_has_no_entities_and_an_empty_one_reads_as_none(published: Path) -> None:
    """The package stops at the first, and annotates the second as the word None."""
    blank, empty = made(published).annotate([" \n ", ""])
    assert (blank["text"], blank["entities"], empty["text"]) == ("", {}, "None")
    assert made(published).annotate([]) == []


@pytest.mark.parametrize(
    ("report", "v1", "xl"),
    [
        ("No effusion/edema.", "No effusion / edema .", "No effusion / edema ."),
        ("well-expanded (50%).", "well-expanded ( 50% ) .", "well - expanded ( 50 % ) ."),
        ("1.5 cm, '90%, left' ___", "1 . 5 cm , '90% , left' ___", "1 . 5 cm , ' 90 % , left ' ___"),
        ("What?! /. \\n end", "What ? ! / . \\n end", "What ?! /. end"),
        ("\t\n", "", ""),
    ],
)
def test_reports_are_cut_into_words_as_each_model_saw_them(report: str, v1: str, xl: str) -> None:
    """By preprocess_reports of radgraph 0.1.18."""
    assert words_v1(report) == v1.split()
    assert words_xl(report) == xl.split()


def test_the_heads_that_add_up_parts_give_what_the_whole_products_give() -> None:
    """Against the heads written out: every span and every pair as one vector, in double precision."""
    torch.manual_seed(0)
    sizes = Sizes(width=6, longest_span=3, widths=3, width_features=2, hidden=(8, 5), entity_labels=4, relation_labels=3, spans_per_word=0.7)
    heads = Heads(sizes).double()
    for layer in (heads.entity.out, heads.keep.out, heads.pair.out):
        torch.nn.init.normal_(layer.weight, std=2)
    lengths = [5, 1, 7]
    words = torch.randn(sum(lengths), sizes.width, dtype=torch.float64)
    with torch.no_grad():
        found = heads(words, lengths)
        for report, one in zip(words.split(lengths), found, strict=True):
            places = [(s, e) for s in range(len(report)) for e in range(s, min(s + 3, len(report)))]
            spans = torch.stack([torch.cat([report[s], report[e], heads.widths.weight[e - s]]) for s, e in places])
            labels = _whole(heads.entity, spans)
            assert one.entities == [(*place, label) for place, label in zip(places, _labels(labels), strict=True) if label >= 0]
            scores = _whole(heads.keep, spans)[:, 0]
            kept = sorted(scores.topk(-(-7 * len(report) // 10)).indices.tolist())
            pairs = [(a, b) for a in kept for b in kept]
            vectors = torch.stack([torch.cat([spans[a], spans[b], spans[a] * spans[b]]) for a, b in pairs])
            importance = torch.stack([scores[a] + scores[b] for a, b in pairs])
            related = _labels(_whole(heads.pair, vectors) + importance[:, None])
            assert one.relations == [(places[a], places[b], label) for (a, b), label in zip(pairs, related, strict=True) if label >= 0]
    assert any(one.relations for one in found)


def _whole(head: Any, x: torch.Tensor) -> torch.Tensor:
    for layer in head.hidden:
        x = layer(x).relu()
    out: torch.Tensor = head.out(x)
    return out


def _labels(scores: torch.Tensor) -> list[int]:
    return [int(row.argmax()) if row.max() > 0 else -1 for row in scores]


def test_the_archive_and_its_folder_are_one_network_with_one_signature(published: Path) -> None:
    archive = made(published)
    folder = RadGraphXL(weights=published / XL / XL, device="cpu", download=False)
    assert archive.signature() == folder.signature()
    assert archive.signature().startswith("radgraph-xl|weights:")
    assert archive.signature() != made(published, "radgraph").signature()


def backbone_with(published: Path, tmp_path: Path, file: str = "config.json", model: str = "radgraph-xl", **settings: Any) -> Path:
    """A copy of the backbone in which a file says something else."""
    folder = Path(shutil.copytree(published / model / reference.BACKBONE, tmp_path / "otherwise"))
    found = json.loads((folder / file).read_text(encoding="utf-8"))
    (folder / file).write_text(json.dumps({**found, **settings}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"num_attention_heads": 4},
        {"hidden_act": "relu"},
        {"layer_norm_eps": 0.5},
        {"file": "tokenizer_config.json", "do_lower_case": False},
        {"file": "tokenizer_config.json", "tokenizer_class": "PreTrainedTokenizerFast"},
    ],
)
def test_the_same_weights_used_otherwise_annotate_otherwise_and_have_another_signature(
    published: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """What was kept on disk under one signature is never taken for what the other would say."""
    otherwise = made(published, backbone=backbone_with(published, tmp_path, **settings))
    as_published = made(published)
    reports = REPORTS[:10]
    assert otherwise.annotate(reports) != as_published.annotate(reports), "the setting must change something"
    assert otherwise.signature() != as_published.signature()


def test_what_a_config_says_beside_that_is_no_part_of_the_signature(published: Path, tmp_path: Path) -> None:
    other = backbone_with(published, tmp_path, transformers_version="4.0.0", attention_probs_dropout_prob=0.3)
    assert made(published, backbone=other).signature() == made(published).signature()


def test_the_metric_takes_the_network_by_its_name_and_keeps_what_it_said(published: Path) -> None:
    settings: dict[str, Any] = {"device": "cpu", "annotator": "radgraph-xl", "weights": published / XL / "radgraph-xl.tar.gz", "runtime": "torch"}
    metric = RadGraph(**settings)
    texts = REPORTS[:4]
    rows = metric.statistics(texts, texts)
    assert rows[:, 0].tolist() == [float(bool(annotation["entities"])) for annotation in expected("radgraph-xl")[:4]]
    assert metric.titles[metric.headlines[0]] == "F1-RadGraph (partial, lower, radgraph-xl)"
    again = RadGraph(**settings)
    again._annotator.annotate = None  # type: ignore[method-assign,assignment]  # what was kept is not asked again
    assert (again.statistics(texts, texts) == rows).all()


def test_an_archive_is_found_where_this_program_the_package_and_the_hub_keep_it(published: Path, tmp_path: Path) -> None:
    assert find_archive("radgraph-xl") is None
    theirs = tmp_path / "their_cache" / "radgraph" / "0.1.18" / "radgraph-xl"
    shutil.copytree(published / XL / XL, theirs)
    assert find_archive("radgraph-xl") == theirs
    own = tmp_path / "cache" / "models" / "radgraph" / "radgraph-xl"
    shutil.copytree(published / XL / XL, own)
    assert archive_path("radgraph-xl", download=False) == own


def test_what_is_not_there_is_said_with_how_to_get_it(published: Path, tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"no weights of radgraph on this machine .*--set radgraph.weights=PATH"):
        RadGraphV1()  # nothing is fetched unless that is said
    with pytest.raises(NotThere, match=r"there is no such file or folder; name radgraph-xl.tar.gz of StanfordAIMI/RRG_scorers"):
        RadGraphXL(weights=tmp_path / "none.tar.gz")
    with pytest.raises(UserError, match=r"could not be fetched from StanfordAIMI/RRG_scorers \(.*\); get it where there is a network and name it"):
        ModernRadGraphXL(download=True)
    lonely = tmp_path / "lonely" / "radgraph-xl.tar.gz"
    lonely.parent.mkdir()
    shutil.copy(published / XL / "radgraph-xl.tar.gz", lonely)
    with pytest.raises(NotThere, match=r"its BERT is backbone, whose tokenizer is not on this machine; .*--set radgraph.backbone=FOLDER"):
        RadGraphXL(weights=lonely, download=False)
    assert RadGraphXL(weights=lonely, backbone=published / XL / reference.BACKBONE, device="cpu").signature() == made(published).signature()


def test_word_pieces_in_the_archive_are_taken_where_nothing_lies_beside_it(unpacked: Path) -> None:
    (unpacked.parent / reference.BACKBONE / "vocab.txt").unlink()
    (unpacked / "vocabulary" / "tags.txt").write_text("\n".join(FIXTURE["words"]), encoding="utf-8")
    found = RadGraphXL(weights=unpacked, device="cpu", runtime="torch", download=False).annotate(REPORTS[:5])
    assert found == expected("radgraph-xl")[:5]
    shutil.rmtree(unpacked.parent / reference.BACKBONE)
    with pytest.raises(WrongArchive, match=r"its BERT is 32 numbers wide, which attention heads of 64 do not share; it needs its config.json"):
        RadGraphXL(weights=unpacked.rename(unpacked.with_name("elsewhere")), device="cpu", runtime="torch", download=False)


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _no_reader(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def _coreference(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model"]["modules"]["coref"]["coref_prop"] = 2
    (folder / "config.json").write_text(json.dumps(config))


def _fewer_labels(folder: Path) -> None:
    (folder / "vocabulary" / "radgraph-xl__ner_labels.txt").write_text("\nOBS-DP")


def _no_null_label(folder: Path) -> None:
    (folder / "vocabulary" / "radgraph-xl__ner_labels.txt").write_text("OBS-DP\nOBS-DA")


def _code(folder: Path) -> None:
    (folder / "weights.th").write_bytes(pickle.dumps({"a": Path}))


def _noise(folder: Path) -> None:
    (folder / "weights.th").write_bytes(b"no weights")


def _one_tensor_less(folder: Path) -> None:
    state = torch.load(folder / "weights.th", weights_only=True)
    del state[next(name for name in state if name.endswith("layer.1.output.dense.weight"))]
    torch.save(state, folder / "weights.th")


def _other_heads(folder: Path) -> None:
    torch.save({"a": torch.zeros(2)}, folder / "weights.th")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_config, "holds .*, but no config.json; take radgraph-xl.tar.gz"),
        (_no_reader, "config.json has no dataset_reader"),
        (_coreference, r"its spans learn from coreference \(coref_prop is 2\)"),
        (_fewer_labels, "scores 6 entities and 3 relations, and vocabulary/ names 1 and 3"),
        (_no_null_label, "the first line of radgraph-xl__ner_labels.txt is 'OBS-DP', and should be empty"),
        (_code, "weights.th holds more than tensors and plain values, or is no PyTorch file, and is not opened, for it could run code"),
        (_noise, r"weights.th (holds more than tensors|cannot be read)"),
        (_one_tensor_less, r"of the .* tensors of a BERT of this size 1 are missing \(first encoder.layer.1.output.dense.weight\)"),
        (_other_heads, "its BERT is of no kind that shapes alone describe, and no config.json of it was found|39 are missing"),
    ],
)
def test_an_archive_that_is_none_of_a_radgraph_is_refused(unpacked: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(unpacked)
    with pytest.raises(UserError, match=message):
        RadGraphXL(weights=unpacked, device="cpu", download=False)


def test_an_archive_with_a_member_that_leads_out_of_it_is_refused_and_links_are_not_followed(published: Path, tmp_path: Path) -> None:
    """Nothing is unpacked: but whoever made such an archive meant no good."""
    outside = tmp_path / "radgraph-xl.tar.gz"
    with tarfile.open(outside, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../config.json"), io.BytesIO())
    with pytest.raises(WrongArchive, match=r"holds '../config.json', which leads out of it, and is not opened"):
        RadGraphXL(weights=outside, download=False)
    (tmp_path / "secret").write_text("{}")
    link = tarfile.TarInfo("config.json")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
    with tarfile.open(outside, "w:gz") as tar:
        tar.addfile(link)
    with pytest.raises(WrongArchive, match=r"holds nothing of a network, but no config.json"):
        RadGraphXL(weights=outside, download=False)
    outside.write_bytes(b"no archive at all")
    with pytest.raises(WrongArchive, match="cannot be read as an archive"):
        RadGraphXL(weights=outside, download=False)


@pytest.mark.parametrize(("words", "count"), [([*FIXTURE["words"], "zzz"], 274), (FIXTURE["words"][:-1], 272)])
def test_another_berts_tokenizer_is_refused(published: Path, tmp_path: Path, words: list[str], count: int) -> None:
    """With a piece less it would not do either: all behind it would be read as their neighbours."""
    reference.write_backbone(tmp_path / "other", "tiny", words)
    with pytest.raises(WrongTokenizer, match=f"has {count} word pieces, the network has places for 273; take the tokenizer of the BERT"):
        made(published, backbone=tmp_path / "other")


def test_settings_that_make_no_sense_are_refused(published: Path) -> None:
    for settings, message in (
        ({"runtime": "tensorflow"}, "radgraph-xl has no runtime='tensorflow'; known: auto, torch, onnx"),
        ({"batch_tokens": 0}, "batch_tokens is 0; it must be at least 1"),
        ({"device": "abacus"}, "device 'abacus' cannot be had here"),
    ):
        with pytest.raises(UserError, match=message):
            RadGraphXL(weights=published / XL / "radgraph-xl.tar.gz", **{"device": "cpu", **settings})


def test_lines_of_a_vocabulary_keep_an_empty_first_one() -> None:
    assert lines_of("\na\nb") == lines_of("\na\nb\n") == lines_of("\r\na\r\nb") == ["", "a", "b"]


def test_the_package_is_refused_beside_transformers_5_with_what_it_needs() -> None:
    with pytest.raises(CannotRun, match=r"transformers==4\.57\.6"):
        PackageAnnotator("radgraph")
    with pytest.raises(UserError, match="the package radgraph has no model 'radgraf'; known: radgraph, radgraph-xl"):
        PackageAnnotator("radgraf")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_attention_heads": 5}, "its BERT is 32 numbers wide, which num_attention_heads=5 of its backbone's config.json do not share"),
        ({"num_attention_heads": "two"}, "which num_attention_heads='two' of its backbone's config.json do not share"),
        ({"hidden_act": "nope"}, "its BERT cannot be made with the config.json of its backbone"),
        ({"layer_norm_eps": "small"}, "its BERT cannot be made with the config.json of its backbone"),
    ],
)
def test_a_config_with_which_no_bert_can_be_made_is_refused(published: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongArchive, match=message):
        made(published, backbone=backbone_with(published, tmp_path, **settings))


def test_no_program_of_a_backbone_is_run(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    about = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}
    backbone = backbone_with(published, tmp_path, model="modern-radgraph-xl", auto_map=about)
    (backbone / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    made(published, "modern-radgraph-xl", backbone=backbone)
    backbone = backbone.rename(tmp_path / "unknown")
    (backbone / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": about}))
    with pytest.raises(WrongArchive, match=r"its BERT cannot be made with the config.json of its backbone"):
        made(published, "modern-radgraph-xl", backbone=backbone)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not HAS_ONNX, reason="onnx and onnxruntime are not installed")
def test_an_activation_that_is_not_translated_runs_in_torch_unless_onnx_is_asked_for(published: Path, tmp_path: Path) -> None:
    backbone = backbone_with(published, tmp_path, hidden_act="relu")
    by_torch, by_choice = (made(published, backbone=backbone, runtime=runtime).annotate(REPORTS[:3]) for runtime in ("torch", "auto"))
    assert by_torch == by_choice
    with pytest.raises(UserError, match="its activation is relu, and only gelu is translated"):
        made(published, backbone=backbone, runtime="onnx")


@pytest.mark.parametrize("model", MODELS)
def test_half_a_sign_is_read_as_one_that_is_not_known(published: Path, model: str) -> None:
    network = made(published, model)
    assert network.annotate(["Small \ud83d effusion."]) == network.annotate(["Small \ufffd effusion."])
    settings: dict[str, Any] = {"device": "cpu", "annotator": model, "weights": published / model / f"{model}.tar.gz", "runtime": "torch"}
    for _ in range(2):  # the second time from the disk
        rows = RadGraph(**settings).statistics(["Small \ud83d effusion."], ["Small \ufffd effusion."])
        assert rows[0, 0] == float(bool(network.annotate(["Small \ufffd effusion."])[0]["entities"]))


def test_damaged_weights_are_refused_whatever_they_make_torch_stumble_over(unpacked: Path) -> None:
    whole = (unpacked / "weights.th").read_bytes()
    for data in (b"", b"\x80", b"\x80\x02.", b"\x80\x02]K\x01a0.", whole[: len(whole) // 2], b"PK" + whole[2:100]):
        (unpacked / "weights.th").write_bytes(data)
        with pytest.raises(WrongArchive, match=r"weights.th (holds more than tensors|cannot be read|holds a)"):
            read_archive(unpacked)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("dataset_reader", "max_span_width"), "wide", "max_span_width of config.json is 'wide', expected is a number above 0"),
        (("dataset_reader", "token_indexers", "bert", "max_length"), [], r"max_length of config.json is \[\], expected is a number above 0"),
        (("model", "modules", "relation", "spans_per_word"), None, "spans_per_word of config.json is None, expected is a number above 0"),
    ],
)
def test_a_size_that_is_no_number_is_refused(unpacked: Path, place: tuple[str, ...], value: Any, message: str) -> None:
    config = json.loads((unpacked / "config.json").read_text())
    inside = config
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    (unpacked / "config.json").write_text(json.dumps(config))
    with pytest.raises(WrongArchive, match=message):
        RadGraphXL(weights=unpacked, device="cpu", download=False)
