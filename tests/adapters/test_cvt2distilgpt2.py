from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch
from torch import Tensor

from adapters.cvt2distilgpt2.network import Network, normalised
from adapters.cvt2distilgpt2.pixels import middle
from adapters.cvt2distilgpt2.sizes import Sizes
from adapters.cvt2distilgpt2.weights import fill, published_names
from benchmark.datasets.images import read_radiograph

FIXTURES = Path(__file__).parent / "fixtures"
OFFICIAL: dict[str, Any] = json.loads((FIXTURES / "cvt2distilgpt2.json").read_text())
"""what the authors' program (aehrc/cvt2distilgpt2 at c9edfb5, transformers 4.35.2) answers at these sizes, with weights drawn as ``drawn`` draws them"""
TINY = Sizes(stage_widths=(16, 24, 32), stage_depths=(1, 1, 2), stage_heads=(1, 3, 4), words=62, places=160, width=32, layers=2, heads=4)
START, END = 60, 59


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(shape)


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor that its name decides, of such a size that what is seen decides what is said."""
    if name.endswith(("wte.weight", "lm_head.weight")):  # one table; the end lies where the last norm tends to, so that texts end
        rows = 0.5 * normal("words", shape)
        rows[-3] += 0.9 * normal("decoder.encoder_decoder.decoder.transformer.ln_f.bias", shape[1:])
        return torch.from_numpy(rows.astype(np.float32))
    x = normal(name, shape)
    if name.endswith("running_var"):
        x = 1 + 0.3 * np.abs(x)
    elif name.endswith("num_batches_tracked"):
        x = np.ones(shape)
    elif name.endswith(("running_mean", "bias")):
        x = 0.1 * x
    elif name.endswith("wpe.weight"):
        x = 0.3 * x
    elif len(shape) == 1:
        x = 1 + 0.2 * x
    elif not name.endswith("cls_token"):
        x = 1.6 * x / np.sqrt(shape[0] if ".h." in name else np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


def published_state(sizes: Sizes = TINY) -> dict[str, Tensor]:
    """The tensors of a file as the authors' program would keep them."""
    own = {name: tuple(value.shape) for name, value in Network(sizes).state_dict().items()}
    shapes = {name: place.shape or (own[place.name][::-1] if place.is_turned else own[place.name]) for name, place in published_names(sizes)}
    return {name: drawn(name, shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def network() -> Network:
    made = Network(TINY)
    fill(made, published_state(), Path("drawn.ckpt"))
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """(6, 384, 384) uint8: one radiograph and five that it was made into."""
    grey = read_radiograph(FIXTURES / "cvt2distilgpt2.jpg")
    height, width = grey.shape
    made = [grey, grey[:, ::-1], 255 - grey, grey[height // 3 :, : width // 2], np.rot90(grey)[:, 40:], grey[: height // 2]]
    return torch.from_numpy(np.stack([middle(np.ascontiguousarray(image), 448, 384) for image in made]))


def official(part: str) -> Tensor:
    return torch.tensor(OFFICIAL[part]["values"])


def at(values: Tensor, part: str) -> Tensor:
    return torch.stack([values[tuple(place)] for place in OFFICIAL[part]["at"]])


def test_an_image_is_seen_as_the_authors_program_sees_it(images: Tensor) -> None:
    """From the same JPG: resized, cut, and normalised for each colour."""
    pixels = normalised(images)
    assert torch.allclose(at(pixels[0], "pixels"), official("pixels"), atol=1e-6)
    assert torch.allclose(pixels.double().sum((1, 2, 3)), torch.tensor(OFFICIAL["pixels"]["sums"]).double(), rtol=1e-5)


def test_the_encoder_sees_what_the_authors_encoder_sees(network: Network, images: Tensor) -> None:
    found = network.encoder(normalised(images))
    assert found.std(0).mean() > 1  # what is seen differs from image to image
    assert torch.allclose(at(found, "features"), official("features"), atol=1e-4)


def scores(network: Network, images: Tensor) -> Tensor:
    return network(images[:, None], torch.tensor([OFFICIAL["tokens"]] * len(images)))[:, :, ::5].flatten()


def test_words_are_scored_as_the_authors_decoder_scores_them(network: Network, images: Tensor) -> None:
    found, expected = scores(network, images), torch.tensor(OFFICIAL["logits"])
    assert expected.std() > 2
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("beams", "part"), [(1, "greedy"), (4, "beam")])
def test_the_same_tokens_are_written(network: Network, images: Tensor, beams: int, part: str) -> None:
    found = [answer.tokens for answer in network.write(images[:, None], start=START, end=END, beams=beams)]
    assert found == OFFICIAL[part]
    assert len({len(tokens) for tokens in found}) > 3  # of a start that was known, texts of many lengths


def test_two_views_are_read_one_after_the_other(network: Network, images: Tensor) -> None:
    pairs = images.unflatten(0, (3, 2))
    assert network.see(pairs).shape == (3, 1_152, 32)
    assert [answer.tokens for answer in network.write(pairs, start=START, end=END)] == OFFICIAL["two_views"]
