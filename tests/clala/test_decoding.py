"""Choosing words against a loop without cache and without batches, token by token."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clala.config import CLALAConfig
from clala.decoder import ReportDecoder
from clala.decoding import decode
from clala.tokens import WordTokenizer

STEPS = 10
LONGEST = 48


@pytest.fixture
def decoder(config: CLALAConfig) -> ReportDecoder:
    return ReportDecoder(replace(config, max_tokens=LONGEST)).eval()


def draw_weights(decoder: ReportDecoder, seed: int, end: int, eager_to_end: float = 2.0) -> None:
    """Weights wide enough for decided scores, and an end that is likely enough for sentences of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.4 if parameter.dim() > 1 else 0.1))
        for part in decoder.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.fill_(1)
        decoder.bert.cls.predictions.bias[end] += eager_to_end


def random_memory(seed: int, rows: int = 6) -> torch.Tensor:
    return torch.randn(rows, 5, 32, generator=torch.Generator().manual_seed(seed))


def log_probabilities(decoder: ReportDecoder, words: list[int], memory: torch.Tensor, begin: int) -> torch.Tensor:
    """By transformers' own pass through the weights."""
    read = decoder.bert(input_ids=torch.tensor([[begin, *words]]), encoder_hidden_states=memory, use_cache=False)
    return read.logits[0, -1].log_softmax(0)


def plain_greedy(decoder: ReportDecoder, memory: torch.Tensor, tokenizer: WordTokenizer, tokens: int) -> list[int]:
    words: list[int] = []
    while len(words) < tokens - 1 and (not words or words[-1] != tokenizer.end):
        words.append(int(log_probabilities(decoder, words, memory, tokenizer.begin).argmax()))
    return words


def plain_beam(decoder: ReportDecoder, memory: torch.Tensor, tokenizer: WordTokenizer, beams: int, tokens: int) -> list[int]:
    open_beams: list[tuple[float, list[int]]] = [(0.0, [])]
    best: tuple[float, list[int]] | None = None
    for step in range(1, tokens):
        candidates = []
        for total, words in open_beams:
            scores = log_probabilities(decoder, words, memory, tokenizer.begin)
            candidates += [(total + float(score), [*words, word]) for word, score in enumerate(scores)]
        candidates.sort(key=lambda pair: -pair[0])
        for total, words in candidates[:beams]:
            if words[-1] == tokenizer.end and (best is None or total / step > best[0]):
                best = (total / step, words)
        open_beams = [pair for pair in candidates[: 2 * beams] if pair[1][-1] != tokenizer.end][:beams]
        if step < tokens - 1 and best is not None and open_beams[0][0] / step <= best[0]:
            break
    return best[1] if best else open_beams[0][1]


def plain(decoder: ReportDecoder, memory: torch.Tensor, tokenizer: WordTokenizer, beams: int, tokens: int = STEPS) -> list[list[int]]:
    with torch.inference_mode():
        if beams == 1:
            return [plain_greedy(decoder, row.unsqueeze(0), tokenizer, tokens) for row in memory]
        return [plain_beam(decoder, row.unsqueeze(0), tokenizer, beams, tokens) for row in memory]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beams", [1, 2, 3])
def test_decoding_agrees_with_the_plain_loop_token_by_token(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int, seed: int) -> None:
    draw_weights(decoder, seed, tokenizer.end)
    memory = random_memory(seed)
    assert decode(decoder, memory, tokenizer, beams=beams, max_tokens=STEPS) == plain(decoder, memory, tokenizer, beams)


def test_sentences_of_different_lengths_come_out(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    """Else the test above would not have tried rows that leave the batch early."""
    lengths = set()
    for seed in range(4):
        draw_weights(decoder, seed, tokenizer.end)
        lengths |= {len(row) for row in decode(decoder, random_memory(seed), tokenizer, beams=3, max_tokens=STEPS)}
    assert len(lengths) > 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_sentence_that_never_ends_is_as_long_as_may_be(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    """Up to the last place that the decoder knows, which is more than the cache has room for at first."""
    draw_weights(decoder, 0, tokenizer.end, eager_to_end=-100.0)
    memory = random_memory(0, rows=2)
    found = decode(decoder, memory, tokenizer, beams=beams, max_tokens=LONGEST)
    assert [len(row) for row in found] == [LONGEST - 1] * 2
    assert all(tokenizer.end not in row for row in found)
    assert found == plain(decoder, memory, tokenizer, beams, LONGEST)


@pytest.mark.parametrize("beams", [1, 3])
def test_long_sentences_end_beside_short_ones(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    draw_weights(decoder, 7, tokenizer.end, eager_to_end=1.0)
    memory = random_memory(7, rows=12)
    found = decode(decoder, memory, tokenizer, beams=beams, max_tokens=LONGEST)
    lengths = [len(row) for row in found if row[-1] == tokenizer.end]
    assert min(lengths) < 12
    assert max(lengths) > 16
    assert found == plain(decoder, memory, tokenizer, beams, LONGEST)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_order_of_rows_does_not_matter(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    draw_weights(decoder, 1, tokenizer.end)
    memory = random_memory(1, rows=9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    found = decode(decoder, memory, tokenizer, beams=beams, max_tokens=STEPS)
    assert len(set(map(tuple, found))) > 2
    assert decode(decoder, memory[order], tokenizer, beams=beams, max_tokens=STEPS) == [found[row] for row in order.tolist()]


@pytest.mark.parametrize("beams", [1, 3])
def test_a_row_alone_is_the_row_within_a_batch(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    draw_weights(decoder, 2, tokenizer.end)
    memory = random_memory(2)
    together = decode(decoder, memory, tokenizer, beams=beams, max_tokens=STEPS)
    assert [decode(decoder, row.unsqueeze(0), tokenizer, beams=beams, max_tokens=STEPS)[0] for row in memory] == together


@pytest.mark.parametrize("beams", [1, 3])
def test_one_token_is_the_beginning_alone(decoder: ReportDecoder, tokenizer: WordTokenizer, beams: int) -> None:
    assert decode(decoder, random_memory(0), tokenizer, beams=beams, max_tokens=1) == [[]] * 6


def test_more_tokens_than_the_decoder_has_places_for_are_refused(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    with pytest.raises(ValueError, match=r"max_tokens is 49, but this decoder was made for 48 places; ask for at most as many"):
        decode(decoder, random_memory(0), tokenizer, max_tokens=LONGEST + 1)


def test_no_region_gives_no_sentence(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    assert decode(decoder, torch.zeros(0, 5, 32), tokenizer, max_tokens=STEPS) == []


def test_fewer_than_one_beam_is_refused(decoder: ReportDecoder, tokenizer: WordTokenizer) -> None:
    with pytest.raises(ValueError, match=r"beams is 0; it must be at least 1 \(1 = greedy\)"):
        decode(decoder, torch.zeros(1, 5, 32), tokenizer, beams=0)
