"""A tiny LLaMA with random weights in the files that Vicuna was published in: two PyTorch shards with old extras, and a SentencePiece model."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import torch

SAID = (
    "▁the ▁a ▁heart ▁lung ▁lungs ▁is ▁are ▁normal ▁clear ▁no ▁pleural ▁effusion ▁findings ▁image ▁radiology ▁Provide ▁description ▁of ▁in "
    "▁given ▁following ▁indication ▁USER ▁ASSISTANT ing er en or ar ▁c ▁s on an"
)
WORDS = SAID.split()
BPE_WITH_BYTES = b"\x12\x05\x18\x02\x98\x02\x01"
"""how it was trained: field 3, the kind, is 2; field 35, unknown letters become bytes, is true"""
NOTHING_MENDED = b"\x1a\x02\x20\x00"
"""how texts are normalised: field 4, whether blanks are taken out, is false"""


def varint(value: int) -> bytes:
    """A whole number as protobuf writes it."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def piece(text: str, score: float, kind: int) -> bytes:
    """One piece of a SentencePiece model."""
    said = text.encode()
    inner = b"\x0a" + varint(len(said)) + said + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind)
    return b"\x0a" + varint(len(inner)) + inner


def vocabulary() -> list[tuple[str, float, int]]:
    """Signs, bytes, and words with every beginning of them, so that merging gets there; single letters last, as in LLaMA's."""
    found: dict[str, tuple[float, int]] = {"<unk>": (0.0, 2), "<s>": (0.0, 3), "</s>": (0.0, 3)}
    found |= {f"<0x{number:02X}>": (0.0, 6) for number in range(256)}
    merges = dict.fromkeys(word[:end] for word in WORDS for end in range(2, len(word) + 1))
    found |= {text: (-float(rank), 1) for rank, text in enumerate(merges)}
    letters = dict.fromkeys("▁" + "".join(WORDS) + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.,:'")
    found |= {text: (-float(len(merges) + rank), 1) for rank, text in enumerate(letters)}
    return [(text, *rest) for text, rest in found.items()]


def write_vocabulary(folder: Path, extra: Sequence[tuple[str, float, int]] = ()) -> int:
    """``tokenizer.model``; how many pieces it has."""
    pieces = [*vocabulary(), *extra]
    (folder / "tokenizer.model").write_bytes(b"".join(piece(*one) for one in pieces) + BPE_WITH_BYTES + NOTHING_MENDED)
    return len(pieces)


def llama_config(words: int, width: int = 64, layers: int = 2) -> dict[str, object]:
    """``config.json``."""
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 32,
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
    }


def random_llama(words: int, seed: int, width: int = 64, layers: int = 2) -> dict[str, torch.Tensor]:
    """Its tensors, by the published names."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale / shape[-1] ** 0.5

    found = {"model.embed_tokens.weight": drawn(words, width, scale=width**0.5), "lm_head.weight": drawn(words, width, scale=3.0)}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        found |= {f"{at}self_attn.{part}_proj.weight": drawn(width, width, scale=1.5) for part in "qkvo"}
        found |= {f"{at}mlp.{part}_proj.weight": drawn(2 * width, width) for part in ("gate", "up")}
        found[f"{at}mlp.down_proj.weight"] = drawn(width, 2 * width)
        found |= {f"{at}{norm}.weight": 1 + 0.1 * drawn(1, width)[0] for norm in ("input_layernorm", "post_attention_layernorm")}
    found["model.norm.weight"] = 1 + 0.1 * drawn(1, width)[0]
    return found


def write_vicuna(folder: Path, seed: int = 0, width: int = 64) -> dict[str, torch.Tensor]:
    """The folder as it was published; its tensors, without the extras."""
    folder.mkdir(parents=True)
    words = write_vocabulary(folder)
    (folder / "config.json").write_text(json.dumps(llama_config(words, width)))
    state = random_llama(words, seed, width)
    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for number, (file, own) in enumerate(shards.items()):
        torch.save({name: state[name] for name in own} | {f"model.layers.{number}.self_attn.rotary_emb.inv_freq": torch.ones(16)}, folder / file)
    listed = {name: file for file, own in shards.items() for name in own}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return state
