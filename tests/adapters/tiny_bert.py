"""A tiny BERT and a tiny RoBERTa with vocabularies of their own, the same to the last bit on every machine: python tests/adapters/tiny_bert.py FOLDER

The weights come from numpy's generator, tensor by tensor in the order of their names, so that a program in another environment can make them too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = "the lungs are clear there is no left right small effusion pleural heart size enlarged large pneumo ##thorax ##graph chest of normal"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), *"0123456789.,;:-()/", *WORDS.split(" ")]
MERGES = "t h;th e;\u0120 th;l u;n g;lu ng;c l;e a;cl ea;\u0120 n;\u0120n o;e f;f u;ef fu;\u0120 h;r t;h e"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}


def tiny_bert(folder: Path) -> Path:
    """A BERT of 3 layers, 32 wide, for texts of at most 64 tokens."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    about = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    _filled(BertModel(BertConfig(vocab_size=len(PIECES), **SIZES)), 0).save_pretrained(folder)
    return folder


def tiny_roberta(folder: Path) -> Path:
    """A RoBERTa likewise, for texts of at most 62."""
    from transformers import RobertaConfig, RobertaModel

    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *_bytes(), *(merge.replace(" ", "") for merge in MERGES.split(";"))]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + MERGES.replace(";", "\n") + "\n", encoding="utf-8")
    about = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 62}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    config = RobertaConfig(vocab_size=len(pieces), pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1, **SIZES)
    _filled(RobertaModel(config), 1).save_pretrained(folder)
    return folder


def _bytes() -> list[str]:
    """A sign for each byte, as byte-level vocabularies write them: printable ones as they are, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _filled(network: Any, seed: int) -> Any:
    import torch

    generator = np.random.default_rng(seed)
    state = network.state_dict()
    for name in sorted(name for name in state if state[name].is_floating_point()):
        drawn = generator.standard_normal(tuple(state[name].shape)) * (0.3 if state[name].dim() > 1 else 0.1)
        if name.endswith("LayerNorm.weight"):
            drawn += 1
        if name.endswith("LayerNorm.bias"):
            drawn += 0.7  # a direction that all vectors share, as those of trained networks do: cosines are positive
        state[name] = torch.tensor(drawn, dtype=torch.float32)
    network.load_state_dict(state)
    return network.eval()


if __name__ == "__main__":
    tiny_bert(Path(sys.argv[1]) / "bert")
    tiny_roberta(Path(sys.argv[1]) / "roberta")
