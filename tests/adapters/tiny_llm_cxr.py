"""LLM-CXR's published files at toy size, of random weights by a rule: a tensor's published name and shape decide its numbers.

So the weights that the authors' program made a fixture with need not be kept, and a tensor in the wrong place changes what comes out.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

LANGUAGE, VQGAN = "llmcxr_mimic-cxr-256-txvloss-medvqa-stage1_2", "vqgan_mimic-cxr-256-txvloss"
WIDTH, LAYERS, CODES = 64, 2, 48
IMAGE_PX, CHANNELS, MULTIPLIERS, LATENT, EMBEDDED = 32, 32, (1, 2), 16, 24  # 16 x 16 words: the authors' program asserts 256 of them
SAID = (  # Ġ: a blank, in the letters of GPT-2's vocabulary
    "Ġthe Ġheart Ġlung Ġlungs Ġis Ġare Ġnormal Ġclear ĠNo No Ġno Ġpleural Ġeffusion Ġacute image ge in er th on re at ĠX Ġchest Ġreport Ġreports "
    "Input Below Write Ġresponse Ġinstruction Ġtask"
)
WORDS = SAID.split()
SIGNS = ("### End", "### Instruction:", "### Response:\n")


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The numbers of one tensor."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    values = generator.standard_normal(shape, np.float32)
    last = name.rpartition(".")[2]
    if len(shape) > 1:
        loud = 3.0 if "embed_out" in name else 1.5 if name.startswith("gpt_neox.layers") else 1.0
        values *= np.float32(loud * (1.0 if "embed" in name and "out" not in name else np.prod(shape[1:]) ** -0.5))
    else:
        values = values * np.float32(0.1) + np.float32(1.0 if "norm" in name and last == "weight" else 0.0)
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def letters() -> list[str]:
    """A letter for each byte, as GPT-2's vocabulary has them."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(256 - len(plain))]


def vocabulary() -> dict[str, int]:
    """Piece -> id: an end, the letters, words with every beginning of them."""
    merged = dict.fromkeys(word[:end] for word in WORDS for end in range(2, len(word) + 1))
    return {piece: number for number, piece in enumerate(["<|endoftext|>", *letters(), *merged])}


def words() -> int:
    """Length of the tokenizer: pieces and signs."""
    return len(vocabulary()) + len(SIGNS)


def tokenizer() -> dict[str, object]:
    """``tokenizer.json``, with merges written as tokenizers 0.13 reads them."""
    pieces = vocabulary()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    signs = {"<|endoftext|>": 0} | {sign: len(pieces) + number for number, sign in enumerate(SIGNS)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    merges = [f"{piece[:-1]} {piece[-1]}" for piece in pieces if len(piece) > 1 and piece not in signs]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": sign, **plain} for sign, number in signs.items()],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": pieces,
            "merges": merges,
        },
    }


def config() -> dict[str, object]:
    """``config.json`` with the words of Dolly v2."""
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 1024,
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "vocab_size": words() + CODES,
    }


def language() -> dict[str, torch.Tensor]:
    """``pytorch_model.bin``: what is learnt, and what programs of 2023 kept beside it."""
    shapes: dict[str, tuple[int, ...]] = {"gpt_neox.embed_in.weight": (words() + CODES, WIDTH), "embed_out.weight": (words() + CODES, WIDTH)}
    shapes |= {f"gpt_neox.final_layer_norm.{last}": (WIDTH,) for last in ("weight", "bias")}
    beside = {}
    for layer in range(LAYERS):
        at = f"gpt_neox.layers.{layer}."
        for name, out, into in (
            ("attention.query_key_value", 3 * WIDTH, WIDTH),
            ("attention.dense", WIDTH, WIDTH),
            ("mlp.dense_h_to_4h", 2 * WIDTH, WIDTH),
            ("mlp.dense_4h_to_h", WIDTH, 2 * WIDTH),
        ):
            shapes |= {f"{at}{name}.weight": (out, into), f"{at}{name}.bias": (out,)}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"{at}{norm}.weight": (WIDTH,), f"{at}{norm}.bias": (WIDTH,)}
        beside[f"{at}attention.bias"] = torch.ones(1, 1, 1024, 1024, dtype=torch.bool).tril()
        beside[f"{at}attention.masked_bias"] = torch.tensor(-1e9)
        beside[f"{at}attention.rotary_emb.inv_freq"] = 1.0 / 10000 ** (torch.arange(0, 8, 2) / 8)
    return {name: seeded(name, shape) for name, shape in shapes.items()} | beside


