"""What RaDialog is told before it looks: the findings of a classifier, or those of a file, in the words of its prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.metrics.chexbert import OBSERVATIONS
from benchmark.records import UserError

NO_FINDING, DEVICES = "No Finding", "Support Devices"
LABELS = (NO_FINDING, *OBSERVATIONS[:-1])  # in the order of the classifier's answers; findings_classifier/chexpert_train.py
NOTHING = "no common findings"  # data/create_data.py
FROM_FILE = "file:"


class NoFindings(UserError):
    """Findings that are to be taken from a file cannot be; the message says what is wrong with it."""


def in_words(labels: Sequence[str]) -> str:
    """The labels as the prompt says them, in their order: "No Finding" stands down where there is one that is more than a device.

    As the authors' test.py does it; their demo leaves out this rule, and the words for nothing.
    """
    kept = list(labels)
    if NO_FINDING in kept and any(label not in (NO_FINDING, DEVICES) for label in kept):
        kept.remove(NO_FINDING)
    return ", ".join(kept).lower() if kept else NOTHING


def file_named(setting: str) -> Path | None:
    """The file of ``file:PATH``; None where the classifier is to be asked. Raises ``NoFindings``."""
    if setting == "classifier":
        return None
    if setting.startswith(FROM_FILE) and setting != FROM_FILE:
        return Path(setting.removeprefix(FROM_FILE)).expanduser()
    raise NoFindings(f"radialog has no findings={setting!r}; known: classifier, or file:PATH (JSON, dicom id -> list of labels)")


def read_findings(file: Path) -> dict[str, tuple[str, ...]]:
    """Dicom id -> labels, as the authors published theirs; one that is given twice counts once. Raises ``NoFindings``."""
    who = f"radialog.findings=file:{file.name}"
    try:
        told: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # the last of lists within lists
        why = error.strerror if isinstance(error, OSError) else error
        raise NoFindings(f"{who}: cannot be read ({why}); name a JSON file with dicom ids and a list of labels for each") from error
    if not isinstance(told, Mapping) or not all(isinstance(labels, list) for labels in told.values()):
        raise NoFindings(f"{who}: should be an object of dicom ids with a list of labels each; write it so, or have the classifier asked")
    for image, labels in told.items():
        if strange := [label for label in labels if label not in LABELS]:
            raise NoFindings(f"{who}: {image} has the label {strange[0]!r}, which the model was not trained with; known: {', '.join(LABELS)}")
    return {image: tuple(dict.fromkeys(labels)) for image, labels in told.items()}
