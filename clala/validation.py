"""How good the network is on the validation images: by the words it expects, and by the lesions that it states when it writes.

The paper does not say which epoch it keeps (D10). Cross-entropy counts every word alike, and most words say that something is normal: on the
phantoms it is lowest epochs before the rare lesions are said. So stage 2 keeps the epoch with the best macro lesion F1, read from the sentences as
the embedded aggregator reads them, and stage 1, whose encoder is what matters, the one with the lowest cross-entropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clala.config import Recipe
from clala.data import Samples
from clala.decoding import decode
from clala.findings import lesions_stated
from clala.lesion_scores import f1_by_lesion
from clala.regions import LESIONS


def validation_ce(model: Any, samples: Samples, r: Recipe, crop_px: int, accelerator: Any) -> float:
    """Mean cross-entropy per token over the validation sentences, with the labels that LCA is told, in eval mode; each process reads its share."""
    rows = samples.with_sentence()[accelerator.process_index :: accelerator.num_processes]
    sums = torch.zeros(2, dtype=torch.float64)
    stage, training = model.stage, model.training
    model.eval()
    model.stage = 2  # CE alone
    with torch.inference_mode():
        for start in range(0, len(rows), 4 * r.batch):
            batch = samples.batch(rows[start : start + 4 * r.batch], crop_px=crop_px, llcl=False).to(accelerator.device)
            number = int((~batch.padding[:, 1:]).sum())
            sums += torch.tensor([float(model(batch)["ce"]) * number, number], dtype=torch.float64)
    model.stage = stage
    model.train(training)
    total, tokens = _added(sums, accelerator).tolist()
    return total / tokens if tokens else math.nan


def validation_lesion_f1(model: Any, samples: Samples, r: Recipe, crop_px: int, accelerator: Any) -> float:
    """Macro F1 of the lesions that the sentences about an image state, over the lesions that an image has or is said to have; NaN without any.

    Written greedily, for all regions of the first ``r.validation_images`` images; LCA is told what it is told in training. Each process writes
    about its share of the images.
    """
    images = np.arange(min(r.validation_images, len(samples.lines)))[accelerator.process_index :: accelerator.num_processes]
    rows = np.flatnonzero(np.isin(samples.images, images))
    stated = torch.zeros((len(samples.lines), len(LESIONS)), dtype=torch.float64)
    training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), 8 * r.batch):
            part = rows[start : start + 8 * r.batch]
            batch = samples.batch(part, crop_px=crop_px, llcl=False).to(accelerator.device)
            with accelerator.autocast():
                memory = model.memory(model.encoder(batch.crops), batch.lesions)
                written = decode(model.decoder, memory, model.tokenizer, beams=1, max_tokens=model.config.max_tokens)
            for image, tokens in zip(samples.images[part].tolist(), written, strict=True):
                for lesion in lesions_stated(model.tokenizer.text(tokens)):
                    stated[image, LESIONS.index(lesion)] = 1
    model.train(training)
    looked_at = torch.zeros(len(samples.lines), dtype=torch.float64)
    looked_at[images] = 1
    kept = _added(looked_at, accelerator) > 0
    truth = np.array([line.lesion_row() for line in samples.lines]).reshape(-1, len(LESIONS)) > 0.5
    scores = f1_by_lesion(_added(stated, accelerator)[kept].numpy() > 0, truth[kept.numpy()])
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else math.nan


def _added(values: Tensor, accelerator: Any) -> Tensor:
    """The sum over all processes, on the CPU."""
    if accelerator.num_processes == 1:
        return values
    added: Tensor = accelerator.reduce(values.to(accelerator.device)).cpu()
    return added
