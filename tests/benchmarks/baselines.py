"""Speed of the baselines' generation beside a plain loop, one run, the same images and weights, tokens compared.

    python tests/benchmarks/baselines.py r2gen [--images 8] [--length 60] [--threads 1] [--official folder]

The plain loop is the way one would write it down: an image at a time, and for each word the network reads the whole beginning of every beam again.
Both write with random weights at the published sizes. ``--official`` names a checkout of the authors' repository, whose own program is then run in
place of the plain loop, on the same weights and images in one batch; it is not part of this project.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from machine import facts, least, table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "adapters"))


class Prepared(NamedTuple):
    """A model with random weights, and two ways to write with it."""

    ours: Callable[[Tensor], list[list[int]]]
    """(N, 1, 3, S, S) images -> tokens of each"""
    plain: Callable[[Tensor], list[list[int]]]
    name_of_plain: str
    image_size_px: int


def of_r2gen_kind(which: str, official: Path | None, beams: int, length: int) -> Prepared:
    """R2Gen or TSGET at the published sizes, with a vocabulary of 760 words."""
    from seeded_weights import published

    from adapters.chen_text import Vocabulary
    from adapters.r2gen.weights import R2GEN, Loaded, Manners, fill, renamed, sizes_of
    from adapters.r2gen.writing import Writer
    from adapters.tsget.weights import TSGET

    family = R2GEN if which == "r2gen" else TSGET
    state = published(which, width=512, inner=512, layers=3, rows=761)
    ours = renamed(state, family)
    network = fill(family, sizes_of(ours, Path("random.pth"), family), ours, Path("random.pth"))
    words = Vocabulary(["<unk>", *(f"w{number:03d}" for number in range(759))])
    writer = Writer(which, Loaded(network, words, Manners("mimic_cxr", 1, length), "", {}), device="cpu", beams=beams)
    if official is None:
        return Prepared(lambda images: tokens_of(writer.write(images)), lambda images: plainly(network, images, beams, length), "plain loop", 224)
    program = official_r2gen(official, state, beams, length)
    return Prepared(lambda images: tokens_of(writer.write(images)), program, "authors' program", 224)


def tokens_of(found: Sequence[Any]) -> list[list[int]]:
    """Tokens of each answer."""
    return [list(one.tokens) for one in found]


@torch.inference_mode()
def plainly(network: Any, images: Tensor, beams: int, length: int) -> list[list[int]]:
    """R2Gen's search spelled out: image by image, the whole prefix at every step, to the last step."""
    answers = []
    for image in images:
        patches = network.read(image[None])
        written, sums = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1)
        best: tuple[float, list[int]] = (float("-inf"), [])
        for step in range(length):
            scores = network(patches.expand(len(written), -1, -1), written)[:, -1]
            values, places = (sums[:, None] + scores).flatten().topk(beams)
            rows, tokens = places // scores.shape[1], places % scores.shape[1]
            written = torch.cat([written[rows], tokens[:, None]], 1)
            for row, (total, token) in enumerate(zip(values.tolist(), tokens.tolist(), strict=True)):
                if token == 0 or step + 1 == length:
                    best = max(best, (total, [word for word in written[row, 1:].tolist() if word]), key=lambda one: one[0])
            sums = torch.where(tokens == 0, values - 1000, values)
        answers.append(best[1])
    return answers


def official_r2gen(folder: Path, state: dict[str, Tensor], beams: int, length: int) -> Callable[[Tensor], list[list[int]]]:
    """The authors' program on the same weights, all images in one batch, as in its test. Where it asks for a GPU it gets this machine."""
    import torchvision.models

    sys.path.insert(0, str(folder))
    sys.modules.setdefault("einops", SimpleNamespace(rearrange=None, repeat=None))  # type: ignore[arg-type]
    sys.modules.setdefault("einops.layers.torch", SimpleNamespace(Rearrange=None))  # type: ignore[arg-type]
    torch.Tensor.cuda = lambda tensor, *_: tensor  # type: ignore[method-assign, assignment]
    build = torchvision.models.resnet101
    torchvision.models.resnet101 = lambda **_: build(weights=None)  # type: ignore[assignment, return-value]
    from models.r2gen import R2GenModel  # type: ignore[import-not-found]

    sizes = {"d_model": 512, "d_ff": 512, "d_vf": 2048, "num_heads": 8, "num_layers": 3, "rm_num_slots": 3, "rm_num_heads": 8, "rm_d_model": 512}
    how = {"beam_size": beams, "sample_method": "beam_search", "sample_n": 1, "group_size": 1, "temperature": 1.0, "block_trigrams": 1}
    rest = {"dropout": 0.1, "drop_prob_lm": 0.5, "bos_idx": 0, "eos_idx": 0, "pad_idx": 0, "use_bn": 0, "logit_layers": 1, "decoding_constraint": 0}
    extractor = {"visual_extractor": "resnet101", "visual_extractor_pretrained": False, "output_logsoftmax": 1}
    arguments = SimpleNamespace(**sizes, **how, **rest, **extractor, dataset_name="mimic_cxr", max_seq_length=length)
    program = R2GenModel(arguments, SimpleNamespace(idx2token=dict.fromkeys(range(1, 761), ""))).eval()
    program.load_state_dict(state)

    def write(images: Tensor) -> list[list[int]]:
        with torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
            found = program(images[:, 0], mode="sample").tolist()
        return [tokens[: tokens.index(0)] if 0 in tokens else tokens for tokens in found]

    return write


MODELS: dict[str, Callable[[Path | None, int, int], Prepared]] = {
    "r2gen": lambda official, beams, length: of_r2gen_kind("r2gen", official, beams, length),
    "tsget": lambda official, beams, length: of_r2gen_kind("tsget", official, beams, length),
}


def main() -> None:
    """Time both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--official", type=Path)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    prepared = MODELS[words.model](words.official, words.beams, words.length)
    generator = torch.Generator().manual_seed(0)
    size = prepared.image_size_px
    images = torch.randn(words.images, 1, 3, size, size, generator=generator)
    prepared.ours(images[:1])
    found: dict[str, list[list[int]]] = {}
    ways = {"batched, what was written kept": prepared.ours, prepared.name_of_plain: prepared.plain}
    seconds = {name: least(lambda name=name, way=way: found.update({name: way(images)}), 1) for name, way in ways.items()}  # type: ignore[misc]
    print(f"{facts()}\n{words.model}: {words.images} images, {words.beams} beams, at most {words.length} tokens, {words.threads} thread(s)\n")
    print(
        table(
            ("one image", "s by the clock", "s of a core"), [(name, *(f"{part / words.images:.3f}" for part in one)) for name, one in seconds.items()]
        )
    )
    ours, plain = seconds.values()
    same = sum(one == other for one, other in zip(*found.values(), strict=True))
    print(
        f"\ntimes as fast: {plain.wall / ours.wall:.1f} by the clock, {plain.cpu / ours.cpu:.1f} by the core; same tokens: {same} of {words.images}"
    )


if __name__ == "__main__":
    main()
