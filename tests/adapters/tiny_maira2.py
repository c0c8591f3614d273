"""MAIRA-2's published folder at toy size with random weights: old names of LLaVA and Dinov2, two safetensors shards, signs for images and boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_vicuna import llama_config, random_llama, vocabulary, write_vocabulary

WIDTH, LAYERS, PATCH_PX, IMAGE_PX = 32, 2, 14, 42
SIGNS = [
    "<obj>",
    "</obj>",
    *(f"<{axis}{number}>" for axis in "xy" for number in range(100)),
    "<box>",
    "</box>",
    "<image>",
    "<prev_im>",
    "<lat_image>",
]


def dinov2_config() -> dict[str, Any]:
    """``vision_config``."""
    return {
        "model_type": "dinov2",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": IMAGE_PX,
        "patch_size": PATCH_PX,
        "layer_norm_eps": 1e-6,
        "out_features": [f"stage{LAYERS}"],
        "apply_layernorm": True,
        "reshape_hidden_states": False,
    }


def dinov2(seed: int = 5) -> dict[str, torch.Tensor]:
    """Its tensors as transformers wrote them before version 5."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * (0.3 if len(shape) == 1 else shape[-1] ** -0.5)

    found = {"embeddings.cls_token": drawn(1, 1, WIDTH), "embeddings.mask_token": drawn(1, WIDTH)}
    found |= {"embeddings.position_embeddings": drawn(1, 1 + (IMAGE_PX // PATCH_PX) ** 2, WIDTH)}
    found |= {"embeddings.patch_embeddings.projection.weight": drawn(WIDTH, 3, PATCH_PX, PATCH_PX) / PATCH_PX}
    found |= {"embeddings.patch_embeddings.projection.bias": drawn(WIDTH)}
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for name in ("attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense"):
            found |= {f"{at}{name}.weight": drawn(WIDTH, WIDTH), f"{at}{name}.bias": drawn(WIDTH)}
        found |= {f"{at}mlp.fc1.weight": drawn(2 * WIDTH, WIDTH), f"{at}mlp.fc1.bias": drawn(2 * WIDTH)}
        found |= {f"{at}mlp.fc2.weight": drawn(WIDTH, 2 * WIDTH), f"{at}mlp.fc2.bias": drawn(WIDTH)}
        for name in ("norm1", "norm2"):
            found |= {f"{at}{name}.weight": 1 + drawn(WIDTH), f"{at}{name}.bias": drawn(WIDTH)}
        found |= {f"{at}layer_scale{number}.lambda1": 1 + drawn(WIDTH) for number in (1, 2)}
    return found | {"layernorm.weight": 1 + drawn(WIDTH), "layernorm.bias": drawn(WIDTH)}


def projector(width: int, seed: int = 6) -> dict[str, torch.Tensor]:
    """Four layers."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for place, into in zip((0, 2, 4, 6), (WIDTH, width, width, width), strict=True):
        found[f"{place}.weight"] = torch.randn(width, into, generator=generator) * 1.5 * into**-0.5
        found[f"{place}.bias"] = torch.randn(width, generator=generator) * 0.3
    return found


def language_config(width: int = 64) -> dict[str, Any]:
    """``text_config``: positions are stretched by a half."""
    return {**llama_config(len(vocabulary()) + len(SIGNS), width), "rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 1.5}}


def write_maira2(folder: Path, width: int = 64) -> None:
    """The folder as it was published, and a program beside it that must not run."""
    from safetensors.torch import save_file
    from tokenizers import AddedToken

    from adapters.vision_language.pieces import read_pieces

    folder.mkdir(parents=True)
    words = write_vocabulary(folder)
    pieces = read_pieces(folder, "test")
    (folder / "tokenizer.model").unlink()
    pieces.add_tokens([AddedToken(sign, normalized=False, special=False) for sign in SIGNS])
    pieces.save(str(folder / "tokenizer.json"))
    state = {f"vision_tower.{name}": value for name, value in dinov2().items()}
    state |= {f"multi_modal_projector.layers.{name}": value for name, value in projector(width).items()}
    state |= {f"language_model.{name}": value for name, value in random_llama(words + len(SIGNS), 7, width).items()}
    names, listed = sorted(state), {}
    for number in (0, 1):
        file = f"model-0000{number + 1}-of-00002.safetensors"
        save_file({name: state[name] for name in names[number::2]}, folder / file)
        listed |= dict.fromkeys(names[number::2], file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    told = {
        "model_type": "maira2",
        "auto_map": {"AutoConfig": "configuration_maira2.Maira2Config"},
        "projector_n_layers": 4,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "vision_config": dinov2_config(),
        "text_config": language_config(width),
    }
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "configuration_maira2.py").write_text("raise SystemExit('a program from the hub was run')\n")
