"""``sources.json`` beside printed tables: what is known of their files, the key columns of each among it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.consistency.printed import UnreadableTable

SOURCES_FILE = "sources.json"


def read_sources(folder: Path) -> dict[str, Any]:
    """Everything that it says, with ``files`` as an object of objects. Raises ``UnreadableTable``."""
    file = folder / SOURCES_FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableTable(
            f"printed tables are CSV files with a {SOURCES_FILE} beside them, and {file} cannot be read ({error.strerror}); "
            "write one: citation, short, and under files of each its table, what and keys"
        ) from None
    except ValueError as error:
        raise UnreadableTable(f"{file} is no JSON ({error}); mend that place") from None
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise UnreadableTable(f"{file} is to have, under files, an object for each CSV file beside it, and does not; add it")
    for name, about in found["files"].items():
        if not isinstance(about, dict):
            raise UnreadableTable(f'{file} is to say of {name} what is known of it as an object, and has {about!r}; write {{"keys": [...]}} there')
        if not _is_list_of_texts(about.get("keys", [])):
            raise UnreadableTable(f"{file}: keys of {name} is {about['keys']!r}, and a list of its columns is needed")
    return {**found, "files": dict(found["files"])}


def known_keys(file: Path) -> Sequence[str]:
    """The key columns of a CSV file by the ``sources.json`` beside it; none where there is no such file or it does not speak of this one."""
    if not (file.parent / SOURCES_FILE).is_file():
        return ()
    keys: Sequence[str] = read_sources(file.parent)["files"].get(file.name, {}).get("keys", ())
    return keys


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
