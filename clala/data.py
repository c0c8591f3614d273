"""The index file, and batches drawn from it.

The file is the interface: training knows no dataset, it reads JSON lines, one image each::

    {"id": "...", "patient": "...", "split": "train", "image": "/path.jpg", "view": "AP",
     "boxes": {"left lung": [x0, y0, x1, y1], ...},              pixels of the file
     "sentences": {"left lung": "the left lung is clear.", ...},
     "lesions": {"pleural effusion": "left", ...},               what the report states, with its side
     "roi_lesions": {"left lung": ["pleural effusion"], ...},    D7; left out: worked out from ``lesions``
     "told": ["mass", ...]}                                      what LCA is told; left out: ``lesions``

A batch is M region samples of any images (D6). Which ones, in which order, with which partners, follows from seed and epoch alone, so that a run
that was interrupted goes on with the batches it would have had.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clala.config import CLALAConfig, Recipe
from clala.crops import BoxXYXY, CropStore
from clala.encoder import pad_tokens
from clala.model import Batch
from clala.regions import LESIONS, REGIONS, regions_of, roi_lesions
from clala.together import Deal
from clala.tokens import Tokenizer
from clala.windows import window

NO_LESION = len(LESIONS)
BUCKET = 4
"""Batches whose rows are sorted by length together: enough to halve the padding, few enough that a batch still mixes regions."""
PARTNER_TRIES = 8
"""Draws from the list of possible partners before giving up on finding another patient's."""


class BadIndex(ValueError):
    """A line of the index that cannot be used: names file, line and what is wrong with it."""


class TooFewSamples(ValueError):
    """An epoch is too small for the steps that the recipe and the processes make of it; the message has the numbers."""


@dataclass(frozen=True)
class IndexLine:
    """One image and what its report says."""

    id: str
    """unique within the file"""
    patient: str
    """comparison regions come from other patients"""
    split: str
    """train | validate"""
    image: Path
    """the radiograph"""
    boxes: Mapping[str, BoxXYXY]
    """region -> box in pixels of the file"""
    sentences: Mapping[str, str]
    """region -> what the report says about it; regions that are not spoken of are absent"""
    lesions: Mapping[str, str]
    """lesion that the report states -> left | right | bilateral | not mentioned"""
    roi_lesions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """region -> what it carries (D7)"""
    view: str = ""
    """AP, PA or unknown"""
    told: tuple[str, ...] | None = None
    """lesions that LCA is told in training where they are not the report's (label study, D13); LLCL and the classifier keep to ``lesions``"""

    def lesion_row(self) -> list[float]:
        """14 numbers, 1 where the report states the lesion."""
        return [float(lesion in self.lesions) for lesion in LESIONS]

    def told_row(self) -> list[float]:
        """14 numbers, 1 where LCA is told that the lesion is there."""
        return self.lesion_row() if self.told is None else [float(lesion in self.told) for lesion in LESIONS]


