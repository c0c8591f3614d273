"""Speed of CLALA-Net's training: what the stored crops and bf16 bring at the demo's size, and what a step costs at the paper's.

    python tests/benchmarks/training.py [--quick] [--threads 1] [--cpu-step]

Demo size on the CPU, on phantoms (drawn on first use), what is compared takes turns. Paper size needs a CUDA device: random pixels and words, 24
regions a step, sentences of 32 tokens; parameters and operations are counted in any case. ``--cpu-step`` times one step of two regions on the CPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from machine import facts, table
from torch import nn

from adapters.clala import index_lines
from benchmark.datasets.images import read_radiograph
from benchmark.datasets.phantom import Phantom
from clala.config import CLALAConfig, preset, recipe
from clala.crops import CropStore, cut, cut_all, stored_px
from clala.data import IndexLine, Samples
from clala.flops import Sizes, peak_flops, step_flops
from clala.model import CLALA, Batch
from clala.regions import LESIONS, regions_of
from clala.tokens import WordTokenizer
from clala.train import vocabulary

T = TypeVar("T")

PAPER_TOKENS = 32
"""of every sentence, both ends counted: an assumption, printed with the figures"""


class CutEachTime:
    """Stands in for a CropStore, and cuts every crop out of its image file when it is asked for."""

    def __init__(self, lines: Sequence[IndexLine], store: CropStore, config: CLALAConfig) -> None:
        self.rows, self.lines, self.config = store.rows, lines, config
        self.places = {row: (i, name) for i, rows in enumerate(store.rows) for name, row in rows.items()}

    def read(self, rows: Sequence[int]) -> np.ndarray:
        side = stored_px(self.config.crop_px, self.config.crop_margin)
        wanted = [(self.lines[i], name) for i, name in (self.places[row] for row in rows)]
        return np.stack([cut(read_radiograph(line.image), line.boxes[name], side, self.config.crop_margin) for line, name in wanted])


class Learner:
    """A network with its optimiser, for steps like those of ``clala.train``."""

    def __init__(self, config: CLALAConfig, tokenizer: WordTokenizer, stage: int, *, device: str = "cpu", bf16: bool = False) -> None:
        torch.manual_seed(0)
        self.model = CLALA(config, tokenizer).to(device)
        if stage == 2 and config.crop_px_stage2 != config.crop_px:
            self.model.encoder.resize(config.crop_px_stage2)
        self.model.enter_stage(stage)
        self.model.train()
        self.model.hold_lesion_vectors()
        self.learning = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.learning, lr=1e-4, weight_decay=0.05, fused=True)
        self.autocast = torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()

    def step(self, batch: Batch) -> float:
        with self.autocast:
            loss = self.model(batch)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return float(loss.detach())


class Spent:
    """CPU seconds by what they were spent on: the least of several rounds for each batch."""

    def __init__(self, batches: int) -> None:
        self.least = dict.fromkeys(range(batches), float("inf"))

    def on(self, number: int, work: Callable[[], T]) -> T:
        start = time.process_time()
        done = work()
        self.least[number] = min(self.least[number], time.process_time() - start)
        return done

    @property
    def ms(self) -> float:
        """Mean over the batches."""
        return 1000 * sum(self.least.values()) / len(self.least)


def demo(quick: bool) -> None:
    """Crops from the store beside crops cut each time, fp32 beside bf16."""
    how, data, number_of = recipe("demo"), Phantom("small"), 2 if quick else 6
    lines = index_lines(data.cases("train"), data.references("train"), "train", "truth")
    tokenizer, config = vocabulary(preset("demo"), lines)
    assert isinstance(tokenizer, WordTokenizer)
    names = regions_of(config.roi_set)
    boxes = [{name: line.boxes[name] for name in names if name in line.boxes} for line in lines]
    sizes = {"crop_px": config.crop_px, "margin": config.crop_margin, "whole_px": config.classifier_px, "reader": read_radiograph}
    with tempfile.TemporaryDirectory() as scratch:
        store = cut_all([line.image for line in lines], boxes, Path(scratch), workers=1, **sizes)
        kept = Samples(lines, store, config, tokenizer)
        each = Samples(lines, CutEachTime(lines, store, config), config, tokenizer)  # type: ignore[arg-type]
        data_rows, precision_rows = [], []
        for stage in (1, 2):
            drawn = partial(Samples.batches, recipe=how, seed=1, epoch=0, crop_px=config.crop_px, llcl=stage == 1)
            learners = {"fp32": Learner(config, tokenizer, stage), "bf16": Learner(config, tokenizer, stage, bf16=True)}
            spent = {name: Spent(number_of) for name in ("store", "files", *learners)}
            losses: dict[str, list[float]] = {name: [] for name in learners}
            for _ in range(2 if quick else 4):
                stored, cut_now = drawn(kept), drawn(each)
                for number in range(number_of):
                    batch = spent["store"].on(number, partial(next, stored))
                    assert torch.equal(batch.crops, spent["files"].on(number, partial(next, cut_now)).crops)
                    for name, learner in learners.items():
                        torch.manual_seed(number)  # the same words are dropped
                        losses[name].append(spent[name].on(number, partial(learner.step, batch)))
            step = spent["fp32"].ms
            for name, text in (("files", "cut from the files"), ("store", "memory-mapped store")):
                whole = spent[name].ms + step
                ratio = f"{(spent['files'].ms + step) / whole:.2f}x"
                data_rows.append([f"stage {stage}, {text}", f"{spent[name].ms:.0f}", f"{step:.0f}", f"{spent[name].ms / whole:.0%}", ratio])
            for name in learners:
                ends = [f"{losses[name][0]:.4f}", f"{np.mean(losses[name][-number_of:]):.4f}"]
                precision_rows.append([f"stage {stage}, {name}", f"{spent[name].ms:.0f}", f"{step / spent[name].ms:.2f}x", *ends])
    print(f"\nDemo size, {how.batch} regions a step: drawing a batch, then the step; CPU ms, {number_of} batches, images of 512 px")
    print(table(["", "batch ms", "step ms", "waits for data", "ratio"], data_rows))
    print(f"\nThe same {len(losses['fp32'])} steps in fp32 and in bf16 (autocast); a gain only where the CPU multiplies bf16 (avx512_bf16, amx_bf16)")
    print(table(["", "step ms", "ratio", "first loss", f"mean of last {number_of}"], precision_rows))


def paper(*, cpu_step: bool, quick: bool) -> None:
    """Parameters by module, operations of a step, and on CUDA what it takes."""
    config, batch = preset("paper"), recipe("paper").batch
    tokenizer = WordTokenizer.learn([], always=LESIONS)
    with torch.device("meta"):
        model = CLALA(config, tokenizer)
    parts = [(name, sum(p.numel() for p in module.parameters())) for name, module in model.named_children()]
    print("\nPaper size, parameters")
    rows = [[name, f"{number:,}"] for name, number in parts if number]
    print(table(["", "parameters"], [*rows, ["all", f"{sum(p.numel() for p in model.parameters()):,}"]]))
    named = model.name_tokens.shape[1]
    counted = [
        step_flops(config, stage, Sizes(batch, crop_px, PAPER_TOKENS, named)) for stage, crop_px in ((1, config.crop_px), (2, config.crop_px_stage2))
    ]
    rows = [[name, *(f"{stage.get(name, 0) / 1e12:.3f}" for stage in counted)] for name in counted[0]]
    rows.append(["all", *(f"{sum(stage.values()) / 1e12:.3f}" for stage in counted)])
    print(f"\nOperations of a step of {batch} regions with sentences of {PAPER_TOKENS} tokens, 10^12")
    print(table(["", f"stage 1, {config.crop_px} px", f"stage 2, {config.crop_px_stage2} px"], rows))
    torch.backends.cudnn.allow_tf32 = False  # as torch's default is for products
    if torch.cuda.is_available():
        timed = [(stage, bf16, "cuda", batch, 5 if quick else 20) for stage in (1, 2) for bf16 in (True, False)]
    else:
        print("No CUDA device: steps at paper size were not timed" + (" but for the one below, on the CPU." if cpu_step else "."))
        timed = [(1, False, "cpu", 2, 1)] if cpu_step else []
    rows = [paper_step(config, tokenizer, *what) for what in timed]
    if rows:
        print("\nPaper size, steps on random pixels and words; fp32 without TF32; utilisation = operations counted above / time / peak of the device")
        print(table(["", "ms per step", "samples/s", "TFLOP/s", "utilisation", "peak memory GiB"], rows))


def paper_step(config: CLALAConfig, tokenizer: WordTokenizer, stage: int, bf16: bool, device: str, batch: int, steps: int) -> list[str]:
    """A line of the last table: median step of some, the first ones left out on CUDA."""
    crop_px = config.crop_px if stage == 1 else config.crop_px_stage2
    name = f"stage {stage}, {crop_px} px, {'bf16' if bf16 else 'fp32'}, {batch} regions, {device}"
    walls = []
    try:
        learner = Learner(config, tokenizer, stage, device=device, bf16=bf16)
        drawn = random_batch(config, batch, crop_px, compared=stage == 1).to(device)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        for _ in range(steps + (5 if device == "cuda" else 0)):
            start = time.perf_counter()
            learner.step(drawn)
            if device == "cuda":
                torch.cuda.synchronize()
            walls.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        return [name, "out of memory", "-", "-", "-", "-"]
    wall = float(np.median(walls[-steps:]))
    flops = sum(step_flops(config, stage, Sizes(batch, crop_px, PAPER_TOKENS, learner.model.name_tokens.shape[1])).values())
    peak = peak_flops(torch.cuda.get_device_name(), bf16=bf16) if device == "cuda" else None
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if device == "cuda" else "-"
    used = f"{flops / wall / peak:.0%}" if peak else "-"
    return [name, f"{1e3 * wall:.0f}", f"{batch / wall:.1f}", f"{flops / wall / 1e12:.2f}", used, memory]


def random_batch(config: CLALAConfig, batch: int, crop_px: int, *, compared: bool) -> Batch:
    """Pixels and words without meaning; no padding, each with a partner."""
    tokens = torch.randint(5, config.vocabulary_size, (batch, PAPER_TOKENS))
    carried = torch.zeros((batch, len(LESIONS) + 1), dtype=torch.bool)
    carried[:, -1] = True
    return Batch(
        crops=torch.rand(batch, 1, crop_px, crop_px),
        lesions=torch.randint(2, (batch, len(LESIONS))).float(),
        regions=torch.arange(batch) % 11,
        roi_lesions=carried,
        tokens=tokens,
        padding=torch.zeros_like(tokens, dtype=torch.bool),
        text_tokens=tokens,
        sentence_ids=torch.arange(batch),
        comparisons=torch.rand(batch if compared else 0, 1, crop_px, crop_px),
        comparison_lesions=carried,
        has_partner=torch.ones(batch, dtype=torch.bool),
    )


def main() -> None:
    """Print one table after the other, in a process with as many threads as were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few steps")
    parser.add_argument("--threads", type=int, default=1, help="of the demo's steps")
    parser.add_argument("--cpu-step", action="store_true", help="time one step at paper size on the CPU, two regions (about 8 GiB)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{facts()}; {options.threads} thread{'s' if options.threads > 1 else ''}")
    demo(options.quick)
    paper(cpu_step=options.cpu_step, quick=options.quick)


if __name__ == "__main__":
    main()
