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
import itertools
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


def of_cvt2distilgpt2(official: Path | None, beams: int, length: int) -> Prepared:
    """CvT2DistilGPT2 at the published sizes, on bytes that are as random as the images."""
    from adapters.cvt2distilgpt2.network import Network, normalised
    from adapters.cvt2distilgpt2.sizes import Sizes
    from adapters.cvt2distilgpt2.weights import published_names

    torch.manual_seed(0)
    sizes = Sizes()
    network = Network(sizes).eval().requires_grad_(False)
    for name, value in network.decoder.named_parameters():
        if value.dim() > 1:  # small tables and large layers: else every word calls for itself again
            value.normal_(0, 0.02 if name.startswith(("words", "places")) else 0.06)
    start, end = sizes.words - 2, sizes.words - 3

    def as_bytes(images: Tensor) -> Tensor:
        return (128 + 50 * images[:, :, 0]).clamp(0, 255).byte()

    def ours(images: Tensor) -> list[list[int]]:
        return tokens_of(network.write(as_bytes(images), start=start, end=end, beams=beams, max_length=length + 1))

    if official is None:
        return Prepared(ours, lambda images: plainly_cvt2distilgpt2(network, as_bytes(images), beams, length), "plain loop", 384)
    own = network.state_dict()
    state = {
        name: (own[place.name].T if place.is_turned else own[place.name]) if place.name else torch.zeros(place.shape)
        for name, place in published_names(sizes)
    }
    program = official_cvt2distilgpt2(official, state, beams, length)
    return Prepared(ours, lambda images: program(normalised(as_bytes(images)[:, 0])), "authors' program", 384)


@torch.inference_mode()
def plainly_cvt2distilgpt2(network: Any, images: Tensor, beams: int, length: int) -> list[list[int]]:
    """Image by image, the keys of the image and the whole prefix anew at every step."""
    from adapters.beam_search import beam_search

    answers = []
    for image in images:
        seen, written = network.see(image[None]), torch.zeros(1, 0, dtype=torch.long)

        def step(tokens: Tensor, kept: Any, seen: Tensor = seen) -> Tensor:
            nonlocal written
            before = written if kept is None else written[kept.rows]
            written = torch.cat([before, tokens.flatten()[:, None]], 1)
            scores: Tensor = network.decoder(written, seen.expand(len(written), -1, -1))[:, -1]
            return scores.log_softmax(-1).unflatten(0, tokens.shape)

        where = {"start": network.sizes.words - 2, "end": network.sizes.words - 3}
        answers += beam_search(step, 1, policy="attainable", beams=beams, steps=length, **where)
    return tokens_of(answers)


def official_cvt2distilgpt2(folder: Path, state: dict[str, Tensor], beams: int, length: int) -> Callable[[Tensor], list[list[int]]]:
    """The authors' encoder and the decoder as their program puts it together; it needs transformers 4.35, timm 0.4 and yacs."""
    import os

    import transformers

    sys.path.insert(0, str(folder))
    os.chdir(folder)  # their program looks for its configuration from there
    from tools.cvt import CvT  # type: ignore[import-not-found]
    from tools.encoder_projection import EncoderPermuteProject  # type: ignore[import-not-found]

    class Nothing:
        main_input_name = "nothing"
        config = transformers.BertConfig(hidden_size=768)

        def get_output_embeddings(self) -> None:
            return None

        def forward(self) -> None:
            return None

    config = transformers.GPT2Config(n_layer=6, add_cross_attention=True, is_decoder=True)
    decoder = transformers.GPT2LMHeadModel(config)
    decoder.resize_token_embeddings(config.vocab_size + 2)
    program = torch.nn.Module()
    program.encoder = CvT(warm_start=False, model_config="cvt-21-384x384", is_encoder=True)
    program.encoder_projection = EncoderPermuteProject([0, 2, 1], 384, 768)
    program.decoder = torch.nn.Module()
    program.decoder.encoder_decoder = transformers.EncoderDecoderModel(encoder=Nothing(), decoder=decoder)
    program.eval().load_state_dict(state)
    signs = {"bos_token_id": 50_257, "eos_token_id": 50_256, "pad_token_id": 50_258}

    def write(pixels: Tensor) -> list[list[int]]:
        with torch.no_grad():
            seen = program.encoder_projection(program.encoder(pixels)["last_hidden_state"])["projected_encoder_last_hidden_state"]
            given = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=seen)
            found = program.decoder.encoder_decoder.generate(max_length=length + 1, num_beams=beams, encoder_outputs=given, **signs).tolist()
        ends = (signs["eos_token_id"], signs["pad_token_id"])
        return [list(itertools.takewhile(lambda token: token not in ends, tokens[1:])) for tokens in found]

    return write


