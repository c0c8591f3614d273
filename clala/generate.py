"""What the model says about images: boxes, then lesions, then a sentence for every region that was found (``decoding`` chooses the words)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clala.checkpoint import Bundle
from clala.classifier import predict
from clala.crops import BoxXYXY, Gray, cut, squared, stored_px, usable_box
from clala.decoding import decode
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
    wholes = np.stack([squared(image, config.classifier_px, config.classifier_frame) for image in images])
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