def write_index(lines: Iterable[IndexLine], path: Path) -> None:
    """One JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            values = {
                "id": line.id,
                "patient": line.patient,
                "split": line.split,
                "image": str(line.image),
                "view": line.view,
                "boxes": {name: list(box) for name, box in line.boxes.items()},
                "sentences": dict(line.sentences),
                "lesions": dict(line.lesions),
                "roi_lesions": {name: list(carried) for name, carried in line.roi_lesions.items()},
                **({} if line.told is None else {"told": list(line.told)}),
            }
            file.write(json.dumps(values) + "\n")
        file.flush()
        os.fsync(file.fileno())  # states that are on the disk are known by it: without power, it must not be lost before them


def read_index(path: Path, *, compat: str = "table") -> list[IndexLine]:
    """All lines, in order. Raises BadIndex for a file that is not there, or the first line that cannot be used."""
    if not path.is_file():
        raise BadIndex(f"no index at {path}; name a file of JSON lines with --index, as `python -m benchmark train clala --prepare` writes one")
    lines: list[IndexLine] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            where = f"{path.name}, line {number}"
            try:
                line = _read_line(json.loads(text), compat)
            except json.JSONDecodeError as error:
                raise BadIndex(f"{where}: no JSON object ({error})") from error
            except KeyError as error:
                raise BadIndex(f"{where}: {error.args[0]!r} is missing; needed are id, patient, split, image, boxes, sentences, lesions") from error
            except ValueError as error:
                raise BadIndex(f"{where}: {error}") from error
            if line.id in seen:
                raise BadIndex(f"{where}: id {line.id!r} was there before; an id names one image")
            seen.add(line.id)
            lines.append(line)
    if not lines:
        raise BadIndex(f"{path.name}: no line in it; the index needs one line per training image")
    return lines


def _read_line(values: dict[str, Any], compat: str) -> IndexLine:
    boxes: dict[str, BoxXYXY] = {}
    for name, box in values["boxes"].items():
        if name not in REGIONS:
            raise ValueError(f"no region named {name!r}; known: {', '.join(REGIONS)}")
        if len(box) != 4:
            raise ValueError(f"box of {name} has {len(box)} numbers; left, top, right, bottom are needed")
        boxes[name] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    told = values.get("told")
    if unknown := [name for name in (*values["lesions"], *(told or ())) if name not in LESIONS]:
        raise ValueError(f"no lesion named {unknown[0]!r}; known: {', '.join(LESIONS)}")
    if values["split"] not in ("train", "validate"):
        raise ValueError(f"split is {values['split']!r}; it must be train or validate")
    carried = values.get("roi_lesions") or {name: roi_lesions(name, values["lesions"], compat) for name in boxes}
    return IndexLine(
        id=str(values["id"]),
        patient=str(values["patient"]),
        split=values["split"],
        image=Path(values["image"]),
        boxes=boxes,
        sentences={name: text for name, text in values["sentences"].items() if text.strip()},
        lesions=dict(values["lesions"]),
        roi_lesions={name: tuple(lesions) for name, lesions in carried.items()},
        view=str(values.get("view", "")),
        told=None if told is None else tuple(told),
    )


class Samples:
    """All region samples of one split, as arrays; draws batches from them."""

    def __init__(self, lines: Sequence[IndexLine], store: CropStore, config: CLALAConfig, tokenizer: Tokenizer) -> None:
        self.lines, self.store, self.config, self.tokenizer = list(lines), store, config, tokenizer
        names = regions_of(config.roi_set)
        present = [(i, r, store.rows[i][name]) for i in range(len(lines)) for r, name in enumerate(names) if name in store.rows[i]]
        self.images = np.array([i for i, _, _ in present], dtype=np.int64)
        self.regions = np.array([r for _, r, _ in present], dtype=np.int64)
        self.crop_rows = np.array([row for _, _, row in present], dtype=np.int64)
        self.sentences = [lines[i].sentences.get(names[r], "") for i, r, _ in present]
        self.image_lesions = np.array([line.told_row() for line in lines], dtype=np.float32).reshape(-1, len(LESIONS))
        self.carried = np.zeros((len(present), NO_LESION + 1), dtype=bool)
        for row, (i, r, _) in enumerate(present):
            self.carried[row, self._classes(lines[i], names[r])] = True
        self.patients = np.unique([line.patient for line in lines], return_inverse=True)[1][self.images] if present else np.zeros(0, np.int64)
        self._partners: dict[tuple[int, int], np.ndarray] = {}
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, lesion in zip(*np.nonzero(self.carried), strict=True):
            found[self._key(int(row), int(lesion))].append(int(row))
        self._partners = {key: np.array(rows) for key, rows in found.items()}
        self._tokens = [tokenizer.for_decoder(text, config.max_tokens) for text in self.sentences]
        self._text_tokens = [tokenizer.for_encoder(text, config.max_tokens) for text in self.sentences]
        self._sentence_ids = np.array([zlib.crc32(text.encode()) if text else -1 for text in self.sentences], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.sentences)

    def _classes(self, line: IndexLine, region: str) -> list[int]:
        carried = tuple(line.lesions) if not self.config.llcl_by_region else line.roi_lesions.get(region, ())
        if carried:
            return [LESIONS.index(lesion) for lesion in carried]
        return [NO_LESION] if self.config.llcl_normal else []

    def _key(self, row: int, lesion: int) -> tuple[int, int]:
        return (int(self.regions[row]) if self.config.llcl_by_region else -1, lesion)

    def with_sentence(self) -> np.ndarray:
        """Rows that carry a sentence: regions that are not spoken of have no CE and no ITCL term (D17)."""
        return np.flatnonzero(self._sentence_ids >= 0)

    def partner(self, row: int, rng: np.random.Generator) -> int:
        """A region of another patient with a lesion in common at the same place; -1 if the split has none.

        The lesion is drawn uniformly from what the region carries, then the region among those that carry it.
        """
        lesions = np.flatnonzero(self.carried[row])
        if not len(lesions):
            return -1
        rows = self._partners[self._key(row, int(rng.choice(lesions)))]
        for _ in range(PARTNER_TRIES):
            drawn = int(rows[rng.integers(len(rows))])
            if self.patients[drawn] != self.patients[row]:
                return drawn
        others = rows[self.patients[rows] != self.patients[row]]
        return int(others[rng.integers(len(others))]) if len(others) else -1

    def epoch(self, recipe: Recipe, *, seed: int, epoch: int) -> np.ndarray:
        """Rows in the order of one epoch. Normal regions may be thinned, to a fresh part of them each time, and rare lesions repeated."""
        rng = np.random.default_rng((seed, epoch))
        rows = self.with_sentence()
        if recipe.normal_share < 1:
            normal = self.carried[rows, NO_LESION]
            rows = rows[~normal | (rng.random(len(rows)) < recipe.normal_share)]
        if recipe.repeat_below > 0:
            rows = np.repeat(rows, np.floor(self._repeats(rows, recipe.repeat_below) + rng.random(len(rows))).astype(int))
        shuffled: np.ndarray = rng.permutation(rows)
        return shuffled

    def _repeats(self, rows: np.ndarray, below: float) -> np.ndarray:
        """How often each row stands in an epoch: sqrt(below / share of its rarest lesion), at least once (Gupta et al., LVIS, CVPR 2019, App. B)."""
        carried = self.carried[rows, :NO_LESION]
        share = carried.mean(0)
        factor = np.maximum(1.0, np.sqrt(below / np.where(share > 0, share, 1.0)))
        repeats: np.ndarray = np.where(carried, factor, 1.0).max(1)
        return repeats

    def _alike_in_length(self, rows: np.ndarray, batch: int, rng: np.random.Generator) -> np.ndarray:
        """The same rows, so that a batch has sentences of about one length and is padded little; batches still come in random order."""
        lengths = np.array([len(self._tokens[row]) for row in rows])
        whole = len(rows) // batch * batch
        buckets = [np.arange(start, min(start + batch * BUCKET, whole)) for start in range(0, whole, batch * BUCKET)]
        batches = [part for bucket in buckets for part in np.split(bucket[np.argsort(lengths[bucket], kind="stable")], len(bucket) // batch)]
        order = np.concatenate([*(batches[number] for number in rng.permutation(len(batches))), np.arange(whole, len(rows))])
        sorted_rows: np.ndarray = rows[order]
        return sorted_rows

    def batch(
        self,
        rows: Sequence[int] | np.ndarray,
        *,
        crop_px: int,
        recipe: Recipe | None = None,
        seed: Sequence[int] = (),
        llcl: bool = True,
        shard: tuple[int, int] = (0, 1),
    ) -> Batch:
        """These rows as tensors; with a recipe, jittered as it says. The same seed gives the same batch.

        Process ``shard[0]`` of ``shard[1]`` gets its share of it: partners and jitter are drawn for all rows in every process, so that a row has the
        same whoever is dealt it.
        """
        rng = np.random.default_rng(list(seed) or [0])
        rows = np.asarray(rows)
        partners = np.array([self.partner(int(row), rng) for row in rows]) if llcl and self.config.llcl else np.full(len(rows), -1)
        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        number, (rank, world) = len(rows), shard
        deal = None
        if world > 1:
            words = sum(len(self._tokens[row]) - 1 for row in rows if self._sentence_ids[row] >= 0)
            deal = Deal(rank, tuple(len(rows[each::world]) for each in range(world)), words)
        own = np.arange(number)[rank::world]
        rows, partners = rows[own], partners[own]
        # An anchor without a partner is compared with itself and masked: the batch keeps its shape.
        drawn = np.where(partners >= 0, partners, rows)
        both, among = rows, (number, own)
        if self.config.llcl and llcl:
            both, among = np.concatenate([rows, drawn]), (2 * number, np.concatenate([own, number + own]))
        pixels = self._pixels(both, crop_px, recipe, noise, among)
        tokens, padding = pad_tokens([self._tokens[row] for row in rows], self.tokenizer)
        text_tokens, _ = pad_tokens([self._text_tokens[row] for row in rows], self.tokenizer)
        return Batch(
            crops=pixels[: len(rows)],
            lesions=torch.from_numpy(self.image_lesions[self.images[rows]]),
            regions=torch.from_numpy(self.regions[rows]),
            roi_lesions=torch.from_numpy(self.carried[rows]),
            tokens=tokens,
            padding=padding,
            text_tokens=text_tokens,
            sentence_ids=torch.from_numpy(self._sentence_ids[rows]),
            comparisons=pixels[len(rows) :],
            comparison_lesions=torch.from_numpy(self.carried[drawn]),
            has_partner=torch.from_numpy(partners >= 0),
            deal=deal,
        )

    def _pixels(self, rows: np.ndarray, crop_px: int, recipe: Recipe | None, noise: torch.Generator, among: tuple[int, np.ndarray]) -> Tensor:
        stored = torch.from_numpy(self.store.read(self.crop_rows[rows].tolist()))
        jitter, brightness = (recipe.jitter, recipe.brightness) if recipe else (0.0, 0.0)
        return window(stored, crop_px, self.config.crop_margin, jitter=jitter, brightness=brightness, generator=noise, among=among)

    def batches(
        self, recipe: Recipe, *, seed: int, epoch: int, crop_px: int, llcl: bool, shard: tuple[int, int] = (0, 1), start: int = 0
    ) -> Iterator[Batch]:
        """The batches of one epoch from number ``start`` on; process ``shard[0]`` of ``shard[1]`` gets its share of each.

        What a step sees follows from recipe, seed and epoch, and from batch x processes: two processes with half the batch share what one would see.
        Raises TooFewSamples.
        """
        order = self.epoch(recipe, seed=seed, epoch=epoch)
        world = shard[1]
        per_step = recipe.batch * world
        if recipe.by_length:
            order = self._alike_in_length(order, per_step, np.random.default_rng((seed, epoch, 1)))
        self.check(recipe, seed=seed, epoch=epoch, world=world)
        for number in range(start, self.steps(recipe, seed=seed, epoch=epoch, world=world)):
            rows = order[number * per_step : (number + 1) * per_step]
            yield self.batch(rows, crop_px=crop_px, recipe=recipe, seed=(seed, epoch, number, 0), llcl=llcl, shard=shard)

    def check(self, recipe: Recipe, *, seed: int, epoch: int, world: int = 1) -> None:
        """Raise TooFewSamples where some process would get no sample in some batch of that epoch."""
        number = len(self.epoch(recipe, seed=seed, epoch=epoch))
        if number - (self.steps(recipe, seed=seed, epoch=epoch, world=world) - 1) * recipe.batch * world < world:
            raise TooFewSamples(
                f"{recipe.accumulate} x {recipe.batch} region samples for each of {world} processes make one step, but an epoch has {number} "
                "of them in all, and some process would get none; lower accumulate or batch, or start fewer processes"
            )

    def steps(self, recipe: Recipe, *, seed: int, epoch: int, world: int = 1) -> int:
        """Batches in that epoch, a multiple of ``recipe.accumulate``; what is left over has its turn in another epoch."""
        whole = len(self.epoch(recipe, seed=seed, epoch=epoch)) // (recipe.batch * world)
        return whole // recipe.accumulate * recipe.accumulate or recipe.accumulate