def vqgan() -> dict[str, torch.Tensor]:
    """``state_dict`` of the VQ-GAN: all of its encoder, a little of what is left out."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, into: int, side: int) -> None:
        shapes.update({f"{name}.weight": (out, into, side, side), f"{name}.bias": (out,)})

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    def block(name: str, into: int, out: int) -> None:
        norm(f"{name}.norm1", into)
        conv(f"{name}.conv1", out, into, 3)
        norm(f"{name}.norm2", out)
        conv(f"{name}.conv2", out, out, 3)
        if into != out:
            conv(f"{name}.nin_shortcut", out, into, 1)

    def attention(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", width, width, 1)

    conv("encoder.conv_in", CHANNELS, 3, 3)
    width, side = CHANNELS, IMAGE_PX
    for level, times in enumerate(MULTIPLIERS):
        for number in range(2):
            block(f"encoder.down.{level}.block.{number}", width, CHANNELS * times)
            width = CHANNELS * times
            if side == 16:
                attention(f"encoder.down.{level}.attn.{number}", width)
        if level < len(MULTIPLIERS) - 1:
            conv(f"encoder.down.{level}.downsample.conv", width, width, 3)
            side //= 2
    block("encoder.mid.block_1", width, width)
    attention("encoder.mid.attn_1", width)
    block("encoder.mid.block_2", width, width)
    norm("encoder.norm_out", width)
    conv("encoder.conv_out", LATENT, width, 3)
    conv("quant_conv", EMBEDDED, LATENT, 1)
    conv("post_quant_conv", LATENT, EMBEDDED, 1)
    conv("decoder.conv_in", width, LATENT, 3)
    shapes |= {"quantize.embedding.weight": (CODES, EMBEDDED), "loss.logvar": ()}
    return {name: seeded(name, shape) if shape else torch.tensor(0.0) for name, shape in shapes.items()}


YAML = f"""model:
  base_learning_rate: 4.5e-06
  target: taming.models.vqgan.VQModel
  params:
    embed_dim: {EMBEDDED}
    n_embed: {CODES}
    ddconfig:
      double_z: false
      z_channels: {LATENT}
      resolution: {IMAGE_PX}
      in_channels: 3
      out_ch: 3
      ch: {CHANNELS}
      ch_mult: {list(MULTIPLIERS)}
      num_res_blocks: 2
      attn_resolutions: [16]
      dropout: 0.0
    lossconfig:
      target: taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator
      params: {{disc_start: 10000, codebook_weight: 1.0}}
"""


def write_llm_cxr(folder: Path) -> None:
    """Both folders, as the archives unpack."""
    said, seen = folder / LANGUAGE, folder / VQGAN
    said.mkdir(parents=True)
    seen.mkdir()
    (said / "config.json").write_text(json.dumps(config()))
    (said / "tokenizer.json").write_text(json.dumps(tokenizer()))
    told = {"tokenizer_class": "GPTNeoXTokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    (said / "tokenizer_config.json").write_text(json.dumps(told))
    (said / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": list(SIGNS), "pad_token": "<|endoftext|>"}))
    torch.save(language(), said / "pytorch_model.bin")
    (seen / "2023-09-05T13-56-50_mimic-cxr-256-txvloss-project-compat.yaml").write_text(YAML)
    held = {"epoch": 4, "global_step": 9, "pytorch-lightning_version": "1.0.8", "state_dict": vqgan()}
    torch.save(held, seen / "2023-09-05T13-56-50_mimic-cxr-256-txvloss-4e-compat.ckpt")
