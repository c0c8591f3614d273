"""RaDialog's published files with random weights: a language model of toy size, BioViL-T as large as it is, for it has no smaller one.

Every number follows from the name of its tensor, so that no file need be kept, and one that is put into the wrong place changes what comes out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_vicuna import llama_config, vocabulary, write_vicuna
from torchvision.models import resnet50

WIDTH, RANK, ALPHA = 64, 4, 8.0
CHECKPOINT = Path("findings_classifier/checkpoints/chexpert_train/ChexpertClassifier.ckpt")
TOLD = {
    "model_type": "llava",
    "architectures": ["LlavaLlamaForCausalLM"],
    "mm_vision_tower": "biovil",
    "mm_hidden_size": 512,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "mm_vision_select_layer": -2,
    "image_aspect_ratio": "pad",
    "tokenizer_padding_side": "right",
    "tokenizer_model_max_length": 1300,
    "pretraining_tp": 1,
}


def tower_shapes() -> dict[str, tuple[int, ...]]:
    """Of all 372 tensors of hi-ml's ImageModel, by its names."""
    with torch.device("meta"):
        shapes = {f"encoder.encoder.{name}": tuple(value.shape) for name, value in resnet50(weights=None).state_dict().items()}
    pooler = "encoder.vit_pooler."
    shapes |= {
        "encoder.missing_previous_emb": (1, 256, 1, 1),
        "encoder.backbone_to_vit.weight": (256, 2048, 1, 1),
        f"{pooler}type_embed": (2, 1, 256),
    }
    for block in range(3):
        at = f"{pooler}blocks.{block}."
        shapes |= {f"{at}attn.proj_{part}.weight": (256, 256) for part in "qkv"}
        for layer in ("attn.proj", "mlp.fc1", "mlp.fc2"):
            shapes |= {f"{at}{layer}.weight": (256, 256), f"{at}{layer}.bias": (256,)}
        shapes |= {f"{at}{norm}.{part}": (256,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
    shapes |= {f"{pooler}norm_post.{part}": (256,) for part in ("weight", "bias")}
    shapes |= {"projector.model.0.weight": (128, 512, 1, 1), "projector.model.3.weight": (128, 128, 1, 1), "projector.model.3.bias": (128,)}
    shapes |= {f"projector.model.1.{part}": (128,) for part in ("weight", "bias", "running_mean", "running_var")}
    shapes["projector.model.1.num_batches_tracked"] = ()
    return shapes


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The numbers of one tensor."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.tensor(21_000)
    if last == "running_var":
        values = generator.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = generator.standard_normal(shape, np.float32) * np.prod(shape[1:]) ** -0.5 * (2**0.5 if len(shape) == 4 else 1.0)
    elif last == "weight":
        values = generator.uniform(*((0.2, 0.4) if ".bn3." in name else (0.7, 1.3)), shape)  # or 16 blocks would add up to nothing but their sum
    else:
        values = 0.2 * generator.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def seeded(shapes: Mapping[str, tuple[int, ...]], before: str = "", number: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """A tensor for each shape, under its name behind ``before``; whole numbers stay whole."""
    found = {f"{before}{name}": drawn(f"{before}{name}", shape) for name, shape in shapes.items()}
    return {name: value.to(number) if value.is_floating_point() else value for name, value in found.items()}


def lora_shapes(base: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """A LoRA on all seven matrices of every layer, by peft's names."""
    found: dict[str, tuple[int, ...]] = {}
    for name, value in base.items():
        if name.endswith("_proj.weight"):
            at = f"base_model.model.{name.removesuffix('.weight')}"
            found |= {f"{at}.lora_A.weight": (RANK, value.shape[1]), f"{at}.lora_B.weight": (value.shape[0], RANK)}
    return found


def write_base(folder: Path) -> dict[str, torch.Tensor]:
    """LLaVA-1.5: a Vicuna with a projector for another tower among its shards; its tensors, without extras."""
    state = write_vicuna(folder, width=WIDTH)
    shard = folder / "pytorch_model-00002-of-00002.bin"
    other = {"0.weight": (WIDTH, 1024), "0.bias": (WIDTH,), "2.weight": (WIDTH, WIDTH), "2.bias": (WIDTH,)}
    torch.save({**torch.load(shard, weights_only=True), **seeded(other, "model.mm_projector.")}, shard)
    index = json.loads((folder / "pytorch_model.bin.index.json").read_text())
    index["weight_map"] |= {f"model.mm_projector.{name}": shard.name for name in other}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    told = {**TOLD, "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": 1024}
    (folder / "config.json").write_text(json.dumps({**llama_config(len(vocabulary()), WIDTH), **told}))
    signs = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    told = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False, "model_max_length": 2048, **signs}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return state


def write_radialog(folder: Path, base: Mapping[str, torch.Tensor], *, with_classifier: bool = True) -> None:
    """The folder as it was published, trained upon ``base``; of the file beside the LoRA, the buffers that its program kept too."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**llama_config(len(vocabulary()), WIDTH), **TOLD}))
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    told = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none", "target_modules": targets, "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps({**told, "base_model_name_or_path": "liuhaotian/llava-v1.5-7b", "lora_dropout": 0.05}))
    torch.save(seeded(lora_shapes(base), number=torch.bfloat16), folder / "adapter_model.bin")
    at = "base_model.model.model."
    beside = seeded(tower_shapes(), f"{at}vision_tower.", torch.bfloat16)
    beside[f"{at}vision_tower.encoder.vit_pooler.pos_embed"] = torch.ones(1, 196, 256, dtype=torch.bfloat16)
    projector = {"0.weight": (WIDTH, 512), "0.bias": (WIDTH,), "2.weight": (WIDTH, WIDTH), "2.bias": (WIDTH,)}
    beside |= seeded(projector, f"{at}mm_projector.", torch.bfloat16)
    for layer in range(2):
        rotary = f"{at}layers.{layer}.self_attn.rotary_emb."
        beside |= {
            f"{rotary}inv_freq": torch.ones(16),
            f"{rotary}cos_cached": torch.ones(1, 1, 8, 32),
            f"{rotary}sin_cached": torch.ones(1, 1, 8, 32),
        }
    torch.save(beside, folder / "non_lora_trainables.bin")
    if with_classifier:
        (folder / CHECKPOINT).parent.mkdir(parents=True)
        torch.save(checkpoint(), folder / CHECKPOINT)


def checkpoint() -> dict[str, Any]:
    """Of the findings classifier, as PyTorch Lightning writes it."""
    state = seeded(tower_shapes(), "model.biovil_encoder.")
    head = {"fc1.weight": (512, 2048), "fc1.bias": (512,), "fc2.weight": (14, 512), "fc2.bias": (14,)}
    state |= seeded(head, "model.") | {"criterion.pos_weight": torch.ones(14)}
    kept = {
        "epoch": 6,
        "global_step": 9,
        "pytorch-lightning_version": "1.6.5",
        "callbacks": {"ModelCheckpoint": {"best": 0.36}},
    }
    return {**kept, "state_dict": state, "optimizer_states": [], "lr_schedulers": []}
