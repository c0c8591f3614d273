"""A run's page written by hand, by the shapes that benchmark/viewer writes: texts that try to break it, and as many cases as wanted.

Kept apart from the code that writes real pages, so that the page is tried on what it must bear and not only on what that code writes today.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.viewer.page import page_html

NOTE = "Drawn by a test, not patients."
LESIONS = (
    *("enlarged cardiomediastinum", "cardiomegaly", "lung opacity", "lung lesion", "pulmonary edema", "consolidation", "pneumonia", "atelectasis"),
    *("pneumothorax", "pleural effusion", "pleural abnormality", "fracture", "support devices", "hernia"),
)
CARDIOMEGALY, PNEUMOTHORAX, EFFUSION = (1 << LESIONS.index(name) for name in ("cardiomegaly", "pneumothorax", "pleural effusion"))
NUMBERS = (
    ("lesions.micro_f1", "Lesion F1 (14, micro)", False),
    ("rouge_l.f1", "ROUGE-L (google, stem)", False),
    ("degeneration.repeated", "Repeated words", True),
    ("disagreement", "Disagreement between metrics", None),
)
SCRIPT = "<script>alert(1)</script>"
HARD_REFERENCE = (
    f"Heart is large. {SCRIPT} Small left pleural effusion. 🫁 No pneumothorax. القلب متضخم. " + "pneumonoultramicroscopicsilicovolcanoconiosis" * 4
)
BOXES = {
    "right lung": [60, 80, 240, 390],
    "left lung": [280, 80, 460, 390],
    "cardiac silhouette": [200, 230, 370, 400],
    "left costophrenic angle": [400, 350, 470, 420],
}
BLOCK_SIZE = 50
REPORTS = {
    "clala": "The heart is enlarged. There is a small left pleural effusion. A right apical pneumothorax is seen.",
    "retrieval": "Cardiac silhouette is enlarged. Small right pleural effusion. No pneumothorax.",
    "constant": "The heart size is normal. The lungs are clear. There is no pleural effusion or pneumothorax.",
    "</script><b>bold</b>": f"{SCRIPT} The heart is enlarged. 💥 {'very ' * 60}long.",
}


def write_sample(folder: Path, cases: int = 120, models: Sequence[str] = (*REPORTS, "absent"), blocks: int | None = None) -> Path:
    """``index.html`` and its parts in ``folder``, with only the first ``blocks`` if asked; a model named absent has no reports. Gives the page."""
    rng = np.random.default_rng(7)
    page = folder / "page"
    (page / "images").mkdir(parents=True)
    reference = rng.integers(0, 2**14, cases) & rng.integers(0, 2**14, cases)
    reference[:4] = [CARDIOMEGALY | EFFUSION, CARDIOMEGALY, CARDIOMEGALY | EFFUSION, CARDIOMEGALY][:cases]
    masks = {label: _masks(rng, reference) for label in models if label != "absent"}
    values = [[None if label == "absent" else _numbers(rng, cases) for label in models] for _ in NUMBERS]
    ids = [f"s{place:05d}-{zlib.crc32(str(place).encode()):08x}" for place in range(cases)]
    _part(page, "run", _run(cases, models))
    views = {"words": ["", "AP", "PA"], "codes": _column(rng.integers(1, 3, cases), "u8")}
    _part(
        page,
        "cases",
        {"ids": ids, "patients": [f"p{place // 2:05d}" for place in range(cases)], "views": views, "reference_lesions": _column(reference, "u16")},
    )
    for place, label in enumerate(models):
        if label != "absent":
            _part(page, f"model-{place}", {name: _column(column, "u8" if name == "state" else "u16") for name, column in masks[label].items()})
    for place, columns in enumerate(values):
        _part(page, f"number-{place}", {"values": [None if column is None else _column(column, "f32") for column in columns]})
    for block in range(-(-cases // BLOCK_SIZE) if blocks is None else blocks):
        places = range(block * BLOCK_SIZE, min(cases, (block + 1) * BLOCK_SIZE))
        _part(page, f"block-{block}", [_record(place, ids[place], models, values) for place in places])
    _part(page, "images", {"how": "copies", "why": "", "sizes": None, "absent": {"1-0": "the file is missing"}})
    for name in ("0-0", "0-1", *(f"{place}-0" for place in range(2, min(cases, 120)))):
        (page / "images" / f"{name}.jpg").write_bytes(_picture())
    return _page(folder, f"Sample, {cases} cases")


def _page(folder: Path, title: str) -> Path:
    (folder / "index.html").write_text(page_html(title, NOTE, []), encoding="utf-8")
    return folder / "index.html"


def _run(cases: int, models: Sequence[str]) -> dict[str, Any]:
    absent = [
        {"label": label, "failed": "out of memory" if label == "absent" else "", "reports": cases, "failures": 1, "empty": 1, "card": []}
        for label in models
    ]
    return {
        "format": 1,
        "title": f"Sample, {cases} cases",
        "note": NOTE,
        "dataset": {"name": "sample", "split": "test", "fingerprint": "0" * 16, "is_private": False, "cases": cases, "patients": -(-cases // 2)},
        "settings": [["Labeller", "rules"]],
        "signatures": [],
        "notes": [],
        "problems": [],
        "tables": [],
        "models": absent,
        "lesions": list(LESIONS),
        "has_lesions": True,
        "labelled_by": "rules",
        "numbers": [{"key": key, "title": title, "lower_is_better": lower, "least": 0, "most": 1} for key, title, lower in NUMBERS],
        "rows": [],
        "strata": [],
        "differences": [],
        "failed_cases": [],
        "failure_kinds": [],
        "block_size": BLOCK_SIZE,
        "blocks": -(-cases // BLOCK_SIZE),
        "cases": cases,
        "made_by": "test",
    }


def _numbers(rng: np.random.Generator, cases: int) -> np.ndarray:
    """Of the first four cases: 0.1, 0.9, none, 0.5; of the others anything between 0 and 1."""
    return np.concatenate([[0.1, 0.9, np.nan, 0.5], rng.random(cases)])[:cases].astype(np.float32)


def _masks(rng: np.random.Generator, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Case 0 has two hits and an invention, 1 is all right, 2 failed, 3 is empty and misses a lesion; the others are drawn."""
    written = rng.integers(0, 2**14, len(reference)) & rng.integers(0, 2**14, len(reference))
    written[:4] = [CARDIOMEGALY | EFFUSION | PNEUMOTHORAX, CARDIOMEGALY, 0, 0][: len(reference)]
    masks = {"state": np.zeros(len(reference), int), "hit": reference & written, "missed": reference & ~written, "invented": written & ~reference}
    masks["wrong_side"] = masks["hit"] & EFFUSION
    masks["wrong_side"][0:1] = 0
    masks["state"][2:4] = [1, 2][: len(reference[2:4])]
    masks["missed"][2:3] = 0
    return masks


