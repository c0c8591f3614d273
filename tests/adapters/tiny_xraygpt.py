"""XrayGPT's published files at toy size, of random weights by a rule: a tensor's published name and shape decide its numbers.

So the weights that the authors' program made a fixture with need not be kept, and a tensor in the wrong place changes what comes out.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from tiny_vicuna import llama_config, random_llama, vocabulary, write_vocabulary

BASE = "Vicuna_Radiology_fp16"
WIDTH, INNER, PATCH_PX, IMAGE_PX, BLOCKS = 88, 96, 14, 56, 40  # a block more than is used, as in EVA-CLIP's file
Q_WIDTH, Q_INNER, Q_LAYERS, QUERIES = 128, 96, 4, 8
LLAMA_WIDTH = 64
MORE = ("▁##", "▁###", "##", "▁<", "Img", "▁Patient", "Doctor", "▁Take", "▁chest", "▁impression", *"#<>/!?-0123456789()")


def seeded(name: str, shape: tuple[int, ...], scale: float = 1.0) -> torch.Tensor:
    """The numbers of one tensor."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    values = generator.standard_normal(shape, np.float32)
    if name in ("cls_token", "pos_embed", "query_tokens") or ("embeddings." in name and len(shape) > 1):
        return torch.from_numpy(values)
    if len(shape) > 1:
        return torch.from_numpy(values * np.float32(scale * np.prod(shape[1:]) ** -0.5))
    is_norm = name.endswith("weight")
    return torch.from_numpy(values * np.float32(0.1 if is_norm else 0.3) + np.float32(is_norm))


def linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def eyes() -> dict[str, torch.Tensor]:
    """``eva_vit_g.pth``: every block, and the head that nobody looks at."""
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, WIDTH), "pos_embed": (1, (IMAGE_PX // PATCH_PX) ** 2 + 1, WIDTH)}
    shapes |= {"patch_embed.proj.weight": (WIDTH, 3, PATCH_PX, PATCH_PX), "patch_embed.proj.bias": (WIDTH,)}
    for number in range(BLOCKS):
        at = f"blocks.{number}."
        shapes |= norm(f"{at}norm1", WIDTH) | norm(f"{at}norm2", WIDTH) | linear(f"{at}attn.proj", WIDTH, WIDTH)
        shapes |= {f"{at}attn.qkv.weight": (3 * WIDTH, WIDTH), f"{at}attn.q_bias": (WIDTH,), f"{at}attn.v_bias": (WIDTH,)}
        shapes |= linear(f"{at}mlp.fc1", INNER, WIDTH) | linear(f"{at}mlp.fc2", WIDTH, INNER)
    shapes |= norm("norm", WIDTH) | linear("head", 10, WIDTH)
    return {name: seeded(name, shape) for name, shape in shapes.items()}


def blip2() -> dict[str, torch.Tensor]:
    """``model`` of blip2_pretrained_flant5xxl.pth, and of what reads text there as well."""
    at = "Qformer.bert.embeddings."
    shapes: dict[str, tuple[int, ...]] = {"query_tokens": (1, QUERIES, Q_WIDTH), **norm("ln_vision", WIDTH), **norm(f"{at}LayerNorm", Q_WIDTH)}
    shapes |= {f"{at}word_embeddings.weight": (30, Q_WIDTH), f"{at}position_embeddings.weight": (20, Q_WIDTH)}
    for layer in range(Q_LAYERS):
        at = f"Qformer.bert.encoder.layer.{layer}."
        for attention, seen in (("attention", Q_WIDTH), ("crossattention", WIDTH)):
            if attention == "crossattention" and layer % 2:
                continue
            shapes |= linear(f"{at}{attention}.self.query", Q_WIDTH, Q_WIDTH)
            shapes |= linear(f"{at}{attention}.self.key", Q_WIDTH, seen) | linear(f"{at}{attention}.self.value", Q_WIDTH, seen)
            shapes |= linear(f"{at}{attention}.output.dense", Q_WIDTH, Q_WIDTH) | norm(f"{at}{attention}.output.LayerNorm", Q_WIDTH)
        for kind in ("", "_query"):
            shapes |= linear(f"{at}intermediate{kind}.dense", Q_INNER, Q_WIDTH) | linear(f"{at}output{kind}.dense", Q_WIDTH, Q_INNER)
            shapes |= norm(f"{at}output{kind}.LayerNorm", Q_WIDTH)
    shapes |= linear("Qformer.cls.predictions.decoder", 30, Q_WIDTH) | linear("t5_proj", 12, Q_WIDTH)
    return {name: seeded(name, shape, 1.5) for name, shape in shapes.items()}


def own() -> dict[str, torch.Tensor]:
    """``model`` of xraygpt_pretrained1.pth: what was trained, and buffers."""
    shapes = linear("llama_proj", LLAMA_WIDTH, Q_WIDTH)
    beside = {
        "Qformer.bert.embeddings.position_ids": torch.arange(20)[None],
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16),
    }
    return {name: seeded(name, shape) for name, shape in shapes.items()} | beside


def write_xraygpt(folder: Path) -> None:
    """One folder, with Vicuna's in it."""
    base = folder / BASE
    base.mkdir(parents=True)
    count = len(vocabulary())
    known = {text for text, _, _ in vocabulary()}
    merges = dict.fromkeys(word[:end] for word in MORE for end in range(1, len(word) + 1) if word[:end] not in known)
    words = write_vocabulary(base, [(text, -float(count + rank), 1) for rank, text in enumerate(merges)])
    (base / "config.json").write_text(json.dumps(llama_config(words, LLAMA_WIDTH)))
    torch.save(random_llama(words, 7, LLAMA_WIDTH), base / "pytorch_model.bin")
    torch.save(eyes(), folder / "eva_vit_g.pth")
    torch.save({"model": blip2()}, folder / "blip2_pretrained_flant5xxl.pth")
    held = {"model": own(), "optimizer": {"state": {}, "param_groups": [{"lr": 3e-5}]}, "config": {"run": {"seed": 42}}, "scaler": None, "epoch": 0}
    torch.save(held, folder / "xraygpt_pretrained1.pth")
