"""A finished run as it was sealed: every file that ``run.json`` vouches for has the content that it had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.records import Report, RunConfig
from benchmark.runs import ModelFolder, RunFolder, sha256
from benchmark.tables.finished import NoFinishedRun, read_finished, reading

OF_NUMBERS = ("cases.jsonl", "references.jsonl", "reports.jsonl")
"""files that numbers are made of; tables and pictures may be thrown away, and statistics too, which are made again"""


class EditedRun(NoFinishedRun):
    """A run whose files are not those that were sealed; the message names the first."""


@dataclass(frozen=True)
class SealedRun:
    """A run that can be measured again."""

    path: Path
    record: Mapping[str, Any]
    config: RunConfig
    cases: dict[str, str]
    """case id -> patient, in order"""
    references: dict[str, str]
    """case id -> text"""

    @property
    def models(self) -> list[str]:
        """Those that came to the end."""
        return [model for model, about in self.record["models"].items() if "failed" not in about]

    @property
    def failed(self) -> dict[str, str]:
        """Those that did not, and why."""
        return {model: str(about["failed"]) for model, about in self.record["models"].items() if "failed" in about}

    def reports(self, model: str) -> list[Report]:
        """One per case, in order."""
        return RunFolder(self.path).model(model).reports()

    def folder(self, model: str) -> ModelFolder:
        """Where its statistics are kept, to be read alone: a comparison leaves a sealed run as it is."""
        return _Kept(RunFolder(self.path).model(model).path)


class _Kept(ModelFolder):
    """A model's folder that is read and never written."""

    def write_statistics(self, metric: str, statistics: np.ndarray, made_of: str) -> None:
        """Nothing."""


def read_sealed(folder: Path) -> SealedRun:
    """The run of a folder. Raises ``NoFinishedRun``, ``EditedRun``."""
    with reading(folder):
        return _read_sealed(folder)


def _read_sealed(folder: Path) -> SealedRun:
    record = read_finished(folder).record
    sealed: Mapping[str, str] = record.get("files", {})
    kept = {name: digest for name, digest in sealed.items() if name.rpartition("/")[2] in OF_NUMBERS}
    if not kept:
        raise NoFinishedRun(f"{folder} is to be read, and its run.json has no checksums of cases and reports (an older version); measure it anew")
    statistics = {name: digest for name, digest in sealed.items() if name.endswith(".npz") and (folder / name).is_file()}
    for name, digest in {**kept, **statistics}.items():
        if not (folder / name).is_file():
            raise EditedRun(f"{folder} is to be read, and {name} is gone since it was sealed; measure it anew")
        if sha256(folder / name) != digest:
            raise EditedRun(f"{folder} is to be read, and {name} was edited since it was sealed (another checksum); measure it anew")
    cases = {line["id"]: line["patient"] for line in _lines(folder / "cases.jsonl")}
    references = {line["case_id"]: line["report"] for line in _lines(folder / "references.jsonl")}
    return SealedRun(folder, record, _config(record["config"]), cases, references)


def _config(said: Mapping[str, Any]) -> RunConfig:
    """The configuration as ``run.json`` has it; a setting that the version of then did not know has its default."""
    known = {one.name for one in fields(RunConfig)}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if name in known}
    return RunConfig(**values)


def _lines(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8", errors="surrogatepass") as lines:
        return [json.loads(line) for line in lines]
