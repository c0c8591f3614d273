"""Vectors of texts that will be asked for again, in a file without a name: the references of a test split are some gigabytes.

What memory is free the operating system uses for it; what is not kept must be computed anew.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import IO

import numpy as np

FREE_LEFT = 2 * 2**30
"""bytes of the disk that are left to others"""


class KeptVectors:
    """text -> (T, D) float32, as long as there is room."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._file: IO[bytes] | None = None
        self._places: dict[str, tuple[int, int, int]] = {}  # text -> where its bytes begin, T, D
        self._end = 0

    def __contains__(self, text: str) -> bool:
        return text in self._places

    def put(self, text: str, vectors: np.ndarray) -> bool:
        """Keep the vectors of a text; False if there is no room."""
        if self._file is None:
            free = shutil.disk_usage(tempfile.gettempdir()).free - FREE_LEFT
            self._most = min(self._most, max(free, 0))
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - goes with the metric, or with the process
        if self._end + vectors.nbytes > self._most:
            return False
        self._file.seek(self._end)
        self._file.write(np.ascontiguousarray(vectors, dtype=np.float32).data)
        self._places[text] = (self._end, *vectors.shape)
        self._end += vectors.nbytes
        return True

    def get(self, text: str) -> np.ndarray | None:
        """The vectors of a text, or None."""
        if text not in self._places or self._file is None:
            return None
        start, length, width = self._places[text]
        self._file.seek(start)
        return np.frombuffer(self._file.read(4 * length * width), dtype=np.float32).reshape(length, width)
