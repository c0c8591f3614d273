"""LLM-CXR's network: a VQ-GAN's encoder that writes an image in 1,024 words of its own, a GPT-NeoX that reads them; and the published files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from adapters.pretrained import read_config, weights_files
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.naming import Rule, renamed
from adapters.vision_language.stored import Stored, WrongWeights, opened

WHO = "llm_cxr"
# Of taming-transformers' VQModel the half that writes images back, and what it was trained with, are left out.
VQGAN: tuple[Rule, ...] = ((r"^(decoder|post_quant_conv|loss)\.", None), (r"^", "vqgan."))
# What programs of 2023 kept beside a GPT-NeoX's weights, and what transformers calls its head today.
NEOX: tuple[Rule, ...] = (
    (r"\.attention\.(bias|masked_bias)$", None),
    (r"\.rotary_emb\.inv_freq$", None),
    (r"^embed_out\.", "lm_head."),
    (r"^", "language."),
)
# The yaml's words for the encoder -> those of transformers' Chameleon, which has the same encoder.
NAMES = {
    "resolution": "resolution",
    "in_channels": "in_channels",
    "ch": "base_channels",
    "ch_mult": "channel_multiplier",
    "num_res_blocks": "num_res_blocks",
    "attn_resolutions": "attn_resolutions",
    "z_channels": "latent_channels",
    "double_z": "double_latent",
}


class Network(nn.Module):
    """An image in words of a VQ-GAN's codebook -> among the words of a GPT-NeoX, which has a row for each."""

    def __init__(self, eyes: Any, language: Any) -> None:
        """``eyes`` and ``language`` are the configurations, of transformers."""
        from transformers import GPTNeoXForCausalLM
        from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE

        super().__init__()
        self.vqgan = ChameleonVQVAE(eyes)
        self.vqgan.post_quant_conv = nn.Identity()  # the first step of writing an image back
        self.language = GPTNeoXForCausalLM(language)
        self.first = int(language.vocab_size) - int(eyes.num_embeddings)

    def codes(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, T) numbers of the codebook's entries, row by row of the image."""
        found: Tensor = self.vqgan.encode(images.to(self.vqgan.quant_conv.weight.dtype)).image_tokens
        return found.reshape(len(images), -1)

    def see(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, T, D): the embeddings of its words."""
        table = self.language.get_input_embeddings()
        features: Tensor = table((self.codes(images) + self.first).to(table.weight.device))
        return features


class Files(NamedTuple):
    """The published files, opened and not read."""

    stored: dict[str, Stored]
    """by the names of ``Network``"""
    eyes: Any
    """configuration of the VQ-GAN"""
    language: Any
    """configuration of the GPT-NeoX"""
    image_px: int
    image_tokens: int

    def sizes(self, network: nn.Module, longest: int) -> Sizes:
        """For the estimate of memory; the question has some 60 tokens beside those of the image."""
        from adapters.vision_language.loading import count_of

        cache, work = language_sizes(self.language)
        # The widest layer of the encoder is its first; some four of it are there at once, of 32 bits whatever the precision.
        eyes = 2 * 4 * self.image_px**2 * int(self.eyes.base_channels)
        return Sizes(*count_of(network, "language.gpt_neox"), cache, work, eyes, self.image_tokens + 60 + longest)


def open_files(language: Path, vqgan: Path, words: int, *, trust_pickle: bool = False) -> Files:
    """``language``, ``vqgan``: the two folders; ``words``: of the vocabulary. Raises ``UserError`` for what is no LLM-CXR."""
    eyes = read_eyes(vqgan)
    config = read_config(language, WHO)
    if config.model_type != "gpt_neox":
        raise WrongWeights(f"{WHO}: {language.name} holds a {config.model_type}, LLM-CXR is a gpt_neox; take the folder as it was published")
    if config.vocab_size != words + eyes.num_embeddings:
        raise WrongWeights(
            f"{WHO}: the model has rows for {config.vocab_size} words, the vocabulary has {words} and the VQ-GAN {eyes.num_embeddings}; "
            "take the three of them from one release"
        )
    config.tie_word_embeddings = False
    seen = renamed(opened([file_of(vqgan, "*.ckpt")], WHO, inside="state_dict", trust_pickle=trust_pickle), VQGAN, WHO)
    said = renamed(opened(weights_files(language), WHO), NEOX, WHO)
    side = eyes.resolution >> (len(eyes.channel_multiplier) - 1)
    return Files({**seen, **said}, eyes, config, int(eyes.resolution), side * side)


def read_eyes(folder: Path) -> Any:
    """The sizes of the VQ-GAN, from its .yaml. Raises ``WrongWeights``."""
    import yaml  # type: ignore[import-untyped,unused-ignore]  # transformers brings it along
    from transformers import ChameleonVQVAEConfig

    file = file_of(folder, "*.yaml")
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["params"]
        inner = dict(told["ddconfig"])
        sizes = {NAMES[name]: inner.pop(name) for name in NAMES}
        embed_dim, count = int(told["embed_dim"]), int(told["n_embed"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise WrongWeights(f"{WHO}: {file.name} does not tell the sizes of a VQ-GAN ({said}); take the file that was published with it") from error
    if sizes["double_latent"] or inner.get("resamp_with_conv", True) is not True:
        raise WrongWeights(f"{WHO}: {file.name} tells of another VQ-GAN (double_z or resamp_with_conv); take the file that was published with it")
    try:
        return ChameleonVQVAEConfig(embed_dim=embed_dim, num_embeddings=count, dropout=0.0, attn_type="vanilla", **sizes)
    except Exception as error:  # transformers checks each type in its own way
        raise WrongWeights(f"{WHO}: the sizes in {file.name} are none ({error}); take the file that was published with it") from error


def file_of(folder: Path, pattern: str) -> Path:
    """The one file of its kind. Raises ``WrongWeights``."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        many = f"holds {len(found)} files {pattern}" if found else f"holds no {pattern}"
        raise WrongWeights(f"{WHO}: {folder.name} {many}, one is expected; take the folder as it was published")
    return found[0]


def files_of(language: Path, vqgan: Path) -> Sequence[Path]:
    """The files that decide what is written."""
    return [
        *weights_files(language),
        language / "config.json",
        language / "tokenizer.json",
        file_of(vqgan, "*.yaml"),
        file_of(vqgan, "*.ckpt"),
    ]
