"""RaDialog's network: BioViL-T's patches, two layers, a LLaMA; and its published files by the names that they have here.

| file | name there | name here |
|---|---|---|
| LLaVA-1.5's shards | ``model.layers.*``, ``model.embed_tokens``, ``model.norm``, ``lm_head`` | ``language.*``, with the LoRA added |
| | ``model.mm_projector.*`` | none: it is of another tower |
| adapter_model.bin | ``base_model.model.model.layers.*.lora_{A,B}.weight`` | added to ``language.model.layers.*`` |
| non_lora_trainables.bin | ``base_model.model.model.mm_projector.{0,2}`` | ``projector.{0,2}`` |
| | ``base_model.model.model.vision_tower.*`` | ``tower.*`` |
| | ``...vit_pooler.pos_embed``, ``...rotary_emb.{inv_freq,cos_cached,sin_cached}`` | none: formulas, which its program keeps with all buffers |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from adapters.pretrained import weights_files
from adapters.vision_language import lora
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.naming import LLAMA_EXTRAS, Rule, renamed
from adapters.vision_language.stored import Stored, WrongWeights, opened
from clala.biovil_t import GRID, STRIDE_PX, WIDTH, BioViLT

WHO = "radialog"
ADDITIONS, BESIDE = "adapter_model.bin", "non_lora_trainables.bin"
IMAGE_PX, PATCHES = GRID * STRIDE_PX, GRID**2
EXPECTED = {"mm_vision_tower": "biovil", "mm_projector_type": "mlp2x_gelu", "mm_use_im_start_end": False, "mm_use_im_patch_token": False}
"""of the published config.json: what is built in here"""
LLAMA = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", "rms_norm_eps")
"""likewise: sizes that must be there"""
LLAMA_TOO = ("num_key_value_heads", "hidden_act", "rope_theta", "rope_scaling")

BASE: tuple[Rule, ...] = (*LLAMA_EXTRAS, (r"^model\.mm_projector\.", None))
TRAINED: tuple[Rule, ...] = (
    (r"^(?:base_model\.)?(?:model\.)*", ""),
    (r"^layers\.\d+\.self_attn\.rotary_emb\.(inv_freq|cos_cached|sin_cached)$", None),
    (r"^vision_tower\.encoder\.vit_pooler\.pos_embed$", None),
    (r"^vision_tower\.", "tower."),
    (r"^mm_projector\.", "projector."),
)

Norms = Literal["image", "batch", "running"]
"""Whose mean and spread the batch norms of the tower take off.

RaDialog's program never ends the training mode of its tower, neither in test.py nor in its demo: the batch norms use mean and spread of the images
that they are shown, and not those that they learnt. image = of each image by itself, as that program does for a single one; batch = of those that
come together; running = what was learnt.
"""


class Network(nn.Module):
    """Patches of BioViL-T, at 448 px, without an earlier image -> two linear layers -> among the words of a LLaMA."""

    _no_split_modules: ClassVar[list[str]] = ["BioViLT"]
    """accelerate leaves it whole: its parts are called one by one"""

    def __init__(self, language: Any) -> None:
        """``language`` is the LLaMA's configuration, of transformers."""
        from transformers import LlamaForCausalLM

        super().__init__()
        width = language.hidden_size
        self.tower = BioViLT()
        self.projector = nn.Sequential(nn.Linear(2 * WIDTH, width), nn.GELU(), nn.Linear(width, width))
        self.language = LlamaForCausalLM(language)

    @property
    def number(self) -> torch.dtype:
        """Of what the tower and the projector compute with."""
        return next(self.projector.parameters()).dtype

    def look(self, images: Tensor) -> Tensor:
        """(N, 3, 448, 448) in [0, 1] -> (N, 196, 512): row by row."""
        patches: Tensor = self.tower(images.to(self.number)).patches
        return patches.flatten(2).transpose(1, 2)

    def project(self, patches: Tensor) -> Tensor:
        """(N, 196, 512) -> (N, 196, D)."""
        features: Tensor = self.projector(patches.to(self.number))
        return features

    def see(self, images: Tensor) -> Tensor:
        """(N, 3, 448, 448) in [0, 1] -> (N, 196, D): all together."""
        return self.project(self.look(images))

    def see_each(self, images: Tensor) -> Tensor:
        """The same, each image by itself."""
        return torch.cat([self.see(image[None]) for image in images])


def forget_running(tower: nn.Module) -> None:
    """From now on batch norms use mean and spread of what they are shown, and learn nothing of it."""
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None


class Files(NamedTuple):
    """The published files, opened and not read."""

    stored: dict[str, Stored]
    """by the names of ``Network``"""
    language: Any
    """configuration of the LLaMA"""

    def sizes(self, network: nn.Module, longest: int, beside: int = 0) -> Sizes:
        """For the estimate of memory; a question has some 150 tokens beside its patches. ``beside``: numbers of the classifier, if there is one."""
        from adapters.vision_language.loading import count_of

        matrices, others = count_of(network, "language.model")
        return Sizes(matrices, others + beside, *language_sizes(self.language), EYES, PATCHES + 150 + longest)


EYES = 3 * 64 * (IMAGE_PX // 2) ** 2
"""numbers of the widest layers of a ResNet, one image"""


def open_files(weights: Path, base: Path, *, trust_pickle: bool = False) -> Files:
    """``weights``: the folder of RaDialog; ``base``: that of LLaVA-1.5. Raises ``UserError`` for what is no RaDialog."""
    language = _language(weights)
    words = renamed(opened(weights_files(base), WHO, trust_pickle=trust_pickle), BASE, WHO)
    additions = opened([weights / ADDITIONS], WHO, trust_pickle=trust_pickle)
    words = lora.merged(words, additions, lora.read_lora(weights, WHO), WHO)
    trained = renamed(opened([weights / BESIDE], WHO, trust_pickle=trust_pickle), TRAINED, WHO)
    return Files({**trained, **renamed(words, [(r"^", "language.")], WHO)}, language)


def _language(weights: Path) -> Any:
    """The LLaMA's sizes: LLaVA's configuration has them among its own, and no class of transformers reads them there."""
    from transformers import LlamaConfig

    try:
        told: Mapping[str, Any] = json.loads((weights / "config.json").read_text(encoding="utf-8"))
        strange = [name for name, value in EXPECTED.items() if told.get(name, value) != value]
        sizes = {name: told[name] for name in LLAMA} if not strange else {}
    except (OSError, ValueError, AttributeError, KeyError, RecursionError) as error:
        lacks = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read ({error})"
        raise WrongWeights(f"{WHO}: config.json of {weights.name} {lacks}; take the folder as it was published") from error
    if strange:
        name = strange[0]
        raise WrongWeights(f"{WHO}: config.json of {weights.name} has {name}={told[name]!r}, RaDialog has {EXPECTED[name]!r}; name its own folder")
    return LlamaConfig(**sizes, **{name: told[name] for name in LLAMA_TOO if told.get(name) is not None}, tie_word_embeddings=False)


def weights_of(weights: Path, base: Path) -> Sequence[Path]:
    """The files that decide what is written, without the classifier's."""
    vocabulary = [base / name for name in ("tokenizer.json", "tokenizer.model") if (base / name).is_file()][:1]
    own = [weights / name for name in (ADDITIONS, BESIDE, lora.CONFIG, "config.json")]
    return [*own, *weights_files(base), *vocabulary]
