"""Sentences for all regions of all images of a batch, decoded together with a cache of keys and values.

Greedy and beam search (D9: 3 beams). The paper does not say how it decodes; BLIP's captioner uses 3 beams. A hypothesis is ranked by the mean
log-probability of its words, the end counted as one. Finished sentences leave the batch, so that one long sentence does not hold up the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clala.checkpoint import Bundle
from clala.classifier import predict
from clala.crops import BoxXYXY, Gray, cut, pad_to_square, stored_px, usable_box
from clala.decoder import ReportDecoder, new_cache
from clala.regions import LESIONS, regions_of
from clala.windows import window


@dataclass(frozen=True)
class Written:
    """What the model says about one image."""

    sentences: dict[str, str]
    """region -> sentence, in the order of the ROI set; a region without a usable box has none (D12)"""
    lesions: dict[str, float]
    """lesion -> probability that the image shows it, from the classifier, or 0/1 where labels were handed in"""
    present: dict[str, bool]
    """lesion -> whether LCA was told that it is there"""
    boxes: dict[str, BoxXYXY]
    """region -> box used, in pixels of the image"""


def write(
    bundle: Bundle,
    images: Sequence[Gray],
    *,
    boxes: Sequence[dict[str, BoxXYXY] | None] | None = None,
    lesions: np.ndarray | None = None,
    beams: int = 3,
    max_tokens: int | None = None,
    at_once: int = 1024,
) -> list[Written]:
    """One result per image, in order.

    images      (H, W) uint8 of any size
    boxes       per image: true boxes in pixels, or None = found by the detector
    lesions     (N, 14) labels to tell LCA in place of the classifier's (0/1), for experiments
    at_once     region crops that are encoded and decoded together
    """
    if not images:
        return []
    config, device = bundle.config, bundle.thresholds.device
    granted = list(boxes) if boxes is not None else [None] * len(images)
    wholes = np.stack([pad_to_square(image, config.classifier_px) for image in images])
    probabilities = predict(bundle.classifier, wholes) if lesions is None else np.asarray(lesions, np.float32)
    thresholds = bundle.thresholds if lesions is None else torch.full_like(bundle.thresholds, 0.5)
    found = _find(bundle, images, granted)

    names = regions_of(config.roi_set)
    places = [(i, name) for i in range(len(images)) for name in names if name in found[i]]
    crop_px = int(bundle.model.encoder.vit.patch_embed.img_size[0])
    side = stored_px(crop_px, config.crop_margin)
    sentences: list[dict[str, str]] = [{} for _ in images]
    with torch.inference_mode():
        vectors = bundle.model.lesion_vectors() if config.lca else None
        for start in range(0, len(places), at_once):
            part = places[start : start + at_once]
            stored = torch.from_numpy(np.stack([cut(images[i], found[i][name], side, config.crop_margin) for i, name in part]))
            crops = window(stored, crop_px, config.crop_margin).to(device)
            hints = torch.from_numpy(probabilities[[i for i, _ in part]]).to(device)
            memory = bundle.model.memory(bundle.model.encoder(crops), hints, thresholds=thresholds, vectors=vectors)
            rows = decode(bundle.model.decoder, memory, bundle.model.tokenizer, beams=beams, max_tokens=max_tokens or config.max_tokens)
            for (i, name), tokens in zip(part, rows, strict=True):
                sentences[i][name] = bundle.model.tokenizer.text(tokens)
    limits = thresholds.cpu().numpy()
    return [
        Written(
            sentences[i],
            {lesion: float(p) for lesion, p in zip(LESIONS, probabilities[i], strict=True)},
            {lesion: bool(p >= limit) for lesion, p, limit in zip(LESIONS, probabilities[i], limits, strict=True)},
            found[i],
        )
        for i in range(len(images))
    ]


def _find(bundle: Bundle, images: Sequence[Gray], granted: Sequence[dict[str, BoxXYXY] | None]) -> list[dict[str, BoxXYXY]]:
    guesses = iter(bundle.detector.find([image for image, given in zip(images, granted, strict=True) if given is None]))
    found: list[dict[str, BoxXYXY]] = []
    for image, given in zip(images, granted, strict=True):
        shape = (int(image.shape[0]), int(image.shape[1]))
        usable = {name: usable_box(box, shape) for name, box in (next(guesses) if given is None else given).items()}
        found.append({name: box for name, box in usable.items() if box is not None})
    return found


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
