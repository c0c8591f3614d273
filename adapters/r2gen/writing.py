"""Images to reports by a network of R2Gen's kind: preparing, searching, and the words of what was found. TSGET writes by the same.

Preparing is that of the authors' program at test time: RGB, stretched to a square by Pillow's bilinear filter whatever the shape, ImageNet's mean and
standard deviation. Images are read by the instrument's own reader: an 8-bit grey file, as both datasets have, gives the same pixels to the last bit;
of a coloured one the luminance is taken, and deeper ones and DICOM, which the original cannot read, are windowed.

The original looks at whatever image comes first, laterals too; so does this, and the report's details say which views were read. One image for
weights that were trained on two is a case that the original does not have. It is read alone, which is our choice and the same as handing it in twice,
for no patch has a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.beam_search import Found, beam_search, greedy
from adapters.chen_text import END
from adapters.r2gen.weights import Loaded, Writes
from adapters.running import device_named
from benchmark.datasets.images import UnreadableImage, read_radiograph
from benchmark.records import Case, Report, UserError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, R2Gen modules/dataloaders.py
SMALLEST_PX = 8
"""less than that on a side is no radiograph; the original would stretch it"""
REPEATED = 2 * 0.693
"""what R2Gen takes off a word's log-probability for each time that it has already followed the same two words"""


class Writer:
    """A loaded network with the settings by which it writes."""

    def __init__(
        self,
        who: str,
        loaded: Loaded,
        *,
        device: str = "auto",
        beams: int = 3,
        max_length: int = 0,
        block_trigrams: bool = True,
        batch_size: int = 16,
    ) -> None:
        """``max_length`` 0 = as it was trained. Raises ``UserError`` for a setting that cannot be."""
        if beams < 1 or batch_size < 1 or max_length < 0:
            raise UserError(
                f"{who}: beams is {beams}, batch_size {batch_size}, max_length {max_length}; each must be at least 1, max_length 0 = as trained"
            )
        sizes = loaded.network.sizes
        self.steps = max_length or loaded.manners.longest
        if self.steps > sizes.places or beams > sizes.words:
            raise UserError(
                f"{who}: max_length is {self.steps} and beams {beams}; these weights have {sizes.places} places and {sizes.words} words: take less"
            )
        self.loaded, self.beams, self.batch_size = loaded, beams, batch_size
        self.cases_together = batch_size
        self.block_trigrams = block_trigrams and beams == 1
        self.device = device_named(device, who)
        self.network: Writes = loaded.network.to(self.device)

    def generate(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report per case, in order, handed out batch by batch."""
        for start in range(0, len(cases), self.batch_size):
            yield from self._batch(cases[start : start + self.batch_size])

    def _batch(self, cases: Sequence[Case]) -> Iterator[Report]:
        opened = [self._open(case) for case in cases]
        found: dict[int, Found] = {}
        # Cases with one view and with two do not stand in one tensor.
        for views in sorted({len(images) for images in opened if not isinstance(images, str)}):
            places = [place for place, images in enumerate(opened) if not isinstance(images, str) and len(images) == views]
            batch = torch.stack([images for place in places if not isinstance(images := opened[place], str)])
            found |= zip(places, self.write(batch), strict=True)
        for place, case in enumerate(cases):
            images = opened[place]
            if isinstance(images, str):
                yield Report(case.id, failure=images)
                continue
            answer = found[place]
            details = {"views": [image.view for image in case.images[: len(images)]], "tokens": len(answer.tokens), "score": round(answer.score, 4)}
            yield Report(case.id, text=self.loaded.vocabulary.decode(answer.tokens), details=details)

    @torch.inference_mode()
    def write(self, images: Tensor) -> list[Found]:
        """(I, N, 3, H, W) normalised images of N views -> the tokens for each."""
        patches = self.network.read(images.to(self.device))
        step = partial(self.network.step, self.network.begin(patches))
        if self.beams == 1:
            adjust = less_repeated if self.block_trigrams else None
            return greedy(step, len(images), steps=self.steps, start=END, end=END, device=self.device, adjust=adjust)
        return beam_search(step, len(images), policy="raw_sum", beams=self.beams, steps=self.steps, start=END, end=END, device=self.device)

    def _open(self, case: Case) -> Tensor | str:
        """(N, 3, H, W) of the case's first images, as many as the weights were trained on; or why there is none."""
        if not case.images:
            return "the case has no image"
        try:
            return torch.stack([prepared(image.path, self.network.sizes.image_size_px) for image in case.images[: self.loaded.manners.views]])
        except UserError as error:
            return str(error)

    def provenance(self) -> dict[str, Any]:
        """What decides the reports."""
        return {
            "weights_sha256": self.loaded.sha256,
            "made_by": self.loaded.about.get("command", ""),
            "words": len(self.loaded.vocabulary),
            "views": self.loaded.manners.views,
            "beams": self.beams,
            "max_length": self.steps,
            "block_trigrams": self.block_trigrams,
        }

    def decoding(self) -> str:
        """For the card."""
        how = f"beam search, {self.beams} beams, sum of log-probabilities" if self.beams > 1 else "greedy"
        penalty = ", repeated trigrams made a quarter as probable" if self.block_trigrams else ""
        return f"{how}{penalty}, at most {self.steps} tokens"


class TooSmall(UnreadableImage):
    """An image of a few pixels."""


def prepared(path: Path, size_px: int) -> Tensor:
    """(3, S, S) float32 of a radiograph on disk. Raises UnreadableImage, TooSmall."""
    return normalised(torch.from_numpy(squared(path, size_px)))


def squared(path: Path, size_px: int) -> np.ndarray:
    """(S, S) uint8: the radiograph stretched to a square. Raises UnreadableImage, TooSmall."""
    grey = read_radiograph(path)
    if min(grey.shape) < SMALLEST_PX:
        height, width = grey.shape
        raise TooSmall(f"radiograph {path}: is {width} x {height} pixels, which shows nothing; give an image of {SMALLEST_PX} on a side at least")
    return np.array(Image.fromarray(grey).resize((size_px, size_px), Image.Resampling.BILINEAR))


def normalised(grey: Tensor) -> Tensor:
    """(..., S, S) uint8 or 0 to 255 -> (..., 3, S, S), each colour the same grey, less ImageNet's mean, over its standard deviation."""
    mean, std = (grey.new_tensor(values, dtype=torch.float32)[:, None, None] for values in (MEAN, STD))
    return ((grey.float() / 255)[..., None, :, :] - mean) / std


def less_repeated(scores: Tensor, written: list[list[int]]) -> Tensor:
    """R2Gen's penalty on trigrams, which acts in greedy search alone: (I, V) log-probabilities, less ``REPEATED`` for each earlier occurrence."""
    for row, tokens in zip(scores, written, strict=True):
        for place in range(len(tokens) - 2):
            if tokens[place : place + 2] == tokens[-2:]:
                row[tokens[place + 2]] -= REPEATED
    return scores
