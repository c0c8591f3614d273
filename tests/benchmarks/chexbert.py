"""Speed of CheXbert labelling beside f1chexbert's loop: python tests/benchmarks/chexbert.py [--pairs 40] [--models 10]

Random weights of the published sizes, one core, CPU seconds of this process. The other side is a loop equal to that of f1chexbert 0.0.2 and not the
package itself, which cannot be made without a download: one report at a time, transformers' BERT with every token of its last layer, head after
head, and the references read again for every model. It reads ``--loop`` reports, and its time for all is extrapolated from those. The labels of both
are compared. Word pieces are those of a vocabulary made of the texts' words, so that a word is one piece, where the published one would cut some.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scoring import corpus

from adapters.chexbert.labeller import Chexbert
from adapters.chexbert.network import HEADS, Network, Sizes
from benchmark.records import UserError

WAYS: tuple[tuple[Any, Any], ...] = (("torch", "fp32"), ("onnx", "fp32"), ("torch", "bf16"))
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def main() -> None:
    """Write a network, label, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--loop", type=int, default=40, help="reports that the loop reads")
    given = parser.parse_args()
    torch.set_num_threads(1)
    references = list(corpus(given.pairs)[0].values())
    models = [list(corpus(given.pairs, seed=100 + model)[1].values()) for model in range(given.models)]
    every = [text for model in models for text in (*references, *model)]  # as the loop reads them
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder, every)
        labeller = Chexbert(weights=folder, device="cpu", runtime="torch")
        lengths = [len(row) for row in labeller.vocabulary.numbers(every)]
        print(f"{given.pairs} references, {given.models} models: {len(every):,} passes of the loop, {len(set(every)):,} distinct reports, "
              f"{np.mean(lengths):.0f} pieces each")  # fmt: skip
        sample = every[: given.loop]
        loop, said = loop_of_f1chexbert(labeller, sample)
        each = loop / len(sample)
        print(
            f"loop equal to f1chexbert's, one by one: {1000 * each:.0f} ms a report, {each * len(every):.1f} s for all (from {len(sample)} reports)"
        )
        for runtime, precision in WAYS:
            try:
                ours = Chexbert(weights=folder, device="cpu", runtime=runtime, precision=precision)
            except UserError as error:
                print(f"{runtime}, {precision}: not measured, {error}")
                continue
            ours.network.scores(ours._read(torch.tensor([[2, 3]]), None))  # warm
            start = time.process_time()
            ours.raw(references)
            for model in models:
                ours.raw([*references, *model])
            took = time.process_time() - start
            alike = (ours.raw(sample) == said).all(axis=1).mean()
            distinct = len(set(every))
            print(
                f"ours, {runtime} {precision}: {took:.1f} s, {1000 * took / distinct:.0f} ms a distinct report, {100 * alike:.0f} % labelled alike;"
            )
            print(f"    {each * len(every) / took:.1f} times the loop, {len(every) / distinct:.2f} of it for reading every text once")


def loop_of_f1chexbert(labeller: Chexbert, reports: Sequence[str]) -> tuple[float, np.ndarray]:
    """CPU seconds and labels of one report after the other."""
    bert: Any = labeller.network.bert
    start = time.process_time()
    rows = []
    with torch.no_grad():
        for report in reports:
            (tokens,) = labeller.vocabulary.numbers([" ".join(report.split())])
            batch = torch.tensor([tokens])
            read = bert(batch, attention_mask=torch.ones_like(batch)).last_hidden_state[:, 0]
            rows.append([int(head(read).argmax(dim=1)) for head in labeller.network.linear_heads])
    return time.process_time() - start, np.array(rows, dtype=np.int8)


def write_network(folder: Path, texts: Sequence[str]) -> None:
    """Random weights of the published layout, and a vocabulary of the published size that knows the words of the texts."""
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    letters = sorted({letter for word in words for letter in word} - set(words))
    pieces = [*SPECIAL, *words, *letters]
    pieces += [f"[unused{number}]" for number in range(Sizes().words - len(pieces))]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    state = Network(Sizes()).state_dict()
    for place, classes in enumerate(HEADS):
        state[f"linear_heads.{place}.weight"] = torch.randn(classes, Sizes().width)  # wide enough for reports to differ
    torch.save({"model_state_dict": {f"module.{name}": value for name, value in state.items()}}, folder / "chexbert.pth")


if __name__ == "__main__":
    main()