def _record(place: int, case_id: str, models: Sequence[str], values: Sequence[Sequence[np.ndarray | None]]) -> dict[str, Any]:
    reference = HARD_REFERENCE if place == 0 else "Heart is large. Small left pleural effusion. No pneumothorax."
    images = [{"name": f"{case_id}.jpg", "view": "PA", "width": 512, "height": 512}]
    if place == 0:
        images.append({"name": f"{case_id}-lateral.jpg", "view": "LATERAL", "width": 512, "height": 512})
    said = _text(
        reference,
        [
            ("cardiomegaly", "positive", "not mentioned", "Heart is large"),
            ("pleural effusion", "positive", "left", "Small left pleural effusion"),
            ("pneumothorax", "negative", "not mentioned", "No pneumothorax"),
        ],
    )
    said["regions"] = [
        {"region": "cardiac silhouette", "text": "Heart is large.", "into": [0]},
        {"region": "left lung", "text": "Small left pleural effusion.", "into": [2 if place == 0 else 1]},
    ]
    return {
        "place": place,
        "id": case_id,
        "patient": f"p{place // 2:05d}",
        "study": f"s{place}",
        "context": [["Indication", "Dyspnoea, ?effusion"], ["Comparison", "None."]],
        "images": images,
        "boxes": BOXES,
        "reference": said,
        "reports": [
            None if label == "absent" else _report(place, label, [None if columns[at] is None else float(columns[at][place]) for columns in values])
            for at, label in enumerate(models)
        ],
    }


