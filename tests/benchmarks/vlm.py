"""Speed and memory of the vision-language guests beside plain ``generate``, one report at a time, with the same random weights.

    python tests/benchmarks/vlm.py [--width 256] [--layers 4] [--cases 24] [--tokens 32] [--device cpu] [--precision fp32] [--batches 1,4,8]

The plain loop is transformers' own LLaVA as its documentation has it: one image, one prompt with 256 signs for its patches, one answer. Ours sorts by
length, fills batches up on the left and reads images ahead. No answer ends early (an end is drawn by none), so that both write the same number of
tokens; the tokens are compared. ``--width 4096 --layers 32 --device cuda --precision bf16`` is a 7B. Memory is what the process or the GPU took
beside what it had before, and what the estimate said.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from machine import facts, least, table
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from adapters.vision_language.loading import count_of, empty, load
from adapters.vision_language.memory import Sizes, language_sizes
from adapters.vision_language.stored import Stored
from adapters.vision_language.writing import Asked, Writer

WORDS, SIGN, SIDE_PX, PATCH_PX = 2000, 1999, 224, 14
PATCHES = (SIDE_PX // PATCH_PX) ** 2
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TRIES = 3


class Network(nn.Module):
    """A small ViT, two layers, a LLaMA."""

    def __init__(self, eyes: Any, words: Any) -> None:
        super().__init__()
        self.tower = CLIPVisionModel(eyes)
        self.projector = nn.Sequential(nn.Linear(eyes.hidden_size, words.hidden_size), nn.GELU(), nn.Linear(words.hidden_size, words.hidden_size))
        self.language = LlamaForCausalLM(words)

    def see(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, T, D)."""
        hidden = self.tower(images.to(self.language.dtype), output_hidden_states=True).hidden_states[-2][:, 1:]
        return self.projector(hidden)


def random_tensors(network: nn.Module) -> dict[str, Stored]:
    """One rule for all: a tensor's place decides its numbers, drawn as it is read."""

    def stored(number: int, shape: torch.Size) -> Stored:
        def read() -> torch.Tensor:
            if len(shape) < 2:
                return torch.ones(shape)
            return torch.randn(shape, generator=torch.Generator().manual_seed(number)) * shape[-1] ** -0.5

        return Stored(tuple(shape), read)

    return {name: stored(number, value.shape) for number, (name, value) in enumerate(network.state_dict().items())}


def resident(device: torch.device) -> float:
    """MiB that the process, or torch on the GPU, has taken at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("width", 256), ("layers", 4), ("cases", 24), ("tokens", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=sorted(KINDS))
    parser.add_argument("--batches", default="1,4,8")
    asked = parser.parse_args()
    device, kind = torch.device(asked.device), KINDS[asked.precision]
    words = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=asked.width,
        intermediate_size=int(asked.width * 2.6875),
        num_hidden_layers=asked.layers,
        num_attention_heads=max(1, asked.width // 64),
        max_position_embeddings=4096,
        tie_word_embeddings=False,
    )
    eyes = CLIPVisionConfig(
        hidden_size=192, intermediate_size=768, num_hidden_layers=4, num_attention_heads=3, image_size=SIDE_PX, patch_size=PATCH_PX
    )
    print(facts(), f"torch threads {torch.get_num_threads()}", sep="; ")

    network = empty(lambda: Network(eyes, words))
    tensors = random_tensors(network)
    sizes = Sizes(*count_of(network, "language.model"), *language_sizes(words), PATCHES * (8 * 192 + 768), PATCHES + 48 + asked.tokens)
    gc.collect()
    before, started = resident(device), time.perf_counter()
    network = load(network, tensors, "vlm", precision=asked.precision, device=device, small="language.model")
    loading, loaded = time.perf_counter() - started, resident(device)
    said = sizes.bytes_at(asked.precision, 0) / 2**20
    print(f"loaded in {loading:.1f} s; weights {said:.0f} MiB by the estimate, {loaded - before:.0f} taken at most while loading")

    generator = np.random.default_rng(0)
    images = [generator.normal(size=(3, SIDE_PX, SIDE_PX)).astype(np.float32) for _ in range(asked.cases)]
    prompts = [[generator.integers(3, SIGN, size).tolist() for size in (20, int(generator.integers(4, 29)))] for _ in range(asked.cases)]
    questions = [Asked(chunks, lambda image=image: [image], PATCHES) for chunks, image in zip(prompts, images, strict=True)]

    plain = plain_network(network, eyes, words)
    answers: list[list[int]] = []

    def one_by_one() -> None:
        answers.clear()
        for (first, last), image in zip(prompts, images, strict=True):
            ids = torch.tensor([[*first, *[SIGN] * PATCHES, *last]], device=device)
            pixels = torch.from_numpy(image)[None].to(device, kind)
            with torch.inference_mode():
                found = plain.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=asked.tokens, do_sample=False, pad_token_id=0)
            answers.append(found[0, ids.shape[1] :].tolist())

    count = asked.cases * asked.tokens
    rows = [row("plain generate, one at a time", least(one_by_one, TRIES).wall, asked.cases, count, None, "", "")]
    slowest = rows[0][1]
    nowhere = Tokenizer(WordLevel({"x": 0}, "x"))
    for batch in map(int, asked.batches.split(",")):
        writer = Writer(network.language, network.see, nowhere, end=[WORDS + 1], most=asked.tokens, batch_size=batch, who="vlm")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        base = resident(device)
        written: list[Any] = []

        def ours(writer: Writer = writer, written: list[Any] = written) -> None:
            written[:] = writer.write(questions)

        wall = least(ours, TRIES).wall
        same = sum(one.ids == theirs for one, theirs in zip(written, answers, strict=True))
        grown = resident(device) - (base if device.type == "cpu" else loaded)
        work = (sizes.bytes_at(asked.precision, batch) - sizes.bytes_at(asked.precision, 0)) / 2**20
        memory = f"{work:.0f} / {max(grown, 0):.0f}"
        rows.append(row(f"ours, batch {batch}", wall, asked.cases, count, float(slowest), memory, f"{same} of {len(answers)}"))
    print(table(["", "seconds", "reports/min", "tokens/s", "times", "MiB at work: estimate / more than before", "same tokens"], rows))


def row(name: str, wall: float, cases: int, tokens: int, slowest: float | None, memory: str, same: str) -> list[str]:
    """A line of the table."""
    return [name, f"{wall:.2f}", f"{cases / wall * 60:.1f}", f"{tokens / wall:.1f}", f"{(slowest or wall) / wall:.2f}", memory, same]


def plain_network(ours: Network, eyes: Any, words: Any) -> Any:
    """transformers' LLaVA over the same tensors, none of them twice in memory."""
    config = LlavaConfig(vision_config=eyes, text_config=words, image_token_id=SIGN, image_token_index=SIGN, image_seq_length=PATCHES)
    plain = empty(lambda: LlavaForConditionalGeneration(config)).eval()
    plain.model.vision_tower, plain.model.language_model, plain.lm_head = ours.tower, ours.language.model, ours.language.lm_head
    plain.model.multi_modal_projector.linear_1, plain.model.multi_modal_projector.linear_2 = ours.projector[0], ours.projector[2]
    plain.generation_config = GenerationConfig()
    plain.generation_config.eos_token_id = None
    return plain


if __name__ == "__main__":
    sys.exit(main())
