"""LLaVA-Rad's network: a ViT's patches, two layers, a LLaMA; and its published files by the names that they have here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from adapters.pretrained import read_config, weights_files
from adapters.vision_language import lora
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.naming import LLAMA_EXTRAS, Rule, renamed
from adapters.vision_language.stored import Stored, WrongWeights, opened

WHO = "llava_rad"
TOWER = "biomedclipcxr_518_checkpoint.pt"
PROJECTOR, ADDITIONS = "non_lora_trainables.bin", "adapter_model.bin"
HEAD = 64  # width of a head in every timm ViT that has DINOv2's shape
EXPECTED = {"mm_vision_select_layer": -2, "mm_projector_type": "mlp2x_gelu", "mm_use_im_start_end": False, "mm_use_im_patch_token": False}
"""of the published config.json: what is built in here"""

# timm's names behind ``visual.trunk.`` -> transformers' Dinov2. Features come from before the last block, so it and the norm after it are left out.
TIMM: tuple[Rule, ...] = (
    (r"^cls_token$", "embeddings.cls_token"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", tuple(rf"encoder.layer.\1.attention.{part}_proj." for part in "qkv")),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layer.\1.attention.o_proj."),
    (r"^blocks\.(\d+)\.ls([12])\.gamma$", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"^blocks\.", "encoder.layer."),
)
# The tower lies in a training checkpoint of open_clip, beside a text encoder, both heads and the temperature.
CHECKPOINT: tuple[Rule, ...] = (
    (r"^module\.", ""),
    (r"^(text\.|logit_scale$|logit_bias$|visual\.head\.)", None),
    (r"^visual\.trunk\.", ""),
    (r"^(fc_)?norm\.", None),
)


class Tower(NamedTuple):
    """Sizes of the ViT, as its tensors have them."""

    width: int
    layers: int
    """those that are made use of: all but the last"""
    patch_px: int
    side: int
    """patches along each side"""
    inner: int

    @property
    def image_px(self) -> int:
        """Side of the image."""
        return self.side * self.patch_px


class Network(nn.Module):
    """Patches of a ViT, before its last block -> two linear layers -> among the words of a LLaMA."""

    def __init__(self, tower: Tower, language: Any) -> None:
        """``language`` is the LLaMA's configuration, of transformers."""
        from transformers import Dinov2Config, Dinov2Model, LlamaForCausalLM

        super().__init__()
        config = Dinov2Config(
            hidden_size=tower.width,
            num_hidden_layers=tower.layers,
            num_attention_heads=tower.width // HEAD,
            mlp_ratio=tower.inner // tower.width,
            image_size=tower.image_px,
            patch_size=tower.patch_px,
            layer_norm_eps=1e-6,
            use_mask_token=False,
        )
        self.tower = Dinov2Model(config)
        self.tower.layernorm = nn.Identity()
        self.projector = nn.Sequential(nn.Linear(tower.width, language.hidden_size), nn.GELU(), nn.Linear(language.hidden_size, language.hidden_size))
        self.language = LlamaForCausalLM(language)

    def see(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, T, D): a token for each patch, none for the class."""
        features: Tensor = self.projector(self.tower(images.to(self.language.dtype)).last_hidden_state[:, 1:])
        return features


class Files(NamedTuple):
    """The published files, opened and not read."""

    stored: dict[str, Stored]
    """by the names of ``Network``"""
    tower: Tower
    language: Any
    """configuration of the LLaMA"""

    def sizes(self, network: nn.Module, longest: int) -> Sizes:
        """For the estimate of memory; a question about one image has some 150 tokens beside its patches."""
        from adapters.vision_language.loading import count_of

        cache, work = language_sizes(self.language)
        patches = self.tower.side**2
        return Sizes(*count_of(network, "language.model"), cache, work, patches * (self.tower.width * 8 + self.tower.inner), patches + 150 + longest)


def open_files(weights: Path, base: Path, *, trust_pickle: bool = False) -> Files:
    """``weights``: the folder of LLaVA-Rad; ``base``: that of Vicuna. Raises ``UserError`` for what is no LLaVA-Rad."""
    _check_config(weights)
    language = read_config(base, WHO)
    language.tie_word_embeddings = False
    words = opened(weights_files(base), WHO)
    words = renamed(words, LLAMA_EXTRAS, WHO)
    additions = opened([weights / ADDITIONS], WHO)
    words = lora.merged(words, additions, lora.read_lora(weights, WHO), WHO)
    projector = renamed(opened([weights / PROJECTOR], WHO), [(r"^(?:base_model\.)?(?:model\.)*mm_projector\.", "projector.")], WHO)
    seen = renamed(opened([weights / TOWER], WHO, inside="state_dict", trust_pickle=trust_pickle), CHECKPOINT, WHO)
    tower = _tower(seen)
    eyes = renamed(seen, [(rf"^blocks\.{tower.layers}\.", None), *TIMM, (r"^", "tower.")], WHO)
    return Files({**eyes, **projector, **renamed(words, [(r"^", "language.")], WHO)}, tower, language)


def _check_config(weights: Path) -> None:
    try:
        told: Mapping[str, Any] = json.loads((weights / "config.json").read_text(encoding="utf-8"))
        strange = [name for name, value in EXPECTED.items() if told.get(name, value) != value]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise WrongWeights(f"{WHO}: config.json of {weights.name} cannot be read ({error}); take the folder as it was published") from error
    if strange:
        name = strange[0]
        raise WrongWeights(f"{WHO}: config.json of {weights.name} has {name}={told[name]!r}, LLaVA-Rad has {EXPECTED[name]!r}; name its own folder")


def _tower(seen: Mapping[str, Stored]) -> Tower:
    """The sizes that the ViT's tensors have; what does not fit them is found out when they are loaded."""
    blocks = [int(match[1]) for match in (re.match(r"blocks\.(\d+)\.", name) for name in seen) if match]
    try:
        width, _, patch_px, _ = seen["patch_embed.proj.weight"].shape
        patches, inner = seen["pos_embed"].shape[1] - 1, seen["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise WrongWeights(
            f"{WHO}: {TOWER} holds no ViT that can be read ({error} is missing, or has another shape); take the published file"
        ) from error
    return Tower(width, max(blocks), patch_px, round(patches**0.5), inner)


def weights_of(weights: Path, base: Path) -> Sequence[Path]:
    """The files that decide what is written."""
    vocabulary = [base / name for name in ("tokenizer.json", "tokenizer.model") if (base / name).is_file()][:1]
    return [weights / TOWER, weights / PROJECTOR, weights / ADDITIONS, weights / lora.CONFIG, *weights_files(base), base / "config.json", *vocabulary]
