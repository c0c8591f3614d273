"""MAIRA-2's network: Dinov2's patches after its last norm, four layers, a LLaMA; and its published file by the names that it has here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from adapters.pretrained import reading, weights_files
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.naming import DINOV2_OLD, LLAMA_EXTRAS, Rule, renamed
from adapters.vision_language.stored import Stored, WrongWeights, opened

WHO = "maira2"
CONFIG = "config.json"
# LLaVA's old names, as they were before transformers 4.52. Nothing is ever hidden from the ViT, so its sign for what is hidden is left out.
NAMES: tuple[Rule, ...] = (
    (r"^vision_tower\.embeddings\.mask_token$", None),
    (r"^vision_tower\.", "tower."),
    *DINOV2_OLD,
    (r"^multi_modal_projector\.layers\.", "projector."),
    (r"^language_model\.", "language."),
    *LLAMA_EXTRAS,
)


class Settings(NamedTuple):
    """What config.json says."""

    tower: Any
    """configuration of the Dinov2, of transformers"""
    language: Any
    """configuration of the LLaMA"""
    layers: int
    """of the projector"""

    @property
    def longest(self) -> int:
        """Tokens of question and answer: more than its positions, which are stretched."""
        stretch = (getattr(self.language, "rope_parameters", None) or {}).get("factor") or 1.0
        return int(self.language.max_position_embeddings * float(stretch))

    @property
    def patches(self) -> int:
        """Of an image."""
        return int((self.tower.image_size // self.tower.patch_size) ** 2)


class Network(nn.Module):
    """Patches of a Dinov2 -> linear layers -> among the words of a LLaMA."""

    def __init__(self, settings: Settings) -> None:
        from transformers import Dinov2Model, LlamaForCausalLM

        super().__init__()
        width = settings.language.hidden_size
        self.tower = Dinov2Model(settings.tower)
        layers: list[nn.Module] = [nn.Linear(settings.tower.hidden_size, width)]
        for _ in range(settings.layers - 1):
            layers += [nn.GELU(), nn.Linear(width, width)]
        self.projector = nn.Sequential(*layers)
        self.language = LlamaForCausalLM(settings.language)

    def see(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, T, D): a token for each patch, none for the class."""
        features: Tensor = self.projector(self.tower(images.to(self.language.dtype)).last_hidden_state[:, 1:])
        return features


def read_settings(folder: Path) -> Settings:
    """The sizes in the published config.json; the programs beside it are not run. Raises ``UserError`` for another model's."""
    from transformers import Dinov2Config, LlamaConfig

    with reading(CONFIG, folder, WHO):
        told: Mapping[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if told.get("model_type") != "maira2":
            raise WrongWeights(f"{WHO}: {CONFIG} of {folder.name} is of a {told.get('model_type')!r}; name the folder of {WHO}")
        seen = {name: value for name, value in told["vision_config"].items() if name not in ("out_features", "out_indices", "stage_names")}
        tower, language = Dinov2Config.from_dict({**seen, "use_mask_token": False}), LlamaConfig.from_dict(dict(told["text_config"]))
    language.tie_word_embeddings = False
    built_in = {"projector_hidden_act": "gelu", "vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
    if strange := [name for name, value in built_in.items() if told.get(name, value) != value]:
        name = strange[0]
        raise WrongWeights(f"{WHO}: {CONFIG} of {folder.name} has {name}={told[name]!r}, MAIRA-2 has {built_in[name]!r}; name its own folder")
    return Settings(tower, language, int(told.get("projector_n_layers", 4)))


def open_files(folder: Path) -> dict[str, Stored]:
    """The published tensors by the names of ``Network``, not read yet."""
    return renamed(opened(weights_files(folder), WHO), NAMES, WHO)


def sizes_of(settings: Settings, network: nn.Module, longest: int) -> Sizes:
    """For the estimate of memory: three images, some 800 tokens of text, and the answer."""
    from adapters.vision_language.loading import count_of

    width = settings.tower.hidden_size
    eyes = settings.patches * (8 * width + int(settings.tower.mlp_ratio * width))
    return Sizes(*count_of(network, "language.model"), *language_sizes(settings.language), eyes, 3 * settings.patches + 800 + longest, images=3)
