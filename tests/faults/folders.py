"""What lies in a run folder, for comparing two: every file but those in which times stand."""

from __future__ import annotations

import re
from pathlib import Path

MOMENT = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|"Commit","[^"]*"')
"""when the run began, and of which commit, which others may change while tests run; both stand in one part of the page"""

PLACE = re.compile(rb'"path": "[^"]*/')


def contents(folder: Path) -> dict[str, bytes]:
    """File -> bytes. ``run.json`` has times in it, and the lock the number of a process."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in (".lock", "run.json"))
    return {str(file.relative_to(folder)): _without_times(file) for file in files}


def _without_times(file: Path) -> bytes:
    data = file.read_bytes()
    if file.name == "cases.jsonl":  # names images by their place, and working folders have places of their own
        return PLACE.sub(b'"path": "', data)
    return MOMENT.sub(b"", data) if file.parent.name == "page" and file.name == "run.js" else data
