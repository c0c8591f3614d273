"""The ROI encoder (a ViT that sees one region crop) and the text encoder (a BERT that reads one sentence).

ViT: Dosovitskiy et al., ICLR 2021, through timm; BERT: Devlin et al., NAACL 2019, through transformers. "Each ROI patch was processed
independently": no region sees another here. The crop is never flipped: left and right are findings.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from clala.bert import embed, feed_forward, keys_values, look, see
from clala.config import CLALAConfig
from clala.tokens import Tokenizer


class ROIEncoder(nn.Module):
    """F = ViT(x), after its last LayerNorm; row 0 of F is the class token, the raw ROI embedding v."""

    def __init__(self, config: CLALAConfig, *, crop_px: int | None = None, pretrained: bool = False) -> None:
        super().__init__()
        from timm import create_model
        from timm.models.vision_transformer import VisionTransformer

        self.channels, self.mean, self.std = config.channels, config.pixel_mean, config.pixel_std
        self.patch_px = config.patch_px
        size = crop_px or config.crop_px
        self.vit: Any
        if pretrained:
            self.vit = create_model(config.vit, pretrained=True, num_classes=0, global_pool="")
            # Every checkpoint has a mean and a spread of its own; a ViT fed with another one's sees a washed-out image.
            self.mean, self.std = float(self.vit.pretrained_cfg["mean"][0]), float(self.vit.pretrained_cfg["std"][0])
            self.resize(size)
        else:
            stem = {"embed_layer": partial(ConvStem)} if config.stem == "conv" else {}
            self.vit = VisionTransformer(
                img_size=size,
                patch_size=config.patch_px,
                in_chans=config.channels,
                num_classes=0,
                global_pool="",
                embed_dim=config.width,
                depth=config.encoder_layers,
                num_heads=config.heads,
                **stem,
            )

    def forward(self, crops: Tensor) -> Tensor:
        """Encode region crops.

        crops    (M, 1, S, S)  grey, in [0, 1]
        returns  (M, L, D)     L = (S / patch)^2 + 1, class token first
        """
        pixels = ((crops - self.mean) / self.std).expand(-1, self.channels, -1, -1)
        # Going back through its fused attention in bf16, a CPU takes ten times as long as through plain products.
        is_slow = crops.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with sdpa_kernel(SDPBackend.MATH) if is_slow else nullcontext():
            tokens: Tensor = self.vit.forward_features(pixels)
        return tokens

    def resize(self, crop_px: int) -> None:
        """Take crops of another size from now on: patches stay, the grid of positions is stretched."""
        positions = interpolate_positions(self.vit.pos_embed.detach(), crop_px // self.patch_px)
        self.vit.set_input_size(img_size=crop_px)
        with torch.no_grad():
            self.vit.pos_embed.copy_(positions)


def interpolate_positions(positions: Tensor, side: int) -> Tensor:
    """Position embeddings for a grid of another side, the class token's kept as it is (as in BLIP: bicubic, corners not aligned).

    positions  (1, 1 + n, D)       n a square number
    returns    (1, 1 + side^2, D)
    """
    old = round((positions.shape[1] - 1) ** 0.5)
    if old == side:
        return positions
    grid = positions[:, 1:].transpose(1, 2).reshape(1, -1, old, old)
    grid = functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class ConvStem(nn.Module):
    """Crop to tokens by strided 3x3 convolutions in place of one linear map per patch.

    A ViT from scratch on ten thousand crops learns little; with this stem it does (Xiao et al., Early convolutions help transformers see better,
    NeurIPS 2021). Same interface as timm's PatchEmbed.
    """

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        self.set_input_size(img_size)
        halvings = patch_size.bit_length() - 1
        if 2**halvings != patch_size:
            raise ValueError(f"a convolutional stem halves the image again and again; patch_px is {patch_size}, not a power of two")
        widths = [in_chans, *(max(16, embed_dim >> (halvings - 1 - step)) for step in range(halvings))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 1))

    def set_input_size(self, img_size: int | tuple[int, int] | None = None, patch_size: Any = None) -> None:
        """Note another image size; convolutions do not mind."""
        size = img_size if isinstance(img_size, tuple) else (img_size or 0, img_size or 0)
        self.img_size = size
        self.grid_size = (size[0] // self.patch_size[0], size[1] // self.patch_size[1])
        self.num_patches = self.grid_size[0] * self.grid_size[1]

    def forward(self, pixels: Tensor) -> Tensor:
        """(M, channels, S, S) -> (M, n, D)."""
        # A CPU convolves and normalises a third faster where the channels of a pixel lie side by side; the last line undoes it at no cost.
        maps: Tensor = self.layers(pixels.to(memory_format=torch.channels_last))
        return maps.flatten(2).transpose(1, 2)


class TextEncoder(nn.Module):
    """One vector per text: the last hidden state at [CLS]."""

    def __init__(self, config: CLALAConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        from transformers import BertModel

        self.bert: Any
        if pretrained:
            self.bert = BertModel.from_pretrained(config.bert, add_pooling_layer=False)
            self.bert.resize_token_embeddings(config.vocabulary_size)
        else:
            self.bert = BertModel(bert_config(config, layers=config.text_layers), add_pooling_layer=False)
        self.forgotten = float(self.bert.config.attention_probs_dropout_prob)

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """Read texts.

        tokens   (B, T)  [CLS] words [SEP], then padding
        padding  (B, T)  True where there is no token
        returns  (B, D)
        """
        looking = partial(see, mask=~padding[:, None, None], forgotten=self.forgotten if self.training else 0.0)
        x = embed(self.bert, tokens, slice(tokens.shape[1]))
        for number, layer in enumerate(self.bert.encoder.layer, 1):
            keys, values = keys_values(layer.attention, x)
            # Of the last layer nothing but [CLS] is asked for.
            x = feed_forward(layer, look(layer.attention, x[:, :1] if number == len(self.bert.encoder.layer) else x, looking, keys, values))
        return x[:, 0]


def bert_config(config: CLALAConfig, *, layers: int, decoder: bool = False) -> Any:
    """A BERT of our size, as transformers wants it described."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=config.vocabulary_size,
        hidden_size=config.width,
        num_hidden_layers=layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
        max_position_embeddings=max(config.max_tokens, 512) if config.bert else config.max_tokens,
        initializer_range=config.text_init,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        type_vocab_size=2,
        is_decoder=decoder,
        add_cross_attention=decoder,
        use_cache=decoder,
        pad_token_id=None,
        attn_implementation="sdpa",
    )


def pad_tokens(rows: list[list[int]], tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Rows of tokens as one (B, T) tensor, and (B, T) True where a row had ended."""
    longest = max(map(len, rows))
    tokens = torch.full((len(rows), longest), tokenizer.pad, dtype=torch.long)
    padding = torch.ones((len(rows), longest), dtype=torch.bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row)
        padding[number, : len(row)] = False
    return tokens, padding
