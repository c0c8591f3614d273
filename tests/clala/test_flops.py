"""Counted operations against torch's counter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clala.config import CLALAConfig
from clala.data import Samples
from clala.flops import Sizes, peak_flops, step_flops
from clala.model import CLALA
from clala.tokens import WordTokenizer


def counted_by_torch(config: CLALAConfig, tokenizer: WordTokenizer, samples: Samples, stage: int, crop_px: int) -> tuple[int, Sizes]:
    torch.manual_seed(0)
    model = CLALA(config, tokenizer)
    if crop_px != config.crop_px:
        model.encoder.resize(crop_px)
    model.enter_stage(stage)
    model.train()
    model.hold_lesion_vectors()
    rows = samples.with_sentence()[:6]
    batch = Samples(samples.lines, samples.store, config, tokenizer).batch(rows, crop_px=crop_px, llcl=stage == 1)
    # torch's fused attention computes the scores twice, and its counter counts both.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(batch)["loss"].backward()
    return counter.get_total_flops(), Sizes(len(rows), crop_px, batch.tokens.shape[1], model.name_tokens.shape[1])


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stem": "patch", "channels": 3},
        {"text_layers": 3, "decoder_layers": 1, "encoder_layers": 3},
        {"lca_layers": 2, "lca_ffn": True},
        {"lca_query": "cls", "lca_layers": 2},
        {"lca": False},
        {"llcl": False},
        {"lca": False, "llcl": False, "itcl_symmetric": True},
    ],
    ids=lambda changes: ",".join(f"{name}={value}" for name, value in changes.items()) or "as it is",
)
def test_a_step_takes_what_torch_counts(config: CLALAConfig, tokenizer: WordTokenizer, samples: Samples, changes: dict[str, Any], stage: int) -> None:
    changed = replace(config, **changes)
    found, sizes = counted_by_torch(changed, tokenizer, samples, stage, changed.crop_px if stage == 1 else changed.crop_px_stage2)
    assert sum(step_flops(changed, stage, sizes).values()) == found


def test_the_longer_name_of_a_gpu_is_told_from_the_shorter() -> None:
    assert peak_flops("NVIDIA H100 PCIe", bf16=True) == 756e12
    assert peak_flops("NVIDIA H100 80GB HBM3", bf16=True) == 989.4e12
    assert peak_flops("NVIDIA A100-SXM4-80GB", bf16=False) == 19.5e12
    assert peak_flops("Radeon", bf16=True) is None
