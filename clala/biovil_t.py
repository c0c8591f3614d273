"""BioViL-T's image encoder: a radiograph, alone or beside an earlier one, as a map of patches.

Bannur et al., Learning to exploit temporal structure for biomedical vision-language processing, CVPR 2023 (https://arxiv.org/abs/2301.04558).
Written from the paper and from what the published encoder (hi-ml-multimodal 0.2.2) returns; the tensors have the names and shapes of the published
file, so that it loads as it is. A ResNet-50 sees each image; where there is an earlier one, a small transformer compares the two maps, and where
there is none, a learnt vector stands for it.

Input is grey, in [0, 1], without mean and spread taken off; one channel is repeated to three.
"""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.ops import StochasticDepth

from clala.misfit import misfit

HUB_NAME, HUB_TAG = "microsoft/BiomedVLP-BioViL-T", "v1.0"
FILE = "biovil_t_image_model_proj_size_128.pt"
FILE_MD5 = "a83080e2f23aa584a4f2b24c39b1bb64"  # hi-ml-multimodal 0.2.2
STRIDE_PX = 32
"""of ResNet-50: the map has a cell for so many pixels"""
GRID = 14
"""cells along a side of the map on which two images are compared: 448 px"""
BACKBONE, WIDTH, JOINT = 2048, 256, 128
"""channels of ResNet-50's map; of what the two halves of an embedding are; of the space shared with text"""


class WrongWeights(ValueError):
    """A file that is not BioViL-T's image encoder: names the file, what was expected and what was found."""


class NotFetched(RuntimeError):
    """The published file could not be had from the hub: says from where, and what to do instead."""


class ImageEmbeddings(NamedTuple):
    """What BioViL-T says of B images; h = w = S // 32, rounded up."""

    image: Tensor
    """(B, 512) mean of ``patches``: 256 numbers of the image itself, 256 of how it differs from the earlier one"""
    patches: Tensor
    """(B, 512, h, w)"""
    projected_image: Tensor
    """(B, 128) mean of ``projected_patches``"""
    projected_patches: Tensor
    """(B, 128, h, w) in the space shared with text"""


class BioViLT(nn.Module):
    """Images in [0, 1] -> ``ImageEmbeddings``. 27.35 million weights, those of ResNet-50's unused ImageNet head among them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TwoImageEncoder()
        self.projector = Projector()

    def forward(self, images: Tensor, earlier: Tensor | None = None) -> ImageEmbeddings:
        """Look at each image, and at the earlier one of the same patient if it is given.

        images   (B, 1 or 3, S, S)
        earlier  the same shape; S must be 448 then
        """
        patches = self.encoder(_three_channels(images), None if earlier is None else _three_channels(earlier))
        projected = self.projector(patches)
        return ImageEmbeddings(patches.mean(dim=(2, 3)), patches, projected.mean(dim=(2, 3)), projected)


class TwoImageEncoder(nn.Module):
    """(B, 3, S, S) images, and earlier ones if there are any -> (B, 512, h, w): the image's own map above the map of differences."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = resnet50(weights=None)
        self.backbone_to_vit = nn.Conv2d(BACKBONE, WIDTH, 1, bias=False)
        self.vit_pooler = DifferencePooler()
        self.missing_previous_emb = nn.Parameter(0.02 * torch.randn(1, WIDTH, 1, 1))

    def forward(self, images: Tensor, earlier: Tensor | None) -> Tensor:
        """Map each image, then compare."""
        if earlier is None:
            own = self.see(images)
            return torch.cat([own, self.missing_previous_emb.to(own.dtype).expand_as(own)], dim=1)
        if images.shape != earlier.shape:
            raise ValueError(f"images are {tuple(images.shape)}, the earlier ones {tuple(earlier.shape)}; one of equal size is needed for each")
        own, before = self.see(torch.cat([images, earlier])).chunk(2)
        return torch.cat([own, self.vit_pooler(own, before)], dim=1)

    def see(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 256, h, w)."""
        net = self.encoder
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        cells: Tensor = self.backbone_to_vit(net.layer4(net.layer3(net.layer2(net.layer1(x)))))
        return cells


class DifferencePooler(nn.Module):
    """Two (B, 256, 14, 14) maps, now and before -> (B, 256, 14, 14): what changed, seen from each cell of now."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm_post = nn.LayerNorm(WIDTH, eps=1e-6)
        self.pos_drop = nn.Dropout(0.1)
        self.type_embed = nn.Parameter(0.02 * torch.randn(2, 1, WIDTH))
        # The published file does not have it: it is a formula.
        self.register_buffer("where", sine_positions(GRID).flatten(0, 1), persistent=False)

    where: Tensor

    def forward(self, now: Tensor, before: Tensor) -> Tensor:
        """Every cell of both maps attends to every other; those of now are kept."""
        if now.shape[2:] != (GRID, GRID):
            size, found = GRID * STRIDE_PX, "{} x {}".format(*now.shape[2:])
            raise ValueError(f"two images are compared on a map of {GRID} x {GRID}; these have one of {found}: resize both to {size} px")
        x = self.pos_drop(torch.cat([now.flatten(2), before.flatten(2)], dim=2).transpose(1, 2))  # (B, 392, 256)
        which = torch.cat([self.where + self.type_embed[0], self.where + self.type_embed[1]]).to(x.dtype)
        for block in self.blocks:
            x = block(x, which)
        kept = self.norm_post(x)[:, : GRID * GRID]
        pooled: Tensor = kept.transpose(1, 2).unflatten(2, (GRID, GRID))
        return pooled


