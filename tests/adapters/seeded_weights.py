"""Files as R2Gen's and TSGET's programs write them, of random weights by a rule: a tensor's published name and shape decide its numbers.

So the weights of a fixture need not be kept, and a tensor that is loaded into the wrong place changes what comes out.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from adapters.r2gen.network import places

RESNET_101 = (3, 4, 23, 3)
WIDTHS = (64, 128, 256, 512)


def published(
    which: str,
    *,
    width: int,
    inner: int = 48,
    layers: int = 2,
    rows: int = 26,
    slots: int = 3,
    repeats: tuple[int, ...] = RESNET_101,
    channels: tuple[int, ...] = WIDTHS,
) -> dict[str, torch.Tensor]:
    """``state_dict`` of a file of r2gen or tsget, by its published names."""
    shapes = resnet_shapes(repeats, channels)
    shapes |= linear("encoder_decoder.att_embed.0", width, channels[-1] * 4) | linear("encoder_decoder.logit", rows, width)
    model = "encoder_decoder.model."
    for layer in range(layers):
        for half, attentions, norms in (("encoder", ("self_attn",), 2), ("decoder", ("self_attn", "src_attn"), 3)):
            at = f"{model}{half}.layers.{layer}."
            for attention in attentions:
                for number in range(4):
                    shapes |= linear(f"{at}{attention}.linears.{number}", width, width)
            shapes |= linear(f"{at}feed_forward.w_1", inner, width) | linear(f"{at}feed_forward.w_2", width, inner)
            for number in range(norms):
                norm = f"{at}sublayer.{number}.norm."
                shapes |= {f"{norm}gamma": (width,), f"{norm}beta": (width,)}
                if half == "decoder" and which == "r2gen":
                    for mlp in ("mlp_gamma", "mlp_beta"):
                        shapes |= linear(f"{norm}{mlp}.0", width, slots * width) | linear(f"{norm}{mlp}.2", width, width)
        if which == "tsget":
            for name in (*(f"w{number}" for number in range(1, 9)), "score1", "score2"):
                shapes |= linear(f"{model}decoder.layers.{layer}.{name}", width, width)
            shapes |= linear(f"{model}decoder.layers.{layer}.MLP.0", width, 2 * width)
    for half in ("encoder", "decoder"):
        shapes |= {f"{model}{half}.norm.gamma": (width,), f"{model}{half}.norm.beta": (width,)}
    shapes |= {f"{model}tgt_embed.0.lut.weight": (rows, width), f"{model}tgt_embed.1.pe": (1, 5000, width)}
    if which == "r2gen":
        for number in range(4):
            shapes |= linear(f"{model}rm.attn.linears.{number}", width, width)
        shapes |= linear(f"{model}rm.mlp.0", width, width) | linear(f"{model}rm.mlp.2", width, width)
        shapes |= linear(f"{model}rm.W", 2 * width, width) | linear(f"{model}rm.U", 2 * width, width)
    return {name: places(5000, width) if name.endswith(".pe") else torch.from_numpy(seeded(name, shape)) for name, shape in shapes.items()}


class Sees:
    """A network that was shown its images already: a ResNet-101 is most of the work of these tests."""

    def __init__(self, network: Any, patches: torch.Tensor) -> None:
        self.sizes, self.begin, self.step, self.patches = network.sizes, network.begin, network.step, patches

    def to(self, device: torch.device) -> Sees:
        return self

    def read(self, images: torch.Tensor) -> torch.Tensor:
        """Whatever the images."""
        return self.patches


def linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a linear layer."""
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def resnet_shapes(repeats: tuple[int, ...], channels: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of a ResNet of bottlenecks as torchvision's children in a sequence."""
    at = "visual_extractor.model."
    shapes: dict[str, tuple[int, ...]] = {f"{at}0.weight": (64, 3, 7, 7)} | norm_shapes(f"{at}1", 64)
    into = 64
    for stage, (count, width) in enumerate(zip(repeats, channels, strict=True), 4):
        for number in range(count):
            block = f"{at}{stage}.{number}."
            for place, shape in enumerate(((width, into, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), 1):
                shapes |= {f"{block}conv{place}.weight": shape} | norm_shapes(f"{block}bn{place}", shape[0])
            if number == 0:
                shapes |= {f"{block}downsample.0.weight": (4 * width, into, 1, 1)} | norm_shapes(f"{block}downsample.1", 4 * width)
            into = 4 * width
    return shapes


def norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a batch norm."""
    return {f"{name}.{last}": (width,) for last in ("weight", "bias", "running_mean", "running_var")} | {f"{name}.num_batches_tracked": ()}


def listing(state: dict[str, torch.Tensor]) -> str:
    """Checksum of all names and shapes."""
    lines = (f"{name} {tuple(value.shape)}" for name, value in sorted(state.items()))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers of one tensor of an R2Gen or a TSGET, by the name that the published program gives it."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_var":
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) > 1:
        scale = np.prod(shape[1:]) ** -0.5 * (2**0.5 if len(shape) == 4 else GAIN.get(name.rpartition(".")[0].rpartition(".")[2], 1.2))
        return (generator.standard_normal(shape, np.float32) * np.float32(scale)).astype(np.float32)
    if name.startswith("visual_extractor."):
        if last != "weight":
            return (generator.standard_normal(shape) * 0.02).astype(np.float32)  # little beside what comes from the image
        # The last norm of a block is small, or 33 blocks would add up to nothing but their sum.
        return generator.uniform(*((0.2, 0.4) if ".bn3." in name else (0.9, 1.3)), shape).astype(np.float32)
    if last == "gamma":
        return generator.uniform(0.6, 1.4, shape).astype(np.float32)
    values = (generator.standard_normal(shape) * 0.2).astype(np.float32)
    if name == "encoder_decoder.logit.bias":
        values[0] += END_PULL
    return values


GAIN = {"logit": 2.0, "lut": 2.5, "0": 2.0}
"""times by which some matrices are larger than their width asks, so that words are more or less certain"""
END_PULL = 1.5
"""towards the end of a report"""
