"""Where TSGET's tensors have their place in our network; everything else about its files is R2Gen's."""

from __future__ import annotations

from adapters.r2gen.weights import RENAMED, Family
from adapters.tsget.network import Network

TSGET = Family(
    "tsget",
    "TSGET",
    Network,
    (
        *RENAMED,
        (r"^layers\.(\d+)\.MLP\.0\.", r"layers.\1.enter."),
        (r"^layers\.(\d+)\.w1\.", r"layers.\1.near.value."),
        (r"^layers\.(\d+)\.w2\.", r"layers.\1.near.value_token."),
        (r"^layers\.(\d+)\.w3\.", r"layers.\1.near.gate."),
        (r"^layers\.(\d+)\.w4\.", r"layers.\1.near.gate_token."),
        (r"^layers\.(\d+)\.w5\.", r"layers.\1.whole.value."),
        (r"^layers\.(\d+)\.w6\.", r"layers.\1.whole.value_token."),
        (r"^layers\.(\d+)\.w7\.", r"layers.\1.whole.gate."),
        (r"^layers\.(\d+)\.w8\.", r"layers.\1.whole.gate_token."),
        (r"^layers\.(\d+)\.score1\.", r"layers.\1.weigh.0."),
        (r"^layers\.(\d+)\.score2\.", r"layers.\1.weigh.2."),
    ),
    "no weights of TSGET are published: name a file that its own program trained (SKD-HPC/TSGET, with ResNet-101), or a folder of train tsget",
)
