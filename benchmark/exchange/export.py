"""A finished run written as files of another harness, one for each model. Text that may not travel is written only when that is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from benchmark.exchange import inspect_log, lm_eval, radeval, rexrank
from benchmark.exchange.contents import Contents, TextCannotTravel, check_texts
from benchmark.gate.sealed import SealedRun, read_sealed
from benchmark.records import UserError
from benchmark.registry import UnknownName
from benchmark.runs import folder_name, write_atomically, writing

SHAPES: Mapping[str, ModuleType] = {"radeval": radeval, "rexrank": rexrank, "lm-eval": lm_eval, "inspect": inspect_log}
"""each has ``written(contents)`` and ``read(text, path)``"""


class TextNotAsked(UserError):
    """Text of credentialed data is to be written, and nobody has said so."""


class FileThere(UserError):
    """Where the export is to lie, something lies."""


class Exported(NamedTuple):
    """One file that was written."""

    model: str
    file: Path
    reports: int
    failures: int


def export_run(run: Path, to: str, out: Path, *, models: Sequence[str] = (), with_text: bool = False) -> list[Exported]:
    """Write models of a run, all that came to the end if none is named. ``out`` is a folder, or with one model a file of the shape's ending.

    Raises ``NoFinishedRun``, ``EditedRun``, ``UnknownName``, ``TextNotAsked``, ``TextCannotTravel``, ``FileThere``, ``CannotWrite``; nothing is
    written then, unless the disk refuses half-way.
    """
    shape = shape_of(to)
    sealed = read_sealed(run)
    is_private = bool(sealed.record["dataset"].get("is_private", True))
    if is_private and not with_text:
        raise TextNotAsked(
            f"{run} is to be exported, and its texts may not leave this machine or are of unknown right; "
            "if your data use agreement allows the files where they will lie, say so with --with-text"
        )
    chosen = list(dict.fromkeys(models)) or sealed.models
    for model in chosen:
        if model not in sealed.models:
            raise UnknownName(f"no model named {model!r} came to the end in {run}; known: {', '.join(sealed.models) or 'none'}")
    is_file = out.suffix == shape.ENDING
    if is_file and len(chosen) != 1:
        raise FileThere(f"{out} is one file, and {len(chosen)} models are to be exported; name a folder, or one of them with --models")
    files = {model: out if is_file else out / _name(model, to, sealed) for model in chosen}
    written = {}
    for model, file in files.items():
        if file.exists():
            raise FileThere(f"{file} is to be written, and is there already; choose another place with --out, or delete it")
        contents = _contents(sealed, model)
        check_texts(contents, f"{model} of {run} is to be exported")
        written[file] = shape.written(contents), Exported(model, file, len(contents.texts), len(contents.failures))
    with writing(out):
        if is_private:
            _keep_private(out.parent if is_file else out, list(written))
        for file, (text, _) in written.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text)
            if is_private:
                file.chmod(0o600)
    return [about for _, about in written.values()]


def shape_of(name: str) -> ModuleType:
    """The shape of a name. Raises ``UnknownName``."""
    if name not in SHAPES:
        raise UnknownName(f"no file shape named {name!r}; known: {', '.join(SHAPES)}")
    return SHAPES[name]


def _name(model: str, to: str, sealed: SealedRun) -> Path:
    """Where a model's file lies in the folder; lm-evaluation-harness has a folder for each model, and the date in the name."""
    if to == "lm-eval":
        date = sealed.record["started"].replace(":", "-").removesuffix("Z")
        return Path(folder_name(model), f"samples_chest_xray_reports_{date}{lm_eval.ENDING}")
    return Path(f"{folder_name(model)}{SHAPES[to].ENDING}")


def _contents(sealed: SealedRun, model: str) -> Contents:
    reports = sealed.reports(model)
    if [report.case_id for report in reports] != list(sealed.cases) or sealed.references.keys() != sealed.cases.keys():
        raise TextCannotTravel(f"{model} of {sealed.path} is to be exported, and its reports are not about the run's cases; measure it anew")
    with (sealed.path / "cases.jsonl").open(encoding="utf-8") as lines:
        studies = {case["id"]: str(case.get("study") or case["id"]) for case in map(json.loads, lines)}
    return Contents(
        {report.case_id: report.text for report in reports if not report.failure},
        {report.case_id: report.failure for report in reports if report.failure},
        sealed.references,
        tuple(sealed.cases),
        model,
        str(sealed.record["dataset"].get("name", "")),
        sealed.record["started"],
        studies,
    )


def _keep_private(folder: Path, files: Sequence[Path]) -> None:
    """Keep the export from commits. A folder of its own is closed whole; in one that was there, the files are added to what is ignored."""
    ignored, is_own = folder / ".gitignore", not folder.exists()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = ignored.read_text(encoding="utf-8") if ignored.exists() else ""
    lines = ["*"] if is_own else [f"/{file.relative_to(folder).as_posix()}" for file in files]
    missing = [line for line in lines if line not in before.splitlines()]
    if missing:
        ignored.write_text(
            before + ("\n" if before and not before.endswith("\n") else "") + "".join(f"{line}\n" for line in missing), encoding="utf-8"
        )
