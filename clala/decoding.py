"""Choosing the words: sentences for all regions of a batch, decoded together.

Greedy and beam search (D9: 3 beams). The paper does not say how it decodes; BLIP's captioner uses 3 beams. A hypothesis is ranked by the mean
log-probability of its words, the end counted as one. Finished sentences leave the batch, so that one long sentence does not hold up the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clala.decoder import Beginnings, ReportDecoder


@torch.inference_mode()
def decode(decoder: ReportDecoder, memory: Tensor, tokenizer: Any, *, beams: int = 3, max_tokens: int = 128) -> list[list[int]]:
    """Words of one sentence per row of (M, L, D) memory, without [DEC], with [SEP] if it was reached within ``max_tokens``."""
    if beams < 1:
        raise ValueError(f"beams is {beams}; it must be at least 1 (1 = greedy)")
    if max_tokens > (places := decoder.bert.config.max_position_embeddings):
        raise ValueError(f"max_tokens is {max_tokens}, but this decoder was made for {places} places; ask for at most as many")
    if not len(memory):
        return []
    search = _greedy if beams == 1 else _beam
    return search(Beginnings(decoder, memory, beams), tokenizer.begin, tokenizer.end, max_tokens - 1)


def _greedy(begun: Beginnings, begin: int, end: int, steps: int) -> list[list[int]]:
    device = begun.own.device
    chosen = torch.full((begun.rows, steps), end, device=device)
    alive = torch.arange(begun.rows, device=device)
    last = torch.full((begun.rows, 1), begin, device=device)
    for step in range(steps):
        last = begun.step(last)[:, 0].argmax(1, keepdim=True)
        chosen[alive, step] = last[:, 0]
        going = last[:, 0] != end
        order = begun.leave(going)
        if not len(order):
            break
        alive, last = alive[order], last[order]
    return [words[: words.index(end) + 1] if end in words else words for words in chosen.tolist()]


def _beam(begun: Beginnings, begin: int, end: int, steps: int) -> list[list[int]]:
    """Keep the best beginnings of each row; it is done when its best beginning is no better, by its mean so far, than a finished sentence.

    A beginning could in principle catch up later with words of probability near 1; waiting for that would run every row to the last step.
    """
    beams, number, device = begun.beams, begun.rows, begun.own.device
    sentences: list[list[int]] = [[] for _ in range(number)]
    best = torch.full((number,), -float("inf"), device=device)  # mean log-probability of the sentence of each row that is left
    alive = torch.arange(number, device=device)
    words = torch.zeros((number, beams, 0), dtype=torch.long, device=device)
    sums = torch.full((number, beams), -float("inf"), device=device)
    sums[:, 0] = 0.0  # all beams begin alike: one of them is enough
    last = torch.full((number, beams), begin, device=device)
    for step in range(1, steps + 1):
        scores = begun.step(last).float().log_softmax(2)
        # beams + beams candidates: at most ``beams`` of them end here, so that ``beams`` remain to go on
        top, index = (sums.unsqueeze(2) + scores).flatten(1).topk(2 * beams, dim=1)
        origin, word = index // scores.shape[2], index % scores.shape[2]
        ends = word == end
        # The first that ends is the best of those that end now: all are of one length.
        ended, column = ends[:, :beams].max(1)
        means = top.gather(1, column.unsqueeze(1))[:, 0] / step
        better = ended & (means > best)
        best = torch.where(better, means, best)
        for row in better.nonzero()[:, 0].tolist():
            sentences[int(alive[row])] = [*words[row, origin[row, column[row]]].tolist(), end]
        order = (ends.float() * 1e9 + torch.arange(2 * beams, device=device)).argsort(1)[:, :beams]  # the first that do not end
        sums, origin, last = top.gather(1, order), origin.gather(1, order), word.gather(1, order)
        words = torch.cat([words.gather(1, origin.unsqueeze(2).expand(-1, -1, words.shape[2])), last.unsqueeze(2)], dim=2)
        going = sums[:, 0] / step > best
        if step == steps:
            break
        begun.follow(origin)
        rows = begun.leave(going)
        if not len(rows):
            return sentences
        alive, best, sums, last, words = alive[rows], best[rows], sums[rows], last[rows], words[rows]
    for row in best.isneginf().nonzero()[:, 0].tolist():
        sentences[int(alive[row])] = words[row, 0].tolist()  # nothing ended in time: the best beginning stands
    return sentences
