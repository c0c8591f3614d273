"""How many floating-point operations a training step takes, counted from the sizes: what a step's time is held against.

Matrix products and convolutions alone, two operations to a multiplication with addition; what is computed once and thrown away by a kernel that
saves memory is not counted. Going back through a product costs as much again for its weights and as much again for its input, where they learn. The
tests hold this against torch's own counter, to the last operation.
"""

from __future__ import annotations

from typing import NamedTuple

from clala.config import CLALAConfig
from clala.regions import LESIONS

PEAKS = {
    # The beginning of the name that CUDA gives it: dense bf16 with sums in float32, and float32 without tensor cores, in 10^12 per second.
    "NVIDIA H200": (989.4, 66.9),  # H200 data sheet; for sparse matrices it prints twice as much
    "NVIDIA H100 PCIe": (756.0, 51.0),  # H100 data sheet, likewise
    "NVIDIA H100 NVL": (835.0, 60.0),  # H100 NVL data sheet, likewise
    "NVIDIA H100": (989.4, 66.9),  # H100 data sheet, SXM5
    "NVIDIA A100": (312.0, 19.5),  # A100 data sheet
    "NVIDIA A40": (149.7, 37.4),  # A40 data sheet
    "NVIDIA GeForce RTX 3090 Ti": (80.0, 40.0),  # 10,752 lanes at 1.86 GHz; twice that by tensor cores, as in the next line
    "NVIDIA GeForce RTX 3090": (71.0, 35.6),  # Ampere GA102 white paper 2.0, appendix A
}
"""What GPUs can do at most, after NVIDIA's papers."""


class Sizes(NamedTuple):
    """Of one batch, beside what the configuration says."""

    batch: int
    """M: region samples"""
    crop_px: int
    """side of a crop"""
    tokens: int
    """T: the longest sentence with both ends, to which the others are padded"""
    name_tokens: int
    """of the longest lesion name, with both ends"""


def step_flops(config: CLALAConfig, stage: int, sizes: Sizes) -> dict[str, int]:
    """Forward and backward, by module; their sum is the step's."""
    c, m, t, stage1 = config, sizes.batch, sizes.tokens, stage == 1
    d, memory = c.width, 1 if c.lca and c.lca_query == "cls" else (sizes.crop_px // c.patch_px) ** 2 + 1
    compared = stage1 and c.llcl
    counted = {"encoder": _encoder(c, m, sizes.crop_px, learns=stage1)}
    if compared:
        counted["encoder, comparisons"] = counted["encoder"]
    if stage1:
        counted["text encoder"] = 3 * (_text(c, m, t) + (_text(c, len(LESIONS), sizes.name_tokens) if c.lca else 0))
    if c.lca:
        counted["lca"] = _lca(c, m, (sizes.crop_px // c.patch_px) ** 2 + 1, learns_below=stage1)
    counted["decoder"] = _decoder(c, m, t, memory, learns_below=stage1 or c.lca)
    if stage1:
        heads = 2 * 2 * m * d * c.projection + 2 * m * m * c.projection
        counted["contrast"] = 3 * heads * (2 if compared else 1) + (2 * m * m * (len(LESIONS) + 1) if compared else 0)
    return counted


def _product(rows: int, width: int, columns: int) -> int:
    return 2 * rows * width * columns


def _encoder(c: CLALAConfig, crops: int, crop_px: int, *, learns: bool) -> int:
    side, d = crop_px // c.patch_px, c.width
    if c.stem == "conv":
        halvings = c.patch_px.bit_length() - 1
        widths = [c.channels, *(max(16, d >> (halvings - 1 - step)) for step in range(halvings))]
        stem = [_product(crops * (crop_px >> step + 1) ** 2, 9 * widths[step], widths[step + 1]) for step in range(halvings)]
        stem.append(_product(crops * side**2, widths[-1], d))
    else:
        stem = [_product(crops * side**2, c.channels * c.patch_px**2, d)]
    tokens = crops * (side**2 + 1)
    blocks = c.encoder_layers * (_product(tokens, d, 12 * d) + 2 * _product(tokens, d, side**2 + 1))
    forward = sum(stem) + blocks
    return 3 * forward - stem[0] if learns else forward  # pixels do not learn


def _text(c: CLALAConfig, texts: int, tokens: int) -> int:
    every = c.text_layers * _product(texts * tokens, c.width, 2 * c.width)  # keys, values
    asking = (c.text_layers - 1) * tokens + 1  # of the last layer, [CLS] alone
    return every + _product(texts * asking, c.width, 10 * c.width) + 2 * _product(texts * asking, c.width, tokens)


def _lca(c: CLALAConfig, regions: int, tokens: int, *, learns_below: bool) -> int:
    d, asking = c.width, regions * (1 if c.lca_query == "cls" else tokens)
    total = 0
    for layer in range(c.lca_layers):
        query, keys = _product(asking, d, d), _product(regions * len(LESIONS), d, 2 * d)
        rest = query + 2 * _product(asking, d, len(LESIONS)) + (_product(asking, d, 8 * d) if c.lca_ffn else 0)  # output map as large as the query's
        total += (3 if learns_below or layer else 2) * query + (3 if learns_below else 2) * keys + 3 * rest
    return total


def _decoder(c: CLALAConfig, sentences: int, tokens: int, memory: int, *, learns_below: bool) -> int:
    d, words = c.width, sentences * tokens
    own = _product(words, d, 4 * d) + 2 * _product(words, d, tokens)
    asking = _product(words, d, 2 * d) + 2 * _product(words, d, memory)
    asked = _product(sentences * memory, d, 2 * d)
    head = _product(words, d, d) + _product(words, d, c.vocabulary_size)
    return 3 * (c.decoder_layers * (own + asking + _product(words, d, 8 * d)) + head) + (3 if learns_below else 2) * c.decoder_layers * asked


def peak_flops(gpu: str, *, bf16: bool) -> float | None:
    """Operations per second that a GPU of that name can do; None for one that is not in the table."""
    for name, (halves, floats) in PEAKS.items():
        if gpu.startswith(name):
            return 1e12 * (halves if bf16 else floats)
    return None
