"""What a parser is to the tests of bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Parser(NamedTuple):
    """A way in."""

    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    """what it may raise"""
    examples: tuple[bytes, ...]
    """that it reads, or that led to a fault once"""


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser of bytes from one of a file with that name."""

    def read_bytes(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            return read(path)

    return read_bytes
