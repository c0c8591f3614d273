"""``kernel``: a function compiled by numba, its machine code kept on disk, free of the interpreter lock.

The first call of a kernel on a machine compiles it (seconds); later processes load it (milliseconds). The code is kept beside the module,
or under ``places.cache_folder() / "numba"`` where that folder cannot be written; a ``NUMBA_CACHE_DIR`` of the user's wins over both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba

from benchmark.places import cache_folder

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """The compiled twin of ``function``; no fast-math, so that a number does not depend on the compiler's mood."""
    if not numba.config.CACHE_DIR and not os.access(Path(__file__).parent, os.W_OK):
        numba.config.CACHE_DIR = str(cache_folder() / "numba")
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))
