"""Training: a name to a trainer, a dataset's splits to a folder of weights. ``python -m benchmark train NAME``."""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmark import registry
from benchmark.evaluator import check_device, use_of_datasets
from benchmark.inputs import HeldBack, open_dataset
from benchmark.labelling.choose import known_labellers
from benchmark.llm.models import LanguageModels
from benchmark.places import cache_folder
from benchmark.records import UserError
from benchmark.registry import Setting
from benchmark.runs import CannotWrite, FolderInUse, take_lock
from benchmark.screen import say

GIVEN = ("training", "out", "seed", "device", "command", "llm", "options")
"""what a trainer is handed if it names it; the rest of its parameters are settings. ``options`` are those of everything, ``rules.hedges`` -> ``d15``:
who names them has a labeller, and gives it its own"""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Trained(NamedTuple):
    """What a training came to."""

    folder: Path
    """of the weights"""
    summary: dict[str, float]
    """what the trainer says of them, in single numbers"""
    seconds: float


class Description(NamedTuple):
    """A trainer as its help shows it."""

    name: str
    text: str
    """its docstring, for a person at the command line"""
    settings: list[Setting]


def train(
    name: str, dataset: str, out: Path | None, settings: Mapping[str, str], options: Mapping[str, str], *, seed: int, device: str, command: str
) -> Trained:
    """Train what is registered under ``name`` on a dataset. Raises ``UserError`` if there is no such trainer, or if it refuses."""
    began = time.monotonic()
    entry = _entry(name)
    check_device(device)
    labellers = known_labellers() if "options" in inspect.signature(registry.resolve(entry.factory, f"trainer {name!r}")).parameters else ()
    registry.check_options(options, [registry.parse_spec(dataset).name, "llm", *labellers])
    data = open_dataset(dataset, options)
    where = out or Path("results/runs") / f"train-{name}"
    available = {
        "training": HeldBack(data),
        "llm": LanguageModels(options, use_of_datasets(data)),
        "out": where,
        "seed": seed,
        "device": device,
        "command": command,
        "options": options,
    }
    with _held(where), _storing(where):
        folder = Path(registry.call(entry.factory, f"trainer {name!r}", argument="", available=available, options=settings))
    return Trained(folder, summary_of(folder), time.monotonic() - began)


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder for this training alone: two would go on from each other's states. Raises ``FolderInUse``.

    The lock lies in the cache, since the folder is the trainer's to make. Where that cannot be written, nobody is kept out; where it knows no locks
    neither, and a line on stderr says so.
    """
    file = cache_folder() / "locks" / f"train-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]}.lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a+")
    except OSError:
        yield
        return
    with lock:
        if not _taken(lock, out):
            lock.seek(0)
            raise FolderInUse(f"{out} is being written by process {lock.read().strip() or '?'}; wait for it, or choose another folder with --out")
        with suppress(OSError):
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield


def _taken(lock: IO[str], out: Path) -> bool:
    """Take the lock; False if another training has it."""
    try:
        return take_lock(lock, out)
    except CannotWrite:  # no ground to refuse: it is the cache that knows no locks, so another --out would not help
        say(f"{cache_folder()}: its file system knows no locks; see to it that nothing else trains into {out}", err=True)
        return True


@contextmanager
def _storing(out: Path) -> Iterator[None]:
    """Turn what the operating system, or a library of it, says of a full or a closed disk into one clear line. Raises ``CannotWrite``.

    Of other files than those of ``out`` (an image that nobody may read), only that there is no room is said so.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        is_ours = error.filename is not None and Path(os.fsdecode(error.filename)).absolute().is_relative_to(out.absolute())
        if error.errno not in NO_ROOM and not (is_ours and error.errno in CLOSED):
            raise
        raise CannotWrite(_unwritten(out, error.strerror or str(error))) from error
    except Exception as error:
        # Rust's libraries put the number into words: safetensors knows no OSError when it writes.
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None or int(found[1]) not in (*NO_ROOM, *CLOSED):
            raise
        raise CannotWrite(_unwritten(out, os.strerror(int(found[1])))) from error


def _unwritten(out: Path, why: str) -> str:
    return (
        f"cannot write weights and states to {out}: {why}; the last state that was written is kept: make room or give the right to write, then run "
        "the same command again"
    )


def describe(name: str) -> Description:
    """What a trainer says of itself, and its settings. Raises ``UserError`` if there is none of that name."""
    entry = _entry(name)
    function = registry.resolve(entry.factory, f"trainer {name!r}")
    settings = registry.settings_of(function, f"trainer {name!r}", available=GIVEN)
    text = re.split(r"^Raises ", inspect.getdoc(function) or entry.summary, flags=re.MULTILINE)[0]  # what it raises is for those who call it
    return Description(name, text.rstrip(), settings)


def summary_of(folder: Path) -> dict[str, float]:
    """The numbers under ``summary`` in the folder's ``about.json``; of a group of numbers (F1 by lesion), their mean. Empty if there is none."""
    try:
        summary = json.loads((folder / "about.json").read_text(encoding="utf-8")).get("summary", {})
    except (OSError, ValueError, AttributeError):  # another trainer's folder may hold anything
        return {}
    found: dict[str, float] = {}
    for key, value in summary.items() if isinstance(summary, dict) else ():
        numbers = [number for number in (value.values() if isinstance(value, dict) else [value]) if _is_number(number)]
        if numbers:
            found[f"mean {key}" if isinstance(value, dict) else key] = sum(numbers) / len(numbers)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _entry(name: str) -> registry.Entry:
    known = registry.load()
    if name in known.entries["models"] and name not in known.entries["trainers"]:
        raise UserError(f"model {name!r} cannot be trained here; these can: {', '.join(known.entries['trainers']) or 'none'}")
    return known.entry("trainers", name)
