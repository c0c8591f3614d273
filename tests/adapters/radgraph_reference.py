"""What the package radgraph answers with weights that anyone can draw again: makes ``fixtures/radgraph.json``, and archives of the published layout.

Run in an environment that has radgraph 0.1.18, transformers 4.57.6 and torch:

    python radgraph_reference.py fixture                                   writes the fixture
    python radgraph_reference.py annotate FOLDER reports.json out.json     annotates with the archive in FOLDER, and says how long it took
    python radgraph_reference.py archive FOLDER reports.json --size base   makes one the size of the published ones
    python radgraph_reference.py serve FOLDER                              answers JSON lines, for tests/benchmarks/radgraph.py

The weights are not kept: they follow from the names of the tensors and a seed, through numpy's RandomState, whose numbers are frozen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

FIXTURE = Path(__file__).parent / "fixtures" / "radgraph.json"
SEED = 20220104
BACKBONE = "backbone"
"""what ``model_name`` says in the archives made here: a folder beside them"""
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 48},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512},
}
HEADS: dict[str, dict[str, int]] = {
    "tiny": {"feature_size": 6, "hidden_dims": 20, "max_span_width": 5},
    "base": {"feature_size": 20, "hidden_dims": 150, "max_span_width": 8},
}
XL_LABELS = (
    "",
    "Observation::definitely present",
    "Anatomy::definitely present",
    "Observation::definitely absent",
    "Observation::uncertain",
    "Anatomy::measurement::definitely present",
    "Observation::measurement::definitely present",
)
NER_LABELS = {"radgraph": ("", "ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U"), "radgraph-xl": XL_LABELS, "modern-radgraph-xl": XL_LABELS}
RELATION_LABELS = ("modify", "located_at", "suggestive_of")
SHIFTS = {"modern": {"ner": -10.0, "relation": -6.0}, "tiny": {"ner": -5.7, "relation": -4}, "base": {"ner": -6.9, "relation": -20.0}}
"""of the last biases, so that about as many spans become entities, and pairs relations, as in real annotations"""


def random_weights(shapes: Mapping[str, Sequence[int]], size: str) -> dict[str, torch.Tensor]:
    """A tensor per name, in sorted order each with a seed of its own; sized so that numbers stay near 1 through all layers."""
    drawn = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        rng = np.random.RandomState(SEED + number)
        if name.endswith(("LayerNorm.weight", "norm.weight")):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 2 and "embedding" not in name:
            values = rng.standard_normal(tuple(shape)) * np.sqrt(1.5 / shape[1])
        elif len(shape) == 2:
            values = rng.standard_normal(tuple(shape))
        else:
            values = 0.02 * rng.standard_normal(tuple(shape))
        if "attention.output.dense" in name:
            values = 0.2 * values  # else every word would soon be the mean of all
        if "_scorer" in name and len(shape) == 2 and shape[0] < 10:
            values = 6 * (values - values.mean(axis=1, keepdims=True))  # else what all spans have in common would make them one thing
        shift = SHIFTS["modern" if "modern" in name else size]
        if "_ner_scorers" in name and name.endswith("1._module.bias"):
            values = values + shift["ner"]
        if "_relation_scorers" in name and name.endswith("bias"):
            values = values + shift["relation"]
        drawn[name] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return drawn


def config_of(model: str, size: str) -> dict[str, Any]:
    """An archive's config.json as DyGIE++ writes it, as far as it is read."""
    bert = {"type": "pretrained_transformer_mismatched", "model_name": BACKBONE, "max_length": SIZES[size]["max_position_embeddings"]}
    heads = HEADS[size]
    return {
        "dataset_reader": {"type": "dygie", "token_indexers": {"bert": bert}, "max_span_width": heads["max_span_width"]},
        "model": {
            "type": "dygie",
            "embedder": {"token_embedders": {"bert": bert}},
            "initializer": {},
            "module_initializer": {},
            "modules": {
                "coref": {"spans_per_word": 0.3, "max_antecedents": 10, "coref_prop": 0},
                "ner": {},
                "relation": {"spans_per_word": 0.5},
                "events": {"trigger_spans_per_word": 0.3, "argument_spans_per_word": 0.8, "loss_weights": {"trigger": 0.2, "arguments": 1.0}},
            },
            "feature_size": heads["feature_size"],
            "max_span_width": heads["max_span_width"],
            "target_task": "relation",
            "feedforward_params": {"num_layers": 2, "hidden_dims": heads["hidden_dims"], "dropout": 0.4},
            "loss_weights": {"ner": 0.2, "relation": 1.0, "coref": 0.0, "events": 0.0},
        },
    }


