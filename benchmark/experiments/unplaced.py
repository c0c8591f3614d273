"""What was typed, without the places of this machine: what is published says what was done, and not where, nor of which server it was asked.

The folder of everything is OUT, every other path and every URL PLACE. A name of two parts that is no path here, ``microsoft/maira-2``, is the name of
a model, and stays: without it nobody could do the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OUT, PLACE = "OUT", "PLACE"
BEFORE = re.compile(r"(?:[\w.+-]+=)?(?:[\w-]+:(?!//))?")
"""what may stand before a place in a word: ``label=``, ``NAME.OPTION=``, ``name:``"""
SETTINGS = re.compile(r"[\w.]+=[^;]*(;[\w.]+=[^;]*)+")
"""several settings in one word"""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def unplaced_command(words: Iterable[str], out: Path) -> str:
    """The command that a person could type, of the words behind ``python -m benchmark``."""
    return shlex.join(["python", "-m", "benchmark", *(unplaced(word, out) for word in words)])


def unplaced(word: str, out: Path | None = None) -> str:
    """One word of a command: ``chest_imagenome:/data/physionet`` is ``chest_imagenome:PLACE``."""
    return ";".join(_part(part, out) for part in (word.split(";") if SETTINGS.fullmatch(word) else [word]))


def unplaced_record(value: Any) -> Any:
    """A record with every text in it so, keys too."""
    if isinstance(value, Mapping):
        return {unplaced(str(key)): unplaced_record(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [unplaced_record(inner) for inner in value]
    return unplaced(value) if isinstance(value, str) else value


def _part(part: str, out: Path | None) -> str:
    before = BEFORE.match(part)
    start = before.end() if before else 0
    place = part[start:]
    if out is not None and (place == str(out) or place.startswith(f"{out}/")):
        return f"{part[:start]}{OUT}{place[len(str(out)) :]}"
    return f"{part[:start]}{PLACE}" if _is_place(place) else part


def _is_place(text: str) -> bool:
    if text.startswith("~") or "\\" in text:
        return True
    return "/" in text and (NAME.fullmatch(text) is None or Path(text).exists())
