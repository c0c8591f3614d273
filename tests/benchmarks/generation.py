"""Speed of CLALA-Net's generation beside a plain loop over regions, one run, the same images and boxes, sentences compared.

    python tests/benchmarks/generation.py [--images 8] [--weights folder] [--quick]

The plain loop is the way one would write it down: a region at a time, cut, encoded and decoded alone; for each word transformers' own forward pass
reads the whole beginning again, no keys are kept; three beams in one call, ranked by the same rule. Boxes and lesions are handed to both, so that
the ratio is of writing alone; what finding them costs is shown with the shares. Demo weights, phantoms (drawn on first use), one thread and two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from machine import Seconds, facts, least, table
from torch import Tensor

from adapters.clala import DEMO_WEIGHTS
from benchmark.datasets.images import read_radiograph
from benchmark.datasets.phantom import Phantom
from clala.aggregate import aggregate
from clala.checkpoint import Bundle, load
from clala.crops import Gray, cut, stored_px
from clala.decoding import decode
from clala.generate import Written, write
from clala.regions import regions_of
from clala.windows import window

TRIES = 3
TRIED = "least of {} (plain loop: one)"


def plain(bundle: Bundle, images: Sequence[Gray], given: Sequence[Written], beams: int) -> list[dict[str, str]]:
    """Region by region, word by word."""
    model, config = bundle.model, bundle.config
    crop_px = int(model.encoder.vit.patch_embed.img_size[0])
    sentences: list[dict[str, str]] = []
    with torch.inference_mode():
        for image, known in zip(images, given, strict=True):
            hints = torch.tensor([list(known.present.values())], dtype=torch.float32)
            said = {}
            for name, box in known.boxes.items():
                if name not in regions_of(config.roi_set):
                    continue
                stored = torch.from_numpy(cut(image, box, stored_px(crop_px, config.crop_margin), config.crop_margin)[None])
                memory = model.memory(model.encoder(window(stored, crop_px, config.crop_margin)), hints)
                said[name] = model.tokenizer.text(plain_words(bundle, memory, beams))
            sentences.append({name: said[name] for name in regions_of(config.roi_set) if name in said})
    return sentences


def plain_words(bundle: Bundle, memory: Tensor, beams: int) -> list[int]:
    """The sentence about one region: greedy, or by the rule of ``clala.decoding`` spelled out with lists."""
    tokenizer, steps = bundle.model.tokenizer, bundle.config.max_tokens - 1
    beginnings: list[tuple[float, list[int]]] = [(0.0, [])]
    best: tuple[float, list[int]] = (-float("inf"), [])
    for step in range(1, steps + 1):
        tokens = torch.tensor([[tokenizer.begin, *words] for _, words in beginnings])
        read = bundle.model.decoder.bert(input_ids=tokens, encoder_hidden_states=memory.expand(len(tokens), -1, -1), use_cache=False)
        scores = read.logits[:, -1].log_softmax(1)
        if beams == 1:
            beginnings = [(0.0, [*beginnings[0][1], int(scores.argmax())])]
            if beginnings[0][1][-1] == tokenizer.end:
                break
            continue
        totals = torch.tensor([total for total, _ in beginnings]).unsqueeze(1) + scores
        candidates = [
            (float(total), [*beginnings[int(index) // totals.shape[1]][1], int(index) % totals.shape[1]])
            for total, index in zip(*totals.flatten().topk(2 * beams), strict=True)
        ]
        ended = [(total / step, words) for total, words in candidates[:beams] if words[-1] == tokenizer.end]
        best = max([best, *ended], key=lambda pair: pair[0])
        beginnings = [pair for pair in candidates if pair[1][-1] != tokenizer.end][:beams]
        if step < steps and beginnings[0][0] / step <= best[0]:
            break
    return best[1] or beginnings[0][1]


def shares(bundle: Bundle, images: Sequence[Gray], given: Sequence[Written], labels: np.ndarray, tries: int) -> list[tuple[str, Seconds]]:
    """What each part of ``write`` costs, done apart over all images at once, and the joining of sentences to reports."""
    model, config = bundle.model, bundle.config
    crop_px, margin = int(model.encoder.vit.patch_embed.img_size[0]), config.crop_margin
    side = stored_px(crop_px, margin)
    places = [(i, name) for i, known in enumerate(given) for name in known.sentences]

    def crops() -> Tensor:
        return window(torch.from_numpy(np.stack([cut(images[i], given[i].boxes[name], side, margin) for i, name in places])), crop_px, margin)

    with torch.inference_mode():
        cropped = crops()
        features = model.encoder(cropped)
        hints = torch.from_numpy(labels[[i for i, _ in places]])
        memory = model.memory(features, hints)
        whole, writing = (least(work, tries) for work in (lambda: write(bundle, images), lambda: written(bundle, images, given, labels, 3)))
        return [
            ("classifier and detector", Seconds(whole.wall - writing.wall, whole.cpu - writing.cpu)),
            ("cutting crops", least(crops, tries)),
            ("region encoder", least(lambda: model.encoder(cropped), tries)),
            ("lesion cross-attention", least(lambda: model.memory(features, hints), tries)),
            ("decoder, 3 beams", least(lambda: decode(model.decoder, memory, model.tokenizer, beams=3, max_tokens=config.max_tokens), tries)),
            ("joining to reports", least(lambda: [aggregate(one.sentences) for one in given], tries)),
            ("all of it", whole),
        ]


def written(bundle: Bundle, images: Sequence[Gray], given: Sequence[Written], labels: np.ndarray, beams: int) -> list[dict[str, str]]:
    """``write`` with boxes and lesions handed in."""
    return [one.sentences for one in write(bundle, images, boxes=[known.boxes for known in given], lesions=labels, beams=beams)]


def measure(options: argparse.Namespace) -> None:
    """Ratios and shares in this process, with as many threads as it was started with."""
    number, tries = (2, 1) if options.quick else (options.images, TRIES)
    torch.set_num_threads(options.threads)
    bundle = load(options.weights)
    images = [read_radiograph(case.images[0].path) for case in Phantom("small").cases("test")[:number]]
    given = write(bundle, images)
    labels = np.array([list(known.present.values()) for known in given], np.float32)
    rows: list[list[str]] = []
    for beams in (3, 1):
        written(bundle, images[:1], given[:1], labels[:1], beams)  # what is made once is not counted
        fast = least(partial(written, bundle, images, given, labels, beams), tries)
        said: list[dict[str, str]] = []
        slow = least(lambda beams=beams, said=said: said.extend(plain(bundle, images, given, beams)), 1)
        ours = written(bundle, images, given, labels, beams)
        equal = sum(a == b for one, other in zip(ours, said, strict=True) for a, b in zip(one.values(), other.values(), strict=True))
        figures = [f"{x:.2f}" for x in (slow.wall, slow.cpu, fast.wall, fast.cpu)]
        ratios = [f"{slow.wall / fast.wall:.1f}x", f"{slow.cpu / fast.cpu:.1f}x"]
        rows.append([f"{beams} beams" if beams > 1 else "greedy", *figures, *ratios, f"{equal} of {sum(map(len, ours))}"])
    parts = shares(bundle, images, given, labels, tries)
    whole = parts[-1][1]
    print(
        f"\n{options.threads} thread{'s' if options.threads > 1 else ''}, {len(images)} images, {sum(map(len, ours))} regions; {TRIED.format(tries)}"
    )
    print(table(["", "plain wall s", "CPU s", "write wall s", "CPU s", "ratio wall", "CPU", "sentences equal"], rows))
    print(f"Where the time goes, 3 beams: {len(images) / whole.wall:.1f} images/s")
    ms = 1000 / len(images)
    lines = [[name, f"{ms * cost.wall:.1f}", f"{ms * cost.cpu:.1f}", f"{cost.cpu / whole.cpu:.0%}"] for name, cost in parts]
    print(table(["", "wall ms per image", "CPU ms", "share"], lines), flush=True)


def main() -> None:
    """One process for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=8, help="images that both write about")
    parser.add_argument("--weights", type=Path, default=DEMO_WEIGHTS, help="folder of weights")
    parser.add_argument("--threads", type=int, help="this many alone")
    parser.add_argument("--quick", action="store_true", help="two images, one try each")
    options = parser.parse_args()
    if options.threads:
        measure(options)
        return
    Phantom("small").cases("test")  # drawn now, before anything is measured
    print(facts(), flush=True)
    for threads in (1, 2)[: os.cpu_count()]:
        # Threads that wait for one that other work has pushed aside must give their core away: spinning, they made it a hundred times slower here.
        how = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run([sys.executable, *sys.argv, "--threads", str(threads)], env={**os.environ, **how}, check=True)


if __name__ == "__main__":
    main()