def write_backbone(folder: Path, size: str, words: Sequence[str], model: str = "radgraph-xl") -> None:
    """The tokenizer and the sizes of the BERT, as they lie on the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    if model.startswith("modern"):
        from tokenizers import BertWordPieceTokenizer

        BertWordPieceTokenizer({word: number for number, word in enumerate(words)}, lowercase=True).save(str(folder / "tokenizer.json"))
        kind: dict[str, Any] = {"model_type": "modernbert", "local_attention": 16, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3}
        settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        settings |= {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "unk", "mask")}
    else:
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        kind = {"model_type": "bert", "type_vocab_size": 2}
        settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "config.json").write_text(json.dumps({**kind, "vocab_size": len(words), **SIZES[size]}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_archive(folder: Path, model: str, size: str, shapes: Mapping[str, Sequence[int]]) -> Path:
    """``<model>.tar.gz`` with config.json, vocabulary/ and weights.th, unpacked beside it too."""
    inside = folder / model
    (inside / "vocabulary").mkdir(parents=True, exist_ok=True)
    (inside / "config.json").write_text(json.dumps(config_of(model, size), indent=1))
    (inside / "vocabulary" / "non_padded_namespaces.txt").write_text("*labels\n*tags\n")
    (inside / "vocabulary" / f"{model}__ner_labels.txt").write_text("\n".join(NER_LABELS[model]))
    (inside / "vocabulary" / f"{model}__relation_labels.txt").write_text("\n".join(RELATION_LABELS))
    torch.save(random_weights(shapes, size), inside / "weights.th")
    archive = folder / f"{model}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for file in sorted(path for path in inside.rglob("*") if path.is_file() and path.name != ".lock"):
            tar.add(file, arcname=str(file.relative_to(inside)))
    return archive


def shapes_of(folder: Path, model: str, size: str) -> dict[str, list[int]]:
    """The names and shapes that the package's network has, of this size."""
    from radgraph.allennlp.data import Vocabulary
    from radgraph.allennlp.modules import text_field_embedders, token_embedders
    from radgraph.dygie.models import dygie

    settings = config_of(model, size)["model"]
    os.chdir(folder)
    embedder = token_embedders.PretrainedTransformerMismatchedEmbedder(model_name=BACKBONE, max_length=SIZES[size]["max_position_embeddings"])
    for name in ("type", "embedder", "initializer", "module_initializer"):
        del settings[name]
    vocabulary = Vocabulary(tokens_to_add={f"{model}__ner_labels": list(NER_LABELS[model]), f"{model}__relation_labels": list(RELATION_LABELS)})
    network = dygie.DyGIE(vocab=vocabulary, embedder=text_field_embedders.BasicTextFieldEmbedder({"bert": embedder}), **settings)
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def words_of(reports: Sequence[str], most: int) -> list[str]:
    """A list of word pieces: the special ones, every character of the reports, and their commonest words, half of them as endings."""
    characters = sorted({character for report in reports for character in report.lower() if not character.isspace()})
    counted: dict[str, int] = {}
    for report in reports:
        for word in "".join(character if character.isalnum() else " " for character in report.lower()).split():
            counted[word] = counted.get(word, 0) + 1
    common = [word for word in sorted(counted, key=lambda word: (-counted[word], word)) if len(word) > 1][:most]
    endings = [f"##{ending}" for ending in ("s", "ed", "ing", "al", "ar", "ion", "ions", "ly", "ic", "um", "ous")]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{one}" for one in characters), *endings, *common]
    return list(dict.fromkeys(pieces))


def annotate(folder: Path, model: str, reports: Sequence[str]) -> tuple[dict[str, Any], float]:
    """What the package says of the reports with the archive in ``folder``, and the CPU seconds that it took."""
    from radgraph import RadGraph

    os.chdir(folder)
    network = RadGraph(model_type=model, model_cache_dir=str(folder), cuda=-1)
    with torch.no_grad():
        network(list(reports[:2]))
        start = time.process_time()
        return network(list(reports)), time.process_time() - start


