"""One scene graph of Chest ImaGenome: its boxes, its phrases by region, and the silver labels of the paper's lesions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.datasets.encodings import decode
from benchmark.datasets.listed_rows import dicom_id
from benchmark.records import BoxXYXY

COORDINATES = ("original_x1", "original_y1", "original_x2", "original_y2")

# The nearest labels of Chest ImaGenome to NIH ChestX-ray14's classes; our choice (spec 1.8), used to stratify, never to score.
SILVER_LESIONS: Mapping[str, tuple[str, ...]] = {
    "cardiomegaly": ("enlarged cardiac silhouette",),
    "emphysema": ("copd/emphysema",),
    "pleural effusion": ("pleural effusion",),
    "hernia": ("hernia",),
    "nodule": ("calcified nodule", "mass/nodule (not otherwise specified)", "multiple masses/nodules"),
    "pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "atelectasis": ("atelectasis", "linear/patchy atelectasis", "lobar/segmental collapse"),
    "pleural thickening": ("pleural/parenchymal scarring",),
    "mass": ("mass/nodule (not otherwise specified)", "superior mediastinal mass/enlargement", "lung cancer"),
    "edema": ("pulmonary edema/hazy opacity",),
    "consolidation": ("consolidation",),
    "infiltration": ("infiltration",),
    "fibrosis": ("interstitial lung disease", "increased reticular markings/ild pattern"),
    "pneumonia": ("pneumonia",),
}
_LESIONS_OF_LABEL: dict[str, list[str]] = {}
for _lesion, _labels in SILVER_LESIONS.items():
    for _label in _labels:
        _LESIONS_OF_LABEL.setdefault(_label, []).append(_lesion)


class UnreadableSceneGraph(ValueError):
    """A file that is not JSON, or not a scene graph."""


@dataclass(frozen=True)
class SceneGraph:
    """What a scene graph says about one image."""

    boxes_xyxy: tuple[tuple[str, BoxXYXY], ...]
    """region and box in pixels of the original image, as the file has them: faults and repetitions included"""
    phrases: Mapping[str, tuple[str, ...]]
    """region -> what the report says of it, one phrase after another"""
    lesions: frozenset[str]
    """the paper's lesions that a phrase affirms"""
    dicom: str
    """id of the image that it says it is of; empty where it does not say"""


def file_name(dicom: str) -> str:
    """What the scene graph of an image is called."""
    return f"{dicom}_SceneGraph.json"


def parse(content: bytes) -> SceneGraph:
    """The scene graph in a file. Raises UnreadableSceneGraph."""
    try:
        try:
            graph = json.loads(content)
        except UnicodeDecodeError:
            graph = json.loads(decode(content))
    except ValueError as error:
        raise UnreadableSceneGraph(f"no JSON ({error})" if content.strip() else "an empty file") from error
    except RecursionError as error:
        raise UnreadableSceneGraph("JSON that is nested deeper than any scene graph") from error
    if not isinstance(graph, dict) or not isinstance(graph.get("objects"), list):
        raise UnreadableSceneGraph("JSON without the list of objects")
    attributes = [one for one in _list(graph, "attributes") if isinstance(one, dict)]
    labels = [label for one in attributes for label in _labels_of(one)]
    return SceneGraph(
        boxes_xyxy=tuple(_boxes(graph["objects"])),
        phrases=_phrases(attributes),
        lesions=frozenset(lesion for _, yes, label in labels if yes for lesion in _LESIONS_OF_LABEL.get(label, ())),
        dicom=dicom_id(str(graph.get("image_id") or "")),
    )


def _boxes(objects: Sequence[Any]) -> list[tuple[str, BoxXYXY]]:
    """Region and box; what lacks a coordinate becomes a box of NaN, so that the fault rule counts it."""
    found = []
    for one in objects:
        if not isinstance(one, dict) or not isinstance(one.get("bbox_name"), str):
            continue
        left, top, right, bottom = (_number(one.get(key)) for key in COORDINATES)
        found.append((one["bbox_name"], (left, top, right, bottom)))
    return found


def _number(value: Any) -> float:
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _list(holder: Mapping[str, Any], key: str) -> list[Any]:
    """What is listed there, nothing where it is lacking. Raises UnreadableSceneGraph where it is no list."""
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableSceneGraph(f"{key} that are no list")
    return value


def _phrases(attributes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """A region that has two entries keeps the phrases of both."""
    found: dict[str, tuple[str, ...]] = {}
    for one in attributes:
        phrases = tuple(phrase for phrase in _list(one, "phrases") if isinstance(phrase, str))
        if phrases and isinstance(one.get("bbox_name"), str):
            found[one["bbox_name"]] = found.get(one["bbox_name"], ()) + phrases
    return found


def _labels_of(attribute: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """(category, affirmed, label) of every string "category|yes|label" of one entry."""
    found = []
    for of_phrase in _list(attribute, "attributes"):
        for text in of_phrase if isinstance(of_phrase, list) else ():
            parts = text.split("|", 2) if isinstance(text, str) else ()
            if len(parts) == 3:
                found.append((parts[0], parts[1] == "yes", parts[2].strip().lower()))
    return found
