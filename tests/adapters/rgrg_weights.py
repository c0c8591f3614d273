"""Weights drawn from their names: the authors' network was filled with the same ones when its outputs were recorded.

Large files need not be kept for it, and what varies from image to image is decided here: with the weights that networks begin with, every region
looks alike and no sentence ends.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

GAINS = (
    # of tensors whose name matches, over the square root of what goes into one output; the first counts
    (r".*rpn\.head\.(bbox_pred|cls_logits)\.weight", 1.0),
    (r".*box_predictor\.cls_score\.weight", 9.0),
    (r".*box_predictor\.bbox_pred\.weight", 1.5),
    (r".*dim_reduction\.weight", 6.0),
    (r"binary_classifier.*\.weight", 2.5),
    (r".*feature_space_transformation_nn\.\d\.weight", 2.5),
    (r".*(uk|uv)\.weight", 2.5),
    (r".*wte\.weight", 7.0),
    (r".*\.weight", 1.4),
)


def weight_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 of that shape, the same wherever it is drawn."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        return np.float32(0.5) + np.abs(drawn)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name == "binary_classifier_region_selection.classifier.4.bias":
        return np.full(shape, 3.6, np.float32)
    if len(shape) < 2:
        is_norm = re.search(r"(bn\d|downsample\.1|backbone\.1|ln_.)\.weight$", name)
        return (np.float32(1) + np.float32(0.1) * drawn) if is_norm else np.float32(0.1) * drawn
    # GPT-2's own layers keep their weights the other way round.
    inner = shape[0] if re.search(r"(c_attn|c_proj|c_fc)\.weight$", name) else int(np.prod(shape[1:]))
    gain = next(gain for pattern, gain in GAINS if re.fullmatch(pattern, name))
    if ".wte." not in name:  # what comes in is never below zero, and what all of it has in common would drown the rest
        drawn -= drawn.mean(axis=0 if inner == shape[0] and inner != shape[-1] else tuple(range(1, len(shape))), keepdims=True)
    else:
        drawn[-1] *= np.float32(1.5)  # the end of a sentence, which is else one word in three hundred
    return drawn * np.float32(gain / inner**0.5)