def of_rgrg(official: Path | None, beams: int, length: int) -> Prepared:
    """RGRG at the published sizes but for its GPT-2, which has two layers of 24; a sentence for each of the first eight regions that are found."""
    from rgrg_weights import weight_of

    from adapters.rgrg.network import Network
    from adapters.rgrg.sizes import Sizes
    from adapters.rgrg.weights import filled
    from adapters.rgrg.writing import write

    if official is not None:
        raise SystemExit("rgrg: the authors' code needs transformers 4.35 or older, ours 5 or newer: no process has both; leave --official out")
    sizes = Sizes(layers=2)
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Network(sizes).state_dict().items()}
    network = filled(sizes, {name: torch.from_numpy(weight_of(name, shape)) for name, shape in shapes.items()}, Path("random.pt"))

    @torch.inference_mode()
    def ours(images: Tensor) -> list[list[int]]:
        found = network.detector(images[:, 0, :1])
        chosen = found.is_found & (found.is_found.cumsum(1) <= 8)
        sentences = iter(write(network.language, found.features[chosen], beams=beams, most_tokens=length + 1))
        return [[token for _ in range(count) for token in next(sentences)] for count in chosen.sum(1).tolist()]

    return Prepared(ours, lambda images: plainly_rgrg(network, images[:, 0, :1], beams, length), "plain loop", 512)


@torch.inference_mode()
def plainly_rgrg(network: Any, images: Tensor, beams: int, length: int) -> list[list[int]]:
    """Image by image, every box cut out before it is looked at, and the whole beginning of every sentence anew at every step."""
    from torchvision.ops import roi_align

    from adapters.beam_search import beam_search

    head = network.detector.box_head
    weight = head.fc6.weight.permute(1, 2, 0).flatten(1)

    class Cutting(torch.nn.Module):
        def forward(self, map_: Tensor, boxes: Tensor) -> Tensor:
            cut = roi_align(map_[None], [boxes], network.sizes.bins, sampling_ratio=2).flatten(1)
            seen: Tensor = torch.relu(head.fc7(torch.relu(cut @ weight.T + head.fc6.bias)))
            return seen

    network.detector.box_head = Cutting()
    answers = []
    for image in images:
        found = network.detector(image[None])
        features, written = found.features[found.is_found][:8], torch.zeros(1, 0, dtype=torch.long)

        def step(tokens: Tensor, kept: Any, features: Tensor = features) -> Tensor:
            nonlocal written, of
            if kept is None:
                written, of = torch.zeros(len(features), 0, dtype=torch.long), torch.arange(len(features))
            else:
                written, of = written[kept.rows], of[kept.rows]
            written = torch.cat([written, tokens.flatten()[:, None]], 1)
            scores: Tensor = network.language(features[of], written)[:, -1]
            return scores.log_softmax(-1).unflatten(0, tokens.shape)

        of = torch.zeros(0, dtype=torch.long)
        end = network.sizes.end
        said = beam_search(step, len(features), policy="first_full", beams=beams, steps=length, start=end, end=end)
        answers.append([token for one in said for token in one.tokens])
    network.detector.box_head = head
    return answers


MODELS: dict[str, Callable[[Path | None, int, int], Prepared]] = {
    "r2gen": lambda official, beams, length: of_r2gen_kind("r2gen", official, beams, length),
    "tsget": lambda official, beams, length: of_r2gen_kind("tsget", official, beams, length),
    "cvt2distilgpt2": of_cvt2distilgpt2,
    "rgrg": of_rgrg,
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
