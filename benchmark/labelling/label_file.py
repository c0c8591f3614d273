"""Labels as JSON lines: ``{"id": ..., "lesions": [14 x {name, status, side, certainty, rationale}]}``.

So ``python -m benchmark label`` writes them, and so labels that were made elsewhere (by a language model, by CheXbert, by hand) come in. Of a lesion
``name`` and ``status`` must be there; an empty list of lesions says that the labeller had no answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.records import Lesion, Lesions, UserError
from benchmark.runs import json_line, write_atomically, writing
from benchmark.vocabulary import CERTAINTIES, LESIONS, SIDES, STATUSES

_FIELDS = {"status": STATUSES, "side": SIDES, "certainty": CERTAINTIES}


class UnreadableLabels(UserError):
    """A file of labels that cannot be read as one; the message names the line."""


class Labels(NamedTuple):
    """What a file of labels holds."""

    lesions: dict[str, Lesions]
    """id -> the 14 lesions in the order of the vocabulary, or an empty tuple where the labeller had no answer"""
    sha256: str
    """of the file's bytes"""


def write_labels(out: Path, labels: Iterable[tuple[str, Lesions]]) -> None:
    """One line per id, all of them or none. Raises ``CannotWrite``."""
    text = "".join(json_line({"id": name, "lesions": [asdict(lesion) for lesion in lesions]}) for name, lesions in labels)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text)


def read_labels(path: Path) -> Labels:
    """The labels of a file, by id. Raises ``UnreadableLabels`` for the first line that is none."""
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")  # not splitlines(): U+2028 may stand unescaped within a rationale
    except OSError as error:
        raise UnreadableLabels(f"{path}: cannot be read ({error.strerror}); give the path of a file of labels") from None
    except UnicodeDecodeError as error:
        raise UnreadableLabels(f"{path}: not UTF-8 ({error.reason}); labels are JSON lines in UTF-8") from None
    found: dict[str, Lesions] = {}
    seen: dict[str, Lesion] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            name, lesions = _read_line(line, seen)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise UnreadableLabels(f"{path}, line {number}: {what}; a line is written as `python -m benchmark label` writes it") from None
        if name in found:
            raise UnreadableLabels(f"{path}, line {number}: the id {name!r} was there before; give each case one line")
        found[name] = lesions
    if not found:
        raise UnreadableLabels(f"{path}: no labels in it; make them with `python -m benchmark label`")
    return Labels(found, hashlib.sha256(data).hexdigest())


def _read_line(line: str, seen: dict[str, Lesion]) -> tuple[str, Lesions]:
    values = json.loads(line)
    if not isinstance(values, Mapping) or not isinstance(values["id"], str) or not isinstance(values["lesions"], list):
        raise ValueError("not an object with an id (a string) and lesions (a list)")
    lesions = tuple(_read_lesion(lesion, seen) for lesion in values["lesions"])
    if not lesions or tuple(lesion.name for lesion in lesions) == LESIONS:
        return values["id"], lesions
    if sorted(lesion.name for lesion in lesions) != sorted(LESIONS):
        missing = [name for name in LESIONS if name not in {lesion.name for lesion in lesions}]
        raise ValueError(f"{len(lesions)} lesions where each of the 14 is due once" + (f" (there is no {missing[0]})" if missing else ""))
    return values["id"], tuple(sorted(lesions, key=lambda lesion: LESIONS.index(lesion.name)))


def _read_lesion(values: Any, seen: dict[str, Lesion]) -> Lesion:
    """One lesion, checked. Equal ones share a record: most of a file are the same few negatives, and it is read in half of the time."""
    if lesion := seen.get(key := repr(values)):
        return lesion
    lesion = Lesion(**values)
    if lesion.name not in LESIONS:
        raise ValueError(f"no lesion named {lesion.name!r}; known: {', '.join(LESIONS)}")
    for field, known in _FIELDS.items():
        if getattr(lesion, field) not in known:
            raise ValueError(f"{lesion.name} has {field} {getattr(lesion, field)!r}; it is one of: {', '.join(known)}")
    seen[key] = lesion
    return lesion
