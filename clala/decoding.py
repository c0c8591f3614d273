"""Sentences for all regions of a batch, decoded together with a cache of keys and values.

Greedy and beam search (D9: 3 beams). The paper does not say how it decodes; BLIP's captioner uses 3 beams. A hypothesis is ranked by the mean
log-probability of its words, the end counted as one. Finished sentences leave the batch, so that one long sentence does not hold up the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clala.decoder import ReportDecoder, new_cache


def decode(decoder: ReportDecoder, memory: Tensor, tokenizer: Any, *, beams: int = 3, max_tokens: int = 128) -> list[list[int]]:
    """Words of one sentence per row of (M, L, D) memory, without [DEC], with [SEP] if it was reached within ``max_tokens``."""
    if beams < 1:
        raise ValueError(f"beams is {beams}; it must be at least 1 (1 = greedy)")
    if not len(memory):
        return []
    if beams == 1:
        return _greedy(decoder, memory, tokenizer.begin, tokenizer.end, max_tokens - 1)
    return _beam(decoder, memory, tokenizer.begin, tokenizer.end, max_tokens - 1, beams)


def _greedy(decoder: ReportDecoder, memory: Tensor, begin: int, end: int, steps: int) -> list[list[int]]:
    words: list[list[int]] = [[] for _ in memory]
    alive = torch.arange(len(memory), device=memory.device)
    last = torch.full((len(memory), 1), begin, dtype=torch.long, device=memory.device)
    cache = new_cache()
    for _ in range(steps):
        last = decoder.step(last, memory, cache).argmax(1, keepdim=True)
        for row, word in zip(alive.tolist(), last[:, 0].tolist(), strict=True):
            words[row].append(word)
        going = (last[:, 0] != end).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(alive):
            alive, last, memory = alive[going], last[going], memory[going]
            cache.batch_select_indices(going)
    return words


def _beam(decoder: ReportDecoder, memory: Tensor, begin: int, end: int, steps: int, beams: int) -> list[list[int]]:
    """Keep the ``beams`` best beginnings of each row; it is done when its best beginning is no better, by its mean so far, than a finished sentence.

    A beginning could in principle catch up later with words of probability near 1; waiting for that would run every row to the last step.
    """
    device, number = memory.device, len(memory)
    best: list[tuple[float, list[int]]] = [(-float("inf"), [])] * number
    alive = torch.arange(number, device=device)
    memory = memory.repeat_interleave(beams, 0)
    words = torch.zeros((number, beams, 0), dtype=torch.long, device=device)
    sums = torch.full((number, beams), -float("inf"), device=device)
    sums[:, 0] = 0.0  # all beams begin alike: one of them is enough
    last = torch.full((number * beams, 1), begin, dtype=torch.long, device=device)
    cache = new_cache()
    for step in range(1, steps + 1):
        scores = decoder.step(last, memory, cache).float().log_softmax(1).reshape(len(alive), beams, -1)
        vocabulary = scores.shape[2]
        # beams + beams candidates: at most ``beams`` of them end here, so that ``beams`` remain to go on
        top, index = (sums.unsqueeze(2) + scores).flatten(1).topk(2 * beams, dim=1)
        origin, word = index // vocabulary, index % vocabulary
        ends = word == end
        for row, column in ends[:, :beams].nonzero().tolist():
            mean = float(top[row, column]) / step
            if mean > best[int(alive[row])][0]:
                best[int(alive[row])] = (mean, [*words[row, origin[row, column]].tolist(), end])
        order = (ends.float() * 1e9 + torch.arange(2 * beams, device=device)).argsort(1)[:, :beams]  # the first that do not end
        sums, origin, word = top.gather(1, order), origin.gather(1, order), word.gather(1, order)
        words = torch.cat([words.gather(1, origin.unsqueeze(2).expand(-1, -1, words.shape[2])), word.unsqueeze(2)], dim=2)
        limit = torch.tensor([best[row][0] for row in alive.tolist()], device=device)
        if step == steps:
            for row, number_of in enumerate(alive.tolist()):
                if best[number_of][0] == -float("inf"):
                    best[number_of] = (0.0, words[row, 0].tolist())  # nothing ended in time: the best beginning stands
            break
        going = (sums[:, 0] / step > limit).nonzero()[:, 0]
        if not len(going):
            break
        rows = (going.unsqueeze(1) * beams + origin[going]).flatten()
        _select(cache, rows, going, beams, whole=len(going) < len(alive))
        if len(going) < len(alive):
            memory = memory.reshape(len(alive), beams, *memory.shape[1:])[going].flatten(0, 1)
            alive, sums, word, words = alive[going], sums[going], word[going], words[going]
        last = word.flatten().unsqueeze(1)
    return [tokens for _, tokens in best]


def _select(cache: Any, rows: Tensor, going: Tensor, beams: int, *, whole: bool) -> None:
    """Follow the chosen beams. The memory's keys are the same for all beams of a row: they move only when rows leave."""
    cache.self_attention_cache.batch_select_indices(rows)
    if whole:
        kept = (going.unsqueeze(1) * beams + torch.arange(beams, device=going.device)).flatten()
        cache.cross_attention_cache.batch_select_indices(kept)
