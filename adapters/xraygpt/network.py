"""XrayGPT's network: EVA-CLIP's ViT-g, BLIP-2's Q-Former, one layer, a LLaMA; and the four published files by the names that they have here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from adapters.pretrained import read_config, weights_files
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.naming import LLAMA_EXTRAS, Rule, renamed
from adapters.vision_language.stored import Stored, WrongWeights, opened

WHO = "xraygpt"
EYES, QFORMER, PROJECTION = "eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth", "xraygpt_pretrained1.pth"
LAYERS = 39  # xraygpt/models/eva_vit.py, create_eva_vit_g: EVA-CLIP has more, what comes behind is not used
EYES_HEAD, QFORMER_HEAD = 88, 64
"""widths of a head: 1408 / 16 in the ViT, those of BERT in the Q-Former"""
CROSS = 2
"""every other layer of the Q-Former looks at the image"""

EVA: tuple[Rule, ...] = (
    (r"^((fc_)?norm|head)\.|^mask_token$", None),
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.norm([12])\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
    (r"^", "eyes."),
)
# Of BLIP-2's checkpoint what reads and writes text is left out: the query tokens alone go through.
BLIP2: tuple[Rule, ...] = (
    (r"^t5_(model|proj)\.|^Qformer\.cls\.", None),
    (r"^Qformer\.bert\.embeddings\.(word_embeddings|position_embeddings|position_ids)", None),
    (r"^Qformer\.bert\.encoder\.layer\.\d+\.(intermediate|output)\.", None),
    (r"^Qformer\.bert\.embeddings\.LayerNorm\.", "qformer.layernorm."),
    (r"^Qformer\.bert\.encoder\.layer\.(\d+)\.(attention|crossattention)\.self\.", r"qformer.encoder.layer.\1.\2.attention."),
    (r"^Qformer\.bert\.", "qformer."),
    (r"^ln_vision\.", "eyes.post_layernorm."),
    (r"^query_tokens$", "queries"),
)
# Of XrayGPT's own checkpoint only what was trained is there, and what follows from sizes.
OWN: tuple[Rule, ...] = ((r"\.(position_ids|inv_freq)$", None), (r"^llama_proj\.", "projection."))


class Shape(NamedTuple):
    """Sizes of ViT and Q-Former, as their tensors have them."""

    width: int
    inner: int
    patch_px: int
    side: int
    """patches along each side"""
    q_width: int
    q_inner: int
    q_layers: int
    queries: int

    @property
    def image_px(self) -> int:
        """Side of the image."""
        return self.side * self.patch_px


class Network(nn.Module):
    """Patches of a ViT -> asked by a Q-Former's query tokens -> a linear layer -> among the words of a LLaMA."""

    def __init__(self, shape: Shape, language: Any) -> None:
        """``language`` is the LLaMA's configuration, of transformers."""
        from transformers import Blip2QFormerConfig, Blip2QFormerModel, Blip2VisionConfig, Blip2VisionModel, LlamaForCausalLM

        super().__init__()
        eyes = Blip2VisionConfig(
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=LAYERS,
            num_attention_heads=shape.width // EYES_HEAD,
            image_size=shape.image_px,
            patch_size=shape.patch_px,
            layer_norm_eps=1e-6,
        )
        qformer = Blip2QFormerConfig(
            hidden_size=shape.q_width,
            intermediate_size=shape.q_inner,
            num_hidden_layers=shape.q_layers,
            num_attention_heads=shape.q_width // QFORMER_HEAD,
            encoder_hidden_size=shape.width,
            cross_attention_frequency=CROSS,
            use_qformer_text_input=False,
        )
        self.eyes = Blip2VisionModel(eyes)
        self.eyes.post_layernorm.eps = 1e-5  # LAVIS' ln_vision has PyTorch's, transformers takes that of the ViT's layers
        self.qformer = Blip2QFormerModel(qformer)
        self.queries = nn.Parameter(torch.zeros(1, shape.queries, shape.q_width))
        self.projection = nn.Linear(shape.q_width, language.hidden_size)
        self.language = LlamaForCausalLM(language)

    def see(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, Q, D): a token for each query."""
        patches = self.eyes(images.to(self.eyes.embeddings.patch_embedding.weight.dtype)).last_hidden_state
        asked = self.qformer(query_embeds=self.queries.expand(len(images), -1, -1), encoder_hidden_states=patches).last_hidden_state
        features: Tensor = self.projection(asked.to(self.projection.weight.dtype))
        return features


class Files(NamedTuple):
    """The published files, opened and not read."""

    stored: dict[str, Stored]
    """by the names of ``Network``"""
    shape: Shape
    language: Any
    """configuration of the LLaMA"""

    def sizes(self, network: nn.Module, longest: int) -> Sizes:
        """For the estimate of memory; the question has some 80 tokens beside those of the image."""
        from adapters.vision_language.loading import count_of

        cache, work = language_sizes(self.language)
        eyes = (self.shape.side**2 + 1) * (self.shape.width * 8 + self.shape.inner)
        return Sizes(*count_of(network, "language.model"), cache, work, eyes, self.shape.queries + 80 + longest)


def open_files(weights: Path, base: Path, *, trust_pickle: bool = False) -> Files:
    """``weights``: the folder of the three .pth; ``base``: that of the LLaMA. Raises ``UserError`` for what is no XrayGPT."""
    language = read_config(base, WHO)
    language.tie_word_embeddings = False
    words = renamed(opened(weights_files(base), WHO), [*LLAMA_EXTRAS, (r"^", "language.")], WHO)
    own = renamed(opened([weights / PROJECTION], WHO, inside="model", trust_pickle=trust_pickle), OWN, WHO)
    asks = renamed(opened([weights / QFORMER], WHO, inside="model", trust_pickle=trust_pickle), BLIP2, WHO)
    raw = opened([weights / EYES], WHO, trust_pickle=trust_pickle)
    seen = renamed(with_whole_biases(raw), [*_behind(raw), *EVA], WHO)
    parts = {"eyes": seen, "qformer": asks, "projection": own, "language": words}
    found: dict[str, Stored] = {}
    for part in parts.values():
        if twice := sorted(found.keys() & part.keys()):
            raise WrongWeights(f"{WHO}: {twice[0]} is in two of the files; take the four as they were published")
        found |= part
    return Files(found, _shape(found), language)


def with_whole_biases(eyes: Mapping[str, Stored]) -> dict[str, Stored]:
    """Each block's biases of queries and values as one of queries, keys and values; that of keys is zero. Raises ``WrongWeights`` for half a pair."""
    found = dict(eyes)
    for name in [name for name in eyes if name.endswith((".attn.q_bias", ".attn.v_bias"))]:
        at = name.rpartition(".")[0]
        pair = [found.pop(f"{at}.{one}_bias", None) for one in "qv"]
        if pair == [None, None]:
            continue  # done with the other of the two
        q, v = pair
        if q is None or v is None or q.shape != v.shape:
            raise WrongWeights(f"{WHO}: {EYES} has {name} without the other of the pair, or of another shape; take the file as it was published")
        found[f"{at}.qkv.bias"] = _joined(q, v)
    return found