class Block(nn.Module):
    """A transformer block that is told at every layer anew where, and in which of the two images, each cell lies."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn, self.mlp = Attention(), FeedForward()
        self.drop_path = StochasticDepth(0.25, "row")

    def forward(self, x: Tensor, which: Tensor) -> Tensor:
        """(B, L, 256) cells and their (L, 256) places -> (B, L, 256)."""
        x = x + self.drop_path(self.attn(self.norm1(x) + which))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class Attention(nn.Module):
    """Self-attention with 8 heads; queries, keys and values are maps without bias."""

    HEADS = 8

    def __init__(self) -> None:
        super().__init__()
        self.proj_q, self.proj_k, self.proj_v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.dropout = 0.1

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, 256) -> (B, L, 256)."""
        q, k, v = (map_(x).unflatten(2, (self.HEADS, -1)).transpose(1, 2) for map_ in (self.proj_q, self.proj_k, self.proj_v))
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)
        return functional.dropout(self.proj(mixed), dropout, self.training)


class FeedForward(nn.Module):
    """Linear, GELU, linear, all of one width."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, 256) -> (B, L, 256)."""
        out: Tensor = self.drop(self.fc2(self.drop(functional.gelu(self.fc1(x)))))
        return out


class Projector(nn.Module):
    """(B, 512, h, w) -> (B, 128, h, w): each cell by itself into the space shared with text."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(2 * WIDTH, JOINT, 1, bias=False), nn.BatchNorm2d(JOINT), nn.ReLU(), nn.Conv2d(JOINT, JOINT, 1))

    def forward(self, patches: Tensor) -> Tensor:
        """Project."""
        out: Tensor = self.model(patches)
        return out


def sine_positions(side: int) -> Tensor:
    """(side, side, 256): row, then column, each as 128 sines and cosines of falling frequency, a full turn over the image (DETR, ECCV 2020)."""
    half = WIDTH // 2
    turn = torch.arange(1, side + 1) / (side + 1e-6) * 2 * math.pi
    angles = turn.unsqueeze(1) / 10000 ** (2 * (torch.arange(half) // 2) / half)
    waves = torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)  # (side, 128)
    return torch.cat([waves.unsqueeze(1).expand(-1, side, -1), waves.unsqueeze(0).expand(side, -1, -1)], dim=2)


def _three_channels(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def published_weights(path: Path | None = None) -> Path:
    """The published file: the one at ``path``, or, if none is named, ``biovil_t_image_model_proj_size_128.pt`` from the tag v1.0 of
    microsoft/BiomedVLP-BioViL-T on the Hugging Face hub, which is downloaded once and kept in the hub's own cache.

    Raises FileNotFoundError if the named file is not there, NotFetched if the download fails.
    """
    if path is not None:
        if not path.is_file():
            raise FileNotFoundError(f"no BioViL-T weights at {path}; give the path of {FILE}, or none to have it downloaded")
        return path
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(HUB_NAME, FILE, revision=HUB_TAG))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NotFetched(
            f"{FILE} could not be fetched from {HUB_NAME} ({type(error).__name__}); download it where there is a network and give its path"
        ) from error


def load_published(network: BioViLT, path: Path) -> str:
    """Fill the network from the published file, strictly; returns the file's md5.

    Raises WrongWeights for a file that is something else, or that is not tensors alone: such a file could run code, and is not opened.
    """
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WrongWeights(
            f"{path}: holds more than tensors, or no PyTorch file at all, and is not opened, for it could run code; {_about(md5)}"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise WrongWeights(f"{path}: cannot be read ({str(error).splitlines()[0]}); {_about(md5)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WrongWeights(f"{path}: holds {_described(state)}, expected is a mapping of names to tensors; {_about(md5)}")
    fill(network, state, str(path), _about(md5))
    return md5


def fill(network: BioViLT, state: Mapping[str, Tensor], where: str, remedy: str = "") -> None:
    """Put tensors of the published names into the network. Raises WrongWeights if one is missing, left over or of another shape."""
    if problem := misfit(network.state_dict(), state, "BioViL-T's image encoder"):
        raise WrongWeights(f"{where}: {problem}; {remedy}")
    network.load_state_dict(state)


def _about(md5: str) -> str:
    if md5 == FILE_MD5:
        return f"its md5 is that of {FILE}"
    return f"its md5 is {md5}, that of {FILE} ({HUB_NAME}, {HUB_TAG}) is {FILE_MD5}"


def _described(state: Any) -> str:
    if isinstance(state, Mapping):
        return f"{', '.join(map(str, list(state)[:3]))} and so on" if state else "nothing"
    return f"a {type(state).__name__}"
