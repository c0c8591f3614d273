"""What lies in a run folder, for comparing two: every file, without the times that stand in it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

MOMENT = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|"Commit","[^"]*"')
"""when the run began, and of which commit, which others may change while tests run; both stand in one part of the page"""

PLACE = re.compile(rb'"path": "[^"]*/')

OF_ONE_RUN = ("seconds", "stages", "started", "begun_in", "provenance", "steps")
"""what ``run.json`` says of when, where and how long; what it says of files is told by ``seal_is_true``"""


def contents(folder: Path) -> dict[str, Any]:
    """File -> its bytes, or what ``run.json`` says; the lock has the number of a process."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): _said(file) if file.name == "run.json" else _without_times(file) for file in files}


def seal_is_true(folder: Path) -> None:
    """If there is a ``run.json``, every file that it vouches for is there and whole, and so is every table."""
    if not (folder / "run.json").exists():
        return
    files = json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() if (folder / name).exists() else "" for name in files}
    assert found == files
    assert {"rows.csv", "summary.md", "table1.tex", "references.jsonl"} <= set(files)


def _said(file: Path) -> dict[str, Any]:
    record = json.loads(file.read_text(encoding="utf-8"))
    return {name: sorted(value) if name == "files" else value for name, value in record.items() if name not in OF_ONE_RUN}


def _without_times(file: Path) -> bytes:
    data = file.read_bytes()
    if file.name == "cases.jsonl":  # names images by their place, and working folders have places of their own
        return PLACE.sub(b'"path": "', data)
    return MOMENT.sub(b"", data) if file.parent.name == "page" and file.name == "run.js" else data