def _joined(q: Stored, v: Stored) -> Stored:
    def read() -> Tensor:
        queries = q.read()
        return torch.cat([queries, torch.zeros_like(queries), v.read()])

    return Stored((3 * q.shape[0],), read)


def _behind(eyes: Mapping[str, Stored]) -> list[Rule]:
    """Rules that leave out the blocks behind those that are used."""
    numbers = {int(name.split(".")[1]) for name in eyes if name.startswith("blocks.") and name.split(".")[1].isdecimal()}
    return [(rf"^blocks\.{number}\.", None) for number in sorted(numbers) if number >= LAYERS]


def _shape(found: Mapping[str, Stored]) -> Shape:
    try:
        width, _, patch_px, _ = found["eyes.embeddings.patch_embedding.weight"].shape
        places = found["eyes.embeddings.position_embedding"].shape[1] - 1
        _, queries, q_width = found["queries"].shape
        shape = Shape(
            width=width,
            inner=found["eyes.encoder.layers.0.mlp.fc1.weight"].shape[0],
            patch_px=patch_px,
            side=round(places**0.5),
            q_width=q_width,
            q_inner=found["qformer.encoder.layer.0.intermediate_query.dense.weight"].shape[0],
            q_layers=1 + max(int(name.split(".")[3]) for name in found if name.startswith("qformer.encoder.layer.")),
            queries=queries,
        )
    except (KeyError, ValueError, IndexError) as error:
        raise WrongWeights(f"{WHO}: {EYES} and {QFORMER} hold no ViT and no Q-Former ({error} is missing); take the files as published") from error
    if shape.side**2 != places or width % EYES_HEAD or q_width % QFORMER_HEAD:
        raise WrongWeights(
            f"{WHO}: {places} places, {width} and {q_width} numbers wide: no square, or no heads of {EYES_HEAD} and {QFORMER_HEAD}; "
            f"take {EYES} and {QFORMER} as published"
        )
    return shape


def files_of(weights: Path, base: Path) -> Sequence[Path]:
    """The files that decide what is written."""
    vocabulary = [base / name for name in ("tokenizer.json", "tokenizer.model") if (base / name).is_file()][:1]
    return [weights / EYES, weights / QFORMER, weights / PROJECTION, *weights_files(base), base / "config.json", *vocabulary]
