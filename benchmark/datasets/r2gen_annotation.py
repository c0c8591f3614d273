"""R2Gen's ``annotation.json``: which images are in which split, and the text that is the reference (Chen et al., EMNLP 2020, cuhksz-nlp/R2Gen)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from benchmark.datasets.encodings import decode
from benchmark.datasets.listed_rows import patient_id, study_id
from benchmark.datasets.split import SPLITS
from benchmark.records import UserError

KEYS = {"train": "train", "val": "validate", "valid": "validate", "validate": "validate", "test": "test"}
"""words for the splits, in the file or in an item -> ours"""
_PLACE = re.compile(r"p(\d+)/s(\d+)/([^/]+)\.[A-Za-z0-9]+$")


class BadAnnotation(UserError):
    """An annotation.json that is not R2Gen's."""


class Place(NamedTuple):
    """What the path of an image of MIMIC-CXR says."""

    subject: str
    study: str
    dicom: str


class Item(NamedTuple):
    """One line of it."""

    id: str
    """dicom id in MIMIC-CXR's file, folder of the study's images in IU X-Ray's"""
    split: str
    """train | validate | test"""
    report: str
    """as the file has it, line breaks included"""
    images: tuple[str, ...]
    """paths below the folder of images"""
    subject: str
    """of MIMIC-CXR; empty where neither the item nor its path says"""
    study: str


def read_items(path: Path) -> list[Item]:
    """All items in the order of the file. Raises BadAnnotation.

    An item's own word for its split is believed first. Spaces around keys mean nothing; in some copies the key of the test split is nothing but
    spaces: one unknown key is the one that is missing.
    """
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise BadAnnotation(f"{path}: R2Gen's annotation.json cannot be read ({error.strerror or error}); check the path") from error
    try:
        content = {key: [_trimmed(item) for item in listed] for key, listed in json.loads(text).items()}
        splits = _splits(path, list(content))
        return [_item(item, splits[key]) for key, listed in content.items() for item in listed]
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise BadAnnotation(
            f"{path}: was to be R2Gen's annotation.json, lists of items with an id under train, val and test; found something else "
            f"({type(error).__name__}: {error}); mend it, move it away, or choose another split_rule"
        ) from error


def _trimmed(item: dict[str, object]) -> dict[str, object]:
    return {key.strip(): value for key, value in item.items()}


def _item(item: dict[str, object], split: str) -> Item:
    images = item.get("image_path") or ()
    paths = (images,) if isinstance(images, str) else tuple(str(image).strip() for image in images)  # type: ignore[attr-defined]
    place = place_of(paths[0]) if paths else None
    subject, study = (str(item.get(key, "")).strip() for key in ("subject_id", "study_id"))
    if place:
        subject, study = subject or place.subject, study or place.study
    own = KEYS.get(str(item.get("split", "")).strip().lower(), split)
    return Item(str(item["id"]).strip(), own, str(item.get("report") or ""), paths, patient_id(subject), study_id(study))


def place_of(path: str) -> Place | None:
    """What a path says of its image; None of one that is not MIMIC-CXR's."""
    found = _PLACE.search(path)
    return Place(*found.groups()) if found else None


def _splits(path: Path, keys: list[str]) -> dict[str, str]:
    """key as written -> split."""
    known = {key: KEYS[key.strip().lower()] for key in keys if key.strip().lower() in KEYS}
    unknown, missing = [key for key in keys if key not in known], [split for split in SPLITS if split not in known.values()]
    if len(unknown) == len(missing) == 1:
        known[unknown[0]] = missing[0]
    elif unknown:
        raise BadAnnotation(f"{path}: was to have the splits train, val and test, found {', '.join(map(repr, keys))}; rename its keys")
    return known