def serve(folder: Path | None, model: str) -> None:
    """Lines of {"reports": [...]} or {"pairs": [[annotation, annotation], ...]} -> lines of {"seconds": CPU seconds, "found": [...]}."""
    from radgraph import RadGraph
    from radgraph.rewards import compute_reward

    answers, sys.stdout = sys.stdout, sys.stderr
    if folder:
        os.chdir(folder)
        network = RadGraph(model_type=model, model_cache_dir=str(folder), cuda=-1)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.process_time()
        if "reports" in asked:
            found = network(asked["reports"])
            listed: list[Any] = [found[str(place)] for place in range(len(asked["reports"]))]
        else:
            listed = [compute_reward(ours, theirs, "all") for ours, theirs in asked["pairs"]]
        print(json.dumps({"seconds": time.process_time() - start, "found": listed}), file=answers, flush=True)


def main() -> None:
    """See the head of the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("archive", "annotate", "serve", "fixture"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("reports", type=Path, nargs="?", help="JSON list of reports; for an archive they give the word pieces")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--model", default="radgraph-xl")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--pieces", type=int, default=150, help="word pieces that are whole words")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.task == "archive":
        folder, reports = given.folder.resolve(), json.loads(given.reports.read_text())
        write_backbone(folder / BACKBONE, given.size, words_of(reports, given.pieces), given.model)
        write_archive(folder, given.model, given.size, shapes_of(folder, given.model, given.size))
    elif given.task == "serve":
        serve(given.folder.resolve() if given.folder else None, given.model)
    elif given.task == "annotate":
        reports, out = json.loads(given.reports.read_text()), given.out.resolve()
        found, seconds = annotate(given.folder.resolve(), given.model, reports)
        out.write_text(json.dumps({"seconds": seconds, "annotations": [found[str(place)] for place in range(len(reports))]}))
    else:
        make_fixture()


def make_fixture() -> None:
    """Reports, word pieces, shapes, and what the package says with the weights drawn for them, of both ways to cut words."""
    import tempfile

    import transformers

    inputs = json.loads(FIXTURE.read_text()) if FIXTURE.is_file() else {}
    reports = inputs.get("reports") or sys.exit(f"{FIXTURE} must hold the reports")
    words = words_of(reports, 150)
    made: dict[str, Any] = {
        "about": f"radgraph 0.1.18, transformers {transformers.__version__}, torch {torch.__version__}; weights as radgraph_reference.py draws them",
        "reports": reports,
        "words": words,
        "models": {},
    }
    from radgraph.allennlp.common import cached_transformers

    for model in NER_LABELS:
        cached_transformers._model_cache.clear()  # all three call their BERT by the same name
        cached_transformers._tokenizer_cache.clear()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            write_backbone(folder / BACKBONE, "tiny", words, model)
            shapes = shapes_of(folder, model, "tiny")
            write_archive(folder, model, "tiny", shapes)
            found, _ = annotate(folder, model, reports)
            assert all(expanded(*compact(found[key])) == found[key] for key in found)
            made["models"][model] = {"shapes": shapes, "annotations": [compact(found[str(place)]) for place in range(len(reports))]}
    FIXTURE.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace("]],[", "]],\n[") + "\n", encoding="utf-8")


def compact(annotation: Mapping[str, Any]) -> list[Any]:
    """Text, and (first token, last token, label, relations as (kind, entity)) of each entity."""
    rows = [
        [one["start_ix"], one["end_ix"], one["label"], [[RELATION_LABELS.index(kind), int(other)] for kind, other in one["relations"]]]
        for one in annotation["entities"].values()
    ]
    return [annotation["text"], rows]


def expanded(text: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The annotation as the package gives it, from what ``compact`` made of it."""
    tokens = text.split(" ")
    entities = {
        str(place): {
            "tokens": " ".join(tokens[first : last + 1]),
            "label": label,
            "start_ix": first,
            "end_ix": last,
            "relations": [[RELATION_LABELS[kind], str(other)] for kind, other in relations],
        }
        for place, (first, last, label, relations) in enumerate(rows, start=1)
    }
    return {"text": text, "entities": entities, "data_source": None, "data_split": "inference"}


if __name__ == "__main__":
    main()
