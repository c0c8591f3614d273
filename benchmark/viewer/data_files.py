"""The page's data as files that a page opened by a double click can read: scripts of one statement each, for ``fetch`` does not work there.

    CLALA.part("cases", {...});

The statement is ASCII, whatever the texts hold: half a character, U+2028 or ``</script>`` stand in it as JSON escapes. Numbers of all cases are
columns: base64 of little-endian arrays, NaN where there is no number.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.records import UserError

Kind = Literal["u8", "u16", "u32", "f32"]
DTYPES: Mapping[Kind, str] = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}
OPENS, CLOSES = "CLALA.part(", ");\n"
_ASCII = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class NoPart(UserError):
    """A file that is no part of a page."""


def column(values: np.ndarray, kind: Kind) -> dict[str, str]:
    """An array of one number per case as the page reads it."""
    return {"type": kind, "data": base64.b64encode(np.ascontiguousarray(values, dtype=DTYPES[kind]).tobytes()).decode("ascii")}


def codes(words: Sequence[str]) -> dict[str, Any]:
    """Words of which there are few, once each, and of every case the place of its own. Wider where there are many after all."""
    known = ["", *(word for word in dict.fromkeys(words) if word)]
    place = {word: number for number, word in enumerate(known)}
    kind: Kind = "u8" if len(known) <= 2**8 else "u16" if len(known) <= 2**16 else "u32"
    return {"words": known, "codes": column(np.array([place[word] for word in words]), kind)}


def number(value: float | None) -> float | None:
    """A number of JSON, which knows neither NaN nor infinity: None for those."""
    return None if value is None or not math.isfinite(value) else float(value)


def script(name: str, value: Any) -> str:
    """The statement that hands a part to the page. Raises ``ValueError`` for NaN: JSON has none."""
    # "<" is escaped too, so that a part may stand within a page as well as beside it.
    return f"{OPENS}{_ASCII.encode(name)},{_ASCII.encode(value)}".replace("<", "\\u003c") + CLOSES


def write_part(folder: Path, name: str, value: Any, mode: int = 0o666) -> Path:
    """Write a part beside the others; ``mode`` is of the new file, less what the user's umask takes."""
    file = folder / f"{name}.js"
    write_bytes(file, script(name, value).encode("ascii"), mode)
    return file


def write_bytes(file: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that nobody else may read even for a moment, where ``mode`` says so; one that was there is replaced."""
    file.unlink(missing_ok=True)  # not written into: it may be a link, or have other rights
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)


def read_part(file: Path) -> tuple[str, Any]:
    """Name and value of a part, as a page would be handed them. Raises ``NoPart``."""
    try:
        text = file.read_text(encoding="ascii")
        if not text.startswith(OPENS) or not text.endswith(CLOSES):
            raise ValueError("it is no statement of a part")
        name, value = json.loads(f"[{text[len(OPENS) : -len(CLOSES)]}]")
    except (OSError, ValueError, RecursionError) as error:
        raise NoPart(f"{file} is to be a part of a page, and cannot be read ({error}); write the page anew: view RUN --again") from error
    return name, value


def read_column(packed: Mapping[str, str]) -> np.ndarray:
    """The array of a column."""
    found: np.ndarray = np.frombuffer(base64.b64decode(packed["data"]), dtype=DTYPES[packed["type"]])  # type: ignore[index]
    return found
