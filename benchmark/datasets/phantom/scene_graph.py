"""The scene graph of one image, as Chest ImaGenome 1.0.0 writes it, with the faults that the real files have."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from benchmark.datasets.phantom.anatomy import UNREPORTED
from benchmark.datasets.phantom.reports import Sentence
from benchmark.vocabulary import PAPER_REGIONS, REGIONS

IntBox = tuple[int, int, int, int]
FRAME = 224  # Chest ImaGenome: long side scaled to 224, centred zero padding
CHANGE = {"unchanged": "no change", "increased": "worsened", "decreased": "improved", "new": "worsened", "resolved": "improved"}
CUES = {"unchanged": "stable", "increased": "increased", "decreased": "decreased", "new": "new", "resolved": "resolved"}


def scene_graph(
    image: Mapping[str, Any],
    boxes: Mapping[str, IntBox],
    size_px: tuple[int, int],
    sentences: Sequence[Sentence],
    previous_dicom: str | None,
    missed: Collection[str] = (),
) -> dict[str, Any]:
    """The whole file; ``image`` has the top-level fields, ``boxes`` may be faulty or lack objects, ``missed`` regions get no phrases."""
    dicom, study = image["image_id"], image["study_id"]
    attributes, relationships = [], []
    numbered = [(f"{study}|{k}", sentence) for k, sentence in enumerate(sentences, 1)]
    for region in REGIONS:
        own = [(key, sentence) for key, sentence in numbered if region in sentence.regions]
        if not own or region in missed:
            continue
        attributes.append(_attributes(f"{dicom}_{region}", region, own))
        for key, sentence in own:
            if sentence.change and previous_dicom:
                relationships.append(_relationship(f"{dicom}_{region}", f"{previous_dicom}_{region}", region, key, sentence))
    return {
        **image,
        "objects": [_object(dicom, name, box, size_px) for name, box in boxes.items()],
        "attributes": attributes,
        "relationships": relationships,
    }


def faulty_boxes(rng: np.random.Generator, boxes: Mapping[str, IntBox], size_px: tuple[int, int]) -> dict[str, IntBox]:
    """The boxes with the faults of the silver annotations at about their rates: left out, negative, beyond the image, without area."""
    out = dict(boxes)
    w, h = size_px
    names = [name for name in boxes if name not in PAPER_REGIONS or rng.random() < 0.3]
    if rng.random() < 0.05:
        for name in rng.choice(names, size=int(rng.integers(1, 4)), replace=False).tolist():
            del out[name]
    for chance, fault in ((0.02, "negative"), (0.02, "beyond"), (0.015, "no area")):
        if rng.random() < chance:
            name = str(rng.choice([n for n in names if n in out]))
            x1, y1, x2, y2 = out[name]
            shift = int(rng.integers(3, 12))
            out[name] = {"negative": (x1 - w, -shift, x2 - w, y2), "beyond": (x1, y1 + h, x2 + shift, y2 + h), "no area": (x1, y1, x1, y2)}[fault]
    return out


def missed_regions(rng: np.random.Generator) -> frozenset[str]:
    """Regions whose sentences the extraction failed to file, so that phrases are about as available as in the real files."""
    chance = rng.random(len(REGIONS))
    return frozenset(name for name, u in zip(REGIONS, chance, strict=True) if u < (0.02 if name in ("left lung", "right lung") else 0.2))


def boxes_without_area(boxes: Mapping[str, IntBox]) -> dict[str, IntBox]:
    """Every one of the paper's regions collapsed: an image that a reader has to drop."""
    return {name: (x1, y1, x1, y1) if name in PAPER_REGIONS else (x1, y1, x2, y2) for name, (x1, y1, x2, y2) in boxes.items()}


def _object(dicom: str, name: str, box: IntBox, size_px: tuple[int, int]) -> dict[str, Any]:
    w, h = size_px
    scale = FRAME / max(w, h)
    dx, dy = (FRAME - w * scale) / 2, (FRAME - h * scale) / 2
    x1, y1, x2, y2 = box
    small = [round(x1 * scale + dx), round(y1 * scale + dy), round(x2 * scale + dx), round(y2 * scale + dy)]
    return {
        "object_id": f"{dicom}_{name}",
        "x1": small[0],
        "y1": small[1],
        "x2": small[2],
        "y2": small[3],
        "width": small[2] - small[0],
        "height": small[3] - small[1],
        "bbox_name": name,
        "synsets": [_synset(name)],
        "name": _long_name(name),
        "original_x1": x1,
        "original_y1": y1,
        "original_x2": x2,
        "original_y2": y2,
        "original_width": x2 - x1,
        "original_height": y2 - y1,
    }


def _attributes(object_id: str, region: str, own: Sequence[tuple[str, Sentence]]) -> dict[str, Any]:
    """All phrases of one region; the lists are parallel, one entry per phrase."""
    named = any(any(word in sentence.text.lower() for word in re.split(r"\W+", region) if len(word) > 3) for _, sentence in own)
    return {
        region: named,
        "bbox_name": region,
        "synsets": [_synset(region)],
        "name": _long_name(region),
        "attributes": [list(sentence.attributes) or ["nlp|yes|normal"] for _, sentence in own],
        "attributes_ids": [[_concept(label) for label in sentence.attributes] or [_concept("nlp|yes|normal")] for _, sentence in own],
        "phrases": [sentence.text for _, sentence in own],
        "phrase_IDs": [key for key, _ in own],
        "sections": ["finalreport"] * len(own),
        "comparison_cues": [[f"comparison|yes|{CHANGE[s.change]}"] if s.change else [] for _, s in own],
        "temporal_cues": [[f"temporal|yes|{CUES[s.change]}"] if s.change in ("new", "resolved") else [] for _, s in own],
        "severity_cues": [[f"severity|yes|{s.severity}"] if s.severity else [] for _, s in own],
        "texture_cues": [
            [f"texture|yes|{word}" for word in ("linear", "patchy", "reticular", "calcified", "hazy") if word in s.text.lower()] for _, s in own
        ],
        "object_id": object_id,
    }


def _relationship(subject: str, earlier: str, region: str, key: str, sentence: Sentence) -> dict[str, Any]:
    word = CHANGE[sentence.change]
    return {
        "relationship_id": f"{key}|{region}",
        "predicate": f"['{'No status change' if word == 'no change' else word.capitalize()}']",
        "synsets": ["C0442739" if word == "no change" else "C0332271" if word == "worsened" else "C0184511"],
        "relationship_names": [f"comparison|yes|{word}"],
        "relationship_contexts": [1.0],
        "phrase": sentence.text,
        "attributes": [label for label in sentence.attributes if not label.startswith("nlp")],
        "bbox_name": region,
        "subject_id": subject,
        "object_id": earlier,
    }


def _long_name(name: str) -> str:
    """The dataset's capitalised name of the structure."""
    return name.capitalize() if name not in UNREPORTED else name.title()


@lru_cache(maxsize=512)
def _synset(name: str) -> str:
    """A made-up concept number in UMLS's form: ours are phantoms, and nothing looks them up."""
    return f"C{sum(ord(c) * 31**k for k, c in enumerate(name)) % 10_000_000:07d}"


def _concept(label: str) -> str:
    return f"{_synset(label)};;{label}"
