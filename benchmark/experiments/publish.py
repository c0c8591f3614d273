"""The copy of a reproduction's aggregates that others read: what an earlier set left there goes, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.records import UserError
from benchmark.runs import writing


def check_publish(folder: Path, out: Path, dataset: str, experiments: Sequence[str]) -> None:
    """See to it that nothing is lost by a copy to ``folder``: asked before days of training, not after. Raises ``UserError``.

    out          the folder of everything, which makes its aggregates itself
    dataset      by name
    experiments  that the new set has
    """
    if folder.resolve() == out.resolve() or out.resolve() in folder.resolve().parents:
        raise UserError(
            f"--publish {folder}: that lies in the folder of everything, {out}, where tables/ is made anew each time; name one outside it"
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"--publish {folder}: there is a file of that name; name a folder")
    if not any(folder.iterdir()):
        return
    earlier = _earlier(folder)
    if earlier["dataset"] != dataset:
        raise UserError(f"--publish {folder}: it holds a set made on {earlier['dataset']}, and this one is on {dataset}; name another folder")
    if gone := [name for name in earlier["experiments"] if name not in experiments]:
        raise UserError(
            f"--publish {folder}: it holds {', '.join(earlier['experiments'])}, and this set would put {', '.join(experiments)} in their place; "
            f"name {', '.join(gone)} too, or another folder"
        )


def publish(tables: Path, folder: Path) -> None:
    """Copy the aggregates, in place of those of an earlier set. Raises ``UserError`` for a folder of something else."""
    with writing(folder):
        if folder.exists() and any(folder.iterdir()):
            for name in (*_earlier(folder)["files"], "run.json"):
                (folder / name).unlink(missing_ok=True)
        shutil.copytree(tables, folder, dirs_exist_ok=True)


def _earlier(folder: Path) -> dict[str, Any]:
    """The record of the set that lies there. Raises ``UserError``."""
    try:
        found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        names = [*found["files"], *found["experiments"], found["dataset"]]
        if all(isinstance(name, str) for name in names) and not any(Path(name).is_absolute() or ".." in Path(name).parts for name in found["files"]):
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"--publish {folder}: it is not empty and holds no earlier set (no run.json of one); name another folder")
