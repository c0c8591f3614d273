"""LLaVA-Rad's published files at toy size with random weights; the ViT is timm's own, as open_clip's training checkpoint keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch

RANK, ALPHA = 4, 8.0
WIDTH, PATCH_PX, IMAGE_PX = 128, 14, 56


def timm_tower(seed: int = 1) -> Any:
    """Three blocks; every tensor random, so that none can be mistaken for another."""
    tower = timm.models.VisionTransformer(
        img_size=IMAGE_PX, patch_size=PATCH_PX, embed_dim=WIDTH, depth=3, num_heads=2, mlp_ratio=2, init_values=1.0, num_classes=0
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in tower.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * (0.3 if value.dim() == 1 else value[0].numel() ** -0.5))
    return tower


def additions(base: dict[str, torch.Tensor], seed: int = 2) -> dict[str, torch.Tensor]:
    """A LoRA on all seven matrices of every layer, by peft's names."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, value in base.items():
        if name.endswith("_proj.weight"):
            at = f"base_model.model.{name.removesuffix('.weight')}"
            found[f"{at}.lora_A.weight"] = torch.randn(RANK, value.shape[1], generator=generator) * 0.2
            found[f"{at}.lora_B.weight"] = torch.randn(value.shape[0], RANK, generator=generator) * 0.2
    return found


def projector(width: int, seed: int = 3) -> dict[str, torch.Tensor]:
    """mm_projector's four tensors."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (width, WIDTH), "0.bias": (width,), "2.weight": (width, width), "2.bias": (width,)}
    return {name: torch.randn(shape, generator=generator) * shape[-1] ** -0.5 for name, shape in shapes.items()}


def write_llava_rad(folder: Path, base: dict[str, torch.Tensor]) -> None:
    """The folder as it was published, trained upon ``base``."""
    folder.mkdir(parents=True)
    width = base["lm_head.weight"].shape[1]
    told = {"model_type": "llava", "mm_vision_select_layer": -2, "mm_projector_type": "mlp2x_gelu", "mm_use_im_start_end": False}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}))
    torch.save(additions(base), folder / "adapter_model.bin")
    torch.save({f"base_model.model.model.mm_projector.{name}": value for name, value in projector(width).items()}, folder / "non_lora_trainables.bin")
    beside = {"module.text.transformer.embeddings.word_embeddings.weight": torch.ones(3, 2), "module.logit_scale": torch.tensor(4.6)}
    beside["module.visual.head.proj.weight"] = torch.ones(2, WIDTH)
    trunk = {f"module.visual.trunk.{name}": value for name, value in timm_tower().state_dict().items()}
    torch.save({"epoch": 30, "name": "biomedclipcxr", "state_dict": {**beside, **trunk}}, folder / "biomedclipcxr_518_checkpoint.pt")