def _report(place: int, label: str, numbers: list[float | None]) -> dict[str, Any]:
    if place == 2:
        return {"failure": f"ran out of memory {SCRIPT}"}
    text = "" if place == 3 else REPORTS.get(label, REPORTS["clala"])
    found = {"cardiomegaly": "hit", "pleural effusion": "hit", "pneumothorax": "invented"}
    if label == "retrieval":
        found = {"cardiomegaly": "hit", "pleural effusion": "wrong side"}
    if label == "constant" or not text:
        found = {"cardiomegaly": "missed", "pleural effusion": "missed"}
    words = [
        ("cardiomegaly", "positive", "not mentioned", "heart is enlarged"),
        ("cardiomegaly", "positive", "not mentioned", "Cardiac silhouette is enlarged"),
        ("pleural effusion", "positive", "left", "small left pleural effusion"),
    ]
    words += [
        ("pleural effusion", "positive", "right", "Small right pleural effusion"),
        ("pneumothorax", "positive", "right", "right apical pneumothorax"),
        ("pneumothorax", "negative", "not mentioned", "No pneumothorax"),
    ]
    words += [("pleural effusion", "negative", "not mentioned", "no pleural effusion")]
    report = _text(text, words) | {
        "regions": [
            {"region": "cardiac silhouette", "text": "the heart is enlarged.", "into": [0]},
            {"region": "left lung", "text": "small effusion.", "into": [1]},
            {"region": "spine", "text": "unremarkable.", "into": []},
        ],
        "boxes": {name: [edge + 6 for edge in box] for name, box in BOXES.items()},
        "told": ["pleural effusion"],
        "details": [["missing regions", "none"]],
        "lesions_found": found,
        "numbers": numbers,
        "disagreement": ["rouge_l.f1", "lesions.micro_f1"],
        "evidence": [
            {
                "metric": "consistency",
                "title": "Judge (rules)",
                "items": [{"about": "Clinical accuracy", "value": "3 of 5", "words": "two of three lesions agree"}],
            }
        ],
    }
    return report if label == "clala" else report | {"regions": [], "boxes": {}, "told": []}


def _text(text: str, words: Sequence[tuple[str, str, str, str]]) -> dict[str, Any]:
    """A text with its sentences (cut after every full stop and blank) and lesions, in UTF-16 code units as JavaScript counts."""
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in range(len(text) + 1)]
    ends = [at + 1 for at, letter in enumerate(text) if letter == "." and text[at + 1 : at + 2] in ("", " ")]
    starts = [0, *(end + 1 for end in ends)]
    sentences = [[units[start], units[end]] for start, end in zip(starts, ends, strict=False)]
    lesions = []
    for name, status, side, said in words:
        at = text.find(said)
        if at >= 0:
            lesions.append({"name": name, "status": status, "side": side, "certainty": "stated", "start": units[at], "end": units[at + len(said)]})
            if side == "right" and text.startswith("Cardiac silhouette"):
                lesions[-1]["also"] = [[0, units[len("Cardiac silhouette")]]]  # said in a second place
    return {"text": text, "sentences": sentences, "lesions": lesions}


def _part(page: Path, name: str, value: object) -> None:
    (page / f"{name}.js").write_text(f"CLALA.part({json.dumps(name)}, {json.dumps(value)});\n")


def _column(values: np.ndarray, kind: str) -> dict[str, str]:
    packed = np.asarray(values).astype({"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}[kind])
    return {"type": kind, "data": base64.b64encode(packed.tobytes()).decode()}


def _picture() -> bytes:
    """A grey picture of 64 x 64 with a bright middle. PNG, whatever its name says: a browser looks at the first bytes."""
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    grey = (220 * np.exp(-3 * (rows**2 + columns**2))).astype(np.uint8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.tobytes() for row in grey)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
